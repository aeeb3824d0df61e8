"""Evaluate a run: score base and trained models on every held-out task, going on where it was stopped.

RUN/evaluation/work/...         scores of one model on one task, kept for the next evaluation
RUN/evaluation/scores.parquet   all of them
RUN/evaluation/evaluation.json  settings, models and facts about the tasks; written last
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from instructify.errors import InstructifyError, LockedError, Problem
from instructify.evaluate.facts import over_seeds, summary, task_facts
from instructify.evaluate.heldout import HeldOut, HeldOutTask
from instructify.evaluate.models import Candidate
from instructify.evaluate.scores import score_schema
from instructify.evaluate.task import score_task
from instructify.finetune.loop import Watcher, deterministic
from instructify.finetune.record import check_intact
from instructify.keys import hexdigest
from instructify.publish.files import (
    TEMPORARY,
    FileRecord,
    find_file,
    io_errors,
    remove,
    write_bytes,
    write_file,
)
from instructify.publish.lock import exclusive
from instructify.recipe.training import Evaluate, ModelSection
from instructify.seq2seq import Seq2Seq, base_hashes, hash_adapter, holds_adapter, load_seq2seq

if TYPE_CHECKING:
    import pyarrow as pa

SCORES, DOCUMENT = "scores.parquet", "evaluation.json"
PACKAGES = ("instructify", "numpy", "torch", "transformers", "tokenizers", "peft")
DECIDING = ("evaluate", "metrics.py", "seq2seq.py")
"""The modules of this package that decide a score."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to evaluate: models on the held-out tasks of a build, into `folder`.

    A relative model folder is relative to `base`. `device` is one that PyTorch knows, or auto for a GPU where
    there is one; `threads` are those of CPU arithmetic. `limit` is the limit the tasks were read with, and
    `notes` are kept with the scores.
    """

    folder: Path
    held_out: HeldOut
    model: ModelSection
    base: Path
    candidates: tuple[Candidate, ...]
    settings: Evaluate
    device: str = "cpu"
    threads: int = 1
    limit: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """The scores of one model on one task, on disk."""

    candidate: Candidate
    task: HeldOutTask
    record: FileRecord


def evaluate(job: Job, watcher: Watcher) -> dict[str, Any]:
    """Score every model on every task and return what evaluation.json says.

    What an earlier evaluation of the same models, build, settings and code has scored is not scored again.
    Both files appear whole or stay what they were.

    Raises:
        InstructifyError: a model cannot be loaded, is not what its training left or was trained on another
            build or base, or a prompt is too long.
    """
    parts: list[Part] = []
    models: list[dict[str, Any]] = []
    _check(job)
    job = replace(job, device=_device(job.device))
    with _alone(job.folder), deterministic(job.threads):
        with io_errors(job.folder, "tidy"):
            remove(job.folder / "work" / TEMPORARY)  # of an evaluation that was killed
        for candidate in job.candidates:
            model = load_seq2seq(job.model, job.base, adapter=candidate.adapter, device=job.device)
            identity = _identity(model, candidate)
            watcher.phase(candidate.title, sum(len(task.examples) for task in job.held_out.tasks), "examples")
            parts += [_part(job, model, candidate, identity, task, watcher) for task in job.held_out.tasks]
            models.append(identity)
            tokenizer = model.tokenizer
        tables = {(part.candidate, part.task.name): _read(job, part) for part in parts}
        scores = _joined(list(tables.values()))
        document = {
            **_about(job, models, parts),
            "scores_sha256": hashlib.sha256(scores).hexdigest(),
            "tasks": [facts for task in job.held_out.tasks for facts in _tasks(job, task, tables, tokenizer)],
        }
        staging = job.folder / "work"
        write_bytes(staging, job.folder / SCORES, scores)
        text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        # a path that is not UTF-8 has half surrogate pairs, whose backslash form is the JSON escape for them
        write_bytes(staging, job.folder / DOCUMENT, text.encode("utf-8", "backslashreplace"))
    return document


def _check(job: Job) -> None:
    """Refuse models that are not whole, or were trained on another base or build than those at hand.

    What is held out here may have been learned on another build.
    """
    problems: list[Problem] = []
    base = base_hashes(job.model, job.base)
    for candidate in job.candidates:
        try:
            if candidate.run is not None and candidate.adapter == candidate.run.adapter:
                check_intact(candidate.run)
            elif candidate.adapter is not None:
                holds_adapter(candidate.adapter)
        except InstructifyError as error:
            problems += error.problems
        problems += _mismatches(candidate, base, job)
    if problems:
        raise InstructifyError(*problems)


def _mismatches(candidate: Candidate, base: tuple[str, str], job: Job) -> Iterator[Problem]:
    if candidate.run is None:
        return
    where, record = str(candidate.adapter), candidate.run.record
    if record.data.content_hash != job.held_out.content_hash:
        yield Problem("was trained on another build", where, f"a run on {job.held_out.path}")
    if (record.model.model_hash, record.model.tokenizer_hash) != base:
        what = f"was trained from another base than {job.model.name}"
        yield Problem(what, where, "the base model of the training run")


def _is_unknown(candidate: Candidate) -> bool:
    return candidate.adapter is not None and candidate.run is None


def _unknown_notes(job: Job) -> Iterator[str]:
    """Yield a note on each model that no record of a training lies beside."""
    for candidate in filter(_is_unknown, job.candidates):
        yield (
            f"{candidate.title}: how it was trained is not known, so that neither build nor base is checked "
            "and nothing shows that this is zero-shot"
        )


def _eos_notes(job: Job) -> Iterator[str]:
    """Yield a note on each model whose prompts ended otherwise in training."""
    then, now = "none", "an end-of-sequence token"
    if not job.settings.encoder_eos:
        then, now = now, then
    for candidate in job.candidates:
        run = candidate.run
        if run is not None and run.record.evaluate.encoder_eos != job.settings.encoder_eos:
            yield f"{candidate.title}: prompts ended with {then} in training and end with {now} here"


def _device(name: str) -> str:
    import torch

    # cuBLAS needs this before its first use, to be deterministic
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with io_errors(folder, "write"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(folder / ".lock", folder):
            yield
    except LockedError:
        raise LockedError(Problem("another evaluation is at work here", str(folder))) from None


def _identity(model: Seq2Seq, candidate: Candidate) -> dict[str, Any]:
    """Return whose scores these are, in all that decides them."""
    return {
        "model": candidate.label,
        "seed": candidate.seed,
        "name": model.name,
        "revision": model.revision,
        "model_hash": model.model_hash,
        "tokenizer_hash": model.tokenizer_hash,
        "adapter_hash": hash_adapter(candidate.adapter) if candidate.adapter else None,
    }


def _part(
    job: Job,
    model: Seq2Seq,
    candidate: Candidate,
    identity: dict[str, Any],
    task: HeldOutTask,
    watcher: Watcher,
) -> Part:
    """Find or make the scores of one model on one task."""
    import pyarrow.parquet as pq

    key = hexdigest(
        json.dumps(_versions(), sort_keys=True),
        _code(),
        job.held_out.manifest_sha256,
        job.settings.model_dump_json(),
        job.model.model_dump_json(),
        job.device,
        json.dumps(identity, sort_keys=True),
    )
    who = candidate.label if candidate.seed is None else f"{candidate.label}-{candidate.seed}"
    what = hexdigest(task.name, *(example["id"] for example in task.examples))[:16]
    path = f"parts/{who}-{what}.parquet"
    record = find_file(job.folder / "work", path)
    if record is not None and record.meta.get("key") == key:
        watcher.advance(len(task.examples))
        return Part(candidate, task, record)
    began = time.perf_counter()
    table = score_task(model, task, job.settings, candidate.label, candidate.seed, watcher.advance)
    meta = {"key": key, "seconds": time.perf_counter() - began, "rows": table.num_rows}

    def write(file: BinaryIO) -> None:
        pq.write_table(table, file, compression="zstd")

    return Part(candidate, task, write_file(job.folder / "work", path, write, meta))


def _read(job: Job, part: Part) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(job.folder / "work" / part.record.path, schema=score_schema())


def _joined(tables: Sequence[pa.Table]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, score_schema(), compression="zstd", write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table)
    return bytes(sink.getvalue())


def _about(job: Job, models: list[dict[str, Any]], parts: Sequence[Part]) -> dict[str, Any]:
    seconds = {
        candidate: sum(part.record.meta["seconds"] for part in parts if part.candidate == candidate)
        for candidate in job.candidates
    }
    examples = sum(len(task.examples) for task in job.held_out.tasks)
    for identity, took in zip(models, seconds.values(), strict=True):
        identity |= {"seconds": round(took, 3), "examples_per_second": round(examples / took, 1)}
    return {
        "schema": "instructify/evaluation/1",
        "base": job.model.model_dump(mode="json"),
        "settings": job.settings.model_dump(mode="json"),
        "device": job.device,
        "threads": job.threads,
        "limit": job.limit,
        "notes": [*job.notes, *_unknown_notes(job), *_eos_notes(job)],
        "build": {
            "path": str(job.held_out.path),
            "content_hash": job.held_out.content_hash,
            "manifest_sha256": job.held_out.manifest_sha256,
        },
        "models": models,
        "seconds": round(sum(seconds.values()), 3),
        "versions": _versions(),
        "code": _code(),
    }


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


@lru_cache(maxsize=1)
def _code() -> str:
    """Return a hash of the source that decides a score."""
    package = Path(__file__).resolve().parents[1]
    files = [path for name in DECIDING for path in (package / name, *(package / name).glob("*.py"))]
    files = [path for path in files if path.is_file()]
    return hexdigest(*(part for path in sorted(files) for part in (path.name, path.read_bytes())))


def _tasks(
    job: Job, task: HeldOutTask, tables: dict[tuple[Candidate, str], pa.Table], tokenizer: Any
) -> Iterator[dict[str, Any]]:
    """Yield what there is to say of each variant of a task."""
    every = {candidate: tables[candidate, task.name].to_pylist() for candidate in job.candidates}
    proven = not any(map(_is_unknown, job.candidates))
    for variant in task.variants:
        rows = {one: [row for row in every[one] if row["variant"] == variant] for one in job.candidates}
        first = rows[job.candidates[0]]
        facts = task_facts(task, variant, first, tokenizer, job.settings, job.model.name, proven=proven)
        metric = facts["headline"]
        results = [
            {"model": one.label, "seed": one.seed, **summary(rows[one], metric)} for one in job.candidates
        ]
        together = [
            {"model": label, **over_seeds([rows[c] for c in job.candidates if c.label == label], metric)}
            for label in dict.fromkeys(candidate.label for candidate in job.candidates)
        ]
        yield {**facts, "results": results, "over_seeds": together}
