"""Numbers about collections of templates: how many, of which kinds, how long and how varied their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from instructify.templates.model import Template
from instructify.templates.wording import bigrams, form_of, self_bleu, static_prompt, words_of

NO_CLUSTER = ""
"""Name of the cluster of datasets that have none."""


@dataclass(frozen=True, slots=True)
class TemplateStats:
    """Numbers about some templates.

    `question`, `instruction` and `statement` count prompts by the form of their own words (see `form_of`).
    `options_blocks` are templates that lay the choices out with the filter options, `rationales` those with
    a rationale. `prompt_characters`, `shortest` and `longest` are the median, least and greatest length of
    the static text of a prompt. `distinct_2` is the number of different pairs of neighbouring words in all
    static texts, divided by the number of pairs (Li et al. 2016, "A Diversity-Promoting Objective Function
    for Neural Conversation Models", section 5); None where there is no pair. `self_bleu` is the mean over
    templates of `self_bleu` among those of the same dataset; None where no dataset has two with words.
    """

    templates: int
    task: int
    inverted: int
    languages: tuple[str, ...]
    question: int
    instruction: int
    statement: int
    with_choices: int
    choices_in_prompt: int
    options_blocks: int
    rationales: int
    prompt_characters: float
    shortest: int
    longest: int
    distinct_2: float | None
    self_bleu: float | None
    authors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of a library belongs to one task cluster, or to one author; `most` and `least` are by dataset."""

    datasets: int
    templates: int
    task: int
    inverted: int
    rationales: int
    languages: tuple[str, ...]
    least: int
    most: int


def template_stats(templates: Sequence[Template]) -> TemplateStats:
    """Return the numbers about one or more templates; raises InstructifyError for text that is not Jinja."""
    texts = [static_prompt(template) for template in templates]
    pairs = [pair for pieces in texts for pair in bigrams(pieces)]
    forms = [form_of(template, pieces) for template, pieces in zip(templates, texts, strict=True)]
    lengths = [len("".join(pieces).strip()) for pieces in texts]
    inverted = sum(template.kind == "inverted" for template in templates)
    return TemplateStats(
        templates=len(templates),
        task=len(templates) - inverted,
        inverted=inverted,
        languages=_languages(templates),
        question=forms.count("question"),
        instruction=forms.count("instruction"),
        statement=forms.count("statement"),
        with_choices=sum(template.choices is not None for template in templates),
        choices_in_prompt=sum(template.choices_in_prompt is True for template in templates),
        options_blocks=sum(template.options_marks > 0 for template in templates),
        rationales=sum(template.rationale is not None for template in templates),
        prompt_characters=float(median(lengths)),
        shortest=min(lengths),
        longest=max(lengths),
        distinct_2=len(set(pairs)) / len(pairs) if pairs else None,
        self_bleu=_self_bleu(templates, texts),
        authors=tuple(sorted({template.author for template in templates if template.author})),
    )


def by_cluster(library: Mapping[str, Sequence[Template]], clusters: Mapping[str, str]) -> dict[str, Coverage]:
    """Return what there is of every task cluster, by name; `clusters` names that of a dataset."""
    members: dict[str, list[Sequence[Template]]] = {}
    for dataset, templates in library.items():
        members.setdefault(clusters.get(dataset, NO_CLUSTER), []).append(templates)
    return {name: _coverage(members[name]) for name in sorted(members)}


def by_author(library: Mapping[str, Sequence[Template]]) -> dict[str, Coverage]:
    """Return what there is by every author, by name; templates that name none are under the empty name."""
    authors = sorted({template.author for templates in library.values() for template in templates})
    own = {
        author: [[one for one in templates if one.author == author] for templates in library.values()]
        for author in authors
    }
    return {author: _coverage([found for found in datasets if found]) for author, datasets in own.items()}


def _coverage(datasets: Sequence[Sequence[Template]]) -> Coverage:
    every = [template for templates in datasets for template in templates]
    inverted = sum(template.kind == "inverted" for template in every)
    return Coverage(
        datasets=len(datasets),
        templates=len(every),
        task=len(every) - inverted,
        inverted=inverted,
        rationales=sum(template.rationale is not None for template in every),
        languages=_languages(every),
        least=min(map(len, datasets)),
        most=max(map(len, datasets)),
    )


def _languages(templates: Iterable[Template]) -> tuple[str, ...]:
    return tuple(sorted({language for template in templates for language in template.languages}))


def _self_bleu(templates: Sequence[Template], texts: Sequence[Sequence[str]]) -> float | None:
    """Return the mean over all templates of their self-BLEU within their dataset."""
    datasets: dict[str, list[list[str]]] = {}
    for template, pieces in zip(templates, texts, strict=True):
        datasets.setdefault(template.dataset, []).append(words_of(pieces))
    scores = [score for words in datasets.values() for score in self_bleu(words)]
    return fmean(scores) if scores else None
