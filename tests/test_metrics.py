"""The measures on known answers: perfect samplers, collapsed ones, Gaussians in closed form."""

import ast
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tinygen as tg
from tinygen import datasets, metrics
from tinygen.backend import InputError

ROOT = Path(__file__).parent.parent
exactly = partial(pytest.approx, rel=1e-12)       # but for the rounding of float64


def gaussian(n, mean, covariance, seed=0):
    """n points with exactly this mean and covariance, drawn and then corrected."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
    return x @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_in_closed_form():
    """In one dimension it is (m - n)^2 + (s - t)^2; along axes that commute, the sum of these."""
    a, b = gaussian(500, [1.0, 2.0], np.diag([4.0, 9.0])), gaussian(300, [0.0, 5.0], np.eye(2), 1)
    assert metrics.frechet_distance(a, b) == exactly(1 + 9 + (2 - 1) ** 2 + (3 - 1) ** 2)
    assert metrics.frechet_distance(b, a) == exactly(metrics.frechet_distance(a, b))
    one, other = a[:, :1], b[:, 1:]
    assert metrics.frechet_distance(one, other) == exactly((1 - 5) ** 2 + (2 - 1) ** 2)


def test_frechet_distance_of_covariances_that_do_not_commute():
    """Against tr (S_a S_b)^(1/2) by the eigenvalues of S_a S_b itself."""
    s, t = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
    a, b = gaussian(400, [0.0, 0.0], s), gaussian(400, [1.0, 0.0], t, 1)
    cross = np.sqrt(np.linalg.eigvals(s @ t)).sum()
    assert metrics.frechet_distance(a, b) == exactly(1 + np.trace(s + t) - 2 * cross)


def test_frechet_distance_of_a_cloud_to_itself_and_to_another_sample():
    x = np.random.default_rng(0).standard_normal((4000, 8))
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(x[:2000], x[2000:]) < 0.05
    flat = np.repeat(x[:1], 2000, axis=0)                    # collapsed: no spread at all
    assert metrics.frechet_distance(flat, x) > 8 * 0.9


def test_precision_and_recall_of_perfect_collapsed_and_scattered_samplers():
    rng = np.random.default_rng(0)
    real, more = rng.standard_normal((2, 1000, 4))
    precision, recall = metrics.precision_recall(real, more)
    assert precision > 0.85 and recall > 0.85
    collapsed = 0.01 * rng.standard_normal((1000, 4)) + real[0]
    precision, recall = metrics.precision_recall(real, collapsed)
    assert precision > 0.9 and recall < 0.05
    scattered = 5 * rng.standard_normal((1000, 4))
    precision, recall = metrics.precision_recall(real, scattered)
    assert precision < 0.3 and recall > 0.8
    assert metrics.precision_recall(real, real + 100.0) == (0.0, 0.0)
    assert metrics.precision_recall(real, real) == (1.0, 1.0)


def test_precision_and_recall_are_the_definition():
    """Against loops over a few points."""
    rng = np.random.default_rng(1)
    real, fake = rng.standard_normal((40, 2)), rng.standard_normal((30, 2)) + 0.7

    def share(points, others, k):
        def inside(p):
            for o in others:
                radius = sorted(np.linalg.norm(others - o, axis=1))[k]
                if np.linalg.norm(p - o) <= radius:
                    return True
            return False
        return np.mean([inside(p) for p in points])

    for k in (1, 3, 5):
        expected = share(fake, real, k), share(real, fake, k)
        assert metrics.precision_recall(real, fake, k) == exactly(expected)


def test_class_histogram():
    even = metrics.class_histogram(np.eye(10)[np.arange(200) % 10])
    assert even == metrics.ClassHistogram((20,) * 10, exactly(1.0), 1.0)
    one = metrics.class_histogram(np.tile([0.1, 0.6, 0.3], (50, 1)))
    assert one == metrics.ClassHistogram((0, 50, 0), 0.0, exactly(0.6))
    half = metrics.class_histogram(np.eye(4)[[0, 0, 3, 3]])
    assert half.entropy == exactly(0.5)
    single = metrics.class_histogram(np.eye(2)[[0, 1, 1, 1]])
    assert single.entropy == exactly(0.25 * 2 + 0.75 * np.log2(4 / 3))


@pytest.mark.parametrize("draw, centres, sigma, floor", [
    (datasets.ring, datasets.ring_modes(), 0.01, 0.0014),
    (datasets.grid, datasets.grid_modes(), 0.05, 0.0048),
])
def test_mode_count_of_a_perfect_sampler(draw, centres, sigma, floor):
    """98.89 % lie within 3 sigma (1 - exp(-9/2)); the reverse KL's floor is (K - 1) / (2 N)."""
    tg.manual_seed(0)
    found = [metrics.mode_count(draw(2500), centres, sigma) for _ in range(20)]
    assert all(f.modes == len(centres) for f in found)
    assert np.mean([f.high_quality for f in found]) == pytest.approx(1 - np.exp(-4.5), abs=0.002)
    assert np.mean([f.reverse_kl for f in found]) == pytest.approx(floor, rel=0.25)


def test_mode_count_of_collapsed_and_scattered_samplers():
    centres = datasets.ring_modes()
    one = metrics.mode_count(np.repeat(centres[2:3], 100, axis=0), centres, 0.01)
    assert one == metrics.ModeCount(1, 1.0, exactly(np.log(8)))
    two = metrics.mode_count(np.repeat(centres[[1, 5]], 50, axis=0), centres, 0.01)
    assert two == metrics.ModeCount(2, 1.0, exactly(np.log(4)))
    far = metrics.mode_count(0.5 * np.repeat(centres, 10, axis=0), centres, 0.01)
    assert far == metrics.ModeCount(0, 0.0, pytest.approx(0.0, abs=1e-12))


X = np.zeros((10, 2))


@pytest.mark.parametrize("message, call", [
    ("frechet_distance: got shapes", lambda: metrics.frechet_distance(X, np.zeros((10, 3)))),
    ("frechet_distance: got shapes", lambda: metrics.frechet_distance(X[:1], X)),
    ("not finite", lambda: metrics.frechet_distance(X, X * np.nan)),
    ("precision_recall: got shapes", lambda: metrics.precision_recall(X, X.reshape(-1))),
    ("precision_recall: k is 10", lambda: metrics.precision_recall(X, X, 10)),
    ("precision_recall: k is 0", lambda: metrics.precision_recall(X, X, 0)),
    ("mode_count: samples have shape", lambda: metrics.mode_count(X, np.zeros((4, 3)), 0.1)),
    ("not finite", lambda: metrics.mode_count(X + np.inf, X, 0.1)),
])
def test_bad_input_is_told_in_a_sentence(message, call):
    with pytest.raises(InputError, match=message):
        call()


# The classifier

@pytest.fixture(scope="module")
def classifier():
    return metrics.load_classifier()


def test_the_classifier_reads_the_test_digits_and_is_small(classifier):
    data = datasets.mnist()
    features, probabilities = metrics.judge(classifier, data.test)
    assert features.shape == (10_000, 64) and probabilities.shape == (10_000, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == data.test_labels).mean() >= 0.99
    assert datasets.bundled(lambda path: path.stat().st_size, "digit_classifier.npz") <= 500_000


def test_image_figures_of_real_collapsed_and_noisy_samples(classifier):
    """Real images are close to other real ones; one image again and again, or noise, is far."""
    data, rng = datasets.mnist(), np.random.default_rng(0)
    reference, real = data.test[:1000], data.train[:1000]
    one = np.repeat(data.train[:1], 1000, axis=0) + 0.05 * rng.random((1000, 1, 28, 28), np.float32)
    noise = rng.random((1000, 1, 28, 28), np.float32)
    found = [metrics.image_figures(classifier, x, reference) for x in (real, one, noise)]
    distance, precision, recall, entropy, confidence = zip(*[f.values() for f in found])
    assert distance[0] < 0.1 * min(distance[1:])
    assert precision[0] > 0.8 and recall[0] > 0.8 and recall[1] < 0.05 and precision[2] < 0.2
    assert entropy[0] > 0.98 and entropy[1] < 0.01 and confidence[0] > 0.97


def test_only_grey_digits_are_judged(classifier):
    with pytest.raises(InputError, match=r"judge: the images have shape \(5, 3, 28, 28\)"):
        metrics.judge(classifier, np.zeros((5, 3, 28, 28), np.float32))


def test_draw_makes_as_many_as_asked_in_the_range_of_the_data():
    from tinygen import gan

    tg.manual_seed(0)
    training = gan.GANTraining(gan.dense_gan((1, 28, 28)))
    images = metrics.draw(training, 7, batch=3)
    assert images.shape == (7, 1, 28, 28) and 0 <= images.min() <= images.max() <= 1


def test_draw_spreads_the_latent_points_by_the_temperature():
    """With a decoder that shows z itself, whose standard deviation is the temperature."""
    from tinygen import nn, vae

    tg.manual_seed(0)
    training = vae.VAETraining(vae.VAE(nn.Linear(2, 4), nn.Flatten(), 2, "gaussian"))
    for temperature in (0.5, 1.0, 2.0):
        z = metrics.draw(training, 20_000, temperature)
        np.testing.assert_allclose(z.std(axis=0), temperature, rtol=0.03)      # 6 standard errors


def test_the_classifier_is_the_network_of_lesson_05():
    def layers(path):
        return [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "nn.Sequential"]

    lesson, = (ROOT / "lessons").glob("05_*.py")
    assert layers(lesson) == layers(ROOT / "tinygen" / "metrics.py")
