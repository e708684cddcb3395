"""Floor 2: saving and loading. A file holds arrays and plain JSON; nothing in it is ever executed.

`save` takes dicts and lists, nested at will, of tensors, arrays, numbers, strings and None. The
file is an ordinary `.npz`: each array under its path (`model/decoder.0.weight`), and under
`structure` the rest as JSON, in which {"array": path} stands for an array.
"""

import json
import os
import pathlib
import zipfile

import numpy as np

from . import backend
from .tensor import Tensor, raw


# All that a damaged file makes zipfile and NumPy raise.
FAULTS = (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, NotImplementedError,
          RuntimeError, MemoryError, zipfile.BadZipFile)


def save(obj, path):
    """Write `obj` to `path`. The old file stays until the new one is whole."""
    arrays = {"structure": None}

    def plain(x, name):
        if isinstance(x, Tensor) or backend.is_array(x):
            array = np.asarray(backend.to_device(raw(x), "cpu"))
            if array.dtype.hasobject:
                raise TypeError(f"save: {name} is an array of Python objects, which would need "
                                "pickle; convert it to numbers")
            if name in arrays or f"{name}.npy" in arrays or name.removesuffix(".npy") in arrays:
                raise ValueError(f"save: two arrays would be called {name}; rename one")
            arrays[name] = array
            return {"array": name}
        if isinstance(x, dict):
            if not all(isinstance(key, str) for key in x) or set(x) == {"array"}:
                raise TypeError(f"save: {name or 'the dict'} has the keys {list(x)}; keys must be "
                                "strings, and 'array' alone has a meaning of its own; rename them")
            return {key: plain(value, f"{name}/{key}" if name else key) for key, value in x.items()}
        if isinstance(x, (list, tuple)):
            return [plain(value, f"{name}/{i}" if name else str(i)) for i, value in enumerate(x)]
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        raise TypeError(f"save: {name} is a {type(x).__name__}; only tensors, arrays, numbers, "
                        "strings, None, dicts and lists can be saved")

    structure = json.dumps(plain(obj, ""))
    arrays["structure"] = np.frombuffer(structure.encode(), np.uint8)
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as part:
                np.lib.format.write_array(part, array, allow_pickle=False)


class replacing:
    """A file for writing that takes the place of `path` only when it is whole and on the disk."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.temporary = self.path.with_name(self.path.name + ".part")

    def __enter__(self):
        self.file = open(self.temporary, "wb")
        return self.file

    def __exit__(self, error, *rest):
        try:
            with self.file:
                if error is None:
                    self.file.flush()
                    os.fsync(self.file.fileno())
            if error is None:
                os.replace(self.temporary, self.path)
        finally:
            self.temporary.unlink(missing_ok=True)


def load(path):
    """What `save` wrote to `path`, with NumPy arrays where tensors or arrays were."""
    def whole(x):
        if isinstance(x, list):
            return [whole(item) for item in x]
        if isinstance(x, dict):
            if set(x) == {"array"}:
                return arrays[x["array"]]
            return {key: whole(value) for key, value in x.items()}
        return x

    try:
        with zipfile.ZipFile(path) as _, np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return whole(json.loads(arrays.pop("structure").tobytes()))
    except FileNotFoundError:
        raise backend.InputError(f"{path} does not exist; check the name") from None
    except FAULTS as error:
        raise backend.InputError(f"{path} is not a file that tinygen has saved, or it is damaged "
                                 f"({error}); use another copy, or train again") from None
