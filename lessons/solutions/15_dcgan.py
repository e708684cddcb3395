"""Answers to exercise 15."""

import numpy as np


def stamps_on(size, kernel, stride, padding):
    """Lay every stamp on the canvas, then cut."""
    canvas = np.zeros((size - 1) * stride + kernel, int)
    for i in range(size):
        canvas[i * stride:i * stride + kernel] += 1
    return canvas[padding:len(canvas) - padding]


def class_figures(probabilities):
    """`minlength` is not needed: a class that nobody found adds nothing to the sum."""
    n, classes = probabilities.shape
    share = np.bincount(probabilities.argmax(axis=1)) / n
    share = share[share > 0]
    entropy = -(share * np.log(share)).sum() / np.log(classes)
    return float(entropy), float(probabilities.max(axis=1).mean())
