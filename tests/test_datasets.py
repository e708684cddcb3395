"""Bundled MNIST, the IDX format and its broken files, folders of images, toy sets, DataLoader."""

import gzip
import hashlib
import math
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinygen import backend, datasets
from tinygen.backend import InputError
from tinygen.tensor import Tensor

DATA = Path(__file__).parent.parent / "data"
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def idx(array, shape=None, kind=8):
    """An IDX file of `array`, whose header may claim another shape or element type."""
    shape = array.shape if shape is None else shape
    header = bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return header + array.tobytes()


def pixels(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def refuses(name, call, *args):
    """`call` raises InputError in one sentence that names `name`."""
    with pytest.raises(InputError, match=re.escape(str(name))) as caught:
        call(*args)
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)
    return str(caught.value)


# MNIST

@pytest.mark.parametrize("name", MD5)
def test_bundled_files_are_the_official_ones(name):
    assert hashlib.md5(gzip.decompress((DATA / f"{name}.gz").read_bytes())).hexdigest() == MD5[name]
    assert MD5[name] in (DATA / "README.md").read_text("utf-8")


def test_mnist():
    data = datasets.load("mnist")
    assert data.name == "mnist" and data.shape == (1, 28, 28) and data.is_images
    assert data.train.shape == (60_000, 1, 28, 28) and data.test.shape == (10_000, 1, 28, 28)
    for images in (data.train, data.test):
        assert images.dtype == np.float32 and images.min() == 0 and images.max() == 1
        assert images.flags.c_contiguous
    assert data.train_labels.dtype == data.test_labels.dtype == np.int64
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]  # as every tutorial prints them
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982,
                                                      892, 958, 1028, 974, 1009]
    assert abs(data.train.mean(dtype=np.float64) - 0.1307) < 1e-4  # everybody's normaliser


def test_bundled_file_missing(monkeypatch):
    monkeypatch.setattr(datasets, "__file__", "/nowhere/tinygen/datasets.py")
    monkeypatch.setattr(datasets.importlib.resources, "files", lambda name: Path("/nowhere"))
    refuses("train-images-idx3-ubyte.gz", datasets.mnist)


def test_bundled_file_in_a_package_comes_first(monkeypatch, tmp_path):
    (tmp_path / "some.gz").write_bytes(gzip.compress(idx(pixels(3))))
    monkeypatch.setattr(datasets.importlib.resources, "files", lambda name: tmp_path)
    assert (datasets.bundled(datasets.read_idx, "some.gz") == pixels(3)).all()


# IDX files

@settings(deadline=None, max_examples=40)
@given(shape=st.lists(st.integers(1, 6), min_size=1, max_size=5), packed=st.booleans())
def test_idx_roundtrip(tmp_path_factory, shape, packed):
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx(pixels(*shape))) if packed else idx(pixels(*shape)))
    array = datasets.read_idx(path)
    assert array.dtype == np.uint8 and (array == pixels(*shape)).all()
    assert array.shape == tuple(shape)
    array[...] = 0  # not read-only


GOOD = idx(pixels(4, 28, 28))
PACKED = gzip.compress(GOOD)
BROKEN = {
    "empty": b"",
    "one byte": b"\0",
    "half a magic": GOOD[:3],
    "no dimensions": GOOD[:4],
    "half the dimensions": GOOD[:11],
    "no data": GOOD[:16],
    "truncated": GOOD[:-1],
    "too long": GOOD + b"\0",
    "wrong magic": b"\1" + GOOD[1:],
    "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a web page": b"<!DOCTYPE html><html>404</html>",
    "big-endian floats": idx(np.zeros((2, 28, 28), ">f4"), kind=0x0D),
    "unknown element type": idx(pixels(4), kind=0xFF),
    "zero dimensions": idx(pixels(1), shape=()),
    "255 dimensions": idx(pixels(1), shape=(1,) * 255),
    "no examples": idx(pixels(0, 28, 28)),
    "no examples, but huge": idx(pixels(0), shape=(0, 2**32 - 1, 2**32 - 1, 2**32 - 1)),
    "exabytes": idx(pixels(4), shape=(2**32 - 1, 2**16, 2**16)),
    "just over the limit": idx(pixels(4), shape=(2**31 + 1,)),
    "a lie within the limit": idx(pixels(4), shape=(2**31,)),
    "shape overflowing 64 bits": idx(pixels(4), shape=(2**31, 2**31, 4)),
    "broken gzip header": PACKED[:2] + b"\xff" + PACKED[3:],
    "broken gzip body": PACKED[:60] + bytes(20) + PACKED[80:],
    "broken gzip checksum": PACKED[:-8] + bytes(4) + PACKED[-4:],
    "truncated gzip": PACKED[: len(PACKED) // 2],
    "two bytes of gzip": PACKED[:2],
    "gzip without its end": PACKED[:-8],
    "rubbish after the gzip": PACKED + b"rubbish",
    "empty gzip": gzip.compress(b""),
    "truncated inside gzip": gzip.compress(GOOD[:-1]),
    "too long inside gzip": gzip.compress(GOOD + b"\0"),
    "a lie inside gzip": gzip.compress(idx(pixels(4), shape=(2**31,))),
    "gzip in gzip": gzip.compress(PACKED),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_idx_file(tmp_path, case):
    path = tmp_path / "broken-idx3-ubyte.gz"
    path.write_bytes(BROKEN[case])
    refuses(path, datasets.read_idx, path)


def test_idx_path_that_is_no_file(tmp_path):
    for path in (tmp_path / "nothing", tmp_path, "bad\0name", "x" * 5000):
        refuses(path, datasets.read_idx, path)


def test_a_bomb_is_not_unpacked_beyond_what_the_header_says(tmp_path, monkeypatch):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(pixels(4)) + bytes(50_000_000), compresslevel=1))
    taken = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read",
                        lambda self, n=-1: taken.append(n) or read(self, n))
    refuses(path, datasets.read_idx, path)
    assert min(taken) > 0 and sum(taken) <= 4 + 4 + 5


@pytest.mark.parametrize("packed", [False, True])
def test_no_data_is_read_for_a_header_that_cannot_be_right(tmp_path, monkeypatch, packed):
    def write(array, claim):
        path.write_bytes(gzip.compress(idx(array, claim)) if packed else idx(array, claim))

    path, taken = tmp_path / "some.gz", []
    read = datasets._read_at_most
    monkeypatch.setattr(datasets, "_read_at_most",
                        lambda stream, n: taken.append(n) or read(stream, n))
    write(pixels(3, 28, 28), (500_000, 28, 28))
    assert "in a file of this size" in refuses(path, datasets.read_idx, path)
    write(pixels(3, 28, 29), None)
    message = refuses(path, datasets.read_idx, path, ("N", 28, 28))
    assert "holds an array of shape (3, 28, 29), expected (N, 28, 28)" in message
    assert max(taken) == 12


def test_small_files_may_be_packed_more_than_a_hundredfold(tmp_path):
    path = tmp_path / "some.gz"
    path.write_bytes(gzip.compress(idx(np.full(60_000, 3, np.uint8))))
    assert path.stat().st_size < 600
    assert (datasets.read_idx(path) == 3).all()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_file_is_refused_or_means_what_was_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("idx") / "file"
    whole = idx(pixels(3, 2))
    content = bytearray(data.draw(st.sampled_from([whole, gzip.compress(whole)])))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    left = bytes(content[: data.draw(st.integers(0, len(content)))])
    path.write_bytes(left)
    try:
        array = datasets.read_idx(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert idx(array) == (gzip.decompress(left) if left[:2] == b"\x1f\x8b" else left)


# IDX folders

def write_set(folder, train=20, test=5, names="{}-{}-idx{}-ubyte", test_name="t10k", packed=False):
    for split, n in (("train", train), (test_name, test)):
        for what, d, array in (("images", 3, pixels(n, 28, 28)), ("labels", 1, pixels(n) % 10)):
            if n:
                content = gzip.compress(idx(array)) if packed else idx(array)
                (folder / (names.format(split, what, d) + ".gz" * packed)).write_bytes(content)


@pytest.mark.parametrize("options", [
    {}, {"packed": True}, {"names": "{}-{}.idx{}-ubyte"}, {"test_name": "test"},
    {"names": "emnist-letters-{}-{}-idx{}-ubyte", "test_name": "test", "packed": True}])
def test_idx_folder(tmp_path, options):
    write_set(tmp_path, **options)
    data = datasets.load(tmp_path)
    assert data.name == tmp_path.name and data.is_images
    assert data.train.shape == (20, 1, 28, 28) and data.test.shape == (5, 1, 28, 28)
    assert (np.round(data.train[:, 0] * 255) == pixels(20, 28, 28)).all()
    assert data.train.dtype == np.float32 and 0 <= data.train.min() and data.train.max() <= 1
    assert (data.train_labels == pixels(20) % 10).all() and data.train_labels.dtype == np.int64
    assert (data.test_labels == pixels(5) % 10).all()


def test_idx_folder_holds_out_the_last_tenth(tmp_path):
    write_set(tmp_path, train=25, test=0)
    data = datasets.idx_folder(str(tmp_path))
    assert len(data.train) == len(data.train_labels) == 23
    assert (np.round(data.test[:, 0] * 255) == pixels(25, 28, 28)[23:]).all()
    assert (data.test_labels == (pixels(25) % 10)[23:]).all()


def test_idx_folder_without_labels(tmp_path):
    write_set(tmp_path, train=2, test=0)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    data = datasets.load(str(tmp_path))
    assert (len(data.train), len(data.test)) == (1, 1)
    assert data.train_labels is None and data.test_labels is None


def test_idx_folder_with_packed_and_unpacked_files(tmp_path):
    write_set(tmp_path)
    write_set(tmp_path, packed=True)
    (tmp_path / "._train-images-idx3-ubyte").write_bytes(b"left behind by another system")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"never looked at")
    assert len(datasets.idx_folder(tmp_path).train) == 20


def test_idx_folder_refuses(tmp_path):
    refuses(tmp_path / "nowhere", datasets.idx_folder, tmp_path / "nowhere")
    refuses(tmp_path, datasets.idx_folder, tmp_path)
    write_set(tmp_path)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(pixels(19)))
    assert "(20,)" in refuses(labels, datasets.idx_folder, tmp_path)
    labels.write_bytes(idx(pixels(20, 1)))
    refuses(labels, datasets.idx_folder, tmp_path)
    for shape in [(20, 32, 32), (20, 784), (20, 28, 28, 1), (20,)]:
        images.write_bytes(idx(pixels(*shape)))
        assert "(N, 28, 28)" in refuses(images, datasets.idx_folder, tmp_path)
    images.write_bytes(idx(pixels(20, 28, 28))[:-5])
    refuses(images, datasets.idx_folder, tmp_path)
    (tmp_path / "fashion-train-images-idx3-ubyte").write_bytes(b"")
    assert "fashion" in refuses(images.name, datasets.idx_folder, tmp_path)


def test_where_the_images_are_instead(tmp_path):
    for name in ("a.webp", "b.TXT", "none", "c.webp"):
        (tmp_path / name).write_bytes(b"")
    message = refuses(tmp_path, datasets.load, tmp_path)
    assert "holds 0 images in PNG, JPEG or IDX format (but .TXT, .webp), expected" in message
    raw = tmp_path / "raw"
    raw.mkdir()
    write_set(raw)
    assert refuses(tmp_path, datasets.load, tmp_path).endswith(f"give the folder {raw}")
    assert len(datasets.load(raw).train) == 20
    file = raw / "train-images-idx3-ubyte"
    assert refuses(file, datasets.load, file).endswith("give the folder that it is in")


def test_idx_folder_with_names_in_capitals(tmp_path):
    write_set(tmp_path, packed=True)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.upper())
    data = datasets.load(tmp_path)
    assert len(data.train) == len(data.train_labels) == 20 and len(data.test_labels) == 5


def test_idx_folder_with_one_image(tmp_path):
    write_set(tmp_path, train=1, test=0)
    refuses(tmp_path, datasets.idx_folder, tmp_path)


def test_idx_folder_with_test_images_only(tmp_path):
    write_set(tmp_path, train=0)
    assert "training images" in refuses(tmp_path, datasets.load, tmp_path)


# Folders of images

def save(folder, name, array=None, mode=None, **options):
    image = Image.fromarray(pixels(40, 30) if array is None else array)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if mode is None else image.convert(mode)).save(path, **options)


def test_image_folder_of_every_kind(tmp_path):
    save(tmp_path, "a.png", pixels(28, 28))
    save(tmp_path, "b.PNG", pixels(100, 28, 3))
    save(tmp_path, "c.png", pixels(31, 64, 4))
    save(tmp_path, "d.png", pixels(5, 90, 3), mode="P")
    save(tmp_path, "e.png", (pixels(28, 28).astype(np.uint16) * 257))
    save(tmp_path, "f.jpg", pixels(50, 50, 3), mode="CMYK")
    save(tmp_path, "g.jpeg", pixels(1, 1))
    save(tmp_path, "h.png", pixels(40, 40), mode="1")
    save(tmp_path, "i.png", pixels(40, 40), mode="LA")
    save(tmp_path, "j.png", pixels(28, 28), transparency=0)
    save(tmp_path, ".hidden.png")
    (tmp_path / "notes.txt").write_text("not an image")
    data = datasets.load(tmp_path)
    assert data.name == tmp_path.name and data.shape == (1, 28, 28)
    assert (len(data.train), len(data.test)) == (9, 1)
    assert data.train_labels is None and data.test_labels is None
    assert data.train.dtype == np.float32 and 0 <= data.train.min() and data.train.max() <= 1
    exact = pixels(28, 28).astype(np.float32) / 255
    assert np.allclose(data.test[0, 0], exact)   # a.png, untouched
    assert np.allclose(data.train[3, 0], exact)  # e.png, 16 bits scaled, not clipped


def test_image_folder_crops_the_centre_and_averages(tmp_path):
    wide = np.zeros((56, 168), np.uint8)
    wide[:, 56:112] = 255
    fine = np.zeros((280, 280), np.uint8)
    fine[::2] = 255
    clear = np.full((28, 28, 4), 255, np.uint8)
    clear[..., 3] = 0
    for name, array in (("0", clear), ("1", wide), ("2", wide.T.copy()), ("3", fine)):
        save(tmp_path, name + ".png", array)
    data = datasets.image_folder(tmp_path)
    assert (data.test == 0).all()          # transparent white on black
    assert (data.train[:2, :, 1:-1, 1:-1] == 1).all()  # the centre alone; the filter blends the rim
    assert (data.train[:2] > 0.9).all()
    assert np.abs(data.train[2] - 0.5).max() < 0.1  # a lone pixel picked from each would be 0 or 1


def test_image_folder_weighs_the_colours(tmp_path):
    for i, colour in enumerate(np.eye(3, dtype=np.uint8)):         # pure red, green and blue
        save(tmp_path, f"{i}.png", np.tile(255 * colour, (28, 28, 1)))
    data = datasets.image_folder(tmp_path)
    found = np.concatenate([data.test, data.train])[:, 0, 14, 14]
    np.testing.assert_allclose(found, [0.299, 0.587, 0.114], atol=0.5 / 255)


def test_image_folder_obeys_the_rotation_mark(tmp_path):
    dark_above = np.zeros((28, 28), np.uint8)
    dark_above[14:] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    for name in ("a.png", "b.png"):
        save(tmp_path, name, dark_above, exif=exif)
    image = datasets.image_folder(tmp_path).train[0, 0]
    assert (image[:14] == 1).all() and (image[14:] == 0).all()


def test_image_folder_split_and_order(tmp_path):
    for i in reversed(range(21)):
        save(tmp_path, f"{i:02}.png", np.full((9, 9), i, np.uint8))
    data = datasets.image_folder(tmp_path, size=4)
    assert data.shape == (1, 4, 4)
    assert np.round(data.test[:, 0, 0, 0] * 255).tolist() == [0, 10, 20]
    assert np.round(data.train[:, 0, 0, 0] * 255).tolist() == [*range(1, 10), *range(11, 20)]


def test_image_folder_with_classes(tmp_path):
    for name in ("dog/1.png", "a-cat/1.png", "a-cat/2.jfif", "dog/a/b/c.JPE", "dog/2.jpeg",
                 "a/1.png"):
        save(tmp_path, name)
    data = datasets.image_folder(tmp_path)
    assert data.test_labels.tolist() == [0] and data.train_labels.tolist() == [1, 1, 2, 2, 2]
    assert data.train_labels.dtype == np.int64
    save(tmp_path, "loose.png")
    assert "sub-folders" in refuses(tmp_path, datasets.image_folder, tmp_path)


def test_image_folder_with_a_train_and_a_test_set(tmp_path):
    for i, name in enumerate(("test/b/1", "train/a/1", "train/a/2", "train/b/1")):
        save(tmp_path, f"{name}.png", np.full((28, 28), i, np.uint8))
    data = datasets.image_folder(tmp_path)
    assert np.rint(data.test[:, 0, 0, 0] * 255).tolist() == [0]
    assert np.rint(data.train[:, 0, 0, 0] * 255).tolist() == [1, 2, 3]
    assert data.test_labels.tolist() == [1] and data.train_labels.tolist() == [0, 0, 1]
    save(tmp_path, "train/loose.png")
    assert "sub-folders" in refuses(tmp_path, datasets.image_folder, tmp_path)


def test_a_train_and_a_test_set_without_classes(tmp_path):
    for name in ("test/1", "train/1", "train/2"):
        save(tmp_path, f"{name}.png")
    data = datasets.image_folder(tmp_path)
    assert (len(data.train), len(data.test), data.train_labels) == (2, 1, None)
    (tmp_path / "test").rename(tmp_path / "held")             # another name is a class
    assert datasets.image_folder(tmp_path).train_labels is not None


def test_what_lies_beside_a_train_and_a_test_set_is_passed_over(tmp_path):
    for i, name in enumerate(("Train/1", "Train/2", "Test/1", "Test/2", "Test/3", "extra/1",
                              "loose", "val/1")):
        save(tmp_path, f"{name}.png", np.full((28, 28), i, np.uint8))

    def first_pixels(images):
        return np.rint(images[:, 0, 0, 0] * 255).tolist()

    data = datasets.image_folder(tmp_path)
    assert (first_pixels(data.train), first_pixels(data.test)) == ([0, 1], [2, 3, 4])
    (tmp_path / "Test").rename(tmp_path / "elsewhere")
    data = datasets.image_folder(tmp_path)                    # without `test`, `val` is taken
    assert (first_pixels(data.train), first_pixels(data.test)) == ([0, 1], [7])
    (tmp_path / "val" / "1.png").unlink()
    assert "2 images to train on and 0 to test with" in refuses(tmp_path, datasets.load, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"text",
                                     "cut", "damaged", "webp"])
def test_image_folder_with_a_broken_image(tmp_path, content):
    save(tmp_path, "good.png")
    save(tmp_path, "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    if content == "webp":
        Image.new("L", (9, 9)).save(tmp_path / "image.webp")
        content = (tmp_path / "image.webp").read_bytes()
    damaged = whole[:60] + bytes(40) + whole[100:]
    content = {"cut": whole[:300], "damaged": damaged}.get(content, content)
    (tmp_path / "broken.png").write_bytes(content)
    refuses(tmp_path / "broken.png", datasets.image_folder, tmp_path)


@pytest.mark.parametrize("limit", [1000, 300])  # a warning of Pillow's from 1, an error from 2
def test_image_folder_with_a_decompression_bomb(tmp_path, monkeypatch, limit):
    save(tmp_path, "good.png", pixels(9, 9))
    save(tmp_path, "vast.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    refuses(tmp_path / "vast.png", datasets.image_folder, tmp_path)


def test_image_folder_with_more_pixels_than_are_allowed(tmp_path, monkeypatch):
    save(tmp_path, "good.png", pixels(9, 9))
    save(tmp_path, "large.png", pixels(40, 30))
    monkeypatch.setattr(datasets, "LARGEST_IMAGE", 1200)
    datasets.image_folder(tmp_path)
    monkeypatch.setattr(datasets, "LARGEST_IMAGE", 1199)
    message = refuses(tmp_path / "large.png", datasets.image_folder, tmp_path)
    assert "30 x 40 pixels, over 1,199" in message


def test_image_folder_with_an_animation(tmp_path):
    save(tmp_path, "good.png")
    frames = [Image.fromarray(pixels(9, 9) // n) for n in (1, 2, 3)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    message = refuses(tmp_path / "moving.png", datasets.image_folder, tmp_path)
    assert "animated, with 3 frames" in message


def test_image_folder_turns_what_is_clear_black_in_every_kind(tmp_path):
    grey = np.full((28, 28), 200, np.uint8)
    grey[:14] = 100
    alpha = np.where(grey == 100, 0, 255).astype(np.uint8)
    save(tmp_path, "a.png", grey)                                   # the first is tested with
    save(tmp_path, "b.png", np.dstack([grey, alpha]))
    save(tmp_path, "c.png", np.dstack([grey, grey, grey, alpha]))
    save(tmp_path, "d.png", grey, transparency=100)
    save(tmp_path, "e.png", grey.astype(np.uint16) * 257, transparency=100 * 257)
    train = datasets.image_folder(tmp_path).train[:, 0]
    assert (train[:, :14] == 0).all()
    np.testing.assert_allclose(train[:, 14:], 200 / 255, atol=1e-6)


def test_image_folder_refuses(tmp_path):
    refuses(tmp_path / "nowhere", datasets.image_folder, tmp_path / "nowhere")
    assert "0 images in PNG, JPEG or IDX format, expected" in refuses(
        tmp_path, datasets.image_folder, tmp_path)
    save(tmp_path, "lonely.png")
    assert "0 images to train on and 1 to test with" in refuses(
        tmp_path, datasets.image_folder, tmp_path)
    refuses(tmp_path / "lonely.png", datasets.image_folder, tmp_path / "lonely.png")
    for size in (0, -1, 28.0, "28", True):
        refuses("size", datasets.image_folder, tmp_path, size)


# Sets in the plane

@pytest.mark.parametrize("draw, modes, count, sigma", [
    (datasets.ring, datasets.ring_modes, 8, 0.01), (datasets.grid, datasets.grid_modes, 25, 0.05)])
def test_mixtures(draw, modes, count, sigma):
    centres, points = modes(), draw(20_000)
    assert points.dtype == centres.dtype == np.float32
    assert points.shape == (20_000, 2) and centres.shape == (count, 2)
    between = np.linalg.norm(centres[:, None] - centres, axis=2)
    assert between[~np.eye(count, dtype=bool)].min() > 0.5  # all distinct
    distance = np.linalg.norm(points[:, None] - centres, axis=2)
    nearest = distance.argmin(axis=1)
    share = np.bincount(nearest, minlength=count) / 20_000
    assert np.abs(share - 1 / count).max() < 5 * math.sqrt(1 / count / 20_000)
    noise = points - centres[nearest]
    assert np.allclose(noise.std(axis=0), sigma, rtol=0.03)
    assert np.abs(noise.mean(axis=0)).max() < 5 * sigma / math.sqrt(20_000)
    # Within 3 sigma in two dimensions: 1 - exp(-9 / 2), the score of a perfect sampler.
    assert abs((distance.min(axis=1) < 3 * sigma).mean() - 0.98889) < 0.004


def test_modes():
    s = math.sqrt(0.5)
    assert np.allclose(datasets.ring_modes(),
                       [(1, 0), (s, s), (0, 1), (-s, s), (-1, 0), (-s, -s), (0, -1), (s, -s)],
                        atol=1e-7)
    assert np.allclose(datasets.ring_modes(4, 2.0), [(2, 0), (0, 2), (-2, 0), (0, -2)], atol=1e-6)
    ticks = (-4, -2, 0, 2, 4)
    assert datasets.grid_modes().tolist() == [[x, y] for x in ticks for y in ticks]
    assert datasets.grid_modes(2, 1.0).tolist() == [[-.5, -.5], [-.5, .5], [.5, -.5], [.5, .5]]


def test_moons():
    points = datasets.moons(10_000, noise=0.0)
    assert points.shape == (10_000, 2) and points.dtype == np.float32
    x, y = points[:, 0], points[:, 1]
    upper = (np.abs(np.hypot(x, y) - 1) < 1e-5) & (y > -1e-5)
    lower = (np.abs(np.hypot(x - 1, y - 0.5) - 1) < 1e-5) & (y < 0.5 + 1e-5)
    assert (upper ^ lower).all() and abs(upper.mean() - 0.5) < 0.025
    backend.manual_seed(3)
    clean = datasets.moons(10_000, noise=0.0)
    backend.manual_seed(3)
    assert abs((datasets.moons(10_000, noise=0.1) - clean).std() - 0.1) < 0.003


@pytest.mark.parametrize("name", ["ring", "grid", "moons"])
def test_load_draws_from_the_one_generator(name):
    first, second = datasets.load(name), datasets.load(name)
    assert first.train.shape == (50_000, 2) and first.test.shape == (10_000, 2)
    assert first.name == name and first.shape == (2,) and not first.is_images
    assert first.train_labels is None and first.test_labels is None
    assert (first.train != second.train).any() and (first.train[:10_000] != first.test).any()
    backend.manual_seed(0)
    again = datasets.load(name)
    assert (first.train == again.train).all() and (first.test == again.test).all()


@pytest.mark.parametrize("name", ["mnist", "ring"])
def test_a_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    write_set(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(datasets.load(name).train) >= 50_000
    assert len(datasets.load(f"./{name}").train) == 20


def test_counts_are_checked():
    for call in (datasets.ring, datasets.grid, datasets.moons):
        for n in (0, -1, 2.5, None, True):
            refuses("n is", call, n)
    refuses("modes", datasets.ring, 10, 0)
    refuses("side", datasets.grid, 10, 0)


def test_load_of_something_unknown(tmp_path):
    (tmp_path / "file").touch()
    for name in ("minst", "", "bad\0name", "x" * 5000, tmp_path / "file"):
        message = refuses(repr(str(name)), datasets.load, name)
        assert all(choice in message for choice in ("mnist", "ring", "grid", "moons", "folder"))


def test_load_of_an_empty_folder(tmp_path):
    refuses(tmp_path, datasets.load, tmp_path)


# DataLoader

@settings(deadline=None)
@given(n=st.integers(1, 40), size=st.integers(1, 50), shuffle=st.booleans(), drop=st.booleans())
def test_batches_hold_every_example_once(n, size, shuffle, drop):
    x = np.arange(n, dtype=np.float32)[:, None]
    loader = datasets.DataLoader(x, size, shuffle=shuffle, drop_last=drop)
    batches = [batch.data for batch in loader]
    assert len(loader) == len(batches) == (n // size if drop else -(-n // size))
    assert all(len(batch) == size for batch in (batches if drop else batches[:-1]))
    seen = np.concatenate(batches)[:, 0] if batches else np.zeros(0)
    assert len(set(seen)) == len(seen) == (n // size * size if drop else n)
    if not shuffle:
        assert (seen == np.arange(len(seen))).all()


def test_batches_of_a_tuple_belong_together():
    x, y = pixels(10, 1, 2, 2).astype(np.float32), np.arange(10)
    for a, b in datasets.DataLoader((x, y), batch_size=4, shuffle=True):
        assert isinstance(a, Tensor) and isinstance(b, Tensor)
        assert a.dtype == np.float32 and b.dtype == np.int64
        assert (a.data == x[b.data]).all()
    assert len(datasets.DataLoader((x, y), 4).dataset) == len(x)
    (only,), = datasets.DataLoader((x,), batch_size=10)
    assert (only.data == x).all()


def test_batches_are_copies():
    x = np.zeros((4, 2), np.float32)
    for batch in datasets.DataLoader(x, 2):
        batch.data[...] = 1
    assert (x == 0).all()


def test_shuffling_follows_the_seed():
    loader = datasets.DataLoader(np.arange(100), 100, shuffle=True)

    def order():
        return next(iter(loader)).data.tolist()

    first, second = order(), order()
    assert first != second and sorted(first) == list(range(100))
    backend.manual_seed(0)
    assert [order(), order()] == [first, second]
    backend.manual_seed(0)
    assert backend.generator.permutation(100).tolist() == first


def test_the_permutation_is_drawn_when_the_loop_starts():
    loader = datasets.DataLoader(np.arange(9), 3, shuffle=True)
    waiting = iter(loader)
    other = backend.generator.permutation(9)
    backend.manual_seed(0)
    order = np.concatenate([batch.data for batch in iter(loader)])
    assert (np.concatenate([batch.data for batch in waiting]) == order).all()
    assert (backend.generator.permutation(9) == other).all()


def test_without_shuffling_the_generator_is_left_alone():
    before = backend.generator.bit_generator.state
    list(datasets.DataLoader(np.arange(9), 2))
    assert backend.generator.bit_generator.state == before


@pytest.mark.parametrize("dataset, options, words", [
    (np.zeros(3), {"batch_size": 0}, "batch_size is 0"),
    (np.zeros(3), {"batch_size": 2.0}, "batch_size is 2.0"),
    ((np.zeros(3), np.zeros(4)), {}, "[3, 4]"),
    (np.zeros((0, 2)), {}, "[0]"),
    ((), {}, "[]"),
    (np.float32(1), {}, "float32"),
    ([1, 2, 3], {}, "got list"),
    ((np.zeros(3), None), {}, "got ndarray, NoneType"),
    (datasets.Dataset("x", np.zeros(3), np.zeros(3)), {}, "give .train"),
])
def test_dataloader_refuses(dataset, options, words):
    assert "DataLoader" in refuses(words, lambda: datasets.DataLoader(dataset, **options))
