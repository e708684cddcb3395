"""Distributions: moments, densities, entropies, divergences, by formulas and Monte Carlo."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import creation
from tinygen.distributions import Bernoulli, Categorical, Normal, kl_divergence
from tinygen.functional import gaussian_kl

N = 100_000


def assert_close(tensor, expected, rtol=1e-5, atol=1e-6):
    assert isinstance(tensor, tg.Tensor) and tensor.dtype == np.float32
    assert tensor.shape == np.shape(expected)
    np.testing.assert_allclose(tensor.data, expected, rtol=rtol, atol=atol)


def assert_estimates(samples, expected):
    """The mean of `samples` (along dimension 0) is within four standard errors of `expected`."""
    samples = np.asarray(samples, np.float64)
    error = samples.std(axis=0) / math.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - expected) <= 4 * error + 1e-6).all()


PAIRS = {
    "Normal": (
        Normal(tg.tensor([0.0, -1.0]), tg.tensor([1.0, 0.5])),
        Normal(tg.tensor([0.5, 1.0]), 2.0),
    ),
    "Bernoulli": (Bernoulli(tg.tensor([0.2, 0.9])), Bernoulli(logits=tg.tensor([0.5, -1.0]))),
    "Categorical": (
        Categorical(tg.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])),
        Categorical(logits=tg.tensor([[0.0, 1.0, 2.0], [0.3, 0.0, -1.0]])),
    ),
}
ALL = [d for pair in PAIRS.values() for d in pair]


# Every distribution


@pytest.mark.parametrize("p", ALL)
def test_entropy_is_the_mean_of_minus_log_prob(p):
    assert_estimates(-p.log_prob(p.sample((N,))).data, p.entropy().data)


@pytest.mark.parametrize("p, q", [*PAIRS.values(), *[(q, p) for p, q in PAIRS.values()]])
def test_kl_is_the_mean_log_ratio(p, q):
    x = p.sample((N,))
    kl = kl_divergence(p, q)
    assert (kl.data > 0).all()
    assert_estimates((p.log_prob(x) - q.log_prob(x)).data, kl.data)


@pytest.mark.parametrize("p", ALL)
def test_kl_of_a_distribution_to_itself_is_0(p):
    np.testing.assert_allclose(kl_divergence(p, p).data, 0, atol=1e-6)


@pytest.mark.parametrize("p, q", PAIRS.values(), ids=PAIRS)
def test_everything_stays_float32(p, q):
    x = p.sample((3,))
    for t in (p.log_prob(x), p.entropy(), kl_divergence(p, q), q.log_prob(x), q.entropy()):
        assert t.dtype == np.float32
    assert x.dtype == (np.int64 if isinstance(p, Categorical) else np.float32)


@pytest.mark.parametrize("p, q", [(PAIRS["Normal"][0], PAIRS["Bernoulli"][0])])
def test_kl_of_two_kinds_is_an_error(p, q):
    with pytest.raises(TypeError, match="no closed form for Normal against Bernoulli"):
        kl_divergence(p, q)


@pytest.mark.parametrize("p", ALL)
def test_sample_shape_comes_first(p):
    assert p.sample().shape == (2,)
    assert p.sample((5, 3)).shape == (5, 3, 2)
    assert p.log_prob(p.sample((5, 3))).shape == (5, 3, 2)


def test_the_seed_decides_the_samples():
    for p in ALL:
        tg.manual_seed(1)
        first = p.sample((20,)).data
        tg.manual_seed(1)
        np.testing.assert_array_equal(p.sample((20,)).data, first)


# Normal


@pytest.mark.parametrize("draw", [Normal.sample, Normal.rsample])
def test_normal_moments(draw):
    loc, scale = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    x = draw(Normal(tg.tensor(loc), tg.tensor(scale)), (N,)).data
    assert_estimates(x, loc)
    assert_estimates((x - loc) ** 2, scale**2)
    assert_estimates(((x - loc) / scale) ** 4, 3.0)


def test_gradients_flow_through_rsample_and_not_through_sample():
    loc, scale = (
        tg.tensor([1.0, 2.0], requires_grad=True),
        tg.tensor([3.0, 4.0], requires_grad=True),
    )
    p = Normal(loc, scale)
    assert not p.sample((3,)).requires_grad
    x = p.rsample((3,))
    x.sum().backward()
    assert loc.grad.data.tolist() == [3.0, 3.0]
    noise = (x.data - loc.data) / scale.data
    np.testing.assert_allclose(scale.grad.data, noise.sum(0), rtol=1e-5, atol=1e-6)


def test_the_reparameterised_gradient_estimates_that_of_the_expectation():
    loc, scale = tg.tensor(1.5, requires_grad=True), tg.tensor(0.5, requires_grad=True)
    x = Normal(loc, scale).rsample((N,))
    (x * x).mean().backward()  # E x^2 = loc^2 + scale^2
    assert loc.grad.item() == pytest.approx(3.0, abs=4 * 2 * 0.5 / math.sqrt(N))
    assert scale.grad.item() == pytest.approx(1.0, abs=4 * 5 / math.sqrt(N))


def test_normal_log_prob_by_hand():
    p = Normal(tg.tensor([0.0, 1.0]), tg.tensor([1.0, 2.0]))
    assert_close(
        p.log_prob(tg.tensor([0.0, 5.0])),
        [-0.5 * math.log(2 * math.pi), -2 - math.log(2) - 0.5 * math.log(2 * math.pi)],
    )


def test_normal_density_integrates_to_one():
    x = np.linspace(-20, 22, 4001)
    for loc, scale in ((1.0, 2.0), (0.0, 0.1)):
        p = Normal(tg.tensor(np.array(loc)), tg.tensor(np.array(scale)))
        density = p.log_prob(tg.tensor(x)).exp().data
        assert np.trapezoid(density, x) == pytest.approx(1.0, abs=1e-6)


def test_normal_entropy_and_kl_by_hand():
    p, q = Normal(tg.tensor([1.0]), tg.tensor([2.0])), Normal(tg.tensor([0.0]), tg.tensor([1.0]))
    assert_close(p.entropy(), [0.5 * math.log(2 * math.pi * math.e * 4)])
    assert_close(kl_divergence(p, q), [-math.log(2) + (4 + 1) / 2 - 0.5])


def test_normal_entropy_has_the_shape_of_both_and_does_not_depend_on_loc():
    p = Normal(tg.tensor([math.inf, 0.0, 1.0]), tg.tensor([[1.0], [2.0]]))
    assert p.entropy().shape == p.batch_shape == (2, 3)
    assert_close(p.entropy()[0], [0.5 * math.log(2 * math.pi * math.e)] * 3)


def test_kl_to_the_standard_normal_is_gaussian_kl():
    mu, log_var = tg.randn(5, 3), tg.randn(5, 3)
    kl = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(tg.zeros(3), tg.ones(3)))
    np.testing.assert_allclose(kl.data.sum(1), gaussian_kl(mu, log_var).data, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.0, -1.0, [1.0, 0.0]])
def test_a_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match="scale has entries of 0 or less"):
        Normal(tg.zeros(2), tg.tensor(scale))


@pytest.mark.parametrize(
    "loc, scale", [(0, 1), (0.0, 1), (0.0, 1.0), (tg.tensor(0), tg.tensor(1)), (0, tg.ones(()))]
)
def test_normal_of_plain_numbers_is_float32(loc, scale):
    p = Normal(loc, scale)
    assert p.sample((3,)).dtype == np.float32
    assert_close(p.log_prob(1.0), -0.5 - 0.5 * math.log(2 * math.pi))
    assert_close(p.entropy(), 0.5 * math.log(2 * math.pi * math.e))


@pytest.mark.parametrize(
    "make", [lambda t: Normal(t, 1.0), lambda t: Normal(0.0, t + 1), lambda t: Normal(t, t + 1)]
)
def test_normal_of_float64_stays_float64(make):
    p = make(tg.zeros(3, dtype="float64"))
    for t in (
        p.sample(),
        p.log_prob(tg.zeros(3, dtype="float64")),
        p.entropy(),
        kl_divergence(p, p),
    ):
        assert t.dtype == np.float64 and t.shape == (3,)


def test_normal_parameters_broadcast_with_each_other_and_with_x():
    p = Normal(tg.zeros(3, 1), tg.ones(2))
    assert p.sample((4,)).shape == (4, 3, 2)
    assert p.entropy().shape == (3, 2)
    assert p.log_prob(tg.zeros(5, 1, 1)).shape == (5, 3, 2)
    assert kl_divergence(p, Normal(0.0, 1.0)).shape == (3, 2)


def test_gradient_of_log_prob_is_the_score():
    loc, scale = tg.tensor([1.0], requires_grad=True), tg.tensor([2.0], requires_grad=True)
    Normal(loc, scale).log_prob(tg.tensor([4.0])).sum().backward()
    assert loc.grad.item() == pytest.approx(3 / 4)
    assert scale.grad.item() == pytest.approx(9 / 8 - 1 / 2)


# Bernoulli


def test_bernoulli_moments():
    p = np.array([0.1, 0.5, 0.97])
    x = Bernoulli(tg.tensor(p)).sample((N,)).data
    assert set(np.unique(x)) == {0.0, 1.0}
    assert_estimates(x, p)


def test_bernoulli_log_prob_sums_to_one_and_is_the_formula():
    probs = tg.tensor([0.1, 0.5, 0.97])
    for p in (Bernoulli(probs), Bernoulli(logits=tg.log(probs / (1 - probs)))):
        one, zero = p.log_prob(tg.ones(3)), p.log_prob(tg.zeros(3))
        assert_close(one, np.log([0.1, 0.5, 0.97]))
        assert_close(one.exp() + zero.exp(), [1.0, 1.0, 1.0])
        assert_close(p.probs, [0.1, 0.5, 0.97])


def test_bernoulli_entropy_by_hand():
    assert_close(
        Bernoulli(tg.tensor([0.5, 0.25])).entropy(),
        [math.log(2), 0.25 * math.log(4) + 0.75 * math.log(4 / 3)],
    )


def test_bernoulli_kl_by_hand():
    kl = kl_divergence(Bernoulli(tg.tensor([0.5])), Bernoulli(tg.tensor([0.25])))
    assert_close(kl, [0.5 * math.log(2) + 0.5 * math.log(2 / 3)])


def test_bernoulli_of_large_logits_is_finite():
    p = Bernoulli(logits=tg.tensor([1e3, -1e3]))
    assert_close(p.log_prob(tg.tensor([1.0, 1.0])), [0.0, -1e3])
    assert_close(p.entropy(), [0.0, 0.0])


def test_a_certain_bernoulli_has_entropy_0_and_log_prob_0():
    with np.errstate(divide="ignore"):
        p = Bernoulli(tg.tensor([0.0, 1.0]))
    np.testing.assert_allclose(p.log_prob(tg.tensor([0.0, 1.0])).data, 0, atol=1e-5)
    np.testing.assert_allclose(p.entropy().data, 0, atol=1e-5)
    assert p.sample((50,)).data.mean(0).tolist() == [0.0, 1.0]


def test_bernoulli_of_a_plain_number_is_float32():
    p = Bernoulli(0.25)
    assert p.sample((4,)).dtype == np.float32
    assert_close(p.log_prob(tg.ones(())), math.log(0.25))


def test_bernoulli_log_prob_broadcasts():
    p = Bernoulli(logits=tg.zeros(3, requires_grad=True))
    y = p.log_prob(tg.ones(4, 1))
    assert_close(y, np.full((4, 3), -math.log(2)))
    y.sum().backward()
    assert p.logits.grad.data.tolist() == [2.0] * 3


@pytest.mark.parametrize("kind", [Bernoulli, Categorical])
def test_either_probs_or_logits(kind):
    with pytest.raises(ValueError, match="either probs or logits"):
        kind()
    with pytest.raises(ValueError, match="either probs or logits"):
        kind(tg.ones(2), tg.ones(2))


# Categorical

def test_probabilities_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="probs must be 0 or more, with one above 0"):
        Categorical(tg.tensor([math.nan, 1.0]))



def test_categorical_frequencies():
    probs = np.array([[0.1, 0.0, 0.6, 0.3], [0.25] * 4])
    with np.errstate(divide="ignore"):
        x = Categorical(tg.tensor(probs)).sample((N,)).data
    assert x.dtype == np.int64
    assert_estimates(x[..., None] == np.arange(4), probs)
    assert not (x[:, 0] == 1).any()


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_categorical_frequencies_of_any_batch_shape(shape):
    probs = np.broadcast_to([0.2, 0.5, 0.3], (*shape, 3))
    x = Categorical(tg.tensor(probs)).sample((20_000,)).data
    assert x.shape == (20_000, *shape)
    assert_estimates(x[..., None] == np.arange(3), probs)


def test_categorical_log_prob_sums_to_one_and_is_the_formula():
    p = Categorical(tg.tensor([0.2, 0.5, 0.3]))
    assert_close(p.log_prob(tg.tensor([0, 1, 2])), np.log([0.2, 0.5, 0.3]))
    assert_close(p.log_prob(tg.tensor([0, 1, 2])).exp().sum(), 1.0)


def test_categorical_takes_unnormalised_logits_and_probs():
    for p in (
        Categorical(logits=tg.tensor([5.0, 5.0 + math.log(3)])),
        Categorical(tg.tensor([2.0, 6.0])),
    ):
        assert_close(p.probs, [0.25, 0.75])


def test_categorical_entropy_by_hand():
    with np.errstate(divide="ignore"):
        p = Categorical(tg.tensor([[0.25] * 4, [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]))
    assert_close(p.entropy(), [math.log(4), 0.0, math.log(2)])


def test_categorical_kl_where_a_probability_is_0():
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = Categorical(tg.tensor([0.5, 0.5, 0.0])), Categorical(tg.tensor([0.25, 0.25, 0.5]))
        assert_close(kl_divergence(p, q), math.log(2))
        assert kl_divergence(q, p).item() == math.inf


def test_gradient_of_categorical_log_prob_is_one_hot_minus_probs():
    logits = tg.tensor([0.0, math.log(3)], requires_grad=True)
    Categorical(logits=logits).log_prob(tg.tensor(1)).backward()
    np.testing.assert_allclose(logits.grad.data, [-0.25, 0.25], rtol=1e-6)


def test_categorical_parameters_broadcast_with_x():
    p = Categorical(logits=tg.zeros(3, 2))
    assert_close(p.log_prob(tg.tensor([[0], [1]])), np.full((2, 3), -math.log(2)))


@pytest.mark.parametrize("x", [3, -1])
def test_a_class_out_of_range_is_an_error(x):
    with pytest.raises(IndexError):
        Categorical(logits=tg.zeros(3)).log_prob(tg.tensor(x))


def test_a_class_of_probability_0_is_not_drawn_even_by_the_smallest_uniform_number(monkeypatch):
    monkeypatch.setattr(creation, "rand", lambda shape, **options: tg.zeros(*shape))
    with np.errstate(divide="ignore"):
        assert Categorical(tg.tensor([0.0, 0.5, 0.5])).sample().item() == 1


def test_a_probability_of_0_has_the_gradient_of_the_others():
    p = tg.tensor([0.0, 1.0, 3.0], requires_grad=True)
    Categorical(probs=p).log_prob(tg.tensor(1)).backward()      # log p_1 / (p_0 + p_1 + p_2)
    np.testing.assert_allclose(p.grad.numpy(), [-0.25, 0.75, -0.25], rtol=1e-6)
    p.grad = None
    Categorical(probs=p).probs[0].backward()                    # p_0 / (p_0 + p_1 + p_2)
    np.testing.assert_allclose(p.grad.numpy(), [0.25, 0, 0], rtol=1e-6)
    entropy = Categorical(probs=p.detach()).entropy().item()
    assert abs(entropy - (0.25 * math.log(4) + 0.75 * math.log(4 / 3))) < 1e-6


@pytest.mark.parametrize("words, make", [
    ("Normal: scale", lambda: Normal(0.0, tg.tensor([math.nan]))),
    ("Bernoulli: probs", lambda: Bernoulli(tg.tensor([1.5]))),
    ("Bernoulli: probs", lambda: Bernoulli(tg.tensor([math.nan]))),
    ("Bernoulli: the logits", lambda: Bernoulli(logits=tg.tensor([0.0, math.nan]))),
    ("Categorical: the logits", lambda: Categorical(logits=tg.tensor([0.0, math.nan]))),
    ("Categorical: the logits", lambda: Categorical(logits=tg.tensor([math.inf, math.inf]))),
    ("Categorical: the logits", lambda: Categorical(logits=tg.tensor([-math.inf, -math.inf]))),
    ("Categorical: the logits", lambda: Categorical(tg.tensor([math.inf, 1.0]))),
    ("Normal: loc", lambda: Normal(tg.tensor([math.nan]), 1.0)),
    ("Categorical: probs", lambda: Categorical(tg.tensor([-1.0, 2.0]))),
    ("Categorical: probs", lambda: Categorical(tg.tensor([[1.0, 2.0], [0.0, 0.0]])))])
def test_parameters_that_make_no_distribution_are_refused(words, make):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=words):
        make()


def test_log_prob_takes_numbers():
    assert abs(Bernoulli(probs=0.25).log_prob(1).item() - math.log(0.25)) < 1e-6
    assert abs(Categorical(probs=tg.tensor([1.0, 3.0])).log_prob(1).item() - math.log(0.75)) < 1e-6
    with pytest.raises(TypeError, match="one_hot"):
        Categorical(logits=tg.zeros(3)).log_prob(tg.tensor([0.5]))


def test_log_prob_takes_integers_beside_float64():
    found = Bernoulli(logits=tg.zeros(2, dtype="float64")).log_prob(tg.tensor([0, 1]))
    assert found.dtype == np.float64 and abs(found.numpy() + math.log(2)).max() < 1e-15


def test_a_class_of_probability_0_is_never_drawn():
    """The float32 sum of these 3,650 probabilities ends below 1 by more than a draw's last bit."""
    logits = np.append(np.zeros(3650, np.float32), np.float32(-math.inf))
    categorical = Categorical(logits=tg.tensor(logits))
    assert categorical.probs.data.cumsum()[-1] < 1 - 1e-6
    assert max(int(categorical.sample((500,)).data.max()) for _ in range(200)) < 3650
