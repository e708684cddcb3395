"""Floor 0: which array library an array belongs to, and what every floor above shares about arrays.

tinygen computes with NumPy, or with CuPy when an array lives on a GPU. Nothing above this file
imports either of them to compute: it asks `array_module(x)` for the library that owns `x`.
All randomness comes from one seeded NumPy generator on the host, so that the same seed gives the
same numbers on every device.
"""

import functools
import sys

import numpy as np

float32, float64 = np.dtype("float32"), np.dtype("float64")
int64, bool_ = np.dtype("int64"), np.dtype("bool")
default_dtype, default_device = float32, "cpu"


class InputError(ValueError):
    """Bad input from outside (an argument, a file), told in one sentence. The command line prints
    it and exits with status 2; every other exception is a bug and keeps its traceback."""


def array_module(x):
    """The library that `x` belongs to: CuPy for a CuPy array, NumPy for everything else."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(x, cupy.ndarray) else np


def is_array(x):
    """Whether `x` is an array of either library (a NumPy scalar counts as one)."""
    return isinstance(x, (np.ndarray, np.generic)) or array_module(x) is not np


def as_array(x):
    """`x` if it is an array; one of 0 dimensions if it is a number that NumPy has computed."""
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, np.generic):
        return np.asarray(x)
    if not is_array(x):
        raise TypeError(f"Tensor: expected an array, got {type(x).__name__}; "
                        "tensor() takes numbers and lists too")
    return x


def sizes(args):
    """The sizes in f(2, 3) and f((2, 3)) alike, as a tuple."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


def device_of(x):
    """`"cpu"` or `"cuda"`: where the array `x` lives."""
    return "cpu" if array_module(x) is np else "cuda"


def to_device(x, device):
    """The array `x` on `device`, copied only if it is not there yet."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is not known; choose 'cpu' or 'cuda'")
    if device_of(x) == device:
        return x
    return array_module(x).asnumpy(x) if device == "cpu" else working_cupy().asarray(x)


@functools.cache
def working_cupy():
    """CuPy, after a kernel has run on the GPU. An `InputError` says what is missing."""
    try:
        import cupy
        cupy.ones(1).sum().item()
    except ImportError as error:
        raise InputError(f"device 'cuda' needs CuPy, which cannot be imported ({error}); install "
                         "tinygen[cuda12] or tinygen[cuda13], whichever CUDA your driver has, "
                         "or use device 'cpu'") from None
    except Exception as error:         # each library below CuPy has errors of its own
        raise InputError("device 'cuda' needs an NVIDIA GPU and its driver, but CuPy could not "
                         f"compute on one ({error}); install the driver, or use device 'cpu'"
                         ) from None
    return cupy


def set_default_device(device):
    """Let new tensors, so also models and batches, be on `device` where none is named."""
    global default_device
    to_device(np.zeros(1), device)     # raises where there is none
    default_device = device


def broadcast_to(x, shape):
    """`x` repeated to `shape`, as a view that can only be read.

    That of a number is made here: NumPy's function takes longer than all else in a small loss.
    """
    if array_module(x) is not np or x.ndim:
        return array_module(x).broadcast_to(x, shape)
    view = np.ndarray(shape, x.dtype, np.asarray(x), strides=(0,) * len(shape))
    view.flags.writeable = False
    return view


def windows(x, shape, strides, length):
    """Runs of `length` numbers of the contiguous array `x`, which may overlap, as a view.

    `shape` says how many runs there are, `strides` how many bytes each dimension steps. In NumPy a
    run is one item of many bytes, which is copied up to four times as fast as number by number;
    `view(x.dtype)` makes numbers of a copy. CuPy has no such items, and numbers are what it gives.
    Nothing checks that the runs lie within `x`.
    """
    as_strided = array_module(x).lib.stride_tricks.as_strided
    if array_module(x) is np and x.size:
        run = x.reshape(-1)[:length].view(f"V{length * x.itemsize}")
        return as_strided(run, shape, strides)
    return as_strided(x, (*shape, length), (*strides, x.itemsize))


generator = np.random.default_rng(0)


def manual_seed(seed):
    """Start the one random generator anew from `seed`, a non-negative integer."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"manual_seed: the seed is {seed!r}, expected an integer of 0 or more")
    generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state


# Linux's malloc gives freed memory back to the system, and the next array faults every page in
# again: thousands of times in a training step. Here it is told to take every array from the memory
# it has (M_MMAP_MAX = 0) and to keep up to 1 GiB of it free (M_TRIM_THRESHOLD). The first 256 MiB
# are asked for at once, since NumPy has Linux use large pages (of 2 MiB) for large arrays alone;
# what is never used stays free for others. Other systems have no such function.
try:
    import ctypes
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(-4, 0)
    mallopt(-1, 1 << 30)
    np.empty(1 << 28, np.uint8)
except (ImportError, OSError, AttributeError, TypeError, MemoryError):
    pass
