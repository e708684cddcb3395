"""Floor 4: modules. `module` is what a network is, `layers` are its parts, `init` how it starts.

`utils` clips gradients.
"""

from .. import functional
from . import init, utils
from .layers import (AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, ConvTranspose2d, Dropout,
                     Embedding, Flatten, Identity, LayerNorm, LeakyReLU, Linear, MaxPool2d, ReLU,
                     Sigmoid, SiLU, Softmax, Softplus, Tanh, Unflatten, Upsample)
from .module import Buffer, Module, ModuleList, Parameter, Sequential

__all__ = ["functional", "init", "utils", "Parameter", "Buffer", "Module", "Sequential",
           "ModuleList", "Linear", "Conv2d", "ConvTranspose2d", "BatchNorm1d", "BatchNorm2d",
           "LayerNorm", "Embedding", "Dropout", "MaxPool2d", "AvgPool2d", "Upsample", "Flatten",
           "Unflatten", "Identity", "ReLU", "LeakyReLU", "Sigmoid", "Tanh", "Softplus", "SiLU",
           "Softmax"]
