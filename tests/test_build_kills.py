"""Builds killed at random moments leave a whole build or none; a rerun ends in the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_kit import COMMAND, differences, environment, recipe, rows_file, succeed, template, tree
from instructify.publish.verify import verify

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")

MARK = "BUILD_UNDER_TEST"
ROUNDS, KILLS = 6, 2  # for parents and for workers each: 24 kills


@dataclass(frozen=True)
class Project:
    """A recipe that takes some seconds, its published bytes, and those of another build in its place."""

    path: Path
    new: dict[str, bytes | None]
    old: Path
    seconds: float

    @property
    def out(self) -> Path:
        return self.path.parent / "out"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("killed")
    rows = ({"text": f"row {n} " + "word " * (n % 40), "label": n % 11 - 1} for n in range(12_000))
    rows_file(folder / "rows-train.jsonl", rows)
    for n in range(4):
        body = f"{n}. {{{{ text }}}}\n|||\n{{{{ answer_choices[label] }}}}"
        template(folder / "own" / "rows", f"t{n}", body, answer_choices=[f"choice {n}" for n in range(10)])
    source = {"kind": "files", "path": "rows-{split}.jsonl"}
    task = {"dataset": "rows", "cluster": "rows", "source": source}
    output = {"dir": "out", "formats": ["parquet", "chat"], "shard_examples": 6_000}
    path = recipe(
        folder, [task], template_sources=["own"], output=output, mixture={"cap_per_template": 9_000}
    )
    old = recipe(folder, [task | {"cap": 90}], "old", template_sources=["own"], output={"dir": "old"})
    succeed("build", old, "-j", "1", "--quiet")
    began = time.monotonic()
    succeed("build", path, "-j", "2", "--quiet", "-o", folder / "whole")
    return Project(path, tree(folder / "whole"), folder / "old", time.monotonic() - began)


def start(project: Project, mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "build", str(project.path), "-j", "2", "--quiet"],
        env=environment(**{MARK: mark}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def marked(mark: str, word: bytes = b"") -> list[int]:
    """Return the live processes that inherited the mark and have the word on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                mine = f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0")
                if mine and word in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # gone, or not ours
    return sorted(found)


def wait_for_none(mark: str, seconds: float = 2.0) -> list[int]:
    """Return the marked processes that are still there after a while, and end them."""
    end = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def kill_the_builder(project: Project, draw: random.Random) -> bool:
    """Kill the build at a random moment; return False if it had ended by then."""
    mark = uuid.uuid4().hex
    process = start(project, mark)
    time.sleep(draw.uniform(0.05, 0.85) * project.seconds)
    was_running = process.poll() is None
    process.kill()
    process.wait()
    assert wait_for_none(mark) == [], "a worker outlived its build"
    process.communicate()
    return was_running


def kill_a_worker(project: Project, draw: random.Random) -> bool:
    """Kill one worker at a random moment; return False if the build had ended by then."""
    mark = uuid.uuid4().hex
    process = start(project, mark)
    while process.poll() is None and not marked(mark, b"spawn_main"):
        time.sleep(0.01)
    time.sleep(draw.uniform(0.0, 0.6) * project.seconds)
    workers = marked(mark, b"spawn_main")
    try:
        os.kill(draw.choice(workers or [process.pid + 10_000_000]), signal.SIGKILL)
    except OSError:
        workers = []
    _, said = process.communicate(timeout=60)
    assert wait_for_none(mark) == [], "a worker outlived its build"
    assert b"Traceback" not in said
    if process.returncode:
        assert workers and said.count(b"error: ") == 1 and b"a worker process was killed" in said
    return bool(process.returncode)


def check_published(project: Project, before: dict[str, bytes | None]) -> None:
    """The output directory is as it was before, or the complete new build, and passes verification."""
    now = tree(project.out) if project.out.exists() else {}
    assert not differences(now, before) or not differences(now, project.new)
    if now:
        assert verify(project.out).problems == ()


@pytest.mark.parametrize("victim", [kill_the_builder, kill_a_worker])
def test_a_killed_build_leaves_whole_builds_no_processes_and_resumes_to_the_same_bytes(
    project: Project, victim: Callable[[Project, random.Random], bool]
) -> None:
    draw = random.Random(f"kills of {victim.__name__}")
    kills = 0
    for number in range(ROUNDS):
        shutil.rmtree(project.out, ignore_errors=True)
        if number % 2:
            shutil.copytree(project.old, project.out)
        before = tree(project.out) if project.out.exists() else {}
        for _ in range(KILLS):
            kills += any(victim(project, draw) for _ in range(3))
            check_published(project, before)
        succeed("build", project.path, "-j", "2", "--quiet")
        assert differences(tree(project.out), project.new) == []
        assert not list(project.out.parent.glob(".out.*")), "work was left behind"
    assert kills >= ROUNDS * KILLS - 2, "too few builds were still running when they were killed"


def test_what_a_killed_build_had_made_is_used_again(project: Project) -> None:
    shutil.rmtree(project.out, ignore_errors=True)
    candidates = project.out.parent / ".out.staging" / "meta" / "candidates"
    process = start(project, "resumed")
    while process.poll() is None and not (candidates.is_dir() and any(candidates.glob("*.json"))):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    made = {path.name: path.stat().st_mtime_ns for path in candidates.glob("*.json")}
    assert made
    succeed("build", project.path, "-j", "1", "--quiet", "--keep-work")
    after = {path.name: path.stat().st_mtime_ns for path in candidates.glob("*.json")}
    assert made.items() <= after.items()
    shutil.rmtree(project.out.parent / ".out.staging")
