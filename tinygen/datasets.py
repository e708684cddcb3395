"""Floor 4: data to learn from. Bundled MNIST, any folder in MNIST's format, a folder of images,
and three toy sets in the plane. `dataloader.py` cuts them into batches.

Images are float32 `(N, 1, 28, 28)` in [0, 1], 0 for black; points are float32 `(N, 2)`; labels
are int64 `(N,)`. Whatever is wrong with a file raises `InputError`, one sentence that names it.
"""

import gzip
import importlib.resources
import math
import os
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import backend
from .backend import InputError
from .dataloader import DataLoader, TensorDataset, check_count  # noqa: F401  (used together)

NAMES = ("mnist", "ring", "grid", "moons")
LARGEST_IDX = 600_000_000  # bytes; EMNIST's largest file has 547 million
LARGEST_IMAGE = 2**26  # pixels; in memory, one takes up to 12 bytes while it is read
IDX_NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx\d-\w+(\.gz)?$", re.IGNORECASE)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif")
HELD_OUT = ("test", "val", "valid")  # beside a folder `train`, the first of these is the test set


@dataclass
class Dataset:
    """Examples to train on and others kept apart, `(N, *shape)` each; labels `(N,)` if known."""

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None

    @property
    def shape(self):
        """The shape of one example: `(1, 28, 28)` for an image, `(2,)` for a point in the plane."""
        return self.train.shape[1:]

    @property
    def is_images(self):
        """Whether an example is an image, `(channels, height, width)`."""
        return len(self.shape) == 3


def _fault(path, found, expected, advice="fetch it again"):
    return InputError(f"{path} {found}, expected {expected}; {advice}")


def load(name_or_path):
    """The `Dataset` called "mnist", "ring", "grid" or "moons", or the one in a folder.

    A folder with IDX files goes to `idx_folder`, any other to `image_folder`. A name wins over a
    folder of that name, which is still reached as "./mnist". Each set in the plane has 50,000
    training and 10,000 test points, drawn afresh from `backend.generator`.
    """
    if name_or_path == "mnist":
        return mnist()
    if draw := {"ring": ring, "grid": grid, "moons": moons}.get(name_or_path):
        return Dataset(name_or_path, draw(50_000), draw(10_000))
    if not os.path.isdir(name_or_path):
        is_file = os.path.isfile(name_or_path)
        raise _fault(f"data set {str(name_or_path)!r}",
                     "is a file" if is_file else "is neither a name nor a folder",
                     "mnist, ring, grid, moons, or a folder of IDX files or images",
                     "give the folder that it is in" if is_file else "choose one of these")
    folder = _existing_folder(name_or_path)
    return idx_folder(folder) if idx_files(folder) else image_folder(folder)


def read_idx(path, shape=None):
    """The uint8 array in an IDX file, gzipped or not (the content decides, not the name).

    The format: two zero bytes, the element type (0x08 for unsigned bytes, the only one read here),
    the number of dimensions, each dimension as a big-endian 32-bit number, then the elements in
    row-major order. Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".

    Raises `InputError` unless the file holds exactly what its header says, of `shape` if given
    ("N" is any number), at most 600 MB, and not packed a hundredfold, as only gzip bombs are.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise _fault(path, "is missing or is not a file", "one like train-images-idx3-ubyte.gz",
                         "check the path")
        with path.open("rb") as file:
            packed, size = file.read(2) == b"\x1f\x8b", os.fstat(file.fileno()).st_size
            room = min(LARGEST_IDX, 2**24 + 100 * size if packed else size)
            file.seek(0)
            return _parse_idx(path, gzip.GzipFile(fileobj=file) if packed else file, shape, room)
    except (OSError, EOFError, zlib.error) as error:  # A broken gzip file raises all three.
        raise _fault(path, f"cannot be read ({error})", "a whole IDX file, gz or not") from error


def _parse_idx(path, stream, wanted, room):
    magic = _read_at_most(stream, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise _fault(path, f"begins with {magic.hex(' ') or 'nothing'}", "the bytes 00 00 08",
                     "give a file in IDX format")
    if magic[2] != 0x08:
        raise _fault(path, f"holds elements of type 0x{magic[2]:02x}", "0x08, unsigned bytes",
                     "convert them first")
    ndim = magic[3]
    if not 1 <= ndim <= 64:  # NumPy's limit
        raise _fault(path, f"claims {ndim} dimensions", "1 to 64")
    dims = _read_at_most(stream, 4 * ndim)
    if len(dims) < 4 * ndim:
        raise _fault(path, f"ends after {4 + len(dims)} bytes", f"a header of {4 + 4 * ndim}")
    shape = struct.unpack(f">{ndim}I", dims)
    size = math.prod(shape)
    said = " x ".join(map(str, shape)) + f" = {size:,} bytes"
    if size == 0:
        raise _fault(path, f"is empty, with {said} of data", "at least one", "give one with data")
    if wanted and (len(wanted) != ndim or any(m not in ("N", n) for m, n in zip(wanted, shape))):
        raise _fault(path, f"holds an array of shape {shape}", str(wanted).replace("'", ""),
                     "resize its images first" if ndim == 3 and wanted[1:] != shape[1:]
                     else "use the files of one set")
    if size > room:
        raise _fault(path, f"claims {said} of data", f"at most {room:,} in a file of this size")
    data = _read_at_most(stream, size + 1)
    if len(data) != size:
        short = f"is truncated to {len(data):,} bytes of data"
        raise _fault(path, short if len(data) < size else "has data beyond its end", said)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_at_most(stream, count):
    # In pieces: read(count) sets `count` bytes aside at once, and a lying header may say 2 GiB.
    data = bytearray()
    while len(data) < count and (piece := stream.read(min(count - len(data), 2**20))):
        data += piece
    return data


def _read_images(path):
    return _to_unit(read_idx(path, ("N", 28, 28)))


def _to_unit(images):
    """uint8 `(N, H, W)` in 0..255 to float32 `(N, 1, H, W)` in [0, 1]."""
    return np.divide(images[:, None], 255, dtype=backend.float32)


def _read_labels(path, images):
    return read_idx(path, (len(images),)).astype(backend.int64)


def mnist():
    """The bundled MNIST: 60,000 training and 10,000 test digits, `(N, 1, 28, 28)`, labels 0 to 9.

    Source: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document
    recognition". Raises `InputError` if the files did not come with the installation.
    """
    train = bundled(_read_images, "train-images-idx3-ubyte.gz")
    test = bundled(_read_images, "t10k-images-idx3-ubyte.gz")
    if (len(train), len(test)) != (60_000, 10_000):
        raise _fault("bundled MNIST", f"has {len(train)} and {len(test)} images", "60000 and 10000",
                     "install tinygen again")
    return Dataset("mnist", train, test,
                   bundled(_read_labels, "train-labels-idx1-ubyte.gz", train),
                   bundled(_read_labels, "t10k-labels-idx1-ubyte.gz", test))


def bundled(read, name, *args):
    """`read` the bundled file `name`, wherever this installation keeps it."""
    try:
        packaged = importlib.resources.files("tinygen.data") / name
        if packaged.is_file():
            with importlib.resources.as_file(packaged) as path:
                return read(path, *args)
    except ModuleNotFoundError:
        pass  # A checkout that was never installed: `data` lies beside the package, not in it.
    return read(Path(__file__).parent.parent / "data" / name, *args)


def idx_folder(path):
    """The `Dataset` in a folder laid out like MNIST: Fashion-MNIST, KMNIST, EMNIST, ...

    Looks for `*train-images-idx3-ubyte` and the same with `train-labels-idx1-ubyte`, and with
    `t10k` or `test` for `train`; `.idx` for `-idx` and a final `.gz` are welcome. Of a file that is
    there packed and unpacked, the unpacked one is read. Labels may be missing. Without a test file,
    the last tenth of the training images (at least one) becomes the test set. Images come as they
    are stored; EMNIST stores them transposed, `swapaxes(2, 3)` sets them upright.

    Raises `InputError` for a folder without training images or with two sets, for a broken file,
    for images that are not 28 x 28, and for labels that do not match the images.
    """
    folder = _existing_folder(path)
    files = idx_files(folder)
    if ("train", "images") not in files:
        raise _fault(folder, "holds no training images in IDX format",
                     "a file named like train-images-idx3-ubyte.gz", "check the path and the names")
    train, train_labels = _read_split(files, "train")
    if ("test", "images") not in files:
        last = np.arange(len(train)) >= len(train) - max(1, len(train) // 10)
        return _hold_out(folder, train, train_labels, last)
    test, test_labels = _read_split(files, "test")
    return Dataset(folder.resolve().name, train, test, train_labels, test_labels)


def _read_split(files, split):
    images, labels = _read_images(files[split, "images"]), files.get((split, "labels"))
    return images, labels and _read_labels(labels, images)


def _hold_out(folder, images, labels, held):
    """The `Dataset` whose test examples are those where the bool array `held` is true."""
    if held.all() or not held.any():
        raise _fault(folder, f"holds {np.sum(~held)} images to train on and {np.sum(held)} to test "
                     "with", "one or more of each", "check the path, or add some")
    arrays = [images] if labels is None else [images, labels]
    parts = [array[rows] for array in arrays for rows in (~held, held)]
    return Dataset(folder.resolve().name, *parts)


def idx_files(folder):
    """The IDX files of `folder` as `{("train" or "test", "images" or "labels"): path}`."""
    found = {}
    for path in sorted(folder.iterdir()):
        match = IDX_NAME.search(path.name)
        if not match or path.name.startswith(".") or not path.is_file():
            continue
        split, what = match[1].lower(), match[2].lower()
        key = ("train" if split == "train" else "test", what)
        first = found.setdefault(key, path)
        if path.name not in (first.name, first.name + ".gz"):
            raise _fault(folder, f"holds both {first.name} and {path.name}", "one of them",
                         "give each set a folder of its own")
    return found


def _existing_folder(path):
    if not (os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)):
        raise _fault(path, "is missing or is not a folder one may read", "one", "check the path")
    return Path(path)


def image_folder(path, size=28):
    """The `Dataset` of a folder of PNG and JPEG files, each made grey and `size` x `size` pixels.

    The largest centred square of an image is resized (bicubic, antialiased). Grey is Pillow's
    0.299 R + 0.587 G + 0.114 B; transparent turns black; a camera's rotation mark is obeyed.
    Images lie in the folder itself (no labels), or in sub-folders, one for each class, at any
    depth (as in torchvision's ImageFolder: the label is the class's place among the sorted names).
    Hidden files are passed over. Sorted by name, images 1, 11, 21, ... form the test set; but where
    there are sub-folders `train` and `test` (or else `val` or `valid`), they are the two sets, each
    with all that inside, and what lies beside them is passed over.

    Raises `InputError` for an image that cannot be read, is animated, or has more than 67 million
    pixels, for fewer than two images, and for images at both levels.
    """
    from PIL import Image
    from tqdm import tqdm

    folder = _existing_folder(path)
    check_count("image_folder: size", size)
    files, split = _image_files(folder), _split(folder)
    if split:
        files = [file for file in files if file.parts[0] in split]
        test = np.array([file.parts[0] == split[1] for file in files], bool)
    else:
        test = np.arange(len(files)) % 10 == 0
    inside = [file.parts[1:] if split else file.parts for file in files]
    classes = [parts[0] if len(parts) > 1 else "" for parts in inside]
    if "" in classes and len(set(classes)) > 1:
        raise _fault(folder, "holds images both directly and in sub-folders", "one or the other",
                     "move the loose ones into the sub-folder of their class")
    images = np.empty((len(files), size, size), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for image, file in zip(images, tqdm(files, "reading images", leave=False, delay=1)):
            try:
                image[:] = _read_grey(folder / file, size)
            except Exception as error:  # Broken files make Pillow raise nearly anything.
                raise _fault(folder / file, f"cannot be read as an image ({error})",
                             "a PNG or JPEG file with one picture in it, not too large",
                             "repair it or take it away") from error
    labels = None
    if "" not in classes:
        labels = np.unique(classes, return_inverse=True)[1].astype(backend.int64)
    return _hold_out(folder, _to_unit(images), labels, test)


def _split(folder):
    """The names of the sub-folders of `folder` for training and for testing, or None."""
    found = {entry.name.lower(): entry.name for entry in folder.iterdir() if entry.is_dir()}
    held = [found[name] for name in HELD_OUT if name in found]
    return (found["train"], held[0]) if held and "train" in found else None


def _image_files(folder):
    """The images below `folder` as sorted paths relative to it, hidden ones apart."""
    below = [file.relative_to(folder) for file in folder.rglob("*") if file.is_file()]
    seen = [file for file in below if not any(part.startswith(".") for part in file.parts)]
    files = [file for file in seen if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        idx = [folder / file.parent for file in seen if IDX_NAME.search(file.name)]
        kinds = sorted({file.suffix for file in seen if file.suffix})
        others = f" (but {', '.join(kinds[:9])})" if kinds else ""
        raise _fault(folder, f"holds 0 images in PNG, JPEG or IDX format{others}", "two or more",
                     f"give the folder {idx[0]}" if idx else "check the path, or convert them")
    return sorted(files, key=lambda file: file.parts)


def _read_grey(path, size):
    """The image at `path` as uint8 `(size, size)`."""
    from PIL import Image, ImageOps

    with Image.open(path, formats=("PNG", "JPEG")) as image:  # so far, only its head has been read
        if image.width * image.height > LARGEST_IMAGE:
            raise ValueError(f"{image.width} x {image.height} pixels, over {LARGEST_IMAGE:,}")
        if image.format == "PNG" and image.is_animated:
            raise ValueError(f"animated, with {image.n_frames} frames")
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16 bits a pixel, which convert("L") would clip, not scale
        values, clear = np.asarray(image), image.info.get("transparency", -1)
        grey = np.where(values == clear, 0, values // 257)      # 65535 = 257 * 255
        image = Image.fromarray(grey.astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("L", image.size)
        black.paste(image.convert("L"), mask=image.getchannel("A"))
        image = black
    return np.asarray(ImageOps.fit(image.convert("L"), (size, size), Image.Resampling.BICUBIC))


def ring(n, modes=8, radius=1.0, sigma=0.01):
    """`n` points of a mixture of `modes` equal Gaussians on a circle, float32 `(n, 2)`.

    Each has covariance sigma^2 I around one of `ring_modes(modes, radius)`. The defaults are the
    ring of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018), table 1 of both.
    """
    return _mixture(n, ring_modes(modes, radius), sigma)


def ring_modes(modes=8, radius=1.0):
    """The centres, radius (cos t, sin t) with t = 2 pi k / modes, k from 0; `(modes, 2)`."""
    check_count("modes", modes)
    angle = 2 * np.pi * np.arange(modes) / modes  # linspace(0, 2 pi, modes) has the angle 0 twice
    return (radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(backend.float32)


def grid(n, side=5, spacing=2.0, sigma=0.05):
    """`n` points of a mixture of side^2 equal Gaussians on a square grid, float32 `(n, 2)`.

    Each has covariance sigma^2 I around one of `grid_modes(side, spacing)`. The defaults are the
    grid of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018), table 1 of both.
    """
    return _mixture(n, grid_modes(side, spacing), sigma)


def grid_modes(side=5, spacing=2.0):
    """The centres of `grid`, by default {-4, -2, 0, 2, 4} squared; float32 `(side^2, 2)`."""
    check_count("side", side)
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    x_and_y = np.meshgrid(ticks, ticks, indexing="ij")
    return np.stack(x_and_y, axis=-1).reshape(-1, 2).astype(backend.float32)


# Of each mixture: points, the centres of its modes, and their standard deviation.
MODES = {"ring": (ring, ring_modes, 0.01), "grid": (grid, grid_modes, 0.05)}


def _mixture(n, centres, sigma):
    check_count("n", n)
    points = centres[backend.generator.integers(len(centres), size=n)]
    points += sigma * backend.generator.standard_normal((n, 2), dtype=backend.float32)
    return points


def moons(n, noise=0.05):
    """`n` points of two interleaved half circles, float32 `(n, 2)`.

    With t uniform in [0, pi], the upper moon is (cos t, sin t) and the lower one
    (1 - cos t, 1/2 - sin t), a fair coin for each point; `noise` is the standard deviation of the
    Gaussian added to both coordinates. Scikit-learn's `make_moons` has the same curves.
    """
    check_count("n", n)
    angle = np.pi * backend.generator.random(n)
    x, y = np.cos(angle), np.sin(angle)
    lower = backend.generator.integers(2, size=n) == 1
    points = np.stack([np.where(lower, 1 - x, x), np.where(lower, 0.5 - y, y)], axis=1)
    points += noise * backend.generator.standard_normal((n, 2))
    return points.astype(backend.float32)
