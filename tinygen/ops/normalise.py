"""Normalisation as one primitive. Ten small ones would be right too, and take twice the time."""

from ..tensor import op
from .elementwise import sqrt
from .reductions import count, mean, sum
from .shapes import reshape


def batch_dims(x):
    """All dimensions but the channels, which are dimension 1."""
    return (0,) + tuple(range(2, x.ndim))


def per_channel(v, x):
    """A vector of one number per channel, in a shape that broadcasts against `x`."""
    return reshape(v, (1, -1) + (1,) * (x.ndim - 2))


def normalise(x, eps):
    """(x - mean) / std, 1 / std, the mean and the variance, over the batch, per channel."""
    batch_mean = mean(x, batch_dims(x), True)
    centred = x - batch_mean
    centred = centred - mean(centred, batch_dims(x), True)    # what rounding the mean has left
    variance = mean(centred * centred, batch_dims(x), True)
    scale = 1 / sqrt(variance + eps)
    return centred * scale, scale, batch_mean, variance


# With u = (x - mean) / std and y = w u + b, over n numbers a channel:
#     dx = w / std (g - sum(g) / n - u sum(g u) / n),   dw = sum(g u),   db = sum(g).
def batch_norm_sums(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, kept=None):
    """u, 1 / std, sum(g) and sum(g u)."""
    u, scale = kept or normalise(x, eps)[:2]
    return u, scale, sum(g, batch_dims(x), True), sum(g * u, batch_dims(x), True)


def batch_norm_x(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    u, scale, sum_g, sum_gu = shared
    n = count(x, batch_dims(x))
    return (g - sum_g / n - u * (sum_gu / n)) * (per_channel(weight, x) * scale)


def batch_norm_weight(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    u, scale, sum_g, sum_gu = shared
    return reshape(sum_gu, weight.shape)


def batch_norm_bias(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, shared=None):
    u, scale, sum_g, sum_gu = shared
    return reshape(sum_g, bias.shape)


@op(batch_norm_x, batch_norm_weight, batch_norm_bias, share=batch_norm_sums)
def batch_norm(x, weight, bias, running=None, momentum=0.1, eps=1e-5):
    """Normalise each channel over the batch, then scale and shift (Ioffe and Szegedy 2015, alg. 1).

    x is (N, C) or (N, C, ...), weight and bias are (C,). `running` is a pair of arrays (mean and
    unbiased variance, each (C,)) that move by `momentum` towards this batch's, in place.
    """
    u, scale, batch_mean, variance = normalise(x, eps)
    if running is not None:
        n = x.size // x.shape[1]
        for moment, new in zip(running, (batch_mean, variance * (n / (n - 1)))):
            moment *= 1 - momentum
            moment += momentum * new.reshape(-1)
    out = u * per_channel(weight, x)
    out += per_channel(bias, x)
    return out, (u, scale)
