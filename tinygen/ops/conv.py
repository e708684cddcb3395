"""Convolution as a matrix product.

Three primitives, each linear in both arguments, and each one's derivatives are the other two:

    conv2d(x, w) = y           x (N, C, H, W), w (O, C, kh, kw), y (N, O, oh, ow)
    conv_transpose2d(y, w)     the transpose of y = conv2d(x, w) as a map of x: dL/dx from dL/dy
    conv2d_weight(x, y)        the same as a map of w: dL/dw from dL/dy

The first two also add a bias, a number for each channel of the result, or None.

Images have the shape (N, C, H, W), but in memory their channels come last. Then one row of a patch
is one run of numbers, and gathering patches is copying runs:

    memory of one image:   pixel (0,0)   pixel (0,1)   pixel (0,2)   ...
                          [ c0 c1 c2 ] [ c0 c1 c2 ] [ c0 c1 c2 ]   ...
    a 2x2 patch:          [ row 0: kw * C numbers ] [ row 1: kw * C numbers ]

All patches, one a row, times the weights, one output channel a column, is the convolution. The
product has its channels last again. The weights of a layer lie in memory as that second matrix:
(kh, kw, C, O), under the shape (O, C, kh, kw). All patches together are many times larger than the
images, so a few images are taken at a time: their patches are used while they are still in the
processor's cache. If there are few, they stay, since the gradient of the weight needs them again.

`stride`, `padding` and `dilation` are (vertical, horizontal) pairs. `functional.py` has the
versions for everyday use, `tests/naive.py` the seven nested loops that these are held against.
"""

import math

from ..backend import array_module, windows
from ..tensor import op
from .normalise import total, whole
from .shapes import channels_first, channels_last

CACHE = 2 ** 19       # how many numbers of patches are gathered at once: 2 MiB of float32
KEPT = 2 ** 22        # how many a convolution keeps for the gradient of its weight: 16 MiB


def columns(weight):
    """(O, C, kh, kw) as a matrix (kh * kw * C, O): what a patch is multiplied by."""
    o, c, kh, kw = weight.shape
    return weight.transpose(2, 3, 1, 0).reshape(kh * kw * c, o)


def from_columns(matrix, c, kernel):
    """The reverse of `columns`: (kh * kw * C, O) as (O, C, kh, kw)."""
    return matrix.reshape(*kernel, c, matrix.shape[1]).transpose(3, 2, 0, 1)


def out_size(size, kernel, stride, padding, dilation):
    """How many positions a kernel takes along each dimension."""
    return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1
                  for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)])


def patches(x, kernel, stride, padding, dilation, positions, rows_first=False):
    """What the kernel sees at each of `positions` (oh, ow), a few images at a time.

    It yields pairs: which images, as a slice, and their patches, (images, oh, ow, kh * kw * C), or
    with `rows_first` (oh, images, ow, kh * kw * C). They are in new memory each time: writing over
    the last ones would wait for the other core that has read them.
    """
    (n, c, h, w), (kh, kw), (ph, pw), (oh, ow) = x.shape, kernel, padding, positions
    pieces = max(1, min(n, -(-n * oh * ow * kh * kw * c // CACHE)))
    parts = [slice(n * i // pieces, n * (i + 1) // pieces) for i in range(pieces)]
    room = [max(i + 2 * p, (o - 1) * s + (k - 1) * d + 1) for i, p, o, s, k, d in zip(
        (h, w), padding, positions, stride, kernel, dilation)]    # for x and the kernel's way
    padded = array_module(x).zeros((-(-n // pieces), *room, c), x.dtype)
    steps = [s * step for s, step in zip(padded.strides, (1, *stride))]
    steps += [s * d for s, d in zip(padded.strides[1:], dilation)]
    if dilation[1] == 1:      # a row of a patch is one run in memory
        runs = windows(padded, (len(padded), oh, ow, kh), steps[:4], kw * c)
    else:
        runs = windows(padded, (len(padded), oh, ow, kh, kw), steps, c)
    for part in parts:
        some = runs[:part.stop - part.start]
        padded[:len(some), ph:ph + h, pw:pw + w] = channels_last(x[part])
        seen = (some.swapaxes(0, 1) if rows_first else some).copy()
        yield part, seen.view(x.dtype).reshape(*seen.shape[:3], kh * kw * c)


def flat(x):
    """(N, oh, ow, K) as a matrix with a position a row."""
    return x.reshape(x.shape[0] * x.shape[1] * x.shape[2], x.shape[3])


def scatter(y, weight, stride, padding, dilation, size):
    """The transposed convolution as it is defined: each pixel of y adds its patch to the output."""
    (n, _, oh, ow), (_, c, kh, kw) = y.shape, weight.shape
    stamps = (flat(channels_last(y)) @ columns(weight).T).reshape(n, oh, ow, kh, kw, c)
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    out = array_module(y).zeros((n, size[0] + 2 * ph, size[1] + 2 * pw, c), y.dtype)
    for i in range(kh):
        for j in range(kw):
            out[:, i * dh:i * dh + oh * sh:sh, j * dw:j * dw + ow * sw:sw] += stamps[:, :, :, i, j]
    return channels_first(out[:, ph:ph + size[0], pw:pw + size[1]])


def cells(kernel, stride, padding, size):
    """What `interleave` needs to know about one dimension.

    It returns how many pixels of y a cell takes from, how many zeros to put before y, how many
    cells have output in them, and how many pixels of the first are cut off.
    """
    m = -(-kernel // stride)
    first = min(padding // stride, m - 1)
    return m, m - 1 - first, -(-(padding + size) // stride) - first, padding - first * stride


def interleave(y, weight, stride, padding, size):
    """The same without dilation, as convolutions of stride 1 whose results are interleaved.

    Pixel s q + r of the padded output takes from y only at q, q-1, ..., with every s-th weight: all
    s x s pixels of output cell q come from one patch of y. A row of pixels through cells side by
    side is one product with s * C columns, which lie in memory as they do in the output:

        stride 2, padding 1:    cell 0     cell 1     cell 2
                               [ -  x0 ]  [ x1 x2 ]  [ x3  - ]      - is padding, cut off

    So each of the s rows of a cell is a product of its own. The patches are ordered by rows, and a
    product leaves out those whose row is cut off.
    """
    (n, o), (c, kh, kw), (sh, sw) = y.shape[:2], weight.shape[1:], stride
    (mh, bh, qh, ph), (mw, bw, qw, pw) = map(cells, (kh, kw), stride, padding, size)
    full = array_module(y).zeros((mh * sh, mw * sw, c, o), y.dtype)
    full[:kh, :kw] = weight.transpose(2, 3, 1, 0)
    taps = full.reshape(mh, sh, mw, sw, c, o)[::-1, :, ::-1].transpose(1, 3, 4, 0, 2, 5)
    taps = taps.reshape(sh, sw * c, mh * mw * o)     # for each row of a cell, from a patch to it
    out = array_module(y).empty((n, *size, c), y.dtype)
    for part, seen in patches(y, (mh, mw), (1, 1), (bh, bw), (1, 1), (qh, qw), rows_first=True):
        for i in range(sh):                          # rows i, i + s, ... of the output
            rows = out[part, i::sh].swapaxes(0, 1)
            q, r = divmod(i + ph, sh)
            some = seen[q:q + len(rows)]
            new = (flat(some) @ taps[r].T).reshape(*some.shape[:2], qw * sw, c)[:, :, pw:]
            rows[...] = new[:, :, :size[1]]
    return channels_first(out)


@op(lambda g, out, x, weight, bias, stride, padding, dilation, keep=False, shared=None:
    conv_transpose2d(g, weight, None, stride, padding, dilation, x.shape[2:]),
    lambda g, out, x, weight, bias, stride, padding, dilation, keep=False, shared=None:
    conv2d_weight(x, g, weight.shape[2:], stride, padding, dilation, shared),
    lambda g, out, *arguments, shared: total(g), share=lambda *arguments, kept: kept)
def conv2d(x, weight, bias, stride, padding, dilation, keep=False):
    """y[n, o, i, j] = sum over c, u, v of w[o, c, u, v] x[n, c, s i + d u - p, s j + d v - p].

    Plus bias[o]. x (N, C, H, W), weight (O, C, kh, kw), bias (O,) or None, y (N, O, oh, ow). With
    `keep` the patches stay for the gradient of the weight, unless they are more than `KEPT`.
    """
    xp, kernel, kernels, kept = array_module(x), weight.shape[2:], columns(weight), []
    positions = out_size(x.shape[2:], kernel, stride, padding, dilation)
    out = channels_first(xp.empty((x.shape[0], *positions, weight.shape[0]), x.dtype))
    keep = keep and len(x) * math.prod(positions) * len(kernels) <= KEPT
    for part, seen in patches(x, kernel, stride, padding, dilation, positions):
        xp.matmul(flat(seen), kernels, out=flat(channels_last(out[part])))
        if keep:
            kept.append((part, seen))
    if bias is not None:
        out += whole(bias, out)
    return out, kept


# An output_padding of `stride` or more, which a larger dilation allows, makes room for more
# positions than y has. Here and in the last rule they are cut off.
@op(lambda g, out, y, weight, bias, stride, padding, dilation, size:
    conv2d(g, weight, None, stride, padding, dilation)[:, :, :y.shape[2], :y.shape[3]],
    lambda g, out, y, weight, bias, stride, padding, dilation, size:
    conv2d_weight(g, y, weight.shape[2:], stride, padding, dilation),
    lambda g, out, y, weight, bias, stride, padding, dilation, size: total(g))
def conv_transpose2d(y, weight, bias, stride, padding, dilation, size):
    """The x-gradient of `conv2d`: y (N, O, oh, ow) and the weight to (N, C, *size).

    It is PyTorch's transposed convolution, with the size of the result given, not derived. The bias
    is (C,) or None.
    """
    if dilation == (1, 1) and weight.shape[1] > 1:
        out = interleave(y, weight, stride, padding, size)
    else:
        out = scatter(y, weight, stride, padding, dilation, size)    # faster for one channel
    if bias is not None:
        out += whole(bias, out)
    return out


@op(lambda g, out, x, y, kernel, stride, padding, dilation, kept=None:
    conv_transpose2d(y, g, None, stride, padding, dilation, x.shape[2:]),
    lambda g, out, x, y, kernel, stride, padding, dilation, kept=None:
    conv2d(x, g, None, stride, padding, dilation)[:, :, :y.shape[2], :y.shape[3]])
def conv2d_weight(x, y, kernel, stride, padding, dilation, kept=None):
    """The weight-gradient of `conv2d`: x (N, C, H, W), y (N, O, oh, ow) to the weight's shape.

    `kept` are the patches of x as `patches` yields them, where `conv2d` has kept them.
    """
    out = array_module(x).zeros((math.prod(kernel) * x.shape[1], y.shape[1]), x.dtype)
    for part, seen in kept or patches(x, kernel, stride, padding, dilation, y.shape[2:]):
        pixels = flat(channels_last(y[part]))
        # Of the two ways to write this product, the tall one is faster.
        out += flat(seen).T @ pixels if len(out) > y.shape[1] else (pixels.T @ flat(seen)).T
    return from_columns(out, x.shape[1], kernel)
