"""The same recipe gives the same bytes, whatever surrounds the build; and a change changes only its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from build_kit import (
    cli,
    differences,
    environment,
    examples,
    ledgers,
    promptsource_file,
    recipe,
    rows_file,
    succeed,
    template,
    tree,
    world,
)

TICKETS = 1_200


def project(folder: Path) -> Path:
    """Write a recipe with drops, caps, draws, a slice, a file to convert, held-out tasks and all formats."""
    rows = [
        {
            "text": "   "
            if n % 97 == 0
            else f"표 {n}: the {'door' if n % 3 else 'lamp'} is {n % 7} days late",
            "label": -1 if n % 31 == 0 else n % 2,
        }
        for n in range(TICKETS)
    ]
    rows_file(folder / "data" / "tickets-train.jsonl", rows)
    tickets = folder / "own" / "tickets"
    template(
        tickets,
        "sort",
        "{{ text }}\nWhich is it?\n|||\n{{ answer_choices[label] }}",
        answer_choices=["a", "b"],
    )
    template(tickets, "echo", "Repeat: {{ text }}\n|||\n{{ text }}")
    draw = "{{ ['Say', 'Tell', 'Decide', 'Judge'] | choice }}: {{ text }} ||| {{ answer_choices[label] }}"
    promptsource_file(
        folder / "own" / "drawn",
        {
            "drawn": (draw, "no ||| yes"),
            "twice": ("{{ text | choice }}{{ text | choice }} ||| {{ text }}", None),
        },
    )
    source = {"kind": "files", "path": "data/tickets-{split}.jsonl"}
    return recipe(
        folder,
        [
            world("reviews", 12_000, cap=900),  # several shards
            world("ko_reviews", split="train[10%:70%]", cap_per_template=60),
            world("sums", cap=300),
            world("entail3"),
            {"dataset": "tickets", "cluster": "sorting", "source": source, "licence": "CC0-1.0"},
            {"dataset": "drawn", "cluster": "sorting", "source": source, "cap": 500},
        ],
        name="everything",
        seed=11,
        template_sources=["builtin", "own"],
        held_out=["nli"],
        mixture={"eval_cap_per_template": 40},
        output={"dir": "out", "formats": ["parquet", "jsonl", "chat"], "shard_examples": 900},
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    succeed("build", project(folder), "-j", "1", "--quiet")
    return folder


def test_the_reference_build_has_drops_draws_caps_and_several_files_of_each_format(reference: Path) -> None:
    out = reference / "out"
    dropped = {reason for ledger in ledgers(out).values() for reason in ledger["dropped"]}
    assert {"unlabelled", "blank-target"} <= dropped
    found = examples(out, "train").values()
    assert len({row["inputs"].split(":")[0] for row in found if row["template"] == "drawn"}) == 4
    for part in ("train", "eval"):
        for form in ("parquet", "jsonl", "chat"):
            assert len(list((out / form).glob(f"{part}-*"))) >= (3 if part == "train" else 1)
    assert sum(row["dataset"] == "drawn" for row in found) == 500


SURROUNDINGS: dict[str, tuple[list[str], dict[str, str]]] = {
    "two workers": (["-j", "2"], {}),
    "four workers": (["-j", "4"], {}),
    "hash seed 0": (["-j", "1"], {"PYTHONHASHSEED": "0"}),
    "hash seed 1": (["-j", "2"], {"PYTHONHASHSEED": "1"}),
    "time zone and C locale": (["-j", "1"], {"TZ": "Pacific/Apia", "LANG": "C", "LC_ALL": "C"}),
    "UTF-8 mode off": (["-j", "1"], {"PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}),
    "all cores, progress lines": ([], {"TZ": "Asia/Seoul", "LC_ALL": "ko_KR.UTF-8"}),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_surroundings_change_no_byte(reference: Path, tmp_path: Path, name: str) -> None:
    arguments, env = SURROUNDINGS[name]
    succeed("build", reference / "everything.yaml", "-o", tmp_path / "elsewhere", *arguments, env=env)
    assert differences(tree(reference / "out"), tree(tmp_path / "elsewhere")) == []


def test_another_working_directory_and_a_copied_project_change_no_byte(
    reference: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "a copy 한글"
    shutil.copytree(reference, copy, ignore=shutil.ignore_patterns("out"))
    succeed("build", "everything.yaml", "-j", "1", "--quiet", cwd=copy)
    assert differences(tree(reference / "out"), tree(copy / "out")) == []


def test_kept_work_and_a_build_in_the_way_change_no_byte(reference: Path, tmp_path: Path) -> None:
    path = project(tmp_path)
    expected = tree(reference / "out")
    text = path.read_text("utf-8")
    path.write_text(text.replace("seed: 11", "seed: 12"), "utf-8")
    succeed("build", path, "-j", "1", "--quiet", "--keep-work")  # the build that is in the way
    assert len(differences(expected, tree(tmp_path / "out"))) > 3
    path.write_text(text, "utf-8")
    for _ in range(2):
        succeed("build", path, "-j", "1", "--quiet", "--keep-work")
        assert differences(expected, tree(tmp_path / "out")) == []
    succeed("build", path, "-j", "1", "--quiet")
    assert differences(expected, tree(tmp_path / "out")) == []
    assert not list(tmp_path.glob(".out.*")), "work was left behind"


def changed(before: Path, after: Path) -> tuple[set[str], set[str], set[str]]:
    """Return the ids that were added, removed, and published with other contents."""
    old, new = examples(before), examples(after)
    assert old and new
    return (
        new.keys() - old.keys(),
        old.keys() - new.keys(),
        {i for i in old.keys() & new.keys() if old[i] != new[i]},
    )


def add_a_dataset(folder: Path) -> None:
    path = folder / "everything.yaml"
    entry = "- {dataset: world, subset: news, cap: 200}\n"
    head, tasks = path.read_text("utf-8").split("tasks:\n")
    path.write_text(f"{head}tasks:\n{entry}{tasks}", "utf-8")


def add_a_template(folder: Path) -> None:
    template(folder / "own" / "tickets", "about", "What does this say? {{ text }}\n|||\nIt says: {{ text }}")


def edit_a_template(folder: Path) -> None:
    template(folder / "own" / "tickets", "echo", "Say it again: {{ text }}\n|||\n{{ text }}")


EDITS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a dataset": (add_a_dataset, "added", "world/news"),
    "a template": (add_a_template, "added", "about"),
    "an edited template": (edit_a_template, "changed", "echo"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_change_leaves_every_other_example_as_it_was(reference: Path, tmp_path: Path, name: str) -> None:
    edit, what, owner = EDITS[name]
    path = project(tmp_path)
    edit(tmp_path)
    succeed("build", path, "-j", "1", "--quiet")
    added, removed, other = changed(reference / "out", tmp_path / "out")
    assert not removed
    touched, untouched = (added, other) if what == "added" else (other, added)
    assert touched and not untouched
    everything = examples(tmp_path / "out")
    assert {owner} == {everything[i]["task" if "/" in owner else "template"] for i in touched}


def test_a_rebuild_with_kept_work_makes_only_what_changed(tmp_path: Path) -> None:
    path = project(tmp_path)
    candidates = tmp_path / ".out.staging" / "candidates"
    succeed("build", path, "-j", "1", "--quiet", "--keep-work")
    before = {file.name: file.stat().st_mtime_ns for file in candidates.iterdir()}
    add_a_dataset(tmp_path)
    succeed("build", path, "-j", "1", "--quiet", "--keep-work")
    after = {file.name: file.stat().st_mtime_ns for file in candidates.iterdir()}
    assert len(before) >= 6
    assert all(after.get(name) == time for name, time in before.items()), "a shard was made again"
    made = after.keys() - before.keys()
    assert 1 <= len(made) <= 3  # 2,000 rows of one dataset


def test_kept_work_of_an_earlier_recipe_is_removed(tmp_path: Path) -> None:
    work = []
    for number, name in enumerate(("facts", "sums", "claims")):
        path = recipe(tmp_path, [world(name, cap=50)], seed=number)
        succeed("build", path, "-j", "1", "--quiet", "--keep-work")
        assert not list((tmp_path / ".out.staging").glob("leaks-*"))
        work.append({file for file in (tmp_path / ".out.staging").rglob("*") if file.is_file()})
        (tmp_path / ".out.staging" / "leaks-of-a-killed-build" / "index").mkdir(parents=True)
    assert len({len(files) for files in work}) == 1, work
    assert {file.parent.name for file in work[0] ^ work[1]} == {"candidates", "sources"}


def test_a_kept_candidate_that_was_damaged_is_made_again(reference: Path, tmp_path: Path) -> None:
    path = project(tmp_path)
    succeed("build", path, "-j", "1", "--quiet", "--keep-work")
    damaged = sorted((tmp_path / ".out.staging" / "candidates").iterdir())[::2]
    for file in damaged:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    assert len(damaged) >= 3
    succeed("build", path, "-j", "2", "--quiet", "--keep-work")
    assert differences(tree(reference / "out"), tree(tmp_path / "out")) == []


def test_the_environment_of_these_tests_is_not_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INSTRUCTIFY_DATA_ROOT", str(tmp_path))
    assert "INSTRUCTIFY_DATA_ROOT" not in environment()
    assert cli("--version").stdout.startswith("instructify ")


def test_ids_depend_on_names_and_rows_alone(tmp_path: Path) -> None:
    found = []
    for seed, rows in ((1, 300), (2, 400)):
        folder = tmp_path / str(seed)
        succeed("build", recipe(folder, [world("facts", rows)], seed=seed), "-j", "1", "--quiet")
        every = examples(folder / "out").values()
        found.append({(row["template"], row["row"]): row["id"] for row in every})
    assert len(found[0]) >= 2_900
    assert found[0].items() <= found[1].items()
