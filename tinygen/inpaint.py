"""Floor 5: filling in the pixels that an image lacks, with a trained VAE or GAN.

`known` (N, C, H, W) or (C, H, W) is 1 where a pixel is given and 0 where it is hidden. All images
are in the range of the model: [0, 1] for a VAE, [-1, 1] for a GAN. Every function leaves the known
pixels as they are.
"""

import numpy as np
from tqdm import tqdm

from . import backend, creation
from .backend import InputError
from .dataloader import check_count
from .functional import softplus
from .ops import sum
from .optim import Adam
from .tensor import no_grad

MASKS = ("left", "right", "top", "bottom", "center", "random")


def mask(kind, shape):
    """1 for known and 0 for hidden pixels, float32 of `shape` (C, H, W).

    A half is hidden ("left", "right", "top", "bottom"), a square in the middle of half the height
    and width ("center"), or half of all pixels at random ("random").
    """
    _, height, width = shape
    known = np.ones(shape, np.float32)
    if kind == "random":
        known[:] = backend.generator.random((height, width)) < 0.5
        return known
    hidden = {"left": np.s_[:, :, :width // 2], "right": np.s_[:, :, width // 2:],
              "top": np.s_[:, :height // 2], "bottom": np.s_[:, height // 2:],
              "center": np.s_[:, height // 4:height - height // 4, width // 4:width - width // 4]}
    if kind not in hidden:
        raise InputError(f"mask: {kind!r} is not known; choose {', '.join(MASKS)}")
    known[hidden[kind]] = 0
    return known


@no_grad()
def by_encoding(model, x, known, rounds=30, mean_of=10):
    """Completions of x (N, C, H, W) by a VAE: encode, draw z, decode, put the known pixels back.

    The hidden pixels start at 0. Repeated, this is a Markov chain whose states are draws of the
    hidden pixels given the known ones, nearly (Rezende et al. 2014, appendix F). The result is the
    mean of the last `mean_of` states: the smallest squared error that such draws allow.
    """
    check_count("by_encoding: rounds", rounds)
    check_count("by_encoding: mean_of", mean_of)
    guess, total, mean_of = known * x, 0, min(mean_of, rounds)
    for i in range(rounds):
        mu, log_var = model.encode(creation.tensor(guess))
        z = mu + (0.5 * log_var).exp() * creation.randn_like(mu)
        decoded = model.picture(model.decode(z)).numpy()
        guess = known * x + (1 - known) * decoded
        if i >= rounds - mean_of:
            total = total + decoded
    return known * x + (1 - known) * (total / mean_of)


def by_search(generate, latent_dim, x, known, steps=200, lr=0.1, starts=4, weight=20.0,
              critic=None):
    """Completions of x (N, C, H, W) by looking for the z that fits the known pixels.

    Adam lowers, for each example alone,

        weight * sum over known pixels of (generate(z) - x)^2 + |z|^2 / 2  [+ softplus(-critic)],

    from `starts` random points. If the known pixels carry Gaussian noise of standard deviation
    sigma and weight is 1 / (2 sigma^2), the first two terms are -log p(z | known pixels), but for a
    constant. `critic`, a GAN's discriminator, adds the third, -log D(generate(z)), which asks for
    a picture that looks real (Yeh et al. 2017, section 3.2, take log(1 - D) with the same aim).
    Returns (starts, N, C, H, W), for each example the best start first. The networks' weights stay
    as they are; freeze them before, by `requires_grad_(False)`, or their gradients are computed for
    nothing.
    """
    n = len(x)
    target = creation.tensor(np.tile(x, (starts, 1, 1, 1)).astype(np.float32))
    known = np.broadcast_to(known, x.shape).astype(np.float32)
    kept = creation.tensor(np.tile(known, (starts, 1, 1, 1)))
    z = creation.randn(starts * n, latent_dim, requires_grad=True)
    optimizer = Adam([z], lr)

    def losses(made):
        fit = sum((kept * (made - target)) ** 2, (1, 2, 3))
        prior = 0.5 * sum(z * z, 1)
        return weight * fit + prior + (0 if critic is None else softplus(-critic(made)).flatten())

    for _ in tqdm(range(steps), "searching z", leave=False, delay=2):
        optimizer.zero_grad()
        sum(losses(generate(z))).backward()
        optimizer.step()
    with no_grad():
        made = generate(z)
        ranks = losses(made).numpy().reshape(starts, n).argsort(axis=0)
    made = made.numpy().reshape(starts, *x.shape)[ranks, np.arange(n)]
    return known * x + (1 - known) * made


def by_mean(x, known, train):
    """The first baseline: the hidden pixels of the mean training image."""
    return known * x + (1 - known) * train.mean(axis=0)


def by_neighbour(x, known, train):
    """The second baseline: those of the training image that is nearest in the known pixels."""
    known = np.broadcast_to(known, x.shape)
    if not (known == known[:1]).all():
        raise InputError("by_neighbour: the examples have different masks; use one for all")
    at = known[0] > 0
    a, best, nearest = x[:, at], np.full(len(x), np.inf), np.zeros(len(x), int)
    for start in range(0, len(train), 10_000):
        b = train[start:start + 10_000][:, at]
        squared = (b * b).sum(axis=1) - 2 * (a @ b.T)      # without |a|^2, the same for all
        i, least = squared.argmin(axis=1), squared.min(axis=1)
        better = least < best
        nearest[better], best[better] = start + i[better], least[better]
    return known * x + (1 - known) * train[nearest]


def hidden_error(completed, x, known):
    """The mean squared error over the hidden pixels."""
    hidden = np.broadcast_to(1 - known, x.shape)
    return float((hidden * (completed - x) ** 2).sum() / hidden.sum())
