"""The few words that compositions put around a template's own, in each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from itertools import chain
from string import Formatter


@dataclass(frozen=True, slots=True)
class Words:
    """Words of one language for options, exemplars and reasoning.

    In `before` and `after`, {rationale} and {answer} are filled in. Each has a form with the
    answer first or after a colon, where it may be a sentence. The Korean words have no level of speech, since
    they stand beside templates of every level.
    """

    options: str
    choices: str
    last: str
    """What stands before the last of several choices in a sentence."""
    question: str
    answer: str
    given: str
    gives: str
    task: str
    solution: str
    example: str
    turn: str
    """Said before the query, after exemplars that are numbered."""
    asking_before: tuple[str, ...]
    """Asks for reasoning, then the answer."""
    asking_after: tuple[str, ...]
    """Asks for the answer, then reasoning."""
    before: tuple[str, ...]
    """Targets that reason, then answer."""
    after: tuple[str, ...]
    """Targets that answer, then reason."""


WORDS: Mapping[str, Words] = {
    "en": Words(
        options="Options:",
        choices="Choose one of these:",
        last=" or ",
        question="Question",
        answer="Answer",
        given="Input",
        gives="Output",
        task="Problem",
        solution="Solution",
        example="Example",
        turn="Your turn",
        asking_before=(
            "Reason first, then give the answer.",
            "Show how you get to the answer.",
            "Work it out one step at a time.",
            "Explain your thinking, and then answer.",
        ),
        asking_after=(
            "Answer first, then say why.",
            "Give the answer and the reason for it.",
            "Answer, and explain your answer.",
        ),
        before=(
            "{rationale} So the answer is {answer}.",
            "{rationale} Therefore the answer is {answer}.",
            "{rationale}\nAnswer: {answer}",
            "{rationale} The final answer: {answer}",
        ),
        after=(
            "{answer}\nReason: {rationale}",
            "The answer is {answer}. {rationale}",
            "Answer: {answer}. Explanation: {rationale}",
        ),
    ),
    "ko": Words(
        options="보기:",
        choices="다음 중 하나:",
        last=" 또는 ",
        question="질문",
        answer="답",
        given="입력",
        gives="출력",
        task="문제",
        solution="풀이",
        example="예시",
        turn="이번 문제",
        asking_before=(
            "풀이를 먼저, 답은 그다음에.",
            "답에 이르는 과정과 답을 함께.",
            "한 단계씩 차근차근, 답은 맨 끝에.",
        ),
        asking_after=(
            "답을 먼저, 이유는 그다음에.",
            "답과 그 근거를 함께.",
        ),
        before=(
            "{rationale} 따라서 답: {answer}",
            "{rationale}\n답: {answer}",
            "{rationale} 그러므로 정답: {answer}",
        ),
        after=(
            "{answer}\n이유: {rationale}",
            "답: {answer}. {rationale}",
        ),
    ),
}
"""Words by language tag; a language that is not here takes the English ones."""


def words_of(language: str) -> Words:
    """Return the words of a language, or the English ones."""
    return WORDS.get(language.split("-")[0], WORDS["en"])


def phrases(language: str) -> tuple[str, ...]:
    """Return every text that a composition may add in a language, in the pieces between what is filled in."""
    texts = chain.from_iterable(
        (text,) if isinstance(text, str) else text for text in astuple(words_of(language))
    )
    return tuple(piece for text in texts for piece, *_ in Formatter().parse(text) if piece.strip())
