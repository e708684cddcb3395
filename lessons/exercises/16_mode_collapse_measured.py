"""Exercise 16: two figures for a table of games, in NumPy.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def reverse_kl(counts):
    """The reverse KL of a generator, in nats, from the number of its samples at each mode.

    counts (K,) are whole numbers, some of them 0. With the shares q = counts / their sum, it is
    the sum of q log(K q): 0 for even counts, log K if one mode gets everything. A mode without
    samples adds 0. The result is one number, never nan.
    """
    raise NotImplementedError


def mean_and_error(values):
    """(mean, standard error) of one figure over several games, values (n,) with n of 2 or more.

    The standard error of the mean is s / sqrt(n), where s^2 is the sum of the squared deviations
    from the mean, divided by n - 1: the mean was made of the same values, so one of them is spent.
    """
    raise NotImplementedError


def agree(found, expected):
    """Shapes first: NumPy would broadcast, and hide a mistake."""
    return (np.shape(found) == np.shape(expected)
            and np.allclose(found, expected, rtol=0, atol=1e-9))


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    yield ("even counts have no divergence", agree(answer.reverse_kl(np.array([5, 5, 5, 5])), 0),
           "compare q with 1 / K: the log of K q is 0 where both are equal")
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    yield ("counts of 3 and 1 give 0.13 nats", agree(answer.reverse_kl(np.array([3, 1])), expected),
           "weigh each log by the share q of the samples, not by 1 / K; natural logs give nats")
    with np.errstate(all="ignore"):
        found = answer.reverse_kl(np.array([0, 7, 0, 0, 0, 0, 0, 0]))
    yield ("one mode of eight gives log 8", agree(found, np.log(8)),
           "leave the empty modes out of the sum, but count them in K")

    values = np.array([2.0, 4.0, 6.0, 8.0])
    found = answer.mean_and_error(values)
    yield ("two numbers, and the first is the mean", np.shape(found) == (2,) and found[0] == 5,
           "return the pair (mean, standard error)")
    yield ("it is the error of the mean, not the spread of the games",
           not agree(found[1], values.std()) and not agree(found[1], values.std(ddof=1)),
           "more games make the mean surer: divide the spread by the root of n")
    yield ("2, 4, 6, 8 have the error sqrt(20 / 3) / 2", agree(found[1], np.sqrt(20 / 3) / 2),
           "s^2 has n - 1 below, and the error is s divided by the root of n")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
