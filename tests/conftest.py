"""What every test starts from: one seed, recording switched on, no display, no deadlines."""

import functools
import os
import signal

import pytest
from hypothesis import settings

import tinygen as tg

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


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not gpu_is_there():
        pytest.skip("needs a CUDA device and CuPy")
