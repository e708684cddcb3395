# %% [markdown]
# # Lesson 05: Convolution is a matrix product
#
# **Question.** How does a network look at images, and how can that be fast in NumPy?
#
# **Know first.** Lessons 03 (matrix products) and 04 (layers, training, batch norm).
#
# **Read beside.** `tinygen/ops/conv.py`, `tests/naive.py` and `tests/benchmarks/tricks.py`.
#
# **Time.** A minute and a half, nearly all of it training; the fast form takes 5 seconds.
#
# **Ends with.** `lesson 05: 6 checks passed`

# %%
import os
import pathlib
from timeit import repeat

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tqdm import tqdm

import tinygen as tg
from tinygen import functional as F, nn, optim
from tinygen.datasets import DataLoader, load
from tinygen.plots import COLOURS

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
IMAGES, EPOCHS, AT_LEAST = (6_000, 1, 0.80) if FAST else (60_000, 8, 0.99)
rng = np.random.default_rng(0)
tg.manual_seed(0)

# %% [markdown]
# ## Seven loops
#
# Lay a small square of weights, a *kernel*, on an image, multiply each weight by the pixel under
# it, and add up: one pixel of the result. Move on, by one pixel or more (the *stride* $s$), and ask
# the same again. Images have *channels* (red, green and blue, or what 16 kernels saw); a kernel has
# weights for all of them, and makes one new channel. For image $n$ and its new channel $o$,
#
# $$y_{noij} = \sum_{cuv} w_{ocuv} \, x_{n,c,si+u,sj+v}, \quad m = \lfloor (H+2p-k)/s \rfloor + 1.$$
#
# It has $m$ pixels down and across: a $k$ by $k$ kernel must lie within $H + 2p$, the image's side
# with the $p$ rings of zeros that *padding* puts around it. What will the kernel [[-1, 1], [-1, 1]]
# make of an image that is black (0) on its left and white (1) on its right?

# %%
def conv_by_loops(x, weight, stride):
    """x (N, C, H, H), weight (O, C, k, k) to y (N, O, m, m): the formula, a number at a time."""
    m = (x.shape[2] - weight.shape[2]) // stride + 1
    y = np.zeros((len(x), len(weight), m, m))
    for n, o, i, j in np.ndindex(y.shape):                        # four loops,
        for c, u, v in np.ndindex(weight.shape[1:]):              # and three within them
            y[n, o, i, j] += weight[o, c, u, v] * x[n, c, stride * i + u, stride * j + v]
    return y


print(conv_by_loops(np.array([[[[0.0, 0, 1, 1]] * 4]]), np.array([[[[-1.0, 1]] * 2]]), 1)[0, 0])

# %% [markdown]
# By hand, on the edge: $-0 + 1 - 0 + 1 = 2$. Four weights find such edges anywhere in an image.
#
# ## Patches, and one product
#
# What a kernel sees at one position is a *patch*, of $k k C$ numbers if there are $C$ channels. Let
# the patches be the rows of a matrix $P$, and the kernels those of $K$. Each pixel of the result is
# a row times a row, and all of it one product, $Y = P K^T$ (*im2col*; Chellapilla, Puri and Simard
# 2006). It copies most pixels several times and still wins, as products use a processor fully.
# Patches and kernels must list their numbers in one order: ours is row, column, channel.

# %%
def patches(x, k, stride):
    """x (N, H, H, C), channels last, to a matrix (N * m * m, k * k * C): a patch a row."""
    n, m = len(x), (x.shape[1] - k) // stride + 1
    out = np.empty((n, m, m, k * k * x.shape[3]), x.dtype)
    for i, j in np.ndindex(m, m):
        seen = x[:, stride * i:stride * i + k, stride * j:stride * j + k]     # (N, k, k, C)
        out[:, i, j] = seen.reshape(n, -1)
    return out.reshape(n * m * m, -1)


x, weight = rng.standard_normal((2, 3, 9, 9)), rng.standard_normal((5, 3, 3, 3))
in_order = weight.transpose(0, 2, 3, 1)           # to break it: in_order = weight
P, K = patches(x.transpose(0, 2, 3, 1), 3, 2), in_order.reshape(5, -1)
y = (P @ K.T).reshape(2, 4, 4, 5).transpose(0, 3, 1, 2)
by_loops, tx = conv_by_loops(x, weight, 2), tg.Tensor(x).requires_grad_()
by_tinygen = F.conv2d(tx, tg.Tensor(weight), stride=2)
print("P", P.shape, " K", K.shape, " y", y.shape, " as by loops:", np.allclose(y, by_loops))

# %% [markdown]
# ## The order of memory
#
# Memory is one long row. *Channels first*, it holds channel `a` row by row, then channel `b`;
# *channels last*, it keeps the channels of a pixel together. In brackets, a patch of 2 x 2 pixels:
#
#     channels first   [a00 a01] a02 ... [a10 a11] a12 ... [b00 b01] b02 ... [b10 b11] b12 ...
#     channels last    [a00 b00 a01 b01] a02 b02 ... [a10 b10 a11 b11] a12 b12 ...
#
# Long *runs* are fast to copy. A 5 x 5 patch of 16 channels is 80 runs of 5 numbers, or 5 runs of
# 80; and to bring the first kind into our order, each number is fetched alone. How much does that
# cost? And how much slower than tinygen's whole convolution are the product, and the seven loops?

# %%
last = rng.standard_normal((64, 18, 18, 16), np.float32)          # 64 images, channels last
first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))          # the same, channels first
kernels = rng.standard_normal((32, 16, 5, 5), np.float32)
images, rows = tg.Tensor(last.transpose(0, 3, 1, 2)), kernels.transpose(0, 2, 3, 1).reshape(32, -1)
ways = {"tinygen": lambda: F.conv2d(images, tg.Tensor(kernels), stride=2),
        "patches and product": lambda: patches(last, 5, 2) @ rows.T,
        "patches alone": lambda: patches(last, 5, 2),
        "from channels first": lambda: patches(first.transpose(0, 2, 3, 1), 5, 2),
        "seven loops": lambda: conv_by_loops(first[:1], kernels[:4], 2)}      # 1/512 of the work
times = [min(repeat(run, number=1, repeat=10)) for run in ways.values()]
for way, seconds in zip(ways, times[:4] + [512 * times[4]]):
    print(f"{way:20} {seconds / times[0]:10,.1f} times the time of tinygen")

# %% [markdown]
# From channels first, patches take about twice as long, loops thousands of times as long. tinygen
# does what we did, leaves the walk to NumPy, keeps images channels last, weights as in $K^T$. Its
# tricks, a list to come back to, and the times they gain (`python tests/benchmarks/tricks.py`):
#
# | trick | times | trick | times |
# | --- | --- | --- | --- |
# | softplus without `logaddexp` | 12 | batch norm as one primitive | 2.7 |
# | leaky ReLU's gradient: a mask of floats | 8 | sums over a batch, images first | 2.5 |
# | patches copied by rows | 3.6 | small weights together, large in pieces | 2.4, 0.7 to 1.2 |
# | Adam: no mean gradients of 1e-40 | 1.1 to 3.6 | no gradient that nobody asked for | 1.4 |
# | an outer product by `dot`, not by `@` | 5 | freed memory stays with the process | 1.3 to 1.8 |
# | patches of channels-last images | 3 | transposed convolution as a convolution | 1.3 to 1.4 |
# | few patches stay for the weight gradient | 1 to 1.1 | two rows share a product | 1.1 |
#
# The last is Karatsuba's, $r_1 a + r_2 b = (r_1 + r_2)(a + b) - r_1 b - r_2 a$: `slide`, `conv.py`.
#
# ## The way back
#
# If $g$ is the gradient of $L$ with respect to $y$, what is it for $x$? By $Y = P K^T$ the patches
# get $g K$ (lesson 03). They are copies of pixels, and what was copied is summed: each copy hands
# its share back to where it came from. So turn the loop of `patches` around.

# %%
g, back = rng.standard_normal(y.shape), np.zeros((2, 9, 9, 3))        # back is channels last
shares = (g.transpose(0, 2, 3, 1).reshape(-1, 5) @ K).reshape(2, 4, 4, 3, 3, 3)
for i, j in np.ndindex(4, 4):
    back[:, 2 * i:2 * i + 3, 2 * j:2 * j + 3] += shares[:, i, j]
back, (by_tape,) = back.transpose(0, 3, 1, 2), tg.grad(by_tinygen, tx, tg.Tensor(g))
stamped = F.conv_transpose2d(tg.Tensor(g), tg.Tensor(weight), stride=2).data
print(f"<conv(x, w), g> {(y * g).sum():.8f}   <x, conv_transpose(g, w)> {(x * stamped).sum():.8f}")

# %% [markdown]
# The sums of products agree, $\langle P K^T, g \rangle = \langle P, g K \rangle$: a *dot-product
# test*. Adding up is the transpose of copying. The way back, each $g$ stamping the kernel on the
# result, is a *transposed convolution*. It makes images larger; as a layer, `nn.ConvTranspose2d`.
#
# ## A network that reads digits
#
# Two convolutions halve the sides, $\lfloor (28+4-5)/2 \rfloor + 1 = 14$, then 7. The first has 400
# weights; a dense layer in its place, 2.5 million. The learning rate falls to almost nothing along
# half a cosine (lesson 06). Each batch is shifted by up to one pixel. How many digits will it read?

# %%
def accuracy():
    """The share of the test digits that the model reads right."""
    model.eval()
    with tg.no_grad():
        return np.mean([(model(x).data.argmax(1) == labels.data).mean() for x, labels in test])


data = load("mnist")
train = DataLoader((data.train[:IMAGES], data.train_labels[:IMAGES]), 64, shuffle=True)
test = DataLoader((data.test, data.test_labels), 500)
model = nn.Sequential(                            # to BatchNorm2d, each channel is one unit
    nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),      # 16 x 14 x 14
    nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), nn.ReLU(),     # 32 x 7 x 7
    nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = optim.Adam(model.parameters(), lr=2e-3)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
for epoch in range(EPOCHS):
    model.train()
    for images, labels in tqdm(train, f"epoch {epoch + 1}", leave=False):
        shifted = np.roll(images.data, rng.integers(-1, 2, 2), axis=(2, 3))
        optimizer.zero_grad()
        F.cross_entropy(model(tg.Tensor(shifted)), labels).backward()
        optimizer.step()
    schedule.step()
    print(f"epoch {epoch + 1} of {EPOCHS}: {(reached := accuracy()):.2%} of the test digits")

# %% [markdown]
# ## Break it
#
# More than 99 % in the full run, with 114,410 weights. A classic mistake: kernels in the order
# channel, row, column meet patches in the order row, column, channel. All shapes fit. How much is
# left if our second convolution is read so? And if the first is, with its one channel?

# %%
kernels = model[3].weight.data                                                # (32, 16, 5, 5)
right, kernels[...] = kernels.copy(), kernels.reshape(32, 5, 5, 16).transpose(0, 3, 1, 2)
misread, kernels[...] = accuracy(), right
print(f"with a misread second convolution, the network reads {misread:.1%} of the test digits")

# %% [markdown]
# It answers with noise. The first would not change: one channel has one order, no grey image finds
# the mistake. Do it yourself: put what follows `to break it` in its line, run again, and see
# which check complains. The picture: a digit, its patches (four framed), and $P$; learned kernels
# (red above 0, blue below, scaled one by one), what excites each (100 patches' mean), its answer.

# %%
K = model[0].weight.data.reshape(16, 25)
P = patches(np.pad(data.test[:1000, 0], [(0, 0), (2, 2), (2, 2)])[..., None], 5, 2)
exciting = P[np.argsort(-P @ K.T, axis=0)[:100]].mean(axis=0)                     # (16, 25)
answers = F.conv2d(tg.Tensor(data.test[:1]), model[0].weight.detach(), padding=2).data[0]
squares = np.pad(P[:196].reshape(14, 14, 5, 5), [(0, 0)] * 2 + [(0, 1)] * 2, constant_values=0.15)
pictures = [data.test[0, 0], squares.transpose(0, 2, 1, 3).reshape(84, 84), P[:196],
            *K[:8].reshape(8, 5, 5), *exciting[:8].reshape(8, 5, 5), *answers[:8]]
names = {0: "digit", 1: "its patches", 2: "rows of P", 3: "kernel", 11: "excited by", 19: "answer"}
figure = Figure(figsize=(10, 8.4), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[1.25, 1])
panels = [*above.subplots(1, 3, width_ratios=[1, 1, 0.14]), *below.subplots(3, 8).flat]
for i, (axes, picture) in enumerate(zip(panels, pictures)):
    colours, low = ("gray_r", 0) if i < 3 else ("RdBu_r", -abs(picture).max())
    axes.imshow(picture, cmap=colours, vmin=low, vmax=abs(picture).max())
    axes.set(xticks=[], yticks=[], ylabel=names.get(i))
for colour, place in zip(COLOURS, np.array([(4, 4), (9, 4), (8, 7), (6, 11)])):
    for axes, corner, side in [(panels[0], 2 * place - 2.5, 5), (panels[1], 6 * place - 1, 6)]:
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=2.5))
figure.savefig(FIGURES / "05_convolution_is_a_matrix_product.png", dpi=100)
print("figure:", FIGURES / "05_convolution_is_a_matrix_product.png")

# %% [markdown]
# ## Your turn
#
# 1. Change the shifts: none at all, or up to 3 pixels. What does it gain, and what does it lose?
# 2. Write the size of a dilated convolution, and the gradient with respect to the weights: `python
#    lessons/exercises/05_convolution_is_a_matrix_product.py` grades you.
# 3. Explain: *trained* with the mistake, forward and backward, it reads as well as ours. Why?

# %%
checks = [
    (abs(y - by_loops).max() < 1e-12, "patches and one product give what the seven loops give"),
    (abs(y - by_tinygen.data).max() < 1e-12, "tinygen gives the same"),
    (abs((y * g).sum() - (x * stamped).sum()) < 1e-9, "<conv(x, w), g> = <x, transpose(g, w)>"),
    (max(abs(back - by_tape.data).max(), abs(back - stamped).max()) < 1e-12, "and the way back is"),
    (reached > AT_LEAST, "the network reads the digits"),
    (misread < reached - 0.3, "misread weights spoil it"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 05: {len(checks)} checks passed")
