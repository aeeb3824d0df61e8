"""Chain of thought: where the answer stands in a target, and reasoning that contradicts its answer."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.compose.reasoning import mismatched, phrases, reasoned
from instructify.compose.texts import Texts
from instructify.compose.words import WORDS, words_of

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
    assert done.texts.targets.to_pylist() == ["둘에 둘을 더한다. 따라서 답은 4입니다."]
    assert words_of("fr") is words_of("en-GB") is WORDS["en"]


def test_an_answer_that_ends_its_sentence_gets_no_second_full_stop() -> None:
    done = reasoned(texts([("It rains.", "She stays in."), ("It rains", "in")]), "before", 0, WORDS["en"])
    assert done.texts.targets.to_pylist() == [
        "It rains. So the answer is She stays in.",
        "It rains. So the answer is in.",
    ]


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
