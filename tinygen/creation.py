"""Floor 2: new tensors, from numbers or from the one random generator."""

import numpy as np

from . import backend
from .backend import sizes
from .tensor import Tensor, raw


def tensor(data, dtype=None, device=None, requires_grad=False):
    """A tensor with a copy of `data`: numbers, nested lists, an array or a Tensor.

    Python floats become float32, integers int64; an array keeps its dtype. The copy of a Tensor, or
    of an array on the GPU, stays where that is; everything else goes to the default device.
    """
    array = raw(data)
    if not backend.is_array(array):
        array = np.array(array)
        dtype = dtype or (backend.default_dtype if array.dtype == backend.float64 else None)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: the data has dtype {array.dtype}; pass numbers or truth values")
    stays = isinstance(data, Tensor) or backend.device_of(array) != "cpu"
    place = device or (backend.device_of(array) if stays else backend.default_device)
    return new(array.copy("K"), dtype or array.dtype, place, requires_grad)


def new(array, dtype, device, requires_grad):
    """A tensor of `array`; None is the default dtype, or the default device."""
    array = array.astype(dtype or backend.default_dtype, copy=False)
    array = backend.to_device(array, device or backend.default_device)
    return Tensor(array).requires_grad_(requires_grad)


def zeros(*size, dtype=None, device=None, requires_grad=False):
    return full(sizes(size), 0, dtype, device, requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False):
    return full(sizes(size), 1, dtype, device, requires_grad)


def full(size, fill_value, dtype=None, device=None, requires_grad=False):
    """`fill_value` everywhere, in the default dtype (PyTorch: in that of the value)."""
    array = np.full(size, fill_value, dtype or backend.default_dtype)
    return new(array, dtype, device, requires_grad)


def randn(*size, dtype=None, device=None, requires_grad=False):
    """Standard normal numbers."""
    array = backend.generator.standard_normal(sizes(size), dtype or backend.default_dtype)
    return new(array, dtype, device, requires_grad)


def rand(*size, dtype=None, device=None, requires_grad=False):
    """Uniform numbers in [0, 1)."""
    array = backend.generator.random(sizes(size), dtype or backend.default_dtype)
    return new(array, dtype, device, requires_grad)


def randint(low, high, size=None, dtype=backend.int64, device=None):
    """Random integers from `low` to `high` - 1, all as likely; randint(high, size) begins at 0."""
    low, high, size = (0, low, high) if size is None else (low, high, size)
    return new(backend.generator.integers(low, high, size), dtype, device, False)


def randperm(n, dtype=backend.int64, device=None):
    """0 to `n` - 1 in a random order."""
    return new(backend.generator.permutation(n), dtype, device, False)


def arange(start, end=None, step=1, dtype=None, device=None, requires_grad=False):
    """start, start + step, ... up to but without `end`; with one argument, 0, 1, ... up to it."""
    start, end = (0, start) if end is None else (start, end)
    array = np.arange(start, end, step)
    dtype = dtype or (None if array.dtype.kind == "f" else array.dtype)
    return new(array, dtype, device, requires_grad)


def linspace(start, end, steps, dtype=None, device=None, requires_grad=False):
    """`steps` numbers from `start` to `end`, both included, at equal distances."""
    return new(np.linspace(start, end, steps), dtype, device, requires_grad)


def eye(n, m=None, dtype=None, device=None, requires_grad=False):
    return new(np.eye(n, m), dtype, device, requires_grad)


def zeros_like(x, requires_grad=False):
    return full_like(x, 0, requires_grad)


def ones_like(x, requires_grad=False):
    return full_like(x, 1, requires_grad)


def full_like(x, fill_value, requires_grad=False):
    array = backend.array_module(x.data).full_like(x.data, fill_value)
    return Tensor(array).requires_grad_(requires_grad)


def randn_like(x, requires_grad=False):
    """Standard normal numbers in the shape, dtype and place of `x`."""
    return randn(*x.shape, dtype=x.dtype, device=x.device, requires_grad=requires_grad)


def rand_like(x, requires_grad=False):
    """Uniform numbers in [0, 1) in the shape, dtype and place of `x`."""
    return rand(*x.shape, dtype=x.dtype, device=x.device, requires_grad=requires_grad)
