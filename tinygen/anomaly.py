"""Floor 3: which operation first made a nan or an infinity.

A nan spreads: one at the start of a network has reached every weight a step later, and the loss
says only that it happened. `detect_anomaly` finds where.
"""

import contextlib
import math

from .backend import array_module, is_array
from .tensor import OPS, argument_name, raw


def is_broken(x):
    """Whether there is a nan or an infinity in `x`, an array or a number."""
    if is_array(x):
        return not array_module(x).isfinite(x).all()
    return isinstance(x, float) and not math.isfinite(x)


def named(op, args):
    """{what the primitive `op` calls it: argument}."""
    return {argument_name(op, i): raw(a) for i, a in enumerate(args)}


def sentence(op, what, x, sources):
    """Where `x`, made by `op` from `sources` ({name: array}), is broken, and from what numbers."""
    xp = array_module(x)
    place = tuple([int(i) for i in xp.argwhere(~xp.isfinite(x))[0]])
    there = [f"{name} = {a[place]}" for name, a in sources.items()
             if is_array(a) and a.shape == x.shape]
    broken = [name for name, a in sources.items() if is_broken(a)]
    return (f"{op.__name__}: {what}, of shape {x.shape}, is {x[place]} at {place}"
            + (f", where {', '.join(there)}" if there else "") + "; "
            + (f"{' and '.join(broken)} held a nan or an infinity before" if broken
               else "all that it was made from is finite"))


@contextlib.contextmanager
def detect_anomaly():
    """Raise a RuntimeError at the first nan or infinity, naming the operation that made it.

    It looks at the result of every operation on Tensors inside the block, and in backward at the
    gradient that each derivative rule gives. That takes time, so use it to find a fault, and then
    take it out again. `torch.autograd.detect_anomaly` looks at nan and at backward alone.

        with tg.detect_anomaly():
            tg.tensor([1.0, 0.0], requires_grad=True).sqrt().sum().backward()
        RuntimeError: sqrt: the gradient of x, of shape (2,), is inf at (1,), where g = 1.0, ...
    """
    inside = []        # not empty while a rule runs: what it computes is judged by its result

    def within(function, *args, **options):
        inside.append(function)
        try:
            return function(*args, **options)
        finally:
            inside.pop()

    def watch(op, body, rule, share):
        def watched_body(*args, **options):
            result = body(*args, **options)
            out = result[0] if share else result
            if not inside and is_broken(out):
                raise RuntimeError(sentence(op, "its result", out, named(op, args)))
            return result

        def watched_rule(i):
            def run(g, out, *args, **options):
                part = within(rule(i), g, out, *args, **options)
                if is_broken(raw(part)):
                    sources = {"g": raw(g), "out": raw(out), **named(op, args)}
                    what = f"the gradient of {argument_name(op, i)}"
                    raise RuntimeError(sentence(op, what, raw(part), sources))
                return part
            return run

        op.body, op.rule = watched_body, watched_rule
        op.share = share and (lambda *args, **options: within(share, *args, **options))

    before = [(op, op.body, op.rule, op.share) for op in OPS]
    try:
        for parts in before:
            watch(*parts)
        yield
    finally:
        for op, *parts in before:
            op.body, op.rule, op.share = parts
