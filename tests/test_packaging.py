"""The sdist and the wheel are whole, and MNIST is found however tinygen is installed.

Everything is built from a copy, so that the checkout stays clean, with the setuptools that
`.[test]` installs, so that nothing is downloaded.
"""

import email
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy
import pytest

import tinygen

ROOT = Path(__file__).parent.parent
DATA = sorted(path for path in (ROOT / "data").glob("[!.]*") if path.is_file())
SOURCES = sorted((ROOT / "tinygen").rglob("*.py"))
INSTALLED = ({str(path.relative_to(ROOT)) for path in SOURCES}
             | {f"tinygen/data/{path.name}" for path in DATA})


def build(kind, tree, out):
    """Build a "sdist", "wheel" or "editable" (a wheel too) of `tree`; the path of the result."""
    out.mkdir()
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, out],
                         cwd=tree, capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stderr}\nis '.[test]' installed?"
    result, = out.iterdir()
    return result


def unpack(archive, out):
    if archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(out)
    else:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}       # Python 3.11.4
        tarfile.open(archive).extractall(out, **safe)
    return out


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkout without what lies around in this one."""
    tree = tmp_path_factory.mktemp("source")
    for name in ("tinygen", "data", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    return tree


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    base = tmp_path_factory.mktemp("sdist")
    folder, = unpack(build("sdist", source, base / "dist"), base / "unpacked").iterdir()
    return folder


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel, built from the sdist, so that what that one lacks is missed here too."""
    return build("wheel", sdist, tmp_path_factory.mktemp("wheel") / "dist")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return unpack(wheel, tmp_path_factory.mktemp("site"))


def test_sdist_holds_all_that_the_wheel_needs(sdist):
    files = {str(path.relative_to(sdist)) for path in sdist.rglob("*") if path.is_file()}
    assert files >= {str(path.relative_to(ROOT)) for path in SOURCES + DATA}
    assert files >= {"README.md", "LICENSE", "setup.cfg", "pyproject.toml"}


def test_wheel_holds_the_package_and_the_data(wheel, installed):
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert {name for name in files if ".dist-info/" not in name} == INSTALLED
    assert any(name.endswith("/LICENSE") for name in files)
    assert wheel.name == f"tinygen-{tinygen.__version__}-py3-none-any.whl"  # any: no compiled code


def test_metadata(installed):
    info, = installed.glob("*.dist-info")
    commands = (info / "entry_points.txt").read_text("utf-8").splitlines()
    assert "tinygen = tinygen.cli:main" in commands
    metadata = email.message_from_string((info / "METADATA").read_text("utf-8"))
    assert metadata["Version"] == tinygen.__version__
    assert "MIT" in (metadata["License-Expression"], metadata["License"])
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()
    needs = [need.split(">") for need in metadata.get_all("Requires-Dist") if "extra" not in need]
    assert {name.strip() for name, _ in needs} == {"numpy", "matplotlib", "pillow", "tqdm"}


# Where MNIST is found

def look(*path, cwd, pth=None):
    """Load MNIST in a Python that sees NumPy, then only `path` (and a .pth file's folder `pth`).

    Neither an installed tinygen nor the current folder counts: -I and -S leave both out.
    """
    code = """if True:
        import json, site, sys
        numpy_home, pth, *path = json.loads(sys.argv[1])
        sys.path.insert(0, numpy_home)
        import numpy
        sys.path[:1] = path
        if pth:
            site.addsitedir(pth)
        from tinygen import datasets, nn
        data = datasets.mnist()
        packaged = sys.modules.get("tinygen.data")
        print(json.dumps([datasets.__file__, packaged and packaged.__file__,
                          len(data.train), len(data.test_labels)]))"""
    argument = json.dumps([Path(numpy.__file__).parent.parent, pth, *path], default=str)
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code, argument],
                         cwd=cwd, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    code_file, data_file, train, test = json.loads(run.stdout)
    assert (train, test) == (60_000, 10_000)
    return Path(cwd, code_file), data_file and Path(cwd, data_file)


def test_mnist_in_a_bare_checkout(tmp_path):
    assert look(ROOT, cwd=tmp_path) == (ROOT / "tinygen/datasets.py", None)


def test_mnist_in_a_wheel(installed, tmp_path):
    assert look(installed, cwd=tmp_path) == (
        installed / "tinygen/datasets.py", installed / "tinygen/data/__init__.py")


def test_mnist_in_a_wheel_used_inside_a_checkout(installed):
    # As the `tinygen` command does, whose path starts with its own folder.
    assert look(installed, cwd=ROOT) == (
        installed / "tinygen/datasets.py", installed / "tinygen/data/__init__.py")
    # As `python -c` does, whose path starts with the current folder: the checkout's own code.
    assert look("", installed, cwd=ROOT) == (ROOT / "tinygen/datasets.py", None)


@pytest.mark.parametrize("inside", [False, True])
def test_mnist_in_an_editable_install(source, tmp_path, inside):
    site = unpack(build("editable", source, tmp_path / "dist"), tmp_path / "site")
    path = [""] if inside else []
    assert look(*path, cwd=source if inside else tmp_path, pth=site) == (
        source / "tinygen/datasets.py", source / "data/__init__.py")


def test_python_m_tinygen():
    run = subprocess.run([sys.executable, "-m", "tinygen", "--help"],
                         cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("usage: tinygen")
