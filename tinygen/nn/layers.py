"""What networks are built from. Arguments, defaults, layouts and starting weights are PyTorch's."""

import math
from numbers import Integral

from .. import creation, functional as F
from ..backend import sizes
from ..functional import pair
from ..ops import conv
from ..ops.shapes import dims_of, flatten
from . import init
from .module import Buffer, Module, Parameter


def uniform_parameter(shape, fan_in):
    """A Parameter from U(-b, b), b = 1 / sqrt(fan_in), as linear and convolution in PyTorch."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return init.uniform_(Parameter(creation.zeros(shape)), -bound, bound)


def check_sizes(layer, low, **numbers):
    """What was given by these names must be whole numbers of `low` or more, or pairs of such."""
    for name, n in numbers.items():
        if not all([isinstance(i, Integral) and i >= low for i in sizes((n,))]):
            raise ValueError(f"{type(layer).__name__}: {name} is {n}, expected a whole number of "
                             f"{low} or more")


class Linear(Module):
    """x W^T + b: (..., in_features) to (..., out_features)."""

    def __init__(self, in_features, out_features, bias=True):
        check_sizes(self, 0, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = uniform_parameter((out_features, in_features), in_features)
        self.bias = uniform_parameter((out_features,), in_features) if bias else None

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")


class Convolution(Module):
    """What the two convolutions share: their numbers and their parameters.

    `channels` begins the shape of the weight, before its second number is divided by `groups`.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
                 bias, channels):
        check_sizes(self, 1, in_channels=in_channels, out_channels=out_channels, groups=groups,
                    kernel_size=kernel_size, stride=stride, dilation=dilation)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{type(self).__name__}: in_channels {in_channels} and out_channels "
                             f"{out_channels} must both be multiples of groups {groups}")
        shape = channels[0], channels[1] // groups
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = pair(kernel_size), pair(stride), pair(padding)
        self.dilation, self.groups = pair(dilation), groups
        fan_in = shape[1] * math.prod(self.kernel_size)
        self.weight = uniform_parameter(shape + self.kernel_size, fan_in)
        matrix = conv.columns(self.weight.data)     # in this order it needs no copy in a product
        self.weight.data = conv.from_columns(matrix, shape[1], self.kernel_size)
        self.bias = uniform_parameter((out_channels,), fan_in) if bias else None

    def extra_repr(self):
        usual = {"padding": (0, 0), "output_padding": (0, 0), "dilation": (1, 1), "groups": 1}
        notes = [f"{name}={vars(self)[name]}" for name, value in usual.items()
                 if vars(self).get(name, value) != value]
        return ", ".join([f"{self.in_channels}, {self.out_channels}, "
                          f"kernel_size={self.kernel_size}, stride={self.stride}",
                          *notes, *["bias=False"] * (self.bias is None)])


class Conv2d(Convolution):
    """`functional.conv2d` with weight (out_channels, in_channels / groups, kh, kw)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1,
                 groups=1, bias=True):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
                         bias, (out_channels, in_channels))

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation,
                        self.groups)


class ConvTranspose2d(Convolution):
    """`functional.conv_transpose2d` with weight (in_channels, out_channels / groups, kh, kw)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0,
                 output_padding=0, groups=1, bias=True, dilation=1):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
                         bias, (in_channels, out_channels))
        self.output_padding = pair(output_padding)

    def forward(self, x):
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding,
                                  self.output_padding, self.groups, self.dilation)


class BatchNorm(Module):
    """`functional.batch_norm` with running moments; subclasses say which inputs they take."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        if momentum is None:
            raise ValueError(f"{type(self).__name__}: momentum is None, which PyTorch takes for a "
                             "plain average over all batches; tinygen has only the moving one, "
                             "so pass a number such as 0.1")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(creation.ones(num_features)) if affine else None
        self.bias = Parameter(creation.zeros(num_features)) if affine else None
        self.running_mean = Buffer(creation.zeros(num_features)) if track_running_stats else None
        self.running_var = Buffer(creation.ones(num_features)) if track_running_stats else None
        batches = creation.zeros((), dtype="int64")
        self.num_batches_tracked = Buffer(batches) if track_running_stats else None

    def forward(self, x):
        if x.ndim not in self.dims or x.shape[1] != self.num_features:
            dims = " or ".join(map(str, self.dims))
            raise ValueError(f"{type(self).__name__}: expected {dims} dimensions with "
                             f"{self.num_features} channels, got shape {x.shape}")
        if self.training and self.track_running_stats:
            self.num_batches_tracked.data += 1
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                            self.training, self.momentum, self.eps)

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
                f"affine={self.affine}, track_running_stats={self.track_running_stats}")


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L)."""

    dims = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch normalisation of images, (N, C, H, W)."""

    dims = (4,)


class LayerNorm(Module):
    """`functional.layer_norm` over the last dimensions, `normalized_shape`."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        shape = sizes((normalized_shape,))
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = Parameter(creation.ones(shape)) if elementwise_affine else None
        self.bias = Parameter(creation.zeros(shape)) if elementwise_affine and bias else None

    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (f"{self.normalized_shape}, eps={self.eps}, "
                f"elementwise_affine={self.elementwise_affine}")


class Embedding(Module):
    """A table of `num_embeddings` vectors: integers (...) to (..., embedding_dim)."""

    def __init__(self, num_embeddings, embedding_dim):
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.weight = init.normal_(Parameter(creation.zeros(num_embeddings, embedding_dim)))

    def forward(self, indices):
        return F.embedding(indices, self.weight)

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(Module):
    """In training, each number is 0 with probability p and divided by 1 - p otherwise."""

    def __init__(self, p=0.5):
        F.check_probability("Dropout", p)
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}"


class Pool2d(Module):
    """What the two poolings share. The stride is the kernel's size unless given."""

    def __init__(self, kernel_size, stride=None, padding=0):
        stride = kernel_size if stride is None else stride
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(Pool2d):
    """The largest value under the kernel."""

    def forward(self, x):
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(Pool2d):
    """The mean under the kernel."""

    def forward(self, x):
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class Upsample(Module):
    """Every pixel repeated `scale_factor` times in both directions (nearest neighbour)."""

    def __init__(self, *, scale_factor):
        self.scale_factor = scale_factor

    def forward(self, x):
        return F.upsample(x, scale_factor=self.scale_factor)

    def extra_repr(self):
        return f"scale_factor={self.scale_factor}"


class Flatten(Module):
    """(N, C, H, W) to (N, C * H * W)."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        return flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Dimension `dim` cut into `unflattened_size`: the reverse of Flatten."""

    def __init__(self, dim, unflattened_size):
        self.dim, self.unflattened_size = dim, sizes((unflattened_size,))

    def forward(self, x):
        dim, = dims_of(x, self.dim)
        return x.reshape(*x.shape[:dim], *self.unflattened_size, *x.shape[dim + 1:])

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """x itself. Arguments are ignored, so that it can stand in any layer's place."""

    def __init__(self, *args, **kwargs):
        pass

    def forward(self, x):
        return x


class ReLU(Module):
    """max(x, 0). `inplace` is there for code that was written for PyTorch, and does nothing."""

    def __init__(self, inplace=False):
        pass

    def forward(self, x):
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x. `inplace` does nothing, as in `ReLU`."""

    def __init__(self, negative_slope=0.01, inplace=False):
        self.negative_slope = negative_slope

    def forward(self, x):
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x):
        return F.sigmoid(x)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x):
        return F.tanh(x)


class Softplus(Module):
    """log(1 + exp(x))."""

    def forward(self, x):
        return F.softplus(x)


class SiLU(Module):
    """x sigmoid(x)."""

    def forward(self, x):
        return F.silu(x)


class Softmax(Module):
    """exp(x) / sum exp(x) along `dim`."""

    def __init__(self, dim):
        self.dim = dim

    def forward(self, x):
        return F.softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"
