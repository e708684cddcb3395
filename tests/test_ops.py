"""The primitives: values against NumPy, ties and edges, indexing, memory order."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygen as tg
from tinygen import functional as F, ops
from tinygen.checks.draw import laid_out
from tinygen.ops import elementwise

few = settings(max_examples=25)
NUMBERS = st.floats(-3, 3, width=32)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
FULL_SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


def leaf(*numbers):
    return tg.tensor(list(numbers), requires_grad=True)


def gradient(f, *numbers):
    """The gradient of the sum of f at a vector of numbers, as a list."""
    x = leaf(*numbers)
    f(x).sum().backward()
    assert x.grad.dtype == np.float32
    return x.grad.data.tolist()


@st.composite
def arrays(draw, shapes=SHAPES):
    """A drawn array in any memory layout."""
    x = draw(hnp.arrays(np.float32, draw(shapes), elements=NUMBERS))
    return laid_out(lambda low, high: draw(st.integers(low, high)), x, distinct=False)


def wrap(array):
    """A Tensor on exactly this memory."""
    return tg.Tensor(array, requires_grad=True)


def assert_close(tensor, expected, rtol=2e-5, atol=1e-6):
    assert isinstance(tensor, tg.Tensor)
    assert tensor.dtype == np.float32
    assert tensor.shape == np.shape(expected)
    np.testing.assert_allclose(tensor.data, expected, rtol=rtol, atol=atol)


def wide(x):
    return np.asarray(x, np.float64)


# Values, elementwise

UNARY = {
    "neg": (lambda x: -x, lambda x: -x),
    "exp": (tg.exp, np.exp),
    "log": (lambda x: tg.log(x * x + 1), lambda x: np.log(x * x + 1)),
    "log1p": (lambda x: tg.log1p(x * x), lambda x: np.log1p(x * x)),
    "sqrt": (lambda x: tg.sqrt(x * x + 1), lambda x: np.sqrt(x * x + 1)),
    "abs": (abs, np.abs),
    "sin": (tg.sin, np.sin),
    "cos": (tg.cos, np.cos),
    "tanh": (tg.tanh, np.tanh),
    "sigmoid": (tg.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "softplus": (tg.softplus, lambda x: np.log(1 + np.exp(x))),
    "relu": (tg.relu, lambda x: np.where(x > 0, x, 0)),
    "leaky_relu": (tg.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    "leaky_relu slope": (lambda x: tg.leaky_relu(x, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "silu": (F.silu, lambda x: x / (1 + np.exp(-x))),
    "clip": (lambda x: x.clip(-1, 2), lambda x: np.minimum(np.maximum(x, -1), 2)),
    "clip min": (lambda x: x.clip(-1), lambda x: np.maximum(x, -1)),
    "clip max": (lambda x: x.clip(max=1), lambda x: np.minimum(x, 1)),
    "copy": (lambda x: x.clone(), lambda x: x),
    "square": (lambda x: x**2, lambda x: x * x),
    "power of 2": (lambda x: 2**x, lambda x: 2.0**x),
    "reciprocal": (lambda x: 1 / (x * x + 1), lambda x: 1 / (x * x + 1)),
}


@pytest.mark.parametrize("ours, numpys", UNARY.values(), ids=UNARY)
@few
@given(x=arrays())
def test_elementwise_values(ours, numpys, x):
    t = wrap(x)
    y = ours(t)
    assert_close(y, numpys(wide(x)))
    y.sum().backward()
    assert t.grad.shape == x.shape


BINARY = {
    "add": (lambda x, y: x + y, np.add),
    "sub": (lambda x, y: x - y, np.subtract),
    "mul": (lambda x, y: x * y, np.multiply),
    "div": (lambda x, y: x / (y * y + 1), lambda x, y: x / (y * y + 1)),
    "maximum": (tg.maximum, np.maximum),
    "minimum": (tg.minimum, np.minimum),
    "pow": (lambda x, y: (x * x + 1) ** y, lambda x, y: (x * x + 1) ** y),
    "where": (lambda x, y: tg.where(x > y, x, y), np.maximum),
}


@pytest.mark.parametrize("ours, numpys", BINARY.values(), ids=BINARY)
@few
@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3),
    data=st.data(),
)
def test_binary_values_with_broadcasting(ours, numpys, shapes, data):
    x, y = [data.draw(arrays(st.just(shape))) for shape in shapes.input_shapes]
    s, t = wrap(x), wrap(y)
    z = ours(s, t)
    assert_close(z, numpys(wide(x), wide(y)), rtol=1e-4)
    z.sum().backward()
    assert s.grad.shape == x.shape and t.grad.shape == y.shape


def test_shapes_that_do_not_broadcast_are_an_error():
    with pytest.raises(ValueError):
        tg.ones(2) + tg.ones(3)


# Values, reductions


@st.composite
def with_dims(draw, shapes=SHAPES):
    x = draw(arrays(shapes))
    dim = st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.just(0)
    several = (
        st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1).map(tuple)
        if x.ndim
        else st.just((0,))
    )
    return x, draw(st.one_of(st.none(), dim, several)), draw(st.booleans())


def axis_of(x, dim):
    return dim if x.ndim else None


@few
@given(with_dims())
def test_sum_and_mean(case):
    x, dim, keep = case
    axis = axis_of(x, dim)
    assert_close(
        wrap(x).sum(dim, keep), wide(x).sum(axis=axis, keepdims=keep), rtol=1e-4, atol=1e-5
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = wide(x).mean(axis=axis, keepdims=keep)
    assert_close(wrap(x).mean(dim, keep), expected, rtol=1e-4, atol=1e-5)


@few
@given(with_dims(FULL_SHAPES))
def test_amax_amin_norms_and_logsumexp(case):
    x, dim, keep = case
    full = {"axis": axis_of(x, dim), "keepdims": keep}
    w = wide(x)
    assert_close(wrap(x).amax(dim, keep), w.max(**full))
    assert_close(wrap(x).amin(dim, keep), w.min(**full))
    assert_close(wrap(x).norm(2, dim, keep), np.sqrt((w**2).sum(**full)))
    assert_close(wrap(x).norm(1, dim, keep), np.abs(w).sum(**full))
    assert_close(wrap(x).norm(3, dim, keep), (np.abs(w) ** 3).sum(**full) ** (1 / 3), atol=1e-5)
    assert_close(wrap(x).norm(math.inf, dim, keep), np.abs(w).max(**full))
    if dim is not None:
        assert_close(wrap(x).logsumexp(dim, keep), np.log(np.exp(w).sum(**full)), atol=1e-5)


@pytest.mark.parametrize("correction", [0, 1])
@few
@given(with_dims(hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=4)))
def test_var_and_std(correction, case):
    x, dim, keep = case
    options = {"axis": axis_of(x, dim), "keepdims": keep, "ddof": correction}
    assert_close(wrap(x).var(dim, correction, keep), wide(x).var(**options), atol=1e-5)
    assert_close(wrap(x).std(dim, correction, keep), wide(x).std(**options), atol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_var_of_one_number_is_nan():
    assert math.isnan(tg.ones(1).var().item())
    assert math.isnan(tg.ones(1).std().item())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_var_with_a_correction_above_the_count_is_infinite():
    x = tg.tensor([1.0, 3.0])
    assert x.var(correction=3).item() == x.std(correction=3).item() == math.inf


@pytest.mark.parametrize("shape, dim", [((100_000, 2), 0), ((2, 100_000, 2), 1), ((100_000,), 0),
                                        ((9000, 3, 5), (0, 2))])
def test_moments_of_many_numbers_keep_the_digits_of_float32(shape, dim):
    """Added one after the other, 100,000 numbers near 1,000 leave a mean that is wrong by 0.3."""
    x = (1000 + np.random.default_rng(0).random(shape)).astype("float32")
    exact = x.astype("float64")
    assert_close(tg.tensor(x).sum(dim), exact.sum(dim), rtol=1e-6)
    assert_close(tg.tensor(x).std(dim), exact.std(dim, ddof=1), rtol=1e-3)


def test_the_mean_of_ones_is_1():
    assert [n for n in range(1, 300) if tg.ones(n).mean().item() != 1] == []


@few
@given(with_dims(FULL_SHAPES))
def test_softmax_and_log_softmax(case):
    x, dim, _ = case
    dim = -1 if dim is None else dim
    powers = np.exp(wide(x))
    expected = powers / powers.sum(axis=dim, keepdims=True)
    assert_close(wrap(x).softmax(dim), expected)
    assert_close(wrap(x).log_softmax(dim), np.log(expected), atol=1e-5)


@few
@given(arrays(FULL_SHAPES), st.data())
def test_max_min_argmax_argmin_along_a_dimension(x, data):
    dim, keep = data.draw(st.integers(-x.ndim, x.ndim - 1)), data.draw(st.booleans())
    for ours, at, extreme in (
        (tg.Tensor.max, np.argmax, np.max),
        (tg.Tensor.min, np.argmin, np.min),
    ):
        values, indices = ours(wrap(x), dim, keep)
        assert_close(values, extreme(x, axis=dim, keepdims=keep))
        assert indices.dtype == np.int64
        np.testing.assert_array_equal(indices.data, at(x, axis=dim, keepdims=keep))
    np.testing.assert_array_equal(
        wrap(x).argmax(dim, keep).data, np.argmax(x, axis=dim, keepdims=keep)
    )
    assert wrap(x).argmin().item() == np.argmin(x)


def test_reductions_of_nothing():
    nothing = tg.zeros(0, 3, requires_grad=True)
    assert nothing.sum().item() == 0
    assert math.isnan(nothing.mean().item())
    assert nothing.sum(0).shape == (3,) and nothing.sum(1).shape == (0,)
    assert nothing.amax(1).shape == (0,)
    nothing.sum().backward()
    assert nothing.grad.shape == (0, 3)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.amax(),
        lambda x: x.amin(),
        lambda x: x.max(),
        lambda x: x.min(),
        lambda x: x.amax(0),
        lambda x: x.max(0),
        lambda x: x.argmax(),
    ],
)
def test_the_largest_of_nothing_is_an_error(f):
    with pytest.raises(ValueError):
        f(tg.zeros(0, 3))


def test_no_dimensions_are_all_dimensions():
    x = tg.tensor([[1.0, 2.0], [3.0, 6.0]])
    for none in None, (), []:
        assert [x.sum(none).item(), x.mean(none).item(), x.amax(none).item()] == [12, 3, 6]
    assert x.max(keepdim=True).tolist() == [[6]] and x.min(keepdim=True).tolist() == [[1]]
    assert x.norm("fro").item() == x.norm().item()


@pytest.mark.parametrize("name", "sum mean var std norm softmax max squeeze flatten".split())
def test_a_dimension_may_be_a_numpy_integer(name):
    x = tg.tensor([[1.0, 2.0], [3.0, 6.0]])
    key = "start_dim" if name == "flatten" else "dim"
    ours, same = (getattr(x, name)(**{key: d}) for d in (np.int64(1), 1))
    assert str(ours) == str(same)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sum(2),
        lambda x: x.mean(-3),
        lambda x: x.amax((0, 5)),
        lambda x: x.softmax(2),
        lambda x: x.logsumexp(9),
        lambda x: x.squeeze(4),
        lambda x: x.var(False),
    ],
)
def test_a_reduction_over_a_missing_dimension_is_an_error(f):
    with pytest.raises(IndexError, match="out of range for a tensor of 2 dimensions"):
        f(tg.zeros(2, 3))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.unsqueeze(4),
        lambda x: x.unsqueeze(-4),
        lambda x: x.flatten(2),
        lambda x: x.flatten(0, 3),
        lambda x: x.flatten(1, 0),
        lambda x: x.transpose(0, 2),
        lambda x: x.split(1, 2),
        lambda x: tg.cat([x, x], 2),
        lambda x: tg.stack([x, x], 4),
    ],
)
def test_a_shape_change_at_a_missing_dimension_is_an_error(f):
    with pytest.raises((IndexError, ValueError, RuntimeError)):
        f(tg.zeros(2, 3))


# Ties and edges


def test_relu_has_slope_0_at_0():
    assert gradient(tg.relu, -1.0, 0.0, 2.0) == [0.0, 0.0, 1.0]


def test_leaky_relu_has_its_negative_slope_at_0():
    assert gradient(lambda x: tg.leaky_relu(x, 0.25), -1.0, 0.0, 2.0) == [0.25, 0.25, 1.0]


def test_abs_has_slope_0_at_0():
    assert gradient(abs, -1.0, 0.0, -0.0, 2.0) == [-1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("f", [tg.Tensor.amax, tg.Tensor.max])
def test_the_largest_shares_its_gradient_among_ties(f):
    assert gradient(f, 3.0, 1.0, 3.0) == [0.5, 0.0, 0.5]


@pytest.mark.parametrize("f", [tg.Tensor.amin, tg.Tensor.min])
def test_the_smallest_shares_its_gradient_among_ties(f):
    assert gradient(f, 1.0, 1.0, 3.0, 1.0) == pytest.approx([1 / 3, 1 / 3, 0.0, 1 / 3])


def test_amax_shares_within_each_row():
    x = tg.tensor([[1.0, 1.0], [2.0, 1.0]], requires_grad=True)
    x.amax(1).sum().backward()
    assert x.grad.data.tolist() == [[0.5, 0.5], [1.0, 0.0]]


def test_max_of_a_dimension_gives_its_gradient_to_the_first():
    assert gradient(lambda x: x.max(0).values, 1.0, 3.0, 3.0) == [0.0, 1.0, 0.0]
    assert gradient(lambda x: x.min(0).values, 3.0, 1.0, 1.0) == [0.0, 1.0, 0.0]
    assert tg.tensor([1.0, 3.0, 3.0]).max(0).indices.item() == 1


@pytest.mark.parametrize("f", [tg.maximum, tg.minimum])
def test_maximum_of_equals_gives_each_half(f):
    x, y = leaf(2.0, 2.0), leaf(2.0, 2.0)
    f(x, y).sum().backward()
    assert x.grad.data.tolist() == y.grad.data.tolist() == [0.5, 0.5]
    assert gradient(lambda x: f(x, x), 1.0, 2.0) == [1.0, 1.0]


def test_clip_passes_the_gradient_at_its_bounds():
    assert gradient(lambda x: x.clip(-1, 1), -2.0, -1.0, 0.0, 1.0, 2.0) == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert gradient(lambda x: x.clip(min=0), -1.0, 0.0, 1.0) == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, math.inf])
def test_a_norm_has_gradient_0_at_0(p):
    assert gradient(lambda x: x.norm(p), 0.0, 0.0) == [0.0, 0.0]


def test_a_standard_deviation_has_gradient_0_where_all_is_equal():
    assert gradient(lambda x: x.std(), 2.0, 2.0, 2.0) == [0.0, 0.0, 0.0]


def test_there_is_no_norm_of_p_0():
    with pytest.raises(ValueError, match="norm: p is 0, which is no norm; count with"):
        tg.ones(2).norm(0)


def test_the_norm_of_minus_infinity_is_the_smallest_size():
    assert tg.tensor([3.0, -1.0, 2.0]).norm(-math.inf).item() == 1.0


def test_a_norm_of_rows_has_gradient_0_only_in_the_zero_row():
    x = tg.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    x.norm(2, 1).sum().backward()
    np.testing.assert_allclose(x.grad.data, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)


def test_sqrt_has_infinite_slope_at_0():
    with np.errstate(divide="ignore"):
        assert gradient(tg.sqrt, 0.0) == [math.inf]


@pytest.mark.parametrize("low", [0.0, 0.2, 1.0, 3.0, -0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gate_is_where_of_x_and_low_times_x(low, dtype):
    x = np.random.default_rng(0).standard_normal((40, 5)).astype(dtype)
    condition = x.T.reshape(40, 5) > 0.3
    out = elementwise.gate(x, condition, low)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, np.where(condition, x, low * x), rtol=4 * np.finfo(dtype).eps)


def test_where_sends_the_gradient_to_the_chosen():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    tg.where(tg.tensor([True, False]), x, y).sum().backward()
    assert x.grad.data.tolist() == [1.0, 0.0] and y.grad.data.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("condition", [
    [True, False], (1, 0), np.array([2, 0]), tg.tensor([-0.5, 0.0])],
    ids=["list", "tuple", "array", "tensor"])
def test_where_takes_anything_but_0_for_true(condition):
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = tg.where(condition, x, y)
    out.sum().backward()
    assert out.data.tolist() == [1.0, 4.0]
    assert x.grad.data.tolist() == [1.0, 0.0] and y.grad.data.tolist() == [0.0, 1.0]


# Powers


@pytest.mark.parametrize("exponent", [0, 0.0, np.zeros(3, "float32"), tg.zeros(3)])
def test_anything_to_the_power_0_is_1_with_slope_0(exponent):
    assert (tg.tensor([0.0, -2.0, 3.0]) ** exponent).data.tolist() == [1.0, 1.0, 1.0]
    assert gradient(lambda x: x**exponent, 0.0, -2.0, 3.0) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("exponent, slope", [(1, 1.0), (2, 0.0), (3, 0.0), (2.5, 0.0), (1.0, 1.0)])
def test_slope_of_powers_at_0(exponent, slope):
    assert gradient(lambda x: x**exponent, 0.0) == [slope]


@pytest.mark.parametrize("exponent", [-2, -1, 2, 3, 3.0])
def test_a_negative_base_with_an_integer_exponent(exponent):
    assert (tg.tensor([-2.0]) ** exponent).item() == pytest.approx((-2.0) ** exponent)
    assert gradient(lambda x: x**exponent, -2.0) == pytest.approx(
        [exponent * (-2.0) ** (exponent - 1)]
    )


def test_integer_valued_exponents_as_a_tensor():
    exponents = tg.tensor([0, 1, 2, 3])
    assert gradient(lambda x: x**exponents, -2.0, -2.0, 0.0, 2.0) == [0.0, 1.0, 0.0, 12.0]


def test_gradient_of_the_exponent():
    assert gradient(lambda y: 3**y, 0.0, 2.0) == pytest.approx([math.log(3), 9 * math.log(3)])


def test_gradients_of_zero_to_a_power_are_finite():
    x, y = leaf(0.0, 0.0, 2.0), leaf(0.0, 2.0, 0.0)
    (x**y).sum().backward()
    assert x.grad.data.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(y.grad.data, [0.0, 0.0, math.log(2)], rtol=1e-6)


def test_second_derivatives_of_powers_where_the_rules_step_aside_of_0():
    x, y = [tg.tensor(v, dtype="float64", requires_grad=True) for v in ([0.0, 2.0], [0.0, 0.0])]
    gx, = tg.grad((x**y).sum(), x, create_graph=True)
    # d/dy of y x^(y-1) at y = 0 is 1 / x; at x = 0 too, where no derivative exists, it is a number.
    assert tg.grad(gx.sum(), y)[0].data.tolist() == [1.0, 0.5]


# Large arguments


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "f, expected, slope",
    [
        (tg.sigmoid, [0.0, 1.0], [0.0, 0.0]),
        (tg.softplus, [0.0, 1e4], [0.0, 1.0]),
        (F.silu, [0.0, 1e4], [0.0, 1.0]),
        (tg.tanh, [-1.0, 1.0], [0.0, 0.0]),
    ],
)
def test_activations_at_large_arguments(no_warnings, dtype, f, expected, slope):
    x = tg.tensor(np.array([-1e4, 1e4], dtype), requires_grad=True)
    y = f(x)
    np.testing.assert_allclose(y.data, expected, rtol=1e-6, atol=1e-30)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data, slope, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("numbers", [[1e4, 1e4], [-1e4, -1e4], [1e4, -1e4]])
def test_logsumexp_and_log_softmax_at_large_arguments(no_warnings, numbers):
    x = leaf(*numbers)
    top, share = max(numbers), 1 / numbers.count(max(numbers))
    assert x.logsumexp(0).item() == pytest.approx(top - math.log(share))
    np.testing.assert_allclose(
        x.log_softmax(0).data, np.array(numbers) - top + math.log(share), rtol=1e-6
    )
    assert x.softmax(0).data.tolist() == [share if n == top else 0.0 for n in numbers]
    assert all(
        math.isfinite(g)
        for g in gradient(lambda x: x.log_softmax(0) * tg.tensor([1.0, 2.0]), *numbers)
    )


def test_logsumexp_with_infinities():
    assert tg.logsumexp(tg.tensor([-math.inf, 1.0]), 0).item() == pytest.approx(1.0)
    assert tg.logsumexp(tg.tensor([math.inf, 1.0]), 0).item() == math.inf
    with np.errstate(divide="ignore"):
        assert tg.logsumexp(tg.tensor([-math.inf, -math.inf]), 0).item() == -math.inf


def test_sigmoid_is_accurate_relative_to_its_own_size():
    assert tg.sigmoid(tg.tensor(-30.0)).item() == pytest.approx(math.exp(-30), rel=1e-6)
    assert tg.sigmoid(tg.tensor(-80.0)).item() == pytest.approx(math.exp(-80), rel=1e-5)


@pytest.mark.parametrize("x", [-30.0, -100.0, -600.0])
def test_sigmoid_in_float64_is_accurate_far_out(x):
    assert tg.sigmoid(tg.tensor(np.array(x))).item() == pytest.approx(math.exp(x), rel=1e-12)


def test_softplus_is_accurate_relative_to_its_own_size():
    assert tg.softplus(tg.tensor(-30.0)).item() == pytest.approx(math.exp(-30), rel=1e-6)


def test_log1p_is_exact_for_tiny_arguments():
    assert tg.log1p(tg.tensor(1e-10)).item() == pytest.approx(1e-10, rel=1e-6)


# Shapes


@few
@given(arrays(), st.data())
def test_reordering_agrees_with_numpy(x, data):
    dims = tuple(data.draw(st.permutations(range(x.ndim))))
    assert_close(wrap(x).permute(*dims), x.transpose(dims), atol=0)
    assert_close(wrap(x).T, x.T, atol=0)
    assert_close(wrap(x).flip(dims[:2]), np.flip(x, dims[:2]), atol=0)
    assert_close(wrap(x).reshape(-1) if x.size else wrap(x).reshape(0), x.reshape(-1), atol=0)
    assert_close(wrap(x).unsqueeze(-1), x[..., None], atol=0)
    assert_close(wrap(x).squeeze(), x.squeeze(), atol=0)
    if x.ndim > 1:
        assert_close(wrap(x).transpose(0, -1), x.swapaxes(0, -1), atol=0)


@few
@given(arrays(), st.data())
def test_the_gradient_of_a_reordering_puts_everything_back(x, data):
    dims = tuple(data.draw(st.permutations(range(x.ndim))))
    weights = np.arange(x.size, dtype="f4").reshape(x.shape)
    for f, g in (
        (lambda t: t.permute(dims), weights.transpose(dims)),
        (lambda t: t.flip(dims[:1]), np.flip(weights, dims[:1])),
        (lambda t: t.unsqueeze(0), weights[None]),
    ):
        t = wrap(x)
        f(t).backward(tg.tensor(g))
        np.testing.assert_array_equal(t.grad.data, weights)


@pytest.mark.parametrize(
    "args, shape",
    [((), (24,)), ((1,), (2, 12)), ((0, 1), (6, 4)), ((-2, -1), (2, 12)), ((1, 1), (2, 3, 4))],
)
def test_flatten(args, shape):
    assert tg.zeros(2, 3, 4).flatten(*args).shape == shape


def test_flatten_of_a_0d_tensor_has_one_dimension():
    assert tg.tensor(1.0).flatten().shape == (1,)


def test_squeeze_takes_only_dimensions_of_size_1():
    x = tg.zeros(1, 2, 1)
    assert (
        x.squeeze(0).shape == (2, 1)
        and x.squeeze(1).shape == (1, 2, 1)
        and x.squeeze((0, 2)).shape == (2,)
    )


@pytest.mark.parametrize("x", [tg.tensor(1.0), tg.ones(2, 1)], ids=["number", "column"])
def test_expand_gives_a_view_that_can_only_be_read(x):
    y = x.expand(2, 3)
    x[...] = 5
    assert y.tolist() == [[5, 5, 5], [5, 5, 5]]
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 7


def test_expand_keeps_a_size_given_as_minus_1():
    x = leaf(1.0, 2.0).reshape(2, 1)
    assert x.expand(-1, 3).shape == (2, 3) and x.expand(4, -1, 3).shape == (4, 2, 3)
    with pytest.raises(ValueError):
        x.expand(3, 3)


def test_pad_surrounds_with_a_value():
    x = tg.tensor([[1.0, 2.0]], requires_grad=True)
    y = ops.shapes.pad(x, ((1, 0), (0, 2)), 7.0)
    assert y.data.tolist() == [[7.0] * 4, [1.0, 2.0, 7.0, 7.0]]
    (y * y).sum().backward()
    assert x.grad.data.tolist() == [[2.0, 4.0]]


@few
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(-2, 1))
def test_cat_agrees_with_numpy_and_cuts_the_gradient(sizes, dim):
    arrays = [np.full((2, n) if dim % 2 else (n, 2), i, "f4") for i, n in enumerate(sizes)]
    tensors = [wrap(a) for a in arrays]
    joined = tg.cat(tensors, dim)
    assert_close(joined, np.concatenate(arrays, dim))
    joined.backward(tg.tensor(joined.data))
    for t, a in zip(tensors, arrays):
        np.testing.assert_array_equal(t.grad.data, a)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
def test_stack_agrees_with_numpy(dim):
    arrays = [np.full((2, 3), i, "f4") for i in range(4)]
    tensors = [wrap(a) for a in arrays]
    y = tg.stack(tensors, dim)
    assert_close(y, np.stack(arrays, dim))
    y.backward(tg.tensor(y.data))
    assert [t.grad.data.max() for t in tensors] == [0.0, 1.0, 2.0, 3.0]


def test_cat_of_a_tensor_with_an_array():
    x = leaf(1.0)
    y = tg.cat([np.array([5.0]), x])
    assert_close(y, [5.0, 1.0])
    y.sum().backward()
    assert x.grad.data.tolist() == [1.0]


@pytest.mark.parametrize(
    "size, expected", [(2, [2, 2, 1]), (5, [5]), (9, [5]), ([1, 4], [1, 4]), ([0, 5], [0, 5])]
)
def test_split(size, expected):
    x = tg.arange(10.0).reshape(2, 5)
    parts = x.split(size, 1)
    assert [p.shape[1] for p in parts] == expected
    np.testing.assert_array_equal(tg.cat(parts, -1).data, x.data)


def test_split_sizes_must_add_up():
    with pytest.raises(ValueError, match=r"\[1, 2\] add up to 3, but dimension 0 has 4"):
        tg.zeros(4).split([1, 2])


@pytest.mark.parametrize(
    "chunks, expected", [(2, [3, 2]), (5, [1] * 5), (9, [1] * 5), (1, [5]), (4, [2, 2, 1])]
)
def test_chunk(chunks, expected):
    assert [p.shape[0] for p in tg.zeros(5, 2).chunk(chunks)] == expected


def test_the_two_halves_of_an_encoders_output_send_their_gradients_back():
    x = tg.zeros(2, 4, requires_grad=True)
    mu, log_var = x.chunk(2, dim=1)
    (mu * 2 + log_var * 3).sum().backward()
    assert x.grad.data.tolist() == [[2.0, 2.0, 3.0, 3.0]] * 2


def test_split_and_chunk_of_nothing_give_empty_pieces():
    assert [p.shape for p in tg.zeros(0, 2).split(2)] == [(0, 2)]
    assert [p.shape for p in tg.zeros(0, 2).chunk(3)] == [(0, 2)] * 3


# Indexing

X = np.arange(24, dtype="f4").reshape(2, 3, 4)
INDICES = {
    "number": 1,
    "negative": -1,
    "slice": slice(0, 1),
    "step": (slice(None), slice(None, None, 2)),
    "negative step": (slice(None), slice(None, None, -1)),
    "none": (None, 0),
    "ellipsis": (..., 2),
    "numbers": (1, 2, 3),
    "list": [1, 0, 1],
    "integer array": np.array([[0, 1], [1, 1]]),
    "two arrays": (np.array([0, 1, 0]), np.array([2, 2, 2])),
    "array and slice": (slice(None), np.array([0, 0])),
    "separated arrays": (np.array([0, 0]), slice(None), np.array([1, 1])),
    "mask": X > 11,
    "mask of rows": np.array([False, True]),
    "empty slice": slice(2, 2),
    "empty mask": X < 0,
    "tensor": tg.tensor([0, 0, 1]),
    "0-d tensor": tg.tensor(1),
    "tensor mask": tg.tensor(X) > 11,
    "tuple inside": ((0, 0), slice(None)),
    "list inside": ([0, 0], slice(None)),
    "np.int64": np.int64(1),
    "tensor inside": (slice(None), tg.tensor([2, 2])),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_indexing_agrees_with_numpy_and_counts_each_use(index):
    plain = (
        tuple(getattr(i, "data", i) if isinstance(i, tg.Tensor) else i for i in index)
        if isinstance(index, tuple)
        else index.data
        if isinstance(index, tg.Tensor)
        else index
    )
    t = wrap(X)
    y = t[index]
    assert_close(y, X[plain])
    y.sum().backward()
    uses = np.zeros(X.shape, "f4")
    np.add.at(uses, plain, 1)
    np.testing.assert_array_equal(t.grad.data, uses)


@pytest.mark.parametrize("index", [2, (0, 3), np.array([5]), tg.tensor([9])])
def test_an_index_out_of_range_is_an_error(index):
    with pytest.raises(IndexError):
        wrap(X)[index]


def test_put_back_adds_at_places_named_twice():
    assert_close(tg.put_back(leaf(1.0, 2.0, 4.0), np.array([0, 2, 0]), (3,)), [5.0, 0.0, 2.0])


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_gather_agrees_with_numpy(dim):
    order = np.argsort(-X, axis=dim)
    assert_close(
        tg.gather(wrap(X), dim, tg.tensor(order)), np.take_along_axis(X, order, dim)
    )


# Matrix products

MATRIX_SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((3,), (5, 3, 2)),
    ((5, 2, 3), (3,)),
    ((2, 1), (1, 4)),
    ((5, 2, 1), (1, 4)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((0,), (0,)),
    ((1,), (1,)),
]


@pytest.mark.parametrize("left, right", MATRIX_SHAPES)
def test_matmul_agrees_with_numpy_and_its_gradients_with_loops(left, right):
    random = np.random.default_rng(0)
    x, y, g = [random.standard_normal(shape).astype("f4")
               for shape in (left, right, (np.zeros(left) @ np.zeros(right)).shape)]
    s, t = wrap(x), wrap(y)
    z = s @ t
    assert_close(z, x @ y)
    z.backward(tg.tensor(g))
    # By linearity a gradient is what the product becomes when one number is 1, the rest 0.
    for tensor, product in (s, lambda one: one @ y), (t, lambda one: x @ one):
        expected = np.zeros(tensor.shape, "f4")
        for place in np.ndindex(tensor.shape):
            one = np.zeros(tensor.shape, "f4")
            one[place] = 1
            expected[place] = (g * product(one)).sum()
        assert_close(tensor.grad, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", [lambda x: x, np.asfortranarray, lambda x: x[::-1, ::-1]])
def test_matmul_of_any_memory_layout(layout):
    x = layout(np.arange(6, dtype="f4").reshape(2, 3))
    assert_close(wrap(x) @ wrap(x.T), x @ x.T)


def test_matmul_errors_name_the_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 3\).*inner sizes are 3 and 2"):
        tg.ones(2, 3) @ tg.ones(2, 3)
    with pytest.raises(ValueError, match="use \\* for a single number"):
        tg.ones(2) @ tg.tensor(2.0)
    with pytest.raises(ValueError, match="use \\* for a single number"):
        tg.ones(2) @ 2
    with pytest.raises(ValueError):
        tg.ones(2, 2, 3) @ tg.ones(3, 3, 2)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (0, 3), (4, 2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_agrees_with_numpy(shape, bias):
    random = np.random.default_rng(0)
    x, w, b = [random.standard_normal(s).astype("f4") for s in (shape, (5, 3), (5,))]
    s, t, u = wrap(x), wrap(w), wrap(b)
    y = F.linear(s, t, u if bias else None)
    assert_close(y, x @ w.T + (b if bias else 0))
    y.sum().backward()
    np.testing.assert_allclose(s.grad.data, np.broadcast_to(w.sum(0), shape), rtol=1e-5, atol=1e-6)
    rows = x.reshape(-1, 3)
    np.testing.assert_allclose(
        t.grad.data, np.broadcast_to(rows.sum(0), (5, 3)), rtol=1e-5, atol=1e-5
    )
    if bias:
        assert u.grad.data.tolist() == [len(rows)] * 5


def test_linear_error_names_the_shapes():
    with pytest.raises(
        ValueError, match=r"linear: x of shape \(2, 3\) and weight \(5, 4\) do not fit"
    ):
        F.linear(tg.ones(2, 3), tg.ones(5, 4))
    with pytest.raises(ValueError, match=r"linear: .*shape \(1,\) and weight \(5, 1\) do not fit"):
        F.linear(tg.tensor(2.0), tg.ones(5, 1))


# Memory order

CHANNELS_LAST = {
    **UNARY,
    **{name: (lambda x, f=f: f(x, x * 2), None) for name, (f, _) in BINARY.items()},
    "per channel": (lambda x: x * tg.ones(1, 3, 1, 1) + tg.ones(3, 1, 1), None),
}


@pytest.mark.parametrize("name", CHANNELS_LAST)
def test_elementwise_operations_and_gradients_keep_channels_last(name):
    random = np.random.default_rng(0)
    x = wrap(random.random((2, 4, 5, 3), "f4").transpose(0, 3, 1, 2)) * 1.0
    y = CHANNELS_LAST[name][0](x)
    (g,) = tg.grad(y, x, tg.Tensor(random.random((2, 4, 5, 3), "f4").transpose(0, 3, 1, 2)))
    for t in (x, y, g):
        assert t.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_clip_takes_numbers_only():
    x = leaf(1.0, 2.0)
    assert_close(tg.clip(x, np.float32(1.5), 2), [1.5, 2.0])
    for words in ({"min": x}, {"max": np.zeros(2)}):
        with pytest.raises(TypeError, match="use maximum and minimum"):
            tg.clip(x, **words)


@pytest.mark.parametrize("find", [tg.max, tg.min])
def test_max_and_min_of_a_number(find):
    x = tg.tensor(2.0, requires_grad=True)
    values, indices = find(x, 0)
    assert (values.shape, values.item(), indices.shape, indices.item()) == ((), 2.0, (), 0)
    values.backward()
    assert x.grad.item() == 1
    with pytest.raises(IndexError):
        find(x, 1)


def test_max_and_min_without_a_dimension():
    x = leaf(1.0, 3.0, 2.0)
    assert (tg.max(x).item(), tg.min(x).item()) == (x.max().item(), x.min().item()) == (3.0, 1.0)


@pytest.mark.parametrize("function", [
    tg.exp, tg.log1p, tg.sqrt, tg.sin, tg.cos, tg.tanh, tg.sigmoid, F.softplus, F.leaky_relu,
    F.silu, lambda x: x / x, lambda x: F.softmax(x, 0), lambda x: F.log_softmax(x, 0),
    lambda x: tg.logsumexp(x, 0), tg.norm, lambda x: x.std()])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_integers_are_computed_in_the_default_dtype(function, dtype):
    x = np.array([1, 60, 80]).astype(dtype)
    found, expected = function(tg.tensor(x)), function(tg.tensor(x.astype("float32")))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5)


def test_where_makes_a_tensor_of_numbers():
    condition = tg.tensor([1.0, 0.0]) > 0
    found = tg.where(condition, 1.0, 0.0)
    assert isinstance(found, tg.Tensor) and found.dtype == np.float32
    assert found.numpy().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("words, call", [
    ("expand: .*-1 for a new dimension", lambda: tg.ones(2).expand(-1, 2)),
    (r"expand: \(2,\) is shorter than \(2, 1\)", lambda: tg.ones(2, 1).expand(2)),
    ("gather: index has 1 dimensions, x has 2; unsqueeze it",
     lambda: tg.ones(3, 2).gather(1, tg.tensor([0, 1, 0]))),
    ("split: the sizes", lambda: tg.split(tg.ones(3), [4, -1])),
    ("chunk: chunks is 0", lambda: tg.chunk(tg.ones(3), 0)),
    ("cat: got no tensors", lambda: tg.cat([])), ("cat: got no tensors", lambda: tg.stack([])),
    ("cat: got no tensors", lambda: tg.cat(tg.ones(2, 2))),
    ("linear: bias has shape", lambda: F.linear(tg.ones(1, 2), tg.ones(2, 2), tg.ones(1)))])
def test_shapes_that_do_not_fit_are_told(words, call):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("select", [
    lambda x: x.relu(), lambda x: x.clamp(0.0), lambda x: tg.where(x > 0, x, 0.0),
    lambda x: tg.maximum(x, tg.zeros(2)), lambda x: -tg.minimum(-x, tg.zeros(2))])
def test_what_is_not_selected_gets_no_gradient_not_even_of_infinity(select):
    """The root's slope at 0 is infinite; 0 times it would be nan."""
    x = tg.tensor([-1.0, 4.0], requires_grad=True)
    with np.errstate(divide="ignore"):
        select(x).sqrt().sum().backward()
    assert x.grad.data.tolist() == [0.0, 0.25]


def test_flip_is_a_copy():
    x = tg.ones(2, 2)
    y = x.flip(0)
    y += 1
    assert x.data.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_product_in_place_is_a_new_tensor():
    x = same = tg.ones(2, 3)
    x @= tg.ones(3, 4)
    assert x.shape == (2, 4) and same.shape == (2, 3)


@pytest.mark.parametrize("f, name", [(tg.max, "maximum"), (tg.min, "minimum")])
def test_the_larger_of_two_tensors_has_another_name(f, name):
    with pytest.raises(TypeError, match=rf"dim is a tensor; of two tensors, take {name}\(x, y\)"):
        f(tg.ones(2), tg.ones(2))


def test_gather_reads_fewer_rows_than_there_are():
    x = tg.arange(12).reshape(3, 4)
    assert tg.gather(x, 1, tg.tensor([[1, 2], [3, 0]])).tolist() == [[1, 2], [7, 4]]
    assert x.gather(0, tg.tensor([[2, 0]])).tolist() == [[8, 1]]


def test_sums_of_bytes_have_a_sign():
    x = tg.tensor(np.array([[200, 100], [100, 200]], np.uint8))
    assert x.sum().dtype == np.int64 and (x.sum() - 700).item() == -100
    assert (x.sum(0) - 400).tolist() == [-100, -100]


def test_conversions_by_their_names():
    x = tg.tensor([0.0, 1.5, -2.5])
    assert x.double().dtype == np.float64 and x.double().float().dtype == np.float32
    assert x.long().dtype == np.int64 and x.long().tolist() == [0, 1, -2]
    assert x.bool().dtype == np.bool_ and x.bool().tolist() == [False, True, True]


@pytest.mark.parametrize("convert", [lambda x: x.to("cpu"), lambda x: x.to("float32"),
                                     lambda x: x.float(), lambda x: x.to(np.float32),
                                     lambda x: x.to(None), lambda x: x.cpu()])
def test_a_conversion_that_changes_nothing_gives_the_tensor_itself(convert):
    x = tg.ones(3).requires_grad_()
    assert convert(x) is x
    (convert(x) ** 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
