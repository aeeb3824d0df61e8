"""Single files that a person names: whole, over files alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from instructify.errors import InstructifyError
from instructify.publish.single import write_single


def test_a_file_is_written_where_nothing_or_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    write_single(path, "하나")
    write_single(path, "둘")
    assert path.read_text(encoding="utf-8") == "둘"
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_single(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        before = stat.S_IFMT((tmp_path / name).lstat().st_mode)
        with pytest.raises(InstructifyError, match="something else is already there"):
            write_single(tmp_path / name, "text")
        assert stat.S_IFMT((tmp_path / name).lstat().st_mode) == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "pipe"]
