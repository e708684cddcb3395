"""Answers to exercise 16."""

import numpy as np


def reverse_kl(counts):
    """The sum of q log(K q) over the modes that have samples."""
    q = counts[counts > 0] / counts.sum()
    return (q * np.log(len(counts) * q)).sum()


def mean_and_error(values):
    """The mean, and the spread (with n - 1) over the root of n."""
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))
