"""Finding the templates that are to be linted, and where the rows for them are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from instructify.errors import InstructifyError, Problem, nearest
from instructify.lint.engine import Draft
from instructify.recipe.models import FilesSource, Source, WorldSource
from instructify.templates import open_library, ours, promptsource
from instructify.templates.library import TASK_FILE, dataset_of, is_template, meant
from instructify.templates.model import Template


@dataclass(frozen=True, slots=True)
class Batch:
    """The templates of one dataset and where its rows are; `source` is None where that is not known.

    `beside` are files that are no templates, and say why: a task.yaml that does not hold, or a file that is
    not read for its name or its place.
    """

    dataset: str
    drafts: tuple[Draft, ...]
    source: Source | None = None
    split: str = "train"
    base: Path = Path()
    label_names: Mapping[str, tuple[str, ...]] | None = None
    beside: tuple[Draft, ...] = ()


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
            misnamed = [file.name for file in _misnamed(path)]
            what += f" ({', '.join(misnamed)} is not read)" if misnamed else ""
            raise InstructifyError(Problem(what, str(path), expected))
        for file in files:
            listed = folders.setdefault(file.parent, [])
            listed += [file] if file not in listed else []
            roots.setdefault(file.parent, path if path.is_dir() else file.parent)
    loose = [path for path in dict.fromkeys(paths) if path in folders and _is_collection(path)]
    found = [
        _rooted(_batch(folder, files, _dataset_of(folder, roots[folder], data_root)), data, data_root, split)
        for folder, files in sorted(folders.items())
        if folder not in loose
    ]
    without = [folder for path in paths for folder in _folders(path) if folder not in folders]
    beside = [_loose(file) for folder in loose for file in folders[folder]]
    beside += [_stray(file) for folder in loose for file in _misnamed(folder)]
    beside += [_stray(file) for folder in dict.fromkeys(without) for file in _misnamed(folder, TASK_FILE)]
    return [*found, *_beside(beside)]


def from_collection(
    name: str, datasets: Sequence[str], data: str | None, data_root: Path | None, split: str | None
) -> list[Batch]:
    """Return the templates of a collection, of some of its datasets or all."""
    collection = open_library([name], Path.cwd()).collections[0]
    root, known = collection.root, collection.datasets()
    wrong = [dataset for dataset in datasets if dataset not in known]
    if wrong:
        what = f"{name} has no templates for {wrong[0]!r}"
        raise InstructifyError(Problem(what, nearest=nearest(wrong[0], known)))
    found = []
    for dataset in datasets or known:
        folder = root / dataset
        batch = _batch(folder, list(_template_files(folder, deep=False)), dataset, dataset)
        found.append(_rooted(batch, data, data_root, split))
    if datasets:
        return found
    without = [folder for folder in _folders(root) if folder.relative_to(root).as_posix() not in known]
    beside = [_loose(file) for file in collection.loose()]
    beside += [_stray(file) for folder in without for file in _misnamed(folder)]
    return [*found, *_beside(beside)]


def from_recipe(path: Path, data_root: Path | None) -> list[Batch]:
    """Return the templates that a recipe's tasks use, each with the rows of the task."""
    from instructify.build.drafts import default_source, select_templates
    from instructify.recipe.load import load_recipe

    loaded = load_recipe(path)
    library = open_library(
        loaded.recipe.template_sources,
        loaded.base,
        loaded.recipe.promptsource_truncate,
        partial(loaded.place, "template_sources"),
    )
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
    needing = [batch for batch in batches if batch.drafts and not isinstance(batch.source, WorldSource)]
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
    for folder in _folders(path) if deep else [path]:
        names = _files(folder)
        yield from (folder / name for name in names if is_template(name) or name == promptsource.FILE_NAME)


def _folders(path: Path) -> Iterator[Path]:
    """Yield a folder and those below it, hidden ones left out."""
    for folder, names, _ in os.walk(path):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield Path(folder)


def _files(folder: Path) -> list[str]:
    """Return the names of the files in a folder, sorted; none where it cannot be read."""
    return next((sorted(files) for _, _, files in os.walk(folder)), [])


def _misnamed(folder: Path, beside: str = "") -> list[Path]:
    """Return the files of a folder that are not read for their names.

    Where `beside` is given, only those beside a file of this name, or one that was meant to have it.
    """
    names = _files(folder)
    if beside and beside not in (*names, *map(meant, names)):
        return []
    return [folder / name for name in names if meant(name)]


def _is_collection(folder: Path) -> bool:
    """Tell whether a folder without a task.yaml is a collection: one below says it is a dataset of it."""
    if (folder / TASK_FILE).is_file():
        return False
    for below in _folders(folder):
        if (below / TASK_FILE).is_file():
            with contextlib.suppress(InstructifyError):
                facts = ours.read_task_file(below / TASK_FILE)
                if facts.folder == below.relative_to(folder).as_posix():
                    return True
    return False


def _loose(file: Path) -> Draft:
    what = "this file lies in no dataset's folder, so that no task can use it"
    expected = f"its place in {file.parent / 'DATASET' / file.name}"
    return _unread(file, "", InstructifyError(Problem(what, str(file), expected)))


def _stray(file: Path) -> Draft:
    problem = Problem("this file is not read, for its name", str(file), f"the name {meant(file.name)}")
    return _unread(file, "", InstructifyError(problem))


def _beside(drafts: Sequence[Draft]) -> list[Batch]:
    return [Batch("", (), beside=tuple(drafts))] if drafts else []


def _batch(folder: Path, files: Sequence[Path], dataset: str, place: str | None = None) -> Batch:
    """Return the templates of one folder; what cannot be read becomes a draft that says why.

    `place` is the folder's place in its collection, where that is known.
    """
    drafts: list[Draft] = []
    labels = None
    beside = [_stray(file) for file in _misnamed(folder)]
    if (folder / TASK_FILE).is_file():
        try:
            facts = ours.read_task_file(folder / TASK_FILE)
            ends = Path(os.path.abspath(folder)).parts[-1 - facts.folder.count("/") :]  # noqa: PTH100  links stay
            ours.read_task_file(folder / TASK_FILE, place or "/".join(ends))
            dataset = facts.folder
            labels = {name: tuple(names) for name, names in facts.label_names.items()}
        except InstructifyError as error:
            beside.insert(0, _unread(folder / TASK_FILE, dataset, error))
    for file in files:
        try:
            if file.name == promptsource.FILE_NAME:
                drafts += map(Draft, promptsource.read_templates(file, dataset, ""))
            else:
                text = ours.read_text(file)
                drafts.append(Draft(ours.parse_template(text, str(file), file.stem, dataset, ""), text))
        except InstructifyError as error:
            drafts.append(_unread(file, dataset, error))
    return Batch(dataset, tuple(drafts), label_names=labels, beside=tuple(beside))


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
