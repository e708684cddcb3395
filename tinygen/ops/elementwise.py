"""Elementwise: one number in, one number out, with NumPy's broadcasting between two arguments.

Where broadcasting repeated an argument, each copy sends back a gradient, and `sum_to` adds them up.
"""

from numbers import Real

from .. import backend
from ..backend import array_module, float32, is_array
from ..tensor import Tensor, op, raw
from .shapes import mask, sum_to


@op(lambda g, out, x, y: sum_to(g, x.shape),
    lambda g, out, x, y: sum_to(g, y.shape))
def add(x, y):
    return x + y


@op(lambda g, out, x, y: sum_to(g, x.shape),
    lambda g, out, x, y: sum_to(-g, y.shape))
def sub(x, y):
    return x - y


@op(lambda g, out, x, y: sum_to(g * y, x.shape),
    lambda g, out, x, y: sum_to(g * x, y.shape))
def mul(x, y):
    return x * y


@op(lambda g, out, x, y: sum_to(g / y, x.shape),
    lambda g, out, x, y: sum_to(-g * out / y, y.shape), real=True)
def div(x, y):
    return x / y


@op(lambda g, out, x: -g)
def neg(x):
    return -x


# At x = y = 0 the base is taken as 1, so that the factor y makes d(x^y)/dx = y x^(y-1) zero. In the
# second rule log(1) = 0 stands in for log(0), which x^y = 0 would multiply.
@op(lambda g, out, x, y: sum_to(g * y * pow(x + mask((x == 0) * (y == 0), g), y - 1), x.shape),
    lambda g, out, x, y: sum_to(g * out * log(x + mask(x == 0, g)), y.shape))
def pow(x, y):
    """x to the power y."""
    # NumPy multiplies for squares; other powers of negative numbers take 10 to 300 times as long.
    return x * x * x if isinstance(y, Real) and y == 3 else x ** y


@op(lambda g, out, x: g * out, real=True)
def exp(x):
    return array_module(x).exp(x)


@op(lambda g, out, x: g / x, real=True)
def log(x):
    """The natural logarithm."""
    return array_module(x).log(x)


@op(lambda g, out, x: g / (1 + x), real=True)
def log1p(x):
    """log(1 + x), exact also where x is tiny."""
    return array_module(x).log1p(x)


@op(lambda g, out, x: g / (2 * out), real=True)
def sqrt(x):
    return array_module(x).sqrt(x)


@op(lambda g, out, x: g * (mask(x > 0, g) - mask(x < 0, g)))
def abs(x):
    """|x|, with abs'(0) = 0."""
    return array_module(x).abs(x)


@op(lambda g, out, x: g * cos(x), real=True)
def sin(x):
    return array_module(x).sin(x)


@op(lambda g, out, x: -g * sin(x), real=True)
def cos(x):
    return array_module(x).cos(x)


@op(lambda g, out, x: g * (1 - out * out), real=True)
def tanh(x):
    return array_module(x).tanh(x)


@op(lambda g, out, x: g * out * (1 - out), real=True)
def sigmoid(x):
    """1 / (1 + exp(-x)), with the exponent kept below what overflows in x's dtype."""
    xp = array_module(x)
    return 1 / (1 + xp.exp(xp.minimum(-x, 88 if x.dtype == float32 else 709)))


@op(lambda g, out, x: g * sigmoid(x), real=True)
def softplus(x):
    """log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    xp = array_module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@op(lambda g, out, x, condition, low=0.0: gate(g, condition, low))
def gate(x, condition, low=0.0):
    """x where `condition` (truth values) holds, else low * x: 0 for low = 0, also of infinite x.

    As a product, of the numbers or of their bits, which takes an eighth of the time of np.where if
    the condition is random.
    """
    if not low:          # bits, read as an integer, stay as they are times 1, and are 0 times 0
        bits = f"i{x.itemsize}"
        return (array_module(x).asarray(condition, bits) * x.view(bits)).view(x.dtype)
    factor = array_module(x).asarray(condition, x.dtype)
    factor *= 1 - low
    factor += low
    factor *= x
    return factor


@op(lambda g, out, x: gate(g, out > 0))
def relu(x):
    """max(x, 0), with relu'(0) = 0."""
    xp = array_module(x)
    out = xp.zeros_like(x)                     # twice as fast as against the number 0
    return xp.maximum(x, out, out=out)


@op(lambda g, out, x, negative_slope=0.01: gate(g, x > 0, negative_slope), real=True)
def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope * x, with leaky_relu'(0) = negative_slope."""
    xp = array_module(x)
    out = xp.multiply(x, negative_slope, out=xp.empty_like(x))
    return (xp.maximum if negative_slope <= 1 else xp.minimum)(x, out, out=out)


# At a tie each argument gets half, so that maximum(x, x) has the gradient of x.
@op(lambda g, out, x, y: sum_to(gate(g, x > y) + 0.5 * gate(g, x == y), x.shape),
    lambda g, out, x, y: sum_to(gate(g, x < y) + 0.5 * gate(g, x == y), y.shape))
def maximum(x, y):
    return array_module(x).maximum(x, y)


@op(lambda g, out, x, y: sum_to(gate(g, x < y) + 0.5 * gate(g, x == y), x.shape),
    lambda g, out, x, y: sum_to(gate(g, x > y) + 0.5 * gate(g, x == y), y.shape))
def minimum(x, y):
    return array_module(x).minimum(x, y)


@op(lambda g, out, x, min=None, max=None: gate(g, inside(x, min, max)))
def clip(x, min=None, max=None):
    """x limited to [min, max]; the gradient passes where x lies inside or on a bound.

    The bounds are numbers, or None; for tensors, use `maximum` and `minimum`.
    """
    if not all([bound is None or isinstance(bound, Real) for bound in (min, max)]):
        raise TypeError("clip: min and max must be numbers or None; "
                        "for tensors, use maximum and minimum")
    return array_module(x).clip(x, min, max)


clamp = clip          # PyTorch has both names


def inside(x, low, high):
    """Whether low <= x <= high. None is no bound: x stands in for it, and x >= x holds."""
    return (x >= (x if low is None else low)) * (x <= (x if high is None else high))


@op(lambda g, out, x, y, condition: sum_to(gate(g, condition), x.shape),
    lambda g, out, x, y, condition: sum_to(gate(g, condition == 0), y.shape))
def _where(x, y, condition):
    return array_module(condition).where(condition, x, y)


def where(condition, x, y):
    """x where `condition` holds (is not 0), else y. The gradient follows the choice.

    Of two numbers the result has the default dtype.
    """
    xp = array_module(raw(condition))
    if isinstance(condition, Tensor) and not (isinstance(x, Tensor) or isinstance(y, Tensor)):
        x = Tensor(x if is_array(x) else xp.asarray(x, backend.default_dtype))
    return _where(x, y, xp.asarray(raw(condition)) != 0)
