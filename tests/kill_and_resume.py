"""Kill trainings with SIGKILL, go on with them, and compare them with one that was left alone.

    python tests/kill_and_resume.py [--kills 20] [--writes 5] [--seed 0]

For a VAE and a GAN, both convolutional: one training of a few epochs is left alone. The same one is
then started again and again, killed at moments drawn at random, and resumed until it is done; its
checkpoint, history and pictures must have the same bytes as those of the first. That is repeated in
new folders until there were `kills` kills, `writes` of them while the checkpoint was being written:
then `checkpoint.npz.part` is left behind, which exists only during a write. It takes a minute,
and prints each kill. `test_train.py` runs a small form.
"""

import argparse
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).parent.parent
EPOCHS = 4


def write_data(folder, train=320, test=64):
    """A folder of IDX files: `train` and `test` images of noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, n in (("train", train), ("t10k", test)):
        images = rng.integers(256, size=(n, 28, 28), dtype=np.uint8)
        header = struct.pack(">4B3I", 0, 0, 8, 3, *images.shape)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    return folder


def start(model, data, run, architecture):
    """The process that starts the training in the folder `run`, or goes on with it."""
    words = ["train", model, "--data", data, "--epochs", EPOCHS, "--batch-size", 32, "--seed", 5,
             "--architecture", architecture, "--resume", run]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen([sys.executable, "-m", "tinygen", *map(str, words)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "PYTHONPATH": path})


def finish(process):
    """Wait for the end; whether it was killed. Any other fault is an error of the training."""
    said = process.communicate()[1]
    killed = process.returncode == -signal.SIGKILL
    assert killed or process.returncode == 0, f"the training failed:\n{said}"
    return killed


def look(path):
    """The moment of the last change and the size of a file, None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def kill_once(process, run, seconds, in_write, rng):
    """Kill at a random moment of a training of `seconds`, or in a write of its checkpoint.

    Returns whether it was killed before it was done, and what was left of an unfinished write.
    """
    part = run / "checkpoint.npz.part"
    old = look(part)                         # an earlier kill may have left one

    def wait(writing):
        while process.poll() is None and (look(part) not in (None, old)) != writing:
            pass

    if in_write:
        wait(True)
        if rng.random() < 0.5:               # not this write but the next
            wait(False)
            wait(True)
        time.sleep(rng.uniform(0, 0.004))
    else:
        time.sleep(rng.uniform(0, seconds))
    process.kill()
    killed, left = finish(process), look(part)
    return killed, left if left != old else None


def results(run):
    """{name: bytes} of all that must not depend on kills."""
    paths = [run / "checkpoint.npz", run / "history.csv", *sorted((run / "samples").iterdir())]
    return {path.name: path.read_bytes() for path in paths}


def campaign(model, folder, kills, writes, seed=0, architecture="conv", tell=lambda text: None):
    """Kill and resume trainings of `model`. Returns the kills, those in writes, and the runs."""
    data, rng = write_data(folder / "data"), np.random.default_rng(seed)
    begin = time.perf_counter()
    assert not finish(start(model, data, folder / "whole", architecture))
    seconds = time.perf_counter() - begin
    expected, done, in_writes, runs = results(folder / "whole"), 0, 0, 0
    tell(f"{model}: left alone it takes {seconds:.1f} s; files: {', '.join(expected)}")
    while done < kills or in_writes < writes:
        assert runs < 3 * (kills + writes), f"{runs} runs, {done} kills, {in_writes} in a write"
        run, killed, here = folder / f"run-{runs}", True, 0
        while killed:
            process = start(model, data, run, architecture)
            if here == 6:                                 # enough for this one
                finish(process)
                break
            killed, left = kill_once(process, run, seconds, done % 2 == 1, rng)
            here, done, in_writes = here + killed, done + killed, in_writes + (left is not None)
            if killed:
                history = run / "history.csv"
                epochs = len(history.read_text("utf-8").splitlines()) - 1 if history.exists() else 0
                tell(f"{model}: kill {done}, of run {runs}, after {epochs} epochs"
                     + (f", in a write of the checkpoint, at byte {left[1]:,}" if left else ""))
        assert results(run) == expected, f"{run} differs from {folder / 'whole'}"
        leftovers = list(run.glob("*.part"))
        assert not leftovers, f"left behind: {leftovers}"
        runs += 1
        tell(f"{model}: run {runs - 1} was killed {here} times and ends in the same bytes")
    return done, in_writes, runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each model (default: 20)")
    parser.add_argument("--writes", type=int, default=5, help="of them in a write (default: 5)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for model in ("vae", "gan"):
        with tempfile.TemporaryDirectory() as folder:
            done, in_writes, runs = campaign(model, pathlib.Path(folder), args.kills, args.writes,
                                             args.seed, tell=lambda text: print(text, flush=True))
        print(f"{model}: {done} kills, {in_writes} of them in a write of the checkpoint, "
              f"in {runs} runs; all ended in the same bytes as the run that was left alone")


if __name__ == "__main__":
    main()
