"""What every test starts from: one seed, recording switched on, no display, no deadlines.

Lessons run in the background from the first test on: most tests keep only one core busy.
"""

import functools
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from lesson_runs import run_lesson

# Before NumPy is imported: two threads that wait for each other on a busy machine take minutes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tinygen as tg  # noqa: E402

os.environ["MPLBACKEND"] = "Agg"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a job in the background ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("local", deadline=None)  # other work on the machine is no failure
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def fresh_start():
    tg.manual_seed(0)
    with tg.enable_grad():  # and what a test leaves behind ends with it
        yield


@functools.cache
def gpu_is_there():
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:  # without a driver CuPy raises errors of its own
        return False


def pytest_collection_modifyitems(items):
    """Lessons come last."""
    items.sort(key=lambda item: item.path.name == "test_lessons.py")


@pytest.fixture(scope="session", autouse=True)
def finished(request, tmp_path_factory):
    """finished(path, form): of a lesson, "whole_lesson" or "broken_lesson", what run_lesson gives.

    All that the chosen tests ask for are run in the background, beginning with the last. The tests
    that get there before run their own.
    """
    background, runs = ThreadPoolExecutor(1), {}
    for item in reversed(request.session.items):
        for form in {"whole_lesson", "broken_lesson"}.intersection(item.fixturenames):
            path, folder = item.callspec.params["lesson"].path, tmp_path_factory.mktemp("lesson")
            run = functools.partial(run_lesson, path, folder, form == "broken_lesson")
            runs[path, form] = run, background.submit(run)

    def finish(path, form):
        run, future = runs[path, form]
        return run() if future.cancel() else future.result()

    yield finish
    background.shutdown(cancel_futures=True)


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not gpu_is_there():
        pytest.skip("needs a CUDA device and CuPy")
