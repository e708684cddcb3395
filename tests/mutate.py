"""Would the gradient checks notice a wrong derivative rule? Break every one, and see.

    python tests/mutate.py                  every mutant, about two minutes
    python tests/mutate.py add conv2d       those of some primitives

Each mutant is one change at one place in one rule: + and - or * and / exchanged, one side of them
dropped, the sides of - or / swapped, a minus sign dropped, the first two arguments of a call
swapped, or a call of one of our functions replaced by its first argument. The helpers that rules
call, and batch norm's rules, are broken too, and judged by each primitive that uses them. A mutant
is killed if a case of `tinygen check` for its primitive fails, at order 1 or 2. Those cases keep
clear of kinks, so one that survives is shown to the tests that hold ties exactly. If it survives
these too, it must stand in `EQUIVALENT` with the reason why it is as right, else the script fails;
so it does where no survivor fits an entry of that table.
"""

import ast
import contextlib
import copy
import importlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from tinygen import checks, ops
from tinygen.tensor import OPS

CASES = 40            # of each order
FOLDER = Path(ops.__file__).parent
TESTS = [f"{Path(__file__).parent}/{name}" for name in (
    "test_ops.py", "test_functional.py",
    "test_tensor.py::test_gradients_flow_back_through_a_conversion_in_the_leafs_dtype")]
# helper: the primitives whose rules it is part of. The body of none of them uses it.
HELPERS = {"spread": ["sum", "amax", "amin", "logsumexp", "_euclidean"], "tied": ["amax", "amin"],
           "unit": ["_euclidean"], "inside": ["clip"], "inverse": ["permute"], "piece": ["_cat"],
           "batch_norm_sums": ["batch_norm"], "batch_norm_x": ["batch_norm"]}
TRUTH = "in sums and products with a float, true and false are 1 and 0; mask is only faster"
EQUIVALENT = {
    ("pow", "mask((x == 0) * (y == 0), g)", "(x == 0) * (y == 0)"): TRUTH,
    ("unit", "mask(length == 0, g)", "length == 0"): TRUTH,
    ("unit", "length + mask(length == 0, g)", "length - mask(length == 0, g)"):
        "0 / -1 is 0 as 0 / 1 is, and at 0 the norm has no second derivative",
    ("batch_norm_sums", "total_product(g, c)", "total_product(c, g)"): "x y = y x",
    ("reshape", "match_order(reshape(g, x.shape), x)", "reshape(g, x.shape)"):
        "the same numbers; only their order in memory differs, for speed",
    ("inverse", "tuple([dims.index(i) for i in range(len(dims))])",
     "[dims.index(i) for i in range(len(dims))]"): "transpose takes a list too",
}
FLIPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


def changes(node):
    """What may stand in the place of `node`."""
    if isinstance(node, ast.BinOp) and type(node.op) in FLIPPED:
        left, right = node.left, node.right
        yield ast.BinOp(left, FLIPPED[type(node.op)](), right)
        yield from (left, right)
        if isinstance(node.op, (ast.Sub, ast.Div)):
            yield ast.BinOp(right, node.op, left)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand
    if isinstance(node, ast.Call) and node.args:
        if len(node.args) > 1:
            yield ast.Call(node.func, [*node.args[1::-1], *node.args[2:]], node.keywords)
        yield node.args[0]


class Put(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


def mutants(tree):
    """(the place before, and after, the changed copy of `tree`) for every change."""
    for i, node in enumerate(ast.walk(tree)):
        for k in range(len(list(changes(node)))):
            twin = copy.deepcopy(tree)
            old = list(ast.walk(twin))[i]
            new = list(changes(old))[k]
            before, after = ast.unparse(old), ast.unparse(new)
            yield before, after, ast.fix_missing_locations(Put(old, new).visit(twin))


def killed(names):
    """What fails: a case of the primitives `names` ("checks"), or "tests", or nothing (None)."""
    for name in names:
        for order in (1, 2):
            rng = np.random.default_rng([0, order, *name.encode()])
            for _ in range(CASES):
                try:
                    with np.errstate(all="ignore"):
                        func, inputs = checks.CASES[name](
                            lambda low, high: int(rng.integers(low, high, endpoint=True)))
                        checks.errors(func, inputs, order)
                except Exception:           # wrong numbers or shapes, and whatever else goes wrong
                    return "checks"
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *TESTS])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return "tests" if code == pytest.ExitCode.TESTS_FAILED else None


def rules_of(function):
    """(the syntax tree of a rule, which one it is) of a primitive."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", None) == "op":
            rules = decorator.args + [k.value for k in decorator.keywords if k.arg == "rest"]
            yield from [(rule, i) for i, rule in enumerate(rules) if isinstance(rule, ast.Lambda)]


def verdicts(wanted=()):
    """(primitive, rule, before, after, what killed it) for every mutant."""
    primitives = {primitive.__name__: primitive for primitive in OPS}
    for path in sorted(FOLDER.glob("*.py")):
        module = importlib.import_module(f"tinygen.ops.{path.stem}".removesuffix(".__init__"))
        for function in ast.parse(path.read_text("utf-8")).body:
            if not isinstance(function, ast.FunctionDef) or wanted and function.name not in wanted:
                continue
            for rule, i in rules_of(function):
                primitive = primitives[function.name]
                right = primitive.rule
                for before, after, tree in mutants(rule):
                    broken = eval(compile(ast.Expression(tree), path.name, "eval"), vars(module))
                    rest = primitive.count is None
                    primitive.rule = broken if rest else (
                        lambda n, i=i, broken=broken: broken if n == i else right(n))
                    yield function.name, i, before, after, killed([function.name])
                primitive.rule = right
            if function.name in HELPERS:
                helper = getattr(module, function.name)
                code = helper.__code__
                for before, after, tree in mutants(function):
                    made = {}
                    exec(compile(ast.Module([tree], []), path.name, "exec"), vars(module), made)
                    helper.__code__ = made[function.name].__code__    # wherever it is in use
                    yield (function.name, "helper", before, after, killed(HELPERS[function.name]))
                helper.__code__ = code


if __name__ == "__main__":
    killers, unexplained, unmet = [], 0, set(EQUIVALENT if not sys.argv[1:] else ())
    for name, rule, before, after, killer in tqdm(verdicts(sys.argv[1:]), unit=" mutants"):
        killers.append(killer)
        if killer is None:
            reason = EQUIVALENT.get((name, before, after))
            unexplained += reason is None
            unmet.discard((name, before, after))
            tqdm.write(f"{name}, rule {rule}: {before} -> {after}: {reason or 'SURVIVED'}")
    print(f"{len(killers)} mutants: {killers.count('checks')} killed by the gradient checks, "
          f"{killers.count('tests')} by the tests of ties, {killers.count(None)} equivalent"
          + f", of which {unexplained} FOR NO KNOWN REASON" * bool(unexplained))
    for entry in unmet:
        print("stands in EQUIVALENT, but survives no longer:", *entry)
    sys.exit(bool(unexplained or unmet))
