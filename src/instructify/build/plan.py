"""Plan: recipe and dataset metadata become tasks, templates and exact quotas, before anything is rendered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from instructify.build.drafts import Draft, find_data_root, make_draft
from instructify.build.roles import known_leaks, role_problems
from instructify.compose.budget import Budget, open_tokenizer
from instructify.errors import InstructifyError, Problem
from instructify.keys import Key
from instructify.mix import Allotment, TaskSize, allot, mixture_problems, preset_note
from instructify.origins import Identity
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.mixture import Mixture
from instructify.recipe.models import SPLIT, Recipe, Source
from instructify.recipe.variants import Variant
from instructify.sources.tokenizer import find_tokenizer
from instructify.templates import Template, open_library
from instructify.types import OpenSource, Part, Role


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """One dataset under its templates: what will be rendered, and how much of it.

    `quotas`, `variants` and `columns` (what each template reads) are in the order of `templates`.
    `exemplars` are the rows that few-shot variants draw on: those of the training split. `epochs` is the
    number of times that a row may be used under one template.
    """

    name: str
    dataset: str
    subset: str | None
    split: str
    cluster: str
    role: Role
    licence: str | None
    source_spec: Source
    source: OpenSource
    templates: tuple[Template, ...]
    variants: tuple[tuple[Variant, ...], ...]
    quotas: tuple[int, ...]
    columns: tuple[str, ...]
    exemplars: OpenSource | None
    identity: Identity
    epochs: int = 1

    @property
    def part(self) -> Part:
        """The part of the build that the task's examples go to."""
        return "train" if self.role == "train" else "eval"

    def row_key(self, template: Template, seed: int, epoch: int = 0) -> Key:
        """Return the key that orders this task's rows for one template; each epoch has its own order.

        The templates of a held-out task share one order, so that each is evaluated on the same rows.
        """
        own = (template.name,) if self.role == "train" else ()
        return Key.of("rows", seed, self.source.fingerprint, self.name, *own, *_epoch_parts(epoch))

    def draw_key(self, template: Template, seed: int, epoch: int = 0) -> Key:
        """Return the key of the draws of one template; each epoch draws again."""
        return Key.of("draw", seed, self.source.fingerprint, template.hash, *_epoch_parts(epoch))

    def id_key(self, template: Template, variant: str, epoch: int = 0) -> Key:
        """Return the key of example ids; it depends on names and epoch, never on seeds or contents."""
        names = (self.name, self.dataset, self.subset, self.split, template.name, variant)
        return Key.of("id", *names, *_epoch_parts(epoch))


def _epoch_parts(epoch: int) -> tuple[str | int, ...]:
    return ("epoch", epoch) if epoch else ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a build will do; `notes` are things the user should know, each one sentence.

    `mixture` says what every training task is due, and what it gets.
    """

    recipe: Recipe
    tasks: tuple[PlannedTask, ...]
    budget: Budget | None
    notes: tuple[str, ...]
    mixture: Allotment = field(default_factory=Allotment)

    def examples(self, role: Role) -> int:
        """Return the number of examples asked for in one role."""
        return sum(sum(task.quotas) for task in self.tasks if task.role == role)


def make_plan(
    loaded: LoadedRecipe,
    work: Path,
    data_root: Path | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Plan:
    """Return the plan of a recipe; raises InstructifyError with the problems of every task.

    Sources that are not Parquet are converted into `work`, once.
    """
    recipe = loaded.recipe
    library = open_library(
        recipe.template_sources,
        loaded.base,
        recipe.promptsource_truncate,
        partial(loaded.place, "template_sources"),
    )
    root = find_data_root(loaded, data_root)
    problems: list[Problem] = []
    drafts: list[Draft] = []
    for number, entry in enumerate(recipe.tasks):
        progress(entry.task)
        try:
            drafts.append(make_draft(loaded, library, entry, root, work))
        except InstructifyError as error:
            problems += [_placed(problem, loaded.where(number), entry.task) for problem in error.problems]
    if not problems:
        train, held_out = (
            [(draft.entry.task, draft.cluster) for draft in drafts if draft.role == role]
            for role in ("train", "held_out")
        )
        found = role_problems(recipe, drafts, loaded.base, loaded.place)
        found += mixture_problems(recipe.mixture, train, held_out, partial(loaded.place, "mixture"))
        problems = [_placed(problem, loaded.path.name, "") for problem in found]
    if problems:
        raise InstructifyError(*problems)
    left_out = known_leaks(recipe, drafts)
    drafts = [draft for draft in drafts if draft.entry.task not in left_out]
    sizes = [_size(draft) for draft in drafts if draft.role == "train"]
    if not sizes:
        why = "; ".join(f"{name}, because {why}" for name, why in left_out.items())
        what = f"every training task is left out: {why}"
        raise InstructifyError(
            Problem(what, loaded.place("tasks"), "other tasks, or that level of leaks off")
        )
    mixture = allot(sizes, recipe.mixture)
    tasks = tuple(_planned(draft, recipe.mixture, mixture) for draft in drafts)
    notes = [f"{name} is left out of training: {why}" for name, why in left_out.items()]
    notes += [f"{draft.entry.task}: {note}" for draft in drafts for note in draft.notes]
    notes = [*_notes(tasks), *notes, *mixture_notes(recipe.mixture, mixture, sizes)]
    return Plan(recipe, tasks, _budget(loaded), tuple(notes), mixture)


def _budget(loaded: LoadedRecipe) -> Budget | None:
    tokens = loaded.recipe.tokens
    if tokens is None:
        return None
    path, sha256 = find_tokenizer(tokens.tokenizer, loaded.base)
    open_tokenizer(path)
    return Budget(path, sha256, tokens.max_input, tokens.max_target)


def _placed(problem: Problem, where: str, task: str) -> Problem:
    """Return the problem with its place in the recipe: beside its own place, where it has one."""
    own = f" (task {task})" if task else ""
    if problem.where:
        what = f"{problem.what} ({where}, task {task})" if task else problem.what
        return Problem(what, problem.where, problem.expected, problem.nearest)
    return Problem(problem.what + own, where, problem.expected, problem.nearest)


def _size(draft: Draft) -> TaskSize:
    return TaskSize(
        task=draft.entry.task,
        templates=tuple(template.name for template in draft.templates),
        rows=draft.source.rows,
        cap=draft.entry.cap,
        cap_per_template=draft.entry.cap_per_template,
        inverted=frozenset(template.name for template in draft.templates if template.kind == "inverted"),
        cluster=draft.cluster,
    )


def _planned(draft: Draft, mixture: Mixture, allotment: Allotment) -> PlannedTask:
    match = SPLIT.match(draft.split)
    names = [template.name for template in draft.templates]
    if draft.role == "train":
        quotas = tuple(allotment.quotas[draft.entry.task][name] for name in names)
    else:
        rows, cap = draft.source.rows, mixture.eval_cap_per_template
        quotas = (rows if cap is None else min(rows, cap),) * len(names)
    return PlannedTask(
        name=draft.entry.task,
        dataset=draft.entry.dataset,
        subset=draft.entry.subset,
        split=match["name"] if match else draft.split,
        cluster=draft.cluster,
        role=draft.role,
        licence=draft.licence,
        source_spec=draft.spec,
        source=draft.source,
        templates=draft.templates,
        variants=draft.variants,
        quotas=quotas,
        columns=draft.columns,
        exemplars=draft.exemplars,
        identity=draft.identity,
        epochs=(mixture.max_epochs or 1) if draft.role == "train" else 1,
    )


def _notes(tasks: tuple[PlannedTask, ...]) -> list[str]:
    notes = [f"{task.name}: {note}" for task in tasks for note in task.source.notes]
    notes += [f"{task.name}: the licence of its rows is not known" for task in tasks if task.licence is None]
    return notes


def mixture_notes(mixture: Mixture, allotment: Allotment, sizes: Sequence[TaskSize]) -> list[str]:
    """Return what a user should know of the mixture: its preset, used up tasks, a size that is not met."""
    notes = [note] if (note := preset_note(mixture, sizes)) else []
    if mixture.inverted is not None and not any(_has_both_kinds(task) for task in sizes):
        notes.append("mixture: inverted has no effect: no task has inverted templates beside others")
    short = [task for task, due in allotment.due.items() if allotment.given(task) < due]
    if short:
        missing = sum(allotment.due[task] - allotment.given(task) for task in short)
        notes.append(
            f"mixture: {_some(short)} offer {missing:,} examples less than they are due "
            f"(exhausted: {mixture.exhausted})"
        )
    given = sum(map(allotment.given, allotment.quotas))
    if mixture.size is not None and given < mixture.size:
        notes.append(f"mixture: {given:,} examples of the {mixture.size:,} asked for")
    repeated = [
        task.task for task in sizes if max(allotment.quotas[task.task].values(), default=0) > task.rows
    ]
    if repeated:
        notes.append(f"mixture: rows of {_some(repeated)} are used more than once under one template")
    return notes


def _has_both_kinds(task: TaskSize) -> bool:
    return 0 < len(task.inverted) < len(task.templates)


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
