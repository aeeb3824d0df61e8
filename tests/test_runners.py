"""Worker processes: results come in the order of tasks, and no worker can hold up the end of a run."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from pickle import PicklingError

import pytest

from instructify.errors import InstructifyError
from instructify.runners import Runner, open_runner


def late(number: int) -> tuple[int, int]:
    """Return the number, the later the smaller it is, and the process that this ran in."""
    time.sleep(0.02 * (4 - number % 4))
    return number, os.getpid()


def fail(number: int) -> int:
    if number == 3:
        raise InstructifyError("three is refused")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_tasks_and_each_is_told_once(workers: int) -> None:
    told: list[tuple[int, int]] = []
    with open_runner(workers) as runner:
        found = runner.map(late, range(16), told.append)
    assert [number for number, _ in found] == list(range(16))
    assert sorted(told) == sorted(found)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_ends_the_run(workers: int) -> None:
    with pytest.raises(InstructifyError, match="three is refused"), open_runner(workers) as runner:
        runner.map(fail, range(16), lambda _: None)


def test_a_killed_worker_is_one_clear_error() -> None:
    with pytest.raises(InstructifyError, match="a worker process was killed"), open_runner(2) as runner:
        _, process = runner.map(late, range(4), lambda _: None)[0]
        os.kill(process, signal.SIGKILL)
        runner.map(late, range(64), lambda _: None)


class Trial:
    """A run in a thread of its own, which must end; else what holds it up is killed so that the test can."""

    def __init__(self) -> None:
        self.workers: set[int] = set()
        self.error: InstructifyError | None = None

    def run(self, work: Callable[[Runner], object]) -> None:
        """Do some work with two workers; fail if that has not ended after a minute."""

        def whole() -> None:
            try:
                with open_runner(2) as runner:
                    work(runner)
            except InstructifyError as error:
                self.error = error

        thread = threading.Thread(target=whole, daemon=True)
        thread.start()
        thread.join(60)
        was_held_up = thread.is_alive()
        for process in self.workers if was_held_up else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        thread.join(60)
        assert not was_held_up


def large(told: Path) -> tuple[int, bytes]:
    """Return far more than a pipe holds, once it is told which process does so; nothing for a folder."""
    if told.is_dir():
        return os.getpid(), b""
    told.write_text(str(os.getpid()))
    while not (told.parent / "go").exists():
        time.sleep(0.01)
    return os.getpid(), bytes(20_000_000)


def wait_long(told: Path) -> int:
    told.write_text(str(os.getpid()))
    time.sleep(600)
    return 0


def told_by(path: Path) -> int:
    """Return the process that has written its number to a file, as soon as it has."""
    while not path.exists() or not path.read_text():
        time.sleep(0.01)
    return int(path.read_text())


def test_workers_that_no_longer_answer_do_not_hold_up_the_end() -> None:
    trial = Trial()

    def work(runner: Runner) -> None:
        trial.workers = {process for _, process in runner.map(late, range(16), lambda _: None)}
        for process in trial.workers:
            os.kill(process, signal.SIGSTOP)

    trial.run(work)
    assert trial.workers


def test_a_worker_killed_while_it_sends_is_one_clear_error(tmp_path: Path) -> None:
    trial = Trial()

    def done(result: tuple[int, bytes]) -> None:
        process = told_by(tmp_path / "sender")
        trial.workers |= {process, result[0]}
        (tmp_path / "go").touch()
        time.sleep(0.5)  # so that it stands in the middle of its message
        os.kill(process, signal.SIGKILL)

    trial.run(lambda runner: runner.map(large, [tmp_path, tmp_path / "sender"], done))
    assert "a worker process was killed" in str(trial.error)


def test_a_worker_killed_while_others_are_at_work_is_seen_at_once(tmp_path: Path) -> None:
    trial = Trial()
    paths = [tmp_path / "first", tmp_path / "second"]

    def kill_the_second() -> None:
        trial.workers |= set(map(told_by, paths))
        os.kill(told_by(paths[1]), signal.SIGKILL)

    threading.Thread(target=kill_the_second, daemon=True).start()
    trial.run(lambda runner: runner.map(wait_long, paths, lambda _: None))
    assert "a worker process was killed" in str(trial.error)


def test_what_a_worker_cannot_send_is_an_error_of_its_own() -> None:
    with pytest.raises((AttributeError, PicklingError), match="pickle"), open_runner(2) as runner:
        runner.map(unsendable, range(3), lambda _: None)


def unsendable(number: int) -> object:
    return lambda: number
