from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructify.sources.found import natural_key
from sources_kit import complaint, everything, opened, put, rows

LINE = '{"x": "a"}\n'


def names(base: Path, *files: str) -> None:
    """Write one-row files that hold their own names."""
    for name in files:
        put(base / name, f'{{"x": "{Path(name).name}"}}\n')


def seen(base: Path, path: str | list[str], split: str = "train") -> list[str]:
    return [row["x"] for row in everything(opened(base, path, split))]


def test_files_come_in_natural_order_however_they_are_listed(tmp_path: Path) -> None:
    names(tmp_path, "train-10.jsonl", "train-2.jsonl", "train-1.jsonl")
    expected = ["train-1.jsonl", "train-2.jsonl", "train-10.jsonl"]
    assert seen(tmp_path, "train-*.jsonl") == expected
    assert seen(tmp_path, ["train-10.jsonl", "train-1.jsonl", "train-2.jsonl"]) == expected
    assert seen(tmp_path, ["train-2.jsonl", "train-*.jsonl"]) == expected
    assert seen(tmp_path, ".") == expected


@given(st.lists(st.text("ab01９²-/", max_size=6), max_size=6))
def test_natural_order_is_total_and_does_not_depend_on_the_order_given(found: list[str]) -> None:
    backwards = found[::-1]
    assert sorted(found, key=natural_key) == sorted(backwards, key=natural_key)


def test_a_folder_is_searched_for_the_split(tmp_path: Path) -> None:
    names(tmp_path, "d/test.jsonl", "d/train-00001-of-00002.jsonl", "d/train-00000-of-00002.jsonl")
    names(tmp_path, "d/trained.jsonl")
    put(tmp_path / "d/README.md", "not data")
    put(tmp_path / "d/.train.jsonl", "not seen")
    assert seen(tmp_path, "d") == ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"]
    assert seen(tmp_path, "d", "test") == ["test.jsonl"]


def test_an_exact_name_wins_over_a_longer_one(tmp_path: Path) -> None:
    names(tmp_path, "validation.jsonl", "validation_mismatched.jsonl")
    assert seen(tmp_path, ".", "validation") == ["validation.jsonl"]


def test_a_split_read_from_files_of_longer_names_is_noted(tmp_path: Path) -> None:
    names(tmp_path, "test_a.jsonl", "test_b.jsonl")
    assert opened(tmp_path, ".", "test").notes == ("Split 'test' was read from test_a.jsonl, test_b.jsonl.",)


def test_a_folder_of_one_kind_without_split_names_is_the_train_split(tmp_path: Path) -> None:
    names(tmp_path, "b.jsonl", "a.jsonl")
    assert seen(tmp_path, ".") == ["a.jsonl", "b.jsonl"]
    assert "no file of split 'test'" in complaint(tmp_path, ".", "test")


def test_a_test_file_never_becomes_the_train_split(tmp_path: Path) -> None:
    names(tmp_path, "test.jsonl", "validation-0.jsonl")
    text = complaint(tmp_path, ".")
    assert "no file of split 'train'" in text
    assert "test, validation" in text


def test_split_in_braces_is_replaced_and_a_wrong_split_lists_what_there_is(tmp_path: Path) -> None:
    names(tmp_path, "rte/train.jsonl", "rte/validation.jsonl")
    assert seen(tmp_path, "rte/{split}.jsonl", "validation") == ["validation.jsonl"]
    text = complaint(tmp_path, "rte/{split}.jsonl", "validaton")
    assert "there is no split 'validaton'; expected one of train, validation" in text
    assert "did you mean 'validation'?" in text


def test_a_wrong_folder_names_the_nearest(tmp_path: Path) -> None:
    names(tmp_path, "super_glue/rte/train.jsonl", "super_glue/cb/train.jsonl")
    text = complaint(tmp_path, "super_glue/rt/{split}.jsonl")
    assert "expected cb, rte in" in text
    assert "did you mean 'rte'?" in text


def test_a_wrong_file_names_the_nearest(tmp_path: Path) -> None:
    names(tmp_path, "reviews.jsonl")
    assert "did you mean 'reviews.jsonl'?" in complaint(tmp_path, "revews.jsonl")


@pytest.mark.parametrize("path", ["~no-such-user/a.csv", "~no-such-user/{split}.csv", "~no-such-user/*.csv"])
def test_the_home_of_an_unknown_user_is_a_clear_error(tmp_path: Path, path: str) -> None:
    text = complaint(tmp_path, path)
    assert "there is no home folder '~no-such-user'" in text
    assert "\n" not in text


def test_a_missing_folder_is_named_once_with_what_lies_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "data/rte/train.jsonl", LINE)
    text = complaint(tmp_path, ["dat/rte/train.jsonl", "dat/cb/train.jsonl"])
    assert text.count("no such file or folder") == 1
    assert "did you mean 'data'?" in text


def test_a_glob_without_a_match_is_an_error(tmp_path: Path) -> None:
    assert "no file matches this pattern" in complaint(tmp_path, "*.jsonl")


def test_a_folder_named_like_a_pattern_is_no_pattern(tmp_path: Path) -> None:
    base = tmp_path / "[ab]*"
    names(base, "train-1.jsonl", "odd[1].jsonl")
    assert seen(base, "train-*.jsonl") == ["train-1.jsonl"]
    assert seen(base, "odd[1].jsonl") == ["odd[1].jsonl"]


def test_formats_are_not_mixed(tmp_path: Path) -> None:
    put(tmp_path / "train-1.jsonl", LINE)
    put(tmp_path / "train-2.csv", "x\na\n")
    assert "mix jsonl (train-1.jsonl) and csv" in complaint(tmp_path, ".")
    assert rows(tmp_path, ".", format="jsonl") == [{"x": "a"}]


def test_format_overrides_the_ending(tmp_path: Path) -> None:
    put(tmp_path / "train.txt", LINE)
    assert rows(tmp_path, "train.txt", format="jsonl") == [{"x": "a"}]
    assert "does not tell the format" in complaint(tmp_path, "train.txt")


def test_what_is_not_a_plain_readable_file_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "empty.jsonl", "")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "lost.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.jsonl").mkdir()
    put(tmp_path / "rows.jsonl.gz", b"\x1f\x8b")
    assert complaint(tmp_path, "empty.jsonl") == "empty.jsonl: the file is empty"
    assert "device, pipe or socket" in complaint(tmp_path, "pipe.jsonl")
    assert "device, pipe or socket" in complaint(tmp_path, "/dev/zero", format="jsonl")
    assert "No such file" in complaint(tmp_path, "lost.jsonl")
    assert "no file of split 'train' in this folder" in complaint(tmp_path, "folder.jsonl")
    assert "compressed text is not read" in complaint(tmp_path, "rows.jsonl.gz")


def test_every_unreadable_file_is_named_at_once(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", "")
    put(tmp_path / "b.jsonl", "")
    assert len(complaint(tmp_path, "*.jsonl").splitlines()) == 2


def test_a_file_without_permission_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.jsonl", LINE)

    def denied(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "a.jsonl: cannot be read: Permission denied" in complaint(tmp_path, "a.jsonl")


def test_the_fingerprint_knows_content_and_options_but_not_places(tmp_path: Path) -> None:
    one = opened(put(tmp_path / "one/a.csv", "x,y\n1,2\n").parent, "a.csv")
    same = opened(put(tmp_path / "two/b.csv", "x,y\n1,2\n").parent, "b.csv")
    os.utime(tmp_path / "two/b.csv", (1, 1))
    again = opened(tmp_path / "two", "*.csv")
    assert one.fingerprint == same.fingerprint == again.fingerprint
    differing = [
        opened(put(tmp_path / "three/a.csv", "x,y\n1,3\n").parent, "a.csv"),
        opened(tmp_path / "one", "a.csv", rename={"x": "z"}),
        opened(tmp_path / "one", "a.csv", cast={"x": "string"}),
        opened(tmp_path / "one", "a.csv", label_names={"x": ["no", "yes"]}),
        opened(tmp_path / "one", "a.csv", quoting="none"),
        opened(tmp_path / "one", "a.csv", null_values=["2"]),
        opened(tmp_path / "one", "a.csv", delimiter=";"),
        opened(tmp_path / "one", "a.csv", header=["x", "y"]),
        opened(tmp_path / "one", "a.csv", encoding="latin-1"),
    ]
    marks = {source.fingerprint for source in differing}
    assert len(marks | {one.fingerprint}) == len(differing) + 1
    spelled_out = opened(tmp_path / "one", "a.csv", quoting="minimal", delimiter=",", encoding="UTF8")
    assert spelled_out.fingerprint == one.fingerprint


def test_the_fingerprint_knows_the_order_of_the_files(tmp_path: Path) -> None:
    names(tmp_path / "one", "train-1.jsonl", "train-2.jsonl")
    put(tmp_path / "two/train-1.jsonl", (tmp_path / "one/train-2.jsonl").read_bytes())
    put(tmp_path / "two/train-2.jsonl", (tmp_path / "one/train-1.jsonl").read_bytes())
    assert opened(tmp_path / "one", ".").fingerprint != opened(tmp_path / "two", ".").fingerprint


def test_a_slice_keeps_the_fingerprint_and_the_row_numbers_of_the_whole_split(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", "x\n" + "".join(f"{n}\n" for n in range(100)))
    whole, part = opened(tmp_path, "a.csv"), opened(tmp_path, "a.csv", "train[10%:-80%]")
    assert (part.start, part.stop, part.rows) == (10, 20, 10)
    assert part.fingerprint == whole.fingerprint
    assert "no row of 100 is left" in complaint(tmp_path, "a.csv", "train[100:]")


COMPOSED, APART = unicodedata.normalize("NFC", "영화"), unicodedata.normalize("NFD", "영화")


@pytest.mark.parametrize(("there", "named"), [(COMPOSED, APART), (APART, COMPOSED)])
@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("{}.jsonl", "{}.jsonl"),
        ("{}/train.jsonl", "{}/train.jsonl"),
        ("{}/train.jsonl", "{}/{{split}}.jsonl"),
        ("{}/train.jsonl", "{}"),
        ("{}/train-0.jsonl", "{}/*.jsonl"),
        ("{}-0.jsonl", "{}-*.jsonl"),
    ],
)
def test_a_file_whose_name_only_looks_the_same_is_told(
    tmp_path: Path, there: str, named: str, file: str, path: str
) -> None:
    names(tmp_path, file.format(there))
    assert len(rows(tmp_path, path.format(there))) == 1
    said = complaint(tmp_path, path.format(named))
    assert "differs only in how its letters, such as Hangul, are composed" in said
    assert "expected both in one form" in said


def test_a_pattern_that_fits_folders_alone_is_no_matter_of_letters(tmp_path: Path) -> None:
    (tmp_path / "train-0.jsonl").mkdir()
    assert "no file matches this pattern; expected at least one" in complaint(tmp_path, "train-*.jsonl")


@pytest.mark.parametrize(
    ("path", "split", "guess"),
    [
        ("rows.jsonl", "tarin", "train"),
        ("*.jsonl", "validaton[:1]", "validation"),
        ("rows.jsonl", "train[:1]", ""),
        ("rows.jsonl", "training", ""),
        ("rows.jsonl", "first", ""),
    ],
)
def test_a_misspelt_split_of_a_path_that_knows_no_splits_is_noted(
    tmp_path: Path, path: str, split: str, guess: str
) -> None:
    names(tmp_path, "rows.jsonl")
    notes = opened(tmp_path, path, split).notes
    assert len(notes) == bool(guess)
    assert all(note.endswith(f"did you mean {guess!r}?") for note in notes)
