"""Tests run side by side (-n 2), so each process keeps to one thread, and each test leaves the process as it was."""

import os
import signal
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def signals_keep_their_handlers() -> Iterator[None]:
    """Fail a test that leaves a handler of a signal: pools of later tests would inherit it.

    A process of theirs that is asked to end just while it is forked would wait for ever: Python forgets a signal there
    that it was about to handle.
    """
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    yield
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before, "the test has left a handler of a signal"
