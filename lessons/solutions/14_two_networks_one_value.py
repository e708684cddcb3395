"""Answers to exercise 14."""

import numpy as np


def best_discriminator(log_p, log_g, share):
    """D = share p / (share p + (1 - share) g), by its logit: the logs of the two, subtracted."""
    logits = log_p - log_g + np.log(share) - np.log(1 - share)
    return 1 / (1 + np.exp(-logits))


def slopes(logits, loss):
    """-D or -(1 - D), over N because the loss is a mean."""
    d = 1 / (1 + np.exp(-logits))
    return (-d if loss == "minimax" else d - 1) / len(logits)
