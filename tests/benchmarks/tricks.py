"""What makes tinygen fast, each trick beside the plain way to do the same: milliseconds of both.

    python tests/benchmarks/tricks.py

Both ways of a row give the same numbers (that is checked), take turns, and are given by their
medians. Sizes are those of a DCGAN step with 64 images, unless the name says otherwise.

What we tried and left out, on two cores, because it gained little or made others slower:

- patches of the gradient shared by both rules of a transposed convolution: 3 % of a DCGAN step in
  the slow minutes (below), 1 to 2 % slower in the good ones;
- rows and columns that share products, nine for four pixels instead of sixteen: forward 5 % faster
  than with rows alone, for the input the same, for the weights 1 to 15 % slower;
- Winograd's way (Lavin and Gray 2016) for 4 x 4 pixels at once: forward and for the weights 25 to
  30 % slower than without sharing, for the input 1 to 15 % faster, with much code;
- the gradient of a convolution's input without any of the pixels at the edge that nobody needs:
  we leave out rows, and that gains 3 % of a DCGAN step; to leave out columns too takes smaller
  products, which run at a lower rate;
- half patches where no products are shared: half of the copying, but more and smaller products; 0
  to 4 % of a DCGAN step;
- ReLU, leaky ReLU and batch norm in pieces that fit into the cache: from 30 % faster to 25 % slower
  by the operation, the machine and the size; about 1 % of a step;
- Python threads for copies and elementwise work: BLAS's second thread waits by spinning, and takes
  their core. Half of the images for each thread, with a BLAS of one thread: 7 % of a DCGAN step,
  but a library would have to set BLAS's threads for everybody;
- a graph that lets go of arguments and results that none of its rules reads: nothing in time;
- features before examples in memory: products of a dense VAE 10 to 20 % faster, but losses then
  mix two orders.

Two rows depend on the processor. Adam in pieces makes a dense VAE's step 6 % faster on an Intel of
2019, and 2 to 6 % slower on an AMD of 2022, whose third cache holds all of it. Numbers of 1e-40
take the Intel up to 40 times as long, and the AMD a little longer.

What all of it comes to (`python tests/benchmarks/training_step.py --against torch`): a step takes
0.71 of PyTorch's time for a dense GAN, 0.95 for a dense VAE, 1.08 for the DCGAN, 0.94 for the
convolutional VAE, and 0.62 for a critic with gradient penalty (medians of six runs on an AMD of
2022). We had aimed at 0.65, 1.1, 1.05, 1.1 and 0.85, so the two GANs stay up to a tenth above.

Where a DCGAN step takes longer than PyTorch's, two things are left: PyTorch's convolutions need no
patches, and it does elementwise work on both cores. The first depends on the machine and the hour:
patches are written by one core and multiplied by both, and writing over what another core has read
took 0.9 ms a convolution in some minutes and 3.5 in others, on one virtual machine, while the
products took 4.4 and 4.8. Patches in two places by turns instead of one make that up to 1.8 ms less
and cost 0.2 in the good minutes; patches kept for the gradient of the weight make a DCGAN step 4 to
6 % faster in the slow minutes; larger pieces, of 8 MiB, 3 % faster there, and 2 % slower in the
good ones. A step takes 76 or 112 ms, PyTorch's 73 or 83. Small networks feel it too: what one
thread of BLAS has written, the other must fetch. A step of a dense GAN (128 units) takes 1.6 or 2.3
ms, and with OPENBLAS_NUM_THREADS=1 1.9 in any minute. NumPy's calls alone, one after another and
without an engine, take 1.3 ms of the 1.6; the rest is Python: 29 operations recorded and walked
back, modules, optimisers. That part was 0.45 ms before nodes kept raw arrays, `mean` was one
operation, a view of a number was made by hand, and what Adam keeps for small weights lay in rows.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import tinygen as tg  # noqa: E402
from tinygen import functional as F, nn, optim  # noqa: E402
from tinygen.ops import conv, normalise  # noqa: E402
from tinygen.optim import optimizers  # noqa: E402

REPEATS = 30
rng = np.random.default_rng(0)


def numbers(*shape):
    return rng.standard_normal(shape, np.float32)


def images(n, c, h, w):
    """Channels last in memory."""
    return conv.channels_first(numbers(n, h, w, c))


def with_conv(run, **constants):
    """`run` with constants of `conv`, such as `CACHE`, changed meanwhile."""
    def running():
        before = {name: getattr(conv, name) for name in constants}
        vars(conv).update(constants)
        try:
            return run()
        finally:
            vars(conv).update(before)
    return running


def all_patches(x, positions):
    """What a 4 x 4 kernel in steps of 2 sees in the padded images x, all at once."""
    def gather():
        return next(conv.patches(x, (4, 4), (2, 2), (1, 1), (1, 1), positions))[1][0]

    return with_conv(lambda: conv.flat(gather()), CACHE=2 ** 30)


def patches():
    """patches of channels-first or of channels-last images"""
    x = images(64, 64, 14, 14)
    planes = np.ascontiguousarray(x)

    def channels_first():
        n, c, h, w = planes.shape
        padded = np.zeros((n, c, h + 2, w + 2), np.float32)
        padded[:, :, 1:-1, 1:-1] = planes
        seen = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), (2, 3))[:, :, ::2, ::2]
        return seen.transpose(0, 2, 3, 4, 5, 1).reshape(n * 7 * 7, -1)

    return channels_first, all_patches(x, (7, 7))


def runs():
    """patches of grey images (28 x 28) number by number, or a row of a patch at a time"""
    x = images(64, 1, 28, 28)

    def by_number():
        padded = np.pad(x[:, 0], ((0, 0), (1, 1), (1, 1)))
        seen = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), (1, 2))[:, ::2, ::2]
        return seen.reshape(64 * 14 * 14, 16)

    return by_number, all_patches(x, (14, 14))


def pieces():
    """convolution of 64 x 14 x 14 to 128 x 7 x 7: all patches at once, or a few images at a time"""
    x, weight = images(64, 64, 14, 14), images(128, 64, 4, 4)

    def convolve():
        return conv.conv2d(x, weight, None, (2, 2), (1, 1), (1, 1))

    return with_conv(convolve, CACHE=2 ** 30), convolve


def kept_patches():
    """the same, and the gradient of its weight: patches gathered twice, or kept"""
    x, g = tg.Tensor(images(64, 64, 14, 14)), tg.Tensor(images(64, 128, 7, 7))
    weight = tg.Tensor(images(128, 64, 4, 4)).requires_grad_()

    def gradient():
        return tg.grad(F.conv2d(x, weight, None, 2, 1), weight, g)[0].data

    return with_conv(gradient, KEPT=0), gradient


def shared_products():
    """the same, and both its gradients: four products for two rows of the result, or three"""
    x, g = tg.Tensor(images(64, 64, 14, 14)).requires_grad_(), tg.Tensor(images(64, 128, 7, 7))
    weight = tg.Tensor(images(128, 64, 4, 4)).requires_grad_()

    def gradients():
        return tg.grad(F.conv2d(x, weight, None, 2, 1), [x, weight], g)[0].data

    return with_conv(gradients, WIDE=2 ** 30), gradients


def tall_products():
    """gradient of weights from patches of 64 images (3136 x 1024): wide (128 x 1024), or tall"""
    seen, g = numbers(3136, 1024), numbers(3136, 128)
    return lambda: g.T @ seen, lambda: (seen.T @ g).T


def weights_in_order():
    """convolution with weights in the memory of images (O, kh, kw, C), or of their matrix"""
    x, weight = images(64, 64, 14, 14), images(128, 64, 4, 4)
    matrix = conv.from_columns(conv.columns(weight).copy(), 64, (4, 4))
    return [lambda w=w: conv.conv2d(x, w, None, (2, 2), (1, 1), (1, 1)) for w in (weight, matrix)]


def transposed_convolution():
    """transposed convolution by scattered additions, or by one convolution and interleaving"""
    y, weight = images(64, 128, 7, 7), images(128, 64, 4, 4)
    geometry = (2, 2), (1, 1)
    return (lambda: conv.scatter(y, weight, *geometry, (1, 1), (14, 14)),
            lambda: conv.interleave(y, weight, *geometry, (14, 14)))


def batch_norm():
    """batch norm, forward and backward, from ten operations or as one primitive"""
    x, g = tg.tensor(images(64, 64, 14, 14)).requires_grad_(), tg.Tensor(images(64, 64, 14, 14))
    weight, bias = [tg.Tensor(numbers(64)).requires_grad_() for _ in range(2)]

    def ten():
        centred = x - x.mean((0, 2, 3), keepdim=True)
        std = ((centred * centred).mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
        return centred / std * weight.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)

    def gradient(forward):
        return lambda: tg.grad(forward(), x, g)[0].data

    return gradient(ten), gradient(lambda: F.batch_norm(x, None, None, weight, bias, True))


def channel_moments():
    """x minus a number a channel: against one number, or against a whole example"""
    x, v = images(64, 64, 14, 14), numbers(64)
    return lambda: x - v.reshape(1, -1, 1, 1), lambda: x - normalise.whole(v, x)


def channel_sums():
    """sums over the batch: all dimensions at once, or over the examples first"""
    x = images(64, 64, 14, 14)
    return lambda: x.sum((0, 2, 3)), lambda: normalise.total(x)


def channel_products():
    """sums of products over the batch: written down first, or summed on the way"""
    x, y = images(64, 64, 14, 14), images(64, 64, 14, 14)
    return lambda: normalise.total(x * y), lambda: normalise.total_product(x, y)


def leaky_relu():
    """leaky ReLU's gradient: chosen by np.where, or times a float mask"""
    x, g = images(64, 64, 14, 14), images(64, 64, 14, 14)
    return (lambda: np.where(x > 0, g, np.float32(0.2) * g),
            lambda: F.leaky_relu.rule(0)(g, x, x, 0.2))


def relu():
    """ReLU: the maximum with the number 0, or with an array of zeros"""
    x = images(64, 64, 14, 14)
    return lambda: np.maximum(x, 0), lambda: F.relu(x)


def softplus():
    """softplus: np.logaddexp, or max(x, 0) + log1p(exp(-|x|))"""
    x = numbers(128, 784)
    return lambda: np.logaddexp(x, np.float32(0)), lambda: F.softplus(x)


def linear():
    """a linear layer of 256 x 128, forward and backward: product, then sum; or one primitive"""
    x, g = tg.tensor(numbers(256, 128)).requires_grad_(), tg.Tensor(numbers(256, 128))
    weight, bias = tg.tensor(numbers(128, 128)).requires_grad_(), tg.tensor(numbers(128))
    bias.requires_grad_()

    def gradient(forward):
        return lambda: tg.grad(forward(), [x, weight, bias], g)[1].data

    return (gradient(lambda: x @ weight.transpose(0, 1) + bias),
            gradient(lambda: F.linear(x, weight, bias)))


def outer_product():
    """a product with inner size 1, (256, 1) by (1, 128): by @, or by dot"""
    a, b = numbers(256, 1), numbers(1, 128)
    return lambda: a @ b, lambda: tg.matmul(a, b)


def adam():
    """Adam on 20 biases of 128 numbers: one after the other, or together"""
    def side(small):
        params = [nn.Parameter(tg.ones(128)) for _ in range(20)]
        for p in params:
            p.grad = tg.ones(128)
        optimizer = optim.Adam(params)

        def step():
            optimizers.SMALL, before = small, optimizers.SMALL
            optimizer.step()
            optimizers.SMALL = before
            return params[0].data

        return step

    return side(0), side(optimizers.SMALL)


def adam_in_pieces():
    """Adam on weights (800, 784): whole, or in pieces that the cache holds"""
    g = tg.Tensor(numbers(800, 784))

    def side(piece):
        weights = nn.Parameter(tg.zeros(800, 784))
        weights.grad = g
        optimizer = optim.Adam([weights])

        def step():
            optimizers.PIECE, before = piece, optimizers.PIECE
            optimizer.step()
            optimizers.PIECE = before
            return weights.data

        return step

    return side(2 ** 30), side(optimizers.PIECE)


def forgotten():
    """Adam on weights (400, 784), a fifth of whose mean gradients is 1e-40: kept, or made 0"""
    g = numbers(400, 784)
    g[:, ::5] = 0

    def side(forget):
        weights = nn.Parameter(tg.zeros(400, 784))
        weights.grad = tg.Tensor(g)
        optimizer = optim.Adam([weights])
        optimizer.step()
        mean = optimizer.state[0]["exp_avg"]
        mean[:, ::5] = 1e-40
        if forget:
            optimizers.forget_subnormal(mean)

        def step():
            optimizer.step()
            return weights.data

        return step

    return side(False), side(True)


def frozen():
    """the generator's update through a discriminator that wants gradients, or is frozen"""
    from tinygen.gan import dcgan, generator_loss

    tg.manual_seed(0)
    model, fake = dcgan(), tg.Tensor(images(64, 1, 28, 28)).requires_grad_()

    def update(wanted):
        model.discriminator.requires_grad_(wanted)
        fake.grad = None
        generator_loss(model.discriminator(fake)).backward()
        return fake.grad.data

    return lambda: update(True), lambda: update(False)


def memory():
    """one DCGAN discriminator, forward and backward, where freed memory returns to the system"""
    code = ("import sys, time, statistics; sys.path.insert(0, sys.argv[1])\n"
            "import tinygen as tg, tinygen.gan as gan\n"
            "d, x, times = gan.dcgan().discriminator, tg.randn(64, 1, 28, 28), []\n"
            "for _ in range(12):\n"
            "    start = time.perf_counter(); d(x).sum().backward()\n"
            "    times.append(time.perf_counter() - start)\n"
            "print(1000 * statistics.median(times[2:]))")
    kept = "import ctypes; ctypes.CDLL = None\n"      # so that backend.py cannot ask malloc for it

    def run(before):
        return float(subprocess.check_output([sys.executable, "-c", before + code, str(ROOT)],
                                             env={**os.environ}))

    rounds = [(run(kept), run("")) for _ in range(3)]
    return [statistics.median(times) for times in zip(*rounds)]


def compare(trick):
    """Print one row: what it is, the plain way, the fast way, their ratio."""
    if trick is memory:
        slow, fast = memory()
    else:
        ways, times = trick(), ([], [])
        for a, b in zip(*[[way()] for way in ways]):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
        for _ in range(REPEATS):
            for way, taken in zip(ways, times):
                start = time.perf_counter()
                way()
                taken.append(time.perf_counter() - start)
        slow, fast = [1000 * statistics.median(taken[3:]) for taken in times]
    print(f"{slow:8.3f} {fast:8.3f} {slow / fast:6.1f}   {trick.__doc__}", flush=True)


if __name__ == "__main__":
    print("plain ms  fast ms  ratio  what")
    for trick in (patches, runs, pieces, kept_patches, shared_products, tall_products,
                  weights_in_order, transposed_convolution, batch_norm, channel_moments,
                  channel_sums, channel_products, leaky_relu, relu, softplus, linear,
                  outer_product, adam, adam_in_pieces, forgotten, frozen, memory):
        compare(trick)
