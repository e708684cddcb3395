"""Floor 6: what can be typed on the command line. `cli.py` says what it does."""

import argparse
import math

from . import __version__, inpaint

QUICK = 6000     # training images of --quick; a sixth as many test images


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def number(kind, right, name):
    """A type for argparse: the numbers of `kind` for which `right` holds, called `name`."""
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {name}") from None
        if not right(value):
            raise argparse.ArgumentTypeError(f"{text} is not {name}")
        return value
    return parse


positive = number(int, lambda n: n >= 1, "a whole number of 1 or more")
seed = number(int, lambda n: n >= 0, "a whole number of 0 or more")
latent_dim = number(int, lambda n: 1 <= n <= 1000, "a whole number from 1 to 1000")
rate = number(float, lambda x: 0 < x < math.inf, "a number above 0")


def path(text):
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return text


def parser():
    top = Parser(prog="tinygen", description="Generative adversarial networks and variational "
                 "autoencoders from nothing but NumPy.")
    top.add_argument("--version", action="version", version=f"tinygen {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, description):
        sub = commands.add_parser(name, help=description, description=description,
                                  allow_abbrev=False)
        if name not in ("lessons", "lesson"):
            sub.add_argument("--device", choices=["cpu", "cuda"], default="cpu",
                             help="where to compute: cuda is a GPU, by CuPy (default: cpu)")
        return sub

    def seed_option(sub):
        sub.add_argument("--seed", type=seed, default=0,
                         help="start of all random numbers (default: 0)")

    def picture_option(sub, name):
        sub.add_argument("--out", type=path,
                         help=f"the picture, a PNG (default: {name} in the run's folder)")

    def training_options(sub, epochs):
        sub.add_argument("--data", type=path, default="mnist", help="mnist, ring, grid, moons, or "
                         "the path of a folder of IDX files or of images (default: mnist)")
        sub.add_argument("--epochs", type=positive,
                         help=f"passes over the training data (default: {epochs})")
        sub.add_argument("--batch-size", type=positive, help="examples per step "
                         "(default: VAE 128, GAN 64; 256 for points)")
        sub.add_argument("--lr", type=rate,
                         help="learning rate of Adam (default: 1e-3 for a VAE, 2e-4 for a GAN)")
        seed_option(sub)
        place = sub.add_mutually_exclusive_group()
        place.add_argument("--out", type=path,
                           help="folder for the results (default: a new one in runs/)")
        place.add_argument("--resume", type=path, metavar="DIR",
                           help="go on with what was stopped in this folder, as it was configured; "
                           "--data then says where the same data are now")
        sub.add_argument("--quick", action="store_true",
                         help=f"use only {QUICK:,} training and {QUICK // 6:,} test examples, "
                         "for a first look")

    sub = command("compare", "Train a VAE and a GAN on the same images "
                  "and write a report that compares them.")
    training_options(sub, "VAE 3, GAN 2; with --quick VAE 5")

    sub = command("train", "Train one model.")
    sub.add_argument("model", choices=["vae", "gan"])
    training_options(sub, "VAE 10, GAN 4, points 20; with --quick 1")
    sub.add_argument("--architecture", choices=["dense", "conv"],
                     help="default: conv for a GAN on images, else dense")
    sub.add_argument("--latent-dim", type=latent_dim, help="numbers in a latent point z, at most "
                     "1000 (default: VAE 20, GAN 100; 2 for points)")
    sub.add_argument("--loss", choices=["non-saturating", "minimax"], default="non-saturating",
                     help="the generator's loss (GAN only)")

    sub = command("sample", "Draw new examples from a trained model.")
    sub.add_argument("run", type=path, help="the folder of a run")
    sub.add_argument("-n", type=positive, default=64, help="how many (default: 64)")
    sub.add_argument("--temperature", type=rate, default=1.0,
                     help="spread of the latent points (default: 1)")
    seed_option(sub)
    picture_option(sub, "sample.png")

    sub = command("reconstruct", "Encode and decode test images with a trained VAE.")
    sub.add_argument("run", type=path, help="the folder of a run")
    sub.add_argument("-n", type=positive, default=10, help="how many (default: 10)")
    picture_option(sub, "reconstruct.png")

    sub = command("evaluate", "Say in figures how good a model's samples are.")
    sub.add_argument("run", type=path, help="the folder of a run")
    sub.add_argument("-n", type=positive, help="how many samples (default: 10000 images, or the "
                     "2500 points of the published protocol)")
    seed_option(sub)

    sub = command("inpaint", "Fill in hidden pixels of test images with a trained model.")
    sub.add_argument("run", type=path, help="the folder of a run")
    sub.add_argument("--mask", choices=inpaint.MASKS, default="left",
                     help="what is hidden (default: left)")
    sub.add_argument("-n", type=positive, default=8, help="how many (default: 8)")
    seed_option(sub)
    picture_option(sub, "inpaint.png")

    sub = command("check", "Check every derivative against finite differences, "
                  "first and second order.")
    sub.add_argument("names", nargs="*", help="only these operations, layers or losses")
    sub.add_argument("--cases", type=positive, default=50,
                     help="random cases an argument (default: 50)")
    seed_option(sub)

    command("lessons", "List the lessons.")
    sub = command("lesson", "Run a lesson.")
    sub.add_argument("number", help="which, for example 08")
    sub.add_argument("--fast", action="store_true", help="the short form: seconds, not minutes")
    return top
