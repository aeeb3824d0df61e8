"""What a build refuses or bounds so that nobody trains on what they evaluate, or runs out of memory."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from build_kit import fail, recipe, succeed, world
from instructify.build.drafts import Draft, make_draft
from instructify.build.roles import role_problems
from instructify.errors import InstructifyError
from instructify.recipe.load import LoadedRecipe, load_recipe
from instructify.templates import open_library

TEMPLATE = """---
answer_choices: [no, yes]
---
{{ text }}
|||
{{ answer_choices[label] }}
"""


def _folder(folder: Path, name: str = "own", template: str = TEMPLATE) -> dict[str, object]:
    """Write a template and two splits; return the task that renders them."""
    (folder / "templates" / name).mkdir(parents=True)
    (folder / "templates" / name / "ask.jinja").write_text(template, encoding="utf-8")
    for split, first in (("train", 0), ("validation", 100)):
        rows = [{"text": f"row {first + n}", "label": n % 2} for n in range(20)]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}-{split}.parquet")
    source = {"kind": "files", "path": f"{name}-{{split}}.parquet"}
    return {"dataset": name, "cluster": "held", "licence": "CC0-1.0", "source": source}


def _refused(folder: Path, tasks: list[dict[str, object]], **fields: object) -> str:
    found = fail("build", recipe(folder, tasks, template_sources=["builtin", "templates"], **fields))
    assert not (folder / "out").exists()
    return "\n".join(found)


def test_what_is_held_out_cannot_be_trained_on_under_another_task_name(tmp_path: Path) -> None:
    held = _folder(tmp_path)
    again = {**held, "cluster": "other", "name": "again", "split": "validation"}
    complaint = _refused(tmp_path, [held, again], held_out=["held"])
    assert re.match(r"mixture\.yaml:\d+: again is trained on and own is held out", complaint)
    assert "the dataset own" in complaint


def _by_pattern(folder: Path) -> str:
    return "own-{split}.parquet"


def _by_name(folder: Path) -> str:
    return str(folder / "own-train.parquet")


def _by_way_round(folder: Path) -> str:
    return "../" + folder.name + "/./own-validation.parquet"


def _by_link(folder: Path) -> str:
    (folder / "linked.parquet").symlink_to("own-train.parquet")
    return "linked.parquet"


def _by_linked_folder(folder: Path) -> str:
    (folder / "elsewhere").symlink_to(folder, target_is_directory=True)
    return "elsewhere/own-t*.parquet"


def _by_copy(folder: Path) -> str:
    (folder / "copied.parquet").write_bytes((folder / "own-validation.parquet").read_bytes())
    return "copied.parquet"


SPELLINGS = {
    _by_pattern: "read from",
    _by_name: "read from",
    _by_way_round: "read from",
    _by_link: "read from",
    _by_linked_folder: "read from",
    _by_copy: "the same bytes",
}


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.__name__)
@pytest.mark.parametrize("columns", [{}, {"rename": {"text": "said"}}, {"cast": {"label": "string"}}])
def test_files_of_a_held_out_task_are_known_by_any_name_and_with_any_column_options(
    tmp_path: Path, spelling: Callable[[Path], str], columns: dict[str, object]
) -> None:
    held = _folder(tmp_path)
    template = TEMPLATE.replace("text", "said") if "rename" in columns else TEMPLATE
    template = template.replace("[label]", "[label | int]") if "cast" in columns else template
    copy = {**_folder(tmp_path, "copy", template), "cluster": "other"}
    copy["source"] = {"kind": "files", "path": spelling(tmp_path), **columns}
    complaint = _refused(tmp_path, [held, copy], held_out=["held"])
    assert "copy is trained on and own is held out" in complaint
    assert SPELLINGS[spelling] in complaint


def test_a_data_root_and_a_pattern_name_the_same_file(tmp_path: Path) -> None:
    held = _folder(tmp_path)
    copy = {**_folder(tmp_path, "copy"), "cluster": "other"}
    copy["source"] = {"kind": "files", "path": "{data_root}/own-train.parquet"}
    complaint = _refused(tmp_path, [held, copy], held_out=["held"], data_root=".")
    assert "copy is trained on and own is held out" in complaint


def test_tasks_with_the_same_templates_and_other_rows_are_no_copies(tmp_path: Path) -> None:
    held = _folder(tmp_path)
    other = {**_folder(tmp_path, "other"), "cluster": "other", "templates": {"dataset": "own"}}
    rows = [{"text": f"quite another matter, number {n}", "label": n % 2} for n in range(20)]
    for split in ("train", "validation"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"other-{split}.parquet")
    path = recipe(tmp_path, [held, other], template_sources=["templates"], held_out=["held"])
    said = json.loads(succeed("plan", path, "--json"))
    assert (said["train"], said["eval"]) == (20, 20)


def test_a_cluster_that_differs_by_case_alone_is_no_other_cluster(tmp_path: Path) -> None:
    held = _folder(tmp_path)
    other = {**_folder(tmp_path, "other"), "cluster": "HELD"}
    assert "'HELD' is held out only under the name 'held'" in _refused(
        tmp_path, [held, other], held_out=["held"]
    )


def test_a_held_out_task_that_keeps_no_row_ends_the_build(tmp_path: Path) -> None:
    held = _folder(tmp_path)
    rows = [{"text": f"row {n}", "label": -1} for n in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own-validation.parquet")
    complaint = _refused(tmp_path, [held, world("reviews", 50)], held_out=["held"])
    assert "nothing is left to evaluate of own" in complaint
    assert "unlabelled" in complaint


def test_a_target_that_is_two_of_the_choices_is_dropped_and_counted(tmp_path: Path) -> None:
    template = "---\nanswer_choices: choices\n---\n{{ text }}\n|||\n{{ choices[label] }}\n"
    task = _folder(tmp_path, template=template)
    rows = [
        {"text": "clear", "choices": ["a", "b", "b"], "label": 0},
        {"text": "twice", "choices": ["a", "b", "b"], "label": 1},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own-train.parquet")
    succeed("build", recipe(tmp_path, [task], template_sources=["templates"]), "-j", "1")
    ledger = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["ledgers"][0]
    assert (ledger["kept"], ledger["dropped"]) == (1, {"ambiguous-target": 1})


def test_a_source_inside_the_output_directory_is_refused(tmp_path: Path) -> None:
    task = _folder(tmp_path, template="{{ text }}\n|||\nfine\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text('{"text": "one"}\n', encoding="utf-8")
    task["source"] = {"kind": "files", "path": "data/**/*.jsonl"}
    built = recipe(
        tmp_path, [task], template_sources=["templates"], output={"dir": "data/out", "formats": ["jsonl"]}
    )
    succeed("build", built, "-j", "1")
    before = (tmp_path / "data" / "out" / "manifest.json").read_bytes()
    assert "reads the output directory" in "\n".join(fail("build", built, "-j", "1"))
    assert (tmp_path / "data" / "out" / "manifest.json").read_bytes() == before


def test_long_rows_are_made_in_smaller_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from instructify.build import make, run
    from instructify.cli.progress import Silence
    from instructify.recipe.load import load_recipe

    task = _folder(tmp_path)
    rows = [{"text": f"{n} " + "word " * 200, "label": n % 2} for n in range(300)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own-train.parquet")
    loaded = load_recipe(recipe(tmp_path, [task], template_sources=["templates"]))
    whole = run.build(loaded, Silence(), out=tmp_path / "whole")
    sizes: list[int] = []
    real = make._render

    def spy(task: make.ShardTask, every: object, seconds: dict[str, float]) -> object:
        sizes.append(task.stop - task.start)
        return real(task, every, seconds)

    monkeypatch.setattr(make, "_render", spy)
    monkeypatch.setattr(make, "MAX_TEXT_PER_SHARD", 50_000)
    halves = run.build(loaded, Silence(), out=tmp_path / "halves")
    assert sum(sizes) == 300
    assert max(sizes) <= 50
    assert halves.content_hash == whole.content_hash


def _loose(tmp_path: Path) -> Path:
    """Write a recipe whose rows are settled by kernels, functions and the reference, in several variants."""
    folder = tmp_path / "templates" / "loose"
    folder.mkdir(parents=True)
    (folder / "one.jinja").write_text("{{ text }} {{ extra if extra else 'x' }}\n|||\n{{ text }}\n")
    (folder / "two.jinja").write_text("Again: {{ text }}\n|||\n{{ text }}\n")
    rows = [{"text": f"row {n}", "extra": None if n % 5 < 2 else f"e{n}"} for n in range(3_000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "loose-train.parquet")
    source = {"kind": "files", "path": "loose-{split}.parquet"}
    return recipe(
        tmp_path,
        [{"dataset": "loose", "cluster": "c", "licence": "CC0-1.0", "source": source}],
        template_sources=["templates"],
        variants=[{"name": "zero"}, {"name": "few", "shots": 2}],
        output={"dir": "out", "shard_examples": 200},
    )


def test_rows_settled_by_different_means_keep_together_and_files_are_of_about_one_size(
    tmp_path: Path,
) -> None:
    succeed("build", _loose(tmp_path), "-j", "1", "-q")
    file_of: dict[int, Path] = {}
    sizes = []
    for file in sorted((tmp_path / "out" / "parquet").glob("*.parquet")):
        numbers = pq.read_table(file, columns=["row"])["row"].to_pylist()
        sizes.append(len(numbers))
        assert all(file_of.setdefault(number, file) == file for number in numbers)
    assert sum(sizes) == 6_000
    assert len(sizes) == 30
    assert min(sizes) > 100
    assert max(sizes) < 300


def test_how_work_is_laid_out_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from instructify.build import emit, gather, make, ranges, run, waves
    from instructify.cli.progress import Silence
    from instructify.recipe.load import load_recipe

    loaded = load_recipe(_loose(tmp_path))
    monkeypatch.setattr(ranges, "MAX_ROWS", 500)
    whole = run.build(loaded, Silence(), out=tmp_path / "whole")
    ordered_by: list[bool] = []
    real = make.together
    spy = lambda tables, in_order: ordered_by.append(in_order) or real(tables, in_order)  # noqa: E731
    monkeypatch.setattr(make, "together", spy)
    monkeypatch.setattr(waves, "FEW_FILES", 0)
    monkeypatch.setattr(emit, "FEW_FILES", 1)
    monkeypatch.setattr(gather, "FEW_FILES", 1)
    ordered = run.build(loaded, Silence(), out=tmp_path / "ordered")
    assert ordered_by == [True] * 6
    assert ordered.content_hash == whole.content_hash


def test_tasks_that_share_rows_leave_no_file_empty(tmp_path: Path) -> None:
    task = _folder(tmp_path)
    rows = [{"text": f"row {n}", "label": n % 2} for n in range(16)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own-train.parquet")
    tasks = [{**task, "name": f"own{number}"} for number in range(20)]
    output = {"dir": "out", "shard_examples": 100}
    succeed("build", recipe(tmp_path, tasks, template_sources=["templates"], output=output), "-j", "1", "-q")
    sizes = [pq.read_metadata(file).num_rows for file in (tmp_path / "out" / "parquet").glob("*.parquet")]
    assert min(sizes) > 0
    assert sum(sizes) == 320


def test_where_every_row_is_dropped_the_templates_and_reasons_are_told_with_the_way_on(
    tmp_path: Path,
) -> None:
    task = _folder(tmp_path, template="{{ text }}\n|||\n{{ '' }}\n")
    for name in ("b", "c", "d", "e"):
        (tmp_path / "templates/own" / f"{name}.jinja").write_text("{{ text.wrong.way }}\n|||\nx\n", "utf-8")
    said = _refused(tmp_path, [task])
    wanted = "every row was dropped, 20 of own / ask (blank-target 20); 20 of own / b (undefined 20); 20 of"
    assert wanted in said
    assert "own / c (undefined 20) and 2 more; expected rows that make examples" in said
    assert "instructify preview" in said


def _drafts(
    folder: Path, tasks: list[dict[str, object]], **fields: object
) -> tuple[LoadedRecipe, list[Draft]]:
    path = recipe(folder, tasks, template_sources=["templates"], **fields)
    loaded = load_recipe(path)
    library = open_library(loaded.recipe.template_sources, loaded.base)
    made = [make_draft(loaded, library, entry, None, folder / "work") for entry in loaded.recipe.tasks]
    return loaded, made


def test_a_cluster_that_no_task_is_in_is_told_on_its_line_with_those_that_there_are(tmp_path: Path) -> None:
    tasks = [_folder(tmp_path), {**_folder(tmp_path, "other"), "cluster": "far"}]
    loaded, drafts = _drafts(tmp_path, tasks, held_out=["held", "ncl"])
    (found,) = [p for p in role_problems(loaded.recipe, drafts, tmp_path, loaded.place) if "ncl" in p.what]
    lines = loaded.path.read_text("utf-8").splitlines()
    assert found.where == f"mixture.yaml:{lines.index('- ncl') + 1}"
    assert found.expected == "one of far, held"
    loaded, drafts = _drafts(tmp_path, tasks, held_out=["held", "FAR"])
    (found,) = [p for p in role_problems(loaded.recipe, drafts, tmp_path, loaded.place) if "only" in p.what]
    assert found.where == f"mixture.yaml:{lines.index('- ncl') + 1}"


FEW = {"eval_variants": [{"name": "few", "shots": 2}]}


@pytest.mark.parametrize(
    ("path", "splits", "is_told"),
    [
        ("own-train.parquet", {}, True),
        ("own-train.parquet", {"split": "train[:12]", "eval_split": "train[10:]"}, True),
        ("own-train.parquet", {"split": "train[:10]", "eval_split": "train[10:]"}, False),
        ("own-{split}.parquet", {}, False),
        ("own-{split}.parquet", {"eval_split": "train"}, True),
    ],
)
def test_exemplars_that_are_evaluated_too_are_noted(
    tmp_path: Path, path: str, splits: dict[str, str], is_told: bool
) -> None:
    task = {**_folder(tmp_path), "source": {"kind": "files", "path": path}, **splits}
    _, (draft, other) = _drafts(
        tmp_path, [task, {**_folder(tmp_path, "other"), "cluster": "far"}], held_out=["held"], **FEW
    )
    assert any("its exemplars are rows that are evaluated too" in note for note in draft.notes) == is_told
    assert other.notes == ()


def test_a_template_in_no_datasets_folder_is_noted_once(tmp_path: Path) -> None:
    tasks = [_folder(tmp_path), {**_folder(tmp_path, "other"), "cluster": "far"}]
    (tmp_path / "templates" / "loose.jinja").write_text(TEMPLATE, "utf-8")
    said = succeed("plan", recipe(tmp_path, tasks, template_sources=["templates"]))
    wanted = "note: own: templates/loose.jinja is not read, because it lies in no dataset's folder"
    assert " ".join(said.split()).count(wanted) == 1


def test_a_misspelt_split_of_a_path_without_splits_is_noted(tmp_path: Path) -> None:
    task = {**_folder(tmp_path), "split": "tarin", "source": {"kind": "files", "path": "own-train.parquet"}}
    said = succeed("plan", recipe(tmp_path, [task], template_sources=["templates"]))
    assert "so the split 'tarin' is whatever lies there; did you mean 'train'?" in " ".join(said.split())


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("metrics: []\nanswer_choices: chioces.text", 3),
        ('answer_choices: [a, b]\nrationale: "{{ chioces }}"', 3),
        ("metrics: []", 5),
    ],
)
def test_an_unknown_column_is_told_on_the_line_that_uses_it(tmp_path: Path, head: str, line: int) -> None:
    body = "{{ text }} {{ chioces }}" if line == 5 else "{{ text }}"
    task = _folder(tmp_path, template=f"---\n{head}\n---\n\n{body}\n|||\n{{{{ text }}}}\n")
    with pytest.raises(InstructifyError) as caught:
        _drafts(tmp_path, [task])
    (problem,) = caught.value.problems
    assert problem.where.endswith(f"ask.jinja:{line}")


def test_a_template_whose_name_only_looks_the_same_is_told(tmp_path: Path) -> None:
    task = {**_folder(tmp_path), "templates": {"include": [unicodedata.normalize("NFC", "감정")]}}
    (tmp_path / "templates/own" / f"{unicodedata.normalize('NFD', '감정')}.jinja").write_text(
        TEMPLATE, "utf-8"
    )
    with pytest.raises(InstructifyError, match="differs only in how its letters"):
        _drafts(tmp_path, [task])
