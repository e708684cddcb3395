"""The page that compares two models: whole in itself, true to its data, and its advice moves."""

import base64
import html.parser
import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from tinygen import backend, datasets, gan, plots, report, vae
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


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder, text of the page, advice, the two runs) of one report."""
    out, data = tmp_path_factory.mktemp("report") / "new" / "folder", dataset()
    runs = models(data)
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


def test_the_pictures_are_all_inside_and_valid(written):
    out, text, *_ = written
    inside = [base64.b64decode(data) for data in re.findall("base64,([^\"]*)", text)]
    assert sorted(inside) == sorted(path.read_bytes() for path in out.glob("*.png"))
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
                 f"{report.count(v.training.model):,} parameters",
                 f"{v.history[-1]['test_loss']:.2f} nats per image",
                 f"{v.history[-1]['test_kl']:.2f} nats per image",
                 f"{g.history[-1]['test_value']:.3f} nats", "-1.386", "2.25", "no reconstructions"):
        assert part in text, part
    assert "mean over an epoch" in text and "cross-entropy" in text
    assert "cannot be judged" not in text


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
    assert report.nearest(images, train) == pytest.approx(every.min(axis=1).mean())


def test_a_copy_lies_at_no_distance_and_real_images_measure_one(written):
    data, v = dataset(), written[3][0]
    copies = report.figures(v, data.train, data.test, data.train)
    assert copies["nearest"] < 0.01 and copies["seconds"] == 2.25
    same = report.figures(v, data.test, data.test, data.train)
    assert (same["sharpness"], same["diversity"], same["nearest"]) == (1, 1, 1)


def test_spherical_interpolation():
    a, b = np.array([2.0, 0, 0]), np.array([0, 2.0, 0])
    assert np.allclose(plots.spherical(a, b, 0), a) and np.allclose(plots.spherical(a, b, 1), b)
    assert np.allclose(plots.spherical(a, b, 0.5), [math.sqrt(2), math.sqrt(2), 0])
    for t in (0.1, 0.3, 0.8):
        assert np.linalg.norm(plots.spherical(a, b, t)) == pytest.approx(2)
    for other in (a, -a, 3 * a):      # no single arc
        assert np.allclose(plots.spherical(a, other, 0.25), 0.75 * a + 0.25 * other)


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
