"""Floor 5: how good samples are. Nothing here is fetched: images are judged by a small classifier.

The classifier knows the ten digits. The numbers in its last layer but one, its *features*, are
close where images look alike, so clouds of features are compared: by their mean and spread (the
Fréchet distance) or by who lies near whom (precision and recall). A figure means something only
beside the same figure for real images against other real images, its floor, and only for the same
classifier. For points in the plane, where the true modes are known, they are simply counted.

Arguments are NumPy arrays; the statistics are computed in float64.
"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from . import nn
from .backend import InputError
from .dataloader import DataLoader
from .datasets import bundled
from .functional import softmax
from .serialization import load
from .tensor import no_grad


def draw(training, n, temperature=1.0, batch=500):
    """n samples as an array in the range of the data, drawn a batch at a time."""
    sizes = [min(batch, n - start) for start in range(0, n, batch)]
    return np.concatenate([training.to_data(training.model.sample(size, temperature)).numpy()
                           for size in tqdm(sizes, "drawing", leave=False, delay=2)])


# The classifier

def digit_classifier():
    """The network of lesson 05, untrained: images (N, 1, 28, 28) in [0, 1] to 10 logits.

    All layers but the last give the features, (N, 64).
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10))


def load_classifier():
    """The trained network that comes with tinygen, ready to judge. `data/README.md` has its origin.

    It reads more than 99 % of the MNIST test digits right.
    """
    model = digit_classifier()
    model.load_state_dict(bundled(load, "digit_classifier.npz"))
    return model.eval().requires_grad_(False)


@no_grad()
def judge(classifier, images):
    """What a classifier makes of `images`: their features (N, D) and probabilities (N, classes)."""
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28):
        raise InputError(f"judge: the images have shape {images.shape}, expected (N, 1, 28, 28), "
                         "grey digits in [0, 1]")
    features, probabilities = [], []
    for x in tqdm(DataLoader(images, 500), "judging", leave=False, delay=2):
        features.append(classifier[:-1](x))
        probabilities.append(softmax(classifier[-1](features[-1]), 1).numpy())
    return np.concatenate([f.numpy() for f in features]), np.concatenate(probabilities)


# Two clouds of features

def frechet_distance(a, b):
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), Heusel et al. 2017, section 4.

    The squared Wasserstein distance of two Gaussians with the means and covariances of `a` (N, D)
    and `b` (M, D): 0 where they agree, in squared units of the features.
    """
    check_clouds("frechet_distance", a, b)
    means, covariances, roots = [], [], []
    for x in (a, b):
        x = np.asarray(x, np.float64)
        means.append(x.mean(axis=0))
        covariances.append(np.atleast_2d(np.cov(x, rowvar=False)))
        roots.append(square_root(covariances[-1]))
    # tr (S_a S_b)^(1/2) is the sum of the singular values of S_a^(1/2) S_b^(1/2).
    cross = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    difference = means[0] - means[1]
    traces = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(max(difference @ difference + traces - 2 * cross, 0.0))


def square_root(matrix):
    """The positive square root of a symmetric matrix, by its eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def precision_recall(real, fake, k=3):
    """(precision, recall) of `fake` (M, D) against `real` (N, D), Kynkäänniemi et al. 2019, eq. 2.

    Each point carries a ball that reaches to its k-th nearest neighbour of its own kind. Precision
    is the share of fakes in some ball of a real one: are they good? Recall is the share of real
    ones in some ball of a fake: does the model cover everything? Use as many of both.
    """
    check_clouds("precision_recall", real, fake)
    if k < 1 or min(len(real), len(fake)) <= k:
        raise InputError(f"precision_recall: k is {k}, with {len(real)} real and {len(fake)} fake "
                         "examples; it must be 1 or more, and smaller than both")
    return covered(fake, real, k), covered(real, fake, k)


def covered(points, others, k):
    """The share of `points` that lie in the ball of some of `others`."""
    inside = np.zeros(len(points), bool)
    for rows in chunks(len(others)):
        # A point is its own nearest neighbour, so the k-th other one is number k from 0.
        radius = np.partition(squared_distances(others[rows], others), k, axis=1)[:, k]
        inside |= (squared_distances(others[rows], points) <= radius[:, None]).any(axis=0)
    return float(inside.mean())


def squared_distances(a, b):
    """|a_i - b_j|^2, (N, M)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    return np.maximum(squared, 0)


def chunks(n, size=1000):
    """Slices that cut n rows into pieces, so that a table of distances stays small."""
    return [slice(start, start + size) for start in range(0, n, size)]


def check_clouds(name, a, b):
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(f"{name}: got shapes {a.shape} and {b.shape}, expected (N, D) and (M, D) "
                         "with two examples or more; give features of both")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError(f"{name}: there are numbers that are not finite; has the model diverged?")


# What a classifier says of samples

@dataclass(frozen=True)
class ClassHistogram:
    """`counts` a class; their entropy as a share of its maximum; the mean largest probability."""

    counts: tuple
    entropy: float
    confidence: float


def class_histogram(probabilities):
    """What the `probabilities` (N, classes) of a classifier say of N samples.

    The entropy is -sum p log p of the shares p of the likeliest classes, divided by log(classes):
    1 where all classes are equally frequent, 0 where only one is left. The confidence is the mean
    probability of the likeliest class: low where samples look like nothing.
    """
    n, classes = probabilities.shape
    counts = np.bincount(probabilities.argmax(axis=1), minlength=classes)
    share = counts[counts > 0] / n
    entropy = 0.0 - (share * np.log(share)).sum()      # -sum would be -0.0 where one class is left
    return ClassHistogram(tuple(counts.tolist()), float(entropy / np.log(classes)),
                          float(probabilities.max(axis=1).mean()))


# Points in the plane

@dataclass(frozen=True)
class ModeCount:
    """`modes` found, the share of `high_quality` samples, and `reverse_kl` in nats."""

    modes: int
    high_quality: float
    reverse_kl: float


def mode_count(samples, centres, sigma):
    """How `samples` (N, 2) fill a mixture of equal Gaussians around `centres` (K, 2).

    The protocol of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018): a sample is of
    high quality within 3 sigma of its nearest centre; a mode is found if it has one such sample;
    the reverse KL is KL(q || uniform) of the shares q of samples that each centre is nearest to.
    Both papers use 2,500 samples.
    """
    if samples.ndim != 2 or centres.ndim != 2 or samples.shape[1] != centres.shape[1]:
        raise InputError(f"mode_count: samples have shape {samples.shape} and centres "
                         f"{centres.shape}; expected (N, 2) and (K, 2)")
    if not np.isfinite(samples).all():
        raise InputError("mode_count: there are samples that are not finite; "
                         "has the model diverged?")
    squared = squared_distances(samples, centres)
    nearest, good = squared.argmin(axis=1), squared.min(axis=1) <= (3 * sigma) ** 2
    share = np.bincount(nearest, minlength=len(centres)) / len(samples)
    share = share[share > 0]
    return ModeCount(len(np.unique(nearest[good])), float(good.mean()),
                     float((share * np.log(share * len(centres))).sum()))


# All figures of a set of samples, by name

MEANING = {"Frechet distance": "how far apart the features are, 0 where they agree",
           "precision": "the share of samples that look real",
           "recall": "the share of real images that the samples reach",
           "entropy of the classes": "1 where all ten come equally often",
           "mean confidence": "how sure the classifier is of its answers",
           "modes found": "with at least one sample of high quality",
           "share of high quality": "samples within 3 sigma of a mode",
           "reverse KL (nats)": "how uneven the shares of the modes are, 0 where they are even"}


def image_figures(classifier, images, reference):
    """{name: number} of `images` beside `reference`, real images (both (N, 1, 28, 28))."""
    features, probabilities = judge(classifier, images)
    real = judge(classifier, reference)[0]
    precision, recall = precision_recall(real, features)
    histogram = class_histogram(probabilities)
    return {"Frechet distance": frechet_distance(real, features), "precision": precision,
            "recall": recall, "entropy of the classes": histogram.entropy,
            "mean confidence": histogram.confidence}


def point_figures(points, centres, sigma):
    """{name: number} of `points` (N, 2) beside the modes of a mixture."""
    count = mode_count(points, centres, sigma)
    return {"modes found": count.modes, "share of high quality": count.high_quality,
            "reverse KL (nats)": count.reverse_kl}
