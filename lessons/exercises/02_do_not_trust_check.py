"""Exercise 02: the gradient without calculus, and the check along one direction.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def central_difference(f, x, eps):
    """The gradient of f at x by central differences, in the shape of x.

    f takes an array like x (float64, any shape) and gives a single number. Entry i of the gradient
    is (f(x + eps e_i) - f(x - eps e_i)) / (2 eps), where e_i is 1 in entry i and 0 elsewhere.
    """
    raise NotImplementedError


def directional_error(f, gradient, x, direction, eps):
    """How far `gradient` (in the shape of x, like `direction`) is off along `direction`: a number.

    |sum_i gradient_i direction_i - (f(x + eps direction) - f(x - eps direction)) / (2 eps)|
    """
    raise NotImplementedError


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    start = np.array([[1.0, -2.0, 0.5], [3.0, -1.5, 2.0]])
    x = start.copy()
    found = answer.central_difference(lambda x: np.sum(x ** 3), x, 0.1)
    yield ("the gradient has the shape of x", np.shape(found) == x.shape,
           "each entry of x has a slope of its own: move one entry at a time, and fill an array")
    yield ("x^3 with a step of 0.1 gives 3 x^2 + 0.01", np.allclose(found, 3 * start ** 2 + 0.01),
           "one point lies eps ahead of x, the other eps behind it: how far apart are the two?")
    x = start.T.copy().T                          # the same numbers, in another order in memory
    found = answer.central_difference(np.prod, x, 0.01)
    yield ("a product gives the product of the other entries",
           np.allclose(found, np.prod(start) / start),
           "while one entry moves, all others must be where they were; and look at x.reshape(-1): "
           "is it a view of x, or a copy?")
    yield ("x is as it was", np.array_equal(x, start),
           "x belongs to the caller: move a copy of it")

    asked = []

    def f(x):
        asked.append(1)
        return np.sum(x) ** 2

    gradient = np.full(start.shape, 2 * np.sum(start))
    direction = np.array([[1.0, -3.0, 2.0], [0.5, 1.0, -4.0]])
    wrong = gradient - np.eye(2, 3)               # along the direction it is off by 1 + 1
    found = [answer.directional_error(f, g, start.copy(), direction, 0.1)
             for g in (gradient, wrong, 2 * gradient - wrong)]
    yield ("along a direction, a right gradient is off by 0 and two wrong ones by 2",
           np.shape(found) == (3,) and np.allclose(found, [0, 2, 2]),
           "one number: multiply entry by entry and add up; take the direction as long as it is, "
           "and go both ways; an error has no sign")
    yield ("it asks f only twice", len(asked) == 2 * len(found),
           "all entries can move at once: one pair of evaluations is enough")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
