"""Floor 3: do not trust a derivative, check it.

The slope of a function near x is (f(x + eps) - f(x - eps)) / (2 eps), up to an error of order
eps^2. That needs no calculus, so it can judge all of ours. With float64 and eps = 1e-6 it is good
for about nine digits.
"""

import numpy as np

from .backend import to_device
from .tensor import Tensor, enable_grad, grad


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
            replaced = [*inputs[:i], Tensor(moved, x.requires_grad), *inputs[i + 1:]]
            ends.append(outputs_of(func, replaced))
        slopes = [(up.data - down.data) / (2 * eps) for up, down in zip(*ends)]
        rows.append(np.concatenate([to_device(slope, "cpu").reshape(-1) for slope in slopes]))
    return np.stack(rows) if rows else None


def analytical_jacobians(func, inputs, wanted):
    """The same for each input in `wanted`, by one backward walk for each number of the output."""
    xs, columns = [inputs[i] for i in wanted], [[] for _ in wanted]
    for output in outputs_of(func, inputs):
        for place in np.ndindex(output.shape):
            g = np.zeros(output.shape, output.dtype)
            g[place] = 1
            found = [None] * len(xs)
            if output.requires_grad:
                g = Tensor(to_device(g, output.device))
                found = grad(output, xs, g, retain_graph=True, allow_unused=True)
            for column, x, gradient in zip(columns, xs, found):
                slopes = np.zeros(x.shape) if gradient is None else gradient.numpy()
                column.append(slopes.reshape(-1))
    return [np.stack(column, 1) if column else None for column in columns]


def as_list(x):
    return list(x) if isinstance(x, (tuple, list)) else [x]


@enable_grad()
def outputs_of(func, inputs):
    """The floating outputs, recorded also under no_grad(): func may call grad itself."""
    return [o for o in as_list(func(*inputs)) if o.dtype.kind == "f"]


def wanting(inputs):
    """Which of `inputs` want a gradient, by their numbers."""
    return [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]


def gradcheck(func, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """Whether func's derivatives with respect to every input that requires a gradient are right.

    `inputs` are float64 Tensors. An element passes where
    |analytic - numeric| <= atol + rtol |numeric|. The first that fails is named in a
    GradcheckError, or False is returned without `raise_exception`.
    """
    try:
        largest_error(func, inputs, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def largest_error(func, inputs, eps=1e-6, atol=1e-5, rtol=1e-3):
    """`gradcheck`, returning each input's largest |analytic - numeric| / max(1, |numeric|).

    It is None for an input that is not checked.
    """
    inputs = as_list(inputs)
    worst, wanted = [None] * len(inputs), wanting(inputs)
    if not wanted:
        raise ValueError("gradcheck: no input requires a gradient, so there is nothing to check; "
                         "call requires_grad_() on one")
    if len({id(inputs[i]) for i in wanted}) < len(wanted):
        raise ValueError("gradcheck: one tensor is passed twice, and only one of the two can be "
                         "moved; pass two tensors")
    for i in wanted:
        if inputs[i].dtype != np.float64:
            raise TypeError(f"gradcheck: input {i} is {inputs[i].dtype}; finite differences need "
                            "float64, so pass .double() tensors")
    for i, analytic in zip(wanted, analytical_jacobians(func, inputs, wanted)):
        x, worst[i] = inputs[i], 0.0
        numeric = numerical_jacobian(func, inputs, i, eps)
        if analytic is None or numeric is None:
            continue
        error = np.abs(analytic - numeric)
        wrong = ~(error <= atol + rtol * np.abs(numeric))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            place = tuple(int(n) for n in np.unravel_index(row, x.shape))
            raise GradcheckError(
                f"input {i}, element {place}: the derivative of output element {column} is "
                f"{analytic[row, column]:.9g} by its rule and "
                f"{numeric[row, column]:.9g} by finite differences; "
                f"tolerance {atol:g} + {rtol:g} * |numeric|, "
                f"{wrong.sum()} of {wrong.size} entries differ")
        worst[i] = float(np.max(error / np.maximum(1, np.abs(numeric)), initial=0))
    return worst


def gradient_function(func, inputs, seed=0):
    """The gradient of `func` as a function of inputs and outgoing gradients, and where to start."""
    inputs = as_list(inputs)
    rng = np.random.default_rng(seed)
    outputs = [o for o in outputs_of(func, inputs) if o.requires_grad]
    starts = [rng.uniform(0.5, 1.5, o.shape) * rng.choice([-1, 1], o.shape) for o in outputs]
    grad_outputs = [Tensor(to_device(g, o.device), True) for g, o in zip(starts, outputs)]
    wanted = wanting(inputs)

    def gradient(*args):
        xs, gs = args[:len(inputs)], args[len(inputs):]
        outs, sources = outputs_of(func, xs), [xs[i] for i in wanted]
        found = grad([o for o in outs if o.requires_grad], sources, gs, create_graph=True,
                     allow_unused=True)
        return [x * 0 if f is None else f for f, x in zip(found, sources)]

    return gradient, [*inputs, *grad_outputs]


def gradgradcheck(func, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """Whether the derivatives of func's derivatives are right: `gradcheck` of its gradient.

    It finds what first order cannot: a constant frozen inside a derivative rule.
    """
    gradient, arguments = gradient_function(func, inputs)
    return gradcheck(gradient, arguments, eps, atol, rtol, raise_exception)
