"""Published builds as their readers meet them: datasets, PyArrow, chat trainers, and people with the card."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from build_kit import (
    COMMAND,
    Examples,
    environment,
    examples,
    manifest,
    recipe,
    rows_file,
    succeed,
    template,
    world,
)
from instructify.types import EXAMPLE_COLUMNS, example_schema

# readers


def python(script: str, cache: Path, *arguments: Path, **options: Any) -> str:
    """Return what a fresh, offline process prints."""
    done = subprocess.run(
        [COMMAND[0], "-c", script, *arguments],
        env=environment(HF_HOME=str(cache), HF_DATASETS_CACHE=str(cache / "datasets")),
        capture_output=True,
        encoding="utf-8",
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(build: Path, cache: Path, call: str) -> Any:
    """Return features and rows of each part that `datasets` finds in a build."""
    script = (
        f"import json, sys; from datasets import load_dataset; build = sys.argv[1]; found = {call};"
        "print(json.dumps({part: [rows.features.to_dict(), rows.to_list()] for part, rows in found.items()}))"
    )
    return json.loads(python(script, cache, build))


PARTS = "for p in ('train', 'eval')"
LOADERS = {
    "the card's default": "load_dataset(build)",
    "parquet files": f"load_dataset('parquet', data_files={{p: f'{{build}}/parquet/{{p}}-*' {PARTS}}})",
    "jsonl files": f"load_dataset('json', data_files={{p: f'{{build}}/jsonl/{{p}}-*' {PARTS}}})",
}


@pytest.mark.parametrize("name", LOADERS)
def test_datasets_reads_every_example_of_each_part(small_build: Path, tmp_path: Path, name: str) -> None:
    found = load(small_build, tmp_path, LOADERS[name])
    assert set(found) == {"train", "eval"}
    for part, (features, rows) in found.items():
        assert list(features) == list(EXAMPLE_COLUMNS)
        expected = list(examples(small_build, part).values())
        assert len(expected) > 200
        assert rows == expected


def test_the_lines_of_the_card_load_every_format(small_build: Path, tmp_path: Path) -> None:
    code = (small_build / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    said = python(
        f"{code}\nprint(*(rows.num_rows for found in (parquet, jsonl, chat) for rows in found.values()))",
        tmp_path,
        cwd=small_build,
    )
    parts = manifest(small_build)["parts"]
    assert said.split() == [str(parts[part]["examples"]) for part in ("train", "eval")] * 3


def test_a_build_without_parquet_offers_each_of_its_formats(odd_build: Path, tmp_path: Path) -> None:
    found = load(odd_build, tmp_path, "load_dataset(build, 'jsonl')")["train"]
    assert found[1] == list(examples(odd_build, "train").values())


@pytest.mark.parametrize("formats", ["parquet jsonl", "jsonl parquet", "chat jsonl"])
def test_the_lines_of_the_card_load_columns_that_are_null_in_one_part(tmp_path: Path, formats: str) -> None:
    tasks = [
        {"dataset": name, "cluster": name, "source": {"kind": "files", "path": f"{name}.jsonl"}}
        for name in ("ours", "theirs")
    ]
    for task in tasks:
        rows_file(tmp_path / f"{task['dataset']}.jsonl", ({"n": f"{task['dataset']} {n}"} for n in range(9)))
        template(tmp_path / "own" / str(task["dataset"]), "say", "{{ n }}\n|||\n{{ n }}!")
    few = {"name": "few", "shots": 1}
    output = {"dir": "out", "formats": formats.split()}
    own = {"template_sources": ["own"], "held_out": ["theirs"], "eval_variants": [few], "output": output}
    for task in tasks:
        task["eval_split"] = "train"
    succeed("build", recipe(tmp_path, tasks, **own), "--quiet")
    code = (tmp_path / "out" / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    told = (
        "print(*(part['exemplars'][0] is None for part in jsonl.values()), jsonl['eval'].features['label'])"
    )
    said = python(f"{code}\n{told}", tmp_path, cwd=tmp_path / "out")
    assert said.split(" ", 2) == ["True", "False", "Value('int32')\n"]


def test_datasets_takes_no_build_for_the_one_that_was_there_before(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows.jsonl", ({"n": n} for n in range(40)))
    template(tmp_path / "own" / "rows", "say", "{{ n }}\n|||\n{{ n }}!")
    task = {
        "dataset": "rows",
        "cluster": "rows",
        "cap": 20,
        "source": {"kind": "files", "path": "rows.jsonl"},
    }
    read = []
    for seed in (1, 2):
        succeed("build", recipe(tmp_path, [task], template_sources=["own"], seed=seed), "--quiet")
        rows = load(tmp_path / "out", tmp_path / "cache", "load_dataset(build)")["train"][1]
        assert rows == list(examples(tmp_path / "out").values())
        read.append({row["row"] for row in rows})
    assert read[0] != read[1]


def lines(build: Path, form: str, part: str) -> list[dict[str, Any]]:
    paths = sorted((build / form).glob(f"{part}-*.jsonl"))
    assert paths
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").split("\n")[:-1]]


def test_chat_lines_have_the_shape_that_chat_trainers_read(small_build: Path) -> None:
    rows = lines(small_build, "chat", "train")
    assert len(rows) == manifest(small_build)["parts"]["train"]["examples"]
    for row in rows:
        assert [set(turn) for turn in row["messages"]] == [{"role", "content"}] * 2
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert all(isinstance(turn["content"], str) and turn["content"].strip() for turn in row["messages"])


@pytest.mark.parametrize("part", ["train", "eval"])
def test_json_lines_equal_parquet_row_by_row(small_build: Path, part: str) -> None:
    assert lines(small_build, "jsonl", part) == list(examples(small_build, part).values())


def test_every_parquet_file_has_the_documented_schema(small_build: Path) -> None:
    paths = sorted((small_build / "parquet").glob("*.parquet"))
    assert len(paths) >= 4
    for path in paths:
        schema = pq.read_schema(path)
        assert schema.remove_metadata().equals(example_schema())
        assert [field.nullable for field in schema] == [field.nullable for field in example_schema()]
    assert pa.unify_schemas([pq.read_schema(path) for path in paths])


def test_every_example_of_a_build_is_in_range(small_build: Path) -> None:
    for row in examples(small_build).values():
        assert len(row["id"]) == 32
        assert row["row"] >= 0
        assert (row["variant"], row["shots"], row["exemplars"]) == ("zero_shot", 0, None)
        assert row["task"] == f"{row['dataset']}/{row['subset']}"
        assert row["language"] in ("en", "ko")


# the card


def header(build: Path) -> dict[str, Any]:
    text = (build / "README.md").read_text("utf-8")
    assert text.startswith("---\n")
    data: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return data


def test_the_globs_of_the_card_match_the_published_files_and_no_others(small_build: Path) -> None:
    configs = header(small_build)["configs"]
    assert [config["config_name"] for config in configs] == [
        "default"
    ]  # `datasets` has one loader for a folder
    files = [entry["path"] for entry in manifest(small_build)["files"] if entry["rows"] is not None]
    matched = [
        (entry["split"], path)
        for config in configs
        for entry in config["data_files"]
        for path in files
        if fnmatch.fnmatchcase(path, entry["path"])
    ]
    assert sorted(path for _, path in matched) == sorted(
        path for path in files if path.startswith("parquet/")
    )
    assert all(path.split("/")[1].startswith(part) for part, path in matched)


NASTY_LICENCE = "CC-BY-4.0 | 공공누리 제1유형"
LONG_NAME = ("이름 | with *stars*, `ticks` and " * 10)[:200]


@pytest.fixture(scope="module")
def odd_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    blank = [{"text": " "}]
    rows_file(
        folder / "t.jsonl", [{"text": f'표 {n}\n|||\n{{{{ x }}}} \u2028 \\ " é'} for n in range(30)] + blank
    )
    template(folder / "own" / "표", "long", "{{ text }}\n|||\n{{ text }}", name=LONG_NAME, languages=["ko"])
    task = {
        "dataset": "표",
        "name": "한국어/과제",
        "cluster": "분류",
        "licence": NASTY_LICENCE,
        "source": {"kind": "files", "path": "t.jsonl"},
        "cap_per_template": 40,
    }
    path = recipe(
        folder,
        [task, world("ko_reviews", cap=30)],
        name="한글-이름",
        description="첫째 줄.\n\n---\nnot a header: true",
        template_sources=["own", "builtin"],
        output={"dir": "out", "formats": ["chat", "jsonl", "parquet"]},
    )
    succeed("build", path, "-j", "1", "--quiet", env={"LC_ALL": "C", "LANG": "C"})
    return folder / "out"


def cells(line: str) -> int:
    return line.replace("\\|", "").count("|") - 1


def test_the_card_of_odd_names_has_straight_tables_and_a_header_that_parses(odd_build: Path) -> None:
    text = (odd_build / "README.md").read_text("utf-8")
    front = header(odd_build)
    assert front["pretty_name"] == "한글-이름"
    assert front["license"] == "other"
    assert front["language"] == ["en", "ko"]
    assert front["size_categories"] == ["n<1K"]
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3  # tasks, dropped rows, quotas that were not filled
    for table in tables:
        assert len({cells(line) for line in table}) == 1, table
    assert "| 한국어/과제 | 분류 | train |" in text
    assert f"{NASTY_LICENCE.replace('|', chr(92) + '|')}: 30 examples" in text
    assert LONG_NAME.replace("|", "\\|").strip() in text  # one row short of its quota


def test_odd_text_comes_through_every_format_unchanged(odd_build: Path, tmp_path: Path) -> None:
    found: Examples = examples(odd_build, "train")
    assert lines(odd_build, "jsonl", "train") == list(found.values())
    mine = {row["row"]: row for row in found.values() if row["dataset"] == "표"}
    assert sorted(mine) == list(range(30))
    for number, row in mine.items():
        assert row["inputs"] == row["targets"] == f'표 {number}\n|||\n{{{{ x }}}} \u2028 \\ " é'
        assert (row["template"], row["licence"]) == (LONG_NAME, NASTY_LICENCE)
        assert (row["cluster"], row["subset"], row["language"]) == ("분류", None, "ko")
    chat = load(odd_build, tmp_path, "load_dataset(build)")["train"][1]  # the first format is the default
    assert [row["id"] for row in chat] == list(found)
    assert [row["messages"][1]["content"] for row in chat] == [row["targets"] for row in found.values()]


def test_the_guide_and_the_card_say_the_same_of_every_column() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "builds.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", guide.partition("## Examples")[2], re.M)
    told = {name: re.sub(r"\[(.+?)\]\(.+?\)", r"\1", meaning).replace("`", "") for name, meaning in rows}
    assert {name: told[name] for name in EXAMPLE_COLUMNS} == dict(EXAMPLE_COLUMNS)
