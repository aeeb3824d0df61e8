"""What is shown is whole: numbers in tables, words in sentences, paths in the commands to go on with."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from build_kit import cli, recipe, rows_file, succeed, template, world
from instructify.cli import show
from instructify.errors import counted

COLUMNS = ["task", "cluster", "role", "rows>", "due>", "tokens>", "why"]
ROWS = [
    (
        "한국어/아주-긴-과제-이름-입니다-아주-긴",
        "분류",
        "train",
        "3,000",
        "",
        "28.4 k ± 1.03 k",
        "blank-target 4",
    ),
    ("world/sums", "sentence_completion", "held out", "1,250,003", "", "1.2 M ± 280 k", ""),
]
HEADS = [column.removesuffix(">") for column in COLUMNS]
WHY = "left out, for the screen is too narrow: "


@pytest.mark.parametrize("spare", [[], ["cluster", "rows"]])
def test_a_table_shows_its_numbers_whole_at_every_width_and_names_what_it_leaves_out(
    spare: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in range(24, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        show.table("numbers", COLUMNS, ROWS, spare)
        text, _, gone = capsys.readouterr().out.partition(WHY)
        lines = text.splitlines()
        assert max(map(cell_len, lines)) <= width
        left_out = [name for name in gone.strip().split(", ") if name]
        head = next(line for line in lines if "task" in line)
        assert {*head.split(), *left_out, "due"} == set(HEADS)
        shown = [n for n, name in enumerate(HEADS) if name in head.split()]
        for row in ROWS:
            numbers = [row[n] for n in shown if COLUMNS[n].endswith(">") and row[n]]
            assert not numbers or any(" ".join(numbers) in " ".join(line.split()) for line in lines), width
        if width >= 50:
            assert not spare or "cluster" in left_out or not left_out
    assert not left_out, "the widest screen shows all"


def test_what_is_spared_goes_in_order_and_an_empty_column_goes_unsaid_before_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = []
    for width in range(140, 40, -1):
        monkeypatch.setenv("COLUMNS", str(width))
        show.table("", COLUMNS, ROWS, ["why", "cluster", "rows"])
        said = capsys.readouterr().out.partition(WHY)[2].strip()
        if said and said not in gone:
            gone.append(said)
    assert gone[:2] == ["why", "cluster"]
    assert not any("due" in said for said in gone)


def test_the_title_is_as_long_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    show.table("planned and kept, where they differ", ["a", "b>"], [("x", "1")])
    assert capsys.readouterr().out.splitlines()[0] == "planned and kept, where they differ"


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)


def test_a_sentence_breaks_between_words_on_a_terminal_and_nowhere_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "about 5.59 M ± 29.7 k bytes of prompts and targets, from samples of 16 rows a task 한국어"
    for width in ("20", "40", "80"):
        monkeypatch.setenv("COLUMNS", width)
        show.say(words)
        assert capsys.readouterr().out == words + "\n"
    terminal(monkeypatch)
    monkeypatch.setenv("TERM", "xterm")
    long = "/a/folder/" + "x" * 50
    for width in (20, 40, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        show.say(f"{words} {long}")
        lines = capsys.readouterr().out.splitlines()
        assert " ".join(line.strip() for line in lines) == f"{words} {long}"
        assert all(cell_len(line.rstrip()) <= width or long in line for line in lines)


@pytest.mark.parametrize(("asked", "width"), [("80", 80), ("200", 200), ("", 160), ("wide", 160), ("0", 160)])
def test_columns_says_how_wide_the_output_is_where_it_is_no_terminal(
    asked: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", asked)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: False))
    assert show.console().width == width


def test_the_next_command_is_quoted_for_a_shell(tmp_path: Path) -> None:
    said = succeed("init", tmp_path / "new dir" / "한글", "--name", "it")
    (step,) = [line for line in said.splitlines() if line.startswith("next: ")]
    path = tmp_path / "new dir" / "한글" / "it.yaml"
    assert shlex.split(step) == ["next:", "instructify", "plan", str(path)]
    built = succeed("build", path, "-q", "-j", "1", "-o", tmp_path / "an out")
    (step,) = [line for line in built.splitlines() if line.startswith("next: ")]
    assert shlex.split(step) == ["next:", "instructify", "verify", str(tmp_path / "an out")]


def test_counts_are_of_one_or_of_several() -> None:
    told = [counted(n, "task cluster") for n in (0, 1, 2, 2085)]
    assert told == ["0 task clusters", "1 task cluster", "2 task clusters", "2,085 task clusters"]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_plan_and_ledger_show_whole_numbers_with_korean_and_long_names(width: int, tmp_path: Path) -> None:
    rows_file(tmp_path / "t.jsonl", [{"text": f"글 {n}" if n % 4 else ""} for n in range(1200)])
    template(tmp_path / "own/t", "long", "{{ text }} ||| {{ text }}", name=("길고 긴 이름 " * 40)[:200])
    korean = {"dataset": "t", "name": "한국어/아주-긴-과제-이름-입니다-아주-긴", "cluster": "분류"}
    tasks = [{**korean, "source": {"kind": "files", "path": "t.jsonl"}}, world("sums", 1100)]
    tokens = {"tokenizer": "tiny", "max_input": 512, "max_target": 256}
    path = recipe(tmp_path, tasks, template_sources=["own", "builtin"], tokens=tokens)
    wide, narrow = (
        cli("plan", path, env={"COLUMNS": str(columns)}).stdout.splitlines() for columns in (200, width)
    )
    words = set(" ".join(wide).split())
    (table,) = (narrow[: n + 1] for n, line in enumerate(narrow) if "world/sums" in line)
    assert max(map(cell_len, table)) <= width
    for line in table[4:]:
        assert set(line.split()[1:]) - words <= {"이름-입니다-아주-긴", "주-긴"}, line
    assert "1,200" in " ".join(narrow)
    assert " ± " in table[-1], "the tokens are what the recipe asks for"
    said = cli("build", path, "-q", "-j", "1", env={"COLUMNS": str(width)}).stdout
    kept = next(line.split() for line in said.splitlines() if "한국어/" in line)
    assert {"900", "300"} <= set(kept)
    assert "why" in said.split() or WHY in said
