"""The recipe: what a user writes, as strict pydantic models. Defaults live here and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
)

from instructify.errors import InstructifyError, Problem
from instructify.recipe.leaks import LeakGate
from instructify.recipe.mixture import Mixture
from instructify.recipe.strict import Strict
from instructify.recipe.training import Evaluate, Finetune, ModelSection, Run
from instructify.recipe.variants import ZERO_SHOT, Tokens, Variant

Name = Annotated[str, Field(pattern=r"^[\w][\w.\-]*(/[\w][\w.\-]*)*$", max_length=200)]
Cast = Literal["string", "int64", "float64", "bool"]
SPLIT = re.compile(r"^(?P<name>[\w.\-]+)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?$")


class Columns(Strict):
    """Changes to the columns of a source, applied before any template sees a row."""

    rename: dict[str, str] = Field(default={}, description="Old column name to new column name.")
    cast: dict[str, Cast] = Field(
        default={}, description="Column (new name) to type; a value that does not fit is an error."
    )
    label_names: dict[str, list[str]] = Field(
        default={}, description="Column (new name) to label names, where the file does not carry them."
    )


class FilesSource(Columns):
    """Local files: Parquet, JSONL, JSON, CSV or TSV."""

    kind: Literal["files"]
    path: str | list[str] = Field(
        description="File, folder or glob, or a list of them, relative to the recipe; "
        "{split} stands for the split's name, {data_root} for the data root."
    )
    format: Literal["parquet", "jsonl", "json", "csv", "tsv"] | None = Field(
        default=None, description="File format; by default told from the file name."
    )
    encoding: str = Field(default="utf-8", description="Text encoding of CSV, TSV, JSON and JSONL files.")
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="Field separator; comma for CSV, tab for TSV."
    )
    quoting: Literal["minimal", "none"] | None = Field(
        default=None,
        description="minimal: double quotes may enclose a field; none: a quote is an ordinary character. "
        "By default minimal for CSV and none for TSV.",
    )
    header: list[str] | None = Field(
        default=None, description="Column names of a CSV or TSV file whose first line is already data."
    )
    null_values: list[str] = Field(
        default=[], description="Cells of a CSV or TSV file that mean null; by default none do."
    )


class HubSource(Columns):
    """A dataset of the Hugging Face hub, read with datasets.load_dataset."""

    kind: Literal["hub"]
    path: str = Field(description="Name on the hub, for example super_glue.")
    config: str | None = Field(default=None, description="Configuration, for example rte.")
    revision: str | None = Field(default=None, description="Branch, tag or commit; the commit is recorded.")


class DiskSource(Columns):
    """A folder written by datasets' save_to_disk."""

    kind: Literal["disk"]
    path: str = Field(description="The folder, relative to the recipe.")


class WorldSource(Columns):
    """One dataset of the offline world that ships with instructify."""

    kind: Literal["world"]
    name: str = Field(description="Name of the world dataset, for example reviews.")
    rows: PositiveInt | None = Field(default=None, description="Rows of the train split; other splits scale.")


Source = Annotated[FilesSource | HubSource | DiskSource | WorldSource, Field(discriminator="kind")]


class TemplateChoice(Strict):
    """Which prompt templates of a dataset a task uses."""

    dataset: Name | None = Field(
        default=None, description="Folder of the templates, where it is not the task's own name."
    )
    include: list[str] = Field(default=["*"], min_length=1, description="Glob patterns of template names.")
    exclude: list[str] = Field(default=[], description="Glob patterns of template names to leave out.")
    original_task_only: bool = Field(
        default=False, description="Keep only templates that pose the dataset's original task."
    )


class TaskEntry(Strict):
    """One dataset with its templates."""

    dataset: Name = Field(description="Dataset name; also the folder its templates lie in.")
    subset: Name | None = Field(default=None, description="Configuration of the dataset, if it has several.")
    name: Name | None = Field(default=None, description="Task name; by default dataset, or dataset/subset.")
    cluster: Name | None = Field(
        default=None, description="Task cluster; by default the one in the templates' task.yaml."
    )
    split: str = Field(default="train", description="Training split, with an optional slice: train[:10%].")
    eval_split: str = Field(
        default="validation", description="Split that is rendered when the task's cluster is held out."
    )
    source: Source | None = Field(
        default=None,
        description="Where the rows come from; by default the offline world for world/*; else, where a "
        "data root is set, the folder of that name in it, which must be there; else the hub dataset of that "
        "name.",
    )
    templates: TemplateChoice = Field(default=TemplateChoice(), description="Which templates to use.")
    cap: PositiveInt | None = Field(
        default=None, description="Most training examples of this dataset; overrides mixture.cap_per_dataset."
    )
    cap_per_template: PositiveInt | None = Field(
        default=None,
        description="Most training examples of each template; overrides mixture.cap_per_template.",
    )
    licence: str | None = Field(
        default=None, description="Licence of the rows; by default that of task.yaml."
    )

    @field_validator("split", "eval_split")
    @classmethod
    def _split_is_well_formed(cls, value: str) -> str:
        if not SPLIT.fullmatch(value):
            raise ValueError(
                "a split is a name with an optional slice, as in train, train[:500], test[10%:20%]"
            )
        return value

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.name or (f"{self.dataset}/{self.subset}" if self.subset else self.dataset)


class Output(Strict):
    """Where the build goes and in which shapes."""

    dir: str = Field(description="Output directory, relative to the recipe.")
    formats: list[Literal["parquet", "jsonl", "chat"]] = Field(
        default=["parquet"],
        min_length=1,
        description="parquet: every column; jsonl: the same as JSON lines; chat: messages for chat trainers.",
    )
    shard_examples: int = Field(
        default=65_536, ge=100, description="About how many examples a file holds; at least 100."
    )


class Checks(Strict):
    """When to give up on a task rather than drop its rows."""

    max_dropped: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="Fail when a template drops more than this share of the rows it saw.",
    )


class Recipe(Strict):
    """A whole recipe."""

    name: Name = Field(description="Name of the build; it heads the dataset card.")
    description: str = Field(default="", description="A sentence or two for the dataset card.")
    seed: NonNegativeInt = Field(default=0, lt=2**63, description="Seed of every draw.")
    data_root: str | None = Field(
        default=None,
        description="Folder with <dataset>[/<subset>]/<split>.parquet for tasks without a source; "
        "--data-root and INSTRUCTIFY_DATA_ROOT override it.",
    )
    template_sources: list[str] = Field(
        default=["builtin"],
        min_length=1,
        description="Template collections, first match wins per dataset name and template: builtin, "
        "promptsource, or a folder relative to the recipe.",
    )
    promptsource_truncate: bool = Field(
        default=False,
        description="Cut every expression printed by a promptsource template to 2,048 characters, "
        "as promptsource does by default.",
    )
    held_out: list[Name] = Field(
        default=[], description="Task clusters kept out of training and rendered for evaluation."
    )
    mixture: Mixture = Field(default=Mixture(), description="Sizes and caps.")
    variants: list[Variant] = Field(
        default=[ZERO_SHOT],
        min_length=1,
        description="How training examples are composed, each variant with its share.",
    )
    eval_variants: list[Variant] = Field(
        default=[ZERO_SHOT],
        min_length=1,
        description="How the examples of held-out tasks are composed.",
    )
    tokens: Tokens | None = Field(
        default=None, description="The token budget; without it nothing is cut or counted."
    )
    leaks: LeakGate = Field(
        default=LeakGate(), description="What is done about training text that stands in held-out tasks."
    )
    checks: Checks = Field(default=Checks(), description="Limits on what may be dropped.")
    output: Output = Field(description="Where the build goes.")
    tasks: list[TaskEntry] = Field(min_length=1, description="The datasets to render.")
    model: ModelSection = Field(default=ModelSection(), description="The base model.")
    finetune: Finetune = Field(default=Finetune(), description="How the base model is fine-tuned.")
    evaluate: Evaluate = Field(default=Evaluate(), description="How held-out tasks are scored.")
    run: Run = Field(default=Run(), description="Where an experiment goes.")

    @field_validator("variants", "eval_variants")
    @classmethod
    def _variant_names_are_unique(cls, variants: list[Variant]) -> list[Variant]:
        names = [variant.name for variant in variants]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"variants must have different names; given twice: {', '.join(twice)}")
        return variants

    @field_validator("tasks")
    @classmethod
    def _task_names_are_unique(cls, tasks: list[TaskEntry]) -> list[TaskEntry]:
        names = [task.task for task in tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"task names must differ; given twice: {', '.join(twice)}. Set name: on one of them"
            )
        return tasks


def recipe_data(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe with every default spelled out, as plain JSON data."""
    return recipe.model_dump(mode="json")


def resolve(path: str, base: Path) -> Path:
    """Return a recipe path relative to the recipe's folder; `~` is expanded.

    Raises InstructifyError for the home of a user who is not known.
    """
    try:
        return (base / Path(path).expanduser()).resolve()
    except RuntimeError as error:
        raise InstructifyError(Problem(f"{path}: {error}")) from error
