"""Metrics of a training run: metrics.jsonl always, other trackers when asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.publish.files import io_errors

Log = Callable[[dict[str, Any]], None]
PACKAGES = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio"}


class MetricsFile:
    """metrics.jsonl: one JSON object a logged step, complete after every line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep_until(self, step: int) -> None:
        """Drop the lines of steps after `step`, and one that was cut short."""
        kept = []
        with io_errors(self._path, "write"):
            if self._path.exists():
                for number, line in enumerate(self._path.read_bytes().splitlines(keepends=True), start=1):
                    if not line.endswith(b"\n") or self._step(line, number) > step:
                        break
                    kept.append(line)
            self._path.write_bytes(b"".join(kept))

    def _step(self, line: bytes, number: int) -> int:
        try:
            return int(json.loads(line)["step"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            what, expected = "is no logged step", "an object with step and loss; --restart trains anew"
            raise InstructifyError(Problem(what, f"{self._path}:{number}", expected)) from None

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        with io_errors(self._path, "write"), self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")


def require_trackers(names: Sequence[str]) -> None:
    """Raise InstructifyError if the package of a tracker that is asked for is missing."""
    for name in names:
        try:
            import_module(PACKAGES[name])
        except ImportError as error:
            hint = f"pip install {name}, or an empty log_to"
            raise InstructifyError(Problem(f"{name} is not installed", "finetune.log_to", hint)) from error


@contextmanager
def trackers(names: Sequence[str], folder: Path, project: str, run: str) -> Iterator[Sequence[Log]]:
    """Yield a function for each tracker asked for; see `require_trackers`."""
    with ExitStack() as stack:
        yield [stack.enter_context(TRACKERS[name](folder, project, run)) for name in names]


@contextmanager
def _tensorboard(folder: Path, project: str, run: str) -> Iterator[Log]:
    writer = import_module(PACKAGES["tensorboard"]).SummaryWriter(str(folder / "tensorboard"))

    def log(line: dict[str, Any]) -> None:
        for name, value in line.items():
            if name != "step":
                writer.add_scalar(name, value, line["step"])

    try:
        yield log
    finally:
        writer.close()


@contextmanager
def _trackio(folder: Path, project: str, run: str) -> Iterator[Log]:
    trackio = import_module(PACKAGES["trackio"])
    trackio.init(project=project, name=run, resume="allow")
    try:
        yield lambda line: trackio.log({k: v for k, v in line.items() if k != "step"}, step=line["step"])
    finally:
        trackio.finish()


TRACKERS = {"tensorboard": _tensorboard, "trackio": _trackio}
