"""Exercise 04: the gradient of cross-entropy, and batch norm, in NumPy.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def cross_entropy_gradient(logits, labels):
    """The gradient by `logits` of the mean cross-entropy: softmax minus one-hot, over N.

    logits (N, C) are scores, labels (N,) the numbers of the right classes, from 0 to C - 1. The
    result is (N, C). It must be right for logits of any size, and leave `logits` as they are.
    """
    raise NotImplementedError


def batch_norm(x, weight, bias, eps):
    """w (x - m) / sqrt(v + eps) + b for each unit, as in training.

    x (N, C) is a batch of N examples; weight and bias are (C,). m and v are the mean and the
    variance of a unit over the batch. The result is (N, C).
    """
    raise NotImplementedError


def mean_cross_entropy(logits, labels):
    """By definition: fine for the small numbers here."""
    powers = np.exp(logits)
    right = powers[np.arange(len(labels)), labels]
    return -np.log(right / powers.sum(1)).mean()


def slopes(logits, labels):
    """The gradient by central differences."""
    found = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[place] = 1e-5
        rise = mean_cross_entropy(logits + step, labels) - mean_cross_entropy(logits - step, labels)
        found[place] = rise / 2e-5
    return found


def agree(found, expected, tolerance=1e-8):
    """Shapes first: NumPy would broadcast, and hide a mistake."""
    return (np.shape(found) == np.shape(expected)
            and np.allclose(found, expected, rtol=0, atol=tolerance))


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4, 3)), np.array([2, 0, 2, 1])
    found = answer.cross_entropy_gradient(logits.copy(), labels)
    yield ("cross-entropy: the shape of the logits, and each row sums to 0",
           np.shape(found) == (4, 3) and agree(np.sum(found, 1), np.zeros(4)),
           "a row is an image: its probabilities sum to 1 along the row, and the one-hot, "
           "which is 1 in one place of that row, takes 1 away")
    yield ("cross-entropy: finite differences agree",
           agree(found, slopes(logits, labels), 1e-7),
           "which class is the right one in each row, what is the sign, "
           "and how much has one row to say in a mean over N?")
    large = np.array([[0.0, 1000.0, 1000.0], [-1000.0, -1000.0, -3000.0]])
    given = large.copy()
    with np.errstate(all="ignore"):
        found = answer.cross_entropy_gradient(given, np.array([0, 0]))
    yield ("cross-entropy: logits of 1000 and -1000, which stay as they are",
           agree(found, [[-0.5, 0.25, 0.25], [-0.25, 0.25, 0.0]]) and np.array_equal(given, large),
           "exp(1000) is infinite, and exp(-1000) is 0: first subtract from each row its own "
           "largest logit, in a new array")

    x = rng.normal(size=(5, 3)) * [1.0, 10.0, 0.1] + [0.0, 100.0, -3.0]
    found = answer.batch_norm(x.copy(), np.ones(3), np.zeros(3), 1e-12)
    yield ("batch norm: each unit gets mean 0 and standard deviation 1",
           np.shape(found) == (5, 3) and agree(np.mean(found, 0), np.zeros(3), 1e-6)
           and agree(np.std(found, 0), np.ones(3), 1e-6),
           "a unit is a column: its mean and variance are over the examples, and both divide by N; "
           "the standard deviation is the root of the variance")
    weight, bias = np.array([2.0, -1.0, 0.5]), np.array([1.0, 0.0, -4.0])
    after = answer.batch_norm(x.copy(), weight, bias, 1e-12)
    yield ("batch norm: weight and bias", agree(after, found * weight + bias, 1e-6),
           "they come last: what has been normalised is scaled, and then shifted")
    found = answer.batch_norm(np.array([[1.0, 7.0], [3.0, 7.0]]), np.ones(2), np.zeros(2), 3.0)
    yield ("batch norm: the columns 1, 3 and 7, 7, with eps = 3",
           agree(found, [[-0.5, 0.0], [0.5, 0.0]]),
           "the variances are 1 and 0; eps joins the variance, before the root")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
