"""tinygen: generative adversarial networks and variational autoencoders from nothing but NumPy.

    import tinygen as tg

    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                             # 2 x

The names are PyTorch's: `Tensor`, `tensor`, `zeros`, `randn` and their like, `grad`, `no_grad`,
`manual_seed`, `save`, `load`, and operations such as `exp`, `matmul` and `sum`, also as methods.
Layers are in the module `tg.nn`, losses in `tg.functional`, optimisers in `tg.optim`; then there
are `tg.distributions`, `tg.gradcheck` (with the function of that name), the models in `tg.gan` and
`tg.vae`, the training loop in `tg.train`, data in `tg.datasets`, measures in `tg.metrics`.
"""

import importlib

__version__ = "0.1.0"

from .backend import InputError, float32, float64, int64, manual_seed, set_default_device
from .tensor import Tensor, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from .creation import (arange, eye, full, full_like, linspace, ones, ones_like, rand, rand_like,
                       randint, randn, randn_like, randperm, tensor, zeros, zeros_like)
from .ops import *  # noqa: F403  (every primitive is a public function, as in PyTorch)


def __getattr__(name):
    """What not every script needs is imported at its first use: half of the time of an import."""
    if name in ("datasets", "distributions", "functional", "gan", "gradcheck", "metrics", "nn",
                "optim", "train", "vae"):
        return importlib.import_module(f"tinygen.{name}")
    if name in ("save", "load", "detect_anomaly"):
        home = "anomaly" if name == "detect_anomaly" else "serialization"
        return getattr(importlib.import_module(f"tinygen.{home}"), name)
    raise AttributeError(f"module 'tinygen' has no attribute {name!r}")
