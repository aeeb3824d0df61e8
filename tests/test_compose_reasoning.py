"""Chain of thought: where the answer stands in a target, and reasoning that contradicts its answer."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN
from instructify.compose.reasoning import mismatched, phrases, reasoned
from instructify.compose.texts import Texts
from instructify.compose.words import WORDS, words_of
from instructify.compose.words import phrases as language_texts

CALM = settings(max_examples=100, deadline=None)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ORDERS: tuple[Any, ...] = ("before", "after")


def texts(pairs: list[tuple[str, str]]) -> Texts:
    """Return rows of rationale and answer in columns."""
    rationales, answers = zip(*pairs, strict=True)
    prompts = pa.array([f"q{n}" for n in range(len(pairs))], pa.large_string())
    column = pa.array(answers, pa.large_string())
    return Texts(np.arange(len(pairs)), prompts, column, rationales=pa.array(rationales, pa.large_string()))


@CALM
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4),
    st.sampled_from(ORDERS),
    st.integers(0, 5),
    st.sampled_from(sorted(WORDS)),
)
def test_the_span_of_every_target_is_its_answer(pairs, order, phrase, language) -> None:
    words = WORDS[language]
    done = reasoned(texts(pairs), order, phrase, words)
    forms, requests = phrases(order, words)
    form, request = forms[phrase % len(forms)], requests[phrase % len(requests)]
    for number, (rationale, answer) in enumerate(pairs):
        target, start, stop = (
            column[number].as_py() for column in (done.texts.targets, done.starts, done.stops)
        )
        assert target[start:stop] == answer
        assert rationale in target
        assert (target.index(rationale) < start) == (order == "before") or rationale in answer + form
        assert done.texts.inputs[number].as_py() == f"q{number}\n{request}"


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("order", ORDERS)
def test_there_are_several_phrasings_and_each_has_its_own_text(language: str, order: Any) -> None:
    words = words_of(language)
    forms, requests = phrases(order, words)
    rows = texts([("Two and two", "four")])
    targets = [reasoned(rows, order, n, words).texts.targets[0].as_py() for n in range(len(forms))]
    expected = [form.replace("{rationale}", "Two and two.").replace("{answer}", "four") for form in forms]
    assert targets == expected
    assert len(set(forms)) == len(forms) >= 2
    assert len(set(requests)) == len(requests) >= 2


def test_korean_templates_reason_in_korean_and_unknown_languages_in_english() -> None:
    done = reasoned(texts([("둘에 둘을 더한다.", "4")]), "before", 0, words_of("ko"))
    assert done.texts.targets.to_pylist() == ["둘에 둘을 더한다. 따라서 답: 4"]
    assert words_of("fr") is words_of("en-GB") is WORDS["en"]


def test_an_answer_that_ends_its_sentence_gets_no_second_full_stop() -> None:
    done = reasoned(texts([("It rains.", "She stays in."), ("It rains", "in")]), "before", 0, WORDS["en"])
    assert done.texts.targets.to_pylist() == [
        "It rains.\nAnswer: She stays in.",
        "It rains. So the answer is in.",
    ]


@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("answer", ["She stays in.", "Does she?", 'He said "go!"', "그는 간다."])
def test_an_answer_that_is_a_sentence_begins_the_target_or_follows_a_colon(language, order, answer) -> None:
    forms, _ = phrases(order, WORDS[language])
    for phrase in range(len(forms)):
        done = reasoned(texts([("It rains", answer), ("It rains", "in")]), order, phrase, WORDS[language])
        target, start, stop = (column[0].as_py() for column in (done.texts.targets, done.starts, done.stops))
        assert target[start:stop] == answer
        assert not target[:start] or target[:start].endswith(": ")
        assert not target[stop:].startswith(".")
        plain = forms[phrase].replace("{rationale}", "It rains.").replace("{answer}", "in")
        assert done.texts.targets[1].as_py() == plain


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("It rains.\nVerdict:", "It rains.\nREQUEST\nVerdict:"),
        ("two\nlines\n3 + 4 =", "two\nlines\nREQUEST\n3 + 4 ="),
        ("3 + 4 =", "REQUEST\n3 + 4 ="),
        ("맞나요?\n\n답：", "맞나요?\n\nREQUEST\n답："),
        ("Answer: now.", "Answer: now.\nREQUEST"),
        ("One:\ntwo", "One:\ntwo\nREQUEST"),
        (f"{FIT_OPEN}long\ntext{FIT_CLOSE}\nSo {FIT_OPEN}x{FIT_CLOSE}:", None),
        (f"{FIT_OPEN}long\ntext{FIT_CLOSE} is:", f"{FIT_OPEN}long\ntext{FIT_CLOSE} is:\nREQUEST"),
    ],
)
def test_a_request_stands_before_the_cue_of_the_answer_and_in_no_text_that_may_be_cut(prompt, asked) -> None:
    rows = texts([("a", "b")] * 2)
    rows = replace(rows, inputs=pa.array(["other", prompt], pa.large_string()))
    words = replace(WORDS["en"], asking_before=("REQUEST",))
    made = reasoned(rows, "before", 0, words).texts.inputs.to_pylist()
    assert made == ["other\nREQUEST", asked or "\nREQUEST\n".join(prompt.rsplit("\n", 1))]


def test_korean_words_of_compositions_end_in_no_verb_and_so_have_no_level_of_speech() -> None:
    seen = 0
    for text in language_texts("ko"):
        seen += 1
        assert not re.search(r"(요|다|오|까|라|가|해|니|세)[.?!:]?$", text.strip()), text
    assert seen > 20


@pytest.mark.parametrize(
    ("rationale", "answer", "contradicts"),
    [
        ("6 times 7 is 42. The answer is 42.", "42", False),
        ("6 times 7 is 42. The answer is 41.", "42", True),
        ("So the answer is 1,000.00 dollars.", "1000", False),
        ("So the answer is $1,000.", "1000", False),
        ("So the answer is 10.50.", "10.5", False),
        ("So the answer is 10.05.", "10.5", True),
        ("#### -3", "-3", False),
        ("#### 3", "-3", True),
        ("The first answer is wrong, and so the answer is yes.", "yes", False),
        ("Cats purr. The answer is no.", "Yes", True),
        ("Cats purr. Answer: YES", "yes", False),
        ("Nobody knows the counteranswer is near.", "yes", False),
        ("An answer to that is hard; cats purr.", "yes", False),
        ("It is 5, clearly.", "7", False),
        ("여섯에 일곱을 곱한다. 답은 42입니다.", "42", False),
        ("여섯에 일곱을 곱한다. 답은 41입니다.", "42", True),
        ("여섯에 일곱을 곱한다. 정답: 41", "42", True),
        ("여섯에 일곱을 곱한다. 정답：41", "42", True),
        ("The answer is\u00a041.", "42", True),
        ("The answer is\u00a042.", "42", False),
    ],
)
def test_reasoning_that_states_an_answer_must_state_the_target(rationale, answer, contradicts) -> None:
    for form in ("NFC", "NFD"):
        row = texts([("no answer here", "x"), (unicodedata.normalize(form, rationale), answer)])
        assert mismatched(row).tolist() == [False, contradicts]
