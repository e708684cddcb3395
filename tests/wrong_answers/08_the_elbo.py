"""Typical wrong answers to exercise 08, each with words of the hint that it must get."""

import numpy as np


def per_unit(mu, log_var, prior_mu, prior_log_var):
    squared = (mu - prior_mu) ** 2 / np.exp(prior_log_var)
    log_ratio = log_var - prior_log_var
    return 0.5 * (squared + np.exp(log_ratio) - 1 - log_ratio)


def over_the_examples(*clouds):
    return per_unit(*clouds).sum(0)


def averaged(*clouds):
    return per_unit(*clouds).mean(1)


def variance_squared(mu, log_var, prior_mu, prior_log_var):
    return per_unit(mu, 2 * log_var, prior_mu, 2 * prior_log_var).sum(1)


def prior_forgotten(mu, log_var, prior_mu, prior_log_var):
    return per_unit(mu, log_var, 0, 0).sum(1)


def prior_log_var_forgotten(mu, log_var, prior_mu, prior_log_var):
    return per_unit(mu, log_var, prior_mu, 0).sum(1)


def distance_in_other_units(mu, log_var, prior_mu, prior_log_var):
    log_ratio = log_var - prior_log_var
    return 0.5 * ((mu - prior_mu) ** 2 + np.exp(log_ratio) - 1 - log_ratio).sum(1)


def per_draw(f, mu, log_var, noise, baseline, wide=0.5, score=lambda e: 0.5 * (e * e - 1)):
    sigma = np.exp(wide * log_var)
    good = (f(mu + sigma * noise) - baseline)[:, None]
    return good * noise / sigma, good * score(noise)


def not_averaged(*given):
    return per_draw(*given)


def variance_for_sigma(f, mu, log_var, noise, baseline):
    variance = np.exp(log_var)
    good = (f(mu + variance * noise) - baseline)[:, None]
    return (good * noise / np.exp(log_var / 2)).mean(0), (good * (noise ** 2 - 1) / 2).mean(0)


def only_noise(f, mu, log_var, noise, baseline):
    by_mu, by_log_var = per_draw(f, mu, log_var, noise, baseline)
    return (by_mu * np.exp(log_var / 2)).mean(0), by_log_var.mean(0)


def half_forgotten(*given):
    by_mu, by_log_var = per_draw(*given, score=lambda e: e * e - 1)
    return by_mu.mean(0), by_log_var.mean(0)


def density_without_its_width(*given):
    by_mu, by_log_var = per_draw(*given, score=lambda e: 0.5 * e * e)
    return by_mu.mean(0), by_log_var.mean(0)


def baseline_left_out(f, mu, log_var, noise, baseline):
    return tuple(g.mean(0) for g in per_draw(f, mu, log_var, noise, 0))


def baseline_in_one(f, mu, log_var, noise, baseline):
    return (per_draw(f, mu, log_var, noise, baseline)[0].mean(0),
            per_draw(f, mu, log_var, noise, 0)[1].mean(0))


WRONG = [
    ({"kl_of_two": per_unit}, "sum over the units"),
    ({"kl_of_two": over_the_examples}, "sum over the units"),
    ({"kl_of_two": averaged}, "not averaged"),
    ({"kl_of_two": variance_squared}, "not its square"),
    ({"kl_of_two": prior_forgotten}, "mu counts from prior_mu"),
    ({"kl_of_two": prior_log_var_forgotten}, "log_var from prior_log_var"),
    ({"kl_of_two": distance_in_other_units}, "measured in variances of the prior"),
    ({"score_gradient": not_averaged}, "the means over the draws"),
    ({"score_gradient": variance_for_sigma}, "sigma = exp(log_var / 2)"),
    ({"score_gradient": only_noise}, "which is noise / sigma"),
    ({"score_gradient": half_forgotten}, "from q's density"),
    ({"score_gradient": density_without_its_width}, "from q's density"),
    ({"score_gradient": baseline_left_out}, "only what differs"),
    ({"score_gradient": baseline_in_one}, "in both gradients"),
]
