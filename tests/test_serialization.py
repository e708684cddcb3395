"""What is saved comes back the same, no file is ever run, and each is whole or absent."""

import errno
import json
import math
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn, optim, serialization
from tinygen.backend import InputError
from tinygen.serialization import load, save

ROOT = Path(__file__).parent.parent


def equal(a, b):
    """Whether two nested things are the same, arrays by dtype, shape and every number."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype
                and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    if isinstance(a, dict):
        return (isinstance(b, dict) and list(a) == list(b)
                and all(equal(a[key], b[key]) for key in a))
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


NESTED = {
    "model": {"encoder.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": {}},
    "list": [1, [2.5, None], {"deep": [np.array([True, False])]}, []],
    "text": "ä 漢 \" \\ / \n", "yes": True, "no": False, "nothing": None,
    "large": 2**127 + 1, "tiny": 5e-324, "third": 1 / 3, "infinite": -math.inf,
}

ARRAYS = {
    "0-d": np.array(3.5, np.float32), "no numbers": np.zeros((0, 3)), "empty 1-d": np.zeros(0, int),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(24.0).reshape(4, 6)[::-2, 1::2], "int64": np.array([-2**63, 2**63 - 1]),
    "bool": np.array([[True], [False]]), "uint8": np.arange(256, dtype=np.uint8),
    "float16": np.array([1, 65504], np.float16), "special": np.array([np.nan, -np.inf, -0.0]),
    "channels last": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
}


def test_nested_things_come_back(tmp_path):
    save(NESTED, tmp_path / "a.npz")
    assert equal(load(tmp_path / "a.npz"), NESTED)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_and_tensors_come_back_as_arrays(tmp_path, name):
    array = ARRAYS[name]
    for given in (array, tg.Tensor(array)):
        save({"x": given}, tmp_path / "a.npz")
        found = load(tmp_path / "a.npz")["x"]
        assert equal(found, array) and np.array_equal(np.signbit(found), np.signbit(array))
        assert found.flags.writeable and found.flags.f_contiguous == array.flags.f_contiguous


@pytest.mark.parametrize("thing", [None, 7, "text", [], {}, np.arange(3.0), [np.ones(2)]])
def test_anything_may_stand_at_the_top(tmp_path, thing):
    save(thing, tmp_path / "a.npz")
    assert equal(load(tmp_path / "a.npz"), thing)


def test_scalars_of_numpy_are_arrays_and_tuples_lists(tmp_path):
    save([np.float32(0.1), np.int64(3), np.bool_(True), (1, 2)], tmp_path / "a.npz")
    expected = [np.array(0.1, np.float32), np.array(3), np.array(True), [1, 2]]
    assert equal(load(tmp_path / "a.npz"), expected)
    save(math.nan, tmp_path / "a.npz")
    assert math.isnan(load(tmp_path / "a.npz"))


def test_a_tensor_with_a_history_is_saved_without_it(tmp_path):
    w = tg.ones(2, requires_grad=True)
    save({"w": w, "twice": 2 * w}, tmp_path / "a.npz")
    assert equal(load(tmp_path / "a.npz"), {"w": np.ones(2, np.float32),
                                            "twice": np.full(2, 2, np.float32)})
    assert w.requires_grad


@pytest.mark.parametrize("names", [["", "b"], ["file"], ["allow_pickle"], ["../a", "/b"]], ids=str)
def test_odd_names_come_back(tmp_path, names):
    thing = {name: np.full(2, i) for i, name in enumerate(names)}
    save(thing, tmp_path / "a.npz")
    assert equal(load(tmp_path / "a.npz"), thing)
    assert os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.parametrize("message, thing", [
    ("keys must be strings", {1: 2}), ("keys must be strings", {None: 0}),
    ("keys must be strings", {True: 1}), ("keys must be strings", {1: 2, "1": 3}),
    ("'array' alone has a meaning of its own", {"array": 3}),
    ("'array' alone has a meaning of its own", {"array": ["x"]}),
    ("two arrays would be called a/b", {"a": {"b": np.zeros(2)}, "a/b": np.ones(2)}),
    ("two arrays would be called structure", {"structure": np.zeros(2)}),
    ("two arrays would be called a;", {"a.npy": np.zeros(2), "a": np.ones(1)})])
def test_names_that_could_not_come_back_are_refused(tmp_path, message, thing):
    with pytest.raises((TypeError, ValueError), match=f"save: .*{message}"):
        save(thing, tmp_path / "a.npz")
    assert not os.listdir(tmp_path)


def test_a_model_and_its_optimiser_come_back(tmp_path):
    def made():
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 1))
        return model, optim.Adam(model.parameters(), 0.01)

    def train(model, optimizer):
        optimizer.zero_grad()
        model(tg.randn(5, 1, 4, 4)).sum().backward()
        optimizer.step()
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}

    model, optimizer = made()
    save(train(model, optimizer), tmp_path / "a.npz")
    other, other_optimizer = made()
    state = load(tmp_path / "a.npz")
    other.load_state_dict(state["model"])
    other_optimizer.load_state_dict(state["optimizer"])
    for i, pair in enumerate([(model, optimizer), (other, other_optimizer)]):
        tg.manual_seed(1)
        save(train(*pair), tmp_path / f"after {i}")
    assert (tmp_path / "after 0").read_bytes() == (tmp_path / "after 1").read_bytes()


# What is in a file

def test_the_file_can_be_read_with_numpy_by_name(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3))
    save({"model": model.state_dict(), "rows": [{"x": np.ones(1)}], "n": 3}, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        assert sorted(file.files) == ["model/0.bias", "model/0.weight", "rows/0/x", "structure"]
        assert np.array_equal(file["model/0.weight"], model[0].weight.data)


def test_the_file_holds_arrays_and_json_and_no_pickle(tmp_path):
    save(NESTED, tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert all(name.endswith(".npy") for name in file.namelist())
        assert all(file.read(name).startswith(b"\x93NUMPY") for name in file.namelist())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert not any(file[name].dtype.hasobject for name in file.files)
        structure = json.loads(file["structure"].tobytes())
    assert structure["text"] == NESTED["text"] and structure["third"] == 1 / 3
    assert structure["model"]["encoder.0.weight"] == {"array": "model/encoder.0.weight"}


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_objects_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for array in (np.array([Trap()], object), np.array([None]), np.array([1, "a"], object)):
        with pytest.raises((TypeError, ValueError)):
            save({"x": array}, "a.npz")
    for thing in ({1, 2}, b"bytes", object(), 1j, Trap()):
        with pytest.raises(TypeError, match=f"save: a/1 is a {type(thing).__name__}; only tensors"):
            save({"a": [0, thing]}, "a.npz")
    assert not list(tmp_path.iterdir())


def test_a_pickle_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    structure = np.frombuffer(b'{"x": {"array": "x"}}', np.uint8)
    np.savez("a.npz", structure=structure, x=np.array([Trap()], object))
    np.save("b.npy", np.array([Trap()], object), allow_pickle=True)
    for name in ("a.npz", "b.npy"):
        with pytest.raises(InputError, match=name):
            load(name)
    assert not os.path.exists("trapped")


def test_the_same_thing_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save(NESTED, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_name_is_kept_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(1, "no_suffix")
    save(2, tmp_path / "ä.tar.gz")
    assert sorted(os.listdir()) == ["no_suffix", "ä.tar.gz"]
    assert (load("no_suffix"), load(tmp_path / "ä.tar.gz")) == (1, 2)


# Files that are not what they should be

def refused(path):
    with pytest.raises(InputError) as caught:
        load(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return sentence


def test_a_missing_file(tmp_path):
    for path in (tmp_path / "no.npz", tmp_path):
        assert "does not exist or is not a file; check the name" in refused(path)


def without_structure(path):
    with open(path, "wb") as file:
        np.savez(file, x=np.ones(3))


def one_array(path):
    with open(path, "wb") as file:
        np.save(file, np.ones(3))


def structure_of(*contents, **arrays):
    def write(path):
        with open(path, "wb") as file:
            np.savez(file, structure=np.array(*contents), **arrays)
    return write


FOREIGN = {
    "text": lambda path: path.write_text("epoch,step\n1,2\n"),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a zip of text": lambda path: zipfile.ZipFile(path, "w").writestr("structure", "{}"),
    "an empty zip": lambda path: zipfile.ZipFile(path, "w").close(),
    "npz without structure": without_structure,
    "npy": one_array,
    "structure is no JSON": structure_of(list(b"{no json"), np.uint8),
    "structure is no text": structure_of([255, 254, 250], np.uint8),
    "structure is numbers": structure_of(1.5),
    "a lost array": structure_of(list(b'[{"array": "x"}]'), np.uint8),
    "a list as the name of an array": structure_of(list(b'[{"array": []}]'), np.uint8),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file(tmp_path, kind):
    FOREIGN[kind](tmp_path / "a.npz")
    assert "not a file that tinygen has saved, or it is damaged" in refused(tmp_path / "a.npz")


def test_a_truncated_file(tmp_path):
    save(NESTED, tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    for end in [1, 3, 4, 30, 100, len(whole) // 2, len(whole) - 23, len(whole) - 1]:
        (tmp_path / "a.npz").write_bytes(whole[:end])
        refused(tmp_path / "a.npz")


def test_a_damaged_file_is_refused_or_unharmed(tmp_path):
    thing = {"w": np.arange(8.0), "b": {"c": np.ones((2, 2), np.float32)}, "n": 3}
    save(thing, tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    rng, caught = np.random.default_rng(0), 0
    for place in rng.integers(len(whole), size=300):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        (tmp_path / "a.npz").write_bytes(damaged)
        try:
            assert equal(load(tmp_path / "a.npz"), thing)
        except InputError:
            caught += 1
    assert caught > 100


# A save that fails

def only_the_old_file(folder, before):
    return os.listdir(folder) == ["a.npz"] and (folder / "a.npz").read_bytes() == before


@pytest.fixture
def before(tmp_path):
    save({"x": np.ones(3)}, tmp_path / "a.npz")
    return (tmp_path / "a.npz").read_bytes()


@pytest.mark.parametrize("numbers", [1000, 2_000_000])     # with and without a full buffer
def test_a_full_disk_leaves_the_old_file(tmp_path, before, numbers):
    """In a process of its own, which may write no file above 4,096 bytes."""
    pytest.importorskip("resource")
    program = ("import resource, sys; sys.path.insert(0, sys.argv[1]); import numpy, tinygen; "
               "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
               f"tinygen.save({{'x': numpy.zeros({numbers})}}, 'a.npz')")
    ran = subprocess.run([sys.executable, "-c", program, str(ROOT)], cwd=tmp_path,
                         capture_output=True, text=True)
    assert ran.returncode == 1 and "OSError: [Errno 27]" in ran.stderr
    assert only_the_old_file(tmp_path, before)


@pytest.mark.parametrize("stop", [OSError(5, "input/output error"), KeyboardInterrupt()])
def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch, before, stop):
    def fail(*args):
        raise stop

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(serialization.os, name, fail)
            with pytest.raises(type(stop)):
                save({"x": np.zeros(3)}, tmp_path / "a.npz")
        assert only_the_old_file(tmp_path, before), name


def test_a_file_that_another_program_holds_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    replace, tries = os.replace, []

    def held(*paths):
        tries.append(paths)
        if len(tries) < 3:
            raise PermissionError(13, "held by another program", *paths)
        replace(*paths)

    monkeypatch.setattr(serialization.os, "replace", held)
    save({"x": np.ones(3)}, tmp_path / "a.npz")
    assert len(tries) == 3 and equal(load(tmp_path / "a.npz"), {"x": np.ones(3)})


@pytest.mark.skipif(os.name != "posix", reason="Windows does not open folders")
def test_a_folder_that_knows_no_fsync_is_no_failure(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(serialization.os, "fsync", files_only)
    save({"x": np.ones(3)}, tmp_path / "a.npz")
    assert equal(load(tmp_path / "a.npz"), {"x": np.ones(3)})


def test_a_refused_thing_leaves_the_old_file(tmp_path, before):
    for wrong in (object(), np.array([None])):
        with pytest.raises((TypeError, ValueError)):
            save({"x": np.zeros(3), "y": wrong}, tmp_path / "a.npz")
        assert only_the_old_file(tmp_path, before)


def test_the_new_file_takes_the_place_only_when_it_is_whole(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with serialization.replacing(tmp_path / "a.txt") as file:
        file.write(b"new")
        assert (tmp_path / "a.txt").read_text("utf-8") == "old"
    assert (tmp_path / "a.txt").read_text("utf-8") == "new"
    with pytest.raises(ZeroDivisionError), serialization.replacing(tmp_path / "b.txt") as file:
        file.write(b"half")
        1 / 0
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="a folder cannot be opened there")
def test_the_file_is_on_the_disk_before_its_name_and_then_the_name_too(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        size = 0 if is_folder else os.fstat(descriptor).st_size
        done.append("folder" if is_folder else f"{size} bytes")
        fsync(descriptor)

    monkeypatch.setattr(serialization.os, "fsync", synced)
    monkeypatch.setattr(serialization.os, "replace", lambda *paths: (
        done.append([path.name for path in paths]) or replace(*paths)))
    with serialization.replacing(tmp_path / "a.txt") as file:
        file.write(b"four")
    assert done == ["4 bytes", ["a.txt.part", "a.txt"], "folder"]


def test_a_part_left_by_a_crash_does_no_harm(tmp_path):
    (tmp_path / "a.npz.part").write_bytes(b"left over, and longer than what comes now" * 100)
    save(5, tmp_path / "a.npz")
    assert load(tmp_path / "a.npz") == 5 and os.listdir(tmp_path) == ["a.npz"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    refused(tmp_path / "a.npz")


def test_arrays_that_no_structure_names_are_refused(tmp_path):
    structure_of(list(b'{"x": {"array": "x"}}'), np.uint8, x=np.ones(3))(tmp_path / "a.npz")
    assert equal(load(tmp_path / "a.npz"), {"x": np.ones(3)})
    structure_of(list(b'{"x": {"array": "x"}}'), np.uint8, x=np.ones(3), y=np.ones(3))(
        tmp_path / "b.npz")
    assert "the arrays in it are not those that it names" in refused(tmp_path / "b.npz")


def test_a_header_is_not_believed_beyond_what_is_there(tmp_path, monkeypatch):
    def claim(stream, array, allow_pickle):
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<f4", "fortran_order": False, "shape": (2 ** 33,)})

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", claim)
        save({}, tmp_path / "a.npz")
    monkeypatch.setattr(np.lib.format, "read_array", None)         # so that no array can be made
    assert "claims (8589934592,) of float32 in 128 bytes" in refused(tmp_path / "a.npz")


def test_what_could_not_be_loaded_is_not_saved(tmp_path, monkeypatch, before):
    monkeypatch.setattr(serialization, "LARGEST_JSON", 1000)
    save({"x": list(range(100))}, tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    size = len(json.dumps({"x": list(range(100))}))
    for limit, value in (("LARGEST_JSON", 100), ("LARGEST", 600), ("MOST_ARRAYS", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(serialization, limit, value)
            with pytest.raises(ValueError, match=f"1 arrays, {size} bytes of JSON and .* too"):
                save({"x": list(range(100))}, tmp_path / "a.npz")
        assert only_the_old_file(tmp_path, before)


def test_broken_files_of_every_kind_are_refused_and_change_nothing():
    """The small form of `python tests/malformed.py`, without the bombs, which take memory."""
    pytest.importorskip("resource")
    ran = subprocess.run([sys.executable, "-c", "import sys; sys.path[:0] = sys.argv[1:]\n"
                          "import malformed\n"
                          "print(sum(row[1] for row in malformed.run(0.1, bombs=False)))",
                          str(ROOT), str(ROOT / "tests")], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= 20


@pytest.mark.parametrize("name", ["a\0b", "a\\b"])
def test_a_name_that_some_system_cannot_hold_is_refused(tmp_path, name):
    with pytest.raises(TypeError, match="without NUL or backslash"):
        save({name: np.ones(1)}, tmp_path / "a.npz")
    assert os.listdir(tmp_path) == []
