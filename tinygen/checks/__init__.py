"""Floor 6: every derivative against finite differences, to second order.

`tinygen check` runs this, and the tests run the same cases with shapes that Hypothesis draws. Read
`draw.py` first (what a case is), then `primitives.py`, then `networks.py` (layers, losses and whole
training losses). The finite differences are in `tinygen/gradcheck.py`.
"""

import numpy as np
from tqdm import tqdm

from ..backend import InputError
from ..gradcheck import GradcheckError, gradient_function, largest_error, outputs_of
from .networks import LAYERS, LOSSES, TRAINING
from .primitives import COMPOSED, PRIMITIVES

CASES = {**PRIMITIVES, **COMPOSED, **LOSSES, **LAYERS, **TRAINING}


def errors(func, inputs, order):
    """{argument: relative error at its worst} of a case; GradcheckError if a derivative is wrong.

    Order 2 checks the derivatives of the gradient, also with respect to the incoming gradient `g`.
    An argument that holds no number, or that wants no gradient, is left out.
    """
    names, tensors = list(inputs), list(inputs.values())
    if order == 2:
        func, tensors = gradient_function(func, tensors)
        names += ["g"] * (len(tensors) - len(names))       # one for each output; they share a row
    worst = {}
    for name, x, error in zip(names, tensors, largest_error(func, tensors)):
        if error is not None and x.numel():
            worst[name] = max(error, worst.get(name, 0.0))
    return worst


def run(names=None, cases=50, order=2, seed=0, progress=True):
    """Check `names` (all, if None) to `order`, with at least `cases` cases for each argument.

    Returns rows (name, argument, order, cases, worst relative error). The first wrong derivative is
    a GradcheckError that says which. A name has the same cases whatever others are checked.
    """
    names = list(CASES) if names is None else list(names)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise InputError(f"check: {', '.join(unknown)}: not known; "
                         f"choose from {', '.join(sorted(CASES))}")
    rows = []
    with tqdm(names, disable=not progress, leave=False, unit="operation") as bar:
        for name in bar:
            bar.set_description(name)
            for n in range(1, order + 1):
                rows += check(name, cases, n, seed)
    return rows


def check(name, cases, order, seed):
    """The rows of one name and one order."""
    rng = np.random.default_rng([seed, order, *name.encode()])
    counts, worst, drawn = {}, {}, 0
    while drawn < cases or min(counts.values(), default=0) < cases:
        drawn += 1
        func, inputs = CASES[name](lambda low, high: int(rng.integers(low, high, endpoint=True)))
        try:
            found = errors(func, inputs, order)
        except GradcheckError as error:
            place = f"{name}, order {order}, case {drawn} of seed {seed}"
            raise GradcheckError(f"{place}: {error}") from None
        for argument, error in found.items():
            counts[argument] = counts.get(argument, 0) + 1
            worst[argument] = max(error, worst.get(argument, 0.0))
    return [(name, argument, order, counts[argument], worst[argument]) for argument in counts]


def table(rows):
    """The rows as text, one a line under a heading."""
    heads = ("operation", "argument", "order", "cases", "worst error")
    wide = [max([len(str(row[i])) for row in [heads, *rows]]) for i in range(2)]
    lines = [f"{heads[0]:{wide[0]}}  {heads[1]:{wide[1]}}  {'  '.join(heads[2:])}"]
    lines += [f"{name:{wide[0]}}  {argument:{wide[1]}}  {order:5}  {cases:5}  {worst:11.1e}"
              for name, argument, order, cases, worst in rows]
    return "\n".join(lines)
