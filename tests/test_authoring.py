"""The guide for authors: every file, command and output in it, in the order in which a reader meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer.main

import test_docs
from docs_kit import ROOT, blocks, commands
from instructify.cli.app import app
from instructify.preview.target import VARIANTS
from instructify.templates import open_library

GUIDE = (ROOT / "docs" / "authoring.md").read_text("utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a reader who has done all that the guide says, and the commands that were run."""
    folder = tmp_path_factory.mktemp("reader")
    ran = []
    for block in blocks(GUIDE):
        if block.mark.startswith("file: "):
            path = folder / block.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        else:
            ran += [shown.command for shown in commands(block.text)]
            test_docs._check_console(block.text, folder)
    return folder, ran


def test_every_command_of_the_guide_prints_what_it_shows(followed: tuple[Path, list[str]]) -> None:
    _, ran = followed
    verbs = [command.split()[1] for command in ran]
    assert len(ran) == 10
    assert verbs[0] == "preview"
    assert verbs[-3:] == ["plan", "build", "verify"]
    assert set(verbs) == {"preview", "lint", "templates", "plan", "build", "verify"}
    assert GUIDE.count("$ instructify") == len(ran), "a command that is not run"


def test_the_guide_starts_from_a_dataset_without_templates_and_ends_with_a_build(
    followed: tuple[Path, list[str]],
) -> None:
    folder, _ = followed
    assert "plants" not in open_library(["builtin"], folder).datasets()
    lines = (folder / "out/jsonl/train-00000-of-00001.jsonl").read_text("utf-8").splitlines()
    built = [json.loads(line) for line in lines]
    assert {row["template"] for row in built} == {"what_is_wrong", "terse", "write_a_note"}
    assert {row["variant"] for row in built} == {"zero_shot", "few_shot", "reason_first"}
    assert 6 not in {row["row"] for row in built}
    assert "Somebody writes about a plant" in (folder / "review.html").read_text("utf-8")


def test_the_guide_lists_every_option_of_preview() -> None:
    command = typer.main.get_command(app).commands["preview"]  # type: ignore[attr-defined]
    options = {option.opts[0] for option in command.params if option.opts[0].startswith("--")}
    section = GUIDE.partition("## What preview shows")[2].partition("\n\n`--watch`")[0]
    assert set(re.findall(r"`(--[a-z-]+)", section)) == options


def test_the_guide_names_every_variant_that_a_preview_offers() -> None:
    section = GUIDE.partition("The variants are ")[2].partition("; of a recipe")[0]
    assert re.findall(r"`(\w+)`", section) == [variant.name for variant in VARIANTS]
