"""Typical wrong answers to exercise 16, each with words of the hint that it must get."""

import numpy as np


def the_entropy(counts):
    q = counts[counts > 0] / counts.sum()
    return -(q * np.log(q)).sum()


def the_forward_kl(counts):
    q = counts / counts.sum()
    return -np.log(len(counts) * q).mean()


def in_bits(counts):
    q = counts[counts > 0] / counts.sum()
    return (q * np.log2(len(counts) * q)).sum()


def zero_times_minus_infinity(counts):
    q = counts / counts.sum()
    return (q * np.log(len(counts) * q)).sum()


def forgets_the_empty_modes(counts):
    q = counts[counts > 0] / counts.sum()
    return (q * np.log(len(q) * q)).sum()


def only_the_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def the_spread(values):
    return values.mean(), values.std(ddof=1)


def n_below(values):
    return values.mean(), values.std() / np.sqrt(len(values))


def divided_by_n(values):
    return values.mean(), values.std(ddof=1) / len(values)


WRONG = [
    ({"reverse_kl": the_entropy}, "compare q with 1 / K"),
    ({"reverse_kl": the_forward_kl}, "weigh each log by the share q"),
    ({"reverse_kl": in_bits}, "natural logs give nats"),
    ({"reverse_kl": zero_times_minus_infinity}, "leave the empty modes out"),
    ({"reverse_kl": forgets_the_empty_modes}, "count them in K"),
    ({"mean_and_error": only_the_error}, "return the pair"),
    ({"mean_and_error": the_spread}, "divide the spread by the root of n"),
    ({"mean_and_error": n_below}, "n - 1 below"),
    ({"mean_and_error": divided_by_n}, "divided by the root of n"),
]
