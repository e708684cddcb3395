"""Train the digit classifier that judges samples, and save its weights.

    python tests/benchmarks/train_classifier.py data/digit_classifier.npz

It is the network of lesson 05, trained as there, in about two minutes on two cores. Rounding
differs between machines, so the weights will too; its share of right test digits is printed.
"""

import sys

import numpy as np
from tqdm import tqdm

import tinygen as tg
from tinygen import datasets, functional as F, optim
from tinygen.metrics import digit_classifier, judge

EPOCHS, BATCH, LR = 8, 64, 2e-3


def main(path):
    tg.manual_seed(0)
    rng, data, model = np.random.default_rng(0), datasets.mnist(), digit_classifier()
    optimizer = optim.Adam(model.parameters(), LR)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    loader = datasets.DataLoader((data.train, data.train_labels), BATCH, shuffle=True)
    for epoch in range(EPOCHS):
        for images, labels in tqdm(loader, f"epoch {epoch + 1} of {EPOCHS}", mininterval=1):
            shifted = np.roll(images.data, rng.integers(-1, 2, 2), axis=(2, 3))
            loss = F.cross_entropy(model(tg.Tensor(shifted)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    _, probabilities = judge(model.eval(), data.test)
    right = (probabilities.argmax(1) == data.test_labels).mean()
    tg.save(model.state_dict(), path)
    print(f"{right:.2%} of the test digits are right; the weights are in {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
