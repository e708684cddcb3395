"""A strict double of CuPy, for machines without a GPU: CuPy's names and refusals, NumPy's numbers.

`cupy_api.json` lists every name of CuPy 14.2 with its parameters. The double offers exactly those,
and what it computes, NumPy computes. What CuPy refuses, it refuses: implicit conversion, NumPy
arrays beside its own, keywords that CuPy lacks, 0-d arrays as an index. So code that runs on it
uses nothing of NumPy that CuPy has not. Where the two differ in what is allowed, it is the
stricter one.
"""

import inspect
import json
import sys
import types
from pathlib import Path

import numpy as np

API = json.loads((Path(__file__).parent / "cupy_api.json").read_text("utf-8"))
AT = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}
CREATES = {"array", "asarray", "asanyarray"}       # what may take a NumPy array: it moves it here


def inside(x):
    """The NumPy arrays behind `x`, or a TypeError for what CuPy would not take."""
    if isinstance(x, ndarray):
        return x._array
    if isinstance(x, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>: a host array in a device call")
    if isinstance(x, (tuple, list)):
        return type(x)([inside(item) for item in x])
    return x


def outside(x):
    """What NumPy gave, as the device gives it: arrays, and 0-d arrays in the place of scalars."""
    if isinstance(x, (np.ndarray, np.generic)):
        return ndarray._of(np.asarray(x))
    if isinstance(x, (tuple, list)) and any(isinstance(i, (np.ndarray, np.generic)) for i in x):
        return type(x)([outside(item) for item in x])
    return x


def index(key):
    """An index that CuPy takes: no host array, and no 0-d array, which would be read back."""
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, ndarray) and part.ndim == 0:
            raise TypeError("Only integer scalars and arrays of 1 or more dimensions can be an "
                            "index: a 0-d device array")
    return inside(key)


def signature(parameters):
    if parameters is None:                 # compiled: the list does not know them
        parameters = [("args", "VAR_POSITIONAL"), ("kwargs", "VAR_KEYWORD")]
    return inspect.Signature([
        inspect.Parameter(name, getattr(inspect.Parameter, kind),
                          **({} if kind.startswith("VAR") else {"default": None}))
        for name, kind in parameters])


class ndarray:
    """An array of the double. `get()` brings it to the host; nothing else does."""

    __slots__ = ("_array",)
    __hash__ = None

    def __init__(self, *args, **kwargs):
        raise TypeError("the double makes arrays by its functions only")

    @classmethod
    def _of(cls, array):
        self = object.__new__(cls)
        self._array = array
        return self

    shape = property(lambda self: self._array.shape)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    dtype = property(lambda self: self._array.dtype)
    itemsize = property(lambda self: self._array.itemsize)
    nbytes = property(lambda self: self._array.nbytes)
    strides = property(lambda self: self._array.strides)
    T = property(lambda self: outside(self._array.T))
    mT = property(lambda self: outside(self._array.mT))
    base = property(lambda self: None if self._array.base is None else outside(self._array.base))
    device = property(lambda self: object())        # CuPy's Device: no string, as NumPy's is

    def get(self, stream=None, order="C", out=None, blocking=True):
        return self._array.copy(order=order)

    def item(self):
        return self._array.item()

    def tolist(self):
        return self._array.tolist()

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. "
                        "Please use `.get()` to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or ufunc.__name__ not in API["cupy"]:
            return NotImplemented
        return getattr(cupy, ufunc.__name__)(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        if function.__name__ not in API["cupy"]:
            return NotImplemented
        return getattr(cupy, function.__name__)(*args, **kwargs)

    def __getitem__(self, slices):
        return outside(self._array[index(slices)])

    def __setitem__(self, slices, value):
        self._array[index(slices)] = inside(value)

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        return iter([outside(row) for row in self._array])

    def __bool__(self):
        return bool(self._array)

    def __float__(self):
        return float(self._array)

    def __int__(self):
        return int(self._array)

    def __repr__(self):
        return repr(self._array)


def operator(name, in_place):
    def method(self, *others):
        arrays = [inside(other) for other in others]
        result = getattr(self._array, name)(*arrays)
        if in_place:
            return self
        return result if result is NotImplemented else outside(result)
    return method


BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
for name in ["neg", "pos", "abs", "invert", "lt", "le", "gt", "ge", "eq", "ne", *BINARY,
             *["r" + name for name in BINARY], *["i" + name for name in BINARY]]:
    dunder = f"__{name}__"
    if dunder in API["ndarray"] or name[1:] not in BINARY:
        setattr(ndarray, dunder, operator(dunder, name[0] == "i" and name[1:] in BINARY))


def array_method(name, parameters):
    """A method that takes CuPy's keywords, and computes as NumPy's of the same name."""
    names = [p if isinstance(p, str) else p[0] for p in parameters][1:]
    allowed = {p.split()[-1] for p in names if not p.startswith("*")}

    def method(self, *args, **kwargs):
        if unknown := set(kwargs) - allowed:
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown.pop()!r}")
        kwargs = {key: inside(value) for key, value in kwargs.items()}
        return outside(getattr(self._array, name)(*inside(args), **kwargs))
    return method


for name, what in API["ndarray"].items():
    if what["callable"] and not name.startswith("__") and name not in vars(ndarray) and (
            hasattr(np.ndarray, name)):
        setattr(ndarray, name, array_method(name, what["params"]))


class ufunc:
    """An elementwise function: `out`, `dtype` and `casting` are all the keywords that it takes."""

    def __init__(self, name, about):
        self.__name__, self.about = name, about
        if name in AT:
            self.at = self._at

    def __call__(self, *args, **kwargs):
        if unknown := set(kwargs) - set(self.about["kwargs"]):
            raise TypeError(f"Wrong arguments {unknown} of {self.__name__}")
        if any(isinstance(a, (list, tuple)) for a in args):
            raise TypeError(f"{self.__name__}: Unsupported type <class 'list'>")
        out = kwargs.pop("out", None)
        out = out[0] if isinstance(out, tuple) else out
        if out is not None:
            kwargs["out"] = inside(out)
        result = getattr(np, self.__name__)(*inside(args), **kwargs)
        return outside(result) if out is None else out

    def _at(self, a, indices, b=None):
        getattr(np, self.__name__).at(inside(a), index(indices), inside(b))


def function(name, parameters, module=np):
    """A function with CuPy's parameters, computed by NumPy's of the same name."""
    form, numpys = signature(parameters), getattr(module, name, None)

    def call(*args, **kwargs):
        form.bind(*args, **kwargs)
        if numpys is None:
            raise NotImplementedError(f"the double does not carry cupy.{name}")
        if name not in CREATES:
            args, kwargs = inside(args), {key: inside(value) for key, value in kwargs.items()}
        else:
            args = tuple([a._array if isinstance(a, ndarray) else a for a in args])
        out = kwargs.get("out")
        result = numpys(*args, **kwargs)
        return outside(result) if out is None else ndarray._of(out)
    call.__name__ = name
    return call


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """To the host: a copy of a device array, or what a host array is already."""
    return a.get(order=order) if isinstance(a, ndarray) else np.asarray(a)


def build():
    """The module: every name of the list, and nothing else."""
    module = types.ModuleType("cupy")
    for name, what in API["cupy"].items():
        if what["kind"] == "ufunc" and hasattr(np, name):
            value = ufunc(name, what)
        elif what["kind"] == "func":
            value = function(name, what["params"])
        elif hasattr(np, name):
            value = getattr(np, name)
        else:
            continue                       # classes of CuPy alone, such as RawKernel
        setattr(module, name, value)
    module.ndarray, module.asnumpy, module.__version__ = ndarray, asnumpy, API["version"]
    for path, numpys in (("linalg", np.linalg), ("fft", np.fft),
                         ("lib.stride_tricks", np.lib.stride_tricks)):
        part = types.SimpleNamespace(**{
            name: function(name, what["params"], numpys)
            for name, what in API[path].items() if what["kind"] == "func"})
        if path == "lib.stride_tricks":
            module.lib = types.SimpleNamespace(stride_tricks=part)
        else:
            setattr(module, path, part)
    return module


cupy = build()


def confirm():
    """Hold every name and parameter that tinygen uses against the installed CuPy.

        python tests/cupy_double.py

    It needs CuPy, but no GPU and no driver.
    """
    import cupy as real
    from test_cuda import SOURCES, used

    names = sorted({name for module, path in SOURCES.items()
                    for name in used(path.read_text("utf-8"))})
    missing = []
    for part, name in names:
        owner = real
        for step in part.split(".")[part == "cupy":]:
            owner = getattr(owner, step)
        if not hasattr(owner, name):
            missing.append(f"{part}.{name}")
        elif isinstance(getattr(owner, name), real.ufunc) != (API[part][name]["kind"] == "ufunc"):
            missing.append(f"{part}.{name} is another kind of thing than the list says")
    methods = [name for name in vars(ndarray) if name in API["ndarray"]]
    missing += [f"ndarray.{name}" for name in methods if not hasattr(real.ndarray, name)]
    print(f"CuPy {real.__version__}: {len(names)} names that the source uses and "
          f"{len(methods)} methods of arrays; "
          + (f"missing: {missing}" if missing else "all there"))
    return bool(missing)


def install(monkeypatch):
    """Let `import cupy` find the double, until the test ends."""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.exit(confirm())
