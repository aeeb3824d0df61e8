"""verify finds whatever happened to a published build."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from example_tables import examples
from instructify.errors import InstructifyError
from instructify.publish.manifest import FileEntry, encode_manifest, manifest_files, read_manifest
from instructify.publish.stage import open_stage
from instructify.publish.verify import VerifyReport, verify
from instructify.types import Ledger, Part
from instructify.writers import WRITERS
from instructify.writers.contenthash import content_hash

PARTS: dict[Part, int] = {"train": 60, "eval": 25}
FILES = [
    "README.md",
    "chat/eval.jsonl",
    "chat/train.jsonl",
    "jsonl/eval.jsonl",
    "jsonl/train.jsonl",
    "manifest.json",
    "parquet/eval.parquet",
    "parquet/train.parquet",
]


def ledgers() -> list[dict[str, Any]]:
    train = Ledger("films", "ask", "train", rows=100, quota=60, seen=63, kept=60)
    train.dropped["blank target"] = 3
    held_out = Ledger("quiz", "ask", "held_out", rows=25, quota=50, seen=25, kept=25)
    return [train.as_json(), held_out.as_json()]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "out"
    with open_stage(out, "key") as stage:
        records = [stage.write("out/README.md", lambda file: file.write(b"# A build\n"), {})]
        for part, rows in PARTS.items():
            table = examples(rows, start=0 if part == "train" else 1000)
            for name, writer in WRITERS.items():
                meta = {
                    "rows": rows,
                    "content_hash": content_hash(table) if name == "parquet" else None,
                    "part": part,
                    "format": name,
                }
                path = f"out/{writer.folder}/{part}{writer.suffix}"
                records.append(stage.write(path, lambda file, w=writer, t=table: w.write(t, file), meta))
        stage.publish(records, {"ledgers": ledgers()})
    return out


@pytest.fixture
def build(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "out")


def complaints(build: Path) -> list[str]:
    return [f"{Path(problem.where).name}: {problem.what}" for problem in verify(build).problems]


def rewrite(build: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and seal it again, so that only the change itself can be found."""
    document = dict(read_manifest(build))
    for key in ("schema", "manifest_sha256"):
        del document[key]
    change(document)
    entries = [FileEntry(**entry) for entry in document.pop("files")]
    (build / "manifest.json").write_bytes(encode_manifest(document, entries))


def test_a_whole_build_has_no_problems_and_every_file_is_read(published: Path) -> None:
    seen: list[str] = []
    report = verify(published, seen.append)
    assert report.problems == ()
    assert report.ok
    assert seen == [name for name in FILES if name != "manifest.json"]
    sizes = [entry.bytes for entry in manifest_files(read_manifest(published))]
    assert report == VerifyReport(7, sum(sizes), ())


def test_a_build_can_be_verified_wherever_it_is_moved(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(build.parent)
    assert verify(Path("out")).ok


def test_every_one_of_300_flipped_bits_is_found(build: Path) -> None:
    draws = random.Random(1729)
    touched = set()
    for _ in range(300):
        name = draws.choice(FILES)
        path = build / name
        data = bytearray(path.read_bytes())
        position = draws.randrange(len(data) * 8)
        data[position // 8] ^= 1 << position % 8
        original = path.read_bytes()
        path.write_bytes(data)
        report = verify(build)
        found = [Path(problem.where).name for problem in report.problems]
        # a damaged manifest makes it say other things of the files as well
        assert (found[:1] if name == "manifest.json" else found) == [path.name], (name, position)
        path.write_bytes(original)
        touched.add(name)
    assert touched == set(FILES)
    assert verify(build).ok


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_lengthened_or_missing_is_found(build: Path, name: str) -> None:
    path = build / name
    data = path.read_bytes()
    for other in (data[:-1], data[: len(data) // 2], b"", data + b"\n"):
        path.write_bytes(other)
        found = complaints(build)
        assert len(found) == 1
        assert found[0].startswith(f"{path.name}: ")
    path.unlink()
    assert len(complaints(build)) == 1


def test_swapped_files_are_found_and_named(build: Path) -> None:
    one, other = build / "parquet" / "train.parquet", build / "parquet" / "eval.parquet"
    one.rename(build / "x")
    other.rename(one)
    (build / "x").rename(other)
    assert complaints(build) == [
        "eval.parquet: holds the content of parquet/train.parquet",
        "train.parquet: holds the content of parquet/eval.parquet",
    ]


def test_extra_files_folders_and_links_are_found_hidden_ones_too(build: Path) -> None:
    (build / ".hidden").write_text("")
    (build / "chat" / "more.jsonl").write_text("")
    (build / "empty").mkdir()
    (build / "link").symlink_to("README.md")
    (build / "dangling").symlink_to("nowhere")
    names = [".hidden", "more.jsonl", "dangling", "empty", "link"]
    assert complaints(build) == [f"{name}: is not part of the build" for name in names]


def test_a_link_folder_or_pipe_in_the_place_of_a_file_is_found(build: Path, tmp_path: Path) -> None:
    (build / "README.md").rename(tmp_path / "README.md")
    (build / "README.md").symlink_to(tmp_path / "README.md")
    assert complaints(build) == ["README.md: is not a regular file"]
    (build / "README.md").unlink()
    (build / "README.md").mkdir()
    assert complaints(build) == ["README.md: is not a regular file"]
    (build / "README.md").rmdir()
    os.mkfifo(build / "README.md")
    assert complaints(build) == ["README.md: is not a regular file"]


def test_a_folder_replaced_by_a_link_to_an_equal_folder_is_found(build: Path, tmp_path: Path) -> None:
    (build / "chat").rename(tmp_path / "chat")
    (build / "chat").symlink_to(tmp_path / "chat")
    assert complaints(build) == ["chat: is not part of the build"]


def test_all_problems_are_reported_at_once(build: Path) -> None:
    (build / "README.md").write_text("# A bu1ld\n")
    (build / "chat" / "eval.jsonl").unlink()
    (build / "extra").write_text("")
    (build / "manifest.json").write_bytes((build / "manifest.json").read_bytes().replace(b": 63", b": 64"))
    assert complaints(build) == [
        "manifest.json: was changed after it was written: manifest_sha256 does not match",
        "extra: is not part of the build",
        "eval.jsonl: is missing",
        "README.md: holds other bytes than were published",
        "manifest.json: ledger of films / ask: 64 rows in, but 60 kept and 3 dropped",
    ]


@pytest.mark.parametrize("name", ["parquet", "jsonl", "chat"])
def test_a_wrong_number_of_rows_is_found(build: Path, name: str) -> None:
    def change(document: dict[str, Any]) -> None:
        entries = [entry for entry in document["files"] if entry["format"] == name]
        assert len(entries) == 2
        for entry in entries:
            entry["rows"] += 1

    rewrite(build, change)
    unit = "rows" if name == "parquet" else "lines"
    suffix = WRITERS[name].suffix
    assert complaints(build) == [
        f"eval{suffix}: has 25 {unit}",
        f"train{suffix}: has 60 {unit}",
        f"manifest.json: part eval has 26 {name} rows",
        f"manifest.json: part train has 61 {name} rows",
    ]


def test_a_wrong_content_hash_is_found(build: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        for entry in document["files"]:
            if entry["path"] == "parquet/eval.parquet":
                entry["content_hash"] = "0" * 64

    rewrite(build, change)
    found = complaints(build)
    assert len(found) == 1
    assert found[0].startswith("eval.parquet: has content hash ")


def replace_as_if_published(build: Path, path: str, data: bytes) -> None:
    (build / path).write_bytes(data)

    def change(document: dict[str, Any]) -> None:
        entry = next(entry for entry in document["files"] if entry["path"] == path)
        entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), content_hash=None)

    rewrite(build, change)


def test_a_parquet_file_that_is_none_is_a_problem_and_no_traceback(build: Path) -> None:
    replace_as_if_published(build, "parquet/eval.parquet", b"PAR1 not really PAR1")
    found = complaints(build)
    assert len(found) == 1
    assert found[0].startswith("eval.parquet: cannot be read as Parquet")


def test_a_parquet_page_damaged_before_its_file_was_hashed_is_found(build: Path) -> None:
    file = io.BytesIO()
    pq.write_table(examples(25), file, compression="none", use_dictionary=False, write_page_checksum=True)
    data = file.getvalue().replace('7: "좋은'.encode(), '8: "좋은'.encode(), 1)
    assert data != file.getvalue()
    replace_as_if_published(build, "parquet/eval.parquet", data)
    found = complaints(build)
    assert len(found) == 1
    assert found[0].startswith("eval.parquet: cannot be read as Parquet")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"in": 62}, "ledger of films / ask: 62 rows in, but 60 kept and 3 dropped"),
        ({"dropped": {}}, "ledger of films / ask: 63 rows in, but 60 kept and 0 dropped"),
        ({"rows": 62}, "ledger of films / ask: 63 rows in, of only 62"),
        ({"role": "neither"}, "ledgers[0] cannot be read: KeyError('neither')"),
        ({"kept": None}, "ledgers[0] cannot be read"),
        ({"dropped": 3}, "ledgers[0] cannot be read"),
    ],
)
def test_a_ledger_that_does_not_add_up_is_found(build: Path, change: dict[str, Any], complaint: str) -> None:
    rewrite(build, lambda document: document["ledgers"][0].update(change))
    found = complaints(build)
    assert len(found) == 1
    assert complaint in found[0]


def test_kept_rows_that_were_not_published_are_found(build: Path) -> None:
    rewrite(build, lambda document: document["ledgers"][0].update({"kept": 61, "in": 64}))
    assert complaints(build) == [f"manifest.json: part train has 60 {name} rows" for name in sorted(WRITERS)]


@pytest.mark.parametrize("value", [None, {}, "x", [None], [1], ["x"]])
def test_ledgers_of_another_shape_are_a_problem_and_no_traceback(build: Path, value: Any) -> None:
    rewrite(build, lambda document: document.update(ledgers=value))
    assert len(complaints(build)) == 1


def test_without_a_readable_manifest_that_is_the_one_problem(build: Path) -> None:
    (build / "manifest.json").write_text("{")
    assert len(complaints(build)) == 1
    assert "is not valid JSON" in complaints(build)[0]
    (build / "manifest.json").unlink()
    assert complaints(build) == ["out: there is no manifest.json"]


def test_a_manifest_cannot_lead_verify_out_of_the_build(build: Path) -> None:
    (build.parent / "outside").write_text("secret")
    document = json.loads((build / "manifest.json").read_text())
    document["files"][0]["path"] = "../outside"
    (build / "manifest.json").write_text(json.dumps(document))
    seen: list[str] = []
    report = verify(build, seen.append)
    assert "../outside" not in seen
    assert any("../outside" in problem.what for problem in report.problems)


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_what_is_no_directory_is_a_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InstructifyError, match="is not a directory"):
        verify(tmp_path / name)
