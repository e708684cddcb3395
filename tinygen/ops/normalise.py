"""Normalisation as one primitive. Ten small ones would be right too, and take twice the time."""

from ..backend import array_module
from ..tensor import op
from .elementwise import sqrt
from .reductions import count, sum
from .shapes import expand, match_order, reshape


def batch_dims(x):
    """All dimensions but the channels, which are dimension 1."""
    return (0,) + tuple(range(2, x.ndim))


def whole(v, x):
    """A number a channel, repeated to the shape of one example of `x`, in the memory order of `x`.

    Against such long rows NumPy works twice as fast as against one number a channel.
    """
    v = reshape(v, (1, -1) + (1,) * (x.ndim - 2))
    return match_order(expand(v, (1,) + x.shape[1:]), x)


def total(x):
    """The sum over the batch, a number a channel: over the examples first, whose rows are long."""
    return sum(sum(x, 0, True), batch_dims(x))


@op(lambda g, out, x, y: whole(g, x) * y,
    lambda g, out, x, y: whole(g, x) * x)
def total_product(x, y):
    """The sum of x y over the batch, a number a channel, without writing the products down."""
    rows = array_module(x).einsum("n...,n...->...", x, y)
    return rows.sum(axis=tuple(range(1, rows.ndim)))


def moments(x):
    """c = x - mean, rounded; what rounding the mean has left in c; the mean and the variance of x.

    All over the batch, a number a channel (c has the shape of x).
    """
    n = count(x, batch_dims(x))
    mean = total(x) * (1 / n)
    c = x - whole(mean, x)
    left = total(c) * (1 / n)
    return c, left, mean + left, total_product(c, c) * (1 / n) - left * left


# With c = x - mean, s = 1 / std and y = w s c + b, over n numbers a channel:
#     dx = w s (g - sum(g) / n - c s^2 sum(g c) / n),   dw = s sum(g c),   db = sum(g).
# What rounding has left in c is subtracted from the sums, where it is one number a channel.
def batch_norm_sums(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, kept=None):
    """c, what is left in it, s, sum(g) and sum(g c)."""
    c, left, _, variance = kept or moments(x)
    sum_g = total(g)
    return c, left, 1 / sqrt(variance + eps), sum_g, total_product(g, c) - left * sum_g


def batch_norm_x(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    c, left, s, sum_g, sum_gc = shared
    n = count(x, batch_dims(x))
    slope = s * s * sum_gc / n
    return (g - c * whole(slope, x) - whole(sum_g / n - left * slope, x)) * whole(weight * s, x)


def batch_norm_weight(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    c, left, s, sum_g, sum_gc = shared
    return s * sum_gc


def batch_norm_bias(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    c, left, s, sum_g, sum_gc = shared
    return sum_g


@op(batch_norm_x, batch_norm_weight, batch_norm_bias, share=batch_norm_sums)
def batch_norm(x, weight, bias, running=None, momentum=0.1, eps=1e-5):
    """Normalise each channel over the batch, then scale and shift (Ioffe and Szegedy 2015, alg. 1).

    x is (N, C) or (N, C, ...), weight and bias are (C,). `running` is a pair of arrays (mean and
    unbiased variance, each (C,)) that move by `momentum` towards this batch's, in place.
    """
    c, left, mean, variance = kept = moments(x)
    if running is not None:
        n = x.size // x.shape[1]
        for moment, new in zip(running, (mean, variance * (n / (n - 1)))):
            moment *= 1 - momentum
            moment += momentum * new
    scale = 1 / sqrt(variance + eps)
    out = c * whole(weight * scale, x)
    out += whole(bias - left * scale * weight, x)
    return out, kept
