"""How weights start. Each function fills a parameter in place, and returns it.

All random numbers are the one generator's, drawn alike for every dtype: from one seed come the same
weights in float32 and in float64, but for rounding.

With too small weights the signal fades from layer to layer, with too large ones it explodes. The
`xavier` and `kaiming` scales keep its mean square about constant.
"""

import math

import numpy as np

from .. import backend
from ..tensor import Tensor


def fill(tensor, values):
    """Put host values into a tensor, wherever it lives."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"init: got {type(tensor).__name__}, expected a parameter such as "
                        "layer.weight, whose data (a NumPy array, not a tensor) it fills")
    tensor.data[...] = backend.to_device(np.asarray(values, tensor.dtype), tensor.device)
    tensor.changed()
    return tensor


def zeros_(tensor):
    return fill(tensor, 0)


def ones_(tensor):
    return fill(tensor, 1)


def constant_(tensor, val):
    return fill(tensor, val)


def normal_(tensor, mean=0.0, std=1.0):
    noise = backend.generator.standard_normal(tensor.shape, backend.float32)
    return fill(tensor, mean + std * noise)


def uniform_(tensor, a=0.0, b=1.0):
    return fill(tensor, a + (b - a) * backend.generator.random(tensor.shape, backend.float32))


def fans(tensor):
    """(inputs, outputs) of one unit: weight (out, in, ...), times the size of a kernel."""
    if tensor.ndim < 2:
        raise ValueError(f"init: the fan of a tensor of shape {tensor.shape} is not defined; "
                         "it needs 2 dimensions")
    area = math.prod(tensor.shape[2:])
    return tensor.shape[1] * area, tensor.shape[0] * area


def fan(tensor, mode):
    """The inputs of one unit ("fan_in"), which keeps the forward signal's size, or "fan_out"."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode is {mode!r}; choose 'fan_in' or 'fan_out'")
    return fans(tensor)[mode == "fan_out"]


def calculate_gain(nonlinearity, param=0.01):
    """The factor for weights before a nonlinearity; `param` is the slope of a leaky ReLU.

    For the rectifiers it restores the signal's mean square (He et al. 2015); 5/3 and the ones are
    conventions.
    """
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2),
             "leaky_relu": math.sqrt(2 / (1 + param * param))}
    if nonlinearity not in gains:
        raise ValueError(f"init: nonlinearity {nonlinearity!r} is not known; "
                         f"choose one of {', '.join(gains)}")
    return gains[nonlinearity]


def xavier_uniform_(tensor, gain=1.0):
    """U(-a, a) with a = gain sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010, eq. 16)."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain=1.0):
    """N(0, std^2) with std = gain sqrt(2 / (inputs + outputs)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))))


def kaiming_uniform_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """U(-b, b) with b = gain sqrt(3 / fan) (He et al. 2015)."""
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / fan(tensor, mode))
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """N(0, std^2) with std = gain / sqrt(fan) (He et al. 2015, eq. 10)."""
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan(tensor, mode)))


def orthogonal_(tensor, gain=1.0):
    """Orthogonal rows (or columns, if there are fewer) of length `gain` (Saxe et al. 2014)."""
    fans(tensor)                     # refuses fewer than 2 dimensions
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    square = backend.generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(square)
    q = q * np.sign(np.diag(r))      # without them, some rotations would be likelier than others
    return fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))
