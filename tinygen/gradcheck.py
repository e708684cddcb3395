"""Floor 3: do not trust a derivative, check it.

The slope of a function near x is (f(x + eps) - f(x - eps)) / (2 eps), up to an error of order
eps^2. That needs no calculus, so it can judge all of ours. With float64 and eps = 1e-6 it is good
for about nine digits.
"""

import numpy as np

from .tensor import Tensor, enable_grad, grad, no_grad


class GradcheckError(AssertionError):
    """A derivative differs from the finite difference."""


def numerical_jacobian(func, inputs, i, eps):
    """d(outputs)/d(inputs[i]) by central differences: one row for each number of inputs[i]."""
    x, shape = inputs[i], inputs[i].shape
    rows = []
    for place in np.ndindex(shape):
        ends = []
        for step in (eps, -eps):
            moved = x.data.copy(order="K")
            moved[place] += step
            with no_grad():
                ends.append(outputs_of(func, [*inputs[:i], Tensor(moved, x.requires_grad), *inputs[i + 1:]]))
        rows.append(np.concatenate([((up.data - down.data) / (2 * eps)).reshape(-1) for up, down in zip(*ends)]))
    return np.stack(rows) if rows else None


def analytical_jacobian(func, inputs, i):
    """The same by one backward walk for each number of the output."""
    outputs = outputs_of(func, inputs)
    columns = []
    for output in outputs:
        for place in np.ndindex(output.shape):
            g = np.zeros(output.shape, output.dtype)
            g[place] = 1
            found = grad(output, inputs[i], Tensor(g), retain_graph=True, allow_unused=True)[0] \
                if output.requires_grad else None
            columns.append(np.zeros(inputs[i].shape) if found is None else found.data)
    return np.stack([c.reshape(-1) for c in columns], 1) if columns else None


def outputs_of(func, inputs):
    outputs = func(*inputs)
    return [o for o in (outputs if isinstance(outputs, (tuple, list)) else [outputs]) if o.dtype.kind == "f"]


def gradcheck(func, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """Whether func's derivatives with respect to every input that requires a gradient are right.

    `inputs` are float64 Tensors. An element passes where |analytic - numeric| <= atol + rtol |numeric|.
    The first that fails is named in a GradcheckError, or False is returned without `raise_exception`.
    """
    try:
        largest_error(func, inputs, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def largest_error(func, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    """`gradcheck`, returning for each input |analytic - numeric| / max(1, |numeric|) at its worst (None: not checked)."""
    inputs = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    worst = [None] * len(inputs)
    for i, x in enumerate(inputs):
        if not (isinstance(x, Tensor) and x.requires_grad):
            continue
        if x.dtype != np.float64:
            raise TypeError(f"gradcheck: input {i} is {x.dtype}; finite differences need float64, so pass "
                            ".double() tensors")
        worst[i] = 0.0
        with enable_grad():
            analytic, numeric = analytical_jacobian(func, inputs, i), numerical_jacobian(func, inputs, i, eps)
        if analytic is None or numeric is None:
            continue
        error = np.abs(analytic - numeric)
        wrong = ~(error <= atol + rtol * np.abs(numeric))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            place = tuple(int(n) for n in np.unravel_index(row, x.shape))
            raise GradcheckError(
                f"input {i}, element {place}: the derivative of output element {column} is {analytic[row, column]:.9g} "
                f"by its rule and {numeric[row, column]:.9g} by finite differences; "
                f"tolerance {atol:g} + {rtol:g} * |numeric|, {wrong.sum()} of {wrong.size} entries differ")
        worst[i] = float(np.max(error / np.maximum(1, np.abs(numeric)), initial=0))
    return worst


def gradient_function(func, inputs, seed=0):
    """The gradient of `func` as a function of its inputs and of the outgoing gradients, and those to start from."""
    inputs = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    rng = np.random.default_rng(seed)
    outputs = [o for o in outputs_of(func, inputs) if o.requires_grad]
    grad_outputs = [Tensor(rng.uniform(0.5, 1.5, o.shape) * rng.choice([-1, 1], o.shape), True) for o in outputs]
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def gradient(*args):
        xs, gs = args[:len(inputs)], args[len(inputs):]
        with enable_grad():
            outs = [o for o in outputs_of(func, xs) if o.requires_grad]
            found = grad(outs, [xs[i] for i in wanted], gs, create_graph=True, allow_unused=True)
        return [x * 0 if f is None else f for f, x in zip(found, [xs[i] for i in wanted])]

    return gradient, [*inputs, *grad_outputs]


def gradgradcheck(func, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """Whether the derivatives of func's derivatives are right: `gradcheck` of the gradient of `func`.

    It finds what first order cannot: a constant frozen inside a derivative rule.
    """
    gradient, arguments = gradient_function(func, inputs)
    return gradcheck(gradient, arguments, eps, atol, rtol, raise_exception)
