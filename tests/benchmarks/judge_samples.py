"""Judge the digits that trained models draw, by a classifier trained here and now.

    python tests/benchmarks/judge_samples.py RUN [RUN ...]

A small convolutional classifier learns MNIST (about two minutes on two cores). Then each run draws
10,000 samples, and two figures are printed: the entropy of the histogram of their classes, as a
share of its maximum log 10 (1 means that all ten digits are equally frequent), and the mean
confidence, the probability of the class that the classifier holds for the likeliest.
"""

import sys

import numpy as np
from tqdm import tqdm

import tinygen as tg
from tinygen import datasets, functional as F, nn, optim
from tinygen.train import load_run

EPOCHS, BATCH, LR, SAMPLES = 3, 64, 1e-3, 10_000


def train_classifier(data):
    """A classifier for digits (N, 1, 28, 28) in [0, 1], and its accuracy on the test set."""
    model = nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    optimizer = optim.Adam(model.parameters(), LR)
    schedule = optim.CosineAnnealingLR(optimizer, EPOCHS)
    loader = datasets.DataLoader((data.train, data.train_labels), BATCH, shuffle=True)
    for epoch in range(EPOCHS):
        for x, y in tqdm(loader, desc=f"classifier {epoch + 1}/{EPOCHS}", mininterval=5):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    model.eval()
    right = probabilities(model, data.test).argmax(1) == data.test_labels
    return model, right.mean()


def probabilities(model, images):
    """The classifier's probabilities (N, 10)."""
    with tg.no_grad():
        return np.concatenate([F.softmax(model(x), 1).numpy()
                               for x in datasets.DataLoader(images, 1000)])


def main(runs):
    tg.manual_seed(0)
    data = datasets.mnist()
    model, accuracy = train_classifier(data)
    print(f"classifier: {accuracy:.2%} of the test digits are right")
    for run in runs:
        tg.manual_seed(0)
        training, _ = load_run(run)
        images = np.concatenate([training.to_data(training.model.sample(1000)).numpy()
                                 for _ in range(SAMPLES // 1000)])
        p = probabilities(model, images)
        counts = np.bincount(p.argmax(1), minlength=10)
        share = counts / counts.sum()
        entropy = -(share * np.log(np.maximum(share, 1e-12))).sum() / np.log(10)
        print(f"{run}: entropy {entropy:.3f} of its maximum, mean confidence "
              f"{p.max(1).mean():.3f}, samples a class {counts.tolist()}")


if __name__ == "__main__":
    main(sys.argv[1:])
