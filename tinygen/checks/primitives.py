"""Cases for every primitive, and for the functions of `ops` that are composed from them.

`PRIMITIVES` and `COMPOSED` give each name the function that draws its cases (see `draw.py`). The
name of a primitive is that of its body, so `_cat` and `_matmul` stand for `cat` and `matmul`. The
points keep clear of kinks and inside domains: finite differences mean nothing elsewhere, and tests
hold the ties exactly.
"""

import math

import numpy as np

from .. import backend, functional as F, ops
from ..ops import conv, elementwise, normalise, shapes
from .draw import along_lines, array, broadcast_shapes, chosen, placed, shape_of


def unary(func, positive=False):
    """A case for one number in, one number out."""
    return lambda pick: (func, {"x": array(pick, shape_of(pick), positive)})


def binary(func):
    """A case for two arguments that broadcast. No number of one equals one of the other."""
    def case(pick):
        x, y = broadcast_shapes(pick)
        return func, {"x": array(pick, x), "y": array(pick, y, shift=0.5)}
    return case


def pow_case(pick):
    if pick(0, 2) == 2:                          # a negative base allows whole exponents only
        n = pick(0, 4)
        return lambda x: x ** n, {"x": array(pick, shape_of(pick))}
    x, y = broadcast_shapes(pick)
    return ops.pow, {"x": array(pick, x, positive=True), "y": array(pick, y)}


def gate_case(pick):
    shape, low = shape_of(pick), chosen(pick, [0.0, 0.2, -0.5])
    condition = array(pick, shape).data > 0
    return lambda x: elementwise.gate(x, condition, low), {"x": array(pick, shape)}


def leaky_relu_case(pick):
    slope = chosen(pick, [0.01, 0.2, 0.0, 1.0, -0.5])
    return lambda x: ops.leaky_relu(x, slope), {"x": array(pick, shape_of(pick))}


def clip_case(pick):
    low, high = -0.5 * pick(0, 3), 0.5 * pick(0, 3)      # between the places of the grid
    low, high = chosen(pick, [(low, high), (low, None), (None, high)])
    return lambda x: ops.clip(x, low, high), {"x": array(pick, shape_of(pick))}


def where_case(pick):
    x, y = broadcast_shapes(pick)
    condition = array(pick, chosen(pick, [x, y, ()])).data > 0
    return lambda x, y: ops.where(condition, x, y), {"x": array(pick, x), "y": array(pick, y)}


def some_dims(pick, shape):
    """None, one dimension, or several of a shape, from the front or from the back."""
    if not shape or pick(0, 2) == 0:
        return None
    dims = tuple([i - len(shape) * pick(0, 1) for i in range(len(shape)) if pick(0, 1)])
    return dims if dims and pick(0, 1) else pick(-len(shape), len(shape) - 1)


def reduction(func, distinct=False, empty=False, positive=False):
    """A case for a function of (x, dim, keepdim)."""
    def case(pick):
        shape = shape_of(pick, empty=empty)
        dim, keepdim = some_dims(pick, shape), bool(pick(0, 1))
        return (lambda x: func(x, dim=dim, keepdim=keepdim),
                {"x": array(pick, shape, positive, distinct=distinct)})
    return case


def along_one(func, distinct=False):
    """A case for a function of (x, dim) that needs exactly one dimension."""
    def case(pick):
        shape = shape_of(pick, 1, empty=False)
        dim = pick(-len(shape), len(shape) - 1)
        return lambda x: func(x, dim), {"x": array(pick, shape, distinct=distinct)}
    return case


def logsumexp_case(pick):
    shape = shape_of(pick, 1, empty=False)
    dim, keepdim = some_dims(pick, shape), bool(pick(0, 1))
    dim = 0 if dim is None else dim
    return lambda x: ops.logsumexp(x, dim, keepdim), {"x": array(pick, shape)}


def norm_case(pick):
    p = chosen(pick, [2, 1, 3, 0.5, math.inf])
    return reduction(lambda x, dim, keepdim: ops.norm(x, p, dim, keepdim), distinct=True,
                     positive=p == math.inf)(pick)


def spread_case(func):
    """The variance and the standard deviation: of three numbers or more, no two of them equal."""
    def case(pick):
        shape = (3,) + shape_of(pick, 0, 1, empty=False)
        correction, keepdim = pick(0, 1), bool(pick(0, 1))
        dim = chosen(pick, [None, 0, -len(shape)])
        return lambda x: func(x, dim, correction, keepdim), {"x": array(pick, shape, distinct=True)}
    return case


def expand_case(pick):
    x, y = broadcast_shapes(pick)
    full = np.broadcast_shapes(x, y)
    lead = len(full) - len(x)
    target = tuple([-1 if i >= lead and x[i - lead] == n and pick(0, 3) == 3 else n
                    for i, n in enumerate(full)])
    return lambda x: ops.expand(x, target), {"x": array(pick, x)}


def sum_to_case(pick):
    full = shape_of(pick)
    target = tuple([1 if pick(0, 1) else n for n in full])[pick(0, len(full)):]
    return lambda x: ops.sum_to(x, target), {"x": array(pick, full)}


def reshape_case(pick):
    shape = shape_of(pick)
    n = math.prod(shape)
    guessed = [(-1,), (1, -1)] if n else []      # of no numbers, no size can be guessed
    target = chosen(pick, [(n,), (1, n), (n, 1, 1), tuple(reversed(shape)), *guessed])
    return lambda x: ops.reshape(x, target), {"x": array(pick, shape)}


def order_of(pick, ndim):
    """A permutation of `ndim` dimensions, some counted from the back."""
    left = list(range(ndim))
    return tuple([left.pop(pick(0, len(left) - 1)) - ndim * pick(0, 1) for _ in range(ndim)])


def permute_case(pick):
    shape = shape_of(pick)
    dims = order_of(pick, len(shape))
    return lambda x: ops.permute(x, dims), {"x": array(pick, shape)}


def flip_case(pick):
    shape = shape_of(pick, 1)
    dims = order_of(pick, len(shape))[:pick(1, len(shape))]
    return lambda x: ops.flip(x, dims), {"x": array(pick, shape)}


def pad_case(pick):
    shape = shape_of(pick, 1)
    widths = tuple([pick(0, 2) for _ in range(2 * pick(0, len(shape)))])
    return lambda x: F.pad(x, widths, value=-1.5), {"x": array(pick, shape)}


def joined(func, same):
    """Three pieces joined: all of the `same` shape, or of different sizes along the dimension."""
    def case(pick):
        shape = shape_of(pick, 0 if same else 1, 2)
        places = len(shape) + same            # the dimension that `stack` makes has one more
        dim = pick(-places, places - 1)
        pieces = {}
        for name in "xyz":
            size = list(shape)
            if not same:
                size[dim] = pick(0, 2)
            pieces[name] = array(pick, tuple(size))
        return lambda x, y, z: func((x, y, z), dim), pieces
    return case


def cut(func):
    """Pieces of one tensor along a dimension."""
    def case(pick):
        shape, n = shape_of(pick, 1), pick(1, 3)
        dim = pick(-len(shape), len(shape) - 1)
        return lambda x: func(x, n, dim), {"x": array(pick, shape)}
    return case


def viewed(func):
    """A view that drops, adds or joins dimensions: func(x, dim, dim)."""
    def case(pick):
        shape = shape_of(pick, 1)
        dims = sorted([pick(0, len(shape) - 1), pick(0, len(shape) - 1)])
        return lambda x: func(x, *dims), {"x": array(pick, shape)}
    return case


def index_of(pick, shape):
    """An index into an array of a shape without zeros: of each kind that NumPy knows."""
    def whole(n):
        return pick(-n, n - 1)

    def part(n):
        return slice(chosen(pick, [None, 0, 1, -1]), chosen(pick, [None, n, -1]),
                     chosen(pick, [None, 2, -1]))

    kind, n = pick(0, 6), shape[0]
    if kind == 0:
        return tuple([part(m) for m in shape])
    if kind == 1:
        return (whole(n),)
    if kind == 2:
        return (..., None, part(shape[-1]))
    if kind == 3:                                # a list; a place named twice gets both gradients
        return ([whole(n) for _ in range(3)],)
    if kind == 4:                                # an array for each dimension; they broadcast
        return tuple([placed(np.array([[whole(m)], [whole(m)]] if i else [whole(m), whole(m)]))
                      for i, m in enumerate(shape)])
    if kind == 5:
        return array(pick, shape).data > 0
    return (None, [whole(n), whole(n)], ...)


def getitem_case(pick):
    shape = shape_of(pick, 1, empty=False)
    index = index_of(pick, shape)
    return lambda x: x[index], {"x": array(pick, shape)}


def put_back_case(pick):
    shape = shape_of(pick, 1, empty=False)
    index = index_of(pick, shape)
    picked = placed(np.empty(shape))[index].shape
    return lambda x: ops.put_back(x, index, shape), {"x": array(pick, picked)}


def gather_case(pick):
    shape = shape_of(pick, 1, empty=False)
    dim = pick(-len(shape), len(shape) - 1)
    indices = placed(np.random.default_rng(pick(0, 99)).integers(0, shape[dim], shape))
    return lambda x: ops.gather(x, dim, indices), {"x": array(pick, shape)}


def matmul_case(pick):
    n, k, m = pick(1, 3), chosen(pick, [2, 1, 3, 0]), pick(1, 3)
    x, y = chosen(pick, [((n, k), (k, m)), ((k,), (k,)), ((k,), (k, m)), ((n, k), (k,)),
                         ((2, n, k), (k, m)), ((n, k), (2, k, m)), ((2, 1, n, k), (1, 2, k, m)),
                         ((1, k), (2, k, 1))])
    return ops.matmul, {"x": array(pick, x), "y": array(pick, y)}


def linear_case(pick):
    lead, n, m = shape_of(pick, 0, 2), pick(1, 3), pick(1, 3)
    return ops.linear, {"x": array(pick, lead + (n,)), "weight": array(pick, (m, n)),
                        "bias": array(pick, (m,))}


def total_product_case(pick):
    shape = shape_of(pick, 2, 3)
    return normalise.total_product, {"x": array(pick, shape), "y": array(pick, shape)}


def batch_norm_case(pick):
    """The batch's own moments, or given ones."""
    c = pick(1, 3)
    shape = (3, c) + shape_of(pick, 0, 2 if c == 1 else 1, empty=False)
    mean, var = array(pick, (c,)).data, array(pick, (c,), positive=True).data
    training, eps = pick(0, 2) < 2, chosen(pick, [1e-5, 0.5])
    return (lambda x, weight, bias: F.batch_norm(x, mean.copy(), var.copy(), weight, bias,
                                                 training, eps=eps),
            {"x": array(pick, shape, distinct=True), "weight": array(pick, (c,)),
             "bias": array(pick, (c,))})


def layer_norm_case(pick):
    shape = (2, 3) + shape_of(pick, 0, 1, empty=False)
    normalized = shape[-pick(1, len(shape) - 1):]
    if math.prod(normalized) == 1:
        normalized = shape[1:]
    return (lambda x, weight, bias: F.layer_norm(x, normalized, weight, bias),
            {"x": array(pick, shape, distinct=True), "weight": array(pick, normalized),
             "bias": array(pick, normalized)})


def convolution(pick):
    """The numbers of a convolution, and an image size that its kernel fits into."""
    kernel, stride, padding, dilation = [(pick(low, high), pick(low, high))
                                         for low, high in ((1, 3), (1, 3), (0, 2), (1, 2))]
    c, o = pick(1, 2), pick(1, 2)
    if pick(1, 4) == 4:       # rows of its result share products, as `conv.slide` does it
        c, o, kernel, dilation = conv.WIDE, conv.WIDE, (2 * stride[0], kernel[1]), (1, dilation[1])
    size = tuple([max(1, d * (k - 1) + 1 - 2 * p) + pick(0, 3)
                  for k, p, d in zip(kernel, padding, dilation)])
    return pick(1, 2), pick(1, 2), c, o, size, kernel, stride, padding, dilation


def conv2d_case(pick):
    n, groups, c, o, size, kernel, stride, padding, dilation = convolution(pick)
    return along_lines(
        pick, lambda x, weight, bias: F.conv2d(x, weight, bias, stride, padding, dilation, groups),
        {"x": array(pick, (n, groups * c, *size)), "weight": array(pick, (groups * o, c, *kernel)),
         "bias": array(pick, (groups * o,))})


def conv_transpose2d_case(pick):
    n, groups, c, o, size, kernel, stride, padding, dilation = convolution(pick)
    more = tuple([pick(0, max(s, d) - 1) for s, d in zip(stride, dilation)])
    size = tuple([m + 2 * p for m, p in zip(size, padding)])     # so that the result has a pixel
    return along_lines(
        pick, lambda x, weight, bias: F.conv_transpose2d(x, weight, bias, stride, padding, more,
                                                         groups, dilation),
        {"x": array(pick, (n, groups * c, *size)), "weight": array(pick, (groups * c, o, *kernel)),
         "bias": array(pick, (groups * o,))})


def conv2d_weight_case(pick):
    n, _, c, o, size, kernel, stride, padding, dilation = convolution(pick)
    positions = conv.out_size(size, kernel, stride, padding, dilation)
    return along_lines(
        pick, lambda x, y: conv.conv2d_weight(x, y, kernel, stride, padding, dilation),
        {"x": array(pick, (n, c, *size)), "y": array(pick, (n, o, *positions))})


def pooling(func):
    def case(pick):
        kernel, stride = (pick(1, 3), pick(1, 3)), (pick(1, 2), pick(1, 2))
        padding = tuple([pick(0, k // 2) for k in kernel])
        size = [max(1, k - 2 * p) + pick(0, 2) for k, p in zip(kernel, padding)]
        return along_lines(pick, lambda x: func(x, kernel, stride, padding),
                           {"x": array(pick, (pick(1, 2), pick(1, 2), *size), distinct=True)})
    return case


def upsample_case(pick):
    factor = chosen(pick, [2, 1, 3, (1, 2)])
    shape = pick(1, 2), 1, pick(1, 2), pick(1, 2)
    return lambda x: F.upsample(x, scale_factor=factor), {"x": array(pick, shape)}


PRIMITIVES = {
    "expand": expand_case, "sum_to": sum_to_case, "reshape": reshape_case, "permute": permute_case,
    "flip": flip_case, "pad": pad_case, "copy": unary(ops.copy),
    "contiguous": unary(ops.contiguous), "_cat": joined(ops.cat, same=False),
    "to": unary(lambda x: shapes.to(shapes.to(x, device="cpu"), device=backend.default_device)),
    "add": binary(ops.add), "sub": binary(ops.sub), "mul": binary(ops.mul), "div": binary(ops.div),
    "neg": unary(ops.neg), "pow": pow_case, "exp": unary(ops.exp),
    "log": unary(ops.log, positive=True), "log1p": unary(ops.log1p, positive=True),
    "sqrt": unary(ops.sqrt, positive=True), "abs": unary(ops.abs), "sin": unary(ops.sin),
    "cos": unary(ops.cos), "tanh": unary(ops.tanh), "sigmoid": unary(ops.sigmoid),
    "softplus": unary(ops.softplus), "gate": gate_case, "relu": unary(ops.relu),
    "leaky_relu": leaky_relu_case, "clip": clip_case,
    "maximum": binary(ops.maximum), "minimum": binary(ops.minimum),
    "_where": where_case, "sum": reduction(ops.sum, empty=True),
    "amax": reduction(ops.amax, distinct=True), "amin": reduction(ops.amin, distinct=True),
    "logsumexp": logsumexp_case, "softmax": along_one(ops.softmax),
    "log_softmax": along_one(ops.log_softmax), "_euclidean": reduction(ops.norm),
    "_matmul": matmul_case, "_linear": linear_case, "_getitem": getitem_case,
    "put_back": put_back_case, "batch_norm": batch_norm_case,
    "total_product": total_product_case, "conv2d": conv2d_case,
    "conv_transpose2d": conv_transpose2d_case, "conv2d_weight": conv2d_weight_case,
}

COMPOSED = {
    "stack": joined(ops.stack, same=True), "chunk": cut(ops.chunk), "split": cut(ops.split),
    "transpose": viewed(ops.transpose), "flatten": viewed(ops.flatten),
    "squeeze": viewed(lambda x, dim, _: ops.squeeze(x, dim)), "silu": unary(F.silu),
    "clamp": clip_case,
    "unsqueeze": viewed(lambda x, dim, _: ops.unsqueeze(x, dim)), "norm": norm_case,
    "mean": reduction(ops.mean), "var": spread_case(ops.var), "std": spread_case(ops.std),
    "max": along_one(ops.max, distinct=True), "min": along_one(ops.min, distinct=True),
    "gather": gather_case, "max_pool2d": pooling(F.max_pool2d),
    "avg_pool2d": pooling(F.avg_pool2d), "upsample": upsample_case, "layer_norm": layer_norm_case,
}
