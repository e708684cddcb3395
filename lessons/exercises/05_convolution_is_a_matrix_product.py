"""Exercise 05: the size of a convolution, and its gradient with respect to the weights.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def out_size(size, kernel, stride, padding, dilation):
    """How many positions a kernel takes along one dimension of `size` pixels, an int.

    The image gets `padding` zeros at both ends, and the kernel moves by `stride` pixels. New here:
    with `dilation` d, the `kernel` weights stand d pixels apart, with d - 1 pixels unseen between
    two of them. With d = 1 it is the kernel of the lesson.
    """
    raise NotImplementedError


def weight_gradient(x, g, kernel, stride):
    """dL/dw of y = conv(x, w), given g = dL/dy: an array (O, C, kh, kw), without padding.

    x (N, C, H, W), g (N, O, oh, ow), kernel (kh, kw), stride a number for both directions, and

        y[n, o, i, j] = sum over c, u, v of w[o, c, u, v] * x[n, c, stride * i + u, stride * j + v]

    Loops over the places of the kernel are welcome, or over its positions, to gather patches. A
    loop over the images is not needed: that is what products and sums are for.
    """
    raise NotImplementedError


def by_definition(x, g, kernel, stride):
    """The same, one number at a time: how fast sum(y * g) grows with each weight."""
    result = np.zeros((g.shape[1], x.shape[1], *kernel))
    for o, c, u, v in np.ndindex(result.shape):
        for n, i, j in np.ndindex(g.shape[0], *g.shape[2:]):
            result[o, c, u, v] += g[n, o, i, j] * x[n, c, stride * i + u, stride * j + v]
    return result


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    size = answer.out_size
    yield ("a kernel of 5 on 28 pixels has 24 positions, with padding of 2 it has 28",
           size(28, 5, 1, 0, 1) == 24 and size(28, 5, 1, 2, 1) == 28,
           "draw a kernel of 5 on 6 pixels: the first position counts; and zeros come at both ends")
    yield ("a stride of 2 gives a kernel of 3 three positions on 7 pixels, and on 8",
           size(7, 3, 2, 0, 1) == 3 and size(8, 3, 2, 0, 1) == 3,
           "the stride divides the way, from the first position to the last, rounded down")
    yield ("a dilated kernel is wider", size(9, 3, 1, 0, 2) == 5 and size(16, 4, 2, 1, 3) == 5,
           "how many pixels from its first weight to its last? Between k weights are k - 1 gaps")

    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((1, 3, 6, 5)), rng.standard_normal((1, 2, 4, 4))
    found = answer.weight_gradient(x, g, (3, 2), 1)
    yield ("with 3 channels in and 2 out, the gradient has the shape (2, 3, kh, kw)",
           np.shape(found) == (2, 3, 3, 2),
           "it is as large as the weights: first the channels of g, then those of x, then rows")
    grey = x[:, :1], g[:, :1], (3, 2), 1
    yield ("one kernel on one grey image", np.allclose(answer.weight_gradient(*grey),
                                                       by_definition(*grey)),
           "a weight meets one pixel at each position (i, j); sum g times that pixel over them")
    yield ("with channels, each number is in its place",
           np.allclose(found, by_definition(x, g, (3, 2), 1)),
           "in which order do the numbers of a patch stand? reshape keeps it, transpose alters it")
    x, g = np.repeat(x, 2, axis=0), np.repeat(g, 2, axis=0)
    yield ("the same image twice counts twice",
           np.allclose(answer.weight_gradient(x, g, (3, 2), 1), 2 * found),
           "all images used the same weights, and what was used several times is summed; in a "
           "product of matrices, the rows of both must list images and positions in one order")
    x, g = rng.standard_normal((2, 2, 9, 8)), rng.standard_normal((2, 3, 4, 3))
    found = answer.weight_gradient(x, g, (3, 3), 2)
    yield ("a stride of 2 finds its pixels",
           np.shape(found) == (3, 2, 3, 3) and np.allclose(found, by_definition(x, g, (3, 3), 2)),
           "the stride multiplies the position (i, j), not the place in the kernel (u, v)")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
