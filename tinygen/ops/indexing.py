"""Indexing: picking numbers out, and its transpose, adding numbers in where they came from."""

import collections

from ..backend import array_module, is_array
from ..tensor import Tensor, op, raw
from .reductions import amax, amin
from .shapes import dims_of, reshape, squeeze


def repeats(index):
    """Whether `index` can name one place twice: only an array of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any([isinstance(i, (list, tuple)) or is_array(i) and i.dtype.kind != "b" for i in parts])


@op(lambda g, out, x, index: put_back(g, index, x.shape))
def _getitem(x, index):
    return x[index]


@op(lambda g, out, x, index, shape: g[index])
def put_back(x, index, shape):
    """Zeros of `shape`, with `x` added at `index`; a place named twice gets both."""
    xp = array_module(x)
    out = xp.zeros(shape, x.dtype)
    if repeats(index):
        xp.add.at(out, index, x)
    else:
        out[index] = x
    return out


# What follows is composed from the primitives.

def getitem(x, index):
    """x[index]: numbers, slices, None, ..., integer arrays and masks.

    Slices give a view of x, but a single number, as x[0, 0] of a matrix, is a copy: `x[0, 0] = 3`
    changes x, and `v = x[0, 0]; v += 3` does not.
    The order of the result's dimensions is NumPy's, which differs from PyTorch's where a number and
    an integer array are separated by a slice.
    """
    return _getitem(x, fixed(index))


def fixed(index):
    """The arrays behind `index`, of each Tensor a copy: it may change in place before backward."""
    if isinstance(index, (tuple, list)):
        return type(index)([fixed(i) for i in index])
    if isinstance(index, slice):
        return slice(fixed(index.start), fixed(index.stop), fixed(index.step))
    return index.data.copy() if isinstance(index, Tensor) else index


def gather(x, dim, index):
    """The elements of `x` along `dim` that the integers `index`, of as many dimensions, name.

    out[i, j, k] = x[i, index[i, j, k], k] for dim = 1: every other dimension counts along.
    """
    if index.ndim != x.ndim:
        raise ValueError(f"gather: index has {index.ndim} dimensions, x has {x.ndim}; unsqueeze it")
    xp = array_module(raw(index))
    grid = list(xp.ix_(*[xp.arange(n) for n in index.shape]))
    grid[dims_of(x, dim)[0]] = index
    return getitem(x, tuple(grid))


Extreme = collections.namedtuple("Extreme", "values indices")


def argmax(x, dim=None, keepdim=False):
    """Where the largest stands along `dim` (the first of several), or in the flattened tensor."""
    return Tensor(raw(x).argmax(axis=dim, keepdims=keepdim))


def argmin(x, dim=None, keepdim=False):
    """Where the smallest stands along `dim` (the first of several), or in the flattened tensor."""
    return Tensor(raw(x).argmin(axis=dim, keepdims=keepdim))


def pick(x, dim, keepdim, find):
    if isinstance(dim, Tensor):
        raise TypeError(f"dim is a tensor; of two tensors, take {find.__name__[3:]}imum(x, y)")
    if not x.ndim:
        return pick(reshape(x, (1,)), dim, False, find)
    at = find(x, dim, True)
    found = gather(x, dim, at), at
    return Extreme(*(found if keepdim else [squeeze(part, dim) for part in found]))


def max(x, dim=None, keepdim=False):
    """(values, indices) of the largest along `dim`. Of ties, the first gets the whole gradient.

    Without `dim` the largest of all, as `amax`, where ties share it.
    """
    return amax(x, None, keepdim) if dim is None else pick(x, dim, keepdim, argmax)


def min(x, dim=None, keepdim=False):
    """(values, indices) of the smallest along `dim`, as `max`."""
    return amin(x, None, keepdim) if dim is None else pick(x, dim, keepdim, argmin)
