"""What a preview is pointed at: a template file, a folder, a dataset name or a recipe, as planned tasks."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

from instructify.build.drafts import composable, needed_columns, select_templates
from instructify.build.plan import PlannedTask, make_plan
from instructify.compose.budget import Budget, open_tokenizer
from instructify.compose.styles import STYLES
from instructify.errors import InstructifyError, Problem, nearest
from instructify.recipe import yaml
from instructify.recipe.load import NAME_PATTERN, PATTERNS, LoadedRecipe, load_recipe, validate
from instructify.recipe.models import SPLIT, Recipe
from instructify.recipe.variants import ZERO_SHOT, Tokens, Variant
from instructify.sources.splits import USUAL, usual_split
from instructify.sources.tokenizer import find_tokenizer
from instructify.templates import matches, open_library, promptsource
from instructify.templates.library import TASK_FILE, dataset_of
from instructify.templates.ours import read_task_file, read_template

TARGETS = "a template file, a folder of one dataset's templates, a dataset name, or a recipe"
VARIANTS = (
    ZERO_SHOT,
    Variant(name="few_shot", shots=2),
    Variant(name="options_hidden", options="hidden"),
    Variant(
        name="by_marker", answer_by_marker=True, option_styles=[n for n, s in STYLES.items() if s.marker]
    ),
    Variant(name="reason_first", reasoning="before"),
    Variant(name="answer_first", reasoning="after"),
)
"""The variants that can be looked at where no recipe names any; the first is shown unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be previewed, as the command line says it.

    `variant` is a pattern of variant names. Without one a recipe's rows come in the variants that a build
    composes them in, and other rows in ZERO_SHOT. Without a `split` rows are of train, or of the first split
    that the data root has. `max_input` and `max_target` need a tokenizer, of their own
    or of the recipe.
    """

    target: str
    template: str = "*"
    task: str = "*"
    variant: str | None = None
    data: str | None = None
    split: str | None = None
    seed: int = 0
    data_root: Path | None = None
    tokenizer: str | None = None
    max_input: int | None = None
    max_target: int | None = None

    @property
    def is_recipe(self) -> bool:
        """Whether the target is a recipe."""
        path = Path(self.target)
        return path.suffix in (".yaml", ".yml") and path.name not in ("task.yaml", "templates.yaml")


@dataclass(frozen=True, slots=True)
class Found:
    """The tasks of a target; `scheduled` rows come in the variants that a build gives them."""

    wanted: Wanted
    loaded: LoadedRecipe
    tasks: tuple[PlannedTask, ...]
    budget: Budget | None
    scheduled: bool


def find(wanted: Wanted, work: Path) -> Found:
    """Return the tasks of a target; raises InstructifyError for what is no target, or has no such templates.

    Sources that are not Parquet are converted into `work`.
    """
    if not wanted.target:
        raise InstructifyError(Problem("the target is empty", expected=TARGETS))
    if wanted.is_recipe and (wanted.data is not None or wanted.split is not None):
        option = "--split" if wanted.data is None else "--data"
        raise InstructifyError(Problem("a recipe names its own rows", option))
    loaded = load_recipe(Path(wanted.target)) if wanted.is_recipe else _improvised(wanted)
    plan = make_plan(loaded, work, wanted.data_root)
    tasks = [one for one in plan.tasks if fnmatchcase(one.name, wanted.task)]
    if not tasks:
        names = [one.name for one in plan.tasks]
        what = f"no task is called {wanted.task!r}"
        raise InstructifyError(Problem(what, wanted.target, nearest=nearest(wanted.task, names)))
    budget = _budget(wanted, plan.budget)
    scheduled = wanted.is_recipe and wanted.variant is None
    narrowed = tuple(task for task in _narrowed(wanted, tasks) if task.templates)
    return Found(wanted, loaded, narrowed, budget, scheduled)


def reread(found: Found) -> Found:
    """Return the same tasks with their templates as the files have them now, which may be none in some.

    Raises InstructifyError.
    """
    loaded = found.loaded if found.wanted.is_recipe else _improvised(found.wanted)
    recipe = loaded.recipe
    library = open_library(recipe.template_sources, loaded.base, recipe.promptsource_truncate)
    entries = {entry.task: entry for entry in recipe.tasks}
    tasks = []
    for task in found.tasks:
        entry = entries.get(task.name)
        if entry is None:
            what = f"there are no templates of {task.name} here now"
            raise InstructifyError(Problem(what, found.wanted.target))
        folder = entry.templates.dataset or (f"{task.dataset}/{task.subset}" if task.subset else task.dataset)
        composed = recipe.variants if task.role == "train" else recipe.eval_variants
        templates, variants, _ = composable(select_templates(library, entry, folder), composed)
        columns = needed_columns(templates, task.source.columns)
        quotas = (0,) * len(templates)
        tasks.append(replace(task, templates=templates, variants=variants, quotas=quotas, columns=columns))
    return replace(found, tasks=_narrowed(found.wanted, tasks))


def _narrowed(wanted: Wanted, tasks: Sequence[PlannedTask]) -> tuple[PlannedTask, ...]:
    """Return the tasks with the templates and variants that are wanted; raises InstructifyError for none."""
    named = [
        _with(task, [n for n, t in enumerate(task.templates) if matches(t.name, wanted.template)])
        for task in tasks
    ]
    if not any(task.templates for task in named):
        known = [template.name for task in tasks for template in task.templates]
        what = f"no template is called {wanted.template!r}"
        raise InstructifyError(Problem(what, wanted.target, nearest=nearest(wanted.template, known)))
    pattern = wanted.variant or (None if wanted.is_recipe else VARIANTS[0].name)
    if pattern is None:
        return tuple(named)
    chosen = [_in_variants(task, pattern) for task in named]
    if not any(task.templates for task in chosen):
        raise InstructifyError(_no_variant(pattern, named, () if wanted.is_recipe else VARIANTS))
    return tuple(chosen)


def _with(task: PlannedTask, places: Sequence[int]) -> PlannedTask:
    """Return a task with the templates at these places only."""
    return replace(
        task,
        templates=tuple(task.templates[n] for n in places),
        variants=tuple(task.variants[n] for n in places),
        quotas=tuple(task.quotas[n] for n in places),
    )


def _in_variants(task: PlannedTask, pattern: str) -> PlannedTask:
    kept = tuple(tuple(v for v in own if fnmatchcase(v.name, pattern)) for own in task.variants)
    return _with(replace(task, variants=kept), [n for n, own in enumerate(kept) if own])


def _no_variant(pattern: str, tasks: Sequence[PlannedTask], offered: Sequence[Variant]) -> Problem:
    composed = [variant.name for task in tasks for own in task.variants for variant in own]
    names = list(dict.fromkeys([*composed, *(variant.name for variant in offered)]))
    if any(fnmatchcase(name, pattern) for name in names):
        what = f"none of these templates can be composed in the variant {pattern!r}"
        return Problem(what, "--variant", "a rationale, or the filter options, in the template")
    listed = ", ".join(names)
    return Problem(
        f"no variant is called {pattern!r}", "--variant", f"one of {listed}", nearest(pattern, names)
    )


def _budget(wanted: Wanted, planned: Budget | None) -> Budget | None:
    """Return the budget that the command line asks for, or else the recipe's."""
    if wanted.tokenizer is not None:
        planned = _counted_by(wanted.tokenizer)
    if planned is None:
        if wanted.max_input or wanted.max_target:
            option = "--max-input" if wanted.max_input else "--max-target"
            raise InstructifyError(Problem("no tokenizer counts the tokens", option, "--tokenizer beside it"))
        return None
    max_input, max_target = wanted.max_input or planned.max_input, wanted.max_target or planned.max_target
    return replace(planned, max_input=max_input, max_target=max_target)


def _counted_by(tokenizer: str) -> Budget:
    """Return the budget that a recipe has where it names nothing but the tokenizer."""
    path, sha256 = find_tokenizer(tokenizer, Path.cwd(), "--tokenizer")
    open_tokenizer(path)
    tokens = Tokens(tokenizer=tokenizer)
    return Budget(path, sha256, tokens.max_input, tokens.max_target)


def _improvised(wanted: Wanted) -> LoadedRecipe:
    """Return a one-task recipe around a template file, a folder, or a dataset name."""
    place, include = _place(wanted.target), wanted.template
    if place is None:
        dataset, subset, key, collections = _known(wanted.target)
    else:
        folder = place.parent if place.is_file() else place
        if place.suffix == ".jinja" and place.is_file():
            include = escape(read_template(place, "", "").name)
        dataset, subset, collection, key = _named(folder, wanted.data_root)
        collections = [collection]
        for name in (dataset, subset or dataset, key):
            _check_name(name, str(folder))
    _check_options(wanted.data, wanted.split)
    root = wanted.data_root if wanted.data is None else None
    usual = usual_split(root / (f"{dataset}/{subset}" if subset else dataset)) if root else USUAL[0]
    task: dict[str, Any] = {
        "dataset": dataset,
        "subset": subset,
        "cluster": "preview",
        "split": wanted.split or usual,
        "templates": {"dataset": key, "include": [include]},
    }
    if wanted.data is not None:
        task["source"] = {"kind": "files", "path": str(Path(wanted.data).resolve())}
    whole = {
        "name": "preview",
        "seed": wanted.seed,
        "template_sources": collections,
        "variants": [variant.model_dump() for variant in VARIANTS],
        "output": {"dir": "."},
        "tasks": [task],
    }
    recipe = validate(Recipe, whole, yaml.parse("", wanted.target)[1], wanted.target)
    return LoadedRecipe(recipe, Path("preview").absolute(), Path.cwd(), "")


def _place(target: str) -> Path | None:
    """Return the template file or folder that a target names; None where it is no path."""
    try:
        place = Path(target).resolve()
        is_file = place.is_file()
        if not is_file and not place.is_dir():
            return None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR):
            return None
        raise InstructifyError(Problem(f"cannot be read: {(error.strerror or '').lower()}", target)) from None
    except (RuntimeError, ValueError) as error:  # links in a circle, a NUL
        raise InstructifyError(Problem(f"cannot be read: {error}", target)) from None
    if is_file and place.suffix != ".jinja" and place.name not in ("task.yaml", "templates.yaml"):
        raise InstructifyError(Problem("this is no template", target, TARGETS))
    return place


def _known(target: str) -> tuple[str, str | None, str, list[str]]:
    """Return dataset, subset, key and collections of a dataset name."""
    collections = ["builtin", "promptsource"] if promptsource.installed_root() else ["builtin"]
    library = open_library(collections, Path.cwd())
    _check_name(target, "", library.datasets)
    return *library.parts(target), target, collections


def _check_name(name: str, where: str, known: Callable[[], list[str]] = list) -> None:
    """Raise InstructifyError unless a dataset can be called so."""
    if len(name) > 200 or not re.fullmatch(NAME_PATTERN, name) or name.endswith("\n"):
        shown = repr(name if len(name) <= 80 else name[:77] + "...")
        if where:
            raise InstructifyError(
                Problem(f"a dataset cannot be called {shown}", where, PATTERNS[NAME_PATTERN])
            )
        what = f"there is no file or folder {shown}, and no dataset can be called so"
        raise InstructifyError(Problem(what, expected=TARGETS, nearest=nearest(name, known())))


def _check_options(data: str | None, split: str | None) -> None:
    problems = []
    if split is not None and not SPLIT.fullmatch(split):
        expected = "a name with an optional slice, as in train, train[:500], test[10%:20%]"
        problems.append(Problem(f"{split!r} is no split", "--split", expected))
    if data == "":
        problems.append(Problem("no path is given", "--data", "a file, folder or glob of rows"))
    if problems:
        raise InstructifyError(*problems)


def _named(folder: Path, data_root: Path | None) -> tuple[str, str | None, str, str]:
    """Return dataset, subset, collection root and key of a folder of templates."""
    facts = folder / TASK_FILE
    if facts.is_file():
        task = read_task_file(facts)
        dataset, subset, key = task.dataset, task.subset, task.folder
    else:
        key = dataset_of(folder, data_root) or folder.name
        dataset, subset = promptsource.parts(key)
    if not folder.as_posix().endswith("/" + key):
        return dataset, subset, str(folder.parent), folder.name
    return dataset, subset, folder.as_posix().removesuffix("/" + key) or "/", key
