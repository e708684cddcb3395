"""Answers to exercise 02."""

import numpy as np


def central_difference(f, x, eps):
    """A fresh step for each entry, 0 everywhere else: so nothing needs to be put back."""
    gradient = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[place] = eps
        gradient[place] = (f(x + step) - f(x - step)) / (2 * eps)
    return gradient


def directional_error(f, gradient, x, direction, eps):
    """The same difference once, with all entries on the move."""
    measured = (f(x + eps * direction) - f(x - eps * direction)) / (2 * eps)
    return abs(np.sum(gradient * direction) - measured)
