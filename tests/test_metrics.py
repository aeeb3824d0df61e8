"""Metrics agree with their definitions, in English and Korean, and are numbers from 0 to 1."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.metrics import METRICS, cot_answer_accuracy, rouge_l, stated_answer, token_f1

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
    ],
)
def test_chains_of_thought_are_right_when_they_come_to_the_same_answer(prediction, target, right):
    assert cot_answer_accuracy(prediction, target) == right
