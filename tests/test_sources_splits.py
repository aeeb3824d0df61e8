from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.errors import InstructifyError
from instructify.sources import parse_split
from instructify.sources.splits import split_name, usual_split

boundaries = st.one_of(
    st.just(""), st.integers(-30, 30).map(str), st.integers(-100, 100).map(lambda n: f"{n}%")
)


@pytest.mark.parametrize(
    ("split", "rows", "expected"),
    [
        ("train", 7, (0, 7)),
        ("train[:3]", 7, (0, 3)),
        ("train[:10%]", 1000, (0, 100)),
        ("train[10%:20%]", 1000, (100, 200)),
        ("test[100:200]", 150, (100, 150)),
        ("test[-3:]", 7, (4, 7)),
        ("test[:-3]", 7, (0, 4)),
        ("test[-100:2]", 7, (0, 2)),
        ("test[5:2]", 7, (5, 5)),
        ("train[:50%]", 5, (0, 2)),  # 2.5 rounds half to even, as Python and datasets do
        ("train[:50%]", 7, (0, 4)),
        ("validation.matched[1:]", 3, (1, 3)),
    ],
)
def test_a_slice_selects_these_rows(split: str, rows: int, expected: tuple[int, int]) -> None:
    assert parse_split(split, rows) == expected


@settings(deadline=None)
@given(start=boundaries, stop=boundaries, rows=st.integers(0, 3000))
def test_slices_agree_with_the_datasets_library(start: str, stop: str, rows: int) -> None:
    datasets = pytest.importorskip("datasets")
    split = f"train[{start}:{stop}]"
    try:
        mine = range(rows)[slice(*parse_split(split, rows))]
        (theirs,) = datasets.ReadInstruction.from_spec(split).to_absolute({"train": rows})
    except InstructifyError as error:
        assert "mixes" in str(error)  # there, "3" in [3:5%] means 3%
        return
    except ValueError:
        return  # it refuses what lies beyond the end, where Python and we stop at the end
    assert list(mine) == list(range(rows))[slice(theirs.from_, theirs.to)]


@pytest.mark.parametrize(
    "split", ["train[", "train[:101%]", "train[-101%:]", "", "a b", "train[1]", "train[:5]x", "train[1:9%]"]
)
def test_a_bad_split_is_refused(split: str) -> None:
    with pytest.raises(InstructifyError, match="split"):
        parse_split(split, 10)


def test_split_name_drops_the_slice() -> None:
    assert split_name("test[10%:-2]") == "test"


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["validation", "train", "test"], "train"),
        (["test", "validation", "dev"], "validation"),
        (["b", "a"], "a"),
        ([], "train"),
    ],
)
def test_the_usual_split_is_the_first_that_a_folder_has(names: list[str], split: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / f"{name}.parquet").touch()
    assert usual_split(tmp_path) == split
