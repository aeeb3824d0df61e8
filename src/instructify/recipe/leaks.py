"""The recipe's section on leaks: what is done about training rows that stand in held-out tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Action = Literal["drop", "fail", "off"]


class LeakGate(BaseModel):
    """What to do at each level when training meets held-out text: drop the row, fail, or do not look."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    alias: Action = Field(
        default="fail",
        description="A training task that is a held-out one under another name, or has its rows, translated "
        "or explained; drop leaves the whole task out.",
    )
    origin: Action = Field(
        default="fail",
        description="A training task made from the same texts as a held-out one; drop leaves the whole task "
        "out, off leaves it to the levels that compare texts.",
    )
    row: Action = Field(
        default="drop",
        description="A training row with a text field, or a line of one, that stands in a held-out row.",
    )
    ngram: Action = Field(
        default="drop", description="A rendered example that shares 13 words in a row with a held-out one."
    )
    near: Action = Field(
        default="drop",
        description="A training row with a text field, or a line of one, that is a near copy of a held-out "
        "one: one word changed, or most of its text the same.",
    )
    duplicate: Literal["drop", "off"] = Field(
        default="off", description="A training row that repeats an earlier one of its task."
    )
    near_duplicate: Literal["drop", "off"] = Field(
        default="off", description="A training row that is a near copy of an earlier one of its task."
    )
    min_characters: PositiveInt = Field(
        default=25, ge=10, description="Letters and digits that a text needs to be compared at all."
    )
    near_characters: PositiveInt = Field(
        default=30, ge=10, description="Letters and digits that have to be the same in a near copy."
    )
    max_contexts: PositiveInt = Field(
        default=3,
        description="A text that one task has beside more different passages than this is a common phrase.",
    )
    jaccard: float = Field(
        default=0.7,
        ge=0.5,
        le=1.0,
        description="Share of common 5-character shingles that makes a near copy; lower finds more.",
    )
    max_dropped: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Fail when a training task would lose more than this share of its rows to one held-out "
        "task: the two are then of one origin.",
    )
