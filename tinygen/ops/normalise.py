"""Normalisation as one primitive. Ten small ones would be right too, and take twice the time."""

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


def moments(x):
    """x - mean, the mean and the variance, over the batch, a number a channel."""
    n = count(x, batch_dims(x))
    mean = total(x) * (1 / n)
    centred = x - whole(mean, x)
    centred = centred - whole(total(centred) * (1 / n), x)    # what rounding the mean has left
    return centred, mean, total(centred * centred) * (1 / n)


# With c = x - mean, s = 1 / std and y = w s c + b, over n numbers a channel:
#     dx = w s (g - sum(g) / n - c s^2 sum(g c) / n),   dw = s sum(g c),   db = sum(g).
def batch_norm_sums(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, kept=None):
    """c, s, sum(g) and sum(g c)."""
    if kept is None:
        centred, _, variance = moments(x)
        kept = centred, 1 / sqrt(variance + eps)
    return *kept, total(g), total(g * kept[0])


def batch_norm_x(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    c, s, sum_g, sum_gc = shared
    n = count(x, batch_dims(x))
    return ((g - whole(sum_g / n, x) - c * whole(s * s * sum_gc / n, x)) * whole(weight * s, x))


def batch_norm_weight(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    c, s, sum_g, sum_gc = shared
    return s * sum_gc


def batch_norm_bias(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    c, s, sum_g, sum_gc = shared
    return sum_g


@op(batch_norm_x, batch_norm_weight, batch_norm_bias, share=batch_norm_sums)
def batch_norm(x, weight, bias, running=None, momentum=0.1, eps=1e-5):
    """Normalise each channel over the batch, then scale and shift (Ioffe and Szegedy 2015, alg. 1).

    x is (N, C) or (N, C, ...), weight and bias are (C,). `running` is a pair of arrays (mean and
    unbiased variance, each (C,)) that move by `momentum` towards this batch's, in place.
    """
    centred, mean, variance = moments(x)
    if running is not None:
        n = x.size // x.shape[1]
        for moment, new in zip(running, (mean, variance * (n / (n - 1)))):
            moment *= 1 - momentum
            moment += momentum * new
    scale = 1 / sqrt(variance + eps)
    out = centred * whole(weight * scale, x)
    out += whole(bias, x)
    return out, (centred, scale)
