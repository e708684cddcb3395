"""The page that compares two models: whole in itself, true to its data, and its advice moves."""

import base64
import html.parser
import io
import math
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from tinygen import backend, datasets, gan, metrics, plots, report, vae
from tinygen.backend import InputError
from tinygen.tensor import Tensor
from tinygen.train import Run


def dataset(seed=0, shape=(1, 28, 28), name="noise <b>&"):
    rng = np.random.default_rng(seed)
    return datasets.Dataset(name, rng.random((40, *shape), np.float32),
                            rng.random((12, *shape), np.float32))


def run(training, data, epochs=2, seconds=1.5):
    """A `Run` of a few steps, with the rows that the training loop would have written."""
    history = []
    for epoch in range(1, epochs + 1):
        train = training.step(Tensor(training.from_data(data.train)))
        training.model.eval()
        test = training.evaluate(Tensor(training.from_data(data.test)))
        training.model.train()
        history.append({"epoch": epoch, "step": epoch,
                        **{f"train_{k}": v for k, v in train.items()},
                        **{f"test_{k}": v for k, v in test.items()}})
    training.model.eval()
    config = {"architecture": "dense", "latent_dim": training.model.latent_dim, "batch_size": 40,
              "lr": 1e-3, "likelihood": "bernoulli"}
    timing = [{"epoch": i, "seconds": seconds * i} for i in range(1, epochs + 1)]
    return Run(training, config, history, timing)


def models(data, epochs=2):
    backend.manual_seed(3)
    return (run(vae.VAETraining(vae.dense_vae(data.shape, 4, hidden=8)), data, epochs),
            run(gan.GANTraining(gan.dense_gan(data.shape, 5, hidden=8)), data, epochs, seconds=4))


def numbers_in(*sizes):
    """The weights and biases of dense layers from each size to the next."""
    return sum((rows + 1) * columns for rows, columns in zip(sizes, sizes[1:]))


PARAMETERS = (numbers_in(784, 8, 2 * 4) + numbers_in(4, 8, 784),
              numbers_in(5, 8, 8, 784) + numbers_in(784, 8, 8, 1))


@pytest.fixture(scope="module")
def drawn():
    """Of the report that is `written`: {name of a picture: what was drawn in it}.

    And under each model's class the list of (z or None, images) of all calls of its `sample`.
    """
    return {vae.VAE: [], gan.GAN: []}


@pytest.fixture(scope="module")
def written(tmp_path_factory, drawn):
    """(folder, text of the page, advice, the two runs) of one report."""
    out, data = tmp_path_factory.mktemp("report") / "new" / "folder", dataset()
    runs = models(data)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("save_samples", "figure_reconstructions", "figure_interpolation",
                     "figure_curves"):
            def draw(*args, draw=getattr(plots, name)):
                path, = [arg for arg in args if isinstance(arg, pathlib.Path)]
                drawn[path.name] = [arg for arg in args if arg is not path]
                draw(*args)
            patch.setattr(plots, name, draw)
        for model in (vae.VAE, gan.GAN):
            def sample(self, n, temperature=1.0, z=None, sample=model.sample):
                images = sample(self, n, temperature, z)
                drawn[type(self)].append((z, images.numpy()))
                return images
            patch.setattr(model, "sample", sample)
        sentences = report.write(out, *runs, data, "quick <run> & more")
    return out, (out / "report.html").read_text(encoding="utf-8"), sentences, runs


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order, and collects attributes, elements and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_nothing_from_outside(written):
    page = Page(written[1])
    sources = [value for name, value in page.attributes
               if name in ("src", "href", "srcset", "data")]
    assert len(sources) == 12 and all(s.startswith("data:image/png;base64,") for s in sources)
    text = re.sub('"data:[^"]*"', "", written[1])
    assert not re.search(r"http|//|url\(|@import", text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert ("name", "viewport") in page.attributes and "color-scheme: light dark" in text


CAPTIONS = {
    "samples_test": "Real test images", "samples_vae": "Samples of the VAE",
    "samples_gan": "Samples of the GAN",
    "reconstructions": "VAE: test images, and below each its reconstruction",
    "interpolation_vae": "VAE: between the codes of two test images, straight",
    "interpolation_gan": "GAN: between two random latent points, on an arc",
    "curve_vae_loss": "VAE: loss, minus the ELBO", "curve_vae_recon": "VAE: reconstruction",
    "curve_vae_kl": "VAE: KL", "curve_gan_value": "GAN: value V(D, G)",
    "curve_gan_d": "GAN: how real D finds real and generated images",
    "curve_gan_norms": "GAN: gradients in training"}


def test_the_pictures_are_all_inside_and_valid_each_with_its_own_caption(written):
    out, text, *_ = written
    names = {path.read_bytes(): path.stem for path in out.glob("*.png")}
    figures = re.findall(r'alt="([^"]*)" src="data:image/png;base64,([^"]*)">'
                         "<figcaption>([^<]*)</figcaption>", text)
    inside = {base64.b64decode(data): (alt, caption) for alt, data, caption in figures}
    assert {names[data]: captions for data, captions in inside.items()} == {
        name: (caption, caption) for name, caption in CAPTIONS.items()}
    for data in inside:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.format == "PNG" and min(image.size) > 50


def test_names_and_notes_are_escaped(written):
    page = Page(written[1])
    assert "noise <b>&" in page.text and "quick <run> & more" in page.text
    assert "run" not in page.tags and ("class", "note") in page.attributes


def test_the_page_says_what_was_compared(written):
    text, (v, g) = " ".join(Page(written[1]).text.split()), written[3]
    for part in ("40 training images", "12 test images", "2 epochs", "batches of 40", "encoder",
                 "Linear(in_features=784, out_features=8, bias=True)", "discriminator",
                 *[f"{n:,} parameters" for n in PARAMETERS],
                 f"{v.history[-1]['test_loss']:.2f} nats per image",
                 f"{v.history[-1]['test_kl']:.2f} nats per image",
                 f"{g.history[-1]['test_value']:.3f} nats", "-1.386", "2.25", "no reconstructions"):
        assert part in text, part
    assert "mean over an epoch" in text and "cross-entropy" in text
    assert "cannot be judged" not in text


def new_samples(drawn):
    """What both models drew from random z, as in a picture, and the test images beside them."""
    made = [np.concatenate([images for z, images in drawn[model] if z is None])
            for model in (vae.VAE, gan.GAN)]
    return made[0], (made[1] + 1) / 2, drawn["samples_test.png"][0]


def test_the_images_are_those_of_the_model_that_the_caption_names(written, drawn):
    v_samples, g_samples, real = new_samples(drawn)
    model = written[3][0].training.model
    assert {x.tobytes() for x in real} == {x.tobytes() for x in dataset().test} and len(real) == 12
    assert np.array_equal(drawn["samples_vae.png"][0], v_samples[:64])
    assert np.array_equal(drawn["samples_gan.png"][0], g_samples[:64])
    originals, rebuilt = drawn["reconstructions.png"]
    assert np.array_equal(originals, real)
    assert np.array_equal(rebuilt, model.reconstruct(Tensor(real)).numpy())


def test_the_walk_of_the_vae_is_straight_and_that_of_the_gan_on_an_arc(written, drawn):
    """At the share t of an arc is (sin((1 - t) w) a + sin(t w) b) / sin w, w between a and b."""
    (points, straight), (latent, arc) = [
        call for model in (vae.VAE, gan.GAN) for call in drawn[model] if call[0] is not None]
    t = np.linspace(0, 1, 10)
    mu, _ = written[3][0].training.model.encode(Tensor(drawn["samples_test.png"][0]))
    codes = mu.detach().numpy()
    expected = codes[0::2, None] * (1 - t)[:, None] + codes[1::2, None] * t[:, None]
    np.testing.assert_allclose(points.numpy().reshape(6, 10, 4), expected, atol=1e-6)
    for walk in latent.numpy().reshape(6, 10, 5):
        a, b = walk[0], walk[-1]
        angle = math.acos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
        share = np.linalg.lstsq(np.stack([a, b], axis=1), walk.T, rcond=None)[0]
        expected = np.sin([(1 - t) * angle, t * angle]) / math.sin(angle)
        np.testing.assert_allclose(share, expected, atol=1e-5)
    for name, images in ("vae", straight), ("gan", (arc + 1) / 2):
        shown, = drawn[f"interpolation_{name}.png"]
        assert np.array_equal(shown, images.reshape(6, 10, 1, 28, 28))


def test_the_curves_show_what_their_captions_say(written, drawn):
    def both(name):
        return {f"train_{name}": "train", f"test_{name}": "test"}

    v, g = [run.history for run in written[3]]
    half = {f"{part}_d_{name}": f"{label}, {part}" for name, label in
            (("real", "D(x)"), ("fake", "D(G(z))")) for part in ("train", "test")}
    norms = {"train_grad_norm_d": "discriminator", "train_grad_norm_g": "generator"}
    expected = {
        "vae_loss": [v, both("loss"), "nats per image", None],
        "vae_recon": [v, both("recon"), "nats per image", None],
        "vae_kl": [v, both("kl"), "nats per image", None],
        "gan_value": [g, both("value"), "nats", ("equilibrium", pytest.approx(math.log(1 / 4)))],
        "gan_d": [g, half, "probability", ("equilibrium", 0.5)],
        "gan_norms": [g, norms, "norm", None]}
    assert {name[6:-4]: args for name, args in drawn.items()
            if str(name).startswith("curve")} == expected


def test_every_row_of_the_table(written, drawn):
    (v, g), (v_samples, g_samples, real) = written[3], new_samples(drawn)
    a, b, none = v.history[-1], g.history[-1], "has none"

    def relative(measure, *args):
        return tuple(f"{measure(x, *args) / measure(real, *args):.2f}"
                     for x in (v_samples, g_samples))

    expected = {
        "Parameters": tuple(f"{n:,}" for n in PARAMETERS), "Epochs": ("2", "2"),
        "Seconds per epoch (median)": ("2.25", "6"),
        "Loss, training, mean of the last epoch": (
            f"{a['train_loss']:.2f} nats per image", f"discriminator {b['train_loss']:.3f} nats, "
            f"generator {b['train_generator_loss']:.3f} nats"),
        "Loss, test images": (f"{a['test_loss']:.2f} nats per image",
                              f"discriminator {b['test_loss']:.3f} nats"),
        "ELBO, test images": (f"{-a['test_loss']:.2f} nats per image", none),
        "Reconstruction, test images": (f"{a['test_recon']:.2f} nats per image", none),
        "KL, test images": (f"{a['test_kl']:.2f} nats per image", none),
        "V(D, G), test images": (none, f"{-b['test_loss']:.3f} nats"),
        "D(x), test images": (none, f"{b['test_d_real']:.3f}"),
        "D(G(z)), new samples": (none, f"{b['test_d_fake']:.3f}"),
        "Sharpness": relative(report.sharpness), "Diversity": relative(report.diversity),
        "Distance to training images": relative(report.nearest, dataset().train)}
    judged = [metrics.image_figures(metrics.load_classifier(), x[:12], real)
              for x in (v_samples, g_samples)]
    expected |= {f"{name}, by the digit classifier": tuple(f"{found[name]:.3g}" for found in judged)
                 for name in judged[0]}
    found = re.findall("<th scope=row>([^<]+)</th><td>([^<]+)</td><td>([^<]+)</td>", written[1])
    assert {name: cells for name, *cells in found} == {n: [*cells] for n, cells in expected.items()}


def test_the_order_of_the_page(written):
    titles = re.findall("<h2>(.*?)</h2>", written[1])
    assert titles == ["Samples", "Reconstructions", "Interpolations", "Training", "Figures",
                      "Which one to take"]


def test_advice_is_on_the_page_and_can_be_printed_anywhere(written):
    _, text, sentences, (v, g) = written
    assert 3 <= len(sentences) <= 8
    assert all(sentence in Page(text).text and sentence.isascii() for sentence in sentences)
    cost, = [sentence for sentence in sentences if "only it has an encoder" in sentence]
    assert f"{v.history[-1]['test_loss']:.1f} nats" in cost
    assert "VAE took 2.25 s, one of the GAN 6 s" in cost


def test_the_same_seed_gives_the_same_page_and_other_data_another(tmp_path, written):
    pages, advice = [], []
    for name, data in (("a", dataset()), ("b", dataset(1)), ("c", dataset())):
        runs = models(data)
        advice.append(report.write(tmp_path / name, *runs, data, "quick <run> & more"))
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[2] == written[1].encode() != pages[1]
    assert advice[0] == advice[2] != advice[1]


def test_odd_data(tmp_path):
    rng = np.random.default_rng(0)
    only = np.ones((1, 3, 28, 28), np.float32)     # one uniform test image, in colour
    data = datasets.Dataset("odd", rng.random((3, 3, 28, 28), np.float32), only)
    sentences = report.write(tmp_path, *models(data, epochs=1), data)
    assert sum("cannot be judged" in sentence for sentence in sentences) == 2
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "cannot be judged" in text and "1 epoch in" in text


def test_points_are_refused(tmp_path):
    data = datasets.Dataset("ring", np.zeros((4, 2)), np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"ring holds examples of shape \(2,\), expected images"):
        report.write(tmp_path, None, None, data)
    assert not list(tmp_path.iterdir())


# The measures, by hand

def test_sharpness_and_diversity_by_hand():
    stripes = np.zeros((2, 1, 4, 4), np.float32)
    stripes[..., ::2] = 1                 # every step across is 1, every step down 0
    assert report.sharpness(stripes) == 0.5
    pair = np.stack([np.zeros((1, 2, 2)), np.ones((1, 2, 2))])
    assert report.diversity(pair) == 2 and report.diversity(stripes) == 0


@pytest.mark.parametrize("n", [7, 20_500])
def test_nearest_against_every_distance(n):
    rng = np.random.default_rng(0)
    images, train = rng.random((5, 1, 2, 3)), rng.random((n, 1, 2, 3))
    train[-1] = images[0] + 1e-3          # in the last piece
    every = np.linalg.norm((images[:, None] - train[None]).reshape(5, n, 6), axis=2)
    assert report.nearest(images, train) == pytest.approx(every.min(axis=1).mean(), rel=1e-12)


def test_a_copy_lies_at_no_distance_and_real_images_measure_one(written):
    data, v = dataset(), written[3][0]
    copies = report.figures(v, data.train, data.test, data.train)
    assert copies["nearest"] < 0.01 and copies["seconds"] == 2.25
    same = report.figures(v, data.test, data.test, data.train)
    assert (same["sharpness"], same["diversity"], same["nearest"]) == (1, 1, 1)


def test_spherical_interpolation():
    a, b = np.array([2.0, 0, 0]), np.array([0, 2.0, 0])
    for t in (0, 0.1, 0.3, 0.5, 0.8, 1):
        at = [2 * math.cos(t * math.pi / 2), 2 * math.sin(t * math.pi / 2), 0]
        np.testing.assert_allclose(plots.spherical(a, b, t), at, rtol=1e-12, atol=1e-12)
    for other in (a, -a, 3 * a):      # no single arc
        np.testing.assert_allclose(plots.spherical(a, other, 0.25), 0.75 * a + 0.25 * other, 1e-12)


def test_grey_images_of_28_x_28_are_judged_by_the_digit_classifier(written, tmp_path):
    _, text, sentences, _ = written
    rows = re.findall(r"<th scope=row>([^<]+), by the digit classifier</th><td>([^<]+)</td>"
                      r"<td>([^<]+)</td>", text)
    assert [name for name, _, _ in rows] == ["Frechet distance", "precision", "recall",
                                             "entropy of the classes", "mean confidence"]
    a, b = map(float, rows[0][1:])
    closer = "VAE" if a <= b else "GAN"
    early = sentences[0].startswith("Neither")
    assert f"samples of the {closer} are closer" in sentences[early]
    assert "for training images" in sentences[early + 1]
    colour = dataset(shape=(3, 28, 28))
    assert "classifier" not in " ".join(report.write(tmp_path, *models(colour), colour))


# The advice

BASE = {"sharpness": 0.8, "diversity": 0.9, "nearest": 1.0, "seconds": 2.0, "test_loss": 104.25,
        "test_value": -0.77}


def test_advice_follows_the_numbers():
    blurred, crisp = {**BASE, "sharpness": 0.6}, {**BASE, "sharpness": 1.05, "seconds": 9.0}
    first, second, third = report.advice(blurred, crisp)
    assert first.startswith("For crisp images take the GAN") and "1.05" in first and "0.60" in first
    assert "little to choose" in second and "0.90" in second
    assert "104.2" in third and "-0.77" in third and "VAE took 2 s, one of the GAN 9 s" in third
    first, _, third = report.advice(crisp, blurred)
    assert first.startswith("For crisp images take the VAE")
    assert "GAN took 2 s, one of the VAE 9 s" in third


def test_advice_does_not_take_noise_for_sharpness():
    first = report.advice({**BASE, "sharpness": 0.85}, {**BASE, "sharpness": 1.6})[0]
    assert first.startswith("For crisp images take the VAE") and "noise" in first
    first = report.advice({**BASE, "sharpness": 0.3}, {**BASE, "sharpness": 2.5})[0]
    assert first.startswith("Neither") and "0.30" in first and "2.50" in first
    assert "the GAN is nearer" in first
    assert "nearer" not in report.advice({**BASE, "sharpness": 0.5}, {**BASE, "sharpness": 0.5})[0]
    for sharpness, begin in ((1.4, "Neither model has"), (1.2, "For crisp images take the GAN")):
        first = report.advice({**BASE, "sharpness": 0.6}, {**BASE, "sharpness": sharpness})[0]
        assert first.startswith(begin)


def judged(distance, precision, recall, confidence=1.0):
    return {"Frechet distance": distance, "precision": precision, "recall": recall,
            "mean confidence": confidence}


def test_the_classifier_is_quoted_for_both_and_doubted_where_it_does_not_know_the_images():
    v, g = judged(300, 0.9, 0.25), judged(90, 0.7, 0.5)
    first, second = report.closer(v, g, judged(12, 0.88, 0.91))
    assert "samples of the GAN are closer" in first and "are 300 (VAE) and 90 (GAN)" in first
    assert "training images have 12" in first and "Trust" not in first
    assert ("90% and 25% for the VAE, 70% and 50% for the GAN, 88% and 91% for training images"
            in second)
    assert "samples of the VAE are closer" in report.closer(g, v, judged(12, 0.88, 0.91))[0]
    alike = report.closer(v, judged(310, 0.7, 0.5), judged(12, 0.88, 0.91))[0]
    assert "samples of both are about as close: " in alike and "closer" not in alike
    early = report.closer(judged(700, 0.3, 0.1), judged(400, 0.4, 0), judged(12, 0.88, 0.91))
    assert len(early) == 3 and "train longer before you choose" in early[0]
    weak = judged(700, 0.5, 0)             # above half of 0.88, which is what counts as early
    assert len(report.closer(weak, weak, judged(12, 0.88, 0.91))) == 2
    doubted = report.closer(v, g, judged(12, 0.88, 0.91, confidence=0.64))[0]
    assert "Trust this less" in doubted and "only 0.64" in doubted
    assert report.closer({}, {}, {}) == report.closer({}, g, judged(12, 0.88, 0.91)) == []


def test_advice_warns_of_copies_and_of_collapse():
    sentences = report.advice({**BASE, "nearest": 0.2}, {**BASE, "diversity": 0.3})
    assert sentences[1].startswith("For variety take the VAE")
    assert "0.30 for the GAN" in sentences[1]
    assert sentences[3].startswith("Look for copies") and "VAE" in sentences[3]


@pytest.mark.parametrize("v, g", [(math.nan, 1), (1, math.nan), (0, 1), (1, 0), (math.inf, 1)])
def test_advice_without_a_measure(v, g):
    sentences = report.advice({**BASE, "diversity": v}, {**BASE, "diversity": g})
    assert "cannot be judged" in sentences[1]
