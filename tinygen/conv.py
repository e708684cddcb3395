"""Floor 2: convolution as a matrix product.

Three primitives, each linear in both arguments, and each one's derivatives are the other two:

    conv2d(x, w) = y           x (N, C, H, W), w (O, C, kh, kw), y (N, O, oh, ow)
    conv_transpose2d(y, w)     the transpose of y = conv2d(x, w) as a map of x: dL/dx from dL/dy
    conv2d_weight(x, y)        the same as a map of w: dL/dw from dL/dy

Images have the shape (N, C, H, W), but in memory their channels come last. Then one row of a patch
is one run of numbers, and gathering patches is copying runs:

    memory of one image:   pixel (0,0)   pixel (0,1)   pixel (0,2)   ...
                          [ c0 c1 c2 ] [ c0 c1 c2 ] [ c0 c1 c2 ]   ...
    a 2x2 patch:          [ row 0: kw * C numbers ] [ row 1: kw * C numbers ]

All patches, one a row, times the weights, one output channel a column, is the convolution. The
product has its channels last again, so nothing is ever transposed in memory.

`stride`, `padding` and `dilation` are (vertical, horizontal) pairs. `functional.py` has the
versions for everyday use, `tests/naive.py` the seven nested loops that these are held against.
"""

from .backend import array_module
from .tensor import op


def last(x):
    """(N, C, H, W) seen as (N, H, W, C)."""
    return x.transpose(0, 2, 3, 1)


def first(x):
    """(N, H, W, C) seen as (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def rows(x):
    """(N, C, H, W) as a matrix with a pixel a row and a channel a column."""
    return last(x).reshape(x.shape[0] * x.shape[2] * x.shape[3], x.shape[1])


def out_size(size, kernel, stride, padding, dilation):
    """How many positions a kernel takes along each dimension."""
    return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1
                  for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)])


def patches(x, kernel, stride, padding, dilation, positions):
    """What the kernel sees at each of `positions` (oh, ow): a matrix (N * oh * ow, kh * kw * C)."""
    xp = array_module(x)
    (n, c, h, w), (kh, kw), (ph, pw), (oh, ow) = x.shape, kernel, padding, positions
    if ph or pw:
        padded = xp.zeros((n, h + 2 * ph, w + 2 * pw, c), x.dtype)
        padded[:, ph:ph + h, pw:pw + w] = last(x)
    else:
        padded = xp.ascontiguousarray(last(x))
    sn, sh, sw, sc = padded.strides
    shape = (n, oh, ow, kh, kw, c)
    strides = (sn, sh * stride[0], sw * stride[1], sh * dilation[0], sw * dilation[1], sc)
    if dilation[1] == 1:      # a row of a patch is one run in memory: say so
        shape, strides = (n, oh, ow, kh, kw * c), strides[:4] + (padded.itemsize,)
    out = xp.empty(shape, x.dtype)
    out[...] = xp.lib.stride_tricks.as_strided(padded, shape, strides)
    return out.reshape(n * oh * ow, kh * kw * c)


def convolve(x, weight, stride, padding, dilation):
    """One group of `conv2d`, and its patches."""
    o, c, kh, kw = weight.shape
    positions = out_size(x.shape[2:], (kh, kw), stride, padding, dilation)
    seen = patches(x, (kh, kw), stride, padding, dilation, positions)
    out = seen @ weight.transpose(2, 3, 1, 0).reshape(kh * kw * c, o)
    return first(out.reshape(x.shape[0], *positions, o)), seen


def scatter(y, weight, stride, padding, dilation, size):
    """One group of `conv_transpose2d`: each pixel of y adds its patch to the output."""
    (n, o, oh, ow), (c, kh, kw) = y.shape, weight.shape[1:]
    stamps = rows(y) @ weight.transpose(0, 2, 3, 1).reshape(o, kh * kw * c)
    stamps = stamps.reshape(n, oh, ow, kh, kw, c)
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    height = max(size[0] + 2 * ph, (oh - 1) * sh + (kh - 1) * dh + 1)
    width = max(size[1] + 2 * pw, (ow - 1) * sw + (kw - 1) * dw + 1)
    out = array_module(y).zeros((n, height, width, c), y.dtype)
    for i in range(kh):
        for j in range(kw):
            out[:, i * dh:i * dh + oh * sh:sh, j * dw:j * dw + ow * sw:sw] += stamps[:, :, :, i, j]
    return first(out[:, ph:ph + size[0], pw:pw + size[1]])


def interleave(y, weight, stride, padding, size):
    """The same without dilation, as one convolution of stride 1 and an interleaving.

    Output pixel s q + r takes from y only at q, q-1, ..., with every s-th weight. So all s x s
    pixels of output cell q come from one patch of y, as one product with s * s * C columns; then
    the cells are laid side by side.
    """
    xp = array_module(y)
    (n, o, oh, ow), (c, kh, kw), (sh, sw), (ph, pw) = y.shape, weight.shape[1:], stride, padding
    mh, mw = -(-kh // sh), -(-kw // sw)              # how many pixels of y it takes from
    full = xp.zeros((o, c, mh * sh, mw * sw), y.dtype)
    full[:, :, :kh, :kw] = weight
    taps = full.reshape(o, c, mh, sh, mw, sw)[:, :, ::-1, :, ::-1].transpose(2, 4, 0, 3, 5, 1)
    qh, qw = oh + mh - 1, ow + mw - 1                # the number of output cells
    seen = patches(y, (mh, mw), (1, 1), (mh - 1, mw - 1), (1, 1), (qh, qw))
    cells = (seen @ taps.reshape(mh * mw * o, sh * sw * c)).reshape(n, qh, qw, sh, sw, c)
    out = cells.transpose(0, 1, 3, 2, 4, 5).reshape(n, qh * sh, qw * sw, c)
    more = [max(0, p + m - k) for p, m, k in zip(padding, size, out.shape[1:3])]
    if any(more):                                    # output pixels that no pixel of y reaches
        out = xp.pad(out, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)))
    return first(out[:, ph:ph + size[0], pw:pw + size[1]])


def split(x, groups, axis):
    return array_module(x).split(x, groups, axis=axis)


@op(lambda g, out, x, weight, stride, padding, dilation, groups, shared=None:
    conv_transpose2d(g, weight, stride, padding, dilation, groups, x.shape[2:]),
    lambda g, out, x, weight, stride, padding, dilation, groups, shared=None:
    conv2d_weight(x, g, weight.shape[2:], stride, padding, dilation, groups, shared),
    share=lambda g, out, x, weight, stride, padding, dilation, groups, kept: kept)
def conv2d(x, weight, stride, padding, dilation, groups):
    """y[n, o, i, j] = sum over c, u, v of w[o, c, u, v] x[n, c, s i + d u - p, s j + d v - p].

    x (N, C, H, W), weight (O, C / groups, kh, kw), the result (N, O, oh, ow).
    """
    if groups == 1:
        return convolve(x, weight, stride, padding, dilation)
    parts = zip(split(x, groups, 1), split(weight, groups, 0))
    return array_module(x).concatenate(
        [convolve(xg, wg, stride, padding, dilation)[0] for xg, wg in parts], axis=1), None


@op(lambda g, out, y, weight, stride, padding, dilation, groups, size:
    conv2d(g, weight, stride, padding, dilation, groups)[:, :, :y.shape[2], :y.shape[3]],
    lambda g, out, y, weight, stride, padding, dilation, groups, size:
    conv2d_weight(g, y, weight.shape[2:], stride, padding, dilation, groups))
def conv_transpose2d(y, weight, stride, padding, dilation, groups, size):
    """The x-gradient of `conv2d`: y (N, O, oh, ow) and the weight to (N, C, *size).

    It is PyTorch's transposed convolution, with the size of the result given, not derived.
    """
    def one(y, weight):
        if dilation == (1, 1) and weight.shape[1] > 1:
            return interleave(y, weight, stride, padding, size)
        return scatter(y, weight, stride, padding, dilation, size)   # faster for one channel

    if groups == 1:
        return one(y, weight)
    return array_module(y).concatenate(
        [one(yg, wg) for yg, wg in zip(split(y, groups, 1), split(weight, groups, 0))], axis=1)


@op(lambda g, out, x, y, kernel, stride, padding, dilation, groups, seen=None:
    conv_transpose2d(y, g, stride, padding, dilation, groups, x.shape[2:]),
    lambda g, out, x, y, kernel, stride, padding, dilation, groups, seen=None:
    conv2d(x, g, stride, padding, dilation, groups)[:, :, :y.shape[2], :y.shape[3]])
def conv2d_weight(x, y, kernel, stride, padding, dilation, groups, seen=None):
    """The weight-gradient of `conv2d`: x (N, C, H, W) and y (N, O, oh, ow) to the weight's shape.

    `seen` are the patches of x, where the caller has them already.
    """
    def one(x, y, seen):
        if seen is None:
            seen = patches(x, kernel, stride, padding, dilation, y.shape[2:])
        product = seen.T @ rows(y)
        return product.reshape(*kernel, x.shape[1], y.shape[1]).transpose(3, 2, 0, 1)

    if groups == 1:
        return one(x, y, seen)
    return array_module(x).concatenate(
        [one(xg, yg, None) for xg, yg in zip(split(x, groups, 1), split(y, groups, 1))], axis=0)
