"""`instructify lint` as a person and as a script meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from build_kit import cli, environment, promptsource_file, recipe, rows_file, succeed, template, world
from docs_kit import blocks, commands, is_shown
from instructify.errors import InstructifyError
from instructify.lint import RULES, Finding
from instructify.lint.reports import FORMATS, Report
from instructify.lint_run import load_tokenizer
from instructify.lint_run.rows import _rows
from instructify.recipe.models import FilesSource
from instructify.sources import open_source
from lint_kit import DOCUMENT, small_tokenizer

SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
                                },
                            }
                        },
                    },
                    "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
                },
            },
        },
    },
    "additionalProperties": False,
    "$defs": {
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": {"type": "object", "required": ["text"], "properties": {"text": {"minLength": 1}}},
        "rule": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "shortDescription": {"$ref": "#/$defs/message"},
                "defaultConfiguration": {"properties": {"level": {"$ref": "#/$defs/level"}}},
            },
            "additionalProperties": False,
        },
        "result": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"$ref": "#/$defs/level"},
                "message": {"$ref": "#/$defs/message"},
                "locations": {
                    "type": "array",
                    "items": {
                        "required": ["physicalLocation"],
                        "properties": {
                            "physicalLocation": {
                                "required": ["artifactLocation", "region"],
                                "properties": {
                                    "artifactLocation": {"required": ["uri"]},
                                    "region": {
                                        "properties": {"startLine": {"type": "integer", "minimum": 1}}
                                    },
                                },
                            }
                        },
                    },
                },
            },
            "additionalProperties": False,
        },
    },
}
"""What the schema of SARIF 2.1.0 asks of the parts that lint writes, and nothing beside them."""

ROWS = [{"text": f"the {word} inn", "label": n % 2} for n, word in enumerate(["old", "new", "red", "far"])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with rows, a template with an error, one with a warning, and a clean one."""
    template(tmp_path / "inn", "wrong", "{{ txet }} Good?\n|||\n{{ label }}")
    template(tmp_path / "inn", "odd", "{{ text }} {label}?\n|||\n{{ ['no', 'yes'][label] }}")
    template(
        tmp_path / "inn",
        "clean",
        "{{ text }} Good?\n|||\n{{ ['no', 'yes'][label] }}",
        metrics=["rouge"],
        original_task=True,
    )
    rows_file(tmp_path / "rows.jsonl", ROWS)
    return tmp_path


def linted(*arguments: str | Path, code: int = 0, cwd: Path | None = None):
    done = cli("lint", *arguments, "--json", cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def rules(report) -> set[str]:
    return {finding["rule"] for finding in report["findings"]}


def test_an_error_is_shown_with_file_line_and_expectation_and_fails(folder: Path) -> None:
    done = cli("lint", folder / "inn", "--data", folder / "rows.jsonl", cwd=folder)
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "unknown-column" in line)
    assert line.startswith(f"{folder}/inn/wrong.jinja:")
    assert "error unknown-column: the dataset has no column 'txet'; did you mean 'text'?" in line
    assert line.endswith("expected one of text, label")
    assert "3 templates of 1 dataset, 4 sample rows: 1 error, 1 warning, " in done.stdout


def test_warnings_pass_unless_strict_is_given(folder: Path) -> None:
    arguments = (folder / "inn" / "odd.jinja", "--data", folder / "rows.jsonl")
    assert "stray-braces" in rules(linted(*arguments))
    assert linted(*arguments, "--strict", code=1)
    assert (
        linted(folder / "inn" / "clean.jinja", "--data", folder / "rows.jsonl", "--strict")["findings"] == []
    )


def test_without_rows_the_rules_on_text_are_run_and_lint_says_so(folder: Path) -> None:
    report = linted(folder / "inn" / "wrong.jinja")
    assert "unknown-column" not in rules(report)
    assert report["sample_rows"] == 0
    assert [note for note in report["notes"] if note.startswith("no rows of inn")]


def test_rules_are_selected_and_ignored_by_name_and_pattern(folder: Path) -> None:
    arguments = (folder / "inn", "--data", folder / "rows.jsonl")
    assert rules(linted(*arguments, "--select", "unknown-*", code=1)) == {"unknown-column"}
    assert "unknown-column" not in rules(linted(*arguments, "--ignore", "unknown-column"))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nowhere"],
        ["empty"],
        ["inn", "--select", "unknown-colum"],
        ["inn", "--format", "xml"],
        ["inn", "--rows", "-1"],
        ["--collection", "inn_of_nobody"],
        ["nothing", "--collection", "builtin"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_in_exit_code_2(folder: Path, arguments: list[str]) -> None:
    (folder / "empty").mkdir()
    done = cli("lint", *arguments, cwd=folder)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr


def test_a_format_that_there_is_not_is_answered_with_those_that_there_are(folder: Path) -> None:
    done = cli("lint", folder, "--format", "jsn")
    assert done.returncode == 2
    wanted = f"'jsn' is none of {', '.join(FORMATS)}; did you mean 'json'?"
    assert done.stderr.splitlines()[-1] == f"Error: Invalid value for '--format': {wanted}"
    assert f"--format {'|'.join(FORMATS)}" in succeed("lint", "--help")


def test_a_misspelt_rule_is_answered_with_the_nearest(folder: Path) -> None:
    done = cli("lint", "inn", "--ignore", "blank-line", cwd=folder)
    assert "did you mean 'blank-lines'?" in done.stderr


def test_a_comment_in_the_front_matter_spares_a_rule_and_an_idle_one_is_told(folder: Path) -> None:
    path = folder / "inn" / "odd.jinja"
    text = path.read_text("utf-8")
    body = text if text.startswith("---") else f"---\n---\n{text}"
    path.write_text(body.replace("---\n", "---\n# lint: ignore[stray-braces] a slot to fill\n", 1), "utf-8")
    arguments = (path, "--data", folder / "rows.jsonl")
    assert rules(linted(*arguments)) & {"stray-braces", "unused-ignore"} == set()
    path.write_text(path.read_text("utf-8").replace("{label}", "label"), "utf-8")
    assert "unused-ignore" in rules(linted(*arguments))


def test_a_file_that_is_no_template_is_a_finding_with_its_line(folder: Path) -> None:
    (folder / "inn" / "broken.jinja").write_text(
        "---\nanswer_chioces: [a, b]\n---\n{{ text }} ||| x\n", "utf-8"
    )
    found = linted(folder / "inn" / "broken.jinja", code=1)["findings"]
    assert [(finding["rule"], finding["line"]) for finding in found] == [("unreadable", 2)]


def test_a_syntax_error_is_found_on_its_line(folder: Path) -> None:
    path = folder / "inn" / "broken.jinja"
    path.write_text("---\nmetrics: [rouge]\n---\n{{ text }}\n{% if %}\n|||\nx\n", "utf-8")
    found = linted(path, "--select", "syntax", code=1)["findings"]
    assert [(finding["rule"], finding["line"]) for finding in found] == [("syntax", 5)]


def test_a_recipe_is_linted_over_the_rows_of_its_tasks(folder: Path) -> None:
    task = {
        "dataset": "inn",
        "cluster": "sentiment",
        "source": {"kind": "files", "path": "rows.jsonl"},
        "templates": {"exclude": ["wrong"]},
    }
    path = recipe(folder, [task, world("reviews")], template_sources=[".", "builtin"])
    report = linted(path)
    assert report["templates"] == 2 + 12
    assert report["sample_rows"] == 4 + 200
    assert "stray-braces" in rules(report)
    done = cli("lint", path, "--split", "test")
    assert done.returncode == 2
    assert "a recipe names its own rows" in done.stderr


def test_promptsource_templates_are_linted_by_their_own_rules(tmp_path: Path) -> None:
    texts = {
        "negative": ("{{ text }} Good? ||| {{ ['no', 'yes'][label] }}", None),
        "twice": ("{{ text }} Good? ||| {{ answer_choices[label] }}", "no ||| no"),
        "branches": ("{% if label %}{{ text }} ||| a{% else %}{{ text }}? ||| b{% endif %}", None),
        "none": ("{{ text }} and nothing", None),
    }
    promptsource_file(tmp_path / "inn", texts)
    (tmp_path / "inn" / "task.yaml").write_text(
        yaml.safe_dump({"dataset": "inn", "label_names": {"label": ["bad", "good"]}}), "utf-8"
    )
    rows_file(tmp_path / "rows.jsonl", ROWS)
    report = linted(tmp_path / "inn", "--data", tmp_path / "rows.jsonl", code=1)
    by_name: dict[str, set[str]] = {}
    for finding in report["findings"]:
        by_name.setdefault(finding["template"], set()).add(finding["rule"])
    assert "unguarded-label" in by_name["negative"]
    assert "duplicate-choices" in by_name["twice"]
    assert "separator" not in by_name["branches"]
    assert "separator" in by_name["none"]


def test_sample_rows_are_the_same_each_time_and_as_many_as_asked_for(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows.jsonl", [{"text": f"row {n}", "label": n % 3} for n in range(1_003)])
    template(tmp_path / "inn", "one", "{{ text }}\n|||\n{{ ['a', 'b'][label] }}")
    arguments = (tmp_path / "inn", "--data", tmp_path / "rows.jsonl", "-n", "150")
    first, again = linted(*arguments), linted(*arguments)
    assert first == again
    assert first["sample_rows"] == 150
    assert "dropped-rows" in rules(first)


def test_sarif_holds_to_its_schema_and_names_every_rule(folder: Path) -> None:
    done = cli("lint", "inn", "--data", "rows.jsonl", "--format", "sarif", cwd=folder)
    log = json.loads(done.stdout)
    jsonschema.validate(log, SARIF)
    run = log["runs"][0]
    listed = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert listed == list(RULES)
    assert run["results"]
    for result in run["results"]:
        assert listed[result["ruleIndex"]] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("inn/")


def test_github_annotations_escape_what_would_end_them() -> None:
    finding = Finding("syntax", "error", "a,b:c.jinja", 3, "inn", "a,b:c", "50% of\nlines", "all")
    info = Finding("blank-lines", "info", "x.jinja", 1, "inn", "x", "what", "")
    text = FORMATS["github"](Report((finding, info), 2, 1, 0), "1")
    assert text.splitlines() == [
        "::error file=a%2Cb%3Ac.jinja,line=3,title=syntax::50%25 of%0Alines; expected all",
        "::notice file=x.jinja,line=1,title=blank-lines::what",
    ]


def test_a_tokenizer_turns_on_its_rules_and_a_bad_one_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    template(tmp_path / "inn", "one", "{{ text }} → good?\n|||\n{{ ['no', 'yes'][label] }}")
    rows_file(tmp_path / "rows.jsonl", ROWS)
    small_tokenizer().save(str(tmp_path / "tokenizer.json"))
    arguments = (tmp_path / "inn", "--data", tmp_path / "rows.jsonl")
    assert "unknown-words" not in rules(linted(*arguments))
    assert "unknown-words" in rules(linted(*arguments, "--tokenizer", tmp_path))
    done = cli("lint", *arguments, "--tokenizer", tmp_path / "rows.jsonl")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


SHARED = Path(__file__).resolve().parents[2] / "shared" / "t5-tokenizer"


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="T5's tokenizer is not here")
def test_t5_loses_what_the_rules_say_it_loses() -> None:
    pytest.importorskip("tokenizers")
    tokens = load_tokenizer(str(SHARED))
    assert [chr(code) for code in range(33, 127) if not tokens.is_known(chr(code))] == list("<\\^`{}~")
    assert tokens.decode(tokens.encode("a\nb\t c")) == "a b c"
    assert not tokens.is_known("한")
    assert {"</s>", "<pad>", "<extra_id_0>"} <= tokens.specials
    assert [len(tokens.encode(word)) for word in ("True", "False", "Yes", "No")] == [1, 3, 1, 1]
    with pytest.raises(InstructifyError):
        load_tokenizer(str(SHARED / "spiece.model"))


def test_the_templates_of_the_offline_world_lint_clean() -> None:
    report = linted(Path(__file__).resolve().parents[1] / "templates" / "world", "--strict")
    assert report["templates"] >= 197
    assert report["sample_rows"] >= 3_900
    assert report["findings"] == []


def test_the_guide_shows_what_lint_prints() -> None:
    shown = [one for block in blocks(DOCUMENT.read_text("utf-8")) for one in commands(block.text)]
    assert len(shown) == 1
    for one in shown:
        program, *arguments = one.command.split()
        assert program == "instructify"
        assert is_shown(succeed(*arguments), one.output)


def test_linting_one_template_loads_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys\n"
        "sys.argv = ['instructify', 'lint', 'inn/clean.jinja']\n"
        "from instructify.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=environment(),
    )
    loaded = done.stdout.splitlines()[-1]
    assert "'jinja2'" in loaded
    for heavy in ("pyarrow", "numpy", "datasets", "torch", "transformers", "tokenizers", "pandas", "rich"):
        assert f"'{heavy}'" not in loaded, heavy


# rows that were asked for and are not there


@pytest.fixture
def rooted(folder: Path) -> Path:
    """Return the folder with a data root that has one split of its dataset, under the name test."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data" / "inn").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "data" / "inn" / "test.parquet")
    return folder


def test_rows_come_from_the_split_that_there_is_unless_one_is_named(rooted: Path) -> None:
    clean = (rooted / "inn" / "clean.jinja", "--data-root", rooted / "data")
    assert linted(*clean)["sample_rows"] == linted(*clean, "--split", "test")["sample_rows"] == 4


@pytest.mark.parametrize(
    ("arguments", "complaint", "guess"),
    [
        (["--data-root", "dat"], "the data root is no folder", "data"),
        (["--data-root", "data", "--split", "tets"], "there is no split 'tets'", "test"),
        (["--data-root", "data", "--split", "train"], "there is no split 'train'", ""),
        (["--data-root", "none/data"], "the data root is no folder", ""),
        (["--data-root", "data/inn"], "the data root has no such dataset; expected a folder", ""),
        (["--tokenizer", "tny"], "--tokenizer: there is no file", "tiny"),
        (["--tokenizer", "./dat/tokenizer.json"], "--tokenizer: there is no file", ""),
    ],
    ids=" ".join,
)
def test_a_mistyped_place_of_rows_or_tokens_fails_with_the_nearest(
    rooted: Path, arguments: list[str], complaint: str, guess: str
) -> None:
    done = cli("lint", "inn/clean.jinja", *arguments, cwd=rooted)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert complaint in said
    assert (f"did you mean {guess!r}?" in said) == bool(guess)


def test_a_dataset_that_the_data_root_lacks_is_a_note_beside_others_and_with_no_rows(rooted: Path) -> None:
    template(rooted / "elsewhere", "clean", "{{ text }} Good?\n|||\nyes", metrics=["rouge"])
    arguments = ("inn/clean.jinja", "elsewhere", "--data-root", "data")
    assert linted(*arguments, cwd=rooted)["notes"][0].startswith("no rows of elsewhere")
    assert linted("elsewhere", "--data-root", "data", "-n", "0", cwd=rooted)["sample_rows"] == 0
    world = ("--collection", "builtin", "--data-root", "data")
    assert linted("world/reviews", *world, "-n", "8", cwd=rooted)["sample_rows"] == 8
    assert cli("lint", "world/reviews", "imdb", *world, cwd=rooted).returncode == 1


@pytest.mark.parametrize("option", ["", "--collection", "--data"])
def test_an_empty_name_is_wrong_usage(folder: Path, option: str) -> None:
    arguments = ["inn", option, ""] if option else [""]
    done = cli("lint", *arguments, cwd=folder)
    assert done.returncode == 2
    assert "no name is given" in done.stderr


def test_the_tiny_model_is_a_tokenizer_by_name(folder: Path) -> None:
    pytest.importorskip("tokenizers")
    report = linted(folder / "inn" / "clean.jinja", "--data", folder / "rows.jsonl", "--tokenizer", "tiny")
    assert report["notes"] == []


# what lies beside the templates


def unread(report) -> list[tuple[str, int, str]]:
    found = [finding for finding in report["findings"] if finding["rule"] == "unreadable"]
    return sorted((Path(one["path"]).name, one["line"], one["what"]) for one in found)


@pytest.fixture
def inns(tmp_path: Path) -> Path:
    """Return a collection of two datasets, each with its task.yaml."""
    for name in ("inn", "bar/low"):
        template(
            tmp_path / "own" / name, "one", "{{ text }}\n|||\nyes", metrics=["rouge"], original_task=True
        )
        (tmp_path / "own" / name / "task.yaml").write_text(f"cluster: c\ndataset: {name}\n", "utf-8")
    return tmp_path


WAYS = [["own"], ["--collection", "own"]]


@pytest.mark.parametrize(
    "arguments", [*WAYS, ["own/inn"], ["own/inn/one.jinja"], ["inn", "--collection", "own"]]
)
def test_a_task_file_that_names_another_folder_is_an_error_on_its_line(
    inns: Path, arguments: list[str]
) -> None:
    assert unread(linted(*arguments, "--strict", cwd=inns)) == []
    (inns / "own/inn/task.yaml").write_text("cluster: c\ndataset: other\n", "utf-8")
    report = linted(*arguments, code=1, cwd=inns)
    said = "dataset: the templates of 'other' cannot lie in the folder 'inn'"
    assert unread(report) == [("task.yaml", 2, said)]
    assert report["templates"] == (2 if arguments in WAYS else 1)


@pytest.mark.parametrize("arguments", [["low"], ["low/one.jinja"], ["."]])
def test_a_task_file_may_name_more_of_its_path_than_is_linted(inns: Path, arguments: list[str]) -> None:
    assert unread(linted(*arguments, cwd=inns / "own/bar")) == []
    said = "dataset: the templates of 'bar/low' cannot lie in the folder 'low'"
    assert unread(linted("--collection", ".", code=1, cwd=inns / "own/bar")) == [("task.yaml", 2, said)]


@pytest.mark.parametrize("arguments", WAYS)
def test_a_template_in_no_datasets_folder_is_an_error_and_no_dataset(
    inns: Path, arguments: list[str]
) -> None:
    template(inns / "own", "loose", "{{ text }}\n|||\nyes")
    report = linted(*arguments, code=1, cwd=inns)
    said = "this file lies in no dataset's folder, so that no task can use it"
    assert unread(report) == [("loose.jinja", 1, said)]
    assert (report["templates"], report["datasets"]) == (2, 2)
    (one,) = [finding for finding in report["findings"] if finding["rule"] == "unreadable"]
    assert one["expected"].endswith("own/DATASET/loose.jinja")
    for name in ("inn", "bar/low"):
        (inns / "own" / name / "one.jinja").rename(inns / "own" / name / "one.j2")
    report = linted(*arguments, code=1, cwd=inns)
    assert [name for name, _, _ in unread(report)] == ["loose.jinja", "one.j2", "one.j2"]
    assert (report["templates"], report["datasets"]) == (0, 0)


@pytest.mark.parametrize("arguments", WAYS)
def test_a_file_that_is_not_read_for_its_name_is_an_error(inns: Path, arguments: list[str]) -> None:
    for name in ("inn/two.j2", "inn/three.JINJA", "bar/low/task.yml", "new/task.yml"):
        (inns / "own" / name).parent.mkdir(exist_ok=True)
        (inns / "own" / name).write_text("dataset: x\n", "utf-8")
    said = unread(linted(*arguments, code=1, cwd=inns))
    assert [name for name, _, _ in said] == ["task.yml", "task.yml", "three.JINJA", "two.j2"]
    assert {what for _, _, what in said} == {"this file is not read, for its name"}


def test_a_folder_of_files_that_are_not_read_has_no_template(inns: Path) -> None:
    (inns / "other").mkdir()
    (inns / "other/two.j2").write_text("{{ text }} ||| yes", "utf-8")
    done = cli("lint", "other", cwd=inns)
    assert done.returncode == 2
    assert "there is no template here (two.j2 is not read)" in " ".join(done.stderr.split())


def test_a_task_file_that_cannot_be_read_is_no_template(inns: Path) -> None:
    (inns / "own/inn/task.yaml").write_text("dataset: [inn\n", "utf-8")
    done = cli("lint", "own", cwd=inns)
    assert done.returncode == 1
    assert "2 templates of 2 datasets" in done.stdout


@pytest.mark.parametrize("count", [500, 203, 200, 199, 9])
def test_a_short_run_at_the_end_costs_no_sample_row(tmp_path: Path, count: int) -> None:
    rows_file(tmp_path / "rows.jsonl", [{"text": f"row {n}"} for n in range(count)])
    source = open_source(FilesSource(kind="files", path="rows.jsonl"), "train", tmp_path, tmp_path / "work")
    for wanted in (200, 150, 9):
        numbers = [number for number, _ in _rows(source, wanted, ("text",))]
        assert len(set(numbers)) == len(numbers) == min(wanted, count)
