"""Optimisers: how parameters move, given their gradients.

Small parameters, of up to 16,384 numbers, are updated together, because calling NumPy for each can
take longer than computing. Large ones are updated in pieces, whose arrays stay in the processor's
cache from one operation to the next. Parameters without a gradient are skipped.
There are no parameter groups: `optimizer.lr` is the learning rate of all.
"""

import math
from collections.abc import Iterable

from ..backend import array_module, to_device
from ..tensor import Tensor

SMALL = 2 ** 14       # up to how many numbers a parameter is updated together with others
PIECE = 2 ** 15       # how many numbers of a large one are updated at once


def as_list(parameters):
    """The parameters as a list. One tensor alone would iterate over its rows, and train nothing."""
    alone = isinstance(parameters, Tensor) or not isinstance(parameters, Iterable)
    found = [parameters] if alone else list(parameters)
    if alone or not all([isinstance(p, Tensor) for p in found]):
        inside = "" if alone else " of " + " and ".join(sorted({type(p).__name__ for p in found}))
        raise TypeError(f"got {type(parameters).__name__}{inside}; pass a list of parameters, "
                        "as model.parameters() gives")
    return found


def beside(p, array):
    """A copy of `array` in the dtype and the memory order of the parameter p, on its device."""
    copy = array_module(p.data).empty_like(p.data)
    copy[...] = to_device(array, p.device)
    return copy


def forget_subnormal(array):
    """Set to 0, in place, what is too small to have all its digits (below 1e-38 in float32).

    A running mean shrinks to that where gradients stay 0, as at the rim of MNIST's digits, and a
    processor takes up to 40 times as long for such numbers. (PyTorch keeps them, unless told to
    forget them by `torch.set_flush_denormal`.)
    """
    xp = array_module(array)
    array *= xp.abs(array) >= xp.finfo(array.dtype).tiny


def pieces(arrays):
    """Arrays of one shape, a few rows of each at a time, as views.

    The rows follow the dimension whose steps in the first array's memory are the longest.
    """
    strides, size = arrays[0].strides, arrays[0].size
    arrays = [a.swapaxes(0, strides.index(max(strides))) for a in arrays]
    rows = max(1, PIECE * len(arrays[0]) // size)
    for i in range(0, len(arrays[0]), rows):
        yield [a[i:i + rows] for a in arrays]


def in_a_row(arrays):
    """The numbers of all arrays, one after another, as one array of one dimension."""
    return array_module(arrays[0]).concatenate([a.reshape(-1) for a in arrays])


def parts(row, arrays):
    """What `in_a_row` has put together, as views in the shapes of the arrays."""
    start = 0
    for a in arrays:
        yield row[start:start + a.size].reshape(a.shape)
        start += a.size


class Optimizer:
    """What all optimisers share.

    A subclass has `update`; `names`, those of the arrays that it keeps for each parameter; and
    `settings`, what its constructor takes besides params and lr, kept under the same names.
    """

    names = settings = ()

    def __init__(self, params, lr, weight_decay=0.0):
        self.params = list(dict.fromkeys(as_list(params)))       # a shared one moves once
        if not self.params:
            raise ValueError(f"{type(self).__name__}: got no parameters to optimise")
        self.check(lr=lr, weight_decay=weight_decay)
        if any([p.node is not None for p in self.params]):
            raise ValueError(f"{type(self).__name__}: got a computed tensor, which no update would "
                             "reach; pass leaves, such as parameters or detached tensors")
        self.lr, self.weight_decay, self.schedules = lr, weight_decay, []
        self.state = [{} for _ in self.params]     # of each parameter: number of steps, arrays
        self.rows = {}                             # of small ones: {name: (all in one, its views)}

    def __getstate__(self):
        """For pickle and copy, which would make of a row and of its views arrays of their own."""
        return dict(vars(self), rows={})

    def check(self, **numbers):
        for name, number in numbers.items():
            if not number >= 0:                              # nan is not, either
                raise ValueError(f"{type(self).__name__}: {name} is {number}, but it must be "
                                 "a number of 0 or more")

    def zero_grad(self):
        """Forget all gradients."""
        for p in self.params:
            p.grad = None

    def step(self):
        """Move every parameter that has a gradient, in place."""
        moving = [(p, state) for p, state in zip(self.params, self.state) if p.grad is not None]
        for p, _ in moving:
            if not isinstance(p.grad, Tensor):
                raise TypeError(f"{type(self).__name__}: a gradient is a {type(p.grad).__name__}; "
                                "make it a tensor, as by tinygen.tensor()")
            if p.grad.data.shape != p.data.shape:
                raise ValueError(f"{type(self).__name__}: a parameter of shape {p.shape} has a "
                                 f"gradient of shape {p.grad.shape}; they must be equal")
        together = {}
        for p, state in moving:
            p.changed()
            arrays = p.data, p.grad.data, *self.next_state(p, state)
            if p.data.size > SMALL:
                whole = p.data.size <= PIECE or p.device != "cpu"
                for piece in [arrays] if whole else pieces(arrays):
                    self.move(state["step"], *piece)
            else:
                alike = state["step"], p.data.dtype, type(p.data)
                together.setdefault(alike, []).append((p, state))
        for (step, _, _), small in together.items():
            self.move_together(step, *zip(*small))

    def next_state(self, p, state):
        """The arrays that are kept for the parameter p, from now on for one more step."""
        if not state:
            zeros = array_module(p.data).zeros_like
            state.update({"step": 0}, **{name: zeros(p.data) for name in self.names})
        state["step"] += 1
        for name in self.names:
            a = state[name]
            if a.dtype != p.data.dtype or type(a) is not type(p.data):
                state[name] = a = beside(p, a)           # the model has been converted since
            if state["step"] % 100 == 0:
                forget_subnormal(a)
        return [state[name] for name in self.names]

    def move_together(self, step, small, states):
        """Move small parameters as one. From now on, what is kept for them lies in rows, too."""
        arrays = [p.data for p in small]
        x, g = in_a_row(arrays), in_a_row([p.grad.data for p in small])
        for name in self.names:
            _, views = self.rows.get(name, (None, []))
            if len(views) != len(states) or any([s[name] is not a for s, a in zip(states, views)]):
                row = in_a_row([state[name] for state in states])
                self.rows[name] = row, list(parts(row, arrays))
                for state, view in zip(states, self.rows[name][1]):
                    state[name] = view
        self.move(step, x, g, *[self.rows[name][0] for name in self.names])
        for a, moved in zip(arrays, parts(x, arrays)):
            a[...] = moved

    def move(self, step, x, g, *kept):
        """Update the parameter x in place, given its gradient and what is kept for it."""
        self.update(x, self.decay(x, g) if self.weight_decay else g, step, *kept)

    def decay(self, x, g):
        """The gradient with that of weight_decay |x|^2 / 2 added."""
        return g + self.weight_decay * x

    def update(self, x, g, step, *kept):
        """Move `x` in place, given its gradient and the arrays that are kept for it.

        Each number by itself: `x` may be many small parameters in a row, or rows of a large one.
        """
        raise NotImplementedError

    def state_dict(self):
        """{"lr": ..., "settings": {...}, "state": {parameter number: {"step": ..., name: array}}}.

        They share the optimiser's memory until its next step; copy what you want to keep.
        """
        states = {str(i): dict(state) for i, state in enumerate(self.state) if state}
        settings = {name: getattr(self, name) for name in self.settings}
        return {"lr": self.lr, "settings": settings, "state": states}

    def load_state_dict(self, state_dict):
        """Take over a saved state with its lr and settings, once all of it was checked.

        Its arrays are copied.
        """
        if not {"lr", "state"} <= set(state_dict):
            raise ValueError(f"load_state_dict: an optimiser's state has lr and state, but got "
                             f"{sorted(state_dict) or 'nothing'}")
        settings = {name: getattr(self, name) for name in self.settings}
        settings |= state_dict.get("settings", {})
        if set(settings) != set(self.settings):
            raise ValueError(f"load_state_dict: {type(self).__name__} does not fit a state with "
                             f"the settings {sorted(state_dict['settings'])}")
        other = type(self)(self.params, float(state_dict["lr"]), **settings)
        for i, state in state_dict["state"].items():
            if int(i) not in range(len(self.params)) or set(state) != {"step", *other.names}:
                raise ValueError(f"load_state_dict: {type(self).__name__} over {len(self.params)} "
                                 f"parameters does not fit a state for parameter {i} "
                                 f"with {sorted(state)}")
            p = self.params[int(i)]
            for name in other.names:
                if state[name].shape != p.shape or state[name].dtype.kind != "f":
                    raise ValueError(f"load_state_dict: {name} of parameter {i} has shape "
                                     f"{state[name].shape}, but the parameter has {p.shape}; "
                                     f"its dtype is {state[name].dtype}, expected a float")
            arrays = {name: beside(p, state[name]) for name in other.names}
            other.state[int(i)] = {"step": int(state["step"]), **arrays}
        self.lr, self.names, self.state = other.lr, other.names, other.state
        vars(self).update({name: getattr(other, name) for name in self.settings})


class SGD(Optimizer):
    """x -= lr b, with b = momentum b + (1 - dampening) g; the first b is g.

    Nesterov's form takes g + momentum b instead of b (Sutskever et al. 2013).
    """

    settings = ("momentum", "dampening", "weight_decay", "nesterov")

    def __init__(self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0,
                 nesterov=False):
        super().__init__(params, lr, weight_decay)
        self.check(momentum=momentum)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs momentum above 0 and no dampening, "
                             f"got {momentum} and {dampening}")
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        self.names = ("momentum_buffer",) if momentum else ()

    def update(self, x, g, step, b=None):
        if b is not None:
            b *= self.momentum
            b += g if step == 1 else (1 - self.dampening) * g
            g = g + self.momentum * b if self.nesterov else b
        x -= self.lr * g


class Adagrad(Optimizer):
    """x -= lr g / (sqrt(sum of all g^2) + eps) (Duchi et al. 2011)."""

    names, settings = ("sum",), ("lr_decay", "weight_decay", "eps")

    def __init__(self, params, lr=1e-2, lr_decay=0.0, weight_decay=0.0, *, eps=1e-10):
        super().__init__(params, lr, weight_decay)
        self.check(lr_decay=lr_decay, eps=eps)
        self.lr_decay, self.eps = lr_decay, eps

    def update(self, x, g, step, total):
        total += g * g
        lr = self.lr / (1 + (step - 1) * self.lr_decay)
        x -= lr * g / (array_module(x).sqrt(total) + self.eps)


class RMSprop(Optimizer):
    """x -= lr g / (sqrt(v) + eps), v a running mean of g^2 (Hinton 2012, lecture 6).

    With `centered`, v is the variance instead.
    """

    settings = ("alpha", "eps", "weight_decay", "momentum", "centered")

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0,
                 centered=False):
        super().__init__(params, lr, weight_decay)
        self.check(alpha=alpha, eps=eps, momentum=momentum)
        self.alpha, self.eps, self.momentum, self.centered = alpha, eps, momentum, centered
        self.names = (("square_avg",) + ("grad_avg",) * bool(centered)
                      + ("momentum_buffer",) * bool(momentum))

    def update(self, x, g, step, square, *kept):
        square *= self.alpha
        square += (1 - self.alpha) * g * g
        spread = square
        if self.centered:
            average = kept[0]
            average += (1 - self.alpha) * (g - average)
            spread = square - average * average
        change = g / (array_module(x).sqrt(spread) + self.eps)
        if self.momentum:
            b = kept[-1]
            b *= self.momentum
            b += change
            change = b
        x -= self.lr * change


class Adam(Optimizer):
    """x -= lr m' / (sqrt(v') + eps), m and v means of g and g^2 (Kingma and Ba 2015, algorithm 1).

    Both running means start at 0; m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t) correct that.
    Here the corrections are folded into the step size and eps (section 2), which saves two passes
    over memory.
    """

    names, settings = ("exp_avg", "exp_avg_sq"), ("betas", "eps", "weight_decay")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.check(eps=eps)
        if not (isinstance(betas, (tuple, list)) and len(betas) == 2
                and all([0 <= beta < 1 for beta in betas])):
            raise ValueError(f"{type(self).__name__}: betas are {betas}, "
                             "but they must be two numbers in [0, 1)")
        self.betas, self.eps = tuple(betas), eps

    def update(self, x, g, step, m, v):
        beta1, beta2 = self.betas
        correction = math.sqrt(1 - beta2 ** step)
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        square = g * g
        square *= 1 - beta2
        v += square
        root = array_module(x).sqrt(v, out=square)
        root += self.eps * correction
        change = array_module(x).divide(m, root, out=root)
        change *= self.lr * correction / (1 - beta1 ** step)
        x -= change


class AdamW(Adam):
    """Adam that shrinks x itself, x *= 1 - lr weight_decay, not g (Loshchilov and Hutter 2019)."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(params, lr, betas, eps, weight_decay)

    def decay(self, x, g):
        x *= 1 - self.lr * self.weight_decay
        return g
