"""What a Tensor can do: the operators and methods that stand on the primitives.

The tables at the end hand them to `Tensor`. Names and arguments are PyTorch's.
"""

import operator

import numpy as np

from .. import backend
from ..backend import sizes
from ..tensor import Tensor, is_grad_enabled, plain, raw
from . import elementwise, indexing, matrix, reductions, shapes


def detach(self):
    """The same memory, cut off from the graph: no gradient flows through the result."""
    return Tensor(self.data, version=self.version)


def numpy(self):
    """The values as a NumPy array. On the host it shares the tensor's memory.

    What is written into it, or into `data`, goes unnoticed: a backward may then be wrong.
    """
    if self.requires_grad:
        raise RuntimeError("numpy: this tensor wants a gradient; call detach() before numpy()")
    return backend.to_device(self.data, "cpu")


def requires_grad_(self, requires_grad=True):
    """Want a gradient, or no longer, in all that is recorded from now on. Returns self."""
    if self.node is not None and not requires_grad:
        raise RuntimeError("requires_grad_(False) is for leaves; this tensor was computed: "
                           "detach() cuts it off")
    if requires_grad and self.dtype.kind != "f":
        raise RuntimeError("only a floating point tensor can require a gradient, "
                           f"and this one is {self.dtype}")
    self.requires_grad = requires_grad
    return self


def setitem(self, index, value):
    """self[index] = value, in place. Not for a tensor that a graph has computed."""
    if self.node is not None:
        raise RuntimeError("this would change a computed tensor in place; use .detach().clone()")
    if self.requires_grad and is_grad_enabled():
        raise RuntimeError("this would change a parameter in place; do it under no_grad()")
    if isinstance(value, Tensor) and value.requires_grad and is_grad_enabled():
        raise RuntimeError("item assignment would cut the value off from its graph; "
                           "use cat, stack or where, or assign value.detach()")
    self.data[raw(index)] = raw(value)
    self.changed()


def in_place(operation):
    """x += y and its like: in place, as in PyTorch.

    But where x was computed, or would change its dtype, `x` is from then on the name of a new
    tensor. It refuses a leaf x that wants a gradient, unless under no_grad(); a computed x under
    no_grad(); and a constant x that y would make part of a graph.
    """
    def change(self, other):
        result = operation(self, other)
        if (self.node and is_grad_enabled()) or result.dtype != self.dtype:
            return result
        if result.node and not self.requires_grad:
            raise RuntimeError("this would make a constant part of a graph: write x = x + y for a "
                               "new tensor, or x += y under no_grad()")
        self[...] = result
        return self
    return change


def to(self, target):
    """In another dtype, or on another device ("cpu", "cuda"); itself where nothing is to do."""
    try:
        dtype = self.dtype if target is None else np.dtype(target)
    except TypeError:                                # so it must be a device
        return self if target == self.device else shapes.to(self, device=target)
    return self if dtype == self.dtype else shapes.to(self, dtype=dtype)


def text(self):
    host = backend.to_device(self.data, "cpu")
    values = np.array2string(host, separator=", ", prefix="tensor(", precision=4)
    usual = self.dtype in (backend.default_dtype, backend.int64, backend.bool_)
    notes = [values] + [f"dtype={self.dtype}"] * (not usual)
    notes += ["device=cuda"] * (self.device != "cpu")
    if self.node is not None:
        notes.append(f"grad_fn=<{self.node.op.__name__}>")
    elif self.requires_grad:
        notes.append("requires_grad=True")
    return f"tensor({', '.join(notes)})"


def compare(relation):
    """A comparison or logical operation: truth values, through which no gradient flows."""
    return lambda *tensors: Tensor(relation(*[plain(raw(x)) for x in tensors]))


names = {
    elementwise: "abs exp log log1p sqrt sin cos tanh sigmoid relu clip clamp add sub mul div pow",
    reductions: "sum mean var std amax amin logsumexp softmax log_softmax norm",
    shapes: "flatten flip squeeze unsqueeze transpose contiguous split chunk",
    indexing: "argmax argmin gather max min"}
for module, functions in names.items():
    for name in functions.split():
        setattr(Tensor, name, getattr(module, name))
for name in "lt le gt ge eq ne and_ or_ invert".split():
    setattr(Tensor, f"__{name.strip('_')}__", compare(getattr(operator, name)))

operations = {"add": elementwise.add, "sub": elementwise.sub, "mul": elementwise.mul,
              "truediv": elementwise.div, "pow": elementwise.pow, "matmul": matrix.matmul}
for name, operation in operations.items():
    setattr(Tensor, f"__{name}__", operation)
    setattr(Tensor, f"__r{name}__", lambda x, y, operation=operation: operation(y, x))
    if name != "matmul":                   # x @= y has another shape
        setattr(Tensor, f"__i{name}__", in_place(operation))

Tensor.__neg__, Tensor.__abs__ = elementwise.neg, elementwise.abs
Tensor.__getitem__, Tensor.__setitem__ = indexing.getitem, setitem
Tensor.__len__, Tensor.__repr__ = (lambda self: len(self.data)), text
Tensor.__array__ = lambda self, dtype=None, copy=None: np.array(numpy(self), dtype, copy=copy)
Tensor.__iter__ = lambda self: (self[i] for i in range(len(self)))
Tensor.__bool__ = lambda self: bool(self.data)
Tensor.__format__ = lambda self, spec: format(self.item() if spec else str(self), spec)
for name, number in {"float": float, "int": int, "index": operator.index}.items():
    setattr(Tensor, f"__{name}__", lambda self, number=number: number(self.item()))

Tensor.matmul, Tensor.clone = matrix.matmul, shapes.copy
Tensor.reshape = Tensor.view = lambda self, *shape: shapes.reshape(self, sizes(shape))
Tensor.expand = lambda self, *shape: shapes.expand(self, sizes(shape))
Tensor.permute = lambda self, *dims: shapes.permute(self, sizes(dims))
Tensor.T = property(lambda self: shapes.permute(self, tuple(reversed(range(self.ndim)))))
Tensor.mT = property(lambda self: shapes.transpose(self, -1, -2))
Tensor.device = property(lambda self: backend.device_of(self.data))
Tensor.is_leaf = property(lambda self: self.node is None)
Tensor.detach, Tensor.numpy, Tensor.to, Tensor.requires_grad_ = detach, numpy, to, requires_grad_
Tensor.item, Tensor.tolist = (lambda self: self.data.item()), (lambda self: self.data.tolist())
Tensor.numel, Tensor.dim = (lambda self: self.data.size), (lambda self: self.data.ndim)
Tensor.size = lambda self, dim=None: self.shape if dim is None else self.shape[dim]
for name, target in {"float": backend.float32, "double": backend.float64, "long": backend.int64,
                     "bool": backend.bool_, "cpu": "cpu", "cuda": "cuda"}.items():
    setattr(Tensor, name, lambda self, target=target: to(self, target))
