# %% [markdown]
# # Lesson 01: A number that remembers where it came from
#
# **Question.** How can a program differentiate a formula that it has only computed?
#
# **Know first.** Python classes, and from calculus the derivatives of a product and of the sine.
#
# **Read beside.** `tinygen/tensor.py`: `Tensor`, `Node` and `_walk`.
#
# **Time.** 2 seconds, and as long in the fast form.
#
# **Ends with.** `lesson 01: 6 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure

import tinygen as tg
from tinygen.plots import COLOURS

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
X, W = 2.0, 3.0                                   # where we look at y = x w + sin(x)
LENGTH = 1_000 if FAST else 10_000                # links of the long chain below

# %% [markdown]
# ## One derivative by hand
#
# Take $y = x w + \sin(x)$ at $x = 2$, $w = 3$. By hand,
#
# $$\frac{\partial y}{\partial x} = w + \cos(x), \qquad \frac{\partial y}{\partial w} = x.$$
#
# ($\partial y / \partial x$ is the derivative with respect to $x$ while $w$ stays as it is.)
# A program does not see this formula. It computes small steps, one after the other:
# $a = x w$, then $b = \sin(x)$, then $y = a + b$. For each step alone the derivative is easy. The
# *chain rule* puts them together: if $x$ changes $a$, and $a$ changes $y$, then their rates
# multiply; if $x$ acts along two paths, through $a$ and through $b$, then the paths add:
#
# $$\frac{\partial y}{\partial x} = \frac{\partial y}{\partial a} \frac{\partial a}{\partial x}
#   + \frac{\partial y}{\partial b} \frac{\partial b}{\partial x}
#   = 1 \cdot w + 1 \cdot \cos(x).$$

# %%
by_hand = W + np.cos(X), X
print(f"by hand:   dy/dx = {by_hand[0]:.6f}   dy/dw = {by_hand[1]:.6f}")

# %% [markdown]
# ## The naive version: a number with a memory
#
# So let each number remember the numbers that it was made from, its *parents*. For each parent it
# also keeps a *rule*: given $g$, how fast $y$ changes with this number, the rule says how fast $y$
# changes with the parent. This is the chain rule, one link at a time.


# %%
class Number:
    """A value, how it was made, and after `backward` the derivative of the end with respect to it.

    `parents` is a list of pairs: the number this one was made from, and the rule for it.
    """

    made = 0                                      # how many there are: each gets a serial number

    def __init__(self, value, how, parents=()):
        self.value, self.how, self.parents, self.grad = value, how, parents, 0.0
        self.serial, Number.made = Number.made, Number.made + 1

    def __add__(self, other):
        return Number(self.value + other.value, "+", [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        return Number(self.value * other.value, "*", [(self, lambda g: g * other.value),
                                                      (other, lambda g: g * self.value)])

    def sin(self):
        return Number(np.sin(self.value), "sin", [(self, lambda g: g * np.cos(self.value))])

    def history(self):
        """This number and all that it was made from, the newest first."""
        seen, todo = {}, [self]
        while todo:
            number = todo.pop()
            if number.serial not in seen:
                seen[number.serial] = number
                todo += [parent for parent, _ in number.parents]
        return [seen[serial] for serial in sorted(seen, reverse=True)]

    def backward(self):
        """Walk the history, and hand each derivative on. Once: a second walk would add to it."""
        self.grad = 1.0                           # dy/dy
        for number in self.history():
            for parent, rule in number.parents:
                parent.grad += rule(number.grad)  # to break it: parent.grad = rule(number.grad)


# %% [markdown]
# Why the newest first? A number can hand its derivative on only when that is complete, when all
# that was made from it has had its turn. What was made from it is newer, so it has.
#
# What will `backward` find for $x$ and for $w$? You know it already. And for $a$ and $b$?

# %%
x, w = Number(X, "x"), Number(W, "w")
a, b = x * w, x.sin()
y = a + b
y.backward()
print("made as   value      dy/d(it)")
for number in y.history()[::-1]:
    print(f"{number.how:7} {number.value:9.6f}  {number.grad:9.6f}")

# %% [markdown]
# $a$ (made by `*`) and $b$ (by `sin`) have derivative 1, because $y$ is their sum. $w$ got
# $g \cdot x = 2$. And $x$ got two contributions, $w = 3$ from the product and $\cos(2) \approx
# -0.416$ from the sine: together the 2.584 that we found by hand. The whole walk cost about as much
# as computing $y$, and it gave *every* derivative at once. That is why networks with millions of
# weights (the numbers that training changes) can be trained.
# The method is called reverse-mode differentiation (Linnainmaa 1970); the history that it walks is
# often called the *tape*.
#
# ## In tinygen
#
# `Tensor` is our `Number` for whole arrays. Its `node` holds the parents, each operation has one
# rule per argument, and `_walk` in `tensor.py` is our `backward`. The rules stand directly above
# the operations in `tinygen/ops/elementwise.py`; look up `mul` and `sin`, and you find ours again.
# `requires_grad` says that we want a derivative; `float64` has twice the digits of the default.

# %%
tx = tg.tensor(X, dtype="float64", requires_grad=True)
tw = tg.tensor(W, dtype="float64", requires_grad=True)
ty = tx * tw + tg.sin(tx)
ty.backward()
print(f"tinygen:   dy/dx = {tx.grad.item():.6f}   dy/dw = {tw.grad.item():.6f}")
print("last operation:", ty.node.op.__name__, "  its parents:",
      [parent.op.__name__ for _, parent in ty.node.parents])

# %% [markdown]
# ## A long chain
#
# Our walk and tinygen's are loops, not functions that call themselves. Why does that matter?
# Python allows about 1,000 calls inside each other, and a training can easily record more steps.

# %%
one = Number(1.0, "start")
end = one
for _ in range(LENGTH):
    end = end + one
end.backward()
print(f"1 + 1 + ... + 1 with {LENGTH:,} additions: {end.value:,.0f}, "
      f"and its derivative with respect to the 1: {one.grad:,.0f}")

# %% [markdown]
# ## Break it
#
# A classic mistake in a tape is one character: `=` where `+=` belongs. Then a number that
# was used twice keeps only the contribution that came last. Nothing crashes, and every formula
# that uses each number once is still right.

# %%
def overwriting_backward(end):
    end.grad = 1.0
    for number in end.history():
        for parent, rule in number.parents:
            parent.grad = rule(number.grad)


bx, bw = Number(X, "x"), Number(W, "w")
overwriting_backward(bx * bw + bx.sin())
print(f"with `=`:  dy/dx = {bx.grad:.6f}   dy/dw = {bw.grad:.6f}   (the path through sin is lost)")

# %% [markdown]
# Do it yourself: put what follows `to break it` in its line, run the lesson again, and see
# which check complains.
#
# ## The picture
#
# Left the history of $y$: grey arrows show the way forward, red numbers the derivatives that came
# back. Right the curve $y(x)$: its tangent at $x = 2$ has the slope that the tape found.

# %%
figure = Figure(figsize=(10, 4), layout="constrained")
graph, curve = figure.subplots(1, 2, width_ratios=[1.3, 1])
places = {"x": (0, 0.3), "w": (0, 1.7), "*": (1.6, 1.5), "sin": (1.6, 0.3), "+": (3.2, 0.9)}
for number in y.history():
    place = places[number.how]
    for parent, _ in number.parents:
        graph.annotate("", place, places[parent.how], arrowprops={
            "arrowstyle": "-|>", "color": "0.6", "shrinkA": 24, "shrinkB": 24, "lw": 1.5})
    graph.text(*place, f"{number.how}\n{number.value:.3f}", ha="center", va="center",
               bbox={"boxstyle": "round,pad=0.5", "fc": "white", "ec": COLOURS[0]})
    graph.text(place[0], place[1] - 0.42, f"{number.grad:.3f}", color=COLOURS[1], ha="center")
graph.set(xlim=(-0.6, 3.8), ylim=(-0.4, 2.2), title="values forward, derivatives back")
graph.axis("off")
t = np.linspace(0, 4, 200)
curve.plot(t, t * W + np.sin(t), color=COLOURS[0], label=f"y = {W:g} x + sin(x)")
curve.plot(t, y.value + x.grad * (t - X), "--", color=COLOURS[1], label=f"slope {x.grad:.3f}")
curve.plot(X, y.value, "o", color=COLOURS[1])
curve.set(xlabel="x", ylabel="y", title=f"the slope at x = {X:.4g}")
curve.legend()
figure.savefig(FIGURES / "01_a_number_that_remembers.png", dpi=100)
print("figure:", FIGURES / "01_a_number_that_remembers.png")

# %% [markdown]
# ## Your turn
#
# 1. Change $x$ so that the slope becomes exactly 2. Which $x$ is it, and why is there no smaller
#    slope?
# 2. Write the two rules of a division, and `backward` from memory:
#    `python lessons/exercises/01_a_number_that_remembers.py` grades you.
# 3. Explain: with `=` in place of `+=`, $\partial y / \partial w$ stays right. Why? Find an
#    expression in which each number without parents (a *leaf*) is used once, and one of them still
#    gets a wrong derivative.

# %%
square = Number(5.0, "s")
(square * square).backward()
checks = [
    (abs(x.grad - by_hand[0]) < 1e-12, "x gets what both of its paths contribute"),
    (abs(w.grad - by_hand[1]) < 1e-12, "w gets x, the other factor of the product"),
    (abs(tx.grad.item() - x.grad) < 1e-12, "tinygen and the tape of this lesson agree"),
    (square.grad == 10.0, "the derivative of s * s is 2 s: the same parent twice counts twice"),
    (one.grad == LENGTH + 1, "each of the additions contributes 1, and so does the start"),
    (bx.grad != x.grad and bw.grad == w.grad, "overwriting harms only what is used twice"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 01: {len(checks)} checks passed")
