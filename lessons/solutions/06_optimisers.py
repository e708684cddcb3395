"""Answers to exercise 06."""

import numpy as np


def adamw_step(x, g, m, v, t, lr, betas, eps, weight_decay):
    """The decay acts on x directly. In g it would be divided by the root of v, as g is, and weights
    with large gradients would hardly shrink."""
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    x = x * (1 - lr * weight_decay)
    x = x - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return x, m, v


def clip_by_norm(gradients, max_norm):
    """One factor for all keeps the direction. Where the norm is 0, there is nothing to shorten."""
    norm = np.sqrt(sum([(g * g).sum() for g in gradients]))
    factor = max_norm / norm if norm > max_norm else 1.0
    return [g * factor for g in gradients], norm
