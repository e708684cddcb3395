"""Exercise 08: the KL between two clouds, and a quieter score-function gradient.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import numpy as np


def kl_of_two(mu, log_var, prior_mu, prior_log_var):
    """KL(N(mu, variance) || N(prior_mu, prior_variance)) in nats per example.

    mu and log_var are (N, K), prior_mu and prior_log_var (K,); log_var is the logarithm of the
    variance. The units are independent, so their KLs add up. The result is (N,).
    """
    raise NotImplementedError


def score_gradient(f, mu, log_var, noise, baseline):
    """The gradients of E_q[f(z)] by mu and by log_var, a pair, each (K,): means over L draws.

    q is N(mu, variance), mu and log_var are (K,), and noise (L, K) comes from N(0, 1). f takes all
    draws z, (L, K), and gives a number for each, (L,). The number `baseline` is subtracted from f:
    that changes no mean, since the slope of log q has the mean 0, but it can take noise away.
    """
    raise NotImplementedError


def agree(found, expected, tolerance=1e-9):
    """Shapes first: NumPy would broadcast, and hide a mistake."""
    return (np.shape(found) == np.shape(expected)
            and np.allclose(found, expected, rtol=0, atol=tolerance))


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    rng = np.random.default_rng(0)
    mu, log_var = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    zero = np.zeros(3)
    standard = 0.5 * (mu ** 2 + np.exp(log_var) - 1 - log_var).sum(1)
    found = answer.kl_of_two(mu, log_var, zero, zero)
    yield ("kl_of_two: a number for each example", np.shape(found) == (4,),
           "sum over the units, which are the columns, and not over the examples")
    yield ("against N(0, 1) it is the lesson's", agree(found, standard),
           "0.5 (mu^2 + variance - 1 - log variance), summed, not averaged; the variance is "
           "exp(log_var), not its square or root")
    yield ("of a cloud and itself it is 0",
           agree(answer.kl_of_two(mu[:1], log_var[:1], mu[0], log_var[0]), [0.0]),
           "mu counts from prior_mu, and log_var from prior_log_var")
    found = answer.kl_of_two(np.array([[3.0]]), np.array([[0.0]]), np.array([1.0]),
                             np.array([np.log(4.0)]))
    yield ("N(3, 1) against N(1, 4): 0.5 (4 / 4 + 1 / 4 - 1 + log 4)",
           agree(found, [0.5 * (0.25 + np.log(4.0))]),
           "both the squared distance and the variance are measured in variances of the prior")

    noise = rng.normal(size=(400_000, 2))
    mu, log_var = np.array([0.5, -1.0]), np.array([np.log(0.25), 0.0])
    found = answer.score_gradient(lambda z: z[:, 0], mu, log_var, noise, 0.0)
    yield ("score_gradient gives two arrays (K,)",
           isinstance(found, tuple) and [np.shape(g) for g in found] == [(2,), (2,)],
           "the means over the draws, one number for each unit: return by_mu, by_log_var")
    yield ("E[z] changes with its mu at the rate 1", agree(found[0], [1.0, 0.0], 0.02),
           "d log q / d mu = (z - mu) / variance, which is noise / sigma; and z = mu + sigma noise "
           "with sigma = exp(log_var / 2)")
    found = answer.score_gradient(lambda z: (z ** 2).sum(1), mu, log_var, noise, 0.0)
    yield ("E[z^2] = mu^2 + variance changes with log_var at the rate of the variance",
           agree(found[1], [0.25, 1.0], 0.05),
           "d log q / d log_var = 0.5 ((z - mu)^2 / variance - 1), from q's density")

    def high(z):
        return 100 + z[:, 0]

    quiet = answer.score_gradient(high, mu, log_var, noise[:1000], 100.5)
    yield ("a baseline takes noise away", agree(quiet[0], [1.0, 0.0], 0.3)
           and agree(quiet[1], [0.0, 0.0], 0.3),
           "f - baseline, in both gradients: 100 + z is nearly the same for each draw, and only "
           "what differs should count")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
