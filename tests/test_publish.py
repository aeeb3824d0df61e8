"""Staging, resuming, publishing, and what an output directory may hold before."""

from __future__ import annotations

import fcntl
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_tables import examples
from instructify.errors import InstructifyError
from instructify.publish import stage as protocol
from instructify.publish.files import find_file, unlisted, write_file
from instructify.publish.manifest import (
    FileEntry,
    encode_manifest,
    inspect_manifest,
    manifest_files,
    read_manifest,
)
from instructify.publish.sealed import seal, unseal
from instructify.publish.stage import open_stage
from instructify.publish.verify import verify
from instructify.writers import WRITERS


def text(data: bytes) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        file.write(data)

    return write


def never(file: BinaryIO) -> None:
    raise AssertionError("written again")


def publish(out: Path, *names: str, key: str = "key", **options: Any) -> None:
    with open_stage(out, key) as stage:
        records = [stage.write(f"out/{name}", text(name.encode()), {}) for name in names]
        stage.publish(records, {}, **options)


def test_published_is_exactly_what_was_staged_with_a_manifest_that_describes_it(tmp_path: Path) -> None:
    out = tmp_path / "not" / "there" / "out"
    with open_stage(out, "key") as stage:
        meta = {"rows": 5, "content_hash": "0" * 64, "part": "train", "format": "chat", "other": [1]}
        record = stage.write("out/chat/train.jsonl", text(b"{}\n" * 5), meta)
        readme = stage.write("out/README.md", text("읽기".encode()), {})
        stage.write("out/stray.txt", text(b"stray"), {})
        stage.write("work/shard", text(b"shard"), {})
        (stage.staging / "out" / "folder").mkdir()
        (stage.staging / "out" / "link").symlink_to(tmp_path)
        assert not out.exists()
        stage.publish([record, readme], {"recipe": {"name": "한"}})
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == [
        "README.md",
        "chat",
        "chat/train.jsonl",
        "manifest.json",
    ]
    document = read_manifest(out)
    assert document["recipe"] == {"name": "한"}
    assert document["schema"] == "instructify/manifest/1"
    assert [entry.path for entry in manifest_files(document)] == ["README.md", "chat/train.jsonl"]
    assert document["files"][1] == {
        "path": "chat/train.jsonl",
        "bytes": 15,
        "sha256": record.digest,
        "rows": 5,
        "content_hash": "0" * 64,
        "part": "train",
        "format": "chat",
    }
    assert list(out.parent.iterdir()) == [out]


def test_a_new_build_replaces_the_old_one_whole(tmp_path: Path) -> None:
    publish(tmp_path / "out", "a/one", "b")
    publish(tmp_path / "out", "a", "c")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["a", "c", "manifest.json"]
    assert verify(tmp_path / "out").ok


def test_equal_builds_have_equal_bytes(tmp_path: Path) -> None:
    publish(tmp_path / "one", "a/one", "b")
    publish(tmp_path / "two", "b", "a/one")
    for name in ("a/one", "b", "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_unfinished_build_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_stage(tmp_path / "out", "key") as stage:
        first = stage.write("out/a", text(b"a"), {"rows": 1})
        raise RuntimeError("killed")
    assert not (tmp_path / "out").exists()
    with open_stage(tmp_path / "out", "key") as stage:
        assert stage.find("out/a") == first
        assert stage.find("out/b") is None


def test_another_recipe_keeps_the_work_and_drops_what_was_to_be_published(tmp_path: Path) -> None:
    with open_stage(tmp_path / "out", "one recipe") as stage:
        stage.write("out/a", text(b"a"), {})
        shard = stage.write("work/shard-1234", text(b"s"), {})
    with open_stage(tmp_path / "out", "another recipe") as stage:
        assert not (stage.staging / "out").exists()
        assert stage.find("out/a") is None
        assert stage.find("work/shard-1234") == shard


def test_work_is_kept_for_the_next_build_on_request(tmp_path: Path) -> None:
    with open_stage(tmp_path / "out", "key") as stage:
        shard = stage.write("work/shard", text(b"s"), {"rows": 2})
        stage.publish([stage.write("out/a", text(b"a"), {})], {}, keep_work=True)
        staging = stage.staging
    assert not (staging / "out").exists()
    with open_stage(tmp_path / "out", "key") as stage:
        assert stage.find("work/shard") == shard
        assert stage.find("out/a") is None
        stage.publish([], {})
    assert not staging.exists()


def test_what_a_killed_worker_was_writing_is_removed_when_the_stage_is_opened_again(tmp_path: Path) -> None:
    with open_stage(tmp_path / "out", "key") as stage:
        stage.write("work/shard", text(b"s"), {})
        (stage.staging / "tmp" / "1234-half").write_text("half")
    with open_stage(tmp_path / "out", "key") as stage:
        assert not (stage.staging / "tmp").exists()
        assert stage.find("work/shard")


def test_a_lock_file_that_its_last_holder_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / ".out.lock", fcntl.flock

    def removed_first(handle: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        path.unlink()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with open_stage(tmp_path / "out", "key"):
        assert path.read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_stage_in_which_nothing_was_staged_leaves_nothing(tmp_path: Path) -> None:
    with open_stage(tmp_path / "out", "key"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_any_process_can_stage_with_the_free_functions(tmp_path: Path) -> None:
    with open_stage(tmp_path / "out", "key") as stage:
        record = write_file(stage.staging, "work/a/b", text(b"x"), {"rows": 1})
        assert find_file(stage.staging, "work/a/b") == stage.find("work/a/b") == record


@pytest.mark.parametrize(
    "damage",
    [
        lambda file, sidecar: file.write_bytes(b"CONTENT"),
        lambda file, sidecar: file.write_bytes(b"content and more"),
        lambda file, sidecar: file.write_bytes(b""),
        lambda file, sidecar: file.unlink(),
        lambda file, sidecar: (file.unlink(), file.mkdir()),
        lambda file, sidecar: (file.unlink(), file.symlink_to("/dev/null")),
        lambda file, sidecar: sidecar.unlink(),
        lambda file, sidecar: sidecar.write_bytes(sidecar.read_bytes().replace(b'"rows": 7', b'"rows": 8')),
        lambda file, sidecar: sidecar.write_bytes(sidecar.read_bytes()[:-9]),
        lambda file, sidecar: sidecar.write_bytes(b"\xff"),
        lambda file, sidecar: sidecar.write_bytes(b"[]"),
        lambda file, sidecar: sidecar.write_bytes(seal({"path": "work/file"}, "sidecar_sha256")),
    ],
)
def test_a_staged_file_that_was_damaged_is_not_found_and_removed(
    tmp_path: Path, damage: Callable[[Path, Path], object]
) -> None:
    file, sidecar = tmp_path / "work" / "file", tmp_path / "meta" / "work" / "file.json"
    record = write_file(tmp_path, "work/file", text(b"content"), {"rows": 7})
    assert find_file(tmp_path, "work/file") == record
    damage(file, sidecar)
    assert find_file(tmp_path, "work/file") is None
    assert not os.path.lexists(file)
    assert not sidecar.exists()
    assert write_file(tmp_path, "work/file", text(b"content"), {"rows": 7}) == record


def test_a_pair_moved_to_another_name_is_not_found(tmp_path: Path) -> None:
    write_file(tmp_path, "work/one", text(b"content"), {})
    (tmp_path / "work" / "one").rename(tmp_path / "work" / "two")
    (tmp_path / "meta" / "work" / "one.json").rename(tmp_path / "meta" / "work" / "two.json")
    assert find_file(tmp_path, "work/two") is None


def test_a_failing_write_leaves_the_file_before_it_and_nothing_temporary(tmp_path: Path) -> None:
    record = write_file(tmp_path, "work/file", text(b"content"), {})

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise FileNotFoundError("a source of the callback, not this file")

    with pytest.raises(FileNotFoundError):
        write_file(tmp_path, "work/file", fail, {})
    assert find_file(tmp_path, "work/file") == record
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_can_write_into_a_stage(tmp_path: Path, name: str) -> None:
    table, direct = examples(100), io.BytesIO()
    WRITERS[name].write(table, direct)
    record = write_file(tmp_path, "work/file", lambda file: WRITERS[name].write(table, file), {})
    assert (tmp_path / "work" / "file").read_bytes() == direct.getvalue()
    assert record.bytes == len(direct.getvalue())
    assert find_file(tmp_path, "work/file") == record


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_clear_error_through_every_writer(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    monkeypatch.setattr(Path, "open", lambda path, mode: open(full, "wb", buffering=0))  # noqa: SIM115, PTH123
    with pytest.raises(InstructifyError, match=r"work/file: cannot write: the disk is full; a rerun goes on"):
        write_file(tmp_path, "work/file", lambda file: WRITERS[name].write(examples(100), file), {})


@pytest.mark.parametrize(
    "name", ["file", "/out/file", "out/../file", "out//file", "meta/file", "tmp/file", ""]
)
def test_only_paths_inside_the_stage_can_be_staged(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError):
        write_file(tmp_path, name, never, {})
    with pytest.raises(ValueError):
        find_file(tmp_path, name)


def refused(out: Path, match: str) -> None:
    before = sorted((path, path.is_file() and path.read_bytes()) for path in out.parent.rglob("*"))
    with pytest.raises(InstructifyError, match=match), open_stage(out, "key"):
        raise AssertionError("opened")
    assert sorted((path, path.is_file() and path.read_bytes()) for path in out.parent.rglob("*")) == before


def test_a_file_in_the_place_of_the_output_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    refused(tmp_path / "out", "out: is a file; expected an output directory")


def test_a_directory_that_is_no_build_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    refused(tmp_path / "out", "is not empty and not a build")
    (tmp_path / "out" / "manifest.json").write_text('{"schema": "something else"}')
    refused(tmp_path / "out", "is not empty and not a build")


def test_a_build_to_which_someone_added_a_file_is_refused_and_kept(tmp_path: Path) -> None:
    publish(tmp_path / "out", "a")
    (tmp_path / "out" / "notes.txt").write_text("precious")
    refused(tmp_path / "out", "holds what no build put there: notes.txt")


def test_a_file_added_while_a_build_runs_is_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(out, "a")
    with open_stage(out, "key") as stage, pytest.raises(InstructifyError, match=r"notes\.txt"):
        record = stage.write("out/b", text(b"b"), {})
        (out / "notes.txt").write_text("precious")
        stage.publish([record], {})
    assert (out / "notes.txt").read_text() == "precious"
    assert (out / "a").exists()


def test_a_build_with_damaged_or_missing_files_can_be_replaced(tmp_path: Path) -> None:
    publish(tmp_path / "out", "a", "b")
    (tmp_path / "out" / "a").write_text("damaged")
    (tmp_path / "out" / "b").unlink()
    publish(tmp_path / "out", "c")
    assert verify(tmp_path / "out").ok


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    publish(tmp_path / "out", "a")
    assert verify(tmp_path / "out").ok


def test_a_link_to_a_directory_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    publish(tmp_path / "link", "a")
    publish(tmp_path / "link", "b")
    assert (tmp_path / "link").is_symlink()
    assert verify(tmp_path / "real").ok


@pytest.mark.parametrize("path", ["/", "loop", "file/out", "n" * 300, "nul\0"])
def test_unusable_paths_are_clear_errors(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    with pytest.raises(InstructifyError), open_stage(tmp_path / path, "key"):
        pass


def test_the_lock_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".out.lock").symlink_to("precious")
    with pytest.raises(InstructifyError, match="cannot lock"), open_stage(tmp_path / "out", "key"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_staged_file_that_went_or_changed_is_not_published(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_stage(out, "key") as stage:
        records = [stage.write(f"out/{name}", text(b"x"), {}) for name in ("a", "b", "c")]
        (stage.staging / "out" / "a").unlink()
        (stage.staging / "out" / "b").write_text("longer")
        with pytest.raises(InstructifyError) as caught:
            stage.publish(records, {})
    assert [Path(problem.where).name for problem in caught.value.problems] == ["a", "b"]
    assert not out.exists()


def test_only_files_under_out_can_be_published_and_not_the_manifest(tmp_path: Path) -> None:
    with open_stage(tmp_path / "out", "key") as stage:
        for name in ("work/a", "out/manifest.json"):
            with pytest.raises(ValueError, match="cannot be published"):
                stage.publish([stage.write(name, text(b"x"), {})], {})
        with pytest.raises(ValueError, match="files"):
            stage.publish([], {"files": []})


def test_where_directories_cannot_be_exchanged_two_renames_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_exchange", lambda one, other: False)
    publish(tmp_path / "out", "a")
    publish(tmp_path / "out", "b")
    assert (tmp_path / "out" / "b").exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_directory_of_someone_else_named_like_the_old_build_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "precious").write_text("precious")
    publish(tmp_path / "out", "a")
    publish(tmp_path / "out", "b")
    assert (tmp_path / ".out.old" / "precious").read_text() == "precious"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(document=st.dictionaries(st.text() | st.integers(), JSON, max_size=4))
def test_a_sealed_document_comes_back_as_it_was(document: dict[Any, Any]) -> None:
    document.pop("seal", None)
    raw = seal(document, "seal")
    found, complaint = unseal(raw, "seal")
    assert complaint == ""
    assert found is not None
    assert found.pop("seal")
    assert found == json.loads(json.dumps(document))
    assert seal(found, "seal") == raw


def test_every_single_flipped_bit_of_a_sealed_document_is_found() -> None:
    document = {"한": "a\\b\x1f é", "numbers": [1e300, 10, -0.5], "none": None, "nested": {"a": True}}
    raw = seal(document, "seal")
    for position in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[position // 8] ^= 1 << position % 8
        assert unseal(bytes(damaged), "seal")[1], position


@pytest.mark.parametrize(
    "raw", [b"", b"[", b"[" * 100_000, b"1" * 5000, b"NaN", b'{"a": NaN}', b"\xff", b"null"]
)
def test_what_is_no_sealed_document_is_a_complaint(raw: bytes) -> None:
    assert unseal(raw, "seal")[1]


def test_a_manifest_is_sorted_pretty_utf8_with_a_newline_at_its_end() -> None:
    raw = encode_manifest({"z": 1, "a": "한"}, [FileEntry("b", 1, "0" * 64), FileEntry("a", 1, "0" * 64)])
    assert raw.endswith(b"}\n")
    assert '"a": "한"'.encode() in raw
    assert list(json.loads(raw)) == ["a", "files", "manifest_sha256", "schema", "z"]
    assert [entry["path"] for entry in json.loads(raw)["files"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"path": "../../etc/passwd"}, "expected a relative path inside the build"),
        ({"path": "/etc/passwd"}, "expected a relative path inside the build"),
        ({"path": "a/./b"}, "expected a relative path inside the build"),
        ({"path": "."}, "expected a relative path inside the build"),
        ({"path": ""}, "expected a relative path inside the build"),
        ({"path": "manifest.json"}, "expected a relative path inside the build"),
        ({"bytes": -1}, "bytes is -1; expected a whole number from 0"),
        ({"bytes": True}, "bytes is True"),
        ({"sha256": "xyz"}, "expected 64 hexadecimal characters"),
        ({"rows": 1.5}, "rows is 1.5"),
        ({"content_hash": ""}, "content_hash is ''"),
        ({"part": 3}, "part is 3"),
        ({"fromat": "chat"}, "did you mean 'format'"),
    ],
)
def test_a_wrong_file_entry_is_named(tmp_path: Path, entry: dict[str, Any], complaint: str) -> None:
    good = json.loads(encode_manifest({}, [FileEntry("good", 1, "0" * 64), FileEntry("bad", 1, "0" * 64)]))
    good["files"][0].update(entry)
    (tmp_path / "manifest.json").write_bytes(seal(good, "manifest_sha256"))
    with pytest.raises(InstructifyError) as caught:
        read_manifest(tmp_path)
    assert len(caught.value.problems) == 1
    assert "manifest.json: files[0]" in str(caught.value)
    assert complaint in str(caught.value)
    assert [entry.path for entry in inspect_manifest(tmp_path).files] == ["good"]


def test_all_that_is_wrong_with_a_manifest_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": "instructify/manifest/9", "files": [1, {}]}')
    with pytest.raises(InstructifyError) as caught:
        read_manifest(tmp_path)
    assert [problem.what for problem in caught.value.problems] == [
        "was changed after it was written: manifest_sha256 does not match",
        "schema is 'instructify/manifest/9'",
        "is not an object",
        "path is missing",
    ]


def test_a_directory_without_a_manifest_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(InstructifyError, match=r"there is no manifest\.json"):
        read_manifest(tmp_path)
    assert not inspect_manifest(tmp_path).ours


def test_unlisted_names_files_folders_and_links_once(tmp_path: Path) -> None:
    for name in ("a/listed", "a/extra", "b/one/two", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "c").symlink_to("a")
    (tmp_path / "empty").mkdir()
    assert unlisted(tmp_path, {"a/listed", "c/listed"}) == [".hidden", "a/extra", "b/", "c", "empty/"]
