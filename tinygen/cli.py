"""Floor 7: the command line. Bad input ends in a sentence and status 2, a bug in its traceback."""

import dataclasses
import errno
import os
import pathlib
import sys

import numpy as np

from . import backend, datasets, inpaint, lessons, metrics, plots, train
from .arguments import QUICK, Parser, parser
from .backend import InputError
from .creation import tensor
from .train import quote


def load_data(name, quick):
    data = datasets.load(name)
    if not quick:
        return data
    some, few = spread(len(data.train), QUICK), spread(len(data.test), QUICK // 6)
    return dataclasses.replace(
        data, train=data.train[some], test=data.test[few],
        train_labels=None if data.train_labels is None else data.train_labels[some],
        test_labels=None if data.test_labels is None else data.test_labels[few])


def spread(n, few):
    """At most `few` of n rows, at equal distances: the first ones may all be of one class."""
    return np.arange(min(n, few)) * n // min(n, few)


def new_data(args, out):
    """The data that a new run in `out` asks for, drawn from the start of the random numbers."""
    folder = pathlib.Path(args.data)
    images = args.data not in datasets.NAMES and folder.is_dir() and not datasets.idx_files(folder)
    if images and out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out} lies in {folder}, whose images the run's pictures would join; "
                         "choose an --out elsewhere")
    backend.manual_seed(args.seed)
    return load_data(args.data, args.quick)


def tell_sizes(data):
    """Say how many examples there are, so that nobody trains on others than meant."""
    print(f"{data.name}: {len(data.train):,} training and {len(data.test):,} test "
          f"{'images' if data.is_images else 'points'}")


def new_folder(out, name):
    """`out`, or the first of runs/name, runs/name-2, ... that does not exist."""
    if out:
        return pathlib.Path(out)
    number, folder = 1, pathlib.Path("runs", name)
    while folder.exists():
        number += 1
        folder = pathlib.Path("runs", f"{name}-{number}")
    return folder


def data_name(args):
    """The data by its name, or the whole path of its folder."""
    return args.data if args.data in datasets.NAMES else str(pathlib.Path(args.data).resolve())


def configure(args, model, data, out, epochs, **choices):
    """Make the folder of a new run. Returns its config."""
    image = data.is_images
    config = {
        **train.defaults(model, data, lr=args.lr, **choices),
        "data": data_name(args),
        "quick": args.quick, "train_size": len(data.train), "test_size": len(data.test),
        "data_sha256": train.checksum(data),
        "epochs": epochs, "seed": args.seed, "command": args.words,
        "batch_size": args.batch_size or ((64 if model == "gan" else 128) if image else 256)}
    train.build(config)         # what cannot be built leaves no folder
    train.start_run(out, config)
    return config


def run_to_end(out, config, data, again):
    """Train the run in `out`, and return it. The command `again` goes on with it."""
    backend.manual_seed(config["seed"])
    training = train.build(config)
    try:
        history, timing = train.fit(training, data, out, config["epochs"], config["batch_size"])
    except KeyboardInterrupt as place:
        kept = "its last checkpoint" if (out / "checkpoint.npz").exists() else "no checkpoint yet"
        raise Stopped(out, f"all up to {place}" if str(place) else kept, again) from None
    return train.Run(training, config, history, timing)


class Stopped(Exception):
    """Ctrl-C: the folder `out` holds what is `kept`, and the command `again` goes on."""

    def __init__(self, out, kept, again):
        super().__init__(f"stopped; {out} holds {kept}; go on with: tinygen {again}")


def compare(args):
    from . import report

    out = pathlib.Path(args.resume) if args.resume else new_folder(args.out, "compare")
    begun = (out / "gan" / "config.json").exists()     # of the two it is written last
    if begun and not args.resume:
        raise InputError(f"{out} already holds a comparison; go on with it by "
                         f"--resume {quote(out)}, or choose another --out")
    if (out / "config.json").exists():
        raise InputError(f"{out} is the run of one model, and a comparison has two; go on with it "
                         "by tinygen train, or choose another folder")
    if begun:
        resumed = [resume(args, out / model) for model in ("vae", "gan")]
        configs, data = [config for config, _, _ in resumed], resumed[0][1]
    else:
        if args.resume:
            print(f"{out} holds no comparison yet, so this starts afresh.")
            if not (out / "vae" / "checkpoint.npz").exists():     # stopped between the two configs
                (out / "vae" / "config.json").unlink(missing_ok=True)
        data = new_data(args, out)
        if not data.is_images:
            raise InputError(f"compare works on images, but {args.data} has points of "
                             f"{data.shape[0]} numbers; use tinygen train vae --data {args.data} "
                             f"and tinygen train gan --data {args.data}")
        usual = {"vae": 5 if args.quick else 3, "gan": 2}     # a quick epoch has few steps
        configs = [configure(args, model, data, out / model, args.epochs or epochs,
                             architecture="conv") for model, epochs in usual.items()]
        tell_sizes(data)
    again = f"compare --resume {quote(out)}"
    vae, gan = [run_to_end(out / config["model"], config, data, again) for config in configs]
    note = (f"Quick run: only {len(data.train):,} of the training images were used."
            if vae.config["quick"] else "")
    backend.manual_seed(vae.config["seed"])      # the same report, wherever it was stopped before
    try:
        sentences = report.write(out, vae, gan, data, note)
    except KeyboardInterrupt:
        raise Stopped(out, "both models, but no report yet", again) from None
    for sentence in sentences:
        print(sentence)
    print(f"The report is {out / 'report.html'}: open it in a browser. "
          f"Draw more with: tinygen sample {quote(out / 'vae')}")


def train_model(args):
    if args.model == "vae" and args.loss != "non-saturating":
        raise InputError("--loss is about a GAN's generator, and a VAE has none; leave it out")
    if args.resume and pathlib.Path(args.resume).is_file():
        raise InputError(f"{args.resume} is a file; pass the folder of the run to --resume")
    if args.resume and {p.name for p in pathlib.Path(args.resume).glob("*")} - train.BEGUN:
        out, model = pathlib.Path(args.resume), train.read_config(args.resume)["model"]
        if args.model != model:
            raise InputError(f"{out} is the run of a {model}; "
                             f"use tinygen train {model} --resume {quote(out)}")
        config, data, done = resume(args, out)
        if done == config["epochs"]:
            print(f"{out} has had its {done} epochs; to go on, pass a larger --epochs.")
    else:
        if args.resume:
            print(f"{args.resume} holds no run yet, so this starts afresh.")
        name = f"{args.model}-{pathlib.Path(data_name(args)).name}"
        out = new_folder(args.resume or args.out, name)
        data = new_data(args, out)
        usual = (10 if args.model == "vae" else 4) if data.is_images else 20
        epochs = args.epochs or (1 if args.quick else usual)
        config = configure(args, args.model, data, out, epochs, loss=args.loss,
                           architecture=args.architecture, latent_dim=args.latent_dim)
        tell_sizes(data)
    run_to_end(out, config, data, f"train {args.model} --resume {quote(out)}")
    print(f"The run is in {out}: history.csv, samples/, checkpoint.npz. "
          f"Draw more with: tinygen sample {quote(out)}")


def resume(args, out):
    """(config, data, epochs done) of the run in `out`, which goes on as it was configured."""
    config = train.read_config(out)
    refuse_changes(args, config)
    done, begun = train.epochs_done(out)     # a damaged checkpoint is refused before we write
    config["epochs"] = max(args.epochs or config["epochs"], done + begun)
    if was_typed(args, "--data"):
        config["data"] = data_name(args)         # where the same data are now
    if not (out / "checkpoint.npz").exists():
        print(f"{out} holds no checkpoint yet, so this starts afresh.")
    backend.manual_seed(config["seed"])
    data = data_of(out, config)
    train.tell_differences(out, config)
    train.write_config(out, config)      # with the new --epochs, which the next --resume reads
    return config, data, done


def was_typed(args, option):
    """Whether the option stands in the command, or has its default."""
    return option in [word.split("=")[0] for word in args.words]


def refuse_changes(args, config):
    """A run goes on as it was configured, but for --epochs and for where its data are."""
    for name in ("lr", "batch_size", "seed", "quick", "architecture", "latent_dim", "loss"):
        option, asked = "--" + name.replace("_", "-"), getattr(args, name, None)
        if was_typed(args, option) and asked != config.get(name, asked):
            raise InputError(f"{option} is {asked}, but {args.resume} was started with "
                             f"{config[name]}; leave {option} out, or train with another --out")


def data_of(run, config):
    """The data that a run was trained on; others by the same name are refused."""
    if config["data"] not in datasets.NAMES and not os.path.isdir(config["data"]):
        raise InputError(f"{run} was trained on {config['data']}, and that folder is not there; "
                         "move it back, or say where it is now, once, by "
                         f"tinygen train {config['model']} --resume {quote(run)} --data FOLDER")
    data = load_data(config["data"], config["quick"])
    found = train.checksum(data)
    if config.get("data_sha256", found) != found:
        raise InputError(f"{config['data']} is not what {run} was trained on (SHA-256 {found}, "
                         f"expected {config['data_sha256']}); bring the old data back, or train "
                         "again with another --out")
    return data


def picture(args):
    """Where the picture of a command is to be: --out, or in the run's folder."""
    path = pathlib.Path(args.out or pathlib.Path(args.run) / f"{args.command}.png")
    if path.suffix.lower() != ".png":
        raise InputError(f"--out is {path}, but the picture is a PNG; "
                         "give a name that ends in .png")
    return path


def sample(args):
    training, config = train.load_run(args.run)
    path = picture(args)
    backend.manual_seed(config["seed"])
    data = load_data(config["data"], config["quick"]) if len(config["shape"]) == 1 else None
    backend.manual_seed(args.seed)
    samples = metrics.draw(training, args.n, args.temperature)
    plots.save_samples(samples, None if data is None else data.train, path)
    print(f"{args.n} samples are in {path}")


def reconstruct(args):
    training, config = train.load_run(args.run)
    if config["model"] == "gan":
        raise InputError(f"{args.run} is a GAN, which has no encoder: it maps latent points to "
                         "images, and nothing maps an image back to a latent point, "
                         "so there is no reconstruction; use the run of a VAE")
    if len(config["shape"]) == 1:
        raise InputError(f"{args.run} was trained on points, and reconstruct draws images; "
                         f"use tinygen sample {quote(args.run)}")
    path = picture(args)
    originals = data_of(args.run, config).test[:args.n]
    reconstructions = training.model.reconstruct(tensor(originals)).numpy()
    plots.figure_reconstructions(originals, reconstructions, path)
    print(f"{len(originals)} test images (above) and their reconstructions (below) are in {path}")


def evaluate(args):
    training, config = train.load_run(args.run)
    image, name = len(config["shape"]) == 3, config["data"]
    if not image and name not in datasets.MODES:
        raise InputError(f"{args.run} was trained on {name}, whose points have no modes to count; "
                         f"evaluate knows images, ring and grid; look at it with "
                         f"tinygen sample {quote(args.run)}")
    n = args.n or (10_000 if image else 2500)
    backend.manual_seed(args.seed)
    if image:
        data = data_of(args.run, config)
        n = min(n, len(data.test), len(data.train))
        if n < 4:
            raise InputError(f"there are {n} images to compare, and recall needs 4 "
                             "or more; pass a larger -n, or use more data")
        samples = metrics.draw(training, n)
        real = data.train[backend.generator.permutation(len(data.train))[:n]]
        classifier = metrics.load_classifier()
        test = data.test[spread(len(data.test), n)]
        found, floor = [metrics.image_figures(classifier, images, test)
                        for images in (samples, real)]
        doubt = "" if name == "mnist" else ", which knows digits alone"
        what = f"{n} test images, by the features of the digit classifier{doubt}"
    else:
        draw, modes, sigma = datasets.MODES[name]
        samples = metrics.draw(training, n)
        found, floor = [metrics.point_figures(points, modes(), sigma)
                        for points in (samples, draw(n))]
        what = f"the modes of {name}"
    print(f"{len(samples)} samples against {what}; beside them as many real examples\n")
    print(f"{'':24}{'samples':>10}{'real':>10}")
    for key in found:
        print(f"{key:24}{found[key]:10.4g}{floor[key]:10.4g}   {metrics.MEANING[key]}")


def complete(args):
    training, config = train.load_run(args.run)
    if len(config["shape"]) == 1:
        raise InputError(f"{args.run} was trained on points, and inpaint fills in images; "
                         f"use tinygen sample {quote(args.run)}")
    path = picture(args)
    backend.manual_seed(args.seed)
    data, model = data_of(args.run, config), training.model.requires_grad_(False)
    originals, known = data.test[:args.n], inpaint.mask(args.mask, data.shape)
    x, columns = training.from_data(originals), {}
    if config["model"] == "vae":
        columns["by encoding"] = [inpaint.by_encoding(model, x, known)]
        columns["by search"] = inpaint.by_search(lambda z: model.picture(model.decode(z)),
                                                 model.latent_dim, x, known, weight=5.0)
    else:
        columns["by search"] = inpaint.by_search(model.generator, model.latent_dim, x, known,
                                                 weight=1.0, critic=model.discriminator)
    columns = {name: [training.to_data(column) for column in several]
               for name, several in columns.items()}
    plots.figure_completions(originals, known, [c for several in columns.values() for c in several],
                             path)
    best = {name: several[0] for name, several in columns.items()}
    best["mean training image"] = inpaint.by_mean(originals, known, data.train)
    best["nearest training image"] = inpaint.by_neighbour(originals, known, data.train)
    print("mean squared error on the hidden pixels:", ", ".join(
        [f"{name} {inpaint.hidden_error(done, originals, known):.4f}"
         for name, done in best.items()]))
    print(f"{len(originals)} test images, each with what is known ({args.mask} hidden), "
          f"{' and '.join([f'{len(several)} {name}' for name, several in columns.items()])}, "
          f"and the truth, are in {path}")


def check(args):
    from . import checks

    try:
        print(checks.table(checks.run(args.names or None, cases=args.cases, seed=args.seed)))
    except checks.GradcheckError as error:
        print(f"tinygen check: wrong derivative: {error}", file=sys.stderr)
        return 1


def list_lessons(args):
    print(lessons.table())


def lesson(args):
    lessons.run(args.number, args.fast)


COMMANDS = {"compare": compare, "train": train_model, "sample": sample, "reconstruct": reconstruct,
            "evaluate": evaluate, "inpaint": complete, "check": check, "lessons": list_lessons,
            "lesson": lesson}


def main(argv=None):
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:               # closed: what is said goes nowhere
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    os.environ["MPLBACKEND"] = "agg"                 # what a notebook sets fails outside of it
    if hasattr(sys.stdout, "reconfigure"):           # folders may have names that it cannot print
        sys.stdout.reconfigure(errors="backslashreplace")
    args, unknown = parser().parse_known_args(argv)
    if unknown:                                      # told by the command, not by `tinygen` alone
        Parser(prog=f"tinygen {args.command}").error(f"unrecognized arguments: {' '.join(unknown)}")
    args.words = sys.argv[1:] if argv is None else list(argv)
    try:
        backend.set_default_device(getattr(args, "device", "cpu"))
        status = COMMANDS[args.command](args) or 0
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f"tinygen {args.command}: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"tinygen {args.command}: there is not enough memory ({error}); pass smaller numbers",
              file=sys.stderr)
        return 2
    except BrokenPipeError:      # who read our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())    # for Python's last flush
        return 1
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            print(f"tinygen {args.command}: there is no room left to write ({error.strerror}); "
                  "what was written before is whole; make room, then go on", file=sys.stderr)
            return 2
        if error.filename is None:
            raise
        print(f"tinygen {args.command}: {error.filename2 or error.filename} cannot be written or "
              f"read ({error.strerror}); choose another path", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"tinygen {args.command}: {stopped}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print(f"tinygen {args.command}: stopped", file=sys.stderr)
        return 130
