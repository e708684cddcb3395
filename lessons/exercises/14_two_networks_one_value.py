"""Exercise 14: the best discriminator, and what a generator hears, in NumPy.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def best_discriminator(log_p, log_g, share):
    """The D that makes the value highest, when a share of what it sees is real.

    In the lesson D saw as many real points as made ones. Now of all it sees `share` are real (a
    number between 0 and 1) and the others made, so that one place adds
    share p log D + (1 - share) g log(1 - D). log_p and log_g (N,) are the logs of the densities.
    The result is (N,). Densities far from all points are tiny: with log_p = -2000 and
    log_g = -2001 it must still be right.
    """
    raise NotImplementedError


def slopes(logits, loss):
    """The derivative of the generator's mean loss by each logit (N,) of a made point.

    `loss` is "minimax", the mean of log(1 - D), or "non-saturating", the mean of -log D; D is the
    sigmoid of the logit. The result is (N,).
    """
    raise NotImplementedError


def numerical(logits, loss):
    """The same by central differences."""
    def mean_loss(x):
        d = 1 / (1 + np.exp(-x))
        return (np.log(1 - d) if loss == "minimax" else -np.log(d)).mean()

    steps = 1e-5 * np.eye(len(logits))
    return np.array([mean_loss(logits + s) - mean_loss(logits - s) for s in steps]) / 2e-5


def agree(found, expected, tolerance=1e-8):
    """Shapes first: NumPy would broadcast, and hide a mistake."""
    return (np.shape(found) == np.shape(expected)
            and np.allclose(found, expected, rtol=0, atol=tolerance))


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    log_p, log_g = np.log([0.3, 0.2, 0.01]), np.log([0.1, 0.2, 0.04])
    found = answer.best_discriminator(log_p, log_g, 0.5)
    yield ("with equal shares it is p / (p + g)", agree(found, [0.75, 0.5, 0.2]),
           "set the slope of p log D + g log(1 - D) to zero, and solve for D")
    found = answer.best_discriminator(log_p, log_g, 0.25)
    yield ("with one real point in four: 1/2 where p = 3 g", agree(found, [0.5, 0.25, 1 / 13]),
           "p and g count as often as they are seen: share * p against (1 - share) * g")
    with np.errstate(all="ignore"):
        found = answer.best_discriminator(np.array([-2000.0]), np.array([-2001.0]), 0.5)
    yield ("it is right where both densities round to 0", agree(found, [1 / (1 + np.exp(-1))]),
           "never leave the logs: D is the sigmoid of a logit, and that is a difference of logs")

    logits = np.array([-3.0, 0.0, 0.5, 2.0])
    found = answer.slopes(logits, "non-saturating")
    yield ("both losses fall where a logit rises",
           np.all(np.asarray(found) < 0) and np.all(answer.slopes(logits, "minimax") < 0),
           "G wants its points taken for real: a higher logit lowers the loss, so mind the sign")
    expected = numerical(logits, "non-saturating")
    yield ("four points share one mean", not agree(np.asarray(found) / 4, expected),
           "the loss is a mean over N points, so each slope has a factor 1 / N")
    yield ("the non-saturating slopes are those of a difference quotient",
           agree(found, expected),
           "-log D has the slope -(1 - D): steep where D is sure of a fake")
    yield ("the minimax slopes are, too",
           agree(answer.slopes(logits, "minimax"), numerical(logits, "minimax")),
           "log(1 - D) has the slope -D: flat where D is sure of a fake")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
