"""Exercise 21: precision and recall, and the rule of the advice.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import math

import numpy as np

from tinygen import metrics


def precision_recall(real, fake, k):
    """(precision, recall) of `fake` (M, D) against `real` (N, D), NumPy arrays.

    Each point has a ball that reaches to its k-th nearest neighbour of its own kind, not counting
    itself. Precision is the share of fakes in some ball of a real one, recall the share of real
    ones in some ball of a fake. The edge of a ball belongs to it.
    """
    raise NotImplementedError


def take(vae, gan):
    """Which model to take for a quality that is 1 for real images: "VAE", "GAN", or None.

    It is the one whose figure is closer to 1, in the natural logarithm: 0.5 is as far as 2. None
    where both are off by more than the factor 1.3, where their distances from 1 (in the logarithm)
    differ by less than 0.05, or where a figure is not a positive, finite number.
    """
    raise NotImplementedError


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    real, fake = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[1.4], [1.5], [9.0]])
    found = answer.precision_recall(real, fake, 1)
    yield ("precision on a line", math.isclose(found[0], 2 / 3),
           "the balls are those of the real points, each to its nearest other one, and the share "
           "is of the fakes; a point is no neighbour of itself")
    yield ("recall on a line", math.isclose(found[1], 1 / 2),
           "the same with the places changed: balls of the fakes, share of the real ones")
    found = answer.precision_recall(real, np.array([[1.4], [1.5], [4.0]]), 1)
    yield ("a fake on the edge of a ball", math.isclose(found[0], 1.0),
           "4 lies 1 away from 3, and the ball of 3 reaches just that far: the edge belongs to it")
    a, b = [np.random.default_rng(i).normal(i / 2, 1, (60, 3)) for i in range(2)]
    yield ("two clouds, k = 1 and 3",
           all([np.allclose(answer.precision_recall(a, b, k), metrics.precision_recall(a, b, k))
                for k in (1, 3)]),
           "distances are Euclidean, over all D numbers, and k counts neighbours")

    yield ("0.9 for the VAE, 0.7 for the GAN", answer.take(0.9, 0.7) == "VAE",
           "the figure that is closer to 1 wins; return its name")
    yield ("1.6 is further from 1 than 0.85", answer.take(1.6, 0.85) == "GAN"
           and answer.take(0.85, 1.6) == "VAE",
           "above 1 is no better than below: it is the distance from 1 that counts")
    yield ("0.8 and 1.22: in the natural logarithm", answer.take(0.8, 1.22) is None
           and answer.take(0.9, 0.82) == "VAE",
           "log 0.8 is -0.223 and log 1.22 is 0.199: less than 0.05 apart, so neither; log 0.9 is "
           "-0.105 and log 0.82 is -0.198")
    yield ("both far off", answer.take(0.3, 0.5) is None and answer.take(0.5, 1.4) is None
           and answer.take(0.75, 0.5) is None,
           "where even the better one is off by more than the factor 1.3, take none: log 1.3 is "
           "0.262, and log 0.75 is -0.288")
    odd = [(math.nan, 1.0), (0.0, 1.0), (1.0, math.inf), (-1.0, 1.0)]
    try:
        with np.errstate(all="ignore"):
            taken = [answer.take(*x) for x in odd]
    except ValueError:                            # math.log(0)
        taken = odd
    yield ("what is not a positive, finite number", taken == 4 * [None],
           "look at both figures first: the logarithm is for positive, finite numbers")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
