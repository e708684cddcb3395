"""Floor 1: the heart. An array that remembers where it came from, and the walk back.

A `Tensor` wraps an array. `@op` turns a function on arrays into a *primitive*: called with Tensors
it computes, and records a `Node` with its arguments. `backward` and `grad` walk the nodes from the
newest to the oldest and apply the chain rule (reverse-mode differentiation, Linnainmaa 1970).

A primitive has one *derivative rule* per argument. A rule gets `g` (the gradient of the final
result with respect to the primitive's output), `out` (that output) and the arguments. It is written
with operators and our own functions, which take arrays and Tensors alike. So one rule has two
speeds: backward hands it raw arrays; with `create_graph=True` it hands it Tensors, and then the
rule is recorded too and can be differentiated again.
"""

import contextlib
import functools
import itertools
import operator
import threading

import numpy as np

from . import backend

OPS = []              # every primitive that @op decorated: the gradient checks walk this list
_clock = itertools.count(1)   # every node and every change in place takes the next number


class _State(threading.local):
    recording = True  # False inside no_grad(), in this thread


_state = _State()


class Tensor:
    """An array with a gradient. `ops/methods.py` gives it its operators and its other methods.

    `data` is the raw array and `grad` a Tensor or None. `node` is the operation that made this
    tensor, None for a leaf (a parameter or a constant). `version` is a list of one number, shared
    by all tensors on the same memory: when it was last changed in place.
    """

    __slots__ = ("data", "grad", "requires_grad", "node", "version", "__weakref__")
    __array_ufunc__ = None   # ndarray * Tensor asks Tensor.__rmul__, and np.exp(Tensor) raises

    def __init__(self, data, requires_grad=False, node=None, version=None):
        self.data = backend.as_array(data)
        self.grad = None
        self.requires_grad = requires_grad
        self.node = node
        self.version = [0] if version is None else version

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    dtype = property(lambda self: self.data.dtype)

    def changed(self):
        """Note that the memory of this tensor has just been changed in place."""
        self.version[0] = next(_clock)

    def __setstate__(self, state):
        """For pickle: the clock of the process that saved this may have been ahead of ours."""
        for values in state:           # of __dict__, where a subclass has one, and of the slots
            for name, value in (values or {}).items():
                setattr(self, name, value)
        self.version[0] = min(self.version[0], next(_clock))

    def backward(self, gradient=None, retain_graph=None, create_graph=False):
        """Add d(self)/d(leaf), times `gradient`, to the `grad` of every leaf that wants one.

        `grad` is then a new tensor: one that you kept from an earlier call stays as it was.
        """
        for leaf, g in _walk([self], [gradient], None, retain_graph, create_graph).items():
            g = g.clone() if create_graph else Tensor(g)
            leaf.grad = g if leaf.grad is None else leaf.grad + g


def raw(x):
    """The arrays behind `x`: a Tensor, or a tuple or list with Tensors in it."""
    if isinstance(x, (tuple, list)):
        return type(x)([raw(item) for item in x])
    return x.data if isinstance(x, Tensor) else x


class Node:
    """One recorded operation.

    `args` and `out` hold no Tensors, but their arrays (the Tensor of `out` would be a reference
    cycle). `parents` lists, for each argument i that wants a gradient, (i, its node or leaf). That
    is decided now, so a network frozen for this step stays frozen in this graph. `kept` is what the
    body kept for its rules, `cells` the versions of the memory that the rules may read (of each
    argument and of the output). Changes in place are on the same clock as `serial`, so a later one
    was made after this node.
    """

    __slots__ = ("serial", "op", "args", "options", "parents", "out", "kept", "cells")

    def __init__(self, op, args, options, parents, out, kept, cells):
        self.serial = next(_clock)
        self.op, self.args, self.options, self.parents = op, args, options, parents
        self.out, self.kept, self.cells = out, kept, cells

    def __reduce_ex__(self, protocol):
        raise RuntimeError("a tensor that a graph has computed cannot be copied or pickled; "
                           "detach() it first")


def op(*rules, rest=None, share=None, real=False):
    """Make a primitive of a function on arrays: one derivative rule for each leading argument.

    A rule is called as `rule(g, out, *arguments)` with the arguments of the body. `rest(i)` gives
    the rule of argument i of a primitive that takes any number of them (`cat`).

    What several rules need is computed once, by `share(g, out, *arguments, kept=...)`, and handed
    to each as `shared=`. The body then returns `(out, kept)`, and `kept` is what it kept, or None
    when the rules are recorded: then `share` must compute it from the arguments, because a kept
    value is a constant, and the derivative of a constant is zero.

    With `real`, integers are first converted to the default dtype: NumPy would compute in one that
    is as short as they are.

    A body may return a view of its first argument, but of no other: that is how changes in place
    are noticed. Called with arrays alone, a primitive is simply its body, so rules are fast.
    """
    def decorate(body):
        @functools.wraps(body)
        def primitive(*args, **options):
            for a in args:
                if isinstance(a, Tensor):
                    break
            else:
                return body(*args, **options)[0] if share else body(*args, **options)
            arrays, cells, parents, dtype, alike = [], [], [], None, True
            for i, a in enumerate(args):
                if isinstance(a, Tensor):
                    cells.append(a.version)
                    if a.requires_grad:
                        parents.append((i, a.node or a))
                    a = a.data
                    if dtype is None:
                        dtype = a.dtype
                    elif a.dtype is not dtype:
                        alike = False
                else:
                    cells.append([0])
                    if hasattr(a, "dtype"):
                        alike = False
                arrays.append(a)
            if not alike or options or dtype.kind != "f":
                arrays, options, dtype = _same_dtype(primitive, args, options)
            out = primitive.body(*arrays, **options)
            out, kept = out if share else (out, None)
            if out.dtype is not dtype and dtype is not None and out.dtype is backend.float64:
                out = out.astype(dtype)         # of integers and a Python float
            view = out is arrays[0] or (out.base is not None and _in_memory_of(arrays[0], out))
            version = cells[0] if view else [0]
            if not (parents and _state.recording and out.dtype.kind == "f"):
                return Tensor(out, False, None, version)
            cells.append(version)
            node = Node(primitive, arrays, options, parents, out, kept, cells)
            return Tensor(out, True, node, version)

        primitive.body, primitive.rule, primitive.share = body, rest or rules.__getitem__, share
        primitive.count, primitive.real = None if rest else len(rules), real
        OPS.append(primitive)
        return primitive
    return decorate


def _in_memory_of(x, out):
    """Whether the array `out` lies in the memory of `x`, as a reshaped or cut one does."""
    return type(out) is type(x) and backend.array_module(out).may_share_memory(out, x)


def _same_dtype(primitive, args, options):
    """The raw arrays behind `args`, with the differentiable ones in one floating dtype.

    Nothing promotes: integers, truth values and raw arrays join the dtype of the floating tensors,
    or the default one, and NumPy's own scalars, which change an array's dtype, become Python
    numbers. Returns the arrays, the options, and the dtype (None if the operation names its own).
    """
    floating = [a.dtype for a in args if isinstance(a, Tensor) and a.dtype.kind == "f"]
    if len(kinds := sorted(map(str, set(floating)))) > 1:
        raise TypeError(f"{primitive.__name__.strip('_')}: got tensors of {' and '.join(kinds)}, "
                        "which do not mix; convert one with .float() or .double()")
    arrays = [plain(raw(a)) for a in args]
    options = {name: plain(x) for name, x in options.items()}
    dtype = floating[0] if floating else backend.default_dtype
    for i, x in enumerate(arrays[:primitive.count]):
        if (floating or primitive.real) and backend.is_array(x):
            arrays[i] = x.astype(dtype, copy=False)
    return arrays, options, None if "dtype" in options else dtype


def plain(x):
    """A Python number for a NumPy scalar."""
    return x.item() if isinstance(x, np.generic) else x


def _walk(outputs, grad_outputs, inputs, retain_graph, create_graph):
    """Reverse-mode differentiation: {node or leaf: gradient} of `inputs`, or of all leaves (None).

    The order of creation is a topological order: every node was made after its arguments. So the
    nodes are visited from the newest to the oldest, and the gradient of each is complete when its
    turn comes. It is a loop, so a long chain does not meet Python's recursion limit.
    """
    gradients, ours = {}, set()      # `ours`: sums that were made here, so they may grow in place

    def add(key, g):
        if key not in gradients:
            gradients[key] = g
        elif key in ours:
            gradients[key] += g
        else:
            gradients[key] = gradients[key] + g
            if not create_graph:
                ours.add(key)

    for output, g in zip(outputs, grad_outputs):
        add(output.node or output, _first_gradient(output, g, create_graph))
    nodes = _reachable([output.node for output in outputs if output.node])
    targets = set() if inputs is None else {t.node or t for t in inputs}
    needed = set(targets)            # with `inputs`, only what lies between them and the outputs
    if inputs is not None:
        between = []
        for node in nodes:
            if any([parent in needed for _, parent in node.parents]):
                needed.add(node)
                between.append(node)
        nodes = between
    with set_grad_enabled(create_graph):
        while nodes:
            node = nodes.pop()
            g = gradients[node] if node in targets else gradients.pop(node)
            if node.args is None:
                raise RuntimeError(f"{node.op.__name__}: an earlier backward has released this "
                                   "graph; pass retain_graph=True there to walk it twice")
            for cell in node.cells:
                if cell[0] > node.serial:
                    raise RuntimeError(_changed(node))
            args, out, options = node.args, node.out, node.options
            if create_graph:
                args, out = _tensors(node)
            if node.op.share:
                options = dict(options, shared=node.op.share(
                    g, out, *args, **options, kept=None if create_graph else node.kept))
            for i, parent in node.parents:
                if inputs is not None and parent not in needed:
                    continue
                part = node.op.rule(i)(g, out, *args, **options)
                if part.shape != args[i].shape:
                    raise RuntimeError(
                        f"{node.op.__name__}: the rule of argument {i} gave a gradient of shape "
                        f"{part.shape} for an argument of shape {args[i].shape}")
                if not create_graph and (part is g or part.base is not None) and (
                        isinstance(parent, Tensor)):
                    part = part.copy("K")    # a leaf's gradient shares its memory with nothing
                add(parent, part)
            if not (create_graph if retain_graph is None else retain_graph):
                node.args = node.options = node.out = node.kept = node.cells = None
            args = out = options = g = part = None     # what the next node does not need
    return gradients


def argument_name(op, i):
    """What the body of the primitive `op` calls its argument i."""
    return op.__wrapped__.__code__.co_varnames[i] if op.count else f"argument {i}"


def _changed(node):
    """What to say of a change in place since `node` was recorded."""
    i = [cell[0] > node.serial for cell in node.cells].index(True)
    name = argument_name(node.op, i) if i < len(node.args) else "the result"
    return (f"{node.op.__name__}: {name} of shape {[*node.args, node.out][i].shape} was changed in "
            "place after it was used (by an optimiser step, load_state_dict or item assignment), "
            "so the gradient may be wrong; compute the result again before backward")


def _tensors(node):
    """The arguments and the output of `node` as Tensors, on the nodes and leaves they came from."""
    first = node.args[:node.op.count]                  # what has a rule, and so may be an array
    args = [Tensor(a, version=cell) if backend.is_array(a) else a
            for a, cell in zip(first, node.cells)] + node.args[len(first):]
    for i, parent in node.parents:
        leaf = isinstance(parent, Tensor)
        args[i] = parent if leaf else Tensor(node.args[i], True, parent, node.cells[i])
    return args, Tensor(node.out, True, node, node.cells[-1])


def _first_gradient(output, g, create_graph):
    """What the walk starts from: `g`, or 1 where the output is a single number."""
    if not output.requires_grad:
        raise RuntimeError("backward: this tensor depends on nothing that requires a gradient")
    if g is None:
        if output.data.size != 1:
            raise RuntimeError(f"backward: the output has shape {output.shape}, but only a single "
                               "number has a gradient of 1 to start from; reduce it with sum() or "
                               "mean(), or pass the gradient")
        g = backend.array_module(output.data).ones_like(output.data)
        return Tensor(g) if create_graph else g
    g = Tensor(g) if backend.is_array(g) else g
    if not hasattr(g, "dtype") or (g.shape, g.dtype) != (output.shape, output.dtype):
        given = f"{getattr(g, 'dtype', type(g).__name__)} {getattr(g, 'shape', '')}".strip()
        raise RuntimeError(f"backward: the gradient is {given}, but the output is {output.dtype} "
                           f"{output.shape}; pass a tensor that is like the output")
    return g if create_graph else raw(g).copy() if output.node is None else raw(g)


def _reachable(start):
    """All nodes that `start` depends on, oldest first."""
    seen, todo = set(start), start
    while todo:
        for _, parent in todo.pop().parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return sorted(seen, key=operator.attrgetter("serial"))


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False,
         allow_unused=False):
    """The gradients of the sum of `outputs` with respect to each of `inputs`, as a tuple.

    `grad_outputs` are the vectors that multiply the Jacobians from the left (1 for single numbers).
    With `create_graph=True` the results can be differentiated again. An input that the outputs do
    not depend on is an error; with `allow_unused=True` its gradient is None.
    """
    outputs, inputs, starts = [list(x) if isinstance(x, (tuple, list)) else [x]
                               for x in (outputs, inputs, grad_outputs)]
    starts = [None] * len(outputs) if grad_outputs is None else starts
    if len(starts) != len(outputs):
        raise ValueError(f"grad: got {len(outputs)} outputs and {len(starts)} grad_outputs; "
                         "pass one for each")
    if not all([t.requires_grad for t in inputs]):
        raise RuntimeError("grad: an input requires no gradient; call requires_grad_() on it first")
    gradients = _walk(outputs, starts, inputs, retain_graph, create_graph)
    results = [gradients.get(t.node or t) for t in inputs]
    if not allow_unused and any([g is None for g in results]):
        unused = [g is None for g in results].index(True)
        raise RuntimeError(f"grad: the outputs do not depend on input number {unused}; "
                           "allow_unused=True gives None for it")
    # A copy of a node's: a rule may have handed on memory that it shares, or that is read-only.
    return tuple([g if g is None or create_graph else Tensor(g.copy("K") if t.node else g)
                  for t, g in zip(inputs, results)])


class set_grad_enabled(contextlib.AbstractContextManager):
    """Record operations (True) or not (False), in this thread: from now on, or in a `with` block.

    As in PyTorch, the call alone switches.
    """

    def __init__(self, mode):
        self.before, _state.recording = _state.recording, mode

    def __exit__(self, *exception):
        _state.recording = self.before


def is_grad_enabled():
    """Whether operations are recorded, in this thread and place."""
    return _state.recording


@contextlib.contextmanager
def no_grad():
    """Record nothing inside this block: for evaluation and updates.

    Also a decorator of functions, but not of generators.
    """
    with set_grad_enabled(False):
        yield


@contextlib.contextmanager
def enable_grad():
    """Record operations inside this block, even within `no_grad()`. Also a decorator."""
    with set_grad_enabled(True):
        yield
