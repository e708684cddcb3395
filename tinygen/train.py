"""Floor 6: one training loop for every model, and the folder it leaves behind.

A run's folder holds `config.json` (arguments, seed, versions, threads, the data's checksum),
`history.csv` (a row an epoch), `timing.csv` (seconds an epoch), `checkpoint.npz` (all that is
needed to go on) and `samples/` (a picture an epoch, of the same latent points).
"""

import contextlib
import copy
import csv
import hashlib
import io
import itertools
import json
import math
import os
import pathlib
import platform
import shlex
import signal
import subprocess
import threading
import time
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from . import __version__, backend, creation, plots
from .backend import InputError
from .dataloader import DataLoader, size_of
from .gan import GENERATOR_LOSSES, GANTraining, dcgan, dense_gan
from .nn.utils import grad_norm
from .optim.lr_scheduler import first_rate
from .serialization import load, save, write_text
from .vae import VAETraining, conv_vae, dense_vae


class Run(NamedTuple):
    """A trained model, and how it came about."""

    training: object    # VAETraining or GANTraining, its model in eval mode
    config: dict        # config.json
    history: list       # one dict an epoch, as in history.csv
    timing: list        # one {"epoch", "seconds"} an epoch


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
    likelihood = config["likelihood"]
    model = (conv_vae(shape, latent_dim, likelihood) if conv
             else dense_vae(shape, latent_dim, hidden=400 if image else 128, likelihood=likelihood))
    return VAETraining(model, config["lr"])


def quote(path):
    """`path` as it is typed in a shell, in quotes where it needs them: on Windows double ones."""
    return subprocess.list2cmdline([path]) if os.name == "nt" else shlex.quote(str(path))


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
    """What a result depends on besides the arguments and the data, as far as we can ask."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # The first that is set counts. OMP_NUM_THREADS may be a list, one number a level of nesting.
    said = [os.environ.get(f"{name}_THREADS", "").split(",")[0]
            for name in ("OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM", "OMP_NUM")]
    threads = [int(number) for number in said if number.isdecimal() and int(number)] or [cores]
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    versions = {"tinygen": __version__, "python": platform.python_version(),
                "numpy": np.__version__, "blas": f"{blas.get('name')} {blas.get('version')}"}
    return {"versions": versions, "machine": platform.machine(), "device": backend.default_device,
            "threads": threads[0]}


def checksum(data):
    """SHA-256 of the examples of a Dataset as they are used, in hexadecimal digits."""
    digest = hashlib.sha256()
    for examples in (data.train, data.test):
        digest.update(f"{examples.dtype} {examples.shape}".encode())
        digest.update(np.ascontiguousarray(examples))
    return digest.hexdigest()


RESULTS = ("checkpoint.npz", "history.csv", "timing.csv")
BEGUN = {"samples", "config.json.part"}      # what is there before the config is


def start_run(out, config):
    """Make a new run's folder and write its config. A folder with a run in it is left alone."""
    out = pathlib.Path(out)
    if (out / "config.json").exists():
        raise InputError(f"{out} already holds a run; go on with it by --resume {quote(out)}, "
                         "delete it, or choose another --out")
    if is_comparison(out):
        raise InputError(f"{out} holds a comparison; choose another --out")
    left = [name for name in RESULTS if (out / name).exists()]
    if left:
        raise InputError(f"{out} holds a {left[0]}, but no config.json that says of which run; "
                         "move it away, or choose another --out")
    try:
        (out / "samples").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made ({error.strerror}); choose another --out") from None
    write_config(out, {**config, **environment()})


def write_config(out, config):
    write_text(out / "config.json", json.dumps(config, indent=2) + "\n")


def positive(x):
    return type(x) is int and x > 0


# Of each thing that a config must hold, whether it has a form that a run can have.
SOUND = {
    "model": lambda x: x in ("vae", "gan"), "architecture": lambda x: x in ("dense", "conv"),
    "shape": lambda x: isinstance(x, list) and len(x) in (1, 3) and all(map(positive, x)),
    "latent_dim": positive, "lr": lambda x: type(x) in (int, float) and 0 < x < math.inf,
    "epochs": positive, "batch_size": positive, "seed": lambda x: type(x) is int and x >= 0,
    "data": lambda x: isinstance(x, str), "quick": lambda x: isinstance(x, bool)}
SOUND_GAN = {**SOUND, "loss": lambda x: x in list(GENERATOR_LOSSES)}    # a list: x may have no hash
SOUND_VAE = {**SOUND, "likelihood": lambda x: x in ("bernoulli", "gaussian")}


def is_comparison(folder):
    """Whether `tinygen compare` has made the folder: it holds the runs of both models."""
    return all((pathlib.Path(folder) / model / "config.json").exists() for model in ("vae", "gan"))


def read_config(run):
    """The config of the run in the folder `run`."""
    path = pathlib.Path(run) / "config.json"
    try:
        config = json.loads(path.read_text())
    except OSError:
        advice = (f"it is a comparison, so pass {path.parent / 'vae'} or {path.parent / 'gan'}"
                  if is_comparison(run) else
                  "pass the folder that 'tinygen train ... --out' has made")
        raise InputError(f"{run} holds no run: there is no config.json in it; {advice}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not valid JSON; restore it from a copy, "
                         "or train again") from None
    config = config if isinstance(config, dict) else {}
    for name, sound in (SOUND_GAN if config.get("model") == "gan" else SOUND_VAE).items():
        if not sound(config.get(name)):
            found = f"its {name} is {config[name]!r}" if name in config else f"it has no {name}"
            raise InputError(f"{path} is not the config of a run of tinygen: {found}; "
                             "restore it from a copy, or train again")
    return config


def load_run(run):
    """(training, config) of a run, finished or interrupted, with its last checkpoint's weights."""
    config, path = read_config(run), pathlib.Path(run) / "checkpoint.npz"
    training = build(config)
    if not path.exists():
        raise InputError(f"{path} is not there yet; go on with: "
                         f"tinygen train {config['model']} --resume {quote(run)}")
    restore(training, path)
    training.model.eval()
    return training, config


def epochs_done(run):
    """(epochs that the checkpoint of a run has had, whether another has begun), if it is whole."""
    path = pathlib.Path(run) / "checkpoint.npz"
    if not path.exists():
        return 0, False
    checkpoint = restore(build(read_config(run)), path)
    return len(checkpoint["history"]), checkpoint["unfinished"] is not None


def tell_differences(out, config):
    """Print what has changed in the surroundings since the run in `out` was started."""
    for name, now in environment().items():
        if config.get(name, now) != now:
            print(f"{out} was started with {name} {config[name]}, and this is {now}: "
                  "from here on the last digits may differ.")


PARTS = {"epoch", "model", "optimizers", "schedules", "points", "history", "generator",
         "unfinished"}


def restore(training, path):
    """Put a checkpoint's weights, optimiser states and schedules back. Returns the checkpoint.

    Of a checkpoint that does not fit in every name, shape and dtype, nothing is taken over.
    """
    checkpoint = load(path)
    try:
        if set(checkpoint) != PARTS:
            raise ValueError(f"its parts are {sorted(checkpoint)}, expected {sorted(PARTS)}")
        for target in (copy.deepcopy(training), training):     # what fails, fails in the copy
            target.model.load_state_dict(checkpoint["model"])
            for name, tensor in target.model.state_dict().items():
                dtype = checkpoint["model"][name].dtype
                if dtype != tensor.dtype:
                    raise ValueError(f"{name} is {dtype}, expected {tensor.dtype}")
            for optimizer, state, schedules in zip(target.optimizers, checkpoint["optimizers"],
                                                   checkpoint["schedules"], strict=True):
                lr = schedules[0]["base_lr"] if schedules else state["lr"]
                if lr != first_rate(optimizer):
                    raise ValueError(f"its lr is {lr}, expected {first_rate(optimizer)}")
                optimizer.load_state_dict(state)
                for schedule, state in zip(optimizer.schedules, schedules, strict=True):
                    schedule.load_state_dict(state)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not the checkpoint of this run ({error}); "
                         "restore it from a copy, or train again") from None
    return checkpoint


def read_timing(path):
    """The rows of timing.csv, up to the first that is cut off or broken."""
    rows = []
    try:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                rows.append({"epoch": int(row["epoch"]), "seconds": float(row["seconds"])})
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        pass
    return rows


@contextlib.contextmanager
def held_interrupt():
    """A list that Ctrl-C makes true, so that it cuts no step in two. A second one stops at once.

    Where Ctrl-C means something else already, or outside of the main thread, it stays as it is.
    """
    pressed = []

    def hold(*args):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    ours = (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    try:
        if ours:
            signal.signal(signal.SIGINT, hold)
        yield pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def fit(training, data, out, epochs, batch_size, progress=True):
    """Train to `epochs` epochs on data.train, and go on from out/checkpoint.npz where there is one.

    `training` is like `GANTraining`: it has a model, with latent_dim and sample(n, z=); optimizers,
    a list; from_data and to_data, which map data to what the model sees and back; and step(batch)
    and evaluate(batch), which return figures, a dict of floats with "loss" among them.
    After each epoch it measures on data.test, and writes the history, a picture and a checkpoint.
    Of `training`, that keeps the model and the optimisers with their schedules, nothing else.
    Ctrl-C lets the step end, writes a checkpoint in the midst of the epoch and raises
    KeyboardInterrupt with the place. Whenever and however it was stopped, the same call goes on
    from the last checkpoint to the very numbers that it would have reached at once.
    Returns the history and the timing, lists with one dict an epoch.
    """
    out, model, path = pathlib.Path(out), training.model, pathlib.Path(out) / "checkpoint.npz"
    history, timing, unfinished, name = [], [], None, f"{type(model).__name__} epoch"
    (out / "samples").mkdir(parents=True, exist_ok=True)
    points = creation.randn(64 if data.is_images else 2000, model.latent_dim)
    if path.exists():
        checkpoint = restore(training, path)
        history, unfinished = checkpoint["history"], checkpoint["unfinished"]
        size = (unfinished or {}).get("batch_size", batch_size)
        if size != batch_size:
            raise InputError(f"{path} was written in the midst of an epoch with batch size {size}; "
                             f"finish that with it, not with {batch_size}")
        timing = read_timing(out / "timing.csv")[:len(history)]
        points = creation.tensor(checkpoint["points"])
        backend.generator.bit_generator.state = checkpoint["generator"]
        model.eval()                                  # as every epoch leaves it
    train = DataLoader(training.from_data(data.train), batch_size, shuffle=True)
    test = DataLoader(training.from_data(data.test), min(1000, len(data.test)))

    def write_checkpoint(generator, unfinished=None):
        """`generator` is its state where the epoch to go on with begins, before the shuffling."""
        save({"epoch": len(history), "model": model.state_dict(), "points": points,
              "optimizers": [optimizer.state_dict() for optimizer in training.optimizers],
              "schedules": [[schedule.state_dict() for schedule in optimizer.schedules]
                            for optimizer in training.optimizers],
              "generator": generator, "history": history, "unfinished": unfinished}, path)

    # `check_finite` reports what is inf or nan, so NumPy need not warn of it.
    with held_interrupt() as interrupted, np.errstate(all="ignore"):
        for epoch in range(len(history) + 1, epochs + 1):
            begin, figures = time.perf_counter(), []
            generator = backend.generator.bit_generator.state
            batches = iter(train)                         # this draws the order of the examples
            if unfinished:
                begin, figures = begin - unfinished["seconds"], as_rows(unfinished["figures"])
                backend.generator.bit_generator.state = unfinished["generator"]
                unfinished = None
            model.train()
            bar = tqdm(itertools.islice(batches, len(figures), None), f"{name} {epoch}/{epochs}",
                       len(train), initial=len(figures), disable=not progress, mininterval=0.2)
            with bar:
                for x in bar:
                    figures.append({"size": size_of(x), **training.step(x)})
                    place = f"step {len(figures)} of epoch {epoch}"
                    check_finite(figures[-1], place, training, path)
                    if interrupted:
                        write_checkpoint(generator, {
                            "batch_size": batch_size, "seconds": time.perf_counter() - begin,
                            "figures": as_columns(figures),
                            "generator": backend.generator.bit_generator.state})
                        raise KeyboardInterrupt(place)
                    if len(figures) % 20 == 0:
                        recent = average(figures[-20:])
                        bar.set_postfix({key: f"{value:.4g}" for key, value in recent.items()})
            seconds = time.perf_counter() - begin
            model.eval()
            measured = average([{"size": size_of(x), **training.evaluate(x)} for x in test])
            check_finite(measured, f"the evaluation after epoch {epoch}", training, path)
            history.append(history_row(epoch, epoch * len(train), average(figures), measured))
            timing.append({"epoch": epoch, "seconds": round(seconds, 3)})
            samples = training.to_data(model.sample(len(points), z=points)).numpy()
            plots.save_samples(samples, data.train, out / "samples" / f"epoch_{epoch:03d}.png")
            write_csv(out / "timing.csv", timing)
            write_csv(out / "history.csv", history)
            write_checkpoint(backend.generator.bit_generator.state)
            if progress:
                row = ", ".join(f"{key} {value:.4g}" for key, value in history[-1].items()
                                if key not in ("epoch", "step"))
                tqdm.write(f"epoch {epoch}: {row} ({seconds:.0f} s)")
            if interrupted:
                raise KeyboardInterrupt(f"epoch {epoch}")
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


def as_columns(rows):
    """Dicts with the same keys as a dict of arrays, which a file holds better."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def as_rows(columns):
    """The reverse of `as_columns`."""
    return [dict(zip(columns, row)) for row in zip(*[x.tolist() for x in columns.values()])]


def check_finite(figures, place, training, path):
    """Raise `InputError` if a figure is not finite, before that spoils the last good checkpoint."""
    if all(math.isfinite(value) for value in figures.values()):
        return
    loss, *others = [f"{name} {value:.4g}" for name, value in figures.items() if name != "size"]
    norms = " and ".join([f"{grad_norm(o.params):.4g}" for o in training.optimizers])
    rates = " and ".join([f"{o.lr:g}" for o in training.optimizers])
    raise InputError(
        f"{place}: {loss} ({', '.join(others)}), gradient norm {norms}: the training has diverged; "
        f"try a smaller --lr (it was {rates}), the usual cause, or look for huge numbers in the "
        "data; in Python, tinygen.detect_anomaly() names the operation that fails first; "
        + (f"the last good checkpoint is {path}" if path.exists() else "no checkpoint yet"))


def write_csv(path, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
