"""How long a training step takes, against PyTorch where it is there, and what the engine costs.

    python tests/benchmarks/training_step.py [--against torch] [--only dcgan,vae] [--quick]
                                             [--device cuda]

It measures the checkout that it lies in, in two to three minutes (`--quick`: half a minute, to see
that it runs; its figures mean little). PyTorch may live in another Python: `--torch-python PATH`.

Five works, each with float32, Adam, random data of the right shape, and the same architecture and
batch on both sides: `gan2d` and `dcgan` (an update of D and one of G), `vae`, `convvae`, and
`wgangp` (an update of the critic, with the gradient penalty). A step draws the noise, computes the
losses, zeroes the gradients, goes backward, updates, and reads the losses. It is written once and
runs on both libraries, since their names are the same; what they do not share stands in
`torch_side.py`.

The libraries' threads spin for a while after their work and would slow each other down. So each
side has its own process, and they take turns: a block of steps, a pause, a block of the other side;
who begins changes from round to round. A block starts from a fresh model, and its first fifth does
not count. How to read a row:

    ours_ms, torch_ms      milliseconds a step: the median over the blocks
    ratio                  ours / torch, the median over the rounds: at 1.2 we take 20 % longer
    spread                 how wide the middle half of the rounds' ratios is, relative to their
                           median (without PyTorch: that of our own times)
    share_of_matmul_rate   operations per second, counting only the matrix products that the step
                           needs, relative to those of one product of 1024 x 1024 matrices here

Then follow, each with a line that says what is good: peak memory, time against the batch, overhead
of a recorded operation, time against the length of a chain, and the time of `import tinygen`.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import namedtuple
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]

# What a step is run on: the step itself, the networks, and the floating-point operations of the
# matrix products that it needs.
Work = namedtuple("Work", "step networks flops")


# The five works. `lib` is one of the two libraries, `n` the batch.

def gan2d(lib, n):
    """A generator 2-128-128-2 and a discriminator 2-128-128-1."""
    generator = dense(lib, [2, 128, 128, 2], lib.nn.ReLU())
    discriminator = dense(lib, [2, 128, 128, 1], lib.nn.LeakyReLU(0.2))
    step = gan_step(lib, generator, discriminator, 2, lib.randn(n, 2))
    flops = gan_flops(dense_flops(n, 2, 128, 128, 2), dense_flops(n, 2, 128, 128, 1))
    return Work(step, [generator, discriminator], flops)


def vae(lib, n):
    """784-400-(20 + 20), and 20-400-784 back."""
    model = lib.VAE(dense(lib, [784, 400, 40], lib.nn.ReLU()),
                    dense(lib, [20, 400, 784], lib.nn.ReLU()), 20)
    flops = vae_flops(dense_flops(n, 784, 400, 40), dense_flops(n, 20, 400, 784))
    return Work(vae_step(lib, model, lib.rand(n, 784)), [model], flops)


def dcgan(lib, n):
    """The library's DCGAN for images (1, 28, 28)."""
    model = lib.dcgan()
    step = gan_step(lib, model.generator, model.discriminator, model.latent_dim,
                    2 * lib.rand(n, 1, 28, 28) - 1)
    generator = dense_flops(n, 100, 6272) + conv_flops(n, (128, 64, 7), (64, 1, 14))
    discriminator = conv_flops(n, (1, 64, 14), (64, 128, 7)) + dense_flops(n, 6272, 1)
    return Work(step, [model.generator, model.discriminator], gan_flops(generator, discriminator))


def convvae(lib, n):
    """The library's convolutional VAE for images (1, 28, 28), with 20 latent units."""
    model = lib.conv_vae()
    encoder = conv_flops(n, (1, 32, 14), (32, 64, 7)) + dense_flops(n, 3136, 40)
    decoder = dense_flops(n, 20, 3136) + conv_flops(n, (64, 32, 7), (32, 1, 14))
    step = vae_step(lib, model, lib.rand(n, 1, 28, 28))
    return Work(step, [model], vae_flops(encoder, decoder))


def wgangp(lib, n):
    """A critic 784-256-256-1 with gradient penalty; the generator 64-256-256-784 only draws."""
    critic = dense(lib, [784, 256, 256, 1], lib.nn.LeakyReLU(0.2))
    generator = dense(lib, [64, 256, 256, 784], lib.nn.ReLU())
    real, optimizer = lib.randn(n, 784), lib.Adam(critic.parameters(), 1e-4, (0.5, 0.9))

    def step():
        with lib.no_grad():
            fake = generator(lib.randn(n, 64))
        loss = lib.critic_loss(critic, real, fake)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    # Critic of real and fake: forward, weights, inputs of the inner layers. Penalty: forward, the
    # slope, and the derivative of the slope's products in both of their arguments, where the first,
    # the outermost layer's, starts from a constant.
    layers = dense_flops(n, 784, 256, 256, 1)
    flops = (sum(dense_flops(n, 64, 256, 256, 784)) + 2 * (3 * sum(layers) - layers[0])
             + 4 * sum(layers) - layers[-1])
    return Work(step, [critic, generator], flops)


WORKS = {"gan2d": (gan2d, 256), "vae": (vae, 128), "dcgan": (dcgan, 64), "convvae": (convvae, 128),
         "wgangp": (wgangp, 64)}


def dense(lib, sizes, activation):
    """Linear layers from size to size, with the activation between them."""
    layers = [lib.nn.Linear(sizes[0], sizes[1])]
    for a, b in zip(sizes[1:], sizes[2:]):
        layers += [activation, lib.nn.Linear(a, b)]
    return lib.nn.Sequential(*layers)


def gan_step(lib, generator, discriminator, latent_dim, real):
    optimizer_d = lib.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))
    optimizer_g = lib.Adam(generator.parameters(), 2e-4, (0.5, 0.999))

    def step():
        fake = generator(lib.randn(len(real), latent_dim))
        loss_d = lib.discriminator_loss(discriminator(real), discriminator(fake.detach()))
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()
        discriminator.requires_grad_(False)     # its gradients are not wanted in G's update
        loss_g = lib.generator_loss(discriminator(fake))
        discriminator.requires_grad_(True)
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        return loss_d.item(), loss_g.item()

    return step


def vae_step(lib, model, x):
    optimizer = lib.Adam(model.parameters(), 1e-3)

    def step():
        loss, recon, kl = lib.negative_elbo(model, x, lib.randn(len(x), model.latent_dim))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item(), recon.item(), kl.item()

    return step


# How much arithmetic a step needs. Each function gives, or gets, one number a layer: the operations
# of one product, a multiplication and an addition counting as two. A layer has three products of
# that cost: forward, the gradient of the weights, the gradient of the inputs.

def dense_flops(n, *sizes):
    return [2 * n * a * b for a, b in zip(sizes, sizes[1:])]


def conv_flops(n, *layers):
    """Each layer (a, b, size) has 4 x 4 weights from a to b channels at size x size places.

    The places are a convolution's outputs and a transposed convolution's inputs. Products with the
    zeros of the padding are counted.
    """
    return [2 * n * size * size * a * b * 4 * 4 for a, b, size in layers]


def gan_flops(generator, discriminator):
    """G once with all its gradients, D twice; and D for G, with the gradient of its inputs alone.

    Nobody asks for the gradient of the noise or of the images that D is trained on.
    """
    return (3 * sum(generator) - generator[0] + 2 * (3 * sum(discriminator) - discriminator[0])
            + 2 * sum(discriminator))


def vae_flops(encoder, decoder):
    return 3 * sum(encoder) - encoder[0] + 3 * sum(decoder)


def our_side(device="cpu"):
    """The names that a step needs, by tinygen, whose tensors are on `device`."""
    import tinygen as tg
    from tinygen import gan, nn, optim, vae

    tg.set_default_device(device)
    return SimpleNamespace(
        nn=nn, Adam=optim.Adam, randn=tg.randn, rand=tg.rand, no_grad=tg.no_grad,
        manual_seed=tg.manual_seed, discriminator_loss=gan.discriminator_loss,
        generator_loss=gan.generator_loss, critic_loss=gan.critic_loss, dcgan=gan.dcgan,
        VAE=vae.VAE, negative_elbo=vae.negative_elbo, conv_vae=vae.conv_vae)


# In the process of one side

def time_block(lib, build, batch, seconds):
    """Milliseconds a step on a freshly built model; the first fifth of the steps does not count."""
    gc.collect()                 # the model of the block before
    lib.manual_seed(0)
    step, times, start = build(lib, batch).step, [], time.perf_counter()
    now = start
    while now - start < seconds or len(times) < 5:
        step()
        before, now = now, time.perf_counter()
        times.append(now - before)
    kept = times[len(times) // 5:]
    return 1000 * sum(kept) / len(kept)


def memory(what):
    """`VmRSS`, the memory in use, or `VmHWM`, its peak, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024


def peak_memory(step, seconds):
    """MiB that training adds at its peak to a process that holds the built model and its data.

    Linux forgets the peak so far when 5 is written to clear_refs; elsewhere the answer is None.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
    except OSError:
        before = None
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        step()
    return None if before is None else memory("VmHWM") - before


def matmul_rate():
    """Operations per second of a float32 product of 1024 x 1024 matrices by NumPy."""
    import numpy as np

    a = np.random.default_rng(0).random((1024, 1024), np.float32)
    out = np.empty_like(a)

    def product():
        np.matmul(a, a, out=out)

    product()
    return 2 * 1024 ** 3 / median_time(product, 20)


def median_time(function, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def work_process(args):
    """Say what there is, then answer every line from the parent with a block; idle in between."""
    if args.worker == "ours":
        lib = our_side(args.device)
    else:
        from torch_side import torch_side

        lib = torch_side(args.threads)
    build, batch = WORKS[args.work]
    work = build(lib, batch)
    about = {"shapes": [list(p.shape) for network in work.networks for p in network.parameters()],
             "flops": work.flops, "memory": peak_memory(work.step, args.seconds),
             "rate": matmul_rate() if args.worker == "ours" else None}
    del work
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        print(json.dumps(time_block(lib, build, batch, args.seconds)), flush=True)


def engine_process(args):
    """What concerns tinygen alone: time against the batch, overhead, time against the length."""
    lib = our_side(args.device)
    print("\ntime of a step with 4 times the batch (4 is linear; below it, a step has fixed costs)")
    for name in args.only:
        build, batch = WORKS[name]
        rounds = [[time_block(lib, build, size, args.seconds / 2) for size in (batch, 4 * batch)]
                  for _ in range(2 if args.quick else 3)]
        few, many = [statistics.median(times) for times in zip(*rounds)]
        print(f"{name:8} {few:8.2f} ms at {batch:4}, {many:8.2f} ms at {4 * batch:4}: "
              f"{many / few:.2f} times", flush=True)

    print("\noverhead of an operation, in microseconds: a chain of additions of 8 numbers, minus "
          "NumPy's own\n(about the same for every length: time is linear in it)")
    for n in (10, 100, 1000, 10_000):
        forward, backward, plain = chain(n, 3 if args.quick else 9)
        print(f"length {n:6,}: overhead forward {forward - plain:.2f}, backward {backward:.2f}; "
              f"NumPy {plain:.2f}", flush=True)


def chain(n, repeats):
    """Microseconds an addition in a chain of n: forward, backward, and with NumPy alone.

    The gradient of an addition is handed on as it is, so NumPy has no part in the way back.
    """
    import tinygen as tg

    x, c = tg.randn(8, requires_grad=True), tg.randn(8)
    g, ends = tg.ones(8), []
    inner = max(1, 1000 // n)

    def forward():
        ends.clear()
        for _ in range(inner):
            y = x
            for _ in range(n):
                y = y + c
            ends.append(y)

    def backward():
        for y in ends:
            x.grad = None
            y.backward(g)

    def plain():
        for _ in range(inner):
            y = x.data
            for _ in range(n):
                y = y + c.data

    backwards, forwards = [], []
    for _ in range(repeats):     # a graph can be walked only once
        forwards.append(median_time(forward, 1))
        backwards.append(median_time(backward, 1))
    times = statistics.median(forwards), statistics.median(backwards), median_time(plain, repeats)
    return [1e6 * t / (n * inner) for t in times]


# In the parent, which starts the others and imports neither library

class Worker:
    """One side of one work in a process of its own, idle until it is asked for a block."""

    def __init__(self, args, side, work):
        self.what = f"{side}, {work}"
        self.process = subprocess.Popen(
            command(args, side) + ["--work", work, "--seconds", str(args.seconds)],
            env=environment(args), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"training_step: the process of {self.what} has ended; its error stands above")
        return json.loads(line)

    def block(self):
        """Milliseconds a step."""
        self.process.stdin.write("block\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def command(args, side):
    python = args.torch_python if side == "torch" else sys.executable
    return [python, __file__, "--worker", side, "--threads", str(args.threads),
            "--device", args.device]


def environment(args):
    """This checkout before an installed tinygen, the same number of threads on both sides, and
    compiled files kept, as they are by default."""
    threads = dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"],
                            str(args.threads))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, **threads, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}


def torch_version(args):
    """PyTorch's version, or None, and then it is said why."""
    code = "import torch; print(torch.__version__)"
    try:
        run = subprocess.run([args.torch_python, "-c", code], capture_output=True, text=True)
    except OSError as error:
        reason = str(error)
    else:
        if run.returncode == 0:
            return run.stdout.strip()
        reason = run.stderr.strip().rpartition("\n")[2]
    print(f"PyTorch is not there ({args.torch_python}: {reason}), so these are our times alone")


def compare(args, name, sides):
    """Measure one work and print its row. Returns the peak memory of each side."""
    workers = []
    try:
        for side in sides:      # one after the other, so that they do not warm up together
            workers.append(Worker(args, side, name))
        about = [worker.about for worker in workers]
        if any([other["shapes"] != about[0]["shapes"] for other in about]):
            sys.exit(f"training_step: {name} has other parameters on the two sides: "
                     + " against ".join(str(side["shapes"]) for side in about))
        rounds = []
        for i in range(args.rounds):
            times = {}
            for worker in workers if i % 2 == 0 else workers[::-1]:
                time.sleep(args.pause)
                times[worker] = worker.block()
            rounds.append([times[worker] for worker in workers])
    finally:
        for worker in workers:
            worker.close()
    ours, *torch = [statistics.median(times) for times in zip(*rounds)]
    ratios = [times[0] / times[-1] for times in rounds] if torch else [t for t, in rounds]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    ratio = statistics.median(ratios)
    share = about[0]["flops"] / (ours / 1000) / about[0]["rate"]
    shown = f"{torch[0]:9.2f} {ratio:6.2f}" if torch else f"{'-':>9} {'-':>6}"
    print(f"{name:8} {ours:8.2f} {shown} {(high - low) / ratio:7.2f} {share:21.2f}", flush=True)
    return [side["memory"] for side in about]


def print_memory(memories, sides):
    print("\npeak memory of training above the built model, in MiB (VmHWM, set back before the "
          "first step)")
    for name, sizes in memories.items():
        print(f"{name:8}", *[f"{side} {'not measured here' if size is None else f'{size:.1f}'}"
                             for side, size in zip(sides, sizes)])


def print_imports(args):
    """Fresh processes, alternating; the first of each, which may compile, does not count."""
    code = ("import time; start = time.perf_counter(); import {}; "
            "print(time.perf_counter() - start)")
    rounds = [[float(subprocess.check_output([sys.executable, "-c", code.format(name)],
                                             env=environment(args)))
               for name in ("tinygen", "numpy")] for _ in range(3 if args.quick else 10)][1:]
    ours, numpy = [1000 * statistics.median(times) for times in zip(*rounds)]
    print(f"\nmilliseconds of an import: tinygen {ours:.0f}, numpy {numpy:.0f}, so tinygen itself "
          f"{ours - numpy:.0f}")


def cores():
    """How many of the machine's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", choices=["torch"], help="measure PyTorch as well")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PATH",
                        help="the Python that has PyTorch (default: this one)")
    parser.add_argument("--only", default=",".join(WORKS), metavar="NAMES",
                        help="some of " + ",".join(WORKS))
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    parser.add_argument("--rounds", type=int, help="blocks of each side (default: 8)")
    parser.add_argument("--seconds", type=float, help="length of a block (default: 1)")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between two blocks")
    parser.add_argument("--threads", type=int, default=cores(),
                        help="threads of each side (default: %(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu",
                        help="where tinygen computes: cuda is a GPU, by CuPy (default: cpu)")
    parser.add_argument("--worker", choices=["ours", "torch", "engine"], help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.only = args.only.split(",")
    if unknown := set(args.only) - set(WORKS):
        parser.error(f"--only: {', '.join(sorted(unknown))} is not among {', '.join(WORKS)}")
    args.rounds = args.rounds or (2 if args.quick else 8)
    args.seconds = args.seconds or (0.2 if args.quick else 1.0)
    if args.rounds < 2:
        parser.error("--rounds: two are the fewest that have a spread")
    return args


def main(args):
    torch = torch_version(args) if args.against == "torch" else None
    sides = ["ours", "torch"] if torch else ["ours"]
    print(f"Python {platform.python_version()}, NumPy {version('numpy')}"
          + f", PyTorch {torch}" * bool(torch) + f"; {args.threads} threads, {args.rounds} rounds "
          f"of blocks of {args.seconds:g} seconds, pauses of {args.pause:g}")
    print("name      ours_ms  torch_ms  ratio  spread  share_of_matmul_rate", flush=True)
    print_memory({name: compare(args, name, sides) for name in args.only}, sides)
    subprocess.run(command(args, "engine") + ["--only", ",".join(args.only), "--seconds",
                                              str(args.seconds)] + ["--quick"] * args.quick,
                   env=environment(args), check=True)
    print_imports(args)


if __name__ == "__main__":
    args = parse(sys.argv[1:])
    {None: main, "engine": engine_process}.get(args.worker, work_process)(args)
