"""What the tests of whole builds share: recipes and templates, the command line, a build's contents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

import instructify

SOURCE = str(Path(instructify.__file__).parents[1])
COMMAND = [sys.executable, "-m", "instructify"]
Examples = dict[str, dict[str, Any]]


def environment(**changes: str) -> dict[str, str]:
    """Return this environment for a process of ours, offline, whatever directory it starts in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUCTIFY_")}
    return {**kept, "PYTHONPATH": SOURCE, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", **changes}


def cli(
    *arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(**(env or {})),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        **options,
    )


def succeed(*arguments: str | Path, **options: Any) -> str:
    """Run the command line, which must succeed, and return what it printed."""
    done = cli(*arguments, **options)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def fail(*arguments: str | Path, code: int = 1, **options: Any) -> list[str]:
    """Run the command line, which must fail cleanly, and return the lines of its complaint."""
    done = cli(*arguments, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]


def recipe(folder: Path, tasks: Iterable[Mapping[str, Any]], name: str = "mixture", **fields: Any) -> Path:
    """Write a recipe whose output is `out` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"name": name, "output": {"dir": "out"}, "template_sources": ["builtin"], **fields}
    whole["tasks"] = list(tasks)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def world(subset: str, rows: int | None = None, **fields: Any) -> dict[str, Any]:
    """Return a task over a dataset of the offline world, with as many rows as wanted."""
    source = {"kind": "world", "name": subset} | ({"rows": rows} if rows else {})
    return {"dataset": "world", "subset": subset, "source": source, **fields}


def rows_file(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def template(folder: Path, stem: str, body: str, **front: Any) -> Path:
    """Write a template of ours to `<stem>.jinja`; `folder` is that of its dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.jinja"
    head = f"---\n{yaml.safe_dump(front, allow_unicode=True)}---\n" if front else ""
    path.write_text(head + body + "\n", encoding="utf-8")
    return path


def promptsource_file(folder: Path, templates: Mapping[str, tuple[str, str | None]]) -> Path:
    """Write templates (name to body and answer choices) in promptsource's format."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"dataset: {folder.name}", "templates:"]
    for number, (name, (body, choices)) in enumerate(sorted(templates.items())):
        lines += [f"  t{number}: !Template", f"    id: t{number}", f"    name: {json.dumps(name)}"]
        lines += [f"    jinja: {json.dumps(body)}", f"    answer_choices: {json.dumps(choices)}"]
        lines += ["    metadata: !TemplateMetadata", "      metrics: [Accuracy]", "    reference: ''"]
    path = folder / "templates.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tree(directory: Path) -> dict[str, bytes | None]:
    """Return every file below a directory with its bytes, and every folder."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def differences(one: Mapping[str, bytes | None], other: Mapping[str, bytes | None]) -> list[str]:
    """Return the paths at which two trees differ."""
    return sorted(path for path in {*one, *other} if one.get(path, b"?") != other.get(path, b"?"))


def examples(build: Path, part: str = "*") -> Examples:
    """Return the published examples by id, from the Parquet files; an id that comes twice is an error."""
    found: Examples = {}
    for path in sorted((build / "parquet").glob(f"{part}-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            assert row["id"] not in found, f"the id {row['id']} comes twice"
            found[row["id"]] = row
    return found


def manifest(build: Path) -> dict[str, Any]:
    """Return the manifest of a build."""
    data: dict[str, Any] = json.loads((build / "manifest.json").read_text("utf-8"))
    return data


def ledgers(build: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the ledgers of a build by task and template."""
    return {(ledger["task"], ledger["template"]): ledger for ledger in manifest(build)["ledgers"]}
