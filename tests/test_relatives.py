"""The mistakes that are known of similar libraries, planted here: a test of ours finds each.

Each row names a mistake, plants it, and names the test that has to fail then (and to pass before).
"""

import numpy as np
import pytest

import test_checks
import test_distributions
import test_gan
import test_vae
import tinygen as tg
from tinygen import checks, distributions, functional, gan, ops, optim, vae
from tinygen.ops.normalise import moments
from tinygen.tensor import Tensor


def check(name):
    """What `tinygen check NAME` and test_derivatives_agree_with_finite_differences do."""
    return lambda: checks.run([name], cases=10, progress=False)


# Second order through batch norm: its statistics kept as constants, which first order cannot see.

def frozen_statistics(patch):
    right = ops.normalise.batch_norm.share

    def frozen(g, out, x, *args, kept=None, **options):
        statistics = [m.detach() if isinstance(m, Tensor) else m for m in kept or moments(x)]
        return right(g, out, x, *args, kept=statistics, **options)

    patch.setattr(ops.normalise.batch_norm, "share", frozen)
    checks.run(["batch_norm"], cases=3, order=1, progress=False)


# A standard deviation mistaken for a variance: in a VAE's sample, its KL term, and a Normal.

def variance_as_spread(patch):
    patch.setattr(vae, "reparameterise", lambda mu, log_var, noise: mu + tg.exp(log_var) * noise)


def spread_as_variance(patch):
    patch.setattr(vae, "gaussian_kl", lambda mu, x: functional.gaussian_kl(mu, 2 * x))


def variance_in_rsample(patch):
    def rsample(self, sample_shape=()):
        return self.loc + self.scale ** 2 * tg.randn(*sample_shape, *self.loc.shape).double()

    patch.setattr(distributions.Normal, "rsample", rsample)


# A clipped probability: where D is sure and wrong, the loss is flat, and D learns nothing.

def clipped_probability(patch):
    def loss(real_logits, fake_logits):
        real, fake = [ops.clip(tg.sigmoid(x), 1e-7, 1 - 1e-7) for x in (real_logits, fake_logits)]
        return -tg.mean(tg.log(real)) - tg.mean(tg.log(1 - fake))

    patch.setattr(gan, "discriminator_loss", loss)


def a_wrong_discriminator_is_corrected():
    """The slopes of -log D(x) and -log(1 - D(G(z))) in the logits are -1 and 1 where D is wrong."""
    for sure in (10.0, 30.0, 1000.0):
        real, fake = [tg.tensor([[x]], requires_grad=True) for x in (-sure, sure)]
        gan.discriminator_loss(real, fake).backward()
        assert real.grad.item() == pytest.approx(-1, abs=1e-4)
        assert fake.grad.item() == pytest.approx(1, abs=1e-4)


# float32 that silently becomes float64: by a number of NumPy's in a rule, or in an optimiser.

def promoting_rule(patch):
    patch.setattr(ops.exp, "rule", [lambda g, out, x: g * out * np.float64(1)].__getitem__)


def promoting_state(patch):
    right = optim.Optimizer.step

    def step(self):
        right(self)
        for state in self.state:
            state.update({name: state[name].astype("float64") for name in self.names if state})

    patch.setattr(optim.Optimizer, "step", step)


MISTAKES = [
    ("batch norm", frozen_statistics, check("batch_norm")),
    ("batch norm in a critic", frozen_statistics, check("wgan_gp_batch_norm")),
    ("variance as spread", variance_as_spread,
     test_vae.test_reparameterise_has_the_variance_that_it_was_given),
    ("spread as variance", spread_as_variance, test_vae.test_kl_in_closed_form),
    ("variance in rsample", variance_in_rsample,
     lambda: test_distributions.test_normal_moments(distributions.Normal.rsample)),
    ("clipped probability", clipped_probability, a_wrong_discriminator_is_corrected),
    ("clipped probability, far out", clipped_probability,
     lambda: test_gan.test_a_sure_discriminator_gives_no_infinity(1e4, "float64")),
    ("float64 by a rule", promoting_rule,
     lambda: test_checks.test_float32_agrees_with_float64_and_nothing_promotes("exp")),
    ("float64 by a rule, in training", promoting_rule,
     lambda: test_vae.test_float32_stays(lambda: test_vae.tiny("gaussian", "float32"))),
    ("float64 in an optimiser", promoting_state, test_gan.test_float32_stays),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("plant, test", [row[1:] for row in MISTAKES], ids=[r[0] for r in MISTAKES])
def test_the_mistake_is_found(monkeypatch, plant, test):
    test()
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        test()
