"""Recipes: a good one loads, a bad one is told everything that is wrong with it, by line."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from instructify.errors import InstructifyError
from instructify.recipe import yaml
from instructify.recipe.load import PATTERNS, load_recipe, validate
from instructify.recipe.mixture import Mixture
from instructify.recipe.models import Recipe
from instructify.recipe.starter import starter_recipe
from instructify.world import WORLD

KINDS = "expected one of disk, files, hub, world"
MINIMAL = "name: x\noutput: {dir: out}\ntasks:\n  - dataset: a\n"


def check(text: str) -> Recipe:
    """Check a text as a recipe called r."""
    data, positions = yaml.parse(text, "r")
    return validate(Recipe, data, positions, "r")


def complaints(text: str) -> list[str]:
    """Return what a recipe text is told."""
    with pytest.raises(InstructifyError) as caught:
        check(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_minimal_recipe_loads_with_the_defaults(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    loaded = load_recipe(path)
    assert loaded.recipe == Recipe.model_validate(
        {"name": "x", "output": {"dir": "out"}, "tasks": [{"dataset": "a"}]}
    )
    assert (loaded.path, loaded.base) == (path, tmp_path)
    assert loaded.text_sha256 == hashlib.sha256(MINIMAL.encode()).hexdigest()


def test_a_relative_path_has_an_absolute_base(tmp_path, monkeypatch):
    (tmp_path / "recipe.yaml").write_text(MINIMAL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_recipe(Path("recipe.yaml")).base == tmp_path


def test_a_whole_number_will_do_for_a_share():
    assert check(MINIMAL + "checks: {max_dropped: 1}\n").checks.max_dropped == 1.0


def test_yes_is_text_and_so_may_name_a_dataset():
    assert check(MINIMAL.replace("dataset: a", "dataset: Yes")).tasks[0].dataset == "Yes"


KEYS, MIXTURE_KEYS = ", ".join(Recipe.model_fields), ", ".join(Mixture.model_fields)
# a line added to MINIMAL (it becomes line 5), and the only complaint about it
SINGLE = {
    "mixure: {size: 1}": f"r:5: mixure: unknown key; expected one of {KEYS}; did you mean 'mixture'?",
    "mixture: {siez: 1}": f"r:5: mixture.siez: unknown key; expected one of {MIXTURE_KEYS}; "
    "did you mean 'size'?",
    "mixture: {size: many}": "r:5: mixture.size: got the text 'many'; expected a whole number",
    "mixture: {size: 1.0}": "r:5: mixture.size: got the number 1.0; expected a whole number",
    "mixture: {size: true}": "r:5: mixture.size: got true; expected a whole number",
    "mixture: {size: 0}": "r:5: mixture.size: got the number 0; expected a number above 0",
    "mixture:": "r:5: mixture: got nothing (null); expected a mapping",
    "mixture: [1, 2]": "r:5: mixture: got a list of 2; expected a mapping",
    "held_out: nli": "r:5: held_out: got the text 'nli'; expected a list",
    "held_out: [a b]": "r:5: held_out[0]: got the text 'a b'; "
    "expected a name of letters, digits, _ . and -, with / between its parts",
    "held_out: [../x]": "r:5: held_out[0]: got the text '../x'; "
    "expected a name of letters, digits, _ . and -, with / between its parts",
    "checks: {max_dropped: 1.5}": "r:5: checks.max_dropped: got the number 1.5; expected 1.0 or less",
    "checks: {max_dropped: .nan}": "r:5: checks.max_dropped: got the number nan; expected 1.0 or less",
    "checks: {max_dropped: half}": "r:5: checks.max_dropped: got the text 'half'; expected a number",
    "promptsource_truncate: yes": "r:5: promptsource_truncate: got the text 'yes'; expected true or false",
    "template_sources: []": "r:5: template_sources: got an empty list; expected a list of at least 1",
    "data_root: 12": "r:5: data_root: got the number 12; expected text (put it in quotes)",
    "seed: -1": "r:5: seed: got the number -1; expected 0 or more",
    '"a b": 1': "r:5: ['a b']: unknown key; expected one of",
    "    split: train[": "r:5: tasks[0].split: a split is a name with an optional slice, "
    "as in train, train[:500], test[10%:20%], got the text 'train['",
    "    splt: train": "r:5: tasks[0].splt: unknown key; expected one of dataset, subset, name, cluster, "
    "split, eval_split, source, templates, cap, cap_per_template, licence; did you mean 'split'?",
    "    source: x": "r:5: tasks[0].source: got the text 'x'; expected a mapping",
    "    source: {path: x}": "r:5: tasks[0].source: missing key 'kind'; " + KINDS,
    "    source: {kind: fils, path: x}": "r:5: tasks[0].source: unknown kind 'fils'; "
    "expected one of disk, files, hub, world; did you mean 'files'?",
    "    source: {kind: 3}": "r:5: tasks[0].source: unknown kind '3'; " + KINDS,
    "    source: {kind: files}": "r:5: tasks[0].source: missing key 'path'",
    "    source: {kind: files, path: 3}": "r:5: tasks[0].source.path: got the number 3; "
    "expected text (put it in quotes) or a list",
    "    source: {kind: files, path: {a: b}}": "r:5: tasks[0].source.path: got a mapping; "
    "expected text or a list",
    "    source: {kind: files, path: [a, 3]}": "r:5: tasks[0].source.path[1]: got the number 3; "
    "expected text (put it in quotes)",
    "    source: {kind: files, path: a, files: 1}": "r:5: tasks[0].source.files: unknown key; "
    "expected one of",
    "    source: {kind: files, path: a, format: xml}": "r:5: tasks[0].source.format: got the text 'xml'; "
    "expected one of parquet, jsonl, json, csv, tsv",
    "    source: {kind: files, path: a, delimiter: ab}": "r:5: tasks[0].source.delimiter: got the text 'ab'; "
    "expected a length of at most 1",
    "    source: {kind: files, path: a, cast: {files: int}}": "r:5: tasks[0].source.cast.files: got the text "
    "'int'; expected one of string, int64, float64, bool; did you mean 'int64'?",
    "    source: {kind: hub, path: a, revision: 1234567}": "r:5: tasks[0].source.revision: got the number "
    "1234567; expected text (put it in quotes)",
    "  - 3": "r:5: tasks[1]: got the number 3; expected a mapping",
    "  - subset: a": "r:5: tasks[1]: missing key 'dataset'",
}


@pytest.mark.parametrize("line", SINGLE)
def test_each_mistake_is_told_with_its_line_and_in_words(line):
    found = complaints(MINIMAL + line + "\n")
    assert len(found) == 1
    assert found[0].startswith(SINGLE[line])
    assert found[0] == SINGLE[line] or SINGLE[line].endswith("one of")


def test_two_tasks_of_one_name_are_refused():
    (found,) = complaints(MINIMAL + "  - dataset: a\n")
    assert "task names must differ; given twice: a" in found


def test_all_mistakes_are_told_at_once_in_the_order_of_lines():
    found = complaints(
        "nam: x\n"
        "tasks:\n"
        "  - dataset: a\n"
        "    source:\n"
        "      kind: files\n"
        "      path: x\n"
        "      quoting: all\n"
        "  - subset: b\n"
        "mixture:\n"
        "  size: 0\n"
        "output:\n"
        "  formats:\n"
        "    - parquet\n"
        "    - parqet\n"
    )
    assert [text.split(";")[0] for text in found] == [
        "r:1: missing key 'name'",
        "r:1: nam: unknown key",
        "r:7: tasks[0].source.quoting: got the text 'all'",
        "r:8: tasks[1]: missing key 'dataset'",
        "r:10: mixture.size: got the number 0",
        "r:11: output: missing key 'dir'",
        "r:14: output.formats[1]: got the text 'parqet'",
    ]


def test_a_wrong_kind_points_at_its_own_line():
    found = complaints(MINIMAL + "    source:\n      path: x\n      kind: hubb\n")
    assert found == [f"r:7: tasks[0].source: unknown kind 'hubb'; {KINDS}; did you mean 'hub'?"]


def test_every_pattern_of_the_models_has_words():
    def patterns(node: object) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(patterns, node))
        if not isinstance(node, dict):
            return set()
        own = {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
        return own.union(*map(patterns, node.values()))

    assert patterns(Recipe.model_json_schema()) == set(PATTERNS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the recipe is empty; expected a mapping with name, output and tasks"),
        (b"# nothing\n", "the recipe is empty"),
        (b"- a\n", "recipe.yaml:1: got a list of 1; expected a mapping"),
        (b"text", "recipe.yaml:1: got the text 'text'; expected a mapping"),
        (
            b"name: x\nb: \xff\n",
            "recipe.yaml:2: the byte 0xff is not UTF-8 text; expected a file saved as UTF-8",
        ),
        ("name: x".encode("utf-16"), "recipe.yaml:1: the byte 0xff is not UTF-8 text"),
        (b"a: 1\na: 2", "recipe.yaml:2: the key 'a' is given twice, first on line 1"),
        (b" " * (yaml.MAX_BYTES + 1), "the file is too large; expected at most 4 MiB"),
    ],
)
def test_a_file_that_is_no_recipe_gets_one_clear_error(tmp_path, content, message):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(InstructifyError) as caught:
        load_recipe(path)
    assert len(caught.value.problems) == 1
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_is_told_its_nearest_neighbour(tmp_path):
    (tmp_path / "recipe.yaml").write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(InstructifyError, match=r"no such recipe; did you mean 'recipe.yaml'\?"):
        load_recipe(tmp_path / "recipes.yaml")
    with pytest.raises(InstructifyError, match=r"no such recipe$"):
        load_recipe(tmp_path / "recipe.yaml" / "x.yaml")
    with pytest.raises(InstructifyError, match=r"no such recipe$"):
        load_recipe(tmp_path / "nowhere" / "x.yaml")


def test_what_is_not_a_plain_file_is_refused_unread(tmp_path):
    with pytest.raises(InstructifyError, match="this is a folder; expected a recipe file"):
        load_recipe(tmp_path)
    with pytest.raises(InstructifyError, match="cannot be read"):
        load_recipe(tmp_path / "a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_does_not_hang_the_loader(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InstructifyError, match="this is not a plain file"):
        load_recipe(tmp_path / "pipe")


def test_a_file_without_permission_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL, encoding="utf-8")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InstructifyError, match="the recipe cannot be read: permission denied"):
        load_recipe(path)


class Meta(BaseModel):
    """A small model of another kind of file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["task", "inverted"] = "task"
    task: int = 0
    choices: list[str] | str | None = None


def test_validate_serves_other_models_with_their_own_lines():
    data, positions = yaml.parse("kind: tsk\ntask: x\nchoices: {a: 1}\nfoo: 1", "t.jinja", first_line=2)
    with pytest.raises(InstructifyError) as caught:
        validate(Meta, data, positions, "t.jinja")
    assert list(map(str, caught.value.problems)) == [
        "t.jinja:2: kind: got the text 'tsk'; expected one of task, inverted; did you mean 'task'?",
        "t.jinja:3: task: got the text 'x'; expected a whole number",
        "t.jinja:4: choices: got a mapping; expected a list or text",
        "t.jinja:5: foo: unknown key; expected one of kind, task, choices",
    ]


def test_a_key_that_is_named_like_a_kind_keeps_its_path():
    data, positions = yaml.parse("kind: task\ntask: x", "t")
    with pytest.raises(InstructifyError, match=r"^t:2: task: got the text 'x'"):
        validate(Meta, data, positions, "t")


KEYS = [
    "name",
    "output",
    "dir",
    "tasks",
    "dataset",
    "source",
    "kind",
    "path",
    "cast",
    "mixture",
    "size",
    "files",
    "x",
]
VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1.5, "a", "files", "hub", "x y", "[", float("nan")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(VALUES)
def test_no_data_ends_in_another_exception(data):
    _, positions = yaml.parse("a: 1", "r")
    base = {"name": "x", "output": {"dir": "o"}, "tasks": [{"dataset": "a", "source": data}]}
    for candidate in (data, base, base | {"mixture": data}, base | {"tasks": [data]}):
        try:
            validate(Recipe, candidate, positions, "r")
        except InstructifyError as error:
            assert all(problem.what and problem.where == "r:1" for problem in error.problems)


@pytest.mark.parametrize("name", ["quick", "a/b", "true", "1e5", "한국어"])
def test_the_starter_recipe_loads_under_any_name(tmp_path, name):
    text = starter_recipe(name)
    assert text.splitlines()[0] == "# yaml-language-server: $schema=./recipe.schema.json"
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = load_recipe(path).recipe
    assert recipe.name == name
    assert {task.dataset for task in recipe.tasks} == {"world"}


def test_the_starter_recipe_holds_out_a_cluster_of_the_offline_world():
    recipe = check(starter_recipe("x"))
    clusters = [WORLD[task.subset].cluster for task in recipe.tasks if task.subset]
    assert len(clusters) == len(recipe.tasks)
    assert set(recipe.held_out) < set(clusters)


def test_the_commented_examples_of_the_starter_recipe_load_too():
    lines = starter_recipe("x").splitlines()
    prose = re.compile(r"  # [A-Z]")
    settings = ("# cap_per_template", "# data_root", "  # - ", "  #   ")
    text = [line.replace("# ", "", 1) if any(s in line for s in settings) else line for line in lines]
    text = [line for line in text if not prose.match(line)]
    recipe = check("\n".join(text))
    assert (recipe.mixture.cap_per_template, recipe.data_root) == (500, "data")
    assert [task.source and task.source.kind for task in recipe.tasks] == [None] * 3 + [
        "files",
        "hub",
        "disk",
    ]


@pytest.mark.parametrize("name", ["", "a b", "../x", 'x"', "x\n", "x" * 201])
def test_a_starter_recipe_is_not_written_under_a_name_that_would_not_load(name):
    with pytest.raises(InstructifyError, match="cannot name a recipe"):
        starter_recipe(name)


def test_loading_recipes_imports_no_heavy_library():
    code = (
        "import sys, instructify.recipe.load, instructify.recipe.schema, instructify.recipe.starter\n"
        "print(sorted({'pyarrow', 'datasets', 'numpy', 'jinja2', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_loaded_recipe_knows_the_place_of_every_value(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(MINIMAL + "held_out:\n  - nli\n  - qa\n", encoding="utf-8")
    loaded = load_recipe(path)
    assert [loaded.place("held_out", 1), loaded.place("tasks", 0, "dataset")] == ["r.yaml:7", "r.yaml:4"]
    assert loaded.place("mixture", "groups") == "r.yaml:1"
