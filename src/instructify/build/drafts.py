"""Drafts: a recipe's task with its role, opened source, templates and columns, before quotas are known."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instructify.compose.schedule import variants_of
from instructify.errors import InstructifyError, Problem, nearest
from instructify.metrics import DECLARED, METRICS, metric_key
from instructify.origins import Identity
from instructify.recipe.alike import ALIKE, ONE_FORM, alike
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.models import FilesSource, HubSource, Source, TaskEntry, WorldSource, resolve
from instructify.recipe.variants import Variant
from instructify.render.reference import reference
from instructify.render.sandbox import GLOBALS
from instructify.sources import open_source
from instructify.sources.found import no_such
from instructify.templates import Template, TemplateLibrary, matches, ours
from instructify.templates.places import line_in_head
from instructify.types import OpenSource, Role

DATA_ROOT_VARIABLE = "INSTRUCTIFY_DATA_ROOT"
DATA_ROOT = "{data_root}"


@dataclass(frozen=True, slots=True)
class Draft:
    """One task of the recipe, its names resolved and its source opened."""

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
    identity: Identity
    notes: tuple[str, ...]


def find_data_root(loaded: LoadedRecipe, given: Path | None) -> Path | None:
    """Return the data root: the given one, that of the environment, or the recipe's."""
    named = os.environ.get(DATA_ROOT_VARIABLE)
    root = given.resolve() if given is not None else Path(named).resolve() if named else None
    if root is None and loaded.recipe.data_root:
        root = resolve(loaded.recipe.data_root, loaded.base)
    if root is not None and not root.is_dir():
        raise InstructifyError(no_such(root, "the data root is no folder"))
    return root


def make_draft(
    loaded: LoadedRecipe, library: TemplateLibrary, entry: TaskEntry, root: Path | None, work: Path
) -> Draft:
    """Return the draft of a task; raises InstructifyError with all that is wrong with it."""
    folder = entry.templates.dataset or _dataset_name(entry)
    info = library.task_info(folder)
    templates = select_templates(library, entry, folder)
    _check_metrics(templates)
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
    if role == "held_out" and exemplars is not None and _overlap(source, exemplars):
        notes += (f"its exemplars are rows that are evaluated too: {entry.split} and {split} overlap",)
    if entry is loaded.recipe.tasks[0]:
        notes += _loose_notes(library)
    return Draft(
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
        Identity(_dataset_name(entry), info.aliases, info.origin),
        notes,
    )


def _overlap(source: OpenSource, other: OpenSource) -> bool:
    """Tell whether two opened sources have rows in common, by their contents and the rows of them."""
    is_same = source.fingerprint == other.fingerprint
    return is_same and source.start < other.stop and other.start < source.stop


def _loose_notes(library: TemplateLibrary) -> tuple[str, ...]:
    """Return a note on each template that no task can name; the first task of a recipe has them."""
    return tuple(
        f"{collection.name}/{path.name} is not read, because it lies in no dataset's folder"
        for collection in library.collections
        for path in collection.loose()
    )


def _dataset_name(entry: TaskEntry) -> str:
    return f"{entry.dataset}/{entry.subset}" if entry.subset else entry.dataset


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
    folder = _dataset_name(entry)
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
    wanted = entry.templates
    every = library.templates(folder, wanted.include, wanted.exclude)
    names = [template.name for template in every]
    problems = [
        _no_template(pattern, names)
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


def _no_template(pattern: str, names: Sequence[str]) -> Problem:
    what = f"no template is called {pattern!r}"
    if other := alike(pattern, names):
        return Problem(f"{what}: the name {other!r} {ALIKE}", expected=ONE_FORM)
    return Problem(what, nearest=nearest(pattern, names))


def _check_metrics(templates: Sequence[Template]) -> None:
    """Raise InstructifyError for a metric of our templates that no evaluation would know."""
    problems = [
        Problem(
            f"template {template.name!r} declares the metric {name!r}, which is none",
            template.origin,
            f"one of {', '.join(METRICS)}",
            nearest(metric_key(name), DECLARED),
        )
        for template in templates
        if template.dialect == "strict"
        for name in template.metrics
        if metric_key(name) not in DECLARED
    ]
    if problems:
        raise InstructifyError(*problems)


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
    return Problem(
        what, _where_of(name, templates[0]), f"one of {', '.join(columns)}", nearest(name, columns)
    )


def _where_of(name: str, template: Template) -> str:
    """Return the file and line on which a template first uses a name, in its front matter or its body."""
    line = 0
    if template.dialect == "strict" and template.origin:
        with contextlib.suppress(InstructifyError):  # it was read before, and may be gone by now
            line = line_in_head(template, ours.read_text(Path(template.origin)), name)
    return f"{template.origin}:{line}" if line else reference(template).where_of(name)
