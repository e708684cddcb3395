"""The VAE against its formulas, worked out once more in NumPy, and against an exact log p(x)."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn, vae
from tinygen.tensor import Tensor

SHAPE = (1, 4, 4)


def tiny(likelihood="bernoulli", dtype="float64", latent_dim=3, hidden=5):
    model = vae.dense_vae(SHAPE, latent_dim, hidden, likelihood)
    if likelihood == "gaussian":
        model.log_sigma.data[...] = -0.3
    return model.double() if dtype == "float64" else model


def batch(n=6, shape=SHAPE, dtype="float64"):
    return np.random.default_rng(n).random((n, *shape)).astype(dtype)


def by_hand(model, x, noise):
    """(recon, kl) of each example from the weights alone, without the library."""
    w = {name: t.numpy() for name, t in model.state_dict().items()}
    flat = x.reshape(len(x), -1)
    h = np.maximum(flat @ w["encoder.1.weight"].T + w["encoder.1.bias"], 0)
    code = h @ w["encoder.3.weight"].T + w["encoder.3.bias"]
    mu, var = code[:, :model.latent_dim], np.exp(code[:, model.latent_dim:])
    z = mu + np.sqrt(var) * noise
    h = np.maximum(z @ w["decoder.0.weight"].T + w["decoder.0.bias"], 0)
    out = h @ w["decoder.2.weight"].T + w["decoder.2.bias"]
    if model.likelihood == "bernoulli":
        p = 1 / (1 + np.exp(-out))
        log_p = flat * np.log(p) + (1 - flat) * np.log(1 - p)
    else:
        sigma = np.exp(w["log_sigma"])
        log_p = -0.5 * ((flat - out) / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))
    return -log_p.sum(axis=1), 0.5 * (mu**2 + var - np.log(var) - 1).sum(axis=1)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_negative_elbo_by_hand(likelihood):
    model, x = tiny(likelihood), batch()
    noise = np.random.default_rng(1).standard_normal((6, 3))
    loss, recon, kl = vae.negative_elbo(model, Tensor(x), Tensor(noise))
    recon_by_hand, kl_by_hand = by_hand(model, x, noise)
    assert recon.item() == pytest.approx(recon_by_hand.mean(), rel=1e-12)
    assert kl.item() == pytest.approx(kl_by_hand.mean(), rel=1e-12)
    assert loss.item() == pytest.approx((recon_by_hand + kl_by_hand).mean(), rel=1e-12)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_per_example_whatever_the_batch(likelihood):
    model, x = tiny(likelihood), batch(8)
    noise = np.random.default_rng(1).standard_normal((8, 3))

    def parts(*rows):
        rows = list(rows)
        return np.array([part.item() for part in
                         vae.negative_elbo(model, Tensor(x[rows]), Tensor(noise[rows]))])

    single = [parts(i) for i in range(8)]
    np.testing.assert_allclose(parts(*range(8)), np.mean(single, axis=0), rtol=1e-12)
    np.testing.assert_allclose(parts(*range(8), *range(8)), parts(*range(8)), rtol=1e-12)


def test_reconstruction_is_summed_over_pixels():
    for likelihood, one in [("bernoulli", math.log(2)), ("gaussian", 0.5 * math.log(2 * math.pi))]:
        for shape in [(2,), (1, 4, 4), (3, 8, 8)]:
            model = vae.dense_vae(shape, 2, 4, likelihood)
            decoded = tg.zeros(5, *shape)      # D(z) = 1/2, or the mean 0
            x = tg.zeros(5, *shape)
            loss = vae.reconstruction_loss(model, decoded, x)
            assert loss.item() == pytest.approx(one * math.prod(shape), rel=1e-6)


def test_kl_in_closed_form():
    """Against the integral of q log(q / p), for one unit, on a fine grid."""
    model = vae.VAE(lambda x: x, lambda z: z, 1)      # x is (mu, log_var), and so is the code
    z = np.linspace(-30, 30, 200_001)
    for mu, var in [(0, 1), (2, 1), (-1, 0.1), (0.5, 4)]:
        q = np.exp(-0.5 * (z - mu) ** 2 / var) / math.sqrt(2 * math.pi * var)
        log_ratio = -0.5 * (z - mu) ** 2 / var - 0.5 * math.log(var) + 0.5 * z**2
        expected = np.trapezoid(q * log_ratio, z)
        code = tg.tensor(np.array([[mu, math.log(var)]], float))
        kl = tg.mean(vae.gaussian_kl(*model.encode(code)))
        assert kl.item() == pytest.approx(expected, abs=1e-9)


def test_encode_gives_the_mean_first():
    model = vae.VAE(lambda x: x, lambda z: z, 2)
    mu, log_var = model.encode(tg.tensor([[1.0, 2, 3, 4]]))
    assert mu.numpy().tolist() == [[1, 2]] and log_var.numpy().tolist() == [[3, 4]]


def test_reparameterise_has_the_variance_that_it_was_given():
    mu, log_var = tg.tensor([3.0, -1.0]), tg.tensor(np.log([0.25, 9.0]), dtype="float32")
    z = vae.reparameterise(mu, log_var, tg.randn(200_000, 2)).numpy()
    assert np.allclose(z.mean(axis=0), [3, -1], atol=0.03)
    assert np.allclose(z.var(axis=0), [0.25, 9], rtol=0.02)     # the variance's square is far off
    z = vae.reparameterise(mu, log_var, tg.ones(2)).numpy()
    assert np.allclose(z, [3.5, 2], rtol=1e-6)


def test_the_gradient_passes_through_the_sample():
    mu = tg.tensor([0.5], requires_grad=True)
    log_var = tg.tensor([math.log(4)], requires_grad=True)
    vae.reparameterise(mu, log_var, tg.tensor([3.0])).sum().backward()
    assert mu.grad.item() == 1
    assert log_var.grad.item() == pytest.approx(0.5 * 2 * 3)    # sigma / 2 * noise


# A model where log p(x) is known: x = W z + b + sigma * noise, so x ~ N(b, W W' + sigma^2)

W = np.array([[1.0, 2, 0], [0.8, -0.4, 3]]).T       # (3, 2), its columns at right angles
B, SIGMA = np.array([0.3, -1.0, 2.0]), 0.7


def linear_gaussian(wrong=0.0):
    """The exact posterior as the encoder (`wrong` spoils it), and the model as the decoder."""
    precision = W.T @ W + SIGMA**2 * np.eye(2)
    assert precision[0, 1] == pytest.approx(0)
    encoder, decoder = nn.Linear(3, 4), nn.Linear(2, 3)
    model = vae.VAE(encoder, decoder, 2, "gaussian").double()
    to_mean = np.linalg.inv(precision) @ W.T
    encoder.weight.data[...] = np.concatenate([to_mean, np.zeros((2, 3))])
    encoder.bias.data[:2] = -to_mean @ B + wrong
    encoder.bias.data[2:] = np.log(SIGMA**2 / np.diag(precision)) - wrong
    decoder.weight.data[...], decoder.bias.data[...] = W, B
    model.log_sigma.data[...] = math.log(SIGMA)
    return model


def log_p(x):
    cov = W @ W.T + SIGMA**2 * np.eye(3)
    quadratic = ((x - B) @ np.linalg.inv(cov) * (x - B)).sum(axis=1)
    return -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * cov)[1])


def elbo(model, x):
    """The exact ELBO of each x. What is averaged is quadratic in the noise, so the four points
    +-sqrt(2) e_i, with mean 0 and covariance 1, average it without error."""
    points = math.sqrt(2) * np.concatenate([np.eye(2), -np.eye(2)])
    return np.array([-vae.negative_elbo(model, Tensor(np.tile(row, (4, 1))), Tensor(points))[0]
                     .item() for row in x])


def test_the_elbo_is_log_p_where_the_encoder_is_the_exact_posterior():
    x = np.random.default_rng(0).standard_normal((20, 3)) * 3
    np.testing.assert_allclose(elbo(linear_gaussian(), x), log_p(x), rtol=1e-12)


@pytest.mark.parametrize("wrong", [-1.0, 0.1, 0.5, 2.0])
def test_the_elbo_is_a_lower_bound_of_log_p(wrong):
    x = np.random.default_rng(0).standard_normal((20, 3)) * 3
    gap = log_p(x) - elbo(linear_gaussian(wrong), x)
    posterior = SIGMA**2 / np.diag(W.T @ W + SIGMA**2 * np.eye(2))
    assert (gap > 0).all()      # and the gap is KL(q || posterior), the same for every x here
    ratio = math.exp(-wrong)
    expected = 0.5 * (ratio - 1 + wrong + wrong**2 / posterior).sum()
    np.testing.assert_allclose(gap, expected, rtol=1e-10)


# The models

@pytest.mark.parametrize("make, shape", [
    (vae.dense_vae, (1, 28, 28)), (vae.dense_vae, (2,)), (vae.dense_vae, (3, 5, 4)),
    (vae.conv_vae, (1, 28, 28)), (vae.conv_vae, (3, 28, 28))])
def test_shapes(make, shape):
    model = make(shape, latent_dim=7)
    mu, log_var = model.encode(tg.rand(2, *shape))
    assert mu.shape == log_var.shape == (2, 7)
    assert model.decode(mu).shape == model.sample(2).shape == (2, *shape)
    assert model.reconstruct(tg.rand(3, *shape)).shape == (3, *shape)


def test_the_dense_model_is_that_of_the_example():
    model = vae.dense_vae((1, 28, 28))
    shapes = {name: t.shape for name, t in model.state_dict().items()}
    assert shapes == {
        "encoder.1.weight": (400, 784), "encoder.1.bias": (400,),
        "encoder.3.weight": (40, 400), "encoder.3.bias": (40,),
        "decoder.0.weight": (400, 20), "decoder.0.bias": (400,),
        "decoder.2.weight": (784, 400), "decoder.2.bias": (784,)}


def test_names_of_the_convolutional_model():
    model = vae.conv_vae((3, 28, 28), 5, "gaussian")
    layers = ["encoder.0", "encoder.2", "encoder.5", "decoder.0", "decoder.3", "decoder.5"]
    expected = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    state = model.state_dict()
    assert set(state) == expected | {"log_sigma"}
    assert state["decoder.5.weight"].shape == (32, 3, 4, 4) and state["log_sigma"].shape == ()


def test_an_unknown_likelihood():
    with pytest.raises(ValueError, match="likelihood is 'poisson'; choose 'bernoulli' or"):
        vae.dense_vae((2,), likelihood="poisson")


def test_samples():
    model = tiny(dtype="float32")
    z = tg.randn(4, 3)
    pictures = model.sample(4, z=z)
    assert np.array_equal(pictures.numpy(), tg.sigmoid(model.decode(z)).detach().numpy())
    assert not pictures.requires_grad and 0 < pictures.numpy().min() < pictures.numpy().max() < 1
    tg.manual_seed(5)
    once = model.sample(9).numpy()
    tg.manual_seed(5)
    assert np.array_equal(model.sample(9).numpy(), once)
    assert not np.array_equal(model.sample(9).numpy(), once)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_temperature_is_the_spread_of_z(temperature):
    model = vae.VAE(nn.Linear(2, 4), nn.Sequential(), 2, "gaussian")     # its sample is z itself
    z = model.sample(20_000, temperature).numpy()
    assert z.std() == pytest.approx(temperature, rel=0.02)
    tg.manual_seed(3)
    z = model.sample(5, temperature).numpy()
    tg.manual_seed(3)
    np.testing.assert_array_equal(z, temperature * model.sample(5).numpy())


def test_reconstruct_takes_the_mean_of_the_code():
    for likelihood, mean in [("bernoulli", lambda out: 1 / (1 + np.exp(-out))),
                             ("gaussian", lambda out: out)]:
        model, x = tiny(likelihood), Tensor(batch())
        expected = mean(model.decode(model.encode(x)[0]).detach().numpy())
        found = model.reconstruct(x)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
        assert not found.requires_grad
        assert np.array_equal(found.numpy(), model.reconstruct(x).numpy())      # without noise


# Training

@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_training_lowers_the_loss(likelihood):
    """Four patterns, equally often: no -ELBO can come below their entropy, log 4."""
    training = vae.VAETraining(vae.dense_vae(SHAPE, 2, 16, likelihood), lr=0.01)
    patterns = np.random.default_rng(0).integers(2, size=(4, *SHAPE)).astype(np.float32)
    x = Tensor(np.tile(patterns, (16, 1, 1, 1)))

    def loss_and_kl():
        figures = [training.evaluate(x) for _ in range(20)]
        return [np.mean([f[name] for f in figures]) for name in ("loss", "kl")]

    before, _ = loss_and_kl()
    for _ in range(150):
        training.step(x)
    after, kl = loss_and_kl()
    assert after < before - 7 and kl > 1        # and the code is in use
    assert likelihood == "gaussian" or math.log(4) < after < 4


def test_a_step_gives_the_figures_and_moves_every_parameter():
    model = tiny("gaussian", "float32")
    training, x = vae.VAETraining(model), Tensor(batch(dtype="float32"))
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    figures = training.step(x)
    assert list(figures) == ["loss", "elbo", "recon", "kl"]
    assert all(type(value) is float for value in figures.values())
    assert figures["elbo"] == -figures["loss"]
    assert figures["loss"] == pytest.approx(figures["recon"] + figures["kl"], rel=1e-6)
    for name, t in model.state_dict().items():
        assert not np.array_equal(t.numpy(), before[name]), name


def test_evaluate_changes_nothing():
    model = tiny(dtype="float32")
    training, x = vae.VAETraining(model), Tensor(batch(dtype="float32"))
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    tg.manual_seed(1)
    measured = training.evaluate(x)
    tg.manual_seed(1)
    assert training.step(x) == measured     # the figures are those before the update
    model.load_state_dict(before)
    training.model.zero_grad()
    training.evaluate(x)
    assert all(p.grad is None for p in model.parameters())
    assert all(np.array_equal(t.numpy(), before[n]) for n, t in model.state_dict().items())


def test_examples_are_already_as_the_data():
    training, x = vae.VAETraining(tiny()), batch()
    assert training.to_data(x) is x and training.from_data(x) is x


@pytest.mark.parametrize("make", [
    lambda: tiny("bernoulli", "float32"), lambda: tiny("gaussian", "float32")])
def test_float32_stays(make):
    model = make()
    training, x = vae.VAETraining(model), Tensor(batch(dtype="float32"))
    for _ in range(2):
        training.step(x)
    loss, recon, kl = vae.negative_elbo(model, x, training.noise_for(x))
    found = [loss, recon, kl, model.sample(2), model.sample(2, 0.5), model.reconstruct(x)]
    found += [*model.parameters(), *[p.grad for p in model.parameters()]]
    found += [state[name] for state in training.optimizers[0].state
              for name in ("exp_avg", "exp_avg_sq")]
    assert {x.dtype for x in found} == {np.dtype("float32")}


def test_float64_trains_too():
    training = vae.VAETraining(tiny("gaussian"))
    training.step(Tensor(batch()))
    assert {p.dtype for p in training.model.parameters()} == {np.dtype("float64")}


def test_a_float64_model_draws_float64():
    model = vae.dense_vae((2,), hidden=4, likelihood="gaussian").double()
    assert model.sample(3).dtype == np.float64
