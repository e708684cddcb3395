"""Answers to exercise 04."""

import numpy as np


def cross_entropy_gradient(logits, labels):
    """Each row, less its largest logit, gives probabilities; 1 goes off at the right class."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    gradient = powers / powers.sum(1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient / len(labels)


def batch_norm(x, weight, bias, eps):
    """`x.var` divides by N, as it must be. All that is (C,) broadcasts over the examples."""
    return weight * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias
