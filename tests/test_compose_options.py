"""Answer options: every style as it should look, markers that answer, and prompts that hide them cleanly."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.compose.marks import OPTIONS, plain
from instructify.compose.options import answered_by_marker, laid_out, with_options, without_options
from instructify.compose.styles import STYLES, Style
from instructify.compose.texts import Texts
from instructify.compose.words import WORDS, Words

CALM = settings(max_examples=100, deadline=None)

GOLDEN = {
    "capitals_in_brackets": "Options:\n(A) tea\n(B) milk\n(C) juice",
    "capitals_with_dot": "Choose one of these:\nA. tea\nB. milk\nC. juice",
    "capitals_with_bracket": "A) tea\nB) milk\nC) juice",
    "capitals_in_square_brackets": "Options:\n[A] tea\n[B] milk\n[C] juice",
    "small_in_brackets": "(a) tea\n(b) milk\n(c) juice",
    "small_with_bracket": "Choose one of these:\na) tea\nb) milk\nc) juice",
    "numbers_with_dot": "Options:\n1. tea\n2. milk\n3. juice",
    "numbers_in_brackets": "(1) tea\n(2) milk\n(3) juice",
    "numbers_with_colon": "Choose one of these:\n1: tea\n2: milk\n3: juice",
    "dashes": "Options:\n- tea\n- milk\n- juice",
    "stars": "* tea\n* milk\n* juice",
    "lines": "Choose one of these:\ntea\nmilk\njuice",
    "in_a_sentence": "Options:\ntea, milk or juice",
    "with_slashes": "tea / milk / juice",
    "with_semicolons": "Options:\ntea; milk; juice",
    "capitals_in_a_row": "(A) tea (B) milk (C) juice",
}
KOREAN = {"Options:": "보기:", "Choose one of these:": "다음 중 하나:", " or ": " 또는 "}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufdd0\ufdd1\ufdd2"), max_size=6)
TEXT |= st.text('ab.?!。;/, "or', max_size=6)
CHOICES = st.lists(TEXT, min_size=1, max_size=30)


def texts(rows: list[tuple[str, list[str], int]]) -> Texts:
    """Return rows of prompt, choices and label in columns."""
    prompts, choices, labels = zip(*rows, strict=True)
    kind = pa.large_list(pa.large_string())
    return Texts(
        np.arange(len(rows)),
        pa.array(prompts, pa.large_string()),
        pa.array([own[label] for own, label in zip(choices, labels, strict=True)], pa.large_string()),
        pa.array(choices, kind),
        pa.array(labels, pa.int32()),
    )


def marker(kind: str | None, place: int) -> str:
    """Return a marker as a spreadsheet names its columns, or a number."""
    if kind is None or kind == "numbers":
        return str(place + 1) if kind else ""
    name = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        name = chr(65 + letter) + name
    return name if kind == "capitals" else name.lower()


def by_hand(choices: list[str], style: Style, words: Words) -> str:
    """Return the options as the description of a style says."""
    if style.marker is None and style.between != "\n":
        partings = [style.between, words.last] if style.or_last else [style.between]
        if any(part in choice for part in partings for choice in choices) or any(
            re.search(r"[.?!…。？！][\"'”’」』)]*\Z", choice) for choice in choices
        ):
            style = STYLES["lines"]
    text = {"options": words.options + "\n", "choices": words.choices + "\n", None: ""}[style.head]
    for place, choice in enumerate(choices):
        if place:
            text += words.last if style.or_last and place == len(choices) - 1 else style.between
        text += style.opening + marker(style.marker, place) + style.closing + choice
    return text


def test_there_is_a_golden_text_for_every_style() -> None:
    assert list(GOLDEN) == list(STYLES)
    assert len(GOLDEN) == 16


@pytest.mark.parametrize("name", GOLDEN)
def test_a_style_looks_like_its_golden_text_in_english_and_korean(name: str) -> None:
    rows = texts([("?", ["tea", "milk", "juice"], 1)])
    assert laid_out(rows, STYLES[name], WORDS["en"]).to_pylist() == [GOLDEN[name]]
    korean = GOLDEN[name]
    for english, said in KOREAN.items():
        korean = korean.replace(english, said)
    assert laid_out(rows, STYLES[name], WORDS["ko"]).to_pylist() == [korean]


@pytest.mark.parametrize("name", ["in_a_sentence", "with_semicolons", "with_slashes"])
@pytest.mark.parametrize(
    "choice",
    ["He left.", "Why?", "Stop!", "왜 갔나요？", "끝났다。", 'She said "no."', "tea; or / milk, or water"],
)
def test_sentences_and_choices_that_hold_what_parts_them_get_a_line_each(name: str, choice: str) -> None:
    rows = texts([("?", ["tea", choice], 1), ("?", ["tea", "milk"], 1)])
    crowded, calm = laid_out(rows, STYLES[name], WORDS["en"]).to_pylist()
    assert crowded == f"Choose one of these:\ntea\n{choice}"
    between = STYLES[name].between
    assert calm == GOLDEN[name].replace(", milk or juice", " or milk").removesuffix(f"{between}juice")


@CALM
@given(
    st.lists(CHOICES, min_size=1, max_size=5), st.sampled_from(sorted(STYLES)), st.sampled_from(sorted(WORDS))
)
def test_rows_with_different_numbers_of_choices_each_get_their_own(
    choices: list[list[str]], name: str, language: str
) -> None:
    style, words = STYLES[name], WORDS[language]
    rows = texts([(f"a{OPTIONS}b", own, 0) for own in choices])
    expected = [by_hand(own, style, words) for own in choices]
    assert laid_out(rows, style, words).to_pylist() == expected
    assert with_options(rows, style, words).inputs.to_pylist() == [f"a{block}b" for block in expected]


@pytest.mark.parametrize(
    ("place", "name"),
    [(25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA"), (799, "ADT")],
)
def test_letters_go_on_as_the_columns_of_a_spreadsheet(place: int, name: str) -> None:
    rows = texts([("?", [f"c{n}" for n in range(800)], place)])
    done = answered_by_marker(rows, STYLES["capitals_with_dot"])
    assert done.targets.to_pylist() == [name]
    assert (
        f"\n{name}. c{place}\n" in laid_out(rows, STYLES["capitals_with_dot"], WORDS["en"])[0].as_py() + "\n"
    )


@CALM
@given(st.lists(CHOICES, min_size=1, max_size=4), st.sampled_from(sorted(STYLES)), st.randoms())
def test_a_marker_that_answers_stands_before_the_right_choice(choices, name, random) -> None:
    style = STYLES[name]
    labels = [random.randrange(len(own)) for own in choices]
    rows = texts([("?", own, label) for own, label in zip(choices, labels, strict=True)])
    done = answered_by_marker(rows, style)
    assert done.labels.to_pylist() == labels
    if style.marker is None:
        assert done is rows
        return
    for own, label, target, markers in zip(
        choices, labels, done.targets.to_pylist(), done.choices.to_pylist(), strict=True
    ):
        assert markers == [marker(style.marker, place) for place in range(len(own))]
        assert markers[label] == target
        assert style.opening + target + style.closing + own[label] in by_hand(own, style, WORDS["en"])


@pytest.mark.parametrize(
    ("prompt", "hidden"),
    [
        (f"Which?\n{OPTIONS}\nAnswer:", "Which?\nAnswer:"),
        (f"{OPTIONS}\nWhich?", "Which?"),
        (f"Which?\n{OPTIONS}", "Which?"),
        (f"Which?\n  {OPTIONS} \nAnswer:", "Which?\nAnswer:"),
        (f"Which?\r\n{OPTIONS}\r\nAnswer:", "Which?\r\nAnswer:"),
        (f"Which?\n\n{OPTIONS}\n\nAnswer:", "Which?\n\nAnswer:"),
        (f"Which?\n{OPTIONS}\n\nAnswer:", "Which?\n\nAnswer:"),
        (f"Is it {OPTIONS} here?", "Is it  here?"),
        (f"Which?\n{OPTIONS} Say it.", "Which?\n Say it."),
        (f"Which?\n{OPTIONS}\nOnce more:\n{OPTIONS}\nAnswer:", "Which?\nOnce more:\nAnswer:"),
        ("Which?\nAnswer:", "Which?\nAnswer:"),
    ],
)
def test_hidden_options_take_their_line_with_them_and_nothing_else(prompt: str, hidden: str) -> None:
    assert without_options(texts([(prompt, ["a", "b"], 0)])).inputs.to_pylist() == [hidden]


@CALM
@given(st.lists(st.text(f"a \n\r\t{OPTIONS}", max_size=12), min_size=1, max_size=4))
def test_hiding_options_in_columns_is_what_it_is_in_one_text(prompts: list[str]) -> None:
    done = without_options(texts([(prompt, ["a"], 0) for prompt in prompts])).inputs.to_pylist()
    assert done == [plain(prompt).strip() for prompt in prompts]
    assert not any(OPTIONS in prompt for prompt in done)


def test_a_prompt_has_its_options_at_every_place_that_the_template_marked() -> None:
    rows = texts([(f"{OPTIONS} and {OPTIONS}", ["a", "b"], 0), ("none", ["a", "b"], 1)])
    done = with_options(rows, STYLES["with_slashes"], WORDS["en"])
    assert done.inputs.to_pylist() == ["a / b and a / b", "none"]
    assert replace(done, inputs=rows.inputs) == rows
