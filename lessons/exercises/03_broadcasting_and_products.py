"""Exercise 03: the rules of a mean, of a product of stacked matrices, and of a running sum.

Write the three functions, and run this file: it grades them, and gives a hint where one is wrong.
`tinygen.sum_to`, `tinygen.expand` and `tinygen.transpose` are there for you to use.
"""

import numpy as np

import tinygen as tg


def rule_of_mean(g, x, dim):
    """The gradient by the array `x` of L, where `g` is its gradient by x.mean(dim).

    `dim` is one dimension, counted from the end if negative. x has any shape, and g the same
    without that dimension. Returns an array with the shape of x.
    """
    raise NotImplementedError


def rules_of_matmul(g, x, y):
    """The gradients by x and by y, a pair, where `g` is the gradient by x @ y.

    x (..., n, k) and y (..., k, m) are stacks of matrices, and g is (..., n, m). The dimensions
    written as dots broadcast: a stack of two may meet a single matrix. All three are arrays, or all
    three are Tensors; so use operators and tinygen's functions.
    """
    raise NotImplementedError


def rule_of_cumsum(g):
    """The gradient by x (n,), where `g` (n,) is the gradient by its running sum, np.cumsum(x).

    The running sum of 1, 2, 3, 4 is 1, 3, 6, 10.
    """
    raise NotImplementedError


def slopes(function, x, g):
    """What a rule should give, by central differences of sum(g * function(x))."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[place] = 1e-4                        # all functions here are linear: it may be large
        found[place] = (g * (function(x + step) - function(x - step))).sum() / 2e-4
    return found


def agree(found, expected):
    """Shapes first: NumPy would broadcast, and hide a mistake."""
    return np.shape(found) == expected.shape and np.allclose(found, expected, rtol=0, atol=1e-8)


def mean_is_right(answer, shape, dim):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    g = np.asarray(rng.normal(size=x.mean(dim).shape))
    return agree(answer.rule_of_mean(g, x, dim), slopes(lambda x: x.mean(dim), x, g))


def matmul_is_right(answer, x_shape, y_shape):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=x_shape), rng.normal(size=y_shape)
    g = rng.normal(size=(x @ y).shape)
    pair = answer.rules_of_matmul(g, x, y)
    return (isinstance(pair, tuple) and len(pair) == 2
            and agree(pair[0], slopes(lambda x: x @ y, x, g))
            and agree(pair[1], slopes(lambda y: x @ y, y, g)))


def second_derivatives(rules):
    """The derivatives of what `rules` makes of three Tensors, or None where they are cut off."""
    rng = np.random.default_rng(0)
    g, x, y = [tg.tensor(rng.normal(size=shape), requires_grad=True)
               for shape in ((2, 3, 2), (2, 3, 4), (4, 2))]
    gx, gy = rules(g, x, y)
    found = tg.grad((gx * gx).sum() + (gy * gy).sum(), [g, x, y], allow_unused=True)
    return [None if f is None else f.numpy() for f in found]


def tensors_are_welcome(answer):
    """Whether the rules take Tensors, and can be differentiated again."""
    def by_tinygen(g, x, y):
        return tg.grad(x @ y, [x, y], g, create_graph=True)

    try:
        found = second_derivatives(answer.rules_of_matmul)
    except (AttributeError, RuntimeError, TypeError):     # what Tensors have not, or forbid
        return False
    return all([f is not None and agree(f, e)
                for f, e in zip(found, second_derivatives(by_tinygen))])


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    found = answer.rule_of_mean(np.ones(3), np.ones((2, 3)), 0)
    yield ("mean: the gradient has the shape of x", np.shape(found) == (2, 3),
           "a gradient is as large as what it belongs to: what was summed is repeated")
    yield ("mean: over dimension 0", mean_is_right(answer, (2, 3), 0),
           "each number gets g / n; count the numbers that went into one mean, not all of x")
    yield ("mean: over any dimension", all(mean_is_right(answer, *case) for case in (
        ((3, 3), 1), ((2, 3, 4), 1), ((2, 3, 4), -1), ((5,), 0))),
           "before you repeat g, give it back the lost dimension, with size 1, at its old place")
    yield ("matmul: two matrices", all(matmul_is_right(answer, *case) for case in (
        ((3, 3), (3, 3)), ((2, 3), (3, 4)))),
           "shapes first, and one matrix is transposed in each: for x it is y, for y it is x; "
           "return the two with a comma between them")
    yield ("matmul: stacks of matrices", all(matmul_is_right(answer, *case) for case in (
        ((3, 3, 3), (3, 3, 3)), ((2, 3, 4), (2, 4, 2)))),
           ".T turns round all dimensions, also those of the stack; exchange the last two alone")
    yield ("matmul: one matrix for a whole stack", all(matmul_is_right(answer, *case) for case in (
        ((2, 3, 4), (4, 2)), ((3, 4), (2, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)))),
           "what broadcasting repeated is used several times, and a gradient is as large as what "
           "it belongs to")
    yield ("matmul: given Tensors, the rules can be differentiated again",
           tensors_are_welcome(answer),
           "keep to operators and tinygen's functions, which take arrays and Tensors; NumPy's take "
           "arrays alone, and what is cut out of its Tensor counts as a constant")
    g = np.array([1.0, 10.0, 100.0, 1000.0])
    yield ("cumsum: the rule for g = 1, 10, 100, 1000",
           agree(answer.rule_of_cumsum(g), slopes(np.cumsum, np.ones(4), g)),
           "in which of the running sums is the first number used? In which the last?")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
