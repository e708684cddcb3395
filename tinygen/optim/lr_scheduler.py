"""Learning-rate schedules: `step()` after each epoch sets optimizer.lr = factor(epoch) * first lr.

A rate that was right at the start is often too large at the end, where a weight jumps to and fro
around its best value.
"""

import math


class LRScheduler:
    """A learning rate that follows `factor(epoch)`, epoch 0, 1, 2, ...

    Several schedules of one optimiser multiply their factors. (PyTorch's each go on from the rate
    that the others left, which with `eta_min` is no product.)
    """

    def __init__(self, optimizer):
        self.base_lr = first_rate(optimizer)
        self.optimizer, self.last_epoch = optimizer, -1
        self.factor(0)               # what fails leaves the optimiser as it was
        optimizer.schedules.append(self)
        self.step()

    def factor(self, epoch):
        raise NotImplementedError

    def step(self):
        self.last_epoch += 1
        factors = [schedule.factor(schedule.last_epoch) for schedule in self.optimizer.schedules]
        self.optimizer.lr = self.base_lr * math.prod(factors)

    def get_last_lr(self):
        return [self.optimizer.lr]

    def state_dict(self):
        return {"base_lr": self.base_lr, "last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict):
        self.base_lr, self.last_epoch = state_dict["base_lr"], state_dict["last_epoch"] - 1
        self.step()


def first_rate(optimizer):
    """The learning rate of an optimiser before its schedules changed it."""
    return optimizer.schedules[0].base_lr if optimizer.schedules else optimizer.lr


def check_epochs(schedule, name, n):
    if n <= 0:
        raise ValueError(f"{type(schedule).__name__}: {name} is {n}, but it must be above 0")


class LambdaLR(LRScheduler):
    """factor = lr_lambda(epoch)."""

    def __init__(self, optimizer, lr_lambda):
        self.factor = lr_lambda
        super().__init__(optimizer)


class StepLR(LRScheduler):
    """factor = gamma^(epoch // step_size): a drop every `step_size` epochs."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        check_epochs(self, "step_size", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, epoch):
        return self.gamma ** (epoch // self.step_size)


class ExponentialLR(LRScheduler):
    """factor = gamma^epoch."""

    def __init__(self, optimizer, gamma):
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, epoch):
        return self.gamma ** epoch


class CosineAnnealingLR(LRScheduler):
    """From lr to eta_min in T_max epochs down half a cosine (Loshchilov and Hutter 2017, eq. 5)."""

    def __init__(self, optimizer, T_max, eta_min=0.0):
        check_epochs(self, "T_max", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def factor(self, epoch):
        low = self.eta_min / self.base_lr if self.base_lr else 0.0
        return low + (1 - low) * (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class LinearLR(LRScheduler):
    """A warm-up: factor goes straight from start_factor to end_factor in `total_iters` epochs."""

    def __init__(self, optimizer, start_factor=1 / 3, end_factor=1.0, total_iters=5):
        check_epochs(self, "total_iters", total_iters)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def factor(self, epoch):
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done
