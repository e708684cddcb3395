"""Normalisation as one primitive. Ten small ones would be right too, and take twice the time."""

from ..tensor import op
from .elementwise import sqrt
from .reductions import mean, sum
from .shapes import reshape


def batch_dims(x):
    """All dimensions but the channels, which are dimension 1."""
    return (0,) + tuple(range(2, x.ndim))


def per_channel(v, x):
    """A vector of one number per channel, in a shape that broadcasts against `x`."""
    return reshape(v, (1, -1) + (1,) * (x.ndim - 2))


def centre(x, eps):
    """x - mean, 1 / sqrt(variance + eps) and the variance, over the batch, per channel."""
    centred = x - mean(x, batch_dims(x), True)
    variance = mean(centred * centred, batch_dims(x), True)
    return centred, 1 / sqrt(variance + eps), variance


# With c = x - mean(x), s = 1 / std and y = w s c + b:
#     dx = w s (g - mean(g) - s^2 c mean(g c)),   dw = s sum(g c),   db = sum(g).
def batch_norm_x(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, kept=None):
    c, s, _ = kept or centre(x, eps)
    dims = batch_dims(x)
    along_c = c * (s * s * mean(g * c, dims, True))
    return per_channel(weight, x) * s * (g - mean(g, dims, True) - along_c)


def batch_norm_weight(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, kept=None):
    c, s, _ = kept or centre(x, eps)
    return reshape(s * sum(g * c, batch_dims(x), True), weight.shape)


def batch_norm_bias(g, out, x, weight, bias, running=None, momentum=0.1, eps=1e-5, kept=None):
    return sum(g, batch_dims(x))


@op(batch_norm_x, batch_norm_weight, batch_norm_bias, keeps=True)
def batch_norm(x, weight, bias, running=None, momentum=0.1, eps=1e-5):
    """Normalise each channel over the batch, then scale and shift (Ioffe and Szegedy 2015, alg. 1).

    x is (N, C) or (N, C, ...), weight and bias are (C,). `running` is a pair of arrays (mean and
    unbiased variance, each (C,)) that move by `momentum` towards this batch's, in place.
    """
    c, s, variance = centre(x, eps)
    if running is not None:
        n = x.size // x.shape[1]
        batch_mean = x.mean(axis=batch_dims(x))
        for kept, new in zip(running, (batch_mean, variance.reshape(-1) * (n / (n - 1)))):
            kept *= 1 - momentum
            kept += momentum * new
    out = c * (s * per_channel(weight, x))
    out += per_channel(bias, x)
    return out, (c, s, variance)
