"""Answers to exercise 12."""


def by_mean(x, known, train):
    """known and 1 - known choose between the two."""
    return known * x + (1 - known) * train.mean(axis=0)


def by_neighbour(x, known, train):
    """Every x against every training image, (N, M, D): fine for a few, too much for 60,000."""
    squared = (known * (x[:, None] - train) ** 2).sum(axis=2)
    return known * x + (1 - known) * train[squared.argmin(axis=1)]


def search_gradient(z, x, known, W, weight):
    """A hidden pixel is wrong by 0, whatever it is."""
    return weight * 2 * (known * (z @ W - x)) @ W.T + z
