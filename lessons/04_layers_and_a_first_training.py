# %% [markdown]
# # Lesson 04: Layers and a first training
#
# **Question.** What is a network made of, and what does it take to train one?
#
# **Know first.** Lessons 01 to 03.
#
# **Read beside.** `tinygen/nn/`: `module.py`, `Linear` and `BatchNorm` in `layers.py`, `init.py`.
#
# **Time.** About 15 seconds; the fast form takes 4.
#
# **Ends with.** `lesson 04: 8 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinygen as tg
from tinygen import functional as F, nn, optim, plots
from tinygen.datasets import DataLoader, load

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
IMAGES, FEW, EPOCHS, BAR = (4_000, 4_000, 2, 0.8) if FAST else (60_000, 12_000, 3, 0.97)
tg.manual_seed(0)
np.seterr(all="ignore")                           # inf and nan appear below, on purpose
np.set_printoptions(precision=3, suppress=True)
mnist = load("mnist")                             # handwritten digits, 28 x 28 numbers each
x_train, y_train = mnist.train[:IMAGES].reshape(-1, 784), mnist.train_labels[:IMAGES]
x_test, y_test = mnist.test.reshape(-1, 784), mnist.test_labels

# %% [markdown]
# ## A layer: numbers to train, and a way forward
#
# A *layer* has *parameters*, the arrays that training changes, and a `forward`, what it does with
# its input. In tinygen a layer is a `Module`, and a parameter a `Parameter`: a Tensor that wants a
# gradient. The module finds it among its attributes. How many numbers has this one, $x W^T + b$?

# %%
class Dense(nn.Module):
    def __init__(self, inputs, outputs):
        self.weight = nn.Parameter(tg.randn(outputs, inputs) / inputs ** 0.5)
        self.bias = nn.Parameter(tg.zeros(outputs))

    def forward(self, x):                         # (N, inputs) to (N, outputs)
        return x @ self.weight.T + self.bias

print({name: (t.shape, t.numel()) for name, t in Dense(784, 10).state_dict().items()})

# %% [markdown]
# 7,840 and 10. `state_dict()` is all that a network has learned. Another with the same names takes
# it over by `load_state_dict`, as tinygen's `nn.Linear` will below (this layer but for its start).
#
# ## From ten numbers to one loss
#
# The ten outputs are *logits*: a score for each digit, any real number. *Softmax* turns them into
# probabilities, and the *cross-entropy* is minus the log of that of the right digit, $t$:
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad L = -\log p_t = \log \sum_j e^{z_j} - z_t, \qquad
#   \frac{\partial L}{\partial z_k} = p_k - [k = t].$$
#
# The last is *softmax minus one-hot* (one-hot: 1 at the right digit, else 0). By hand, for $z = (2,
# 1, 0)$ and $t = 0$: the powers 7.389, 2.718 and 1 sum to 11.107, so $p = (0.665, 0.245, 0.090)$
# and $L = -\log 0.665 = 0.408$. The gradient? And $L$ for $z = (0, 200, 0)$?

# %%
for scores in [2.0, 1.0, 0.0], [0.0, 200.0, 0.0]:
    z = tg.tensor([scores], requires_grad=True)
    careful, careless = F.cross_entropy(z, tg.tensor([0])), -F.softmax(z, 1).log()[0, 0]
    for name, loss in ("cross_entropy(z)", careful), ("-log(softmax(z))", careless):
        g, = tg.grad(loss, z)
        print(f"{scores}  {name}: {loss.item():7.3f}   gradient {g.numpy()[0]}")

# %% [markdown]
# Both subtract the largest logit first, which changes no probability. But $e^{-200}$ is 0 in
# float32, its log infinite, the gradient `nan`, "not a number". `cross_entropy` takes no log of it.
#
# ## The naive version: training in NumPy
#
# A *step* moves each parameter a little against the gradient of the mean loss of a *batch* of
# examples: $w \leftarrow w - \eta \, \partial L / \partial w$ (*SGD*, stochastic gradient descent;
# $\eta$ is the *learning rate*). An *epoch* is once through all examples, here through 500 digits.

# %%
images, labels, bias = x_train[:500].astype(np.float64), y_train[:500], np.zeros(10)
weight = start = np.random.default_rng(0).normal(0, 0.01, (10, 784))
for first in range(0, 500, 50):
    x, y = images[first:first + 50], labels[first:first + 50]     # (50, 784), (50,)
    logits = x @ weight.T + bias                                  # (50, 10)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    softmax = powers / powers.sum(1, keepdims=True)
    g = (softmax - (y[:, None] == np.arange(10))) / 50            # of the mean over the batch
    weight, bias = weight - 0.2 * g.T @ x, bias - 0.2 * g.sum(0)

# %% [markdown]
# In tinygen it is five lines, the same for every network. `loss.backward()` *adds* to the gradients
# that are there, so `zero_grad` must first forget those of the last batch. (Replace its line by
# what follows `to break it`: which check complains?) How close will the two weights be?

# %%
def train(model, optimizer, batches):
    model.train()                                 # the opposite of eval(), explained below
    losses = []
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)       # forward: from a batch to one number
        optimizer.zero_grad()                     # to break it: pass
        loss.backward()                           # a gradient for every parameter
        optimizer.step()                          # every parameter moves
        losses.append(loss.item())
    return losses

linear = nn.Linear(784, 10).double()              # float64, as in NumPy
linear.load_state_dict({"weight": start, "bias": np.zeros(10)})
train(linear, optim.SGD(linear.parameters(), lr=0.2), DataLoader((images, labels), 50))
gap = abs(linear.weight.detach().numpy() - weight).max()
print(f"after 10 steps the weights of NumPy and tinygen differ by {gap:.0e}")

# %% [markdown]
# ## A network that reads digits
#
# Two such layers in a row would be one matrix again. A *nonlinearity* between them makes them more:
# ReLU, $\max(x, 0)$. The optimiser is now Adam, which finds a step size for each number; lesson
# 06 opens it. What loss do you expect of a network that knows nothing?

# %%
def guesses(model):
    with tg.no_grad():                            # record nothing; eval() is explained below
        return model.eval()(tg.tensor(x_test)).numpy().argmax(1)

model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
adam, losses = optim.Adam(model.parameters(), lr=2e-3), []
batches = DataLoader((x_train, y_train), 64, shuffle=True)
for epoch in range(1, EPOCHS + 1):
    losses += train(model, adam, tqdm(batches, desc=f"epoch {epoch}/{EPOCHS}"))
    found = guesses(model)
    accuracy = (found == y_test).mean()
    print(f"epoch {epoch} of the {'fast' if FAST else 'full'} form: loss {losses[0]:.2f} at first, "
          f"{np.mean(losses[-50:]):.3f} now; {accuracy:.1%} of the test digits are right")

# %% [markdown]
# To know nothing is to give each digit 1/10, a loss of $\log 10 = 2.30$. In the full form more than
# 97 % of 10,000 digits that it never saw are right, with 203,530 numbers to train (count them).
#
# ## Break it: start everywhere the same
#
# Must weights be random? Start all at 0.01. How far will *units* (rows of a weight) move apart?

# %%
small = DataLoader((x_train[:FEW], y_train[:FEW]), 50, shuffle=True)
same = nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
for p in same.parameters():
    nn.init.constant_(p, 0.01)
train(same, optim.SGD(same.parameters(), lr=0.1), small)
rows = same[0].weight.detach().numpy()
moved, apart = abs(rows - 0.01).max(), abs(rows - rows[0]).max()
print(f"moved: {moved:.3f}, apart: {apart:.0e}, {(guesses(same) == y_test).mean():.0%} right")

# %% [markdown]
# Not at all: equal units get equal gradients, and all work as one. So random, but how large? A unit
# adds up $n$ products of a weight and an input. For weights of mean 0, standard deviation $\sigma$,
# the mean square of the sum is $n \sigma^2$ times that of $x$; ReLU halves it. So $n$ units on $n$
# multiply signal and gradient by $\sigma \sqrt{n / 2}$: by 1 for *He's* $\sigma = \sqrt{2 / n}$.
#
# ## Batch norm, so as not to care
#
# *Batch norm* gives each unit mean 0 and variance 1 by its mean $m$ and variance $v$ in the batch,
# then a learned scale and shift: $w (x - m) / \sqrt{v + \epsilon} + b$ ($\epsilon$ is tiny). In use
# (`eval`) no answer may depend on who else is in the batch: $m$ and $v$ are running means, which
# each batch moved a tenth of the way, from 0 and 1. What becomes of 1 in (1, 3), and in (1, 3, 8)?

# %%
norm, x = nn.BatchNorm1d(1), np.array([[1.0], [3.0], [8.0]], np.float32)
by_hand = ((x[:2] - x[:2].mean()) / np.sqrt(x[:2].var() + 1e-5)).ravel()
training = [norm(tg.tensor(x[:n])).detach().numpy().ravel() for n in (2, 3)]
use = [norm.eval()(tg.tensor(x[:n])).detach().numpy().ravel() for n in (1, 3)]
print("by hand", by_hand, "in training", *training, "in use", *use)

# %% [markdown]
# The 8 matters in training, not in use: $m = 0.58$, $v = 2.29$ (its variances divide by $N - 1$).
# Ten layers of 128 units, from multiples of He's $\sigma$: our (PyTorch's) default $1 / \sqrt{3 n}$
# is 0.41 of it, Xavier's $1 / \sqrt n$ 0.71. A layer's factor? Who learns? And with batch norm?

# %%
STARTS = {"tiny": 0.16, "default": 6 ** -0.5, "Xavier": 2 ** -0.5, "He": 1.0, "huge": 2.4}
signals, factors, learned = [{name: [] for name in STARTS} for _ in range(3)]
print("start    times He  batch norm  factor of a layer  gradient at layer 1  right")
for name, multiple in STARTS.items():
    for kind, norm in ("without", nn.Identity), ("with", lambda: nn.BatchNorm1d(128)):
        layers = []
        for inputs in [784] + 9 * [128]:
            layers += [nn.Linear(inputs, 128, bias=False), norm(), nn.ReLU()]
            nn.init.normal_(layers[-3].weight, 0, multiple * (2 / inputs) ** 0.5)
        model, z = nn.Sequential(*layers, nn.Linear(128, 10)), [tg.tensor(x_train[:500])]
        for module in model:
            z.append(module(z[-1]))
        g, = tg.grad(F.cross_entropy(z[-1], tg.tensor(y_train[:500])), z[2])
        signals[name].append([outputs.std().item() for outputs in z[2:30:3]])
        factors[name].append((signals[name][-1][9] / signals[name][-1][0]) ** (1 / 9))
        train(model, optim.SGD(model.parameters(), lr=0.1), small)
        learned[name].append(100 * (guesses(model) == y_test).mean())
        print(f"{name:8} {multiple:8.2f}  {kind:10} {factors[name][-1]:18.2f} "
              f"{g.std().item():20.0e} {learned[name][-1]:5.1f}%")

# %%
figure = Figure(figsize=(11, 3.9), layout="constrained")
left, middle, right = figure.subplots(1, 3, width_ratios=[6, 6, 5])
for i, (name, colour) in enumerate(zip(STARTS, [*plots.COLOURS, "#d99a2b"])):
    left.semilogy(range(1, 11), signals[name][0], "o-", color=colour, label=name)
    middle.barh([i - 0.2, i + 0.2], learned[name], 0.36, color=[colour + "66", colour])
left.set(title="Without batch norm", xlabel="layer", ylabel="standard deviation of its outputs")
left.legend(title="start", reverse=True)
middle.set(title="Pale: without batch norm. Full: with it", yticks=range(5), yticklabels=STARTS,
           xlabel="test digits that are right (%)", xlim=(0, 100))
right.imshow(plots.image_grid(x_test[found != y_test][:25].reshape(-1, 1, 28, 28), 5), "gray_r")
for i, digit in enumerate(found[found != y_test][:25]):
    right.text(i % 5 * 29 + 1, i // 5 * 29 + 7, digit, color=plots.COLOURS[1])
right.set(title="Misread; in red, as what", xticks=[], yticks=[])
figure.savefig(FIGURES / "04_layers_and_a_first_training.png", dpi=100)
print("figure:", FIGURES / "04_layers_and_a_first_training.png")

# %% [markdown]
# Each layer multiplies as predicted, nine times over: silence or a bang. Only He's signal arrives
# whole, and a few per cent of Xavier's. Batch norm divides any scale away, and every start learns.
#
# ## Your turn
#
# 1. Change a number: Adam's `lr=2e-3` to 2e-1, and to 2e-5 (a check complains). And the loss?
# 2. Write two functions: `python lessons/exercises/04_layers_and_a_first_training.py` grades you.
# 3. Explain a failure: let all start at 0 instead of 0.01. The hidden weights never move, and every
#    digit gets the same answer, right for 11 %. Why, and which answer is it?

# %%
checks = [
    (gap < 1e-10, "NumPy and tinygen train one layer to the same weights"),
    (accuracy > BAR, f"more than {BAR:.0%} of the test digits are right"),
    (careful.item() == 200 and careless.item() == np.inf, "logits keep what a softmax rounds to 0"),
    (apart < 1e-3 * moved, "units that start equal stay equal"),
    (all(abs(factors[k][0] / STARTS[k] - 1) < 0.25 for k in STARTS), "factors are as predicted"),
    (abs(training[0] - by_hand).max() < 1e-5, "batch norm by hand is tinygen's"),
    (abs(use[0][0] - use[1][0]) < 1e-6, "in use, batch norm does not look at the neighbours"),
    (all(learned[k][1] > learned[k][0] + 20 for k in ("tiny", "huge")), "batch norm saves both"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 04: {len(checks)} checks passed")
