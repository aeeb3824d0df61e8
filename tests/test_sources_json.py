from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.errors import InstructifyError
from instructify.sources import source_schema
from instructify.sources.jsonlines import read_jsonl
from sources_kit import complaint, opened, put, rows

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.fixed_dictionaries(
    {
        "text": texts,
        "number": st.integers(-(2**63), 2**63 - 1),
        "real": st.floats(allow_nan=False, allow_infinity=False),
        "truth": st.booleans() | st.none(),
        "list": st.lists(texts, max_size=3),
        "deep": st.lists(
            st.fixed_dictionaries({"a": texts | st.none(), "b": st.lists(st.booleans())}), max_size=2
        ),
    }
)


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=5), st.booleans())
def test_well_typed_rows_come_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, table: list[dict[str, object]], ascii_only: bool
) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in table)
    path = put(tmp_path_factory.getbasetemp() / "table.jsonl", lines)
    found = [pa.table(block.columns).to_pylist() for block in read_jsonl([path], "utf-8", ()).blocks()]
    assert [row for block in found for row in block] == table


def test_types_are_those_of_the_values(tmp_path: Path) -> None:
    put(
        tmp_path / "a.jsonl",
        '{"n": 1, "f": 1.5, "t": true, "s": "x", "l": [[1]], "o": {"k": null}, "z": null}',
    )
    assert source_schema(opened(tmp_path, "a.jsonl")) == pa.schema(
        {
            "n": pa.int64(),
            "f": pa.float64(),
            "t": pa.bool_(),
            "s": pa.string(),
            "l": pa.list_(pa.list_(pa.int64())),
            "o": pa.struct({"k": pa.string()}),
            "z": pa.string(),
        }
    )


def test_late_keys_read_null_before_and_are_noted(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"a": 1}\n{"a": 2, "b": "x"}\n{"b": "y"}\n')
    assert rows(tmp_path, "a.jsonl") == [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": None, "b": "y"}]
    assert opened(tmp_path, "a.jsonl").notes == (
        "Column 'a' reads null in 1 of 3 rows, which lack it.",
        "Column 'b' reads null in 1 of 3 rows, which lack it.",
    )


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}')
    assert rows(tmp_path, "a.jsonl") == [{"a": 1}, {"a": 2}]
    assert opened(tmp_path, "a.jsonl").notes == ("2 blank lines of a.jsonl were skipped.",)


def test_notes_survive_the_cache_and_do_not_repeat(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"a": 1}\n\n')
    assert opened(tmp_path, "a.jsonl") == opened(tmp_path, "a.jsonl")


def test_integers_and_floats_mix_only_without_loss(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"a": 9007199254740992}\n{"a": 0.5}\n')
    assert rows(tmp_path, "a.jsonl") == [{"a": 9007199254740992.0}, {"a": 0.5}]
    assert opened(tmp_path, "a.jsonl").notes == (
        "Column 'a' mixes integers and floats (first at a.jsonl:2) and is float64.",
    )
    for lines in ('{"a": 9007199254740993}\n{"a": 0.5}\n', '{"a": 0.5}\n{"a": 9007199254740993}\n'):
        put(tmp_path / "b.jsonl", lines)
        assert "b.jsonl:2: a mixes floats with the integer at b.jsonl:" in complaint(tmp_path, "b.jsonl")


def test_a_cast_to_string_keeps_every_digit(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"a": 9223372036854775808, "b": 1}\n{"a": "x"}\n{"a": 7}\n')
    found = rows(tmp_path, "a.jsonl", cast={"a": "string"})
    assert [row["a"] for row in found] == ["9223372036854775808", "x", "7"]
    assert [row["b"] for row in found] == [1, None, None]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1}\n{"a": 2, "a": 3}\n', "a.jsonl:2: the key 'a' occurs twice"),
        ('{"a": {"b": 1, "b": 1}}\n', "a.jsonl:1: the key 'b' occurs twice"),
        ('{"a": NaN}\n', "a.jsonl:1: NaN is not JSON"),
        ('{"a": -Infinity}\n', "a.jsonl:1: -Infinity is not JSON"),
        ('{"a": 1e999}\n', "a.jsonl:1: a is too large for a float64"),
        ('{"a": 1}\n{"a": 9223372036854775808}\n', "a.jsonl:2: a is an integer beyond 64 bits"),
        ('{"a": 9223372036854775808}\n', "cast: {a: string} to keep its digits"),
        ('{"a": ' + "9" * 5000 + "}", "a.jsonl:1: an integer has over 4,300 digits"),
        ('{"a": "\\ud800x"}\n', "a.jsonl:1: a string holds half a surrogate pair (\\ud800)"),
        ('{"a": [{"\\uDC00": 1}]}\n', "a.jsonl:1: a string holds half a surrogate pair"),
        ('{"a": "x"}\n{"a": "y"}\n{"a": 1}\n', "a.jsonl:3: a is an integer here but a string at a.jsonl:1"),
        ('{"a": true}\n{"a": 1}\n', "a.jsonl:2: a is an integer here but true or false at a.jsonl:1"),
        ('{"a": [1, "x"]}\n', "a.jsonl:1: a[] is a string here but an integer at a.jsonl:1"),
        ('{"a": [1]}\n{"a": {"b": 1}}\n', "a.jsonl:2: a is an object here but a list at a.jsonl:1"),
        ('{"a": 1}\n{"a": 2', "a.jsonl:2: not JSON, or cut short"),
        ('{"a": 1} {"a": 2}\n', "a.jsonl:1: not JSON, or cut short: Extra data at column 10"),
        (
            "[1, 2]\n",
            "a.jsonl:1: the row is a list; expected one object on each line; if the file is one JSON list",
        ),
        ("null\n", "a.jsonl:1: the row is null"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "a.jsonl:1: values nest deeper than 32 levels"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "a.jsonl:1: "),
        (b'{"a": "\xff"}\n', "a.jsonl:1: byte 0xff is not utf-8"),
        ('{"a": "x\0"}\n', "a.jsonl:1: the text holds a NUL"),
        ("{}\n{}\n", "a.jsonl: no row has a key"),
        ("\n\n", "a.jsonl: no row has a key"),
    ],
)
def test_damage_is_an_error_that_names_the_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    put(tmp_path / "a.jsonl", content)
    assert expected in complaint(tmp_path, "a.jsonl")


def test_a_type_that_changes_in_another_file_names_both(tmp_path: Path) -> None:
    put(tmp_path / "train-1.jsonl", '{"a": "x"}\n')
    put(tmp_path / "train-2.jsonl", '{"a": 1}\n')
    assert "train-2.jsonl:1: a is an integer here but a string at train-1.jsonl:1" in complaint(tmp_path, ".")


def test_whole_pairs_and_escaped_nuls_are_kept(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"a": "\\ud83d\\ude00", "b": "x\\u0000y", "c": "\\\\ud800"}\n')
    assert rows(tmp_path, "a.jsonl") == [{"a": "😀", "b": "x\0y", "c": "\\ud800"}]


def test_objects_without_keys_read_null_and_are_noted(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"a": {}, "b": [[{}]], "c": {"d": 1, "e": {}}}\n')
    assert rows(tmp_path, "a.jsonl") == [{"a": None, "b": None, "c": {"d": 1}}]
    assert [note for note in opened(tmp_path, "a.jsonl").notes if "without keys" in note]


def test_an_object_used_as_a_map_of_too_many_keys_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", "".join(f'{{"a": {{"k{n}": 1}}}}\n' for n in range(2001)))
    assert "a.jsonl:2001: a have more than 2000 different keys" in complaint(tmp_path, "a.jsonl")


def test_a_json_list_and_an_object_around_one_are_read(tmp_path: Path) -> None:
    put(tmp_path / "list.json", '[{"a": 1},\n {"a": 2}]')
    put(tmp_path / "field.json", '{"version": "1", "data": [{"a": 1}, {"a": 2}]}')
    assert rows(tmp_path, "list.json") == rows(tmp_path, "field.json") == [{"a": 1}, {"a": 2}]
    assert opened(tmp_path, "field.json").notes == ("The rows of field.json are those of its key 'data'.",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"a": 1}, 2]', "a.json row 1: the row is a number"),
        ('{"a": [1], "b": [2]}', "a.json: the file holds an object; expected a list of objects"),
        ('{"a": 1}\n{"a": 2}\n', "a.json:2: not JSON, or cut short: Extra data"),
        ('[{"a": 1},\n{"a": 2}', "a.json:2: not JSON, or cut short"),
        ("[" * 100_000, "a.json: the JSON nests too deep"),
        ("[]", "a.json: no row has a key"),
        ('[{"a": "x"}, {"a": 1}]', "a.json row 1: a is an integer here but a string at a.json row 0"),
    ],
)
def test_a_bad_json_file_is_an_error(tmp_path: Path, content: str, expected: str) -> None:
    put(tmp_path / "a.json", content)
    assert expected in complaint(tmp_path, "a.json")


def test_a_huge_json_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instructify.sources.jsonlines.MAX_JSON_BYTES", 10)
    put(tmp_path / "a.json", '[{"a": 12345}]')
    assert "expected the same rows as JSONL" in complaint(tmp_path, "a.json")


@settings(deadline=None)
@given(st.binary(max_size=30))
def test_any_bytes_are_read_or_refused_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = put(tmp_path_factory.getbasetemp() / "any.jsonl", b'{"a": 1}\n' + content)
    try:
        blocks = list(read_jsonl([path], "utf-8", ()).blocks())
    except InstructifyError:
        return
    assert sum(block.rows for block in blocks) >= 1


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instructify.sources.jsonlines.BLOCK_ROWS", 256)
    monkeypatch.setattr("instructify.sources.text.CHUNK_BYTES", 4096)

    def peak(lines: int) -> int:
        path = put(tmp_path / f"{lines}.jsonl", '{"a": 1, "b": "some words of text"}\n' * lines)
        tracemalloc.start()
        try:
            for _ in read_jsonl([path], "utf-8", ()).blocks():
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20_000) < 1.3 * peak(5_000)
