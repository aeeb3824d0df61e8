"""The recipe's section on the mixture: how many examples of what, and what if there are too few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from instructify.recipe.strict import Strict

GroupName = Annotated[str, Field(pattern=r"^[\w][\w.\-]*$", max_length=80)]
Weight = Annotated[float, Field(gt=0, le=1e9)]
Policy = Literal["proportional", "equal", "temperature", "weights"]
PRESET_GROUPS = ("flan", "t0", "niv2", "cot", "dialog")
"""The groups that the preset flan2022 knows."""


class Sharing(Strict):
    """How a number of examples is shared among tasks or groups."""

    policy: Policy = Field(
        default="proportional",
        description="proportional: to the examples that each offers; equal: the same to each; "
        "temperature: to those numbers, flattened; weights: as weights say.",
    )
    rate_cap: PositiveInt | None = Field(
        default=None,
        description="A task that offers more than this is weighed as if it offered this many; proportional "
        "and temperature only. It weighs, it does not cap.",
    )
    count: Literal["examples", "rows"] = Field(
        default="examples",
        description="What is counted as offered: examples (rows times templates, within the caps) or rows.",
    )
    temperature: float | None = Field(
        default=None, gt=0, le=1000, description="T of the policy temperature: shares go as n^(1/T)."
    )
    weights: dict[str, Weight] = Field(
        default={},
        description="Weights of the policy weights: task name or glob pattern to number; a name goes before "
        "patterns, and of the patterns the first that fits counts.",
    )
    groups: list[Group] = Field(
        default=[],
        description="Parts of the mixture that share among themselves; every task belongs to the first group "
        "that names it.",
    )

    @model_validator(mode="after")
    def _keys_go_with_the_policy(self) -> Self:
        if (self.policy == "temperature") != (self.temperature is not None):
            raise ValueError("temperature belongs to policy: temperature, and is needed there")
        if self.rate_cap is not None and self.policy in ("equal", "weights"):
            raise ValueError("rate_cap is of no use with policy: equal or weights")
        weighted = self.policy == "weights"
        if self.groups:
            if self.weights:
                raise ValueError("with groups, each group has a weight of its own instead of weights")
            if any((group.weight is not None) != weighted for group in self.groups):
                raise ValueError("each group has a weight with policy: weights, and none without")
            names = [group.name for group in self.groups]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"group names must differ; given twice: {', '.join(twice)}")
        elif weighted != bool(self.weights):
            raise ValueError("weights belong to policy: weights, and are needed there")
        return self


class Group(Sharing):
    """Some tasks that have a share of their own."""

    name: GroupName = Field(description="Name of the group.")
    tasks: list[str] = Field(default=[], description="Task names or glob patterns.")
    clusters: list[str] = Field(default=[], description="Task clusters.")
    weight: Weight | None = Field(default=None, description="Weight among the groups beside it.")
    cap_per_dataset: PositiveInt | None = Field(
        default=None, description="Most training examples of one dataset of the group."
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.tasks and not self.clusters:
            raise ValueError("a group needs tasks or clusters")
        return self


class Sizes(Strict):
    """How many examples, and what happens where a task has fewer than its share."""

    size: PositiveInt | None = Field(
        default=None,
        description="Training examples in all, shared among tasks by the policy; by default everything that "
        "the caps allow.",
    )
    cap_per_dataset: PositiveInt | None = Field(
        default=None, description="Most training examples of one dataset, shared evenly among its templates."
    )
    cap_per_template: PositiveInt | None = Field(
        default=None, description="Most training examples of one template."
    )
    eval_cap_per_template: PositiveInt | None = Field(
        default=None, description="Most evaluation examples of one template of a held-out task."
    )
    preset: Literal["t0", "flan2021", "flan2022"] | None = Field(
        default=None, description="A published mixture: caps and policy are set by it."
    )
    exhausted: Literal["stop", "repeat", "spill"] = Field(
        default="stop",
        description="What happens where a task offers less than its share. stop: it gives what it has, and "
        "the mixture is that much smaller; repeat: its rows are drawn again; "
        "spill: the others share the rest.",
    )
    max_epochs: PositiveInt | None = Field(
        default=None, le=1000, description="Most times that repeat uses a row under one template."
    )
    inverted: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="Share of a task's examples that its inverted templates get, where it has both kinds; by "
        "default they count like any other.",
    )


class Mixture(Sharing, Sizes):
    """How many examples of what."""

    @model_validator(mode="after")
    def _epochs_go_with_repeat(self) -> Self:
        if (self.exhausted == "repeat") != (self.max_epochs is not None):
            raise ValueError("max_epochs belongs to exhausted: repeat, and is needed there")
        return self

    @model_validator(mode="after")
    def _size_is_given_where_nothing_else_says_it(self) -> Self:
        if self.size is None:
            if self.exhausted != "stop":
                raise ValueError(f"exhausted: {self.exhausted} needs a size")
            if self.preset == "flan2022" or any(level.policy != "proportional" for level in levels(self)):
                raise ValueError("size is needed unless every policy is proportional")
        return self

    @model_validator(mode="after")
    def _preset_stands_alone(self) -> Self:
        if self.preset is None:
            return self
        own = {"policy", "rate_cap", "count", "temperature", "weights", "cap_per_dataset", "cap_per_template"}
        if self.preset != "flan2022":
            own.add("groups")
        given = sorted(own & self.model_fields_set)
        if given:
            raise ValueError(f"preset: {self.preset} sets {', '.join(given)} itself")
        if self.preset == "flan2022":
            _check_preset_groups(self.groups)
        return self


def levels(sharing: Sharing) -> Iterator[Sharing]:
    """Yield a mixture and all its groups, at any depth."""
    yield sharing
    for group in sharing.groups:
        yield from levels(group)


def _check_preset_groups(groups: list[Group]) -> None:
    unknown = sorted({group.name for group in groups} - set(PRESET_GROUPS))
    if unknown or not groups:
        raise ValueError(f"preset: flan2022 needs groups, called {', '.join(PRESET_GROUPS)} or some of these")
    own = {group.name for group in groups if group.model_fields_set - {"name", "tasks", "clusters"}}
    if own:
        raise ValueError(
            f"preset: flan2022 sets the rest of {', '.join(sorted(own))}; give tasks or clusters"
        )
