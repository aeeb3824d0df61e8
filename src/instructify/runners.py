"""Runs one pure function over many tasks: here, or in worker processes; results come in task order.

Every worker has a pipe of its own, which nobody else holds: no lock, queue or thread is shared. So a worker
that dies, at whatever moment, is the end of its own pipe and of nothing else. The pools of the standard
library share all three, and wait for ever for what a worker had not finished sending.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar, cast

from instructify.errors import InstructifyError

T = TypeVar("T")
R = TypeVar("R")
Done = Callable[[R], None]


class Runner:
    """Runs tasks; `map` calls `done` with each result as it comes and returns all of them in task order."""

    def __init__(self, pool: _Pool | None, workers: int) -> None:
        self._pool = pool
        self.workers = workers

    def map(self, function: Callable[[T], R], tasks: Sequence[T], done: Done[R]) -> list[R]:
        """Return `[function(task) for task in tasks]`; the first error of any task ends the run."""
        results = enumerate(map(function, tasks)) if self._pool is None else self._pool.run(function, tasks)
        found: dict[int, R] = {}
        for number, result in results:
            found[number] = result
            done(result)
        return [found[number] for number in range(len(tasks))]


class _Pool:
    """Spawned processes, as many as there is work for at a time, and the pipes of those that wait for it."""

    def __init__(self, workers: int) -> None:
        self._context = multiprocessing.get_context("spawn")  # never fork after threads
        self._workers = workers
        self._processes: list[SpawnProcess] = []
        self._idle: list[Connection] = []

    def run(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield the number of each task with its result, as they come."""
        waiting = iter(enumerate(tasks))
        running: dict[Connection, int] = {}
        while True:
            while len(running) < self._workers and (given := next(waiting, None)) is not None:
                pipe = self._idle.pop() if self._idle else self._start()
                running[pipe] = given[0]
                with _deaths():
                    pipe.send((function, given[1]))
            if not running:
                return
            for ready in wait_for(list(running)):
                pipe = cast("Connection", ready)
                with _deaths():
                    is_result, answer = pipe.recv()
                if not is_result:
                    raise answer
                self._idle.append(pipe)
                yield running.pop(pipe), answer

    def _start(self) -> Connection:
        resource_tracker.ensure_running()  # else start() does so, and lets Ctrl-C through to the worker
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), daemon=True)
        with _no_interrupts():
            process.start()
            self._processes.append(process)
        theirs.close()
        return ours

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()


@contextmanager
def open_runner(workers: int) -> Iterator[Runner]:
    """Yield a runner: inline for one worker, else a pool of spawned processes that die with this one."""
    if workers <= 1:
        yield Runner(None, 1)
        return
    pool = _Pool(workers)
    try:
        yield Runner(pool, workers)
    finally:
        with _no_interrupts():
            pool.close()


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _deaths() -> Iterator[None]:
    """Say of a pipe whose other end is gone, or that ends within a message, that its worker was killed."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise InstructifyError(
            "a worker process was killed (out of memory?); run the same command again to go on from there"
        ) from error


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back; workers that start meanwhile never see it, so that only this process answers it."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


# in the worker


def _work(pipe: Connection) -> None:
    """Answer tasks until nobody is there any more to give them."""
    _die_with_parent()
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, task = pipe.recv()
            pipe.send_bytes(_answer(function, task))
            del function, task


def _answer(function: Callable[[Any], Any], task: Any) -> Any:
    """Return what a task comes to, as a message: whether it is a result, and the result or the error."""
    try:
        return ForkingPickler.dumps((True, function(task)))
    except BaseException as error:  # for the other process to raise
        error.add_note("".join(traceback.format_exception(error)))
        try:
            return ForkingPickler.dumps((False, error))
        except Exception:
            return ForkingPickler.dumps((False, InstructifyError(f"{type(error).__name__}: {error}")))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
