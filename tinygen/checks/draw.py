"""Drawing what a check needs: shapes, values and memory layouts.

A *case* is drawn by a function `case(pick)`. It returns a function and its inputs, a dict from
argument name to Tensor. `pick(low, high)` gives an integer from low to high, both included: from a
seeded generator in `tinygen check`, from Hypothesis in the tests, which can then look for the
smallest case that fails. So whatever is unusual stands at the high end.
"""

import numpy as np

from .. import backend
from ..ops import sum
from ..tensor import Tensor


def chosen(pick, choices):
    """One of `choices`, the plainest first."""
    return choices[pick(0, len(choices) - 1)]


def shape_of(pick, low=0, high=3, empty=True):
    """A small shape of `low` to `high` dimensions; with `empty`, one in sixteen has a size 0."""
    ndim = pick(low, high)
    sizes = [pick(1, 3 if ndim < 3 else 2) for _ in range(ndim)]
    if ndim and empty and pick(0, 15) == 15:
        sizes[pick(0, ndim - 1)] = 0
    return tuple(sizes)


def broadcast_shapes(pick):
    """Two shapes that broadcast: some sizes are 1, and one side may have fewer dimensions."""
    full = shape_of(pick)
    sides = [list(full), list(full)]
    for i in range(len(full)):
        change = pick(0, 4)
        if change >= 3:
            sides[change - 3][i] = 1
    side = pick(0, 1)
    sides[side] = sides[side][pick(0, len(full)):]
    return tuple(sides[0]), tuple(sides[1])


def values_of(pick, shape, positive=False, shift=0.0):
    """Distinct float64 numbers, about -3 to 3 or 0 to 6, clear of 0 and of each other, shuffled.

    They are the places k + 1/2 of a grid, each moved by up to 0.2 of a cell. With `shift=0.5` they
    keep clear of those drawn without, for functions that have a kink where two inputs are equal.
    """
    rng, n = np.random.default_rng(pick(0, 2**32 - 1)), int(np.prod(shape))
    grid = rng.permutation(n) + 0.5 + shift + rng.uniform(-0.2, 0.2, n)
    if not positive:
        grid = (grid - n // 2) * rng.choice([-1, 1])
    if shift and not positive:
        grid[np.abs(grid) < 0.3] += n + 1      # with the shift, one of them stood at 0
    return (grid * min(0.5, 6 / max(n, 1))).reshape(shape)


def laid_out(pick, values, distinct):
    """The same values in another memory layout. Stride 0 repeats the first, if not `distinct`."""
    layout = pick(0, 5 if distinct or not values.size else 6) if values.ndim else 0
    xp = backend.array_module(values)
    if layout == 1:                            # the dimensions in any order, as a weight's are
        order = sorted(range(values.ndim), key=lambda axis: pick(0, 9))
        return values.transpose(order).copy().transpose([order.index(i) for i in range(len(order))])
    if layout == 2:                            # every second number of a longer array
        return xp.repeat(values, 2, axis=-1)[..., ::2]
    if layout == 3:                            # a negative stride
        return xp.flip(xp.flip(values, 0).copy(), 0)
    if layout == 4:                            # channels last, or the first dimension if no image
        axis = 1 if values.ndim == 4 else 0
        return xp.moveaxis(xp.moveaxis(values, axis, -1).copy(), -1, axis)
    if layout == 5:                            # a window in the middle of a larger array
        return xp.pad(values, 1)[(slice(1, -1),) * values.ndim]
    if layout == 6:                            # stride 0, and not to be written to
        return xp.broadcast_to(values[:1], values.shape)
    return values


def array(pick, shape, positive=False, shift=0.0, distinct=False):
    """A float64 Tensor that wants a gradient, of `values_of`, in any memory layout.

    With `distinct` no two numbers are equal, for the functions that have a kink at a tie.
    """
    values = placed(values_of(pick, shape, positive, shift))
    return Tensor(laid_out(pick, values, distinct), True)


def constant(pick, shape, positive=False):
    """A Tensor like that of `array` that wants no gradient."""
    return Tensor(placed(values_of(pick, shape, positive)))


def placed(values):
    """A host array on the default device."""
    return backend.to_device(values, backend.default_device)


def along_lines(pick, func, inputs):
    """`func` along one random line through each of `inputs`: a function of the places on the lines.

    All places start at 0. Its one output is the sum of the outputs of `func` with random weights. A
    wrong derivative anywhere is wrong along almost every line, and a line costs one number where
    the whole Jacobian would cost thousands. For layers and training losses.
    """
    rng = np.random.default_rng(pick(0, 2**32 - 1))
    directions = {name: backend.array_module(x.data).empty_like(x.data)    # in the layout of x
                  for name, x in inputs.items()}
    for direction in directions.values():
        shape = direction.shape
        direction[...] = placed(rng.uniform(0.2, 1, shape) * rng.choice([-1, 1], shape))
    seed = pick(0, 2**32 - 1)

    def on_lines(*places):
        dtype = places[0].dtype                # the float32 checks come this way too
        moved = []
        for (name, x), place in zip(inputs.items(), places):
            start = x.detach().to(dtype)
            moved.append(start + place * directions[name] if x.requires_grad else start)
        out = func(*moved)
        weights = placed(np.random.default_rng(seed).uniform(-1, 1, out.shape))
        return sum(out * weights)

    starts = {name: Tensor(placed(np.zeros(())), x.requires_grad) for name, x in inputs.items()}
    return on_lines, starts


def seeded(func, seed):
    """`func` with the same random numbers in every call. The one generator is left as it was."""
    def same(*args):
        before = backend.generator.bit_generator.state
        backend.manual_seed(seed)
        try:
            return func(*args)
        finally:
            backend.generator.bit_generator.state = before
    return same
