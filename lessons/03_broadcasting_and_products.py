# %% [markdown]
# # Lesson 03: Broadcasting, matrix products and reductions
#
# **Question.** When one bias serves a whole batch, what shape has its gradient, and what is in it?
#
# **Know first.** Lessons 01 and 02, and how NumPy broadcasts and multiplies matrices.
#
# **Read beside.** `tinygen/ops/`: the first operations of `shapes`, `reductions` and `matrix.py`.
#
# **Time.** About 3 seconds, and as long in the fast form.
#
# **Ends with.** `lesson 03: 7 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure

import tinygen as tg
from tinygen.datasets import load
from tinygen.gradcheck import numerical_jacobian
from tinygen.tensor import op

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
STEPS, SIZE = 40 if FAST else 80, 0.1             # of the descent that we break below
rng = np.random.default_rng(0)

# %% [markdown]
# ## Used twice, added up
#
# *Broadcasting* lets arrays of different shapes meet: where one of them has size 1, or lacks a
# dimension in front, it acts as if it were repeated. Let `x` (2, 3) be a *batch* of two examples,
# and `b` (3,) a *bias*, which is added to each. Then `x + b` uses each $b_j$ twice, and lesson 01
# says what follows: a number that acts along several paths gets the sum of what comes back along
# them. If the end result $L$ changes with `x + b` at the rates $g$, of shape (2, 3), then with
# $b_j$ at the rate $g_{0j} + g_{1j}$: **what was repeated is summed**, and a gradient has the shape
# of what it belongs to. What does `b` get from the $g$ below? And a column (2, 1) in its place?

# %%
def source(place, shape):
    """Where broadcasting from `shape` finds the number that it shows at `place`."""
    last = place[len(place) - len(shape):]
    return tuple([0 if n == 1 else i for i, n in zip(last, shape)])


def expand(x, shape):
    """Broadcasting written out: each place of `shape` reads its source."""
    out = np.zeros(shape)
    for place in np.ndindex(shape):
        out[place] = x[source(place, x.shape)]
    return out


def sum_to(g, shape):
    """Its rule, the same walk: each place adds its gradient to its source."""
    total = np.zeros(shape)
    for place in np.ndindex(g.shape):
        total[source(place, shape)] += g[place]
    return total                                  # to break it: return g


g = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
for_bias, for_column = sum_to(g, (3,)), sum_to(g, (2, 1))
print(f"a bias (3,) gets {for_bias.tolist()}, a column (2, 1) gets {for_column.tolist()}")

# %% [markdown]
# 1 + 10 = 11 for the first number of the bias; 1 + 2 + 3 = 6 for the first of the column.
#
# ## Reductions: many in, one out
#
# The way back from `sum_to` is `expand`: each number that was added has rate 1, so it gets all of
# the gradient of its total. **What was summed is repeated.** In a mean of $n$ numbers each gets
# $g/n$. A maximum follows its largest number alone: that gets $g$, the others 0. By convention $k$
# numbers that tie share: $g/k$ each. What will the row 1, 3, 3, 2 get from its maximum, if $g = 1$?

# %%
def rule_of_max(g, x):
    """For the maximum of each row: g (n,), x (n, m), result (n, m)."""
    largest = (x == x.max(1, keepdims=True)).astype(float)
    return expand(g[:, None], x.shape) * largest / largest.sum(1, keepdims=True)


print("a tie:", rule_of_max(np.array([1.0]), np.array([[1.0, 3.0, 3.0, 2.0]])))

# %% [markdown]
# ## A matrix product is both
#
# $Y = A B$ with $A$ (n, k) and $B$ (k, m), so $Y_{ij} = \sum_l A_{il} B_{lj}$. First the shapes:
# $\partial L / \partial A$ must be (n, k), made of $g$ (n, m) and $B$ (k, m); only $g B^T$ fits.
# That is a guess. Now the proof: $A_{il}$ is used in row $i$ of $Y$, in all its $m$ numbers, in
# number $j$ with rate $B_{lj}$. Each use sends its part back; likewise for $B$:
#
# $$\frac{\partial L}{\partial A_{il}} = \sum_j g_{ij} B_{lj} = (g B^T)_{il}, \qquad
#   \frac{\partial L}{\partial B_{lj}} = \sum_i A_{il} g_{ij} = (A^T g)_{lj}.$$
#
# We can also put it together from rules that we have. `A` as (n, k, 1), times `B` (k, m),
# broadcasts to (n, k, m); the sum over k makes (n, m). On the way back: repeat, multiply, add up.

# %%
A, B, g = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
repeated = expand(g[:, None, :], (4, 3, 5))               # the rule of the sum over k
from_parts = sum_to(repeated * B, (4, 3, 1))[:, :, 0]     # of the product, and of broadcasting A
gap = np.abs(from_parts - g @ B.T).max()
print(f"repeated, multiplied, added up: shape {from_parts.shape}, {gap:.0e} away from g B^T")

# %% [markdown]
# ## Three witnesses
#
# Now every rule stands before finite differences and before tinygen. Row $i$ of the Jacobian
# (lesson 02) says how all results move with input $i$; times $g$, how $L$ moves: what the rule
# claims to know. In the last line of the table a stack of two matrices shares one `B`: used twice,
# so added up. How small an error do you expect in each column?

# %%
def distance(a, b):
    """The largest difference. Between two shapes it is infinite: NumPy would broadcast them."""
    return np.abs(a - b).max() if a.shape == b.shape else np.inf


x, b, c, two = [rng.normal(size=shape) for shape in ((4, 3), (3,), (4, 1), (2, 4, 3))]
table = [("x + b, for b", lambda b: x + b, b, lambda g: sum_to(g, b.shape)),
         ("x * c, for c", lambda c: x * c, c, lambda g: sum_to(g * x, c.shape)),
         ("x.sum(0)", lambda x: x.sum(0), x, lambda g: expand(g, x.shape)),
         ("x.mean(1)", lambda x: x.mean(1), x, lambda g: expand(g[:, None] / 3, x.shape)),
         ("amax(x, 1)", lambda x: tg.amax(x, 1), x, lambda g: rule_of_max(g, x)),
         ("A @ B, for A", lambda A: A @ B, A, lambda g: g @ B.T),
         ("A @ B, for B", lambda B: A @ B, B, lambda g: A.T @ g),
         ("two @ B, for B", lambda B: two @ B, B, lambda g: sum_to(two.mT @ g, B.shape))]
errors = []
print("operation       shape   from finite differences  from tinygen")
for name, function, v, rule in table:
    g = rng.normal(size=function(v).shape)
    tensor = tg.tensor(v, requires_grad=True)
    function(tensor).backward(tg.tensor(g))
    numeric = (numerical_jacobian(function, [tensor], 0, 1e-6) @ g.reshape(-1)).reshape(v.shape)
    errors.append([distance(rule(g), other) for other in (numeric, tensor.grad.numpy())])
    print(f"{name:15} {v.shape!s:7} {errors[-1][0]:23.0e}  {errors[-1][1]:12.0e}")

# %% [markdown]
# About nine digits by finite differences, all of them by tinygen: its `add`, `mul` and `_matmul`
# have rules that end in `sum_to` too, though that is one call of NumPy's `sum`.
#
# ## The gradient of a gradient
#
# The rule `A.T @ g` is made of operators: an array $g$ makes an array, and a Tensor makes a Tensor.
# That one remembers, so it can be differentiated again. All rules of tinygen are written so;
# `tg.grad(..., create_graph=True)` hands them Tensors. A known case: $L = \frac12 |A p|^2$ has the
# gradient $A^T A p$ and the *Hessian* (the matrix of its second derivatives) $A^T A$.

# %%
p = tg.tensor(rng.normal(size=(3, 1)), requires_grad=True)
y = A @ p
by_tinygen, = tg.grad((y * y).sum() * 0.5, p, create_graph=True)
by_our_rule = A.T @ y                             # with g = y, because dL/dy = y
hessians = [np.hstack([tg.grad(gradient[i, 0], p, retain_graph=True)[0].numpy() for i in range(3)])
            for gradient in (by_tinygen, by_our_rule)]
print(f"A^T A:\n{A.T @ A}\nHessian, by our rule, given a Tensor:\n{hessians[1]}")

# %% [markdown]
# ## Break it: drop the sum
#
# One picture `b` (28, 28) should be close to eight handwritten threes (8, 28, 28): $L = \frac12
# \sum_i |b - x_i|^2$. Broadcasting gives each three a copy of `b`, and copy $i$ gets $b - x_i$. We
# start with grey and take small steps against the gradient, so that $L$ shrinks (more in lesson
# 04). The best picture is the mean of the eight. What comes out if we forget `sum_to`?

# %%
mnist = load("mnist")
threes = mnist.train[mnist.train_labels == 3][:16, 0].astype(float)
threes, others, grey = threes[:8], threes[8:], np.full((28, 28), 0.5)


def descend(rule):
    b = grey
    for _ in range(STEPS):
        b = b - SIZE * rule(b - threes)
    return b


def loss(b, images):
    return 0.5 * ((b - images) ** 2).sum() / len(images)


summed, unsummed = descend(lambda g: sum_to(g, grey.shape)), descend(lambda g: g)
print("              shape of b  L per three  on eight other threes")
for name, b in ("with sum_to", summed), ("without", unsummed):
    print(f"{name:11} {b.shape!s:>12} {loss(b, threes):12.4g} {loss(b, others):22.4g}")
careless_add = op(lambda g, out, x, b: g, lambda g, out, x, b: g)(lambda x, b: x + b)
try:
    careless_add(tg.zeros(4, 3), tg.zeros(3, requires_grad=True)).sum().backward()
except RuntimeError as error:
    print("tinygen says:", error)

# %% [markdown]
# Nothing crashed, and $L$ looks wonderful. But `b` has grown: each three has a picture of its own,
# which has become that three. It knows eight by heart; against others, each picture with another
# three, it is worse than the mean. (With `b -= ...` NumPy would have complained.) So tinygen
# compares each gradient's shape with its argument's: the last line is about an addition that drops
# the sum. Put what follows `to break it` in its line, and run again. Which check complains?
#
# ## The picture
#
# Each three pulls at its copy of `b`. On the right the pulls are summed: strong where the threes
# agree, pale where they differ.

# %%
pulls = grey - threes
figure = Figure(figsize=(10, 4.1), layout="constrained")
axes = figure.subplots(3, 2, width_ratios=[8, 1])
for place, title, pictures, scale in [
        ((0, 0), "eight threes", threes, 0), ((0, 1), "b, at first", grey, 0),
        ((1, 0), "gradient of each copy of b: red 0.5 (less ink), blue -0.5 (more)", pulls, 0.5),
        ((1, 1), "sum (-4 to 4)", sum_to(pulls, grey.shape), 4),
        ((2, 0), f"b after {STEPS} steps without the sum: eight pictures", unsummed, 0),
        ((2, 1), "with the sum", summed, 0)]:
    strip = np.pad(pictures.reshape(-1, 28, 28), [(0, 0), (0, 0), (1, 1)], constant_values=np.nan)
    colours, low, high = ("RdBu_r", -1.5 * scale, 1.5 * scale) if scale else ("gray_r", 0, 1)
    axes[place].imshow(np.hstack(strip), colours, vmin=low, vmax=high)
    axes[place].set_title(title, fontsize="medium")
    axes[place].axis("off")
figure.savefig(FIGURES / "03_broadcasting_and_products.png", dpi=100)
print("figure:", FIGURES / "03_broadcasting_and_products.png")

# %% [markdown]
# ## Your turn
#
# 1. Set `SIZE` to 0.2, then to 0.3 (a check complains), and print a pixel of `b` in each step. The
#    second derivative of $L$ by it is 8 (why?). So its way to the mean is multiplied by what?
# 2. Write rules: of a mean over any dimension, of a matrix product of stacks, of a running sum.
#    `python lessons/exercises/03_broadcasting_and_products.py` grades you.
# 3. Explain a failure: finite differences give each number of a row 3, 3, 3 the slope 1/2, and
#    `rule_of_max` gives it 1/3. Which is better, if all three may grow together?

# %%
checks = [
    (for_bias.tolist() == [11, 22, 33], "a bias gets the sum over the rows that used it"),
    (max(numeric for numeric, _ in errors) < 1e-6, "finite differences confirm every rule"),
    (max(library for _, library in errors) < 1e-12, "tinygen has the same rules"),
    (gap < 1e-12, "a matrix product is broadcasting, a product and a sum"),
    (distance(summed, threes.mean(0)) < 1e-6, "eight threes pull one picture to their mean"),
    (loss(unsummed, others) > 1.2 * loss(summed, others), "without the sum it learns by heart"),
    (max(distance(h, A.T @ A) for h in hessians) < 1e-12, "a rule of operators has a rule itself"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 03: {len(checks)} checks passed")
