"""Reductions: many numbers in, fewer out. Each number that went in gets its share of the gradient.

`dim` is None (all dimensions), a number, or a tuple; with `keepdim` the reduced dimensions stay,
with size 1.
"""

import math

from ..backend import array_module, int64
from ..tensor import op
from .elementwise import abs, add, exp, pow
from .shapes import dims_of, expand, keepdim_shape, mask, reshape


def spread(g, x, dim):
    """The gradient of a reduction over `dim`, with the reduced dimensions back at size 1."""
    return g if dim is None else reshape(g, keepdim_shape(x, dim))      # a number fits anything


@op(lambda g, out, x, dim=None, keepdim=False: expand(spread(g, x, dim), x.shape))
def sum(x, dim=None, keepdim=False):
    dims = dims_of(x, dim)
    for d in dims:
        if x.shape[d] > 4096:      # by halves: one sum after the other loses digits of float32
            return add(*[sum(half, dim, keepdim) for half in array_module(x).array_split(x, 2, d)])
    x = x.astype(int64) if x.dtype.kind == "u" else x      # whose sums NumPy leaves without a sign
    if x.ndim == 2 and dim == 0 and x.dtype.kind == "f" and not keepdim:
        return array_module(x).ones(len(x), x.dtype).dot(x)     # three times faster
    return x.sum(axis=dims, keepdims=keepdim)


@op(lambda g, out, x, dim=None, keepdim=False: expand(spread(g / count(x, dim), x, dim), x.shape))
def mean(x, dim=None, keepdim=False):
    """The average; of nothing it is nan."""
    return sum(x, dim, keepdim) / count(x, dim)


def count(x, dim):
    """How many numbers a reduction of `x` over `dim` takes together; where it takes none, nan."""
    sizes = x.shape if dim is None else [x.shape[i] for i in dims_of(x, dim)]
    return math.prod(sizes) or math.nan


def tied(x, out, dim):
    """1/k at the k places where `x` equals its extreme `out`, else 0: ties share equally."""
    at = mask(x == spread(out, x, dim), x)
    return at / sum(at, dim, True)


@op(lambda g, out, x, dim=None, keepdim=False: spread(g, x, dim) * tied(x, out, dim))
def amax(x, dim=None, keepdim=False):
    """The largest value. Ties share the gradient equally."""
    return x.max(axis=dims_of(x, dim), keepdims=keepdim)


@op(lambda g, out, x, dim=None, keepdim=False: spread(g, x, dim) * tied(x, out, dim))
def amin(x, dim=None, keepdim=False):
    """The smallest value. Ties share the gradient equally."""
    return x.min(axis=dims_of(x, dim), keepdims=keepdim)


def peak(x, dim):
    """The largest along `dim`, or 0 where that is infinite or nothing: to subtract before exp."""
    if not x.size:
        return array_module(x).zeros(keepdim_shape(x, dim), x.dtype)
    top = x.max(axis=dims_of(x, dim), keepdims=True)
    return array_module(x).where(array_module(x).isfinite(top), top, 0)


@op(lambda g, out, x, dim, keepdim=False: spread(g, x, dim) * softmax(x, dim), real=True)
def logsumexp(x, dim, keepdim=False):
    """log sum exp(x), shifted by the largest value, so that nothing overflows."""
    xp, top = array_module(x), peak(x, dim)
    total = xp.log(xp.exp(x - top).sum(axis=dims_of(x, dim), keepdims=True)) + top
    return total if keepdim else total.squeeze(dims_of(x, dim))


@op(lambda g, out, x, dim: out * (g - sum(g * out, dim, True)), real=True)
def softmax(x, dim):
    """exp(x) / sum exp(x) along `dim`."""
    powers = array_module(x).exp(x - peak(x, dim))
    return powers / powers.sum(axis=dims_of(x, dim), keepdims=True)


@op(lambda g, out, x, dim: g - exp(out) * sum(g, dim, True), real=True)
def log_softmax(x, dim):
    """x - log sum exp(x) along `dim`: the logarithm of softmax, never of a rounded zero."""
    x = x - peak(x, dim)      # first, so that large logits lose no digits
    xp = array_module(x)
    return x - xp.log(xp.exp(x).sum(axis=dims_of(x, dim), keepdims=True))


def unit(g, x, out, dim):
    """g x / |x|, and 0 where |x| = 0."""
    length = spread(out, x, dim)
    return spread(g, x, dim) * x / (length + mask(length == 0, g))


@op(lambda g, out, x, dim=None, keepdim=False: unit(g, x, out, dim), real=True)
def _euclidean(x, dim=None, keepdim=False):
    return array_module(x).sqrt((x * x).sum(axis=dims_of(x, dim), keepdims=keepdim))


# What follows is composed from primitives.

def norm(x, p=2, dim=None, keepdim=False):
    """The p-norm, (sum |x|^p)^(1/p). Its gradient where all of x is 0 is taken as 0."""
    if p == 0:
        raise ValueError("norm: p is 0, which is no norm; count with (x != 0).sum()")
    if p in (2, "fro"):
        return _euclidean(x, dim, keepdim)
    if p in (math.inf, -math.inf):
        return (amax if p > 0 else amin)(abs(x), dim, keepdim)
    total = sum(pow(abs(x), p), dim, keepdim)
    zero = mask(total == 0, total)
    return pow(total + zero, 1 / p) * (1 - zero)


def var(x, dim=None, correction=1, keepdim=False):
    """The variance: the squared distances from the mean, summed and divided by n - `correction`."""
    centred = x - mean(x, dim, True)
    return sum(centred * centred, dim, keepdim) / max(count(x, dim) - correction, 0)


def std(x, dim=None, correction=1, keepdim=False):
    """The standard deviation, the root of `var`. Its gradient where all of x is equal is 0."""
    length = _euclidean(x - mean(x, dim, True), dim, keepdim)
    return length / math.sqrt(max(count(x, dim) - correction, 0))
