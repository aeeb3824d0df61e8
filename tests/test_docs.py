"""The documents say what is so: their commands run, their links lead somewhere, their lists are whole."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs_kit import DOCUMENTS, ROOT, blocks, commands, is_shown, plain, slug
from instructify.build.run import build
from instructify.checks import REASONS
from instructify.cli.app import app
from instructify.cli.progress import Silence
from instructify.lint import RULES
from instructify.publish.manifest import read_manifest
from instructify.recipe.load import load_recipe
from instructify.recipe.models import Recipe
from instructify.render.filters import FROM_JINJA, OWN, filter_table
from instructify.render.josa import josa
from instructify.render.meter import Meter
from instructify.render.sandbox import GLOBALS
from instructify.templates.ours import FrontMatter, TaskFile
from instructify.types import EXAMPLE_COLUMNS

README = (ROOT / "README.md").read_text("utf-8")
TEMPLATES = (ROOT / "docs" / "templates.md").read_text("utf-8")
BUILDS = (ROOT / "docs" / "builds.md").read_text("utf-8")


def run(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    env = kept | {"HF_HOME": str(cwd / "hf"), "HF_HUB_OFFLINE": "1", "HOME": str(cwd), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(arguments, cwd=cwd, env=env, capture_output=True, check=False)
    return subprocess.CompletedProcess(
        arguments, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def cli(*arguments: str, cwd: Path) -> str:
    done = run([sys.executable, "-m", "instructify", *arguments], cwd)
    assert done.returncode == 0, f"instructify {shlex.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    ("name", "runs"),
    [("README.md", 7), ("docs/templates.md", 3), ("docs/builds.md", 1), ("docs/variants.md", 2)],
)
def test_what_a_document_shows_is_what_its_commands_print(name: str, runs: int, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    counted = 0
    for block in blocks((ROOT / name).read_text("utf-8")):
        if block.mark.startswith("file: "):
            path = tmp_path / block.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        elif block.mark.startswith("tree: "):
            _check_tree(block.text, tmp_path / block.mark.removeprefix("tree: "))
        elif block.kind == "python":
            counted += 1
            _check_python(block.text, tmp_path)
        else:
            counted += 1
            _check_console(block.text, tmp_path)
    assert counted == runs


def _check_console(text: str, cwd: Path) -> None:
    shown = commands(text)
    assert shown
    for one in shown:
        program, *arguments = shlex.split(one.command)
        assert program == "instructify"
        output = cli(*arguments, cwd=cwd)
        assert one.output, f"nothing is shown of {one.command}"
        assert is_shown(output, one.output), f"{one.command} now prints:\n{output}"


def _check_tree(text: str, folder: Path) -> None:
    listed = re.findall(r"^[├└]── (\S+)", text, re.M)
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert sorted(listed) == sorted(found)


def _check_python(text: str, cwd: Path) -> None:
    done = run([sys.executable, "-c", text], cwd)
    assert done.returncode == 0, done.stderr
    expected = re.findall(r"^print\(.*\)  # (.*)$", text, re.M)
    assert expected
    assert done.stdout.splitlines() == expected


def test_is_shown_notices_a_changed_number_a_missing_line_and_a_wrong_order() -> None:
    output = "│ in 31 = kept 30 + dropped 1 │\npublished /somewhere/build\nnext"
    assert is_shown(output, ("in 31 = kept 30", "published …/build next"))
    assert not is_shown(output, ("in 32 = kept 30",))
    assert not is_shown(output, ("published …/build", "in 31"))
    assert not is_shown(output, ("nothing of this",))


def test_every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading() -> None:
    links = 0
    for document in DOCUMENTS:
        text = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            links += 1
            path, _, anchor = target.partition("#")
            place = document if not path else document.parent / path
            assert place.is_file(), f"{document.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", place.read_text("utf-8"), re.M)
                assert anchor in map(slug, headings), f"{document.name} links to {target}"
    assert links >= 8


def test_the_documents_name_every_command() -> None:
    import typer.main

    command = typer.main.get_command(app)
    names = set(re.findall(r"^\| `instructify ([a-z -]+)`", README, re.M))
    leaves = set()
    for name, found in command.commands.items():  # type: ignore[attr-defined]
        below = getattr(found, "commands", None)
        leaves |= {f"{name} {leaf}" for leaf in below} if below else {name}
    assert names == leaves
    assert len(leaves) >= 10


def test_help_summaries_are_whole_sentences(tmp_path: Path) -> None:
    for group in ([], ["templates"]):
        text = cli(*group, "--help", cwd=tmp_path)
        lines = text.partition("Commands:")[2].splitlines()
        summaries = [line for line in lines if line.strip()]
        assert len(summaries) >= 3
        assert [line for line in summaries if not line.endswith(".") or line.endswith("...")] == []


def test_the_template_guide_lists_every_reason_for_a_drop() -> None:
    assert table(TEMPLATES, "reason") == list(REASONS)


def test_the_template_guide_lists_every_filter_and_global() -> None:
    listed = TEMPLATES.partition("Filters of Jinja:")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"`(\w+)`", listed)) == FROM_JINJA
    assert table(TEMPLATES, "filter") == list(OWN)
    every = {name for name in filter_table(Meter()) if re.fullmatch(r"[a-z]\w*", name)}
    assert every >= {*FROM_JINJA, *OWN}
    assert [name for name in sorted(every) if f"`{name}`" not in TEMPLATES] == []
    functions = TEMPLATES.partition("Global functions:")[2].partition(". Tests")[0]
    assert set(re.findall(r"`(\w+)`", functions)) == GLOBALS


def test_the_template_guide_lists_every_key_of_front_matter_and_task_file() -> None:
    front, task = (
        set(re.findall(r"`(\w+)`", keys)) for keys in (first_column(TEMPLATES, 0), first_column(TEMPLATES, 1))
    )
    assert front == set(FrontMatter.model_fields)
    assert task == set(TaskFile.model_fields)


def test_the_build_guide_lists_every_column_and_every_key_of_the_manifest(tmp_path: Path) -> None:
    assert table(BUILDS, "column") == list(EXAMPLE_COLUMNS)
    recipe = tmp_path / "small.yaml"
    recipe.write_text("name: a\noutput: {dir: out}\ntasks:\n  - {dataset: world, subset: sums, cap: 20}\n")
    result = build(load_recipe(recipe), Silence())
    listed = re.findall(r"`(\w+)`", " ".join(table(BUILDS, "key", raw=True)))
    assert set(listed) == set(read_manifest(result.out))


def test_the_readme_has_a_row_for_every_section_of_a_recipe() -> None:
    sections = set(re.findall(r"`([\w\[\].]+)`", " ".join(table(README, "section", raw=True))))
    plain = {
        "name",
        "description",
        "seed",
        "data_root",
        "template_sources",
        "promptsource_truncate",
        "held_out",
    }
    below = {f"{name}[]" if name == "tasks" else name for name in set(Recipe.model_fields) - plain}
    assert below | {"tasks[].source", "tasks[].templates"} == sections
    assert len(below) >= 12


def test_the_readme_compares_with_its_peers_row_by_row() -> None:
    section = README.partition("## How it compares")[2].partition("\n## ")[0]
    rows = [row.strip("|").split("|") for row in section.splitlines() if row.startswith("|")]
    assert [cell.strip() for cell in rows[0]] == [
        "", "instructify", "promptsource", "unitxt", "seqio", "lm-evaluation-harness",
    ]  # fmt: skip
    assert {len(row) for row in rows} == {6}
    behind = [row for row in rows if "**no**" in row[1]]
    assert len(behind) >= 5, "the table tells where instructify is behind"


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head() -> None:
    tables = 0
    for document in DOCUMENTS:
        text = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.M | re.S)
        for found in re.findall(r"(?:^\|.*\n)+", text, re.M):
            tables += 1
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in found.splitlines()}
            assert len(cells) == 1, f"{document.name}: {found.splitlines()[0]}"
    assert tables >= 15


def test_the_quickstart_recipe_says_how_much_it_makes() -> None:
    head = plain((ROOT / "recipes" / "quickstart.yaml").read_text("utf-8").partition("\nname:")[0])
    assert "24,000 training examples" in head
    assert "train 24,000 examples" in README


def test_the_changelog_counts_the_rules_of_lint() -> None:
    assert f"`lint` with {len(RULES)} rules" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_korean_guide_says_when_a_particle_is_guessed() -> None:
    guide = plain((ROOT / "docs" / "korean.md").read_text("utf-8"))
    assert '`"을를"` is asked whether 을/를 was meant' in guide
    assert '`"울"`, gets no guess' in guide
    with pytest.raises(ValueError, match="did you mean 을/를"):
        josa("집", "을를")
    with pytest.raises(ValueError, match=r"no particle '울'$"):
        josa("집", "울")


def test_frames_are_shown_as_the_program_draws_them() -> None:
    lines = [line for document in DOCUMENTS for line in document.read_text("utf-8").splitlines()]
    shown = [line for line in lines if "──────── target" in line]
    assert len(shown) >= 4
    assert [line for line in shown if not line.startswith("│ ")] == []


def first_column(document: str, number: int) -> str:
    """Return the first column of the document's number-th table whose head is `key`."""
    return " ".join(_tables(document, "key")[number])


def table(document: str, head: str, *, raw: bool = False) -> list[str]:
    """Return the first column of the document's only table with this head, without backquotes."""
    (found,) = _tables(document, head)
    return found if raw else [cell.strip("`") for cell in found]


def _tables(document: str, head: str) -> list[list[str]]:
    found = re.findall(rf"^\| {head} \|.*\n\|[-|:]+\n((?:\|.*\n)+)", document, re.M)
    return [[row.split("|")[1].strip() for row in rows.splitlines()] for rows in found]
