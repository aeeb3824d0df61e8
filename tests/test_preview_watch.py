"""Watching: a template is shown again when it is saved, whatever state the save leaves it in."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build_kit import COMMAND, environment, recipe, rows_file, template
from instructify.preview import watch
from instructify.preview.make import open_bench, refreshed, sheets
from instructify.preview.target import Wanted, find

PATIENCE = 60  # seconds until a test gives up


@pytest.fixture
def words(tmp_path: Path) -> Path:
    rows_file(tmp_path / "rows.jsonl", [{"word": f"w{n}", "kind": n % 2, "more": "m"} for n in range(9)])
    template(tmp_path / "own/words", "one", "{{ word }}?\n|||\n{{ word }}")
    template(tmp_path / "own/words", "two", "{{ word }}!\n|||\n{{ word }}")
    return tmp_path


# looking at files


def script(steps: list[Callable[[], object]]) -> Callable[[float], None]:
    """Return a sleep that does one step each time it is called, and ends the watch after the last."""
    left = iter(steps)

    def sleep(seconds: float) -> None:
        assert seconds == watch.INTERVAL
        step = next(left, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    return sleep


def seen(folder: Path, steps: list[Callable[[], object]]) -> int:
    """Return how many changes are told of while the steps are done, one between two looks."""
    count = -1  # the first is told of unasked
    with pytest.raises(KeyboardInterrupt):
        for _ in watch.changes([folder], script(steps)):
            count += 1
    return count


def test_a_change_is_told_of_once_and_when_it_has_come_to_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.jinja"
    path.write_text("a")
    rest = [lambda: None] * 3
    assert seen(tmp_path, [*rest]) == 0
    assert seen(tmp_path, [lambda: path.write_text("ab"), *rest]) == 1
    assert seen(tmp_path, [lambda: path.write_text("abc"), lambda: path.write_text("abcd"), *rest]) == 1
    assert seen(tmp_path, [lambda: path.write_text("ab"), *rest, lambda: path.write_text("a"), *rest]) == 2


def test_files_that_come_go_or_are_swapped_are_changes_and_others_are_not(tmp_path: Path) -> None:
    path, other = tmp_path / "a.jinja", tmp_path / "b.tmp"
    path.write_text("a")
    rest = [lambda: None] * 2

    def swap() -> None:
        other.write_text("b")
        other.replace(path)

    assert seen(tmp_path, [swap, *rest]) == 1
    assert seen(tmp_path, [lambda: (tmp_path / "new.jinja").write_text(""), *rest]) == 1
    assert seen(tmp_path, [lambda: (tmp_path / "new.jinja").unlink(), *rest]) == 1
    assert seen(tmp_path, [lambda: (tmp_path / "task.yaml").write_text(""), *rest]) == 1
    assert seen(tmp_path, [lambda: (tmp_path / "notes.txt").write_text(""), *rest]) == 0
    assert seen(tmp_path / "nowhere", rest) == 0


def test_a_change_of_size_is_seen_even_where_the_time_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "a.jinja"
    path.write_text("a")
    before = path.stat()

    def same_time() -> None:
        path.write_text("ab")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert seen(tmp_path, [same_time, lambda: None, lambda: None]) == 1


# rendering again


def test_only_templates_that_changed_are_made_again(words: Path) -> None:
    (words / "work").mkdir()
    found = find(Wanted(str(words / "own/words"), data=str(words / "rows.jsonl")), words / "work")
    bench = open_bench(found, 2, [], words / "work")
    made = sheets(bench)
    template(words / "own/words", "two", "{{ word }}, {{ more }}!\n|||\n{{ word }}")
    template(words / "own/words", "three", "{{ word }}.\n|||\n{{ word }}")
    bench = refreshed(bench)
    again = sheets(bench, made)
    assert [sheet.template.name for sheet in again] == ["one", "three", "two"]
    assert again[0] is made[0]
    assert again[2].cards[0].now.example
    assert again[2].cards[0].now.example.inputs.endswith(", m!")
    assert [card.row for card in again[2].cards] == [card.row for card in made[1].cards]


def test_rows_keep_their_exemplars_when_a_column_is_added(words: Path) -> None:
    (words / "work").mkdir()
    wanted = Wanted(str(words / "own/words"), data=str(words / "rows.jsonl"), variant="few_shot")
    bench = open_bench(find(wanted, words / "work"), 2, [], words / "work")
    columns = bench.columns
    sheets(bench)
    template(words / "own/words", "two", "{{ word }}, {{ more }}!\n|||\n{{ word }}")
    bench = refreshed(bench)
    assert bench.columns != columns
    fresh = sheets(bench)
    opened = sheets(open_bench(find(wanted, words / "work"), 2, [], words / "work"))
    assert fresh == opened


def test_a_template_may_change_its_name_while_its_file_is_watched(words: Path) -> None:
    (words / "work").mkdir()
    wanted = Wanted(str(words / "own/words/one.jinja"), data=str(words / "rows.jsonl"))
    bench = open_bench(find(wanted, words / "work"), 1, [], words / "work")
    template(words / "own/words", "one", "{{ word }}?\n|||\n{{ word }}", name="another name")
    assert [sheet.template.name for sheet in sheets(refreshed(bench))] == ["another name"]


def test_a_watched_file_is_shown_again_while_another_in_its_folder_is_broken(words: Path) -> None:
    (words / "work").mkdir()
    wanted = Wanted(str(words / "own/words/one.jinja"), data=str(words / "rows.jsonl"))
    bench = open_bench(find(wanted, words / "work"), 1, [], words / "work")
    (words / "own/words/two.jinja").write_text("---\nauthor: @me\n---\n{{ word }} ||| y\n")
    template(words / "own/words", "one", "{{ word }} again?\n|||\n{{ word }}")
    assert sheets(refreshed(bench))[0].cards[0].now.text[0].endswith(" again?")


def test_a_task_that_has_lost_its_template_gets_it_back(words: Path) -> None:
    (words / "work").mkdir()
    template(words / "own/others", "one", "{{ word }}.\n|||\n{{ word }}")
    source = {"kind": "files", "path": "rows.jsonl"}
    tasks = [{"dataset": name, "cluster": "c", "source": source} for name in ("words", "others")]
    path = recipe(words, tasks, template_sources=["own"])
    bench = open_bench(find(Wanted(str(path), template="one"), words / "work"), 1, [], words / "work")

    def shown(name: str) -> list[tuple[str, str]]:
        nonlocal bench
        template(words / "own/others", "one", "{{ word }}.\n|||\n{{ word }}", name=name)
        bench = refreshed(bench)
        return [(sheet.task, sheet.template.name) for sheet in sheets(bench)]

    assert shown("another") == [("words", "one")]
    assert shown("one") == [("words", "one"), ("others", "one")]


# the command


@pytest.fixture
def watching(words: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """The command on a folder, and a function that returns what it says until it waits for a change."""
    arguments = [
        "preview",
        str(words / "own/words"),
        "--data",
        str(words / "rows.jsonl"),
        "-n",
        "1",
        "--watch",
    ]
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment(), stdout=subprocess.PIPE, encoding="utf-8"
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout
    output = process.stdout

    def read() -> None:
        for line in output:
            lines.put(line)
        lines.put("")

    def said() -> str:
        text = ""
        while "watching, Ctrl-C ends" not in text:
            line = lines.get(timeout=PATIENCE)
            assert line, "the command has ended"
            text += line
        return text

    threading.Thread(target=read, daemon=True).start()
    yield process, said
    process.kill()
    process.wait(PATIENCE)
    output.close()


def test_a_saved_template_is_shown_again_a_broken_one_is_told_and_ctrl_c_ends(
    words: Path, watching: tuple[subprocess.Popen[str], Callable[[], str]]
) -> None:
    process, said = watching
    first = said()
    assert "words / one" in first
    assert "words / two" in first
    template(words / "own/words", "one", "{{ word }} again?\n|||\n{{ word }}")
    shown = said()
    assert "again?" in shown
    assert "words / two" not in shown
    assert "rendered in " in shown
    for broken in ("{{ word ", "{{ wrod }} ||| a", "---\nnme: x\n---\na ||| b"):
        (words / "own/words/one.jinja").write_text(broken, "utf-8")
        shown = said()
        assert "error: " in shown
        assert "one.jinja:" in shown
    template(words / "own/words", "one", "{{ word }} again?\n|||\n{{ word }}")
    assert "again?" in said(), "as it was before it was broken"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
