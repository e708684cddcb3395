"""Convolution and pooling by definition, one number at a time: the reference for the fast ones.

Nothing here is clever, and nothing here is shared with the library. `stride`, `padding` and
`dilation` are (vertical, horizontal) pairs. Images are (N, C, H, W).
"""

import math

import numpy as np


def conv2d(x, weight, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """y[n, o, i, j] = sum over c, u, v of weight[o, c, u, v] * x[n, c, row, column].

    row = stride i + dilation u - padding, and column = stride j + dilation v - padding.
    x (N, C, H, W), weight (O, C / groups, kh, kw). Outside of the image, x is 0. With groups, the
    output channels of a group see only the input channels of that group.
    """
    (images, _, height, width), (outputs, channels, kh, kw) = x.shape, weight.shape
    oh = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((images, outputs, oh, ow))
    for n in range(images):
        for o in range(outputs):
            group = o // (outputs // groups)
            for i in range(oh):
                for j in range(ow):
                    for c in range(channels):
                        for u in range(kh):
                            for v in range(kw):
                                row = stride[0] * i + dilation[0] * u - padding[0]
                                column = stride[1] * j + dilation[1] * v - padding[1]
                                if 0 <= row < height and 0 <= column < width:
                                    seen = x[n, group * channels + c, row, column]
                                    y[n, o, i, j] += weight[o, c, u, v] * seen
    return y


def conv_transpose2d(x, weight, stride=(1, 1), padding=(0, 0), output_padding=(0, 0), groups=1,
                     dilation=(1, 1)):
    """Each number of x stamps the kernel, times itself, onto the output.

    x (N, C, H, W), weight (C, O / groups, kh, kw). What falls outside is lost. `output_padding`
    makes the output larger at the bottom and the right.
    """
    (images, inputs, height, width), (_, channels, kh, kw) = x.shape, weight.shape
    oh = (height - 1) * stride[0] - 2 * padding[0] + dilation[0] * (kh - 1) + output_padding[0] + 1
    ow = (width - 1) * stride[1] - 2 * padding[1] + dilation[1] * (kw - 1) + output_padding[1] + 1
    y = np.zeros((images, groups * channels, oh, ow))
    for n in range(images):
        for c in range(inputs):
            group = c // (inputs // groups)
            for i in range(height):
                for j in range(width):
                    for o in range(channels):
                        for u in range(kh):
                            for v in range(kw):
                                row = stride[0] * i + dilation[0] * u - padding[0]
                                column = stride[1] * j + dilation[1] * v - padding[1]
                                if 0 <= row < oh and 0 <= column < ow:
                                    stamp = x[n, c, i, j] * weight[c, o, u, v]
                                    y[n, group * channels + o, row, column] += stamp
    return y


def conv2d_weight(x, y, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """How <conv2d(x, weight), y> changes with each weight: x (N, C, H, W), y (N, O, oh, ow)."""
    (images, inputs, height, width), (_, outputs, oh, ow) = x.shape, y.shape
    weight = np.zeros((outputs, inputs, *kernel))
    for n in range(images):
        for o in range(outputs):
            for c in range(inputs):
                for u in range(kernel[0]):
                    for v in range(kernel[1]):
                        for i in range(oh):
                            for j in range(ow):
                                row = stride[0] * i + dilation[0] * u - padding[0]
                                column = stride[1] * j + dilation[1] * v - padding[1]
                                if 0 <= row < height and 0 <= column < width:
                                    weight[o, c, u, v] += y[n, o, i, j] * x[n, c, row, column]
    return weight


def windows(x, kernel, stride, padding, outside):
    """(place in the output, [(number, place in x)]) for every window of x; padding has no place."""
    images, channels, height, width = x.shape
    oh = (height + 2 * padding[0] - kernel[0]) // stride[0] + 1
    ow = (width + 2 * padding[1] - kernel[1]) // stride[1] + 1
    for n, c, i, j in np.ndindex(images, channels, oh, ow):
        seen = []
        for u in range(kernel[0]):
            for v in range(kernel[1]):
                row, column = stride[0] * i + u - padding[0], stride[1] * j + v - padding[1]
                if 0 <= row < height and 0 <= column < width:
                    seen.append((x[n, c, row, column], (n, c, row, column)))
                else:
                    seen.append((outside, None))
        yield (n, c, i, j), seen


def pooled_shape(x, kernel, stride, padding):
    return x.shape[:2] + tuple((n + 2 * p - k) // s + 1
                               for n, k, s, p in zip(x.shape[2:], kernel, stride, padding))


def max_pool2d(x, kernel, stride, padding=(0, 0)):
    """The largest number in each window; padding never wins."""
    y = np.zeros(pooled_shape(x, kernel, stride, padding))
    for place, seen in windows(x, kernel, stride, padding, -math.inf):
        y[place] = max(number for number, _ in seen)
    return y


def max_pool2d_gradient(x, g, kernel, stride, padding=(0, 0)):
    """Each window's gradient goes to the first of its largest numbers, read row by row."""
    result = np.zeros(x.shape)
    for place, seen in windows(x, kernel, stride, padding, -math.inf):
        best, at = -math.inf, None
        for number, where in seen:
            if number > best:
                best, at = number, where
        result[at] += g[place]
    return result


def avg_pool2d(x, kernel, stride, padding=(0, 0)):
    """The sum of each window, with zeros for padding, divided by the size of the window."""
    y = np.zeros(pooled_shape(x, kernel, stride, padding))
    for place, seen in windows(x, kernel, stride, padding, 0.0):
        y[place] = sum(number for number, _ in seen) / (kernel[0] * kernel[1])
    return y


def upsample(x, factor):
    """Output pixel (i, j) is input pixel (i // factor, j // factor)."""
    images, channels, height, width = x.shape
    y = np.zeros((images, channels, height * factor[0], width * factor[1]))
    for n, c, i, j in np.ndindex(y.shape):
        y[n, c, i, j] = x[n, c, i // factor[0], j // factor[1]]
    return y
