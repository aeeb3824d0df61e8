"""Metrics agree with their definitions, in English and Korean, and are numbers from 0 to 1."""

import doctest
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify import metrics
from instructify.metrics import (
    METRICS,
    cot_answer_accuracy,
    exact_match,
    rouge_l,
    squad_words,
    stated_answer,
    token_f1,
)

vocabulary = st.sampled_from("the cat sat on a mat 나는 학교에 간다 3.5 x-y".split())
words = st.lists(vocabulary, max_size=9).map(" ".join)


def slow_common(left, right):
    """Return the longest common subsequence by the textbook table."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@pytest.mark.parametrize("name", METRICS)
@given(prediction=st.text(max_size=30) | words, target=st.text(max_size=30) | words)
def test_every_metric_is_a_share_and_full_marks_for_the_target_itself(name, prediction, target):
    assert 0 <= METRICS[name](prediction, target) <= 1
    if name != "rouge_l" and name != "cot_answer_accuracy":
        assert METRICS[name](target, target) == 1


@settings(max_examples=300)
@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(left, right):
    whole = len(left) + len(right)
    expected = 2 * slow_common(left, right) / whole if left and right else 0
    assert rouge_l(" ".join(left), " ".join(right)) == pytest.approx(expected)


def test_rouge_l_reads_korean_and_agrees_with_the_known_value_of_english():
    assert rouge_l("나는 학교에 간다", "나는 집에 간다") == pytest.approx(2 / 3)
    # rouge-score 0.1.2, rougeL without stemming
    assert rouge_l("the cat sat on the mat", "the cat lay on a mat") == pytest.approx(0.6666666666666666)


@pytest.mark.parametrize(
    ("prediction", "target", "exact", "f1"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1, 1),
        ("a quick fox", "quick brown fox", 0, 0.8),
        ("서울", "서울.", 1, 1),
        ("“서울”", "서울", 1, 1),
        ("+", "-", 0, 0),
        ("+", "+", 1, 1),
        ("the", "a", 0, 0),
        ("", "x", 0, 0),
        ("cat cat", "cat", 0, 2 / 3),
    ],
)
def test_exact_match_and_token_f1_normalise_as_squad_does(prediction, target, exact, f1):
    assert METRICS["exact_match"](prediction, target) == exact
    assert token_f1(prediction, target) == pytest.approx(f1)


def by_definition(text):
    """Return the words of SQuAD's normalisation: lower case, no ASCII punctuation, no articles."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


plain = st.lists(
    st.sampled_from("The a an A cat Cat's (cat) x-ray x-1 3 42, 'U.S.' $ & , no.".split()), max_size=6
)


@given(plain.map(" ".join))
def test_words_are_those_of_squad_where_no_sign_makes_a_number(text):
    expected = by_definition(text)
    assert squad_words(text) == expected or (not expected and set(squad_words(text)) <= {"a", "an", "the"})


@pytest.mark.parametrize(
    "texts",
    [
        ("A", "(A)", "a."),
        ("1,000", "1000", "$1,000.00", "+1000"),
        ("-5", "−5", "-5.0", "(-5)", "-$5"),
        (".5", "0.5", "0.50"),
        ("10-9", "10–9"),
        ("1,2,3", "1, 2, 3"),
        ("1,000원", "1000원"),
        ("F-16", "F16"),
        ("at 2:30!", "At 2:30"),
    ],
)
def test_an_answer_written_in_other_ways_matches_exactly(texts):
    assert [exact_match(text, other) for text in texts for other in texts] == [1] * len(texts) ** 2


@pytest.mark.parametrize(
    "texts",
    [
        ("A", "B", "the", "", "A cat"),
        ("3/4", "34", "3.4", "3:4", "3-4", "3~4", "3*4", "3+4", "3=4"),
        ("5", "-5", "<5", ">5", ".5", "-.5", "05", "5/5"),
        ("x1", "x+1", "x*1", "x^1", "x=1"),
        ("3,4", "34", "3.4"),
        ("1,0000", "10000", "1.0000.0"),
        ("9" * 40, "9" * 39 + "8"),
    ],
)
def test_answers_that_differ_in_a_sign_do_not_match(texts):
    equal = [(a, b) for a in texts for b in texts if exact_match(a, b)]
    assert equal == [(text, text) for text in texts]


def test_the_examples_of_the_docstrings_hold():
    assert doctest.testmod(metrics) == doctest.TestResults(failed=0, attempted=1)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("6 * 3 = 18. The answer is 18.", "18"),
        ("First the answer is 4. No: the answer is 5", "5"),
        ("so\n#### 1,234", "1,234"),
        ("셋에 둘을 더하면 다섯. 정답은 5입니다.", "5"),
        ("답: 서울이다.", "서울"),
        ("the answer is (b)\nand more", "(b)"),
        ("just 42", "just 42"),
        ("the answer is", ""),
    ],
)
def test_the_stated_answer_is_what_follows_the_last_statement(text, answer):
    assert stated_answer(text) == answer


@pytest.mark.parametrize(
    ("prediction", "target", "right"),
    [
        ("The answer is $18.00 dollars. Next question", "#### 18", True),
        ("The answer is 1234", "The answer is 1,234.", True),
        ("정답은 42개입니다.", "답: 42", True),
        ("the answer is −3", "The answer is -3", True),
        ("42", "The answer is 42", True),
        ("The answer is 5 or 6", "5", False),
        ("The answer is 18.5", "18", False),
        ("The answer is 5", "The answer is 50%", False),
        ("The answer is yes. Because it is", "The answer is Yes", True),
        ("The answer is Dr. Jones.", "The answer is Dr. Smith.", False),
        ("The answer is Dr. Smith.", "The answer is Dr. Smith.", True),
        ("", "The answer is 5", False),
        ("The answer is (A).", "The answer is A.", True),
        ("The answer is B.", "The answer is A.", False),
        ("The answer is not 5.", "The answer is 5", False),
        ("The answer isn't 5.", "5", False),
        ("The answer is more than 5", "5", False),
        ("정답은 5가 아닙니다.", "답: 5", False),
        ("The answer is 5, not counting the dog.", "5", True),
        ("Not hard: 5", "5", True),
        ("The answer is 1e5", "1", False),
        ("The answer is 1e5", "100,000", True),
        ("The answer is 1e" + "9" * 40, "1", False),
        ("The answer is 1,5", "1", False),
        ("The answer is 1.2.3", "1.2", False),
        ("The answer is 3/4.", "3/4", True),
        ("The answer is 3/4.", "34", False),
    ],
)
def test_chains_of_thought_are_right_when_they_come_to_the_same_answer(prediction, target, right):
    assert cot_answer_accuracy(prediction, target) == right
