"""Exercise 09: the loss of a VAE, and a walk along an arc.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def vae_loss(logits, x, mu, log_var):
    """The two terms of minus ELBO in nats per image, a pair: (reconstruction, KL).

    logits (N, D) are what the decoder gives for the images x (N, D), whose pixels lie in [0, 1];
    mu and log_var (N, L) are the code, log_var the logarithm of its variance. The reconstruction is
    the cross-entropy of x under y = 1 / (1 + exp(-logits)). It must be right for logits of any
    size: as log y = -log(1 + exp(-logits)), a pixel costs log(1 + exp(logits)) - x * logits, and

        log(1 + exp(a)) = max(a, 0) + log(1 + exp(-|a|)).
    """
    raise NotImplementedError


def spherical(a, b, t):
    """The point at t in [0, 1] of the arc from a to b, two arrays (L,) that are not parallel.

    sin((1 - t) w) / sin(w) * a + sin(t w) / sin(w) * b, where w is the angle between a and b
    (Shoemake 1985). Points of N(0, 1) in many dimensions have nearly all the same length, and the
    arc keeps it, where the straight way cuts through the middle.
    """
    raise NotImplementedError


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    zero, half = np.zeros((1, 3)), np.full((1, 4), 0.5)
    found = answer.vae_loss(np.zeros((1, 4)), half, zero, zero)
    yield ("vae_loss gives two numbers",
           isinstance(found, tuple) and len(found) == 2 and all([np.ndim(f) == 0 for f in found]),
           "return recon, kl: each is one number for the whole batch")
    yield ("four pixels at logit 0 cost 4 log 2", np.isclose(found[0], 4 * np.log(2)),
           "sum over the pixels of an image; a mean over them would make the KL 784 times too "
           "important for a digit")
    one = [np.zeros((1, 4)), half, np.ones((1, 3)), np.ones((1, 3))]
    once, twice = answer.vae_loss(*one), answer.vae_loss(*[np.tile(a, (2, 1)) for a in one])
    yield ("two equal images cost as much as one of them", np.allclose(twice, once),
           "nats per image: divide what you have summed by the number of images, both terms")
    logits, x = np.array([[2.0, -1.0]]), np.array([[1.0, 0.25]])
    y = 1 / (1 + np.exp(-logits))
    right = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum()
    yield ("a bright and a dark pixel",
           np.isclose(answer.vae_loss(logits, x, zero, zero)[0], right),
           "a pixel costs log(1 + exp(logit)) - x * logit: check the sign, and which is x")
    with np.errstate(all="ignore"):
        far = answer.vae_loss(np.array([[900.0, -900.0]]), np.array([[0.0, 1.0]]), zero, zero)[0]
    yield ("logits of 900 and -900, both wrong, cost 1,800", np.isclose(far, 1800.0),
           "exp(900) is infinite: write log(1 + exp(a)) as the docstring does")
    yield ("the KL of N(0, 1) is 0", np.isclose(found[1], 0.0),
           "(mu^2 + variance - log_var - 1) / 2, where the variance is exp(log_var)")
    kl = answer.vae_loss(logits, x, np.array([[3.0, 0.0]]), np.array([[0.0, np.log(4.0)]]))[1]
    yield ("the KL of N(3, 1) and N(0, 4)", np.isclose(kl, 4.5 + (4 - np.log(4.0) - 1) / 2),
           "for each unit (mu^2 + variance - log_var - 1) / 2, summed: the variance is "
           "exp(log_var), and the standard deviation its root")

    a, b = np.array([2.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0])
    ends = [answer.spherical(a, b, t) for t in (0.0, 1.0)]
    yield ("the arc begins at a and ends at b",
           np.shape(ends) == (2, 3) and np.allclose(ends, [a, b]),
           "at t = 0 the weight of a is sin(w) / sin(w) = 1")
    yield ("halfway between (2, 0, 0) and (0, 2, 0) lies (1.41, 1.41, 0)",
           np.allclose(answer.spherical(a, b, 0.5), [2 ** 0.5, 2 ** 0.5, 0.0]),
           "the two weights are sines, not 1 - t and t; here w is 90 degrees, in radians")
    a, b = np.array([3.0, 0.0]), np.array([2.0, 2.0])
    yield ("a third of the way from (3, 0) to (2, 2)",
           np.allclose(answer.spherical(a, b, 1 / 3), by_definition(a, b, 1 / 3)),
           "w is the angle between a and b: its cosine is a @ b over the product of both lengths")


def by_definition(a, b, t):
    """With the angle by arctan2, in the plane."""
    w = np.arctan2(b[1], b[0]) - np.arctan2(a[1], a[0])
    return (np.sin((1 - t) * w) * a + np.sin(t * w) * b) / np.sin(w)


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
