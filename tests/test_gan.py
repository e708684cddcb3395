"""The GAN's two players against their formulas, and each of them alone in its own step."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import gan, nn, vae
from tinygen.tensor import Tensor

REAL, FAKE = np.array([[-1.5], [0.2], [3.0]]), np.array([[-2.0], [0.7], [1.0]])


def logits(array):
    return tg.tensor(np.asarray(array, float), requires_grad=True)


def probability(array):
    return 1 / (1 + np.exp(-array))


def tiny(shape=(2,), **options):
    return gan.GANTraining(gan.dense_gan(shape, hidden=8), image=len(shape) == 3, **options)


def values(module):
    return [p.numpy().copy() for p in map(Tensor.detach, module.parameters())]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# The losses

def test_losses_are_the_formulas_of_probabilities():
    loss = gan.discriminator_loss(logits(REAL), logits(FAKE)).item()
    d_real, d_fake = probability(REAL), probability(FAKE)
    assert loss == pytest.approx(-np.log(d_real).mean() - np.log(1 - d_fake).mean(), rel=1e-12)
    found = gan.generator_loss(logits(FAKE)).item()
    assert found == pytest.approx(-np.log(d_fake).mean(), rel=1e-12)
    minimax = gan.minimax_generator_loss(logits(FAKE)).item()
    assert minimax == pytest.approx(np.log(1 - d_fake).mean(), rel=1e-12)


def test_the_minimax_loss_is_the_generators_part_of_the_value():
    real, fake = logits(REAL), logits(FAKE)
    value = -gan.discriminator_loss(real, fake).item()
    part = gan.minimax_generator_loss(fake).item()
    assert value - part == pytest.approx(np.log(probability(REAL)).mean(), rel=1e-12)


def test_the_value_where_the_discriminator_knows_nothing():
    zeros = tg.zeros(5, 1)
    assert gan.discriminator_loss(zeros, zeros).item() == pytest.approx(2 * math.log(2))
    figures = gan.figures(gan.discriminator_loss(zeros, zeros), zeros, zeros)
    assert figures["value"] == pytest.approx(-2 * math.log(2))
    assert figures["d_real"] == figures["d_fake"] == 0.5


def test_losses_do_not_depend_on_the_size_of_the_batch():
    twice = [np.concatenate([x, x]) for x in (REAL, FAKE)]
    assert gan.discriminator_loss(*map(logits, twice)).item() == pytest.approx(
        gan.discriminator_loss(logits(REAL), logits(FAKE)).item(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_a_sure_discriminator_gives_no_infinity(size, dtype):
    """Slopes with N = 2: sigmoid(l) or sigmoid(-l), over N, so 0 or 1/2 out there."""
    up = float(size > 0)
    for loss, value, slope in [
            (lambda x: gan.discriminator_loss(x, tg.zeros(2, 1, dtype=dtype)),
             1e4 * (1 - up) + math.log(2), -(1 - up) / 2),
            (lambda x: gan.discriminator_loss(tg.zeros(2, 1, dtype=dtype), x),
             1e4 * up + math.log(2), up / 2),
            (gan.generator_loss, 1e4 * (1 - up), -(1 - up) / 2),
            (gan.minimax_generator_loss, -1e4 * up, -up / 2)]:
        x = tg.tensor(np.full((2, 1), size, dtype), requires_grad=True)
        result = loss(x)
        result.backward()
        assert result.item() == pytest.approx(value, rel=1e-6) and result.dtype == dtype
        assert np.allclose(x.grad.numpy(), slope, rtol=1e-6, atol=1e-30)


def test_where_the_discriminator_is_sure_of_a_fake_only_one_loss_teaches():
    for sure in (-5.0, -20.0, -100.0):
        slopes = []
        for loss in (gan.generator_loss, gan.minimax_generator_loss):
            x = logits([sure])
            loss(x).backward()
            slopes.append(x.grad.item())
        steep, flat = slopes
        assert steep == pytest.approx(probability(sure) - 1, rel=1e-12) and steep < -0.99
        assert flat == pytest.approx(-probability(sure), rel=1e-12, abs=0) and -0.01 < flat < 0


def test_both_generator_losses_want_the_same():
    """Each of them falls as D takes a fake for real, and they have their names."""
    for loss in gan.GENERATOR_LOSSES.values():
        found = [loss(logits([x])).item() for x in (-3, -1, 0, 1, 3)]
        assert found == sorted(found, reverse=True)
    assert set(gan.GENERATOR_LOSSES) == {"non-saturating", "minimax"}
    assert tiny(loss="minimax").generator_loss is gan.minimax_generator_loss
    assert tiny().generator_loss is gan.generator_loss


# The penalty of Wasserstein GANs

def linear_critic(w, bias=0.4):
    return lambda x: (x.flatten(1) * w).sum(dim=1, keepdim=True) + bias


@pytest.mark.parametrize("shape", [(2,), (1, 3, 3), (3, 4, 2)])
@pytest.mark.parametrize("length", [0.25, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic_is_exact(shape, length):
    rng = np.random.default_rng(0)
    w = rng.standard_normal(math.prod(shape))
    w = tg.tensor(w * length / np.linalg.norm(w), requires_grad=True)
    real, fake = (Tensor(rng.standard_normal((5, *shape))) for _ in range(2))
    penalty = gan.gradient_penalty(linear_critic(w), real, fake)
    assert penalty.item() == pytest.approx((length - 1) ** 2, rel=1e-10, abs=1e-20)
    penalty.backward()      # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|
    assert np.allclose(w.grad.numpy(), 2 * (length - 1) * w.detach().numpy() / length, atol=1e-12)


def test_the_penalty_is_taken_on_the_lines_from_real_to_fake():
    seen = []

    def critic(x):
        seen.append(x)
        return (x * x).flatten(1).sum(dim=1)

    real, fake = tg.zeros(300, 1, 2, 2), tg.ones(300, 1, 2, 2) * tg.tensor([1.0, -3.0])
    penalty = gan.gradient_penalty(critic, real, fake)
    between, = seen
    share = between.detach().numpy()[:, :, :, :1]       # 1 share for all numbers of an example
    assert np.allclose(between.detach().numpy(), share * np.array([1, -3]), atol=1e-6)
    assert 0 <= share.min() < 0.05 and 0.95 < share.max() <= 1
    assert abs(share.mean() - 0.5) < 0.06 and len(np.unique(share)) > 290
    slopes = np.linalg.norm(2 * between.detach().numpy().reshape(300, -1), axis=1)
    assert penalty.item() == pytest.approx(((slopes - 1) ** 2).mean(), rel=1e-5)


def test_the_penalty_teaches_the_critic_and_not_the_generator():
    model = gan.dense_gan((2,), hidden=8)
    fake = model.generator(tg.randn(6, 2))
    curved = nn.Sequential(model.discriminator, nn.Tanh())   # so its slope depends on where x is
    gan.gradient_penalty(curved, tg.randn(6, 2), fake).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    weights = [p for n, p in model.discriminator.named_parameters() if n.endswith("weight")]
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in weights)


def test_the_loss_of_a_critic():
    w = logits([3.0, 4.0])
    real, fake = Tensor(np.array([[1.0, 0], [3, 2]])), Tensor(np.array([[0.0, 1], [0, 3]]))
    by_hand = np.mean([4, 12]) - np.mean([3, 17])       # E[critic(fake)] - E[critic(real)]
    found = gan.critic_loss(linear_critic(w), real, fake)
    assert found.item() == pytest.approx(by_hand + 10 * (5 - 1) ** 2, rel=1e-12)
    found = gan.critic_loss(linear_critic(w), real, fake, weight=0.5)
    assert found.item() == pytest.approx(by_hand + 0.5 * (5 - 1) ** 2, rel=1e-12)


# One step of each player

MODELS = pytest.mark.parametrize("make, shape", [
    (lambda: gan.dense_gan((2,), hidden=8), (2,)),
    (lambda: gan.dcgan((1, 28, 28), 4), (1, 28, 28))], ids=["dense", "dcgan"])


def two_steps(make, shape, still):
    """The training after two steps, before which optimiser `still` got the learning rate 0.

    Two, because before the first no network has a gradient that the other's step could use. And the
    weights of (discriminator, generator) before them.
    """
    training = gan.GANTraining(make(), image=len(shape) == 3)
    before = values(training.model.discriminator), values(training.model.generator)
    training.optimizers[still].lr = 0.0
    for _ in range(2):
        training.step(tg.rand(4, *shape))
    return training, *before


@MODELS
def test_the_discriminators_step_moves_the_discriminator_alone(make, shape):
    training, discriminator, generator = two_steps(make, shape, still=1)
    assert not same(values(training.model.discriminator), discriminator)
    assert same(values(training.model.generator), generator)
    assert training.optimizers[0].state[0]["step"] == 2


@MODELS
def test_the_generators_step_moves_the_generator_alone(make, shape):
    training, discriminator, generator = two_steps(make, shape, still=0)
    assert same(values(training.model.discriminator), discriminator)
    assert not same(values(training.model.generator), generator)
    assert training.optimizers[1].state[0]["step"] == 2


@MODELS
def test_each_loss_leaves_the_gradients_of_the_other_player_as_they_were(monkeypatch, make, shape):
    training, seen = gan.GANTraining(make(), image=len(shape) == 3), []
    discriminator, generator = training.model.discriminator, training.model.generator

    def step_of_d():
        assert all(p.grad is None for p in generator.parameters())
        seen.extend([p.grad.numpy().copy() for p in discriminator.parameters()])

    monkeypatch.setattr(training.optimizers[0], "step", step_of_d)
    training.step(tg.rand(4, *shape))
    assert same([p.grad.numpy() for p in discriminator.parameters()], seen)
    assert all(p.requires_grad for p in training.model.parameters())


def test_the_gradients_are_those_of_the_two_losses():
    """Each against a graph of its own, on the networks as they were at that moment."""
    training, real = tiny(), tg.randn(5, 2)
    model, rate = training.model, 0.0
    for optimizer in training.optimizers:
        optimizer.lr = rate      # nothing moves, so both losses are those of the same networks
    tg.manual_seed(7)
    training.step(real)
    tg.manual_seed(7)
    fake = model.generator(training.noise_for(real))
    for loss, part in [
            (gan.discriminator_loss(model.discriminator(real), model.discriminator(fake)),
             model.discriminator),
            (gan.generator_loss(model.discriminator(fake)), model.generator)]:
        expected = tg.grad(loss, part.parameters(), retain_graph=True)
        for p, g in zip(part.parameters(), expected):
            assert np.allclose(p.grad.numpy(), g.numpy(), rtol=1e-4, atol=1e-7)


def test_a_step_gives_the_figures():
    training, real = tiny(), tg.randn(6, 2)
    figures = training.step(real)
    assert list(figures) == ["loss", "value", "d_real", "d_fake", "generator_loss",
                             "grad_norm_d", "grad_norm_g"]
    assert all(type(value) is float for value in figures.values())
    assert figures["value"] == -figures["loss"] and 0 < figures["d_real"] < 1
    for name, part in [("grad_norm_d", training.model.discriminator),
                       ("grad_norm_g", training.model.generator)]:
        squares = sum((p.grad.numpy().astype(float) ** 2).sum() for p in part.parameters())
        assert figures[name] == pytest.approx(math.sqrt(squares), rel=1e-5)


def test_evaluate_changes_nothing_and_keeps_no_graph():
    training = gan.GANTraining(gan.dcgan((1, 28, 28), 4))
    training.model.eval()
    before = {n: t.numpy().copy() for n, t in training.model.state_dict().items()}
    figures = training.evaluate(tg.rand(3, 1, 28, 28))
    assert list(figures) == ["loss", "value", "d_real", "d_fake"]
    assert all(np.array_equal(t.numpy(), before[n])
               for n, t in training.model.state_dict().items())
    assert all(p.grad is None for p in training.model.parameters())


def test_float32_stays():
    training = gan.GANTraining(gan.dcgan((1, 28, 28), 4))
    for _ in range(2):
        training.step(tg.rand(3, 1, 28, 28))
    found = [training.model.sample(2), training.model.sample(2, 0.5)]
    found += [*training.model.parameters(), *[p.grad for p in training.model.parameters()]]
    found += [b for n, b in training.model.named_buffers() if "num_batches" not in n]
    found += [state[name] for optimizer in training.optimizers for state in optimizer.state
              for name in ("exp_avg", "exp_avg_sq")]
    assert {x.dtype for x in found} == {np.dtype("float32")}


# The models

@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28)])
def test_shapes_of_dcgan(shape):
    model = gan.dcgan(shape, latent_dim=6)
    samples = model.sample(3)
    assert samples.shape == (3, *shape) and np.abs(samples.numpy()).max() <= 1
    assert model.discriminator(samples).shape == (3, 1)
    assert not samples.requires_grad


@pytest.mark.parametrize("shape, latent", [((2,), 2), ((1, 28, 28), 100), ((3, 4, 5), 100)])
def test_shapes_of_the_dense_model(shape, latent):
    model = gan.dense_gan(shape)
    assert model.latent_dim == latent
    samples = model.sample(3)
    assert samples.shape == (3, *shape) and model.discriminator(samples).shape == (3, 1)
    tanh = [m for m in model.generator.modules() if isinstance(m, nn.Tanh)]
    assert len(tanh) == (len(shape) == 3)       # points may lie anywhere
    assert gan.dense_gan(shape, latent_dim=5).sample(2).shape == (2, *shape)


@pytest.mark.parametrize("make", [gan.dcgan, vae.conv_vae])
@pytest.mark.parametrize("shape", [(1, 32, 32), (28, 28), (1, 28, 28, 1)])
def test_convolutional_models_are_for_28_x_28(make, shape):
    with pytest.raises(ValueError, match=rf"{make.__name__}: the shape is .* fit images \(C, 28"):
        make(shape)


def test_a_loss_that_is_not_there():
    with pytest.raises(ValueError, match="loss is 'wgan', expected non-saturating or minimax"):
        tiny(loss="wgan")


def test_dcgan_starts_as_in_the_paper():
    model = gan.dcgan()
    seen = 0
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            weight = module.weight.detach().numpy()
            assert weight.mean() == pytest.approx(1, abs=0.01)
            assert weight.std() == pytest.approx(0.02, rel=0.3)
        elif isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            weight = module.weight.detach().numpy()
            assert abs(weight.mean()) < 5 * 0.02 / math.sqrt(weight.size)
            assert weight.std() == pytest.approx(0.02, rel=3 / math.sqrt(2 * weight.size))
        else:
            continue
        seen += 1
        if module.bias is not None:
            assert not module.bias.detach().numpy().any()
    assert seen == 9


def test_where_dcgan_normalises_and_where_it_does_not():
    """Not at the generator's end and not at the discriminator's start (section 3 of the paper)."""
    model = gan.dcgan()
    kinds = [[type(m).__name__ for m in part] for part in (model.generator, model.discriminator)]
    assert kinds == [
        ["Linear", "Unflatten", "BatchNorm2d", "ReLU", "ConvTranspose2d", "BatchNorm2d", "ReLU",
         "ConvTranspose2d", "Tanh"],
        ["Conv2d", "LeakyReLU", "Conv2d", "BatchNorm2d", "LeakyReLU", "Flatten", "Linear"]]
    biases = {name for name, _ in model.named_parameters() if name.endswith("bias")}
    assert biases == {"generator.2.bias", "generator.5.bias", "generator.7.bias",
                      "discriminator.0.bias", "discriminator.3.bias", "discriminator.6.bias"}
    names = set(model.state_dict())     # where batch norm follows, its bias does for both
    assert {"generator.0.weight", "generator.2.running_var",
            "discriminator.0.weight", "discriminator.3.num_batches_tracked"} <= names


@pytest.mark.parametrize("make", [gan.dcgan, lambda: gan.dense_gan((2,))], ids=["dcgan", "dense"])
def test_the_settings_are_those_of_dcgan(make):
    """Radford et al. 2016, section 4: Adam, rate 0.0002, beta1 0.5; leaky slope 0.2."""
    model = make()
    leaky = [m for m in model.discriminator.modules() if isinstance(m, nn.LeakyReLU)]
    assert [m.negative_slope for m in leaky] == [0.2, 0.2]
    for optimizer in gan.GANTraining(model).optimizers:
        assert (optimizer.lr, optimizer.betas) == (2e-4, (0.5, 0.999))


def test_the_range_of_images():
    training = tiny((1, 4, 4))
    x = np.random.default_rng(0).random((5, 1, 4, 4), np.float32)
    inside = training.from_data(x)
    assert inside.dtype == np.float32 and -1 <= inside.min() < -0.8 and 0.8 < inside.max() <= 1
    assert np.allclose(training.to_data(inside), x, atol=1e-7)
    assert training.from_data(np.float32([0, 0.5, 1])).tolist() == [-1, 0, 1]
    samples = training.to_data(training.model.sample(20)).numpy()
    assert 0 <= samples.min() and samples.max() <= 1


def test_points_stay_as_they_are():
    training, x = tiny(), np.random.default_rng(0).standard_normal((5, 2))
    assert training.from_data(x) is x and training.to_data(x) is x


def test_samples_are_of_the_given_points_or_of_the_seed():
    model, z = gan.dense_gan((2,), hidden=8), tg.randn(4, 2)
    assert np.array_equal(model.sample(4, z=z).numpy(), model.generator(z).detach().numpy())
    tg.manual_seed(2)
    cold = model.sample(4, temperature=0.5).numpy()
    tg.manual_seed(2)
    z = tg.randn(4, 2)
    assert np.array_equal(model.sample(4, z=0.5 * z).numpy(), cold)


# Training

@pytest.mark.parametrize("loss", ["non-saturating", "minimax"])
def test_training_moves_the_samples_to_the_data(loss):
    """One Gaussian far from where the samples start: their mean and their spread must get there."""
    centre = np.array([2.0, -1.0], np.float32)
    training = gan.GANTraining(gan.dense_gan((2,), hidden=32), lr=2e-3, loss=loss, image=False)

    def away():
        samples = training.model.sample(2000).numpy()
        return np.linalg.norm(samples.mean(axis=0) - centre), samples.std(axis=0)

    before, _ = away()
    for _ in range(400):
        training.step(0.5 * tg.randn(64, 2) + Tensor(centre))
    after, spread = away()
    assert before > 1.8 and after < 0.4
    assert (0.1 < spread).all() and (spread < 1.2).all()


def test_a_float64_model_draws_float64():
    model = gan.dense_gan((2,), hidden=4).double()
    assert model.sample(3).dtype == np.float64
