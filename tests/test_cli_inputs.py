"""The command line answers odd input and broken outputs with one clear line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from build_kit import COMMAND, cli, environment, fail, promptsource_file, recipe, rows_file, succeed, template
from instructify.build.drafts import default_source
from instructify.preview.target import Wanted, _improvised, find
from instructify.recipe.models import HubSource
from instructify.templates import promptsource

# what preview is pointed at


@pytest.mark.parametrize("target", ["foo bar", "../x", "/abs", "world/", "a|b", "a" * 300, "a " * 150, "x\n"])
def test_preview_of_what_can_be_no_dataset_is_one_error(target: str, tmp_path: Path) -> None:
    (said,) = fail("preview", target, cwd=tmp_path)
    assert said.startswith("there is no file or folder '")
    assert "and no dataset can be called so; expected a template file" in said
    assert len(said) < 300


def test_preview_suggests_the_dataset_that_was_meant(tmp_path: Path) -> None:
    assert "did you mean 'world/reviews'?" in fail("preview", "world/reviews/", cwd=tmp_path)[0]
    assert "did you mean 'world/reviews'?" in fail("preview", "world/review", cwd=tmp_path)[0]


def test_preview_of_nothing_does_not_take_the_current_folder(tmp_path: Path) -> None:
    template(tmp_path / "d", "one", "{{ x }} ||| y")
    (said,) = fail("preview", "", cwd=tmp_path / "d")
    assert said.startswith("the target is empty; expected")


def test_preview_of_a_folder_whose_name_is_no_dataset_name_says_so(tmp_path: Path) -> None:
    template(tmp_path / "my data", "one", "{{ x }} ||| y")
    (said,) = fail("preview", tmp_path / "my data")
    assert said.startswith(
        f"{tmp_path / 'my data'}: a dataset cannot be called 'my data'; expected a name of"
    )


def test_preview_of_another_file_says_what_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a ||| b", "utf-8")
    (said,) = fail("preview", path)
    assert said.startswith(f"{path}: this is no template; expected")


def test_wrong_options_of_preview_are_told_at_once() -> None:
    said = fail("preview", "world/facts", "--split", "train[", "--data", "")
    assert [line.partition(":")[0] for line in said] == ["--split", "--data"]
    assert "'train[' is no split" in said[0]


def test_a_seed_of_more_than_63_bits_is_wrong_usage() -> None:
    done = cli("preview", "world/facts", "--seed", "9" * 20)
    assert done.returncode == 2
    assert "--seed" in done.stderr
    assert "Traceback" not in done.stderr


def test_preview_of_a_recipe_tells_a_template_that_is_not_there(tmp_path: Path) -> None:
    path = recipe(tmp_path, [{"dataset": "world", "subset": "reviews"}])
    (said,) = fail("preview", path, "-t", "friend_ask")
    assert said.endswith("no template is called 'friend_ask'; did you mean 'friend_asks'?")


def test_a_template_is_found_by_its_very_name(tmp_path: Path) -> None:
    name = "a [b] c? *|"
    rows_file(tmp_path / "rows.jsonl", [{"x": "y"}])
    template(tmp_path / "own/d", "one", "{{ x }} ||| y", name=name)
    template(tmp_path / "own/d", "two", "{{ x }} ||| z")
    task = {"dataset": "d", "cluster": "c", "source": {"kind": "files", "path": "rows.jsonl"}}
    path = recipe(tmp_path, [task], template_sources=["own"])
    for target, options in ((path, ["-t", name]), (tmp_path / "own/d/one.jinja", ["--data", "rows.jsonl"])):
        found = json.loads(succeed("preview", target, *options, "--json", cwd=tmp_path))
        assert [one["template"] for one in found] == [name]


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for an installed promptsource."""
    root = tmp_path / "theirs"
    for name in ("super_glue/axb", "Zaid/coqa_expanded", "yelp_polarity"):
        promptsource_file(root / name, {"one": ("{{ text }} ||| a", None)})
    monkeypatch.setattr(promptsource, "installed_root", lambda: root)
    return root


@pytest.mark.parametrize(
    ("target", "path", "config"),
    [
        ("super_glue/axb", "super_glue", "axb"),
        ("Zaid/coqa_expanded", "Zaid/coqa_expanded", None),
        ("yelp_polarity", "yelp_polarity", None),
    ],
)
def test_preview_asks_the_hub_for_dataset_and_configuration(
    target: str, path: str, config: str | None, theirs: Path
) -> None:
    (entry,) = _improvised(Wanted(target)).recipe.tasks
    assert default_source(entry, None) == HubSource(kind="hub", path=path, config=config)
    assert (entry.task, entry.templates.dataset) == (target, target)


@pytest.mark.parametrize("target", ["super_glue/axb", "Zaid/coqa_expanded"])
def test_preview_finds_a_subset_in_the_data_root_and_takes_a_file(
    target: str, theirs: Path, tmp_path: Path
) -> None:
    place = tmp_path / "data" / target / "train.parquet"
    place.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": ["b"]}), place)
    for data, root in ((None, tmp_path / "data"), (str(place), None)):
        (task,) = find(Wanted(target, data=data, data_root=root), tmp_path / "work").tasks
        assert (task.name, task.source.rows) == (target, 1)


# templates


@pytest.mark.parametrize("command", ["list", "stats"])
def test_a_part_of_no_dataset_is_an_error_with_the_nearest_name(command: str) -> None:
    for options in ([], ["--json"]):
        (said,) = fail("templates", command, "world/revews", "--from", "builtin", *options)
        assert said == (
            "no dataset with templates has 'world/revews' in its name; did you mean 'world/reviews'?"
        )


def test_templates_stats_gives_numbers_by_dataset_and_in_all(tmp_path: Path) -> None:
    template(tmp_path / "own/d", "one", "Is it so? {{ x }} ||| y", answer_choices=["y", "n"], author="me")
    template(tmp_path / "own/d", "two", "Is it so, {{ x }} ||| y", kind="inverted")
    template(tmp_path / "own/e/f", "one", "{{ x }} ||| y", languages=["ko"])
    (tmp_path / "own/d/task.yaml").write_text("dataset: d\ncluster: nli\n", "utf-8")
    found = json.loads(succeed("templates", "stats", "--from", "own", "--json", cwd=tmp_path))
    known = {
        "templates": 2,
        "task": 1,
        "inverted": 1,
        "languages": ["en"],
        "with_choices": 1,
        "choices_in_prompt": 0,
        "prompt_characters": 9.0,
        "distinct_2": 0.5,
        "authors": ["me"],
    }
    assert found["datasets"]["d"] == found["datasets"]["d"] | known
    total = found["total"]
    assert (total["datasets"], total["clusters"], total["templates"]) == (2, ["nli"], 3)
    assert total["languages"] == ["en", "ko"]
    said = succeed("templates", "stats", "d", "--from", "own", cwd=tmp_path)
    assert "of all, 1 have answer choices, 0 are marked as showing choices in the prompt" in said
    assert "1 template for 1 dataset\n" in succeed("templates", "list", "e", "--from", "own", cwd=tmp_path)
    assert "2 templates for 1 dataset, 1 task cluster: 1 task, 1 inverted" in said


def test_templates_stats_of_an_empty_collection_is_nothing(tmp_path: Path) -> None:
    assert succeed("templates", "stats", "--from", tmp_path) == "no templates\n"
    assert json.loads(succeed("templates", "stats", "--from", tmp_path, "--json"))["datasets"] == {}


def test_templates_without_a_quota_are_not_said_to_have_kept_nothing(tmp_path: Path) -> None:
    path = recipe(tmp_path, [{"dataset": "world", "subset": "facts"}], mixture={"cap_per_dataset": 3})
    said = succeed("build", path, "-q", "-j", "1", cwd=tmp_path)
    assert "in 3 = kept 3" in said
    assert "kept nothing" not in said


# outputs that take nothing


def into(redirection: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    shell = ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *arguments]
    return subprocess.run(shell, env=environment(**env), capture_output=True, text=True, timeout=300)


EVERY: Any = pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["templates", "list", "world"], ["preview", "world/facts"], ["schema"]],
    ids=" ".join,
)


@EVERY
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_output_is_one_line_and_a_failure(arguments: list[str], unbuffered: str) -> None:
    done = into("> /dev/full", *arguments, PYTHONUNBUFFERED=unbuffered)
    assert done.stderr == "error: the output cannot be written: no space left on device\n"
    assert done.returncode == 1


@EVERY
def test_a_closed_output_is_one_line_and_a_failure(arguments: list[str]) -> None:
    done = into(">&-", *arguments)
    assert done.stderr == "error: standard output is closed\n"
    assert done.returncode == 1


def test_closed_errors_do_no_harm() -> None:
    done = into("2>&-", "templates", "show", "world/nothing", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert into("2>&-", "templates", "list", "world").returncode == 0
