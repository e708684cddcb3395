"""What a network is: parameters, buffers and other networks, found among an object's attributes."""

from .. import backend
from ..backend import is_array
from ..tensor import Tensor, raw


class Parameter(Tensor):
    """A tensor that is trained: it wants a gradient, and its module finds it."""

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(raw(data), version=getattr(data, "version", None))
        self.requires_grad_(requires_grad)

    def __setattr__(self, name, value):
        """`p.data = p.data - 0.1 * p.grad` computes a tensor; its array becomes the data."""
        super().__setattr__(name, raw(value) if name == "data" else value)


class Buffer(Tensor):
    """A tensor that is part of a module's state but not trained, such as a running mean."""

    __slots__ = ()

    def __init__(self, data):
        super().__init__(raw(data), version=getattr(data, "version", None))


def each_once(named):
    """The pairs (name, thing) without those whose thing has come before."""
    found = {}
    for name, thing in named:
        found.setdefault(id(thing), (name, thing))
    return list(found.values())


class Module:
    """A part of a network, with Parameters, Buffers and Modules as attributes, and `forward`."""

    training = True

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} has no forward(); write one")

    def __setattr__(self, name, value):
        """A parameter stays one, and a tensor or array assigned to a buffer becomes the buffer."""
        old = vars(self).get(name)
        if isinstance(old, Parameter) and not isinstance(value, (Parameter, type(None))):
            raise TypeError(f"{type(self).__name__}: {name} is a Parameter, so assign one, not "
                            f"{type(value).__name__}; or change it in place under no_grad()")
        if isinstance(old, Buffer) and (type(value) is Tensor or is_array(value)):
            if getattr(value, "requires_grad", False):
                raise RuntimeError(f"{type(self).__name__}: {name} is a Buffer, which would cut "
                                   "the value off from its graph; assign value.detach()")
            value = Buffer(value)
        super().__setattr__(name, value)

    def register_buffer(self, name, tensor):
        """self.name = Buffer(tensor)."""
        setattr(self, name, Buffer(tensor))

    def __call__(self, *inputs, **options):
        return self.forward(*inputs, **options)

    def parts(self):
        """(name, Module) of every attribute that is a module, a shared one twice."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def named_children(self):
        """(name, Module) of the modules right below this one, each once."""
        return each_once(self.parts())

    def children(self):
        return [child for _, child in self.named_children()]

    def modules(self):
        """This module and all below it, each once."""
        below = [module for child in self.children() for module in child.modules()]
        return list(dict.fromkeys([self, *below]))

    def named_tensors(self, kinds, prefix=""):
        """(name, tensor) of each Parameter or Buffer, own, then each child's, shared ones twice."""
        own, below = [], []
        for name, value in vars(self).items():
            if isinstance(value, kinds):
                own.append((prefix + name, value))
            elif isinstance(value, Module):
                below += value.named_tensors(kinds, f"{prefix}{name}.")
        return own + below

    def named_parameters(self):
        """(name, Parameter), each parameter once, also where two modules share it."""
        return each_once(self.named_tensors(Parameter))

    def parameters(self):
        return [p for _, p in self.named_parameters()]

    def named_buffers(self):
        """(name, Buffer), each buffer once."""
        return each_once(self.named_tensors(Buffer))

    def buffers(self):
        return [b for _, b in self.named_buffers()]

    def state_dict(self):
        """{name: Tensor} of parameters and buffers, under PyTorch's names.

        They share the module's memory, so training goes on changing them; copy them to keep them.
        """
        return {name: t.detach() for name, t in self.named_tensors((Parameter, Buffer))}

    def load_state_dict(self, state_dict, strict=True):
        """Copy the tensors or arrays of `state_dict` into this module, once all were checked.

        With `strict` the names must match exactly. The shapes must, and the dtypes within their
        kind: float64 fits float32, but no float an integer. On any fault a ValueError says what is
        wrong, and nothing is changed.
        """
        own = dict(self.named_tensors((Parameter, Buffer)))
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        if strict and (missing or unexpected):
            raise ValueError(f"load_state_dict: {type(self).__name__} and the state do not have "
                             f"the same names: missing {missing}, unexpected {unexpected}; "
                             "build the same model, or pass strict=False")
        found = {name: raw(state_dict[name]) for name in own if name in state_dict}
        for name, value in found.items():
            if not (backend.is_array(value) and backend.array_module(value).can_cast(
                    value.dtype, own[name].dtype, "same_kind")):
                given = value.dtype if backend.is_array(value) else type(value).__name__
                raise ValueError(f"load_state_dict: {name} is {given} in the state, "
                                 f"but {own[name].dtype} in {type(self).__name__}")
            if value.shape != own[name].shape:
                raise ValueError(f"load_state_dict: {name} has shape {value.shape} in the state, "
                                 f"but {own[name].shape} in {type(self).__name__}")
        for name, value in found.items():
            own[name].data[...] = backend.to_device(value, own[name].device)
            own[name].changed()
        return missing, unexpected

    def train(self, mode=True):
        """Behave as in training: dropout drops, batch norm uses the batch."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Behave as in use: no dropout, and batch norm uses its running moments."""
        return self.train(False)

    def zero_grad(self):
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    def requires_grad_(self, requires_grad=True):
        """Freeze (False) or unfreeze all parameters, in what is recorded from now on."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def to(self, target):
        """Floating tensors in another dtype, or everything on another device ("cpu", "cuda")."""
        for _, t in each_once(self.named_tensors((Parameter, Buffer))):
            if target in ("cpu", "cuda") or t.dtype.kind == "f":
                moved = t.detach().to(target).data
                if t.dtype.kind == "f" and moved.dtype not in (backend.float32, backend.float64):
                    raise TypeError(f"{type(self).__name__}: to() got {moved.dtype}, but what is "
                                    "trained must be float32 or float64")
                if moved is not t.data:
                    t.data = moved
                    t.changed()
                t.grad = None if t.grad is None else t.grad.detach().to(target)
        return self

    def float(self):
        return self.to(backend.float32)

    def double(self):
        return self.to(backend.float64)

    def apply(self, function):
        """Call `function` on every module below this one, then on this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def extra_repr(self):
        """What stands between the brackets of this module's repr."""
        return ""

    def __repr__(self):
        head = f"{type(self).__name__}({self.extra_repr()}"
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ")
                 for name, child in self.parts()]
        return "\n".join([head, *lines, ")"]) if lines else head + ")"


class ModuleList(Module):
    """Modules in a list, which the enclosing module finds."""

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module, "
                            f"got {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self):
        return len(self.parts())

    def __iter__(self):
        return iter([module for _, module in self.parts()])

    def __getitem__(self, index):
        found = list(self)[index]
        if not isinstance(index, slice):
            return found
        return type(self)(*found) if isinstance(self, Sequential) else type(self)(found)


class Sequential(ModuleList):
    """Modules one after the other: each gets what the one before it returned."""

    def __init__(self, *modules):
        super().__init__(modules)

    def forward(self, x):
        for module in self:
            x = module(x)
        return x
