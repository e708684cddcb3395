"""Grids pixel by pixel, pictures of both kinds of data, and the same bytes for the same data."""

import contextlib
import io
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import tinygen as tg
from tinygen import plots
from tinygen.backend import InputError
from tinygen.vae import dense_vae


def random_images(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG" and not image.info.get("Software")
        return np.asarray(image)


@pytest.fixture
def axes(monkeypatch):
    """Axes that draw nothing, and keep what they are told to draw."""
    axes = mock.MagicMock()
    monkeypatch.setattr(plots, "drawing", lambda path, size: contextlib.nullcontext(axes))
    return axes


def told(method):
    """[(label, arguments)] of the calls of a method of `axes`."""
    return [(call.kwargs.get("label"), *call.args) for call in method.call_args_list]


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_puts_every_pixel_in_its_place(channels):
    images = random_images(5, channels, 4, 3)
    grid = plots.image_grid(images, 2)
    assert grid.shape == (3 * 4 + 2, 2 * 3 + 1) + (3,) * (channels == 3)
    expected = np.full((14, 7, channels), plots.GAP, np.float32)
    for i, (top, left) in enumerate([(0, 0), (0, 4), (5, 0), (5, 4), (10, 0)]):
        for channel in range(channels):
            expected[top:top + 4, left:left + 3, channel] = images[i, channel]
    assert np.array_equal(grid, expected.reshape(grid.shape))


def test_grid_without_a_gap_and_of_one_image():
    images = random_images(4, 1, 2, 2)
    assert np.array_equal(plots.image_grid(images, 4, gap=0), np.concatenate(images[:, 0], axis=1))
    assert np.array_equal(plots.image_grid(images[:1], 1), images[0, 0])


@pytest.mark.parametrize("shape", [(0, 1, 2, 2), (3, 2, 4, 4), (3, 4, 4), (5, 2)])
def test_grid_refuses_what_is_no_image(shape):
    with pytest.raises(InputError, match="image_grid"):
        plots.image_grid(np.zeros(shape, np.float32), 2)


def test_image_grid_takes_tensors_and_at_least_one_column():
    images = np.random.default_rng(0).random((3, 1, 4, 4), np.float32)
    assert np.array_equal(plots.image_grid(tg.Tensor(images), 2), plots.image_grid(images, 2))
    with pytest.raises(InputError, match="columns is 0, expected 1 or more"):
        plots.image_grid(images, 0)


def test_saved_image_is_exact_scaled_and_clipped(tmp_path):
    plots.save_image(np.array([[0, 0.5, 1], [-3, 100 / 255, 7]]), tmp_path / "a.png", scale=2)
    expected = np.array([[0, 128, 255], [0, 100, 255]]).repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(pixels(tmp_path / "a.png"), expected)


def test_samples_of_images_are_a_grid_of_eight_by_eight(tmp_path):
    samples = random_images(64, 1, 28, 28)
    plots.save_samples(samples, None, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (3 * (8 * 28 + 7), 3 * (8 * 28 + 7))
    for i in (0, 7, 8, 63):
        top, left = 29 * (i // 8), 29 * (i % 8)
        shown = picture[1::3, 1::3][top:top + 28, left:left + 28]
        assert np.array_equal(shown, np.rint(samples[i, 0] * 255))


@pytest.mark.parametrize("n, rows, columns", [(1, 1, 1), (5, 1, 5), (9, 2, 8), (100, 10, 10)])
def test_any_number_of_samples(tmp_path, n, rows, columns):
    plots.save_samples(random_images(n, 1, 4, 4), None, tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").shape == (3 * (5 * rows - 1), 3 * (5 * columns - 1))


def coloured(picture):
    """How many pixels of a picture are of the colour of generated points, which is red."""
    red, _, blue = picture[..., :3].astype(int).transpose(2, 0, 1)
    return int((red - blue > 60).sum())


def test_points_are_drawn_within_the_frame_of_the_real_ones(tmp_path):
    real = random_images(3000, 2)
    counts = []
    for shift in (0, 100):
        plots.save_samples(random_images(200, 2) + np.float32(shift), real, tmp_path / "a.png")
        counts.append(coloured(pixels(tmp_path / "a.png")))
    assert counts[0] > 2000 and counts[1] < 500    # far outside, only the legend is left


@pytest.mark.parametrize("samples, title", [
    ([[-0.14, 0.5], [1.14, 1.14]], ""),
    ([[-0.14, 0.5], [1.14, 1.16], [-0.16, 0.5]], "2 of 3 generated points lie outside"),
    (1001 * [[9, 0.5]], "1,001 of 1,001 generated points lie outside")])
def test_the_title_counts_the_points_outside_of_the_frame(axes, samples, title):
    """Which reaches 0.65 times the width of the real points from their middle."""
    samples = np.array(samples, np.float64)
    plots.figure_points(samples, np.array([[0, 0.5], [1, 0.5], [0.5, 0.5]]), None, most=2)
    (_, x, y), (_, *made) = told(axes.scatter)
    assert [x.tolist(), y.tolist()] == [[0, 1], [0.5, 0.5]] and np.array_equal(made, samples.T)
    assert [label for label, *_ in told(axes.scatter)] == ["real", "generated"]
    limits = pytest.approx((-0.15, 1.15), rel=1e-12)
    axes.set.assert_called_once_with(aspect="equal", title=title, xlim=limits, ylim=limits)


def test_points_that_are_all_the_same(tmp_path):
    low, high = plots.frame(np.ones((4, 2)))
    assert (low < 1).all() and (high > 1).all()
    plots.save_samples(np.zeros((3, 2)), np.ones((4, 2)), tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").size


@pytest.mark.parametrize("n", [3, 10, 13])
def test_a_reconstruction_stands_below_its_original(tmp_path, n):
    originals, rebuilt = random_images(2, n, 1, 5, 5)
    plots.figure_reconstructions(originals, rebuilt, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")[1::3, 1::3]
    bands = -(-n // 10)
    assert picture.shape == (bands * 11 + (bands - 1) * 6, min(n, 10) * 6 - 1)
    for i in range(n):
        top, left = 17 * (i // 10), 6 * (i % 10)
        shown = picture[top:top + 11, left:left + 5]
        assert np.array_equal(shown[:5], np.rint(originals[i, 0] * 255))
        assert np.array_equal(shown[6:], np.rint(rebuilt[i, 0] * 255))


def test_interpolation_has_a_row_for_each_walk(tmp_path):
    rows = random_images(2, 5, 1, 4, 4)
    plots.figure_interpolation(rows, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")[1::3, 1::3]
    assert picture.shape == (9, 24)
    assert np.array_equal(picture[5:, 20:], np.rint(rows[1, 4, 0] * 255))


def test_samples_at_several_temperatures_are_a_row_each(tmp_path):
    model = dense_vae((1, 4, 4), latent_dim=2, hidden=8)
    model.decoder[0].bias.data[:] = 1                 # so that the middle of the space is no kink
    tg.manual_seed(0)
    rows = [model.sample(6, t).numpy() for t in (0.0, 1.0, 3.0)]
    plots.figure_interpolation(rows, tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")[1::3, 1::3]
    assert picture.shape == (3 * 5 - 1, 6 * 5 - 1)
    spread = [np.std([picture[5 * i:5 * i + 4, 5 * j:5 * j + 4] for j in range(6)], axis=0).mean()
              for i in range(3)]
    assert spread[0] == 0 and spread[0] + 3 < spread[1] and 1.5 * spread[1] < spread[2]


HISTORY = [{"epoch": i, "a": 1 / i, "b": i} for i in (1, 2, 3)]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1]])
def test_curves(tmp_path, history):
    plots.figure_curves(history, {"a": "first", "b": "second"}, tmp_path / "a.png", "nats",
                        ("level", 0.5))
    assert len(np.unique(pixels(tmp_path / "a.png"))) > 50


def test_the_curves_are_the_columns_and_the_dashed_line_is_the_level(axes):
    plots.figure_curves(HISTORY, {"b": "first", "a": "second"}, None, "nats", ("level", 0.5))
    assert told(axes.plot) == [("first", [1, 2, 3], [1, 2, 3]),
                               ("second", [1, 2, 3], [1, 1 / 2, 1 / 3])]
    assert len({call.kwargs["color"] for call in axes.plot.call_args_list}) == 2
    assert told(axes.axhline) == [("level", 0.5)]
    axes.set.assert_called_once_with(xlabel="epoch", ylabel="nats")
    plots.figure_curves(HISTORY, {"a": "first"}, None, "nats")
    axes.axhline.assert_called_once()


def test_the_same_data_give_the_same_bytes(tmp_path):
    images, points = random_images(10, 1, 28, 28), random_images(100, 2)
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        plots.save_samples(images, None, folder / "samples")
        plots.save_samples(points, points + 1, folder / "points")
        plots.figure_curves(HISTORY, {"a": "first"}, folder / "curves", "nats")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_settings_of_the_user_change_nothing(tmp_path):
    import matplotlib

    plots.figure_curves(HISTORY, {"a": "first"}, tmp_path / "a.png", "nats")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20}):
        plots.figure_curves(HISTORY, {"a": "first"}, tmp_path / "b.png", "nats")
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_no_display_and_no_import_before_a_picture():
    code = ("import sys, numpy; from tinygen import plots; "
            "assert not {'matplotlib', 'PIL'} & set(sys.modules); import io; "
            "plots.figure_curves([{'epoch': 1, 'a': 1}], {'a': 'a'}, io.BytesIO(), 'nats'); "
            "assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_object_will_do():
    file = io.BytesIO()
    plots.save_image(np.zeros((2, 2)), file)
    assert file.getvalue().startswith(b"\x89PNG")


def test_completions_stand_between_what_is_known_and_the_truth(tmp_path):
    originals, completed = random_images(2, 3, 1, 4, 4)
    known = np.ones((1, 4, 4), np.float32)
    known[:, :2] = 0
    plots.figure_completions(originals, known, [completed], tmp_path / "a.png")
    picture = pixels(tmp_path / "a.png")[1::3, 1::3]
    assert picture.shape == (3 * 6 - 2, 3 * 6 - 2)
    for i in range(3):
        masked, done, truth = [picture[6 * i:6 * i + 4, 6 * j:6 * j + 4] for j in range(3)]
        assert (masked[:2] == 153).all() and np.array_equal(masked[2:], truth[2:])
        assert np.array_equal(done, np.rint(completed[i, 0] * 255))
        assert np.array_equal(truth, np.rint(originals[i, 0] * 255))


def test_a_latent_grid_is_even_in_probability():
    grid = plots.latent_grid(5, spread=0.9)
    assert grid.shape == (25, 2) and grid.dtype == np.float32
    np.testing.assert_allclose(grid[12], 0, atol=1e-7)
    np.testing.assert_allclose(grid[0], [-1.6449, 1.6449], atol=1e-3)       # top left, 5 and 95 %
    x = np.sort(np.random.default_rng(0).standard_normal(100_000))
    shares = np.diff(np.searchsorted(x, grid[:5, 0])) / len(x)
    np.testing.assert_allclose(shares, 0.9 / 4, atol=0.01)


def test_surface_and_animation(tmp_path):
    rng = np.random.default_rng(0)
    real = rng.standard_normal((100, 2))
    for i in range(3):
        plots.figure_surface(lambda points: 1 / (1 + np.exp(-points[:, 0] * i)),
                             rng.standard_normal((50, 2)), real, tmp_path / f"{i}.png")
    assert coloured(pixels(tmp_path / "2.png")) > 10_000
    plots.save_animation([tmp_path / f"{i}.png" for i in range(3)], tmp_path / "a.gif", 0.35)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.format, gif.n_frames, gif.info["loop"]) == ("GIF", 3, 0)
        assert gif.size == pixels(tmp_path / "0.png").shape[1::-1]
        assert gif.info["duration"] == 350          # milliseconds
    with pytest.raises(InputError, match="no pictures"):
        plots.save_animation([], tmp_path / "b.gif")


def test_the_surface_shows_at_each_point_its_probability(axes):
    real, samples = np.random.default_rng(0).random((2, 50, 2)) * [1, 3]
    plots.figure_surface(lambda points: points[:, 0] + 10 * points[:, 1], samples, real, None, 40)
    (_, x, y, probability), = told(axes.contourf)
    np.testing.assert_allclose(probability, x + 10 * y[:, None], rtol=1e-5, atol=1e-5)
    low, high = plots.frame(real)
    assert [(x[0], y[0]), (x[-1], y[-1])] == [tuple(low), tuple(high)]
    axes.set.assert_called_once_with(aspect="equal", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    shown = {label: np.array(points).T for label, *points in told(axes.scatter)}
    assert np.array_equal(shown["real"], real[:40])
    assert np.array_equal(shown["generated"], samples[:40])
