"""What the tests of the sources share: write a file, open it, look at every row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instructify.errors import InstructifyError
from instructify.recipe.models import FilesSource
from instructify.sources import open_source, read_rows
from instructify.types import OpenSource


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def opened(base: Path, path: str | list[str], split: str = "train", **options: Any) -> OpenSource:
    return open_source(FilesSource(kind="files", path=path, **options), split, base, base / "work")


def everything(source: OpenSource) -> list[dict[str, Any]]:
    return read_rows(source, source.start, source.stop, source.columns).to_pylist()


def rows(base: Path, path: str | list[str], **options: Any) -> list[dict[str, Any]]:
    return everything(opened(base, path, **options))


def complaint(base: Path, path: str | list[str], split: str = "train", **options: Any) -> str:
    """Return the error of opening a source, with the temporary folder taken out."""
    with pytest.raises(InstructifyError) as caught:
        opened(base, path, split, **options)
    assert not list((base / "work").glob("*.partial")), "a half-written file was left behind"
    return str(caught.value).replace(f"{base}/", "")
