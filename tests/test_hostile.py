"""Templates by strangers end in a clear error or a small text: no escape, no hang, no gigabyte, no chance."""

import json
import os
import re
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from hostile_payloads import EXPRESSIONS, MEMORY, PAYLOADS, SECONDS

RUNNER = Path(__file__).with_name("hostile_payloads.py")
SMALL = 20_000
"""Most characters that a payload which renders may print."""
LEAKS = re.compile(
    r" at 0x|<class|<function|<built-in|builtins|object at|MemoryError|popen|uid=", re.IGNORECASE
)


@lru_cache
def run(path, dialect, place, names, hash_seed):
    """Return the outcome of each payload; one that was killed has the outcome ["killed", signal]."""
    outcomes = {}
    left = list(names)
    while left:
        done = subprocess.run(
            [sys.executable, str(RUNNER), path, dialect, place, *left],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        outcomes |= {line["name"]: line["outcome"] for line in lines if "name" in line}
        left = [name for name in left if name not in outcomes]
        if left:
            last = lines[-1].get("starts") if lines else left[0]
            assert last == left[0], done.stderr
            outcomes[last] = ["killed", -done.returncode, done.stderr[-300:]]
            left.remove(last)
    return outcomes


def faults(outcomes):
    """Return the outcomes that are neither a clear error nor a small text."""
    found = {}
    for name, outcome in outcomes.items():
        kind, *texts = outcome
        words = "\n".join(map(str, texts))
        allowed = kind in ("row", "refused") or (kind == "rendered" and len(words) < SMALL)
        if not allowed or LEAKS.search(words):
            found[name] = (kind, words[:300])
    return found


BATCHES = [
    ("reference", "strict", "body"),
    ("reference", "promptsource", "body"),
    ("reference", "strict", "choices"),
    ("reference", "promptsource", "choices"),
    ("reference", "strict", "rationale"),
    ("compiled", "strict", "body"),
    ("compiled", "promptsource", "body"),
]


@pytest.mark.parametrize(("path", "dialect", "place"), BATCHES, ids=map("-".join, BATCHES))
def test_every_payload_ends_in_a_clear_error_or_a_small_text(path, dialect, place):
    first = run(path, dialect, place, tuple(PAYLOADS), 1)
    assert faults(first) == {}
    assert len(first) == len(PAYLOADS) == 241


@pytest.mark.parametrize("dialect", ["strict", "promptsource"])
def test_the_fate_of_a_payload_is_the_same_in_every_process(dialect):
    assert run("reference", dialect, "body", tuple(PAYLOADS), 1) == run(
        "reference", dialect, "body", tuple(PAYLOADS), 2
    )


def test_every_answer_choices_expression_ends_in_a_clear_error_or_a_list():
    outcomes = run("reference", "strict", "expression", tuple(EXPRESSIONS), 1)
    assert faults(outcomes) == {}
    assert len(outcomes) == 17
    kinds = {name: outcome[0] for name, outcome in outcomes.items()}
    assert kinds["starred"] == "rendered"
    assert kinds["closing"] == kinds["huge"] == "row"


def test_the_watchdog_bites():
    """A runner that is given too much to do is killed and reported; else the tests above show nothing."""
    code = (
        "import signal\nsignal.signal(signal.SIGPROF, signal.SIG_DFL)\n"
        "signal.setitimer(signal.ITIMER_PROF, 0.1)\n('a' * 400000).rfind('ab' + 'a' * 200000)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGPROF
    assert SECONDS <= 2.0
    assert MEMORY <= 1 << 30
    assert faults({"x": ["killed", 27, ""], "y": ["rendered", "<function f at 0x12>"]}).keys() == {"x", "y"}


WORST = [
    "nested_range",
    "power",
    "search_from_the_right",
    "doubling_zip",
    "macro_exponential",
    "colliding_keys",
    "text_product",
    "center_constant",
    "percent_key_width",
    "starred_call",
]


def project(folder, body):
    """Write a dataset, a template with this prompt, and a recipe; return the template's file."""
    (folder / "templates" / "rows").mkdir(parents=True)
    template = folder / "templates" / "rows" / "worst.jinja"
    template.write_text(f"---\nanswer_choices: [yes, no]\n---\n{body} ||| yes\n", encoding="utf-8")
    rows = [json.dumps({"text": "bad cat sat on the mat", "label": i % 2}) for i in range(200)]
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "recipe.yaml").write_text(
        "name: worst\ntemplate_sources: [templates]\noutput: {dir: out}\ntasks:\n"
        "  - dataset: rows\n    cluster: c\n    source: {kind: files, path: rows.jsonl}\n",
        encoding="utf-8",
    )
    return template


def instructify(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "instructify", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "1000", "NO_COLOR": "1"},
    )


@pytest.mark.parametrize("name", WORST)
def test_a_build_of_a_hostile_template_fails_naming_it_and_publishes_nothing(tmp_path, name):
    template = project(tmp_path, PAYLOADS[name])
    done = instructify(tmp_path, "build", "recipe.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert f"{template.name}:4" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", WORST)
def test_a_preview_of_a_hostile_template_fails_and_says_why(tmp_path, name):
    template = project(tmp_path, PAYLOADS[name])
    done = instructify(tmp_path, "preview", str(template), "--data", str(tmp_path / "rows.jsonl"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "worst" in done.stdout + done.stderr
    assert "over-budget" in done.stdout + done.stderr or "forbidden" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["include", "autoescape", "long_integer", "many_compares", "deep_lists"])
def test_a_template_that_cannot_be_compiled_is_named_with_its_file(tmp_path, name):
    template = project(tmp_path, PAYLOADS[name])
    for command in (["build", "recipe.yaml"], ["preview", str(template), "--data", "rows.jsonl"]):
        done = instructify(tmp_path, *command)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert template.name in done.stderr
        assert not (tmp_path / "out").exists()
