"""What is packed: a wheel holds every module, every template and the licence, and works unpacked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from instructify.doctor import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LIBRARY = "instructify/templates_library"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, built without leaving the machine."""
    pytest.importorskip("hatchling", reason="hatchling, of the dev extra, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_the_wheel_holds_every_module_with_its_types_and_nothing_compiled(wheel: Path) -> None:
    package = ROOT / "src" / "instructify"
    pages = [path for path in package.rglob("page.*") if path.suffix in (".jinja", ".css")]
    files = [*package.rglob("*.py"), package / "py.typed", *pages, *(package / "world" / "tiny").iterdir()]
    modules = {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert len(pages) >= 4
    assert len(modules) > 70
    assert "instructify/build/run.py" in modules
    packed = {name for name in names(wheel) if not name.startswith(LIBRARY) and ".dist-info/" not in name}
    assert packed == modules


def test_the_wheel_holds_every_template_of_the_tree(wheel: Path) -> None:
    tree = {f"{LIBRARY}/{path.relative_to(ROOT / 'templates').as_posix()}" for path in template_files()}
    assert len(tree) > 200
    assert {name for name in names(wheel) if name.startswith(LIBRARY)} == tree
    assert f"{LIBRARY}/world/reviews/task.yaml" in tree


def template_files() -> list[Path]:
    return [path for path in (ROOT / "templates").rglob("*") if path.is_file()]


def test_the_wheel_holds_the_licence_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        (licence,) = [name for name in file.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
        assert file.read(licence) == (ROOT / "LICENSE").read_bytes()
        (points,) = [name for name in file.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert b"instructify = instructify.cli:main" in file.read(points)


def test_the_unpacked_wheel_finds_its_templates_and_builds(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    with zipfile.ZipFile(wheel) as file:  # a pure Python wheel is installed by unpacking it
        file.extractall(place)
    (tmp_path / "small.yaml").write_text(
        "name: small\noutput: {dir: out}\ntasks:\n  - {dataset: world, subset: sums, cap: 20}\n"
    )
    # -P: no working directory on the path; PYTHONPATH goes before what is installed
    env = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}

    def instructify(*arguments: str) -> str:
        command = [sys.executable, "-P", "-m", "instructify", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = json.loads(instructify("templates", "list", "--from", "builtin", "--json"))
    assert sum(map(len, listed.values())) == sum(path.suffix == ".jinja" for path in template_files())
    shown = json.loads(instructify("templates", "show", "world/sums", "how_many", "--json"))
    assert Path(shown["origin"].rpartition(":")[0]).is_relative_to(place / LIBRARY)
    assert json.loads(instructify("build", "small.yaml", "--json"))["examples"]["train"] == 20


def test_the_supported_pythons_are_said_alike_everywhere() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.15"
    assert "Python 3.11 to 3.14" in (ROOT / "README.md").read_text("utf-8")
    assert "(3, 11) <= sys.version_info[:2] <= (3, 14)" in (ROOT / "scripts" / "install").read_text("utf-8")


def test_the_pins_are_plain_versions_and_cover_every_requirement() -> None:
    lines = [
        line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line and line[0] != "#"
    ]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)] == []
    pinned = {canonical(line.partition("==")[0]) for line in lines}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["dev"], *extras["train"]]
    assert len(wanted) > 15
    assert {canonical(re.split(r"[^\w.-]", line)[0]) for line in wanted} - pinned == set()


def test_every_extra_is_of_packages_that_a_module_imports_and_doctor_knows_no_others() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(extras) == {"dev", *EXTRAS.values()}
    modules = [path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")]
    assert len(modules) > 100
    for name, extra in EXTRAS.items():
        assert any(re.split(r"[^\w.-]", line)[0] == name for line in extras[extra])
        assert any(re.search(rf"^\s*(?:import|from) {name}\b", text, re.M) for text in modules), name


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_scripts_can_be_run_and_name_no_place_on_the_net() -> None:
    scripts = [ROOT / "scripts" / name for name in ("install", "quickstart", "test")] + [ROOT / ".ci" / "run"]
    for script in scripts:
        text = script.read_text("utf-8")
        assert os.access(script, os.X_OK), script
        assert text.startswith("#!/usr/bin/env bash\n")
        assert "set -euo pipefail" in text
        assert "://" not in text
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_a_python_that_is_too_old_is_refused_with_a_way_out(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    install = tmp_path / "scripts" / "install"
    install.write_bytes((ROOT / "scripts" / "install").read_bytes())
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for python, said in ((str(old), "is Python 3.9.2"), (str(tmp_path / "none"), "there is no ")):
        env = {"PATH": os.environ["PATH"], "PYTHON": python}
        done = subprocess.run(["bash", install], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert "set PYTHON to a Python 3.11" in done.stderr
        assert not (tmp_path / ".venv").exists()
