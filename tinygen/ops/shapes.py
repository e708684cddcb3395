"""Shapes: moving, repeating and cutting numbers without computing with them.

Each of these is linear, so its rule is its transpose: what was repeated is summed, what was cut
out is padded, what was moved is moved back.
"""

import builtins
import math

from .. import backend
from ..backend import array_module
from ..tensor import op, raw


@op(lambda g, out, x, shape: sum_to(g, x.shape))
def expand(x, shape):
    """`x` broadcast to `shape`, as NumPy broadcasts. -1 keeps the size of a dimension."""
    lead = len(shape) - x.ndim
    if lead < 0 or -1 in shape[:lead]:
        raise ValueError(f"expand: {shape} is shorter than {x.shape} or has -1 for a new dimension")
    shape = tuple([x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape)])
    return backend.broadcast_to(x, shape)


@op(lambda g, out, x, shape: expand(g, x.shape))
def sum_to(x, shape):
    """`x` summed over the dimensions that broadcasting from `shape` would have repeated."""
    if x.shape == shape:
        return x
    lead = x.ndim - len(shape)
    dims = [i for i in range(x.ndim) if i < lead or x.shape[i] != shape[i - lead]]
    return x.sum(axis=tuple(dims)).reshape(shape)


@op(lambda g, out, x, shape: match_order(reshape(g, x.shape), x))
def reshape(x, shape):
    """The same numbers in another shape; one size may be -1.

    A view of `x` where the order in memory allows it. Images have their channels last in memory, so
    of them, and of a convolution's weight, it is a copy.
    """
    return x.reshape(shape)


@op(lambda g, out, x, dims: permute(g, inverse(dims)))
def permute(x, dims):
    """The dimensions in a new order."""
    return x.transpose(dims)


def inverse(dims):
    """The permutation that undoes `dims`."""
    dims = [d % len(dims) for d in dims]
    return tuple([dims.index(i) for i in range(len(dims))])


@op(lambda g, out, x, dims: flip(g, dims))
def flip(x, dims):
    """A copy of `x`, reversed along `dims`."""
    return array_module(x).flip(x, dims).copy()


@op(lambda g, out, x, widths, value=0.0:
    g[tuple([slice(low, low + n) for (low, _), n in zip(widths, x.shape)])])
def pad(x, widths, value=0.0):
    """`x` with `value` around it: `widths` gives (before, after) for each dimension."""
    return array_module(x).pad(x, widths, constant_values=value)


@op(lambda g, out, x: g)
def copy(x):
    """The same numbers in memory of their own, in the same order."""
    return x.copy(order="K")


@op(lambda g, out, x: g)
def contiguous(x):
    """The same numbers in memory in the order of the dimensions; `x` itself if they are."""
    return array_module(x).ascontiguousarray(x) if x.ndim else x


@op(lambda g, out, x, dtype=None, device=None: to(g, dtype=x.dtype, device=device_of(x)))
def to(x, dtype=None, device=None):
    """`x` in another dtype or on another device ("cpu", "cuda")."""
    x = x if dtype is None else x.astype(dtype, copy=False)
    return x if device is None else backend.to_device(x, device)


@op(rest=lambda i: lambda g, out, *xs, dim=0: g[piece(xs, dim, i)])
def _cat(*xs, dim=0):
    return array_module(xs[0]).concatenate(xs, axis=dim)


def piece(xs, dim, i):
    """The index of the i-th of the arrays `xs` in their concatenation."""
    start = builtins.sum([x.shape[dim] for x in xs[:i]])
    return (slice(None),) * (dim % xs[i].ndim) + (slice(start, start + xs[i].shape[dim]),)


def device_of(x):
    """Where the array or Tensor `x` is: "cpu" or "cuda"."""
    return backend.device_of(raw(x))


# What follows is composed from the primitives above.

def match_order(x, like):
    """`x` with its dimensions in memory in the order that those of `like` have.

    Convolutions keep channels last. An array in another order beside one of theirs would make every
    operation on the two four times slower.
    """
    strides = raw(like).strides
    order = sorted(range(len(strides)), key=lambda i: -strides[i])
    return permute(contiguous(permute(x, order)), inverse(order))


def channels_last(x):
    """(N, C, ...) seen as (N, ..., C)."""
    return permute(x, (0, *range(2, x.ndim), 1))


def channels_first(x):
    """(N, ..., C) seen as (N, C, ...)."""
    return permute(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def cat(tensors, dim=0):
    """`tensors` joined along the existing dimension `dim`."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ValueError("cat: got no tensors to join; pass a list of them")
    return _cat(*tensors, dim=dim)


def stack(tensors, dim=0):
    """`tensors` of one shape joined along a new dimension `dim`."""
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(x, split_size, dim=0):
    """`x` cut along `dim` by `split_size`, a size (the last may be smaller) or a list of sizes."""
    n = x.shape[dim]
    sizes = split_size if isinstance(split_size, (tuple, list)) else [
        builtins.min(split_size, n - start) for start in range(0, builtins.max(n, 1), split_size)]
    if builtins.sum(sizes) != n or any([size < 0 for size in sizes]):
        raise ValueError(f"split: the sizes {sizes} add up to {builtins.sum(sizes)}, "
                         f"but dimension {dim} has {n}")
    lead = (slice(None),) * (dim % x.ndim)
    stops = [builtins.sum(sizes[:i + 1]) for i in range(len(sizes))]
    return tuple([x[lead + (slice(stop - size, stop),)] for size, stop in zip(sizes, stops)])


def chunk(x, chunks, dim=0):
    """`x` cut along `dim` into at most `chunks` pieces of equal size (the last may be smaller)."""
    if chunks < 1:
        raise ValueError(f"chunk: chunks is {chunks}, expected 1 or more")
    n = x.shape[dim]
    return split(x, -(-n // chunks) if n else [0] * chunks, dim)


def transpose(x, dim0, dim1):
    """`x` with two dimensions exchanged."""
    a, b = dims_of(x, (dim0, dim1)) or (0, 0)        # a number has no dimensions to exchange
    return permute(x, tuple([b if d == a else a if d == b else d for d in range(x.ndim)]))


def squeeze(x, dim=None):
    """`x` without its dimensions of size 1, or without `dim` if that has size 1."""
    drop = range(x.ndim) if dim is None else dims_of(x, dim)
    return reshape(x, tuple([n for i, n in enumerate(x.shape) if not (i in drop and n == 1)]))


def unsqueeze(x, dim):
    """`x` with a new dimension of size 1 at `dim`."""
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise IndexError(f"unsqueeze: dimension {dim} is out of range for {x.ndim} dimensions")
    dim = dim % (x.ndim + 1)
    return reshape(x, x.shape[:dim] + (1,) + x.shape[dim:])


def flatten(x, start_dim=0, end_dim=-1):
    """`x` with the dimensions from `start_dim` to `end_dim` made one."""
    if not x.ndim:
        return reshape(x, (1,))
    start, end = dims_of(x, (start_dim, end_dim))
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, x.shape[:start] + (math.prod(x.shape[start:end + 1]),) + x.shape[end + 1:])


def dims_of(x, dim):
    """`dim` (None, a number, or several) as a tuple of non-negative dimensions of `x`."""
    dims = () if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    if not dims:
        return tuple(range(x.ndim))
    for d in dims:
        if isinstance(d, bool) or not -(x.ndim or 1) <= d < (x.ndim or 1):
            raise IndexError(f"dimension {d} is out of range for a tensor of {x.ndim} dimensions")
    return tuple([d % x.ndim for d in dims]) if x.ndim else ()


def keepdim_shape(x, dim):
    """The shape of `x` with the dimensions `dim` reduced to 1."""
    dims = dims_of(x, dim)
    return tuple([1 if i in dims else n for i, n in enumerate(x.shape)])


def mask(condition, like):
    """1.0 where `condition` (an array or a Tensor) is true, else 0.0, in the dtype of `like`.

    A constant: where a condition flips, no derivative exists, and everywhere else it is zero.
    """
    return array_module(raw(like)).asarray(raw(condition), like.dtype)
