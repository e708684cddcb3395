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


def save(obj, path):
    """Write `obj` to `path`. The old file stays until the new one is whole."""
    arrays = {}

    def plain(x, name):
        if isinstance(x, Tensor) or backend.is_array(x):
            arrays[name] = np.asarray(backend.to_device(raw(x), "cpu"))
            return {"array": name}
        if isinstance(x, dict):
            return {key: plain(value, f"{name}/{key}" if name else key) for key, value in x.items()}
        if isinstance(x, (list, tuple)):
            return [plain(value, f"{name}/{i}" if name else str(i)) for i, value in enumerate(x)]
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        raise TypeError(f"save: {name} is a {type(x).__name__}; only tensors, arrays, numbers, "
                        "strings, None, dicts and lists can be saved")

    structure = json.dumps(plain(obj, ""))
    with replacing(path) as file:
        np.savez(file, structure=np.frombuffer(structure.encode(), np.uint8), **arrays)


class replacing:
    """A file for writing that takes the place of `path` only when it is whole and on the disk."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.temporary = self.path.with_name(self.path.name + ".part")

    def __enter__(self):
        self.file = open(self.temporary, "wb")
        return self.file

    def __exit__(self, error, *rest):
        if error is None:
            self.file.flush()
            os.fsync(self.file.fileno())
        self.file.close()
        if error is None:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink(missing_ok=True)


def load(path):
    """What `save` wrote to `path`, with NumPy arrays where tensors or arrays were."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        structure = json.loads(arrays.pop("structure").tobytes())
    except FileNotFoundError:
        raise backend.InputError(f"{path} does not exist; check the name") from None
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise backend.InputError(f"{path} is not a file that tinygen has saved, or it is damaged "
                                 f"({error}); use another copy, or train again") from None

    def whole(x):
        if isinstance(x, list):
            return [whole(item) for item in x]
        if isinstance(x, dict):
            if set(x) == {"array"}:
                return arrays[x["array"]]
            return {key: whole(value) for key, value in x.items()}
        return x

    return whole(structure)
