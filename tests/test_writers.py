"""Published files say what the table says, in the same bytes however the table is cut."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from example_tables import examples, tables
from instructify.types import EXAMPLE_COLUMNS, example_schema
from instructify.writers import WRITERS
from instructify.writers.contenthash import ContentHasher, content_hash
from instructify.writers.parquet import LOW_CARDINALITY, ROWS_PER_GROUP


def written(name: str, table: pa.Table) -> bytes:
    file = io.BytesIO()
    WRITERS[name].write(table, file)
    return file.getvalue()


@st.composite
def cuts(draw: st.DrawFn) -> tuple[pa.Table, pa.Table]:
    """Draw a table and the same rows in other chunks, at other offsets."""
    table = draw(tables())
    padded = pa.concat_tables([examples(3), table, examples(2)]).combine_chunks()
    points = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=4)))
    edges = [0, *points, table.num_rows]
    pieces = [padded.slice(3 + a, b - a) for a, b in itertools.pairwise(edges)]
    return table, pa.concat_tables(pieces)


def test_there_are_three_writers() -> None:
    assert sorted(WRITERS) == ["chat", "jsonl", "parquet"]
    assert len({(writer.folder, writer.suffix) for writer in WRITERS.values()}) == 3


@pytest.mark.parametrize("name", WRITERS)
@given(pair=cuts())
def test_the_bytes_do_not_depend_on_how_a_table_is_cut(name: str, pair: tuple[pa.Table, pa.Table]) -> None:
    table, recut = pair
    assert written(name, table) == written(name, recut)


@pytest.mark.parametrize("name", WRITERS)
def test_the_bytes_of_many_rows_do_not_depend_on_chunks(name: str) -> None:
    table = examples(ROWS_PER_GROUP + 3000)
    chunks = pa.concat_tables([table.slice(start, 777) for start in range(0, table.num_rows, 777)])
    assert len(chunks["id"].chunks) > 20
    assert written(name, chunks) == written(name, table)


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_needs_only_a_file_that_it_writes_in_order(name: str) -> None:
    class Forward(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            self.data += bytes(data)
            return memoryview(data).nbytes

    file = Forward()
    WRITERS[name].write(examples(50), file)
    assert file.data == written(name, examples(50))


@pytest.mark.parametrize("name", WRITERS)
def test_an_error_of_the_file_passes_through_the_writer(name: str) -> None:
    class Refusing(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            raise LookupError("refused")

    with pytest.raises(LookupError, match="refused"):
        WRITERS[name].write(examples(50), Refusing())


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_without_rows_can_be_written(name: str) -> None:
    data = written(name, examples(0))
    assert (pq.read_table(io.BytesIO(data)).num_rows if name == "parquet" else len(data)) == 0


@given(table=tables())
def test_parquet_gives_back_the_table(table: pa.Table) -> None:
    data = written("parquet", table)
    read = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    assert read.schema.remove_metadata().equals(example_schema())
    assert read.to_pylist() == table.to_pylist()
    assert content_hash(read) == content_hash(table)


def test_parquet_is_compressed_checked_and_encoded_as_promised() -> None:
    rows = ROWS_PER_GROUP + 10
    data = written("parquet", examples(rows))
    metadata = pq.read_metadata(io.BytesIO(data))
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [ROWS_PER_GROUP, 10]
    group = metadata.row_group(0)
    columns = [group.column(n) for n in range(group.num_columns)]
    assert len(columns) == len(EXAMPLE_COLUMNS)
    for column in columns:
        assert column.compression == "ZSTD"
        has_dictionary = column.path_in_schema in LOW_CARDINALITY
        assert column.has_dictionary_page == has_dictionary, column.path_in_schema
        if column.path_in_schema in ("inputs", "targets", "id"):
            assert not column.is_stats_set
    assert columns[list(EXAMPLE_COLUMNS).index("row")].statistics.max == ROWS_PER_GROUP - 1
    assert b"pandas" not in data[-5000:]


def test_only_random_columns_are_compressed_less() -> None:
    table = examples(3_000)
    words = [hashlib.sha256(bytes([n])).hexdigest()[: 2 + n % 9] for n in range(200)]
    choices = [[f"{words[n * k * k % 199]} {words[n // k % 197]}" for k in (1, 2, 3)] for n in range(3_000)]
    at = table.column_names.index("answer_choices")
    table = table.set_column(at, "answer_choices", pa.array(choices))
    ours, level_3, level_1 = (_sizes(data) for data in (written("parquet", table), *_at_levels(table, 3, 1)))
    assert ours.pop("id") == level_1["id"] <= level_3.pop("id")
    assert ours == level_3
    assert ours["answer_choices.list.element"] != level_1["answer_choices.list.element"]


def _at_levels(table: pa.Table, *levels: int) -> Iterator[bytes]:
    for level in levels:
        file = io.BytesIO()
        pq.write_table(
            table.cast(example_schema()),
            file,
            row_group_size=ROWS_PER_GROUP,
            compression="zstd",
            compression_level=level,
            use_dictionary=list(LOW_CARDINALITY),
            write_statistics=[*LOW_CARDINALITY, "label", "row", "shots"],
            write_page_checksum=True,
        )
        yield file.getvalue()


def _sizes(data: bytes) -> dict[str, int]:
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    columns = (group.column(place) for place in range(group.num_columns))
    return {column.path_in_schema: column.total_compressed_size for column in columns}


def test_parquet_pages_carry_checksums_that_find_a_flipped_bit() -> None:
    data = bytearray(written("parquet", examples(500)))
    column = pq.read_metadata(io.BytesIO(bytes(data))).row_group(0).column(1)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    with pytest.raises(OSError):
        pq.read_table(io.BytesIO(bytes(data)), page_checksum_verification=True)


def test_a_table_with_other_columns_is_refused_by_parquet() -> None:
    with pytest.raises(ValueError):
        written("parquet", examples(2).drop_columns(["label"]))


@given(table=tables())
def test_jsonl_gives_back_every_row_in_the_order_of_the_schema(table: pa.Table) -> None:
    lines = written("jsonl", table).split(b"\n")
    assert lines.pop() == b""
    rows = [json.loads(line) for line in lines]
    assert rows == table.to_pylist()
    assert all(list(row) == list(EXAMPLE_COLUMNS) for row in rows)


def test_jsonl_keeps_text_as_utf8() -> None:
    data = written("jsonl", examples(1))
    assert '좋은 영화\\"\u2028인가요? \\\\ / é\\n\\t<b>{{ no }}|||'.encode() in data


@given(table=tables())
def test_chat_is_one_exchange_per_example(table: pa.Table) -> None:
    lines = written("chat", table).split(b"\n")
    assert lines.pop() == b""
    expected = [
        {
            "id": row["id"],
            "messages": [
                {"role": "user", "content": row["inputs"]},
                {"role": "assistant", "content": row["targets"]},
            ],
            "task": row["task"],
            "cluster": row["cluster"],
            "template": row["template"],
        }
        for row in table.to_pylist()
    ]
    assert [json.loads(line) for line in lines] == expected


def test_chat_shows_turns_where_an_example_has_any() -> None:
    turns = pa.array([["q", "a", "query"], [], None], pa.list_(pa.string()))
    table = examples(3).append_column("turns", turns)
    lines = [json.loads(line)["messages"] for line in written("chat", table).splitlines()]
    said = [[(message["role"], message["content"]) for message in messages] for messages in lines]
    rows = table.to_pylist()
    few = [("user", "q"), ("assistant", "a"), ("user", "query"), ("assistant", rows[0]["targets"])]
    assert said[0] == few
    for row, messages in zip(rows[1:], said[1:], strict=True):
        assert messages == [("user", row["inputs"]), ("assistant", row["targets"])]


@pytest.mark.parametrize("name", ["jsonl", "chat"])
def test_lines_are_complete_across_batches(name: str) -> None:
    lines = written(name, examples(9000)).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"{number:032x}" for number in range(9000)]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    return tmp_path / "cache"


@pytest.mark.parametrize(("name", "loader"), [("parquet", "parquet"), ("jsonl", "json"), ("chat", "json")])
def test_datasets_opens_what_was_written(tmp_path: Path, offline: Path, name: str, loader: str) -> None:
    import datasets

    path = tmp_path / f"train{WRITERS[name].suffix}"
    with path.open("wb") as file:
        WRITERS[name].write(examples(40), file)
    loaded = datasets.load_dataset(loader, data_files=str(path), split="train", cache_dir=str(offline))
    assert loaded.num_rows == 40
    if name == "chat":
        assert loaded[0]["messages"][1] == {"role": "assistant", "content": "yes"}
    else:
        assert loaded.to_list() == examples(40).to_pylist()
    if name == "parquet":
        assert loaded.features["label"] == datasets.Value("int32")
        assert loaded.features["answer_choices"] == datasets.List(datasets.Value("string"))
        assert list(loaded.features) == list(EXAMPLE_COLUMNS)


@given(pair=cuts())
def test_equal_rows_have_equal_content_hashes_however_they_are_cut(pair: tuple[pa.Table, pa.Table]) -> None:
    table, recut = pair
    assert content_hash(table) == content_hash(recut)
    hasher = ContentHasher(table.schema)
    for start in range(0, recut.num_rows, 2):
        hasher.update(recut.slice(start, 2))
    assert hasher.hexdigest() == content_hash(table)
    assert hasher.rows == table.num_rows


@given(table=tables().filter(lambda table: table.num_rows > 0), data=st.data())
def test_any_changed_cell_changes_the_content_hash(table: pa.Table, data: st.DataObject) -> None:
    rows, column = table.to_pylist(), data.draw(st.sampled_from(table.column_names))
    changed = [dict(row) for row in rows]
    donor = data.draw(tables().filter(lambda other: other.num_rows > 0)).to_pylist()[0]
    number = data.draw(st.integers(0, len(rows) - 1))
    changed[number][column] = donor[column]
    other = pa.Table.from_pylist(changed, table.schema)
    assert (content_hash(other) == content_hash(table)) == (rows == changed)


def one_column(values: list[Any], kind: pa.DataType) -> str:
    return content_hash(pa.table({"column": pa.array(values, kind)}))


def test_content_hashes_tell_apart_what_is_easily_confused() -> None:
    lists = pa.list_(pa.string())
    hashes = [
        one_column([None, ""], pa.string()),
        one_column(["", None], pa.string()),
        one_column(["", ""], pa.string()),
        one_column([""], pa.string()),
        one_column([], pa.string()),
        one_column([], pa.int64()),
        one_column([], pa.int32()),
        one_column([0], pa.int64()),
        one_column([None], pa.int64()),
        one_column(["ab", "c"], pa.string()),
        one_column(["a", "bc"], pa.string()),
        one_column([b"a", b"bc"], pa.binary()),
        one_column([["a"], ["b"]], lists),
        one_column([["a", "b"], []], lists),
        one_column([["a", "b"], None], lists),
        one_column([["ab"], None], lists),
        one_column([["ab"], [None]], lists),
        one_column([True], pa.bool_()),
        one_column([1], pa.int8()),
        one_column([1.0], pa.float64()),
        content_hash(pa.table({"other": pa.array([1.0])})),
    ]
    assert len(set(hashes)) == len(hashes) == 21


def test_what_hides_under_a_null_is_not_content() -> None:
    validity = pa.py_buffer(bytes([0b101]))
    numbers = [pa.py_buffer(bytes([1, hidden, 3])) for hidden in (7, 9)]
    one, other = (pa.Array.from_buffers(pa.int8(), 3, [validity, data]) for data in numbers)
    assert content_hash(pa.table({"n": one})) == content_hash(pa.table({"n": other}))
    offsets = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 3, 4)))
    texts = [pa.py_buffer(data) for data in (b"axxb", b"ayyb")]
    one, other = (pa.Array.from_buffers(pa.string(), 3, [validity, offsets, data]) for data in texts)
    clean = pa.array(["a", None, "b"])
    assert len({content_hash(pa.table({"s": array})) for array in (one, other, clean)}) == 1
    inner = pa.array(["a", "hidden", "b"])
    places = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2, 3)))
    nested = pa.Array.from_buffers(pa.list_(pa.string()), 3, [validity, places], children=[inner])
    clean = pa.array([["a"], None, ["b"]])
    assert content_hash(pa.table({"l": nested})) == content_hash(pa.table({"l": clean}))


def test_large_and_plain_types_say_the_same() -> None:
    assert one_column(["a", None], pa.string()) == one_column(["a", None], pa.large_string())
    assert one_column([["a"], None], pa.list_(pa.string())) == one_column(
        [["a"], None], pa.large_list(pa.large_string())
    )


def test_the_content_hash_is_the_one_that_its_description_gives() -> None:
    validity, lengths = bytes([1, 0, 1]), (2).to_bytes(8, "little") + (0).to_bytes(8, "little")
    digests = b"".join(xxhash.xxh3_128(data).digest() for data in (validity, lengths, b"hi"))
    whole = b"instructify/content/2" + (3).to_bytes(8, "little")
    for part in (b"column", b"string", digests):
        whole += len(part).to_bytes(8, "little") + part
    assert one_column(["hi", None, ""], pa.string()) == hashlib.sha256(whole).hexdigest()


def test_types_that_no_example_has_are_refused() -> None:
    with pytest.raises(TypeError, match="no content hash"):
        content_hash(pa.table({"column": [{"a": 1}]}))
