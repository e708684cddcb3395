"""Typical wrong answers to exercise 21, each with words of the hint that it must get."""

import math

import numpy as np


def covered(points, others, k, order=2, extra=0):
    def distances(a, b):
        return np.linalg.norm(a[:, None] - b[None], order, axis=2)

    radii = np.sort(distances(others, others), axis=1)[:, k + extra]
    return (distances(points, others) <= radii).any(1).mean()


def itself_counted(real, fake, k):
    return covered(fake, real, k, extra=-1), covered(real, fake, k, extra=-1)


def places_changed(real, fake, k):
    return covered(real, fake, k), covered(fake, real, k)


def precision_twice(real, fake, k):
    return covered(fake, real, k), covered(fake, real, k)


def always_one(real, fake, k):
    return covered(fake, real, 1), covered(real, fake, 1)


def edge_left_out(real, fake, k):
    """The radii a little smaller: as `<` in the place of `<=`."""
    def share(points, others):
        distances = np.linalg.norm(points[:, None] - others[None], axis=2)
        own = np.sort(np.linalg.norm(others[:, None] - others[None], axis=2), axis=1)[:, k]
        return (distances < own).any(1).mean()

    return share(fake, real), share(real, fake)


def city_blocks(real, fake, k):
    return covered(fake, real, k, order=1), covered(real, fake, k, order=1)


def positive(*figures):
    return all([0 < x < math.inf for x in figures])


def larger(vae, gan):
    return "VAE" if vae > gan else "GAN"


def other_name(vae, gan):
    return "GAN" if abs(math.log(vae)) < abs(math.log(gan)) else "VAE"


def by_difference(vae, gan):
    if not positive(vae, gan):
        return None
    off = {"VAE": abs(vae - 1), "GAN": abs(gan - 1)}
    best = min(off, key=off.get)
    return best if off[best] <= 0.3 else None


def never_none(vae, gan):
    if not positive(vae, gan) or abs(abs(math.log(vae)) - abs(math.log(gan))) < 0.05:
        return None
    return "VAE" if abs(math.log(vae)) < abs(math.log(gan)) else "GAN"


def in_decades(vae, gan):
    return nan_taken(*[x ** (1 / math.log(10)) if 0 < x < math.inf else x for x in (vae, gan)])


def not_looked_at(vae, gan):
    a, b = abs(math.log(vae)), abs(math.log(gan))
    if min(a, b) > math.log(1.3) or abs(a - b) < 0.05:
        return None
    return "VAE" if a < b else "GAN"


def nan_taken(vae, gan):
    a, b = [abs(math.log(x)) if 0 < x < math.inf else math.inf for x in (vae, gan)]
    if min(a, b) > math.log(1.3) or abs(a - b) < 0.05:
        return None
    return "VAE" if a < b else "GAN"


WRONG = [
    ({"precision_recall": itself_counted}, "no neighbour of itself"),
    ({"precision_recall": places_changed}, "share is of the fakes"),
    ({"precision_recall": precision_twice}, "places changed"),
    ({"precision_recall": always_one}, "k counts neighbours"),
    ({"precision_recall": edge_left_out}, "the edge belongs to it"),
    ({"precision_recall": city_blocks}, "Euclidean"),
    ({"take": larger}, "no better than below"),
    ({"take": other_name}, "closer to 1 wins"),
    ({"take": by_difference}, "less than 0.05 apart"),
    ({"take": never_none}, "take none"),
    ({"take": in_decades}, "log 0.9 is"),
    ({"take": not_looked_at}, "look at both figures first"),
    ({"take": nan_taken}, "look at both figures first"),
]
