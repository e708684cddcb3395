"""Cases for every loss, distribution and layer, and for training losses through small networks.

The networks use smooth activations: a finite difference across the kink of a ReLU would be wrong,
and the ReLU itself is checked among the primitives.
"""

from .. import functional as F, gan, nn, vae
from ..distributions import Bernoulli, Categorical, Normal, kl_divergence
from ..ops import cat
from ..tensor import Tensor, enable_grad
from .draw import along_lines, array, chosen, constant, seeded, shape_of


def reduction_of(pick):
    return chosen(pick, ["mean", "sum", "none"])


def pairwise(loss):
    """A case for a loss of (input, target, reduction). No number of one equals one of the other."""
    def case(pick):
        shape, reduction = shape_of(pick, empty=False), reduction_of(pick)
        return (lambda input, target: loss(input, target, reduction=reduction),
                {"input": array(pick, shape), "target": array(pick, shape, shift=0.5)})
    return case


def classified(loss):
    """A case for a loss of (N, C) numbers and N classes."""
    def case(pick):
        n, c, reduction = pick(1, 3), pick(1, 3), reduction_of(pick)
        classes = array(pick, (n, c)).data.argmax(axis=1)
        return (lambda input: loss(input, classes, reduction=reduction),
                {"input": array(pick, (n, c))})
    return case


def gaussian_nll_case(pick):
    shape, full, reduction = shape_of(pick, empty=False), bool(pick(0, 1)), reduction_of(pick)
    return (lambda input, target, var: F.gaussian_nll_loss(input, target, var, full=full,
                                                           reduction=reduction),
            {"input": array(pick, shape), "target": array(pick, shape),
             "var": array(pick, shape, positive=True)})


def gaussian_kl_case(pick):
    shape = shape_of(pick, 1)
    return F.gaussian_kl, {"mu": array(pick, shape), "log_var": array(pick, shape)}


def dropout_case(pick):
    p, seed = chosen(pick, [0.5, 0.0, 0.1, 1.0]), pick(0, 99)
    return seeded(lambda x: F.dropout(x, p), seed), {"x": array(pick, shape_of(pick))}


def embedding_case(pick):
    indices = constant(pick, shape_of(pick)).data.astype("int64") % 3
    return lambda weight: F.embedding(indices, weight), {"weight": array(pick, (3, pick(1, 3)))}


def normal(func):
    """A case for a function of two normal distributions, p and q."""
    def case(pick):
        shape, seed = shape_of(pick, empty=False), pick(0, 99)
        return (seeded(lambda p, std_p, q, std_q: func(Normal(p, std_p), Normal(q, std_q)), seed),
                {"p": array(pick, shape), "std_p": array(pick, shape, positive=True),
                 "q": array(pick, shape), "std_q": array(pick, shape, positive=True)})
    return case


def from_logits(kind, func):
    """A case for a function of two distributions of one kind, given by their logits."""
    def case(pick):
        shape = shape_of(pick, 1, 2, empty=False)
        return (lambda p, q: func(kind(logits=p), kind(logits=q)),
                {"p": array(pick, shape, distinct=True), "q": array(pick, shape, distinct=True)})
    return case


def outcome(p):
    """Something that the distribution p can give: its likeliest class, or bits."""
    if isinstance(p, Categorical):
        return p.logits.argmax(-1)
    return Tensor((p.logits.data > 0).astype(p.logits.dtype))


def on_network(pick, network, func, inputs, scale=1.0, frozen=None):
    """`func(network, *inputs)` along a random line through each of `inputs` and each parameter.

    Parameters and buffers are drawn anew, of a size set by `scale`: through several layers large
    ones explode, and finite differences of huge numbers are rough. Those whose name starts with
    `frozen` want no gradient.
    """
    places = {name: tensor for name, tensor in network.named_tensors((nn.Parameter, nn.Buffer))
              if tensor.dtype.kind == "f"}
    drawn = {}
    for name, t in places.items():
        if isinstance(t, nn.Buffer):
            drawn[name] = constant(pick, t.shape, positive=True)
        else:
            fixed = frozen is not None and name.startswith(frozen)
            drawn[name] = Tensor(array(pick, t.shape).data * scale, not fixed)

    def together(*args):
        for name, tensor in zip(drawn, args[len(inputs):]):
            *path, last = name.split(".")
            owner = network
            for part in path:
                owner = vars(owner)[part]
            vars(owner)[last] = tensor         # setattr would keep a parameter a parameter
        with enable_grad():                # a gradient penalty needs a graph, whoever evaluates it
            return func(network, *args[:len(inputs)])

    return along_lines(pick, together, {**inputs, **drawn})


def layer(build, *shape):
    """A case for one layer, on inputs of `shape`, in training or in use."""
    def case(pick):
        network, seed = build().train(pick(0, 2) < 2), pick(0, 99)
        return on_network(pick, network, seeded(lambda network, x: network(x), seed),
                          {"x": array(pick, shape, distinct=True)})
    return case


def embedding_layer(pick):
    indices = constant(pick, (2, 3)).data.astype("int64") % 3
    return on_network(pick, nn.Embedding(3, 2), lambda network: network(indices), {})


def norm_of(kind):
    """Batch norm, or layer norm, for images (2, 2, 2)."""
    return nn.BatchNorm2d(2) if kind == "batch" else nn.LayerNorm((2, 2, 2))


def discriminator(kind, out=1):
    """Images (1, 4, 4) to `out` numbers."""
    return nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), norm_of(kind), nn.SiLU(),
                         nn.Flatten(), nn.Linear(8, out))


def generator():
    """Two numbers to images (1, 4, 4)."""
    return nn.Sequential(nn.Linear(2, 8), nn.Unflatten(1, (2, 2, 2)), nn.BatchNorm2d(2),
                         nn.Softplus(), nn.ConvTranspose2d(2, 1, 4, stride=2, padding=1), nn.Tanh())


def images(pick):
    return constant(pick, (3, 1, 4, 4))


def elbo(likelihood):
    """-ELBO with fixed noise, as a function of the images and of all parameters."""
    def case(pick):
        encoder = discriminator(chosen(pick, ["batch", "layer"]), 4)
        model = vae.VAE(encoder, generator(), 2, likelihood)
        return on_network(
            pick, model, lambda model, x, noise: vae.negative_elbo(model, x, noise)[0],
            {"x": array(pick, (3, 1, 4, 4)), "noise": constant(pick, (3, 2))}, scale=0.3)
    return case


def game(loss, frozen=None):
    """A loss of the two players, loss(model, real, noise), in the parameters that are not `frozen`.

    The samples are not detached here, as they are in training: a derivative that is cut off on
    purpose cannot agree with a finite difference.
    """
    def case(pick):
        model = gan.GAN(generator(), discriminator(chosen(pick, ["batch", "layer"])), 2)
        inputs = {"real": images(pick), "noise": constant(pick, (3, 2))}
        return on_network(pick, model, loss, inputs, scale=0.3, frozen=frozen)
    return case


def fake_logits(model, noise):
    return model.discriminator(model.generator(noise))


def critic(kind):
    """The loss of a WGAN-GP critic, whose gradient penalty contains a gradient already."""
    def case(pick):
        seed = pick(0, 99)
        return on_network(pick, discriminator(kind), seeded(gan.critic_loss, seed),
                          {"real": images(pick), "fake": images(pick)}, scale=0.3)
    return case


LOSSES = {
    "binary_cross_entropy_with_logits": pairwise(F.binary_cross_entropy_with_logits),
    "mse_loss": pairwise(F.mse_loss), "l1_loss": pairwise(F.l1_loss),
    "nll_loss": classified(F.nll_loss), "cross_entropy": classified(F.cross_entropy),
    "gaussian_nll_loss": gaussian_nll_case, "gaussian_kl": gaussian_kl_case,
    "dropout": dropout_case, "embedding": embedding_case,
    "Normal.rsample": normal(lambda p, q: cat([p.rsample((2,)), q.rsample((2,))])),
    "Normal.log_prob": normal(lambda p, q: p.log_prob(q.loc) + q.entropy()),
    "Normal.kl_divergence": normal(kl_divergence),
    "Bernoulli.log_prob": from_logits(
        Bernoulli, lambda p, q: p.log_prob(outcome(q)) + q.entropy()),
    "Bernoulli.kl_divergence": from_logits(Bernoulli, kl_divergence),
    "Categorical.log_prob": from_logits(
        Categorical, lambda p, q: p.log_prob(outcome(q)) + q.entropy()),
    "Categorical.kl_divergence": from_logits(Categorical, kl_divergence),
}

LAYERS = {
    "Linear": layer(lambda: nn.Linear(3, 2), 2, 3),
    "Conv2d": layer(lambda: nn.Conv2d(4, 2, (3, 2), stride=2, padding=1, groups=2), 2, 4, 4, 3),
    "ConvTranspose2d": layer(
        lambda: nn.ConvTranspose2d(2, 4, 3, 2, 1, output_padding=1, groups=2), 2, 2, 2, 3),
    "BatchNorm1d": layer(lambda: nn.BatchNorm1d(2), 3, 2, 2),
    "BatchNorm2d": layer(lambda: nn.BatchNorm2d(2), 2, 2, 2, 2),
    "LayerNorm": layer(lambda: nn.LayerNorm((2, 3)), 2, 2, 3), "Embedding": embedding_layer,
    "Dropout": layer(nn.Dropout, 2, 3), "MaxPool2d": layer(lambda: nn.MaxPool2d(2), 1, 2, 4, 5),
    "AvgPool2d": layer(lambda: nn.AvgPool2d(3, 2, 1), 1, 2, 4, 5),
    "Upsample": layer(lambda: nn.Upsample(scale_factor=2), 1, 2, 2, 2),
    "Flatten": layer(nn.Flatten, 2, 2, 2),
    "Unflatten": layer(lambda: nn.Unflatten(1, (2, 3)), 2, 6), "Identity": layer(nn.Identity, 2, 3),
    "ReLU": layer(nn.ReLU, 2, 3), "LeakyReLU": layer(nn.LeakyReLU, 2, 3),
    "Sigmoid": layer(nn.Sigmoid, 2, 3), "Tanh": layer(nn.Tanh, 2, 3),
    "Softplus": layer(nn.Softplus, 2, 3), "SiLU": layer(nn.SiLU, 2, 3),
    "Softmax": layer(lambda: nn.Softmax(1), 2, 3),
    "Sequential": layer(lambda: nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3)), 2, 3),
}

TRAINING = {
    "vae_bernoulli": elbo("bernoulli"), "vae_gaussian": elbo("gaussian"),
    "gan_discriminator": game(
        lambda m, real, noise: gan.discriminator_loss(m.discriminator(real),
                                                      fake_logits(m, noise))),
    "gan_generator": game(
        lambda m, real, noise: gan.generator_loss(fake_logits(m, noise)), frozen="discriminator."),
    "gan_generator_minimax": game(
        lambda m, real, noise: gan.minimax_generator_loss(fake_logits(m, noise)),
        frozen="discriminator."),
    "wgan_gp_layer_norm": critic("layer"), "wgan_gp_batch_norm": critic("batch"),
}
