"""Typical wrong answers to exercise 03, each with words of the hint that it must get."""

import numpy as np

import tinygen as tg


def not_repeated(g, x, dim):
    return g / x.shape[dim]


def without_the_count(g, x, dim):
    return np.broadcast_to(np.expand_dims(g, dim), x.shape)


def count_of_all(g, x, dim):
    return np.broadcast_to(np.expand_dims(g, dim), x.shape) / x.size


def at_the_wrong_place(g, x, dim):
    """It is right for dimension 0, and for a square it has the right shape."""
    return np.broadcast_to(g, x.shape) / x.shape[dim]


def not_transposed(g, x, y):
    return g @ y, x @ g


def one_result(g, x, y):
    return g @ y.T


def exchanged(g, x, y):
    first, second = g @ y.T, x.T @ g
    return second, first


def all_dimensions_turned(g, x, y):
    return g @ y.T, x.T @ g


def sum_forgotten(g, x, y):
    return g @ tg.transpose(y, -1, -2), tg.transpose(x, -1, -2) @ g


def first_instead_of_sum(g, x, y):
    """The shapes are right, and all but one of the stack are lost."""
    gx, gy = sum_forgotten(g, x, y)
    while gx.ndim > x.ndim:
        gx = gx[0]
    while gy.ndim > y.ndim:
        gy = gy[0]
    return gx, gy


def arrays_alone(g, x, y):
    return (tg.sum_to(g @ np.swapaxes(y, -1, -2), x.shape),
            tg.sum_to(np.swapaxes(x, -1, -2) @ g, y.shape))


def methods_of_arrays(g, x, y):
    return (tg.sum_to(g @ y.swapaxes(-1, -2), x.shape),
            tg.sum_to(x.swapaxes(-1, -2) @ g, y.shape))


def frozen(g, x, y):
    """Right to first order: `data` is the array of a Tensor, a constant."""
    fixed_x, fixed_y = [v.data if isinstance(v, tg.Tensor) else v for v in (x, y)]
    return (tg.sum_to(g @ tg.transpose(fixed_y, -1, -2), x.shape),
            tg.sum_to(tg.transpose(fixed_x, -1, -2) @ g, y.shape))


def forwards(g):
    return np.cumsum(g)


def handed_through(g):
    return g


def in_the_wrong_order(g):
    return np.cumsum(g[::-1])


def repeated_sum(g):
    return np.full(g.shape, g.sum())


WRONG = [
    ({"rule_of_mean": not_repeated}, "what was summed is repeated"),
    ({"rule_of_mean": without_the_count}, "each number gets g / n"),
    ({"rule_of_mean": count_of_all}, "not all of x"),
    ({"rule_of_mean": at_the_wrong_place}, "give it back the lost dimension"),
    ({"rules_of_matmul": not_transposed}, "one matrix is transposed in each"),
    ({"rules_of_matmul": one_result}, "a comma between them"),
    ({"rules_of_matmul": exchanged}, "shapes first"),
    ({"rules_of_matmul": all_dimensions_turned}, "exchange the last two alone"),
    ({"rules_of_matmul": sum_forgotten}, "is used several times"),
    ({"rules_of_matmul": first_instead_of_sum}, "is used several times"),
    ({"rules_of_matmul": arrays_alone}, "NumPy's take arrays alone"),
    ({"rules_of_matmul": methods_of_arrays}, "take arrays and Tensors"),
    ({"rules_of_matmul": frozen}, "counts as a constant"),
    ({"rule_of_cumsum": forwards}, "in which of the running sums"),
    ({"rule_of_cumsum": handed_through}, "In which the last?"),
    ({"rule_of_cumsum": in_the_wrong_order}, "in which of the running sums"),
    ({"rule_of_cumsum": repeated_sum}, "in which of the running sums"),
]
