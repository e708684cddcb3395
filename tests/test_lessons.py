"""Lessons run, end as they promise, and fail when broken; exercises grade as they should."""

import ast
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from lesson_runs import run

from tinygen import lessons
from tinygen.backend import InputError

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "lessons"
LESSONS = lessons.find()
FIELDS = ["Question", "Know first", "Read beside", "Time", "Ends with"]

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)
every_exercise = pytest.mark.parametrize("name", [lesson.path.stem for lesson in LESSONS])


@pytest.fixture
def whole_lesson(lesson, finished):
    """The finished process of the lesson, and the folder that it ran in."""
    return finished(lesson.path, "whole_lesson")


@pytest.fixture
def broken_lesson(lesson, finished):
    """The same with the break that the lesson proposes."""
    return finished(lesson.path, "broken_lesson")


@every_lesson
def test_a_lesson_runs_and_ends_as_it_promises(lesson, whole_lesson):
    ran, folder = whole_lesson
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == lesson.fields["Ends with"].strip("`")
    figure = folder / "figures" / f"{lesson.path.stem}.png"
    assert figure.read_bytes().startswith(b"\x89PNG")


@every_lesson
def test_the_planted_break_makes_the_self_check_fail(broken_lesson):
    ran, _ = broken_lesson
    assert ran.returncode == 1
    assert ran.stderr.strip().splitlines()[-1].startswith("AssertionError: "), ran.stderr


@every_lesson
def test_a_lesson_has_the_form_of_a_lesson(lesson):
    text = lesson.path.read_text("utf-8")
    cells = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    assert cells[:2] == ["", " [markdown]"], "it begins with a Markdown cell"
    assert list(lesson.fields) == FIELDS
    assert 80 <= text.count("\n") <= 250
    for kind, cell in zip(cells[1::2], cells[2::2]):
        if kind == " [markdown]":
            assert all(line.startswith("#") for line in cell.split("\n") if line), cell
        else:
            assert kind == ""
            ast.parse(cell)
    assert lesson.path.stem.startswith(lesson.number)
    assert f"exercises/{lesson.path.name}" in text.replace("\n#    ", "").replace("\n# ", "")
    assert (FOLDER / "pictures" / f"{lesson.number}.png").stat().st_size <= 60_000


def test_the_map_has_every_lesson():
    text = (FOLDER / "README.md").read_text("utf-8")
    for lesson in LESSONS:
        for part in (f"({lesson.path.name})", lesson.title, lesson.fields["Question"],
                     lesson.fields["Read beside"], f"(pictures/{lesson.number}.png)"):
            assert part in " ".join(text.split()), f"lessons/README.md: {lesson.number}: {part}"


# The exercises

def answers(path, **other):
    """The functions in a file, with some of them replaced."""
    return SimpleNamespace(**{**runpy.run_path(str(path)), **other})


def first_failure(name, answer):
    """The hint of the first check that fails, or None."""
    exercise = runpy.run_path(str(FOLDER / "exercises" / f"{name}.py"))
    for what, holds, hint in exercise["checks"](answer):
        if not holds:
            return hint


@every_exercise
def test_the_answer_passes(name):
    assert first_failure(name, answers(FOLDER / "solutions" / f"{name}.py")) is None


@every_exercise
def test_every_stub_fails_and_is_named(name, tmp_path):
    exercise = FOLDER / "exercises" / f"{name}.py"
    stubs = [node.name for node in ast.parse(exercise.read_text("utf-8")).body
             if isinstance(node, ast.FunctionDef)
             and "raise NotImplementedError" in ast.unparse(node)]
    assert stubs
    for stub in stubs:
        empty = getattr(answers(exercise), stub)
        answer = answers(FOLDER / "solutions" / f"{name}.py", **{stub: empty})
        with pytest.raises(NotImplementedError):
            first_failure(name, answer)
    ran = run(exercise, tmp_path)
    assert ran.returncode == 1
    assert any(f"{stub} is not written yet" in ran.stderr for stub in stubs)


@every_exercise
def test_wrong_answers_get_the_right_hint(name):
    wrong = runpy.run_path(str(ROOT / "tests" / "wrong_answers" / f"{name}.py"))["WRONG"]
    exercise = FOLDER / "exercises" / f"{name}.py"
    asked = [node.name for node in ast.parse(exercise.read_text("utf-8")).body
             if isinstance(node, ast.FunctionDef)
             and "raise NotImplementedError" in ast.unparse(node)]
    for function in asked:
        assert sum(function in replaced for replaced, _ in wrong) >= 2, function
    for replaced, words in wrong:
        hint = first_failure(name, answers(FOLDER / "solutions" / f"{name}.py", **replaced))
        assert words in (hint or "nothing fails"), replaced


def test_grading_stops_at_the_first_failure_with_its_hint(capsys):
    def checks(answer):
        yield "one", True, "a"
        yield "two", False, "look again"
        raise AssertionError("not reached")

    with pytest.raises(SystemExit, match="hint    look again"):
        lessons.grade(checks)
    assert capsys.readouterr().out == "passed  one\nFAILED  two\n"


def test_grading_names_the_function_that_stops():
    def average(numbers):
        return sum(numbers) / len(numbers)

    def checks(answer):
        yield "one", average([]) == 0, "a"

    with pytest.raises(SystemExit, match="`average` stopped in line [0-9]+: ZeroDivisionError: "):
        lessons.grade(checks)


def test_grading_leaves_open_whose_the_function_is_that_stops():
    def agree(found, expected):                   # the exercise's own, not the learner's
        return abs(found - expected) < 1e-8

    def checks(answer):
        yield "one", agree(None, 1.0), "a"

    with pytest.raises(SystemExit, match="`agree` stopped .*; if you did not write it, what your "):
        lessons.grade(checks)


def test_grading_says_that_a_result_has_another_form():
    def checks(answer):
        yield "one", True, "a"
        x, y = None
        yield "two", x == y, "b"

    with pytest.raises(SystemExit, match="not the form .* docstring asks for .TypeError: cannot"):
        lessons.grade(checks)


def test_grading_says_when_all_is_well(capsys):
    lessons.grade(lambda answer: [("one", True, "a"), ("two", True, "b")])
    assert capsys.readouterr().out.endswith("all 2 checks passed\n")


# The commands

def test_the_table_names_each_lesson():
    table = lessons.table()
    for lesson in LESSONS:
        assert f"{lesson.number}  {lesson.title}" in table
        assert lesson.fields["Question"] in table


def test_outside_of_a_checkout_one_sentence_says_where_the_lessons_are(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lessons, "FOLDERS", lessons.FOLDERS[1:])
    with pytest.raises(InputError, match="lessons/ of its source"):
        lessons.run("01")
    monkeypatch.chdir(ROOT)
    assert len(lessons.find()) == len(LESSONS), "in a checkout they are found by the current folder"


def test_a_lesson_that_does_not_exist():
    with pytest.raises(InputError, match="there is no lesson 99; there are 01"):
        lessons.run("99")


@pytest.mark.parametrize("fast", [True, False])
def test_run_says_which_form(monkeypatch, tmp_path, capsys, fast):
    monkeypatch.setattr(lessons, "FOLDERS", [tmp_path])
    monkeypatch.setenv("TINYGEN_FAST", "")
    header = LESSONS[0].path.read_text("utf-8").split("\n# %%\n")[0]
    (tmp_path / "01_tiny.py").write_text(
        header + "\n# %%\nimport os\nprint(os.environ['TINYGEN_FAST'], __name__)\n")
    lessons.run("1", fast)
    assert capsys.readouterr().out == f"{int(fast)} __main__\n"
