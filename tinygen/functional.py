"""Floor 3: compositions of primitives. Names, arguments and defaults are `torch.nn.functional`'s.

But the first argument is called `x`, or `indices` where it is integers, except in the losses. Those
take `reduction`, by its name: "mean" over all elements (the default, as in PyTorch), "sum", or
"none".
"""

import math
from numbers import Integral

from . import backend
from .backend import array_module
from .ops import (abs, cat, chunk, conv, exp, expand, flatten, getitem, leaky_relu, linear, log,
                  log_softmax, maximum, mean, normalise, relu, reshape, shapes, sigmoid, softmax,
                  softplus, sqrt, sum, tanh, unsqueeze, where)
from .creation import full_like
from .tensor import Tensor, is_grad_enabled, raw

__all__ = ["relu", "leaky_relu", "sigmoid", "tanh", "softplus", "silu", "softmax", "log_softmax",
           "linear", "conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "upsample", "pad",
           "dropout", "embedding", "one_hot", "batch_norm", "layer_norm",
           "binary_cross_entropy_with_logits", "mse_loss", "l1_loss", "cross_entropy", "nll_loss",
           "gaussian_nll_loss", "gaussian_kl"]


def silu(x):
    """x sigmoid(x) (Elfwing et al. 2018), also called swish."""
    return x * sigmoid(x)


def pair(n):
    """A number for both image directions, or a (vertical, horizontal) pair."""
    both = tuple(n) if isinstance(n, (tuple, list)) else (n, n)
    if len(both) != 2 or not all([isinstance(i, Integral) for i in both]):
        raise ValueError(f"got {n!r}; expected one whole number, or a (vertical, horizontal) pair")
    return both


def check_convolution(name, x, weight, bias, stride, padding, dilation, groups):
    """A ValueError says what does not fit.

    The weight is (O, C / groups, kh, kw), or (C, O / groups, kh, kw) if `name` says "transpose".
    """
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"{name}: expected x (N, C, H, W) and weight of 4 dimensions, "
                         f"got shapes {x.shape} and {weight.shape}; "
                         "add missing dimensions with unsqueeze")
    first, second, transposed = weight.shape[0], weight.shape[1] * groups, "transpose" in name
    if groups < 1 or first % groups:
        raise ValueError(f"{name}: {first} {'input' if transposed else 'output'} channels "
                         f"do not divide into {groups} groups")
    inputs, outputs = (first, second) if transposed else (second, first)
    if x.shape[1] != inputs:
        raise ValueError(f"{name}: x has {x.shape[1]} channels, weight expects {inputs}")
    if min(stride + dilation) < 1 or min(padding) < 0:
        raise ValueError(f"{name}: stride {stride} and dilation {dilation} must be 1 or more, "
                         f"and padding {padding} 0 or more")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{name}: bias has shape {bias.shape}, expected ({outputs},)")


def by_group(convolution, groups, x, weight, bias, *geometry):
    """The channels in `groups` groups, each convolved with its part of the weight and bias."""
    if groups == 1:
        return convolution(x, weight, bias, *geometry)
    biases = [None] * groups if bias is None else chunk(bias, groups)
    return cat([convolution(*part, *geometry)
                for part in zip(chunk(x, groups, 1), chunk(weight, groups), biases)], 1)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """The 2-D convolution (in fact the cross-correlation, as everywhere in deep learning).

    x (N, C, H, W), weight (O, C / groups, kh, kw), bias (O,) or None; the result is (N, O, oh, ow)
    with oh = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1. `ops/conv.py` explains how.
    """
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    check_convolution("conv2d", x, weight, bias, stride, padding, dilation, groups)
    size = conv.out_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    if min(size) < 1:
        raise ValueError(f"conv2d: a kernel of {weight.shape[2:]} does not fit into an image of "
                         f"{x.shape[2:]} with padding {padding}; pad more, or use a smaller kernel")
    learns = isinstance(weight, Tensor) and weight.requires_grad and is_grad_enabled()
    keep = learns and groups == 1          # each group would keep as much
    return by_group(conv.conv2d, groups, x, weight, bias, stride, padding, dilation, keep)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1,
                     dilation=1):
    """The transpose of `conv2d`, which makes images larger (or: fractionally strided convolution).

    x (N, C, H, W), weight (C, O / groups, kh, kw), bias (O,) or None; the result is (N, O, oh, ow)
    with oh = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.
    """
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    more = pair(output_padding)
    check_convolution("conv_transpose2d", x, weight, bias, stride, padding, dilation, groups)
    if any([not 0 <= m < max(s, d) for m, s, d in zip(more, stride, dilation)]):
        raise ValueError(f"conv_transpose2d: output_padding {more} must be 0 or more, and smaller "
                         f"than stride {stride} or dilation {dilation}")
    size = tuple([(n - 1) * s - 2 * p + d * (k - 1) + m + 1 for n, s, p, d, k, m in
                  zip(x.shape[2:], stride, padding, dilation, weight.shape[2:], more)])
    if min(size) < 1:
        raise ValueError(f"conv_transpose2d: the result would have size {size}; use less padding")
    return by_group(conv.conv_transpose2d, groups, x, weight, bias, stride, padding, dilation, size)


def pad_images(x, padding, value):
    ph, pw = padding
    return shapes.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), value) if ph or pw else x


def check_pool(name, x, kernel, stride, padding):
    if x.ndim != 4:
        raise ValueError(f"{name}: expected x (N, C, H, W), got shape {x.shape}")
    if min(kernel + stride) < 1 or min(padding) < 0:
        raise ValueError(f"{name}: kernel {kernel} and stride {stride} must be 1 or more, "
                         f"and padding {padding} 0 or more")
    if any([2 * p > k for p, k in zip(padding, kernel)]):
        raise ValueError(f"{name}: padding {padding} must be at most half of the kernel {kernel}")
    if any([n + 2 * p < k for n, p, k in zip(x.shape[2:], padding, kernel)]):
        raise ValueError(f"{name}: a kernel of {kernel} does not fit "
                         f"into an image of {x.shape[2:]}")


def shifts(x, kernel, stride):
    """For each place (i, j) in the kernel, what it meets: kh * kw images of the output's size."""
    (sh, sw), (oh, ow) = stride, conv.out_size(x.shape[2:], kernel, stride, (0, 0), (1, 1))
    return [x[:, :, i:i + (oh - 1) * sh + 1:sh, j:j + (ow - 1) * sw + 1:sw]
            for i in range(kernel[0]) for j in range(kernel[1])]


def max_pool2d(x, kernel_size, stride=None, padding=0):
    """The largest value under the kernel. Of several, the first gets the whole gradient."""
    kernel, padding = pair(kernel_size), pair(padding)
    stride = kernel if stride is None else pair(stride)
    check_pool("max_pool2d", x, kernel, stride, padding)
    best, *others = shifts(pad_images(x, padding, -math.inf), kernel, stride)
    for other in others:
        best = where((other > best) | (other != other), other, best)      # a nan stays
    return best


def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """The mean under the kernel, where padding counts as zeros."""
    kernel, padding = pair(kernel_size), pair(padding)
    stride = kernel if stride is None else pair(stride)
    check_pool("avg_pool2d", x, kernel, stride, padding)
    total, *others = shifts(pad_images(x, padding, 0.0), kernel, stride)
    for other in others:
        total = total + other
    return total * (1 / (kernel[0] * kernel[1]))


def upsample(x, *, scale_factor):
    """Every pixel of x (N, C, H, W) repeated `scale_factor` times both ways (nearest neighbour)."""
    if x.ndim != 4 or min(pair(scale_factor)) < 1:
        raise ValueError(f"upsample: got x of shape {x.shape} and scale_factor {scale_factor}; "
                         "expected x (N, C, H, W) and a factor of 1 or more")
    (n, c, h, w), (sh, sw) = x.shape, pair(scale_factor)
    repeated = expand(reshape(x, (n, c, h, 1, w, 1)), (n, c, h, sh, w, sw))
    return reshape(repeated, (n, c, h * sh, w * sw))


def pad(x, pad, mode="constant", value=0.0):
    """`x` with `value` around it: (left, right, top, bottom, ...), the last dimension first."""
    if mode != "constant" or len(pad) % 2 or len(pad) > 2 * x.ndim or min(pad, default=0) < 0:
        raise ValueError(f"pad: got pad={pad} and mode={mode!r} for {x.ndim} dimensions; "
                         "pass an even number of widths of 0 or more, at most two a dimension, "
                         "and mode='constant'")
    widths = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    widths = ((0, 0),) * (x.ndim - len(widths)) + tuple(reversed(widths))
    return shapes.pad(x, widths, 0.0 if value is None else value)


def check_probability(name, p):
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p is {p}, but a probability lies between 0 and 1")


def dropout(x, p=0.5, training=True):
    """Each number is 0 with probability p, else divided by 1 - p (Srivastava et al. 2014)."""
    check_probability("dropout", p)
    if not training or p == 0:
        return x
    if x.dtype.kind != "f":
        raise TypeError(f"dropout: x is {x.dtype}, which cannot be scaled by 1 / (1 - p); convert "
                        "it with .float()")
    keep = backend.generator.random(x.shape, backend.float32) >= p
    keep = (keep / (1 - p) if p < 1 else keep).astype(x.dtype)
    return x * backend.to_device(keep, backend.device_of(raw(x)))


def integers(name, indices, n, what):
    """The array behind `indices`, which must be integers from 0 to n - 1: numbers of `what`."""
    found = raw(indices)
    if not (backend.is_array(found) and found.dtype.kind in "iu"):   # truth would choose rows
        raise TypeError(f"{name}: the indices are {getattr(found, 'dtype', type(found).__name__)}; "
                        "pass a tensor of integers")
    if found.size and not 0 <= int(found.min()) <= int(found.max()) < n:
        raise IndexError(f"{name}: the indices go from {found.min()} to {found.max()}, "
                         f"but there are {n} {what}")
    return found


def embedding(indices, weight):
    """The rows of `weight` (number, dim) that the integers `indices` (...) name, to (..., dim)."""
    # A copy, for `indices` may change before backward; and 1-D, for CuPy takes no index of 0-D.
    rows = integers("embedding", indices, weight.shape[0], "rows").flatten()
    return reshape(getitem(weight, rows), indices.shape + weight.shape[1:])


def one_hot(indices, num_classes):
    """A 1 at the place that each integer names, and 0 elsewhere: (...) to (..., num_classes)."""
    classes = integers("one_hot", indices, num_classes, "classes")
    all_of_them = array_module(classes).arange(num_classes)
    return Tensor((classes[..., None] == all_of_them).astype(backend.int64))


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1,
               eps=1e-5):
    """Each channel of x (N, C, ...) at mean 0, variance 1 (Ioffe and Szegedy 2015, algorithm 1).

    In training the moments are the batch's, and the running ones (C,) move towards them by
    `momentum`, in place (the variance by its unbiased estimate). Otherwise the running ones are
    used, or the batch's if there are none.
    """
    xp, channels = array_module(raw(x)), (x.shape[1],)
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight,
             "bias": bias}
    for name, what in given.items():
        if what is not None and what.shape != channels:
            raise ValueError(f"batch_norm: {name} has shape {what.shape}, but x has shape "
                             f"{x.shape}, so expected {channels}")
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: got one of running_mean and running_var; pass both or none")
    weight = xp.ones(channels, x.dtype) if weight is None else weight
    bias = xp.zeros(channels, x.dtype) if bias is None else bias
    if training or running_mean is None:
        if x.shape[0] * math.prod(x.shape[2:]) < 2:
            raise ValueError("batch_norm: training needs more than one value per channel, "
                             f"but x has shape {x.shape}")
        for moment in (running_mean, running_var):
            if isinstance(moment, Tensor):
                moment.changed()
        running = None if running_mean is None else (raw(running_mean), raw(running_var))
        return normalise.batch_norm(x, weight, bias, running, momentum, eps)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale = weight / sqrt(running_var + eps)
    return x * reshape(scale, shape) + reshape(bias - running_mean * scale, shape)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each example at mean 0, variance 1 over its last dimensions (Ba et al. 2016, eq. 4)."""
    last = backend.sizes((normalized_shape,))        # a size alone is the last one
    if x.shape[-len(last):] != last:
        raise ValueError(f"layer_norm: x has shape {x.shape}, "
                         f"but its last dimensions must be {last}")
    for name, what in (("weight", weight), ("bias", bias)):
        if what is not None and what.shape != last:
            raise ValueError(f"layer_norm: {name} has shape {what.shape}, expected {last}")
    dims = tuple(range(-len(last), 0))
    centred = x - mean(x, dims, True)
    out = centred / sqrt(mean(centred * centred, dims, True) + eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


# Losses

def reduce(losses, reduction):
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; choose 'mean', 'sum' or 'none'")
    return mean(losses) if reduction == "mean" else sum(losses)


def check_pair(name, x, target):
    if not all([hasattr(part, "dtype") for part in (x, target)]):
        raise TypeError(f"{name}: got {type(x).__name__} and {type(target).__name__}; expected two "
                        "tensors of one shape, such as full_like(input, 1.0) for the target")
    if "f" not in (x.dtype.kind, target.dtype.kind):
        raise TypeError(f"{name}: input and target are {x.dtype} and {target.dtype}; convert "
                        "input with .float()")
    if x.shape != target.shape:
        raise ValueError(f"{name}: input has shape {x.shape} and target {target.shape}; "
                         "they must be equal")


def binary_cross_entropy_with_logits(input, target, *, reduction="mean"):
    """-t log s(x) - (1 - t) log(1 - s(x)), s the sigmoid: -log of a Bernoulli likelihood, in nats.

    From logits it is softplus(x) - t x, which never takes the logarithm of a rounded zero.
    """
    check_pair("binary_cross_entropy_with_logits", input, target)
    return reduce(softplus(input) - input * target, reduction)


def mse_loss(input, target, *, reduction="mean"):
    """(x - t)^2."""
    check_pair("mse_loss", input, target)
    difference = input - target
    return reduce(difference * difference, reduction)


def l1_loss(input, target, *, reduction="mean"):
    """|x - t|."""
    check_pair("l1_loss", input, target)
    return reduce(abs(input - target), reduction)


def at_target(name, input, target):
    """input[i, target[i]] for every example i, of the loss `name`."""
    if input.ndim != 2 or getattr(target, "shape", None) != input.shape[:1]:
        raise ValueError(f"{name}: expected input (N, C) and a tensor of integers (N,), got "
                         f"shapes {input.shape} and {getattr(target, 'shape', target)}")
    classes = integers(name, target, input.shape[1], "classes")
    return getitem(input, (array_module(classes).arange(len(classes)), target))


def nll_loss(input, target, *, reduction="mean"):
    """-x[target]: x (N, C) are log-probabilities, target (N,) the integers of the right classes."""
    return reduce(-at_target("nll_loss", input, target), reduction)


def cross_entropy(input, target, *, reduction="mean"):
    """-log softmax(x)[target] in nats: x (N, C) are logits, target (N,) the right class numbers."""
    return reduce(-at_target("cross_entropy", log_softmax(input, -1), target), reduction)


def gaussian_nll_loss(input, target, var, *, full=False, eps=1e-6, reduction="mean"):
    """-log N(t; x, var) in nats: (log var + (x - t)^2 / var) / 2, plus log(2 pi) / 2 where `full`.

    `var` is the variance, not the standard deviation. It is kept at `eps` or above (as in PyTorch,
    the gradient ignores that).
    """
    check_pair("gaussian_nll_loss", input, target)
    if not hasattr(var, "shape"):
        var = full_like(input, var)
    if var.shape == input.shape[:-1] != input.shape:
        var = unsqueeze(var, -1)
    if var.shape not in (input.shape, input.shape[:-1] + (1,)):
        raise ValueError(f"gaussian_nll_loss: var has shape {var.shape}, but input has "
                         f"{input.shape}; pass one variance for each number, "
                         "or for each example (last dimension 1 or absent)")
    if bool((raw(var) < 0).any()):
        raise ValueError("gaussian_nll_loss: var has negative entries; "
                         "pass variances, for example exp(log_var)")
    var = var + (maximum(raw(var), eps) - raw(var))          # what is added is a constant
    difference = input - target
    losses = 0.5 * (log(var) + difference * difference / var)
    return reduce(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def gaussian_kl(mu, log_var):
    """KL(N(mu, exp(log_var)) || N(0, 1)) in nats per example: (N, ...) to (N,).

    -1/2 sum(1 + log var - mu^2 - var) over the latent units (Kingma and Welling 2014, appendix B).
    """
    terms = -0.5 * (1 + log_var - mu * mu - exp(log_var))
    return sum(flatten(terms, 1), 1) if terms.ndim > 1 else terms
