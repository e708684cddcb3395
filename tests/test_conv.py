"""Convolution and pooling against the nested loops of `naive.py`, and what ties the primitives."""

import math

import naive
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tinygen as tg
from tinygen import functional as F
from tinygen.checks.draw import laid_out
from tinygen.ops import conv

drawing = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
small = st.integers(1, 3)
pairs = st.tuples(small, small)


@pytest.fixture(params=[conv.WIDE, 1], ids=["products alone", "shared products"])
def wide(request, monkeypatch):
    """From how many channels on rows share products: more than our images have, or 1."""
    monkeypatch.setattr(conv, "WIDE", request.param)


@st.composite
def configurations(draw):
    """The options of a convolution, and an image size that its kernel fits into."""
    kernel, stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(pairs)
    padding, dilation = draw(st.tuples(st.integers(0, 3), st.integers(0, 3))), draw(pairs)
    if draw(st.booleans()):                  # two steps tall: rows may share products
        kernel, dilation = (2 * stride[0], kernel[1]), (1, dilation[1])
    size = tuple([max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 4))
                  for k, p, d in zip(kernel, padding, dilation)])
    channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return dict(images=draw(st.sampled_from([1, 2, 0])), groups=draw(small), channels=channels,
                size=size, kernel=kernel, stride=stride, padding=padding, dilation=dilation)


def random(data, *shape):
    """Normal numbers in any memory layout: plain, channels last, strided, reversed, broadcast."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    return laid_out(lambda low, high: data.draw(st.integers(low, high)), rng.standard_normal(shape),
                    distinct=False)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("wide")
@drawing
@given(st.data(), configurations())
def test_conv2d_is_the_seven_loops(data, c):
    (inputs, outputs), groups = c["channels"], c["groups"]
    x = random(data, c["images"], groups * inputs, *c["size"])
    weight = random(data, groups * outputs, inputs, *c["kernel"])
    bias = random(data, groups * outputs)
    options = c["stride"], c["padding"], c["dilation"], groups
    found = F.conv2d(tg.Tensor(x), tg.Tensor(weight), tg.Tensor(bias), *options)
    expected = naive.conv2d(x, weight, *options)
    assert found.shape == expected.shape
    assert_close(found.data, expected + bias.reshape(1, -1, 1, 1))
    found = F.conv2d(tg.Tensor(x), tg.Tensor(weight), None, *options)
    assert_close(found.data, expected)


@pytest.mark.usefixtures("wide")
@drawing
@given(st.data(), configurations())
def test_conv_transpose2d_is_the_seven_loops(data, c):
    (inputs, outputs), groups = c["channels"], c["groups"]
    stride, padding = c["stride"], c["padding"]
    more = tuple([data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, c["dilation"])])
    size = tuple([n + 2 * p for n, p in zip(c["size"], padding)])   # so that the result has a pixel
    x = random(data, c["images"], groups * inputs, *size)
    weight = random(data, groups * inputs, outputs, *c["kernel"])
    bias = random(data, groups * outputs)
    options = stride, padding, more, groups, c["dilation"]
    found = F.conv_transpose2d(tg.Tensor(x), tg.Tensor(weight), tg.Tensor(bias), *options)
    expected = naive.conv_transpose2d(x, weight, *options)
    assert found.shape == expected.shape
    assert_close(found.data, expected + bias.reshape(1, -1, 1, 1))
    found = F.conv_transpose2d(tg.Tensor(x), tg.Tensor(weight), None, *options)
    assert_close(found.data, expected)


@pytest.mark.usefixtures("wide")
@drawing
@given(st.data(), configurations())
def test_the_three_primitives_are_each_others_transposes(data, c):
    """<conv(x, w), y> = <x, conv_transpose(y, w)> = <w, conv_weight(x, y)> for any x, w and y."""
    (inputs, outputs), options = c["channels"], (c["stride"], c["padding"], c["dilation"])
    x = random(data, c["images"], inputs, *c["size"])
    weight = random(data, outputs, inputs, *c["kernel"])
    y = random(data, c["images"], outputs, *conv.out_size(c["size"], c["kernel"], *options))
    product = (conv.conv2d(x, weight, None, *options) * y).sum()
    back = conv.conv_transpose2d(y, weight, None, *options, c["size"])
    assert math.isclose(product, (x * back).sum(), abs_tol=1e-10)
    found = conv.conv2d_weight(x, y, c["kernel"], *options)
    assert math.isclose(product, (weight * found).sum(), abs_tol=1e-10)
    assert_close(found, naive.conv2d_weight(x, y, c["kernel"], *options))


@pytest.mark.parametrize("kernel", range(1, 6))
@pytest.mark.parametrize("stride", range(1, 4))
@pytest.mark.usefixtures("wide")
def test_interleaving_is_scattering(kernel, stride):
    """Every size of the result, along one dimension and then along the other."""
    rng, results = np.random.default_rng(0), 0
    weight = rng.standard_normal((3, 2, kernel, 1))
    for pixels in (1, 2, 5):
        y = rng.standard_normal((2, 3, pixels, 2))
        full = (pixels - 1) * stride + kernel
        for padding in range(full // 2 + 1):
            for more in range(stride):
                if full - 2 * padding + more > 0:
                    geometry = (stride, 1), (padding, 0), (full - 2 * padding + more, 2)
                    turned = [pair[::-1] for pair in geometry]
                    expected = conv.scatter(y, weight, *geometry[:2], (1, 1), geometry[2])
                    assert_close(conv.interleave(y, weight, *geometry), expected)
                    found = conv.interleave(y.swapaxes(2, 3), weight.swapaxes(2, 3), *turned)
                    assert_close(found.swapaxes(2, 3), expected)
                    results += 1
    assert results >= 3


@pytest.mark.parametrize("cache, pieces", [(1, [1] * 7), (1000, [2, 2, 3]), (2268, [7])])
def test_a_few_images_at_a_time(monkeypatch, cache, pieces):
    monkeypatch.setattr(conv, "CACHE", cache)
    rng, options = np.random.default_rng(0), ((2, 1), (1, 1), (1, 1))
    x, weight, y = [rng.standard_normal(shape)
                    for shape in ((7, 3, 6, 5), (4, 3, 3, 2), (7, 4, 3, 6))]
    taken = [part.stop - part.start for part, _ in conv.patches(x, (3, 2), *options, (3, 6))]
    assert taken == pieces                          # an image has 18 patches of 18 numbers
    halves = list(conv.patches(x, (3, 2), *options, (3, 6), by_rows=True))
    assert [part.stop - part.start for part, _ in halves] == pieces
    found = conv.conv2d(x, weight, None, *options)
    assert_close(found, naive.conv2d(x, weight, *options))
    found, more = conv.conv_transpose2d(y, weight, None, *options, (6, 5)), (1, 0)
    expected = naive.conv_transpose2d(y, weight, *options[:2], more)
    assert_close(found, expected)
    found = conv.conv2d_weight(x, y, (3, 2), *options)
    assert_close(found, naive.conv2d_weight(x, y, (3, 2), *options))


@pytest.mark.parametrize("channels, products", [((32, 32), 11), ((31, 32), 14), ((32, 31), 14)])
def test_rows_of_wide_images_share_products(monkeypatch, channels, products):
    """7 rows take 14 products with half of a kernel, or 4 + 4 + 3 if neighbours share one."""
    (c, o), done, dot, matmul = channels, [], np.tensordot, np.matmul
    monkeypatch.setattr(np, "tensordot", lambda a, b, axes: done.append(a.size * b.shape[1]) or
                        dot(a, b, axes))
    monkeypatch.setattr(np, "matmul", lambda a, b, out: done.append(a.size * b.shape[1]) or
                        matmul(a, b, out=out))
    x, weight, y = np.ones((2, c, 14, 14)), np.ones((o, c, 4, 4)), np.ones((2, o, 7, 7))
    conv.conv2d(x, weight, None, (2, 2), (1, 1), (1, 1))
    assert sum(done) == products * 2 * 7 * (2 * 4 * c) * o         # a half sees 2 x 4 pixels
    done.clear()
    conv.conv_transpose2d(y, weight, None, (2, 2), (1, 1), (1, 1), (14, 14))
    assert sum(done) == products * 2 * 8 * (2 * o) * (4 * c)       # 8 cells a row, of 2 x 2 pixels
    gathered, gather = [], conv.patches
    monkeypatch.setattr(conv, "patches", lambda *args: gathered.append(args) or gather(*args))
    conv.conv2d_weight(x, y, (4, 4), (2, 2), (1, 1), (1, 1))
    assert gathered[0][1] == ((2, 4) if products == 11 else (4, 4))


@pytest.mark.parametrize("kernel, stride, dilation, halves", [
    ((2, 3), (1, 2), (1, 2), 2), ((6, 1), (3, 1), (1, 1), 2), ((4, 4), (2, 2), (2, 1), 1),
    ((3, 3), (1, 1), (1, 1), 1), ((3, 3), (2, 2), (1, 1), 1)])
def test_where_patches_are_halves(kernel, stride, dilation, halves):
    x, weight = np.ones((1, 32, 14, 14)), np.ones((32, 32, *kernel))
    y = conv.conv2d(x, weight, None, stride, (1, 1), dilation)
    (_, seen), = conv.patches_of(x, y, kernel, stride, (1, 1), dilation)
    assert len(seen) == halves


@pytest.mark.usefixtures("wide")
def test_float32_stays_float32():
    x, weight, y = [np.ones(s, "float32") for s in ((2, 3, 8, 8), (5, 3, 4, 4), (2, 5, 4, 4))]
    options = (2, 2), (1, 1), (1, 1)
    assert conv.conv2d(x, weight, None, *options).dtype == np.float32
    assert conv.conv2d_weight(x, y, (4, 4), *options).dtype == np.float32
    assert conv.conv_transpose2d(y, weight, None, *options, (8, 8)).dtype == np.float32


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("most, gathered", [(0, 2), (2 * 9 * 48 - 1, 2), (2 * 9 * 48, 1)])
def test_patches_are_kept_for_the_gradient_of_the_weight(monkeypatch, most, gathered):
    """2 images have 9 patches of 48 numbers each; in pieces of an image."""
    seen, gather = [], conv.patches
    monkeypatch.setattr(conv, "KEPT", most)
    monkeypatch.setattr(conv, "CACHE", 1)
    monkeypatch.setattr(conv, "patches", lambda *args: seen.append(args) or gather(*args))
    x = tg.randn(2, 3, 8, 8, dtype="float64")
    weight = tg.randn(5, 3, 4, 4, dtype="float64", requires_grad=True)
    y = F.conv2d(x, weight, stride=2)
    g = tg.randn_like(y)
    first, = tg.grad(y, weight, g, retain_graph=True)
    assert len(seen) == gathered
    again, = tg.grad(y, weight, g)                   # kept patches are left as they are
    for found in (first, again):
        assert_close(found.data, naive.conv2d_weight(x.data, g.data, (4, 4), (2, 2)))


def test_patches_are_kept_only_for_a_weight_that_learns(monkeypatch):
    kept, body = [], conv.conv2d.body

    def convolve(*args):
        out = body(*args)
        kept.append(len(out[1]))
        return out

    monkeypatch.setattr(conv.conv2d, "body", convolve)
    x, weight = tg.randn(2, 4, 8, 8, requires_grad=True), tg.randn(6, 4, 3, 3)
    F.conv2d(x, weight)
    F.conv2d(x, weight.requires_grad_())
    with tg.no_grad():
        F.conv2d(x, weight)
    F.conv2d(x, weight[:, :2], groups=2)          # each group would keep as much
    assert kept == [0, 1, 0, 0, 0]


@st.composite
def pools(draw):
    kernel, stride = draw(pairs), draw(pairs)
    padding = tuple([draw(st.integers(0, k // 2)) for k in kernel])
    shape = (draw(st.sampled_from([1, 2, 0])), draw(st.integers(1, 2))) + tuple(
        [max(1, k - 2 * p) + draw(st.integers(0, 4)) for k, p in zip(kernel, padding)])
    return shape, kernel, stride, padding


@drawing
@given(st.data(), pools())
def test_pooling_is_the_loops(data, pool):
    shape, *options = pool
    x = random(data, *shape)
    largest, average = F.max_pool2d(tg.Tensor(x), *options), F.avg_pool2d(tg.Tensor(x), *options)
    np.testing.assert_array_equal(largest.data, naive.max_pool2d(x, *options))
    assert_close(average.data, naive.avg_pool2d(x, *options))


@drawing
@given(st.data(), pools())
def test_max_pool2d_gives_ties_to_the_first(data, pool):
    shape, *options = pool
    x = tg.Tensor(np.round(random(data, *shape)), True)   # whole numbers: most windows have ties
    y = F.max_pool2d(x, *options)
    g = np.arange(1.0, y.numel() + 1).reshape(y.shape)
    found, = tg.grad(y, x, tg.Tensor(g))
    np.testing.assert_array_equal(found.data, naive.max_pool2d_gradient(x.data, g, *options))


@drawing
@given(st.data(), st.tuples(st.integers(0, 2), small, small, small), pairs)
def test_upsample_is_the_loops(data, shape, factor):
    x = random(data, *shape)
    found = F.upsample(tg.Tensor(x), scale_factor=factor).data
    np.testing.assert_array_equal(found, naive.upsample(x, factor))


def test_numbers_by_hand():
    x = tg.arange(9.0).reshape(1, 1, 3, 3)
    corners = tg.tensor([[[[1.0, 0.0], [0.0, 10.0]]]])
    assert F.conv2d(x, corners).data.tolist() == [[[[40.0, 51.0], [73.0, 84.0]]]]
    stamp = F.conv_transpose2d(tg.tensor([[[[1.0, 2.0]]]]), corners, stride=2)
    assert stamp.data.tolist() == [[[[1.0, 0.0, 2.0, 0.0], [0.0, 10.0, 0.0, 20.0]]]]
    assert F.max_pool2d(x, 2, 1).data.tolist() == [[[[4.0, 5.0], [7.0, 8.0]]]]
    assert F.avg_pool2d(x, 2, 1).data.tolist() == [[[[2.0, 3.0], [5.0, 6.0]]]]


def test_the_inputs_are_left_alone():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 3, 5, 5)), rng.standard_normal((4, 3, 3, 3))
    for array in (x, weight):
        array.flags.writeable = False
    a, b = tg.Tensor(x, True), tg.Tensor(weight, True)
    F.max_pool2d(F.conv2d(a, b, stride=2, padding=1), 2, padding=1).sum().backward()
    assert a.grad.shape == x.shape and b.grad.shape == weight.shape


X = tg.zeros(1, 3, 5, 5)


@pytest.mark.parametrize("sentence, call", [
    ("conv2d: x has 3 channels, weight expects 1", lambda: F.conv2d(X, tg.zeros(4, 1, 3, 3))),
    ("conv2d: x has 3 channels, weight expects 4",
     lambda: F.conv2d(X, tg.zeros(4, 2, 3, 3), groups=2)),
    ("conv2d: expected x (N, C, H, W) and weight of 4 dimensions, got shapes (3, 5, 5) and (4, 3",
     lambda: F.conv2d(X[0], tg.zeros(4, 3, 3, 3))),
    ("conv2d: 4 output channels do not divide into 3 groups",
     lambda: F.conv2d(X, tg.zeros(4, 1, 3, 3), groups=3)),
    ("conv2d: 4 output channels do not divide into 0 groups",
     lambda: F.conv2d(X, tg.zeros(4, 1, 3, 3), groups=0)),
    ("conv2d: expected x (N, C, H, W) and weight of 4 dimensions, got shapes (1, 3, 5, 5) and (4,)",
     lambda: F.conv2d(X, tg.zeros(4))),
    ("conv2d: a kernel of (7, 7) does not fit into an image of (5, 5)",
     lambda: F.conv2d(X, tg.zeros(4, 3, 7, 7))),
    ("conv_transpose2d: x has 3 channels, weight expects 4",
     lambda: F.conv_transpose2d(X, tg.zeros(4, 3, 3, 3))),
    ("conv_transpose2d: output_padding (2, 2) must be 0 or more, and smaller than stride (2, 2)",
     lambda: F.conv_transpose2d(X, tg.zeros(3, 4, 3, 3), stride=2, output_padding=2)),
    ("conv_transpose2d: 3 input channels do not divide into 2 groups",
     lambda: F.conv_transpose2d(X, tg.zeros(3, 4, 3, 3), groups=2)),
    ("conv_transpose2d: the result would have size",
     lambda: F.conv_transpose2d(X, tg.zeros(3, 4, 1, 1), padding=3)),
    ("max_pool2d: expected x (N, C, H, W), got shape (3, 5, 5)", lambda: F.max_pool2d(X[0], 2)),
    ("max_pool2d: padding (2, 2) must be at most half of the kernel (3, 3)",
     lambda: F.max_pool2d(X, 3, padding=2)),
    ("avg_pool2d: a kernel of (6, 6) does not fit into an image of (5, 5)",
     lambda: F.avg_pool2d(X, 6)),
])
def test_errors_are_sentences(sentence, call):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("layer", [tg.nn.Conv2d(3, 4, (2, 5)), tg.nn.ConvTranspose2d(3, 4, 2)])
def test_the_weights_of_a_layer_lie_in_memory_as_the_matrix_of_the_product(layer):
    weight = layer.weight.data
    matrix = conv.columns(weight)
    assert np.shares_memory(matrix, weight) and matrix.flags.c_contiguous
    back = conv.from_columns(matrix, weight.shape[1], weight.shape[2:])
    assert np.array_equal(back, weight) and back.strides == weight.strides
    copied = conv.columns(np.ascontiguousarray(weight))
    assert np.array_equal(copied, matrix)


@pytest.mark.parametrize("convolution", [F.conv2d, F.conv_transpose2d])
def test_a_convolution_that_makes_no_sense_is_refused(convolution):
    x, weight = tg.ones(1, 2, 8, 8), tg.ones(2, 2, 3, 3)
    for option in ({"stride": 0}, {"stride": (1, -1)}, {"padding": -1}, {"dilation": 0},
                   {"dilation": (-1, 1)}):
        with pytest.raises(ValueError, match="must be 1 or more, and padding"):
            convolution(x, weight, **option)
    for shape in ((1,), (3,), (2, 2)):
        with pytest.raises(ValueError, match="bias has shape"):
            convolution(x, weight, tg.zeros(*shape))
    with pytest.raises(ValueError, match=r"bias has shape \(1,\), expected \(2,\)"):
        convolution(x, tg.ones(2, 1, 3, 3), tg.zeros(1), groups=2)
