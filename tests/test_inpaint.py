"""Filling in: known pixels stay, and where the answer is known, it is found."""

import numpy as np
import pytest

import tinygen as tg
from tinygen import inpaint
from tinygen.backend import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind, share", [
    ("left", 0.5), ("right", 0.5), ("top", 0.5), ("bottom", 0.5), ("center", 0.75)])
def test_masks_hide_what_they_say(kind, share):
    known = inpaint.mask(kind, (3, 28, 28))
    assert known.shape == (3, 28, 28) and known.dtype == np.float32
    assert known.mean() == share and set(np.unique(known)) == {0.0, 1.0}
    shown = {"left": np.s_[:, :, 14:], "right": np.s_[:, :, :14], "top": np.s_[:, 14:],
             "bottom": np.s_[:, :14], "center": np.s_[:, :7]}[kind]
    assert known[shown].all()


def test_the_random_mask_hides_whole_pixels_and_follows_the_seed():
    tg.manual_seed(0)
    known = inpaint.mask("random", (3, 40, 40))
    assert abs(known.mean() - 0.5) < 0.05 and (known == known[:1]).all()
    tg.manual_seed(0)
    np.testing.assert_array_equal(known, inpaint.mask("random", (3, 40, 40)))


def test_an_unknown_mask_is_a_sentence():
    with pytest.raises(InputError, match="mask: 'middle' is not known; choose left, right"):
        inpaint.mask("middle", (1, 28, 28))


class Repeats:
    """A VAE of images (1, 1, 2) whose two pixels are equal: the code is the mean of what it sees.

    With the second pixel hidden, each round halves the distance to the answer.
    """

    def encode(self, x):
        mu = x.flatten(1).mean(1, keepdim=True)
        return mu, tg.full((len(x), 1), -60.0)

    def decode(self, z):
        return z.reshape(-1, 1, 1, 1).expand((len(z), 1, 1, 2))

    def picture(self, decoded):
        return decoded


def test_by_encoding_converges_to_what_the_model_knows(rng):
    x, known = rng.random((1000, 1, 1, 2), np.float32), np.array([[[1.0, 0.0]]], np.float32)
    done = inpaint.by_encoding(Repeats(), x, known, rounds=40)
    np.testing.assert_array_equal(done[..., 0], x[..., 0])
    np.testing.assert_allclose(done[..., 1], x[..., 0], atol=1e-5)
    for rounds in (1, 3):                                 # fewer than the states to be averaged
        done = inpaint.by_encoding(Repeats(), x, known, rounds)
        np.testing.assert_array_equal(done[..., 0], x[..., 0])
        np.testing.assert_allclose(
            done[..., 1], x[..., 0] * (1 - (1 - 0.5 ** rounds) / rounds), rtol=1e-5)
    for name in ("rounds", "mean_of"):
        with pytest.raises(InputError, match=f"{name} is 0"):
            inpaint.by_encoding(Repeats(), x, known, **{name: 0})


def test_by_encoding_draws_with_the_spread_that_the_encoder_gives():
    class Spread(Repeats):
        def encode(self, x):
            return tg.full((len(x), 1), 5.0), tg.full((len(x), 1), 2 * np.log(3.0))

    tg.manual_seed(0)
    done = inpaint.by_encoding(Spread(), np.zeros((20_000, 1, 1, 2), np.float32),
                               np.zeros((1, 1, 2), np.float32), rounds=1)
    assert done.mean() == pytest.approx(5, abs=0.1) and done.std() == pytest.approx(3, abs=0.1)


def test_by_encoding_draws_in_the_dtype_of_the_model(rng):
    class Double(Repeats):
        def encode(self, x):
            return [part.double() for part in super().encode(x)]

    done = inpaint.by_encoding(Double(), rng.random((2, 1, 1, 2)), np.ones((1, 1, 2)), rounds=2)
    assert done.dtype == np.float64


def test_by_search_finds_the_code_of_a_linear_generator(rng):
    tg.manual_seed(0)
    basis = rng.standard_normal((2, 12)).astype(np.float32)
    codes = rng.standard_normal((4, 2)).astype(np.float32)
    x = (codes @ basis).reshape(4, 1, 3, 4)
    known = inpaint.mask("left", (1, 3, 4))

    def generate(z):
        return (z @ tg.tensor(basis)).reshape(-1, 1, 3, 4)

    found = inpaint.by_search(generate, 2, x, known, steps=300, starts=3, weight=1e4)
    assert found.shape == (3, 4, 1, 3, 4)
    np.testing.assert_allclose(found[0], x, atol=2e-3)
    np.testing.assert_array_equal((found * known)[1], x * known)


def test_by_search_puts_the_best_start_first(rng):
    """One step only, so that the starts differ; the error on known pixels must not fall."""
    tg.manual_seed(0)
    basis = rng.standard_normal((3, 8)).astype(np.float32)
    x, known = rng.standard_normal((6, 1, 2, 4)).astype(np.float32), np.ones((1, 2, 4), np.float32)
    seen = []

    def generate(z):
        seen.append(z.data.copy())
        return (z @ tg.tensor(basis)).reshape(-1, 1, 2, 4)

    known[:, 0] = 0
    found = inpaint.by_search(generate, 3, x, known, steps=1, starts=5, weight=3.0)
    z = seen[-1].reshape(5, 6, 3)
    made = (z @ basis).reshape(5, 6, 1, 2, 4)
    loss = 3 * (known * (made - x) ** 2).sum((2, 3, 4)) + (z ** 2).sum(2) / 2
    for i in range(6):
        best = made[loss[:, i].argmin(), i]
        np.testing.assert_allclose(found[0, i], known * x[i] + (1 - known) * best, rtol=1e-5)


def test_a_critic_pulls_the_search_to_where_it_is_content():
    def generate(z):
        return z.reshape(-1, 1, 1, 1).expand((len(z), 1, 1, 2))

    x, known = np.zeros((1, 1, 1, 2), np.float32), np.zeros((1, 1, 2), np.float32)
    found = [inpaint.by_search(generate, 1, x, known, steps=300, starts=1, critic=critic)
             for critic in (None, lambda made: 5 * made.flatten(1)[:, :1])]
    best = 0.0
    for _ in range(100):        # where z^2 / 2 + log(1 + exp(-5 z)) has slope 0, between the two
        best = (best + 5 / (1 + np.exp(5 * best))) / 2
    assert abs(found[0].mean()) < 1e-3 and found[1].mean() == pytest.approx(best, abs=1e-3)


def test_baselines(rng):
    train = rng.random((50, 1, 4, 4), np.float32)
    known = inpaint.mask("top", (1, 4, 4))
    x = train[[7, 30]] + 0.001
    mean, nearest = inpaint.by_mean(x, known, train), inpaint.by_neighbour(x, known, train)
    np.testing.assert_array_equal(nearest[:, :, :2], train[[7, 30], :, :2])
    np.testing.assert_allclose(mean[:, :, :2], np.repeat(train.mean(0)[None, :, :2], 2, 0))
    for done in (mean, nearest):
        np.testing.assert_array_equal(done[:, :, 2:], x[:, :, 2:])
    assert inpaint.hidden_error(nearest, x, known) == pytest.approx(1e-6, rel=1e-3)


def test_neighbours_are_those_of_one_comparison_after_the_other():
    """In float64, where no two distances are so close that rounding could swap them."""
    rng = np.random.default_rng(0)
    train = rng.random((14_000, 1, 2, 2))                  # more than are compared at once
    x, known = rng.random((40, 1, 2, 2)), np.array([[[1.0, 0.0], [0.0, 1.0]]])
    done = inpaint.by_neighbour(x, known, train)
    found = []
    for i in range(40):
        distances = ((train[:, 0] - x[i, 0]) ** 2 * known[0]).sum(axis=(1, 2))
        found.append(distances.argmin())
        np.testing.assert_array_equal(done[i], np.where(known == 1, x[i], train[found[-1]]))
    assert min(found) < 10_000 < max(found)


def test_neighbours_need_one_mask():
    known = np.stack([inpaint.mask("top", (1, 4, 4)), inpaint.mask("left", (1, 4, 4))])
    with pytest.raises(InputError, match="different masks"):
        inpaint.by_neighbour(np.zeros((2, 1, 4, 4)), known, np.zeros((3, 1, 4, 4)))


def test_by_search_takes_a_mask_for_each_example():
    x = np.array([[[[1.0, 0.0]]], [[[0.0, 2.0]]]], np.float32)
    known = np.array([[[[1.0, 0.0]]], [[[0.0, 1.0]]]], np.float32)
    found = inpaint.by_search(lambda z: z.reshape(-1, 1, 1, 1).expand((len(z), 1, 1, 2)), 1,
                              x, known, starts=3, weight=2.0)
    np.testing.assert_allclose(found[0], [[[[1.0, 0.8]]], [[[1.6, 2.0]]]], atol=0.01)
