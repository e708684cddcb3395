"""tinygen: generative adversarial networks and variational autoencoders from nothing but NumPy."""

import importlib

__version__ = "0.1.0"

from .backend import InputError, float32, float64, int64, manual_seed, set_default_device
from .tensor import Tensor, enable_grad, grad, no_grad, set_grad_enabled
from .creation import (arange, eye, full, full_like, linspace, ones, ones_like, rand, rand_like,
                       randn, randn_like, tensor, zeros, zeros_like)
from .ops import *  # noqa: F403  (every primitive is a public function, as in PyTorch)


def __getattr__(name):
    """What not every script needs is imported at its first use: half of the time of an import."""
    if name in ("distributions", "functional", "gradcheck", "nn", "optim"):
        return importlib.import_module(f"tinygen.{name}")
    if name in ("save", "load", "detect_anomaly"):
        home = "anomaly" if name == "detect_anomaly" else "serialization"
        return getattr(importlib.import_module(f"tinygen.{home}"), name)
    raise AttributeError(f"module 'tinygen' has no attribute {name!r}")
