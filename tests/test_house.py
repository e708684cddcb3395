"""The house: who may import whom, how long files may be, what lies where."""

import ast
import graphlib
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = [
    ["backend"],
    ["tensor"],
    ["ops", "creation"],
    ["functional", "gradcheck", "dataloader", "anomaly"],
    ["distributions", "nn", "optim", "datasets", "serialization"],
    ["vae", "gan", "metrics", "inpaint", "plots"],
    ["train", "report", "checks", "lessons", "arguments"],
    ["cli", "__main__"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
READING_ORDER = {
    "ops": ["shapes", "elementwise", "reductions", "matrix", "indexing", "normalise", "conv",
            "methods"],
}
THIRD_PARTY = {"numpy", "cupy", "matplotlib", "PIL", "tqdm"}

TOP_LEVEL = {"README.md", "setup.cfg", "tinygen", "lessons", "tests", "data",
             "LICENSE", "pyproject.toml", ".gitattributes", ".gitignore", "ruff.toml", ".ci"}


def module_name(path):
    """`ROOT/tinygen/ops/shapes.py` is "tinygen.ops.shapes", an `__init__.py` its folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(path): path for path in sorted((ROOT / "tinygen").rglob("*.py"))}
MODULES = [module for module in FILES if module != "tinygen"]  # __init__.py hands on what it likes


def unit(module):
    """The file or folder of `tinygen/` that holds a module: "ops" for "tinygen.ops.shapes"."""
    return f"{module}.".split(".")[1]


def imports(module):
    """What `module` imports, inside functions too, as pairs (place, module that it comes from)."""
    path = FILES[module]
    package = (module if path.name == "__init__.py" else module.rpartition(".")[0]).split(".")
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        if isinstance(node, ast.Import):
            yield from ((place, alias.name) for alias in node.names)
            continue
        start = package[:len(package) + 1 - node.level] if node.level else []
        source = ".".join(start + ([node.module] if node.module else []))
        for alias in node.names:
            whole = f"{source}.{alias.name}"
            if whole != "tinygen.__version__":  # set above all imports, so there on every floor
                yield place, whole if whole in FILES else source


def imports_of_ours(module):
    return [(place, what) for place, what in imports(module) if what.split(".")[0] == "tinygen"]


# Who may import whom

def test_every_file_stands_on_a_floor():
    homeless = {unit(module) for module in MODULES} - set(FLOOR)
    assert not homeless, f"on no floor: {homeless}; give each one in FLOORS, above what it imports"


def test_files_import_from_lower_floors_only():
    # `import tinygen` is an import of all that its __init__.py hands on.
    below = [FLOOR[unit(what)] for _, what in imports_of_ours("tinygen")]
    floor = FLOOR | {"": max(below) + 1}
    wrong = []
    for module in MODULES:
        mine = floor.get(unit(module), 0)
        for place, what in imports_of_ours(module):
            theirs = floor.get(unit(what), 0)
            inside = unit(what) == unit(module) or (unit(module), unit(what)) == ("__main__", "cli")
            if theirs >= mine and not inside:
                wrong.append(f"{place} (floor {mine}) imports {what} (floor {theirs})")
    assert not wrong, "a file imports from lower floors only:\n" + "\n".join(wrong)


def test_files_say_what_they_are_and_on_which_floor():
    for module in MODULES:
        text = ast.get_docstring(ast.parse(FILES[module].read_text("utf-8")))
        assert text, f"{module} has no docstring"
        on_a_floor = module == f"tinygen.{unit(module)}" != "tinygen.__main__"
        if on_a_floor or text.startswith("Floor "):
            assert text.startswith(f"Floor {FLOOR.get(unit(module))}: "), f"{module}: {text[:8]}"


def test_the_readme_shows_every_file_on_its_floor():
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    shown = [(int(floor), name) for floor, names in rows for name in re.findall("`(.+?)`", names)]
    folders = {path.name for path in (ROOT / "tinygen").iterdir() if path.is_dir()}
    assert sorted(shown) == sorted((floor, name + ("/" if name in folders else ".py"))
                                   for name, floor in FLOOR.items() if name != "__main__")


@pytest.mark.parametrize("folder", sorted({unit(m) for m in MODULES if m.count(".") > 1}))
def test_a_folder_has_no_cycles(folder):
    graph = {module: {what for _, what in imports_of_ours(module) if unit(what) == folder}
             for module in MODULES if unit(module) == folder}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"these import each other in a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("folder", READING_ORDER)
def test_a_folder_can_be_read_in_order(folder):
    order = [f"tinygen.{folder}.{name}" for name in READING_ORDER[folder]]
    inside = {module for module in MODULES if module.startswith(f"tinygen.{folder}.")}
    assert set(order) == inside, "READING_ORDER lacks a file, or has one too many"
    for i, module in enumerate(order):
        for place, what in imports_of_ours(module):
            assert unit(what) != folder or what in order[:i], f"{place} imports {what}, read later"


def test_nothing_but_numpy():
    for module in FILES:
        for place, what in imports(module):
            top = what.split(".")[0]
            assert top in sys.stdlib_module_names | THIRD_PARTY | {"tinygen"}, f"{place}: {what}"


def test_import_tinygen_loads_only_numpy():
    code = ("import sys, numpy.random; before = set(sys.modules); import tinygen; "
            "print(*{name.split('.')[0] for name in set(sys.modules) - before})")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) - sys.stdlib_module_names <= {"tinygen", "numpy"}


# How long files may be

def code_lines(source):
    """The number of lines with code on them: not counting docstrings, comments and blank lines."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.string.strip() and token.type != tokenize.COMMENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def test_code_lines():
    assert code_lines('"""Two\nlines."""\n\nx = [1,\n     # why\n     2]\n\n\n'
                      'def f():\n    """One."""\n    return """a\n\n# b"""  # three lines\n') == 6


def test_sizes():
    sources = {module: path.read_text("utf-8") for module, path in FILES.items()}
    code = {module: code_lines(source) for module, source in sources.items()}
    engine = sum(code[module] for module in MODULES if FLOOR.get(unit(module), 9) <= 2)
    print(f"lines of code: tensor.py {code['tinygen.tensor']} (limit 250), "
          f"engine {engine} (1050), package {sum(code.values())} (5000)")
    long = {m: n for m, source in sources.items() if (n := len(source.splitlines())) > 400}
    assert not long, f"over 400 lines: {long}; make it simpler, or a folder of the same name"
    assert code["tinygen.tensor"] < 250
    assert engine <= 1050                  # about 1,000
    assert sum(code.values()) < 5000


# What lies where

def test_the_package_is_python_alone():
    files = [path for path in (ROOT / "tinygen").rglob("[!.]*") if path.is_file()]
    assert {path.suffix for path in files if path.parent.name != "__pycache__"} == {".py"}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_top_level_is_as_designed():
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    files = run.stdout.split("\0")[:-1]
    assert {name.split("/")[0] for name in files} <= TOP_LEVEL
    assert {name for name in files if name.startswith(".ci/")} <= {".ci/run"}
