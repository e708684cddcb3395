"""Typical wrong answers to exercise 15, each with words of the hint that it must get."""

import math

import numpy as np


def canvas_too_long(size, kernel, stride, padding):
    canvas = np.zeros(size * stride + kernel, int)
    for i in range(size):
        canvas[i * stride:i * stride + kernel] += 1
    return canvas[padding:len(canvas) - padding]


def overwriting(size, kernel, stride, padding):
    canvas = np.zeros((size - 1) * stride + kernel, int)
    for i in range(size):
        canvas[i * stride:i * stride + kernel] = 1
    return canvas[padding:len(canvas) - padding]


def padding_added(size, kernel, stride, padding):
    canvas = np.zeros((size - 1) * stride + kernel + 2 * padding, int)
    for i in range(size):
        canvas[padding + i * stride:padding + i * stride + kernel] += 1
    return canvas


def sliced_to_nothing(size, kernel, stride, padding):
    canvas = np.zeros((size - 1) * stride + kernel, int)
    for i in range(size):
        canvas[i * stride:i * stride + kernel] += 1
    return canvas[padding:-padding]


def gaps_left_out(size, kernel, stride, padding):
    canvas = np.zeros((size - 1) * stride + kernel, int)
    for i in range(size):
        canvas[i * stride:i * stride + kernel] += 1
    canvas = canvas[padding:len(canvas) - padding]
    return canvas[canvas > 0]


def shares_of(probabilities):
    return np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]) / len(
        probabilities)


def entropy_of(share):
    share = share[share > 0]
    return -(share * np.log(share)).sum()


def not_divided(probabilities):
    return entropy_of(shares_of(probabilities)), probabilities.max(1).mean()


def nan_for_nothing(probabilities):
    share = shares_of(probabilities)
    return (-(share * np.log(share)).sum() / np.log(len(share)),
            probabilities.max(1).mean())


def of_mean_probabilities(probabilities):
    entropy = entropy_of(probabilities.mean(0)) / np.log(probabilities.shape[1])
    return entropy, probabilities.max(1).mean()


def confidence_of_a_class(probabilities):
    entropy = entropy_of(shares_of(probabilities)) / np.log(probabilities.shape[1])
    return entropy, probabilities.max()


def by_classes_found(probabilities):
    share = shares_of(probabilities)
    found = max((share > 0).sum(), 2)
    return entropy_of(share) / np.log(found), probabilities.max(1).mean()


def refused_for_nothing(probabilities):
    share = shares_of(probabilities)
    entropy = -sum([p * math.log(p) for p in share]) / math.log(len(share))
    return entropy, probabilities.max(1).mean()


WRONG = [
    ({"stamps_on": canvas_too_long}, "a single stamp"),
    ({"stamps_on": overwriting}, "both count"),
    ({"stamps_on": padding_added}, "makes a transposed convolution smaller"),
    ({"stamps_on": sliced_to_nothing}, "a single stamp"),
    ({"stamps_on": gaps_left_out}, "with a 0"),
    ({"class_figures": not_divided}, "log(classes)"),
    ({"class_figures": nan_for_nothing}, "0 log 0 is 0"),
    ({"class_figures": refused_for_nothing}, "0 log 0 is 0"),
    ({"class_figures": of_mean_probabilities}, "likeliest class"),
    ({"class_figures": confidence_of_a_class}, "mean over samples"),
    ({"class_figures": by_classes_found}, "found or not"),
]
