# %% [markdown]
# # Lesson 07: An autoencoder, and why it cannot dream
#
# **Question.** Can a network that remembers images also make new ones?
#
# **Know first.** Lessons 04 (layers, training) to 06; from 05 the digit classifier.
#
# **Read beside.** `frechet_distance` in `tinygen/metrics.py`, and `dense_vae` in `tinygen/vae.py`.
#
# **Time.** About 45 seconds; the fast form takes 7.
#
# **Ends with.** `lesson 07: 6 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from tqdm import tqdm

import tinygen as tg
from tinygen import functional as F, metrics, nn, optim, plots
from tinygen.datasets import DataLoader, load

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
IMAGES, EPOCHS, JUDGED = (4_000, 5, 1_000) if FAST else (60_000, 4, 5_000)
SIZES = 2, 20, 50                                 # how many numbers a code has
tg.manual_seed(0)
mnist = load("mnist")
x_train, x_test = mnist.train[:IMAGES].reshape(-1, 784), mnist.test.reshape(-1, 784)

# %% [markdown]
# ## Through a narrow place, and back
#
# An *encoder* turns an image $x$ of 784 numbers into a few, its *code* $z$. A *decoder* turns the
# code into an image again. Trained together to give back what came in, they are an *autoencoder*.
# How wrong is a rebuilt image? The decoder gives a logit for each pixel, which the sigmoid
# $1 / (1 + e^{-\text{logit}})$ makes a grey value $p$ between 0 and 1. The cross-entropy of lesson
# 04, for two classes, ink or no ink, is then
#
# $$L = \sum_{\text{pixels}} -x \log p - (1 - x) \log(1 - p).$$
#
# By hand: a pixel of ink, $x = 1$, guessed as 0.9 costs $-\log 0.9 = 0.105$ *nats*, the unit of a
# natural logarithm. A grey one, $x = 0.5$, costs $\log 2 = 0.693$ at best. So even a perfect copy
# costs something. How much per image? And the average image, as a guess? We should land between.

# %%
def cost(x, p):
    p = np.clip(p, 1e-7, 1 - 1e-7)                # log 0 is infinite
    return -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1).mean()


exact = x_test.astype(np.float64)
copy, average = cost(exact, exact), cost(exact, x_train.mean(0, dtype=np.float64))
print(f"a test image: {copy:.1f} nats for a perfect copy, {average:.1f} for the average image")

# %% [markdown]
# ## The naive version: ten steps in NumPy
#
# The smallest one: a matrix down to 20 numbers, a matrix up again. The gradient of $L$ by a logit
# is $p - x$: as in lesson 04, what was said minus what is right. The chain rule takes it back
# through one matrix, then the other. tinygen needs only the formula of $L$. The same weights?

# %%
images, rate = x_train[:500].astype(np.float64), 0.01
layers = nn.Sequential(nn.Linear(784, 20, bias=False), nn.Linear(20, 784, bias=False)).double()
down, up = [weight.detach().numpy().copy() for weight in layers.parameters()]
sgd = optim.SGD(layers.parameters(), lr=rate)
for x in np.split(images, 10):
    z = x @ down.T                                # (50, 20): the codes of 50 images
    p = 1 / (1 + np.exp(-z @ up.T))               # (50, 784): what they are decoded to
    g = (p - x) / 50                              # the gradient by the logits
    g_z = g @ up                                  # and by the codes
    down, up, by_hand = down - rate * g_z.T @ x, up - rate * g.T @ z, cost(x, p)
for x in DataLoader(images, 50):
    loss = F.binary_cross_entropy_with_logits(layers(x), x, reduction="sum") / 50
    sgd.zero_grad()
    loss.backward()
    sgd.step()
gap = max([abs(w.detach().numpy() - v).max() for w, v in zip(layers.parameters(), (down, up))])
print(f"nats before step 10: {by_hand:.2f} and {loss.item():.2f}; weights differ by {gap:.0e}")

# %% [markdown]
# ## Codes of 2, 20 and 50 numbers
#
# Now with a hidden layer each. How much better will a code of 50 numbers be than one of 2?

# %%
class Autoencoder(nn.Module):
    def __init__(self, size):
        self.encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, size))
        self.decoder = nn.Sequential(nn.Linear(size, 256), nn.ReLU(), nn.Linear(256, 784))

def train(model, cut=False):                      # what `cut` is for will come below
    adam = optim.Adam(model.parameters(), lr=2e-3)
    for _ in tqdm(range(EPOCHS), desc="epochs"):
        for x in DataLoader(x_train, 64, shuffle=True):
            z = model.encoder(x)
            if cut:                               # to break it: if True:
                z = z.detach()
            loss = F.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="sum") / len(x)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return model

def decode(model, z):
    return tg.sigmoid(model.decoder(tg.tensor(z, dtype="float32"))).detach().numpy()

def rebuild(model, x):
    return decode(model, model.encoder(tg.tensor(x)))

models, costs = {}, {}
for size in SIZES:
    models[size] = train(Autoencoder(size))
    costs[size] = cost(exact, rebuild(models[size], x_test))
    print(f"a code of {size:2} numbers: a test image costs {costs[size]:.1f} nats")

# %% [markdown]
# ## Can it dream?
#
# Draw a *new* code and decode it: a new image, a dream. But from where do we draw? Nobody told us.
# Let us take normal numbers with mean 0 and variance 1.
#
# The judge is the digit classifier of lesson 05, trained in full. The numbers in its last layer
# but one are its *features*. The *Fréchet distance* compares those of our images with those of real
# ones, by their means and spreads: 0 where they agree (Heusel et al. 2017, section 4). Real images
# against other real ones give its *floor*. More numbers remember better. Do they dream better, too?

# %%
classifier = metrics.load_classifier()
reference = metrics.judge(classifier, mnist.train[-JUDGED:])[0]
noise = {size: tg.randn(JUDGED, size) for size in SIZES}

def distance(images):
    features, _ = metrics.judge(classifier, images.reshape(-1, 1, 28, 28))
    return metrics.frechet_distance(reference, features)

remembered, dreamt = {}, {}
print(f"Frechet distance of real images, the floor: {distance(x_test[:JUDGED]):.0f}")
for size, model in models.items():
    remembered[size] = distance(rebuild(model, x_test[:JUDGED]))
    dreamt[size] = distance(decode(model, noise[size]))
    print(f"{size:2} numbers: rebuilt images {remembered[size]:.0f}, dreams {dreamt[size]:.0f}")

# %% [markdown]
# In the full form, images rebuilt from 50 numbers come close to the floor. Dreams are bad with any.
# The decoder is the same; only the codes differ.
#
# ## Why: nobody asked where the codes are
#
# Move the codes. Let the encoder's last layer, $W h + b$, give $A z + c$ in place of $z$, by
# $W \to A W$ and $b \to A b + c$. Let the decoder's first, $V z + d$, undo it, by
# $V \to V A^{-1}$ and $d \to d - V A^{-1} c$. We choose $A$ and $c$ so that the codes get mean 0
# and variance 1 in every direction: then our draws fall where codes are, at least on average. What
# becomes of the loss, and what of the dreams?

# %%
NAMES = "encoder.2.weight", "encoder.2.bias", "decoder.0.weight", "decoder.0.bias"

def move(model, A, c):
    state, other = model.state_dict(), Autoencoder(len(c))
    W, b, V, d = [state[name].numpy() for name in NAMES]
    V = V @ np.linalg.inv(A)
    other.load_state_dict(state | dict(zip(NAMES, (A @ W, A @ b + c, V, d - V @ c))))
    return other

homes, moved_costs, homely = {}, {}, {}
for size, model in models.items():
    z = model.encoder(tg.tensor(x_train)).detach().numpy()
    A = np.linalg.inv(np.linalg.cholesky(np.cov(z.T)))
    homes[size] = move(model, A, -A @ z.mean(0))
    moved_costs[size] = cost(exact, rebuild(homes[size], x_test))
    homely[size] = distance(decode(homes[size], noise[size]))
    print(f"{size:2} numbers: loss {costs[size]:.3f}, moved {moved_costs[size]:.3f}; "
          f"dreams {dreamt[size]:.0f}, moved {homely[size]:.0f}")

# %% [markdown]
# To the loss the two are the same, up to rounding. But their dreams differ. So the loss *cannot*
# know how well an autoencoder dreams: it never looks at a code that no image has.
#
# Moving helps, but it does not cure (2 numbers are too few even to rebuild). The cloud of codes is
# no normal one; it has holes, where the decoder was never asked for anything. In the full form, 50
# numbers, moved, dream worse than 20: perhaps more room for holes. What is missing is a second
# demand, that codes fill the normal distribution: lesson 08's *variational autoencoder*, or *VAE*.
#
# ## Break it
#
# `detach()` cuts the history (lesson 01). One too many, between encoder and decoder, and no
# gradient reaches the encoder. What will the loss do? Stay where it was?

# %%
half = train(Autoencoder(20), cut=True)
broken = cost(exact, rebuild(half, x_test))
print(f"with one detach too many: {broken:.1f} nats; gradient: {half.encoder[0].weight.grad}")

# %% [markdown]
# It falls far below the average image, so all *looks* well: the decoder has learned to read what a
# random encoder happens to write. A falling loss does not prove that all of the network learns.
# (Put what follows `to break it` in its line: which check complains?)
#
# In the picture a circle holds most draws, but not most codes. Both rows of dreams share the draws.

# %%
figure = Figure(figsize=(10, 4), layout="constrained")
places, pictures = figure.subplots(1, 2, width_ratios=[5, 7])
z = models[2].encoder(tg.tensor(x_test[:3000])).detach().numpy()
for digit in range(10):
    places.scatter(*z[mnist.test_labels[:3000] == digit].T, s=3, color=f"C{digit}", label=digit)
places.add_patch(Circle((0, 0), 2, fill=False, lw=2, zorder=3))
places.legend(fontsize=7, markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
places.set(title="Codes of 2 numbers", xlabel="86 % of our draws fall into the circle",
           aspect="equal")
rows = [x_test[:8], rebuild(models[20], x_test[:8]),
        decode(models[20], noise[20][:8]), decode(homes[20], noise[20][:8])]
pictures.imshow(plots.image_grid(np.concatenate(rows).reshape(-1, 1, 28, 28), 8), "gray")
pictures.set(title="20 numbers", xticks=[], yticks=[14, 43, 72, 101],
             yticklabels=["test", "rebuilt", "dreams", "moved"])
figure.savefig(FIGURES / "07_an_autoencoder.png", dpi=80)
print("figure:", FIGURES / "07_an_autoencoder.png")

# %% [markdown]
# ## Your turn
#
# 1. Change a number: let `noise` have the standard deviation 0.5 or 2. What becomes of the dreams?
#    The distance counts variety, too: are better figures better digits?
# 2. Write the gradient of an autoencoder with one matrix for both ways, and the move of codes:
#    `python lessons/exercises/07_an_autoencoder.py` grades you.
# 3. Explain a failure: if codes and hidden layers had 784 numbers, each pixel could be copied by
#    itself. Why need such an autoencoder know nothing of digits, however small its loss?

# %%
checks = [
    (gap < 1e-10 and abs(by_hand - loss.item()) < 1e-9, "NumPy and tinygen train the same network"),
    (models[20].encoder[0].weight.grad is not None and half.encoder[0].weight.grad is None
     and costs[20] + 10 < broken < average, "without a detach both halves learn, with it only one"),
    (copy < min(costs.values()) and max(costs[20], costs[50]) + 20 < costs[2] < average - 20,
     "more numbers remember better; none is better than a perfect copy"),
    (max([abs(costs[k] - moved_costs[k]) for k in SIZES]) < 0.01, "moved codes keep the loss"),
    (all([homely[k] < 0.7 * dreamt[k] for k in (20, 50)]), "but they change the dreams"),
    (all([homely[k] > 1.2 * remembered[k] for k in (20, 50)]),
     "and still they are worse than rebuilt images: the cloud of codes is no normal one"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 07: {len(checks)} checks passed")
