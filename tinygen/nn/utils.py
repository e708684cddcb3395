"""Gradient clipping, the first help against exploding gradients: between `backward` and `step`."""

import math

from ..tensor import Tensor


def with_gradient(parameters):
    """Those that have a gradient, of one tensor or of any tensors, as a list."""
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if wrong := sorted({type(p).__name__ for p in found if not isinstance(p, Tensor)}):
        raise TypeError(f"gradients belong to parameters, but got {' and '.join(wrong)}; "
                        "pass model.parameters()")
    return [p for p in found if p.grad is not None]


def grad_norm(parameters):
    """The Euclidean norm of all gradients taken together, as a Python number."""
    gradients = [p.grad.data for p in with_gradient(parameters)]
    return math.sqrt(sum([float((g * g).sum()) for g in gradients]))


def clip_grad_norm_(parameters, max_norm):
    """Scale all gradients so that their common norm is at most `max_norm` (Pascanu et al. 2013).

    Returns the old norm, as a Python number. What is scaled are new tensors: a gradient that you
    kept from before stays as it was.
    """
    found = with_gradient(parameters)
    norm = grad_norm(found)
    scale = min(float(max_norm) / (norm + 1e-6), 1.0)  # nan stays nan: a broken gradient must show
    for p in found:
        if scale != 1:
            p.grad = Tensor(p.grad.data * scale)
    return norm


def clip_grad_value_(parameters, clip_value):
    """Limit every single number of the gradients to [-clip_value, clip_value]."""
    for p in with_gradient(parameters):
        p.grad = Tensor(p.grad.data.clip(-float(clip_value), float(clip_value)))
