"""Finding the templates that are to be linted, and where the rows for them are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from instructify.errors import InstructifyError, Problem, nearest
from instructify.lint.engine import Draft
from instructify.recipe.models import FilesSource, Source, WorldSource
from instructify.templates import open_library, ours, promptsource
from instructify.templates.library import TASK_FILE, dataset_of
from instructify.templates.model import Template


@dataclass(frozen=True, slots=True)
class Batch:
    """The templates of one dataset and where its rows are; `source` is None where that is not known."""

    dataset: str
    drafts: tuple[Draft, ...]
    source: Source | None = None
    split: str = "train"
    base: Path = Path()
    label_names: Mapping[str, tuple[str, ...]] | None = None


def from_paths(
    paths: Sequence[Path], data: str | None, data_root: Path | None, split: str | None
) -> list[Batch]:
    """Return the templates of files and folders, with their rows; raises InstructifyError for no template."""
    folders: dict[Path, list[Path]] = {}
    roots: dict[Path, Path] = {}
    for path in paths:
        files = list(_template_files(path))
        if not files:
            expected = "a .jinja file, a templates.yaml, a folder with some, or a recipe"
            what = "there is no template here" if path.exists() else "there is no such file or folder"
            raise InstructifyError(Problem(what, str(path), expected))
        for file in files:
            listed = folders.setdefault(file.parent, [])
            listed += [file] if file not in listed else []
            roots.setdefault(file.parent, path if path.is_dir() else file.parent)
    return [
        _rooted(_batch(folder, files, _dataset_of(folder, roots[folder], data_root)), data, data_root, split)
        for folder, files in sorted(folders.items())
    ]


def from_collection(
    name: str, datasets: Sequence[str], data: str | None, data_root: Path | None, split: str | None
) -> list[Batch]:
    """Return the templates of a collection, of some of its datasets or all."""
    root = open_library([name], Path.cwd()).collections[0]
    known = root.datasets()
    wrong = [dataset for dataset in datasets if dataset not in known]
    if wrong:
        what = f"{name} has no templates for {wrong[0]!r}"
        raise InstructifyError(Problem(what, nearest=nearest(wrong[0], known)))
    found = []
    for dataset in datasets or known:
        folder = root.root / dataset
        batch = _batch(folder, list(_template_files(folder, deep=False)), dataset)
        found.append(_rooted(batch, data, data_root, split))
    return found


def from_recipe(path: Path, data_root: Path | None) -> list[Batch]:
    """Return the templates that a recipe's tasks use, each with the rows of the task."""
    from instructify.build.drafts import default_source, select_templates
    from instructify.recipe.load import load_recipe

    loaded = load_recipe(path)
    library = open_library(loaded.recipe.template_sources, loaded.base, loaded.recipe.promptsource_truncate)
    if data_root is None and loaded.recipe.data_root:
        data_root = (loaded.base / loaded.recipe.data_root).resolve()
    batches = []
    for entry in loaded.recipe.tasks:
        own = f"{entry.dataset}/{entry.subset}" if entry.subset else entry.dataset
        folder = entry.templates.dataset or own
        templates = select_templates(library, entry, folder)
        source = entry.source or default_source(entry, data_root)
        cluster = entry.cluster or library.task_info(folder).cluster
        split = entry.eval_split if cluster in loaded.recipe.held_out else entry.split
        drafts = tuple(Draft(template, _text(template)) for template in templates)
        batches.append(Batch(folder, drafts, _filled(source, data_root), split, loaded.base))
    return batches


def check_data_root(root: Path, batches: Sequence[Batch]) -> None:
    """Raise InstructifyError unless the data root is a folder with rows for some batch that needs them."""
    from instructify.sources.found import no_such

    if not root.is_dir():
        raise InstructifyError(no_such(root.resolve(), "the data root is no folder"))
    needing = [batch for batch in batches if not isinstance(batch.source, WorldSource)]
    if needing and all(batch.source is None for batch in needing):
        problem = no_such(root.resolve() / needing[0].dataset, "the data root has no such dataset")
        expected = "a folder of this name, --data, or --rows 0 for the rules on text alone"
        raise InstructifyError(replace(problem, expected=expected))


def _text(template: Template) -> str:
    return ours.read_text(Path(template.origin)) if template.dialect == "strict" else ""


def _filled(source: Source, data_root: Path | None) -> Source:
    """Return the source with {data_root} in its paths filled in, where one is known."""
    if not isinstance(source, FilesSource) or data_root is None:
        return source
    paths = [source.path] if isinstance(source.path, str) else source.path
    return source.model_copy(update={"path": [p.replace("{data_root}", str(data_root)) for p in paths]})


def _template_files(path: Path, deep: bool = True) -> Iterator[Path]:
    """Yield the template files that a path names or holds, hidden ones left out."""
    if path.is_file():
        if path.suffix == ".jinja" or path.name == promptsource.FILE_NAME:
            yield path
        return
    for folder, names, files in os.walk(path):
        names[:] = sorted(name for name in names if not name.startswith(".")) if deep else []
        for name in sorted(files):
            is_ours = name.endswith(".jinja") and not name.startswith(".")
            if is_ours or name == promptsource.FILE_NAME:
                yield Path(folder) / name


def _batch(folder: Path, files: Sequence[Path], dataset: str) -> Batch:
    """Return the templates of one folder; what cannot be read becomes a draft that says why."""
    drafts: list[Draft] = []
    labels = None
    if (folder / TASK_FILE).is_file():
        try:
            facts = ours.read_task_file(folder / TASK_FILE)
            dataset = facts.folder
            labels = {name: tuple(names) for name, names in facts.label_names.items()}
        except InstructifyError as error:
            drafts.append(_unread(folder / TASK_FILE, dataset, error))
    for file in files:
        try:
            if file.name == promptsource.FILE_NAME:
                drafts += map(Draft, promptsource.read_templates(file, dataset, ""))
            else:
                text = ours.read_text(file)
                drafts.append(Draft(ours.parse_template(text, str(file), file.stem, dataset, ""), text))
        except InstructifyError as error:
            drafts.append(_unread(file, dataset, error))
    return Batch(dataset, tuple(drafts), label_names=labels)


def _unread(file: Path, dataset: str, error: InstructifyError) -> Draft:
    template = Template(dataset, file.stem, "strict", "", origin=str(file))
    return Draft(template, unread=error.problems)


def _dataset_of(folder: Path, root: Path, data_root: Path | None) -> str:
    """Return the dataset of a folder without a task.yaml.

    It is the folder of the data root that it ends in; or its place below `root`, or its name.
    """
    below = folder.relative_to(root).as_posix()
    return dataset_of(folder, data_root) or (folder.resolve().name if below == "." else below)


def _rooted(batch: Batch, data: str | None, data_root: Path | None, split: str | None) -> Batch:
    """Return the batch with the source of its rows, where there is one; no split stands for the usual one."""
    dataset = batch.dataset
    batch = replace(batch, split=split or batch.split)
    if data is not None:
        return replace(batch, source=FilesSource(kind="files", path=str(Path(data).resolve())))
    if dataset.startswith("world/"):
        return replace(batch, source=WorldSource(kind="world", name=dataset.removeprefix("world/")))
    if data_root is None or not (data_root / dataset).is_dir():
        return batch
    from instructify.sources.splits import usual_split

    spec = FilesSource(kind="files", path=str(data_root / dataset / "{split}.parquet"))
    return replace(batch, source=spec, split=split or usual_split(data_root / dataset))
