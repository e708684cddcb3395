"""Answers to exercise 21."""

import math

import numpy as np


def distances(a, b):
    """(N, M) of (N, D) and (M, D)."""
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))


def covered(points, others, k):
    """A point is at distance 0 of itself, so its k-th other neighbour is number k from 0."""
    radii = np.sort(distances(others, others), axis=1)[:, k]
    return (distances(points, others) <= radii).any(1).mean()


def precision_recall(real, fake, k):
    """One function, asked twice."""
    return covered(fake, real, k), covered(real, fake, k)


def take(vae, gan):
    """nan fails both comparisons."""
    if not (0 < vae < math.inf and 0 < gan < math.inf):
        return None
    off = {"VAE": abs(math.log(vae)), "GAN": abs(math.log(gan))}
    best, other = sorted(off, key=off.get)
    return best if off[best] <= math.log(1.3) and off[other] - off[best] >= 0.05 else None
