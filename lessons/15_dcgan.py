# %% [markdown]
# # Lesson 15: DCGAN: digits
#
# **Question.** What does it take for a GAN to draw digits, and how do we see that it does?
#
# **Know first.** Lessons 05 (convolution, the digit classifier) and 14 (two networks, one game).
#
# **Read beside.** `tinygen/gan.py`: `dcgan`, `initialise` and `GANTraining.step`.
#
# **Time.** About a minute, nearly all of it training; the fast form takes 7 seconds.
#
# **Ends with.** `lesson 15: 9 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinygen as tg
from tinygen import gan, metrics, nn
from tinygen.datasets import load
from tinygen.nn import init
from tinygen.plots import COLOURS, image_grid

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
WIDTH, BATCH, RATE, JUDGED = (8, 32, 2e-3, 1000) if FAST else (16, 64, 1e-3, 2000)
MARKS = (10, 80, 160, 240) if FAST else (25, 50, 100, 200, 300, 600, 1200)      # where we look
EARLY, LAST = (240, 240) if FAST else (300, 1200)        # where we compare, and where we stop
mnist = load("mnist")
images = 2 * mnist.train - 1                      # from [0, 1] to [-1, 1], the range of tanh

# %% [markdown]
# ## From noise to a picture
#
# For pictures, Radford, Metz and Chintala (2016) found a recipe, the *DCGAN*. Its discriminator
# halves a picture's sides by convolutions of stride 2. Its generator doubles them by *transposed*
# ones: every pixel lays the kernel times its value, a *stamp*, on a canvas twice as large. Where
# stamps overlap they add up. Here is the generator, from 100 random numbers to 28 x 28 pixels.

# %%
def stamp(x, weight):
    """(N, C, H, H) and a weight (C, O, k, k) to (N, O, 2H, 2H): a stamp every second pixel."""
    size, k = x.shape[2], weight.shape[2]
    canvas = np.zeros((len(x), weight.shape[1], 2 * size + k - 2, 2 * size + k - 2))
    for i, j in np.ndindex(size, size):
        stamps = np.einsum("nc,cokl->nokl", x[:, :, i, j], weight)
        canvas[:, :, 2 * i:2 * i + k, 2 * j:2 * j + k] += stamps
    return canvas[:, :, 1:2 * size + 1, 1:2 * size + 1]          # padding=1 cuts the edge off

def normalise(x, scale):
    """Batch norm in training: over images and places, each channel gets mean 0 and variance 1."""
    centred = x - x.mean((0, 2, 3), keepdims=True)
    return scale[:, None, None] * centred / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5)

def draw(z, dense, scale1, middle, scale2, last):
    x = (z @ dense.T).reshape(len(z), -1, 7, 7)                  # (N, 100) to (N, C, 7, 7)
    x = np.maximum(normalise(x, scale1), 0)                      # ReLU
    x = np.maximum(normalise(stamp(x, middle), scale2), 0)       # (N, C / 2, 14, 14)
    return np.tanh(stamp(x, last))                               # (N, 1, 28, 28)

# %% [markdown]
# Why kernels of 4, where 3 and 5 are usual? Count the stamps that reach each pixel. Along a line
# one begins every 2 pixels, so one of 4 overlaps half of each neighbour: always 2. And one of 3?

# %%
cover = {k: stamp(np.ones((1, 1, 6, 6)), np.ones((1, 1, k, k)))[0, 0] for k in (4, 3)}
for k in cover:
    print(f"kernel {k}: stamps on pixels of two rows", *cover[k][4:6, 2:10].astype(int))

# %% [markdown]
# With 3 some pixels get four stamps and others one: a chessboard in every picture, before anything
# is learned (Odena et al. 2016). Where the stride divides the kernel, all but the edge are alike.
#
# ## In tinygen
#
# The arguments are ingredients, to be taken away one by one: batch norm, the kernel of 4, the
# *leaky* ReLU of the discriminator (0.2 of what is below zero passes), and the start, weights from
# $N(0, 0.02^2)$ but batch norm's scales from $N(1, 0.02^2)$.

# %%
def dcgan(width, norm=True, std=0.02, kernel=4, slope=0.2):
    """A GAN with `width` and 2 `width` channels. `std` None leaves PyTorch's start."""
    norm_layer = nn.BatchNorm2d if norm else nn.Identity
    how = {"kernel_size": kernel, "stride": 2, "padding": 1, "output_padding": 4 - kernel}
    generator = nn.Sequential(
        nn.Linear(100, 2 * width * 49, bias=not norm), nn.Unflatten(1, (2 * width, 7, 7)),
        norm_layer(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, **how, bias=not norm), norm_layer(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 1, **how), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1), nn.LeakyReLU(slope),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=not norm),
        norm_layer(2 * width), nn.LeakyReLU(slope), nn.Flatten(), nn.Linear(2 * width * 49, 1))
    for module in [*generator, *discriminator]:
        if std is not None and hasattr(module, "weight"):
            centre = float(isinstance(module, nn.BatchNorm2d))    # to break it: centre = 0.0
            init.normal_(module.weight, centre, std)
            if module.bias is not None:
                init.zeros_(module.bias)
    return gan.GAN(generator, discriminator, 100)

tg.manual_seed(0)
ours = dcgan(64).state_dict()
tg.manual_seed(0)
theirs = gan.dcgan().state_dict()
same = all([np.array_equal(ours[name].numpy(), theirs[name].numpy()) for name in ours | theirs])
model, z = dcgan(WIDTH).double(), tg.randn(20, 100, dtype="float64")
weights = [model.generator[i].weight.detach().numpy() for i in (0, 2, 4, 5, 7)]
gap = abs(draw(z.numpy(), *weights) - model.generator(z).detach().numpy()).max()
print(f"our layers are tinygen's: {same}; pictures in NumPy and in layers differ by {gap:.0e}")

# %% [markdown]
# ## How loud is a generator at birth?
#
# 0.02 is small. A layer that adds up $n$ numbers of size 1 gives $0.02 \sqrt n$, or after a ReLU,
# which halves the mean square, $0.02 \sqrt{n / 2}$ (lesson 04). The dense layer adds up 100: 0.2.
# A transposed convolution adds up 4 stamps of each channel, of 32 and then of 16 at width 16:
# $0.02 \sqrt{4 \cdot 32 / 2} = 0.16$ and $0.02 \sqrt{4 \cdot 16 / 2} = 0.113$. How far from
# mid-grey, 0, are pixels without batch norm, and with it? How much of a gradient comes back?

# %%
factors = 0.02 * np.sqrt([100, 4 * 32 / 2, 4 * 16 / 2])
expected = {False: factors.prod(), True: factors[-1]}     # batch norm sets the others to 1
loud, heard, z = {}, {}, tg.randn(300, 100)
for norm in (False, True):
    model = dcgan(16, norm)
    pictures = model.generator(z)
    g, = tg.grad(gan.generator_loss(model.discriminator(pictures)), model.generator[0].weight)
    loud[norm], heard[norm] = (pictures ** 2).mean().item() ** 0.5, g.norm().item()
    print(f"{'with' if norm else 'without'} batch norm: pixels are {loud[norm]:.4f} from grey, by "
          f"hand {expected[norm]:.4f}; gradient at the first layer {heard[norm]:.0e}")

# %% [markdown]
# Without it all pictures are grey, and hardly any gradient comes back through two quiet networks.
# This is the idea of the recipe. *A generator learns only by what comes to it through another
# network, so both must let a signal through.* Batch norm sets its size anew inside each.
#
# ## Who judges?
#
# Not the losses: they say who is winning. The digit classifier of lesson 05 looks at samples. The
# *entropy* of its answers is 1 for ten equal shares, 0 for one digit; its *confidence* is how
# probable it finds its answers. The *Fréchet distance* of lesson 07 compares its *features*, the 64
# numbers before the last layer, with those of real digits. It says something only beside its floor,
# real against real. Predict entropy and confidence of the first, formless samples.

# %%
classifier = metrics.load_classifier()
reference = metrics.judge(classifier, mnist.test[::5 if FAST else 1])[0]

def judge(pictures):
    features, probabilities = metrics.judge(classifier, pictures)
    found = metrics.class_histogram(probabilities)
    return metrics.frechet_distance(reference, features), found.entropy, found.confidence

def train(name, steps, **ingredients):
    """{step: (distance, entropy, confidence, V)}, and {step: samples of the same eight noises}."""
    tg.manual_seed(0)
    training, random = gan.GANTraining(dcgan(WIDTH, **ingredients), RATE), np.random.default_rng(0)
    noise, values, judged, samples = tg.randn(8, 100), [], {}, {}
    for step in tqdm(range(1, steps + 1), desc=name):
        training.model.train()
        rows = random.integers(0, len(images), BATCH)
        values.append(training.step(tg.tensor(images[rows]))["value"])
        if step in MARKS:
            training.model.eval()             # batch norm's running means: a sample stands alone
            judged[step] = *judge(metrics.draw(training, JUDGED)), np.mean(values[-20:])
            samples[step] = training.to_data(training.model.sample(8, z=noise)).numpy()
    return judged, samples

ROW = "{:22} {:9.0f} {:8.2f} {:11.2f} {:7.2f}"
runs, floor = {"the recipe": train("the recipe", LAST)}, judge(mnist.train[:JUDGED])
print("                         Frechet  entropy  confidence  V(D,G)")
for step, found in runs["the recipe"][0].items():
    print(ROW.format(f"step {step}", *found))
print(ROW.format("real training images", *floor, np.nan))

# %% [markdown]
# At first one digit has it all, and the classifier is *sure* of it: it must choose among ten, and
# has never seen what is none. So confidence alone proves nothing: it even falls when shapes appear.
# Distance and entropy move towards those of real images, while V wanders.
#
# ## Take one thing away
#
# Each run lacks one thing ("neither": the first two), and stops early. Which is missed most?

# %%
WITHOUT = {"no batch norm": {"norm": False}, "PyTorch's start": {"std": None},
           "neither": {"norm": False, "std": None},
           "kernels of 3": {"kernel": 3}, "ReLU, not leaky": {"slope": 0.0}}
for name in list(WITHOUT)[:1 if FAST else None]:
    runs[name] = train(name, EARLY, **WITHOUT[name])
early = {name: judged[EARLY] for name, (judged, _) in runs.items()}
for name in sorted(early, key=early.get):
    print(f"step {EARLY}:", ROW.format(name, *early[name]))

# %% [markdown]
# In the full form batch norm, by far. Without it PyTorch's larger start saves the day, and with it
# that start is even ahead this early: the size of the signal counts. Kernels of 3, or a plain ReLU
# instead of the leaky one, change little here (one seed!); deeper networks may suffer from them. A
# recipe is a start, not a law.
#
# ## Break it
#
# A mistake easily made: give *all* weights mean 0, batch norm's scales as well, and it multiplies
# by 0.02 again. Put what follows `to break it` in its line: which check complains? The middle of
# the figure shows what a generator draws when it hears too little: there, without batch norm.

# %%
figure = Figure(figsize=(11, 4), layout="constrained")
*grids, curves = figure.subplots(1, 3, width_ratios=[8, 8, 7])
for axes, (name, (_, samples)) in zip(grids, runs.items()):
    axes.imshow(image_grid(np.concatenate(list(samples.values())), 8), "gray")
    axes.set_yticks([29 * row + 14 for row in range(len(samples))], labels=samples)
    axes.set(title=name, ylabel="step", xticks=[])
for (name, (judged, _)), colour in zip(runs.items(), [*COLOURS, "#d99a2b", "0.4"]):
    curves.loglog([*judged], [found[0] for found in judged.values()], ".-", c=colour, label=name)
curves.axhline(floor[0], color="0.5", ls="--", label="real training images")
curves.set(title="How far from real digits", xlabel="step", ylabel="Fréchet distance")
curves.legend(fontsize=7)
figure.savefig(FIGURES / "15_dcgan.png", dpi=75)
print("figure:", FIGURES / "15_dcgan.png")

# %% [markdown]
# ## Your turn
#
# 1. Change a number: `RATE` to the paper's 2e-4, then to 5e-3. What do V and the distance do?
# 2. Write what counts stamps, and what judges: `python lessons/exercises/15_dcgan.py` grades you.
# 3. Explain: leave `model.eval()` out of `train`. What else would a sample depend on (lesson 04)?

# %%
first, last = [runs["the recipe"][0][step] for step in (MARKS[0], LAST)]
checks = [
    (all([2 / 3 < loud[n] / expected[n] < 3 / 2 for n in loud]), "pixels start as far from grey"),
    (heard[True] > 100 * heard[False], "batch norm lets a gradient through both networks"),
    (same, "our layers, at width 64, are those of tinygen's dcgan()"),
    (gap < 1e-10, "stamps, batch norm, ReLU and tanh in NumPy draw what the layers draw"),
    (np.ptp(cover[4][1:-1, 1:-1]) == 0 and np.ptp(cover[3][1:-1, 1:-1]) == 3, "4 is fair, 3 not"),
    (first[1] < 0.3 and first[2] > 0.8, "the classifier is sure of what is no digit at all"),
    (floor[0] < last[0] < first[0] / 2, "training comes closer to real digits"),
    (last[1] > (0.5 if FAST else 0.9), "all ten digits are drawn"),
    (early["no batch norm"][0] > 1.2 * early["the recipe"][0], "batch norm is missed"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 15: {len(checks)} checks passed")
