"""Matrix products. If Y = A B, then dL/dA = dL/dY B^T and dL/dB = A^T dL/dY."""

import math

from ..tensor import op
from .reductions import sum
from .shapes import permute, reshape, sum_to, transpose


@op(lambda g, out, x, y: sum_to(_matmul(g, transpose(y, -1, -2)), x.shape),
    lambda g, out, x, y: sum_to(_matmul(transpose(x, -1, -2), g), y.shape))
def _matmul(x, y):
    # dot gives what @ gives, but outer products (inner size 1) faster; of many, x * y is fastest.
    if x.ndim == y.ndim == 2:
        return x.dot(y)
    return x * y if x.shape[-1] == y.shape[-2] == 1 else x @ y


def matmul(x, y):
    """The matrix product of the last two dimensions, (..., n, k) and (..., k, m) to (..., n, m).

    The dimensions before them broadcast. A 1-D argument is a row on the left or a column on the
    right, and its dimension is dropped from the result.
    """
    if not (getattr(x, "ndim", 0) and getattr(y, "ndim", 0)):
        raise ValueError("matmul: both must be tensors with dimensions; use * for a single number")
    rows = reshape(x, (1, -1)) if x.ndim == 1 else x
    columns = reshape(y, (-1, 1)) if y.ndim == 1 else y
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(f"matmul: shapes {x.shape} and {y.shape} do not fit: the inner sizes are "
                         f"{rows.shape[-1]} and {columns.shape[-2]}")
    out = _matmul(rows, columns)
    shape = out.shape[:-2] + out.shape[-2:-1] * (x.ndim > 1) + out.shape[-1:] * (y.ndim > 1)
    return reshape(out, shape)


@op(lambda g, out, x, weight, bias: _matmul(g, weight),
    lambda g, out, x, weight, bias: _matmul(permute(g, (1, 0)), x),
    lambda g, out, x, weight, bias: sum(g, 0))
def _linear(x, weight, bias):
    if (x.ndim, x.shape[1:]) != (2, weight.shape[1:]):
        raise ValueError(f"linear: x of shape {x.shape} and weight {weight.shape} do not fit; "
                         "expected x (..., in) and weight (out, in)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias has shape {bias.shape}, but weight {weight.shape} "
                         f"needs {weight.shape[:1]}")
    out = x.dot(weight.T)
    if bias is not None:
        out += bias
    return out


def linear(x, weight, bias=None):
    """x W^T + b: x (..., in), weight (out, in), bias (out,) or None, to (..., out)."""
    if x.ndim == 2:
        return _linear(x, weight, bias)
    rows = reshape(x, (math.prod(x.shape[:-1]), *x.shape[-1:]))
    return reshape(_linear(rows, weight, bias), x.shape[:-1] + weight.shape[:1])
