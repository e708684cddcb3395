# %% [markdown]
# # Lesson 09: A VAE on digits
#
# **Question.** What does a VAE learn from 60,000 digits, and how are they laid out inside it?
#
# **Know first.** Lessons 05 (convolution) and 08 (the ELBO, its two terms, reparameterisation).
#
# **Read beside.** `tinygen/vae.py`: `negative_elbo`, `dense_vae` and `conv_vae`.
#
# **Time.** A minute and a quarter, nearly all of it training; the fast form takes 6 seconds.
#
# **Ends with.** `lesson 09: 7 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinygen as tg
from tinygen import metrics, optim, plots
from tinygen.datasets import DataLoader, load
from tinygen.vae import conv_vae, dense_vae, negative_elbo

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
IMAGES, TESTED, EPOCHS = (4_000, 1_000, 5) if FAST else (60_000, 10_000, 10)
SHAPE = (1, 28, 28)
# Minus ELBO on the test set of PyTorch's own example "vae", epochs 1 to 10.
PUBLISHED = [127.30, 115.79, 112.22, 109.64, 108.54, 107.70, 107.07, 106.66, 106.04, 105.56]
tg.manual_seed(0)
mnist = load("mnist")
train_images, test_images, labels = mnist.train[:IMAGES], mnist.test[:TESTED], mnist.test_labels

# %% [markdown]
# ## What a good number is
#
# A VAE is judged on images that it never saw by minus the ELBO, in *nats per image*: summed over
# the 784 pixels, averaged over the images. A pixel $x$ that the decoder gives the probability $y$
# (lesson 07's $p$) costs $-x \log y - (1 - x) \log(1 - y)$, the cross-entropy. Answering 1/2
# everywhere costs $784 \log 2 = 543.4$ nats, the mean image less. And a perfect copy, $y = x$?

# %%
def price(y, x):
    """The cross-entropy of images x (N, 1, 28, 28) under probabilities y, in nats per image."""
    y = np.clip(y, 1e-7, 1 - 1e-7)
    return float(-(x * np.log(y) + (1 - x) * np.log(1 - y)).sum() / len(x))

mean_price, copy_price = price(train_images.mean(0), test_images), price(test_images, test_images)
print(f"the mean image costs {mean_price:.1f} nats, a perfect copy {copy_price:.1f}")

# %% [markdown]
# Not 0: a grey pixel costs even when it is hit, $\log 2$ for $x = y = 1/2$. A VAE should end
# between the mean image (206 in the full form) and a perfect copy.
#
# ## The naive version: a whole VAE in NumPy
#
# Here it is without a tape; `p` holds four weights and four biases. Going back, the logits get
# $y - x$ (in lesson 04: softmax minus one-hot), and the code, $\mu$ and $\log \sigma^2$, hears from
# both terms: through $z = \mu + \sigma \epsilon$, and from the KL (Kingma, Welling 2014, eq. 10).

# %%
def by_hand(x, noise, p):
    """Minus ELBO of x (N, 784) in nats per image, and its gradient by each array in p."""
    (w1, b1, w2, b2, w3, b3, w4, b4), n = p, len(x)
    h = np.maximum(x @ w1.T + b1, 0)                                  # (N, 400)
    mu, log_var = np.split(h @ w2.T + b2, 2, axis=1)                  # (N, 20) each
    sigma = np.exp(log_var / 2)
    z = mu + sigma * noise
    k = np.maximum(z @ w3.T + b3, 0)                                  # (N, 400)
    y = 1 / (1 + np.exp(-(k @ w4.T + b4)))                            # (N, 784)
    recon = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum() / n
    kl = 0.5 * (mu ** 2 + sigma ** 2 - log_var - 1).sum() / n

    g_logits = (y - x) / n                                            # and now back
    g_k = (g_logits @ w4) * (k > 0)
    g_z = g_k @ w3
    g_code = np.hstack([g_z + mu / n, (g_z * noise * sigma + (sigma ** 2 - 1) / n) / 2])
    g_h = (g_code @ w2) * (h > 0)
    return recon + kl, [g_h.T @ x, g_h.sum(0), g_code.T @ h, g_code.sum(0),
                        g_k.T @ z, g_k.sum(0), g_logits.T @ k, g_logits.sum(0)]

double, rng = dense_vae(SHAPE).double(), np.random.default_rng(0)
x, noise = test_images[:16].astype(np.float64), rng.standard_normal((16, 20))
loss, mine = by_hand(x.reshape(16, 784), noise, [p.numpy() for p in double.state_dict().values()])
theirs = negative_elbo(double, tg.tensor(x), tg.tensor(noise))[0]
gaps = [abs(loss - theirs.item())] + [
    abs(a - b.numpy()).max() for a, b in zip(mine, tg.grad(theirs, list(double.parameters())))]
print(f"by hand {loss:.6f}, tinygen {theirs.item():.6f}; gradients within {max(gaps):.0e}")

# %% [markdown]
# ## The published curve, and convolution
#
# PyTorch's own example of a VAE is this model: 784-400-20 and back, Adam, batches of 128. After ten
# epochs it ends at 105.56 nats. (Fewer images, as in the fast form, show a trend, no replication.)
# Beside it goes `conv_vae`: convolutions know that pixels have neighbours (lesson 05), and it has
# 258,025 numbers against 652,824. Which is ahead after one epoch?

# %%
def measure(model, images):
    """Minus ELBO, its reconstruction and its KL, in nats per image."""
    with tg.no_grad():
        batches = [negative_elbo(model, x, tg.randn(len(x), model.latent_dim))
                   for x in DataLoader(images, 500)]
    return np.mean([[part.item() for part in parts] for parts in batches], axis=0)

def train(model, epochs, share=1.0):
    """Train, and return what `measure` gives after each epoch. `share` is for later."""
    adam, measured = optim.Adam(model.parameters(), lr=1e-3), []
    for epoch in range(1, epochs + 1):
        for x in tqdm(DataLoader(train_images, 128, shuffle=True), f"epoch {epoch}/{epochs}"):
            _, recon, kl = negative_elbo(model, x, tg.randn(len(x), model.latent_dim))
            loss = share * recon + kl             # to break it: loss = recon / 784 + kl
            adam.zero_grad()
            loss.backward()
            adam.step()
        measured.append(measure(model, test_images))
    return np.array(measured)

dense, conv = dense_vae(SHAPE), conv_vae(SHAPE)
curve, conv_loss = train(dense, EPOCHS), train(conv, 1)[0, 0]
print("epoch  published   ours = recon +  KL")
for epoch, (ours, recon, kl) in enumerate(curve, 1):
    print(f"{epoch:5} {PUBLISHED[epoch - 1]:10.2f} {ours:6.2f}  {recon:6.2f}  {kl:5.2f}")
print(f"convolution, epoch 1: {conv_loss:.2f}")

# %% [markdown]
# The full form has all ten published epochs, nearly all within a nat. The reconstruction falls and
# the KL *rises*: a code that says more costs more, and pays. There, convolution learns more from an
# image, several nats after one epoch. But one of its steps takes several times as long.
#
# ## The map, and walks on it
#
# With two *latent* units (numbers in a code), not 20, we can *look* at the codes. Nobody tells the
# VAE which digit is which. How often is the nearest other code of the same digit? (Chance: 10 %.)
#
# And if near means alike, there should be digits all along the way from one code to another. Mixing
# pixels gives two ghosts instead. Walk with the VAE of 20 units, and let `conv` judge: minus ELBO,
# less the price of a perfect copy, says how strange it finds an image. Which is stranger, halfway?

# %%
plane = dense_vae(SHAPE, latent_dim=2)
flat = train(plane, 6)[-1, 0]
with tg.no_grad():
    codes, z = [model.encode(tg.tensor(test_images[:1000]))[0].numpy() for model in (plane, dense)]
apart = metrics.squared_distances(codes, codes) + np.diag(np.full(1000, np.inf))
same = (labels[apart.argmin(axis=1)] == labels[:1000]).mean()
print(f"two units: {flat:.1f} nats; the nearest code is of the same digit: {same:.0%}")

seen = {"decoded, at an end": dense.sample(0, z=tg.tensor(z)).numpy(),
        "decoded, halfway": dense.sample(0, z=tg.tensor((z + np.roll(z, 1, 0)) / 2)).numpy(),
        "pixels, halfway": (test_images[:1000] + np.roll(test_images[:1000], 1, 0)) / 2}
strange = {name: measure(conv, x)[0] - price(x, x) for name, x in seen.items()}
print("nats above a perfect copy:", {name: round(nats) for name, nats in strange.items()})

# %% [markdown]
# Two numbers say less than twenty, and still sort the digits, roughly: codes are noisy, so what
# neighbours decode to must serve both. Halfway, mixed pixels are stranger than ends; codes are not.
#
# ## Temperature
#
# New digits come from $z \sim N(0, 1)$. A *temperature* $T$ scales $z$. *Precision* is the share
# of samples near real digits (in the features of lesson 07), *recall* that of real digits near
# samples, *entropy* is 1 if all classes come equally often. What falls, what rises with $T$?

# %%
judge = metrics.load_classifier()                 # of lesson 05
rows = {}
for T in (0.0, 0.5, 1.0, 2.0):
    found = metrics.image_figures(judge, dense.sample(1000, T).numpy(), test_images[:1000])
    rows[T] = [found[name] for name in ("precision", "recall", "entropy of the classes")]
    print("T = {}: precision {:.2f}, recall {:.2f}, entropy {:.2f}".format(T, *rows[T]))

# %% [markdown]
# At 0 there is one picture, so precision is 0 or 1. Warmer means more variety; at 2, where hardly a
# code of a real digit lies, also more nonsense. The model was trained for $T = 1$.
#
# ## Break it
#
# A frequent mistake in VAE code: *averaging* the cross-entropy over pixels, as many losses
# do by default, but not the KL. Then it counts 1/784 of what it should. What will the VAE save on?

# %%
broken = dense_vae(SHAPE)
lost, _, kl = train(broken, 1, share=1 / 784)[-1]
with tg.no_grad():
    active = [int((model.encode(tg.tensor(test_images))[0].numpy().var(axis=0) > 0.01).sum())
              for model in (dense, broken)]
print(f"{lost / 784:.3f} nats per pixel: {lost:.1f} per image, KL {kl:.4f}; "
      f"units in use: {active[1]}, before {active[0]}")

# %% [markdown]
# On the code! No unit is *active* (its $\mu$ moves with a variance above 0.01; Burda et al. 2016),
# and all samples are nearly the mean image. This is *posterior collapse*. A loss per pixel looks
# small; a KL of 0 and the price of the mean image tell. So sum over pixels, average over images.

# %%
figure = Figure(figsize=(10, 5.6), layout="constrained")
(learn, sea, grid), (walks, warm, collapse) = figure.subplots(2, 3, height_ratios=[2, 1])
learn.plot(range(1, 11), PUBLISHED, "o", mfc="none", color="0.5", label="published")
learn.plot(range(1, EPOCHS + 1), curve[:, 0], ".-", color=plots.COLOURS[0], label="dense")
learn.plot(1, conv_loss, "s", color=plots.COLOURS[1], label="convolution")
learn.set(xlabel="epoch", ylabel="minus ELBO (nats per image)", title="On test images")
learn.legend()
for digit in range(10):
    sea.scatter(*codes[labels[:1000] == digit].T, s=5, color=f"C{digit}", label=digit)
sea.set(xlabel="z[0]", ylabel="z[1]", title="1,000 test digits in the plane")
sea.legend(fontsize=7, loc="upper right")
ways = [plots.straight(z[i], z[i + 1], t) for i in (0, 3, 9) for t in np.linspace(0, 1, 8)]
mixed = [plots.straight(*mnist.test[:2], t) for t in np.linspace(0, 1, 8)]
warmer = np.concatenate([T * tg.randn(8, dense.latent_dim).numpy() for T in rows])
for axes, columns, title, images in [
        (grid, 12, "The plane, decoded", plane.sample(0, z=tg.tensor(plots.latent_grid(12)))),
        (walks, 8, "A way in pixels, three in codes",
         np.concatenate([mixed, dense.sample(0, z=tg.tensor(ways)).numpy()])),
        (warm, 8, "T = 0, 0.5, 1, 2", dense.sample(0, z=tg.tensor(warmer))),
        (collapse, 8, "Samples of the broken VAE", broken.sample(32))]:
    axes.imshow(plots.image_grid(np.asarray(images), columns), "gray")
    axes.set(title=title, xticks=[], yticks=[])
figure.savefig(FIGURES / "09_a_vae_on_digits.png", dpi=100)
print("figure:", FIGURES / "09_a_vae_on_digits.png")

# %% [markdown]
# ## Your turn
#
# 1. In the full form: let `dense` be `dense_vae(SHAPE, 50)`. How many units are active?
# 2. Write the loss of a VAE from logits, and the walk along an arc (*spherical* interpolation):
#    `python lessons/exercises/09_a_vae_on_digits.py` grades you.
# 3. Explain a failure: train `broken` for `EPOCHS` epochs with `share=100` (a check complains). It
#    copies test images well, but its samples are no digits. Which term is too weak, and why?

# %%
far = abs(curve[:, 0] - PUBLISHED[:EPOCHS])
checks = [
    (max(gaps) < 1e-10, "the VAE by hand and tinygen's have the same loss and gradients"),
    (copy_price < curve[-1, 0] < mean_price - 20 and (FAST or far[0] < 3 and far[1:].max() < 1),
     "a VAE costs less than the mean image; the full form follows the published curve"),
    (conv_loss < (300 if FAST else curve[0, 0]), "image for image, convolution learns faster"),
    (same > 0.25, "digits lie together in the plane, far beyond chance"),
    (strange["decoded, halfway"] + 10 < strange["pixels, halfway"], "a walk meets no ghosts"),
    (rows[0.0][2] + 0.02 < rows[1.0][2] and rows[2.0][0] < rows[1.0][0],
     "warmth brings variety, then nonsense"),
    (active[0] > 14 and active[1] == 0 and lost > mean_price - 5, "a mean over pixels kills codes"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 09: {len(checks)} checks passed")
