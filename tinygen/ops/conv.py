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

A kernel of 4 rows in steps of 2 sees each row of pixels twice: with its upper half, and a row of
the result earlier, with its lower one. So patches of half the height are enough. With a and b for
the upper and the lower half of the weights, each row of the result is a sum of two products:

    rows of pixels:        [ 0 1 ][ 2 3 ][ 4 5 ][ 6 7 ]     half patches r0, r1, r2, r3
    rows of the result:    r0 a + r1 b,   r1 a + r2 b,   r2 a + r3 b

`slide` needs three products for two such rows, not four, which pays if there are many channels.

`stride`, `padding` and `dilation` are (vertical, horizontal) pairs. `functional.py` has the
versions for everyday use, `tests/naive.py` the seven nested loops that these are held against.
"""

import math

from ..backend import array_module, windows
from ..tensor import op
from .normalise import total, whole
from .shapes import channels_first, channels_last

CACHE = 2 ** 20       # how many numbers of patches are gathered at once: 4 MiB of float32
KEPT = 2 ** 22        # the most that one keeps for the gradient of its weight: 16 MiB
WIDE = 32             # from so many channels of x and of y on, rows share products in `slide`


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


def patches(x, kernel, stride, padding, dilation, positions, by_rows=False):
    """What the kernel sees at each of `positions` (oh, ow), a few images at a time.

    It yields pairs: which images, as a slice, and a list of their patches. The list has one array,
    (images, oh, ow, kh * kw * C), or if `by_rows` two, (rows, images, ow, kh * kw * C): of rows 0,
    2, 4, ... of positions, and of rows 1, 3, 5, ... They are in new memory each time: writing over
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
    run = kw if dilation[1] == 1 else 1       # how much of a row of a patch is one run in memory
    runs = windows(padded, (len(padded), oh, ow, kh, kw // run), steps, run * c)
    for part in parts:
        some = runs[:part.stop - part.start]
        padded[:len(some), ph:ph + h, pw:pw + w] = channels_last(x[part])
        seen = [some[:, i::2].swapaxes(0, 1) for i in (0, 1)] if by_rows else [some]
        yield part, [s.copy().view(x.dtype).reshape(*s.shape[:3], kh * kw * c) for s in seen]


def patches_of(x, y, kernel, stride, padding, dilation):
    """The patches of x that y = conv2d(x, w) takes: whole ones, or halves, by rows, for `slide`.

    The lower half of a kernel two steps tall sees what the upper half sees for the next row of y.
    """
    (oh, ow), wide = y.shape[2:], min(x.shape[1], y.shape[1]) >= WIDE
    if kernel[0] == 2 * stride[0] and dilation[0] == 1 and wide:
        return patches(x, (stride[0], kernel[1]), stride, padding, dilation, (oh + 1, ow), True)
    return patches(x, kernel, stride, padding, dilation, (oh, ow))


def slide(rows, first, count, taps, share):
    """out[t] = sum over k of rows[first + t + k] @ taps[k], for t = 0, 1, ..., count - 1.

    `taps` are parts of the weights. `rows` and the result are two arrays each, of the rows 0, 2,
    4, ... and 1, 3, 5, ...: a product takes every second row. With `share`, for two taps a and b,
    an odd row of the result takes one product, and two that its neighbours need anyway (after the
    multiplication of Karatsuba and Ofman, 1962). From r0 = rows[first] on:

        out[0] = r0 a + r1 b
        out[1] =        r1 a + r2 b = (r1 + r2) (a + b) - r1 b - r2 a
        out[2] =               r2 a + r3 b

    Rounding errors become 1.2 to 1.4 times as large, more if a row is far larger than the next, and
    infinity can become nan.
    """
    def at(start, n):
        return rows[start % 2][start // 2:start // 2 + n]

    dot, evens, odds = array_module(taps[0]).tensordot, (count + 1) // 2, count // 2
    if not share:
        out = [dot(at(first, evens), taps[0], 1), dot(at(first + 1, odds), taps[0], 1)]
        for k, tap in enumerate(taps[1:], 1):
            for i, sums in enumerate(out):
                sums += dot(at(first + i + k, len(sums)), tap, 1)
        return out
    even = dot(at(first + 1, evens), taps[1], 1)                                # r1 b, r3 b, ...
    odd = dot(at(first + 1, odds) + at(first + 2, odds), taps[0] + taps[1], 1)
    odd -= even[:odds]
    upper = dot(at(first, odds + 1), taps[0], 1)                                # r0 a, r2 a, ...
    odd -= upper[1:]
    even += upper[:evens]
    return even, odd


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
    s x s pixels of output cell q come from the same rows of y. A row of pixels through cells side
    by side is a sum of products with s * C columns, which lie in memory as they do in the output:

        stride 2, padding 1:    cell 0     cell 1     cell 2
                               [ -  x0 ]  [ x1 x2 ]  [ x3  - ]      - is padding, cut off

    So each of the s rows of a cell has products of its own, which `slide` adds up; they may share
    some if s < kh <= 2 s. The patches are one row of y tall, and ordered by rows: a product leaves
    out those whose row is cut off.
    """
    (n, o), (c, kh, kw), (sh, sw) = y.shape[:2], weight.shape[1:], stride
    (mh, bh, qh, ph), (mw, bw, qw, pw) = map(cells, (kh, kw), stride, padding, size)
    full = array_module(y).zeros((mh * sh, mw * sw, c, o), y.dtype)
    full[:kh, :kw] = weight.transpose(2, 3, 1, 0)
    taps = full.reshape(mh, sh, mw, sw, c, o)[::-1, :, ::-1].transpose(1, 0, 2, 5, 3, 4)
    taps = taps.reshape(sh, mh, mw * o, sw * c)     # for each row of a cell, from patches to it
    share = mh == 2 and min(c, o) >= WIDE
    out = array_module(y).empty((n, *size, c), y.dtype)
    for part, seen in patches(y, (1, mw), (1, 1), (bh, bw), (1, 1), (qh + mh - 1, qw), True):
        for i in range(sh):                          # rows i, i + s, ... of the output
            rows = out[part, i::sh].swapaxes(0, 1)
            q, r = divmod(i + ph, sh)
            for j, new in enumerate(slide(seen, q, len(rows), taps[r], share)):
                new = new.reshape(*new.shape[:2], qw * sw, c)
                rows[j::2] = new[:, :, pw:pw + size[1]]
    return channels_first(out)


@op(lambda g, out, x, weight, bias, stride, padding, dilation, keep=False, shared=None:
    conv_transpose2d(g, weight, None, stride, padding, dilation, x.shape[2:]),
    lambda g, out, x, weight, bias, stride, padding, dilation, keep=False, shared=None:
    conv2d_weight(x, g, weight.shape[2:], stride, padding, dilation, shared),
    lambda g, out, *arguments, shared: total(g), share=lambda *arguments, kept: kept)
def conv2d(x, weight, bias, stride, padding, dilation, keep=False):
    """y[n, o, i, j] = sum over c, u, v of w[o, c, u, v] x[n, c, s i + d u - p, s j + d v - p].

    Plus bias[o]. x (N, C, H, W), weight (O, C, kh, kw), bias (O,) or None, y (N, O, oh, ow). With
    `keep` the patches stay for the gradient of the weight, unless whole ones are more than `KEPT`.
    """
    xp, kernel, kernels, kept = array_module(x), weight.shape[2:], columns(weight), []
    positions = out_size(x.shape[2:], kernel, stride, padding, dilation)
    out = channels_first(xp.empty((x.shape[0], *positions, weight.shape[0]), x.dtype))
    keep = keep and len(x) * math.prod(positions) * len(kernels) <= KEPT
    for part, seen in patches_of(x, out, kernel, stride, padding, dilation):
        if len(seen) == 1:
            xp.matmul(flat(seen[0]), kernels, out=flat(channels_last(out[part])))
        else:
            rows = channels_last(out[part]).swapaxes(0, 1)
            rows[::2], rows[1::2] = slide(seen, 0, len(rows), xp.split(kernels, 2), True)
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

    `kept` are the patches of x as `patches_of` yields them, where `conv2d` has kept them.
    """
    out = array_module(x).zeros((math.prod(kernel) * x.shape[1], y.shape[1]), x.dtype)
    for part, seen in kept or patches_of(x, y, kernel, stride, padding, dilation):
        g = channels_last(y[part])
        if len(seen) == 1:      # of the two ways to write this product, the tall one is faster
            rows, g = flat(seen[0]), flat(g)
            out += rows.T @ g if len(out) > y.shape[1] else (g.T @ rows).T
            continue
        # In `slide`, the product of a half patch and its half of the weights is added to one row
        # and subtracted from a neighbour. So these sums take one row of g minus the other.
        (even, odd), taps = seen, out.reshape(2, -1, y.shape[1])
        rows = array_module(x).zeros((g.shape[1] + 2, len(g), *g.shape[2:]), x.dtype)
        rows[1:-1] = g.swapaxes(0, 1)           # g between two rows of zeros
        taps[0] += flat(even).T @ flat(rows[1::2] - rows[:-1:2])
        taps[1] += flat(odd).T @ flat(rows[1:-1:2] - rows[2::2])
        taps += flat(odd[:len(even) - 1] + even[1:]).T @ flat(rows[2:-1:2])
    return from_columns(out, x.shape[1], kernel)
