"""Finding the operation that first made a nan or an infinity."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import functional, nn, ops, vae
from tinygen.tensor import OPS

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def leaf(*numbers):
    return tg.tensor(list(numbers), requires_grad=True)


@pytest.mark.parametrize("make, message", [
    (lambda: leaf(1.0, 0.0).log(),
     r"log: its result, of shape \(2,\), is -inf at \(1,\), where x = 0.0; all .* is finite"),
    (lambda: leaf(1.0, 100.0).exp(), r"exp: its result, .* is inf at \(1,\), where x = 100.0"),
    (lambda: leaf(-1.0) ** 0.5, r"pow: its result, .* is nan at \(0,\), where x = -1.0; all"),
    (lambda: leaf(1.0, 2.0) / tg.tensor([1.0, 0.0]), r"div: .* inf .* where x = 2.0, y = 0.0; all"),
    (lambda: tg.zeros(2).log(), "log: .*-inf"),           # whether or not anything is recorded
    (lambda: leaf(1.0) * math.nan, "mul: .* nan .*; y held a nan or an infinity before"),
    (lambda: tg.relu(tg.tensor([1.0, math.inf])), "relu: .* inf .*; x held .* before"),
    (lambda: tg.cat([leaf(1.0), tg.tensor([math.nan])]), "_cat: .*; argument 1 held"),
    (lambda: nn.Linear(2, 1)(tg.tensor([[math.nan, 1.0]])), "_linear: .*; x held"),
])
def test_forward(make, message):
    with pytest.raises(RuntimeError, match=message), tg.detect_anomaly():
        make()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("func, x, message", [
    (tg.sqrt, leaf(1.0, 0.0), r"sqrt: the gradient of x, of shape \(2,\), is inf at \(1,\), "
                              r"where g = 1.0, out = 0.0, x = 0.0; all that .* is finite"),
    (lambda x: x ** -1.5, leaf(1.0, 1e-20), r"pow: .* is -inf at \(1,\)"),
    (lambda x: tg.sqrt((x * x).sum()), leaf(0.0, 0.0), r"sqrt: the gradient of x, of shape \(\),"),
    (lambda x: ops.normalise.batch_norm(x, tg.ones(2), tg.zeros(2), eps=1e-30)
     * tg.tensor([[1e25, 1.0], [0.0, 1.0]]),
     tg.tensor([[1.0, 2.0], [1.0, 3.0]], requires_grad=True),
     "batch_norm: the gradient of x, .* is inf"),
])
def test_backward(func, x, message, create_graph):
    """An operation is named as it was called, also where its rule is recorded, op by op."""
    with pytest.raises(RuntimeError, match=message), tg.detect_anomaly():
        tg.grad(func(x).sum(), x, create_graph=create_graph)


def test_a_gradient_that_was_passed_is_not_the_operations_fault():
    y = leaf(1.0, 2.0).sin()
    with pytest.raises(RuntimeError, match="sin: the gradient of x.* is nan .*; g held"):
        with tg.detect_anomaly():
            y.backward(tg.tensor([1.0, math.nan]))


def test_the_first_is_named_and_not_what_it_spoils():
    """In a whole model: an encoder gives too large a log_var, and the loss only says nan."""
    model = vae.dense_vae((4,), 2, 3)
    model.encoder[3].bias.data[2:] = 300.0
    x, noise = tg.rand(5, 4), tg.randn(5, 2)
    assert not math.isfinite(vae.negative_elbo(model, x, noise)[0].item())
    with pytest.raises(RuntimeError, match="^exp: its result"), tg.detect_anomaly():
        vae.negative_elbo(model, x, noise)


def gradients(watch):
    tg.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                        nn.Linear(12, 2))
    with tg.detect_anomaly() if watch else tg.enable_grad():
        loss = functional.cross_entropy(net(tg.randn(4, 1, 3, 3)), tg.tensor([0, 1, 1, 0]))
        first = tg.grad(loss, net.parameters(), create_graph=True)
        return [*first, *tg.grad(sum([(g * g).sum() for g in first]), net.parameters())]


def test_what_is_sound_is_left_as_it_is():
    for found, expected in zip(gradients(True), gradients(False), strict=True):
        assert np.array_equal(found.detach().numpy(), expected.detach().numpy())


def test_afterwards_nobody_watches():
    def parts():
        return [(op.body, op.rule, op.share) for op in OPS]

    before = parts()
    with tg.detect_anomaly():
        with tg.detect_anomaly():
            assert parts() != before
        assert parts() != before
    assert parts() == before
    with pytest.raises(RuntimeError, match="log"), tg.detect_anomaly():
        tg.zeros(1).log()
    assert parts() == before and tg.zeros(1).log().item() == -math.inf


def test_results_are_watched_again_after_a_backward():
    with tg.detect_anomaly():
        leaf = tg.tensor([4.0], requires_grad=True)
        leaf.sqrt().sum().backward()
        with pytest.raises(RuntimeError, match="log: its result"), np.errstate(all="ignore"):
            (leaf - 5).log()
