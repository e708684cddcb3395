"""Floor 4: saving and loading. A file holds arrays and plain JSON; nothing in it is ever executed.

`save` takes dicts and lists, nested at will, of tensors, arrays, numbers, strings and None. The
file is an ordinary `.npz`: each array under its path (`model/decoder.0.weight`), and under
`structure` the rest as JSON, in which {"array": path} stands for an array.
"""

import contextlib
import errno
import json
import math
import os
import pathlib
import time
import zipfile

import numpy as np

from . import backend
from .tensor import Tensor, raw

NUMBERS = "biufc"        # the kinds of dtype in a file: truth values, integers, floats, complex
LARGEST = 2 ** 29        # bytes of a file
LARGEST_JSON = 2 ** 22   # bytes of the JSON in it, which takes thirty times as much when read
MOST_ARRAYS = 2 ** 15


def save(obj, path):
    """Write `obj` to `path`. The old file stays until the new one is whole."""
    arrays = {"structure": None}

    def plain(x, name):
        if isinstance(x, Tensor) or backend.is_array(x):
            array = np.asarray(backend.to_device(raw(x), "cpu"))
            if array.dtype.kind not in NUMBERS:
                raise TypeError(f"save: {name or 'the object'} is an array of {array.dtype}; "
                                "convert it to numbers")
            # np.load finds the array "a" also under the name "a.npy".
            if {name, f"{name}.npy", name.removesuffix(".npy")} & arrays.keys():
                raise ValueError(f"save: two arrays would be called {name}; rename one")
            arrays[name] = array
            return {"array": name}
        if isinstance(x, dict):
            if set(x) == {"array"} or not all([isinstance(key, str) and not set(key) & {"\0", "\\"}
                                               for key in x]):
                raise TypeError(f"save: {name or 'the dict'} has the keys {list(x)}; keys must be "
                                "strings without NUL or backslash, and 'array' alone has a "
                                "meaning of its own; rename them")
            return {key: plain(value, f"{name}/{key}" if name else key) for key, value in x.items()}
        if isinstance(x, (list, tuple)):
            return [plain(value, f"{name}/{i}" if name else str(i)) for i, value in enumerate(x)]
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        raise TypeError(f"save: {name or 'the object'} is a {type(x).__name__}; only tensors, "
                        "arrays, numbers, strings, None, dicts and lists can be saved, such as a "
                        "model's state_dict()")

    structure = json.dumps(plain(obj, ""))
    arrays["structure"] = np.frombuffer(structure.encode(), np.uint8)
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as part:
                np.lib.format.write_array(part, array, allow_pickle=False)
        # A tenth is left for the archive's directory, which is written last.
        if (file.tell() > 0.9 * LARGEST or len(structure) > LARGEST_JSON
                or len(arrays) > MOST_ARRAYS):
            raise ValueError(f"save: {len(arrays):,} arrays, {len(structure):,} bytes of JSON and "
                             f"{file.tell():,} in all are too much for one file, which `load` "
                             "would refuse; save in several, and long lists as arrays")


@contextlib.contextmanager
def replacing(path):
    """A file for writing that takes the place of `path` only when it is whole and on the disk.

    It is written beside `path` as `path.part`, sent to the disk, and renamed, which no reader can
    see half done. Then the folder goes to the disk, because it holds the name.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        for wait in [0.1] * 20 + [0]:
            try:
                os.replace(temporary, path)
                break
            except PermissionError:     # on Windows, while another program has the file open
                if not wait:
                    raise
                time.sleep(wait)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":         # Windows does not open folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError as error:   # some network folders know no fsync; the file is in its place
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(folder)


def write_text(path, text):
    with replacing(path) as file:
        file.write(text.encode())


def load(path):
    """What `save` wrote to `path`, with NumPy arrays where tensors or arrays were.

    The file must hold exactly the arrays that its structure names, unpacked, and no array is made
    before its header claims numbers, and as many as there are. An InputError says what is wrong.
    """
    def filled(array):
        """The structure, with array(name) where it names an array."""
        return json.loads(text, object_hook=lambda x: (
            array(x["array"]) if set(x) == {"array"} else x))

    if not os.path.isfile(path):
        raise backend.InputError(f"{path} does not exist or is not a file; check the name")
    try:
        with open(path, "rb") as file, zipfile.ZipFile(checked(file)) as archive:
            claimed = sum([part.file_size for part in archive.infolist()])
            need(claimed <= os.path.getsize(path), f"it claims {claimed:,} bytes")
            text, names = read(archive, "structure", 2 * LARGEST_JSON).tobytes(), ["structure"]
            filled(names.append)        # for the names alone; what it returns is not used
            need(sorted([name + ".npy" for name in names]) == sorted(archive.namelist()),
                 "the arrays in it are not those that it names")
            arrays = {name: read(archive, name) for name in names[1:]}
        return filled(arrays.pop)
    except Exception as error:      # a damaged file makes zipfile, NumPy and json raise anything
        raise backend.InputError(f"{path} is not a file that tinygen has saved, or it is damaged "
                                 f"({error}); use another copy, or train again") from None


def need(right, fault):
    """Raise the `fault`, which `load` puts into its sentence, unless all is `right`."""
    if not right:
        raise ValueError(fault)


def checked(file):
    """The archive `file`, if neither it nor its directory is larger than `save` would make it.

    The directory is at the end, and zipfile reads all of it, however many parts it claims. Its size
    is in bytes 12 to 15 of the last record, of 22 bytes, which begins with "PK 5 6" and ends with
    the length of a comment. A record that begins with "PK 6 7", of 20 bytes, could give another
    size, of 64 bits (PKWARE, APPNOTE.TXT, 4.3.15 and 4.3.16).
    """
    size = file.seek(0, os.SEEK_END)
    need(42 < size <= LARGEST, f"it has {size:,} bytes")
    file.seek(-42, os.SEEK_END)
    before, last = file.read(20), file.read(22)
    need(before[:4] != b"PK\6\7" and last[:4] == b"PK\5\6" and last[20:] == b"\0\0"
         and int.from_bytes(last[12:16], "little") <= 4 * LARGEST_JSON, "it does not end as one")
    return file


def read(archive, name, limit=LARGEST):
    """The array `name`, if its part of the archive has room for just what its header claims."""
    part = archive.getinfo(name + ".npy")
    with archive.open(part) as stream:
        need(np.lib.format.read_magic(stream) == (1, 0), f"{name} is not a plain array")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        size = stream.tell() + math.prod(shape) * dtype.itemsize
        need(size == part.file_size <= limit and dtype.kind in NUMBERS,
             f"{name} claims {shape} of {dtype} in {part.file_size:,} bytes")
    with archive.open(part) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
