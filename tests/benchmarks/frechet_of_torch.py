"""How good are the samples of PyTorch's DCGAN and VAE, trained and judged as tinygen's are?

    python tests/benchmarks/frechet_of_torch.py gan [--seed 0] [--torch-python PATH]
    tinygen train gan --epochs 4 --seed 0 --out RUN
    tinygen evaluate RUN

The first line trains PyTorch's model on MNIST: the same architecture, start, optimiser, batches and
number of steps as the second (for `vae`, 10 epochs). It draws 10,000 samples and prints the same
figures as the third. One seed says little: the distance of a GAN moves by a tenth from seed to
seed.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = {"gan": 4, "vae": 10}


def train_gan(torch, lib, images):
    """Samples in [0, 1] of the DCGAN of `torch_side.py`, trained on images (N, 1, 28, 28)."""
    model = lib.dcgan()
    generator, discriminator = model.generator, model.discriminator
    optimizer_d, optimizer_g = [lib.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999))
                                for network in (discriminator, generator)]
    for epoch in range(EPOCHS["gan"]):
        for rows in torch.randperm(len(images)).split(64):
            real = 2 * images[rows] - 1
            fake = generator(torch.randn(len(real), model.latent_dim))
            loss = lib.discriminator_loss(discriminator(real), discriminator(fake.detach()))
            optimizer_d.zero_grad()
            loss.backward()
            optimizer_d.step()
            loss = lib.generator_loss(discriminator(fake))
            optimizer_g.zero_grad()
            loss.backward()
            optimizer_g.step()
        print(f"epoch {epoch + 1}/{EPOCHS['gan']} done", file=sys.stderr)
    generator.eval()
    return torch.cat([(generator(torch.randn(500, model.latent_dim)) + 1) / 2 for _ in range(20)])


def train_vae(torch, lib, images):
    """The same of the dense VAE, 784-400-20-400-784."""
    nn, images = lib.nn, images.flatten(1)
    model = lib.VAE(nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40)),
                    nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784)), 20)
    optimizer = lib.Adam(model.parameters(), 1e-3)
    for epoch in range(EPOCHS["vae"]):
        for rows in torch.randperm(len(images)).split(128):
            x = images[rows]
            loss, _, _ = lib.negative_elbo(model, x, torch.randn(len(x), 20))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}/{EPOCHS['vae']} done", file=sys.stderr)
    return torch.sigmoid(model.decoder(torch.randn(10_000, 20))).reshape(-1, 1, 28, 28)


def worker(model, seed, folder):
    """PyTorch's part, in PyTorch's Python: train.npy in `folder` to samples.npy."""
    import numpy as np
    import torch
    from torch_side import torch_side

    lib = torch_side(torch.get_num_threads())
    torch.manual_seed(seed)
    images = torch.from_numpy(np.load(folder / "train.npy"))
    samples = {"gan": train_gan, "vae": train_vae}[model](torch, lib, images)
    np.save(folder / "samples.npy", samples.detach().numpy())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", choices=list(EPOCHS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--torch-python", default=sys.executable, metavar="PATH",
                        help="the Python that has PyTorch (default: this one)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        return worker(args.model, args.seed, args.folder)

    sys.path.insert(0, str(ROOT))
    import numpy as np

    from tinygen import datasets, metrics

    data = datasets.load("mnist")
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "train.npy", data.train)
        done = subprocess.run([args.torch_python, __file__, args.model, "--seed", str(args.seed),
                               "--folder", folder])
        if done.returncode:
            sys.exit(f"{args.torch_python} could not train the model (see above); "
                     "--torch-python names a Python that has PyTorch")
        samples = np.load(Path(folder) / "samples.npy")
    figures = metrics.image_figures(metrics.load_classifier(), samples, data.test)
    for name, value in figures.items():
        print(f"{name:24}{value:10.4g}")


if __name__ == "__main__":
    main()
