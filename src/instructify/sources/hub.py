"""Datasets of the hub and of save_to_disk: the only module that imports `datasets`, and only when asked."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe.models import DiskSource, HubSource, resolve
from instructify.sources.fingerprint import HASH_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

LOCAL = re.compile(r"^(/|~|\.{1,2}(/|$))")
SCRIPT_HINT = "a dataset of plain files; revision: refs/convert/parquet often has the same rows"
OFFLINE_HINT = "network access, a cached copy, or local files with --data-root"
NO_CONNECTION = frozenset(
    {"OfflineModeIsEnabled", "ConnectionError", "TimeoutError", "Timeout", "TransportError"}
)
UNREACHABLE = threading.Event()  # set by the first failed connection: then this process asks the cache alone


@dataclass(frozen=True, slots=True)
class Loaded:
    """One split that `datasets` opened; `tables()` yields all its rows, undecoded, any number of times."""

    dataset: Any
    labels: dict[str, tuple[str, ...]]
    revision: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows."""
        return next(self.tables()).schema

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows in order."""
        rows = self.dataset.with_format("arrow")
        for start in range(0, max(1, len(rows)), HASH_ROWS):
            yield rows[start : start + HASH_ROWS]


def load_hub(spec: HubSource, name: str, base: Path) -> Loaded:
    """Load one split of a hub dataset, at the commit that its revision stands for now.

    Raises:
        InstructifyError: there is no such dataset, configuration or split, or it cannot be reached.
    """
    path = str(resolve(spec.path, base)) if LOCAL.match(spec.path) else spec.path
    if path == spec.path and Path(path).is_dir() and not Path(path).is_absolute():
        raise InstructifyError(
            Problem(
                f"a folder {path!r} in the working directory hides the hub dataset of that name",
                expected=f"./{path} in the recipe for a folder, or another working directory",
            )
        )
    with _quiet():
        commit, notes = (None, ()) if path != spec.path else _commit_or_note(path, spec.revision)
        try:
            with _cache_alone(UNREACHABLE.is_set()):
                dataset = fetch(path, spec.config, name, commit or spec.revision)
        except Exception as error:  # datasets raises almost any type; all become one line here
            if _is_lost(error):
                UNREACHABLE.set()
            raise InstructifyError(_explain(error, spec, name)) from error
    return Loaded(dataset, _labels(dataset), commit, notes)


def load_disk(spec: DiskSource, name: str, base: Path) -> Loaded:
    """Load one split of a folder written by save_to_disk.

    Raises:
        InstructifyError: the folder is not one, or has no such split.
    """
    path = resolve(spec.path, base)
    if not path.is_dir():
        raise InstructifyError(Problem("there is no such folder", where=str(path)))
    with _quiet():
        try:
            found = fetch_disk(path)
        except Exception as error:  # see load_hub
            reason = _first_line(error)
            raise InstructifyError(
                Problem(f"cannot be loaded: {reason}", str(path), "a folder written by save_to_disk")
            ) from error
    known = list(found) if isinstance(found, dict) else [str(getattr(found, "split", None) or "train")]
    if name not in known:
        raise InstructifyError(
            Problem(
                f"there is no split {name!r}", str(path), f"one of {', '.join(known)}", nearest(name, known)
            )
        )
    dataset = found[name] if isinstance(found, dict) else found
    return Loaded(dataset, _labels(dataset))


def fetch(path: str, config: str | None, split: str, revision: str | None) -> Any:
    """Call datasets.load_dataset; tests put a fake here."""
    import datasets

    return datasets.load_dataset(path, config, split=split, revision=revision)


def fetch_disk(path: Path) -> Any:
    """Call datasets.load_from_disk."""
    import datasets

    return datasets.load_from_disk(str(path))


def fetch_commit(path: str, revision: str | None) -> str | None:
    """Ask the hub which commit a revision is; tests put a fake here."""
    from huggingface_hub import HfApi

    return HfApi().dataset_info(path, revision=revision, timeout=10).sha


def _commit_or_note(path: str, revision: str | None) -> tuple[str | None, tuple[str, ...]]:
    why = "the hub cannot be reached"
    if not UNREACHABLE.is_set():
        try:
            return fetch_commit(path, revision), ()
        except Exception as error:  # no connection, no such dataset: loading says what is wrong, if anything
            if _is_lost(error):
                UNREACHABLE.set()
            else:
                why = type(error).__name__
    rows = "its rows are those of the latest cached copy" if UNREACHABLE.is_set() else "none is recorded"
    return None, (f"The commit of {path} could not be resolved ({why}): {rows}.",)


def _is_lost(error: Exception) -> bool:
    """Return whether there was no connection."""
    return bool(_kinds(error) & NO_CONNECTION)


@contextmanager
def _cache_alone(wanted: bool) -> Iterator[None]:
    """Keep both libraries from the network for a while: they would try again for half a minute each time."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if wanted:
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars, warnings and log lines of both libraries, and put them back after."""
    import datasets
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    bars = datasets.is_progress_bar_enabled()
    hub_bars = not are_progress_bars_disabled()
    level, hub_level = datasets.logging.get_verbosity(), hub_logging.get_verbosity()
    datasets.disable_progress_bars()
    disable_progress_bars()
    datasets.logging.set_verbosity_error()
    hub_logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        datasets.logging.set_verbosity(level)
        hub_logging.set_verbosity(hub_level)
        if bars:
            datasets.enable_progress_bars()
        if hub_bars:
            enable_progress_bars()


def _labels(dataset: Any) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(feature.names)
        for name, feature in (dataset.features or {}).items()
        if type(feature).__name__ == "ClassLabel" and feature.names
    }


def _explain(error: Exception, spec: HubSource, split: str) -> Problem:
    """Turn whatever `datasets` raised into one line with a hint."""
    text = " ".join(_chain(error))
    where = f"{spec.path}/{spec.config}" if spec.config else spec.path
    names = re.findall(r"'([^']+)'", (re.search(r"\[(?:'[^']*'(?:, )?)+\]", text) or [""])[0])
    if "Unknown split" in text:
        known = ", ".join(names)
        return Problem(f"there is no split {split!r}", where, f"one of {known}", nearest(split, names))
    if "BuilderConfig" in text and "not found" in text:
        config = spec.config or ""
        known = ", ".join(names)
        return Problem(
            f"there is no configuration {config!r}", where, f"one of {known}", nearest(config, names)
        )
    if "Config name is missing" in text:
        return Problem("the dataset has several configurations", where, f"config: one of {', '.join(names)}")
    if "scripts are no longer supported" in text or "trust_remote_code" in text:
        return Problem("the dataset is a script, which is not run", where, SCRIPT_HINT)
    kinds = _kinds(error)
    if "GatedRepoError" in kinds or "gated dataset" in text:
        return Problem(
            "the dataset is gated", where, "an account with access, logged in with `hf auth login`"
        )
    if kinds & NO_CONNECTION or (UNREACHABLE.is_set() and ("find cache" in text or "not cached" in text)):
        return Problem("the hub cannot be reached", where, OFFLINE_HINT)
    if kinds & {"DatasetNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError"}:
        hint = "the name of a public dataset (and an existing revision), or local files with --data-root"
        return Problem("there is no such dataset on the hub", where, hint)
    return Problem(f"cannot be loaded: {type(error).__name__}: {_first_line(error)}", where)


def _errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _kinds(error: Exception) -> set[str]:
    return {kind.__name__ for one in _errors(error) for kind in type(one).__mro__}


def _chain(error: Exception) -> list[str]:
    return [str(one) for one in _errors(error)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
