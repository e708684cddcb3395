"""Typical wrong answers to exercise 09, each with words of the hint that it must get."""

import numpy as np


def cost(logits, x):
    return np.maximum(logits, 0) + np.log1p(np.exp(-abs(logits))) - x * logits


def divergence(mu, log_var):
    return 0.5 * (mu ** 2 + np.exp(log_var) - log_var - 1)


def per_image_not_averaged(logits, x, mu, log_var):
    return cost(logits, x).sum(axis=1), divergence(mu, log_var).sum(axis=1)


def mean_over_pixels(logits, x, mu, log_var):
    return cost(logits, x).mean(), divergence(mu, log_var).sum() / len(x)


def summed_over_the_batch(logits, x, mu, log_var):
    return cost(logits, x).sum(), divergence(mu, log_var).sum()


def kl_summed_over_the_batch(logits, x, mu, log_var):
    return cost(logits, x).sum() / len(x), divergence(mu, log_var).sum()


def the_wrong_way_round(logits, x, mu, log_var):
    return cost(logits, 1 - x).sum() / len(x), divergence(mu, log_var).sum() / len(x)


def by_probabilities(logits, x, mu, log_var):
    y = 1 / (1 + np.exp(-logits))
    recon = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum() / len(x)
    return recon, divergence(mu, log_var).sum() / len(x)


def without_the_one(logits, x, mu, log_var):
    kl = 0.5 * (mu ** 2 + np.exp(log_var) - log_var).sum() / len(x)
    return cost(logits, x).sum() / len(x), kl


def deviation_for_variance(logits, x, mu, log_var):
    kl = 0.5 * (mu ** 2 + np.exp(log_var / 2) - log_var - 1).sum() / len(x)
    return cost(logits, x).sum() / len(x), kl


def backwards(a, b, t):
    w = np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return (np.sin(t * w) * a + np.sin((1 - t) * w) * b) / np.sin(w)


def straight(a, b, t):
    return (1 - t) * a + t * b


def lengths_of_two(a, b, t):
    w = np.arccos(np.clip(a @ b / 4, -0.9, 0.9))
    return (np.sin((1 - t) * w) * a + np.sin(t * w) * b) / np.sin(w)


def always_a_right_angle(a, b, t):
    return np.sin((1 - t) * np.pi / 2) * a + np.sin(t * np.pi / 2) * b


WRONG = [
    ({"vae_loss": per_image_not_averaged}, "one number for the whole batch"),
    ({"vae_loss": mean_over_pixels}, "sum over the pixels"),
    ({"vae_loss": summed_over_the_batch}, "by the number of images"),
    ({"vae_loss": kl_summed_over_the_batch}, "both terms"),
    ({"vae_loss": the_wrong_way_round}, "check the sign"),
    ({"vae_loss": by_probabilities}, "exp(900) is infinite"),
    ({"vae_loss": without_the_one}, "where the variance is"),
    ({"vae_loss": deviation_for_variance}, "the standard deviation its root"),
    ({"spherical": backwards}, "the weight of a"),
    ({"spherical": straight}, "not 1 - t and t"),
    ({"spherical": lengths_of_two}, "the product of both lengths"),
    ({"spherical": always_a_right_angle}, "the product of both lengths"),
]
