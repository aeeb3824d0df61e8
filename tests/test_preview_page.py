"""The page of a preview: whole, escaped, the same each time, and needing nothing but itself."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from build_kit import cli, rows_file, succeed, template
from instructify.preview.model import Card, Example, Outcome, Sheet
from instructify.preview.page import page
from instructify.preview.words import changes
from instructify.templates import Template

VOID = {"meta", "link", "img", "br", "hr", "input"}
HOSTILE = (
    "<script>alert(1)</script> \"quoted\" 'too' & {{ 7 * 7 }} </pre><img src=x onerror=1> ||| \x1b[31m \u202e"
)
LONG = ("아주 긴 이름 <b> " * 20)[:200]


class Reader(HTMLParser):
    """Collects tags, attributes and text, and complains of elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def hostile_sheet() -> Sheet:
    example = Example(
        f"shots {HOSTILE}query {HOSTILE}tail",
        HOSTILE,
        (HOSTILE, "b"),
        0,
        HOSTILE,
        (3, 5),
        query=len(f"shots {HOSTILE}"),
        cut=4,
        gap=len(f"shots {HOSTILE}query {HOSTILE}"),
        gone="gone",
    )
    cards = (
        Card(1, "few_shot", Outcome(example), Outcome(Example(HOSTILE + "old", HOSTILE))),
        Card(2, "zero_shot", Outcome(None, "undefined", HOSTILE)),
    )
    made = Template("d", LONG, "strict", f"a {HOSTILE} ||| b", author=HOSTILE, languages=("ko",))
    return Sheet("task", made, cards, ("--- a", "+++ b", "@@ 1 @@", f"-{HOSTILE}", f"+{HOSTILE}"))


def test_nothing_in_a_row_or_template_becomes_markup() -> None:
    reader = read(page(HOSTILE, [hostile_sheet()] * 2, None))
    assert not {"script", "img", "iframe", "link"} & {tag for tag, _ in reader.tags}
    assert not [name for _, given in reader.tags for name in given if name.startswith("on")]
    assert reader.text.count("<script>alert(1)</script>") >= 20
    assert "{{ 7 * 7 }}" in reader.text
    assert not {"\x1b", "\u202e"} & set(reader.text)
    assert "[U+001B]" in reader.text
    assert LONG in reader.text


def test_the_page_needs_nothing_but_itself_and_may_fetch_nothing() -> None:
    text = page("x", [hostile_sheet()], None)
    assert "default-src 'none'" in text
    assert [given for _, given in read(text).tags if {"src", "srcset"} & given.keys()] == []
    targets = {given["href"] for tag, given in read(text).tags if "href" in given}
    assert all(target and target.startswith("#") for target in targets)
    css = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in css and "@import" not in css
    assert "prefers-color-scheme: dark" in css


def test_the_page_says_all_that_a_card_says() -> None:
    text = read(page("a title", [hostile_sheet()], None)).text
    for said in (
        "Preview of a title",
        "1 of 2 rows make an example",
        "row 1 · few_shot",
        "2 exemplars: rows 3, 5 of the training split",
        "4 characters cut out to fit the budget",
        "Dropped: a name or attribute that the row does not have was used (undefined).",
        "Changed since it was saved",
        "It read otherwise in the saved version",
    ):
        assert said in text


def test_prompts_keep_every_space_and_line_break_of_theirs() -> None:
    prompt = "  first\n\n\n    indented\ttab  \nlast"
    sheet = Sheet(
        "t", Template("d", "n", "strict", "a ||| b"), (Card(0, "zero_shot", Outcome(Example(prompt, " x "))),)
    )
    text = page("x", [sheet], None)
    assert f'<pre class="text">\n{prompt}</pre>' in text
    assert '<pre class="text target">\n x </pre>' in text


def test_what_was_cut_stands_where_it_stood_and_exemplars_stand_before_it() -> None:
    prompt = "\nQ: a\nA: b\n\nQ: long text?"
    example = Example(prompt, "x", exemplars=(1,), query=12, cut=5, gap=20, gone=" gone")
    sheet = Sheet("t", Template("d", "n", "strict", "a ||| b"), (Card(0, "few_shot", Outcome(example)),))
    text = page("x", [sheet], None)
    shots, rest = prompt[:12], f'{prompt[12:20]}<del class="gone"> gone</del>{prompt[20:]}'
    assert f'<pre class="text">\n<span class="shots">{shots}</span>{rest}</pre>' in text


def test_what_the_saved_version_gave_is_told_line_by_line() -> None:
    was, now = Outcome(Example("same\nold", "t")), Outcome(Example("same\n--- new", "u"))
    assert changes(Card(0, "v", now, was)) == ["-old", "+--- new", "-t", "+u"]
    assert changes(Card(0, "v", Outcome(None, "undefined"), was))[-1] == "+dropped: undefined"


def test_where_the_right_choice_comes_twice_or_never_the_page_still_holds() -> None:
    for label in (None, 1):
        example = Example("p", "t", ("t", "t"), label)
        sheet = Sheet("t", Template("d", "n", "strict", "a ||| b"), (Card(0, "v", Outcome(example)),))
        right = [given for tag, given in read(page("x", [sheet], None)).tags if given.get("class") == "right"]
        assert len(right) == (label is not None)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    rows_file(tmp_path / "rows.jsonl", [{"word": f"낱말 {n}", "kind": n % 2} for n in range(9)])
    body = "{{ word }}?\n|||\n{{ answer_choices[kind] }}"
    template(tmp_path / "own/words", "one", body, name=LONG, languages=["ko"], answer_choices=["하나", "둘"])
    template(tmp_path / "own/words", "two", "{{ word }}!\n|||\n{{ word }}")
    return tmp_path


def test_the_command_writes_the_same_page_each_time_and_nothing_beside_it(words: Path) -> None:
    pages = []
    for name in ("a.html", "deep/b.html", "a.html"):
        said = succeed("preview", words / "own/words", "--data", words / "rows.jsonl", "--html", words / name)
        assert said == f"{words / name}: 6 of 6 rows make an example\n"
        pages.append((words / name).read_bytes())
    assert pages[0] == pages[1] == pages[2]
    assert [path.name for path in (words / "deep").iterdir()] == ["b.html"]
    reader = read(pages[0].decode())
    assert LONG in reader.text
    anchors = {given["href"].removeprefix("#") for _, given in reader.tags if given.get("href")}
    assert anchors == {given["id"] for _, given in reader.tags if given.get("id")} == {"t1", "t2"}
    assert re.search(r'<article class="card" lang="ko">', pages[0].decode())


def test_a_page_that_cannot_be_written_is_one_error(words: Path) -> None:
    done = cli("preview", words / "own/words", "--data", words / "rows.jsonl", "--html", words / "own")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_the_page_of_dropped_rows_is_written_and_the_command_fails(words: Path) -> None:
    rows_file(words / "rows.jsonl", [{"word": "a", "kind": -1}])
    made: subprocess.CompletedProcess[str] = cli(
        "preview", words / "own/words/one.jinja", "--data", words / "rows.jsonl", "--html", words / "a.html"
    )
    assert made.returncode == 1
    assert "(unlabelled)" in read((words / "a.html").read_text("utf-8")).text
