from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.recipe.models import FilesSource
from instructify.sources.delimited import Dialect, _Tally, dialect_of, read_delimited, records
from sources_kit import complaint, opened, put, rows

PLAIN = Dialect("utf-8", ",", quoted=True, header=None, nulls=frozenset())
cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5) | st.text(
    'a",\r\n', max_size=6
)


def test_words_for_null_stay_text(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "label,n\nNone,1\nNA,2\nnull,3\nNaN,4\n,5\n")
    assert [row["label"] for row in rows(tmp_path, "a.csv")] == ["None", "NA", "null", "NaN", ""]
    assert [row["n"] for row in rows(tmp_path, "a.csv")] == [1, 2, 3, 4, 5]


def test_a_column_is_integers_only_if_every_cell_is(tmp_path: Path) -> None:
    columns = {
        "whole": ["0", "-5", "9223372036854775807"],
        "blank": ["1", "", "3"],
        "zeros": ["1", "007", "3"],
        "large": ["1", "9223372036854775808", "2"],
        "signed": ["1", "+2", "-0"],
        "digits": ["1", "２", "3"],
        "float": ["1", "2.50", "-3e2"],
        "space": ["1", " 2", "3"],
    }
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    put(tmp_path / "a.csv", "\n".join(lines))
    source = opened(tmp_path, "a.csv")
    found = rows(tmp_path, "a.csv")
    assert [row.pop("whole") for row in found] == [0, -5, 2**63 - 1]
    assert found == [
        dict(zip(list(columns)[1:], row, strict=True))
        for row in zip(*list(columns.values())[1:], strict=True)
    ]
    (blank,) = [note for note in source.notes if "'blank'" in note]
    assert "first at a.csv:3" in blank
    assert 'null_values: [""]' in blank
    assert any(
        "'float' holds numbers and stays text; cast: {float: float64}" in note for note in source.notes
    )


def test_declared_nulls_become_null_and_the_column_integers(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "n,t\n1,x\n,\nNA,NA\n4,y\n")
    assert rows(tmp_path, "a.csv", null_values=["", "NA"]) == [
        {"n": 1, "t": "x"},
        {"n": None, "t": None},
        {"n": None, "t": None},
        {"n": 4, "t": "y"},
    ]


def test_one_late_word_makes_the_whole_column_text(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "n\n" + "7\n" * 20_000 + "seven\n")
    found = rows(tmp_path, "a.csv")
    assert len(found) == 20_001
    assert {row["n"] for row in found} == {"7", "seven"}


def test_quotes_line_ends_and_marks_are_read_as_written(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", b'\xef\xbb\xbfa,b\r\n"x, ""y""","1\r\n2"\r\n\r\nz,"" \r\n'.replace(b'"" ', b'""'))
    source = opened(tmp_path, "a.csv")
    assert rows(tmp_path, "a.csv") == [{"a": 'x, "y"', "b": "1\r\n2"}, {"a": "z", "b": ""}]
    assert source.notes == ("1 blank lines were skipped.",)


def test_a_tsv_has_no_quotes_by_default(tmp_path: Path) -> None:
    put(tmp_path / "a.tsv", 'a\tb\n"x\ty"\n5" disk\t"q"\r\n')
    assert rows(tmp_path, "a.tsv") == [{"a": '"x', "b": 'y"'}, {"a": '5" disk', "b": '"q"'}]


def test_a_header_may_come_from_the_recipe(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "1,x\n2,y\n")
    assert rows(tmp_path, "a.csv", header=["n", "t"]) == [{"n": 1, "t": "x"}, {"n": 2, "t": "y"}]


def test_files_may_order_their_columns_differently(tmp_path: Path) -> None:
    put(tmp_path / "1.csv", "a,b\n1,x\n")
    put(tmp_path / "2.csv", "b,a\ny,2\n")
    assert rows(tmp_path, "*.csv") == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    put(tmp_path / "3.csv", "b,c\ny,2\n")
    assert "column 'a' is in only one of 1.csv and 3.csv" in complaint(tmp_path, "*.csv")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3\n", "a.csv:3: the row has 1 cells; expected 2, as in the header"),
        ("a,b\n1,2,3\n", "a.csv:2: the row has 3 cells"),
        ('a,b\n1,5" disk\n', "a.csv:2: a quote stands inside a cell that is not quoted"),
        ('a,b\n1, "x"\n', "a.csv:2: a quote stands inside"),
        ('a,b\n1,"x"y\n', "a.csv:2: text follows a closing quote"),
        ('a,b\n1,"x" \n', "a.csv:2: text follows a closing quote"),
        ('a,b\n1,"x\n2,y\n3,z\n', "a.csv:2: the quote is never closed"),
        ('a,b\n1,"x\n' + "2,y\n" * 1001 + '"\n', "a.csv:2: the quote is not closed within 1,000 lines"),
        ("a,b\n1,x\ry\n", "a.csv:2: a carriage return stands outside quotes"),
        (
            "a,b\r1,2\r",
            "a.csv:1: a carriage return stands outside quotes; expected quotes around such a cell, and lines",
        ),
        ("a,a\n1,2\n", "a.csv:1: the column name 'a' occurs twice"),
        ("a,\n1,2\n", "a.csv:1: column 2 has no name"),
        ("\n\n", "the file has no row"),
        ("a\n", "train: the split has no row"),
        (
            b"a,b\nx,y\nx,caf\xe9\n",
            "a.csv:3: byte 0xe9 is not utf-8; expected the file saved as UTF-8, or its own encoding",
        ),
        (
            b"\xff\xfea\x00\n\x00",
            "a.csv:1: byte 0xff is not utf-8; expected the file saved as UTF-8, or encoding: utf-16 in",
        ),
        ("a,b\n1,2\n3,x\0y\n", "a.csv:3: the text holds a NUL"),
        ("a\n" + "x" * (2**20 + 1), "a.csv:2: a cell is longer than 1 Mi"),
        ('a\n"' + "x" * (2**20 + 1) + '"', "a.csv:2: a cell is longer than 1 Mi"),
    ],
)
def test_damage_is_an_error_that_names_the_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    put(tmp_path / "a.csv", content)
    assert expected in complaint(tmp_path, "a.csv")


def test_old_line_ends_are_refused_without_quoting_too(tmp_path: Path) -> None:
    put(tmp_path / "a.tsv", "a\tb\r1\t2\r")
    assert "a.tsv:1: a carriage return stands inside the header" in complaint(tmp_path, "a.tsv")


@pytest.mark.parametrize("damage", ['1,5" disk\n', '1,"x\n', '1,"x"y\n'])
def test_every_quote_error_points_to_quoting_none(tmp_path: Path, damage: str) -> None:
    put(tmp_path / "a.csv", "a,b\n" + damage)
    assert "quoting: none" in complaint(tmp_path, "a.csv")
    assert len(rows(tmp_path, "a.csv", quoting="none")) == 1


def test_bad_bytes_after_a_megabyte_still_name_their_line(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", b"a\n" + b"0123456789abcde\n" * 100_000 + b"\xe9\n")
    assert "a.csv:100002: byte 0xe9" in complaint(tmp_path, "a.csv")


@pytest.mark.parametrize("encoding", ["latin-1", "cp949", "utf-16", "utf-8"])
def test_a_declared_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    word = "café" if encoding == "latin-1" else "한국어"
    put(tmp_path / "a.csv", f"a,b\n1,{word}\n".encode(encoding))
    assert rows(tmp_path, "a.csv", encoding=encoding) == [{"a": 1, "b": word}]


@pytest.mark.parametrize("encoding", ["no-such", "hex", "rot13", "zip", "undefined", "a\0b", ""])
def test_what_is_no_text_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    put(tmp_path / "a.csv", "a\n1\n")
    assert "is unknown" in complaint(tmp_path, "a.csv", encoding=encoding)


@pytest.mark.parametrize(
    "encoding", ["unicode_escape", "raw_unicode_escape", "Raw-Unicode-Escape", "idna", "punycode", "charmap"]
)
def test_an_escaped_form_of_text_is_no_encoding_of_files(tmp_path: Path, encoding: str) -> None:
    put(tmp_path / "a.csv", "a\n1\n")
    assert "is not one that files are saved in" in complaint(tmp_path, "a.csv", encoding=encoding)


SAVED = "expected the file saved as UTF-8, or"
KOREAN = "문장,분류\n오늘은 날씨가 참 좋습니다.,긍정\n이 영화는 재미가 없었다.,부정\n"


@pytest.mark.parametrize(
    ("content", "declared", "expected"),
    [
        (
            KOREAN.encode("cp949"),
            "utf-8",
            f"a.csv:1: byte 0xb9 is not utf-8; {SAVED} encoding: cp949 in the recipe's source",
        ),
        ((KOREAN + "똠방각하 펲시콜라,긍정\n").encode("cp949"), "utf-8", f"{SAVED} encoding: cp949 in"),
        (("a,b\n" * 400_000 + KOREAN).encode("cp949"), "utf-8", "a.csv:400001: byte 0xb9 is not utf-8; ex"),
        (KOREAN.encode("utf-16"), "utf-8", f"byte 0xff is not utf-8; {SAVED} encoding: utf-16 in"),
        (KOREAN.encode("utf-16"), "cp949", f"byte 0xff is not cp949; {SAVED} encoding: utf-16 in"),
        (KOREAN.encode("utf-32"), "utf-8", f"byte 0xff is not utf-8; {SAVED} encoding: utf-32 in"),
        (KOREAN.encode(), "cp949", "is not cp949; expected encoding: utf-8 in the recipe's source"),
        (
            KOREAN.encode(),
            "utf-16",
            "the text is not utf-16: UTF-16 stream does not start with BOM; expected ",
        ),
        (KOREAN.encode("utf-16-le"), "utf-16", f"{SAVED} encoding: utf-16-le or utf-16-be in"),
    ],
)
def test_an_encoding_that_is_sure_is_suggested(
    tmp_path: Path, content: bytes, declared: str, expected: str
) -> None:
    put(tmp_path / "a.csv", content)
    text = complaint(tmp_path, "a.csv", encoding=declared)
    assert expected in text
    assert "latin-1" not in text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a,b\nÄpfel,Österreich\nÜbel,ÄÖ\n", "latin-1"),
        ("café\nélan\n", "latin-1"),
        ("句子,标签\n今天的天气非常好我们一起去公园吧,正面\n", "gbk"),
        ("文,札\n今日はとても良い天気ですね,正\n", "euc-jp"),
        ("文,札\n今日はとても良い天気ですね,正\n", "shift_jis"),
        ("слово,знак\nсегодня хорошая погода,да\n", "cp1251"),
    ],
)
def test_other_bytes_are_never_taken_for_korean(tmp_path: Path, text: str, encoding: str) -> None:
    put(tmp_path / "a.csv", text.encode(encoding))
    assert complaint(tmp_path, "a.csv").endswith(
        f"{SAVED} its own encoding (encoding: cp949, latin-1 or another) in the recipe's source"
    )


def test_a_quote_is_no_delimiter() -> None:
    with pytest.raises(Exception, match="cannot be a delimiter"):
        dialect_of(FilesSource(kind="files", path="a", delimiter='"'), "csv")


@settings(deadline=None)
@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_pythons_writer_writes_comes_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b"], *table])
    path = put(tmp_path_factory.getbasetemp() / "written.csv", text.getvalue())
    assert [found for _, found in records(path, PLAIN, _Tally())][1:] == table


@settings(deadline=None)
@given(st.text('a",\n', max_size=12))
def test_any_text_is_refused_or_read_as_pythons_strict_reader_reads_it(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = put(tmp_path_factory.getbasetemp() / "any.csv", text)
    try:
        mine = [found for _, found in records(path, PLAIN, _Tally())]
    except Exception as error:
        assert "quot" in str(error)
        return
    assert mine == [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instructify.sources.delimited.BLOCK_ROWS", 256)
    monkeypatch.setattr("instructify.sources.text.CHUNK_BYTES", 4096)

    def peak(lines: int) -> int:
        path = put(tmp_path / f"{lines}.csv", "a,b\n" + "1,some words of text here\n" * lines)
        tracemalloc.start()
        try:
            for _ in read_delimited([path], PLAIN, ()).blocks():
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20_000) < 1.3 * peak(5_000)
