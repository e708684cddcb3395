"""Floor 4: how parameters move. Names, arguments and defaults are those of `torch.optim`.

`optimizers` moves them, `lr_scheduler` changes the learning rate from epoch to epoch. To clip
gradients before a step, see `nn.utils`.
"""

from . import lr_scheduler
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

__all__ = ["lr_scheduler", "Optimizer", "SGD", "Adagrad", "RMSprop", "Adam", "AdamW"]
