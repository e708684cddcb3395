"""Typical wrong answers to exercise 12, each with words of the hint that it must get."""

import numpy as np


def mean_everywhere(x, known, train):
    return np.tile(train.mean(axis=0), (len(x), 1))


def mask_the_wrong_way_round(x, known, train):
    return (1 - known) * x + known * train.mean(axis=0)


def one_grey_for_all(x, known, train):
    return known * x + (1 - known) * train.mean()


def mean_in_place(x, known, train):
    x[:, known == 0] = train.mean(axis=0)[known == 0]
    return x


def nearest_by_all_pixels(x, known, train):
    squared = ((x[:, None] - train) ** 2).sum(axis=2)
    return known * x + (1 - known) * train[squared.argmin(axis=1)]


def the_whole_neighbour(x, known, train):
    return train[(known * (x[:, None] - train) ** 2).sum(axis=2).argmin(axis=1)]


def without_the_square(x, known, train):
    distance = abs((known * (x[:, None] - train)).sum(axis=2))
    return known * x + (1 - known) * train[distance.argmin(axis=1)]


def without_the_prior(z, x, known, W, weight):
    return weight * 2 * (known * (z @ W - x)) @ W.T


def forgotten_mask(z, x, known, W, weight):
    return weight * 2 * (z @ W - x) @ W.T + z


def without_the_two(z, x, known, W, weight):
    return weight * (known * (z @ W - x)) @ W.T + z


def weight_on_both(z, x, known, W, weight):
    return weight * (2 * (known * (z @ W - x)) @ W.T + z)


def weight_forgotten(z, x, known, W, weight):
    return 2 * (known * (z @ W - x)) @ W.T * (weight > 0) + z


WRONG = [
    ({"by_mean": mean_everywhere}, "known * x is what stays"),
    ({"by_mean": mask_the_wrong_way_round}, "known * x is what stays"),
    ({"by_mean": one_grey_for_all}, "axis 0"),
    ({"by_mean": mean_in_place}, "make a new array"),
    ({"by_neighbour": nearest_by_all_pixels}, "must not decide"),
    ({"by_neighbour": the_whole_neighbour}, "keep the known pixels"),
    ({"by_neighbour": without_the_square}, "square each difference"),
    ({"search_gradient": without_the_prior}, "is z"),
    ({"search_gradient": weight_on_both}, "is z"),
    ({"search_gradient": forgotten_mask}, "2 * known * (made - x)"),
    ({"search_gradient": without_the_two}, "2 * known * (made - x)"),
    ({"search_gradient": weight_forgotten}, "and only that"),
]
