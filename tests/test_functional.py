"""Losses and layers as functions, against numbers worked by hand and known identities."""

import inspect
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygen as tg
from tinygen import functional as F

few = settings(max_examples=25)


def leaf(data):
    return tg.tensor(data, requires_grad=True)


def assert_close(tensor, expected, rtol=1e-5, atol=1e-6):
    assert isinstance(tensor, tg.Tensor) and tensor.dtype == np.float32
    assert tensor.shape == np.shape(expected)
    np.testing.assert_allclose(tensor.data, expected, rtol=rtol, atol=atol)


def random(*shape):
    """Other numbers with each call within a test, and the same in each run of it."""
    return tg.randn(*shape).numpy()


# Losses

LOSSES = {  # loss, input, target, the loss of each element
    "mse": (F.mse_loss, [1.0, 2.0, 5.0], [1.0, 4.0, 2.0], [0.0, 4.0, 9.0]),
    "l1": (F.l1_loss, [1.0, 2.0, 5.0], [1.0, 4.0, 2.0], [0.0, 2.0, 3.0]),
    "bce": (
        F.binary_cross_entropy_with_logits,
        [0.0, 0.0, math.log(3)],
        [0.0, 0.5, 1.0],
        [math.log(2), math.log(2), math.log(4 / 3)],
    ),
    "cross entropy": (
        F.cross_entropy,
        [[0.0, 0.0], [math.log(3), 0.0], [0.0, math.log(3)]],
        [1, 0, 0],
        [math.log(2), math.log(4 / 3), math.log(4)],
    ),
    "nll": (F.nll_loss, [[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]], [0, 1, 1], [1.0, 4.0, 6.0]),
    "gaussian nll": (
        lambda x, t, **options: F.gaussian_nll_loss(x, t, tg.tensor([1.0, 4.0, 9.0]), **options),
        [1.0, 2.0, 5.0],
        [1.0, 4.0, 2.0],
        [0.0, (math.log(4) + 1) / 2, (math.log(9) + 1) / 2],
    ),
}


@pytest.mark.parametrize("loss, x, target, expected", LOSSES.values(), ids=LOSSES)
def test_losses_of_each_reduction(loss, x, target, expected):
    x, target = tg.tensor(x), tg.tensor(target)
    assert_close(loss(x, target, reduction="none"), expected)
    assert_close(loss(x, target, reduction="sum"), np.sum(expected))
    assert_close(loss(x, target, reduction="mean"), np.mean(expected))
    assert_close(loss(x, target), np.mean(expected))


@pytest.mark.parametrize("loss, x, target, expected", LOSSES.values(), ids=LOSSES)
def test_an_unknown_reduction_is_an_error(loss, x, target, expected):
    with pytest.raises(
        ValueError, match="reduction is 'batchmean'; choose 'mean', 'sum' or 'none'"
    ):
        loss(tg.tensor(x), tg.tensor(target), reduction="batchmean")


def test_the_options_of_a_loss_are_given_by_their_names():
    parameters = [inspect.signature(getattr(F, name)).parameters for name in F.__all__]
    losses = [p for p in parameters if "reduction" in p]
    assert len(losses) == len(LOSSES)
    for option in [option for p in losses for option in p.values()]:
        assert option.default is option.empty or option.kind is option.KEYWORD_ONLY, option


@pytest.mark.parametrize("name", ["mse", "l1", "bce", "gaussian nll"])
def test_losses_refuse_to_broadcast(name):
    with pytest.raises(ValueError, match=r"shape \(3, 1\) and target \(3,\); they must be equal"):
        LOSSES[name][0](tg.zeros(3, 1), tg.zeros(3))


@few
@given(
    st.lists(
        st.tuples(st.floats(-8, 8, width=32), st.floats(0, 1, width=32)), min_size=1, max_size=5
    )
)
def test_bce_with_logits_is_the_formula_on_probabilities(pairs):
    x, t = np.array(pairs).T
    p = 1 / (1 + np.exp(-x))
    expected = -t * np.log(p) - (1 - t) * np.log(1 - p)
    losses = F.binary_cross_entropy_with_logits(tg.tensor(x), tg.tensor(t), reduction="none")
    np.testing.assert_allclose(losses.data, expected, rtol=1e-12, atol=1e-12)


def test_bce_with_extreme_logits_is_finite_and_exact():
    x = leaf([1e4, -1e4, 1e4, -1e4, 200.0])
    target = tg.tensor([1.0, 0.0, 0.0, 1.0, 0.5])
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        losses = F.binary_cross_entropy_with_logits(x, target, reduction="none")
        losses.sum().backward()
    assert_close(losses, [0.0, 0.0, 1e4, 1e4, 100.0])
    np.testing.assert_allclose(x.grad.data, [0.0, 0.0, 1.0, -1.0, 0.5], atol=1e-7)


def test_gradient_of_bce_is_the_probability_minus_the_target():
    x = leaf([0.0, math.log(3)])
    F.binary_cross_entropy_with_logits(x, tg.tensor([1.0, 0.0]), reduction="sum").backward()
    np.testing.assert_allclose(x.grad.data, [-0.5, 0.75], rtol=1e-6)


def test_gradient_of_cross_entropy_is_softmax_minus_one_hot():
    logits, classes = random(5, 3), np.array([0, 2, 1, 1, 0])
    x = leaf(logits)
    F.cross_entropy(x, tg.tensor(classes), reduction="sum").backward()
    powers = np.exp(logits)
    np.testing.assert_allclose(
        x.grad.data, powers / powers.sum(1, keepdims=True) - np.eye(3)[classes], atol=1e-6
    )


def test_cross_entropy_of_each_example_by_a_loop():
    logits, classes = random(6, 4), [3, 0, 1, 2, 0, 3]
    expected = [
        -math.log(math.exp(row[c]) / sum(math.exp(v) for v in row))
        for row, c in zip(logits, classes)
    ]
    assert_close(F.cross_entropy(tg.tensor(logits), tg.tensor(classes), reduction="none"), expected)


def test_cross_entropy_with_extreme_logits_is_finite():
    x = leaf([[1e4, -1e4], [1e4, -1e4]])
    losses = F.cross_entropy(x, tg.tensor([0, 1]), reduction="none")
    assert_close(losses, [0.0, 2e4])
    losses.sum().backward()
    assert x.grad.data.tolist() == [[0.0, 0.0], [1.0, -1.0]]


@pytest.mark.parametrize("classes", [[0, 3], [-1, 0]])
@pytest.mark.parametrize("loss", [F.nll_loss, F.cross_entropy])
def test_a_class_out_of_range_is_an_error(loss, classes):
    with pytest.raises(
        IndexError,
        match=f"go from {min(classes)} to {max(classes)}, but there are 3 classes",
    ):
        loss(tg.zeros(2, 3), tg.tensor(classes))


@pytest.mark.parametrize("target", [tg.tensor([[0, 1]]), tg.tensor([0, 1, 2]), [0, 1]])
def test_cross_entropy_wants_one_integer_for_each_row(target):
    with pytest.raises(ValueError, match=r"a tensor of integers \(N,\)"):
        F.cross_entropy(tg.zeros(2, 3), target)


def test_cross_entropy_refuses_a_target_that_is_not_of_integers():
    with pytest.raises(TypeError, match="cross_entropy: .* pass a tensor of integers"):
        F.cross_entropy(tg.zeros(2, 3), tg.zeros(2))


def test_full_gaussian_nll_is_minus_the_log_density():
    x, t, var = 1.0, 3.0, 4.0
    density = math.exp(-((t - x) ** 2) / (2 * var)) / math.sqrt(2 * math.pi * var)
    loss = F.gaussian_nll_loss(tg.tensor([x]), tg.tensor([t]), tg.tensor([var]), full=True)
    assert_close(loss, -math.log(density))


def test_gaussian_nll_keeps_the_variance_at_eps_and_its_gradient_ignores_that():
    var, eps, error = leaf([0.0]), 1e-2, 0.5
    loss = F.gaussian_nll_loss(tg.tensor([1.0]), tg.tensor([1.0 + error]), var, eps=eps)
    assert_close(loss, 0.5 * (math.log(eps) + error**2 / eps))
    loss.backward()
    assert_close(var.grad, [0.5 * (1 / eps - error**2 / eps**2)])


def test_gaussian_nll_refuses_a_negative_variance():
    with pytest.raises(ValueError, match="var has negative entries.*variances"):
        F.gaussian_nll_loss(tg.zeros(2), tg.zeros(2), tg.tensor([1.0, -1e-3]))


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_gaussian_nll_takes_one_variance_for_each_row(shape):
    x, var = tg.zeros(3, 3), np.array([1.0, 4.0, 9.0], "f4")
    loss = F.gaussian_nll_loss(x, x, tg.tensor(var.reshape(shape)), reduction="none")
    assert_close(loss, np.repeat(np.log(var)[:, None] / 2, 3, axis=1))
    x, var = tg.zeros(4, 3, 2), np.tile(var, (4, 1))
    loss = F.gaussian_nll_loss(x, x, tg.tensor(var.reshape(4, *shape)), reduction="none")
    assert_close(loss, np.repeat(np.log(var)[..., None] / 2, 2, axis=2))


def test_gaussian_nll_is_least_where_the_variance_is_the_squared_error():
    var = leaf([4.0])
    F.gaussian_nll_loss(tg.tensor([1.0]), tg.tensor([3.0]), var).backward()
    assert var.grad.item() == pytest.approx(0.0, abs=1e-7)


# KL


def test_gaussian_kl_by_hand():
    mu, log_var = tg.tensor([[0.0, 0.0], [1.0, -2.0]]), tg.tensor([[0.0, 0.0], [math.log(4), 0.0]])
    # -1/2 ((1 + log 4 - 1 - 4) + (1 + 0 - 4 - 1))
    assert_close(F.gaussian_kl(mu, log_var), [0.0, 0.5 * (4 - math.log(4) + 4)])


def test_gaussian_kl_is_summed_over_units_not_averaged():
    assert_close(F.gaussian_kl(tg.ones(3, 10), tg.zeros(3, 10)), [5.0] * 3)
    assert_close(F.gaussian_kl(tg.ones(3, 2, 5), tg.zeros(3, 2, 5)), [5.0] * 3)
    assert_close(F.gaussian_kl(tg.ones(3), tg.zeros(3)), [0.5] * 3)


def test_gaussian_kl_agrees_with_a_monte_carlo_estimate_in_nats():
    mu, log_var, n = np.array([0.7, -1.0]), np.array([-0.5, 0.8]), 200_000
    std = np.exp(log_var / 2)
    z = mu + std * np.random.default_rng(0).standard_normal((n, 2))
    log_q = -0.5 * ((z - mu) / std) ** 2 - log_var / 2
    ratio = (log_q + 0.5 * z**2).sum(1)
    kl = F.gaussian_kl(tg.tensor(mu[None]), tg.tensor(log_var[None])).item()
    assert abs(kl - ratio.mean()) < 4 * ratio.std() / math.sqrt(n)


def test_gaussian_kl_is_never_negative_and_zero_only_at_the_prior():
    mu, log_var = leaf(random(50, 3)), leaf(random(50, 3)[::-1])
    assert (F.gaussian_kl(mu, log_var).data > 0).all()
    mu, log_var = leaf([[0.0]]), leaf([[0.0]])
    F.gaussian_kl(mu, log_var).sum().backward()
    assert mu.grad.item() == log_var.grad.item() == 0.0


# Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_a_share_p(p):
    n = 40_000
    y = F.dropout(tg.ones(n), p).data.astype("f8")
    assert set(np.unique(y)) == {0.0, np.float64(np.float32(1 / (1 - p)))}
    assert abs((y == 0).mean() - p) < 4 * math.sqrt(p * (1 - p) / n)
    assert abs(y.mean() - 1) < 4 * math.sqrt(p / (1 - p) / n)


def test_dropout_of_0_and_in_eval_changes_nothing():
    x = tg.ones(100)
    assert_close(F.dropout(x, 0.0), x.data)
    assert_close(F.dropout(x, 0.9, training=False), x.data)


def test_dropout_of_1_leaves_zeros_and_no_gradient():
    x = leaf([1.0, -2.0])
    y = F.dropout(x, 1.0)
    assert_close(y, [0.0, 0.0])
    y.sum().backward()
    assert x.grad.data.tolist() == [0.0, 0.0]


def test_dropouts_gradient_has_the_same_mask():
    x = tg.ones(1000, requires_grad=True)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, y.data)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_dropout_wants_a_probability(p):
    with pytest.raises(ValueError, match=f"p is {p}, but a probability lies between 0 and 1"):
        F.dropout(tg.ones(2), p)


# Embedding and one-hot


def test_embedding_picks_rows_and_adds_up_their_gradients():
    table = leaf(np.arange(8, dtype="f4").reshape(4, 2))
    y = F.embedding(tg.tensor([[0, 3], [3, 3]]), table)
    assert_close(y, [[[0, 1], [6, 7]], [[6, 7], [6, 7]]])
    y.sum().backward()
    assert table.grad.data.tolist() == [[1, 1], [0, 0], [0, 0], [3, 3]]


def test_one_hot():
    y = F.one_hot(tg.tensor([[0, 2], [1, 1]]), 3)
    assert y.dtype == np.int64
    assert y.data.tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]]


@pytest.mark.parametrize("classes", [[3], [-1]])
def test_one_hot_refuses_a_class_out_of_range(classes):
    with pytest.raises(IndexError):
        F.one_hot(tg.tensor(classes), 3)


# Normalisation


def test_batch_norm_and_its_running_moments_by_hand():
    x = tg.tensor([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0], [7.0, 20.0]])
    mean, var = tg.tensor([1.0, 0.0]), tg.tensor([2.0, 1.0])
    y = F.batch_norm(x, mean, var, training=True, momentum=0.25, eps=0.0)
    # Column means 4 and 20; sums of squares 20 and 600, over 4 for the values, 3 for the record.
    assert_close(
        y,
        [
            [-3 / 5**0.5, -10 / 150**0.5],
            [-1 / 5**0.5, -10 / 150**0.5],
            [1 / 5**0.5, 20 / 150**0.5],
            [3 / 5**0.5, 0.0],
        ],
    )
    assert_close(mean, [0.75 * 1 + 0.25 * 4, 0.25 * 20])
    assert_close(var, [0.75 * 2 + 0.25 * 20 / 3, 0.75 * 1 + 0.25 * 200])


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4), (2, 3, 4, 5)])
def test_batch_norm_brings_each_channel_to_weight_and_bias(shape):
    weight, bias = tg.tensor([1.0, 2.0, 3.0]), tg.tensor([0.0, -1.0, 5.0])
    y = F.batch_norm(
        tg.tensor(random(*shape) * 7 + 3), None, None, weight, bias, training=True
    ).data
    axes = (0, *range(2, len(shape)))
    np.testing.assert_allclose(y.mean(axis=axes), bias.data, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=axes), weight.data, rtol=1e-4)


def test_eps_joins_the_variance_of_the_batch():
    x = random(6, 2, 4)
    expected = x - x.mean((0, 2), keepdims=True)
    expected /= np.sqrt(x.var((0, 2), keepdims=True) + 7)
    y = F.batch_norm(tg.tensor(x), None, None, training=True, eps=7.0)
    assert_close(y, expected, atol=1e-6)


def test_batch_norm_survives_a_mean_far_from_0():
    # float32 rounds a mean of 10^5 by up to 4e-3 of the standard deviation here. The rules take
    # back what that leaves in x - mean; without it the gradients are wrong by as much.
    x = (random(50, 3) + 1e5).astype("float32")
    weight, bias, g = random(3), random(3), 1 - 2 * random(50, 3)
    found = []
    for dtype in ("float32", "float64"):
        inputs = [tg.tensor(a.astype(dtype), requires_grad=True) for a in (x, weight, bias)]
        y = F.batch_norm(inputs[0], None, None, *inputs[1:], training=True)
        found.append([y.detach(), *tg.grad(y, inputs, tg.tensor(g.astype(dtype)))])
    for single, double in zip(*found):
        np.testing.assert_allclose(single.data, double.data, rtol=2e-5, atol=2e-5)


def test_batch_norm_in_eval_uses_the_running_moments_and_leaves_them():
    mean, var = tg.tensor([1.0, 2.0]), tg.tensor([4.0, 9.0])
    y = F.batch_norm(
        tg.tensor([[3.0, 5.0]]), mean, var, tg.tensor([1.0, 10.0]), tg.tensor([0.5, 0.0]), eps=0.0
    )
    assert_close(y, [[1.5, 10.0]])
    assert mean.data.tolist() == [1.0, 2.0] and var.data.tolist() == [4.0, 9.0]
    images = random(3, 2, 4, 5)
    expected = (images - mean.data.reshape(2, 1, 1)) / np.sqrt(var.data.reshape(2, 1, 1) + 7)
    assert_close(F.batch_norm(tg.tensor(images), mean, var, eps=7.0), expected, atol=1e-6)


def test_batch_norm_without_running_moments_uses_the_batch_in_eval_too():
    x = tg.tensor(random(6, 2))
    np.testing.assert_array_equal(
        F.batch_norm(x, None, None, training=False).data,
        F.batch_norm(x, None, None, training=True).data,
    )


def test_running_moments_move_once_though_the_gradient_is_recorded():
    x, mean, var = leaf(random(6, 2)), tg.zeros(2), tg.ones(2)
    y = F.batch_norm(x, mean, var, training=True)
    moved = mean.data.copy()
    (g,) = tg.grad((y**3).sum(), x, create_graph=True)
    (g * g).sum().backward()
    np.testing.assert_array_equal(mean.data, moved)


def test_running_variance_of_a_constant_channel_is_0():
    var = tg.ones(1)
    F.batch_norm(tg.full((4, 1), 3.25), tg.zeros(1), var, training=True, momentum=1.0)
    assert var.item() == 0.0


def test_running_variance_is_accurate_where_eps_is_larger():
    var = tg.ones(1)
    F.batch_norm(tg.tensor([[-1e-5], [1e-5]]), tg.zeros(1), var, training=True, momentum=1.0)
    assert var.item() == pytest.approx(2e-10, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_batch_norm_of_one_value_per_channel_is_an_error(shape):
    with pytest.raises(ValueError, match="more than one value per channel"):
        F.batch_norm(tg.ones(*shape), tg.zeros(3), tg.ones(3), training=True)


@pytest.mark.parametrize(
    "shape, normalized", [((4, 5), (5,)), ((4, 2, 3), (2, 3)), ((2, 3, 5), (5,))]
)
def test_layer_norm_agrees_with_numpy(shape, normalized):
    x, weight, bias = random(*shape) * 3 + 1, random(*normalized), random(*normalized) + 2
    axes = tuple(range(-len(normalized), 0))
    expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 0.5)
    assert_close(F.layer_norm(tg.tensor(x), normalized, eps=0.5), expected, atol=1e-5)
    assert_close(
        F.layer_norm(tg.tensor(x), normalized, tg.tensor(weight), tg.tensor(bias), eps=0.5),
        expected * weight + bias,
        atol=1e-5,
    )


def test_layer_norm_over_the_last_dimension_by_its_size():
    x = tg.randn(4, 3)
    assert_close(F.layer_norm(x, 3), F.layer_norm(x, (3,)))


def test_layer_norm_error_names_the_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\), but its last dimensions must be \(4,\)"):
        F.layer_norm(tg.ones(2, 3), (4,))


# Pooling, upsampling, padding


def test_the_stride_of_pooling_is_the_kernel_unless_given():
    assert F.max_pool2d(tg.ones(1, 1, 6, 6), (2, 3)).shape == (1, 1, 3, 2)
    assert F.avg_pool2d(tg.ones(1, 1, 6, 6), 3).shape == (1, 1, 2, 2)


def test_max_pool_gives_a_ties_gradient_to_the_first():
    x = leaf([[[[1.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]]])
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.data.tolist() == [[[[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]


def test_max_pool_never_chooses_the_padding():
    x = leaf(np.full((1, 1, 2, 2), -7.0, "f4"))
    y = F.max_pool2d(x, 2, 2, 1)
    assert_close(y, np.full((1, 1, 2, 2), -7.0))
    y.sum().backward()
    assert x.grad.data.tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]


def test_a_nan_under_the_kernel_stays_wherever_it_is():
    images = np.where(np.eye(4) == 1, np.nan, np.arange(4)).reshape(4, 1, 2, 2)
    assert np.isnan(F.max_pool2d(tg.tensor(images), 2).data).all()


def test_overlapping_windows_add_up_their_gradients():
    x = leaf([[[[0.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 0.0]]]])
    F.max_pool2d(x, 2, 1).sum().backward()
    assert x.grad.data[0, 0, 1, 1] == 4.0 and x.grad.data.sum() == 4.0


@pytest.mark.parametrize("scale", [2, (1, 3)])
def test_upsample_repeats_pixels_and_sums_their_gradients(scale):
    x = leaf(random(2, 3, 2, 3))
    sh, sw = F.pair(scale)
    y = F.upsample(x, scale_factor=scale)
    assert_close(y, x.data.repeat(sh, 2).repeat(sw, 3))
    y.sum().backward()
    assert (x.grad.data == sh * sw).all()


def test_pad_with_no_value_is_pad_with_0():
    assert F.pad(tg.ones(1), (1, 2), value=None).tolist() == [0, 1, 0, 0]


def test_pad_counts_from_the_last_dimension():
    y = F.pad(tg.ones(1, 1), (1, 2, 0, 3), value=5.0)
    assert y.shape == (4, 4)
    assert y.data[0].tolist() == [5.0, 1.0, 5.0, 5.0] and (y.data[1:] == 5).all()
    assert F.pad(tg.ones(2, 2), (1, 0)).data.tolist() == [[0.0, 1.0, 1.0]] * 2
    assert F.pad(tg.ones(2, 2), ()).data.tolist() == [[1.0, 1.0]] * 2


@pytest.mark.parametrize(
    "widths, mode", [((1,), "constant"), ((1, 1, 1, 1, 1, 1), "constant"), ((1, 1), "reflect")]
)
def test_pad_errors_are_sentences(widths, mode):
    with pytest.raises(ValueError, match="an even number of widths"):
        F.pad(tg.ones(2, 2), widths, mode)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_embedding_has_no_such_row(index):
    with pytest.raises(IndexError, match=f"go from {index} to {index}, but there are 3 rows"):
        F.embedding(tg.tensor([index]), tg.ones(3, 2))


@pytest.mark.parametrize("error, words, call", [
    (TypeError, "embedding: the indices are list; pass a tensor of integers",
     lambda: F.embedding([0, 1], tg.ones(2, 2))),
    (ValueError, r"upsample: got x of shape \(2, 3\) and scale_factor 2",
     lambda: F.upsample(tg.ones(2, 3), scale_factor=2)),
    (ValueError, "upsample: .* a factor of 1 or more",
     lambda: F.upsample(tg.ones(1, 1, 2, 3), scale_factor=0)),
    (TypeError, "embedding: the indices are bool",
     lambda: F.embedding(tg.tensor([True]), tg.ones(2, 2))),
    (TypeError, "one_hot: the indices are float32", lambda: F.one_hot(tg.tensor([0.5]), 2)),
    (TypeError, "mse_loss: input and target are uint8 and uint8; convert", lambda: F.mse_loss(
        *[tg.tensor(np.array([1, 2], "uint8"))] * 2)),
    (ValueError, "batch_norm: running_var has shape", lambda: F.batch_norm(
        tg.zeros(2, 2), tg.zeros(2), tg.ones(3), training=True)),
    (ValueError, "batch_norm: got one of running_mean and running_var", lambda: F.batch_norm(
        tg.zeros(2, 2), None, tg.ones(2))),
    (TypeError, "dropout: x is int64", lambda: F.dropout(tg.tensor([1, 2]), 0.3)),
    (ValueError, "batch_norm: weight has shape", lambda: F.batch_norm(
        tg.zeros(2, 2), None, None, tg.ones(1), training=True)),
    (ValueError, "layer_norm: bias has shape", lambda: F.layer_norm(
        tg.zeros(2, 2), (2,), None, tg.ones(2, 2))),
    (ValueError, "max_pool2d: kernel", lambda: F.max_pool2d(tg.ones(1, 1, 4, 4), 0)),
    (ValueError, "avg_pool2d: kernel", lambda: F.avg_pool2d(tg.ones(1, 1, 4, 4), 2, 0)),
    (ValueError, "max_pool2d: kernel", lambda: F.max_pool2d(tg.ones(1, 1, 4, 4), 2, padding=-1)),
    (ValueError, "does not fit into an image", lambda: F.max_pool2d(tg.ones(1, 1, 1, 4), 4, 1, 1)),
    (ValueError, "expected one whole number, or a", lambda: F.conv2d(
        tg.ones(1, 1, 3, 3), tg.ones(1, 1, 2, 2), stride=(1, 2, 3))),
    (ValueError, "output_padding", lambda: F.conv_transpose2d(
        tg.ones(1, 1, 3, 3), tg.ones(1, 1, 2, 2), output_padding=-1)),
    (ValueError, "pad: got pad", lambda: F.pad(tg.ones(2, 2), (-1, 0)))])
def test_what_does_not_fit_is_told(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_batch_norm_leaves_the_running_moments_alone_if_something_does_not_fit():
    mean = tg.zeros(2)
    with pytest.raises(ValueError):
        F.batch_norm(tg.ones(3, 2), mean, tg.ones(3), training=True)
    assert mean.numpy().tolist() == [0.0, 0.0]


def test_targets_and_indices_that_change_before_backward_stay_what_they_were():
    x, target = tg.zeros(2, 2, requires_grad=True), tg.tensor([0, 0])
    loss = F.cross_entropy(x, target)
    target[...] = 1
    loss.backward()
    assert_close(x.grad, np.array([[-0.25, 0.25]] * 2))
    weight, rows = tg.ones(3, 2, requires_grad=True), tg.tensor([0, 0])
    found = F.embedding(rows, weight).sum()
    rows[...] = 2
    found.backward()
    assert weight.grad.numpy().tolist() == [[2, 2], [0, 0], [0, 0]]


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.binary_cross_entropy_with_logits])
def test_losses_compare_two_tensors(loss):
    with pytest.raises(TypeError, match=f"{loss.__name__}: got Tensor and float; expected two ten"):
        loss(tg.ones(2), 1.0)
