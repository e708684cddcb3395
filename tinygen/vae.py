"""Floor 5: the variational autoencoder (Kingma and Welling 2014).

An encoder turns an example x into a Gaussian q(z | x) over a small latent space; a decoder turns a
point z back into a distribution p(x | z). Both learn by raising the evidence lower bound

    ELBO(x) = E_q[log p(x | z)] - KL(q(z | x) || p(z)) <= log p(x),   p(z) = N(0, 1).

The first term asks for a good reconstruction, the second keeps the codes where new ones can be
drawn. Everything is in nats per example: summed over pixels and latent units, averaged over
examples.
"""

import math

from . import creation, nn
from .functional import binary_cross_entropy_with_logits, gaussian_kl, mse_loss
from .ops import chunk, exp, mean, sigmoid
from .optim import Adam
from .tensor import no_grad


class VAE(nn.Module):
    """An encoder (x to mu and log_var, 2 * latent_dim numbers) and a decoder (z to p(x | z)).

    The decoder gives the parameters of p(x | z). With `likelihood="bernoulli"` these are logits,
    for x in [0, 1]. With "gaussian" it gives the mean of N(mean, sigma^2), for any x; log sigma is
    one more number that is learned.
    """

    def __init__(self, encoder, decoder, latent_dim, likelihood="bernoulli"):
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"VAE: likelihood is {likelihood!r}; choose 'bernoulli' or 'gaussian'")
        self.encoder, self.decoder = encoder, decoder
        self.latent_dim, self.likelihood = latent_dim, likelihood
        self.log_sigma = nn.Parameter(creation.zeros(())) if likelihood == "gaussian" else None

    def encode(self, x):
        """mu and log_var, the logarithm of the variance, of q(z | x), each (N, latent_dim)."""
        return chunk(self.encoder(x), 2, dim=1)

    def decode(self, z):
        """The parameters of p(x | z): logits, or means."""
        return self.decoder(z)

    def picture(self, decoded):
        """The mean of p(x | z) from the decoder's output: what there is to look at."""
        return sigmoid(decoded) if self.likelihood == "bernoulli" else decoded

    @no_grad()
    def reconstruct(self, x):
        """x encoded and decoded, without noise."""
        return self.picture(self.decode(self.encode(x)[0]))

    @no_grad()
    def sample(self, n, temperature=1.0, z=None):
        """The means of p(x | z) at n codes z, drawn from N(0, temperature^2) or given."""
        if z is None:
            like = self.parameters()[0]
            size = n, self.latent_dim
            z = temperature * creation.randn(*size, dtype=like.dtype, device=like.device)
        return self.picture(self.decode(z))


def reparameterise(mu, log_var, noise):
    """z = mu + sigma * noise, a sample of N(mu, sigma^2) that passes gradients on (section 2.4)."""
    return mu + exp(0.5 * log_var) * noise


def reconstruction_loss(model, decoded, x):
    """-log p(x | z) in nats per example, averaged over the batch.

    For logits this is the cross-entropy, summed over pixels; for a Gaussian of D pixels,
    |x - decoded|^2 / (2 sigma^2) + D (log sigma + log(2 pi) / 2).
    """
    if model.likelihood == "bernoulli":
        return binary_cross_entropy_with_logits(decoded, x, reduction="sum") / len(x)
    pixels, log_sigma = x.numel() // len(x), model.log_sigma
    squared = mse_loss(decoded, x, reduction="sum") / len(x)
    return 0.5 * squared * exp(-2 * log_sigma) + pixels * (log_sigma + 0.5 * math.log(2 * math.pi))


def negative_elbo(model, x, noise):
    """(loss, recon, kl): -ELBO and its two parts, in nats per example, averaged over the batch."""
    mu, log_var = model.encode(x)                      # 1. encode
    z = reparameterise(mu, log_var, noise)             # 2. sample, by reparameterisation
    decoded = model.decode(z)                          # 3. decode
    recon = reconstruction_loss(model, decoded, x)     # 4. the two parts of the ELBO
    kl = mean(gaussian_kl(mu, log_var))
    return recon + kl, recon, kl


class VAETraining:
    """What the training loop needs: one step, the figures of an evaluation, the state to save."""

    def __init__(self, model, lr=1e-3):
        self.model, self.optimizers = model, [Adam(model.parameters(), lr)]

    def noise_for(self, x):
        return creation.randn(len(x), self.model.latent_dim, dtype=x.dtype, device=x.device)

    def step(self, x):
        """One update on the batch x. Returns its figures."""
        optimizer, = self.optimizers
        loss, recon, kl = negative_elbo(self.model, x, self.noise_for(x))
        optimizer.zero_grad()
        loss.backward()                                # 5. update
        optimizer.step()
        return figures(loss, recon, kl)

    @no_grad()
    def evaluate(self, x):
        """The same figures without an update."""
        return figures(*negative_elbo(self.model, x, self.noise_for(x)))

    def to_data(self, x):
        """Examples as the dataset has them, from the model's output."""
        return x

    from_data = to_data


def figures(loss, recon, kl):
    loss, recon, kl = loss.item(), recon.item(), kl.item()
    return {"loss": loss, "elbo": -loss, "recon": recon, "kl": kl}


def dense_vae(shape, latent_dim=20, hidden=400, likelihood="bernoulli"):
    """Any `shape`, with one hidden layer a side: 784-400-20 for digits, as PyTorch's example."""
    size = math.prod(shape)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, hidden), nn.ReLU(),
                            nn.Linear(hidden, 2 * latent_dim))
    decoder = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, size),
                            nn.Unflatten(1, shape))
    return VAE(encoder, decoder, latent_dim, likelihood)


def conv_vae(shape=(1, 28, 28), latent_dim=20, likelihood="bernoulli"):
    """Images (C, 28, 28): two strided convolutions down to 64 x 7 x 7, and the mirror up again."""
    channels = shape[0]
    if tuple(shape[1:]) != (28, 28):
        raise ValueError(f"conv_vae: the shape is {shape}, but its layers fit images (C, 28, 28)")
    encoder = nn.Sequential(
        nn.Conv2d(channels, 32, 4, stride=2, padding=1), nn.ReLU(),         # (32, 14, 14)
        nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU(),               # (64, 7, 7)
        nn.Flatten(), nn.Linear(64 * 7 * 7, 2 * latent_dim))
    decoder = nn.Sequential(
        nn.Linear(latent_dim, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.ReLU(),      # (32, 14, 14)
        nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1))           # (C, 28, 28)
    return VAE(encoder, decoder, latent_dim, likelihood)
