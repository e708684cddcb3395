# %% [markdown]
# # Lesson 02: Do not trust, check
#
# **Question.** How do I know that a derivative is right?
#
# **Know first.** Lesson 01; Taylor's series to the third derivative; the normal distribution.
#
# **Read beside.** `tinygen/gradcheck.py`; `tinygen/ops/elementwise.py` for the rules it judges.
#
# **Time.** About 4 seconds; the fast form takes 2.
#
# **Ends with.** `lesson 02: 7 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure

import tinygen as tg
from tinygen.checks import run, table
from tinygen.gradcheck import GradcheckError, gradcheck, gradgradcheck, numerical_jacobian
from tinygen.plots import COLOURS
from tinygen.tensor import op, raw

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
POINTS, TRIES, CASES = (200, 500, 5) if FAST else (5_000, 5_000, 50)
EPS, TOLERANCE = 1e-6, 1e-5                       # the usual step, and the error we accept
rng = np.random.default_rng(0)

# %% [markdown]
# ## A slope without calculus
#
# A wrong derivative rule does not crash. The training is only worse, and nobody knows why. So we
# need a judge that shares none of our calculus: take a small step $\epsilon$, and divide the rise
# by the step. This is a *finite difference*, and there are two kinds:
#
# $$\text{one-sided:}\ \frac{f(x + \epsilon) - f(x)}{\epsilon}, \qquad
#   \text{central:}\ \frac{f(x + \epsilon) - f(x - \epsilon)}{2 \epsilon}.$$
#
# By hand, for $f(x) = x^3$ at $x = 2$, where the slope is 12, with $\epsilon = 0.1$: one-sided
# $(9.261 - 8) / 0.1 = 12.61$, central $(9.261 - 6.859) / 0.2 = 12.01$. What becomes of the errors
# 0.61 and 0.01 when the step is ten times smaller? And with a tiny one?

# %%
def one_sided(f, x, eps, direction=1):            # a direction is for x with many numbers
    return (f(x + eps * direction) - f(x)) / eps


def central(f, x, eps, direction=1):
    rise = f(x + eps * direction) - f(x - eps * direction)
    return rise / (2 * eps)                       # to break it: return rise / eps


print("  eps   one-sided  central")
for eps in (0.1, 0.01, 0.001, 5e-16):
    slopes = [difference(lambda x: x ** 3, 2.0, eps) for difference in (one_sided, central)]
    print(f"{eps:5}  {slopes[0]:9.6f}  {slopes[1]:9.6f}")

# %% [markdown]
# The one-sided error shrinks with $\epsilon$, the central one with $\epsilon^2$: Taylor's series
# leaves $\tfrac12 \epsilon f''$ in the first. In the second this term is on both sides and cancels,
# and $\tfrac16 \epsilon^2 f'''$ is left. This is the *truncation error*.
#
# But the tiny step is bad. Floating-point numbers near 1 lie $u$ apart, the *machine epsilon*:
# $2.2 \cdot 10^{-16}$ in float64, $1.2 \cdot 10^{-7}$ in float32. So the rise is wrong by about
# $u$, and the slope by $u / \epsilon$: the *rounding error*, which grows as the step shrinks.
#
# ## The best step
#
# It makes both errors equal. Up to factors of size 1, one-sided: $\epsilon = u / \epsilon$, so
# $\epsilon = u^{1/2}$; central: $\epsilon^2 = u / \epsilon$, so $\epsilon = u^{1/3}$. Is it so?
# We measure the slope of $\exp$ at many places from 0.5 to 1.5, and take the median error.

# %%
def measured_errors(difference, dtype):
    """Steps, and for each the median of |slope - exp(x)| / exp(x), computed in `dtype`."""
    x = rng.uniform(0.5, 1.5, POINTS).astype(dtype)
    exact = np.exp(x.astype("float64"))
    steps = np.logspace(-15, 0, 61 if FAST else 151).astype(dtype)
    slopes = [difference(np.exp, x, eps) for eps in steps]
    return steps, np.array([np.median(np.abs(slope - exact) / exact) for slope in slopes])


figure = Figure(figsize=(7.5, 4.8), layout="constrained")
axes, ratios = figure.subplots(), []              # of the measured best step to that in theory
print("                    best step: theory  measured  error there")
for dtype, colour in ("float32", COLOURS[1]), ("float64", COLOURS[0]):
    for difference, power, line in ((one_sided, 1 / 2, "--"), (central, 1 / 3, "-")):
        steps, errors = measured_errors(difference, dtype)
        theory, i = float(np.finfo(dtype).eps) ** power, errors.argmin()
        ratios.append(steps[i] / theory)
        name = f"{dtype}, {difference.__name__.replace('_', '-')}"
        print(f"{name:18}             {theory:.0e}     {steps[i]:.0e}        {errors[i]:.0e}")
        axes.loglog(steps, errors, line, color=colour, label=name)
        axes.axvline(theory, color=colour, linestyle=line, lw=0.8, alpha=0.5)
axes.set(xlabel="step eps (in units of x)", ylabel="relative error of the slope", ylim=(1e-12, 10),
         title="The slope of exp by finite differences\n(vertical lines: the best step in theory)")
axes.text(8e-15, 1e-6, "rounding", color="0.4")
axes.text(0.02, 3e-7, "truncation", color="0.4")
axes.legend(loc="lower left")
figure.savefig(FIGURES / "02_do_not_trust_check.png", dpi=100)
print("figure:", FIGURES / "02_do_not_trust_check.png")

# %% [markdown]
# Each curve is a V. Its right arm is truncation, steeper for the central form, and the same in
# both dtypes: blue covers red. Its left arm is rounding, higher in float32. (Where that is flat,
# $x + \epsilon$ is rounded to $x$, and the slope found is 0.) At best float32 has about five
# correct digits, float64 eleven. Hence: **central, float64, and near the best step, eps = 1e-6.**
#
# ## A kink between the two points
#
# `relu(x) = max(x, 0)` and `abs(x)` have a *kink* at 0, where the slope jumps. What does the
# central difference say if the kink lies between its two points, as at $x = 0.3\, \epsilon$?

# %%
print("x / eps   relu: rule  difference   abs: rule  difference")
for place in (-2, -0.5, 0, 0.3, 2):
    x = place * EPS
    a, b = [central(f, x, EPS) for f in (lambda x: max(x, 0.0), abs)]
    print(f"{place:7}{int(x > 0):13}{a:12.2f}{np.sign(x):12.0f}{b:12.2f}")

# %% [markdown]
# relu at $0.3\, \epsilon$: $1.3\, \epsilon / (2 \epsilon) = 0.65$, a mixture of its slopes 0 and 1.
# **The rule is right, and the judge is wrong.** (At 0 there is no slope; the 0 is a convention.)
# A smaller step leaves the kink behind; a wrong rule stays wrong. Better: keep clear of all kinks.
#
# ## The naive version: a gradient check in a dozen lines
#
# A function with many inputs and results has a table of slopes, its *Jacobian*. Finite differences
# give row $i$: how all results move with input $i$. A rule, which gets $g$ and answers for all
# inputs, gives column $j$: let $g$ be 1 for result $j$, else 0. (If we mixed these up, the running
# sum would tell.) *Softmax*, $s_i = e^{x_i} / \sum_k e^{x_k}$, makes positive numbers with the sum
# 1. The slope of $s_j$ by $x_i$ is $s_i (1 - s_i)$ if $j = i$, else $-s_j s_i$. Times $g_j$, added
# up, that is its rule: $s_i\, (g_i - \sum_j g_j s_j)$. We plant a mistake, $g_i s_i (1 - s_i)$: it
# forgets that if one result grows, others shrink. What will be wrong in its Jacobian?

# %%
def numerical(f, x):                              # the Jacobian, (inputs, results), row by row
    return np.stack([central(f, x, EPS, direction) for direction in np.eye(len(x))])


def naive_gradcheck(f, rule, x):
    """Whether a rule is right, to `TOLERANCE` and a thousandth; and its Jacobian, by columns."""
    numeric, out = numerical(f, x), f(x)
    analytic = np.stack([rule(g, out) for g in np.eye(len(out))], axis=1)
    right = np.abs(analytic - numeric) <= TOLERANCE + 1e-3 * np.abs(numeric)
    return bool(right.all()), analytic


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


start, found = np.array([0.5, -1.0, 2.0]), {}
print("finite differences:", numerical(softmax, start).round(3), sep="\n")
for name, f, rule in [("right", softmax, lambda g, out: out * (g - (g * out).sum())),
                      ("planted", softmax, lambda g, out: g * out * (1 - out)),
                      ("running sum's", np.cumsum, lambda g, out: g[::-1].cumsum()[::-1])]:
    found[name], jacobian = naive_gradcheck(f, rule, start)
    print(f"{name} rule, passes: {found[name]}", jacobian.round(3), sep="\n")

# %% [markdown]
# The planted rule is right on the diagonal; who tests one lucky entry sees nothing.
#
# ## One random direction
#
# With a million inputs, nobody waits for a million pairs of evaluations. Instead walk along one
# random direction $d$, all inputs at once: *one* pair. With the *gradient* $G$, all the slopes, it
# must give $\sum_i G_i d_i$. If $G$ is wrong by $e$, this is off by $\sum_i e_i d_i$: for normal
# random $d$ a normal number with standard deviation $|e|$. How often is it below the tolerance, if
# $|e|$ is 1, 10 or 100 tolerances? (Within one standard deviation lie 68.3 % of normal numbers.)

# %%
x = rng.standard_normal(1_000)                    # of f, the sum of x^3 / 3, whose gradient is x^2
directions, missed = rng.standard_normal((TRIES, 1_000)), {}
measured = np.array([central(lambda x: (x ** 3).sum() / 3, x, EPS, d) for d in directions])
print("one entry wrong by    missed  theory")
for size, theory in ((1, 0.683), (10, 0.080), (100, 0.008)):
    wrong = x ** 2 + size * TOLERANCE * (np.arange(1_000) == 0)
    missed[size] = np.mean(np.abs(directions @ wrong - measured) <= TOLERANCE)
    print(f"{size:5} x tolerance {missed[size]:11.1%} {theory:7.1%}")

# %% [markdown]
# A mistake of 100 tolerances escapes one direction in 125, and one pair of them in 16,000. (But a
# direction of ones never sees two entries swapped: take random ones.) So: the whole Jacobian for
# small things, since it names the wrong entry; a few random directions for large ones.
#
# ## In tinygen
#
# `gradcheck` is our naive version for float64 Tensors of any shape. `gradgradcheck` checks order 2:
# rules are made of tinygen's own operations, so they can be differentiated too, by $x$ and by $g$.

# %%
tx, rows = tg.tensor(start, requires_grad=True), run(["relu", "softmax"], CASES, progress=False)
theirs = numerical_jacobian(lambda x: tg.softmax(x, 0), [tx], 0, EPS)
gap = np.abs(theirs - numerical(softmax, start)).max()
print(f"its Jacobian and ours differ by at most {gap:.0e}", table(rows), sep="\n")

# %% [markdown]
# `tinygen check` prints this for all operations, layers and *losses* (what training makes small).
#
# ## Break it
#
# Three wrong rules, as tinygen writes them: our planted one; one with 2 where 3 belongs; one where
# `raw` takes $x$ out of its Tensor: $3 x^2$ is right, but a constant at order 2. Who finds which?

# %%
planted = op(lambda g, out, x: g * out * (1 - out))(softmax)
two_for_three = op(lambda g, out, x: g * 2 * x ** 2)(lambda x: x ** 3)
frozen = op(lambda g, out, x: g * 3 * raw(x) ** 2)(lambda x: x ** 3)
verdicts = [[check(func, tx, raise_exception=False) for check in (gradcheck, gradgradcheck)]
            for func in (planted, two_for_three, frozen)]
print("passes gradcheck, gradgradcheck:", *verdicts)
try:
    gradcheck(planted, tx)
except GradcheckError as error:
    print("of the planted rule gradcheck says:", error)

# %% [markdown]
# The frozen factor passes order 1; the wrong factor order 2, as its rule was differentiated right
# (the planted one reads `out`, whose rule is wrong). Who checks the judge? Put what follows
# `to break it` in its line: that judge refuses right rules too, and is found out. Fear a mild one.
#
# ## Your turn
#
# 1. Let `measured_errors` measure `lambda x: np.exp(x) + 1e6`, which has the same slope. Predict
#    where the Vs go, then look (a check complains). What of a loss with a large constant in it?
# 2. Write the gradient by central differences, and the check along one direction:
#    `python lessons/exercises/02_do_not_trust_check.py` grades you.
# 3. Explain: `gradcheck(lambda x: x * tg.rand(3, dtype="float64"), tx)` fails, with huge slopes by
#    finite differences, and no rule is wrong. (`seeded` in `tinygen/checks/draw.py` is the cure.)

# %%
checks = [
    (abs(central(lambda x: x ** 3, 2.0, 0.1) - 12.01) < 1e-9, "by hand the slope was 12.01"),
    (0.1 < min(ratios) and max(ratios) < 10, "the best steps are where theory puts them"),
    (errors.min() < 1e-9, "the last curve, float64 and central, comes down to nine digits"),
    (abs(central(abs, 0.3 * EPS, EPS) - 0.3) < 1e-6, "across a kink, two slopes are mixed"),
    (list(found.values()) == [True, False, True], "we tell right rules from a wrong one"),
    (abs(missed[1] - 0.683) < 0.1 and missed[100] < 0.05, "directions miss as theory says"),
    (gap < 1e-8 and verdicts == [[False, False], [False, True], [True, False]],
     "tinygen's Jacobian is ours, and only its two checks together find all three mistakes"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 02: {len(checks)} checks passed")
