"""Floor 6: the lessons of a checkout. What there is, running one, and grading an exercise."""

import os
import pathlib
import re
import runpy
import sys
import traceback
from dataclasses import dataclass

from .backend import InputError

MARKUP = str.maketrans("", "", "`$")        # what a terminal does not show

# Beside the package in a checkout, or in the folder we are in.
FOLDERS = [pathlib.Path(__file__).parent.parent / "lessons", pathlib.Path("lessons")]


@dataclass(frozen=True)
class Lesson:
    """A script in `lessons/`. `fields` is what its first cell says: Question, Time, and so on."""

    path: pathlib.Path
    number: str
    title: str
    fields: dict


def read(path):
    """The `Lesson` in a script, from its first cell."""
    header = path.read_text(encoding="utf-8").split("\n# %%\n")[0]
    text = "\n".join([line.removeprefix("#").strip() for line in header.splitlines()])
    title = re.search(r"^# Lesson (\d\d): (.+)$", text, re.MULTILINE)
    fields = re.findall(r"\*\*([^*]+)\.\*\* (.+?)(?:\n\n|\Z)", text, re.DOTALL)
    fields = {name: " ".join(words.split()) for name, words in fields}
    return Lesson(path, title[1], title[2], fields)


def find():
    """All lessons, in their order."""
    for folder in FOLDERS:
        if paths := sorted(folder.glob("[0-9][0-9]_*.py")):
            return [read(path) for path in paths]
    raise InputError("the lessons are no part of an installed tinygen; they are in the folder "
                     "lessons/ of its source, so go to a clone of that and call this again there")


def table():
    """What `tinygen lessons` prints."""
    return "\n\n".join([
        f"{lesson.number}  {lesson.title}\n" + "\n".join(
            [f"    {name + ':':11} {lesson.fields[name].translate(MARKUP)}"
             for name in ("Question", "Know first", "Time")])
        for lesson in find()])


def run(number, fast=False):
    """Run lesson `number` ("8" or "08") as Python would run its file; `fast` is its short form."""
    lessons = find()
    chosen = [lesson for lesson in lessons if lesson.number == number.zfill(2)]
    if not chosen:
        raise InputError(f"there is no lesson {number}; there are "
                         + ", ".join([lesson.number for lesson in lessons]))
    os.environ["TINYGEN_FAST"] = str(int(fast))
    runpy.run_path(str(chosen[0].path), run_name="__main__")


def grade(checks):
    """Grade the exercise that calls this: print each check, and stop at the first that fails.

    `checks(answer)` yields (what is checked, whether it holds, a hint). `answer` is the script that
    is running. Exits with status 1 unless all checks pass.
    """
    passed = 0
    try:
        for what, holds, hint in checks(sys.modules["__main__"]):
            print(("passed  " if holds else "FAILED  ") + what)
            if not holds:
                sys.exit(f"hint    {hint}")
            passed += 1
    except NotImplementedError as error:
        function = error.__traceback__
        while function.tb_next:
            function = function.tb_next
        sys.exit(f"{function.tb_frame.f_code.co_name} is not written yet: put your answer in the "
                 "place of its `raise NotImplementedError`, and run this file again")
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__)
                  if frame.filename == checks.__code__.co_filename]
        what = f"{type(error).__name__}: {error}"
        if frames[-1].name != "checks":
            sys.exit(f"`{frames[-1].name}` stopped in line {frames[-1].lineno}: {what}; if you did "
                     "not write it, what your function gave it has not the form that was asked for")
        sys.exit("the next check could not be made: what your function returned has not the form "
                 f"that its docstring asks for ({what})")
    print(f"all {passed} checks passed")
