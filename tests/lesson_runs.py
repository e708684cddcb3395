"""Running lessons and exercises as a reader would: each in a process and a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BREAK = "  # to break it: "      # what follows it, in one line of a lesson, breaks that line


# The fast form, without a display, on one core, for there are two runs at a time. It is made here,
# because tests change os.environ while lessons run.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")}
ENVIRONMENT |= {"TINYGEN_FAST": "1", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1",
                "OPENBLAS_NUM_THREADS": "1"}


def run(path, cwd):
    """Run a script in the folder `cwd`. Returns the finished process."""
    return subprocess.run([sys.executable, path], cwd=cwd, capture_output=True, text=True,
                          encoding="utf-8", env=ENVIRONMENT)


def run_lesson(path, folder, broken):
    """Run a lesson, as it stands or with its planted break. Returns the process and the folder."""
    lines = path.read_text("utf-8").split("\n")
    if broken:
        places = [i for i, line in enumerate(lines) if BREAK in line]
        assert len(places) == 1, f"{path.name}: one line shows how to break the lesson"
        line = lines[places[0]]
        indent = line[:len(line) - len(line.lstrip())]
        lines[places[0]] = indent + line.partition(BREAK)[2]
    (folder / path.name).write_text("\n".join(lines), "utf-8")
    return run(folder / path.name, folder), folder
