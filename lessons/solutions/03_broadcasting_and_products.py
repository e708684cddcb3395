"""Answers to exercise 03."""

import numpy as np

import tinygen as tg


def rule_of_mean(g, x, dim):
    """A mean is a sum times 1/n: the lost dimension comes back with size 1, and is repeated."""
    return tg.expand(np.expand_dims(g, dim), x.shape) / x.shape[dim]


def rules_of_matmul(g, x, y):
    """g y^T and x^T g for each pair of matrices, then the sum over what was broadcast."""
    return (tg.sum_to(g @ tg.transpose(y, -1, -2), x.shape),
            tg.sum_to(tg.transpose(x, -1, -2) @ g, y.shape))


def rule_of_cumsum(g):
    """x_i is used in the running sum i and all later ones: a running sum of g from the end."""
    return np.cumsum(g[::-1])[::-1]
