"""Typical wrong answers to exercise 02, each with words of the hint that it must get."""

import numpy as np


def all_at_once(f, x, eps):
    return (f(x + eps) - f(x - eps)) / (2 * eps)


def each(slope):
    """A gradient made entry by entry: `slope(f, x, step, eps)` gets a step of eps in one entry."""
    def gradient(f, x, eps):
        found = np.zeros(x.shape)
        for place in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[place] = eps
            found[place] = slope(f, x, step, eps)
        return found
    return gradient


one_sided = each(lambda f, x, step, eps: (f(x + step) - f(x)) / eps)
divided_by_eps = each(lambda f, x, step, eps: (f(x + step) - f(x - step)) / eps)


def another_step(f, x, eps):
    return each(lambda f, x, step, eps: (f(x + step) - f(x - step)) / (2 * eps))(f, x, 1e-6)


def not_put_back(f, x, eps):
    """Entries that had their turn stay where they are, eps behind."""
    x, found = x.copy(), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        x[place] += eps
        ahead = f(x)
        x[place] -= 2 * eps
        found[place] = (ahead - f(x)) / (2 * eps)
    return found


def moving(flat_of, x_of):
    """A gradient that moves the entries of a flat form of x, and puts them back."""
    def gradient(f, x, eps):
        x = x_of(x)
        flat, found = flat_of(x), np.zeros(x.size)
        for i in range(x.size):
            before = flat[i]
            flat[i] = before + eps
            ahead = f(x)
            flat[i] = before - eps
            found[i] = (ahead - f(x)) / (2 * eps)
            flat[i] = before
        return found.reshape(x.shape)
    return gradient


a_copy_moves = moving(lambda x: x.reshape(-1), lambda x: x)


def rounded_back(f, x, eps):
    """It moves the caller's x, and puts it back by arithmetic, which rounds."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        x[place] += eps
        ahead = f(x)
        x[place] -= 2 * eps
        found[place] = (ahead - f(x)) / (2 * eps)
        x[place] += eps
    return found


def difference(f, x, direction, eps):
    return (f(x + eps * direction) - f(x - eps * direction)) / (2 * eps)


def entry_by_entry(f, gradient, x, direction, eps):
    return abs(gradient * direction - difference(f, x, direction, eps))


def with_a_sign(f, gradient, x, direction, eps):
    return np.sum(gradient * direction) - difference(f, x, direction, eps)


def of_unit_length(f, gradient, x, direction, eps):
    return with_the_length(f, gradient, x, direction / np.linalg.norm(direction), eps)


def with_the_length(f, gradient, x, direction, eps):
    return abs(np.sum(gradient * direction) - difference(f, x, direction, eps))


def one_step(f, gradient, x, direction, eps):
    return abs(np.sum(gradient * direction) - (f(x + eps * direction) - f(x)) / eps)


def by_the_whole_gradient(f, gradient, x, direction, eps):
    slope = each(lambda f, x, step, eps: (f(x + step) - f(x - step)) / (2 * eps))
    return abs(np.sum((gradient - slope(f, x, eps)) * direction))


WRONG = [
    ({"central_difference": all_at_once}, "move one entry at a time"),
    ({"central_difference": one_sided}, "the other eps behind it"),
    ({"central_difference": divided_by_eps}, "how far apart"),
    ({"central_difference": another_step}, "one point lies eps ahead"),
    ({"central_difference": not_put_back}, "all others must be where they were"),
    ({"central_difference": a_copy_moves}, "a view of x, or a copy"),
    ({"central_difference": rounded_back}, "move a copy"),
    ({"directional_error": entry_by_entry}, "one number"),
    ({"directional_error": with_a_sign}, "has no sign"),
    ({"directional_error": of_unit_length}, "as long as it is"),
    ({"directional_error": one_step}, "go both ways"),
    ({"directional_error": by_the_whole_gradient}, "one pair of evaluations"),
]
