"""Typical wrong answers to exercise 06, each with words of the hint that it must get."""

import numpy as np


def adam(x, g, m, v, t, lr, betas, eps):
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    return x - lr * m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps), m, v


def only_x(x, g, m, v, t, lr, betas, eps, weight_decay):
    return adam(x * (1 - lr * weight_decay), g, m, v, t, lr, betas, eps)[0]


def in_place(x, g, m, v, t, lr, betas, eps, weight_decay):
    x *= 1 - lr * weight_decay
    return adam(x, g, m, v, t, lr, betas, eps)


def decay_in_the_gradient(x, g, m, v, t, lr, betas, eps, weight_decay):
    return adam(x, g + weight_decay * x, m, v, t, lr, betas, eps)


def corrected_means_returned(x, g, m, v, t, lr, betas, eps, weight_decay):
    x, m, v = adam(x * (1 - lr * weight_decay), g, m, v, t, lr, betas, eps)
    return x, m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)


def uncorrected(x, g, m, v, t, lr, betas, eps, weight_decay):
    _, m, v = adam(x, g, m, v, t, lr, betas, eps)
    return x * (1 - lr * weight_decay) - lr * m / (np.sqrt(v) + eps), m, v


def uphill(x, g, m, v, t, lr, betas, eps, weight_decay):
    shrunk = x * (1 - lr * weight_decay)
    after, m, v = adam(shrunk, g, m, v, t, lr, betas, eps)
    return 2 * shrunk - after, m, v


def eps_under_the_root(x, g, m, v, t, lr, betas, eps, weight_decay):
    _, m, v = adam(x, g, m, v, t, lr, betas, eps)
    root = np.sqrt(v / (1 - betas[1] ** t) + eps)
    return x * (1 - lr * weight_decay) - lr * m / (1 - betas[0] ** t) / root, m, v


def corrected_as_in_the_first_step(x, g, m, v, t, lr, betas, eps, weight_decay):
    _, m, v = adam(x, g, m, v, t, lr, betas, eps)
    step = lr * m / (1 - betas[0]) / (np.sqrt(v / (1 - betas[1])) + eps)
    return x * (1 - lr * weight_decay) - step, m, v


def decay_without_the_rate(x, g, m, v, t, lr, betas, eps, weight_decay):
    return adam(x * (1 - weight_decay), g, m, v, t, lr, betas, eps)


def no_decay(x, g, m, v, t, lr, betas, eps, weight_decay):
    return adam(x, g, m, v, t, lr, betas, eps)


def shrinks_afterwards(x, g, m, v, t, lr, betas, eps, weight_decay):
    x, m, v = adam(x, g, m, v, t, lr, betas, eps)
    return x * (1 - lr * weight_decay), m, v


def one_norm_each(gradients, max_norm):
    norms = [np.sqrt((g * g).sum()) for g in gradients]
    return [g * min(1.0, max_norm / n) for g, n in zip(gradients, norms)], norms[0]


def sum_of_norms(gradients, max_norm):
    norm = sum([np.sqrt((g * g).sum()) for g in gradients])
    return [g * min(1.0, max_norm / norm) for g in gradients], norm


def root_forgotten(gradients, max_norm):
    norm = sum([(g * g).sum() for g in gradients])
    return [g * min(1.0, max_norm / norm) for g in gradients], norm


def always_scaled(gradients, max_norm):
    norm = np.sqrt(sum([(g * g).sum() for g in gradients]))
    return [g * max_norm / norm for g in gradients], norm


def by_value(gradients, max_norm):
    norm = np.sqrt(sum([(g * g).sum() for g in gradients]))
    return [np.clip(g, -max_norm, max_norm) for g in gradients], norm


def norm_afterwards(gradients, max_norm):
    norm = np.sqrt(sum([(g * g).sum() for g in gradients]))
    return [g * min(1.0, max_norm / norm) for g in gradients], min(norm, max_norm)


def always_scaled_in_place(gradients, max_norm):
    norm = np.sqrt(sum([(g * g).sum() for g in gradients]))
    for g in gradients:
        g *= max_norm / norm
    return gradients, norm


def list_only(gradients, max_norm):
    return norm_afterwards(gradients, max_norm)[0]


WRONG = [
    ({"adamw_step": only_x}, "return x, m, v"),
    ({"adamw_step": in_place}, "the caller's array"),
    ({"adamw_step": decay_in_the_gradient}, "no decay in it"),
    ({"adamw_step": corrected_means_returned}, "for this step only"),
    ({"adamw_step": uncorrected}, "divide each by 1 - beta^t"),
    ({"adamw_step": uphill}, "step against g"),
    ({"adamw_step": eps_under_the_root}, "added after the root"),
    ({"adamw_step": corrected_as_in_the_first_step}, "check t in the correction"),
    ({"adamw_step": decay_without_the_rate}, "1 - lr * weight_decay"),
    ({"adamw_step": no_decay}, "1 - lr * weight_decay"),
    ({"adamw_step": shrinks_afterwards}, "then Adam's step"),
    ({"clip_by_norm": one_norm_each}, "all arrays together"),
    ({"clip_by_norm": sum_of_norms}, "all arrays together"),
    ({"clip_by_norm": root_forgotten}, "the root of the sum"),
    ({"clip_by_norm": always_scaled}, "only what is too long"),
    ({"clip_by_norm": always_scaled_in_place}, "only what is too long"),
    ({"clip_by_norm": list_only}, "a comma between them"),
    ({"clip_by_norm": by_value}, "the same number for all"),
    ({"clip_by_norm": norm_afterwards}, "how long the gradient was"),
]
