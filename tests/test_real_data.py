"""One command over dozens of real datasets under all of their promptsource templates."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from build_kit import COMMAND, environment, ledgers, manifest
from instructify.publish.verify import verify
from instructify.templates.promptsource import installed_root

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RENAMED = {"trec": {"coarse_label": "label_coarse", "fine_label": "label_fine"}}
MEMORY_LIMIT = 1_500_000_000
"""Bytes of all five processes together; a page that several of them share counts once."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not (DATA / "manifest.json").is_file(), reason="the real datasets are not here"),
    pytest.mark.skipif(installed_root() is None, reason="promptsource is not installed"),
]


def task(facts: dict[str, Any]) -> dict[str, Any]:
    name, splits = facts["name"], list(facts["splits"])
    dataset, _, subset = (name, "", "") if name.startswith("craffel/") else name.partition("/")
    entry = {
        "dataset": dataset,
        "cluster": facts["cluster"],
        "split": "train" if "train" in splits else splits[0],
        "eval_split": "validation" if "validation" in splits else splits[-1],
        "licence": facts["licence"],
    }
    if name in RENAMED:
        path = f"{{data_root}}/{name}/{{split}}.parquet"
        entry["source"] = {"kind": "files", "path": path, "rename": RENAMED[name]}
    return entry | ({"subset": subset} if subset else {})


def write_recipe(path: Path) -> int:
    known = json.loads((DATA / "manifest.json").read_text("utf-8"))["datasets"]
    tasks = [task(facts) for facts in known if facts["promptsource"]]
    whole = {
        "name": "real",
        "seed": 3,
        "template_sources": ["promptsource"],
        "held_out": ["coreference", "word_sense"],
        "output": {"dir": "out"},
        "tasks": tasks,
    }
    path.write_text(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False), "utf-8")
    return len(tasks)


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def proportional_memory(pid: int) -> int:
    """Return the memory in bytes of a process and its descendants, shared pages counted once."""
    total = 0
    for one in family(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def build_and_watch(recipe: Path) -> tuple[str, int, float]:
    """Build a recipe and return what was printed, the greatest memory in bytes and the seconds it took."""
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(
        [*COMMAND, "build", str(recipe), "--data-root", str(DATA), "--json", "-j", "4"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.communicate()))
    reader.start()
    while reader.is_alive():
        peak = max(peak, proportional_memory(process.pid))
        time.sleep(0.05)
    assert process.returncode == 0, said[1]
    return said[0], peak, time.monotonic() - began


def test_one_command_builds_dozens_of_real_datasets_under_all_their_templates(tmp_path: Path) -> None:
    configurations = write_recipe(tmp_path / "recipe.yaml")
    assert configurations >= 30
    said, peak, seconds = build_and_watch(tmp_path / "recipe.yaml")
    out = tmp_path / "out"
    found = ledgers(out)
    kept = sum(ledger["kept"] for ledger in found.values())
    print(
        f"{configurations} configurations, {len(found)} templates, {kept:,} examples, {seconds:.1f} s, "
        f"{peak / 1e6:,.0f} MB at most with 4 workers"
    )
    assert len({task for task, _ in found}) == configurations
    assert len(found) >= 300
    assert kept >= 400_000
    assert sum(json.loads(said)["examples"].values()) == kept
    for key, ledger in found.items():
        assert ledger["in"] == ledger["kept"] + sum(ledger["dropped"].values()), key
        assert ledger["kept"] == ledger["quota"] or ledger["in"] == ledger["rows"], key
    roles = {task["cluster"]: task["role"] for task in manifest(out)["tasks"]}
    assert {cluster for cluster, role in roles.items() if role == "held_out"} == {"coreference", "word_sense"}
    report = verify(out)
    assert report.problems == ()
    assert 0 < peak < MEMORY_LIMIT
