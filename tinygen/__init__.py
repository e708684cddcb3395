"""tinygen: generative adversarial networks and variational autoencoders from nothing but NumPy."""

__version__ = "0.1.0"

from .backend import InputError, float32, float64, int64, manual_seed
from .tensor import Tensor, enable_grad, grad, no_grad, set_grad_enabled
from .creation import (arange, eye, full, full_like, linspace, ones, ones_like, rand, rand_like,
                       randn, randn_like, tensor, zeros, zeros_like)
from .ops import *  # noqa: F403  (every primitive is a public function, as in PyTorch)
from .serialization import load, save
from . import distributions, functional, gradcheck, nn, optim
