"""Exercise 07: one matrix for both ways, and codes that move.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def tied_gradient(x, w):
    """The gradient by `w` of the loss of an autoencoder that uses `w` for both ways.

    x (N, D) are images, w is (K, D). The codes are x w^T, (N, K); the logits are codes w, (N, D);
    p is their sigmoid. The loss is -x log p - (1 - x) log(1 - p), summed over the pixels, averaged
    over the images. The result is (K, D).
    """
    raise NotImplementedError


def move_codes(encoder, decoder, a, c):
    """(encoder, decoder) of an autoencoder with the codes a z + c, and the same rebuilt images.

    Each is a pair (weight, bias), as in `nn.Linear`: the codes z are h weight^T + bias, with the
    encoder's (K, H) and (K,); and the decoder begins with z weight^T + bias, its (H, K) and (H,).
    a is (K, K) and has an inverse, c is (K,). What is given must not change.
    """
    raise NotImplementedError


def tied_loss(x, w):
    """By definition."""
    p = 1 / (1 + np.exp(-x @ w.T @ w))
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1).mean()


def slopes(x, w):
    """The gradient by central differences."""
    found = np.zeros(w.shape)
    for place in np.ndindex(w.shape):
        step = np.zeros(w.shape)
        step[place] = 1e-5
        found[place] = (tied_loss(x, w + step) - tied_loss(x, w - step)) / 2e-5
    return found


def agree(found, expected, tolerance=1e-8):
    """Shapes first: NumPy would broadcast, and hide a mistake."""
    return (np.shape(found) == np.shape(expected)
            and np.allclose(found, expected, rtol=0, atol=tolerance))


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    found = answer.tied_gradient(np.array([[1.0]]), np.array([[0.0]]))
    yield ("tied_gradient: w = 0 gives 0", agree(found, np.zeros((1, 1))),
           "the code is 0, and so is what comes back from the logits: both ways contribute 0. The "
           "result has the shape of w")
    x, w = np.array([[1.0]]), np.array([[1.0]])
    slope = 2 * (1 / (1 + np.exp(-1.0)) - 1)
    found = answer.tied_gradient(x, w)
    yield ("one pixel, one number: 2 (p - x) w x", agree(found, [[slope]]),
           "w is used twice, as encoder and as decoder, and contributions add up (lesson 01); "
           "the gradient by a logit is p - x")
    rng = np.random.default_rng(0)
    x, w = rng.random((4, 5)), rng.normal(size=(2, 5))
    yield ("finite differences agree", agree(answer.tied_gradient(x, w), slopes(x, w), 1e-7),
           "g = (p - x) / N: the decoder contributes codes^T g, and the encoder (g w^T)^T x; "
           "check the mean over N images")

    h, w, b = rng.normal(size=(6, 4)), rng.normal(size=(2, 4)), rng.normal(size=2)
    v, d = rng.normal(size=(4, 2)), rng.normal(size=4)
    a, c = np.array([[2.0, 1.0], [0.0, 0.5]]), np.array([3.0, -1.0])
    given = [array.copy() for array in (w, b, v, d)]
    found = answer.move_codes((w, b), (v, d), a, c)
    yield ("move_codes gives two pairs, with shapes as before",
           [[np.shape(array) for array in pair] for pair in found]
           == [[(2, 4), (2,)], [(4, 2), (4,)]],
           "return (weight, bias), (weight, bias): first the encoder's, (K, H) and (K,), then the "
           "decoder's, (H, K) and (H,)")
    (w2, b2), (v2, d2) = found
    z = h @ w.T + b
    yield ("move_codes: what was given is unchanged",
           all(map(np.array_equal, (w, b, v, d), given)),
           "`w *= ...` or `b += ...` change the caller's arrays; make new ones")
    moved = h @ w2.T + b2
    yield ("the codes are a z + c, for each image", agree(moved, z @ a.T + c),
           "a (W h + b) + c = (a W) h + (a b + c): the old bias is multiplied by a as well")
    yield ("the decoder undoes it",
           agree(moved @ v2.T + d2, z @ v.T + d),
           "put z = a^-1 (moved - c) into V z + d: what multiplies `moved`, and what is left over?")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
