"""A source that changes while it is read is an error, and leaves nothing behind for later builds."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from instructify.errors import InstructifyError
from instructify.sources import check_unchanged, read_rows, source_schema
from instructify.sources import fingerprint as fingerprints
from instructify.types import OpenSource
from sources_kit import complaint, everything, opened, put, rows

CHANGED = "the file changed while it was read"
CONTENTS = {
    "jsonl": (b'{"t": "old"}\n', b'{"t": "new"}\n'),
    "json": (b'[{"t": "old"}]', b'[{"t": "new"}]'),
    "csv": (b"t\nold\n", b"t\nnew\n"),
    "tsv": (b"t\nold\n", b"t\nnew\n"),
}
Change = Callable[[Path, bytes], None]


def table(path: Path, word: str, count: int = 6) -> Path:
    pq.write_table(pa.table({"t": [f"{word}{n}" for n in range(count)]}), path, row_group_size=2)
    return path


def replace(path: Path, content: bytes) -> None:
    """Put another file in a file's place, as an exporter does."""
    put(path.with_suffix(".other"), content).replace(path)


def rewrite(path: Path, content: bytes) -> None:
    """Write into the file itself; its time of change moves on."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before + 1, before + 1))


def rewrite_unseen(path: Path, content: bytes) -> None:
    """Write into the file itself on a file system that tells time coarsely."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before, before))


def after_hashing(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let a change happen once, right after the files were hashed for the first time."""
    original, done = fingerprints.of_files, list[bool]()

    def hashed(*arguments: Any) -> str:
        found = original(*arguments)
        if not done:
            done.append(True)
            change()
        return found

    monkeypatch.setattr(fingerprints, "of_files", hashed)


@pytest.mark.parametrize("how", [replace, rewrite, rewrite_unseen])
@pytest.mark.parametrize("kind", CONTENTS)
def test_text_that_changes_between_hash_and_reading_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, how: Change
) -> None:
    old, new = CONTENTS[kind]
    path = put(tmp_path / f"a.{kind}", old)
    after_hashing(monkeypatch, lambda: how(path, new))
    assert complaint(tmp_path, path.name).startswith(f"a.{kind}: {CHANGED}")
    assert list((tmp_path / "work").iterdir()) == []
    assert rows(tmp_path, path.name) == [{"t": "new"}]
    replace(path, old)
    assert rows(tmp_path, path.name) == [{"t": "old"}]


def test_text_that_changes_during_the_last_pass_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instructify.sources import delimited

    path = put(tmp_path / "a.csv", "t\nold\n")
    original = delimited._block

    def block(*arguments: Any) -> Any:
        rewrite(path, b"t\nold\nnew\n")
        return original(*arguments)

    monkeypatch.setattr(delimited, "_block", block)
    assert CHANGED in complaint(tmp_path, "a.csv")


def test_a_change_is_named_rather_than_the_damage_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.csv", "a,b\n1,2\n")
    after_hashing(monkeypatch, lambda: rewrite(path, b"a,b\n1\n"))
    text = complaint(tmp_path, "a.csv")
    assert CHANGED in text
    assert "cells" not in text


def test_only_the_changed_file_of_several_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1.csv", "2.csv", "3.csv"):
        put(tmp_path / name, "t\nx\n")
    after_hashing(monkeypatch, lambda: replace(tmp_path / "2.csv", b"t\ny\n"))
    text = complaint(tmp_path, "*.csv")
    assert text.startswith(f"2.csv: {CHANGED}")
    assert "1.csv" not in text
    assert "3.csv" not in text


def test_converted_text_may_change_after_it_was_opened(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "t\nold\n")
    source = opened(tmp_path, "a.csv")
    replace(path, b"t\nnew\n")
    assert everything(source) == [{"t": "old"}]
    check_unchanged(source)


@pytest.mark.parametrize("options", [{}, {"cast": {"t": "bool"}}, {"label_names": {"t": ["old0"]}}])
def test_parquet_that_changes_after_the_hash_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    path = table(tmp_path / "a.parquet", "old", 1)
    after_hashing(monkeypatch, lambda: replace(path, table(tmp_path / "b", "new", 1).read_bytes()))
    assert complaint(tmp_path, "a.parquet", **options).startswith(f"a.parquet: {CHANGED}")


READERS: tuple[Callable[[OpenSource], object], ...] = (
    lambda source: read_rows(source, 0, 1, ["t"]),
    lambda source: read_rows(source, 5, 6, ["t"]),
    source_schema,
    check_unchanged,
)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("how", [replace, rewrite])
@pytest.mark.parametrize("warm", [False, True])
def test_parquet_that_changed_since_it_was_opened_is_not_read(
    tmp_path: Path, read: Callable[[OpenSource], object], how: Change, warm: bool
) -> None:
    path = table(tmp_path / "a.parquet", "old")
    source = opened(tmp_path, "a.parquet")
    if warm:
        read(source)
    how(path, table(tmp_path / "b", "new").read_bytes())
    for seen in (source, pickle.loads(pickle.dumps(source))):
        with pytest.raises(InstructifyError, match=rf"a\.parquet: {CHANGED}"):
            read(seen)
    assert rows(tmp_path, "a.parquet")[0] == {"t": "new0"}


@pytest.mark.parametrize("changed", [0, 1])
def test_a_change_to_any_file_of_a_split_is_seen_though_its_rows_are_at_hand(
    tmp_path: Path, changed: int
) -> None:
    paths = [table(tmp_path / f"{number}.parquet", f"old{number}", 2) for number in (1, 2)]
    source = opened(tmp_path, "*.parquet")
    assert read_rows(source, 2, 4, ["t"]).to_pylist() == [{"t": "old20"}, {"t": "old21"}]
    replace(paths[changed], table(tmp_path / "b", "new", 2).read_bytes())
    with pytest.raises(InstructifyError, match=CHANGED):
        read_rows(source, 2, 4, ["t"])


@pytest.mark.parametrize("content", ["another table", "no table"])
def test_parquet_replaced_between_the_look_and_the_reading_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = table(tmp_path / "a.parquet", "old")
    source = opened(tmp_path, "a.parquet")
    source_schema(source)
    new = table(tmp_path / "b", "new").read_bytes() if content == "another table" else b"nothing"
    original = pq.ParquetFile.__init__

    def late(self: Any, *arguments: Any, **options: Any) -> None:
        replace(path, new)
        original(self, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "__init__", late)
    with pytest.raises(InstructifyError, match=CHANGED):
        read_rows(source, 0, 1, ["t"])


def test_every_changed_or_lost_file_is_named_before_publishing(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        table(tmp_path / f"{name}.parquet", "old")
    source = opened(tmp_path, "*.parquet")
    check_unchanged(source)
    replace(tmp_path / "1.parquet", table(tmp_path / "b", "new").read_bytes())
    (tmp_path / "3.parquet").unlink()
    with pytest.raises(InstructifyError) as caught:
        check_unchanged(source)
    assert [Path(problem.where).name for problem in caught.value.problems] == ["1.parquet", "3.parquet"]


def test_a_stamp_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", "old")
    first = opened(tmp_path, "a.parquet")
    os.utime(path, (1, 1))
    again = opened(tmp_path, "a.parquet")
    assert first.files[0].stamp != again.files[0].stamp
    assert first.fingerprint == again.fingerprint
