"""The data files that travel with tinygen; `tinygen.datasets.mnist` reads them."""
