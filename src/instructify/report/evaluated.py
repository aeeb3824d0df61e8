"""What a report reads of evaluation.json; what else stands there is left as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from instructify.documents import checked, read_document

WRITTEN = "a run that instructify evaluate has scored"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class _Base(_Part):
    name: str = ""


class _Build(_Part):
    path: str = ""
    content_hash: str = ""


class _Model(_Part):
    model: str
    seed: int | None = None
    model_hash: str | None = None
    tokenizer_hash: str | None = None
    adapter_hash: str | None = None


class _Seen(_Part):
    status: str = ""
    word: str = ""
    note: str = ""


class _Task(_Part):
    task: str
    variant: str = ""
    seen: _Seen | None = None
    examples: int = 0
    truncated: int = 0
    colliding: int = 0
    others: int = 0


class _Evaluation(_Part):
    base: _Base = _Base()
    settings: dict[str, Any] = {}
    device: str | None = None
    limit: int | None = None
    build: _Build = _Build()
    models: list[_Model] = []
    tasks: list[_Task] = []
    notes: list[str] = []
    versions: dict[str, str] = {}
    scores_sha256: str | None = None


def read_evaluation(path: Path) -> Mapping[str, Any]:
    """Return what evaluation.json says; raises InstructifyError for one that no evaluation has written."""
    data: Mapping[str, Any] = read_document(path, WRITTEN)
    checked(_Evaluation, data, path, WRITTEN)
    return data
