"""Ctrl-C and SIGTERM during training: the step at hand is finished and saved before they have their effect."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

WAITING = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Remembers that this process has been asked to stop. Asked again, it stops at once."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.handlers = {number: signal.getsignal(number) for number in WAITING}
        self.process = os.getpid()

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. A process that was forked from this one has nothing to save."""
        again, self.asked = self.asked is not None, number
        if again or os.getpid() != self.process:
            self.act()

    def act(self) -> None:
        """Let the signal have the effect that it has outside of training."""
        self.restore()
        if self.asked is not None:
            signal.raise_signal(self.asked)

    def restore(self) -> None:
        """Give the signals their earlier handlers again."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


@contextmanager
def between_steps(alone: bool) -> Iterator[Stopping]:
    """Yield an object that says, between two steps, whether to save and stop; stopping then follows by itself.

    Where other processes train along (not `alone`) signals act at once: a process that waits for a step's end would
    wait for those that have stopped.
    """
    stopping = Stopping()
    if (
        not alone or threading.current_thread() is not threading.main_thread()
    ):  # only the main thread gets signals
        yield stopping
        return
    for number, handler in stopping.handlers.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stopping.ask)
    try:
        yield stopping
    finally:
        stopping.restore()
    stopping.act()
