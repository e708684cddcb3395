"""Modules: what they find, save, load and print, how weights start, and that float32 stays."""

import inspect
import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn, optim


def generator():
    return nn.Sequential(
        nn.ConvTranspose2d(8, 16, 4, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )


class Nested(nn.Module):
    def __init__(self):
        self.scale = nn.Parameter(tg.ones(1))
        self.encoder = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2, bias=False)])
        self.offset = nn.Parameter(tg.zeros(2))
        self.count = nn.Buffer(tg.zeros(()))

    def forward(self, x):
        h = self.encoder(x) * self.scale
        return self.heads[0](h) + self.heads[1](h) + self.offset


class Tied(nn.Module):
    def __init__(self):
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def copy_of(state):
    return {name: value.data.copy() for name, value in state.items()}


# What a module finds


def test_parameter_names_and_their_order():
    assert [name for name, _ in Nested().named_parameters()] == [
        "scale",
        "offset",
        "encoder.0.weight",
        "encoder.0.bias",
        "encoder.1.weight",
        "encoder.1.bias",
        "heads.0.weight",
        "heads.0.bias",
        "heads.1.weight",
    ]


def test_state_names_and_their_order():
    assert list(Nested().state_dict()) == [
        "scale",
        "offset",
        "count",
        "encoder.0.weight",
        "encoder.0.bias",
        "encoder.1.weight",
        "encoder.1.bias",
        "encoder.1.running_mean",
        "encoder.1.running_var",
        "encoder.1.num_batches_tracked",
        "heads.0.weight",
        "heads.0.bias",
        "heads.1.weight",
    ]


def test_buffers_are_no_parameters():
    assert [name for name, _ in Nested().named_buffers()] == [
        "count",
        "encoder.1.running_mean",
        "encoder.1.running_var",
        "encoder.1.num_batches_tracked",
    ]
    assert not any(b.requires_grad for b in Nested().buffers())


@pytest.mark.parametrize(
    "layer, shapes",
    [
        (nn.Linear(3, 5), {"weight": (5, 3), "bias": (5,)}),
        (nn.Linear(3, 5, bias=False), {"weight": (5, 3)}),
        (nn.Conv2d(4, 6, (3, 2), groups=2), {"weight": (6, 2, 3, 2), "bias": (6,)}),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), {"weight": (4, 3, 3, 3), "bias": (6,)}),
        (
            nn.BatchNorm2d(3),
            {
                "weight": (3,),
                "bias": (3,),
                "running_mean": (3,),
                "running_var": (3,),
                "num_batches_tracked": (),
            },
        ),
        (
            nn.BatchNorm1d(3, affine=False),
            {"running_mean": (3,), "running_var": (3,), "num_batches_tracked": ()},
        ),
        (nn.BatchNorm1d(3, track_running_stats=False), {"weight": (3,), "bias": (3,)}),
        (nn.LayerNorm((2, 3)), {"weight": (2, 3), "bias": (2, 3)}),
        (nn.LayerNorm(3, bias=False), {"weight": (3,)}),
        (nn.Embedding(7, 2), {"weight": (7, 2)}),
    ],
)
def test_state_of_each_layer(layer, shapes):
    assert {name: t.shape for name, t in layer.state_dict().items()} == shapes


def test_modules_lists_each_once():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.Sequential(shared, nn.ReLU()))
    assert [type(m).__name__ for m in net.modules()] == [
        "Sequential",
        "Linear",
        "Sequential",
        "ReLU",
    ]


def test_a_shared_parameter_is_listed_once_and_saved_under_both_names():
    net = Tied()
    assert [name for name, _ in net.named_parameters()] == [
        "first.weight",
        "first.bias",
        "second.bias",
    ]
    assert "second.weight" in net.state_dict()


def test_a_shared_parameter_gets_the_gradient_of_both_uses():
    net = Tied()
    x = tg.randn(4, 3)
    net(x).sum().backward()
    w, b = net.first.weight.data, net.first.bias.data
    ones = np.ones((4, 3), "f4")
    expected = ones.T @ (x.data @ w.T + b) + (ones @ w).T @ x.data
    np.testing.assert_allclose(net.first.weight.grad.data, expected, rtol=1e-4, atol=1e-5)


def test_a_shared_parameter_stays_shared_after_loading_and_converting():
    net = Tied()
    net.load_state_dict(Tied().state_dict())
    net.double()
    assert net.first.weight is net.second.weight and net.second.weight.dtype == np.float64


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no forward\(\)"):
        Empty()(1)


# state_dict


def test_state_dict_round_trip():
    source, target = Nested(), Nested()
    source(tg.randn(5, 4))
    assert target.load_state_dict(source.state_dict()) == ([], [])
    x = tg.randn(6, 4)
    np.testing.assert_array_equal(source.eval()(x).data, target.eval()(x).data)
    assert target.encoder[1].num_batches_tracked.item() == 1


def test_loading_copies():
    source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    target.load_state_dict(source.state_dict())
    assert not np.shares_memory(source.weight.data, target.weight.data)


def test_loading_keeps_the_parameter_objects():
    net = nn.Linear(2, 2)
    weight, array = net.weight, net.weight.data
    net.load_state_dict(nn.Linear(2, 2).state_dict())
    assert net.weight is weight and net.weight.data is array


def test_state_dict_shares_memory_with_the_model():
    net = nn.Linear(2, 2)
    net.state_dict()["bias"][0] = 7.0
    assert net.bias.data[0] == 7.0


def test_loading_takes_arrays_and_keeps_the_models_dtype():
    net = nn.Linear(2, 1)
    net.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    assert net.weight.dtype == np.float32
    assert net(tg.tensor([[10.0, 1.0]])).item() == 15.0


def test_strict_loading_names_what_is_missing_and_unexpected():
    net = nn.Linear(2, 1)
    before = copy_of(net.state_dict())
    with pytest.raises(
        ValueError, match=r"missing \['bias'\], unexpected \['offset'\].*strict=False"
    ):
        net.load_state_dict({"weight": tg.zeros(1, 2), "offset": tg.zeros(1)})
    with pytest.raises(ValueError, match=r"missing \['bias'\], unexpected \[\]"):
        net.load_state_dict({"weight": tg.zeros(1, 2)})
    with pytest.raises(ValueError, match=r"missing \[\], unexpected \['offset'\]"):
        net.load_state_dict({**before, "offset": tg.zeros(1)})
    np.testing.assert_array_equal(net.weight.data, before["weight"])


def test_loading_that_is_not_strict_takes_what_fits_and_reports_the_rest():
    net = nn.Linear(2, 1)
    bias = net.bias.data.copy()
    assert net.load_state_dict({"weight": tg.zeros(1, 2), "offset": tg.zeros(1)}, strict=False) == (
        ["bias"],
        ["offset"],
    )
    assert (net.weight.data == 0).all()
    np.testing.assert_array_equal(net.bias.data, bias)


@pytest.mark.parametrize("strict", [True, False])
def test_a_wrong_shape_leaves_the_whole_model_unchanged(strict):
    net = Nested()
    before = copy_of(net.state_dict())
    state = {name: np.ones_like(value) for name, value in before.items()}
    state["heads.1.weight"] = np.ones((2, 4), "f4")
    with pytest.raises(
        ValueError, match=r"heads.1.weight has shape \(2, 4\) in the state, but \(2, 3\) in Nested"
    ):
        net.load_state_dict(state, strict)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])


@pytest.mark.parametrize("value, given", [
    (np.ones((2, 3), "complex64"), "complex64"), (np.full((2, 3), "1"), "<U1"), ([1.0], "list"),
    (None, "NoneType")])
def test_what_are_no_real_numbers_leaves_the_whole_model_unchanged(value, given):
    net = Nested()
    before = copy_of(net.state_dict())
    state = {name: np.ones_like(value) for name, value in before.items()}
    state["heads.1.weight"] = value
    message = f"heads.1.weight is {given} in the state, but float32 in Nested"
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(state)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])


def test_a_state_of_floats_does_not_become_a_count():
    net = nn.BatchNorm1d(2)
    state = {name: value.data.astype("f4") for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match="num_batches_tracked is float32 in the state, but int64"):
        net.load_state_dict(state)


# Modes and walks over the tree


def test_train_and_eval_reach_every_module():
    net = Nested()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    net.encoder.eval()
    assert net.training and not net.encoder[1].training


def test_zero_grad_forgets_all_gradients():
    net = Nested()
    net(tg.randn(3, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_requires_grad_freezes_and_thaws():
    net = Nested()
    assert net.requires_grad_(False) is net
    assert not net(tg.randn(3, 4)).requires_grad
    net.requires_grad_()
    assert net(tg.randn(3, 4)).requires_grad


def test_apply_visits_children_before_their_parent():
    seen = []
    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_apply_initialises_as_in_the_dcgan_paper():
    def start(module):
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)

    net = nn.Sequential(nn.ConvTranspose2d(50, 50, 4)).apply(start)
    assert net[0].weight.data.std() == pytest.approx(0.02, rel=0.05)


# dtype


@pytest.mark.parametrize("target", ["float64", tg.float64, np.float64])
def test_to_converts_everything_but_integers(target):
    net = Nested().to(target)
    for name, t in net.state_dict().items():
        assert t.dtype == (np.int64 if "num_batches" in name else np.float64)
    assert net(tg.randn(3, 4, dtype="float64")).dtype == np.float64


@pytest.mark.parametrize("dtype", ["int64", "float16"])
def test_a_module_becomes_nothing_but_what_is_trained(dtype):
    net = nn.BatchNorm2d(2)
    with pytest.raises(TypeError, match=rf"BatchNorm2d: to\(\) got {dtype}.*float32 or float64"):
        net.to(dtype)
    assert [t.dtype for t in (net.weight, net.running_mean)] == [tg.float32] * 2


@pytest.mark.parametrize("what", [tg.ones(2), nn.Linear(1, 2)])
@pytest.mark.parametrize("device", ["gpu", "cuda:0"])
def test_an_unknown_device_is_said(what, device):
    with pytest.raises(ValueError, match=f"device '{device}' is not known; choose 'cpu' or 'cuda'"):
        what.to(device)


def test_double_and_float_keep_values_objects_and_wishes():
    net = nn.Linear(3, 2)
    weight, values = net.weight, net.weight.data.copy()
    net.weight.grad = tg.ones(2, 3)
    net.bias.requires_grad_(False)
    assert net.double() is net
    assert net.weight is weight and weight.requires_grad and not net.bias.requires_grad
    assert weight.grad.dtype == np.float64
    net.float()
    np.testing.assert_array_equal(net.weight.data, values)


def test_a_conversion_between_forward_and_backward_is_noticed():
    net = nn.Linear(3, 2)
    y = net(tg.randn(4, 3)).sum()
    net.double()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def training_tensors(net, optimizer, x, steps=3):
    """Trains a little and yields every tensor and array on the way."""
    for _ in range(steps):
        optimizer.zero_grad()
        h = x
        for layer in net:
            h = layer(h)
            yield h
        loss = (h * h).mean()
        loss.backward()
        optimizer.step()
        yield loss
        yield from (p.grad for p in net.parameters())
    yield from (t for name, t in net.state_dict().items() if "num_batches" not in name)
    yield from (
        value for state in optimizer.state for value in state.values() if hasattr(value, "dtype")
    )


OPTIMISERS = [
    lambda ps: optim.SGD(ps, 0.1, momentum=0.9, weight_decay=0.1),
    lambda ps: optim.Adam(ps, np.float64(0.1)),
    lambda ps: optim.AdamW(ps),
    lambda ps: optim.RMSprop(ps, centered=True, momentum=0.9),
    lambda ps: optim.Adagrad(ps, lr_decay=0.1),
]


@pytest.mark.parametrize("make", OPTIMISERS, ids="SGD Adam AdamW RMSprop Adagrad".split())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_models_dtype_stays_everywhere_in_training(make, dtype):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(4, 2, 3),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.LayerNorm(8),
        nn.Linear(8, 3),
        nn.BatchNorm1d(3),
        nn.Softplus(),
        nn.Tanh(),
        nn.Sigmoid(),
        nn.Softmax(1),
    ).to(dtype)
    optimizer = make(net.parameters())
    for t in training_tensors(net, optimizer, tg.randn(4, 1, 8, 8, dtype=dtype)):
        assert t.dtype == dtype


# Printing


def test_repr_of_a_dcgan():
    assert (
        repr(generator())
        == """\
Sequential(
  (0): ConvTranspose2d(8, 16, kernel_size=(4, 4), stride=(1, 1), bias=False)
  (1): BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  (2): ReLU()
  (3): ConvTranspose2d(16, 1, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
  (4): Tanh()
)"""
    )


def test_repr_of_a_nested_model():
    assert (
        repr(Nested())
        == """\
Nested(
  (encoder): Sequential(
    (0): Linear(in_features=4, out_features=3, bias=True)
    (1): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
    (2): ReLU()
  )
  (heads): ModuleList(
    (0): Linear(in_features=3, out_features=2, bias=True)
    (1): Linear(in_features=3, out_features=2, bias=False)
  )
)"""
    )


@pytest.mark.parametrize(
    "layer, expected",
    [
        (
            nn.Conv2d(1, 2, 3, padding=1, dilation=2, bias=False),
            "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(2, 2), "
            "bias=False)",
        ),
        (
            nn.ConvTranspose2d(2, 2, 3, stride=2, output_padding=1, groups=2),
            "ConvTranspose2d(2, 2, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1), "
            "groups=2)",
        ),
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.Softmax(dim=1), "Softmax(dim=1)"),
        (nn.Unflatten(1, (2, 3)), "Unflatten(dim=1, unflattened_size=(2, 3))"),
        (nn.Embedding(3, 2), "Embedding(3, 2)"),
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.Dropout(0.3), "Dropout(p=0.3)"),
        (nn.LayerNorm(4), "LayerNorm((4,), eps=1e-05, elementwise_affine=True)"),
        (nn.Sequential(), "Sequential()"),
    ],
)
def test_repr_of_a_layer(layer, expected):
    assert repr(layer) == expected


# Containers


def test_sequential_indexing_and_slicing_share_the_modules():
    net = generator()
    assert len(net) == 5 and net[-1] is list(net)[4]
    features = net[:3]
    assert isinstance(features, nn.Sequential) and len(features) == 3
    assert features[0] is net[0] and list(features.state_dict())[0] == "0.weight"
    assert [type(m).__name__ for m in net[3:]] == ["ConvTranspose2d", "Tanh"]
    with pytest.raises(IndexError):
        net[5]


def test_sequential_append():
    net = nn.Sequential(nn.Linear(2, 3)).append(nn.Linear(3, 1))
    assert net(tg.ones(4, 2)).shape == (4, 1)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_an_empty_sequential_is_the_identity():
    x = tg.ones(2)
    assert nn.Sequential()(x) is x


def test_module_list_is_a_list_of_modules():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.ReLU())
    assert (
        len(layers) == 2
        and isinstance(layers[1], nn.ReLU)
        and isinstance(layers[:1], nn.ModuleList)
    )
    with pytest.raises(TypeError, match="expected a Module, got function"):
        layers.append(lambda x: x)


# How weights start


def assert_uniform(array, bound):
    """Within the bound, near it at both ends, with a uniform distribution's spread."""
    n = array.size
    assert np.abs(array).max() <= bound * (1 + 1e-6)
    assert array.max() > bound * (1 - 20 / n) and array.min() < -bound * (1 - 20 / n)
    assert array.std() == pytest.approx(bound / math.sqrt(3), abs=4 * bound * 0.52 / math.sqrt(n))
    assert abs(array.mean()) < 4 * bound / math.sqrt(3 * n)


def assert_normal(array, std):
    n = array.size
    array = array.astype("f8")
    assert array.std() == pytest.approx(std, abs=4 * std / math.sqrt(2 * n))
    assert abs(array.mean()) < 4 * std / math.sqrt(n)
    assert ((array / std) ** 4).mean() == pytest.approx(3, abs=4 * math.sqrt(96 / n))


@pytest.mark.parametrize(
    "make, fan_in",
    [
        (lambda: nn.Linear(100, 2000), 100),
        (lambda: nn.Conv2d(8, 1000, 3), 72),
        (lambda: nn.Conv2d(8, 1000, (3, 5), groups=4), 30),
        (lambda: nn.ConvTranspose2d(200, 1000, 4), 16_000),
    ],
)
def test_linear_and_convolution_start_uniform(make, fan_in):
    layer = make()
    assert_uniform(layer.weight.data, 1 / math.sqrt(fan_in))
    assert_uniform(layer.bias.data, 1 / math.sqrt(fan_in))


def test_embedding_starts_standard_normal():
    assert_normal(nn.Embedding(500, 100).weight.data, 1.0)


def test_normalisations_start_as_pure_normalisations():
    for layer in (nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.LayerNorm(3)):
        assert (layer.weight.data == 1).all() and (layer.bias.data == 0).all()
    assert (nn.BatchNorm1d(3).running_mean.data == 0).all() and (
        nn.BatchNorm1d(3).running_var.data == 1
    ).all()


@pytest.mark.parametrize(
    "shape, fan_in, fan_out", [((200, 300), 300, 200), ((100, 20, 3, 5), 300, 1500)]
)
def test_scaled_initialisations(shape, fan_in, fan_out):
    init = nn.init
    p = nn.Parameter(tg.zeros(*shape))
    assert_uniform(init.xavier_uniform_(p, 2.0).data, 2 * math.sqrt(6 / (fan_in + fan_out)))
    assert_normal(init.xavier_normal_(p, 2.0).data, 2 * math.sqrt(2 / (fan_in + fan_out)))
    assert_uniform(init.kaiming_uniform_(p).data, math.sqrt(6 / fan_in))
    assert_uniform(init.kaiming_uniform_(p, math.sqrt(5)).data, 1 / math.sqrt(fan_in))
    assert_normal(
        init.kaiming_normal_(p, mode="fan_out", nonlinearity="relu").data, math.sqrt(2 / fan_out)
    )
    assert_normal(init.kaiming_normal_(p, nonlinearity="tanh").data, 5 / 3 / math.sqrt(fan_in))


def test_plain_initialisations():
    init, p = nn.init, nn.Parameter(tg.zeros(100, 100))
    assert init.ones_(p) is p and (p.data == 1).all()
    assert (init.constant_(p, 2.5).data == 2.5).all() and (init.zeros_(p).data == 0).all()
    assert_normal(init.normal_(p, std=0.02).data, 0.02)
    assert init.normal_(p, mean=5.0).data.mean() == pytest.approx(5, abs=0.04)
    assert_uniform(init.uniform_(p, -2, 2).data, 2)


def test_initialisation_keeps_dtype_memory_and_wish():
    p = nn.Parameter(tg.zeros(3, 3, dtype="float64"))
    array = p.data
    for f in (
        nn.init.normal_,
        nn.init.uniform_,
        nn.init.orthogonal_,
        nn.init.xavier_normal_,
        nn.init.zeros_,
    ):
        f(p)
        assert p.data is array and p.dtype == np.float64 and p.requires_grad


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3)])
def test_orthogonal_rows_or_columns(shape):
    w = nn.init.orthogonal_(nn.Parameter(tg.zeros(*shape)), gain=2.0).data.reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(min(w.shape)), atol=1e-5)


def test_orthogonal_matrices_favour_no_direction():
    matrices = np.array(
        [nn.init.orthogonal_(nn.Parameter(tg.zeros(2, 2))).data for _ in range(1000)]
    )
    assert (np.abs(matrices.mean(0)) < 4 * math.sqrt(0.5 / 1000)).all()
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < 4 * 0.5 / math.sqrt(1000)


@pytest.mark.parametrize(
    "f", [nn.init.xavier_uniform_, nn.init.kaiming_normal_, nn.init.orthogonal_]
)
def test_the_fan_of_a_vector_is_an_error(f):
    with pytest.raises(ValueError, match=r"shape \(3,\).*needs 2 dimensions"):
        f(nn.Parameter(tg.zeros(3)))


def test_an_unknown_nonlinearity_is_an_error():
    with pytest.raises(ValueError, match="'swish' is not known; choose one of linear, sigmoid"):
        nn.init.kaiming_normal_(nn.Parameter(tg.zeros(3, 3)), nonlinearity="swish")


def test_an_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match="fan_avg"):
        nn.init.kaiming_normal_(nn.Parameter(tg.zeros(3, 3)), mode="fan_avg")


def test_the_seed_decides_the_weights():
    tg.manual_seed(5)
    first = copy_of(generator().state_dict())
    tg.manual_seed(5)
    for name, value in generator().state_dict().items():
        np.testing.assert_array_equal(value.data, first[name])


# Layers


@pytest.mark.parametrize(
    "layer, size, shape",
    [
        (nn.Linear(3, 5), (2, 4, 3), (2, 4, 5)),
        (nn.Linear(3, 5), (3,), (5,)),
        (nn.Conv2d(3, 5, 3, stride=2, padding=1), (2, 3, 9, 8), (2, 5, 5, 4)),
        (nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1), (2, 3, 7, 7), (2, 5, 14, 14)),
        (nn.ConvTranspose2d(3, 5, 3, 2, 1, output_padding=1), (2, 3, 7, 7), (2, 5, 14, 14)),
        (nn.MaxPool2d(2), (2, 3, 5, 4), (2, 3, 2, 2)),
        (nn.AvgPool2d(3, 1, 1), (2, 3, 5, 4), (2, 3, 5, 4)),
        (nn.Upsample(scale_factor=2), (2, 3, 4, 5), (2, 3, 8, 10)),
        (nn.Flatten(), (2, 3, 4), (2, 12)),
        (nn.Unflatten(1, (3, 4)), (2, 12), (2, 3, 4)),
        (nn.Unflatten(-1, (3, 4)), (2, 12), (2, 3, 4)),
        (nn.Identity(), (2, 3), (2, 3)),
        (nn.LayerNorm((3, 4)), (2, 3, 4), (2, 3, 4)),
    ],
)
def test_output_shapes(layer, size, shape):
    assert layer(tg.randn(*size)).shape == shape


def test_embedding_layer_takes_integers_of_any_shape():
    table = nn.Embedding(5, 2)
    y = table(tg.tensor([[0, 4], [4, 4]]))
    np.testing.assert_array_equal(y.data[1, 0], table.weight.data[4])
    assert y.shape == (2, 2, 2)


def test_dropout_layer_drops_in_training_only():
    layer, x = nn.Dropout(0.5), tg.ones(1000)
    assert 300 < (layer(x).data == 0).sum() < 700
    assert (layer.eval()(x).data == 1).all()


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5)])
def test_batch_norm_1d_of_rows_and_of_sequences(shape):
    x = tg.randn(*shape) * 3 + 2
    layer = nn.BatchNorm1d(3)
    axes, n = (0, *range(2, len(shape))), x.numel() // 3
    y = layer(x).data
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axes), 1, rtol=1e-4)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * x.data.mean(axes), rtol=1e-4)
    np.testing.assert_allclose(
        layer.running_var.data, 0.9 + 0.1 * x.data.var(axes) * n / (n - 1), rtol=1e-4
    )


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.BatchNorm1d(3), (2, 3, 4, 4)),
        (nn.BatchNorm2d(3), (2, 3)),
        (nn.BatchNorm2d(3), (2, 4, 5, 5)),
    ],
)
def test_batch_norm_errors_name_the_shape(layer, shape):
    with pytest.raises(
        ValueError,
        match=f"expected .* dimensions with 3 channels, got shape {shape}".replace(
            "(", r"\("
        ).replace(")", r"\)"),
    ):
        layer(tg.ones(*shape))


def test_batch_norm_has_no_plain_average_over_all_batches():
    with pytest.raises(ValueError, match="BatchNorm2d: momentum is None.*pass a number such as 0"):
        nn.BatchNorm2d(2, momentum=None)


def test_num_batches_tracked_counts_training_batches_only():
    layer, x = nn.BatchNorm1d(2), tg.randn(4, 2)
    layer(x)
    layer(x)
    layer.eval()(x)
    assert layer.num_batches_tracked.item() == 2
    assert layer.num_batches_tracked.dtype == np.int64


def test_batch_norm_in_eval_does_not_depend_on_the_batch():
    layer = nn.BatchNorm2d(2)
    layer(tg.randn(8, 2, 3, 3))
    x = tg.randn(4, 2, 3, 3)
    together = layer.eval()(x).data
    np.testing.assert_allclose(layer(x[:1]).data, together[:1], rtol=1e-6)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_groups_must_divide_the_channels(kind):
    with pytest.raises(ValueError, match="must both be multiples of groups 2"):
        kind(3, 4, 3, groups=2)


@pytest.mark.parametrize("make, message", [
    (lambda: nn.Linear(-1, 2), "Linear: in_features is -1, expected a whole number of 0 or more"),
    (lambda: nn.Linear(2, 2.0), "Linear: out_features is 2.0"),
    (lambda: nn.Conv2d(0, 2, 3), "Conv2d: in_channels is 0, expected a whole number of 1 or more"),
    (lambda: nn.Conv2d(2, 2, 0), "Conv2d: kernel_size is 0"),
    (lambda: nn.Conv2d(2, 2, 3, stride=(1, 0)), r"Conv2d: stride is \(1, 0\)"),
    (lambda: nn.ConvTranspose2d(2, 4, 3, groups=0), "ConvTranspose2d: groups is 0"),
    (lambda: nn.ConvTranspose2d(2, 4, 3, dilation=0), "ConvTranspose2d: dilation is 0"),
])
def test_sizes_of_layers_are_whole_numbers(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_that_begins_with_flatten_takes_an_array():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    x = np.ones((5, 3, 4), np.float32)
    assert np.array_equal(model(x).detach().numpy(), model(tg.tensor(x)).detach().numpy())


DEFAULTS = [
    *[(f, {"dim": None, "keepdim": False})
      for f in (tg.sum, tg.mean, tg.amax, tg.amin, tg.max, tg.min, tg.argmax, tg.argmin)],
    (tg.logsumexp, {"keepdim": False}),
    (tg.norm, {"p": 2, "dim": None, "keepdim": False}),
    (tg.var, {"dim": None, "correction": 1, "keepdim": False}),
    (tg.std, {"dim": None, "correction": 1, "keepdim": False}),
    (tg.cat, {"dim": 0}),
    (tg.stack, {"dim": 0}),
    (nn.init.normal_, {"mean": 0, "std": 1}),
    (nn.init.uniform_, {"a": 0, "b": 1}),
    (nn.init.xavier_uniform_, {"gain": 1}),
    (nn.init.xavier_normal_, {"gain": 1}),
    (nn.init.kaiming_uniform_, {"a": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"}),
    (nn.init.kaiming_normal_, {"a": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"}),
    (nn.init.orthogonal_, {"gain": 1}),
    (nn.functional.leaky_relu, {"negative_slope": 0.01}),
    (nn.functional.dropout, {"p": 0.5, "training": True}),
    (
        nn.functional.batch_norm,
        {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5},
    ),
    (nn.functional.layer_norm, {"weight": None, "bias": None, "eps": 1e-5}),
    (nn.functional.gaussian_nll_loss, {"full": False, "eps": 1e-6, "reduction": "mean"}),
    (nn.functional.conv2d, {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}),
    (nn.LeakyReLU, {"negative_slope": 0.01, "inplace": False}),
    (nn.Dropout, {"p": 0.5}),
    (nn.Flatten, {"start_dim": 1, "end_dim": -1}),
    (
        nn.BatchNorm2d,
        {"eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True},
    ),
    (nn.LayerNorm, {"eps": 1e-5, "elementwise_affine": True, "bias": True}),
    (
        nn.ConvTranspose2d,
        {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "bias": True, "dilation": 1},
    ),
    (optim.SGD, {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False}),
    (optim.Adam, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}),
    (optim.AdamW, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2}),
    (optim.Adagrad, {"lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "eps": 1e-10}),
    (
        optim.RMSprop,
        {
            "lr": 1e-2,
            "alpha": 0.99,
            "eps": 1e-8,
            "weight_decay": 0,
            "momentum": 0,
            "centered": False,
        },
    ),
    (optim.lr_scheduler.StepLR, {"gamma": 0.1}),
    (optim.lr_scheduler.CosineAnnealingLR, {"eta_min": 0}),
    (optim.lr_scheduler.LinearLR, {"start_factor": 1 / 3, "end_factor": 1, "total_iters": 5}),
]


@pytest.mark.parametrize("f, expected", DEFAULTS, ids=[f.__name__ for f, _ in DEFAULTS])
def test_defaults_are_the_ones_learners_will_meet_in_pytorch(f, expected):
    parameters = inspect.signature(f).parameters.values()
    assert {p.name: p.default for p in parameters if p.default is not p.empty} == expected


@pytest.mark.parametrize("nonlinearity, gain", [
    ("linear", 1), ("sigmoid", 1), ("tanh", 5 / 3), ("relu", 2 ** 0.5), ("leaky_relu", 1.4141429)])
def test_gains_are_pytorchs(nonlinearity, gain):
    assert nn.init.calculate_gain(nonlinearity) == pytest.approx(gain, rel=1e-7)


def test_a_module_hands_named_arguments_to_forward():
    class Scaled(nn.Module):
        def forward(self, x, scale=1):
            return x * scale

    assert Scaled()(tg.ones(1), scale=2).item() == 2.0


def test_unflatten_and_dropout_refuse_what_cannot_be():
    with pytest.raises(IndexError, match="dimension 5 is out of range"):
        nn.Unflatten(5, (1, 4))(tg.ones(1, 4))
    with pytest.raises(ValueError, match="Dropout: p is 2.0"):
        nn.Dropout(2.0)


class Averaging(nn.Module):
    """A module whose forward assigns to its buffers."""

    def __init__(self):
        self.weight, self.mean = nn.Parameter(tg.ones(2)), nn.Buffer(tg.zeros(2))
        self.steps = nn.Buffer(tg.tensor(0))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * (x * self.weight).mean(0).detach()
        self.steps += 1
        return x


def test_a_buffer_that_is_assigned_to_stays_a_buffer():
    module = Averaging()
    for _ in range(2):
        module(tg.ones(3, 2))
    state = module.state_dict()
    assert list(state) == ["weight", "mean", "steps"] and state["steps"].item() == 2
    np.testing.assert_allclose(state["mean"].data, [0.19, 0.19], rtol=1e-6)
    assert not module.mean.requires_grad
    Averaging().load_state_dict(state)


def test_a_buffer_does_not_silently_cut_a_graph():
    module = Averaging()
    with pytest.raises(RuntimeError, match=r"Averaging: mean is a Buffer.*assign value.detach\(\)"):
        module.mean = module.mean + module.weight
    with tg.no_grad():
        module.mean = module.mean + module.weight
    assert module.mean.data.tolist() == [1.0, 1.0]


def test_register_buffer():
    module = Averaging()
    module.register_buffer("mask", tg.ones(2))
    assert isinstance(module.mask, nn.Buffer) and "mask" in module.state_dict()


def test_a_parameter_is_replaced_by_a_parameter_or_none_alone():
    module = nn.Linear(2, 1)
    for wrong in (tg.ones(1, 2), np.ones((1, 2)), 3.0):
        with pytest.raises(TypeError, match="Linear: weight is a Parameter, so assign one, not"):
            module.weight = wrong
    module.weight, module.bias = nn.Parameter(tg.ones(1, 2)), None
    assert module(tg.ones(1, 2)).item() == 2 and len(module.parameters()) == 1


def test_a_parameter_that_wants_a_gradient_holds_floats():
    with pytest.raises(RuntimeError, match="only a floating point tensor can require a gradient"):
        nn.Parameter(tg.tensor(2))
    assert nn.Parameter(tg.tensor(2), requires_grad=False).item() == 2


def test_initialisation_asks_for_the_parameter_not_its_array():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="init: got ndarray, expected a parameter such as layer.w"):
        nn.init.normal_(layer.weight.data)


@pytest.mark.parametrize("given", ["same", 1.5, (1, 2, 3), (1, "a")])
def test_sizes_of_images_are_whole_numbers_or_pairs(given):
    with pytest.raises(ValueError, match="expected one whole number, or a \\(vertical, horizontal"):
        nn.Conv2d(1, 1, 3, padding=given)


def test_an_array_assigned_to_a_buffer_becomes_the_buffer():
    module = nn.BatchNorm1d(2)
    module.running_mean = np.ones(2, np.float32)
    assert isinstance(module.running_mean, nn.Buffer)
    assert module.state_dict()["running_mean"].data.tolist() == [1.0, 1.0]


def test_a_module_used_twice_is_one_child():
    """But it stands twice in a Sequential, which calls it twice."""
    shared, first, last = nn.BatchNorm1d(2), nn.Linear(2, 2), nn.Linear(2, 2)
    network = nn.Sequential(first, shared, last, shared)
    assert network.children() == [first, shared, last] and len(network) == 4
    assert [name for name, _ in network.named_children()] == ["0", "1", "2"]
    assert list(network) == [network[i] for i in range(4)] == [first, shared, last, shared]
    assert [name for name, _ in network.named_buffers()] == [
        "1.running_mean", "1.running_var", "1.num_batches_tracked"]
    called = []
    network.apply(called.append)
    assert called == [first, shared, last, network]
    x = tg.randn(5, 2)
    assert network.eval()(x).tolist() == shared(last(shared(first(x)))).tolist()
    assert repr(network).count("BatchNorm1d") == 2
    assert {"1.weight", "3.weight"} < set(network.state_dict())


def test_the_data_of_a_parameter_may_be_computed():
    """The update by hand of many tutorials; in PyTorch `data` is a tensor."""
    p = nn.Parameter(tg.tensor([1.0, 2.0]))
    (p * p).sum().backward()
    p.data = p.data - 0.25 * p.grad
    assert type(p.data) is np.ndarray and p.tolist() == [0.5, 1.0]
    p.grad = None
    (p * p).sum().backward()
    assert p.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("inplace", [False, True])
def test_activations_leave_what_they_get_as_it_is(inplace):
    x = tg.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace)(x).tolist() == [0.0, 2.0]
    assert nn.LeakyReLU(0.5, inplace=inplace)(x).tolist() == [-0.5, 2.0]
    assert x.tolist() == [-1.0, 2.0]
