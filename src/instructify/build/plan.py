"""Plan: recipe and dataset metadata become tasks, templates and exact quotas, before anything is rendered."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from instructify import mix
from instructify.compose.budget import Budget, open_tokenizer
from instructify.compose.schedule import variants_of
from instructify.errors import InstructifyError, Problem, nearest
from instructify.keys import Key
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.models import (
    SPLIT,
    DiskSource,
    FilesSource,
    HubSource,
    Recipe,
    Source,
    TaskEntry,
    WorldSource,
    resolve,
)
from instructify.recipe.variants import Variant
from instructify.render.reference import reference
from instructify.render.sandbox import GLOBALS
from instructify.sources import open_source
from instructify.sources.tokenizer import find_tokenizer
from instructify.templates import Template, TemplateLibrary, matches, open_library
from instructify.types import OpenSource, Part, Role

DATA_ROOT_VARIABLE = "INSTRUCTIFY_DATA_ROOT"
DATA_ROOT = "{data_root}"


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """One dataset under its templates: what will be rendered, and how much of it.

    `quotas`, `variants` and `columns` (what each template reads) are in the order of `templates`.
    `exemplars` are the rows that few-shot variants draw on: those of the training split.
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

    @property
    def part(self) -> Part:
        """The part of the build that the task's examples go to."""
        return "train" if self.role == "train" else "eval"

    def row_key(self, template: Template, seed: int) -> Key:
        """Return the key that orders this task's rows for one template."""
        return Key.of("rows", seed, self.source.fingerprint, self.name, template.name)

    def draw_key(self, template: Template, seed: int) -> Key:
        """Return the key of the draws of one template."""
        return Key.of("draw", seed, self.source.fingerprint, template.hash)

    def id_key(self, template: Template, variant: str) -> Key:
        """Return the key of example ids; it depends on names alone, never on seeds or contents."""
        return Key.of("id", self.name, self.dataset, self.subset, self.split, template.name, variant)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a build will do; `notes` are things the user should know, each one sentence."""

    recipe: Recipe
    tasks: tuple[PlannedTask, ...]
    budget: Budget | None
    notes: tuple[str, ...]

    def examples(self, role: Role) -> int:
        """Return the number of examples asked for in one role."""
        return sum(sum(task.quotas) for task in self.tasks if task.role == role)


@dataclass(frozen=True, slots=True)
class _Draft:
    entry: TaskEntry
    folder: str
    cluster: str
    role: Role
    licence: str | None
    split: str
    spec: Source
    source: OpenSource
    templates: tuple[Template, ...]
    variants: tuple[tuple[Variant, ...], ...]
    columns: tuple[str, ...]
    exemplars: OpenSource | None
    notes: tuple[str, ...]


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
    library = open_library(recipe.template_sources, loaded.base, recipe.promptsource_truncate)
    root = _data_root(loaded, data_root)
    problems: list[Problem] = []
    drafts: list[_Draft] = []
    for number, entry in enumerate(recipe.tasks):
        progress(entry.task)
        try:
            drafts.append(_draft(loaded, library, entry, root, work))
        except InstructifyError as error:
            problems += [_placed(problem, loaded.where(number), entry.task) for problem in error.problems]
    if not problems:
        problems = [_placed(problem, loaded.path.name, "") for problem in _cluster_problems(recipe, drafts)]
    if problems:
        raise InstructifyError(*problems)
    quotas = {role: _quotas(recipe, drafts, role) for role in ("train", "held_out")}
    tasks = tuple(_planned(draft, quotas[draft.role][draft.entry.task]) for draft in drafts)
    notes = [f"{draft.entry.task}: {note}" for draft in drafts for note in draft.notes]
    return Plan(recipe, tasks, _budget(loaded), (*_notes(tasks), *notes))


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


def _data_root(loaded: LoadedRecipe, given: Path | None) -> Path | None:
    named = os.environ.get(DATA_ROOT_VARIABLE)
    root = given.resolve() if given is not None else Path(named).resolve() if named else None
    if root is None and loaded.recipe.data_root:
        root = resolve(loaded.recipe.data_root, loaded.base)
    if root is not None and not root.is_dir():
        raise InstructifyError(Problem("the data root is no folder", str(root)))
    return root


def _draft(
    loaded: LoadedRecipe, library: TemplateLibrary, entry: TaskEntry, root: Path | None, work: Path
) -> _Draft:
    folder = entry.templates.dataset or (f"{entry.dataset}/{entry.subset}" if entry.subset else entry.dataset)
    info = library.task_info(folder)
    templates = select_templates(library, entry, folder)
    cluster = entry.cluster or info.cluster
    if cluster is None:
        raise InstructifyError(Problem("no task cluster", expected="cluster: in the recipe or in task.yaml"))
    role: Role = "held_out" if cluster in loaded.recipe.held_out else "train"
    split = entry.split if role == "train" else entry.eval_split
    spec = _rooted(entry.source, root) if entry.source else default_source(entry, root)
    source = open_source(spec, split, loaded.base, work)
    composed = loaded.recipe.variants if role == "train" else loaded.recipe.eval_variants
    templates, variants, notes = composable(templates, composed)
    columns = needed_columns(templates, source.columns)
    licence = entry.licence or info.licence
    exemplars = None
    if any(variant.shot_range[1] for own in variants for variant in own):
        exemplars = source if role == "train" else open_source(spec, entry.split, loaded.base, work)
    return _Draft(
        entry,
        folder,
        cluster,
        role,
        licence,
        split,
        spec,
        source,
        templates,
        variants,
        columns,
        exemplars,
        notes,
    )


def composable(
    templates: tuple[Template, ...], variants: Sequence[Variant]
) -> tuple[tuple[Template, ...], tuple[tuple[Variant, ...], ...], tuple[str, ...]]:
    """Return the templates that some variant can compose, their variants, and a note on the others.

    Raises InstructifyError when there are none.
    """
    found = [(template, own) for template in templates if (own := variants_of(template, variants))]
    if not found:
        names = ", ".join(variant.name for variant in variants)
        what = f"no template can be composed in the variants {names}"
        raise InstructifyError(Problem(what, expected="a rationale, or the filter options, in some template"))
    left = len(templates) - len(found)
    notes = (f"{left} templates are left out: no variant can compose them",) if left else ()
    return tuple(template for template, _ in found), tuple(own for _, own in found), notes


def default_source(entry: TaskEntry, root: Path | None) -> Source:
    """Return where a task's rows come from when the recipe does not say: world, data root, or hub."""
    if entry.dataset == "world":
        return WorldSource(kind="world", name=entry.subset or "")
    folder = f"{entry.dataset}/{entry.subset}" if entry.subset else entry.dataset
    if root is not None:
        if not (root / folder).is_dir():
            raise InstructifyError(Problem(f"no folder {folder!r} in the data root {root}"))
        return FilesSource(kind="files", path=str(root / folder / "{split}.parquet"))
    return HubSource(kind="hub", path=entry.dataset, config=entry.subset)


def _rooted(spec: Source, root: Path | None) -> Source:
    """Return the source with {data_root} in its paths filled in."""
    if not isinstance(spec, FilesSource) or DATA_ROOT not in str(spec.path):
        return spec
    if root is None:
        expected = f"--data-root, {DATA_ROOT_VARIABLE} or data_root: in the recipe"
        raise InstructifyError(
            Problem(f"a source's path has {DATA_ROOT}, but no data root is set", expected=expected)
        )
    paths = [spec.path] if isinstance(spec.path, str) else spec.path
    filled = [path.replace(DATA_ROOT, str(root)) for path in paths]
    return spec.model_copy(update={"path": filled[0] if isinstance(spec.path, str) else filled})


def select_templates(library: TemplateLibrary, entry: TaskEntry, folder: str) -> tuple[Template, ...]:
    """Return the templates a task asks for; raises InstructifyError when a pattern matches none."""
    every = library.templates(folder)
    wanted = entry.templates
    names = [template.name for template in every]
    problems = [
        Problem(f"no template is called {pattern!r}", nearest=nearest(pattern, names))
        for pattern in (*wanted.include, *wanted.exclude)
        if not any(matches(name, pattern) for name in names)
    ]
    if problems:
        raise InstructifyError(*problems)
    chosen = tuple(
        template
        for template in every
        if any(matches(template.name, pattern) for pattern in wanted.include)
        and not any(matches(template.name, pattern) for pattern in wanted.exclude)
        and not (wanted.original_task_only and template.original_task is False)
    )
    if not chosen:
        raise InstructifyError(Problem("every template is excluded"))
    return chosen


def needed_columns(templates: tuple[Template, ...], columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that the templates read, in the source's order.

    Compiles every template. Raises InstructifyError with all problems: text that does not parse, and
    names that are no column of the source.
    """
    users: dict[str, list[Template]] = {}
    problems: list[Problem] = []
    for template in templates:
        try:
            variables = reference(template).variables
        except InstructifyError as error:
            problems += error.problems
            continue
        for name in sorted(variables):
            users.setdefault(name, []).append(template)
    for name in sorted(users.keys() - set(columns) - GLOBALS):
        problems.append(_unknown_column(name, users[name], columns))
    if "answer_choices" in columns:
        problems.append(
            Problem("the source has a column answer_choices, which is a reserved name; rename it")
        )
    if problems:
        raise InstructifyError(*problems)
    return tuple(name for name in columns if name in users)


def _unknown_column(name: str, templates: list[Template], columns: tuple[str, ...]) -> Problem:
    shown = ", ".join(repr(template.name) for template in templates[:3])
    more = f" and {len(templates) - 3} more" if len(templates) > 3 else ""
    verb = "uses" if len(templates) == 1 else "use"
    what = f"template {shown}{more} {verb} {name!r}, which is no column of the source"
    where = reference(templates[0]).where_of(name)
    return Problem(what, where, f"one of {', '.join(columns)}", nearest(name, columns))


def _cluster_problems(recipe: Recipe, drafts: list[_Draft]) -> list[Problem]:
    clusters = sorted({draft.cluster for draft in drafts})
    problems = [
        Problem(f"held_out: no task is in the cluster {name!r}", nearest=nearest(name, clusters))
        for name in recipe.held_out
        if name not in clusters
    ]
    folded = {name.casefold(): name for name in recipe.held_out}
    problems += [
        Problem(f"the cluster {name!r} is held out only under the name {folded[name.casefold()]!r}; use one")
        for name in clusters
        if name.casefold() in folded and name not in recipe.held_out
    ]
    problems += _shared(drafts)
    if all(draft.role == "held_out" for draft in drafts):
        problems.append(Problem("every task is held out, so nothing is left to train on"))
    return problems


def _shared(drafts: list[_Draft]) -> list[Problem]:
    """Return a problem for each training task that reads what a held-out task reads."""
    problems = []
    for train in (draft for draft in drafts if draft.role == "train"):
        for held in (draft for draft in drafts if draft.role == "held_out"):
            shared = sorted(_identity(train) & _identity(held))
            if shared:
                pair = f"{train.entry.task} is trained on and {held.entry.task} is held out"
                what = f"{pair}, but both are {', '.join(shared)}"
                problems.append(Problem(what, expected="both in one task cluster, or one of them left out"))
    return problems


def _identity(draft: _Draft) -> set[str]:
    """Return the names by which a task's data may be recognised."""
    entry, spec = draft.entry, draft.spec
    found = {f"the dataset {entry.dataset}" + (f"/{entry.subset}" if entry.subset else "")}
    found |= {f"rendered by the templates of {draft.folder}", f"the rows {draft.source.fingerprint[:16]}"}
    if isinstance(spec, FilesSource):
        found |= {f"read from {path}" for path in ([spec.path] if isinstance(spec.path, str) else spec.path)}
    elif isinstance(spec, WorldSource):
        found.add(f"the dataset world/{spec.name}")
    elif isinstance(spec, DiskSource):
        found.add(f"read from {Path(spec.path).expanduser()}")
    elif isinstance(spec, HubSource):
        found.add(f"the hub dataset {spec.path}" + (f"/{spec.config}" if spec.config else ""))
    return found


def _quotas(recipe: Recipe, drafts: list[_Draft], role: Role) -> Mapping[str, Mapping[str, int]]:
    mixture = recipe.mixture
    sizes = [
        mix.TaskSize(
            task=draft.entry.task,
            templates=tuple(template.name for template in draft.templates),
            rows=draft.source.rows,
            cap=(draft.entry.cap or mixture.cap_per_dataset) if role == "train" else None,
            cap_per_template=(draft.entry.cap_per_template or mixture.cap_per_template)
            if role == "train"
            else mixture.eval_cap_per_template,
        )
        for draft in drafts
        if draft.role == role
    ]
    return mix.quotas(sizes, mixture.size if role == "train" else None)


def _planned(draft: _Draft, quotas: Mapping[str, int]) -> PlannedTask:
    match = SPLIT.match(draft.split)
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
        quotas=tuple(quotas[template.name] for template in draft.templates),
        columns=draft.columns,
        exemplars=draft.exemplars,
    )


def _notes(tasks: tuple[PlannedTask, ...]) -> list[str]:
    notes = [f"{task.name}: {note}" for task in tasks for note in task.source.notes]
    notes += [f"{task.name}: the licence of its rows is not known" for task in tasks if task.licence is None]
    return notes
