"""Variants: how examples are composed, as a recipe says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from instructify.compose.styles import LAYOUTS, STYLES
from instructify.errors import nearest
from instructify.recipe.strict import Strict

VariantName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class Variant(Strict):
    """One way to compose examples; templates that cannot be composed so leave it out."""

    name: VariantName = Field(description="Name of the variant; it stands in the column variant.")
    share: PositiveInt = Field(
        default=1, le=10_000, description="Share of a template's examples, as a weight beside the others'."
    )
    shots: NonNegativeInt | list[NonNegativeInt] = Field(
        default=0, description="Exemplars in a prompt: a number, or [least, most]; each number as often."
    )
    balanced: bool = Field(
        default=True, description="Take exemplars of each label in turn, where examples have labels."
    )
    layouts: list[str] = Field(
        default=list(LAYOUTS), min_length=1, description="Few-shot layouts, drawn for each example."
    )
    options: Literal["shown", "hidden"] = Field(
        default="shown",
        description="Whether the options that a template lays out with the filter options are shown; hidden "
        "is for templates that use it.",
    )
    option_styles: list[str] = Field(
        default=list(STYLES), min_length=1, description="Styles of shown options, drawn for each example."
    )
    answer_by_marker: bool = Field(
        default=False,
        description="Answer with the letter or number of the option, in styles that have one, for every "
        "other example.",
    )
    reasoning: Literal["none", "before", "after"] = Field(
        default="none",
        description="Whether the target gives the template's rationale, before the answer or after it; only "
        "for templates that have one.",
    )

    @property
    def shot_range(self) -> tuple[int, int]:
        """Least and most exemplars."""
        return (self.shots, self.shots) if isinstance(self.shots, int) else (self.shots[0], self.shots[1])

    @field_validator("shots")
    @classmethod
    def _shots_are_a_range(cls, value: int | list[int]) -> int | list[int]:
        if isinstance(value, list) and (len(value) != 2 or value[0] > value[1]):
            raise ValueError("shots is a number or [least, most]")
        if (value if isinstance(value, int) else value[1]) > 32:
            raise ValueError("shots: at most 32 exemplars")
        return value

    @field_validator("layouts")
    @classmethod
    def _layouts_are_known(cls, value: list[str]) -> list[str]:
        return _known(value, tuple(LAYOUTS), "layout")

    @field_validator("option_styles")
    @classmethod
    def _styles_are_known(cls, value: list[str]) -> list[str]:
        return _known(value, tuple(STYLES), "option style")


class Tokens(Strict):
    """The token budget of examples, counted by a tokenizer."""

    tokenizer: str = Field(
        description="tiny, a tokenizer.json, a folder that holds one, or owner/name of a model on the hub."
    )
    max_input: PositiveInt = Field(
        default=512, description="Most tokens of a prompt, the end-of-sequence token included."
    )
    max_target: PositiveInt = Field(
        default=256, description="Most tokens of a target, the end-of-sequence token included."
    )
    max_unknown: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="Fail when the sampled prompts and targets of a task have more than this share of tokens "
        "that the tokenizer does not know.",
    )


def _known(values: list[str], names: tuple[str, ...], what: str) -> list[str]:
    for value in values:
        if value not in names:
            close = nearest(value, names)
            hint = f"; did you mean {close!r}?" if close else ""
            raise ValueError(f"no {what} is called {value!r}{hint} One of: {', '.join(names)}")
    return values


ZERO_SHOT = Variant(name="zero_shot")
"""What is composed when a recipe names no variants."""
