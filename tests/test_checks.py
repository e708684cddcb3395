"""Every derivative against finite differences, and the proof that the checks find what is wrong.

The cases are those of `tinygen check` (`tinygen/checks/`); here Hypothesis draws their shapes.
"""

import ast
import builtins
import importlib
import inspect
import math
import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tinygen as tg
from tinygen import backend, checks, functional, nn, ops
from tinygen.gradcheck import (
    GradcheckError, gradcheck, gradgradcheck, gradient_function, largest_error,
)
from tinygen.ops.shapes import device_of, mask, match_order, sum_to
from tinygen.tensor import OPS, Node, op, raw

ALL_NAMES = pytest.mark.parametrize("name", list(checks.CASES))
drawing = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
fewer = settings(drawing, max_examples=20)


def drawn(data, name):
    """A case whose integers Hypothesis draws."""
    return checks.CASES[name](lambda low, high: data.draw(st.integers(low, high)))


def seeded_case(name, seed):
    rng = np.random.default_rng(seed)
    return checks.CASES[name](lambda low, high: int(rng.integers(low, high, endpoint=True)))


# The derivatives themselves

def agrees(name, data):
    func, inputs = drawn(data, name)
    checks.errors(func, inputs, order=1)
    checks.errors(func, inputs, order=2)


@pytest.mark.parametrize("name", [name for name in checks.CASES if name not in checks.TRAINING])
@drawing
@given(st.data())
def test_derivatives_agree_with_finite_differences(name, data):
    agrees(name, data)


@pytest.mark.parametrize("name", list(checks.TRAINING))
@settings(drawing, max_examples=15)      # a case has a dozen arguments; `tinygen check` draws 50
@given(st.data())
def test_training_losses_agree_with_finite_differences(name, data):
    agrees(name, data)


def gradients(func, inputs, dtype):
    """The float outputs of a case in `dtype`, its first and its second gradients."""
    inputs = [tg.Tensor(x.data.astype("float32").astype(dtype), x.requires_grad)
              for x in inputs.values()]
    wanted = [x for x in inputs if x.requires_grad]
    outputs = func(*inputs)
    outputs = [o for o in (outputs if isinstance(outputs, (tuple, list)) else [outputs])
               if o.dtype.kind == "f" and o.requires_grad]
    seeds = [tg.Tensor(np.linspace(0.5, 1.5, o.numel(), dtype=dtype).reshape(o.shape))
             for o in outputs]
    if not outputs:
        return [], [], []
    first = tg.grad(outputs, wanted, seeds, create_graph=True, allow_unused=True)
    again = [g for g in first if g is not None and g.requires_grad]
    second = tg.grad([(g * g).sum() for g in again], wanted, allow_unused=True) if again else []
    return outputs, first, second


@ALL_NAMES
@fewer
@given(st.data())
def test_float32_agrees_with_float64_and_nothing_promotes(name, data):
    func, inputs = drawn(data, name)
    single, double = gradients(func, inputs, "float32"), gradients(func, inputs, "float64")
    noise_depends_on_dtype = name == "Normal.rsample" or name.startswith("wgan")
    for order, (found, expected) in enumerate(zip(single, double)):
        for x, exact in zip(found, expected):
            assert (x is None) == (exact is None)
            if x is None:
                continue
            assert x.dtype == np.float32, f"order {order} gives {x.dtype}"
            if exact.numel() and not noise_depends_on_dtype:
                largest = max(1, np.abs(exact.data).max())
                np.testing.assert_allclose(x.data, exact.data, rtol=1e-3, atol=1e-4 * largest)


# Nothing is forgotten

def test_every_primitive_has_cases():
    assert {primitive.__name__ for primitive in OPS} <= set(checks.CASES)


@pytest.mark.parametrize("primitive", OPS, ids=lambda primitive: primitive.__name__)
def test_the_cases_of_a_primitive_use_it(primitive):
    def recorded(tensor):
        todo, seen = [tensor.node], set()
        while todo:
            node = todo.pop()
            if node is not None and node not in seen:
                seen.add(node)
                todo += [parent for _, parent in node.parents if isinstance(parent, Node)]
        return {node.op for node in seen}

    found = set()
    for seed in range(10):
        func, inputs = seeded_case(primitive.__name__, seed)
        outputs = func(*inputs.values())
        for output in outputs if isinstance(outputs, tuple) else [outputs]:
            found |= recorded(output)
    assert primitive in found


def test_every_public_function_layer_and_loss_has_cases():
    no_gradient = {"argmax", "argmin", "one_hot"}
    for name in {*ops.__all__, *functional.__all__} - no_gradient:
        assert name in checks.CASES or "_" + name in checks.CASES, name
    layers = [name for name, value in vars(nn).items()
              if isinstance(value, type) and issubclass(value, nn.Module)]
    assert set(layers) - {"Module", "ModuleList"} <= set(checks.CASES)


def test_run_gives_rows_and_a_table():
    rows = checks.run(["add", "_matmul"], cases=50, progress=False)
    assert [row[1:3] for row in rows if row[0] == "_matmul"] == [
        ("x", 1), ("y", 1), ("x", 2), ("y", 2), ("g", 2)]
    assert all(count >= 50 and worst < 1e-6 for *_, count, worst in rows)
    assert sorted(rows) == sorted(checks.run(["_matmul", "add"], cases=50, progress=False))
    lines = checks.table(rows).splitlines()
    assert lines[0].split() == ["operation", "argument", "order", "cases", "worst", "error"]
    assert len(lines) == 1 + len(rows) and len({len(line) for line in lines}) == 1


def test_run_says_which_name_is_unknown():
    with pytest.raises(backend.InputError, match="check: ad: not known; choose from .*add"):
        checks.run(["ad"], progress=False)


# What is wrong is found

@pytest.fixture
def planted():
    """`op`, for primitives that are forgotten again after the test."""
    before = list(OPS)
    yield op
    OPS[:] = before


def point(*shape):
    return tg.Tensor(np.linspace(0.3, 1.4, math.prod(shape)).reshape(shape), True)


def test_a_right_rule_passes(planted):
    cube = planted(lambda g, out, x: 3 * g * x * x)(lambda x: x * x * x)
    assert gradcheck(cube, point(3)) and gradgradcheck(cube, point(3))


def test_a_dropped_term_is_found(planted):
    tanh = planted(lambda g, out, x: g * (1 - out))(lambda x: np.tanh(x))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(tanh, point(2))
    by_rule, exact = f"{1 - math.tanh(0.3):.8f}"[:8], f"{1 - math.tanh(0.3) ** 2:.8f}"[:8]
    assert re.fullmatch(
        rf"input 0, element \(0,\): the derivative of output element 0 is {by_rule}\d* by its rule "
        rf"and {exact}\d* by finite differences; tolerance 1e-05 \+ 0.001 \* \|numeric\|, "
        r"2 of 4 entries differ", str(caught.value))
    assert not gradcheck(tanh, point(2), raise_exception=False)


def test_a_wrong_sign_is_found_in_the_argument_it_belongs_to(planted):
    sub = planted(lambda g, out, x, y: g, lambda g, out, x, y: g)(lambda x, y: x - y)
    message = r"input 1, element \(0, 0\): .* is 1 by its rule and -(1|0\.9999)"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(sub, [point(2, 2), point(2, 2)])


def test_a_forgotten_sum_to_is_found(planted):
    mul = planted(lambda g, out, x, y: g * y,
                  lambda g, out, x, y: sum_to(g * x, y.shape))(lambda x, y: x * y)
    assert gradcheck(mul, [point(2, 3), point(3)])
    message = r"argument 0 gave a gradient of shape \(2, 3\) for an argument of shape \(3,\)"
    with pytest.raises(RuntimeError, match=message):
        gradcheck(mul, [point(3), point(2, 3)])


def test_a_frozen_constant_is_found_by_second_order_alone(planted):
    exp = planted(lambda g, out, x: g * raw(out))(lambda x: np.exp(x))
    assert gradcheck(exp, point(3))
    with pytest.raises(GradcheckError, match="is 0 by its rule"):
        gradgradcheck(exp, point(3))


def test_a_value_saved_by_the_body_is_found_by_second_order_alone(planted):
    saved = []

    @planted(lambda g, out, x: g * saved[-1])
    def square(x):
        saved.append(2 * x)
        return x * x

    assert gradcheck(square, point(3))
    with pytest.raises(GradcheckError, match=r"input 0, element \(0,\)"):
        gradgradcheck(square, point(3))


@pytest.mark.parametrize("slope, error, passes", [
    (0, 0.9e-5, True), (0, 1.1e-5, False),             # atol = 1e-5
    (10, 1.0e-2, True), (10, 1.003e-2, False),         # and rtol = 1e-3
    (-10, 1.0e-2, True), (-10, 1.003e-2, False)])
def test_an_error_passes_up_to_atol_plus_rtol_times_the_slope(planted, slope, error, passes):
    line = planted(lambda g, out, x: g * (slope + error))(lambda x: slope * x)
    assert gradcheck(line, point(1), raise_exception=False) == passes
    worst, = largest_error(line, [point(1)], atol=1)
    assert worst == pytest.approx(error / max(1, abs(slope)), rel=1e-6)


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_both_checks_follow_their_options(planted, check):
    exp = planted(lambda g, out, x: 1.01 * g * out)(lambda x: np.exp(x))    # wrong by 1 %
    with pytest.raises(GradcheckError):
        check(exp, point(3))
    assert check(exp, point(3), raise_exception=False) is False
    assert check(exp, point(3), rtol=0.1) and check(exp, point(3), atol=1)
    assert not check(ops.exp, point(3), eps=1, raise_exception=False)   # sinh(1) exp(x)


def test_inputs_are_moved_by_eps_up_and_down():
    seen = []

    def square(x):
        seen.append(x.data[0] - 0.3)
        return x * x

    gradcheck(square, point(1))
    assert seen[1:] == pytest.approx([1e-6, -1e-6], rel=1e-6)
    gradcheck(square, point(1), eps=1e-4)
    assert seen[4:] == pytest.approx([1e-4, -1e-4], rel=1e-6)


def test_an_input_that_is_not_used_has_the_gradient_0():
    assert gradcheck(lambda x, y: x * x, [point(3), point(2)])
    assert gradgradcheck(lambda x, y: x * x, [point(3), point(2)])
    gradient, arguments = gradient_function(lambda x, y: x * x, [point(3), point(2)])
    assert (gradient(*arguments)[1].data == 0).all()


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_nothing_to_check_is_an_error(check):
    with pytest.raises(ValueError, match="no input requires a gradient, so there is nothing to ch"):
        check(lambda x: x * x, [tg.tensor([1.0, 2.0], dtype="float64")])


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_the_checks_record_also_under_no_grad(check):
    with tg.no_grad():
        assert check(lambda x: x * x * x, point(3))


def test_run_names_the_operation_with_a_wrong_rule(monkeypatch):
    right, almost = ops.mul.rule(0), lambda g, out, x, y: sum_to(g * x * 1.01, y.shape)
    monkeypatch.setattr(ops.mul, "rule", [right, almost].__getitem__)
    with pytest.raises(GradcheckError, match=r"mul, order 1, case \d+ of seed 0: input 1, element"):
        checks.run(["mul"], progress=False)


# What a derivative rule may be written with

ATTRIBUTES = {"shape", "ndim", "dtype", "device"}
BUILTINS = {tuple, list, slice, range, zip, len, enumerate, isinstance, any, int, bool,
            IndexError, ValueError}
MODULES = {math, builtins}
DOORWAYS = {mask,           # the one way from a condition to a constant
            match_order,    # it looks at the order in memory, which no number depends on
            device_of}      # where an array is


def rules_of(tree):
    """(name of the primitive, syntax tree of a rule) for every `@op(...)` in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", None) == "op":
                    more = [k.value for k in decorator.keywords if k.arg in ("rest", "share")]
                    for rule in decorator.args + more:
                        yield node.name, rule


def own_lists(nodes):
    """The names that a function gives to lists of its own making, which may change in place."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            for name, made in zip(target.elts, value.elts) if several else [(target, value)]:
                called = getattr(getattr(made, "func", None), "id", None)
                if isinstance(made, ast.ListComp) or called == "list":
                    found.add(getattr(name, "id", None))
    return found - {None}


def faults(tree, names, followed):
    """What must not stand in a rule, or in what it calls, and does. `names` are its module's."""
    nodes = list(ast.walk(tree))
    local = {n.arg for n in nodes if isinstance(n, ast.arg)}
    local |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    lists = own_lists(nodes)
    for node in nodes:
        if isinstance(node, (ast.AugAssign, ast.Delete, ast.Global, ast.Nonlocal)):
            yield f"{ast.unparse(node)}: in place"
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store) \
                and getattr(node.value, "id", None) not in lists:
            yield f"{ast.unparse(node)}: assigned in place"
        if isinstance(node, ast.Attribute) and node.attr not in ATTRIBUTES:
            owner = names.get(node.value.id) if isinstance(node.value, ast.Name) else None
            on_a_list = node.attr == "index" and getattr(node.value, "id", None) in lists
            if not on_a_list and not (isinstance(owner, types.ModuleType) and owner in MODULES):
                yield f"{ast.unparse(node)}: a method or attribute"
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in local:
            value = names.get(node.id, getattr(builtins, node.id, None))
            if any(value is known for known in [*MODULES, *OPS, *DOORWAYS, *BUILTINS]):
                continue
            if isinstance(value, types.FunctionType) and value.__module__.startswith("tinygen"):
                if value not in followed:
                    followed.add(value)
                    inner = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
                    yield from faults(inner, vars(sys.modules[value.__module__]), followed)
            else:
                yield f"{node.id}: neither ours nor a plain Python function"


def sources():
    """(module name, syntax tree) of every file of the package."""
    package = Path(tg.__file__).parent
    for path in sorted(package.rglob("*.py")):
        parts = ["tinygen", *path.relative_to(package).with_suffix("").parts]
        name = ".".join(part for part in parts if part != "__init__")
        yield name, ast.parse(path.read_text("utf-8"))


def test_rules_are_made_of_operators_and_our_own_functions():
    seen = set()
    for module, tree in sources():
        rules = list(rules_of(tree))
        names = vars(importlib.import_module(module)) if rules else {}
        for name, rule in rules:
            seen.add(name)
            assert list(faults(rule, names, set())) == [], f"{module}.{name}"
    assert seen == {primitive.__name__ for primitive in OPS}


def helper_in_place(g, x):
    g *= x
    return g


helper_in_place.__module__ = "tinygen.tests"       # so that it passes for one of ours


@pytest.mark.parametrize("rule", [
    "g * np.exp(x)", "g * x.sum()", "g.transpose(0, 1)", "g * array_module(x).sign(x)",
    "g * raw(x)", "g / x.size", "g * x.max()", "g * Tensor(x)", "g * float(x)", "g * unknown(x)"])
def test_the_reader_of_rules_finds_what_is_forbidden(rule):
    names = {"np": np, "raw": raw, "array_module": backend.array_module, "Tensor": tg.Tensor}
    assert list(faults(ast.parse(f"lambda g, out, x: {rule}"), names, set()))


def test_the_reader_of_rules_follows_helpers(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinygen.tests", types.ModuleType("tinygen.tests"))
    rule, names = ast.parse("lambda g, out, x: helper(g, x)"), {"helper": helper_in_place}
    found = list(faults(rule, names, set()))
    assert found == ["g *= x: in place"]


def test_only_op_makes_nodes():
    made = [module for module, tree in sources() for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Node"]
    assert made == ["tinygen.tensor"]


def test_a_gradient_is_checked_where_the_function_calls_grad():
    x = tg.tensor([1.0, 2.0, 3.0], dtype="float64", requires_grad=True)
    assert gradcheck(lambda x: tg.grad((x ** 3).sum(), x, create_graph=True)[0], x)
    with pytest.raises(ValueError, match="one tensor is passed twice"):
        gradcheck(lambda a, b: a * b, (x, x))
