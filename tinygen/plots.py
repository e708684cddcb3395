"""Floor 5: how samples look. Every function draws one picture and writes it to a path, as a PNG.

Images are arrays (N, C, H, W) in [0, 1] with one channel (grey) or three (red, green, blue), and go
to the file pixel by pixel. Points and curves are drawn by matplotlib, on a figure of their own:
no display is needed, and the same data gives the same bytes.
"""

import contextlib
import math
import statistics

import numpy as np

from .backend import InputError

GAP = 0.35          # the grey of what lies between images
REAL, MADE = "#9a9a9a", "#d1495b"
COLOURS = ["#2e6f9e", "#d1495b", "#3a8f5c", "#a06cb0"]


def image_grid(images, columns, gap=1):
    """`images` (N, C, H, W) side by side, `columns` in a row, with `gap` grey pixels between them.

    Returns (height, width) for one channel, (height, width, 3) for three. Image i has its upper
    left pixel at row (i // columns) * (H + gap) and column (i % columns) * (W + gap).
    """
    images = np.asarray(images)
    if columns < 1:
        raise InputError(f"image_grid: columns is {columns}, expected 1 or more")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise InputError(f"image_grid: the images have shape {images.shape}, expected (N, C, H, W) "
                         "with N of 1 or more and 1 or 3 channels; give those")
    n, channels, height, width = images.shape
    rows = math.ceil(n / columns)
    size = rows * (height + gap) - gap, columns * (width + gap) - gap
    grid = np.full((*size, channels), GAP, images.dtype)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        grid[top:top + height, left:left + width] = image.transpose(1, 2, 0)
    return grid[:, :, 0] if channels == 1 else grid


def save_image(array, path, scale=3):
    """Write `array`, (H, W) or (H, W, 3) in [0, 1], to `path`, each pixel as a square of `scale`.

    What lies outside of [0, 1] is clipped.
    """
    from PIL import Image

    pixels = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1)).save(path, format="PNG")


def save_samples(samples, real, path):
    """Write a picture of `samples`: a grid of images, or points over the `real` ones.

    `samples` are (N, C, H, W) or (N, 2), in the range of the data. Up to 64 images stand 8 in a
    row, more of them in a square; `real` is not looked at then.
    """
    samples = np.asarray(samples)
    if samples.ndim == 4:
        n = len(samples)
        save_image(image_grid(samples, min(n, max(8, math.ceil(math.sqrt(n))))), path)
    else:
        figure_points(samples, real, path)


def figure_points(samples, real, path, most=2000):
    """Generated points (N, 2) over the first `most` of the real ones.

    The frame is that of the real points and does not move from one epoch to the next; how many
    generated points lie outside of it is written above.
    """
    low, high = frame(real)
    outside = int(((samples < low) | (samples > high)).any(axis=1).sum())
    title = f"{outside:,} of {len(samples):,} generated points lie outside" if outside else ""
    with drawing(path, (5, 5)) as axes:
        axes.scatter(*real[:most].T, s=6, color=REAL, linewidths=0, label="real")
        axes.scatter(*samples.T, s=6, color=MADE, alpha=0.6, linewidths=0, label="generated")
        axes.set(aspect="equal", title=title, xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.legend(loc="upper right", markerscale=2)


def frame(real):
    """(low, high), the corners of a square around the points `real` (N, 2), with room to spare."""
    low, high = real.min(axis=0), real.max(axis=0)
    half = 0.65 * max(float((high - low).max()), 1e-6)
    return (low + high) / 2 - half, (low + high) / 2 + half


def figure_reconstructions(originals, reconstructions, path, columns=10):
    """Originals, and right below each one its reconstruction, in bands of `columns`."""
    bands = []
    for i in range(0, len(originals), columns):
        pairs = np.full((2, min(columns, len(originals)), *originals.shape[1:]), GAP, np.float32)
        for row, images in zip(pairs, (originals, reconstructions)):
            row[:len(originals[i:i + columns])] = images[i:i + columns]
        grid = image_grid(np.concatenate(pairs), pairs.shape[1])
        bands += [np.full((6, *grid.shape[1:]), GAP, grid.dtype), grid]
    save_image(np.concatenate(bands[1:]), path)


def figure_completions(originals, known, columns, path):
    """A row an image: what is known of it (the rest light grey), its completions, the original.

    `columns` are the completions, arrays of the shape of `originals` (N, C, H, W).
    """
    known = np.broadcast_to(known, originals.shape)
    masked = known * originals + (1 - known) * 0.6
    rows = np.stack([masked, *columns, originals], axis=1)
    save_image(image_grid(rows.reshape(-1, *originals.shape[1:]), rows.shape[1], gap=2), path)


def figure_interpolation(rows, path):
    """`rows` (R, steps, C, H, W): each row a walk from one image to another.

    Or each row the samples at one temperature: `[model.sample(8, t).numpy() for t in (0.5, 1.0)]`.
    """
    save_image(image_grid(np.concatenate(rows), len(rows[0])), path)


def latent_grid(side, spread=0.95):
    """side x side points of the plane, (side^2, 2), as even in probability under N(0, 1).

    Along each axis they lie at quantiles, from (1 - spread) / 2 to (1 + spread) / 2: the first row
    is the top one, as in a picture.
    """
    normal = statistics.NormalDist()
    at = [normal.inv_cdf(p) for p in np.linspace((1 - spread) / 2, (1 + spread) / 2, side)]
    return np.array([(x, y) for y in at[::-1] for x in at], np.float32)


def spherical(a, b, t):
    """The point at `t` in [0, 1] of the arc from a to b, two arrays (N,) (Shoemake 1985).

    sin((1 - t) w) / sin(w) * a + sin(t w) / sin(w) * b, where w is the angle between them. Where
    they point the same or opposite ways there is no single arc, and it is the straight way. White
    2016 recommends it for the latent points of generative networks.
    """
    cosine = float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    if math.sin(angle) < 1e-3:
        return straight(a, b, t)
    return (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)


def straight(a, b, t):
    """The point at `t` in [0, 1] of the line from a to b."""
    return (1 - t) * a + t * b


def figure_curves(history, columns, path, unit, level=None):
    """Columns of `history` (a list of one dict an epoch) over epochs.

    `columns` is {name of the column: label}, `unit` stands at the vertical axis, and `level` is
    None or (label, height) of a dashed line to compare with.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in history]
    with drawing(path, (4.2, 3.2)) as axes:
        for colour, (column, label) in zip(COLOURS, columns.items()):
            axes.plot(epochs, [row[column] for row in history], color=colour, label=label,
                      marker="o", markersize=4 if len(epochs) < 30 else 0)
        if level is not None:
            axes.axhline(level[1], color="#555555", linestyle="--", linewidth=1, label=level[0])
        axes.set(xlabel="epoch", ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")


def figure_surface(probability, samples, real, path, most=1000):
    """The discriminator's D(x) over the plane, under real points and generated ones, both (N, 2).

    `probability` maps points (M, 2) to D (M,). The frame is that of the real points.
    """
    low, high = frame(real)
    ticks = np.linspace(low, high, 120).T
    points = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2).astype(np.float32)
    with drawing(path, (5.6, 5)) as axes:
        surface = axes.contourf(*ticks, probability(points).reshape(120, 120), cmap="RdBu",
                                levels=np.linspace(0, 1, 21), alpha=0.7)
        axes.figure.colorbar(surface, label="D(x), the probability of being real",
                             ticks=[0, 0.25, 0.5, 0.75, 1])
        axes.scatter(*real[:most].T, s=5, color="0.35", linewidths=0, label="real")
        axes.scatter(*samples[:most].T, s=5, color="black", marker="x", lw=0.7, label="generated")
        axes.set(aspect="equal", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.legend(loc="upper right", markerscale=2)


def save_animation(pictures, path, seconds=0.2):
    """The PNG files `pictures`, of one size, as an animated GIF, `seconds` a picture."""
    from PIL import Image

    frames = []
    for picture in pictures:
        with Image.open(picture) as image:
            frames.append(image.convert("P", palette=Image.Palette.ADAPTIVE))
    if not frames:
        raise InputError("save_animation: there are no pictures; draw some first")
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:],
                   duration=round(1000 * seconds), loop=0)


@contextlib.contextmanager
def drawing(path, size):
    """Axes to draw on, `size` in inches. What was drawn on them is afterwards at `path`."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context("default"):        # whatever the user's own settings are
        figure = Figure(size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.subplots()
        figure.savefig(path, dpi=160, format="png", metadata={"Software": None})
