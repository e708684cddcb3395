"""Floor 3: data in batches, each a Tensor or a tuple of them."""

import numpy as np

from . import backend
from .backend import InputError
from .tensor import Tensor


def check_count(name, value):
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}, expected an integer of 1 or more; give one")


def size_of(batch):
    """How many examples are in a batch: a Tensor, or a tuple of them."""
    return len(batch[0] if isinstance(batch, tuple) else batch)


class TensorDataset:
    """Arrays of equal length that belong together: `dataset[i]` is a tuple of their rows i."""

    def __init__(self, *tensors):
        self.tensors = tensors

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple([array[index] for array in self.tensors])


class DataLoader:
    """Cuts `dataset` into batches: `for x in DataLoader(data.train, 64, shuffle=True)`.

    `dataset` is an array `(N, ...)`, and each batch a Tensor `(batch_size, ...)`; or a tuple of
    arrays of equal length, or a `TensorDataset` of them, and each batch a tuple of Tensors that
    belong together. The last batch holds what is left, unless `drop_last`. With `shuffle`, every
    `for` draws one new permutation from `backend.generator` as it starts. Batches are copies, on
    the default device unless the data is on another.

    Raises `InputError` for a batch size below 1, unequal lengths, and no data.
    """

    def __init__(self, dataset, batch_size=1, shuffle=False, drop_last=False):
        check_count("DataLoader: batch_size", batch_size)
        if isinstance(dataset, tuple):
            dataset = TensorDataset(*dataset)
        arrays = getattr(dataset, "tensors", (dataset,))
        if not all(backend.is_array(array) and array.ndim for array in arrays):
            names = ", ".join(type(x).__name__ for x in arrays)
            raise InputError(f"DataLoader: got {names}, expected arrays (N, ...); "
                             "of a Dataset give .train, of a Tensor .data")
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            raise InputError(f"DataLoader: the arrays have lengths {lengths}, expected one length "
                             "of 1 or more for all; give arrays with data that belong together")
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.drop_last = shuffle, drop_last
        self._arrays, self._count = arrays, lengths[0]

    def __len__(self):
        """The number of batches."""
        rest = 0 if self.drop_last else self.batch_size - 1
        return (self._count + rest) // self.batch_size

    def __iter__(self):
        # No `yield` here: the permutation is drawn when the loop starts, not at its first step.
        n, size = self._count, self.batch_size
        order = backend.generator.permutation(n) if self.shuffle else np.arange(n)
        return (self._batch(order[i * size:(i + 1) * size]) for i in range(len(self)))

    def _batch(self, rows):
        batch = []
        for array in self._arrays:
            here = backend.device_of(array)
            place = backend.default_device if here == "cpu" else here
            batch.append(Tensor(backend.to_device(array[backend.to_device(rows, here)], place)))
        return tuple(batch) if isinstance(self.dataset, TensorDataset) else batch[0]
