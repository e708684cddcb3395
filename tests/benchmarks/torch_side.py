"""PyTorch's side of `training_step.py`, written as a PyTorch user would write it: plain and eager.

The names are those of tinygen, so that the steps over there run on both libraries unchanged.
"""

from types import SimpleNamespace


def torch_side(threads):
    """The names that a step needs, by PyTorch. It is imported here, so nothing else depends on it.

    `threads` is said aloud because PyTorch's own choice differs from OpenBLAS's.
    """
    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits, softplus

    torch.set_num_threads(threads)

    # The adversarial losses

    def discriminator_loss(real_logits, fake_logits):
        return softplus(-real_logits).mean() + softplus(fake_logits).mean()

    def generator_loss(fake_logits):
        return softplus(-fake_logits).mean()

    def critic_loss(critic, real, fake, weight=10.0):
        share = torch.rand(len(real), 1)
        between = (share * real + (1 - share) * fake).requires_grad_()
        slope, = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
        return critic(fake).mean() - critic(real).mean() + weight * penalty

    def dcgan():
        generator = nn.Sequential(
            nn.Linear(100, 128 * 7 * 7, bias=False), nn.Unflatten(1, (128, 7, 7)),
            nn.BatchNorm2d(128), nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64), nn.ReLU(),
            nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1), nn.Tanh())
        discriminator = nn.Sequential(
            nn.Conv2d(1, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(128 * 7 * 7, 1))
        return SimpleNamespace(generator=generator.apply(initialise),
                               discriminator=discriminator.apply(initialise), latent_dim=100)

    def initialise(module):
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
            nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm2d)), 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    # The variational autoencoder

    class VAE(nn.Module):
        def __init__(self, encoder, decoder, latent_dim):
            super().__init__()
            self.encoder, self.decoder, self.latent_dim = encoder, decoder, latent_dim

    def negative_elbo(model, x, noise):
        mu, log_var = model.encoder(x).chunk(2, dim=1)
        decoded = model.decoder(mu + torch.exp(0.5 * log_var) * noise)
        recon = binary_cross_entropy_with_logits(decoded, x, reduction="sum") / len(x)
        kl = -0.5 * (1 + log_var - mu ** 2 - log_var.exp()).sum() / len(x)
        return recon + kl, recon, kl

    def conv_vae():
        encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * 7 * 7, 40))
        decoder = nn.Sequential(
            nn.Linear(20, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1))
        return VAE(encoder, decoder, 20)

    return SimpleNamespace(
        nn=nn, Adam=torch.optim.Adam, randn=torch.randn, rand=torch.rand, no_grad=torch.no_grad,
        manual_seed=torch.manual_seed, discriminator_loss=discriminator_loss,
        generator_loss=generator_loss, critic_loss=critic_loss, dcgan=dcgan, VAE=VAE,
        negative_elbo=negative_elbo, conv_vae=conv_vae)
