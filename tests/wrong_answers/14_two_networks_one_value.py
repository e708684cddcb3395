"""Typical wrong answers to exercise 14, each with words of the hint that it must get."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def upside_down(log_p, log_g, share):
    return sigmoid(log_g - log_p - np.log(share) + np.log(1 - share))


def the_bare_ratio(log_p, log_g, share):
    return np.exp(log_p - log_g)


def equal_shares(log_p, log_g, share):
    return sigmoid(log_p - log_g)


def shares_swapped(log_p, log_g, share):
    return sigmoid(log_p - log_g + np.log(1 - share) - np.log(share))


def leaves_the_logs(log_p, log_g, share):
    p, g = share * np.exp(log_p), (1 - share) * np.exp(log_g)
    return p / (p + g)


def uphill(logits, loss):
    d = sigmoid(logits)
    return (d if loss == "minimax" else 1 - d) / len(logits)


def a_sum(logits, loss):
    d = sigmoid(logits)
    return -d if loss == "minimax" else d - 1


def losses_swapped(logits, loss):
    d = sigmoid(logits)
    return (d - 1 if loss == "minimax" else -d) / len(logits)


def by_the_probability(logits, loss):
    d = sigmoid(logits)
    return (-1 / (1 - d) if loss == "minimax" else -1 / d) / len(logits)


def one_loss_for_both(logits, loss):
    return (sigmoid(logits) - 1) / len(logits)


WRONG = [
    ({"best_discriminator": upside_down}, "set the slope"),
    ({"best_discriminator": the_bare_ratio}, "set the slope"),
    ({"best_discriminator": equal_shares}, "as often as they are seen"),
    ({"best_discriminator": shares_swapped}, "as often as they are seen"),
    ({"best_discriminator": leaves_the_logs}, "never leave the logs"),
    ({"slopes": uphill}, "mind the sign"),
    ({"slopes": a_sum}, "each slope has a factor 1 / N"),
    ({"slopes": losses_swapped}, "-log D has the slope -(1 - D)"),
    ({"slopes": by_the_probability}, "-log D has the slope -(1 - D)"),
    ({"slopes": one_loss_for_both}, "log(1 - D) has the slope -D"),
]
