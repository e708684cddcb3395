"""The engine tour, lessons/tour.md: its quotes are the source, its code prints what it says.

So does the code in README.md.
"""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOUR = ROOT / "lessons" / "tour.md"
HEADER = re.compile(r"# (\S+\.py), (?:line (\d+)|lines (\d+)-(\d+))")


def blocks(text):
    """The fenced blocks of a markdown text: (line of the opening fence, language, lines, end).

    `end` is the line of the closing fence; lines count from 1.
    """
    found, opened = [], None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if opened is None and line.startswith("```"):
            opened = number
        elif opened is not None and line == "```":
            language = lines[opened - 1].removeprefix("```")
            found.append((opened, language, lines[opened:number - 1], number))
            opened = None
    assert opened is None, f"the block that begins in line {opened} has no end"
    return found


def is_quote(lines):
    """Whether a block names a file in its first line, rightly written or not."""
    return bool(lines) and re.match(r"# \S+\.py\b", lines[0]) is not None


def place(first, last):
    return f"line {first}" if first == last else f"lines {first}-{last}"


def complaint(header, quoted, root=ROOT):
    """What is wrong with a quote, as a sentence, or None."""
    match = HEADER.fullmatch(header)
    if not match:
        return f"{header!r} is no header: write `# path.py, lines 12-15` or `# path.py, line 12`"
    name, line, first, last = match.groups()
    first, last = int(first or line), int(last or line)
    if len(quoted) != last - first + 1:
        return f"{header!r} has {len(quoted)} lines below it, not {last - first + 1}"
    if not (root / name).is_file():
        return f"there is no file {name}"
    source = (root / name).read_text(encoding="utf-8").splitlines()
    if source[first - 1:last] == quoted:
        return None
    n = len(quoted)
    now = [place(i + 1, i + n) for i in range(len(source)) if source[i:i + n] == quoted]
    if now:
        return f"{name}: what is quoted as {place(first, last)} is now {' and '.join(now)}"
    return f"{name}: what is quoted as {place(first, last)} is gone: {quoted[0].strip()!r} ..."


def unlike(text):
    """Where code prints something other than the ```text block directly under it says."""
    lines, found, namespace, wrong = text.splitlines(), blocks(text), {}, []
    following = found[1:] + [(len(lines) + 1, "", [], 0)]
    for (start, language, code, end), (next_start, next_language, shown, _) in zip(
            found, following):
        if language != "python" or is_quote(code):
            continue
        if next_language != "text" or any(line.strip() for line in lines[end:next_start - 1]):
            shown = []
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # The blank lines give a traceback the line numbers of the markdown file.
            exec(compile("\n" * start + "\n".join(code), str(TOUR), "exec"), namespace)
        if printed.getvalue().splitlines() != shown:
            wrong.append(f"the code in line {start + 1} prints\n{printed.getvalue()}"
                         f"but below it stands\n{chr(10).join(shown) or 'nothing'}")
    return wrong


def test_quotes_stand_in_the_source():
    quotes = [(start, code) for start, language, code, _ in blocks(TOUR.read_text("utf-8"))
              if language == "python" and is_quote(code)]
    assert quotes, "the tour quotes nothing: are its blocks still marked ```python?"
    wrong = [f"tour.md, line {start + 1}: {message}" for start, code in quotes
             if (message := complaint(code[0], code[1:]))]
    assert not wrong, "\n".join(wrong)


def test_code_prints_what_the_tour_says():
    wrong = unlike(TOUR.read_text("utf-8"))
    assert not wrong, "\n".join(wrong)


def test_the_code_of_the_readme_prints_what_its_comment_says():
    code, = [code for _, language, code, _ in blocks((ROOT / "README.md").read_text("utf-8"))
             if language == "python"]
    said = [line.partition("  # ")[2].strip() for line in code if line.startswith("print(")]
    wrong = unlike("\n".join(["```python", *code, "```", "```text", *said, "```"]))
    assert said and not wrong, "\n".join(wrong)


@pytest.mark.parametrize("header, quoted, message", [
    ("# a.py, line 2", ["    b"], None),
    ("# a.py, lines 2-3", ["    b", "c"], None),
    ("# a.py, lines 1-2", ["    b", "c"], "is now lines 2-3"),
    ("# a.py, line 2", ["a"], "is now line 1 and line 4"),
    ("# a.py, line 2", ["b"], "is gone"),                          # without its indentation
    ("# a.py, lines 3-5", ["c", "a", ""], "is gone"),              # beyond the end of the file
    ("# a.py, lines 2-3", ["    b"], "has 1 lines below it, not 2"),
    ("# a.py lines 2-3", ["    b", "c"], "is no header"),
    ("# b.py, line 1", ["a"], "no file b.py"),
])
def test_a_false_quote_is_noticed(tmp_path, header, quoted, message):
    (tmp_path / "a.py").write_text("a\n    b\nc\na\n")
    assert is_quote([header])
    found = complaint(header, quoted, tmp_path)
    assert found is None if message is None else message in found


@pytest.mark.parametrize("text, wrong", [
    ("```python\na = 1\n```\n\n```python\nprint(a)\n```\n```text\n1\n```\n", 0),
    ("```python\n# a.py, line 1\nprint(1)\n```\n", 0),             # a quote is not run
    ("```python\nprint(1)\n```\n\n```text\n2\n```\n", 1),
    ("```python\nprint(1)\n```\n", 1),                             # shown nowhere
    ("```python\nprint(1)\n```\nThen:\n```text\n1\n```\n", 1),     # not directly under it
    ("```python\na = 1\n```\n```text\n1\n```\n", 1),               # printed nowhere
])
def test_false_output_is_noticed(text, wrong):
    assert len(unlike(text)) == wrong
