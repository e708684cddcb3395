# %% [markdown]
# # Lesson 14: Two networks, one value function
#
# **Question.** What does a discriminator learn, and what does the generator hear from it?
#
# **Know first.** Lessons 04 (training, logits) and 06 (Adam), and what a probability density is.
#
# **Read beside.** `tinygen/gan.py`: the losses, and `GANTraining.step`.
#
# **Time.** About 25 seconds; the fast form takes 6.
#
# **Ends with.** `lesson 14: 6 checks passed`

# %%
import os
import pathlib

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinygen as tg
from tinygen import gan, nn, optim, plots
from tinygen.datasets import ring, ring_modes

FAST = os.environ.get("TINYGEN_FAST") == "1"      # the short form, for a first look
FIGURES = pathlib.Path(globals().get("__file__", "notebook")).parent / "figures"
FIGURES.mkdir(exist_ok=True)
ALONE, STEPS, FRAME, BAR = (500, 600, 200, -0.8) if FAST else (2_000, 3_000, 100, -1.3)
RING = {"modes": 4, "radius": 2.0, "sigma": 0.3}  # the real points: four clouds on a circle
ADAM = {"lr": 2e-3, "betas": (0.5, 0.999)}        # betas: what m and v keep a step (lesson 06)
tg.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## One value, two players
#
# In a *GAN* (generative adversarial network) a *generator* $G$ turns noise $z$ into examples, and a
# *discriminator* $D$ gives the probability that one is real (Goodfellow et al. 2014). They play for
#
# $$V(D, G) = E_x[\log D(x)] + E_z[\log(1 - D(G(z)))] \qquad \text{(eq. 1)}.$$
#
# $D$ wants it high, $G$ low ($E$ is a mean). What is the best that $D$ can do against a fixed $G$?
# Look at one place $x$, where the real points have density $p$ and the made ones density $g$. It
# adds $p \log D + g \log(1 - D)$ to $V$. The slope of that, $p / D - g / (1 - D)$, is zero at
#
# $$D^* = \frac{p}{p + g}, \qquad \text{so its logit is} \quad
#   \log \frac{D^*}{1 - D^*} = \log p - \log g \qquad \text{(proposition 1)}.$$
#
# The best discriminator knows the *ratio of the two densities*. By hand, $p = 0.3$ and $g = 0.1$
# give $D^* = 0.75$. Where both are equal it can only say 1/2. What is $V$, if that is everywhere?

# %%
d = np.arange(1, 100) / 100
best = d[np.argmax(0.3 * np.log(d) + 0.1 * np.log(1 - d))]
print(f"of 99 values of D the best is {best:.2f}; D = 1/2 gives V = {2 * np.log(0.5):.3f}")

# %% [markdown]
# ## The naive version: a game of four numbers
#
# The real points are numbers from $N(1, 1)$. The generator has two weights, $G(z) = m + s z$, and
# starts as $N(0, 1)$. There $\log p - \log g = -(x - 1)^2 / 2 + x^2 / 2 = x - 1/2$ by hand, a
# straight line. So a discriminator with the logit $w_0 + w_1 x$ is enough (as long as $s = 1$).
#
# A round has two steps. First $D$ climbs $V$; by the logit, $\log D$ has the slope $1 - D$ and
# $\log(1 - D)$ the slope $-D$. Then $G$ climbs $\log D(G(z))$: it moves its points to where $D$ is
# higher. (Why it does not descend $V$ itself, you will see.) Will tinygen find the same numbers?

# %%
def probability(logits):
    return 1 / (1 + np.exp(-logits))

def naive_round(w, m, s, x, z):
    """One step of each player, on the real x (N,) and the noise z (N,). w, m, s afterwards."""
    fake = m + s * z
    d_real, d_fake = [probability(w[0] + w[1] * points) for points in (x, fake)]
    w = w + 0.1 * np.array([(1 - d_real).mean() - d_fake.mean(),
                            ((1 - d_real) * x).mean() - (d_fake * fake).mean()])
    push = (1 - probability(w[0] + w[1] * fake)) * w[1]       # by the new D: where to go
    return w, m + 0.1 * push.mean(), s + 0.1 * (push * z).mean()

networks = nn.Linear(1, 1).double(), nn.Linear(1, 1).double()
for p, start in zip([*networks[0].parameters(), *networks[1].parameters()], (1, 0, 0, 0)):
    nn.init.constant_(p, start)                   # s = 1, m = 0, and D knows nothing
training = gan.GANTraining(gan.GAN(*networks, latent_dim=1), image=False)
training.optimizers = [optim.SGD(network.parameters(), lr=0.1) for network in networks[::-1]]
w, m, s = np.zeros(2), 0.0, 1.0
for _ in range(200):
    x, z = rng.normal(1, 1, 64), rng.normal(size=64)
    training.noise_for = lambda real: tg.tensor(z[:, None])   # the same noise for both
    training.step(tg.tensor(x[:, None]))
    w, m, s = naive_round(w, m, s, x, z)
theirs = np.concatenate([p.detach().numpy().ravel() for p in training.model.parameters()])
gap = abs(theirs - [s, m, w[1], w[0]]).max()
print(f"after 200 rounds m = {m:.2f}, s = {s:.2f} (real: 1, 1); tinygen's differ by {gap:.0e}")

# %% [markdown]
# ## In the plane, with a real network
#
# Now the real points lie in four clouds, the made ones, 0.6 times $N(0, 1)$, in the middle. Both
# densities are known, but not to the network. How near will it come to $p / (p + g)$?
#
# And what would $G$ hear meanwhile? It learns from the slope of its loss by the logit $l$ of a made
# point. To descend $V$ (the *minimax* loss) that slope is $-D$. The form used above,
# $-\log D(G(z))$, is called *non-saturating*; its slope is $-(1 - D)$. By hand: $-1/2$ for both at
# $l = 0$; at $l = -10$, where $D$ is sure of a fake, $-0.000045$ against $-1$. From $l$ the chain
# rule goes on to the point: the gradient there is its *push*. How long will a typical push be?

# %%
def best_logits(x):
    """log p - log g at the points x (N, 2): four Gaussians against one."""
    squared = ((x[:, None] - ring_modes(4, 2.0)) ** 2).sum(axis=2)
    log_p = np.logaddexp.reduce(-squared / (2 * RING["sigma"] ** 2), axis=1)
    log_g = -(x ** 2).sum(axis=1) / (2 * 0.6 ** 2)
    return log_p - log_g + np.log(0.6 ** 2 / (4 * RING["sigma"] ** 2))        # 2 pi cancels

def logits_of(network, x):
    return network(tg.tensor(x)).detach().numpy()[:, 0]

alone = gan.dense_gan((2,), hidden=64).discriminator
optimizer = optim.Adam(alone.parameters(), **ADAM)
heard, losses = [], (gan.minimax_generator_loss, gan.generator_loss)
x = np.concatenate([ring(5_000, **RING), 0.6 * rng.normal(size=(5_000, 2)).astype(np.float32)])
for step in range(ALONE + 1):
    if step % 50 == 0:
        points = tg.tensor(x[5_000:], requires_grad=True)
        slopes = [tg.grad(5_000 * loss(alone(points)), points)[0].numpy() for loss in losses]
        heard.append(np.median(np.linalg.norm(slopes, axis=2), axis=1))    # the median length
    real, made = tg.tensor(ring(256, **RING)), 0.6 * tg.randn(256, 2)
    loss = gan.discriminator_loss(alone(real), alone(made))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
logits = np.stack([best_logits(x), logits_of(alone, x)])
value = [-gan.discriminator_loss(*tg.tensor(pair)).item() for pair in logits.reshape(2, 2, -1)]
off, (minimax, steep) = abs(np.diff(probability(logits), axis=0)).mean(), np.array(heard).T
print(f"V: best D {value[0]:.3f}, trained D {value[1]:.3f}; they differ by {off:.3f} on average")
for name, push in ("minimax", minimax), ("non-saturating", steep):
    print(f"{name} loss: the typical push is {push[0]:.4f} at first, {push[-1]:.4f} at the end")

# %% [markdown]
# The network comes close, and never above the formula (where there are no points it has learned
# nothing). The best $V$ is above $-\log 4 = -1.386$, and further the less $p$ and $g$ overlap: by
# twice their *Jensen-Shannon divergence* (theorem 1). But once $D$ is sure of the fakes, the
# minimax loss is quiet: it *saturates*. So the paper and tinygen train $G$ with the other.
#
# ## Break it: forget one `detach`
#
# Now both play. Each network may change by its own loss only. Two gates see to that: $D$ gets the
# made points detached, so that its loss does not reach $G$; and it is frozen for $G$'s loss. If the
# first gate is left open, $G$ hears both losses, and $D$'s has the slope $+D$ at a made point: "be
# easy to tell". By hand the sum is $2 D - 1$: nothing where $D = 1/2$, and *away* from the real
# points where $D$ is higher. With the minimax loss it is $-D + D = 0$. Where will $V$ end?

# %%
def play(loss, detach):
    """The whole game. Returns the model, V near the end, and how far G's first weights moved."""
    tg.manual_seed(1)
    model, history = gan.dense_gan((2,), hidden=64), []
    D, G = model.discriminator, model.generator
    start = G[0].weight.detach().numpy().copy()
    optimizer_d, optimizer_g = [optim.Adam(net.parameters(), **ADAM) for net in (D, G)]
    for step in tqdm(range(STEPS + 1), desc=loss):
        if (loss, detach) == ("non-saturating", True) and step % FRAME == 0:
            moments[f"step {step}"] = {k: p.numpy().copy() for k, p in model.state_dict().items()}
        real, fake = tg.tensor(ring(256, **RING)), G(tg.randn(256, 2))
        seen = fake.detach() if detach else fake  # to break it: seen = fake
        loss_d = gan.discriminator_loss(D(real), D(seen))
        D.requires_grad_(False)                   # the second gate, for one line
        loss_g = gan.GENERATOR_LOSSES[loss](D(fake))
        D.requires_grad_(True)
        optimizer_d.zero_grad(), optimizer_g.zero_grad()
        (loss_d + loss_g).backward()              # one pass, both by the same D
        optimizer_d.step(), optimizer_g.step()
        history.append(-loss_d.item())
    moved = abs(G[0].weight.detach().numpy() - start).max()
    return model, np.mean(history[-STEPS // 10:]), moved

games, moments = {}, {}                           # moments: the weights, for the pictures below
print("loss            detach     V at the end   G moved by")
for loss, detach in [(loss, detach) for detach in (True, False) for loss in gan.GENERATOR_LOSSES]:
    model, end, moved = games[loss, detach] = play(loss, detach)
    print(f"{loss:15} {'done' if detach else 'forgotten':9} {end:13.3f} {moved:12.3f}")

# %% [markdown]
# In the full run with `detach`, $V$ ends near $-1.386$: this $D$ can tell no more (a fresh one
# could). Without it $V$ stays above, and clouds go missing (last panel). With the minimax loss $G$
# stands still, and $D$ wins. No loss was `nan`. Look for $V = -\log 4$; ignorance gives it, too.
#
# Blue: $D$ says real; red: made. Dots are real points, crosses made ones (even at the end narrower
# than the clouds). `figures/14_two_networks_one_value.gif` shows the whole game.

# %%
frames = []
for name, state in tqdm(moments.items(), desc="frames"):
    model.load_state_dict(state)
    frames.append(FIGURES / f"14 {name}.png")
    plots.figure_surface(lambda x: probability(logits_of(model.discriminator, x)),
                         model.sample(500).numpy(), ring(500, **RING), frames[-1])
plots.save_animation(frames, FIGURES / "14_two_networks_one_value.gif")
for frame in frames:
    frame.unlink()

figure = Figure(figsize=(10, 6.6), layout="constrained")
axes, ticks = figure.subplots(2, 3).ravel(), np.linspace(-3.2, 3.2, 70)
plane = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2).astype(np.float32)
panels = [("the best D: p / (p + g)", best_logits(plane), made.numpy()[:200]),
          (f"the trained D, {ALONE} steps", logits_of(alone, plane), made.numpy()[:200])]
moments["detach forgotten"] = games["non-saturating", False][0].state_dict()
for title in f"step {2 * FRAME}", f"step {STEPS}", "detach forgotten":
    model.load_state_dict(moments[title])
    surface = logits_of(model.discriminator, plane)
    panels.append((f"both play, {title}", surface, model.sample(200).numpy()))
for panel, (title, surface, points) in zip([*axes[:2], *axes[3:]], panels):
    panel.contourf(ticks, ticks, probability(surface).reshape(70, 70), cmap="RdBu",
                   levels=np.linspace(0, 1, 11), alpha=0.7)
    panel.scatter(*ring(200, **RING).T, s=3, color="0.35", linewidths=0)
    panel.scatter(*points.T, s=6, color="black", marker="x", lw=0.6)
    panel.set(title=title, aspect="equal", xticks=[], yticks=[], xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
axes[2].semilogy(np.arange(len(steep)) * 50, np.stack([steep, minimax], axis=1),
                 label=["non-saturating", "minimax"])
axes[2].set(title="what a typical point hears", xlabel="steps of D alone", ylabel="push")
axes[2].legend()
figure.savefig(FIGURES / "14_two_networks_one_value.png", dpi=75)
print("figure:", FIGURES / "14_two_networks_one_value.png")

# %% [markdown]
# ## Your turn
#
# 1. Change a number: make the clouds wider, `"sigma": 0.6`. What becomes of the best $V$ and of the
#    two pushes (one check will complain), and why?
# 2. Write the best discriminator and the two slopes:
#    `python lessons/exercises/14_two_networks_one_value.py` grades you.
# 3. Explain: without `.detach()` in `GANTraining.step` tinygen stops. Why did our loop not stop?

# %%
checks = [
    (abs(best - 0.75) < 1e-9, "at one place the best D is p / (p + g)"),
    (gap < 1e-10, "200 rounds of the game in NumPy are tinygen's"),
    (value[0] - 0.08 < value[1] < value[0] + 0.005 and off < 0.06,
     "in the plane D comes near p / (p + g), and not above its value"),
    (minimax[-1] < 0.3 * minimax[0] and steep[-1] > steep[0], "only the minimax push fades"),
    (max(games[loss, True][1] for loss in gan.GENERATOR_LOSSES) < BAR,
     "with detach, V falls towards -log 4 by either loss"),
    (games["minimax", False][2] < 1e-4 and games["minimax", False][1] > -0.1
     and games["non-saturating", False][1] > -1.3, "without detach, no game ends at -log 4"),
]
for passed, reason in checks:
    assert passed, reason
print(f"lesson 14: {len(checks)} checks passed")
