"""The command line: every command on tiny data, and one sentence for whatever is wrong."""

import csv
import errno
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import tinygen as tg
from tinygen import backend, cli, datasets, gan, inpaint, ops, plots, report, train, vae
from tinygen.backend import InputError

ROOT = pathlib.Path(__file__).parent.parent
TRAIN, TEST = 24, 12


def write_idx(path, array):
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


def tiny_folder(path):
    """A folder in MNIST's format, of images with one bright square each."""
    path.mkdir()
    rng = np.random.default_rng(0)
    for name, n in (("train", TRAIN), ("t10k", TEST)):
        images = rng.integers(30, size=(n, 28, 28), dtype=np.uint8)
        for image, (i, j) in zip(images, rng.integers(20, size=(n, 2))):
            image[i:i + 8, j:j + 8] = 255
        write_idx(path / f"{name}-images-idx3-ubyte", images)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with tiny data (as "tiny") beside it, and toy sets made small."""
    tiny_folder(tmp_path / "tiny")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in ("ring", "grid", "moons"):
        monkeypatch.setattr(datasets, name, lambda n, draw=getattr(datasets, name): draw(n // 500))
    monkeypatch.setattr(report, "MEASURED", 12)
    return tmp_path / "work"


@pytest.fixture
def command(capsys):
    """Runs a command line in this process: (status, standard output, standard error)."""
    def run(*words):
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as stop:
            status = stop.code
        said = capsys.readouterr()
        return status, said.out, said.err
    return run


@pytest.fixture
def told(command, monkeypatch):
    """told(words..., text): the numbers that stand for each # of the text in a command's help."""
    monkeypatch.setenv("COLUMNS", "300")        # no line is broken

    def told(*words):
        *words, text = words
        pattern = re.escape(text).replace(r"\#", r"([\d,.e-]*\d)")
        found, = re.finditer(pattern, command(*words, "--help")[1])
        return [float(number.replace(",", "")) for number in found.groups()]
    return told


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with finished runs, one epoch each: vae, gan, ring-vae."""
    folder = tmp_path_factory.mktemp("runs")
    data = tiny_folder(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "ring", lambda n, draw=datasets.ring: draw(n // 500))
        for model, name, source in [("vae", "vae", data), ("gan", "gan", data),
                                    ("vae", "ring-vae", "ring")]:
            cli.main(["train", model, "--data", str(source), "--epochs", "1", "--out",
                      str(folder / name), "--architecture", "dense"])
    return folder


@pytest.fixture
def copy(runs, here):
    """Gives a copy of a finished run that may be changed."""
    return lambda name: pathlib.Path(shutil.copytree(runs / name, here / name)).relative_to(here)


def contents(folder):
    """{relative path: digest} of all files in a folder, {path: None} of the folders in it."""
    return {str(path.relative_to(folder)):
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
            for path in sorted(pathlib.Path(folder).rglob("*"))}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def picture_size(path):
    with Image.open(path) as image:
        image.load()
        return image.size


# Training

@pytest.mark.parametrize("model, options", [
    ("vae", []), ("vae", ["--architecture", "conv", "--latent-dim", "3"]),
    ("gan", []), ("gan", ["--architecture", "dense", "--loss", "minimax", "--lr", "1e-3"])])
def test_training_on_images(here, command, model, options):
    status, said, _ = command("train", model, "--data", "../tiny", "--epochs", "2",
                              "--batch-size", "16", "--seed", "5", "--out", "run", *options)
    first, *told, last = said.splitlines()
    assert first == f"tiny: {TRAIN} training and {TEST} test images"
    assert status == 0 and [line.split(":")[0] for line in told] == ["epoch 1", "epoch 2"]
    assert last.startswith("The run is in run: ") and last.endswith("tinygen sample run")
    assert os.listdir() == ["run"]
    assert [row["step"] for row in rows("run/history.csv")] == ["2", "4"]
    assert picture_size("run/samples/epoch_002.png") == (3 * (8 * 29 - 1),) * 2
    config = json.loads(pathlib.Path("run/config.json").read_text("utf-8"))
    assert (config["model"], config["epochs"], config["batch_size"], config["seed"]) == (
        model, 2, 16, 5)
    assert (config["train_size"], config["test_size"]) == (TRAIN, TEST)
    assert config["data"] == str(here.parent / "tiny") and config["quick"] is False
    if options[2:] == ["--loss", "minimax", "--lr", "1e-3"]:
        assert (config["loss"], config["lr"]) == ("minimax", 1e-3)
    if "--latent-dim" in options:
        assert (config["architecture"], config["latent_dim"]) == ("conv", 3)


@pytest.mark.parametrize("model", ["vae", "gan"])
@pytest.mark.parametrize("data", ["ring", "moons"])
def test_training_on_points(here, command, model, data):
    status, said, _ = command("train", model, "--data", data, "--epochs", "1")
    assert status == 0 and f"runs/{model}-{data}" in said
    run = here / "runs" / f"{model}-{data}"
    assert len(rows(run / "history.csv")) == 1 and (run / "samples/epoch_001.png").exists()
    assert json.loads((run / "config.json").read_text("utf-8"))["data"] == data
    assert command("sample", run, "-n", 20)[0] == 0 and (run / "sample.png").exists()


def test_every_run_gets_a_folder_of_its_own(here, command):
    for _ in range(3):
        command("train", "vae", "--data", "ring", "--epochs", "1")
    assert sorted(os.listdir("runs")) == ["vae-ring", "vae-ring-2", "vae-ring-3"]
    names = ["history.csv", "checkpoint.npz"]
    found = [[contents(f"runs/{run}")[name] for name in names] for run in os.listdir("runs")]
    assert [history for history, _ in found] == 3 * [found[0][0]]       # of the same seed
    assert found == 3 * [found[0]]


def test_the_data_in_the_current_folder_give_the_run_its_name(here, command, monkeypatch):
    tiny_folder(here / "letters")
    monkeypatch.chdir(here / "letters")
    assert command("train", "vae", "--data", ".", "--epochs", "1")[0] == 0
    assert os.listdir("runs") == ["vae-letters"]


def test_the_config_holds_the_command_that_was_given(here, command):
    words = ["train", "vae", "--data", "ring", "--epochs", "1", "--out", "run"]
    command(*words)
    assert json.loads(pathlib.Path("run/config.json").read_text("utf-8"))["command"] == words


def test_quick_takes_few_examples(here, command, monkeypatch):
    monkeypatch.setattr(cli, "QUICK", 12)
    assert command("train", "vae", "--data", "../tiny", "--quick", "--out", "run")[0] == 0
    config = json.loads(pathlib.Path("run/config.json").read_text("utf-8"))
    assert (config["train_size"], config["test_size"], config["epochs"]) == (12, 2, 1)


# Going on

@pytest.mark.parametrize("model, data", [("vae", "ring"), ("gan", "../tiny"), ("vae", "../tiny")])
def test_resume_ends_as_if_there_had_been_no_pause(here, command, monkeypatch, model, data):
    given = ["train", model, "--data", data, "--seed", "2", "--architecture", "dense"]
    command(*given, "--epochs", "2", "--out", "whole")
    command(*given, "--epochs", "1", "--out", "paused")
    monkeypatch.chdir(here.parent)      # the data is found from anywhere
    status, said, _ = command("train", model, "--resume", "work/paused", "--epochs", "2")
    assert status == 0 and "\nThe run is in work/paused: " in said
    whole, paused = contents("work/whole"), contents("work/paused")
    assert set(whole) == set(paused)
    for name in ("history.csv", "samples/epoch_002.png", "checkpoint.npz"):
        assert whole[name] == paused[name], name


def test_resume_keeps_what_was_configured(copy, command):
    run = copy("vae")
    before, found = json.loads((run / "config.json").read_text("utf-8")), contents(run)
    for option, value in ("--lr", 5), ("--seed", 9), ("--latent-dim", 3):
        assert one_sentence(command("train", "vae", "--resume", run, option, value),
                            f"{option} is {value}", "was started with", f"leave {option} out")
    for words in ["--seed", 1], ["--data", "mnist"], ["--loss=minimax"], ["--out", "elsewhere"]:
        assert command("train", "vae", "--resume", run, *words)[0] == 2
    assert one_sentence(command("train", "vae", "--resume", run, "--data", "ring"),
                        "ring is not what vae was trained on")
    assert contents(run) == found
    assert command("train", "vae", "--resume", run, "--epochs", 2, "--lr", before["lr"],
                   "--data", before["data"])[0] == 0
    assert json.loads((run / "config.json").read_text("utf-8"))["epochs"] == 2
    assert len(rows(run / "history.csv")) == 2
    after = json.loads((run / "config.json").read_text("utf-8"))
    assert {**after, "epochs": 0} == {**before, "epochs": 0}
    assert "has had its 2 epochs" in command("train", "vae", "--resume", run)[1]


@pytest.mark.parametrize("words", [["train", "vae"], ["compare"]], ids=" ".join)
def test_a_run_lies_in_one_folder(here, command, words):
    assert one_sentence(command(*words, "--resume", "new", "--out", "other"), "--out", "--resume")
    assert not pathlib.Path("new").exists() and not pathlib.Path("other").exists()


@pytest.mark.parametrize("name", ["checkpoint.npz", "history.csv", "timing.csv"])
def test_what_another_run_has_left_is_not_taken_over(copy, command, name):
    run = copy("vae")
    for path in run.iterdir():
        if path.is_file() and path.name != name:
            path.unlink()
    before = contents(run)
    assert one_sentence(command("train", "vae", "--data", "ring", "--out", run), name, "move it")
    assert contents(run) == before


def test_what_was_done_stands_in_the_checkpoint(copy, command):
    run = copy("vae")
    (run / "timing.csv").write_text("epoch,seconds\n" + "".join(f"{i},1.0\n" for i in range(1, 6)))
    assert command("train", "vae", "--resume", run, "--epochs", 2)[0] == 0
    assert json.loads((run / "config.json").read_text("utf-8"))["epochs"] == len(
        rows(run / "history.csv")) == 2
    (run / "timing.csv").unlink()
    assert "has had its 2 epochs" in command("train", "vae", "--resume", run, "--epochs", 1)[1]
    assert json.loads((run / "config.json").read_text("utf-8"))["epochs"] == 2


@pytest.mark.parametrize("words", [["sample"], ["reconstruct"], ["inpaint"]], ids=" ".join)
@pytest.mark.parametrize("name", ["checkpoint.npz", "config.json", "picture.jpg"])
def test_a_picture_is_no_other_file(copy, command, words, name):
    run = copy("vae")
    before = contents(run)
    assert one_sentence(command(*words, run, "--out", run / name), name, "ends in .png")
    assert contents(run) == before


@pytest.mark.parametrize("words", [["reconstruct"], ["inpaint"], ["evaluate", "-n", 10]],
                         ids=lambda words: words[0])
def test_other_data_by_the_same_name_are_told(copy, command, words):
    run = copy("vae")
    config = json.loads((run / "config.json").read_text("utf-8"))
    (run / "config.json").write_text(json.dumps({**config, "data_sha256": "abc"}))
    assert one_sentence(command(words[0], run, *words[1:]), "is not what", "SHA-256", "abc")


@pytest.mark.parametrize("words", [["train", "vae", "--resume", ""], ["train", "gan", "--out="],
                                   ["sample", ""], ["compare", "--data", ""]], ids=" ".join)
def test_an_empty_path(here, command, words):
    assert one_sentence(command(*words), "the path is empty")


def test_too_little_memory_is_one_sentence(copy, command, monkeypatch):
    def draw(*args):
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr(cli.metrics, "draw", draw)
    assert one_sentence(command("sample", copy("vae")), "not enough memory", "1 TiB")


def test_resume_without_a_run_starts_afresh_and_says_so(here, command):
    (here / "empty" / "samples").mkdir(parents=True)         # stopped before it wrote its config
    for folder in ("new", "empty"):
        status, said, _ = command("train", "vae", "--data", "ring", "--epochs", "1",
                                  "--resume", folder)
        assert status == 0 and f"{folder} holds no run yet, so this starts afresh" in said
        assert len(rows(f"{folder}/history.csv")) == 1
    assert sorted(os.listdir()) == ["empty", "new"]
    (here / "other").mkdir()
    pathlib.Path("other/notes.txt").write_text("mine")
    before = contents(here)
    assert one_sentence(command("train", "vae", "--resume", "other"), "other holds no run")
    assert contents(here) == before


def test_a_run_without_a_checkpoint_says_how_to_go_on(copy, command):
    run = copy("vae")
    (run / "checkpoint.npz").unlink()
    for words in ["sample"], ["reconstruct"], ["evaluate"], ["inpaint"]:
        assert one_sentence(command(*words, run), "checkpoint.npz is not there yet",
                            f"tinygen train vae --resume {run}")


def test_the_version(here, command):
    status, said, _ = command("--version")
    assert status == 0 and said.startswith("tinygen 0.")


def test_an_interrupt_tells_how_to_go_on(here, command, monkeypatch):
    given = ["train", "vae", "--data", "../tiny", "--batch-size", "8", "--epochs", "2"]
    command(*given, "--out", "whole")
    step, count = vae.VAETraining.step, iter(range(100))

    def interrupted(self, x):
        if next(count) == 4:        # the second step of the second epoch
            raise KeyboardInterrupt
        return step(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(vae.VAETraining, "step", interrupted)
        status, said, error = command(*given, "--out", "run")
    assert status == 130 and "epoch 1: " in said and "The run is in" not in said
    last = error.splitlines()[-1]
    assert last == ("tinygen train: stopped; run holds its last checkpoint; go on with: "
                    "tinygen train vae --resume run")
    assert "Traceback" not in error and len(rows("run/history.csv")) == 1
    assert command(*last.split("tinygen ")[-1].split())[0] == 0     # what it says works
    assert contents("run")["history.csv"] == contents("whole")["history.csv"]


def test_an_interrupt_in_the_first_epoch(here, command, monkeypatch):
    def interrupted(self, x):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gan.GANTraining, "step", interrupted)
        status, _, error = command("train", "gan", "--data", "ring", "--epochs", "1", "--out", "r")
    assert status == 130
    assert error.splitlines()[-1] == ("tinygen train: stopped; r holds no checkpoint yet; "
                                      "go on with: tinygen train gan --resume r")
    status, said, _ = command("train", "gan", "--resume", "r")
    assert status == 0 and len(rows("r/history.csv")) == 1
    assert "starts afresh" in said


def press_ctrl_c(patch, after):
    """Ctrl-C is pressed in the next step of a VAE's training after so many."""
    step, count = vae.VAETraining.step, iter(range(100))

    def pressed(self, x):
        if next(count) == after:
            signal.raise_signal(signal.SIGINT)
        return step(self, x)

    patch.setattr(vae.VAETraining, "step", pressed)


def test_ctrl_c_tells_up_to_where_all_is_kept(here, command, monkeypatch):
    given = ["train", "vae", "--data", "../tiny", "--batch-size", "8", "--epochs", "2"]
    command(*given, "--out", "whole")
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, 4)
        status, said, error = command(*given, "--out", "run")
    last = error.splitlines()[-1]
    assert status == 130 and last == ("tinygen train: stopped; run holds all up to step 2 of epoch "
                                      "2; go on with: tinygen train vae --resume run")
    assert command(*last.split("tinygen ")[-1].split())[0] == 0
    for name in ("history.csv", "checkpoint.npz"):
        assert contents("run")[name] == contents("whole")[name]


def test_resume_with_other_data_is_refused(copy, command):
    """The folder has kept its name and its number of images, and one pixel has changed."""
    run = copy("vae")
    config = json.loads((run / "config.json").read_text("utf-8"))
    folder = tiny_folder(pathlib.Path("data"))
    config["data"] = str(folder)
    (run / "config.json").write_text(json.dumps(config))
    assert command("train", "vae", "--resume", run, "--epochs", "2")[0] == 0
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    before = contents(run)
    status, said, error = command("train", "vae", "--resume", run, "--epochs", "3")
    assert status == 2 and said == "" and contents(run) == before
    assert "data is not what" in error and config["data_sha256"] in error


def test_resume_elsewhere_says_that_digits_may_differ(copy, command):
    run = copy("vae")
    assert "differ" not in command("train", "vae", "--resume", run)[1]
    config = json.loads((run / "config.json").read_text("utf-8"))
    (run / "config.json").write_text(json.dumps({**config, "threads": 77}))
    status, said, _ = command("train", "vae", "--resume", run)
    assert status == 0 and "was started with threads 77, and this is " in said
    assert "the last digits may differ" in said


def test_an_interrupt_outside_of_a_training(here, command, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load", interrupted)
    assert command("train", "vae") == (130, "", "tinygen train: stopped\n")
    assert os.listdir() == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_training_that_diverges(here, command):
    status, said, error = command("train", "vae", "--data", "../tiny", "--lr", "1e30",
                                  "--batch-size", "8", "--out", "run")
    assert status == 2 and said.startswith("tiny: ") and said.count("\n") == 1
    last = error.splitlines()[-1]
    assert last.startswith("tinygen train: step ") and "diverged; try a smaller --lr" in last
    assert "Traceback" not in error


# Using a run

@pytest.mark.parametrize("name", ["vae", "gan", "ring-vae"])
def test_sample(copy, command, name):
    run = copy(name)
    status, said, _ = command("sample", run)
    assert (status, said) == (0, f"64 samples are in {run}/sample.png\n")
    first = (run / "sample.png").read_bytes()
    command("sample", run, "--out", "again.png")
    command("sample", run, "--seed", "1", "--out", "other.png")
    command("sample", run, "--temperature", "0.1", "--out", "cold.png")
    status, said, _ = command("sample", run, "-n", "5", "--out", "five.png")
    assert (status, said) == (0, "5 samples are in five.png\n")
    files = [pathlib.Path(name).read_bytes() for name in ("again.png", "other.png", "cold.png")]
    assert files[0] == first and len({*files}) == 3
    if name != "ring-vae":
        assert picture_size("five.png") == (3 * (5 * 29 - 1), 3 * 28)


@pytest.mark.parametrize("n, shown", [(10, 10), (3, 3), (100, TEST)])
def test_reconstruct(copy, command, n, shown):
    run = copy("vae")
    status, said, _ = command("reconstruct", run, "-n", n)
    assert status == 0 and said.startswith(f"{shown} test images (above)")
    columns, bands = min(shown, 10), -(-shown // 10)
    assert picture_size(run / "reconstruct.png") == (
        3 * (29 * columns - 1), 3 * (bands * 57 + (bands - 1) * 6))
    assert command("reconstruct", run, "-n", n, "--out", "a.png")[0] == 0
    assert pathlib.Path("a.png").read_bytes() == (run / "reconstruct.png").read_bytes()


@pytest.mark.parametrize("name, first", [
    ("vae", "Frechet distance"), ("gan", "Frechet distance"), ("ring-vae", "modes found")])
def test_evaluate(copy, command, name, first):
    run = copy(name)
    before = contents(run)
    status, said, error = command("evaluate", run, "-n", 40)
    n = 40 if name == "ring-vae" else min(40, TRAIN, TEST)
    assert (status, error) == (0, "") and said.startswith(f"{n} samples against ")
    rows = [(line[:24].strip(), line[24:34], line[34:44]) for line in said.splitlines()[3:]]
    assert rows[0][0] == first and len(rows) == (3 if name == "ring-vae" else 5)
    assert all(float(found) >= 0 and float(real) >= 0 for _, found, real in rows)
    if name == "ring-vae":
        assert rows[0][2].strip() == "8" and float(rows[1][2]) > 0.9
    else:
        assert float(rows[0][2]) > 1                # not the test images beside themselves
    assert command("evaluate", run, "-n", 40)[1] == said
    assert command("evaluate", run, "-n", 40, "--seed", 1)[1] != said and contents(run) == before
    if name != "ring-vae":
        assert one_sentence(command("evaluate", run, "-n", 3), "there are 3 images", "larger -n")


def test_evaluate_doubts_the_classifier_where_the_images_are_no_digits(copy, command, monkeypatch):
    run = copy("vae")
    assert "the digit classifier, which knows digits alone;" in command("evaluate", run)[1]
    monkeypatch.setattr(datasets, "mnist", lambda tiny=datasets.load("../tiny"): tiny)
    config = json.loads((run / "config.json").read_text("utf-8"))
    (run / "config.json").write_text(json.dumps({**config, "data": "mnist"}))
    assert "the digit classifier;" in command("evaluate", run)[1]


def test_evaluate_finds_collapsed_samples_further_off_than_real_ones(copy, command, monkeypatch):
    found, black = {}, np.zeros((1, 28, 28), np.float32)
    for name, one in ("vae", black), ("ring-vae", np.array([1.0, 0.0])):
        monkeypatch.setattr(cli.metrics, "draw", lambda training, n: np.stack([one] * n))
        for line in command("evaluate", copy(name), "-n", 80)[1].splitlines()[3:]:
            found[line[:24].strip()] = float(line[24:34]), float(line[34:44])
    samples, real = found["Frechet distance"]
    assert samples > 2 * real > 1
    assert found["entropy of the classes"][0] == 0 < found["entropy of the classes"][1]
    assert found["modes found"] == (1, 8)
    assert found["reverse KL (nats)"][0] == pytest.approx(np.log(8), rel=1e-3)      # four digits


def test_moons_have_no_modes_to_count(copy, command):
    run = copy("ring-vae")
    config = json.loads((run / "config.json").read_text("utf-8"))
    (run / "config.json").write_text(json.dumps({**config, "data": "moons"}))
    assert one_sentence(command("evaluate", run), "no modes to count")


@pytest.mark.parametrize("name, columns", [("vae", 7), ("gan", 6)])
def test_inpaint(copy, command, monkeypatch, name, columns):
    seen, search, figure = [], inpaint.by_search, plots.figure_completions

    def by_search(*args, critic=None, **options):
        seen.append(critic)
        return search(*args, critic=critic, steps=20, **options)

    def figure_completions(originals, known, *args):
        seen.append(known)
        figure(originals, known, *args)

    monkeypatch.setattr(inpaint, "by_search", by_search)
    monkeypatch.setattr(plots, "figure_completions", figure_completions)
    run = copy(name)
    status, said, _ = command("inpaint", run, "-n", 3, "--mask", "top")
    assert status == 0 and said.startswith("mean squared error on the hidden pixels: by ")
    assert "3 test images, each with what is known (top hidden)" in said
    assert picture_size(run / "inpaint.png") == (3 * (30 * columns - 2), 3 * (30 * 3 - 2))
    assert command("inpaint", run, "-n", 3, "--mask", "top", "--out", "a.png")[:2] == (
        0, said.replace(f"{run}/inpaint.png", "a.png"))
    critic, known, *_ = seen
    assert known.shape == (1, 28, 28) and (known[:, :14] == 0).all() and (known[:, 14:] == 1).all()
    if name == "vae":
        assert critic is None
    else:
        x = tg.Tensor(np.random.default_rng(0).random((4, 1, 28, 28), np.float32))
        judge = train.load_run(run)[0].model.discriminator
        assert np.array_equal(critic(x).detach().numpy(), judge(x).detach().numpy())


def test_compare_leaves_a_report(here, command):
    status, said, _ = command("compare", "--data", "../tiny", "--epochs", "1", "--out", "both")
    assert status == 0 and "The report is both/report.html: open it in a browser." in said
    page = (here / "both" / "report.html").read_text(encoding="utf-8")
    assert f"{TRAIN} training images" in page and "Quick run" not in page
    for model in ("vae", "gan"):
        assert len(rows(f"both/{model}/history.csv")) == 1
        assert json.loads((here / "both" / model / "config.json").read_text("utf-8"))[
            "architecture"] == "conv"
        assert command("sample", f"both/{model}", "-n", "2")[0] == 0
    before = contents("both")
    status, said, error = command("compare", "--data", "../tiny", "--out", "both")
    assert (status, said) == (2, "") and "both already holds a comparison" in error
    assert "--resume both" in error
    assert contents("both") == before


def test_a_quick_comparison_says_so(here, command, monkeypatch):
    monkeypatch.setattr(cli, "QUICK", 18)
    monkeypatch.setattr(report, "write", lambda out, vae, gan, data, note: [note, "advice"])
    status, said, _ = command("compare", "--data", "../tiny", "--quick", "--epochs", "1")
    assert status == 0 and said.splitlines()[-3:] == [
        "Quick run: only 18 of the training images were used.", "advice",
        "The report is runs/compare/report.html: open it in a browser. "
        "Draw more with: tinygen sample runs/compare/vae"]
    assert len(rows("runs/compare/vae/history.csv")) == 1


@pytest.mark.parametrize("module, name, when, kept", [
    (vae.VAETraining, "step", 4, "both/vae holds its last checkpoint"),
    (gan.GANTraining, "step", 1, "both/gan holds no checkpoint yet"),
    (report, "write", 0, "both holds both models, but no report yet")])
def test_an_interrupted_comparison_goes_on(here, command, monkeypatch, module, name, when, kept):
    given = ["compare", "--data", "../tiny", "--batch-size", "8", "--epochs", "2", "--seed", "3"]
    assert command(*given, "--out", "whole")[0] == 0
    function, count = getattr(module, name), iter(range(100))

    def interrupted(*args):
        if next(count) == when:
            raise KeyboardInterrupt
        return function(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, interrupted)
        status, _, error = command(*given, "--out", "both")
    last = error.splitlines()[-1]
    assert status == 130 and last == (f"tinygen compare: stopped; {kept}; "
                                      "go on with: tinygen compare --resume both")
    assert one_sentence(command(*given, "--out", "both"), "both already holds a comparison",
                        "--resume both")
    assert one_sentence(command("compare", "--resume", "both", "--seed", "4"), "--seed is 4")
    assert command("compare", "--resume", "both")[0] == 0
    whole, both = contents("whole"), contents("both")
    assert set(whole) == set(both)
    for name in whole:
        if not name.endswith((".json", "timing.csv", ".html")):      # what holds paths or times
            assert whole[name] == both[name], name


def test_resume_without_a_comparison_starts_afresh_and_says_so(here, command):
    status, said, _ = command("compare", "--data", "../tiny", "--epochs", "1", "--resume", "both")
    assert status == 0 and said.startswith("both holds no comparison yet, so this starts afresh.")
    status, said, _ = command("compare", "--resume", "both", "--epochs", "2")      # a larger one
    assert status == 0 and len(rows("both/vae/history.csv")) == 2


def test_a_comparison_stopped_between_its_two_folders_starts_afresh(here, command):
    given = ["compare", "--data", "../tiny", "--epochs", "1"]
    command(*given, "--out", "both")
    for rest in (pathlib.Path("both", "gan"), pathlib.Path("both", "vae", "samples")):
        shutil.rmtree(rest)
    for path in pathlib.Path("both", "vae").iterdir():
        if path.name != "config.json":
            path.unlink()
    status, said, _ = command(*given, "--resume", "both")
    assert status == 0 and "starts afresh" in said
    assert len(rows("both/vae/history.csv")) == len(rows("both/gan/history.csv")) == 1


def test_check_prints_a_table(here, command, told):
    status, said, _ = command("check", "add", "--cases", "3")
    lines = said.splitlines()
    assert status == 0 and lines[0].split() == ["operation", "argument", "order", "cases", "worst",
                                                "error"]
    assert {line.split()[0] for line in lines[1:]} == {"add"}
    assert {line.split()[2] for line in lines[1:]} == {"1", "2"} and os.listdir() == []
    usual, = told("check", "random cases an argument (default: #)")
    for options, cases in (["--cases", 7], 7), ([], usual):
        lines = command("check", "add", *options)[1].splitlines()
        assert min([int(line.split()[3]) for line in lines[1:]]) == cases


def test_check_draws_on_until_a_case_counts(command):
    """With seed 1 the first case of flip is of an empty tensor, which tells nothing."""
    status, said, _ = command("check", "flip", "--cases", "1", "--seed", "1")
    assert status == 0 and len(said.splitlines()) == 4


def test_check_tells_a_wrong_derivative(command, monkeypatch):
    monkeypatch.setattr(ops.exp, "rule", [lambda g, out, x: 1.01 * g * out].__getitem__)
    for options, seed in ([], 0), (["--seed", 5], 5):
        status, said, error = command("check", "exp", *options)
        assert (status, said) == (1, "") and re.match(
            rf"tinygen check: wrong derivative: exp, order 1, case \d+ of seed {seed}: input 0, "
            "element .* by its rule and .* by finite differences", error.split("\r")[-1])


# Lessons

def test_lessons_are_listed_and_run(here, command, monkeypatch):
    monkeypatch.setenv("TINYGEN_FAST", "")      # as it was, afterwards
    status, said, error = command("lessons")
    assert (status, error) == (0, "") and "01  A number that remembers" in said
    status, said, error = command("lesson", "1", "--fast")
    assert (status, error) == (0, "") and said.endswith("lesson 01: 6 checks passed\n")


# Help, and whatever is wrong

@pytest.mark.parametrize("words", [[], ["compare"], ["train"], ["sample"], ["reconstruct"],
                                   ["check"], ["evaluate"], ["inpaint"], ["lessons"],
                                   ["lesson"]], ids=str)
def test_help(here, command, words):
    status, said, error = command(*words, "--help")
    assert (status, error) == (0, "") and said.startswith(f"usage: {' '.join(['tinygen', *words])}")
    assert "%(" not in said and os.listdir() == []


def test_a_training_gets_the_numbers_that_the_help_tells(here, command, told, monkeypatch):
    images, configs = [np.zeros((n, 1, 28, 28), np.float32) for n in (6100, 1100)], []
    data = {"mnist": datasets.Dataset("mnist", *images), "ring": datasets.load("ring")}
    monkeypatch.setattr(datasets, "load", data.get)
    monkeypatch.setattr(train, "checksum", lambda data: "")
    monkeypatch.setattr(cli, "run_to_end", lambda out, config, *_: configs.append(config) or
                        train.Run(None, config, [], []))
    monkeypatch.setattr(report, "write", lambda *_: [])

    def given(*words):
        configs.clear()
        assert command(*words)[0] == 0
        return list(configs)

    def of(name, *configs):
        return [config[name] for config in configs]

    trained = [given("train", *words)[0] for words in (
        ["vae"], ["gan"], ["vae", "--data", "ring"], ["gan", "--data", "ring"])]
    few = [given("train", *words, "--quick")[0] for words in (["vae"], ["gan", "--data", "ring"])]
    both, few_both = given("compare"), given("compare", "--quick")
    vae, gan, points, quick = told("train", "(default: VAE #, GAN #, points #; with --quick #)")
    assert of("epochs", *trained, *few) == [vae, gan, points, points, quick, quick]
    most, vae, gan, points = told(
        "train", "numbers in a latent point z, at most # (default: VAE #, GAN #; # for")
    assert of("latent_dim", *trained) == [vae, gan, points, points]
    assert given("train", "vae", "--latent-dim", str(int(most)))[0]["latent_dim"] == most
    assert command("train", "vae", "--latent-dim", str(int(most) + 1))[0] == 2
    vae, gan, quick = told("compare", "(default: VAE #, GAN #; with --quick VAE #)")
    assert of("epochs", *both, *few_both) == [vae, gan, quick, gan]
    for word in "train", "compare":
        vae, gan, points = told(word, "examples per step (default: VAE #, GAN #; # for points)")
        assert of("batch_size", *trained, *both) == [vae, gan, points, points, vae, gan]
        vae, gan = told(word, "learning rate of Adam (default: # for a VAE, # for a GAN)")
        assert of("lr", *trained, *both) == [vae, gan, vae, gan, vae, gan]
        assert of("seed", *trained, *both) == 6 * told(word, "random numbers (default: #)")
        train_size, test_size = told(word, "use only # training and # test examples")
        assert of("train_size", few[0], *few_both) == 3 * [train_size]
        assert of("test_size", few[0], *few_both) == 3 * [test_size]
        assert "(default: mnist)" in command(word, "--help")[1] and both[0]["data"] == "mnist"
    assert "default: conv for a GAN on images, else dense" in command("train", "--help")[1]
    assert of("architecture", *trained) == ["dense", "conv", "dense", "dense"]


def test_what_uses_a_run_takes_the_numbers_that_the_help_tells(copy, command, told, monkeypatch):
    zeros, seen = np.zeros((11_000, 1, 28, 28), np.float32), []

    def given(*words):
        seen.clear()
        assert one_sentence(command(*words), "enough")
        return seen

    def take(name, module, what):
        def taken(*args):
            seen.extend(what(*args))
            raise InputError("enough")
        monkeypatch.setattr(module, name, taken)

    monkeypatch.setattr(backend, "manual_seed", seen.append)
    monkeypatch.setattr(cli, "data_of", lambda *_: datasets.Dataset("zeros", zeros, zeros))
    take("draw", cli.metrics, lambda training, *numbers: numbers)
    take("figure_reconstructions", plots, lambda originals, *_: [len(originals)])
    take("by_encoding", inpaint, lambda model, x, known: [len(x), known[0].tolist()])
    vae, ring = copy("vae"), copy("ring-vae")
    seed, = told("sample", "random numbers (default: #)")
    spread = told("sample", "spread of the latent points (default: #)")
    assert given("sample", vae)[1:] == [seed, *told("sample", "how many (default: #)"), *spread]
    assert given("reconstruct", vae) == told("reconstruct", "how many (default: #)")
    images, points = told("evaluate", "how many samples (default: # images, or the # points")
    seed, = told("evaluate", "random numbers (default: #)")
    assert given("evaluate", vae) == [seed, images] and given("evaluate", ring) == [seed, points]
    seed, = told("inpaint", "random numbers (default: #)")
    left = 28 * [14 * [0] + 14 * [1]]
    assert given("inpaint", vae) == [seed, *told("inpaint", "how many (default: #)"), left]
    assert "what is hidden (default: left)" in command("inpaint", "--help")[1]


def one_sentence(answer, *parts):
    status, said, error = answer
    assert (status, said) == (2, "") and error.endswith("\n") and error.count("\n") == 1, error
    assert error.startswith("tinygen") and "Traceback" not in error
    for part in parts:
        assert part in error
    return True


WRONG = [
    ([], "COMMAND"), (["tarin"], "invalid choice: 'tarin'"), (["train"], "model"),
    (["train", "flow"], "invalid choice: 'flow'"),
    (["train", "vae", "--speed", "3"], "--speed 3; see tinygen train --help"),
    (["train", "vae", "--epochs", "-1"], "-1 is not a whole number of 1 or more"),
    (["train", "vae", "--epochs", "0"], "0 is not a whole number of 1 or more"),
    (["train", "vae", "--epochs", "1.5"], "'1.5' is not a whole number of 1 or more"),
    (["train", "vae", "--epochs"], "--epochs"), (["train", "gan", "--batch-size", "0"], "0 is not"),
    (["train", "vae", "--latent-dim", "0"], "--latent-dim"),
    (["train", "vae", "--lr", "0"], "0 is not a number above 0"),
    (["train", "vae", "--lr", "nan"], "nan is not a number above 0"),
    (["train", "vae", "--lr", "inf"], "inf is not a number above 0"),
    (["train", "vae", "--lr", "-1e-3"], "--lr"),
    (["train", "vae", "--lr", "fast"], "'fast' is not a number above 0"),
    (["train", "vae", "--seed", "-1"], "-1 is not a whole number of 0 or more"),
    (["train", "gan", "--loss", "wasserstein"], "non-saturating"),
    (["train", "vae", "--loss", "minimax"], "a VAE has none"),
    (["train", "vae", "--data", "missing", "--out", "run"], "'missing' is neither a name nor a"),
    (["compare", "--data", "missing"], "'missing' is neither a name nor a folder"),
    (["compare", "--data", "ring", "--out", "both"], "compare works on images"),
    (["compare", "--epochs", "-3"], "-3 is not"), (["compare", "model"], "model"),
    (["train", "vae", "--data", "ring", "--architecture", "conv", "--out", "run"],
     "convolutional models are for images of 28 x 28"),
    (["train", "gan", "--data", "moons", "--architecture", "conv"], "--architecture dense"),
    (["sample", "missing"], "missing holds no run"), (["sample"], "run"),
    (["sample", ".", "-n", "0"], "0 is not"), (["sample", ".", "--temperature", "nan"], "nan is"),
    (["reconstruct", "missing"], "missing holds no run"),
    (["evaluate", "missing"], "missing holds no run"),
    (["inpaint", "missing"], "missing holds no run"), (["inpaint", ".", "--mask", "all"], "center"),
    (["lesson"], "number"), (["lesson", "99"], "there is no lesson 99; there are 01"),
    (["check", "ad"], "ad: not known"), (["check", "add", "--cases", "0"], "0 is not"),
]


@pytest.mark.parametrize("words, part", WRONG, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_told_in_a_sentence_and_nothing_is_written(here, command, words, part):
    assert one_sentence(command(*words), part)
    assert contents(here) == {}


def test_an_out_that_holds_a_run_is_left_alone(copy, command):
    run = copy("vae")
    before = contents(run)
    answer = command("train", "vae", "--data", "ring", "--out", run)
    assert one_sentence(answer, "vae already holds a run", "--resume vae", "another --out")
    assert contents(run) == before


def test_an_out_that_is_a_file(here, command):
    pathlib.Path("file").write_text("text")
    for out in ("file", "file/below"):
        assert one_sentence(command("train", "vae", "--data", "ring", "--out", out),
                            "cannot be made")
    assert contents(here).keys() == {"file"} and pathlib.Path("file").read_text("utf-8") == "text"


def test_resume_of_another_model(copy, command):
    run = copy("vae")
    before = contents(run)
    assert one_sentence(command("train", "gan", "--resume", run), "vae is the run of a vae",
                        "tinygen train vae --resume vae")
    assert contents(run) == before


@pytest.mark.parametrize("file", ["config.json", "checkpoint.npz"])
@pytest.mark.parametrize("words", [["sample"], ["reconstruct"], ["train", "vae", "--epochs", "2",
                                                                 "--resume"]], ids=" ".join)
def test_a_damaged_run(copy, command, file, words):
    run = copy("vae")
    (run / file).write_bytes((run / file).read_bytes()[:40])
    before = contents(run)
    assert one_sentence(command(*words, run), file)
    assert contents(run) == before


def test_a_run_whose_data_is_gone(copy, command):
    run = copy("vae")
    config = json.loads((run / "config.json").read_text("utf-8"))
    (run / "config.json").write_text(json.dumps({**config, "data": "/gone"}))
    again = "tinygen train vae --resume vae --data FOLDER"
    assert one_sentence(command("reconstruct", run), "trained on /gone", again)
    before = contents(run)
    assert one_sentence(command("train", "vae", "--resume", run, "--epochs", "2"), "/gone", again)
    assert command("sample", run, "--out", "drawn.png")[0] == 0      # which needs no data
    assert contents(run) == before
    assert command("train", "vae", "--resume", run, "--data", "../tiny")[0] == 0
    assert command("reconstruct", run)[0] == 0
    data = json.loads((run / "config.json").read_text("utf-8"))["data"]
    assert data == str(pathlib.Path("../tiny").resolve())


@pytest.mark.parametrize("name, part", [
    ("gan", "is a GAN, which has no encoder"), ("ring-vae", "was trained on points")])
def test_what_cannot_be_reconstructed(copy, command, name, part):
    run = copy(name)
    assert one_sentence(command("reconstruct", run), part)
    assert not (run / "reconstruct.png").exists()


def test_a_completion_that_cannot_be_written(copy, command):
    status, said, error = command("inpaint", copy("vae"), "-n", "1", "--out", "missing/a.png")
    assert (status, said) == (2, "") and "missing/a.png" in error.split("\r")[-1]


def test_points_have_no_hidden_pixels(copy, command):
    assert one_sentence(command("inpaint", copy("ring-vae")), "was trained on points")


@pytest.mark.parametrize("words", ["sample", "reconstruct"])
def test_a_picture_that_cannot_be_written(copy, command, words):
    run = copy("vae")
    assert one_sentence(command(words, run, "--out", "missing/a.png"), "missing/a.png")
    assert one_sentence(command(words, run, "--out", run), "vae")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug"), KeyError("a bug")])
def test_a_bug_keeps_its_traceback(here, monkeypatch, error):
    assert not isinstance(error, InputError)

    def broken(self, x):
        raise error

    monkeypatch.setattr(vae.VAETraining, "step", broken)
    with pytest.raises(type(error), match="a bug"):
        cli.main(["train", "vae", "--data", "ring", "--epochs", "1", "--out", "run"])


# The same in a process of its own

def in_a_process(*words, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "tinygen", *words], env=environment,
                          capture_output=True, text=True, **options)


@pytest.mark.skipif(os.name != "posix", reason="about pipes of POSIX")
def test_a_reader_that_leaves_gets_no_traceback():
    tinygen = subprocess.Popen([sys.executable, "-m", "tinygen", "check", "add", "--cases", "1"],
                               env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    tinygen.stdout.close()
    assert "BrokenPipe" not in tinygen.stderr.read() and tinygen.wait() == 1


def test_a_folder_that_the_terminal_cannot_print(copy):
    run = copy("vae").rename("\u6f22")
    done = subprocess.run([sys.executable, "-m", "tinygen", "sample", str(run)], text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
                          capture_output=True)
    assert (done.returncode, done.stderr) == (0, "") and "u6f22" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="about closed streams of POSIX")
def test_training_without_a_place_for_its_bar(here):
    words = f"{shlex.quote(sys.executable)} -m tinygen train vae --data ring --quick --out run"
    done = subprocess.run(f"{words} 2>&-", shell=True, stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and pathlib.Path("run/checkpoint.npz").exists()


def test_the_module_is_the_command(here):
    done = in_a_process("train", "vae", "--data", "../tiny", "--epochs", "1", "--out", "run")
    assert done.returncode == 0, done.stderr
    _, first, last = done.stdout.splitlines()
    assert first.startswith("epoch 1: train_loss ") and last.startswith("The run is in run: ")
    config = json.loads(pathlib.Path("run/config.json").read_text("utf-8"))
    assert config["command"] == ["train", "vae", "--data", "../tiny", "--epochs", "1",
                                 "--out", "run"]
    before = contents("run")
    tg.manual_seed(5)       # nothing that was drawn before matters
    cli.main(config["command"][:-1] + ["again"])
    assert contents("again")["history.csv"] == before["history.csv"]


def test_a_process_ends_with_the_status_and_one_sentence(here):
    done = in_a_process("sample", "nowhere")
    assert one_sentence((done.returncode, done.stdout, done.stderr), "nowhere holds no run")
    done = in_a_process("train", "vae", "--epochs", "-1")
    assert one_sentence((done.returncode, done.stdout, done.stderr), "-1 is not a whole number")
    assert os.listdir() == []


def test_a_quick_run_takes_examples_of_all_classes(monkeypatch):
    labels = np.repeat(np.arange(5), 24)
    data = datasets.Dataset("sorted", *[np.zeros((120, 1, 2, 2), np.float32)] * 2, labels, labels)
    monkeypatch.setattr(datasets, "load", lambda name: data)
    monkeypatch.setattr(cli, "QUICK", 60)
    few = cli.load_data("sorted", True)
    assert np.bincount(few.train_labels).tolist() == [12] * 5
    assert np.bincount(few.test_labels).tolist() == [2] * 5
    assert len(few.train) == 60 and len(few.test) == 10
    monkeypatch.setattr(cli, "QUICK", 1000)
    assert (cli.load_data("sorted", True).train_labels == labels).all()


def test_a_full_disk_is_told_in_a_sentence(copy, command, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(train, "save", full)
    status, _, error = command("train", "vae", "--resume", copy("vae"), "--epochs", "2")
    assert status == 2 and "there is no room left to write (No space left" in error
    assert "Traceback" not in error


def test_an_epoch_that_has_begun_is_ended_however_few_are_asked_for(here, command, monkeypatch):
    press_ctrl_c(monkeypatch, 4)
    given = ["--data", "../tiny", "--batch-size", "8", "--epochs", "5", "--out", "run"]
    assert "step 2 of epoch 2" in command("train", "vae", *given)[2]
    status, said, _ = command("train", "vae", "--resume", "run", "--epochs", "1")
    assert status == 0 and "has had its" not in said
    assert json.loads(pathlib.Path("run/config.json").read_text("utf-8"))["epochs"] == 2
    assert len(rows("run/history.csv")) == 2


def test_a_run_does_not_lie_among_the_images_it_learns(here, command):
    for i in range(3):
        Image.new("L", (28, 28), 80 * i).save(f"{i}.png")
    for words in (["train", "vae"], ["compare"], ["train", "gan", "--out", "run"]):
        assert one_sentence(command(*words, "--data", "."), "lies in .", "an --out elsewhere")
    assert sorted(os.listdir()) == ["0.png", "1.png", "2.png"]
    assert command("train", "vae", "--data", ".", "--epochs", "1", "--out", "../run")[0] == 0
    assert command("train", "vae", "--data", "../tiny", "--epochs", "1",
                   "--out", "../tiny/run")[0] == 0           # in IDX files no picture goes astray


def test_a_comparison_is_no_run(here, command):
    for model in ("vae", "gan"):
        (here / "both" / model).mkdir(parents=True)
        (here / "both" / model / "config.json").write_text("{}")
    before = contents(here)
    assert one_sentence(command("train", "vae", "--data", "ring", "--out", "both"),
                        "both holds a comparison", "another --out")
    for words in ["sample"], ["evaluate"], ["train", "vae", "--resume"]:
        assert one_sentence(command(*words, "both"), "so pass both/vae or both/gan")
    assert contents(here) == before


def test_resume_of_a_file(copy, command):
    answer = command("train", "vae", "--resume", copy("vae") / "checkpoint.npz")
    assert one_sentence(answer, "vae/checkpoint.npz is a file", "pass the folder")


def test_compare_leaves_the_run_of_one_model_alone(copy, command):
    run = copy("vae")
    before = contents(run)
    status, _, error = command("compare", "--resume", run, "--data", "../tiny")
    assert status == 2 and "is the run of one model, and a comparison has two" in error
    assert contents(run) == before


def test_fewer_epochs_than_a_run_has_had_change_nothing(copy, command):
    run = copy("vae")
    command("train", "vae", "--resume", run, "--epochs", "2")
    command("train", "vae", "--resume", run, "--epochs", "1")
    assert json.loads((run / "config.json").read_text("utf-8"))["epochs"] == 2
    assert len(rows(run / "history.csv")) == 2


def test_what_to_type_next_is_quoted(here, command):
    _, said, _ = command("train", "vae", "--data", "ring", "--epochs", "1", "--out", "my run")
    assert said.rstrip().endswith("tinygen sample 'my run'")


def test_windows_knows_double_quotes_alone(monkeypatch):
    monkeypatch.setattr(train.os, "name", "nt")
    said = [train.quote(path) for path in (r"runs\vae", r"my runs\vae")]
    monkeypatch.undo()
    assert said == [r"runs\vae", r'"my runs\vae"']


def test_the_backend_of_a_notebook_is_not_asked_for(here):
    """A notebook hands its children a backend for matplotlib that our environment need not have."""
    ran = subprocess.run([sys.executable, "-m", "tinygen", "train", "vae", "--data", "ring",
                          "--epochs", "1"], capture_output=True, text=True, cwd=here,
                         env={**os.environ, "MPLBACKEND": "module://no.such.backend",
                              "PYTHONPATH": str(ROOT)})
    assert ran.returncode == 0, ran.stderr


def test_without_a_standard_output_a_training_ends_well(here, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["train", "vae", "--data", "ring", "--epochs", "1", "--out", "run"]) == 0
    assert len(rows(pathlib.Path("run/history.csv"))) == 1
