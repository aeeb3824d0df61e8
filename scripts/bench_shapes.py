"""Rows and templates that the benches share: three shapes of data, nine templates of promptsource."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from instructify.templates import Template
from instructify.templates.library import Collection
from instructify.templates.promptsource import installed_root

Row = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A kind of data: the promptsource dataset whose columns it has, and how to make a row."""

    dataset: str
    templates: tuple[str, ...]
    """Five templates for whole builds."""
    row: Callable[[Words], Row]


class Words:
    """Seeded text with word frequencies like those of language; one word in two hundred is not ASCII."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = ["".join(self.rng.choices(letters, k=self.rng.randint(2, 9))) for _ in range(5_000)]
        self._words += ["naïve", "café"] * 12

    def text(self, length: int) -> str:
        """Return text of about this many characters."""
        found: list[str] = []
        size = 0
        while size < length:
            place = min(int(self.rng.paretovariate(0.6)) - 1, len(self._words) - 1)
            found.append(self._words[place])
            size += len(found[-1]) + 1
        return " ".join(found)


def _nli(words: Words) -> Row:
    label = words.rng.randrange(3) if words.rng.random() > 0.01 else -1
    return {"premise": words.text(120), "hypothesis": words.text(60), "label": label}


def _two_way(words: Words) -> Row:
    row = _nli(words)
    return {**row, "label": min(row["label"], 1)}


def _qa(words: Words) -> Row:
    return {
        "context": words.text(900),
        "question": words.text(50),
        "answers": {"text": [words.text(12) for _ in range(words.rng.randint(1, 3))], "answer_start": [1]},
    }


def _situation(words: Words) -> Row:
    row = _qa(words)
    return {"background": row["context"], "situation": words.text(60), **row}


def _marked(words: Words) -> Row:
    return {**_qa(words), "metadata": {"split": "train"}}


def _four_choices(words: Words) -> Row:
    answers = {f"answer{n}": words.text(25) for n in range(4)}
    context = {"context": words.text(250), "question": words.text(50)}
    return {**context, **answers, "label": words.rng.randrange(4)}


def _lettered(words: Words) -> Row:
    choices = {"label": ["A", "B", "C", "D"], "text": [words.text(25) for _ in range(4)]}
    return {"question": words.text(250), "choices": choices, "answerKey": words.rng.choice("ABCD")}


def _options(words: Words) -> Row:
    options = [f"{letter}){words.text(15)}" for letter in "ABCDE"]
    return {"question": words.text(250), "options": options, "correct": "A", "rationale": words.text(50)}


NINE: Mapping[str, tuple[str, str, Callable[[Words], Row]]] = {
    "NLI plain": ("anli", "MNLI crowdsource", _nli),
    "NLI if": ("super_glue/rte", "does it follow that", _two_way),
    "NLI constants": ("anli", "always/sometimes/never", _nli),
    "QA index": ("squad", "jeopardy", _qa),
    "QA if, choice": ("adversarial_qa/dbert", "based_on", _marked),
    "QA choice": ("ropes", "given_background_situation", _situation),
    "choices join": ("cosmos_qa", "context_description_question_answer_text", _four_choices),
    "choices zip loop": ("commonsense_qa", "question_to_answer_index", _lettered),
    "choices range loop": ("aqua_rat/raw", "Answer questions from options", _options),
}
"""Name -> promptsource dataset, template, rows: plain, if, index, join, loop and choice are all there."""

SHAPES: Mapping[str, Shape] = {
    "NLI": Shape(
        "anli",
        ("GPT-3 style", "MNLI crowdsource", "always/sometimes/never", "can we infer", "should assume"),
        _nli,
    ),
    "QA": Shape(
        "squad",
        (
            "answer_given_context_and_question",
            "answer_question_given_context",
            "answer_the_question",
            "given_context_answer_question_variation",
            "jeopardy",
        ),
        _qa,
    ),
    "four choices": Shape(
        "cosmos_qa",
        (
            "context_answer_to_question",
            "context_description_question_answer_id",
            "context_description_question_answer_text",
            "context_description_question_text",
            "no_prompt_text",
        ),
        _four_choices,
    ),
}


def table(make: Callable[[Words], Row], rows: int, seed: int = 3) -> pa.Table:
    """Return a table of made rows."""
    words = Words(seed)
    return pa.Table.from_pylist([make(words) for _ in range(rows)])


def templates(dataset: str) -> dict[str, Template]:
    """Return promptsource's templates of a dataset by name; exits where promptsource is not installed."""
    root = installed_root()
    if root is None:
        raise SystemExit("promptsource is not installed: instructify templates add promptsource")
    return {t.name: t for t in Collection("promptsource", root).templates(dataset, truncate=False)}
