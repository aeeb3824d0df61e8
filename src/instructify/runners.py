"""Runs one pure function over many tasks: here, or in worker processes; results come in task order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

from instructify.errors import InstructifyError

T = TypeVar("T")
R = TypeVar("R")
Done = Callable[[R], None]


class Runner:
    """Runs tasks; `map` calls `done` with each result as it comes and returns all of them in task order."""

    def __init__(self, pool: ProcessPoolExecutor | None, workers: int) -> None:
        self._pool = pool
        self.workers = workers

    def map(self, function: Callable[[T], R], tasks: Sequence[T], done: Done[R]) -> list[R]:
        """Return `[function(task) for task in tasks]`; the first error of any task ends the run."""
        if self._pool is None:
            results = []
            for task in tasks:
                results.append(function(task))
                done(results[-1])
            return results
        found: dict[int, R] = {}
        waiting = iter(enumerate(tasks))
        running: dict[Future[R], int] = {}
        try:
            self._fill(function, waiting, running)
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    number = running.pop(future)
                    found[number] = future.result()
                    done(found[number])
                self._fill(function, waiting, running)
        except BrokenProcessPool as error:
            raise InstructifyError(
                "a worker process was killed (out of memory?); run the same command again to go on from there"
            ) from error
        return [found[number] for number in range(len(tasks))]

    def _fill(
        self, function: Callable[[T], R], waiting: Iterator[tuple[int, T]], running: dict[Future[R], int]
    ) -> None:
        assert self._pool is not None  # noqa: S101  (map checked)
        while len(running) < 2 * self.workers:
            number, task = next(waiting, (-1, None))
            if task is None:
                return
            with _no_interrupts():
                running[self._pool.submit(function, task)] = number


@contextmanager
def open_runner(workers: int) -> Iterator[Runner]:
    """Yield a runner: inline for one worker, else a pool of spawned processes that die with this one."""
    if workers <= 1:
        yield Runner(None, 1)
        return
    context = multiprocessing.get_context("spawn")  # never fork after threads
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_die_with_parent)
    try:
        yield Runner(pool, workers)
    finally:
        # not asked to end: one that died waiting for work may have locked the others out for ever
        _kill(pool)
        pool.shutdown(wait=True, cancel_futures=True)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back; workers that start meanwhile never see it, so that only this process answers it."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _kill(pool: ProcessPoolExecutor) -> None:
    processes: dict[int, Any] = getattr(pool, "_processes", None) or {}
    for process in list(processes.values()):
        process.kill()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
