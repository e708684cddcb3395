"""Floor 4: probability distributions, named as in `torch.distributions`; everything is in nats.

`sample` draws numbers that no gradient flows through. `rsample` draws them as a function of the
parameters and of noise that does not depend on them, so that gradients flow: the
*reparameterisation* (Kingma and Welling 2014, section 2.4).
"""

import math

import numpy as np

from . import creation
from .backend import array_module
from .functional import binary_cross_entropy_with_logits, one_hot
from .ops import clip, exp, expand, log, log1p, log_softmax, sigmoid, softplus, sum, where
from .tensor import Tensor, raw


def as_tensors(*parameters):
    """Parameters as floating tensors; numbers get dtype and place of the first one beside them."""
    def floating(p):
        return isinstance(p, Tensor) and p.dtype.kind == "f"

    like = next((p for p in parameters if floating(p)), creation.zeros(()))
    return [p if floating(p) else creation.tensor(p, dtype=like.dtype, device=like.device)
            for p in parameters]


def check_numbers(name, logits):
    if bool((raw(logits) != raw(logits)).any()):
        raise ValueError(f"{name}: the logits are, or become when normalised, no numbers (nan)")


class Normal:
    """N(loc, scale^2), elementwise.

    `scale` is the standard deviation: exp(log_var / 2), not exp(log_var).
    """

    def __init__(self, loc, scale):
        self.loc, self.scale = as_tensors(loc, scale)
        xp = array_module(raw(self.loc))
        self.batch_shape = xp.broadcast_shapes(self.loc.shape, self.scale.shape)
        if bool((raw(self.loc) != raw(self.loc)).any()):
            raise ValueError("Normal: loc has entries that are no numbers (nan)")
        if not bool((raw(self.scale) > 0).all()):
            raise ValueError("Normal: scale has entries of 0 or less, or that are no numbers; "
                             "it is a standard deviation")

    def rsample(self, sample_shape=()):
        """loc + scale * noise with noise from N(0, 1); gradients flow to loc and scale."""
        shape = tuple(sample_shape) + self.batch_shape
        noise = creation.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise

    def sample(self, sample_shape=()):
        return self.rsample(sample_shape).detach()

    def log_prob(self, x):
        """-(x - loc)^2 / (2 scale^2) - log scale - log(2 pi) / 2."""
        z = (x - self.loc) / self.scale
        return -0.5 * z * z - log(self.scale) - 0.5 * math.log(2 * math.pi)

    def entropy(self):
        """log scale + (1 + log(2 pi)) / 2."""
        return expand(log(self.scale) + 0.5 * (1 + math.log(2 * math.pi)), self.batch_shape)


class Bernoulli:
    """1 with probability `probs`, else 0, elementwise.

    Give `probs` or, better, `logits` = log(p / (1 - p)). The logits of a p nearer to 0 or 1 than
    eps (1.2e-7 in float32) are those of eps or 1 - eps, so that log_prob and the KL divergence stay
    finite.
    """

    def __init__(self, probs=None, logits=None):
        if (probs is None) == (logits is None):
            raise ValueError("Bernoulli: pass either probs or logits")
        if logits is not None:
            self.logits, = as_tensors(logits)
            check_numbers("Bernoulli", self.logits)
            self.probs = sigmoid(self.logits)
        else:
            self.probs, = as_tensors(probs)
            if not bool(((raw(self.probs) >= 0) & (raw(self.probs) <= 1)).all()):
                raise ValueError("Bernoulli: probs has entries outside of 0 to 1")
            eps = float(np.finfo(self.probs.dtype).eps)
            inside = clip(self.probs, eps, 1 - eps)
            self.logits = log(inside) - log1p(-inside)

    def sample(self, sample_shape=()):
        shape = tuple(sample_shape) + self.logits.shape
        uniform = creation.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return Tensor((raw(uniform) < raw(self.probs)).astype(self.logits.dtype))

    def log_prob(self, x):
        """x log p + (1 - x) log(1 - p)."""
        _, x = as_tensors(self.logits, x)
        logits = expand(self.logits, (self.logits + x).shape)
        return -binary_cross_entropy_with_logits(logits, expand(x, logits.shape), reduction="none")

    def entropy(self):
        """-p log p - (1 - p) log(1 - p)."""
        return softplus(self.logits) - self.logits * sigmoid(self.logits)


class Categorical:
    """One of K classes. `logits` (..., K), or `probs`; samples are integers (...).

    The log_prob of a class of probability 0 is -inf. (PyTorch takes it for eps, so has -15.9.)
    """

    def __init__(self, probs=None, logits=None):
        if (probs is None) == (logits is None):
            raise ValueError("Categorical: pass either probs or logits")
        given, = as_tensors(logits if probs is None else probs)
        if probs is not None:
            some = raw(given) > 0
            if not bool((raw(given) >= 0).all()) or not bool(some.any(axis=-1).all()):
                raise ValueError("Categorical: probs must be 0 or more, with one above 0")
            shares = given / sum(given, -1, True)
            self.logits = where(some, log(where(some, shares, 1.0)), -math.inf)
            self.probs = shares
        else:
            self.logits = log_softmax(given, -1)
            self.probs = exp(self.logits)
        check_numbers("Categorical", self.logits)

    def sample(self, sample_shape=()):
        """The class whose interval of the cumulated probabilities a uniform number falls into."""
        shape = tuple(sample_shape) + self.logits.shape[:-1] + (1,)
        uniform = raw(creation.rand(shape, dtype=self.logits.dtype, device=self.logits.device))
        sums = raw(self.probs).cumsum(axis=-1)       # up to about 1; a rounded one may end below
        below = sums[..., :-1] <= uniform * sums[..., -1:]
        return Tensor(below.sum(axis=-1))

    def log_prob(self, x):
        """log p[x]."""
        x = x if isinstance(x, Tensor) else creation.tensor(x, device=self.logits.device)
        chosen = one_hot(x, self.logits.shape[-1])
        return sum(where(chosen, self.logits, 0.0), -1)

    def entropy(self):
        """-sum p log p, where 0 log 0 is 0, though log 0 is -inf."""
        return -sum(where(raw(self.probs) > 0, self.logits, 0.0) * self.probs, -1)


def kl_divergence(p, q):
    """KL(p || q) = E_p[log p - log q] in nats, in closed form: elementwise, or per Categorical."""
    if type(p) is not type(q):
        raise TypeError("kl_divergence: no closed form for "
                        f"{type(p).__name__} against {type(q).__name__}")
    if isinstance(p, Normal):
        ratio, distance = p.scale / q.scale, (p.loc - q.loc) / q.scale
        return 0.5 * (ratio * ratio + distance * distance - 1) - log(ratio)
    if isinstance(p, Bernoulli):
        return p.probs * (p.logits - q.logits) - softplus(p.logits) + softplus(q.logits)
    return sum(where(raw(p.probs) > 0, p.logits - q.logits, 0.0) * p.probs, -1)
