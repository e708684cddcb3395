"""Floor 6: one page that compares a VAE and a GAN trained on the same images.

`write` draws the pictures and puts them, with the figures and with advice, into a `report.html`
that needs nothing else: the pictures are inside, and nothing is fetched or run. No number or
judgement in it is fixed: each is computed from the models, their histories and the data.
"""

import base64
import html
import math
import pathlib
import statistics

import numpy as np

from . import backend, creation, metrics, plots
from .backend import InputError
from .serialization import write_text
from .tensor import no_grad

MEASURED = 1000         # samples that are measured, against at most as many test images
SEARCHED = 300          # of each, those whose nearest training image is looked for
PAIRS, STEPS = 6, 10    # rows and columns of an interpolation
EQUILIBRIUM = -2 * math.log(2)      # V(D, G) where D is 1/2 (Goodfellow et al. 2014, theorem 1)


def write(out, vae, gan, data, note=""):
    """Write out/report.html and its pictures, of two `train.Run`s on the images of `data`.

    `data` is a Dataset; `note` stands at the top, such as what a quick run has left out. Random
    draws come from `backend.generator`. Returns the advice, a list of sentences. Raises
    `InputError` where the data are not images.
    """
    if not data.is_images:
        raise InputError(f"report: {data.name} holds examples of shape {data.shape}, expected "
                         "images (channels, height, width); compare models on images such as mnist")
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    real = data.test[backend.generator.permutation(len(data.test))[:MEASURED]]
    vae_samples, gan_samples = draw(vae.training, MEASURED), draw(gan.training, MEASURED)
    vae_figures = figures(vae, vae_samples, real, data.train)
    gan_figures = figures(gan, gan_samples, real, data.train)
    train = data.train[backend.generator.permutation(len(data.train))[:len(real)]]
    sentences = closer(vae_figures["judged"], gan_figures["judged"], judged(train, real)) + advice(
        vae_figures, gan_figures)
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    body = [introduction(vae, gan, data, note),
            samples_section(out, real, vae_samples, gan_samples),
            reconstruction_section(out, vae.training, real),
            interpolation_section(out, vae.training, gan.training, real),
            curves_section(out, vae, gan),
            table_section(vae_figures, gan_figures),
            f"<h2>Which one to take</h2><ul>{items}</ul>"]
    write_text(out / "report.html", PAGE.replace("BODY", "\n".join(body)))
    return sentences


# What is measured

def draw(training, n):
    """n samples as an array in the range of the data, clipped to [0, 1] as in a picture."""
    return np.clip(metrics.draw(training, n), 0, 1)


def sharpness(images):
    """The mean absolute difference between neighbouring pixels, over rows and columns."""
    down, across = np.abs(np.diff(images, axis=2)), np.abs(np.diff(images, axis=3))
    return float(down.mean() + across.mean()) / 2


def diversity(images):
    """The mean Euclidean distance of an image to the next, where their order is random."""
    flat = images.reshape(len(images), -1)
    return float(np.linalg.norm(flat - np.roll(flat, 1, axis=0), axis=1).mean())


def nearest(images, train):
    """The mean Euclidean distance of the first SEARCHED images to their nearest one in `train`."""
    flat, size = images[:SEARCHED].reshape(-1, images[0].size), images[0].size
    squared = [metrics.squared_distances(flat, train[rows].reshape(-1, size)).min(axis=1)
               for rows in metrics.chunks(len(train))]
    return float(np.sqrt(np.min(squared, axis=0)).mean())


def figures(run, samples, real, train):
    """{name: number} of one model: last epoch, cost, and `samples` relative to `real` images."""
    def relative(measure, *args):
        reference = measure(real, *args)
        return measure(samples, *args) / reference if reference > 0 else math.nan

    return {**run.history[-1], "parameters": count(run.training.model),
            "seconds": statistics.median([row["seconds"] for row in run.timing] or [math.nan]),
            "sharpness": relative(sharpness), "diversity": relative(diversity),
            "nearest": relative(nearest, train), "judged": judged(samples[:len(real)], real)}


def judged(images, real):
    """What the digit classifier says of `images` beside `real` ones; {} where it cannot judge."""
    if real.shape[1:] != (1, 28, 28) or min(len(real), len(images)) < 4:
        return {}
    return metrics.image_figures(metrics.load_classifier(), images, real)


def closer(vae, gan, floor):
    """Sentences, or none, on what `judged` says of both models and of training images."""
    if not (vae and gan and floor):
        return []
    a, b, least = [f["Frechet distance"] for f in (vae, gan, floor)]
    first, second = ("VAE", "GAN") if a <= b else ("GAN", "VAE")
    said = (f"the samples of the {first} are closer to real images than those of the {second}"
            if abs(a - b) > 0.05 * max(a, b) else "the samples of both are about as close")
    shares = [f"{f['precision']:.0%} and {f['recall']:.0%} for {name}" for f, name in
              ((vae, "the VAE"), (gan, "the GAN"), (floor, "training images"))]
    doubt = ("" if floor["mean confidence"] > 0.9 else " Trust this less: it knows digits, and its "
             f"mean confidence on training images is only {floor['mean confidence']:.2f}.")
    sentences = [f"Judged by the features of a classifier of digits, {said}: the Frechet distances "
                 f"are {a:.0f} (VAE) and {b:.0f} (GAN), where training images have {least:.0f}."
                 + doubt,
                 "The share of samples that look real (precision) and of real images that the "
                 f"samples reach (recall): {', '.join(shares)}."]
    if max(vae["precision"], gan["precision"]) < 0.5 * floor["precision"]:
        sentences.insert(0, "Neither model draws convincing images yet, see precision: train "
                         "longer before you choose, whatever follows.")
    return sentences


def count(module):
    return sum(p.numel() for p in module.parameters())


def advice(vae, gan):
    """Sentences about which model to take for what, from the `figures` of both.

    They are plain ASCII, for any terminal.
    """
    cheap, dear = ("VAE", "GAN") if vae["seconds"] <= gan["seconds"] else ("GAN", "VAE")
    low, high = sorted([vae["seconds"], gan["seconds"]])
    sentences = [
        judge(vae["sharpness"], gan["sharpness"], "crisp images", "sharpness",
              "neighbouring pixels of its samples differ {} times as much as in real test images",
              "noise or edges harder than real ones"),
        judge(vae["diversity"], gan["diversity"], "variety", "diversity",
              "two of its samples lie {} times as far apart as two real test images",
              "images unlike real ones"),
        "To encode or rebuild given images, take the VAE: only it has an encoder. Its test loss, "
        f"{vae['test_loss']:.1f} nats per image, can be compared between runs on the same test "
        f"images. The GAN's V = {gan['test_value']:.2f} says how its two networks stand to each "
        f"other, not how good its samples are. An epoch of the {cheap} took {low:.3g} s, one of "
        f"the {dear} {high:.3g} s."]
    return sentences + [
        f"Look for copies: samples of the {name} are on average only {model['nearest']:.2f} times "
        "as far from the nearest training image as real test images are."
        for name, model in (("VAE", vae), ("GAN", gan)) if model["nearest"] < 0.5]


def judge(vae, gan, aim, quality, meaning, above):
    """One sentence on a quality that is 1 for real images: whose is closer to 1, in the logarithm.

    `meaning` says it with {} for the number, and `above` what it means to be well above 1.
    """
    values = {"VAE": f"{vae:.2f}", "GAN": f"{gan:.2f}"}
    both = f"{values['VAE']} for the VAE and {values['GAN']} for the GAN"
    if not all(0 < x < math.inf for x in (vae, gan)):
        return (f"The {quality} cannot be judged, as the test images or the samples of a model "
                "have none.")
    off = {"VAE": abs(math.log(vae)), "GAN": abs(math.log(gan))}
    best, other = sorted(off, key=off.get)
    equal = off[other] - off[best] < 0.05
    if off[best] > math.log(1.3):
        nearer = "" if equal else f"; the {best} is nearer"
        return (f"Neither model has the {quality} of real images yet: it is {both}, where real "
                f"images have 1.00{nearer}. Train longer before you choose.")
    if equal:
        return (f"For {aim} there is little to choose: the {quality} is {both}, where real images "
                "have 1.00.")
    warning = f" (more than 1.00 means {above})" if max(vae, gan) > 1.1 else ""
    return (f"For {aim} take the {best}: {meaning.format(values[best])}, against {values[other]} "
            f"for the {other}{warning}.")


# The page

def introduction(vae, gan, data, note):
    """The title, what was compared, and the layers."""
    size = " × ".join(map(str, data.shape))
    note = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f"""<h1>A VAE and a GAN on the same images</h1>
<p>A <em>VAE</em> (variational autoencoder) and a <em>GAN</em> (generative adversarial network) both
learn to draw new images like those they were shown; this page compares one of each, trained from
nothing but NumPy by tinygen.</p>
{note}
<p>Both saw the same <b>{len(data.train):,} training images</b> of {html.escape(data.name)}, and are
measured on the same <b>{len(data.test):,} test images</b>, which neither was trained on. An image
has {size} numbers (channels × height × width). {settings("VAE", vae)} {settings("GAN", gan)}
An <em>epoch</em> is one pass over the training images, and <em>latent units</em> are the numbers z
that an image is made from.</p>
<details><summary>Both models layer by layer</summary>{layers("VAE", vae)}{layers("GAN", gan)}
</details>"""


def settings(name, run):
    config, epochs = run.config, run.history[-1]["epoch"]
    architecture = {"conv": "convolutional", "dense": "dense"}[config["architecture"]]
    return (f"The {name} ({architecture}, {config['latent_dim']} latent units, "
            f"{count(run.training.model):,} parameters) was trained for <b>{epochs} "
            f"epoch{'s' * (epochs != 1)}</b> in batches of {config['batch_size']}, with Adam at a "
            f"learning rate of {config['lr']:g}.")


def layers(name, run):
    parts = []
    for part, network in run.training.model.named_children():
        leaves = [module for module in network.modules() if not module.children()]
        items = "".join(f"<li>{html.escape(repr(leaf))}</li>" for leaf in leaves)
        parts.append(f"<p>{name}: {part}, {count(network):,} parameters</p><ol>{items}</ol>")
    return "".join(parts)


def picture(path, caption, pixels=True):
    """The PNG at `path` as an element of the page that carries it inside."""
    data = base64.b64encode(path.read_bytes()).decode()
    caption = html.escape(caption)
    return (f'<figure><img{" class=pixels" * pixels} alt="{caption}" '
            f'src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>')


def side_by_side(*pictures):
    return '<div class="row">' + "".join(pictures) + "</div>"


def samples_section(out, real, vae_samples, gan_samples):
    pictures = []
    for name, caption, images in (("test", "Real test images", real),
                                  ("vae", "Samples of the VAE", vae_samples),
                                  ("gan", "Samples of the GAN", gan_samples)):
        path = out / f"samples_{name}.png"
        plots.save_samples(images[:64], None, path)
        pictures.append(picture(path, caption))
    return f"""<h2>Samples</h2>
<p>New images: z is drawn from a normal distribution, and the VAE's <em>decoder</em> or the GAN's
<em>generator</em> turns it into an image. The first ones are shown, none was picked.</p>
{side_by_side(*pictures)}"""


def reconstruction_section(out, training, real):
    path, originals = out / "reconstructions.png", real[:20]
    rebuilt = training.model.reconstruct(creation.tensor(training.from_data(originals)))
    plots.figure_reconstructions(originals, training.to_data(rebuilt).numpy(), path)
    return f"""<h2>Reconstructions</h2>
<p>The VAE's <em>encoder</em> turns a test image into a code, a point of the latent space, and the
decoder turns the code back into an image. A GAN has no encoder: nothing leads from an image back to
its z, so it has no reconstructions.</p>
{picture(path, "VAE: test images, and below each its reconstruction")}"""


def walks(training, ends, way):
    """Images (PAIRS, STEPS, C, H, W) along the `way` between the points `ends` (2 * PAIRS, L)."""
    steps = np.linspace(0, 1, STEPS).tolist()
    points = np.stack([way(a, b, t) for a, b in zip(ends[0::2], ends[1::2]) for t in steps])
    images = training.to_data(training.model.sample(len(points), z=creation.tensor(points))).numpy()
    return images.reshape(PAIRS, STEPS, *images.shape[1:])


@no_grad()
def interpolation_section(out, vae, gan, real):
    chosen = np.arange(2 * PAIRS) % len(real)       # again from the first, where there are too few
    codes = vae.model.encode(creation.tensor(vae.from_data(real[chosen])))[0].numpy()
    latent = creation.randn(2 * PAIRS, gan.model.latent_dim).numpy()
    left, right = out / "interpolation_vae.png", out / "interpolation_gan.png"
    plots.figure_interpolation(walks(vae, codes, plots.straight), left)
    plots.figure_interpolation(walks(gan, latent, plots.spherical), right)
    return f"""<h2>Interpolations</h2>
<p>Each row walks through the latent space in equal steps. The VAE's rows go in a straight line
(linear interpolation) from the code of one test image to that of another. The GAN's rows go between
two random points on an arc (spherical interpolation): points from a normal distribution of many
dimensions all lie at nearly the same distance from the centre, and a straight line would leave
them for places that the generator was never trained on.</p>
{side_by_side(picture(left, "VAE: between the codes of two test images, straight"),
              picture(right, "GAN: between two random latent points, on an arc"))}"""


CURVES = {    # file: (caption, unit, {column: label}, level)
    "vae_loss": ("VAE: loss, minus the ELBO", "nats per image",
                 {"train_loss": "train", "test_loss": "test"}, None),
    "vae_recon": ("VAE: reconstruction", "nats per image",
                  {"train_recon": "train", "test_recon": "test"}, None),
    "vae_kl": ("VAE: KL", "nats per image", {"train_kl": "train", "test_kl": "test"}, None),
    "gan_value": ("GAN: value V(D, G)", "nats",
                  {"train_value": "train", "test_value": "test"}, ("equilibrium", EQUILIBRIUM)),
    "gan_d": ("GAN: how real D finds real and generated images", "probability",
              {"train_d_real": "D(x), train", "test_d_real": "D(x), test",
               "train_d_fake": "D(G(z)), train", "test_d_fake": "D(G(z)), test"},
              ("equilibrium", 0.5)),
    "gan_norms": ("GAN: gradients in training", "norm",
                  {"train_grad_norm_d": "discriminator", "train_grad_norm_g": "generator"}, None)}


def curves_section(out, vae, gan):
    cross_entropy = """ It is the cross-entropy of grey pixels, each taken as the chance of being
white, so it is on another scale than figures for black and white pixels."""
    pictures = []
    for name, (caption, unit, columns, level) in CURVES.items():
        path, run = out / f"curve_{name}.png", gan if name.startswith("gan") else vae
        plots.figure_curves(run.history, columns, path, unit, level)
        pictures.append(picture(path, caption, pixels=False))
    return f"""<h2>Training</h2>
<p>The VAE lowers its <em>loss</em>, which is minus the <em>ELBO</em> (evidence lower bound). The
ELBO is never above the logarithm of the probability that the model gives to an image. The loss is
the sum of two parts. <em>Reconstruction</em> says how badly an image is rebuilt from its
code.{cross_entropy * (vae.config["likelihood"] == "bernoulli")}
<em>KL</em> (Kullback-Leibler divergence) says how far the codes of single images are from the
normal distribution that z is drawn from. Lower is better for the sum; the two parts trade with each
other. All are in <em>nats</em>, the unit of the natural logarithm (one nat is 1.44 bits). A point
of “train” is the mean over an epoch, while the model still changed; “test” is taken after it.</p>
{side_by_side(*pictures[:3])}
<p>The GAN plays a game. Its <em>discriminator</em> D gives the probability that an image is real.
It raises the value V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))], and the generator G works against
it; x is a real image, G(z) a generated one, and E the mean. When nobody can tell them apart, D is
1/2 everywhere and V is -2 log 2 = {EQUILIBRIUM:.3f} (the dashed lines). The nearer V is to 0, the
more surely the discriminator wins. A good curve here is one that settles, not one that falls. Batch
norm, in a network that has it, works differently in training and in use, so “train” and “test” may
lie apart. The norm of a gradient says how hard a network is being pushed.</p>
{side_by_side(*pictures[3:])}"""


def table_section(v, g):
    """The table of the `figures` of the VAE and of the GAN."""
    def measure(name):
        return ["cannot be judged" if math.isnan(f[name]) else f"{f[name]:.2f}" for f in (v, g)]
    none, nats = "has none", "nats per image"
    rows = [("Parameters", f"{v['parameters']:,}", f"{g['parameters']:,}"),
            ("Epochs", v["epoch"], g["epoch"]),
            ("Seconds per epoch (median)", f"{v['seconds']:.3g}", f"{g['seconds']:.3g}"),
            ("Loss, training, mean of the last epoch", f"{v['train_loss']:.2f} {nats}",
             f"discriminator {g['train_loss']:.3f} nats, "
             f"generator {g['train_generator_loss']:.3f} nats"),
            ("Loss, test images", f"{v['test_loss']:.2f} {nats}",
             f"discriminator {g['test_loss']:.3f} nats"),
            ("ELBO, test images", f"{v['test_elbo']:.2f} {nats}", none),
            ("Reconstruction, test images", f"{v['test_recon']:.2f} {nats}", none),
            ("KL, test images", f"{v['test_kl']:.2f} {nats}", none),
            ("V(D, G), test images", none, f"{g['test_value']:.3f} nats"),
            ("D(x), test images", none, f"{g['test_d_real']:.3f}"),
            ("D(G(z)), new samples", none, f"{g['test_d_fake']:.3f}"),
            ("Sharpness", *measure("sharpness")),
            ("Diversity", *measure("diversity")),
            ("Distance to training images", *measure("nearest"))]
    rows += [(f"{name}, by the digit classifier", f"{v['judged'][name]:.3g}",
              f"{g['judged'][name]:.3g}") for name in v["judged"]]
    cells = "\n".join(f"<tr><th scope=row>{name}</th><td>{a}</td><td>{b}</td></tr>"
                      for name, a, b in rows)
    judgements = "".join(f"<li><b>{name}</b>: {metrics.MEANING[name]}.</li>"
                         for name in v["judged"])
    return f"""<h2>Figures</h2>
<div class="wide"><table><tr><th></th><th scope=col>VAE</th><th scope=col>GAN</th></tr>
{cells}</table></div>
<p>The losses of the two mean different things and cannot be held against each other. The rows from
sharpness on can: they are the same measures for both, taken from {MEASURED:,} samples. The first
three are relative to real test images, which have 1.00; they are rough, as they see pixels and not
what is shown. <code>tinygen evaluate</code> measures as many samples as there are test images, up
to 10,000.</p>
<ul><li><b>Sharpness</b>: how much neighbouring pixels differ on average. Below 1 is blur; above 1
is noise, or edges harder than real ones.</li>
<li><b>Diversity</b>: the mean Euclidean distance between two random samples. Far below 1, a model
draws the same few images again and again (<em>mode collapse</em>); pale or blurred images lower it,
too.</li>
<li><b>Distance to training images</b>: the mean Euclidean distance from a sample to the nearest of
all training images, over {SEARCHED} samples. Near 0, the model copies what it was shown; pale or
blurred images lower it, too.</li>{judgements}</ul>"""


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A VAE and a GAN on the same images</title>
<style>
:root { color-scheme: light dark; }
body { max-width: 64rem; margin: 0 auto; padding: 1rem; font: 1rem/1.55 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; } p, li { max-width: 46rem; }
.note { border-left: .4rem solid #d9822b; padding: .6rem 1rem; font-weight: bold; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { flex: 1 1 17rem; margin: 0 0 1rem; } figcaption { font-size: .9rem; opacity: .8; }
img { width: 100%; height: auto; border-radius: .3rem; background: white; }
.pixels { image-rendering: pixelated; } .wide { overflow-x: auto; } table { border-spacing: 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0;
  border-bottom: 1px solid #8886; }
details li { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
</style>
</head><body>
BODY
</body></html>
"""
