"""Processes side by side: their lines, their number, how they end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fieldmark.running.processes import INTERRUPTED, Failed, Processes, Task, stopped_by_signals

WAIT = "import time; open(sys.argv[1], 'w').close(); time.sleep(60)"


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; {code}", *arguments]


def run(folder: Path, jobs: int = 2, **commands: list[str]) -> Failed | None:
    processes = Processes(folder)
    with stopped_by_signals(processes):  # or they would ignore Ctrl-C where the starter of the tests does
        return processes.run_all(tasks(commands), [os.environ] * jobs)


def tasks(commands: dict[str, list[str]]) -> list[Task]:
    return [Task(name, command, label=name) for name, command in commands.items()]


def test_each_line_says_whose_it_is_and_is_whole(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "[print(sys.argv[1] * 50, i, file=(sys.stdout, sys.stderr)[i % 2], flush=True) for i in range(300)]"
    )
    assert run(tmp_path, a=python(code, "x"), longer=python(code, "y")) is None
    printed, errors = capfd.readouterr()
    assert errors == ""
    lines = printed.splitlines()
    assert [line for line in lines if line[0] == "a"] == [f"a      | {'x' * 50} {i}" for i in range(300)]
    assert [line for line in lines if line[0] == "l"] == [f"longer | {'y' * 50} {i}" for i in range(300)]
    assert len(lines) == 600


def test_redrawn_bars_and_foreign_letters_become_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = r"sys.stdout.buffer.write(b'10 %\r20 %\r\n\n\xff end')"
    assert run(tmp_path, a=python(code)) is None
    assert capfd.readouterr().out == "a | 10 %\na | 20 %\na | \ufffd end\n"


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_no_more_run_at_once_than_said_and_in_order(tmp_path: Path, jobs: int) -> None:
    """Each says how many are there when it comes, and stays until as many as may are there."""
    code = (
        "import os, time; name, jobs = sys.argv[1], int(sys.argv[2]); open(f'here-{name}', 'w').close();"
        "count = lambda: sum(n.startswith('here') for n in os.listdir());"
        "open(f'seen-{name}', 'w').write(str(count()));"
        "end = time.monotonic() + (20 if name in 'abc'[:jobs] else 0.05);"
        "exec('while count() < jobs and time.monotonic() < end: time.sleep(0.01)');"
        "time.sleep(0.3); os.remove(f'here-{name}')"
    )
    assert run(tmp_path, jobs, **{name: python(code, name, str(jobs)) for name in "abcde"}) is None
    seen = [int((tmp_path / f"seen-{name}").read_text()) for name in "abcde"]
    assert max(seen) == jobs
    times = [(tmp_path / f"seen-{name}").stat().st_mtime for name in "abcde"]
    assert max(times[:jobs]) < min([*times[jobs:], float("inf")])


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_each_runs_after_those_that_it_needs(tmp_path: Path, jobs: int) -> None:
    """Each fails where something that it needs has not ended, whatever their order in the list."""
    code = (
        "import os, time; name, *needs = sys.argv[1:]; time.sleep(0.1);"
        "sys.exit(1) if not all(map(os.path.exists, needs)) else open(name, 'w').close()"
    )
    needs = {"d": "bc", "c": "a", "b": "a", "a": "", "e": "d"}
    some = [Task(name, python(code, name, *before), frozenset(before)) for name, before in needs.items()]
    assert Processes(tmp_path).run_all(some, [os.environ] * jobs) is None
    assert {file.name for file in tmp_path.iterdir()} == set(needs)


def test_what_needs_a_failed_one_is_not_begun(tmp_path: Path) -> None:
    bad = Task("bad", python("sys.exit(3)"))
    after = Task("after", python("open('begun', 'w').close()"), frozenset(["bad"]))
    failed = Processes(tmp_path).run_all([after, bad], [os.environ] * 2)
    assert failed is not None
    assert failed.status == 3
    assert not (tmp_path / "begun").exists()


def test_one_runs_in_each_environment_at_a_time(tmp_path: Path) -> None:
    """Four commands in two environments: none meets another one in its own, and both are used."""
    code = (
        "import os, time; name = os.environ['PLACE']; os.mkdir(name); time.sleep(0.2); os.rmdir(name);"
        "open('used-' + name, 'a').write('x')"
    )
    places = [{**os.environ, "PLACE": name} for name in ("p", "q")]
    assert Processes(tmp_path).run_all(tasks({name: python(code) for name in "abcd"}), places) is None
    used = [len((tmp_path / f"used-{name}").read_text()) for name in ("p", "q")]
    assert sum(used) == 4
    assert min(used) >= 1


def test_the_first_failure_stops_the_others_and_is_told(tmp_path: Path) -> None:
    """The one that fails does so when the other runs; the third is not begun."""
    code = "import os, time; exec('while not os.path.exists(\"there\"): time.sleep(0.01)'); print('one');"
    code += "print('two'); print('three'); sys.exit(7)"
    failed = run(
        tmp_path,
        long=python(WAIT, "there"),
        bad=python(code),
        later=python("open('begun', 'w').close()"),
    )
    assert failed == Failed(7, ("bad   | two", "bad   | three"))
    assert not (tmp_path / "begun").exists()


def test_after_a_stop_nothing_is_begun(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.stop()
    assert processes.run(python("open('begun', 'w').close()"), os.environ) == INTERRUPTED
    assert processes.run_all(tasks({"a": python("open('begun', 'w').close()")}), [os.environ] * 2) is None
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_what_the_processes_have_started(tmp_path: Path, number: signal.Signals) -> None:
    """A shell waits for a process, as DVC does: both end, by an interrupt that they can see."""
    script = tmp_path / "wait.py"
    script.write_text(
        "import os, time\n"
        "try:\n    open('there', 'w').close()\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    open('tidy', 'w').close()\n"
    )
    shell = ["sh", "-c", f"'{sys.executable}' wait.py; true"]
    processes = Processes(tmp_path)

    def interrupt() -> None:
        while not (tmp_path / "there").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    with heeded(number), stopped_by_signals(processes):
        thread = threading.Thread(target=interrupt)
        thread.start()
        assert processes.run_all(tasks({"a": shell}), [os.environ] * 2) is None
        thread.join()
    assert processes.stopped
    assert (tmp_path / "tidy").exists()


@contextmanager
def heeded(number: signal.Signals) -> Iterator[None]:
    """Heed a signal, which who has started the tests may have us ignore, and see that its handler comes back."""
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored_here_but_not_in_the_processes(tmp_path: Path) -> None:
    """A shell's background job ignores Ctrl-C; its stages must still be stopped when it is ended."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes = Processes(tmp_path)
    try:
        with stopped_by_signals(processes):
            os.kill(os.getpid(), signal.SIGINT)
            assert not processes.stopped
            code = "import signal; sys.exit(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
            assert processes.run(python(code), os.environ) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
