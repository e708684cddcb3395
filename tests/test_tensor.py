"""The engine: recording, the walk back, memory, versions, dtypes and Python's protocols."""

import copy
import gc
import operator
import pickle
import threading
import weakref

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn, ops, optim
from tinygen.tensor import OPS, is_grad_enabled, op


def leaf(*numbers):
    return tg.tensor(list(numbers), requires_grad=True)


def assert_values(tensor, expected):
    assert isinstance(tensor, tg.Tensor)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor.data, expected, rtol=1e-6)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def temporary_op():
    """Makes primitives that leave the list of all primitives with the test."""
    before = len(OPS)
    yield op
    del OPS[before:]


def explode(g, out, x):
    raise AssertionError("this rule must not run")


# The chain rule


def test_chain_rule_on_an_example_worked_by_hand():
    x, y = tg.tensor(2.0, requires_grad=True), tg.tensor(3.0, requires_grad=True)
    a = x * y  # 6
    b = a + x  # 8
    z = b * b / y  # 64 / 3
    z.backward()
    # dz/db = 2 b / y = 16/3; dz/dx = 16/3 (y + 1); dz/dy = 16/3 x - b^2 / y^2
    assert z.item() == pytest.approx(64 / 3)
    assert x.grad.item() == pytest.approx(64 / 3)
    assert y.grad.item() == pytest.approx(32 / 3 - 64 / 9)


def test_a_value_used_many_times_gets_the_sum_of_its_gradients():
    x = leaf(1.0, 2.0)
    h = x * 2
    (h + h * h + h * 3 + x).sum().backward()  # 2 (1 + 2h + 3) + 1
    assert_values(x.grad, [17.0, 25.0])


def test_same_tensor_as_both_arguments():
    x = leaf(3.0)
    (x * x).sum().backward()
    assert_values(x.grad, [6.0])


def test_diamond_visits_each_node_once(temporary_op):
    visits = []

    @temporary_op(lambda g, out, x: visits.append(1) or g * 1)
    def counted(x):
        return x * 1

    x = leaf(1.0)
    h = counted(x)
    for _ in range(10):
        h = h + h
    h.sum().backward()
    assert len(visits) == 1
    assert_values(x.grad, [1024.0])


def test_broadcast_gradients_are_summed_to_the_arguments_shape():
    x, y = tg.zeros(2, 1, requires_grad=True), tg.zeros(3, requires_grad=True)
    (x + y).sum().backward()
    assert_values(x.grad, [[3.0], [3.0]])
    assert_values(y.grad, [2.0, 2.0, 2.0])


# .grad


def test_gradients_accumulate_over_two_backwards():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert_values(x.grad, [5.0, 7.0])


def test_accumulation_does_not_change_a_gradient_taken_out_before():
    x = leaf(1.0)
    x.sum().backward()
    first = x.grad
    x.sum().backward()
    assert_values(first, [1.0])
    assert_values(x.grad, [2.0])


def test_gradients_of_a_sum_have_memory_of_their_own():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x + y).backward(tg.ones(2))
    assert not np.shares_memory(x.grad.data, y.grad.data)
    x.grad.data[:] = 7
    assert_values(y.grad, [1.0, 1.0])


def test_one_array_handed_to_two_arguments_is_not_summed_into(temporary_op):
    @temporary_op(lambda g, out, x, y: g, lambda g, out, x, y: g)
    def plain_add(x, y):
        return x + y

    x, y = leaf(1.0), leaf(1.0)
    h, k = x * 2, y * 3
    (plain_add(h, k) + h + h).sum().backward()
    assert_values(x.grad, [6.0])
    assert_values(y.grad, [3.0])


def test_gradient_of_a_sum_is_writable_and_owned():
    x = tg.zeros(3, 2, requires_grad=True)
    x.sum().backward()
    assert x.grad.data.flags.writeable
    assert x.grad.data.flags.owndata
    x.grad.data += 1
    assert_values(x.grad, np.full((3, 2), 2.0))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: x.reshape(3, 1),
        lambda x: x.flip(0),
        lambda x: x[::-1],
        lambda x: x.clone(),
        lambda x: x.expand(1, 3),
        lambda x: x.to("float32"),
    ],
)
def test_gradient_shares_no_memory_with_what_was_passed_to_backward(view):
    x, v = leaf(1.0, 2.0, 3.0), tg.tensor([1.0, 2.0, 3.0])
    out = view(x)
    out.backward(v.reshape(out.shape))
    assert not np.shares_memory(x.grad.data, v.data)


def test_only_leaves_that_want_one_get_a_gradient():
    x, constant = leaf(1.0), tg.tensor([2.0])
    h = x * constant
    h.sum().backward()
    assert h.grad is None and constant.grad is None
    assert_values(x.grad, [2.0])


def test_backward_takes_the_vector_that_multiplies_the_jacobian():
    x = leaf(1.0, 2.0)
    (x * x).backward(tg.tensor([10.0, 100.0]))
    assert_values(x.grad, [20.0, 400.0])


def test_backward_of_several_numbers_needs_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"shape \(2,\).*sum\(\) or mean\(\)"):
        (x * 2).backward()


def test_backward_of_a_wrongly_shaped_gradient_names_both_shapes():
    with pytest.raises(RuntimeError, match=r"\(3,\).*\(2,\)"):
        (leaf(1.0, 2.0) * 2).backward(tg.ones(3))


def test_backward_without_any_graph_is_an_error():
    with pytest.raises(RuntimeError, match="requires a gradient"):
        tg.tensor([1.0]).sum().backward()


def test_backward_refuses_a_gradient_of_another_dtype():
    with pytest.raises(RuntimeError, match="float64.*float32"):
        (leaf(1.0, 2.0) * 2).backward(tg.tensor(np.array([1.0, 2.0])))


@pytest.mark.parametrize("gradient", [1.0, [1.0]])
def test_a_gradient_that_is_no_tensor_is_an_error(gradient):
    with pytest.raises(RuntimeError, match=f"is {type(gradient).__name__}, .*; pass a tensor"):
        (leaf(1.0) * 2).backward(gradient)


def test_a_rule_of_the_wrong_shape_is_reported_by_name(temporary_op):
    @temporary_op(lambda g, out, x: g)
    def total(x):
        return x.sum()

    with pytest.raises(RuntimeError, match=r"total: the rule of argument 0.*\(\).*\(2,\)"):
        total(leaf(1.0, 2.0)).backward()


# Releasing the graph


def test_second_backward_says_that_the_graph_was_released():
    y = (leaf(1.0) * 2).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="released this graph.*retain_graph=True"):
        y.backward()


def test_retain_graph_allows_a_second_backward():
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert_values(x.grad, [12.0])
    with pytest.raises(RuntimeError, match="released"):
        y.backward()


def test_create_graph_retains_the_graph_unless_told_otherwise():
    x = leaf(3.0)
    y = (x * x).sum()
    tg.grad(y, x, create_graph=True)
    tg.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="released"):
        tg.grad(y, x)


# grad(outputs, inputs)


def test_grad_returns_a_tuple_and_leaves_grad_alone():
    x, y = leaf(2.0), leaf(3.0)
    gx, gy = tg.grad((x * y).sum(), [x, y])
    assert_values(gx, [3.0])
    assert_values(gy, [2.0])
    assert x.grad is None and y.grad is None
    assert not gx.requires_grad


def test_grad_walks_only_what_lies_between(temporary_op):
    bomb = temporary_op(explode)(lambda x: x * 1)
    x, other = leaf(2.0), leaf(5.0)
    z = x * bomb(other)
    assert_values(tg.grad(z.sum(), x)[0], [5.0])


def test_grad_does_not_walk_below_an_intermediate_input(temporary_op):
    bomb = temporary_op(explode)(lambda x: x * 1)
    h = bomb(leaf(2.0))
    assert_values(tg.grad((h * h).sum(), h)[0], [4.0])


def test_backward_would_have_walked_there(temporary_op):
    bomb = temporary_op(explode)(lambda x: x * 1)
    with pytest.raises(AssertionError, match="must not run"):
        (leaf(2.0) * bomb(leaf(5.0))).sum().backward()


def test_grad_is_not_stopped_by_a_released_part_that_does_not_lie_between():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * 2
    first, second = h.sum(), (h * w).sum()
    first.backward()
    assert_values(tg.grad(second, w)[0], [2.0, 4.0])


def test_grad_releases_only_what_it_walked():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * 2
    tg.grad((h * w).sum(), w)
    assert_values(tg.grad(h.sum(), x)[0], [2.0, 2.0])


def test_an_unused_input_is_an_error_that_says_which():
    x, unused = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="input number 1.*allow_unused=True"):
        tg.grad(x.sum(), [x, unused])


def test_an_unused_input_has_gradient_none():
    x, unused = leaf(1.0), leaf(1.0)
    used, nothing = tg.grad((x * 2).sum(), [x, unused], allow_unused=True)
    assert_values(used, [2.0])
    assert nothing is None


def test_a_leaf_that_the_output_does_not_use_keeps_grad_none():
    x, unused = leaf(1.0), leaf(1.0)
    x.sum().backward()
    assert unused.grad is None


def test_intermediate_and_leaf_inputs_together():
    x = leaf(2.0)
    h = x * x
    y = (h * h * x).sum()  # x^5
    gh, gx = tg.grad(y, [h, x])
    assert_values(gh, [16.0])
    assert_values(gx, [80.0])


def test_the_output_itself_as_input():
    y = leaf(2.0) * 3
    assert_values(tg.grad(y, y)[0], [1.0])


def test_an_input_named_twice_gets_its_gradient_twice():
    x = leaf(2.0)
    first, second = tg.grad((x * x).sum(), [x, x])
    assert_values(first, [4.0])
    assert_values(second, [4.0])


def test_grad_outputs_multiply_the_jacobians():
    x = leaf(1.0, 2.0)
    assert_values(tg.grad(x * x, x, grad_outputs=tg.tensor([1.0, 10.0]))[0], [2.0, 40.0])


def test_several_outputs_are_summed():
    x = leaf(1.0, 2.0)
    (result,) = tg.grad(
        [x * x, x * 3], x, grad_outputs=[tg.tensor([1.0, 0.0]), tg.tensor([1.0, 1.0])]
    )
    assert_values(result, [5.0, 3.0])


@pytest.mark.parametrize("none_first", [True, False])
def test_none_among_grad_outputs_means_one(none_first):
    x = leaf(1.0, 2.0)
    pairs = [(x.sum(), None), (x * 3, tg.tensor([1.0, 10.0]))]
    outputs, vectors = zip(*(pairs if none_first else pairs[::-1]))
    assert_values(tg.grad(outputs, x, grad_outputs=vectors)[0], [4.0, 31.0])


@pytest.mark.parametrize("vectors", [tg.ones(1), [tg.ones(1)]])
def test_a_wrong_number_of_grad_outputs_is_an_error(vectors):
    x = leaf(1.0)
    with pytest.raises(ValueError, match="2 outputs and 1 grad_outputs"):
        tg.grad([x * 1, x * 2], x, grad_outputs=vectors)


def test_several_single_numbers_need_no_grad_outputs():
    x = leaf(1.0)
    assert_values(tg.grad([x * 1, x * 2], x)[0], [3.0])


# Higher orders


def test_third_derivative_of_sine():
    x = tg.tensor(np.array([0.3, -1.2]), requires_grad=True)
    d = x.sin()
    for _ in range(3):
        (d,) = tg.grad(d.sum(), x, create_graph=True)
    np.testing.assert_allclose(d.data, -np.cos(x.data), rtol=1e-12)


def test_power_four_to_the_fifth_order():
    x = tg.tensor(np.array([1.5, -2.0, 0.0]), requires_grad=True)
    d = x**4
    for expected in (4 * x.data**3, 12 * x.data**2, 24 * x.data, [24.0] * 3, [0.0] * 3):
        (d,) = tg.grad(d.sum(), x, create_graph=True)
        np.testing.assert_allclose(d.data, expected, rtol=1e-12)


def test_gradient_penalty_flows_into_the_weights():
    w, x = leaf(3.0), leaf(2.0)
    (slope,) = tg.grad((w * x * x).sum(), x, create_graph=True)  # 2 w x = 12
    ((slope - 1) ** 2).sum().backward()  # d/dw = 2 (12 - 1) 2 x
    assert_values(w.grad, [88.0])


def test_without_create_graph_the_gradient_is_a_constant():
    x = leaf(2.0)
    (slope,) = tg.grad((x * x).sum(), x, retain_graph=True)
    assert slope.node is None and not slope.requires_grad


def test_backward_with_create_graph_gives_a_differentiable_grad():
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    assert_values(tg.grad(x.grad.sum(), x)[0], [12.0])


def test_differentiating_with_respect_to_grad_outputs():
    x, v = leaf(2.0), leaf(5.0)
    (first,) = tg.grad(x**3, x, grad_outputs=v, create_graph=True)  # 3 x^2 v
    assert_values(tg.grad(first.sum(), v)[0], [12.0])


def test_the_first_gradient_may_be_an_array_also_with_create_graph():
    x, v = leaf(2.0), np.array([5.0], np.float32)
    (x + 1).backward(v, create_graph=True)
    assert isinstance(x.grad, tg.Tensor) and x.grad.data is not v
    assert_values(tg.grad(x + 1, x, grad_outputs=v, create_graph=True)[0], [5.0])


# Recording


def test_no_grad_records_nothing():
    x = leaf(1.0)
    with tg.no_grad():
        y = x * 2
    assert not y.requires_grad and y.is_leaf


def test_no_grad_as_decorator():
    @tg.no_grad()
    def double(x):
        return x * 2

    x = leaf(1.0)
    assert not double(x).requires_grad
    assert not double(x).requires_grad
    assert (x * 2).requires_grad


def test_enable_grad_inside_no_grad_as_context_and_decorator():
    @tg.enable_grad()
    def double(x):
        return x * 2

    x = leaf(1.0)
    with tg.no_grad():
        with tg.enable_grad():
            assert (x * 2).requires_grad
        assert double(x).requires_grad
        assert not (x * 2).requires_grad


def test_nested_no_grad_ends_with_the_outer_block():
    with tg.no_grad():
        with tg.no_grad():
            pass
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_set_grad_enabled_switches_at_the_call_or_for_a_block():
    x = leaf(1.0)
    with tg.set_grad_enabled(False):
        assert not (x * 2).requires_grad
        tg.set_grad_enabled(True)
        assert (x * 2).requires_grad
    assert (x * 2).requires_grad
    try:
        tg.set_grad_enabled(False)
        assert not (x * 2).requires_grad and not tg.is_grad_enabled()
    finally:
        tg.set_grad_enabled(True)
    assert (x * 2).requires_grad


@pytest.mark.parametrize("context", [tg.no_grad, lambda: tg.set_grad_enabled(False)])
def test_an_exception_inside_switches_recording_back_on(context):
    with pytest.raises(ZeroDivisionError), context():
        1 / 0
    assert is_grad_enabled()


def test_an_exception_inside_a_decorated_function_switches_recording_back_on():
    @tg.no_grad()
    def fail():
        raise KeyError("inside")

    with pytest.raises(KeyError):
        fail()
    assert is_grad_enabled()


def test_an_exception_inside_backward_switches_recording_back_on(temporary_op):
    bomb = temporary_op(explode)(lambda x: x * 1)
    with pytest.raises(AssertionError):
        bomb(leaf(1.0)).backward()
    assert is_grad_enabled()


def test_backward_works_inside_no_grad():
    x = leaf(3.0)
    y = (x * x).sum()
    with tg.no_grad():
        y.backward()
    assert_values(x.grad, [6.0])


def test_detach_cuts_the_graph_and_keeps_the_memory():
    x = leaf(2.0)
    h = x * 3
    d = h.detach()
    assert np.shares_memory(d.data, h.data) and not d.requires_grad and d.is_leaf
    (h * d).sum().backward()
    assert_values(x.grad, [18.0])


def test_frozen_when_recorded_stays_frozen():
    net = nn.Linear(2, 1)
    z = leaf(1.0, 2.0)
    net.requires_grad_(False)
    y = net(z * 1).sum()
    net.requires_grad_(True)
    y.backward()
    assert net.weight.grad is None and net.bias.grad is None
    assert_values(z.grad, net.weight.data[0])


def test_wanted_when_recorded_stays_wanted():
    net = nn.Linear(2, 1)
    y = net(tg.tensor([[1.0, 2.0]])).sum()
    net.requires_grad_(False)
    y.backward()
    assert_values(net.weight.grad, [[1.0, 2.0]])


def test_a_frozen_argument_computes_no_gradient(temporary_op):
    @temporary_op(lambda g, out, x, y: g * y, explode)
    def product(x, y):
        return x * y

    x = leaf(2.0)
    product(x, tg.tensor([5.0])).sum().backward()
    assert_values(x.grad, [5.0])


def test_only_leaves_can_stop_wanting_gradients():
    with pytest.raises(RuntimeError, match="detach"):
        (leaf(1.0) * 2).requires_grad_(False)


@pytest.mark.parametrize("data", [[1, 2], [True, False]])
def test_only_floating_tensors_can_want_gradients(data):
    with pytest.raises(RuntimeError, match="floating point"):
        tg.tensor(data, requires_grad=True)


# Depth and memory


def test_a_chain_of_50000_operations():
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.backward()
    assert_values(x.grad, [1.0])
    assert y.item() == 50_001.0


def test_a_chain_of_50000_operations_never_walked_is_freed(no_collector):
    y = -leaf(1.0)
    early = weakref.ref(y.data)
    for _ in range(50_000):
        y = -y
    assert early() is not None
    del y
    assert early() is None


def test_a_second_order_chain_is_deep_too():
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y * 1.0
    (slope,) = tg.grad(y * x, x, create_graph=True)
    slope.backward()
    assert x.grad.item() == pytest.approx(2.0)


def test_a_graph_never_walked_is_freed_at_once(no_collector):
    x = leaf(1.0, 2.0)
    y = x * 2
    middle = weakref.ref(y)
    array = weakref.ref(y.data)
    y = (y.exp() + y).sum()
    assert middle() is None and array() is not None      # the graph keeps the numbers alone
    del y
    assert array() is None


def test_a_layer_kind_graph_never_walked_is_freed_at_once(no_collector):
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.Softmax(1),
    )
    x = tg.randn(2, 1, 6, 6, requires_grad=True)
    source = weakref.ref(x)
    y = model(x)
    del x
    assert source() is not None
    del y
    assert source() is None


def test_memory_goes_as_backward_walks(no_collector):
    x = leaf(1.0, 2.0)
    h = x.exp()
    array = weakref.ref(h.data)
    y = h.sin().sum()
    del h
    assert array() is not None
    y.backward()
    assert array() is None


def test_nothing_is_left_after_backward(no_collector):
    x = leaf(1.0, 2.0)
    source = weakref.ref(x)
    y = (x * x).sum()
    y.backward()
    del x, y
    assert source() is None


def test_nothing_is_left_after_a_second_order_walk(no_collector):
    x = leaf(1.0, 2.0)
    source = weakref.ref(x)
    (slope,) = tg.grad((x**3).sum(), x, create_graph=True)
    (curvature,) = tg.grad(slope.sum(), x)
    del x, slope
    assert source() is None
    assert_values(curvature, [6.0, 12.0])


# Versions


def parameter():
    return nn.Parameter(tg.tensor([1.0, 2.0, 3.0]))


def test_an_optimiser_step_between_forward_and_backward_is_noticed():
    p = parameter()
    optimizer = optim.SGD([p], lr=0.1)
    y = (p * p).sum()
    p.grad = tg.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"mul: x of shape \(3,\) was changed in place.*opt"):
        y.backward()


def test_a_change_is_told_of_the_right_argument_beside_a_constant():
    p = parameter()
    y = tg.where(np.array([True, False, True]), p, p * 2).sum()
    z = tg.cat([np.zeros(1, np.float32), p]).sum()
    with tg.no_grad():
        p += 1
    for total, name in ((y, "where: x"), (z, "cat: argument 1")):
        with pytest.raises(RuntimeError, match=rf"{name} of shape \(3,\) was changed in place"):
            total.backward()


def test_load_state_dict_between_forward_and_backward_is_noticed():
    net = nn.Linear(2, 1)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    y = net(leaf(1.0, 2.0)).sum()
    net.load_state_dict(state)
    message = r"linear: weight of shape \(1, 2\) was changed in place.*load_state_dict"
    with pytest.raises(RuntimeError, match=message):
        y.backward()


def test_initialisation_between_forward_and_backward_is_noticed():
    p = parameter()
    y = p.exp().sum()
    nn.init.zeros_(p)
    with pytest.raises(RuntimeError, match="exp: .*changed in place"):
        y.backward()


def test_item_assignment_between_forward_and_backward_is_noticed():
    p = parameter()
    y = p.sin().sum()
    with tg.no_grad():
        p[0] = 5.0
    with pytest.raises(RuntimeError, match="sin: .*changed in place.*item assignment"):
        y.backward()


@pytest.mark.parametrize(
    "alias",
    [
        lambda p: p.detach(),
        lambda p: p.detach()[1:],
        lambda p: p.detach().reshape(3, 1),
        lambda p: p.detach().T,
        lambda p: p.detach().unsqueeze(0),
        lambda p: p.detach().split(2)[0],
        lambda p: p.detach().float(),
        lambda p: p.detach().to("cpu"),
        lambda p: p.detach().flatten(),
        lambda p: p.detach()[None],
    ],
)
def test_a_change_through_an_alias_is_noticed(alias):
    p = parameter()
    y = p.log().sum()
    alias(p)[0] = 5.0
    with pytest.raises(RuntimeError, match="log: .*changed in place"):
        y.backward()


def test_a_change_through_a_view_taken_without_recording_is_noticed():
    p = parameter()
    y = p.log().sum()
    with tg.no_grad():
        p[1:][0] = 5.0
    with pytest.raises(RuntimeError, match="log: .*changed in place"):
        y.backward()


@pytest.mark.parametrize(
    "alias", [lambda c: c, lambda c: c[:], lambda c: c.float(), lambda c: c.to("cpu")]
)
def test_a_changed_constant_is_noticed(alias):
    c, w = tg.tensor([1.0, 2.0]), leaf(1.0, 1.0)
    y = (w * alias(c)).sum()
    c[0] = 9.0
    with pytest.raises(RuntimeError, match="mul: .*changed in place"):
        y.backward()


def test_a_changed_result_is_noticed():
    y = leaf(1.0, 2.0).exp()
    y.detach()[0] = 0.0
    with pytest.raises(RuntimeError, match=r"exp: the result of shape \(2,\) was changed in place"):
        y.sum().backward()


@pytest.mark.parametrize("f", [lambda x: x.exp(), lambda x: 1 / x], ids=["exp", "div"])
def test_a_result_changed_before_the_second_walk_is_noticed(f):
    """The rule reads its result: dg/dv is y or -y / x, and the walk to v does not reach f."""
    x, v = leaf(1.0, 2.0), leaf(1.0, 1.0)
    y = f(x)
    g, = tg.grad(y, x, v, create_graph=True)
    y.detach()[0] = 0.0
    with pytest.raises(RuntimeError, match=r"mul: y of shape \(2,\) was changed in place"):
        tg.grad(g.sum(), v)


@pytest.mark.parametrize("changed, name", [
    (0, r"_linear: x of shape \(3, 4\)"), (1, r"_linear: weight of shape \(2, 4\)"),
    (2, r"_linear: bias of shape \(2,\)")])
@pytest.mark.parametrize("wanted", [(0, 1, 2), (1, 2), (1,)])
def test_what_was_changed_is_named(changed, name, wanted):
    """By its own name and shape, whichever of the arguments want a gradient."""
    inputs = [tg.randn(3, 4), tg.randn(2, 4), tg.randn(2)]
    for i in wanted:
        inputs[i].requires_grad_()
    y = tg.linear(*inputs).sum()
    with tg.no_grad():
        inputs[changed][0] = 5.0
    with pytest.raises(RuntimeError, match=f"{name} was changed in place"):
        y.backward()


def test_a_changed_member_of_a_list_is_named_by_its_place():
    members = [leaf(1.0, 2.0), leaf(3.0), leaf(4.0, 5.0, 6.0)]
    y = tg.cat(members).sum()
    members[2].detach()[0] = 0.0
    with pytest.raises(RuntimeError, match=r"_cat: argument 2 of shape \(3,\) was changed"):
        y.backward()


def test_a_change_of_a_copy_is_no_fault():
    p = parameter()
    y = (p * p).sum()
    p.detach().clone()[0] = 5.0
    p.detach()[[0, 1]][0] = 5.0
    y.backward()
    assert_values(p.grad, [2.0, 4.0, 6.0])


def test_a_change_before_recording_is_no_fault():
    p = parameter()
    with tg.no_grad():
        p[0] = 5.0
    (p * p).sum().backward()
    assert_values(p.grad, [10.0, 4.0, 6.0])


def test_running_moments_changed_before_backward_are_noticed():
    norm = nn.BatchNorm1d(1)
    y = norm.eval()(leaf(1.0, 2.0, 3.0).reshape(3, 1)).sum()
    norm.train()(tg.tensor([[10.0], [30.0]]))
    with pytest.raises(RuntimeError, match="was changed in place after it was used"):
        y.backward()


# dtype

CONSTANTS = {
    "np.float64": np.float64(2),
    "np.float64 array": np.array([2.0, 3.0]),
    "np.int64": np.int64(2),
    "int array": np.array([2, 3]),
    "bool array": np.array([True, True]),
    "float": 2.0,
    "int": 2,
    "bool": True,
    "0-d float64": np.array(2.0),
    "int tensor": tg.tensor([2, 3]),
    "np.float32": np.float32(2),
}
OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    tg.maximum,
    tg.minimum,
    lambda x, y: tg.where(np.array([True, False]), x, y),
]


@pytest.mark.parametrize("constant", CONSTANTS.values(), ids=CONSTANTS)
@pytest.mark.parametrize("f", OPERATORS, ids="add sub mul div pow maximum minimum where".split())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_constant_promotes_or_demotes(f, constant, dtype):
    for swap in (False, True):
        x = tg.tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
        y = f(constant, x) if swap else f(x, constant)
        assert y.dtype == dtype
        y.sum().backward()
        assert x.grad.dtype == dtype


@pytest.mark.parametrize(
    "constant",
    [v for k, v in CONSTANTS.items() if k != "bool array"],
    ids=[k for k in CONSTANTS if k != "bool array"],
)
def test_a_second_order_gradient_is_not_promoted(constant):
    x = leaf(1.0, 2.0)
    for y in (x**constant, constant**x, constant / x, x / constant):
        (d,) = tg.grad(y.sum(), x, create_graph=True)
        assert d.dtype == np.float32
        (d,) = tg.grad((d * x).sum(), x)
        assert d.dtype == np.float32


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.clip(np.float64(0.5), 1.5),
        lambda x: x.clip(0.5, np.float64(1.5)),
        lambda x: x.clip(max=np.float64(1.5)),
        lambda x: tg.leaky_relu(x, np.float64(0.2)),
        lambda x: ops.shapes.pad(x, ((1, 1),), np.float64(2.0)),
        lambda x: x.norm(np.float64(3)),
    ],
    ids=["clip min", "clip max", "clip max=", "leaky_relu", "pad", "norm"],
)
def test_a_float64_option_does_not_promote(f):
    x = leaf(1.0, 2.0)
    y = f(x)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float32


def test_float32_and_float64_tensors_do_not_mix():
    with pytest.raises(TypeError, match=r"add: .*float32 and float64.*\.float\(\) or \.double\(\)"):
        tg.ones(2) + tg.ones(2, dtype="float64")


def test_cat_of_two_dtypes_does_not_mix_either():
    with pytest.raises(TypeError, match="float64"):
        tg.cat([tg.ones(2), tg.ones(2, dtype="float64")])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_integer_and_truth_tensors_adopt_the_floating_dtype(dtype):
    x = tg.ones(2, dtype=dtype)
    for other in (tg.tensor([1, 2]), x > 0):
        assert (other * x).dtype == dtype
        assert (x * other).dtype == dtype


def test_quotient_of_integers_is_float32():
    assert_values(tg.tensor([1, 2]) / tg.tensor([2, 2]), [0.5, 1.0])


def test_a_function_of_integers_is_float32():
    assert_values(tg.tensor([0, 1]).exp(), np.exp([0.0, 1.0]))


def test_integer_arithmetic_stays_integer():
    assert (tg.tensor([1, 2]) * 3).dtype == np.int64
    assert tg.tensor([1, 2]).sum().dtype == np.int64


@pytest.mark.parametrize("data", [[1, 2], [True, False], [1.0, 2.0]])
def test_double_and_float_convert_everything(data):
    assert tg.tensor(data).double().dtype == np.float64
    assert tg.tensor(data).double().float().dtype == np.float32
    assert tg.tensor(data).to("float64").dtype == np.float64


def test_gradients_flow_back_through_a_conversion_in_the_leafs_dtype():
    x = leaf(1.0, 2.0)
    (x.double() ** 2).sum().backward()
    assert_values(x.grad, [2.0, 4.0])


@pytest.mark.parametrize(
    "data, dtype",
    [
        ([1.0, 2.0], "float32"),
        (1.5, "float32"),
        ([1, 2], "int64"),
        (True, "bool"),
        ([], "float32"),
        (np.ones(2), "float64"),
        (np.ones(2, "float32"), "float32"),
    ],
)
def test_tensor_chooses_the_dtype(data, dtype):
    assert tg.tensor(data).dtype == dtype


def test_tensor_copies():
    a = np.ones(2, "float32")
    t = tg.tensor(a)
    a[0] = 5
    assert_values(t, [1.0, 1.0])


def test_tensor_refuses_words():
    with pytest.raises(TypeError, match="numbers"):
        tg.tensor(["a"])


# NumPy's protocols


@pytest.mark.parametrize(
    "f", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
)
@pytest.mark.parametrize(
    "other", [np.array([1.0, 2.0]), np.float64(2), np.float32(2), np.array(2.0)]
)
def test_arithmetic_of_an_array_with_a_tensor_is_ours(f, other):
    x = leaf(1.0, 2.0)
    y = f(other, x)
    assert isinstance(y, tg.Tensor) and y.requires_grad
    np.testing.assert_allclose(y.data, f(other, x.data), rtol=1e-6)


def test_matrix_product_of_an_array_with_a_tensor_is_ours():
    x = leaf(1.0, 2.0)
    y = np.array([[1.0, 2.0], [3.0, 4.0]]) @ x
    assert_values(y, [5.0, 11.0])
    y.sum().backward()
    assert_values(x.grad, [4.0, 6.0])


def test_comparison_of_an_array_with_a_tensor_is_ours():
    assert isinstance(np.array([1.0, 2.0]) < leaf(2.0, 2.0), tg.Tensor)


@pytest.mark.parametrize(
    "f", [np.exp, lambda t: np.add(t, 1), lambda t: np.add(np.ones(2), t), np.negative]
)
def test_numpy_functions_refuse_a_tensor(f):
    with pytest.raises(TypeError):
        f(tg.tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    "f", [np.asarray, np.array, lambda t: t.numpy(), lambda t: np.asarray(t, np.float64)]
)
def test_conversion_to_an_array_says_detach(f):
    for t in (leaf(1.0, 2.0), leaf(1.0) * 2):
        with pytest.raises(RuntimeError, match=r"detach\(\)"):
            f(t)


def test_a_detached_tensor_converts_to_an_array():
    t = leaf(1.0, 2.0).detach()
    np.testing.assert_array_equal(np.asarray(t), [1.0, 2.0])
    assert np.asarray(t, np.float64).dtype == np.float64
    assert t.numpy() is t.data


# Python's protocols


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: tg.tensor(3.0), "tensor(3.)"),
        (lambda: tg.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: tg.tensor([1 / 3, 2.0]), "tensor([0.3333, 2.    ])"),
        (lambda: tg.tensor([True]), "tensor([ True])"),
        (lambda: tg.zeros(0), "tensor([])"),
        (lambda: tg.zeros(2, 2), "tensor([[0., 0.],\n        [0., 0.]])"),
        (lambda: tg.tensor(np.ones(2)), "tensor([1., 1.], dtype=float64)"),
        (lambda: leaf(1.0, 2.5), "tensor([1. , 2.5], requires_grad=True)"),
        (lambda: leaf(1.0, 2.5) * 2, "tensor([2., 5.], grad_fn=<mul>)"),
    ],
)
def test_repr(make, expected):
    assert repr(make()) == expected


def test_bool_of_one_number():
    assert bool(tg.tensor(1.0)) and not bool(tg.tensor([0.0]))


def test_bool_of_several_numbers_is_an_error():
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tg.tensor([1.0, 2.0]))


@pytest.mark.parametrize("data", [2.0, [2.0], [[2.0]]])
def test_float_and_int_of_one_number(data):
    t = tg.tensor(data, requires_grad=True)
    assert float(t) == 2.0 and type(float(t)) is float
    assert int(t) == 2 and type(int(t)) is int
    assert t.item() == 2.0 and type(t.item()) is float


@pytest.mark.parametrize("convert", [float, int, lambda t: t.item()])
def test_conversion_of_several_numbers_is_an_error(convert):
    with pytest.raises((TypeError, ValueError)):
        convert(tg.tensor([1.0, 2.0]))


def test_an_integer_tensor_is_an_index():
    assert ["a", "b", "c"][tg.tensor(2)] == "c"
    assert list(range(tg.tensor(3))) == [0, 1, 2]


def test_a_floating_tensor_is_no_index():
    with pytest.raises(TypeError):
        ["a", "b", "c"][tg.tensor(1.7)]


def test_len_and_iteration():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    first, second = x
    assert first.shape == (2,)
    second.sum().backward()
    assert_values(x.grad, [[0.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize("f", [len, list])
def test_a_0d_tensor_has_no_length(f):
    with pytest.raises(TypeError, match="unsized"):
        f(tg.tensor(1.0))


def test_tensors_can_be_members_of_sets_and_dicts():
    x, y = tg.tensor([1.0]), tg.tensor([1.0])
    assert len({x, y, x}) == 2


def test_size_dim_and_numel():
    x = tg.zeros(2, 0, 3)
    assert x.size() == (2, 0, 3) and x.size(-1) == 3 and x.dim() == x.ndim == 3 and x.numel() == 0


@pytest.mark.parametrize("name", "lt le gt ge eq ne".split())
def test_comparisons_give_truth_tensors(name):
    f = getattr(operator, name)
    x, y = leaf(1.0, 2.0, 3.0), tg.tensor([2.0, 2.0, 2.0])
    for other in (y, y.data, 2.0, np.float64(2)):
        result = f(x, other)
        assert (
            isinstance(result, tg.Tensor) and result.dtype == np.bool_ and not result.requires_grad
        )
        np.testing.assert_array_equal(result.data, f(x.data, 2.0))


def test_comparison_of_0d_tensors_gives_a_0d_tensor():
    result = tg.tensor(1.0) < tg.tensor(2.0)
    assert isinstance(result, tg.Tensor) and result.shape == () and bool(result)


# Item assignment


def test_item_assignment_takes_tensors_numbers_and_indices():
    x = tg.zeros(2, 3)
    x[0] = tg.tensor([1.0, 2.0, 3.0])
    x[1, tg.tensor([0, 2])] = 7.0
    x[x == 0] = -1.0
    assert_values(x, [[1.0, 2.0, 3.0], [7.0, -1.0, 7.0]])


def test_item_assignment_of_float64_stays_float32():
    x = tg.zeros(2)
    x[0] = np.float64(0.1)
    assert_values(x, [0.1, 0.0])


def test_item_assignment_to_a_parameter_needs_no_grad():
    p = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"a parameter in place.*no_grad\(\)"):
        p[0] = 5.0
    assert_values(p, [1.0, 2.0])
    with tg.no_grad():
        p[0] = 5.0
    assert_values(p, [5.0, 2.0])


@pytest.mark.parametrize("context", [tg.enable_grad, tg.no_grad])
def test_item_assignment_to_a_computed_tensor_says_clone(context):
    y = leaf(1.0, 2.0) * 2
    with (
        context(),
        pytest.raises(RuntimeError, match=r"a computed tensor in place.*\.detach\(\)\.clone\(\)"),
    ):
        y[0] = 5.0


def test_in_place_operators_on_a_parameter_need_no_grad():
    w = leaf(1.0, 2.0)
    same, y = w, (w * w).sum()
    with pytest.raises(RuntimeError, match="would change a parameter in place; do it under no_gr"):
        w += 1
    with tg.no_grad():
        w -= 0.5 * tg.tensor([2.0, 2.0])
        w *= 3
        w /= 2
        w **= 2
    assert w is same and w.is_leaf and w.requires_grad
    assert_values(w, [0.0, 2.25])
    with pytest.raises(RuntimeError, match="mul: x of shape .* was changed in place"):
        y.backward()


def test_in_place_operators_on_constants_change_what_shares_their_memory():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    row, y = x[0], (x * leaf(1.0, 1.0)).sum()
    row *= 10
    assert_values(x, [[10.0, 20.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError, match="was changed in place"):
        y.backward()
    with pytest.raises(ValueError, match="broadcast"):
        row += x


def test_in_place_operators_do_not_make_a_constant_part_of_a_graph():
    """Of what is an element of a list, a new tensor by its name in the loop would be lost."""
    x, averages = leaf(1.0, 2.0), [tg.zeros(2), tg.ones(2)]
    for average in averages:
        with pytest.raises(RuntimeError, match="make a constant part of a graph: write x = x"):
            average += 0.5 * x
        with tg.no_grad():
            average += 0.5 * x
    assert_values(averages[0], [0.5, 1.0])
    assert_values(averages[1], [1.5, 2.0])
    total = 0
    total += x.sum()                              # a Python number is no tensor
    assert total.requires_grad


def test_in_place_operators_name_a_new_tensor_where_a_graph_or_a_dtype_asks_for_one():
    x = leaf(1.0, 2.0)
    y = before = 2 * x
    y += 1
    assert_values(before, [2.0, 4.0])
    y.sum().backward()
    assert_values(x.grad, [2.0, 2.0])
    count = whole = tg.tensor([1, 2])
    count += 0.5
    assert_values(count, [1.5, 2.5])
    assert whole.data.tolist() == [1, 2]


def test_in_place_operators_refuse_to_take_its_graph_from_a_computed_tensor():
    y = leaf(1.0, 2.0) * 2
    with tg.no_grad(), pytest.raises(RuntimeError, match="change a computed tensor in place"):
        y += 1


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_conversion_gives_its_gradient_in_the_dtype_that_it_came_from(create_graph):
    x = tg.tensor([1.0, 3.0], dtype=tg.float64, requires_grad=True)
    g, = tg.grad((x.float() ** 3).sum(), x, create_graph=create_graph)
    assert (g.dtype, g.tolist()) == (tg.float64, [3, 27])
    if create_graph:
        second, = tg.grad(g.sum(), x)
        assert (second.dtype, second.tolist()) == (tg.float64, [6, 18])


def test_a_comparison_with_a_number_of_numpy_is_one_with_a_python_number():
    x = tg.tensor([0.1, 2.0])
    assert (x == np.float64(0.1)).tolist() == (x == 0.1).tolist() == [True, False]
    assert (x > np.float64(0.1)).tolist() == [False, True]


def test_numbers_are_formatted():
    assert f"{tg.tensor(0.12345):.2f}, {leaf(1.0).sum():5.1f}" == "0.12,   1.0"
    assert f"{tg.ones(2)}" == "tensor([1., 1.])"
    with pytest.raises(ValueError, match="size 1"):
        f"{tg.ones(2):.2f}"


def test_grad_says_which_mistake_it_is_when_an_input_requires_no_gradient():
    x = tg.ones(2)
    with pytest.raises(RuntimeError, match=r"requires no gradient; call requires_grad_\(\) on it"):
        tg.grad((leaf(1.0, 2.0) * x).sum(), x, allow_unused=True)


# Creation


def test_creation_functions():
    assert_values(tg.zeros(2, 1), [[0.0], [0.0]])
    assert_values(tg.ones((2,)), [1.0, 1.0])
    assert_values(tg.full((2,), 3), [3.0, 3.0])
    assert_values(tg.linspace(0, 1, 3), [0.0, 0.5, 1.0])
    assert_values(tg.eye(2, 3), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert_values(tg.arange(0, 1, 0.25), [0.0, 0.25, 0.5, 0.75])
    assert tg.arange(3).dtype == np.int64 and tg.arange(3).data.tolist() == [0, 1, 2]
    assert tg.arange(1, 3).data.tolist() == [1, 2]
    x = tg.randn(2)
    assert_values(tg.zeros_like(x), [0.0, 0.0])
    assert_values(tg.ones_like(x), [1.0, 1.0])
    assert_values(tg.full_like(x, 2.5), [2.5, 2.5])


@pytest.mark.parametrize(
    "f", [tg.zeros_like, tg.ones_like, tg.randn_like, tg.rand_like, lambda x: tg.full_like(x, 2.0)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_like_functions_keep_shape_and_dtype_and_want_no_gradient(f, dtype):
    x = tg.zeros(2, 3, dtype=dtype, requires_grad=True)
    y = f(x)
    assert y.shape == (2, 3) and y.dtype == dtype and not y.requires_grad


CREATE = [tg.zeros, tg.ones, tg.randn, tg.rand]
CREATE += [lambda n, **o: tg.full((n,), 1, **o), lambda n, **o: tg.arange(0.0, n, **o)]
CREATE += [lambda n, **o: tg.linspace(0, 1, n, **o), lambda n, **o: tg.eye(n, **o)[0]]


@pytest.mark.parametrize("f", CREATE)
def test_new_tensors_are_float32_constants_unless_told_otherwise(f):
    assert f(3).dtype == np.float32 and not f(3).requires_grad
    assert f(3, dtype="float64").dtype == np.float64
    assert f(3, requires_grad=True).requires_grad


def test_random_integers():
    tg.manual_seed(0)
    x = tg.randint(2, 5, (40, 30))
    assert x.shape == (40, 30) and x.dtype == np.int64
    counts = np.bincount(x.data.ravel())
    assert counts[:2].sum() == 0 and len(counts) == 5 and counts[2:].min() > 330
    assert set(tg.randint(2, (50,)).data) == {0, 1}
    assert tg.randint(3, (2,), dtype="float32").dtype == np.float32
    order = tg.randperm(30).data
    assert order.dtype == np.int64 and sorted(order) == list(range(30)) != list(order)


def test_the_seed_decides_the_numbers():
    tg.manual_seed(3)
    first = tg.randn(5).data
    second = tg.randn(5).data
    integers, order = tg.randint(1000, (9,)).data, tg.randperm(9).data
    tg.manual_seed(3)
    np.testing.assert_array_equal(tg.randn(5).data, first)
    assert (first != second).all()
    tg.manual_seed(4)
    assert (first != tg.randn(5).data).all()
    tg.manual_seed(3)
    tg.randn(10)
    np.testing.assert_array_equal(tg.randint(1000, (9,)).data, integers)
    np.testing.assert_array_equal(tg.randperm(9).data, order)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_a_seed_is_a_non_negative_integer(seed):
    with pytest.raises(tg.InputError, match="integer of 0 or more"):
        tg.manual_seed(seed)


def test_random_moments_within_four_standard_errors():
    n = 40_000
    normal, uniform = tg.randn(n).data.astype("f8"), tg.rand(n).data.astype("f8")
    assert abs(normal.mean()) < 4 / n**0.5
    assert abs(normal.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs(uniform.mean() - 0.5) < 4 * (1 / 12 / n) ** 0.5
    assert uniform.min() >= 0 and uniform.max() < 1


def test_an_index_that_changes_before_backward_stays_what_it_was():
    x, index = tg.tensor([1.0, 2.0, 3.0], requires_grad=True), tg.tensor([0, 1])
    y = (x[index] * tg.tensor([1.0, 10.0])).sum()
    index[0] = 2
    y.backward()
    assert x.grad.numpy().tolist() == [1.0, 10.0, 0.0]


# What changes between forward and backward

def backward_after(change, result, *leaves):
    """The gradients, if `change` is made before backward."""
    change()
    result.backward()
    return [leaf.grad.numpy().tolist() for leaf in leaves]


def test_indices_that_change_before_backward_stay_what_they_were():
    x, i, j = tg.tensor([1.0, 2.0, 3.0], requires_grad=True), tg.tensor(0), tg.tensor(1)

    def move():
        i[...], j[...] = 2, 3

    assert backward_after(move, x[i:j].sum(), x) == [[1.0, 0.0, 0.0]]
    x = tg.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    values, places = x.max(1)
    assert backward_after(lambda: places.__setitem__(..., 0), values.sum(), x) == [[[0, 0, 1]]]
    x, at = tg.ones(2, 2, requires_grad=True), tg.tensor([[0], [0]])
    picked = tg.gather(x, 1, at)
    assert backward_after(lambda: at.__setitem__(..., 1), picked.sum(), x) == [[[1, 0], [1, 0]]]


def test_with_create_graph_a_constant_that_changes_is_noticed():
    c, w = tg.tensor([2.0]), tg.tensor([3.0], requires_grad=True)
    x = tg.tensor([1.0], requires_grad=True)
    slope, = tg.grad((x * c) * w, x, create_graph=True)
    slope.sum().backward(retain_graph=True)
    assert w.grad.item() == 2.0
    c[...] = 100.0
    with pytest.raises(RuntimeError, match="changed in place"):
        slope.sum().backward()


def test_a_parameter_shares_the_version_of_the_tensor_that_it_was_made_of():
    w = tg.tensor([1.0, 2.0])
    for made in nn.Parameter(w), nn.Buffer(w).detach().requires_grad_():
        y = (made * made).sum()
        w[...] = 10.0
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()


def test_a_conversion_that_converts_nothing_changes_nothing():
    net = nn.Linear(2, 1)
    y = net(tg.ones(1, 2)).sum()
    net.float().to("cpu")
    y.backward()
    assert net.weight.grad.numpy().tolist() == [[1.0, 1.0]]


def test_an_unpickled_model_can_be_trained_whatever_the_clock_says(tmp_path):
    net = nn.Linear(2, 1)
    net.weight.version[0] = 10 ** 9          # saved by a process that had done more
    copied = pickle.loads(pickle.dumps(net))
    y = copied(tg.ones(1, 2)).sum()
    y.backward(retain_graph=True)
    assert copied.weight.grad.numpy().tolist() == [[1.0, 1.0]]
    with tg.no_grad():
        copied.weight[...] = 0.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    assert copy.deepcopy(copied.weight).requires_grad


def test_a_computed_tensor_cannot_be_copied():
    y = tg.ones(2, requires_grad=True) * 2
    for attempt in pickle.dumps, copy.deepcopy:
        with pytest.raises(RuntimeError, match="detach"):
            attempt(y)
    assert copy.deepcopy(y.detach()).numpy().tolist() == [2.0, 2.0]


def test_each_thread_has_a_no_grad_of_its_own():
    inside, leave = threading.Event(), threading.Event()

    def evaluate():
        with tg.no_grad():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=evaluate)
    thread.start()
    inside.wait()
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    leave.set()
    thread.join()
    y.backward()
    assert is_grad_enabled() and w.grad.numpy().tolist() == [2.0, 4.0]


# What has no gradient, or whose gradient is the caller's

def test_item_assignment_of_what_has_a_graph_is_refused():
    w, out = tg.tensor([1.0, 2.0], requires_grad=True), tg.zeros(2)
    with pytest.raises(RuntimeError, match="cut the value off from its graph"):
        out[0] = w[0] * w[0]
    out[0] = (w[0] * w[0]).detach()
    with tg.no_grad():
        out[1] = w[1]
    assert out.numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_a_conversion_to_integers_cuts_the_graph(dtype):
    x = tg.tensor([1.7, 0.0], requires_grad=True)
    assert not x.to(dtype).requires_grad
    (x.to(dtype) * x).sum().backward()
    assert x.grad.numpy().tolist() == [1.0, 0.0]


def test_the_gradient_of_a_computed_tensor_is_memory_of_its_own():
    x = tg.ones(2, requires_grad=True)
    h, v = x * 2, tg.ones(2)
    for output, g in ((h.sum(), None), (h + 1, v)):
        found, = tg.grad(output, h, g, retain_graph=True)
        found[...] = 0.0
    assert v.numpy().tolist() == [1.0, 1.0]


def test_a_copied_tensor_keeps_what_its_subclass_added():
    class Named(nn.Parameter):
        pass

    p = Named(tg.ones(2))
    p.name = "weight"
    assert copy.deepcopy(p).name == "weight"


@pytest.mark.parametrize("data, name", [([1.0, 2.0], "list"), (3.0, "float"),
                                        (tg.ones(2), "Tensor")], ids=["list", "float", "Tensor"])
def test_a_tensor_is_made_of_an_array_and_tensor_takes_the_rest(data, name):
    with pytest.raises(TypeError, match=f"expected an array, got {name}; tensor\\(\\) takes"):
        tg.Tensor(data)
    np.testing.assert_array_equal(tg.tensor(data).data, np.asarray(data))


@pytest.mark.parametrize("start", [lambda y: (y, tg.ones(3)), lambda y: (y.sum(), None)])
def test_gradients_with_a_graph_share_no_memory(start):
    a, b = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)
    y, g = start(a + b)
    y.backward(g, create_graph=True)
    with tg.no_grad():
        for p in (a, b):
            p.grad *= 0.5
    assert_values(a.grad, [0.5, 0.5, 0.5])
    assert_values(b.grad, [0.5, 0.5, 0.5])
    assert g is None or g.data.tolist() == [1.0, 1.0, 1.0]
