"""Floor 5: the generative adversarial network (Goodfellow et al. 2014).

A generator G turns noise z into examples; a discriminator D gives the probability that an example
is real. They play a game with one value function (eq. 1): D raises it, G lowers it.

    min_G max_D V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))]

D ends in a logit, log(D / (1 - D)), never in a probability: log D = -softplus(-logit) and
log(1 - D) = -softplus(logit) hold however sure D is, and so do their gradients.
"""

import math

from . import creation, nn
from .functional import softplus
from .nn import init
from .ops import mean, norm, sigmoid
from .optim import Adam
from .tensor import grad, no_grad


class GAN(nn.Module):
    """A generator (z of latent_dim numbers to x) and a discriminator (x to one logit)."""

    def __init__(self, generator, discriminator, latent_dim):
        self.generator, self.discriminator, self.latent_dim = generator, discriminator, latent_dim

    @no_grad()
    def sample(self, n, temperature=1.0, z=None):
        """n new examples: z drawn from N(0, temperature^2), or given, through the generator."""
        if z is None:
            like = self.parameters()[0]
            size = n, self.latent_dim
            z = temperature * creation.randn(*size, dtype=like.dtype, device=like.device)
        return self.generator(z)


def discriminator_loss(real_logits, fake_logits):
    """-E[log D(x)] - E[log(1 - D(G(z)))] = -V(D, G), Goodfellow et al. 2014, eq. 1.

    A mean over the batch, in nats.
    """
    return mean(softplus(-real_logits)) + mean(softplus(fake_logits))


def generator_loss(fake_logits):
    """-E[log D(G(z))], the non-saturating form of section 3: steep where D is sure of a fake."""
    return mean(softplus(-fake_logits))


def minimax_generator_loss(fake_logits):
    """E[log(1 - D(G(z)))], the generator's part of eq. 1. It is flat where D is sure of a fake."""
    return -mean(softplus(fake_logits))


GENERATOR_LOSSES = {"non-saturating": generator_loss, "minimax": minimax_generator_loss}


def gradient_penalty(critic, real, fake):
    """E[(|grad_x critic(x)| - 1)^2], x between real and fake (Gulrajani et al. 2017, eq. 3).

    Each x is a random point on the line from a real example to a fake one.
    """
    share = creation.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    slope, = grad(critic(between).sum(), between, create_graph=True)
    return mean((norm(slope.flatten(1), dim=1) - 1) ** 2)


def critic_loss(critic, real, fake, weight=10.0):
    """E[critic(fake)] - E[critic(real)] + weight * penalty (Gulrajani et al. 2017, eq. 3)."""
    return mean(critic(fake)) - mean(critic(real)) + weight * gradient_penalty(critic, real, fake)


class GANTraining:
    """What the training loop needs: one step, the figures of an evaluation, the state to save.

    The four steps of the method: 1. initialise both networks (done by whoever builds the model);
    2. update the discriminator on real and generated samples; 3. update the generator through the
    discriminator; 4. repeat (the loop in `train.py`).
    """

    def __init__(self, model, lr=2e-4, betas=(0.5, 0.999), loss="non-saturating", image=True):
        if loss not in GENERATOR_LOSSES:
            raise ValueError(f"GANTraining: loss is {loss!r}, expected "
                             f"{' or '.join(GENERATOR_LOSSES)}")
        self.model, self.generator_loss, self.image = model, GENERATOR_LOSSES[loss], image
        self.optimizers = [Adam(model.discriminator.parameters(), lr, betas),
                           Adam(model.generator.parameters(), lr, betas)]

    def noise_for(self, x):
        return creation.randn(len(x), self.model.latent_dim, dtype=x.dtype, device=x.device)

    def step(self, real):
        """One update of each network on the batch `real`. Returns its figures."""
        generator, discriminator = self.model.generator, self.model.discriminator
        optimizer_d, optimizer_g = self.optimizers

        # 2. The discriminator sees the samples detached: its loss is not the generator's business.
        fake = generator(self.noise_for(real))
        real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
        loss_d = discriminator_loss(real_logits, fake_logits)
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()

        # 3. The generator's gradient comes through the discriminator, which is frozen meanwhile.
        discriminator.requires_grad_(False)
        loss_g = self.generator_loss(discriminator(fake))
        discriminator.requires_grad_(True)
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()

        return {**figures(loss_d, real_logits, fake_logits), "generator_loss": loss_g.item(),
                "grad_norm_d": nn.utils.grad_norm(discriminator.parameters()),
                "grad_norm_g": nn.utils.grad_norm(generator.parameters())}

    @no_grad()
    def evaluate(self, real):
        """The discriminator's figures on other examples and fresh samples, without an update."""
        real_logits = self.model.discriminator(real)
        fake_logits = self.model.discriminator(self.model.generator(self.noise_for(real)))
        return figures(discriminator_loss(real_logits, fake_logits), real_logits, fake_logits)

    def from_data(self, x):
        """Images in [0, 1] become [-1, 1], the range of the generator's tanh."""
        return 2 * x - 1 if self.image else x

    def to_data(self, x):
        """The reverse of `from_data`."""
        return (x + 1) / 2 if self.image else x


def figures(loss_d, real_logits, fake_logits):
    """The loss of the discriminator, V(D, G) = -loss, and the mean of D(x) and of D(G(z))."""
    return {"loss": loss_d.item(), "value": -loss_d.item(),
            "d_real": mean(sigmoid(real_logits)).item(),
            "d_fake": mean(sigmoid(fake_logits)).item()}


def initialise(module):
    """DCGAN's start: weights from N(0, 0.02^2) (Radford et al. 2016, section 4).

    Those of batch norm come from N(1, 0.02^2), and biases are 0, as in the published code.
    """
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
        init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, 0.02)
        if module.bias is not None:
            init.zeros_(module.bias)


def dcgan(shape=(1, 28, 28), latent_dim=100):
    """The deep convolutional GAN (Radford et al. 2016) for images (C, 28, 28) in [-1, 1]."""
    channels = shape[0]
    if tuple(shape[1:]) != (28, 28):
        raise ValueError(f"dcgan: the shape is {shape}, but its layers fit images (C, 28, 28)")
    generator = nn.Sequential(
        nn.Linear(latent_dim, 128 * 7 * 7, bias=False), nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),    # (64, 14, 14)
        nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, channels, 4, stride=2, padding=1), nn.Tanh())     # (C, 28, 28)
    discriminator = nn.Sequential(
        nn.Conv2d(channels, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.2),      # (64, 14, 14)
        nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False),             # (128, 7, 7)
        nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(128 * 7 * 7, 1))
    return GAN(generator, discriminator, latent_dim).apply(initialise)


def dense_gan(shape, latent_dim=None, hidden=128):
    """Two hidden layers in each network, for examples of any `shape`.

    Images get 100 latent units and a tanh, points as many units as they have numbers.
    """
    size, image = math.prod(shape), len(shape) == 3
    latent_dim = latent_dim or (100 if image else size)
    generator = nn.Sequential(
        nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, size), nn.Unflatten(1, shape), *([nn.Tanh()] if image else []))
    discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(size, hidden), nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
    return GAN(generator, discriminator, latent_dim)
