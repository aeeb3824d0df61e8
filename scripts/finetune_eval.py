"""Run the whole experiment of a recipe: build if needed, fine-tune every seed, evaluate, report.

    python scripts/finetune_eval.py recipes/tiny.yaml

Each step is the command of that name, so that a run that was stopped goes on where it was; what is finished
is not done again. On a CPU the seeds are trained at the same time, each with one thread: that gives the same
bits on any number of cores, and small models gain little from a second thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.finetune import other_sections, run_folder
from instructify.finetune.record import read_run, seed_folders
from instructify.publish.manifest import read_manifest
from instructify.recipe.load import LoadedRecipe, load_recipe
from instructify.recipe.models import resolve
from instructify.seq2seq import require_train_extra


def main() -> int:
    """Read the options, run every step and say how long each took; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build if needed, fine-tune, evaluate and report a recipe.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--build", type=Path, help="folder of the build; by default the recipe's")
    parser.add_argument("--run", type=Path, help="folder of the experiment; by default the recipe's")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda and so on; auto takes a GPU if there is one"
    )
    parser.add_argument(
        "--jobs",
        type=at_least_one,
        help="seeds trained at the same time; by default all on a CPU, one on a GPU",
    )
    options = parser.parse_args()
    try:
        return run_steps(options)
    except InstructifyError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def run_steps(options: argparse.Namespace) -> int:
    """Run every step and return the exit code of the first that fails."""
    require_train_extra()
    loaded = load_recipe(options.recipe)
    build = options.build or resolve(loaded.recipe.output.dir, loaded.base)
    run = run_folder(loaded, options.run)
    stale = is_stale(loaded, build)
    if stale:
        refuse_outdated(run, build)
    recipe, folders = str(options.recipe), ["--build", str(build), "--run", str(run)]
    device = ["--device", options.device]
    train = [
        ["finetune", recipe, *folders, *device, "--threads", "1", "--seed", str(seed)]
        for seed in loaded.recipe.finetune.seeds
    ]
    steps = [
        ("build", [["build", recipe, "--out", str(build)]] if stale else []),
        ("finetune", train),
        ("evaluate", [["evaluate", recipe, *folders, *device]]),
        ("report", [["report", str(run), "--build", str(build)]]),
    ]
    jobs = options.jobs or (1 if on_gpu(options.device) else len(train))
    took = []
    for name, commands in steps:
        began = time.monotonic()
        with ThreadPoolExecutor(jobs) as pool:
            code = max(pool.map(call, commands), default=0)
        if code:
            return code
        took.append(f"{name} {time.monotonic() - began:.0f} s")
    print("== " + ", ".join(took))
    print(f"== the report is {run / 'report.html'}")
    return 0


def at_least_one(text: str) -> int:
    """Return a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of 1 or more")
    return int(text)


def call(arguments: Sequence[str]) -> int:
    """Run a command, print its lines as they come, and return its exit code."""
    print(f"== instructify {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "instructify", *arguments]
    output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    with subprocess.Popen(command, **output) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
    return process.returncode


def on_gpu(device: str) -> bool:
    """Return whether training will run on a GPU."""
    if device != "auto":
        return device != "cpu"
    import torch

    return torch.cuda.is_available()


def is_stale(loaded: LoadedRecipe, build: Path) -> bool:
    """Return whether there is no build of the recipe's present data sections."""
    try:
        return bool(other_sections(build, loaded.recipe))
    except InstructifyError:
        return True


def refuse_outdated(run: Path, build: Path) -> None:
    """Raise InstructifyError if the build that is to be made anew has finished training runs."""
    try:
        present = read_manifest(build)["content_hash"]
    except InstructifyError:
        return  # the same build may be made again
    trained = [
        one.folder.name
        for one in map(read_run, seed_folders(run))
        if one and one.record.data.content_hash == present
    ]
    if trained:
        what = f"{', '.join(trained)} {'was' if len(trained) == 1 else 'were'} trained on the build {build}"
        what += ", which is not of the recipe's present data sections"
        expected = "--run and --build with other folders, or the old data sections"
        raise InstructifyError(Problem(what, str(run), expected))


if __name__ == "__main__":
    raise SystemExit(main())
