"""Files that nobody should load: each is refused in a sentence, cheaply, and changes nothing.

    python tests/malformed.py [--scale 1.0] [--seed 0]        (Linux; 1.0 is some 500 files)

Draws broken checkpoints, IDX files and images, and reads each. It must give an `InputError`, or
where the damage touches nothing that counts (a date in a zip) what the whole file gives. After a
refusal, model and optimiser must be as before. The process may take 1 GiB more than it had at the
start: asking for more is a MemoryError, and one is a failure wherever it is caught.
"""

import argparse
import gzip
import io
import resource
import struct
import tempfile
import time
import types
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from tinygen import datasets, nn, optim
from tinygen.backend import InputError
from tinygen.creation import randn
from tinygen.serialization import load, save
from tinygen.train import PARTS, restore

GIB = 2 ** 30


def made():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    optimizer = optim.Adam(model.parameters())
    model(randn(5, 4)).sum().backward()
    optimizer.step()
    return types.SimpleNamespace(model=model, optimizers=[optimizer])


def state(training):
    return {**dict.fromkeys(sorted(PARTS)), "model": training.model.state_dict(),
            "optimizers": [o.state_dict() for o in training.optimizers],
            "schedules": [[] for o in training.optimizers]}


def frozen(training, path):
    """All that a training holds, as bytes."""
    save(state(training), path)
    return path.read_bytes()


# Checkpoints. Each function returns the bytes of a broken file; `whole` is one that is not broken.

def unbroken(rng, whole):
    return whole


def truncated(rng, whole):
    return whole[:rng.integers(len(whole))]


def flipped(rng, whole):
    damaged = bytearray(whole)
    for place in rng.integers(len(whole), size=rng.integers(1, 9)):
        damaged[place] ^= 1 << rng.integers(8)
    return bytes(damaged)


def rewritten(whole, change, packing=zipfile.ZIP_STORED):
    """The zip again, each part as `change(name, content)` gives it: (name, content) or None."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(out, "w", packing) as new:
        for name in old.namelist():
            part = change(name, old.read(name))
            if part:
                new.writestr(*part)
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def target(rng, whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        return rng.choice([name for name in file.namelist() if name != "structure.npy"])


def oversized(rng, whole):
    """One array's header claims 32 GiB; the zip's directory may claim them too."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2 ** 33,)})
    hit = target(rng, whole)
    out = bytearray(rewritten(whole, lambda name, content: (
        name, header.getvalue() + bytes(64) if name == hit else content)))
    if rng.integers(2):
        place = out.rindex(b"PK\1\2") + 24
        out[place:place + 4] = struct.pack("<I", 2 ** 32 - 2)
    return bytes(out)


def zip_bomb(rng, whole):
    """Three arrays are 400 MB of zeros each, as they say, deflated to 400 kB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (400_000_000,)})
    large = header.getvalue() + bytes(400_000_000)
    hits = set()
    while len(hits) < 3:
        hits.add(target(rng, whole))
    return rewritten(whole, lambda name, content: (
        name, large if name in hits else content), zipfile.ZIP_DEFLATED)


def misnamed(rng, whole):
    hit, kind = target(rng, whole), rng.integers(3)
    return rewritten(whole, lambda name, content: (name, content) if name != hit else
                     [None, ("x" + name, content), (name.removesuffix(".npy"), content)][kind])


HEADERS = ["{'descr': (", "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<U9', 'fortran_order': False, 'shape': (1,)}",
           "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -16)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
           "{'descr': '<f4', 'fortran_order': 7, 'shape': 16}", "[" * 9000, "1 + 1", "",
           "__import__('os').abort()"]


def wrong_header(rng, whole):
    """An array whose header cannot be believed, beside checksums that are right."""
    hit, text = target(rng, whole), HEADERS[rng.integers(len(HEADERS))].encode() + b"\n"
    version = b"\1\0" if rng.integers(4) else rng.bytes(2)
    return rewritten(whole, lambda name, content: (
        name, b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + bytes(64)
        if name == hit else content))


def wrong_structure(rng, whole):
    """JSON that says something else, or is too much or too deep, alone or beside the arrays."""
    text = [b"3", b"null", b"{}", b"[" * 10 ** 6, b"[" + b"[]," * 10 ** 7 + b"0]", b"9" * 10 ** 5,
            b'{"array": 1}', b'{"model": {"array": "structure"}}',
            b'{"model": 3, "optimizers": []}',
            b'{"model": "text", "optimizers": [{}]}', b"\xff\xfe"][rng.integers(11)]
    alone = rng.integers(2)
    return rewritten(whole, lambda name, content: (
        (name, npy(np.frombuffer(text, np.uint8))) if name == "structure.npy" else
        None if alone else (name, content)))


def wrong_directory(rng, whole):
    """The directory at the end lists its parts many times, or millions that are not there."""
    size, start = struct.unpack("<2I", whole[-10:-2])
    listed = whole[start:start + size]
    if rng.integers(2):
        listed *= int(rng.integers(2, 20))
    else:
        one = listed[:46] + b"a" * struct.unpack("<H", listed[28:30])[0]
        listed = one * int(rng.choice([200, 16 * 2 ** 20 // len(one), 3 * 10 ** 6]))
    end = whole[-22:-14] + struct.pack("<4H2I", 0, 0, 9, 9, len(listed), start)[4:]
    return whole[:start] + listed + end + b"\0\0"


def wrong_state(rng, whole):
    """A file in good order, whose content is not what a training goes on from."""
    thing = state(made())
    adam = thing["optimizers"][0]
    first, kind = adam["state"]["0"], rng.integers(17)
    if kind < 6:
        first["exp_avg"] = [None, 3, "text", [], {}, np.zeros(7)][kind]
    elif kind < 12:
        adam |= [{"lr": "text"}, {"state": [1]}, {"state": {"x": first}}, {"settings": 3},
                 {"settings": {"betas": [2, 0.9]}}, {"settings": {"x": 1}}][kind - 6]
    elif kind < 15:
        name = rng.choice(list(thing["model"]))
        thing["model"][name] = [3, None, ["text"]][kind - 12]
    else:
        thing["optimizers"] = [[], [adam, adam]][kind - 15]
    return saved(thing)


def foreign(rng, whole):
    out = io.BytesIO()
    kind = rng.integers(5)
    if kind == 0:
        np.savez(out, x=rng.random(9))
    elif kind == 1:
        np.save(out, np.array([{"a": 1}], object), allow_pickle=True)
    elif kind == 2:
        zipfile.ZipFile(out, "w").writestr("readme.txt", rng.bytes(99).hex())
    elif kind == 3:
        np.savez_compressed(out, structure=np.frombuffer(b'{"model": {}}', np.uint8))
    else:
        out.write(rng.bytes(rng.integers(0, 2000)))
    return out.getvalue()


def other(rng, whole, change):
    """A checkpoint that `save` has written, with one array of the model or optimiser changed."""
    thing = state(made())
    weights = thing["model"]
    name = rng.choice(list(weights))
    weights[name] = change(np.asarray(weights[name].data))
    return saved(thing)


def saved(thing):
    with tempfile.TemporaryDirectory() as folder:
        save(thing, Path(folder) / "x")
        return (Path(folder) / "x").read_bytes()


def wrong_dtype(rng, whole):
    dtype = rng.choice(["complex64", "complex128"])
    return other(rng, whole, lambda array: array.astype(dtype))


def wrong_shape(rng, whole):
    return other(rng, whole, lambda array: np.stack([array] * rng.integers(2, 5)))


# IDX files

def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) \
        + array.tobytes()


def idx_truncated(rng, whole):
    cut = whole[:rng.integers(len(whole))]
    return cut if rng.integers(2) else gzip.compress(whole)[:len(cut) // 2]


def idx_magic(rng, whole):
    magic = rng.integers(0, 256, 4).astype(np.uint8).tobytes()
    return magic + whole[4:] if magic != whole[:4] else b"text"


def idx_bomb(rng, whole):
    """1.1 GB of zeros, as the header says, packed to 1.1 MB."""
    data = struct.pack(">4B3I", 0, 0, 8, 3, 1_400_000 + int(rng.integers(99)), 28, 28)
    return gzip.compress(data) + 1100 * gzip.compress(bytes(2 ** 20))    # parts follow each other


def idx_huge(rng, whole):
    claim = struct.pack(">4B3I", 0, 0, 8, 3, int(rng.integers(2 ** 24, 2 ** 32)), 28, 28)
    whole = claim + whole[16:]
    return gzip.compress(whole) if rng.integers(2) else whole


# Images

def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def drawn(rng, mode):
    width, height = [int(n) for n in rng.integers(20, 50, 2)]
    depth = {"L": 1, "I;16": 2, "RGBA": 4, "CMYK": 4}[mode]
    return Image.frombytes(mode, (width, height), rng.bytes(width * height * depth))


def image_bomb(rng, whole):
    """A small PNG whose head claims up to 2^31 pixels."""
    damaged = bytearray(whole)
    damaged[16:24] = struct.pack(">2I", *[int(n) for n in rng.integers(9000, 46000, 2)])
    damaged[29:33] = struct.pack(">I", zlib.crc32(damaged[12:29]))
    return bytes(damaged)


def animated(rng, whole):
    frames = [drawn(rng, "L").resize((30, 30)) for _ in range(rng.integers(2, 5))]
    return encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])


def transparent(rng, whole):
    return encoded(drawn(rng, "RGBA"), "PNG")


def deep(rng, whole):
    return encoded(drawn(rng, "I;16"), "PNG")


def cmyk(rng, whole):
    return encoded(drawn(rng, "CMYK"), "JPEG")


def vast(rng, whole):
    """Almost as many pixels as are allowed, in a mode that takes much memory."""
    grey = Image.linear_gradient("L").resize((8190, 8190))
    if rng.integers(2):
        return encoded(Image.merge("RGBA", [grey] * 4), "PNG", compress_level=1)
    return encoded(Image.merge("RGB", [grey] * 3), "JPEG", progressive=True)


def empty(rng, whole):
    return b""


def misnamed_image(rng, whole):
    return encoded(drawn(rng, "L"), rng.choice(["BMP", "GIF", "TIFF"])) if rng.integers(2) \
        else rng.bytes(500)


# (what, how to break it, how many, which outcomes are right)
REFUSED, READ, EITHER = {"refused"}, {"read"}, {"refused", "read"}
CHECKPOINTS = [(unbroken, 1, READ), (truncated, 60, REFUSED), (flipped, 80, EITHER),
               (oversized, 12, REFUSED), (zip_bomb, 2, REFUSED), (misnamed, 15, REFUSED),
               (foreign, 30, REFUSED), (wrong_header, 40, REFUSED), (wrong_structure, 30, REFUSED),
               (wrong_directory, 16, REFUSED), (wrong_state, 40, REFUSED),
               (wrong_dtype, 15, REFUSED), (wrong_shape, 15, REFUSED)]
IDX = [(unbroken, 1, READ), (idx_truncated, 30, REFUSED), (idx_magic, 25, REFUSED),
       (idx_bomb, 2, REFUSED), (idx_huge, 15, REFUSED)]
IMAGES = [(unbroken, 1, READ), (vast, 4, READ), (image_bomb, 10, REFUSED), (animated, 8, REFUSED),
          (transparent, 8, READ), (deep, 8, READ), (cmyk, 8, READ), (empty, 2, REFUSED),
          (misnamed_image, 15, REFUSED), (truncated, 15, REFUSED)]


def read_checkpoint(folder, content, whole):
    """Restore it; the training must be the saved one afterwards, or after a refusal as before."""
    path, training = folder / "a.npz", made()
    path.write_bytes(content)
    before = frozen(training, folder / "before")
    try:
        restore(training, path)
    except InputError:
        assert frozen(training, folder / "after") == before, "a refused file changed the model"
        raise
    assert frozen(training, folder / "after") == whole, "a damaged file was read"
    load(path)


def read_idx(folder, content, whole):
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    data = datasets.idx_folder(folder)
    assert data.train.shape[1:] == (1, 28, 28)


def read_image(folder, content, whole):
    (folder / "a.png").write_bytes(content)
    (folder / "b.png").write_bytes(whole)
    data = datasets.image_folder(folder)
    for x in (data.train, data.test):
        assert x.shape == (1, 1, 28, 28) and 0 <= x.min() < x.max() <= 1


def out_of_memory(error):
    return error is not None and (isinstance(error, MemoryError)
                                  or out_of_memory(error.__context__))


def run(scale=1.0, seed=0, bombs=True):
    """[(what, tried, refused, read, seconds of the slowest)], or AssertionError."""
    rng, rows = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as folder:
        saved = frozen(made(), Path(folder) / "whole")
    images = idx(rng.integers(0, 256, (5, 28, 28)).astype(np.uint8))
    picture = encoded(drawn(rng, "L"), "PNG")
    for reader, whole, kinds in ((read_checkpoint, saved, CHECKPOINTS), (read_idx, images, IDX),
                                 (read_image, picture, IMAGES)):
        for broken, count, right in tqdm(kinds, reader.__name__[5:], leave=False, delay=2):
            if not bombs and broken in (zip_bomb, idx_bomb, wrong_directory, vast):
                continue
            outcomes, slowest = [], 0.0
            for i in range(max(1, round(count * scale))):
                place = f"{reader.__name__}, {broken.__name__} {i} of seed {seed}"
                content = broken(rng, whole)
                with tempfile.TemporaryDirectory() as folder:
                    start = time.perf_counter()
                    try:
                        reader(Path(folder), content, whole)
                        outcomes.append("read")
                    except InputError as error:
                        assert not out_of_memory(error), f"{place}: out of memory"
                        assert "\n" not in str(error), f"{place}: {error}"
                        outcomes.append("refused")
                    slowest = max(slowest, time.perf_counter() - start)
                assert outcomes[-1] in right, f"{place}: {outcomes[-1]}"
            rows.append((f"{reader.__name__[5:]}: {broken.__name__}", len(outcomes),
                         outcomes.count("refused"), outcomes.count("read"), slowest))
    return rows


def limit_memory(more=GIB):
    """From now on this process gets at most `more` bytes beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    limit_memory()
    rows = run(options.scale, options.seed)
    print(f"{'what':30} {'files':>6} {'refused':>8} {'read':>5} {'slowest':>8}")
    for what, *counts, slowest in rows:
        print(f"{what:30} {counts[0]:6} {counts[1]:8} {counts[2]:5} {slowest:6.2f} s")
    print(f"{'all':30} {sum(r[1] for r in rows):6} {sum(r[2] for r in rows):8} "
          f"{sum(r[3] for r in rows):5}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory in use, with making the files: {peak:.0f} MiB")
    print("no crash, no partial load, never more than 1 GiB")
