"""Floor 2: every primitive, each with its derivative rules directly above it.

Read the files in this order; each uses only the ones before it: `shapes` (how gradients are
stretched and summed), `elementwise`, `reductions`, `matrix` (matrix products), `indexing`,
`normalise`, `conv`, and `methods`, which hands all of them to `Tensor` as operators and methods.
`pad`, `batch_norm` and the convolutions stay inside: `functional.py` has them as PyTorch does.
"""

from .shapes import (cat, chunk, contiguous, copy, expand, flatten, flip, permute, reshape, split,
                     squeeze, stack, sum_to, to, transpose, unsqueeze)
from .elementwise import (abs, add, clamp, clip, cos, div, exp, leaky_relu, log, log1p, maximum,
                          minimum, mul, neg, pow, relu, sigmoid, sin, softplus, sqrt, sub, tanh,
                          where)
from .reductions import (amax, amin, log_softmax, logsumexp, mean, norm, softmax, std, sum, var)
from .matrix import linear, matmul
from .indexing import argmax, argmin, gather, getitem, max, min, put_back
from . import conv, methods

__all__ = [name for name, value in list(globals().items()) if callable(value)]
