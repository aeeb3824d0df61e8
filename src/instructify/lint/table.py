"""The table of rules. A new rule is one function, one row here, and one section of docs/lint.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from instructify.lint import choices, head, korean, labels, leaks, rendered, structure, tokenized
from instructify.lint.model import Found, Severity, Subject

Needs = Literal["text", "columns", "rows", "tokenizer"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it says of a template, how much it matters, and what has to be at hand for it to run."""

    check: Callable[[Subject], Iterator[Found]]
    severity: Severity
    needs: Needs = "text"

    @property
    def summary(self) -> str:
        """What the rule finds, in one sentence."""
        return (self.check.__doc__ or "").split("\n")[0]


RULES: Mapping[str, Rule] = {
    # the text
    "unreadable": Rule(structure.unreadable, "error"),
    "syntax": Rule(structure.syntax, "error"),
    "separator": Rule(structure.separator, "error"),
    "misplaced-head": Rule(head.misplaced_head, "error"),
    "control-character": Rule(head.control_character, "warning"),
    "unknown-metric": Rule(head.unknown_metric, "error"),
    "unknown-language": Rule(head.unknown_language, "warning"),
    "unknown-column": Rule(structure.unknown_column, "error", "columns"),
    "duplicate-name": Rule(structure.duplicate_name, "error"),
    "duplicate-body": Rule(structure.duplicate_body, "warning"),
    "near-duplicate": Rule(structure.near_duplicate, "info"),
    "unused-variable": Rule(structure.unused_variable, "info"),
    "missing-metadata": Rule(structure.missing_metadata, "info"),
    "stray-braces": Rule(structure.stray_braces, "warning"),
    "missing-space": Rule(structure.missing_space, "info"),
    "misplaced-mark": Rule(structure.misplaced_mark, "error"),
    "draw-twice": Rule(structure.draw_twice, "warning"),
    "wrong-language": Rule(structure.wrong_language, "warning"),
    "speech-level": Rule(korean.speech_level, "warning"),
    "fixed-particle": Rule(korean.fixed_particle, "info"),
    "bad-ignore": Rule(structure.bad_ignore, "error"),
    # answer choices
    "choices-undefined": Rule(choices.choices_undefined, "error"),
    "choices-unused": Rule(choices.choices_unused, "warning"),
    "accuracy-without-choices": Rule(structure.accuracy_without_choices, "info"),
    "duplicate-choices": Rule(choices.duplicate_choices, "error"),
    "blank-choice": Rule(choices.blank_choice, "error"),
    "single-choice": Rule(choices.single_choice, "warning"),
    "choices-against-labels": Rule(labels.choices_against_labels, "error", "columns"),
    "target-outside-choices": Rule(choices.target_outside_choices, "error", "rows"),
    "choice-never-right": Rule(choices.choice_never_right, "info", "rows"),
    "constant-position": Rule(choices.constant_position, "warning", "rows"),
    "choices-missing": Rule(choices.choices_missing, "warning", "rows"),
    "choices-undeclared": Rule(choices.choices_undeclared, "warning", "rows"),
    "options-absent": Rule(choices.options_absent, "warning", "rows"),
    "label-number": Rule(choices.label_number, "warning", "rows"),
    # what becomes of rows
    "no-example": Rule(rendered.no_example, "error", "rows"),
    "dropped-rows": Rule(rendered.dropped_rows, "warning", "rows"),
    "none-printed": Rule(rendered.none_printed, "warning", "rows"),
    "unguarded-label": Rule(rendered.unguarded_label, "warning", "rows"),
    "constant-target": Rule(rendered.constant_target, "warning", "rows"),
    "random-target": Rule(rendered.random_target, "error", "rows"),
    "constant-prompt": Rule(rendered.constant_prompt, "error", "rows"),
    "label-in-prompt": Rule(leaks.label_in_prompt, "error", "rows"),
    "target-in-prompt": Rule(leaks.target_in_prompt, "error", "rows"),
    "blank-lines": Rule(rendered.blank_lines, "info", "rows"),
    "doubled-punctuation": Rule(rendered.doubled_punctuation, "info", "rows"),
    "inverted-original": Rule(rendered.inverted_original, "error"),
    "inverted-target": Rule(rendered.inverted_target, "warning", "rows"),
    "rationale-in-prompt": Rule(rendered.rationale_in_prompt, "error", "rows"),
    "rationale-in-target": Rule(rendered.rationale_in_target, "error", "rows"),
    "rationale-disagrees": Rule(rendered.rationale_disagrees, "warning", "rows"),
    # what a tokenizer reads
    "newline-lost": Rule(tokenized.newline_lost, "warning", "tokenizer"),
    "unknown-words": Rule(tokenized.unknown_words, "warning", "tokenizer"),
    "unknown-data": Rule(tokenized.unknown_data, "warning", "tokenizer"),
    "special-token": Rule(tokenized.special_token, "error", "tokenizer"),
    "target-roundtrip": Rule(tokenized.target_roundtrip, "warning", "tokenizer"),
    "choices-collide": Rule(tokenized.choices_collide, "error", "tokenizer"),
    "choice-prefix": Rule(tokenized.choice_prefix, "info", "tokenizer"),
    "choice-length": Rule(tokenized.choice_length, "info", "tokenizer"),
    "long-input": Rule(tokenized.long_input, "warning", "tokenizer"),
    # last, because it looks at what the others found
    "unused-ignore": Rule(structure.unused_ignore, "warning"),
}
