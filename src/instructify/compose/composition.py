"""Composition: rendered rows become examples of one variant.

Everything that is drawn (style of options, phrases, exemplars, layout) is drawn by the row's key. Rows that
drew the same dress are composed together, as columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.budget import Budget
from instructify.compose.exemplars import Pool
from instructify.compose.fewshot import FewShot, few_shot_prompts
from instructify.compose.options import answered_by_marker, with_options, without_options
from instructify.compose.reasoning import mismatched, phrases, reasoned
from instructify.compose.styles import STYLES
from instructify.compose.texts import Texts, glued, normalised, unmarked
from instructify.compose.words import words_of
from instructify.keys import I64, Key
from instructify.recipe.variants import Variant
from instructify.templates.model import Template

if TYPE_CHECKING:
    import pyarrow as pa

STYLE, MARKER, PHRASE = range(3)
"""Numbers of the draws of a row."""
Fields = Callable[[int], Sequence[str]]
"""The texts of a row, the longest first, by index into the rows that are composed."""


@dataclass(frozen=True, slots=True)
class Dress:
    """What the rows of one group share: style of options, whether markers answer, phrases of reasoning."""

    style: str | None
    by_marker: bool
    phrase: int


@dataclass(frozen=True, slots=True)
class Composed:
    """Composed examples in columns, the indices of their rows, and those of rows that fell, by reason.

    `starts` and `stops` bound the answer in a target that reasons, and `cut` counts what was taken out of a
    prompt, all in characters. The columns are None where no example has anything to say in them.
    """

    texts: Texts
    kept: I64
    dropped: Mapping[str, I64]
    starts: pa.Array | None = None
    stops: pa.Array | None = None
    shown: FewShot | None = None
    cut: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes the rows of one template in one variant."""

    template: Template
    variant: Variant
    key: Key
    pool: Pool | None = None
    budget: Budget | None = None

    def compose(self, texts: Texts, sources: pa.Array | None, reserved: Any, fields_of: Fields) -> Composed:
        """Return the examples that the rows make.

        `sources` has the normalised texts of the rows themselves, for variants with exemplars; `reserved`
        tells which of them hold characters that are marks.
        """
        fallen = self._unfit(texts, reserved)
        kept = _others(len(texts), fallen)
        texts = texts.take(kept) if fallen else texts
        made = self._dressed(texts)
        done, dresses, members = made.composed, made.dresses, made.members
        if self.pool is not None and sources is not None:
            import pyarrow as pa

            shown = few_shot_prompts(
                done.texts,
                [self._pool_in(dress) for dress in dresses],
                members,
                prints(texts, sources.take(pa.array(kept)), self.template, self.variant),
                self.variant,
                words_of(self.template.language),
                self.key,
                self.pool,
                self.budget,
            )
            done = replace(done, texts=replace(done.texts, inputs=shown.prompts), shown=shown)
            lonely = np.flatnonzero(shown.lonely)
            if len(lonely):
                fallen["no-exemplar"] = kept[lonely]
                stay = np.flatnonzero(~shown.lonely)
                done, kept = taken_of(done, stay), kept[stay]
        return self._fitted(replace(done, kept=kept), fallen, fields_of)

    def _unfit(self, texts: Texts, reserved: Any) -> dict[str, I64]:
        """Return the rows that cannot be composed, by reason."""
        bad = {"reserved-character": np.flatnonzero(reserved)}
        if self.variant.reasoning != "none":
            bad["cot-answer-mismatch"] = np.flatnonzero(mismatched(texts) & ~reserved)
        return {reason: rows for reason, rows in bad.items() if len(rows)}

    def _dressed(self, texts: Texts) -> _Dressed:
        """Return the rows dressed as they drew it, the dresses, and the number of each row's dress."""
        import pyarrow as pa

        dresses, members = self._draw(texts.rows)
        if len(dresses) == 1:
            return _Dressed(self._in(texts, dresses[0]), dresses, members)
        places = [np.flatnonzero(members == number) for number in range(len(dresses))]
        parts = [self._in(texts.take(indices), dress) for indices, dress in zip(places, dresses, strict=True)]
        back = np.argsort(np.concatenate(places), kind="stable")
        order = pa.array(back)

        def joined(columns: Sequence[pa.Array | None]) -> pa.Array | None:
            given = [column for column in columns if column is not None]
            return pa.concat_arrays(given).take(order) if given else None

        whole = Texts(
            texts.rows,
            joined([part.texts.inputs for part in parts]),
            joined([part.texts.targets for part in parts]),
            joined([part.texts.choices for part in parts]),
            texts.labels,
            texts.rationales,
        )
        starts, stops = joined([part.starts for part in parts]), joined([part.stops for part in parts])
        return _Dressed(Composed(whole, texts.rows, {}, starts, stops), dresses, members)

    def _draw(self, rows: I64) -> tuple[list[Dress], I64]:
        variant, template = self.variant, self.template
        key = Key.of("dress", self.key.low, self.key.high)
        words = words_of(template.language)
        shown = template.options_marks > 0 and variant.options == "shown"
        most = 1
        if variant.reasoning != "none":
            most = max(map(len, phrases(variant.reasoning, words)))
        sizes = {
            STYLE: len(variant.option_styles) if shown else 1,
            MARKER: 2 if shown and variant.answer_by_marker else 1,
            PHRASE: most,
        }
        if all(size == 1 for size in sizes.values()) or not len(rows):
            return [Dress(variant.option_styles[0] if shown else None, False, 0)], np.zeros_like(rows)
        drawn = np.stack([key.belows(size, rows, number) for number, size in sizes.items()], axis=1)
        kinds, members = np.unique(drawn, axis=0, return_inverse=True)
        dresses = [
            Dress(variant.option_styles[style] if shown else None, bool(marker), phrase)
            for style, marker, phrase in kinds.tolist()
        ]
        return dresses, members.reshape(-1)

    def _in(self, texts: Texts, dress: Dress) -> Composed:
        words = words_of(self.template.language)
        if self.template.options_marks:
            style = STYLES[dress.style] if dress.style else None
            texts = with_options(texts, style, words) if style else without_options(texts)
            if style and dress.by_marker:
                texts = answered_by_marker(texts, style)
        if self.variant.reasoning == "none":
            return Composed(texts, texts.rows, {})
        done = reasoned(texts, self.variant.reasoning, dress.phrase, words)
        return Composed(done.texts, texts.rows, {}, done.starts, done.stops)

    def _pool_in(self, dress: Dress) -> Texts:
        """Return the pool in the dress of its queries."""
        assert self.pool is not None  # noqa: S101  (only variants with exemplars get here)
        texts = self._in(self.pool.texts, dress).texts
        return replace(texts, inputs=unmarked(texts.inputs))

    def _fitted(self, done: Composed, fallen: dict[str, I64], fields_of: Fields) -> Composed:
        """Return the examples cut to the budget and without marks; those that do not fit are dropped."""
        inputs = unmarked(done.texts.inputs) if self.template.leaves_marks else done.texts.inputs
        if self.budget is None:
            return replace(done, texts=replace(done.texts, inputs=inputs), dropped=fallen)
        import pyarrow as pa

        long_target = np.zeros(len(done.texts), bool)
        long_target[self.budget.over(done.texts.targets, self.budget.max_target)] = True
        lost, cut = np.zeros(len(done.texts), bool), np.zeros(len(done.texts), np.int32)
        shorter: dict[int, str] = {}
        if done.shown is None:
            asked = np.flatnonzero(~long_target)
            over = asked[self.budget.over(inputs.take(pa.array(asked)), self.budget.max_input)]
        else:
            over = np.flatnonzero(done.shown.over & ~long_target)
        for place in over.tolist():
            fields = _cuttable(fields_of(int(done.kept[place])), done.texts, place)
            found = self.budget.cut(done.texts.inputs[place].as_py(), fields)
            if found is None:
                lost[place] = True
            else:
                shorter[place], cut[place] = found
        if shorter:
            mask = np.zeros(len(inputs), bool)
            mask[list(shorter)] = True
            values = pa.array([shorter[place] for place in sorted(shorter)], inputs.type)
            import pyarrow.compute as pc

            inputs = pc.replace_with_mask(inputs, pa.array(mask), values)
        for reason, falls in (("target-over-budget", long_target), ("input-over-budget", lost)):
            if falls.any():
                fallen[reason] = done.kept[falls]
        done = replace(done, texts=replace(done.texts, inputs=inputs), cut=pa.array(cut))
        stay = np.flatnonzero(~(long_target | lost))
        return replace(taken_of(done, stay), kept=done.kept[stay], dropped=fallen)


def prints(
    texts: Texts, sources: pa.Array, template: Template, variant: Variant
) -> tuple[pa.Array, pa.Array]:
    """Return what tells copies of rendered rows: their prompts and the rows' own texts, normalised.

    Options that are shown are part of the prompt, all in one style. An inverted template may ask many rows
    for the same thing; it is the target, then, that tells them apart.
    """
    if template.options_marks:
        shows = variant.options == "shown"
        words = words_of(template.language)
        texts = with_options(texts, STYLES["lines"], words) if shows else without_options(texts)
    own = glued(texts.inputs, "\n", texts.targets) if template.kind == "inverted" else texts.inputs
    return normalised(own), sources


@dataclass(frozen=True, slots=True)
class _Dressed:
    composed: Composed
    dresses: list[Dress]
    members: I64


def _others(count: int, fallen: Mapping[str, I64]) -> I64:
    stays = np.ones(count, bool)
    for rows in fallen.values():
        stays[rows] = False
    return np.flatnonzero(stays)


def taken_of(done: Composed, indices: I64) -> Composed:
    """Return some of the examples; `kept` and `dropped` are the caller's affair."""
    import pyarrow as pa

    places = pa.array(indices)

    def taken(column: Any) -> Any:
        return None if column is None else column.take(places)

    return Composed(
        done.texts.take(indices),
        done.kept,
        done.dropped,
        taken(done.starts),
        taken(done.stops),
        taken(done.shown),
        taken(done.cut),
    )


def _cuttable(fields: Sequence[str], texts: Texts, place: int) -> list[str]:
    """Return the fields of a row that may be cut: all but the answers."""
    answers = {texts.targets[place].as_py()}
    if texts.choices is not None:
        answers.update(texts.choices[place].as_py())
    return [field for field in fields if field not in answers]
