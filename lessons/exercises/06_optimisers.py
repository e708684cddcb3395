"""Exercise 06: AdamW, and clipping.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np

import tinygen as tg
from tinygen import optim


def adamw_step(x, g, m, v, t, lr, betas, eps, weight_decay):
    """One step of AdamW (Loshchilov and Hutter 2019): the new x, m and v, three new arrays.

    First all weights shrink a little, x * (1 - lr * weight_decay): those that the loss does not
    need go to 0. (This is not the lesson's decay, which lowers lr.) Then x takes Adam's step of
    lesson 06, for the gradient g. x, g, m and v have one shape; m and v are the running means
    before this step, t = 1, 2, ... is its number, and betas are the factors that m and v keep.
    """
    raise NotImplementedError


def clip_by_norm(gradients, max_norm):
    """The list of the gradients, shortened so that their common norm is at most max_norm, and the
    norm that they had before.

    The arrays may have different shapes. All are multiplied by the same number.
    """
    raise NotImplementedError


def steps(answer, weight_decay, count):
    """x after `count` steps of the answer, and of tinygen's own class."""
    start, pull = np.array([2.0, -3.0, 0.5]), np.array([1.0, 0.01, 5.0])
    x, m, v = start, np.zeros(3), np.zeros(3)
    theirs = tg.tensor(start, requires_grad=True)
    optimizer = optim.AdamW([theirs], 0.1, (0.8, 0.9), 0.01, weight_decay)
    for t in range(1, count + 1):
        x, m, v = answer.adamw_step(x, pull * x, m, v, t, 0.1, (0.8, 0.9), 0.01, weight_decay)
        optimizer.zero_grad()
        (tg.tensor(pull) * theirs * theirs / 2).sum().backward()
        optimizer.step()
    return x, theirs.detach().numpy()


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    x, g = np.array([[2.0, -3.0]]), np.array([[50.0, 0.02]])
    given = x.copy(), g.copy(), np.ones((1, 2)), np.full((1, 2), 4.0)
    found = answer.adamw_step(*given, 3, 0.1, (0.9, 0.999), 1e-8, 0.2)
    yield ("adamw_step gives three arrays of the shape of x",
           isinstance(found, tuple) and [np.shape(a) for a in found] == 3 * [(1, 2)],
           "return x, m, v: three arrays, each number of x has its own m and v")
    yield ("what was given is unchanged",
           all([np.array_equal(a, b) for a, b in zip(given, (x, g, 1 + 0 * x, 4 + 0 * x))]),
           "`x -= ...` or `m *= ...` change the caller's array; write `x = x - ...`")
    yield ("m and v are the running means", np.allclose(found[1], 0.9 + 0.1 * g)
           and np.allclose(found[2], 3.996 + 0.001 * g * g),
           "m keeps betas[0] of itself and takes the rest from g alone (no decay in it), v from "
           "g^2; the correction is for this step only, and does not go back to the caller")
    zero = np.zeros((1, 2))
    moved = answer.adamw_step(x, g, zero, zero, 1, 0.1, (0.9, 0.999), 1e-8, 0.0)[0] - x
    yield ("the first step is lr long, for any gradient", np.allclose(moved, -0.1, 1e-3),
           "the means start at 0: divide each by 1 - beta^t, its own beta, and step against g")
    yield ("six steps without decay are tinygen's", np.allclose(*steps(answer, 0.0, 6)),
           "check t in the correction, and that eps is added after the root, not under it")
    yield ("six steps with decay are tinygen's", np.allclose(*steps(answer, 0.3, 6)),
           "x shrinks by the factor 1 - lr * weight_decay, then Adam's step is taken from that")

    pair = [np.array([3.0, 0.0]), np.array([[-4.0]])]
    found = answer.clip_by_norm([a.copy() for a in pair], 10.0)
    yield ("clip_by_norm gives a list and a number",
           isinstance(found, tuple) and len(found) == 2 and np.ndim(found[1]) == 0,
           "return the list and the norm, with a comma between them")
    short, norm = found
    yield ("3 and -4 in two arrays have the norm 5", np.isclose(norm, 5.0),
           "one norm for all arrays together: the root of the sum of all squares")
    yield ("short gradients stay as they are",
           len(short) == 2 and all(map(np.array_equal, short, pair)),
           "the factor is never above 1: only what is too long is changed")
    long, norm = answer.clip_by_norm([100 * a for a in pair], 2.0)
    yield ("long ones get the norm 2, and keep their direction",
           np.allclose(long[0], [1.2, 0.0], atol=1e-5) and np.allclose(long[1], -1.6, atol=1e-5),
           "multiply every array by max_norm / norm, the same number for all")
    yield ("the norm is that before clipping", np.isclose(norm, 500.0),
           "it tells how long the gradient was: compute it first, and return that")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
