"""Training examples of a published build as token ids, and the order in which they are learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from instructify.errors import InstructifyError, Problem
from instructify.keys import Key, positions
from instructify.publish.files import io_errors, sum_file
from instructify.publish.manifest import SEAL, manifest_files, read_manifest
from instructify.recipe.models import Recipe, recipe_data
from instructify.recipe.training import Finetune

COLUMNS = ("id", "inputs", "targets", "task", "template")
AFTER_THE_BUILD = {"model", "finetune", "evaluate", "run", "description"}
"""Sections of a recipe that no build depends on."""
WINDOW = 50  # batches whose examples are sorted by length together
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Texts:
    """The training part of a build: one value of each column per example, in the order of their ids.

    So what is learned when does not depend on how a build lays examples out in its files.
    """

    ids: Sequence[str]
    inputs: Sequence[str]
    targets: Sequence[str]
    groups: Sequence[tuple[str, str]]
    build: str
    content_hash: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Ragged:
    """Token ids of many texts end to end; text n is `ids[starts[n]:starts[n + 1]]`."""

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, n: int) -> npt.NDArray[np.int32]:
        return self.ids[self.starts[n] : self.starts[n + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.starts)

    def take(self, rows: npt.NDArray[np.int64]) -> Ragged:
        """Return some of the texts, in the order given."""
        kept = [self[int(n)] for n in rows]
        return _ragged(kept)


@dataclass(frozen=True, slots=True)
class Examples:
    """Encoded training examples, and how many were over the budgets and cut or left out."""

    inputs: Ragged
    targets: Ragged
    too_long: int
    dropped: int

    def __len__(self) -> int:
        return len(self.inputs)


def read_texts(build: Path) -> Texts:
    """Return the training examples of a published build, its files checked against the manifest.

    Raises:
        InstructifyError: it is no build, has no training part in Parquet, or a file was changed.
    """
    import pyarrow.parquet as pq

    manifest = read_manifest(build)
    entries = [f for f in manifest_files(manifest) if f.part == "train" and f.format == "parquet"]
    if not entries:
        raise InstructifyError(
            Problem("the build has no training examples in Parquet", str(build), "parquet in output.formats")
        )
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    for entry in sorted(entries, key=lambda entry: entry.path):
        path = build / entry.path
        with io_errors(path, "read"):
            if sum_file(path).sha256 != entry.sha256:
                raise InstructifyError(Problem("is not what the manifest says", str(path), "a whole build"))
            table = pq.read_table(path, columns=list(COLUMNS))
        for name in COLUMNS:
            columns[name] += table[name].to_pylist()
    order = sorted(range(len(columns["id"])), key=columns["id"].__getitem__)
    ids, inputs, targets, *names = ([columns[name][n] for n in order] for name in COLUMNS)
    hashes = str(manifest["content_hash"]), str(manifest[SEAL])
    return Texts(ids, inputs, targets, list(zip(*names, strict=True)), str(manifest["name"]), *hashes)


def other_sections(build: Path, recipe: Recipe) -> list[str]:
    """Return the sections in which a recipe differs from the one that a build was made from.

    What comes after the build does not count, nor where it lies. Raises InstructifyError without a build.
    """
    built, wanted = (_of_the_build(data) for data in (read_manifest(build)["recipe"], recipe_data(recipe)))
    return sorted(key for key in {*built, *wanted} if built.get(key) != wanted.get(key))


def _of_the_build(recipe: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in recipe.items() if key not in AFTER_THE_BUILD}
    return {**kept, "output": {key: value for key, value in recipe["output"].items() if key != "dir"}}


def shuffled(targets: Sequence[str], groups: Sequence[tuple[str, str]], seed: int) -> list[str]:
    """Return the targets, shuffled among the examples of the same task and template."""
    members: dict[tuple[str, str], list[int]] = {}
    for n, group in enumerate(groups):
        members.setdefault(group, []).append(n)
    out = list(targets)
    for group, rows in members.items():
        places = positions(Key.of("shuffled targets", seed, *group), len(rows), np.arange(len(rows)))
        for n, place in zip(rows, places, strict=True):
            out[n] = targets[rows[place]]
    return out


def encode(texts: Texts, tokenizer: Any, section: Finetune, seed: int, *, encoder_eos: bool) -> Examples:
    """Return the examples within the budgets of a recipe, as token ids.

    A prompt or target that is cut keeps its end-of-sequence token. Raises InstructifyError when an example
    is too long and that is an error, or when none is left.
    """
    targets = texts.targets
    if section.shuffle_targets:
        targets = shuffled(targets, texts.groups, seed)
    inputs, long_inputs = _encode(texts.inputs, tokenizer, section.max_input_tokens, eos=encoder_eos)
    labels, long_targets = _encode(targets, tokenizer, section.max_target_tokens, eos=True)
    over = long_inputs | long_targets
    if over.any() and section.on_too_long == "error":
        first = int(np.flatnonzero(over)[0])
        key = "max_input_tokens" if long_inputs[first] else "max_target_tokens"
        raise InstructifyError(
            Problem(
                f"{int(over.sum())} of {len(over)} examples are over the budgets, among them "
                f"{texts.ids[first]}, of {' / '.join(texts.groups[first])}",
                "finetune",
                f"a larger {key}, or on_too_long: cut or drop",
            )
        )
    if section.on_too_long == "drop":
        kept = np.flatnonzero(~over)
        inputs, labels = inputs.take(kept), labels.take(kept)
    if not len(inputs):
        raise InstructifyError(Problem("no training example is within the budgets", "finetune"))
    dropped = int(over.sum()) if section.on_too_long == "drop" else 0
    return Examples(inputs, labels, int(over.sum()), dropped)


def _encode(
    texts: Sequence[str], tokenizer: Any, limit: int, *, eos: bool
) -> tuple[Ragged, npt.NDArray[np.bool_]]:
    parts: list[npt.NDArray[np.int32]] = []
    end = [tokenizer.eos_token_id] if eos else []
    room = limit - len(end)
    over = np.zeros(len(texts), dtype=np.bool_)
    for start in range(0, len(texts), _CHUNK):
        chunk = list(texts[start : start + _CHUNK])
        made = tokenizer(chunk, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        for n, ids in enumerate(made, start):
            over[n] = len(ids) > room
            # an encoder has to read something, as when it is scored
            parts.append(np.array([*ids[:room], *end] or [tokenizer.eos_token_id], dtype=np.int32))
    return _ragged(parts), over


def _ragged(parts: Sequence[npt.NDArray[np.int32]]) -> Ragged:
    starts = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    return Ragged(np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32), starts)


def batches_per_epoch(examples: int, batch_size: int) -> int:
    """Return how many batches one pass over the examples takes."""
    return -(-examples // batch_size)


def epoch_batches(
    lengths: npt.NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each batch of one epoch: every row once, rows of like length together.

    The rows are permuted by key, sorted by length within windows of some batches, and the batches are
    permuted in turn; it all depends on (seed, epoch) and the lengths alone.
    """
    count = len(lengths)
    rows = np.empty(count, dtype=np.int64)
    rows[positions(Key.of("row order", seed, epoch), count, np.arange(count))] = np.arange(count)
    batches = []
    for start in range(0, count, batch_size * WINDOW):
        window = rows[start : start + batch_size * WINDOW]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[n : n + batch_size] for n in range(0, len(window), batch_size)]
    order = positions(Key.of("batch order", seed, epoch), len(batches), np.arange(len(batches)))
    return [batches[n] for n in order]


def batches_from(
    lengths: npt.NDArray[np.int64], batch_size: int, seed: int, position: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of batch `position` and of all batches after it, epoch after epoch without end."""
    epoch, skip = divmod(position, batches_per_epoch(len(lengths), batch_size))
    while True:
        yield from epoch_batches(lengths, batch_size, seed, epoch)[skip:]
        epoch, skip = epoch + 1, 0
