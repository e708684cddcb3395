"""Optimisers, schedules and clipping, against the papers' formulas for single numbers."""

import copy
import math
import pickle

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn, optim
from tinygen.optim import lr_scheduler, optimizers


def parameter(values, dtype="float64"):
    return nn.Parameter(tg.tensor(np.array(values, dtype)))


def set_gradients(parameters, seed):
    random = np.random.default_rng(seed)
    for p in parameters:
        p.grad = tg.tensor(random.standard_normal(p.shape).astype(p.dtype))


# The formulas, one number at a time. Each takes the gradients of all steps and gives x after them.


def sgd(x, gradients, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    b = None
    for g in gradients:
        g = g + weight_decay * x
        b = g if b is None else momentum * b + (1 - dampening) * g
        x = x - lr * ((g + momentum * b if nesterov else b) if momentum else g)
    return x


def adagrad(x, gradients, lr, lr_decay=0.0, weight_decay=0.0, eps=1e-10):
    total = 0.0
    for t, g in enumerate(gradients):
        g = g + weight_decay * x
        total += g * g
        x = x - lr / (1 + t * lr_decay) * g / (math.sqrt(total) + eps)
    return x


def rmsprop(x, gradients, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    square = average = b = 0.0
    for g in gradients:
        g = g + weight_decay * x
        square = alpha * square + (1 - alpha) * g * g
        average = alpha * average + (1 - alpha) * g
        change = g / (math.sqrt(square - average**2 * centered) + eps)
        b = momentum * b + change
        x = x - lr * b
    return x


def adam(x, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            x = x - lr * weight_decay * x
        else:
            g = g + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        x = x - lr * (m / (1 - betas[0] ** t)) / (math.sqrt(v / (1 - betas[1] ** t)) + eps)
    return x


def adamw(x, gradients, lr, weight_decay=1e-2, **options):
    return adam(x, gradients, lr, weight_decay=weight_decay, decoupled=True, **options)


CASES = [
    (optim.SGD, sgd, {}),
    (optim.SGD, sgd, {"momentum": 0.9}),
    (optim.SGD, sgd, {"weight_decay": 0.1}),
    (optim.SGD, sgd, {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    (optim.SGD, sgd, {"momentum": 0.9, "nesterov": True}),
    (optim.Adagrad, adagrad, {}),
    (optim.Adagrad, adagrad, {"lr_decay": 0.5, "weight_decay": 0.1, "eps": 0.1}),
    (optim.RMSprop, rmsprop, {}),
    (optim.RMSprop, rmsprop, {"alpha": 0.8, "momentum": 0.9, "weight_decay": 0.1, "eps": 0.1}),
    (optim.RMSprop, rmsprop, {"centered": True}),
    (optim.RMSprop, rmsprop, {"centered": True, "momentum": 0.5}),
    (optim.Adam, adam, {}),
    (optim.Adam, adam, {"betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.1}),
    (optim.Adam, adam, {"betas": (0.0, 0.0)}),
    (optim.AdamW, adamw, {}),
    (optim.AdamW, adamw, {"weight_decay": 0.5, "betas": (0.5, 0.9), "eps": 0.1}),
]
NAMES = [f"{kind.__name__}-{'-'.join(options)}" for kind, _, options in CASES]
KINDS = [
    (optim.SGD, {"momentum": 0.9}),
    (optim.Adagrad, {}),
    (optim.RMSprop, {"centered": True, "momentum": 0.5}),
    (optim.Adam, {}),
    (optim.AdamW, {}),
]


def case_ids(case):
    return getattr(case, "__name__", "")


@pytest.mark.parametrize("kind, formula, options", CASES, ids=NAMES)
def test_ten_steps_follow_the_formula(kind, formula, options):
    start = [[1.0, -2.0], [0.5, 3.0]]
    ps = [parameter(start), parameter(0.25)]
    optimizer = kind(ps, lr=0.1, **options)
    taken = []
    for step in range(10):
        set_gradients(ps, step)
        taken.append([p.grad.data.copy() for p in ps])
        optimizer.step()
    for i, begin in enumerate([np.array(start), np.array(0.25)]):
        for place in np.ndindex(*begin.shape):
            expected = formula(begin[place], [float(g[i][place]) for g in taken], 0.1, **options)
            assert ps[i].data[place] == pytest.approx(expected, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("kind, formula, options", CASES, ids=NAMES)
@pytest.mark.parametrize("dtype, rel", [("float32", 1e-4), ("float64", 1e-10)])
def test_small_parameters_together_and_large_ones_alone_follow_the_formula(
    kind, formula, options, dtype, rel
):
    small = optimizers.SMALL
    ps = [parameter(np.linspace(1, 2, n), dtype) for n in (small, 3, small + 1, 1)]
    starts = [p.data.copy() for p in ps]
    optimizer = kind(ps, lr=0.01, **options)
    taken = []
    for step in range(10):
        set_gradients(ps, step)
        taken.append([p.grad.data for p in ps])
        optimizer.step()
    for i, p in enumerate(ps):
        for place in {0, p.data.size // 2, p.data.size - 1}:
            gradients = [float(g[i][place]) for g in taken]
            expected = formula(float(starts[i][place]), gradients, 0.01, **options)
            assert p.data[place] == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_small_parameters_of_two_dtypes_and_step_counts_move_as_they_would_alone(kind, options):
    def run(together):
        ps = [parameter([1.0, 2.0], "float32"), parameter([[3.0]], "float64"),
              parameter([4.0, 5.0, 6.0], "float32")]
        optimizers = [kind(group, lr=0.1, **options)
                      for group in ([ps] if together else [[p] for p in ps])]
        for step in range(6):
            set_gradients(ps, step)
            if step % 2:
                ps[2].grad = None          # so the third takes fewer steps
            for optimizer in optimizers:
                optimizer.step()
        return [p.data for p in ps]

    for one, other in zip(run(True), run(False)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def loaded(ps, optimizer):
    optimizer.load_state_dict(optimizer.state_dict())
    return ps, optimizer


def one_pauses(ps, optimizer):
    set_gradients(ps, 7)
    ps[1].grad = None
    optimizer.step()
    return ps, optimizer


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
@pytest.mark.parametrize("change", [
    lambda *both: copy.deepcopy(both), lambda *both: pickle.loads(pickle.dumps(both)), loaded,
    one_pauses], ids=["copied", "pickled", "loaded", "one pauses"])
def test_small_parameters_go_on_as_each_would_alone(kind, options, change, monkeypatch):
    def run():
        ps = [parameter([1.0, 2.0]), parameter([9.0]),
              parameter(np.asfortranarray([[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]))]
        optimizer = kind(ps, lr=0.1, **options)
        for step in range(6):
            set_gradients(ps, step)
            optimizer.step()
            if step in (2, 3):
                ps, optimizer = change(ps, optimizer)
        return [a.copy() for a in [p.data for p in ps] + kept(optimizer)], optimizer

    def kept(optimizer):
        return [state[name] for state in optimizer.state for name in optimizer.names]

    together, optimizer = run()
    before = kept(optimizer)
    if change is not one_pauses:
        optimizer.step()
        assert all(a is b for a, b in zip(before, kept(optimizer))), "made anew in every step"
    monkeypatch.setattr(optimizers, "SMALL", 0)
    for one, other in zip(together, run()[0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda g: np.repeat(g, 2, 1)[:, ::2],
        lambda g: g[::-1, ::-1],
        lambda g: np.broadcast_to(g[:1], g.shape),
    ],
)
def test_the_memory_order_of_a_gradient_does_not_matter(kind, options, layout):
    values = np.random.default_rng(1).standard_normal((300, 200))
    plain, other = parameter(values), parameter(values)
    optimizers = [kind([p], lr=0.1, **options) for p in (plain, other)]
    for step in range(3):
        g = layout(np.random.default_rng(step).standard_normal((300, 200)))
        plain.grad, other.grad = tg.Tensor(np.ascontiguousarray(g)), tg.Tensor(g)
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_allclose(other.data, plain.data, rtol=1e-12)


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
@pytest.mark.parametrize(
    "shape, memory",
    [((5000,), (0,)), ((7, 701), (0, 1)), ((7, 701), (1, 0)), ((1, 5000), (0, 1)),
     ((16, 32, 3, 3), (2, 3, 1, 0))],
)
def test_a_large_parameter_moves_in_pieces_as_it_would_whole(
    kind, options, shape, memory, monkeypatch
):
    monkeypatch.setattr(optimizers, "SMALL", 4096)
    numbers = np.random.default_rng(0).standard_normal([shape[i] for i in memory])
    seen = []

    class Watched(kind):
        def move(self, step, x, *arrays):
            seen.append(x)
            super().move(step, x, *arrays)

    def run(piece):
        monkeypatch.setattr(optimizers, "PIECE", piece)
        p = nn.Parameter(tg.Tensor(numbers.copy().transpose(np.argsort(memory))))
        assert p.shape == shape
        optimizer = Watched([p], lr=0.1, weight_decay=0.1, **options)
        seen.clear()
        for step in range(3):
            set_gradients([p], step)
            optimizer.step()
        assert all(np.shares_memory(x, p.data) for x in seen)
        assert sum(x.size for x in seen) == 3 * p.data.size
        return len(seen), p.data

    (calls, pieces), (whole_calls, whole) = run(1000), run(2 ** 30)
    assert whole_calls == 3 and (calls > 3 or shape[0] == 1)
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_the_gradient_itself_is_not_changed(kind, options):
    p = parameter([1.0, 2.0])
    set_gradients([p], 0)
    before = p.grad.data.copy()
    optimizer = kind([p], lr=0.1, weight_decay=0.1, **options)
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(p.grad.data, before)


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_the_parameter_keeps_its_memory(kind, options):
    p = parameter([1.0, 2.0])
    array = p.data
    set_gradients([p], 0)
    kind([p], lr=0.1, **options).step()
    assert p.data is array


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_each_optimiser_minimises_a_quadratic(kind, options):
    target = tg.tensor([3.0, -1.0])
    p = parameter([0.0, 0.0], "float32")
    optimizer = kind([p], lr=0.5 if kind is optim.Adagrad else 0.02, **options)
    for step in range(500):
        optimizer.zero_grad()
        loss = ((p - target) ** 2 * tg.tensor([1.0, 4.0])).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


# Parameters without gradients, shared parameters, changes from outside


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_a_parameter_without_gradient_and_its_state_are_left_alone(kind, options):
    used, unused = parameter([1.0]), parameter([1.0])
    optimizer = kind([used, unused], lr=0.1, weight_decay=0.1, **options)
    set_gradients([used, unused], 0)
    optimizer.step()
    value = unused.data.copy()
    state = {name: np.copy(entry) for name, entry in optimizer.state[1].items()}
    version = unused.version[0]
    unused.grad = None
    optimizer.step()
    assert used.data != value
    np.testing.assert_array_equal(unused.data, value)
    assert unused.version[0] == version
    assert optimizer.state[1] == state and optimizer.state[0]["step"] == 2


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_steps_are_counted_for_each_parameter(kind, options):
    early, late = parameter([1.0]), parameter([1.0])
    both = kind([early, late], lr=0.1, **options)
    for step in range(3):
        set_gradients([early], step)
        both.step()
    late_alone = parameter([1.0])
    alone = kind([late_alone], lr=0.1, **options)
    for step in range(3):
        set_gradients([late], step)
        set_gradients([late_alone], step)
        both.step()
        alone.step()
    np.testing.assert_array_equal(late.data, late_alone.data)


@pytest.mark.parametrize("kind, options", [
    (optim.SGD, {"momentum": 0.9}), (optim.Adam, {"betas": (0.9, 0.9)}),
    (optim.RMSprop, {"alpha": 0.9, "momentum": 0.9, "centered": True})],
    ids=lambda x: getattr(x, "__name__", ""))
def test_running_means_of_gradients_that_stay_zero_do_not_stay_subnormal(kind, options):
    params = [nn.Parameter(tg.ones(n)) for n in (3, optimizers.SMALL + 1)]
    optimizer = kind(params, **options)
    for step in range(1001):             # 0.9^1001 is 1e-46: rounding alone would stop at 1e-44
        for p in params:
            p.grad = tg.full(p.shape, float(step == 0))
        optimizer.step()
    for state in optimizer.state:
        for name in optimizer.names:
            assert not state[name].any(), name


@pytest.mark.parametrize("dtype, least", [("float32", 2.0 ** -126), ("float64", 2.0 ** -1022)])
def test_only_subnormal_numbers_are_forgotten(dtype, least):
    kept = np.array([0, -0.5, least, -least, 1e30, np.inf, -np.inf, np.nan], dtype)
    numbers = np.concatenate([kept, np.array([0.99, -0.5, 1e-5], dtype) * least])
    optimizers.forget_subnormal(numbers)
    np.testing.assert_array_equal(numbers, [*kept, 0, 0, 0])


def test_zero_grad_forgets_the_gradients():
    p = parameter([1.0])
    set_gradients([p], 0)
    optim.SGD([p]).zero_grad()
    assert p.grad is None


def test_two_optimisers_over_a_shared_parameter_keep_states_of_their_own():
    shared, own = parameter([1.0]), parameter([1.0])
    first, second = optim.Adam([shared], lr=0.1), optim.SGD([own, shared], lr=0.1, momentum=0.9)
    m = v = b = 0.0
    x = 1.0
    for t in range(1, 6):
        set_gradients([shared, own], t)
        g = shared.grad.item()
        first.step()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        second.step()
        b = 0.9 * b + g
        x -= 0.1 * b
        assert shared.item() == pytest.approx(x, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_load_state_dict_after_construction_moves_the_weights_that_are_optimised(kind, options):
    net, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = kind(net.parameters(), lr=0.1, **options)
    net.load_state_dict(other.state_dict())
    reference = kind(other.parameters(), lr=0.1, **options)
    for step in range(3):
        set_gradients(net.parameters(), step)
        set_gradients(other.parameters(), step)
        optimizer.step()
        reference.step()
    np.testing.assert_array_equal(net.weight.data, other.weight.data)


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
@pytest.mark.parametrize("steps_before", [0, 3])
def test_conversion_after_construction_goes_on_in_the_new_dtype(kind, options, steps_before):
    net, exact = nn.Linear(3, 2), nn.Linear(3, 2).double()
    exact.load_state_dict(net.state_dict())
    optimizer, reference = [kind(m.parameters(), lr=0.1, **options) for m in (net, exact)]
    for step in range(steps_before + 5):
        if step == steps_before:
            net.double()
        set_gradients(exact.parameters(), step)
        for p, q in zip(net.parameters(), exact.parameters()):
            p.grad = q.grad.to(p.dtype)
        optimizer.step()
        reference.step()
    assert net.weight.dtype == np.float64
    rel = 1e-5 if steps_before else 1e-12
    np.testing.assert_allclose(net.weight.data, exact.weight.data, rtol=rel, atol=rel)
    assert all(
        value.dtype == np.float64
        for state in optimizer.state
        for value in state.values()
        if hasattr(value, "dtype")
    )


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_conversion_back_to_float32_goes_on_in_float32(kind, options):
    net = nn.Linear(3, 2).double()
    optimizer = kind(net.parameters(), lr=0.1, **options)
    set_gradients(net.parameters(), 0)
    optimizer.step()
    net.float()
    set_gradients(net.parameters(), 1)
    optimizer.step()
    assert net.weight.dtype == np.float32 and np.isfinite(net.weight.data).all()
    assert all(
        value.dtype == np.float32
        for state in optimizer.state
        for value in state.values()
        if hasattr(value, "dtype")
    )


# Saving


@pytest.mark.parametrize("kind, options", KINDS, ids=case_ids)
def test_a_loaded_state_continues_identically(kind, options):
    p = parameter(np.linspace(-1, 1, 7))
    skipped = parameter([1.0])
    optimizer = kind([skipped, p], lr=0.1, **options)
    for step in range(4):
        set_gradients([p], step)
        optimizer.step()
    optimizer.lr = 0.05
    saved = {
        "lr": optimizer.state_dict()["lr"],
        "state": {
            i: {name: np.copy(value) for name, value in state.items()}
            for i, state in optimizer.state_dict()["state"].items()
        },
    }
    q = parameter(p.data)
    resumed = kind([parameter([1.0]), q], lr=0.7, **options)
    resumed.load_state_dict(saved)
    for step in range(4, 8):
        set_gradients([p], step)
        set_gradients([q], step)
        optimizer.step()
        resumed.step()
    np.testing.assert_array_equal(q.data, p.data)
    assert resumed.lr == 0.05


def test_a_loaded_state_lies_in_memory_as_its_parameter_does():
    weight = nn.Conv2d(3, 4, 2).weight
    first, second = [optim.Adam([weight]) for _ in range(2)]
    set_gradients([weight], 0)
    first.step()
    saved = first.state_dict()
    saved["state"]["0"]["exp_avg"] = np.ascontiguousarray(saved["state"]["0"]["exp_avg"])
    second.load_state_dict(saved)
    assert second.state[0]["exp_avg"].strides == weight.data.strides


def test_loading_copies_the_arrays():
    p, q = parameter([1.0]), parameter([1.0])
    first, second = optim.Adam([p]), optim.Adam([q])
    set_gradients([p, q], 0)
    first.step()
    second.load_state_dict(first.state_dict())
    second.step()
    assert first.state[0]["exp_avg"] != second.state[0]["exp_avg"]


def saved_adam():
    p = parameter([1.0, 2.0])
    optimizer = optim.Adam([p])
    set_gradients([p], 0)
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: optim.SGD([parameter([1.0, 2.0])], momentum=0.9),
            r"SGD does not fit a state with the settings \['betas', 'eps', 'weight_decay'\]",
        ),
        (
            lambda: optim.Adam([parameter([1.0])]),
            r"exp_avg of parameter 0 has shape \(2,\), but the parameter has \(1,\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_an_error(make, message):
    optimizer = make()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(saved_adam())
    assert optimizer.state == [{}]


def test_a_state_of_another_optimiser_without_settings():
    """As it was saved before settings were."""
    state = {name: part for name, part in saved_adam().items() if name != "settings"}
    with pytest.raises(ValueError, match="SGD over 1 parameters does not fit a state"):
        optim.SGD([parameter([1.0, 2.0])]).load_state_dict(state)
    optimizer = optim.Adam([parameter([1.0, 2.0])], betas=(0.5, 0.6))
    optimizer.load_state_dict(state)
    assert optimizer.betas == (0.5, 0.6)


@pytest.mark.parametrize("kind, formula, options", CASES, ids=NAMES)
def test_a_loaded_state_brings_its_settings(kind, formula, options, tmp_path):
    """As in PyTorch: the steps that follow are those that would have followed."""
    ps = [parameter([1.0, -2.0]) for _ in range(2)]
    first, second = kind([ps[0]], lr=0.3, **options), kind([ps[1]])
    set_gradients(ps[:1], 0)
    first.step()
    tg.save(first.state_dict(), tmp_path / "state.npz")
    second.load_state_dict(tg.load(tmp_path / "state.npz"))
    ps[1].data[...] = ps[0].data
    for step in range(1, 4):
        set_gradients(ps[:1], step)
        set_gradients(ps[1:], step)
        first.step()
        second.step()
    np.testing.assert_array_equal(ps[1].data, ps[0].data)
    assert second.state_dict()["settings"] == first.state_dict()["settings"] and second.lr == 0.3


@pytest.mark.parametrize("settings", [{"betas": [1.5, 0.9]}, {"eps": "small"}, {"eps": None}])
def test_settings_that_cannot_be_leave_the_optimiser_as_it_was(settings):
    optimizer = optim.Adam([parameter([1.0, 2.0])], lr=0.5)
    with pytest.raises((TypeError, ValueError)):
        optimizer.load_state_dict(saved_adam() | {"settings": settings})
    assert optimizer.betas == (0.9, 0.999) and optimizer.lr == 0.5 and optimizer.state == [{}]


def test_a_gradient_is_a_tensor():
    p = parameter([1.0, 2.0])
    p.grad = np.ones(2)
    with pytest.raises(TypeError, match="SGD: a gradient is a ndarray; make it a tensor"):
        optim.SGD([p]).step()


@pytest.mark.parametrize("i", ["1", "-1"])
def test_a_state_of_a_parameter_that_is_not_there_is_an_error(i):
    state = {"lr": 0.1, "state": {i: saved_adam()["state"]["0"]}}
    with pytest.raises(ValueError, match=f"1 parameters does not fit a state for parameter {i}"):
        optim.Adam([parameter([1.0, 2.0])]).load_state_dict(state)


def test_a_state_of_complex_numbers_is_an_error():
    state = saved_adam()
    state["state"]["0"]["exp_avg"] = np.array([1j, 2.0])
    with pytest.raises(ValueError, match="its dtype is complex128, expected a float"):
        optim.Adam([parameter([1.0, 2.0])]).load_state_dict(state)


# Argument errors


def test_a_rate_that_is_no_number():
    for name in ("lr", "weight_decay"):
        with pytest.raises(ValueError, match=f"{name} is nan, but it must be a number of 0 or"):
            optim.Adam([nn.Parameter(tg.ones(2))], **{name: math.nan})


@pytest.mark.parametrize("kind, name", [
    (optim.SGD, "momentum"), (optim.Adagrad, "lr_decay"), (optim.Adagrad, "eps"),
    (optim.RMSprop, "alpha"), (optim.RMSprop, "eps"), (optim.RMSprop, "momentum"),
    (optim.Adam, "eps"), (optim.AdamW, "eps")])
def test_what_may_not_be_negative(kind, name):
    with pytest.raises(ValueError, match=f"{kind.__name__}: {name} is -1, but it must be"):
        kind([parameter([1.0])], **{name: -1})


def test_a_state_that_is_none():
    with pytest.raises(ValueError, match="has lr and state, but got nothing"):
        optim.Adam([parameter([1.0])]).load_state_dict({})
    with pytest.raises(ValueError, match=r"but got \['lr', 'x'\]"):
        optim.Adam([parameter([1.0])]).load_state_dict({"x": 1, "lr": 0.1})


def test_a_schedule_that_fails_leaves_the_optimiser_as_it_was():
    optimizer = optim.SGD([nn.Parameter(tg.ones(2))], 0.1)
    with pytest.raises(TypeError):
        lr_scheduler.LambdaLR(optimizer, 0.5)
    lr_scheduler.ExponentialLR(optimizer, 0.9).step()
    assert math.isclose(optimizer.lr, 0.09)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW])
def test_bad_arguments_of_every_optimiser(kind):
    p = parameter([1.0])
    with pytest.raises(ValueError, match=f"{kind.__name__}: got no parameters"):
        kind([])
    with pytest.raises(ValueError, match="lr is -1, but it must be a number"):
        kind([p], lr=-1)
    with pytest.raises(ValueError, match="weight_decay is -0.1"):
        kind([p], weight_decay=-0.1)
    with pytest.raises(TypeError):
        kind(p)


@pytest.mark.parametrize("given, name", [
    (lambda: parameter([1.0, 2.0]), "Parameter"), (lambda: nn.Linear(1, 1), "Linear"),
    (lambda: nn.Sequential(nn.ReLU()), "Sequential of ReLU"), (lambda: [3], "list of int")])
def test_optimisers_ask_for_a_list_of_parameters(given, name):
    with pytest.raises(TypeError, match=f"got {name}; pass a list of parameters, as model"):
        optim.Adam(given())


@pytest.mark.parametrize("kind, name", [
    (lr_scheduler.StepLR, "step_size"), (lr_scheduler.CosineAnnealingLR, "T_max"),
    (lr_scheduler.LinearLR, "total_iters")])
def test_a_schedule_has_at_least_one_epoch(kind, name):
    optimizer = optim.SGD([parameter([1.0])])
    with pytest.raises(ValueError, match=f"{kind.__name__}: {name} is 0, but it must be above 0"):
        kind(optimizer, **{name: 0})


def test_schedules_of_one_optimiser_multiply():
    """The learning rates are those of PyTorch 2.13 for the same two schedules."""
    optimizer = optim.SGD([parameter([1.0])], lr=1.0)
    warm_up = lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 3)
    decay = lr_scheduler.ExponentialLR(optimizer, 0.9)
    rates = [optimizer.lr]
    for _ in range(4):
        warm_up.step()
        decay.step()
        rates.append(optimizer.lr)
    np.testing.assert_allclose(rates, [0.1, 0.36, 0.567, 0.729, 0.6561], rtol=1e-12)
    saved = optimizer.state_dict(), warm_up.state_dict(), decay.state_dict()
    again = optim.SGD([parameter([1.0])], lr=1.0)
    parts = [again, lr_scheduler.LinearLR(again, 0.1, 1.0, 3),
             lr_scheduler.ExponentialLR(again, 0.9)]
    for part, state in zip(parts, saved):
        part.load_state_dict(state)
    assert again.lr == pytest.approx(0.6561, rel=1e-12)


def test_an_optimiser_refuses_computed_tensors():
    with pytest.raises(ValueError, match="SGD: got a computed tensor, which no update would reach"):
        optim.SGD([parameter([1.0]) * 0.1])


def test_a_learning_rate_of_0_moves_nothing():
    p = parameter([1.0])
    set_gradients([p], 0)
    optim.Adam([p], lr=0).step()
    assert p.item() == 1.0


def test_parameters_may_come_from_a_generator():
    ps = [parameter([1.0]), parameter([2.0])]
    assert optim.SGD(p for p in ps).params == ps


@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), 0.9, (0.9,)])
def test_betas_lie_between_0_and_1(betas):
    with pytest.raises(ValueError, match=r"Adam: betas are .* two numbers in \[0, 1\)"):
        optim.Adam([parameter([1.0])], betas=betas)


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum_and_no_dampening(options):
    with pytest.raises(ValueError, match="nesterov needs momentum above 0 and no dampening"):
        optim.SGD([parameter([1.0])], nesterov=True, **options)


# Schedules

SCHEDULES = [
    (lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (epoch + 1)), lambda t: 0.1 / (t + 1)),
    (lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5), lambda t: 0.1 * 0.5 ** (t // 3)),
    (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.1 * 0.9**t),
    (
        lambda o: lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01),
        lambda t: 0.01 + 0.5 * (0.1 - 0.01) * (1 + math.cos(math.pi * t / 10)),
    ),
    (
        lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, total_iters=4),
        lambda t: 0.1 * min(1.0, 0.25 + 0.75 * t / 4),
    ),
    (lambda o: lr_scheduler.LinearLR(o), lambda t: 0.1 * min(1.0, 1 / 3 + 2 / 3 * t / 5)),
]
SCHEDULE_NAMES = "lambda step exponential cosine linear linear-defaults".split()


@pytest.mark.parametrize("make, formula", SCHEDULES, ids=SCHEDULE_NAMES)
def test_schedules_follow_their_formulas(make, formula):
    optimizer = optim.SGD([parameter([1.0])], lr=0.1)
    schedule = make(optimizer)
    for epoch in range(11):
        assert optimizer.lr == pytest.approx(formula(epoch), rel=1e-14, abs=0)
        assert schedule.get_last_lr() == [optimizer.lr]
        schedule.step()


@pytest.mark.parametrize("make, formula", SCHEDULES, ids=SCHEDULE_NAMES)
def test_a_schedule_goes_on_from_the_first_rate_not_from_one_set_in_between(make, formula):
    optimizer = optim.SGD([parameter([1.0])], lr=0.1)
    schedule = make(optimizer)
    optimizer.lr = 5.0
    schedule.step()
    assert optimizer.lr == pytest.approx(formula(1), rel=1e-14, abs=0)


@pytest.mark.parametrize("make, formula", SCHEDULES, ids=SCHEDULE_NAMES)
def test_a_schedule_is_resumed_where_it_was(make, formula):
    optimizer = optim.SGD([parameter([1.0])], lr=0.1)
    schedule = make(optimizer)
    for _ in range(3):
        schedule.step()
    resumed = optim.SGD([parameter([1.0])], lr=0.1)
    resumed.load_state_dict(optimizer.state_dict())
    again = make(resumed)
    again.load_state_dict(schedule.state_dict())
    assert resumed.lr == pytest.approx(formula(3), rel=1e-12)
    again.step()
    assert resumed.lr == pytest.approx(formula(4), rel=1e-12)


def test_a_schedule_changes_the_size_of_the_next_step():
    p = parameter([0.0])
    optimizer = optim.SGD([p], lr=1.0)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    moves = []
    for _ in range(3):
        before = p.item()
        p.grad = tg.tensor(np.array([-1.0]))
        optimizer.step()
        schedule.step()
        moves.append(p.item() - before)
    assert moves == [1.0, 0.5, 0.25]


# Clipping


def with_gradients(*gradients, dtype="float32"):
    ps = [parameter(np.zeros(np.shape(g)), dtype) for g in gradients]
    for p, g in zip(ps, gradients):
        p.grad = tg.tensor(np.array(g, dtype))
    return ps


def test_clip_grad_norm_scales_all_gradients_together():
    ps = [*with_gradients([3.0, 0.0], [[0.0], [4.0]]), parameter([1.0], "float32")]
    assert nn.utils.clip_grad_norm_(ps, 1.0) == pytest.approx(5.0)
    np.testing.assert_allclose(ps[0].grad.data, [0.6, 0.0], rtol=1e-5)
    np.testing.assert_allclose(ps[1].grad.data, [[0.0], [0.8]], rtol=1e-5)
    assert ps[2].grad is None
    assert nn.utils.grad_norm(ps) == pytest.approx(1.0, rel=1e-5)


def test_clip_grad_norm_leaves_small_gradients_alone():
    ps = with_gradients([3.0, 4.0])
    assert nn.utils.clip_grad_norm_(ps, 5.1) == pytest.approx(5.0)
    assert ps[0].grad.data.tolist() == [3.0, 4.0]


def test_clip_grad_norm_of_zero_gradients():
    ps = with_gradients([0.0, 0.0])
    assert nn.utils.clip_grad_norm_(ps, 1.0) == 0.0
    assert ps[0].grad.data.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_clip_grad_norm_does_not_hide_a_broken_gradient(broken):
    ps = with_gradients([1.0, broken])
    with np.errstate(invalid="ignore"):
        norm = nn.utils.clip_grad_norm_(ps, 1.0)
    assert not math.isfinite(norm)
    assert not np.isfinite(ps[0].grad.data[1])


def test_clip_grad_value_limits_each_number():
    ps = [*with_gradients([-3.0, 0.5, 2.0]), parameter([1.0], "float32")]
    nn.utils.clip_grad_value_(ps, 1.0)
    assert ps[0].grad.data.tolist() == [-1.0, 0.5, 1.0]


@pytest.mark.parametrize("clip", [nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
@pytest.mark.parametrize("limit", [0.5, np.float64(0.5), np.float32(0.5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_keeps_the_dtype_and_takes_a_generator(clip, limit, dtype):
    ps = with_gradients([3.0, 4.0], dtype=dtype)
    clip((p for p in ps), limit)
    assert ps[0].grad.dtype == dtype
    assert np.abs(ps[0].grad.data).max() <= 0.5


@pytest.mark.parametrize("clip", [nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
def test_clipping_takes_one_tensor_or_many_but_nothing_else(clip):
    p, = with_gradients([3.0, 4.0])
    clip(p, 0.5)
    assert np.abs(p.grad.data).max() <= 0.5
    with pytest.raises(TypeError, match="got Linear and ReLU; pass model.parameters()"):
        clip(nn.Sequential(nn.ReLU(), nn.Linear(1, 1)), 0.5)


def test_a_gradient_of_another_shape_is_refused_and_nothing_moves():
    p, q = parameter([1.0, 1.0]), parameter([1.0, 1.0])
    p.grad, q.grad = tg.ones(2), tg.ones(3)
    with pytest.raises(ValueError, match=r"shape \(2,\) has a gradient of shape \(3,\)"):
        optim.SGD([p, q], lr=1.0).step()
    assert p.data.tolist() == q.data.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("n", [3, 5000])
def test_a_parameter_given_twice_moves_once(n):
    p = parameter(np.ones(n))
    optimizer = optim.SGD([p, p], 0.1)
    p.grad = tg.ones_like(p)
    optimizer.step()
    np.testing.assert_allclose(p.data, 0.9)


def test_loading_leaves_alone_what_an_optimiser_of_ones_own_keeps_besides():
    class Slow(optim.SGD):
        def __init__(self, params, lr=0.1, every=5, **settings):
            super().__init__(params, lr, **settings)
            self.every = every

    p = parameter(np.ones(3))
    optimizer = Slow([p], every=7, momentum=0.9)
    optimizer.load_state_dict(Slow([p], lr=0.3, momentum=0.5).state_dict())
    assert (optimizer.every, optimizer.lr, optimizer.momentum) == (7, 0.3, 0.5)
