"""Exercise 12: the two baselines, and the gradient that the search follows.

Write the three functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def by_mean(x, known, train):
    """x (N, D), with the hidden pixels taken from the mean of the training images, train (M, D).

    known (D,) is 1 where a pixel is known and 0 where it is hidden. What stands in x at a hidden
    pixel may be any number, and must not matter. x stays as it is: the result is a new array.
    """
    raise NotImplementedError


def by_neighbour(x, known, train):
    """The same, with the hidden pixels of the training image that is nearest in the known ones.

    Nearest is: the smallest sum of squared differences.
    """
    raise NotImplementedError


def search_gradient(z, x, known, W, weight):
    """The gradient by z of weight * sum over known pixels of (made - x)^2 + |z|^2 / 2.

    The decoder is linear: made = z @ W, with z (N, L) and W (L, D). x is (N, D), and so is made.
    """
    raise NotImplementedError


def loss(z, x, known, W, weight):
    """What search_gradient differentiates, summed over the N examples."""
    return weight * (known * (z @ W - x) ** 2).sum() + (z * z).sum() / 2


def slopes(z, *others):
    """The gradient by central differences."""
    found = np.zeros(z.shape)
    for place in np.ndindex(z.shape):
        step = np.zeros(z.shape)
        step[place] = 1e-5
        found[place] = (loss(z + step, *others) - loss(z - step, *others)) / 2e-5
    return found


def agree(found, expected, tolerance=1e-9):
    """Shapes first: NumPy would broadcast, and hide a mistake."""
    return (np.shape(found) == np.shape(expected)
            and np.allclose(found, expected, rtol=0, atol=tolerance))


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    train = np.array([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0], [0.5, 0.9, 0.2, 0.8]])
    known = np.array([1.0, 1.0, 0.0, 0.0])
    x = np.array([[0.1, 0.2, 0.0, 0.0], [0.9, 1.0, 7.0, 7.0]])
    given = x.copy()
    found = answer.by_mean(given, known, train)
    yield ("by_mean keeps the known pixels",
           np.shape(found) == (2, 4) and agree(np.asarray(found)[:, :2], x[:, :2]),
           "known * x is what stays; add to that something that is 0 where pixels are known")
    yield ("by_mean takes the hidden ones from the mean image",
           agree(found, [[0.1, 0.2, 0.4, 0.6], [0.9, 1.0, 0.4, 0.6]]),
           "(1 - known) * the mean over the images, axis 0: one number for each pixel")
    found = answer.by_neighbour(given, known, train)
    yield ("by_neighbour finds the nearest by the known pixels only",
           agree(found, [[0.1, 0.2, 1.0, 1.0], [0.9, 1.0, 0.0, 0.0]]),
           "multiply the differences by known before you square and add them up: the hidden half "
           "of x holds nothing, and must not decide; then keep the known pixels of x itself")
    signs = answer.by_neighbour(np.array([[0.5, 0.5, 0.0, 0.0]]), known,
                                np.array([[0.0, 1.0, 0.3, 0.3], [0.6, 0.6, 0.4, 0.4]]))
    yield ("differences do not cancel", agree(signs, [[0.5, 0.5, 0.4, 0.4]]),
           "square each difference before you add up: -0.5 and 0.5 are no match")
    yield ("what was given is unchanged", np.array_equal(given, x),
           "make a new array; `x[...] = ...` changes the caller's")

    rng = np.random.default_rng(0)
    z, W, x = rng.normal(size=(3, 2)), rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    yield ("search_gradient, weight 0: the prior alone",
           agree(answer.search_gradient(z, x, known, W, 0.0), z),
           "the derivative of |z|^2 / 2 is z")
    alone = answer.search_gradient(np.zeros((3, 2)), x, known, W, 1.0)
    yield ("search_gradient at z = 0: the pixels alone",
           agree(alone, slopes(np.zeros((3, 2)), x, known, W, 1.0), 1e-6),
           "square, then chain rule: 2 * known * (made - x), handed back through W transposed")
    yield ("search_gradient agrees with finite differences",
           agree(answer.search_gradient(z, x, known, W, 3.0), slopes(z, x, known, W, 3.0), 1e-5),
           "weight multiplies the part of the pixels, and only that")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
