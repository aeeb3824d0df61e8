from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import instructify
from instructify.errors import InstructifyError
from instructify.sources import read_rows, source_schema
from instructify.types import OpenSource
from sources_kit import complaint, everything, opened, put, rows


def write(path: Path, table: dict[str, Any] | pa.Table, group: int = 4, metadata: object = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table if isinstance(table, pa.Table) else pa.table(table)
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, path, row_group_size=group)
    return path


def numbers(base: Path) -> OpenSource:
    write(base / "train-1.parquet", {"n": range(10), "t": [f"t{n}" for n in range(10)]})
    write(base / "train-2.parquet", {"t": [f"t{n}" for n in range(10, 13)], "n": range(10, 13)})
    return opened(base, ".")


@settings(deadline=None)
@given(st.data())
def test_any_range_reads_those_rows(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    source = numbers(tmp_path_factory.getbasetemp() / "numbers")
    start = data.draw(st.integers(0, 13))
    stop = data.draw(st.integers(start, 13))
    columns = data.draw(st.permutations(["n", "t"]))[: data.draw(st.integers(0, 2))]
    table = read_rows(source, start, stop, columns)
    assert table.num_rows == stop - start
    expected = [{"n": n, "t": f"t{n}"} for n in range(start, stop)]
    assert table.to_pylist() == [{name: row[name] for name in columns} for row in expected]
    if columns:
        assert table.schema == pa.schema([source_schema(source).field(name) for name in columns])


def test_a_row_group_is_decoded_once_for_ranges_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = numbers(tmp_path)
    decoded: list[int] = []
    original = pq.ParquetFile.read_row_group

    def counted(self: Any, group: int, **options: Any) -> pa.Table:
        decoded.append(group)
        assert options["use_threads"] is False
        return original(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    for row in range(13):
        read_rows(source, row, row + 1, ["n"])
    assert decoded == [0, 1, 2, 0]


def test_a_replaced_file_is_not_served_from_the_cache(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"n": [1, 2]})
    assert rows(tmp_path, "a.parquet") == [{"n": 1}, {"n": 2}]
    write(tmp_path / "a.parquet", {"n": [3, 4]})
    assert rows(tmp_path, "a.parquet") == [{"n": 3}, {"n": 4}]


def test_a_file_that_lost_rows_since_it_was_opened_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"n": [1, 2]})
    source = opened(tmp_path, "a.parquet")
    write(tmp_path / "a.parquet", {"n": [1]})
    with pytest.raises(InstructifyError, match="the file changed while it was read"):
        everything(source)
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(InstructifyError, match="cannot be read"):
        everything(source)


def _in_child(packed: bytes) -> list[dict[str, Any]]:
    source = pickle.loads(packed)
    return read_rows(source, 3, 12, ["t"]).to_pylist()


def test_a_spawned_process_reads_the_same_rows(tmp_path: Path) -> None:
    source = numbers(tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_in_child, (pickle.dumps(source),)) == _in_child(pickle.dumps(source))


def test_a_range_or_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    source = numbers(tmp_path)
    with pytest.raises(ValueError, match="13 rows"):
        read_rows(source, 0, 14, ["n"])
    with pytest.raises(InstructifyError, match="no column 'txt'"):
        read_rows(source, 0, 1, ["txt"])


def test_native_parquet_is_not_copied(tmp_path: Path) -> None:
    source = numbers(tmp_path)
    assert [file.path.name for file in source.files] == ["train-1.parquet", "train-2.parquet"]
    assert not (tmp_path / "work").exists()


def test_renames_may_swap_and_columns_with_dots_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"a": [1], "b": [2], "c.d": [3], "c": [{"d": 4}]})
    source = opened(tmp_path, "a.parquet", rename={"a": "b", "b": "a"})
    assert source.columns == ("b", "a", "c.d", "c")
    assert everything(source) == [{"b": 1, "a": 2, "c.d": 3, "c": {"d": 4}}]
    assert read_rows(source, 0, 1, ["c"]).to_pylist() == [{"c": {"d": 4}}]


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("us", tz="Asia/Seoul"), pa.date32()])
def test_a_date_that_python_has_no_value_for_is_refused_with_its_row(
    tmp_path: Path, kind: pa.DataType
) -> None:
    far = {"timestamp[s]": 10**12, "date32[day]": 10**7}.get(str(kind), 10**18)
    table = pa.table({"n": [1, 2, 3, 4], "when": pa.array([0, None, far, 1], kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    source = opened(tmp_path, "a.parquet")
    assert read_rows(source, 0, 4, ["n"]).num_rows == 4
    assert read_rows(source, 0, 2, ["n", "when"]).num_rows == 2
    with pytest.raises(InstructifyError, match=r"'when' of a.parquet holds a date outside .* in row 2;"):
        read_rows(source, 1, 4, ["n", "when"])


def test_storage_details_do_not_show(tmp_path: Path) -> None:
    strict = pa.struct([pa.field("k", pa.string(), nullable=False)])
    schema = pa.schema(
        [
            pa.field("d", pa.dictionary(pa.int32(), pa.string())),
            pa.field("l", pa.list_(pa.field("element", pa.string(), nullable=False))),
            pa.field("s", strict, nullable=False),
            pa.field("x", pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        ]
    )
    table = pa.table(
        [
            pa.array(["p", "q", "p"]).dictionary_encode(),
            pa.array([["a"], [], ["b", "c"]], schema.field("l").type),
            pa.array([{"k": "x"}] * 3, strict),
            pa.array([["a"], None, ["b"]], pa.list_(pa.string())).cast(schema.field("x").type),
        ],
        schema=schema,
    )
    write(tmp_path / "a.parquet", table)
    source = opened(tmp_path, "a.parquet")
    plain = pa.schema(
        {
            "d": pa.string(),
            "l": pa.list_(pa.string()),
            "s": pa.struct({"k": pa.string()}),
            "x": pa.list_(pa.string()),
        }
    )
    assert source_schema(source) == plain
    found = read_rows(source, 0, 3, plain.names)
    assert found.schema == plain
    assert found.to_pylist() == table.to_pylist()


def test_files_that_differ_in_nullability_and_order_agree(tmp_path: Path) -> None:
    fields = [pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.string())]
    write(tmp_path / "1.parquet", pa.table([[1], ["x"]], schema=pa.schema(fields)))
    write(tmp_path / "2.parquet", {"b": ["y"], "a": pa.array([None], pa.int64())})
    assert rows(tmp_path, "*.parquet") == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


def test_files_that_differ_in_type_or_columns_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", {"a": [1]})
    write(tmp_path / "2.parquet", {"a": pa.array([1], pa.int32())})
    assert "2.parquet: column 'a' is int32 but int64 in 1.parquet" in complaint(tmp_path, "*.parquet")
    write(tmp_path / "2.parquet", {"a": [1], "b": [1]})
    assert "column 'b' is in only one of 1.parquet and 2.parquet" in complaint(tmp_path, "*.parquet")


@pytest.mark.parametrize(
    "metadata",
    [
        {"info": {"features": {"y": {"_type": "ClassLabel", "names": ["no", "yes"]}}}},
        {"features": {"y": {"_type": "ClassLabel", "names": ["no", "yes"], "num_classes": 2}}},
        {"info": {"features": [{"name": "y", "dtype": {"class_label": {"names": {"1": "yes", "0": "no"}}}}]}},
    ],
)
def test_label_names_come_from_every_style_of_metadata(tmp_path: Path, metadata: object) -> None:
    write(tmp_path / "a.parquet", {"y": [0, 1]}, metadata=metadata)
    assert opened(tmp_path, "a.parquet").labels == {"y": ("no", "yes")}
    assert opened(tmp_path, "a.parquet", rename={"y": "z"}).labels == {"z": ("no", "yes")}
    assert opened(tmp_path, "a.parquet", cast={"y": "string"}).labels == {}


@pytest.mark.parametrize(
    "metadata", [None, 3, [], {"info": None}, {"info": {"features": 3}}, {"features": [1]}]
)
def test_odd_metadata_means_no_labels(tmp_path: Path, metadata: object) -> None:
    write(tmp_path / "a.parquet", {"y": [0]}, metadata=metadata if metadata is not None else "x")
    assert opened(tmp_path, "a.parquet").labels == {}


def test_files_whose_label_names_differ_are_refused(tmp_path: Path) -> None:
    for number, names in enumerate([["no", "yes"], ["yes", "no"]]):
        features = {"y": {"_type": "ClassLabel", "names": names}}
        write(tmp_path / f"{number}.parquet", {"y": [0]}, metadata={"info": {"features": features}})
    assert "1.parquet: the label names of 'y' are not those of 0.parquet" in complaint(tmp_path, "*.parquet")


def test_corrupt_parquet_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    put(tmp_path / "a.parquet", b"PAR1 this is no Parquet PAR1")
    assert complaint(tmp_path, "a.parquet").startswith("a.parquet: is no readable Parquet file")
    whole = write(tmp_path / "b.parquet", {"t": ["some text"] * 1000}).read_bytes()
    put(tmp_path / "b.parquet", whole[: len(whole) // 2])
    assert complaint(tmp_path, "b.parquet").startswith("b.parquet: is no readable Parquet file")


def test_a_flipped_bit_in_a_checked_page_is_an_error_when_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"t": [f"text number {n}" for n in range(1000)]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"number 500")] ^= 1
    put(path, bytes(damaged))
    with pytest.raises(InstructifyError, match=r"a\.parquet: cannot be read"):
        rows(tmp_path, "a.parquet")


def test_binary_columns_are_kept_and_not_read_unless_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": [b"\x89PNG"], "t": ["x"]})
    source = opened(tmp_path, "a.parquet")
    assert read_rows(source, 0, 1, ["t"]).to_pylist() == [{"t": "x"}]
    assert read_rows(source, 0, 1, ["image"]).to_pylist() == [{"image": b"\x89PNG"}]


def test_of_a_struct_only_the_fields_asked_for_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    inner = [{"text": [f"answer {n}"], "at": {"line": n, "note": f"remark {n}"}} for n in range(100)]
    table = pa.table({"t": [f"text {n}" for n in range(100)], "answers": [*inner[:50], None, *inner[51:]]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"remark 70")] ^= 1
    put(path, bytes(damaged))
    source = opened(tmp_path, "a.parquet")
    with pytest.raises(InstructifyError, match="cannot be read"):
        read_rows(source, 49, 52, ["answers"])
    fields = {"answers": [("at", "line"), ("text",)], "t": [()]}
    assert read_rows(source, 49, 52, ["t", "answers"], fields).to_pylist() == [
        {"t": "text 49", "answers": {"text": ["answer 49"], "at": {"line": 49}}},
        {"t": "text 50", "answers": None},
        {"t": "text 51", "answers": {"text": ["answer 51"], "at": {"line": 51}}},
    ]
    assert read_rows(source, 0, 0, ["answers"], fields).schema == pa.schema(
        {"answers": pa.struct({"text": pa.list_(pa.string()), "at": pa.struct({"line": pa.int64()})})}
    )


def test_an_ingested_file_is_written_once_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.csv", "x\n1\n")
    first = opened(tmp_path, "a.csv")
    monkeypatch.setattr("instructify.sources.open.read_delimited", None)
    assert opened(tmp_path, "a.csv") == first
    assert [path.name for path in (tmp_path / "work").iterdir()] == [first.files[0].path.name]


def test_a_broken_or_cut_ingested_file_is_made_again(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "x\n1\n")
    path = opened(tmp_path, "a.csv").files[0].path
    whole = path.read_bytes()
    for damaged in (b"", whole[:-10], b"PAR1"):
        path.write_bytes(damaged)
        assert rows(tmp_path, "a.csv") == [{"x": 1}]
        assert path.read_bytes() == whole


def test_a_killed_ingest_leaves_nothing_under_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.csv", "x\n1\n")

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, "a.csv")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_work_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "x\n1\n")
    put(tmp_path / "work", "a file")
    assert "work: cannot be written" in complaint(tmp_path, "a.csv")


def test_ingest_gives_the_same_bytes_in_any_folder(tmp_path: Path) -> None:
    found = set()
    for name in ("one", "two"):
        put(tmp_path / name / "a.jsonl", '{"x": 1}\n{"x": 2.5, "y": ["a"]}\n')
        path = opened(tmp_path / name, "a.jsonl").files[0].path
        found.add((path.name, path.read_bytes()))
    assert len(found) == 1


CHILD = """
import sys
from pathlib import Path
from instructify.recipe.models import FilesSource
from instructify.sources import open_source
base = Path(sys.argv[1])
cast = {"a": "string", "b": "float64", "c": "string", "d": "string"}
spec = FilesSource(kind="files", path=str(base / "*.jsonl"), cast=cast, rename={"w": "x"})
source = open_source(spec, "train", Path(), base / sys.argv[2])
print(source.columns, source.fingerprint, source.labels, source.notes, source.files[0].path.name)
"""


def test_hash_seed_locale_time_zone_and_working_directory_do_not_show(tmp_path: Path) -> None:
    put(tmp_path / "1.jsonl", '{"w": "é", "c": 1, "a": 2}\n')
    put(tmp_path / "2.jsonl", '{"d": 1, "b": 2, "a": 2, "c": 1, "w": "x"}\n')
    found = set()
    for seed in range(4):
        env = {
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "TZ": f"UTC{seed}",
            "LC_ALL": ["C", "POSIX"][seed % 2],
        }
        env["PYTHONPATH"] = str(Path(instructify.__file__).resolve().parents[1])
        where = tmp_path / f"cwd{seed}"
        where.mkdir()
        command = [sys.executable, "-c", CHILD, str(tmp_path), f"work{seed}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env, cwd=where)
        (path,) = (tmp_path / f"work{seed}").iterdir()
        found.add((done.stdout, path.read_bytes()))
    assert len(found) == 1


def test_importing_the_package_loads_neither_pyarrow_nor_datasets() -> None:
    code = "import sys, instructify.sources; print(sorted({'pyarrow', 'datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
