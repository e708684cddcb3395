"""Floor 6: one training loop for every model, and the folder it leaves behind.

A run's folder holds `config.json` (arguments, seed, versions, threads), `history.csv` (a row an
epoch), `timing.csv` (seconds an epoch), `checkpoint.npz` (all that is needed to go on) and
`samples/` (a picture an epoch, of the same latent points).
"""

import csv
import io
import json
import math
import os
import pathlib
import platform
import time

import numpy as np
from tqdm import tqdm

from . import backend, creation, plots
from .backend import InputError
from .dataloader import DataLoader
from .gan import GANTraining, dcgan, dense_gan
from .serialization import load, replacing, save
from .vae import VAETraining, conv_vae, dense_vae


def build(config):
    """The model that `config` describes, ready to be trained."""
    shape, latent_dim = tuple(config["shape"]), config["latent_dim"]
    image, conv = len(shape) == 3, config["architecture"] == "conv"
    if conv and shape[1:] != (28, 28):
        raise InputError("the convolutional models are for images of 28 x 28, but the data has "
                         f"shape {shape}; use --architecture dense")
    if config["model"] == "gan":
        model = dcgan(shape, latent_dim) if conv else dense_gan(shape, latent_dim)
        return GANTraining(model, config["lr"], loss=config["loss"], image=image)
    make, hidden = (conv_vae, {}) if conv else (dense_vae, {"hidden": 400 if image else 128})
    model = make(shape, latent_dim, likelihood=config["likelihood"], **hidden)
    return VAETraining(model, config["lr"])


def defaults(model, data, architecture=None, latent_dim=None, lr=None, loss="non-saturating"):
    """The part of a run's config that describes the model, with what suits the data filled in."""
    image = data.is_images
    architecture = architecture or ("conv" if image and model == "gan" else "dense")
    latent_dim = latent_dim or ((100 if model == "gan" else 20) if image else 2)
    common = {"model": model, "architecture": architecture, "shape": list(data.shape),
              "latent_dim": latent_dim, "lr": lr or (2e-4 if model == "gan" else 1e-3)}
    if model == "gan":
        return {**common, "loss": loss}
    return {**common, "likelihood": "bernoulli" if image else "gaussian"}


def environment():
    """What a result depends on besides the arguments and the data."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or cores
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    return {"versions": versions, "threads": int(str(threads).split(",")[0])}


def start_run(out, config):
    """Make a new run's folder and write its config. A folder with a run in it is left alone."""
    out = pathlib.Path(out)
    if (out / "config.json").exists():
        raise InputError(f"{out} already holds a run; go on with it by --resume {out}, "
                         "or choose another --out")
    try:
        (out / "samples").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made ({error.strerror}); choose another --out") from None
    write_text(out / "config.json", json.dumps({**config, **environment()}, indent=2) + "\n")
    return out


NEEDED = {"model", "architecture", "shape", "latent_dim", "lr", "epochs", "batch_size", "seed"}


def read_config(run):
    """The config of the run in the folder `run`."""
    path = pathlib.Path(run) / "config.json"
    try:
        config = json.loads(path.read_text())
    except OSError:
        raise InputError(f"{run} holds no run: there is no config.json in it; pass the folder "
                         "that 'tinygen train ... --out' has made") from None
    except ValueError:
        raise InputError(f"{path} is not valid JSON; restore it from a copy, "
                         "or train again") from None
    if not isinstance(config, dict) or not NEEDED <= set(config):
        raise InputError(f"{path} is not the config of a run of tinygen; restore it from a copy, "
                         "or train again")
    return config


def load_run(run):
    """(training, config) of a run, finished or interrupted, with its last checkpoint's weights."""
    config = read_config(run)
    training = build(config)
    restore(training, pathlib.Path(run) / "checkpoint.npz")
    training.model.eval()
    return training, config


def restore(training, path):
    """Put a checkpoint's weights and optimiser states back. Returns the checkpoint."""
    checkpoint = load(path)
    try:
        training.model.load_state_dict(checkpoint["model"])
        for optimizer, state in zip(training.optimizers, checkpoint["optimizers"]):
            optimizer.load_state_dict(state)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not the checkpoint of this run ({error}); "
                         "restore it from a copy, or train again") from None
    return checkpoint


def read_timing(path):
    """The rows of timing.csv, as many as there are."""
    try:
        with open(path, newline="") as file:
            return [{"epoch": int(row["epoch"]), "seconds": float(row["seconds"])}
                    for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []


def fit(training, data, out, epochs, batch_size, progress=True):
    """Train to `epochs` epochs on data.train, and go on from out/checkpoint.npz where there is one.

    After each epoch it measures on data.test, and writes the history, a picture and a checkpoint.
    Returns the history and the timing, lists with one dict an epoch.
    """
    out, model = pathlib.Path(out), training.model
    history, timing, first = [], [], 1
    points = creation.randn(64 if data.is_images else 2000, model.latent_dim)
    if (out / "checkpoint.npz").exists():
        checkpoint = restore(training, out / "checkpoint.npz")
        history, first = checkpoint["history"], checkpoint["epoch"] + 1
        timing = read_timing(out / "timing.csv")[:first - 1]
        points = creation.tensor(checkpoint["points"])
        backend.generator.bit_generator.state = checkpoint["generator"]
    train = DataLoader(training.from_data(data.train), batch_size, shuffle=True)
    test = DataLoader(training.from_data(data.test), min(1000, len(data.test)))
    for epoch in range(first, epochs + 1):
        start = time.perf_counter()
        model.train()
        figures = []
        bar = tqdm(train, desc=f"epoch {epoch}/{epochs}", disable=not progress, mininterval=0.2)
        with bar:
            for x in bar:
                figures.append({"size": len(x), **training.step(x)})
                check_finite(figures[-1], f"step {len(figures)} of epoch {epoch}")
                if len(figures) % 20 == 0:
                    recent = average(figures[-20:])
                    bar.set_postfix({name: f"{value:.4g}" for name, value in recent.items()})
        seconds = time.perf_counter() - start
        model.eval()
        measured = average([{"size": len(x), **training.evaluate(x)} for x in test])
        check_finite(measured, f"the evaluation after epoch {epoch}")
        history.append(history_row(epoch, epoch * len(train), average(figures), measured))
        timing.append({"epoch": epoch, "seconds": round(seconds, 3)})
        samples = training.to_data(model.sample(len(points), z=points)).numpy()
        plots.save_samples(samples, data.train, out / "samples" / f"epoch_{epoch:03d}.png")
        write_csv(out / "timing.csv", timing)
        write_csv(out / "history.csv", history)
        save({"epoch": epoch, "model": model.state_dict(), "points": points,
              "optimizers": [optimizer.state_dict() for optimizer in training.optimizers],
              "generator": backend.generator.bit_generator.state,
              "history": history},
             out / "checkpoint.npz")
        if progress:
            row = ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items()
                            if name not in ("epoch", "step"))
            tqdm.write(f"epoch {epoch}: {row} ({seconds:.0f} s)")
    return history, timing


def history_row(epoch, step, train, test):
    """One row of history.csv: the losses first."""
    row = {"epoch": epoch, "step": step, "train_loss": train["loss"], "test_loss": test["loss"]}
    return {**row, **{f"train_{name}": value for name, value in train.items()},
            **{f"test_{name}": value for name, value in test.items()}}


def average(figures):
    """The mean of each figure over batches, weighted by their sizes."""
    total = sum(f["size"] for f in figures)
    return {name: sum(f["size"] * f[name] for f in figures) / total
            for name in figures[0] if name != "size"}


def check_finite(figures, where):
    """A loss that is not a number stops the training, before it spoils the last good checkpoint."""
    if not all(math.isfinite(value) for value in figures.values()):
        raise InputError(f"{where} gave {figures}: the training "
                         "has diverged; try a smaller --lr (the last good checkpoint is kept)")


def write_csv(path, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_text(path, text):
    with replacing(path) as file:
        file.write(text.encode())
