"""Typical wrong answers to exercise 05, each with words of the hint that it must get."""

import numpy as np


def no_first_position(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride


def padding_once(size, kernel, stride, padding, dilation):
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def stride_of_positions(size, kernel, stride, padding, dilation):
    """Every second one of 5 positions: that is 3 of them, not 5 // 2."""
    return (size + 2 * padding - dilation * (kernel - 1)) // stride


def rounded_up(size, kernel, stride, padding, dilation):
    return -(-(size + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1


def without_dilation(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - kernel) // stride + 1


def dilation_of_each_weight(size, kernel, stride, padding, dilation):
    return (size + 2 * padding - dilation * kernel) // stride + 1


def gradient(x, g, kernel, stride, spread=1):
    """The right one if `spread` is 1: loops over the places (u, v) of the kernel."""
    (oh, ow), (kh, kw) = g.shape[2:], kernel
    result = np.empty((g.shape[1], x.shape[1], kh, kw))
    for u, v in np.ndindex(kh, kw):
        top, left = spread * u, spread * v
        seen = x[:, :, top:top + stride * (oh - 1) + 1:stride,
                 left:left + stride * (ow - 1) + 1:stride]
        result[:, :, u, v] = np.einsum("noij,ncij->oc", g, seen)
    return result


def flat(x, g, kernel, stride):
    return gradient(x, g, kernel, stride).reshape(g.shape[1], -1)


def turned(x, g, kernel, stride):
    return gradient(x, g, kernel, stride)[:, :, ::-1, ::-1]


def channels_swapped(x, g, kernel, stride):
    return gradient(x, g, kernel, stride).transpose(1, 0, 2, 3)


def patch_order(x, g, kernel, stride):
    right = gradient(x, g, kernel, stride)
    return right.transpose(0, 2, 3, 1).reshape(right.shape)


def mean_over_images(x, g, kernel, stride):
    return gradient(x, g, kernel, stride) / len(x)


def stride_in_the_kernel(x, g, kernel, stride):
    return gradient(x, g, kernel, 1, spread=stride)


def without_stride(x, g, kernel, stride):
    return gradient(x, g, kernel, 1)


WRONG = [
    ({"out_size": no_first_position}, "the first position counts"),
    ({"out_size": padding_once}, "zeros come at both ends"),
    ({"out_size": stride_of_positions}, "the stride divides the way"),
    ({"out_size": rounded_up}, "rounded down"),
    ({"out_size": without_dilation}, "k - 1 gaps"),
    ({"out_size": dilation_of_each_weight}, "k - 1 gaps"),
    ({"weight_gradient": flat}, "as large as the weights"),
    ({"weight_gradient": turned}, "meets one pixel at each position"),
    ({"weight_gradient": channels_swapped}, "first the channels of g"),
    ({"weight_gradient": patch_order}, "reshape keeps it"),
    ({"weight_gradient": mean_over_images}, "is summed"),
    ({"weight_gradient": stride_in_the_kernel}, "not the place in the kernel"),
    ({"weight_gradient": without_stride}, "not the place in the kernel"),
]
