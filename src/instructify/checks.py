"""Row checks: a rendered row becomes an example, or is dropped for a reason that the ledger counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from instructify.errors import RowError
from instructify.render.reference import Rendered

REASONS: Mapping[str, str] = {
    "unlabelled": "a negative or null index was taken into the answer choices",
    "not-two-parts": "the template did not print exactly one prompt and one target",
    "blank-prompt": "the prompt is blank",
    "blank-target": "the target is blank",
    "none-printed": "a null was printed as the text None",
    "target-not-in-choices": "the target is not one of the answer choices",
    "ambiguous-target": "the target is more than one of the answer choices, so it has no one label",
    "bad-choices": "the answer choices are not a list of texts",
    "blank-rationale": "the rationale is blank",
    "index-out-of-range": "a computed index lies outside its list",
    "undefined": "a name or attribute that the row does not have was used",
    "unprintable": "a value without a text of its own was printed",
    "over-budget": "the template did more work, or made more text, than one row may",
    "forbidden": "the template did something that the sandbox does not allow",
    "reserved-column": "the row has a column called answer_choices",
    "type-error": "an operation met a value of the wrong type",
    "value-error": "an operation met a value it cannot use",
    "lookup-error": "an element that is not there was asked for",
    "arithmetic-error": "an impossible calculation, such as a division by zero",
    "template-error": "Jinja could not render the row",
    "reserved-character": "the row's own text holds a mark of the composition (U+FDD0 to U+FDD2)",
    "cot-answer-mismatch": "the reasoning states another answer than the target",
    "leak-row": "a text of the row stands in a held-out row",
    "leak-near": "a text of the row is a near copy of one in a held-out row",
    "leak-ngram": "the example shares 13 words in a row with a held-out example",
    "duplicate": "the row repeats an earlier one of its task",
    "near-duplicate": "the row is a near copy of an earlier one of its task",
    "no-exemplar": "no row of the training split can stand before it as an exemplar",
    "input-over-budget": "the prompt has too many tokens, and nothing in it may be cut",
    "target-over-budget": "the target has too many tokens; targets are never cut",
    "error": "anything else",
}
"""Every reason a row can be dropped for, and what it means."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The texts of one example; `label` is the index of the target in the choices."""

    inputs: str
    targets: str
    choices: tuple[str, ...] | None
    label: int | None
    rationale: str | None


def check(rendered: Rendered) -> Checked:
    """Return the example a rendered row makes; raises RowError with one of REASONS when it makes none."""
    if rendered.unlabelled:
        raise RowError("unlabelled")
    if len(rendered.parts) != 2:
        blank = len(rendered.parts) == 1 and not rendered.parts[0]
        raise RowError("blank-prompt" if blank else "not-two-parts")
    inputs, targets = rendered.parts
    if not inputs:
        raise RowError("blank-prompt")
    if not targets:
        raise RowError("blank-target")
    if rendered.none_printed:
        raise RowError("none-printed")
    if rendered.rationale is not None and not rendered.rationale:
        raise RowError("blank-rationale")
    label = None
    if rendered.choices is not None:
        if targets not in rendered.choices:
            raise RowError("target-not-in-choices")
        if rendered.choices.count(targets) > 1:
            raise RowError("ambiguous-target")
        label = rendered.choices.index(targets)
    return Checked(inputs, targets, rendered.choices, label, rendered.rationale)
