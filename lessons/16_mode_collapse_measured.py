# %% [markdown]
# # Lesson 16: Mode collapse, measured
#
# **Question.** How often does a GAN leave out part of the data, how much, and what changes that?
#
# **Know first.** Lesson 14 (the game), and what a standard error is.
#
# **Read beside.** `mode_count` in `tinygen/metrics.py`, `ring` and `grid` in `tinygen/datasets.py`.
#
# **Time.** About 90 seconds; the fast form takes 7.
#
# **Ends with.** `lesson 16: 7 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinygen as tg
from tinygen import gan, optim
from tinygen.datasets import grid, grid_modes, ring, ring_modes
from tinygen.metrics import mode_count
from tinygen.plots import COLOURS, MADE, REAL

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
STEPS, EVERY, SEEDS = (400, 100, 2) if FAST else (2_500, 250, 5)
SIGMA = {ring: 0.01, grid: 0.05}                  # the width of the modes
tg.manual_seed(0)

# %% [markdown]
# ## What to count
#
# A *mode* is a place where the data is dense. A generator that leaves modes out has *collapsed*; it
# may still make perfect examples of the others, so looking at single examples will not tell. In the
# plane we know the modes and can count. The data are points around 8 centres on a circle (*ring*),
# or around 25 on a square (*grid*). VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018)
# draw 2,500 points from the generator, and ask:
#
# - *High quality*: which share lies within $3 \sigma$ of a centre?
# - *Modes found*: how many centres have at least one such point?
# - *Reverse KL*: each point goes to its nearest centre, which gives shares $q_k$. How far are they
#   from equal? $\sum_k q_k \log(q_k / \frac1K)$ nats, 0 if equal.
#
# By hand, for a perfect sampler: a Gaussian in the plane lies within $3 \sigma$ with probability $1
# - e^{-9/2} = 98.9$ %. Chance alone makes the shares a little uneven; that gives about $(K - 1) /
# (2 N)$, here $7 / 5000 = 0.0014$ on the ring. That is the floor, not 0. If half of the modes are
# left out and the others equal: $\log 2 = 0.693$. If one mode is left: $\log 8 = 2.079$.

# %%
angle = 2 * np.pi * np.arange(8) / 8              # to break it: angle = np.linspace(0, 2 * np.pi, 8)
centres = np.stack([np.cos(angle), np.sin(angle)], axis=1)

def naive_count(points, centres, sigma):
    """(modes found, share of high quality, reverse KL) of the points (N, 2), point by point."""
    good, visits = np.zeros(len(centres)), np.zeros(len(centres))
    for point in points:
        distances = np.sqrt(((centres - point) ** 2).sum(axis=1))
        visits[distances.argmin()] += 1
        good[distances.argmin()] += distances.min() <= 3 * sigma
    q = visits[visits > 0] / len(points)          # 0 log 0 is 0
    return (good > 0).sum(), good.sum() / len(points), (q * np.log(q * len(centres))).sum()


rng = np.random.default_rng(0)
def around(modes):
    """2,500 points of the ring, but around some of its modes only."""
    return ring_modes()[rng.choice(modes, 2_500)] + 0.01 * rng.normal(size=(2_500, 2))

samplers = {"perfect": around(range(8)), "every second": around([0, 2, 4, 6]),
            "one": around([5]), "noise N(0, I)": rng.normal(size=(2_500, 2))}
known, gaps = {}, []
print("the ring           modes   high quality   reverse KL")
for name, points in samplers.items():
    known[name] = naive_count(points, centres, 0.01)
    theirs = mode_count(points, ring_modes(), 0.01)
    gaps.append(abs(np.array(known[name])
                    - [theirs.modes, theirs.high_quality, theirs.reverse_kl]).max())
    print("{:17} {:6} {:13.1%} {:12.4f}".format(name, *known[name]))
print(f"the library's mode_count differs by at most {max(gaps):.0e}")

# %% [markdown]
# All as by hand, and no figure says it all: who collapses to one mode has the best quality, and
# noise visits all modes. So read the three together.
#
# ## Why collapse pays
#
# Look at the generator's part of the game against a *fixed* discriminator. It wants points where
# $D$ is highest. Nothing asks it to be varied: the best answer is *one* place, over and over. Only
# because $D$ answers, and learns that this place is overcrowded, must it move on. So let both play
# for 300 steps, then break the game: freeze $D$, and let $G$ go on alone. Predict the reverse KL.

# %%
def train(seed, make=ring, steps=STEPS, lr=1e-3, batch=64, hidden=64, rule=None):
    """A GAN after `steps` steps, and its ModeCount every EVERY steps."""
    tg.manual_seed(seed)
    training, counts = gan.GANTraining(gan.dense_gan((2,), hidden=hidden), lr, image=False), []
    networks = training.model.discriminator, training.model.generator
    if rule is not None:                          # Adam with betas (0.5, 0.999) otherwise
        training.optimizers = [rule(network.parameters(), lr) for network in networks]
    for step in range(1, steps + 1):
        training.step(tg.tensor(make(batch)))
        if step % EVERY == 0:
            counts.append(measure(training.model, make))
    return training.model, counts

def measure(model, make=ring):
    modes = ring_modes() if make is ring else grid_modes()
    return mode_count(model.sample(2_500).numpy(), modes, SIGMA[make])

import sys
if len(sys.argv) > 1:
    for seed in range(8):
        for st in (100, 200,300,500):
            model, _ = train(seed, steps=st)
            before = measure(model)
            model.discriminator.requires_grad_(False)
            optimizer = optim.Adam(model.generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
            out=[]
            for step in range(300):
                loss = gan.generator_loss(model.discriminator(model.generator(tg.randn(64, 2))))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if step%100==99: out.append(round(measure(model).reverse_kl,2))
            print(seed, st, round(before.reverse_kl,2), out)
