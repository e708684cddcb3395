"""The same source on a GPU: proven on a strict double of CuPy, and on the real one where there is
one (`-m gpu`)."""

import ast
import functools
import re
import sys
from pathlib import Path

import cupy_double
import numpy as np
import pytest
from cupy_double import API

import tinygen as tg
from tinygen import backend, checks, cli, datasets, gan, inpaint, metrics, nn, optim, train, vae
from tinygen.backend import InputError
from tinygen.datasets import DataLoader, Dataset
from tinygen.tensor import Tensor, raw

PACKAGE = Path(__file__).parent.parent / "tinygen"


@pytest.fixture
def device():
    """What a test does on the device is done on the double, and by default new tensors are there.

    Afterwards CuPy is what it was.
    """
    with pytest.MonkeyPatch.context() as patch:
        backend.working_cupy.cache_clear()
        cupy_double.install(patch)
        yield "cuda"
        backend.set_default_device("cpu")
    backend.working_cupy.cache_clear()


def on(device, work):
    """`work()` with `device` as the default one, from the same random numbers."""
    tg.manual_seed(0)
    backend.set_default_device(device)
    try:
        return work()
    finally:
        backend.set_default_device("cpu")


def host(x):
    return backend.to_device(raw(x), "cpu")


def same(ours, theirs, rtol=0, atol=0):
    """Two results, nested at will: all of `theirs` was on the device, and the numbers agree.

    The double computes with NumPy too, so there they are equal bit for bit.
    """
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            same(a, b, rtol, atol)
    elif isinstance(ours, Tensor):
        assert ours.device == "cpu" and theirs.device == "cuda"
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(host(theirs), host(ours), rtol, atol)
    elif isinstance(ours, float):
        assert isinstance(theirs, float)
        np.testing.assert_allclose(theirs, ours, rtol, atol)
    else:
        assert ours == theirs or ours is None is theirs


# The double itself refuses what CuPy refuses

def x_of(*shape):
    return cupy_double.cupy.ones(shape, np.float32)


REFUSALS = {
    "implicit conversion": lambda cp: np.asarray(x_of(2)),
    "conversion in a constructor": lambda cp: np.array([x_of(2), x_of(2)]),
    "a host array on the right": lambda cp: x_of(2) + np.ones(2),
    "a host array on the left": lambda cp: np.ones(2) * x_of(2),
    "a host array in place": lambda cp: x_of(2).__iadd__(np.ones(2)),
    "a host array in a function": lambda cp: cp.maximum(x_of(2), np.ones(2)),
    "a host array in a method": lambda cp: x_of(2).dot(np.ones(2)),
    "a host 0-d array": lambda cp: x_of(2) * np.array(2.0),
    "a host array in a list": lambda cp: cp.concatenate([x_of(2), np.ones(2)]),
    "a host array as an index": lambda cp: x_of(2)[np.array([0])],
    "a host array assigned": lambda cp: x_of(2).__setitem__(slice(None), np.ones(2)),
    "a host array assigned to all": lambda cp: x_of(2).__setitem__(..., np.ones(2)),
    "where= in a ufunc": lambda cp: cp.add(x_of(2), 1, where=True),
    "where= in a reduction": lambda cp: cp.sum(x_of(2), where=True),
    "initial= in a function": lambda cp: cp.max(x_of(2), initial=0),
    "initial= in a method": lambda cp: x_of(2).max(initial=0),
    "a ufunc's reduce": lambda cp: cp.add.reduce(x_of(2)),
    "multiply.at": lambda cp: cp.multiply.at(x_of(2), [0], 2),
    "a NumPy ufunc's reduce": lambda cp: np.add.reduce(x_of(2)),
    "a missing function": lambda cp: cp.nditer(x_of(2)),
    "permutation by the generator": lambda cp: cp.random.default_rng().permutation(3),
    "a 0-d array as an index": lambda cp: x_of(2)[cp.argmax(x_of(2))],
    "a 0-d array in a slice": lambda cp: x_of(2)[:cp.argmax(x_of(2))],
    "a 0-d array as an index of a list": lambda cp: [1, 2][cp.argmax(x_of(2))],
    "a 0-d array in range": lambda cp: range(cp.argmax(x_of(2))),
    "setflags": lambda cp: x_of(2).setflags(write=False),
    "a keyword of NumPy's": lambda cp: cp.zeros(2, like=None),
    "a list in a ufunc": lambda cp: cp.exp([1.0]),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_the_double_refuses(what):
    with pytest.raises((TypeError, AttributeError, IndexError)):
        REFUSALS[what](cupy_double.cupy)


def test_the_double_offers_what_the_list_has_and_nothing_else():
    cp = cupy_double.cupy
    names = {name for name in vars(cp) if not name.startswith("__")}
    assert names <= set(API["cupy"]) | {"linalg", "fft", "lib"}
    methods = {name for name in vars(cupy_double.ndarray) if name not in (
        "_array", "_of", "__slots__", "__module__", "__doc__", "__qualname__", "__annotations__",
        "__firstlineno__", "__static_attributes__", "__weakref__")}
    assert methods <= set(API["ndarray"])
    assert not isinstance(x_of(2), np.ndarray)


def test_the_double_computes():
    cp = cupy_double.cupy
    x = cp.asarray(np.arange(6.0).reshape(2, 3))
    assert isinstance(x.sum(), cupy_double.ndarray) and x.sum().ndim == 0 and float(x.sum()) == 15
    assert isinstance(np.exp(x), cupy_double.ndarray), "NumPy hands its functions to the device"
    assert isinstance(np.concatenate([x, x]), cupy_double.ndarray)
    view = x[0]
    view += 1
    assert (cp.asnumpy(x)[0] == [1, 2, 3]).all(), "a slice is a view"
    out = cp.empty((2, 3))
    assert cp.multiply(x, 2, out=out) is out and float(out[1, 2]) == 10


# Every operation, layer, loss and distribution, in both orders

def twice(name, number):
    """Outputs, gradients, and gradients of the gradients of case `number` of `name`."""
    rng = np.random.default_rng([number, *name.encode()])
    func, inputs = checks.CASES[name](
        lambda low, high: int(rng.integers(low, high, endpoint=True)))
    inputs = list(inputs.values())
    outputs = checks.outputs_of(func, inputs)
    tracked = [o for o in outputs if o.requires_grad]
    wanted = [x for x in inputs if x.requires_grad]
    if not tracked:
        return outputs, [], []
    first = tg.grad(tracked, wanted, [tg.ones_like(o) for o in tracked], create_graph=True,
                    allow_unused=True)
    total = sum([(g * g).sum() for g in first if g is not None])
    second = tg.grad(total, wanted, allow_unused=True) if (
        isinstance(total, Tensor) and total.requires_grad) else []
    return outputs, first, second


@pytest.mark.parametrize("name", checks.CASES)
def test_both_devices_give_the_same_derivatives(device, name):
    for number in range(8):
        same(on("cpu", lambda: twice(name, number)), on(device, lambda: twice(name, number)))


def test_finite_differences_run_on_the_device(device):
    rows = on(device, lambda: checks.run(["mul", "conv2d", "vae_bernoulli"], 2, progress=False))
    assert rows and max(row[-1] for row in rows) < 1e-5


# Optimisers, models, training

OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adagrad": lambda params: optim.Adagrad(params, 0.1, lr_decay=0.1),
    "RMSprop": lambda params: optim.RMSprop(params, 0.1, momentum=0.9, centered=True),
    "Adam": lambda params: optim.Adam(params, 0.1), "AdamW": lambda params: optim.AdamW(params),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_both_devices_take_the_same_steps(device, name):
    def steps():
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2),
                              nn.Linear(8, 80), nn.Linear(80, 60))      # one of them is not small
        optimizer = OPTIMIZERS[name](model.parameters())
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
        for _ in range(3):
            loss = (model(tg.randn(6, 4)) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            nn.utils.clip_grad_value_(model.parameters(), 0.1)
            optimizer.step()
            schedule.step()
        states = [{key: tg.Tensor(a) for key, a in state.items() if key != "step"}
                  for state in optimizer.state]
        return model.state_dict(), states

    same(on("cpu", steps), on(device, steps))


def runs_of(kind):
    """A training of `kind`, and data for it."""
    images = np.random.default_rng(0).random((32, 1, 28, 28), np.float32)
    points = np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)
    image = kind != "dense_gan"
    data = Dataset("numbers", images if image else points, images[:8] if image else points[:8])
    make = {"dense_vae": lambda: vae.VAETraining(vae.dense_vae((1, 28, 28), hidden=16)),
            "conv_vae": lambda: vae.VAETraining(vae.conv_vae()),
            "gaussian_vae": lambda: vae.VAETraining(
                vae.dense_vae((1, 28, 28), hidden=16, likelihood="gaussian")),
            "dense_gan": lambda: gan.GANTraining(gan.dense_gan((2,), hidden=16), image=False),
            "dcgan": lambda: gan.GANTraining(gan.dcgan(latent_dim=8))}[kind]
    return make(), data


@pytest.mark.parametrize("kind", ["dense_vae", "conv_vae", "gaussian_vae", "dense_gan", "dcgan"])
def test_both_devices_train_alike(device, kind, tmp_path):
    def training(folder):
        run, data = runs_of(kind)
        out = tmp_path / folder
        (out / "samples").mkdir(parents=True)
        history, _ = train.fit(run, data, out, 2, 8, progress=False)
        return history, run.model.state_dict()

    same(on("cpu", lambda: training("host")), on(device, lambda: training("device")))


@pytest.mark.parametrize("first, second", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_of_one_device_resumes_on_the_other(device, first, second, tmp_path):
    def training(folder, epochs):
        run, data = runs_of("dense_gan")
        (tmp_path / folder / "samples").mkdir(parents=True, exist_ok=True)
        return train.fit(run, data, tmp_path / folder, epochs, 16, progress=False)[0]

    whole = on("cpu", lambda: training("whole", 4))
    on(first, lambda: training("halves", 2))
    halves = on(second, lambda: training("halves", 4))
    assert [row["step"] for row in halves] == [row["step"] for row in whole]
    assert [row["test_loss"] for row in halves] == [row["test_loss"] for row in whole]


def test_a_penalised_critic_on_the_device(device):
    def step():
        critic = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        gan.critic_loss(critic, tg.randn(5, 3), tg.randn(5, 3)).backward()
        return [p.grad for p in critic.parameters()]

    same(on("cpu", step), on(device, step))


def test_nothing_but_the_batch_and_the_noise_moves_in_a_step(device, monkeypatch):
    def training():
        run, data = runs_of("dcgan")
        x = next(iter(DataLoader(data.train, 8)))
        moved = []
        move = backend.to_device
        monkeypatch.setattr(backend, "to_device", lambda x, place: (
            moved.append((x.shape, place)) if backend.device_of(x) != place else None,
            move(x, place))[1])
        run.step(x)
        return moved

    assert on(device, training) == [((8, 8), "cuda")], "only the noise, as the batch was there"


def test_metrics_and_completions_from_the_device(device):
    images = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)

    def figures():
        return metrics.image_figures(metrics.load_classifier(), images[:20], images[20:])

    assert on("cpu", figures) == on(device, figures)

    def completed():
        model = vae.dense_vae((1, 28, 28), hidden=16).requires_grad_(False)
        known = inpaint.mask("left", (1, 28, 28))
        return [inpaint.by_encoding(model, images[:2], known, rounds=3, mean_of=2),
                inpaint.by_search(lambda z: model.picture(model.decode(z)), 20, images[:2], known,
                                  steps=3, starts=2),
                metrics.draw(vae.VAETraining(model), 3)]

    for a, b in zip(on("cpu", completed), on(device, completed)):
        np.testing.assert_array_equal(b, a)


# Placing tensors

def test_tensors_move_and_say_where_they_are(device):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x.cuda()
    assert y.device == "cuda" and "device=cuda" in repr(y.detach())
    (y * y).sum().backward()
    assert x.grad.device == "cpu" and (x.grad.numpy() == [2, 4]).all()
    assert (y.detach().numpy() == [1, 2]).all() and y.detach().cpu().device == "cpu"
    assert tg.tensor(y.detach()).device == "cuda" and tg.zeros(2, device="cuda").device == "cuda"
    assert tg.tensor(raw(y)).device == "cuda"
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()).to("cuda")
    assert model(tg.randn(1, 1, 4, 4, device="cuda")).device == "cuda"
    assert gan.dense_gan((2,)).to("cuda").sample(3).device == "cuda"


def test_mixing_devices_is_an_error(device):
    with pytest.raises(TypeError, match="numpy.ndarray"):
        tg.ones(2, device="cuda") + tg.ones(2)


def test_an_unknown_device_is_told():
    for call in (lambda: tg.zeros(2, device="gpu"), lambda: tg.set_default_device("gpu")):
        with pytest.raises(InputError, match="device 'gpu' is not known; choose 'cpu' or 'cuda'"):
            call()
    assert backend.default_device == "cpu"


def test_the_default_device(device):
    tg.set_default_device(device)
    assert tg.zeros(2).device == tg.tensor([1]).device == nn.Linear(2, 2).weight.device == "cuda"
    assert tg.zeros(2, device="cpu").device == tg.tensor(tg.zeros(2, device="cpu")).device == "cpu"
    assert all(x.device == "cuda" for x in DataLoader(np.zeros((4, 2), np.float32), 2))


def test_a_command_computes_on_the_device_that_it_names(device, tmp_path, monkeypatch):
    images = np.random.default_rng(0).random((12, 1, 28, 28), np.float32)
    monkeypatch.setattr(datasets, "load", lambda name: Dataset("mnist", images, images))
    monkeypatch.setattr(inpaint, "by_search", functools.partial(inpaint.by_search, steps=2))
    run = str(tmp_path / "run")
    for words in (["train", "vae", "--epochs", "1", "--out", run], ["check", "add", "--cases", "1"],
                  ["sample", run], ["reconstruct", run], ["evaluate", run], ["inpaint", run]):
        assert cli.main([*words, "--device", device]) == 0 and backend.default_device == device
    assert train.read_config(run)["device"] == device
    assert cli.main(["sample", run]) == 0 and backend.default_device == "cpu"


def test_without_cupy_one_sentence_says_what_to_install(monkeypatch):
    backend.working_cupy.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(InputError, match=r"needs CuPy.*install tinygen\[cuda12\]"):
        tg.set_default_device("cuda")
    assert backend.default_device == "cpu"


def test_a_device_counts_only_when_a_kernel_ran_on_it(monkeypatch):
    backend.working_cupy.cache_clear()
    broken = type("cupy", (), {"ndarray": type(None), "ones": lambda n: 1 / 0})
    monkeypatch.setitem(sys.modules, "cupy", broken)
    with pytest.raises(InputError, match="could not compute on one .*install the driver"):
        tg.set_default_device("cuda")


# What the source may call

HOST_ONLY = {
    # Files whose arrays are on the host, by their docstrings, and what moves them to a device.
    "datasets", "dataloader", "plots", "report", "metrics", "inpaint", "lessons", "cli", "train",
    "serialization", "gradcheck", "checks.draw", "checks.primitives", "checks",
    "creation",          # new numbers are made on the host, from one generator, and moved
    "nn.init",           # so are the numbers that parameters start from
    "backend",           # it is the one that knows both
}
NO_ARRAYS = {"asarray": "a scalar that NumPy made of a host array", "generic": "a type",
             "dtype": "a type", "array2string": "text of a host array", "finfo": "about a type",
             "array": "__array__, which is for the host"}


def findings(source, module):
    """Each call of an array library that CuPy does not have: (line, what is wrong).

    The library is called `xp`, or is what `array_module(...)` gives. `np` itself may only appear
    where all arrays are the host's.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (
                node.value.id == "np" and module not in HOST_ONLY and node.attr not in NO_ARRAYS):
            yield node.lineno, f"np.{node.attr} where the array could be a device's"
        if not (isinstance(node, ast.Attribute) and library(node)):
            continue
        path = library(node)
        known = API
        for part, name in path:
            known = API.get(part, {}).get(name)
            if known is None:
                yield node.lineno, f"CuPy has no {name}"
                break
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            path = library(node.func)
            known = API.get(path[-1][0], {}).get(path[-1][1]) if path else None
            if known is None and not path and module.partition(".")[0] == "ops":
                known = API["ndarray"].get(node.func.attr)      # a method, of an array perhaps
            names = allowed(known)
            for keyword in node.keywords if names is not None else []:
                if keyword.arg not in names | {"dim", "keepdim"} and keyword.arg is not None:
                    yield node.lineno, f"{node.func.attr} takes no {keyword.arg}= in CuPy"


def used(source):
    """(part of CuPy, name) of everything that the source takes from an array library."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            yield from library(node) or []


def library(node):
    """[("cupy", name)] if `node` is xp.name or array_module(x).name, and so on for linalg."""
    inner, names = node, []
    while isinstance(inner, ast.Attribute):
        names.insert(0, inner.attr)
        inner = inner.value
    called = isinstance(inner, ast.Call) and getattr(
        inner.func, "attr", getattr(inner.func, "id", None)) == "array_module"
    if not (called or isinstance(inner, ast.Name) and inner.id == "xp"):
        return None
    for part in ("lib.stride_tricks", "linalg", "random"):
        depth = part.count(".") + 1
        if ".".join(names[:depth]) == part:
            return [(part, names[depth])] if len(names) > depth else None
        if part.startswith(".".join(names) + "."):
            return None
    return [("cupy", names[0])]


def allowed(known):
    """The keywords that CuPy takes, or None where anything goes."""
    if known is None or known.get("params") is None and "kwargs" not in known:
        return None
    if "kwargs" in known:
        return set(known["kwargs"])
    names = [p if isinstance(p, str) else p[0] for p in known["params"]]
    kinds = ["" if isinstance(p, str) else p[1] for p in known["params"]]
    return None if "VAR_KEYWORD" in kinds else {re.split(r"\s", name)[-1] for name in names}


SOURCES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
           for path in PACKAGE.rglob("*.py")}


@pytest.mark.parametrize("module", SOURCES)
def test_the_source_calls_only_what_cupy_has(module):
    assert list(findings(SOURCES[module].read_text("utf-8"), module)) == []


PLANTED_IN_SOURCE = {
    "a NumPy call": ("array_module(x).exp(x)", "np.exp(x)"),
    "a keyword that CuPy lacks": ("array_module(x).log(x)", "array_module(x).log(x, where=x > 0)"),
    "a name that CuPy lacks": ("array_module(x).tanh(x)", "array_module(x).vecdot(x, x)"),
}


@pytest.mark.parametrize("plant", PLANTED_IN_SOURCE)
def test_a_planted_fault_is_found_in_the_source(plant):
    source, (right, wrong) = SOURCES["ops.elementwise"].read_text("utf-8"), PLANTED_IN_SOURCE[plant]
    assert right in source
    assert len(list(findings(source.replace(right, wrong), "ops.elementwise"))) == 1


PLANTED = {
    "a NumPy call": ("ops.elementwise", "array_module(x).cos(x)",
                     "__import__('numpy').asarray(x)", "cos"),
    "a keyword that CuPy lacks": ("ops.elementwise", "array_module(x).log1p(x)",
                                  "array_module(x).log1p(x, where=True)", "log1p"),
    "a host array in a rule": ("ops.elementwise", "g * cos(x)",
                               "g * __import__('numpy').ones(x.shape)", "sin"),
    "a host array in a loss": ("functional", "difference * difference, reduction",
                               "difference * __import__('numpy').ones(input.shape), reduction",
                               "mse_loss"),
    "an index with a 0-d array": ("ops.reductions", "    return x.max(axis=dims_of(x, dim)",
                                  "    x[x.argmax() * 0]\n    return x.max(axis=dims_of(x, dim)",
                                  "amax"),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_is_found_on_the_double(device, plant, tmp_path):
    """The package, copied with one fault in it, fails where it is whole."""
    import shutil
    import subprocess

    module, right, wrong, name = PLANTED[plant]
    shutil.copytree(PACKAGE, tmp_path / "tinygen", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "tinygen" / SOURCES[module].relative_to(PACKAGE)
    source = path.read_text("utf-8")
    assert right in source
    command = [sys.executable, "-c",
               "import sys; sys.path[:0] = sys.argv[1:3]\n"
               "import cupy_double, pytest; cupy_double.install(pytest.MonkeyPatch())\n"
               "import test_cuda as t; assert str(t.checks.__file__).startswith(sys.argv[1])\n"
               f"t.on('cuda', lambda: [t.twice({name!r}, i) for i in range(8)])",
               str(tmp_path), str(Path(__file__).parent)]
    assert subprocess.run(command).returncode == 0, "the copy is whole"
    path.write_text(source.replace(right, wrong, 1))
    broken = subprocess.run(command, capture_output=True, text=True)
    assert broken.returncode == 1 and "Error" in broken.stderr.splitlines()[-1]


# The real one

@pytest.mark.gpu
@pytest.mark.parametrize("name", checks.CASES)
def test_the_gpu_gives_the_same_derivatives(name):
    for number in range(4):
        try:
            same(on("cpu", lambda: twice(name, number)), on("cuda", lambda: twice(name, number)),
                 1e-6, 1e-9)
        finally:
            backend.set_default_device("cpu")
