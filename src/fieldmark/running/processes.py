"""Processes that run side by side, say in each line whose it is, and are stopped together."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

INTERRUPTED = 130  # exit status, by the custom of shells
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEPT = 2  # last lines of a process that failed: the stage's error, and what DVC says of it


class Failed(NamedTuple):
    """What is known of a process that failed."""

    status: int
    lines: tuple[str, ...]  # its last ones


class Task(NamedTuple):
    """A command that is run once others have ended."""

    name: str
    command: Sequence[str]
    needs: frozenset[str] = frozenset()  # names of other tasks
    label: str = ""  # what each line that it prints begins with
    variables: Mapping[str, str] = {}  # of its own, beside those of the place where it runs


class Processes:
    """Runs commands in `folder`, each in a process group of its own: a signal to it reaches all that it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stopped = False
        self._living: set[subprocess.Popen[str]] = set()
        self._lock = threading.RLock()  # the handler of a signal may come while this thread holds it
        self._failed: Failed | None = None

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command that prints to our own output; return its exit status."""
        process = self._start(command, environment, None)
        return self._end(process) if process else INTERRUPTED

    def run_all(self, tasks: Sequence[Task], environments: Sequence[Mapping[str, str]]) -> Failed | None:
        """Run tasks, each after those that it needs, of several the first; return the one that fails first.

        At most one runs at a time in each of `environments`, such as those with a GPU each.
        What they print is printed line by line, each after the label. A failure stops the others.
        """
        width = max(len(task.label) for task in tasks)
        waiting = _Waiting(tasks)
        with ThreadPoolExecutor(len(environments)) as pool:
            try:
                for done in [pool.submit(self._work, waiting, place, width) for place in environments]:
                    done.result()
            except BaseException:  # the pool waits for those that run
                self.stop()
                raise
        return self._failed

    def stop(self) -> None:
        """Interrupt all that run, as Ctrl-C does: stages save and tidy up. Nothing is started any more."""
        with self._lock:
            self.stopped = True
            _signal_all(self._living, signal.SIGINT)

    def pause(self) -> None:
        """Pause all that run, and this process too, as Ctrl-Z does; go on together when it is continued."""
        with self._lock:
            living = list(self._living)
        _signal_all(living, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)  # it returns when the shell continues us
        _signal_all(living, signal.SIGCONT)

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], output: int | None
    ) -> subprocess.Popen[str] | None:
        """Start a command; None after `stop`."""
        with self._lock:
            if self.stopped:
                return None
            process = subprocess.Popen(  # noqa: S603 (a list, no shell)
                command,
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                process_group=0,
            )
            self._living.add(process)
            return process

    def _end(self, process: subprocess.Popen[str]) -> int:
        status = process.wait()
        with self._lock:
            self._living.discard(process)
        return status

    def _work(self, waiting: "_Waiting", environment: Mapping[str, str], width: int) -> None:
        """Run one task after another in this environment, until none is left or all are stopped."""
        while not self.stopped and (task := waiting.take()):
            try:
                self._follow({**environment, **task.variables}, f"{task.label:<{width}} | ", task.command)
            except BaseException:  # such as an output that is closed: who waits for us must not start others
                self.stop()
                raise
            finally:
                waiting.end(task)

    def _follow(self, environment: Mapping[str, str], label: str, command: Sequence[str]) -> None:
        process = self._start(command, environment, subprocess.PIPE)
        if process is None:
            return
        last: deque[str] = deque(maxlen=KEPT)
        for line in filter(str.strip, process.stdout or ()):
            last.append(label + line.rstrip())
            sys.stdout.write(f"{last[-1]}\n")  # in one piece: `print` writes the end of the line by itself
            sys.stdout.flush()
        status = self._end(process)
        with self._lock:
            if status and not self.stopped:
                self._failed = Failed(status, tuple(last))
                self.stop()


class _Waiting:
    """Tasks that have not begun, for threads that take them."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = list(tasks)
        self._unfinished = {task.name for task in tasks}
        self._changed = threading.Condition()

    def take(self) -> Task | None:
        """Return the first task whose needs have ended, once there is one; None when none is left."""
        with self._changed:
            while self._tasks:
                for task in self._tasks:
                    if self._unfinished.isdisjoint(task.needs):
                        self._tasks.remove(task)
                        return task
                self._changed.wait()
            return None

    def end(self, task: Task) -> None:
        """Say that a task has ended."""
        with self._changed:
            self._unfinished.discard(task.name)
            self._changed.notify_all()


def _signal_all(processes: Iterable[subprocess.Popen[str]], number: signal.Signals) -> None:
    """Send a signal to the groups of the processes, and so to all that these started."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


@contextmanager
def stopped_by_signals(processes: Processes) -> Iterator[None]:
    """Stop the processes on Ctrl-C, and when this process is to end or its terminal closes; pause them on Ctrl-Z.

    What a caller has us ignore, such as the terminal's end under `nohup`, stays ignored. An ignored Ctrl-C, as of a
    shell's background job, gets a handler that does nothing: the processes would inherit that they ignore it.
    """
    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGTSTP)}
    for number, handler in before.items():
        if number == signal.SIGTSTP:
            if handler == signal.SIG_DFL:
                signal.signal(number, lambda *_: processes.pause())
        elif handler != signal.SIG_IGN:
            signal.signal(number, lambda *_: processes.stop())
        elif number == signal.SIGINT:
            signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
