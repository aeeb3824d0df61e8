"""The JSON Schema agrees with the loader, and the written reference with both."""

import importlib.util
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from instructify.errors import InstructifyError
from instructify.recipe import yaml
from instructify.recipe.load import load_recipe, validate
from instructify.recipe.models import Recipe
from instructify.recipe.schema import recipe_schema
from instructify.recipe.starter import starter_recipe

ROOT = Path(__file__).resolve().parents[1]
HEAD = "name: x\noutput: {dir: out}\ntasks:\n  - dataset: a\n"

GOOD = [
    HEAD,
    starter_recipe("x"),
    HEAD + "    source: {kind: files, path: [a, b], format: tsv, cast: {a: int64}, label_names: {l: [x]}}",
    HEAD + "    source: {kind: hub, path: a/b, config: c}",
    HEAD + "    source: {kind: disk, path: a}",
    HEAD + "    source: {kind: world, name: reviews, rows: 10}",
    HEAD + "    source: ~",
    HEAD + "    split: train[10%:-5]",
    HEAD + "    templates: {include: [a*], exclude: [b], original_task_only: true}",
    HEAD + "checks: {max_dropped: 1}",
    HEAD + "mixture: {size: 5, cap_per_dataset: ~}",
    HEAD + "held_out: [a, b/c]",
]
BAD = [
    "[]",
    "~",
    "name: x",
    HEAD + "foo: 1",
    HEAD + "mixture: {foo: 1}",
    HEAD + "mixture: {size: 0}",
    HEAD + "mixture: {size: 1.5}",
    HEAD + "mixture: ~",
    HEAD + "seed: -1",
    HEAD + "seed: '1'",
    HEAD + "checks: {max_dropped: 1.1}",
    HEAD + "promptsource_truncate: Yes",
    HEAD + "held_out: [a b]",
    HEAD + "template_sources: []",
    HEAD + "    split: train[",
    HEAD + "    eval_split: a b",
    HEAD + "    cap: true",
    HEAD + "    source: {path: a}",
    HEAD + "    source: {kind: file, path: a}",
    HEAD + "    source: {kind: files}",
    HEAD + "    source: {kind: files, path: 3}",
    HEAD + "    source: {kind: files, path: a, config: b}",
    HEAD + "    source: {kind: files, path: a, cast: {b: int}}",
    HEAD + "    source: {kind: files, path: a, delimiter: ''}",
    HEAD + "    source: {kind: hub, path: a, revision: 12}",
    HEAD + "  - {}",
    HEAD.replace("dir: out", "dir: out, formats: [xml]"),
    HEAD.replace("dir: out", "dir: out, formats: []"),
]


def schema_accepts(text: str) -> bool:
    data, _ = yaml.parse(text, "r")
    return bool(jsonschema.Draft202012Validator(recipe_schema()).is_valid(data))


def loader_accepts(text: str) -> bool:
    data, positions = yaml.parse(text, "r")
    try:
        validate(Recipe, data, positions, "r")
    except InstructifyError:
        return False
    return True


def test_the_schema_is_a_valid_one_of_draft_2020_12():
    schema = recipe_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("text", GOOD)
def test_what_the_loader_accepts_the_schema_accepts(text):
    assert loader_accepts(text)
    assert schema_accepts(text)


@pytest.mark.parametrize("text", BAD)
def test_what_the_loader_refuses_the_schema_refuses(text):
    assert not loader_accepts(text)
    assert not schema_accepts(text)


def test_every_mapping_of_the_schema_is_closed_and_every_key_described():
    schema = recipe_schema()
    mappings = [schema, *schema["$defs"].values()]
    assert len(mappings) >= 14
    for mapping in mappings:
        assert mapping["additionalProperties"] is False
        for key, value in mapping["properties"].items():
            assert value.get("description") or key == "kind", key


def test_shipped_recipes_load_and_fit_the_schema():
    paths = sorted((ROOT / "recipes").glob("*.yaml"))
    assert len(paths) >= 1
    for path in paths:
        load_recipe(path)
        assert schema_accepts(path.read_text(encoding="utf-8")), path.name


def reference_script() -> ModuleType:
    path = ROOT / "scripts" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_written_reference_is_what_the_models_say():
    assert reference_script().main(["--check"]) == 0


def test_a_stale_reference_is_noticed(tmp_path, monkeypatch, capsys):
    script = reference_script()
    monkeypatch.setattr(script, "TARGET", tmp_path / "docs" / "recipe.md")
    assert script.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().out
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    script.TARGET.write_text("old", encoding="utf-8")
    assert script.main(["--check"]) == 1


def test_the_reference_speaks_of_every_key():
    text = reference_script().reference()
    schema = recipe_schema()
    keys = [key for mapping in [schema, *schema["$defs"].values()] for key in mapping["properties"]]
    assert len(keys) > 50
    assert all(f"| `{key}` |" in text for key in keys)
