"""Typical wrong answers to exercise 04, each with words of the hint that it must get."""

import numpy as np


def softmax(logits, axis=1):
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def one_hot(labels, classes):
    return (labels[:, None] == np.arange(classes)).astype(float)


def right_probability_only(logits, labels):
    return softmax(logits)[np.arange(len(labels)), labels] - 1


def without_one_hot(logits, labels):
    return softmax(logits) / len(labels)


def over_the_batch(logits, labels):
    return (softmax(logits, 0) - one_hot(labels, logits.shape[1])) / len(labels)


def of_the_sum(logits, labels):
    return softmax(logits) - one_hot(labels, logits.shape[1])


def over_all_numbers(logits, labels):
    return of_the_sum(logits, labels) / logits.size


def sign_turned(logits, labels):
    return -of_the_sum(logits, labels) / len(labels)


def powers_of_logits(logits, labels):
    powers = np.exp(logits)
    return (powers / powers.sum(1, keepdims=True) - one_hot(labels, logits.shape[1])) / len(labels)


def one_largest_for_all(logits, labels):
    return powers_of_logits(logits - logits.max(), labels)


def in_place(logits, labels):
    logits -= logits.max(1, keepdims=True)
    return powers_of_logits(logits, labels)


def over_the_units(x, weight, bias, eps):
    centred = x - x.mean(1, keepdims=True)
    return weight * centred / np.sqrt(x.var(1, keepdims=True) + eps) + bias


def over_everything(x, weight, bias, eps):
    return weight * (x - x.mean()) / np.sqrt(x.var() + eps) + bias


def by_n_minus_1(x, weight, bias, eps):
    return weight * (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + eps) + bias


def without_the_root(x, weight, bias, eps):
    return weight * (x - x.mean(0)) / (x.var(0) + eps) + bias


def shifted_before_scaled(x, weight, bias, eps):
    return weight * ((x - x.mean(0)) / np.sqrt(x.var(0) + eps) + bias)


def without_weight_and_bias(x, weight, bias, eps):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


def eps_outside(x, weight, bias, eps):
    return weight * (x - x.mean(0)) / (np.sqrt(x.var(0)) + eps) + bias


def without_eps(x, weight, bias, eps):
    return weight * (x - x.mean(0)) / np.maximum(x.std(0), 1e-30) + bias


WRONG = [
    ({"cross_entropy_gradient": right_probability_only}, "along the row"),
    ({"cross_entropy_gradient": without_one_hot}, "takes 1 away"),
    ({"cross_entropy_gradient": over_the_batch}, "along the row"),
    ({"cross_entropy_gradient": of_the_sum}, "in a mean over N"),
    ({"cross_entropy_gradient": over_all_numbers}, "in a mean over N"),
    ({"cross_entropy_gradient": sign_turned}, "what is the sign"),
    ({"cross_entropy_gradient": powers_of_logits}, "largest logit"),
    ({"cross_entropy_gradient": one_largest_for_all}, "its own largest logit"),
    ({"cross_entropy_gradient": in_place}, "in a new array"),
    ({"batch_norm": over_the_units}, "a unit is a column"),
    ({"batch_norm": over_everything}, "a unit is a column"),
    ({"batch_norm": by_n_minus_1}, "both divide by N"),
    ({"batch_norm": without_the_root}, "is the root"),
    ({"batch_norm": shifted_before_scaled}, "they come last"),
    ({"batch_norm": without_weight_and_bias}, "they come last"),
    ({"batch_norm": eps_outside}, "before the root"),
    ({"batch_norm": without_eps}, "before the root"),
]
