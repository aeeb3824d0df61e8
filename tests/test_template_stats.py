"""What `templates stats` measures: the form of prompts, how much templates repeat, what a library covers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_kit import succeed, template
from instructify.templates import Template, open_library
from instructify.templates.library import builtin_root
from instructify.templates.stats import by_author, by_cluster, template_stats
from instructify.templates.wording import form_of, self_bleu, static_prompt


def made(body: str, dataset: str = "d", **fields: Any) -> Template:
    return Template(dataset=dataset, name=body[:40], dialect="strict", body=body, **fields)


def form(prompt: str, language: str = "en") -> str:
    one = made(f"{prompt} ||| x", languages=(language,))
    return form_of(one, static_prompt(one))


# questions, instructions, statements


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("{{ text }} Is that so?", "question"),
        ("Answer with one word. What is it? {{ text }}", "question"),
        ("Summarise this. {{ text }}", "instruction"),
        ("{{ text }}\nNow, please summarise this in a sentence.", "instruction"),
        ("{{ text }}\nPlease write a title for it", "instruction"),
        ("From the notes, write a text: {{ text }}", "instruction"),
        ("Classify {{ text }}", "instruction"),
        ('"{{ text }}" Decide', "instruction"),
        ("- Choose one", "instruction"),
        ("Question: {{ text }} Answer:", "statement"),
        ("{{ text }} Answer ({{ choices }}):", "statement"),
        ("Text: {{ text }}\nSummary:", "statement"),
        ("{{ text }} It follows that", "statement"),
        ("The answer to {{ text }} is", "statement"),
        ("{{ 'Is it?' }} {{ text }}", "statement"),
        ("{{ text }}", "statement"),
    ],
)
def test_the_form_of_an_english_prompt(prompt: str, expected: str) -> None:
    assert form(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("{{ text }} 이 말이 맞습니까?", "question"),
        ("다음 글을 요약하세요. {{ text }}", "instruction"),
        ("{{ text }}\n한 문장으로 쓰시오.", "instruction"),
        ("감정을 분류해 줘: {{ text }}", "instruction"),
        ("숫자로만 답하라. {{ text }}", "instruction"),
        ("제목 고르기\n{{ text }}", "instruction"),
        ("글: {{ text }} 요약:", "statement"),
        ("{{ text }} 이 평은 긍정이다.", "statement"),
    ],
)
def test_the_form_of_a_korean_prompt(prompt: str, expected: str) -> None:
    assert form(prompt, "ko") == expected


# self-BLEU


def test_self_bleu_of_a_worked_example() -> None:
    texts = [text.split() for text in ("is it so", "is it not so", "why")]
    one = math.sqrt((3 / 3) * (1 / 2)) * math.exp(1 - 4 / 3)
    other = math.sqrt((3 / 4) * (1 / 3))
    assert self_bleu(texts) == pytest.approx([one, other])


def test_words_are_counted_at_most_as_often_as_in_one_other_text() -> None:
    (first, _) = self_bleu(["the the the the".split(), "the the cat".split()])
    assert first == pytest.approx(math.sqrt((2 / 4) * (1 / 3)))
    (first, *_) = self_bleu(["a b b".split(), "a b".split(), "b c".split()])
    assert first == pytest.approx(math.sqrt((2 / 3) * (1 / 2)))


def test_brevity_is_that_against_the_text_nearest_in_length() -> None:
    (first, *_) = self_bleu(["a b c d".split(), "a b".split(), "a b c d e".split()])
    assert first == pytest.approx(math.exp(1 - 5 / 4))


def test_texts_of_one_word_are_left_out_and_alone_there_is_nothing_to_repeat() -> None:
    assert self_bleu([["a"], ["b"], ["a"]]) == []
    assert self_bleu([["a", "b"]]) == []
    assert self_bleu([]) == []


words = st.lists(st.sampled_from("a b c d".split()), min_size=2, max_size=9)


@given(st.lists(words, min_size=2, max_size=6))
def test_self_bleu_lies_between_0_and_1_in_any_order(texts: list[list[str]]) -> None:
    scores = self_bleu(texts)
    assert all(0 <= score <= 1 + 1e-12 for score in scores)
    assert self_bleu(texts[::-1]) == pytest.approx(scores[::-1])


@given(words, st.lists(words, max_size=4))
def test_a_copy_has_self_bleu_1_and_a_stranger_0(text: list[str], others: list[list[str]]) -> None:
    assert self_bleu([text, text, *others])[:2] == pytest.approx([1.0, 1.0])
    strange = [word.upper() for word in text]
    assert self_bleu([strange, text, *others])[0] == 0


# sums


def test_self_bleu_looks_at_templates_of_the_same_dataset_only() -> None:
    same = ["One two three {{ x }} ||| y", "One two three {{ y }} ||| y"]
    assert template_stats([made(body) for body in same]).self_bleu == pytest.approx(1.0)
    apart = [made(body, dataset) for body, dataset in zip(same, "de", strict=True)]
    assert template_stats(apart).self_bleu is None


def test_the_numbers_of_known_templates() -> None:
    found = template_stats(
        [
            made("What is it? {{ x }}\n{{ answer_choices | options }} ||| y", choices=("y", "n")),
            made("Summarise it: {{ x }} ||| y", rationale="{{ why }}"),
            made("{{ x }} ||| y"),
        ]
    )
    assert (found.question, found.instruction, found.statement) == (1, 1, 1)
    assert (found.options_blocks, found.rationales, found.with_choices) == (1, 1, 1)
    assert (found.shortest, found.prompt_characters, found.longest) == (0, 11, 13)


def test_coverage_adds_up_by_cluster_and_by_author() -> None:
    library = {
        "a": [made("x ||| y", "a", author="one"), made("z ||| y", "a", author="two", kind="inverted")],
        "b": [made("x ||| y", "b", author="one", rationale="r", languages=("ko",))],
        "c": [made("x ||| y", "c")],
    }
    clusters = by_cluster(library, {"a": "nli", "b": "nli"})
    assert list(clusters) == ["", "nli"]
    nli = clusters["nli"]
    assert (nli.datasets, nli.templates, nli.task, nli.inverted, nli.rationales) == (2, 3, 2, 1, 1)
    assert (nli.least, nli.most, nli.languages) == (1, 2, ("en", "ko"))
    authors = by_author(library)
    assert {name: (one.datasets, one.templates) for name, one in authors.items()} == {
        "": (1, 1),
        "one": (2, 2),
        "two": (1, 1),
    }
    for covered in (clusters, authors):
        assert sum(one.templates for one in covered.values()) == 4


def test_the_built_in_library_is_varied_and_covered() -> None:
    library = open_library(["builtin"], Path())
    found = {name: library.templates(name) for name in library.datasets()}
    by_dataset = {name: template_stats(templates) for name, templates in found.items()}
    total = template_stats([template for templates in found.values() for template in templates])
    assert total.templates == len(list(builtin_root().rglob("*.jinja"))) >= 320
    assert total.question + total.instruction + total.statement == total.templates
    assert min(total.question, total.instruction, total.statement) > total.templates / 10
    assert {name for name, one in by_dataset.items() if (one.self_bleu or 0) > 0.6} == set()
    assert "" not in by_cluster(found, {name: library.task_info(name).cluster or "" for name in found})


# the command


@pytest.fixture
def own(tmp_path: Path) -> Path:
    template(tmp_path / "own/d", "one", "Is it so? {{ x }} ||| y", answer_choices=["y", "n"], author="me")
    template(tmp_path / "own/d", "two", "Is it so, {{ x }} ||| y", kind="inverted", author="me")
    template(tmp_path / "own/e", "one", "Write it down. {{ x }} ||| y", languages=["ko"])
    (tmp_path / "own/d/task.yaml").write_text("dataset: d\ncluster: nli\n", "utf-8")
    return tmp_path / "own"


def test_the_command_gives_every_number_as_json(own: Path) -> None:
    found = json.loads(succeed("templates", "stats", "--from", own, "--json"))
    assert set(found) == {"datasets", "clusters", "authors", "total"}
    assert set(found["clusters"]) == {"nli", ""}
    assert found["clusters"]["nli"]["templates"] == 2
    assert found["authors"]["me"]["datasets"] == 1
    assert found["datasets"]["d"]["self_bleu"] == pytest.approx(1.0)
    assert found["total"]["clusters"] == ["nli"]
    assert found["total"]["templates"] == sum(one["templates"] for one in found["datasets"].values()) == 3


def test_the_command_shows_datasets_clusters_and_authors(own: Path) -> None:
    lines = [" ".join(line.split()) for line in succeed("templates", "stats", "--from", own).splitlines()]
    for line in (
        "d 2 1 en 1/0/1 1/0/0 9-9-9 0.50 1.00",
        "nli 1 2 2 1 0 en",
        "(no task cluster) 1 1 1 0 0 ko",
        "me 1 2 2 1 0 en",
        "(no author) 1 1 1 0 0 ko",
        "3 templates for 2 datasets, 1 task cluster: 2 task, 1 inverted",
    ):
        assert line in lines
