"""Worker processes: results come in the order of tasks, and no worker can hold up the end of a run."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

from instructify.errors import InstructifyError
from instructify.runners import open_runner


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


def test_workers_that_no_longer_answer_do_not_hold_up_the_end() -> None:
    """One that dies while it waits for work holds a lock for ever, and then the others hear nothing."""
    stopped: set[int] = set()

    def run() -> None:
        with open_runner(2) as runner:
            stopped.update(process for _, process in runner.map(late, range(16), lambda _: None))
            for process in stopped:
                os.kill(process, signal.SIGSTOP)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    was_held_up = thread.is_alive()
    if was_held_up:
        for process in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        thread.join()
    assert stopped
    assert not was_held_up
