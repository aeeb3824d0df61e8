"""Progress of a build: a bar on a terminal, otherwise one plain line every few seconds, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from instructify.cli.show import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY = 5.0


class Lines:
    """Watches a build in plain lines: the phase, how much is done, kept and dropped, rate and time left."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._name = self._note = ""

    def phase(self, name: str, total: int, unit: str) -> None:
        """Begin a phase."""
        self._finish()
        self._name, self._total, self._unit, self._note = name, total, unit, ""
        self._done = self._kept = self._dropped = 0
        self._began = self._said = time.monotonic()

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        """Count, and say so when some seconds have passed."""
        self._done += amount
        self._kept += kept
        self._dropped += dropped
        now = time.monotonic()
        if now - self._said >= self._every:
            self._said = now
            self._say(now)

    def note(self, text: str) -> None:
        """Say how things stand in the lines that follow."""
        self._note = text

    def close(self) -> None:
        """Say how the last phase ended."""
        self._finish()

    def _finish(self) -> None:
        if self._name:
            self._say(time.monotonic())
        self._name = ""

    def _say(self, now: float) -> None:
        rate = self._done / max(now - self._began, 1e-9)
        text = f"{self._name}: {self._done:,} of {self._total:,} {self._unit}"
        if self._kept or self._dropped:
            text += f", kept {self._kept:,}, dropped {self._dropped:,}"
        if self._note:
            text += f", {self._note}"
        if self._unit != "tasks" and self._done:
            text += f", {rate:,.0f} {self._unit}/s"
        if self._done < self._total and rate:
            text += f", {(self._total - self._done) / rate:.0f} s left"
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Bars:
    """Watches a build with one bar a phase on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._kept = self._dropped = 0

    def phase(self, name: str, total: int, unit: str) -> None:
        """Begin a phase."""
        self._complete()
        self._kept = self._dropped = 0
        self._task = self._progress.add_task(name, total=total, unit=unit, counts="")

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        """Move the bar."""
        if self._task is None:
            return
        self._kept += kept
        self._dropped += dropped
        self._progress.update(self._task, advance=amount)
        if self._kept or self._dropped:
            self.note(f"dropped {self._dropped:,}")

    def note(self, text: str) -> None:
        """Show how things stand beside the bar."""
        if self._task is not None:
            self._progress.update(self._task, counts=text)

    def close(self) -> None:
        """Complete the last bar."""
        self._complete()

    def _complete(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=self._progress.tasks[self._task].completed)


class Silence:
    """Watches nothing."""

    def phase(self, name: str, total: int, unit: str) -> None:
        """Ignore."""

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


@contextmanager
def watching(quiet: bool) -> Iterator[Bars | Lines | Silence]:
    """Yield the watcher that suits the terminal."""
    if quiet:
        yield Silence()
    elif sys.stderr.isatty():
        with _bars() as progress:
            bars = Bars(progress)
            yield bars
            bars.close()
    else:
        lines = Lines()
        yield lines
        lines.close()


def _bars() -> Progress:
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as BarTask
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second."""

        def render(self, task: BarTask) -> Text:
            speed = task.finished_speed or task.speed
            unit = task.fields.get("unit", "")
            shown = f"{speed:,.0f}/s" if speed and unit != "tasks" else ""
            return Text(shown, style="cyan", no_wrap=True)

    return Progress(
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}", justify="right"),
        Rate(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(compact=True),
        console=console(stderr=True),
    )
