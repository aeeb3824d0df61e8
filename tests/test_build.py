"""Whole builds: counts that add up, quotas that are filled, parts that stay apart, and clear refusals."""

from __future__ import annotations

import ctypes
import itertools
import json
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from build_kit import (
    COMMAND,
    cli,
    environment,
    examples,
    fail,
    ledgers,
    manifest,
    recipe,
    rows_file,
    succeed,
    template,
    tree,
    world,
)
from instructify.publish.verify import verify
from instructify.world import WORLD

LIBC = ctypes.CDLL(None)

# the ledger


def built(folder: Path, tasks: list[dict[str, Any]], **fields: Any) -> Path:
    path = recipe(folder, tasks, **fields)
    succeed("build", path, "-j", "1", "--quiet")
    return folder / "out"


def test_every_row_that_was_rendered_is_kept_or_dropped_for_a_reason(small_build: Path) -> None:
    found = ledgers(small_build)
    assert len(found) >= 40
    kept = Counter((row["task"], row["template"]) for row in examples(small_build).values())
    for key, ledger in found.items():
        assert ledger["in"] == ledger["kept"] + sum(ledger["dropped"].values()), key
        assert ledger["kept"] == kept[key] <= ledger["quota"], key
        assert ledger["in"] <= ledger["rows"], key
    assert sum(sum(ledger["dropped"].values()) for ledger in found.values()) > 0


def test_the_card_tells_the_same_counts_as_the_manifest(small_build: Path) -> None:
    card = (small_build / "README.md").read_text("utf-8")
    found = ledgers(small_build).values()
    seen, kept = sum(ledger["in"] for ledger in found), sum(ledger["kept"] for ledger in found)
    assert f"- rows rendered {seen:,} = kept {kept:,} + dropped {seen - kept:,}\n" in card
    rows = [
        [cell.strip() for cell in line.split(" | ")]
        for line in card.splitlines()
        if line.startswith("| world/")
    ]
    assert len(rows) == 4
    for row in rows:
        own = [ledger for ledger in found if ledger["task"] == row[0].removeprefix("| ")]
        assert row[6:8] == [
            f"{sum(ledger['kept'] for ledger in own):,}",
            f"{sum(sum(ledger['dropped'].values()) for ledger in own):,}",
        ]


def test_quotas_are_filled_exactly_in_spite_of_drops(tmp_path: Path) -> None:
    rows_file(tmp_path / "t.jsonl", [{"text": f"t{n}", "label": n % 4 - 1} for n in range(4_000)])
    body = "{{ text }} ||| {{ answer_choices[label] }}"
    template(tmp_path / "own" / "quarter", "lost", body, answer_choices=["a", "b", "c"])
    task = {
        "dataset": "quarter",
        "cluster": "c",
        "source": {"kind": "files", "path": "t.jsonl"},
        "cap": 1_500,
    }
    out = built(tmp_path, [task], template_sources=["own"])
    (ledger,) = ledgers(out).values()
    assert ledger["kept"] == ledger["quota"] == 1_500
    assert set(ledger["dropped"]) == {"unlabelled"}
    assert 400 < ledger["dropped"]["unlabelled"] < 600  # one row of four
    assert ledger["in"] < 2_200  # and no more of the rest than was needed


def test_a_source_that_runs_out_of_rows_is_reported(tmp_path: Path) -> None:
    rows_file(tmp_path / "t.jsonl", [{"text": f"t{n}", "label": n % 2 - 1} for n in range(100)])
    body = "{{ text }} ||| {{ answer_choices[label] }}"
    template(tmp_path / "own" / "halves", "lost", body, answer_choices=["a"])
    template(tmp_path / "own" / "halves", "whole", "{{ text }} ||| {{ text }}")
    task = {"dataset": "halves", "cluster": "c", "source": {"kind": "files", "path": "t.jsonl"}}
    path = recipe(tmp_path, [task | {"cap_per_template": 80}], template_sources=["own"])
    said = succeed("build", path, "-j", "1", "--quiet")
    assert "1 of 2 templates ran out of rows, 30 examples short" in said
    lost = ledgers(tmp_path / "out")["halves", "lost"]
    assert (lost["in"], lost["kept"], lost["quota"]) == (100, 50, 80)
    assert "| halves | lost | 80 | 50 |" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_a_small_cap_on_a_large_source_renders_about_as_many_rows(tmp_path: Path) -> None:
    out = built(tmp_path, [world("reviews", 20_000, cap=50)])
    found = ledgers(out).values()
    assert sum(ledger["kept"] for ledger in found) == 50
    assert {ledger["rows"] for ledger in found} == {20_000}
    assert sum(ledger["in"] for ledger in found) <= 60


def test_no_row_beyond_the_windows_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from instructify.build import run
    from instructify.cli.progress import Silence
    from instructify.recipe.load import load_recipe
    from instructify.render.compiled import BatchTemplate

    rendered: list[int] = []
    real = BatchTemplate.render

    def spy(self: BatchTemplate, rows: Any, key: Any) -> Any:
        rendered.append(len(rows.numbers))
        return real(self, rows, key)

    monkeypatch.setattr(BatchTemplate, "render", spy)
    loaded = load_recipe(recipe(tmp_path, [world("facts", 20_000, cap=50)]))
    result = run.build(loaded, Silence())
    assert sum(ledger.kept for ledger in result.ledgers) == 50
    assert 50 <= sum(rendered) <= 60


CAPS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "no cap": ({}, {}, 100 * 4 + 60 * 3),
    "cap_per_dataset": ({"cap_per_dataset": 90}, {}, 90 + 90),
    "cap_per_template": ({"cap_per_template": 20}, {}, 20 * 4 + 20 * 3),
    "both": ({"cap_per_dataset": 70, "cap_per_template": 20}, {}, 70 + 60),
    "size": ({"size": 111}, {}, 111),
    "size beyond what there is": ({"size": 10_000}, {}, 580),
    "a task's own cap": ({"cap_per_dataset": 90}, {"cap": 200}, 200 + 90),
    "a task's own cap_per_template": ({"cap_per_template": 20}, {"cap_per_template": 50}, 50 * 4 + 20 * 3),
}


@pytest.mark.parametrize("name", CAPS)
def test_caps_and_sizes_are_met_to_the_example(tmp_path: Path, name: str) -> None:
    mixture, own, expected = CAPS[name]
    for dataset, rows, count in (("one", 100, 4), ("two", 60, 3)):
        rows_file(tmp_path / f"{dataset}.jsonl", [{"text": f"{dataset} {n}"} for n in range(rows)])
        for number in range(count):
            template(tmp_path / "own" / dataset, f"t{number}", f"{number} {{{{ text }}}} ||| {{{{ text }}}}")
    tasks = [
        {"dataset": name, "cluster": "c", "source": {"kind": "files", "path": f"{name}.jsonl"}}
        for name in ("one", "two")
    ]
    tasks[0] |= own
    path = recipe(tmp_path, tasks, template_sources=["own"], mixture=mixture)
    assert json.loads(succeed("plan", path, "--json"))["train"] == expected
    succeed("build", path, "-j", "1", "--quiet")
    found = examples(tmp_path / "out")
    assert len(found) == expected
    each = Counter((row["dataset"], row["template"]) for row in found.values())
    for dataset in ("one", "two"):
        shares = [count for (owner, _), count in each.items() if owner == dataset]
        assert max(shares) - min(shares) <= 1, "a dataset's examples are shared evenly among its templates"


# training and evaluation stay apart, and every column is right


def test_a_held_out_cluster_is_only_in_the_evaluation_part(small_build: Path) -> None:
    train, held = examples(small_build, "train"), examples(small_build, "eval")
    assert {row["cluster"] for row in held.values()} == {"nli"}
    assert "nli" not in {row["cluster"] for row in train.values()}
    assert {row["split"] for row in train.values()} == {"train"}
    assert {row["split"] for row in held.values()} == {"validation"}
    counts = Counter(row["template"] for row in held.values())
    assert set(counts.values()) == {30}  # eval_cap_per_template
    assert train.keys().isdisjoint(held.keys())


def test_row_numbers_and_splits_are_those_of_the_whole_split(tmp_path: Path) -> None:
    rows_file(tmp_path / "t-dev.jsonl", [{"text": f"row {n}"} for n in range(200)])
    template(tmp_path / "own" / "slices", "echo", "{{ text }} ||| {{ text }}")
    source = {"kind": "files", "path": "t-{split}.jsonl"}
    task = {"dataset": "slices", "cluster": "c", "source": source}
    tasks = [
        task | {"name": "middle", "split": "dev[25%:50%]"},
        task | {"name": "end", "split": "dev[-20:]"},
    ]
    found = examples(built(tmp_path, tasks, template_sources=["own"])).values()
    assert {row["inputs"] == f"row {row['row']}" for row in found} == {True}
    assert {row["split"] for row in found} == {"dev"}
    rows = {name: sorted(row["row"] for row in found if row["task"] == name) for name in ("middle", "end")}
    assert rows == {"middle": list(range(50, 100)), "end": list(range(180, 200))}


def test_labels_index_the_answer_choices(small_build: Path) -> None:
    found = examples(small_build).values()
    with_choices = [row for row in found if row["answer_choices"] is not None]
    assert len(with_choices) > 500
    assert len(with_choices) < len(found)
    for row in found:
        if row["answer_choices"] is None:
            assert row["label"] is None
        else:
            assert row["answer_choices"][row["label"]] == row["targets"]


def test_the_published_order_mixes_the_tasks(small_build: Path) -> None:
    order = [row["task"] for row in examples(small_build, "train").values()]
    changes = sum(one != other for one, other in itertools.pairwise(order))
    assert changes > len(order) / 3


def test_all_examples_of_a_row_are_in_one_file_and_scattered_in_it(small_build: Path) -> None:
    file_of: dict[tuple[str, int], Path] = {}
    files = sorted((small_build / "parquet").glob("train-*.parquet"))
    total = neighbours = 0
    for file in files:
        rows = [(row["task"], row["row"]) for row in pq.read_table(file).to_pylist()]
        assert all(file_of.setdefault(row, file) == file for row in rows)
        neighbours += sum(one == other for one, other in itertools.pairwise(rows))
        total += len(rows)
    assert len(files) > 2
    assert len(file_of) < total
    assert neighbours < total / 50


def test_no_file_comes_out_empty_where_few_rows_make_many_examples(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows-train.jsonl", [{"text": f"t{n}", "label": n % 2} for n in range(40)])
    for number in range(30):
        template(tmp_path / "own" / "rows", f"echo{number}", f"{number}: {{{{ text }}}}\n|||\n{{{{ text }}}}")
    output = {"dir": "out", "shard_examples": 100}
    succeed("build", recipe(tmp_path, [TASK], template_sources=["own"], output=output), "-j", "1", "-q")
    counts = [pq.read_table(file).num_rows for file in (tmp_path / "out" / "parquet").glob("*.parquet")]
    assert sum(counts) == 1_200
    assert len(counts) == 2
    assert min(counts) > 0


# what is refused: each case makes a recipe in a folder and says what the complaint must hold

Case = Callable[[Path], tuple[Path, list[str]]]
FILES = {"kind": "files", "path": "rows-{split}.jsonl"}
TASK: Mapping[str, Any] = {"dataset": "rows", "cluster": "c", "source": FILES}


def basic(folder: Path, *tasks: Mapping[str, Any], **fields: Any) -> Path:
    rows_file(folder / "rows-train.jsonl", [{"text": f"t{n}", "label": n % 2} for n in range(20)])
    template(folder / "own" / "rows", "echo", "{{ text }}\n|||\n{{ text }}")
    return recipe(folder, tasks or [TASK], **{"template_sources": ["own", "builtin"], **fields})


def unknown_key(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, {**TASK, "splitt": "train"}), ["mixture.yaml:", "splitt", "did you mean 'split'?"]


def missing_file(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder, {**TASK, "source": {"kind": "files", "path": "rows-trian.jsonl"}})
    return path, ["rows-trian.jsonl", "no such file", "did you mean 'rows-train.jsonl'?"]


def missing_recipe(folder: Path) -> tuple[Path, list[str]]:
    basic(folder)
    return folder / "mixtrue.yaml", ["no such recipe", "did you mean 'mixture.yaml'?"]


def unknown_column(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder)
    template(folder / "own" / "rows", "bad", "{{ txt }}\n|||\n{{ text }}")
    return path, ["bad.jinja:1", "'txt'", "no column", "did you mean 'text'?"]


def syntax_error(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder)
    template(folder / "own" / "rows", "bad", "{{ text }}\n\n{% if %}\n|||\n{{ text }}", metrics=["accuracy"])
    return path, ["bad.jinja:7:"]


def bad_front_matter(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder)
    template(folder / "own" / "rows", "bad", "{{ text }} ||| {{ text }}", metrcs=["accuracy"])
    return path, ["bad.jinja:2", "metrcs", "did you mean 'metrics'?"]


def wrong_template_name(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, {**TASK, "templates": {"include": ["ecko"]}}), ["'ecko'", "did you mean 'echo'?"]


def wrong_world_dataset(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, {"dataset": "world", "subset": "reviewz"}), ["reviewz", "world/reviews"]


def wrong_world_source(folder: Path) -> tuple[Path, list[str]]:
    task = {"dataset": "world", "subset": "reviews", "source": {"kind": "world", "name": "reviewz"}}
    return basic(folder, task), ["no world dataset 'reviewz'", "did you mean 'reviews'?"]


def wrong_split(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, {**TASK, "split": "dev"}), ["no split 'dev'", "expected one of train"]


def wrong_world_split(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, world("facts", split="trian")), ["no split 'trian'", "did you mean 'train'?"]


def wrong_held_out(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder, world("facts"), world("entail3"), held_out=["nly"])
    return path, ["mixture.yaml", "held_out", "'nly'", "did you mean 'nli'?"]


def nothing_to_train_on(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, world("entail3"), held_out=["nli"]), ["every task is held out"]


def hub_out_of_reach(folder: Path) -> tuple[Path, list[str]]:
    task = {**TASK, "source": {"kind": "hub", "path": "super_glue", "config": "rte"}}
    return basic(folder, task), ["super_glue/rte: the hub cannot be reached"]


def no_dataset_on_disk(folder: Path) -> tuple[Path, list[str]]:
    task = {**TASK, "source": {"kind": "disk", "path": "own"}}
    return basic(folder, task), ["own: cannot be loaded", "expected a folder written by save_to_disk"]


def all_rows_dropped(folder: Path) -> tuple[Path, list[str]]:
    template(folder / "own" / "rows", "echo", "x")
    path = basic(folder)
    template(folder / "own" / "rows", "echo", "{{ text }}\n|||\n{{ '' }}")
    return path, ["nothing is left to publish", "blank-target"]


def too_many_dropped(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder, checks={"max_dropped": 0.25})
    template(folder / "own" / "rows", "half", "{{ text }}\n|||\n{{ text if label else '' }}")
    return path, ["rows / half: 10 of 20 rows dropped (blank-target 10)", "max_dropped"]


def endless_template(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder)
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    template(folder / "own" / "rows", "endless", f"{loop}{{{{ text }}}}\n|||\n{{{{ text }}}}")
    return path, ["endless.jinja:1", "'endless'"]


def template_that_runs_away_on_rare_rows(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder)
    rows_file(folder / "rows-train.jsonl", [{"text": f"t{n}", "label": n % 100} for n in range(1_000)])
    loop = "{% if label == 99 %}{% for a in range(999999) %}{{ text }}{% endfor %}{% endif %}"
    template(folder / "own" / "rows", "rare", f"{loop}{{{{ text }}}}\n|||\n{{{{ text }}}}")
    return path, ["rare.jinja:1", "'rare' does not finish rows", "over-budget"]


def files_of_someone_else(folder: Path) -> tuple[Path, list[str]]:
    path = basic(folder)
    rows_file(folder / "out" / "thesis.txt", [{}])
    return path, ["out: is not empty and not a build"]


def output_over_the_recipe(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, output={"dir": "."}), ["the output directory holds the recipe itself"]


def output_under_a_file(folder: Path) -> tuple[Path, list[str]]:
    return basic(folder, output={"dir": "rows-train.jsonl/out"}), ["rows-train.jsonl: cannot create"]


REFUSED: tuple[Case, ...] = (
    unknown_key,
    missing_file,
    missing_recipe,
    unknown_column,
    syntax_error,
    bad_front_matter,
    wrong_template_name,
    wrong_world_dataset,
    wrong_world_source,
    wrong_split,
    wrong_world_split,
    wrong_held_out,
    nothing_to_train_on,
    hub_out_of_reach,
    no_dataset_on_disk,
    all_rows_dropped,
    too_many_dropped,
    endless_template,
    template_that_runs_away_on_rare_rows,
    files_of_someone_else,
    output_over_the_recipe,
    output_under_a_file,
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.__name__)
def test_what_cannot_be_built_is_refused_in_one_line_and_nothing_is_published(
    tmp_path: Path, case: Case
) -> None:
    path, expected = case(tmp_path)
    before = {name: data for name, data in tree(tmp_path).items() if not name.startswith(".")}
    lines = fail("build", path, "-j", "1", "--quiet")
    assert len(lines) == 1, lines
    for text in expected:
        assert text in lines[0]
    after = {name: data for name, data in tree(tmp_path).items() if not name.startswith(".")}
    assert after == before


def test_a_wrong_configuration_of_a_dataset_on_disk_names_the_right_ones(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    make = (
        "import datasets, sys; one = datasets.Dataset.from_dict({'text': ['a'], 'label': [0]});"
        "datasets.DatasetDict({'train': one, 'dev': one}).save_to_disk(sys.argv[1])"
    )
    subprocess.run(
        [COMMAND[0], "-c", make, tmp_path / "saved"], check=True, env=environment(), capture_output=True
    )
    task = {**TASK, "source": {"kind": "disk", "path": "saved"}}
    succeed("build", basic(tmp_path, task), "-j", "1", "--quiet")
    (line,) = fail("build", basic(tmp_path, {**task, "split": "dew"}), "-j", "1", "--quiet")
    assert "no split 'dew'" in line
    assert "did you mean 'dev'?" in line


def test_ten_mistakes_in_a_recipe_are_reported_together_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: 'a name'\n"
        "seed: -1\n"
        "sed: 3\n"
        "mixture: {size: 0, cap_per_dataset: many}\n"
        "output: {formats: [parket]}\n"
        "checks: {max_dropped: 2}\n"
        "tasks:\n"
        "  - {dataset: world, subset: reviews, split: 'train['}\n"
        "  - {subset: 3, cap: 0}\n",
        "utf-8",
    )
    lines = fail("build", path)
    assert len(lines) >= 10
    numbers = [int(line.removeprefix(f"{path}:").split(":")[0]) for line in lines]
    assert numbers == sorted(numbers)
    assert set(numbers) == {1, 2, 3, 4, 5, 6, 8, 9}


def test_mistakes_in_several_tasks_are_reported_together(tmp_path: Path) -> None:
    tasks = [
        {"dataset": "world", "subset": "reviewz"},
        {**TASK, "name": "b", "split": "dev"},
        {**TASK, "name": "c", "templates": {"include": ["ecko"]}},
    ]
    assert len(fail("plan", basic(tmp_path, *tasks))) == 3


def test_a_second_builder_of_a_directory_is_turned_away_at_once(tmp_path: Path) -> None:
    path = recipe(tmp_path, [world("reviews", 20_000)])
    first = subprocess.Popen([*COMMAND, "build", str(path), "-j", "1", "-q"], env=environment())
    try:
        while not (tmp_path / ".out.staging").exists():
            assert first.poll() is None
            time.sleep(0.01)
        (line,) = fail("build", path, "-j", "1", "-q", code=75)
        assert first.poll() is None
        assert f"process {first.pid} is building it" in line
    finally:
        first.kill()
        first.wait()
    assert cli("build", basic(tmp_path / "other"), "-j", "1", "-q").returncode == 0


# disks and permissions


def unprivileged() -> None:
    """Before a program starts: even as root, it may do only what permission bits allow."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        LIBC.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture
def obedient(tmp_path: Path) -> Path:
    """Return a folder; skip where a process cannot be made to obey permission bits."""
    secret = tmp_path / "secret"
    secret.touch(0)
    read = subprocess.run(["cat", secret], preexec_fn=unprivileged, capture_output=True)
    if not read.returncode:
        pytest.skip("permission bits mean nothing to this user")
    secret.unlink()
    return tmp_path


def test_a_folder_that_may_not_be_written_gives_one_line(obedient: Path) -> None:
    path = basic(obedient)
    obedient.chmod(0o555)
    (line,) = fail("build", path, "-j", "1", "-q", preexec_fn=unprivileged)
    obedient.chmod(0o755)
    assert "permission denied" in line.lower()
    assert not (obedient / "out").exists()


@pytest.mark.parametrize("which", ["mixture.yaml", "rows-train.jsonl", "own/rows/echo.jinja"])
def test_a_file_that_may_not_be_read_gives_one_line(obedient: Path, which: str) -> None:
    path = basic(obedient)
    (obedient / which).chmod(0)
    (line,) = fail("build", path, "-j", "1", "-q", preexec_fn=unprivileged)
    assert which.rpartition("/")[2] in line
    assert "permission denied" in line.lower()


def limited_files(limit: int) -> Callable[[], None]:
    import resource
    import signal

    def limit_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return limit_files


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("limit", [2_000, 30_000, 100_000])
def test_a_disk_that_takes_no_more_gives_one_line_and_a_rerun_ends_the_build(
    tmp_path: Path, workers: str, limit: int
) -> None:
    path = recipe(tmp_path, [world("facts", cap=1_000)])
    lines = fail("build", path, "-j", workers, "-q", preexec_fn=limited_files(limit))
    assert len(lines) == 1
    assert "the file would exceed the size limit" in lines[0].lower() or "too large" in lines[0].lower()
    assert not (tmp_path / "out").exists()
    succeed("build", path, "-j", workers, "-q")
    assert verify(tmp_path / "out").ok


def test_a_full_disk_gives_one_line_and_leaves_the_old_build(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        path = recipe(tmp_path, [world("facts", cap=100)], output={"dir": "disk/out"})
        succeed("build", path, "-j", "1", "-q")
        before = tree(disk / "out")
        recipe(tmp_path, [world("facts"), world("reviews")], output={"dir": "disk/out"})
        (line,) = fail("build", path, "-j", "2", "-q")
        assert "full" in line or "No space left" in line
        assert tree(disk / "out") == before
    finally:
        subprocess.run(["umount", disk], check=True)


# verify


@pytest.fixture(scope="module")
def copy(small_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(small_build, tmp_path_factory.mktemp("copy") / "out"))


def test_verify_finds_each_of_300_flipped_bits(copy: Path) -> None:
    files = [path for path in sorted(copy.rglob("*")) if path.is_file()]
    assert len(files) >= 10
    draw = random.Random(300)
    for number in range(300):
        path = files[number % len(files)]
        data = path.read_bytes()
        bit = draw.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert not verify(copy).ok, f"bit {bit} of {path.name}"
        path.write_bytes(data)
    assert verify(copy).ok


def truncate(build: Path) -> str:
    path = next(build.glob("chat/train-00001*"))
    path.write_bytes(path.read_bytes()[:-1])
    return path.name


def remove(build: Path) -> str:
    path = next(build.glob("parquet/train-00001*"))
    path.unlink()
    return path.name


def swap(build: Path) -> str:
    one, other = sorted(build.glob("jsonl/train-*"))[:2]
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    return one.name


def add(build: Path) -> str:
    return rows_file(build / "parquet" / "train-00009-of-00009.parquet", [{}]).name


def forge(build: Path) -> str:
    path = build / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"kept": 30', '"kept": 31', 1), "utf-8")
    return path.name


@pytest.mark.parametrize("damage", [truncate, remove, swap, add, forge])
def test_verify_names_the_damaged_file(
    small_build: Path, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    build = Path(shutil.copytree(small_build, tmp_path / "out"))
    name = damage(build)
    lines = fail("verify", build)
    assert any(name in line for line in lines)
    report = json.loads(cli("verify", build, "--json").stdout)
    assert report["ok"] is False
    assert report["problems"] == lines


def test_the_manifest_names_every_world_dataset_by_fingerprint(small_build: Path) -> None:
    tasks = manifest(small_build)["tasks"]
    assert {task["name"] for task in tasks} <= {f"world/{name}" for name in WORLD}
    assert len({task["source"]["fingerprint"] for task in tasks}) == len(tasks) == 4
