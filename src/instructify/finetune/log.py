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


class MetricsFile:
    """metrics.jsonl: one JSON object a logged step, complete after every line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep_until(self, step: int) -> None:
        """Drop the lines of steps after `step`, and one that was cut short."""
        kept = []
        with io_errors(self._path, "write"):
            if self._path.exists():
                for line in self._path.read_text(encoding="utf-8").splitlines(keepends=True):
                    if not line.endswith("\n") or json.loads(line)["step"] > step:
                        break
                    kept.append(line)
            self._path.write_text("".join(kept), encoding="utf-8", newline="\n")

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        with io_errors(self._path, "write"), self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")


@contextmanager
def trackers(names: Sequence[str], folder: Path, project: str, run: str) -> Iterator[Sequence[Log]]:
    """Yield a function for each tracker asked for; raises InstructifyError if its package is missing."""
    with ExitStack() as stack:
        yield [stack.enter_context(TRACKERS[name](folder, project, run)) for name in names]


@contextmanager
def _tensorboard(folder: Path, project: str, run: str) -> Iterator[Log]:
    try:
        writer = import_module("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard"))
    except ImportError as error:
        raise _missing("tensorboard") from error

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
    try:
        trackio = import_module("trackio")
    except ImportError as error:
        raise _missing("trackio") from error
    trackio.init(project=project, name=run, resume="allow")
    try:
        yield lambda line: trackio.log({k: v for k, v in line.items() if k != "step"}, step=line["step"])
    finally:
        trackio.finish()


def _missing(name: str) -> InstructifyError:
    return InstructifyError(
        Problem(f"{name} is not installed", "finetune.log_to", f"pip install {name}, or an empty log_to")
    )


TRACKERS = {"tensorboard": _tensorboard, "trackio": _trackio}
