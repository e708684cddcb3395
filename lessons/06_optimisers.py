# %% [markdown]
# # Lesson 06: Optimisers
#
# **Question.** How far should a step go, and what helps when training does not converge?
#
# **Know first.** Lesson 04.
#
# **Read beside.** `tinygen/optim/`.
#
# **Time.** About 30 seconds; the fast form takes 6.
#
# **Ends with.** `lesson 06: 8 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinygen as tg
from tinygen import functional as F, nn, optim
from tinygen.datasets import load
from tinygen.plots import COLOURS

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
STEPS = 50 if FAST else 200
H, START = np.diag([1.0, 100.0]), np.array([-9.0, 1.0])    # a valley, and where we start in it
np.seterr(all="ignore")                           # inf and nan appear below, on purpose
mnist = load("mnist")
images, labels = mnist.train.reshape(-1, 784), mnist.train_labels

# %% [markdown]
# ## A long narrow valley
#
# The gradient says which way is down, not how far to go. In a valley 100 times as steep across as
# along, $f(x) = \tfrac12 x^T H x = \tfrac12 (x_1^2 + 100\, x_2^2)$ with gradient $H x$, an SGD step
# $x \leftarrow x - \text{lr} \cdot g$ (lr is lesson 04's $\eta$) multiplies $x_1$ by
# $1 - \text{lr}$, $x_2$ by $1 - 100\, \text{lr}$. At lr = 0.02 that is $-1$: $x_2$ never shrinks.
# At 0.018 it is $-0.8$, a zigzag that dies out; but 100 steps leave $0.982^{100} = 16$ % of $x_1$.
#
# ## The naive version: five update rules
#
# *Momentum* adds steps up: what keeps its direction grows to $1 / (1 - 0.9) = 10$ times its size,
# steps that alternate largely cancel. The others divide each coordinate by the size its gradients
# had: *Adagrad* by the root of the sum of their squares; *RMSprop* by the root of a running mean,
# $v \leftarrow \beta v + (1 - \beta) g^2$, which forgets; *Adam* divides a running mean $m$ of the
# gradients by that same root. The means start at 0, too small: Adam divides each by $1 - \beta^t$.
# tinygen's class walks beside each rule, with gradients from the tape. Where do they end?

# %%
def walk(rule, lr, steps=100):
    """The places that a rule visits, one a row. It remembers b, s, v, or m and v."""
    path, b, s, v, m = [START], 0, 0, 0, 0
    for t in range(1, steps + 1):
        x, g = path[-1], H @ path[-1]
        if rule == "sgd":
            x = x - lr * g
        elif rule == "momentum":
            b = 0.9 * b + g
            x = x - lr * b
        elif rule == "adagrad":
            s = s + g * g
            x = x - lr * g / (np.sqrt(s) + 1e-10)
        elif rule == "rmsprop":
            v = 0.99 * v + 0.01 * g * g
            x = x - lr * g / (np.sqrt(v) + 1e-8)
        elif rule == "adam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            c1, c2 = 1 - 0.9 ** t, 1 - 0.999 ** t          # to break it: c1, c2 = 1, 1
            x = x - lr * (m / c1) / (np.sqrt(v / c2) + 1e-8)
        path.append(x)
    return np.array(path)


RULES = {"sgd": (optim.SGD, 0.018),               # the library's, each with a good rate
         "momentum": (lambda params, lr: optim.SGD(params, lr, momentum=0.9), 0.01),
         "adagrad": (optim.Adagrad, 2), "rmsprop": (optim.RMSprop, 0.1), "adam": (optim.Adam, 0.5)}
paths, apart = {}, []
print("rule       lr      x1 (along) x2 (across)  from tinygen's path")
for rule, (library, lr) in RULES.items():
    paths[rule], x = walk(rule, lr), tg.tensor(START, requires_grad=True)
    optimizer = library([x], lr=lr)
    for place in paths[rule][1:]:
        optimizer.zero_grad()
        ((x * (tg.tensor(H) @ x)).sum() / 2).backward()
        optimizer.step()
        apart.append(abs(x.detach().numpy() - place).max())
    print(f"{rule:10} {lr:<6} {place[0]:11.4f} {place[1]:11.4f} {max(apart[-100:]):20.0e}")

# %% [markdown]
# SGD ends at $-9 \cdot 0.982^{100} = -1.4635$, as by hand; momentum swings, but is far nearer to 0.
#
# ## Which rule, and which rate?
#
# Digits: a classifier with one hidden layer, each rule at five rates. Which matters more?

# %%
def network(hidden, start=1.0, norm=False):
    """784 to 10, by hidden layers of 64. The weights start at `start` times He's size."""
    tg.manual_seed(0)
    layers = []
    for inputs in [784] + (hidden - 1) * [64]:
        layers += [nn.Linear(inputs, 64), nn.BatchNorm1d(64) if norm else nn.Identity(), nn.ReLU()]
        nn.init.normal_(layers[-3].weight, 0, start * (2 / inputs) ** 0.5)
    return nn.Sequential(*layers, nn.Linear(64, 10))


def train(rule=RULES["momentum"][0], lr=0.05, hidden=10, start=1.0, norm=False, batch=64,
          clip=np.inf, slower=1, larger=1, steps=STEPS, schedule=optim.lr_scheduler.StepLR):
    """Loss and gradient norm (before clipping) of each step, until the loss is not finite."""
    model, losses, norms, random = network(hidden, start, norm), [], [], np.random.default_rng(0)
    optimizer = rule(model.parameters(), lr=lr / slower)
    plan = schedule(optimizer, steps)             # StepLR drops the rate after `steps`: too late
    while len(losses) < steps and np.isfinite(losses[-1:]).all():
        rows = random.integers(0, len(images), batch * larger)
        loss = F.cross_entropy(model(tg.tensor(images[rows])), tg.tensor(labels[rows]))
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), clip))
        optimizer.step()
        plan.step()
        losses.append(loss.item())
    return np.array(losses), np.array(norms)


table, rates = {}, (0.0001, 0.001, 0.01, 0.1, 1.0)
print(f"mean loss of the last 20 of {STEPS} steps, at the rates", *rates)
for rule, (library, _) in tqdm(RULES.items(), desc="rates"):
    table[rule] = [train(library, lr, hidden=1)[0][-20:].mean() for lr in rates]
    print(f"{rule:10}" + "".join([f"{loss:8.2f}" for loss in table[rule]]))

# %% [markdown]
# Each rule has its own good rate, and *there* they are close. A rate wrong by a factor of 100 costs
# far more than the wrong rule. So first try rates a power of 10 apart, a few hundred steps each.
#
# ## Four sick nets
#
# Ten hidden layers. A: from `nn.Linear`'s own start, 0.41 of He's, the gradient shrinks to 0.41 at
# each layer on its way back (lesson 04), over five to $0.41^5 = 0.012$: it *vanishes*. B: twice
# He's start *explodes*, $2^{10}$ is a thousand. The weights get this gradient times their input. In
# A biases keep that up; in B it grows forward, so there all layers are alike. We print norms,
# $\sqrt{\sum g^2}$. C has a rate ten times too large, D noisy gradients. *Clipping* brings a norm
# above 1 to 1; *decay* lowers the rate to 0 on half a cosine. What cures whom? (`nan`: it broke.)

# %%
first = {}
for start, norm in ((6 ** -0.5, False), (1.0, False), (2.0, False), (2.0, True)):
    name, net = f"{start:.2f} He{' + batch norm' * norm}", network(10, start, norm)
    F.cross_entropy(net(tg.tensor(images[:100])), tg.tensor(labels[:100])).backward()
    g = first[name] = [nn.utils.grad_norm([m.weight]) for m in net if isinstance(m, nn.Linear)]
    print(f"{name:21} gradient norm of layers 10, 5, 1: {g[9]:.0e} {g[4]:.0e} {g[0]:.0e}, "
          f"5th / 10th {g[4] / g[9]:.3f}")
SICK = {"A start 0.41": {"start": 6 ** -0.5}, "B start x 2": {"start": 2.0},
        "C rate x 10": {"lr": 0.5}, "D batch of 10": {"batch": 10, "lr": 0.03, "steps": 3 * STEPS}}
CURES = {"none": {}, "start": {"start": 1.0}, "norm": {"norm": True}, "clip": {"clip": 1.0},
         "rate/10": {"slower": 10}, "decay": {"schedule": optim.lr_scheduler.CosineAnnealingLR},
         "batch x4": {"larger": 4}, "Adam": {"rule": optim.Adam, "lr": 0.001}}
runs = {(sick, cure): train(**SICK[sick] | CURES[cure])
        for sick in tqdm(SICK, desc="sick nets") for cure in CURES}
end = {key: losses[-20:].mean() for key, (losses, _) in runs.items()}
print("loss at the end" + "".join([f"{cure:>9}" for cure in CURES]))
for sick in SICK:
    print(f"{sick:15}" + "".join([f"{end[sick, cure]:9.2f}" for cure in CURES]))

# %% [markdown]
# A: only what gives the first layers longer steps helps (Adam divides by the gradient's size). B:
# decay comes too late; clipping only keeps it alive. C: clipped at 1, steps are still too long. D:
# what averages or shortens helps; batch norm hardly: the mean of ten images is noise as well.
#
# ## Break it
#
# Adam without its correction: at step 1, $m = 0.1\, g$ and $v = 0.001\, g^2$, so the step is
# $0.1 / \sqrt{0.001} = 3.16$ rates long, not 1. And later? The factor acts like a schedule, so we
# can give it to the library's Adam. What will it do to a healthy deep net, at lr = 0.015?

# %%
for name, factor in (("right", lambda t: 1.0),    # of step t + 1, as schedules count from 0
                     ("wrong", lambda t: (1 - 0.9 ** (t + 1)) / (1 - 0.999 ** (t + 1)) ** 0.5)):
    loss, _ = train(optim.Adam, 0.015, schedule=lambda o, _: optim.lr_scheduler.LambdaLR(o, factor))
    end[name] = loss[-20:].mean()
    print(f"{name}: steps 1, 10, 100 times {factor(0):.2f}, {factor(9):.2f}, {factor(99):.2f}; "
          f"largest loss {loss.max():.2f}, at the end {end[name]:.2f}")

# %% [markdown]
# After a few wild steps all ReLUs of some layer give 0, whatever the image: no gradient passes; the
# loss stays at $\log 10 = 2.30$. Put in what follows `to break it`: which check complains?

# %%
figure, five = Figure(figsize=(10, 7), layout="constrained"), [*COLOURS, "#d99a2b"]
(valley, layers), (steps, noise) = figure.subplots(2, 2)
y, x = np.mgrid[-1.3:1.3:200j, -10:2:200j]
valley.contour(x, y, H[0, 0] * x * x + 2 * H[0, 1] * x * y + H[1, 1] * y * y, 9, colors="0.9")
for (rule, path), colour in zip(paths.items(), five):
    valley.plot(*path.T, ".-", color=colour, lw=1, ms=4, label=rule)
for (name, norms), colour in zip(first.items(), COLOURS):
    layers.semilogy(range(1, 12), norms, "o-", color=colour, label=name)
for cure, c in zip(("rate/10", "none", "decay", "clip", "batch x4"), five):
    noise.plot(np.convolve(runs["D batch of 10", cure][0], [0.05] * 20, "valid"), c=c, label=cure)
    steps.semilogy(runs["C rate x 10", cure][1], c=c, label=cure)
valley.set(xlabel="x1 (along)", ylabel="x2 (across)", title="100 steps down the valley")
layers.set(xlabel="layer", ylabel="gradient norm", title="Before training", ylim=(1e-7, 5e3))
steps.set(xlabel="step", ylabel="gradient norm", title="C: a rate ten times too large (some break)")
noise.set(xlabel="step", ylabel="loss, mean of the next 20 steps", title="D: batches of 10")
for axes in figure.axes:
    axes.legend(fontsize=8)
figure.savefig(FIGURES / "06_optimisers.png", dpi=100)
print("figure:", FIGURES / "06_optimisers.png")

# %% [markdown]
# ## Training does not converge
#
# | symptom | how to see it | try, in this order | here |
# | --- | --- | --- | --- |
# | none yet; or smooth, but slow | losses at rates a power of 10 apart | rate, rule | rates |
# | loss stays at log(classes) | gradient per layer: tiny | start, batch norm, Adam | A |
# | loss huge at step 1, then nan | gradient per layer: hundreds | start, batch norm, clip | B |
# | good start, then nan or stuck | gradient per step: grows | rate / 10, batch norm, Adam | C |
# | falls, then jumps and stalls | loss differs between batches | batch, rate, clip, decay | D |
#
# ## Your turn
#
# 1. Turn the valley: `T = np.array([[1, 1], [1, -1]]) / 2 ** 0.5; H, START = T @ H @ T, T @ START`.
#    Which rules end as near? Then clip at 0.1: what becomes of C, and why? (Checks will complain.)
# 2. Write AdamW and clipping: `python lessons/exercises/06_optimisers.py` grades you.
# 3. Explain: with `- g` in `momentum`, its path leaves the valley. In which direction, and why?

# %%
A, B, C, D = [{cure: end[sick, cure] for cure in CURES} for sick in SICK]
best, worst = [[choose(row) for row in table.values()] for choose in (min, max)]
checks = [
    (max(apart) < 1e-9, "our five rules walk with tinygen's, step by step"),
    (abs(walk("adam", 0.1, 1)[1] - START - [0.1, -0.1]).max() < 1e-6
     and end["right"] + 0.2 < end["wrong"], "Adam's first step is lr; uncorrected, it ruins a net"),
    (max(best) - min(best) < min(worst) - max(best), "wrong rates cost more than wrong rules"),
    (first["0.41 He"][4] < 0.03 * first["0.41 He"][9], "in A, the gradient vanishes going back"),
    (max(A["start"], A["norm"]) < 2 < min(A["none"], A["clip"], A["rate/10"]),
     "A: a gradient that vanishes needs a better start or batch norm, not shorter steps"),
    (not B["rate/10"] < 2.2 and max(B["start"], B["norm"]) < 2 and np.isfinite(B["clip"]),
     "B: what explodes at once needs a better start, batch norm or clipping, not a lower rate"),
    (not C["none"] < 2.2 and max(C["rate/10"], C["norm"]) < 2 and C["norm"] < C["clip"],
     "C: too large a rate needs a lower one, or batch norm; clipping at 1 is not enough"),
    (max(D["batch x4"], D["decay"]) < D["none"], "D: larger batches and decay calm the noise"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 06: {len(checks)} checks passed")
