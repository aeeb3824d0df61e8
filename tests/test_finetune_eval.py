"""The script that runs a whole experiment: every step in turn, nothing twice, and clear complaints."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import build_kit
import finetune_kit
from instructify.recipe.load import load_recipe

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "finetune_eval.py"


def script(*arguments, code=0):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, env=build_kit.environment(), capture_output=True, encoding="utf-8")
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Return a recipe over the toy task, built, with a model and a few steps of training."""
    folder = tmp_path_factory.mktemp("toy")
    finetune_kit.make_build(folder, examples=40)
    path = folder / "toy.yaml"
    more = {
        "model": {"name": str(finetune_kit.make_model(folder / "model"))},
        "finetune": {"steps": 2, "batch_size": 4, "seeds": [0, 1]},
    }
    path.write_text(path.read_text("utf-8") + yaml.safe_dump(more), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("finetune_eval", SCRIPT)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_every_step_is_run_in_turn_and_a_build_that_is_there_is_used(experiment):
    printed = script(experiment, "--jobs", "1", "--device", "cpu").stdout
    steps = [line.split()[2] for line in printed.splitlines() if line.startswith("== instructify ")]
    assert steps == ["finetune", "finetune", "evaluate", "report"]
    assert "the build is of a recipe with other" not in printed
    assert (experiment.parent / "runs" / "toy" / "report.html").is_file()


def test_a_build_is_stale_when_its_data_sections_differ_and_not_when_it_lies_elsewhere(
    experiment, module, tmp_path
):
    build, text = experiment.parent / "out", experiment.read_text("utf-8")
    for old, new, stale in (
        ("dir: out", "dir: elsewhere", False),
        ("steps: 2", "steps: 3", False),
        ("name: toy", "name: toy\nseed: 4", True),
        ("dir: out", "dir: out\n  formats: [jsonl]", True),
    ):
        assert text.count(old) == 1
        path = tmp_path / "changed.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert module.is_stale(load_recipe(path), build) is stale
    for manifest in ("", "[]", "{}", '{"recipe": 3}', '{"recipe": {"output": []}}'):
        (tmp_path / "manifest.json").write_text(manifest)
        assert module.is_stale(load_recipe(experiment), tmp_path)


def test_a_build_with_finished_training_runs_is_not_made_anew(experiment, module, tmp_path):
    folder = shutil.copytree(experiment.parent, tmp_path / "toy")
    script(folder / "toy.yaml", "--jobs", "1", "--device", "cpu")
    path, manifest = folder / "toy.yaml", folder / "out" / "manifest.json"
    path.write_text(path.read_text("utf-8").replace("name: toy", "name: toy\nseed: 4"), encoding="utf-8")
    before = manifest.read_bytes()
    done = script(path, "--device", "cpu", code=1)
    (line,) = done.stderr.splitlines()
    assert "seed-0, seed-1 were trained on the build" in line and "--run and --build" in line
    assert done.stdout == ""
    assert manifest.read_bytes() == before
    shutil.rmtree(folder / "runs")
    module.refuse_outdated(folder / "runs" / "toy", folder / "out")


def test_a_bad_recipe_or_option_is_one_line(experiment, tmp_path):
    assert script(tmp_path / "none.yaml", code=1).stderr.startswith(f"error: {tmp_path}/none.yaml: no such")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: [", encoding="utf-8")
    (line,) = script(bad, code=1).stderr.splitlines()
    assert line.startswith("error: ") and "bad.yaml:1" in line
    for jobs in ("0", "-1", "many"):
        done = script(experiment, "--jobs", jobs, code=2)
        assert done.stderr.endswith("argument --jobs: must be a whole number of 1 or more\n")


def test_the_first_step_that_fails_ends_the_script_with_its_exit_code(experiment, tmp_path):
    moved = tmp_path / "moved.yaml"  # the build is not there, nor are the rows
    moved.write_bytes(experiment.read_bytes())
    done = script(moved, code=1)
    assert "== instructify build" in done.stdout and "error: " in done.stdout
    assert "== instructify finetune" not in done.stdout
