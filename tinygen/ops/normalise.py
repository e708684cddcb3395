"""Normalisation as one primitive. Ten small ones would be right too, and take twice the time.

Images are (N, C, H, W) with the channels last in memory, as convolutions leave them (`conv.py`): an
example is one row of H * W * C numbers. Of sums down such rows NumPy makes matrix products.
"""

import math

from ..backend import array_module
from ..tensor import op
from .elementwise import sqrt
from .reductions import sum
from .shapes import channels_first, channels_last, contiguous, expand, reshape


def whole(v, x):
    """A number a channel, repeated to the shape of `x`; in memory there is one whole example of it.

    Against such long rows NumPy works twice as fast as against one number a channel.
    """
    example = contiguous(expand(v, (1, *x.shape[2:], x.shape[1])))
    return expand(channels_first(example), x.shape)


def rows(x):
    """x (N, C, ...) as a matrix with an example a row, its channels last: (N, ... * C)."""
    return reshape(channels_last(x), (x.shape[0], math.prod(x.shape[1:])))


def total(x):
    """The sum over the batch, a number a channel: over the examples, then over the positions."""
    return sum(reshape(sum(rows(x), 0), (math.prod(x.shape[2:]), x.shape[1])), 0)


@op(lambda g, out, x, y: whole(g, x) * y,
    lambda g, out, x, y: whole(g, x) * x)
def total_product(x, y):
    """The sum of x y over the batch, a number a channel, without writing the products down."""
    row = array_module(x).einsum("nk,nk->k", rows(x), rows(y))
    return sum(row.reshape(math.prod(x.shape[2:]), x.shape[1]), 0)


def moments(x):
    """c = x - mean, rounded; what rounding the mean has left in c; the mean and the variance of x.

    All over the batch, a number a channel (c has the shape of x, and its channels last in memory).
    """
    n = x.shape[0] * math.prod(x.shape[2:])
    x = channels_first(contiguous(channels_last(x)))
    mean = total(x) * (1 / n)
    c = x - whole(mean, x)
    left = total(c) * (1 / n)
    return c, left, mean + left, total_product(c, c) * (1 / n) - left * left


# With c = x - mean, s = 1 / std and y = w s c + b, over n numbers a channel:
#     dw = s sum(g c),   db = sum(g),   dx = w s (g - db / n - c s dw / n).
# What rounding has left in c is subtracted from the sums, where it is one number a channel.
def batch_norm_sums(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, kept=None):
    """c, what is left in it, s, dw and db."""
    c, left, _, variance = kept or moments(x)
    s, db = 1 / sqrt(variance + eps), total(g)
    return c, left, s, s * (total_product(g, c) - left * db), db


def batch_norm_x(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    c, left, s, dw, db = shared
    n = x.shape[0] * math.prod(x.shape[2:])
    slope = s * dw / n
    # In this order NumPy takes no second array: it goes on in the memory of the first product.
    return (c * whole(-slope, x) + g - whole(db / n - left * slope, x)) * whole(weight * s, x)


@op(batch_norm_x,
    lambda g, out, *arguments, shared, **options: shared[3],
    lambda g, out, *arguments, shared, **options: shared[4], share=batch_norm_sums)
def batch_norm(x, weight, bias, running=None, momentum=0.1, eps=1e-5):
    """Normalise each channel over the batch, then scale and shift (Ioffe and Szegedy 2015, alg. 1).

    x is (N, C) or (N, C, ...), weight and bias are (C,). `running` is a pair of arrays (mean and
    unbiased variance, each (C,)) that move by `momentum` towards this batch's, in place.
    """
    c, left, mean, variance = kept = moments(x)
    if running is not None:
        n = x.shape[0] * math.prod(x.shape[2:])
        for moment, new in zip(running, (mean, variance * (n / (n - 1)))):
            moment *= 1 - momentum
            moment += momentum * new
    scale = 1 / sqrt(variance + eps)
    out = c * whole(weight * scale, x)
    out += whole(bias - left * scale * weight, x)
    return out, kept
