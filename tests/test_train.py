"""The training loop: what a run leaves behind, the same twice, and the same after a pause."""

import csv
import dataclasses
import hashlib
import json
import math
import os
import platform
import re
import signal
import threading

import numpy as np
import pytest
from PIL import Image

import kill_and_resume
import tinygen as tg
from tinygen import datasets, optim, serialization, train
from tinygen.backend import InputError
from tinygen.serialization import load, save

KINDS = ["vae", "gan", "dcgan", "points vae", "points gan"]


def dataset(kind):
    """20 training and 6 test examples: images of 4 x 4, of 28 x 28 for DCGAN, or points."""
    rng = np.random.default_rng(0)
    shape = (2,) if "points" in kind else (1, 28, 28) if kind == "dcgan" else (1, 4, 4)
    return datasets.Dataset("noise", *[rng.random((n, *shape), np.float32) for n in (20, 6)])


def config_of(kind, data, seed=3, **options):
    model = "vae" if "vae" in kind else "gan"
    architecture = "conv" if kind == "dcgan" else "dense"
    config = train.defaults(model, data, architecture, latent_dim=2, **options)
    return {**config, "data": "mnist", "quick": True, "epochs": 2, "batch_size": 8, "seed": seed}


def go(kind, out, epochs=2, data=None, change=lambda training: None, progress=False, **options):
    """Start a run in `out`, or go on with it, as the command line does."""
    data = data or dataset(kind)
    config = config_of(kind, data, **options)
    if not (out / "config.json").exists():
        train.start_run(out, config)
    # A checkpoint holds the generator's state, so from there on the seed must not matter.
    tg.manual_seed(config["seed"] + (out / "checkpoint.npz").exists())
    training = train.build(config)
    change(training)
    return training, train.fit(training, data, out, epochs, 8, progress)


def result(out):
    """What must not depend on when and how often a run was interrupted: {file: its contents}."""
    paths = [out / "history.csv", out / "checkpoint.npz", *sorted((out / "samples").iterdir())]
    return {path.name: path.read_text("utf-8") if path.suffix == ".csv" else
            hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# What a run leaves behind

@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_of_a_run(tmp_path, kind):
    training, (history, timing) = go(kind, tmp_path / "run")
    out = tmp_path / "run"
    assert sorted(os.listdir(out)) == ["checkpoint.npz", "config.json", "history.csv", "samples",
                                       "timing.csv"]
    assert sorted(os.listdir(out / "samples")) == ["epoch_001.png", "epoch_002.png"]
    with Image.open(out / "samples" / "epoch_002.png") as image:
        image.load()
    table = rows(out / "history.csv")
    assert list(table[0])[:4] == ["epoch", "step", "train_loss", "test_loss"]
    assert [(row["epoch"], row["step"]) for row in table] == [("1", "3"), ("2", "6")]
    assert not [name for name in table[0] if "time" in name or "second" in name]
    assert all(math.isfinite(float(value)) for row in table for value in row.values())
    assert [{name: float(value) for name, value in row.items()} for row in table] == history
    assert list(rows(out / "timing.csv")[0]) == ["epoch", "seconds"]
    assert [row["epoch"] for row in timing] == [1, 2] and all(r["seconds"] >= 0 for r in timing)
    assert not training.model.training      # ready to draw samples
    parts = {"vae": {"elbo", "recon", "kl"}, "gan": {"value", "d_real", "d_fake"}}[kind[-3:]]
    assert {f"{split}_{part}" for split in ("train", "test") for part in parts} <= set(table[0])


def test_what_the_config_says(tmp_path):
    config = config_of("gan", dataset("gan"))
    train.start_run(tmp_path / "a" / "b", config)
    found = json.loads((tmp_path / "a" / "b" / "config.json").read_text("utf-8"))
    assert {name: found[name] for name in config} == config and found["seed"] == 3
    assert found["versions"]["numpy"] == np.__version__ and found["machine"] == platform.machine()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    assert found["versions"]["blas"] == f"{blas['name']} {blas['version']}"
    assert set(found["versions"]) == {"tinygen", "python", "numpy", "blas"}
    assert found["threads"] >= 1 and train.read_config(tmp_path / "a" / "b") == found


@pytest.mark.parametrize("kind, expected", [
    ("vae", {"architecture": "dense", "latent_dim": 20, "lr": 1e-3, "likelihood": "bernoulli"}),
    ("points vae", {"architecture": "dense", "latent_dim": 2, "lr": 1e-3,
                    "likelihood": "gaussian"}),
    ("dcgan", {"architecture": "conv", "latent_dim": 100, "lr": 2e-4, "loss": "non-saturating"}),
    ("points gan", {"architecture": "dense", "latent_dim": 2, "lr": 2e-4,
                    "loss": "non-saturating"})])
def test_what_is_chosen_where_nothing_is_said(kind, expected):
    data, model = dataset(kind), kind[-3:]
    assert train.defaults(model, data) == {"model": model, "shape": list(data.shape), **expected}
    chosen = train.defaults(model, data, "dense", 5, 0.5)
    assert (chosen["architecture"], chosen["latent_dim"], chosen["lr"]) == ("dense", 5, 0.5)


def test_a_row_is_an_average_over_examples():
    """20 examples in batches of 8 make 8, 8 and 4, and the last batch counts for less."""
    figures = [{"size": 8, "loss": 1.0}, {"size": 8, "loss": 2.0}, {"size": 4, "loss": 6.0}]
    assert train.average(figures) == {"loss": (8 + 16 + 24) / 20}


def test_every_example_is_seen_once_an_epoch_in_a_new_order(tmp_path):
    seen, data = [], dataset("vae")

    def watch(training):
        step = training.step
        training.step = lambda x: seen.append(x.numpy().copy()) or step(x)

    go("vae", tmp_path / "run", data=data, change=watch)
    epochs = [np.concatenate(seen[:3]), np.concatenate(seen[3:])]
    assert [len(x) for x in seen] == [8, 8, 4, 8, 8, 4]
    for epoch in epochs:
        assert np.array_equal(np.sort(epoch.reshape(20, -1), axis=0),
                              np.sort(data.train.reshape(20, -1), axis=0))
    assert not np.array_equal(*epochs)


def test_a_gan_is_shown_images_from_minus_one_to_one(tmp_path):
    low = []

    def watch(training):
        step = training.step
        training.step = lambda x: low.append(x.numpy().min()) or step(x)

    go("gan", tmp_path / "run", epochs=1, change=watch)
    assert -1 <= min(low) < -0.9


def test_the_model_learns_in_training_mode_and_is_measured_without(tmp_path):
    modes = []

    def watch(training):
        step, evaluate = training.step, training.evaluate
        training.step = lambda x: modes.append(training.model.training) or step(x)
        training.evaluate = lambda x: modes.append(training.model.training) or evaluate(x)

    go("vae", tmp_path / "run", change=watch)
    assert modes == [True, True, True, False] * 2


def test_the_picture_is_of_the_same_points_after_every_epoch(tmp_path):
    training, _ = go("vae", tmp_path / "run", lr=1e-12)
    samples = tmp_path / "run" / "samples"
    assert (samples / "epoch_001.png").read_bytes() == (samples / "epoch_002.png").read_bytes()


def test_progress_is_told_or_not(tmp_path, capsys):
    go("vae", tmp_path / "a", progress=False)
    assert capsys.readouterr() == ("", "")
    go("vae", tmp_path / "b", progress=True)
    said = "".join(capsys.readouterr())
    assert "epoch 1: train_loss" in said and "epoch 2: train_loss" in said
    assert result(tmp_path / "a") == result(tmp_path / "b")


# The same twice

@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_history_and_checkpoint(tmp_path, kind):
    for name in "ab":
        go(kind, tmp_path / name)
    a, b = result(tmp_path / "a"), result(tmp_path / "b")
    assert a["history.csv"] == b["history.csv"]
    assert a == b


def test_another_seed_gives_another_history(tmp_path):
    go("vae", tmp_path / "a")
    go("vae", tmp_path / "b", seed=4)
    assert rows(tmp_path / "a" / "history.csv") != rows(tmp_path / "b" / "history.csv")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_paused_ends_as_one_that_did_not(tmp_path, kind):
    _, (history, timing) = go(kind, tmp_path / "whole")
    go(kind, tmp_path / "paused", epochs=1)
    _, (resumed, resumed_timing) = go(kind, tmp_path / "paused")
    assert resumed == history
    assert [row["epoch"] for row in timing] == [row["epoch"] for row in resumed_timing] == [1, 2]
    assert [row["epoch"] for row in rows(tmp_path / "paused" / "timing.csv")] == ["1", "2"]
    a, b = result(tmp_path / "whole"), result(tmp_path / "paused")
    assert a["history.csv"] == b["history.csv"]
    assert a == b


def test_a_run_that_is_done_is_left_as_it_is(tmp_path):
    go("vae", tmp_path / "run")
    before = result(tmp_path / "run")
    for epochs in (2, 1):
        _, (history, timing) = go("vae", tmp_path / "run", epochs=epochs)
        assert len(history) == len(timing) == 2 and result(tmp_path / "run") == before


@pytest.mark.parametrize("kind", ["vae", "dcgan", "points gan"])
def test_a_run_can_be_loaded(tmp_path, kind):
    training, _ = go(kind, tmp_path / "run", epochs=1)
    tg.manual_seed(11)
    expected = training.model.sample(5).numpy()
    loaded, config = train.load_run(tmp_path / "run")
    tg.manual_seed(11)
    assert np.array_equal(loaded.model.sample(5).numpy(), expected)
    assert config["model"] == kind[-3:] and not loaded.model.training
    state = training.model.state_dict()
    assert {n: t.numpy().tolist() for n, t in loaded.model.state_dict().items()} == {
        n: t.numpy().tolist() for n, t in state.items()}


# Interruptions

def at_step(number, act):
    """A change of a training: in its step `number`, counted from 1, `act` gives the figures."""
    def change(training):
        step, count = training.step, iter(range(1, 1000))

        def changed(x):
            figures = step(x)
            return act(figures) if next(count) == number else figures

        training.step = changed
    return change


def interrupt(*args):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_an_interrupt_keeps_the_last_whole_epoch(tmp_path, kind):
    go(kind, tmp_path / "whole")
    go(kind, tmp_path / "one", epochs=1)
    with pytest.raises(KeyboardInterrupt):
        go(kind, tmp_path / "run", change=at_step(5, interrupt))
    assert result(tmp_path / "run")["history.csv"] == result(tmp_path / "one")["history.csv"]
    assert load(tmp_path / "run" / "checkpoint.npz")["epoch"] == 1
    go(kind, tmp_path / "run")
    a, b = result(tmp_path / "whole"), result(tmp_path / "run")
    assert a["history.csv"] == b["history.csv"]
    assert a == b


@pytest.mark.parametrize("write", range(1, 7))
def test_an_interrupt_while_the_results_are_written(tmp_path, monkeypatch, write):
    """Each file in turn is the one that the interrupt meets, and going on always mends it."""
    go("vae", tmp_path / "whole")
    count, replace = iter(range(100)), os.replace
    train.start_run(tmp_path / "run", config_of("vae", dataset("vae")))
    with monkeypatch.context() as patch:
        patch.setattr(serialization.os, "replace", lambda *paths: (
            interrupt() if next(count) == write - 1 else replace(*paths)))
        with pytest.raises(KeyboardInterrupt):
            go("vae", tmp_path / "run")
    go("vae", tmp_path / "run")
    a, b = result(tmp_path / "whole"), result(tmp_path / "run")
    assert a["history.csv"] == b["history.csv"]
    assert len(rows(tmp_path / "run" / "timing.csv")) == 2
    assert not list((tmp_path / "run").glob("*.part"))


def press(figures=None):
    """Ctrl-C, as the system sends it."""
    signal.raise_signal(signal.SIGINT)
    return figures


@pytest.mark.parametrize("step", range(1, 7))       # two epochs of three steps
@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_ctrl_c_saves_after_the_step_and_the_run_ends_the_same(tmp_path, kind, step):
    go(kind, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt) as caught:
        go(kind, tmp_path / "run", change=at_step(step, press))
    epoch, done = divmod(step - 1, 3)
    assert str(caught.value) == f"step {done + 1} of epoch {epoch + 1}"
    checkpoint = load(tmp_path / "run" / "checkpoint.npz")
    assert checkpoint["epoch"] == epoch
    assert len(checkpoint["unfinished"]["figures"]["loss"]) == done + 1
    train.load_run(tmp_path / "run")
    _, (history, timing) = go(kind, tmp_path / "run")
    assert result(tmp_path / "run") == result(tmp_path / "whole")
    assert [row["epoch"] for row in timing] == [row["epoch"] for row in history] == [1, 2]


def test_ctrl_c_at_every_step_ends_the_same(tmp_path):
    """Also where the first step after going on is the last again."""
    go("dcgan", tmp_path / "whole")
    for _ in range(6):
        with pytest.raises(KeyboardInterrupt):
            go("dcgan", tmp_path / "run", change=at_step(1, press))
    go("dcgan", tmp_path / "run")
    assert result(tmp_path / "run") == result(tmp_path / "whole")


@pytest.mark.parametrize("call, epochs", [(1, 1), (2, 2)])
def test_ctrl_c_while_it_measures(tmp_path, call, epochs):
    def change(training):
        evaluate, count = training.evaluate, iter(range(1, 100))
        training.evaluate = lambda x: (press() if next(count) == call else None) or evaluate(x)

    go("vae", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt, match=f"^epoch {epochs}$"):
        go("vae", tmp_path / "run", change=change)
    assert len(rows(tmp_path / "run" / "history.csv")) == epochs
    go("vae", tmp_path / "run")
    assert result(tmp_path / "run") == result(tmp_path / "whole")


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    go("vae", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt) as caught:
        go("vae", tmp_path / "run", change=at_step(2, lambda figures: press(press())))
    assert str(caught.value) == "" and not (tmp_path / "run" / "checkpoint.npz").exists()
    go("vae", tmp_path / "run")
    assert result(tmp_path / "run") == result(tmp_path / "whole")


def test_ctrl_c_means_the_same_as_before_after_a_training(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    go("vae", tmp_path / "a")
    assert signal.getsignal(signal.SIGINT) is before is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        press()


def test_ctrl_c_is_left_alone_where_it_means_something_else(tmp_path):
    """A background job ignores it, and a thread that is not the main one gets none."""
    heard = []
    signal.signal(signal.SIGINT, lambda *args: heard.append(args))
    try:
        go("vae", tmp_path / "a", change=at_step(2, press))
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=go, args=("vae", tmp_path / "b"))
    thread.start()
    thread.join()
    assert len(heard) == 1 and result(tmp_path / "a") == result(tmp_path / "b")


def test_an_interrupt_in_the_first_epoch_leaves_a_run_that_can_start(tmp_path):
    go("vae", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go("vae", tmp_path / "run", change=at_step(2, interrupt))
    assert sorted(os.listdir(tmp_path / "run")) == ["config.json", "samples"]
    go("vae", tmp_path / "run")
    assert result(tmp_path / "run")["history.csv"] == result(tmp_path / "whole")["history.csv"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("model", ["vae", "gan"])
def test_a_killed_run_ends_the_same(tmp_path, model):
    """The small form of kill_and_resume.py: every other kill is aimed at a write."""
    kills, in_writes, runs = kill_and_resume.campaign(model, tmp_path, kills=2, writes=1,
                                                      architecture="dense")
    assert kills >= 2 and in_writes >= 1 and runs >= 1


# A training that diverges

@pytest.mark.parametrize("kind", ["vae", "points vae", "gan", "points gan"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_huge_learning_rate_stops_with_a_sentence(tmp_path, kind):
    with pytest.raises(InputError, match="diverged; try a smaller --lr") as caught:
        go(kind, tmp_path / "run", lr=1e30)
    said = str(caught.value)
    assert "epoch 1" in said and "\n" not in said and said.endswith("; no checkpoint yet")
    assert re.search(r"gradient norm \S+( and \S+)?: ", said)[1] or "gan" not in kind
    assert not (tmp_path / "run" / "checkpoint.npz").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_diverging_keeps_the_last_checkpoint(tmp_path, value):
    go("vae", tmp_path / "one", epochs=1)
    with pytest.raises(InputError) as caught:
        go("vae", tmp_path / "run", change=at_step(5, lambda figures: {**figures, "kl": value}))
    number = r"\d+\.?\d*"
    assert re.fullmatch(
        rf"step 2 of epoch 2: loss {number} \(elbo -{number}, recon {number}, kl {value}\), "
        rf"gradient norm {number}: the training has diverged; try a smaller --lr \(it was 0.001\).*"
        r"huge numbers in the data; .*detect_anomaly\(\).*; "
        rf"the last good checkpoint is {re.escape(str(tmp_path / 'run' / 'checkpoint.npz'))}",
        str(caught.value))
    assert result(tmp_path / "run")["history.csv"] == result(tmp_path / "one")["history.csv"]
    assert load(tmp_path / "run" / "checkpoint.npz")["epoch"] == 1
    train.load_run(tmp_path / "run")


def test_diverging_in_the_last_step_of_an_epoch(tmp_path):
    """The figures of a step are from before its update, so only the evaluation meets it."""
    def spoil(training):
        step, count = training.step, iter(range(1, 100))

        def changed(x):
            figures = step(x)
            if next(count) == 6:
                training.model.parameters()[0].data[...] = np.nan
            return figures

        training.step = changed

    with pytest.raises(InputError, match="epoch 2.*diverged"):
        go("vae", tmp_path / "run", change=spoil)
    assert load(tmp_path / "run" / "checkpoint.npz")["epoch"] == 1
    assert len(rows(tmp_path / "run" / "history.csv")) == 1


# What cannot be used

def test_a_folder_with_a_run_is_left_alone(tmp_path):
    go("vae", tmp_path / "run", epochs=1)
    before = {**result(tmp_path / "run"), "c": (tmp_path / "run" / "config.json").read_bytes()}
    with pytest.raises(InputError, match=r"already holds a run; go on with it by --resume .*run"):
        train.start_run(tmp_path / "run", config_of("gan", dataset("gan")))
    assert before == {**result(tmp_path / "run"),
                      "c": (tmp_path / "run" / "config.json").read_bytes()}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("text")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="file.* cannot be made .*; choose another --out"):
            train.start_run(out, {})
    assert (tmp_path / "file").read_text("utf-8") == "text"


def test_convolutions_are_for_images_of_one_size():
    data = dataset("vae")
    for model in ("vae", "gan"):
        with pytest.raises(InputError, match=r"28 x 28, but the data has shape \(1, 4, 4\)"):
            train.build(train.defaults(model, data, architecture="conv"))


@pytest.mark.parametrize("folder", ["missing", "empty", "file"])
def test_a_folder_without_a_run(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match=f"{folder} holds no run: there is no config.json in it"):
        train.load_run(tmp_path / folder)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("train") / "run"
    tg.manual_seed(0)
    go("vae", out, epochs=1)
    return out


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of a finished run of a VAE, to be damaged."""
    for name in ("config.json", "checkpoint.npz"):
        (tmp_path / name).write_bytes((finished_run / name).read_bytes())
    return tmp_path


CONFIGS = {
    "truncated": lambda text: text[:50], "empty": lambda text: "", "binary": lambda text: b"\xff\0",
    "a list": lambda text: "[]", "a number": lambda text: "3", "nothing in it": lambda text: "{}",
    "no shape": lambda text: text.replace('"shape"', '"form"')}


@pytest.mark.parametrize("damage", CONFIGS)
def test_a_broken_config(run, damage):
    path = run / "config.json"
    broken = CONFIGS[damage](path.read_text("utf-8"))
    path.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    with pytest.raises(InputError) as caught:
        train.load_run(run)
    assert "config.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name, values", {
    "model": ["cnn", 3, None, ["gan"]], "architecture": ["resnet", {}], "lr": ["0.1", 0, -1, True],
    "shape": [784, [], [1, 28], [1, 28, 28.5], "abc"], "latent_dim": [0, 2.0, "2", None],
    "epochs": [0, "3"], "batch_size": [0, -8, 1.5], "seed": [-1, "0"], "data": [None, 7],
    "quick": [0, "no"], "likelihood": ["poisson", None]}.items())
def test_a_config_that_no_run_has(run, name, values):
    path = run / "config.json"
    config = json.loads(path.read_text("utf-8"))
    for value in values:
        path.write_text(json.dumps({**config, name: value}))
        found = re.escape(f"its {name} is {value!r}; restore it")
        with pytest.raises(InputError, match=f"config.json is not .*: {found}"):
            train.load_run(run)
    del config[name]
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"config.json .*: it has no {name}; restore"):
        train.load_run(run)


def test_a_config_of_another_model(run):
    path = run / "config.json"
    config = {**json.loads(path.read_text("utf-8")), "model": "gan"}
    for more, found in (({}, "it has no loss"), ({"loss": ["w"]}, r"its loss is \['w'\]"),
                        ({"loss": "minimax"}, "checkpoint.npz is not the checkpoint of this run")):
        path.write_text(json.dumps({**config, **more}))
        with pytest.raises(InputError, match=found):
            train.load_run(run)


def change_checkpoint(path, change):
    checkpoint = load(path)
    change(checkpoint)
    save(checkpoint, path)


CHECKPOINTS = {
    "missing": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:500]),
    "text": lambda path: path.write_text("no checkpoint"),
    "another thing": lambda path: save([1, 2], path),
    "without a model": lambda path: change_checkpoint(path, lambda c: c.pop("model")),
    "without a history": lambda path: change_checkpoint(path, lambda c: c.pop("history")),
    "with more in it": lambda path: change_checkpoint(path, lambda c: c.update({"more": 1})),
    "of float64": lambda path: change_checkpoint(path, lambda c: c["model"].update(
        {name: array.astype("float64") for name, array in c["model"].items()})),
    "of numbers for arrays": lambda path: change_checkpoint(
        path, lambda c: c["model"].update({"encoder.1.weight": 1.0})),
    "of other schedules": lambda path: change_checkpoint(
        path, lambda c: c.update(schedules=[[{"base_lr": 0.001, "last_epoch": 1}]])),
    "of broken schedules": lambda path: change_checkpoint(
        path, lambda c: c.update(schedules=[["text"]])),
    "of fewer optimisers": lambda path: change_checkpoint(path, lambda c: c["optimizers"].clear()),
    "of an optimiser of numbers": lambda path: change_checkpoint(
        path, lambda c: c["optimizers"][0]["state"]["0"].update({"exp_avg": 1.0})),
    "of a parameter before the first": lambda path: change_checkpoint(
        path, lambda c: c["optimizers"][0]["state"].update(
            {"-1": c["optimizers"][0]["state"].pop("0")})),
    "of another model": lambda path: change_checkpoint(
        path, lambda c: c["model"].update({"encoder.1.weight": np.zeros((2, 3), np.float32)})),
    "of another optimiser": lambda path: change_checkpoint(
        path, lambda c: c["optimizers"][0]["state"].update({"99": {"step": 1}})),
}


@pytest.mark.parametrize("damage", CHECKPOINTS)
def test_a_broken_checkpoint(run, damage):
    CHECKPOINTS[damage](run / "checkpoint.npz")
    with pytest.raises(InputError) as caught:
        train.load_run(run)
    assert "checkpoint.npz" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", sorted(set(CHECKPOINTS) - {"missing"}))
def test_a_broken_checkpoint_stops_a_resumed_run(run, damage):
    CHECKPOINTS[damage](run / "checkpoint.npz")
    before = (run / "checkpoint.npz").read_bytes()
    with pytest.raises(InputError, match="checkpoint.npz"):
        go("vae", run)
    assert (run / "checkpoint.npz").read_bytes() == before and not (run / "history.csv").exists()


@pytest.mark.parametrize("damage", sorted(set(CHECKPOINTS) - {"missing"}))
def test_a_broken_checkpoint_changes_nothing(run, damage):
    """Neither the weights nor the optimisers, not even in part."""
    training, data = train.build(train.read_config(run)), dataset("vae")
    training.step(tg.tensor(data.train))

    def state():
        model = {name: x.numpy().copy() for name, x in training.model.state_dict().items()}
        return {"model": model, "optimizers": [o.state_dict() for o in training.optimizers]}

    CHECKPOINTS[damage](run / "checkpoint.npz")
    save(state(), run / "before.npz")
    with pytest.raises(InputError):
        train.restore(training, run / "checkpoint.npz")
    save(state(), run / "after.npz")
    assert (run / "before.npz").read_bytes() == (run / "after.npz").read_bytes()


def test_the_checksum_is_of_all_examples_and_their_shape_and_dtype():
    data = dataset("vae")
    found = train.checksum(data)
    assert len(found) == 64 and found == train.checksum(dataset("vae"))
    assert found == train.checksum(datasets.Dataset("another name", data.train.copy(), data.test))
    changed = data.test.copy()
    changed[-1, 0, 3, 3] = np.nextafter(changed[-1, 0, 3, 3], 2)
    for train_, test in [(data.train, changed), (data.train[:-1], data.test),
                         (data.train.reshape(20, 1, 2, 8), data.test),
                         (data.train.view(np.int32), data.test), (data.train[::-1], data.test)]:
        assert train.checksum(datasets.Dataset("noise", train_, test)) != found


@pytest.mark.parametrize("said, expected", [({}, None), ({"OMP_NUM_THREADS": "3"}, 3),
                                            ({"OMP_NUM_THREADS": "3,2"}, 3),
                                            ({"OPENBLAS_NUM_THREADS": "2"}, 2),
                                            ({"MKL_NUM_THREADS": "5"}, 5),
                                            ({"VECLIB_MAXIMUM_THREADS": "6"}, 6),
                                            ({"OPENBLAS_NUM_THREADS": "many"}, None),
                                            ({"OPENBLAS_NUM_THREADS": "0",
                                              "OMP_NUM_THREADS": "4"}, 4)])
def test_threads(monkeypatch, said, expected):
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
                 "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)             # of them, 7 are ours
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)), raising=False)
    assert train.environment()["threads"] == (expected or 7)
    monkeypatch.delattr(os, "sched_getaffinity")                # Linux alone has it
    assert train.environment()["threads"] == (expected or 8)


def test_a_resumed_run_makes_its_folder_of_pictures_again(tmp_path):
    go("vae", tmp_path)
    for picture in (tmp_path / "samples").iterdir():
        picture.unlink()
    (tmp_path / "samples").rmdir()
    go("vae", tmp_path, epochs=3)
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["epoch_003.png"]


def test_an_unfinished_epoch_is_finished_with_its_own_batch_size(tmp_path):
    def press_ctrl_c(training):
        step = training.step

        def pressed(x):
            signal.raise_signal(signal.SIGINT)
            return step(x)
        training.step = pressed

    with pytest.raises(KeyboardInterrupt, match="step 1 of epoch 1"):
        go("vae", tmp_path, change=press_ctrl_c)
    data = dataset("vae")
    with pytest.raises(InputError, match="in the midst of an epoch with batch size 8; finish that"):
        train.fit(train.build(config_of("vae", data)), data, tmp_path, 2, 4, progress=False)


def test_a_run_goes_on_with_its_own_learning_rate(tmp_path):
    go("vae", tmp_path)
    data = dataset("vae")
    with pytest.raises(InputError, match=r"its lr is 0.001, expected 0.5"):
        train.fit(train.build(config_of("vae", data, lr=0.5)), data, tmp_path, 3, 8, progress=False)


@pytest.mark.parametrize("text, epochs", [
    ("epoch,seconds\n1,2.5\n2,", [1]), ("epoch,seconds\n1,2.5\n2", [1]), ("junk", []), ("", [])])
def test_a_timing_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path, text, epochs):
    (tmp_path / "timing.csv").write_text(text)
    assert [row["epoch"] for row in train.read_timing(tmp_path / "timing.csv")] == epochs


def cooling(training):
    """The rate falls from step to step, by two schedules."""
    optimizer, step = training.optimizers[0], training.step
    schedules = [optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12),
                 optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.9 ** n)]

    def step_and_cool(x):
        figures = step(x)
        for schedule in schedules:
            schedule.step()
        return {**figures, "lr": optimizer.lr}

    training.step = step_and_cool


def test_a_schedule_goes_on_where_it_was(tmp_path):
    _, (whole, _) = go("points vae", tmp_path / "whole", 4, change=cooling)
    go("points vae", tmp_path / "parts", 2, change=cooling)
    training, (history, _) = go("points vae", tmp_path / "parts", 4, change=cooling)
    assert history == whole and result(tmp_path / "whole") == result(tmp_path / "parts")
    assert training.optimizers[0].lr < 0.5 * train.defaults("vae", dataset("points"))["lr"]
    with pytest.raises(InputError, match="its lr is 0.001, expected 0.5"):
        go("points vae", tmp_path / "parts", 5, change=cooling, lr=0.5)


def test_batches_with_labels_count_by_their_examples(tmp_path):
    """17 points in batches of 8: the last batch, of one, has a loss of 1."""
    data, training = dataset("points"), train.build(config_of("points vae", dataset("points")))
    data = dataclasses.replace(data, train=np.resize(data.train, (17, 2)))
    training.from_data = lambda points: (points, np.zeros(len(points), np.int64))
    training.step = training.evaluate = lambda batch: {"loss": float(len(batch[0]) == 1)}
    history, _ = train.fit(training, data, tmp_path, 1, 8, progress=False)
    assert history[0]["train_loss"] == 1 / 17
