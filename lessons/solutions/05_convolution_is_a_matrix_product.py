"""Answers to exercise 05."""

import numpy as np


def out_size(size, kernel, stride, padding, dilation):
    """From its first weight to its last a kernel covers d (k - 1) + 1 pixels; the rest is the way.

    It is gone in whole strides, and the position at its start counts, too.
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def weight_gradient(x, g, kernel, stride):
    """Y = P K^T has, for the kernels, the gradient G^T P: a sum over all positions and images.

    P holds a patch a row, in the order row, column, channel, and G has a position a row.
    """
    (n, c), (o, oh, ow), (kh, kw) = x.shape[:2], g.shape[1:], kernel
    seen = np.empty((n, oh, ow, kh, kw, c), x.dtype)
    for i, j in np.ndindex(oh, ow):
        patch = x[:, :, stride * i:stride * i + kh, stride * j:stride * j + kw]
        seen[:, i, j] = patch.transpose(0, 2, 3, 1)
    rows = g.transpose(0, 2, 3, 1).reshape(-1, o)
    gradient = rows.T @ seen.reshape(-1, kh * kw * c)
    return gradient.reshape(o, kh, kw, c).transpose(0, 3, 1, 2)
