"""`plan` says what `build` does: exact counts, honest estimates, and nothing rendered but a sample."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from build_kit import (
    cli,
    examples,
    fail,
    ledgers,
    manifest,
    recipe,
    rows_file,
    succeed,
    template,
    world,
)
from instructify.build import make_plan
from instructify.build.estimate import BLOCKS, ROWS, estimate, total
from instructify.recipe.load import load_recipe
from instructify.render.compiled import BatchTemplate

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
VARIANTS = [
    {"name": "plain", "share": 2},
    {"name": "few", "shots": [1, 3]},
    {"name": "letters", "option_styles": ["capitals_with_dot"], "answer_by_marker": True},
    {"name": "reasoned", "reasoning": "before"},
]


def plan_of(path: Path, *arguments: str | Path) -> dict[str, Any]:
    planned: dict[str, Any] = json.loads(succeed("plan", path, "--json", *arguments))
    return planned


def test_a_metric_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows.jsonl", [{"text": "a"}])
    for name, metrics in (("good", ["ROUGE", "Mean Reciprocal Rank"]), ("bad", ["accuracy", "rogue"])):
        template(tmp_path / "own/notes", name, "{{ text }}\n|||\n{{ text }}", metrics=metrics)
    task = {"dataset": "notes", "cluster": "c", "source": {"kind": "files", "path": "rows.jsonl"}}
    path = recipe(tmp_path, [task], template_sources=["own"])
    (said,) = fail("plan", path)
    assert "bad.jinja: template 'bad' declares the metric 'rogue', which is none" in said
    assert said.endswith("did you mean 'rouge'?")
    task["templates"] = {"exclude": ["bad"]}
    succeed("plan", recipe(tmp_path, [task], template_sources=["own"]))


def labelled(folder: Path, labels: list[int]) -> dict[str, Any]:
    """Write rows with these labels and a template that drops the negative ones; return their task."""
    rows = [{"text": f"text number {n}", "label": label} for n, label in enumerate(labels)]
    rows_file(folder / "rows.jsonl", rows)
    body = "{{ text }}\n{{ answer_choices | options }}\n|||\n{{ answer_choices[label] }}"
    template(folder / "templates" / "own", "ask", body, answer_choices=["a", "b", "c"])
    return {"dataset": "own", "cluster": "c", "source": {"kind": "files", "path": "rows.jsonl"}}


def composed(folder: Path, tasks: list[dict[str, Any]], **fields: Any) -> Path:
    return recipe(folder, tasks, variants=VARIANTS, **fields)


def check_against_build(planned: dict[str, Any], build: Path) -> None:
    """Check every count of a plan against the build, but for drops, which the ledgers name."""
    own = ledgers(build)
    kept = Counter({(v["task"], v["variant"]): v["kept"] for v in manifest(build)["variants"]})
    published = Counter((one["task"], one["variant"]) for one in examples(build).values())
    assert +kept == published
    for task in planned["tasks"]:
        name, dropped = task["task"], 0
        for form, quota in task["quotas"].items():
            ledger = own.pop((name, form))
            left = ledger["rows"] * ledger["epochs"] - sum(ledger["dropped"].values())
            dropped += sum(ledger["dropped"].values())
            assert ledger["quota"] == quota
            assert ledger["kept"] == min(quota, left) or ledger["in"] < ledger["rows"] == quota
            if not ledger["dropped"]:
                assert ledger["kept"] == quota
        assert sum(task["quotas"].values()) == task["examples"] == sum(task["variants"].values())
        for variant, count in task["variants"].items():
            assert kept[name, variant] == count or dropped
    assert not own


@pytest.mark.parametrize("name", ["quickstart", "tiny"])
def test_the_counts_of_a_shipped_recipe_are_those_of_its_build(name: str, tmp_path: Path) -> None:
    path = ROOT / "recipes" / f"{name}.yaml"
    planned = plan_of(path, "--no-sample")
    succeed("build", path, "--out", tmp_path / "out", "-j", "1")
    assert len(planned["tasks"]) >= 16
    check_against_build(planned, tmp_path / "out")


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the datasets of the shared folder")
def test_the_counts_of_a_recipe_over_real_data_are_those_of_its_build(tmp_path: Path) -> None:
    tasks = [
        {"dataset": "super_glue", "subset": "rte", "cap": 400},
        {"dataset": "commonsense_qa", "cap": 300},
        {"dataset": "gsm8k", "subset": "main", "cap": 200},
        {"dataset": "trec", "cap": 300},
    ]
    path = composed(tmp_path, tasks, data_root=str(DATA), mixture={"size": 900, "exhausted": "spill"})
    planned = plan_of(path, "--no-sample")
    assert planned["train"] == 900
    assert {name for task in planned["tasks"] for name in task["variants"]} == {v["name"] for v in VARIANTS}
    succeed("build", path, "-j", "1")
    check_against_build(planned, tmp_path / "out")


def test_the_counts_of_variants_are_those_of_the_build(tmp_path: Path) -> None:
    tasks = [labelled(tmp_path, [0, 1, 2, -1] * 50), world("facts", 300, cap=500), world("sums", 100)]
    path = composed(tmp_path, tasks, template_sources=["builtin", "templates"])
    planned = plan_of(path, "--no-sample")
    names = [set(task["variants"]) for task in planned["tasks"]]
    assert names == [{"plain", "few", "letters"}, *[{"plain", "few", "reasoned"}] * 2]
    succeed("build", path, "-j", "2")
    check_against_build(planned, tmp_path / "out")


def test_what_differs_from_the_plan_is_shown_and_in_manifest_and_card(tmp_path: Path) -> None:
    task = labelled(tmp_path, [-1 if n % 3 else 0 for n in range(60)])
    variants = [{"name": "one", "share": 1}, {"name": "two", "share": 1}]
    path = recipe(tmp_path, [task], template_sources=["templates"], variants=variants)
    said = succeed("build", path, "-j", "1")
    assert "planned and kept, where they differ" in " ".join(said.split())
    counts = manifest(tmp_path / "out")["variants"]
    assert [(count["variant"], count["planned"]) for count in counts] == [("one", 30), ("two", 30)]
    assert sum(count["kept"] for count in counts) == 20
    assert "| one | 30 |" in (tmp_path / "out" / "README.md").read_text("utf-8")


# estimates


def test_nothing_is_rendered_but_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(tmp_path, [world("facts", 5000), world("reviews", 7)], held_out=["sentiment"])
    plan = make_plan(load_recipe(path), tmp_path / "work")
    seen: Counter[tuple[str, str]] = Counter()
    real = BatchTemplate.render

    def spy(self: BatchTemplate, rows: Any, key: Any) -> Any:
        seen[self.reference.template.dataset, self.reference.template.name] += len(rows)
        return real(self, rows, key)

    monkeypatch.setattr(BatchTemplate, "render", spy)
    found = estimate(plan, tmp_path / "work")
    assert [one.sampled for one in found] == [BLOCKS * ROWS, 7 * 1]
    assert len(seen) == sum(len(task.templates) for task in plan.tasks)
    assert set(seen.values()) == {BLOCKS * ROWS, 7}


def test_the_estimated_size_is_the_size_within_its_error(tmp_path: Path) -> None:
    path = composed(tmp_path, [world("facts", 600, cap=1500), world("news", 600), world("notes", 300)])
    plan = make_plan(load_recipe(path), tmp_path / "work")
    found = estimate(plan, tmp_path / "work")
    succeed("build", path, "-j", "1")
    size: Counter[str] = Counter()
    for one in examples(tmp_path / "out").values():
        size[one["task"]] += len(one["inputs"].encode()) + len(one["targets"].encode())
    for one in found:
        # exemplars of the sample come from fewer rows than those of the build
        assert abs(one.size.value - size[one.task]) <= 4 * one.size.error + 0.02 * size[one.task]
        assert 0 < one.size.error < 0.2 * one.size.value
    assert total(one.size for one in found).value == pytest.approx(sum(size.values()), rel=0.05)


def test_a_source_that_the_sample_holds_whole_is_estimated_without_error(tmp_path: Path) -> None:
    path = recipe(tmp_path, [world("reviews", 12)])
    plan = make_plan(load_recipe(path), tmp_path / "work")
    (found,) = estimate(plan, tmp_path / "work")
    succeed("build", path, "-j", "1")
    made = examples(tmp_path / "out").values()
    assert found.size.error == 0
    assert found.size.value == sum(len((one["inputs"] + one["targets"]).encode()) for one in made)
    assert found.examples.value == len(made)


def test_dropped_rows_are_expected_to_be_dropped(tmp_path: Path) -> None:
    task = labelled(tmp_path, [n % 4 - 1 for n in range(2000)])
    path = recipe(tmp_path, [task, world("sums", 50)], template_sources=["builtin", "templates"])
    (own, _) = plan_of(path)["tasks"]
    assert own["examples"] == 2000
    expected = own["estimate"]["examples"]
    assert 0.05 < own["estimate"]["dropped"] < 0.5
    assert abs(expected["value"] - 1500) <= 4 * expected["standard_error"]


def test_plan_shows_tables_of_tasks_and_variants_and_what_runs_out(tmp_path: Path) -> None:
    mixture = {"size": 900, "policy": "equal"}
    path = composed(tmp_path, [world("facts", 1000), world("sums", 10)], mixture=mixture)
    said = succeed("plan", path)
    for wanted in (
        "plan of mixture",
        "examples by variant",
        "reasoned",
        "450",
        "note: mixture: world/sums offer",
        "(exhausted: stop)",
        "of the 900 asked for",
        "rendering and composing for one core",
        "±",
    ):
        assert wanted in said, said
    assert "±" not in succeed("plan", path, "--no-sample")
    assert "Example: instructify plan" in succeed("plan", "--help")


def test_plan_of_a_recipe_that_is_wrong_ends_in_problems_not_in_a_traceback(tmp_path: Path) -> None:
    groups = [{"name": "all", "tasks": ["world/factz"]}]
    done = cli("plan", recipe(tmp_path, [world("facts", 10)], mixture={"groups": groups}))
    assert done.returncode == 1
    assert "no task is called 'world/factz'; did you mean 'world/facts'?" in done.stderr
    assert "the task world/facts (cluster multiple_choice_qa) is in no group" in done.stderr
    assert "Traceback" not in done.stderr


# mixtures in builds


def small(folder: Path, rows: int = 40, seed: int = 0, **mixture: Any) -> Path:
    tasks = [world("sums", rows), world("facts", 400)]
    return recipe(folder, tasks, mixture=mixture, seed=seed)


def chosen(build: Path, task: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in examples(build).values():
        if one["task"] == task:
            found.setdefault(one["template"], []).append(one["row"])
    return found


def test_repeating_uses_every_row_again_under_new_ids_and_leaves_the_first_epoch_as_it_is(
    tmp_path: Path,
) -> None:
    once = small(tmp_path / "once", rows=10, policy="equal", size=600)
    again = small(tmp_path / "again", rows=10, policy="equal", size=600, exhausted="repeat", max_epochs=3)
    succeed("build", once, "-j", "1")
    said = succeed("build", again, "-j", "2")
    first, more = examples(tmp_path / "once" / "out"), examples(tmp_path / "again" / "out")
    assert "rows of world/sums are used more than once" in said
    assert first.items() <= more.items()
    repeated = Counter((one["template"], one["row"]) for one in more.values() if one["task"] == "world/sums")
    assert set(repeated.values()) <= {2, 3}
    by_template = chosen(tmp_path / "again" / "out", "world/sums")
    assert sum(map(len, by_template.values())) == 300
    for (task, _), ledger in ledgers(tmp_path / "again" / "out").items():
        assert ledger["epochs"] == 3
        assert ledger["in"] == ledger["kept"] + sum(ledger["dropped"].values())
        assert ledger["kept"] == ledger["quota"] or task != "world/sums"
    succeed("verify", tmp_path / "again" / "out")
    succeed("build", again, "-j", "1", "--out", tmp_path / "alone")
    assert (
        manifest(tmp_path / "alone")["content_hash"] == manifest(tmp_path / "again" / "out")["content_hash"]
    )


def test_no_row_is_used_again_when_repeats_are_used_up(tmp_path: Path) -> None:
    path = small(tmp_path, rows=5, policy="equal", size=4000, exhausted="repeat", max_epochs=2)
    succeed("build", path, "-j", "1")
    used = Counter(
        (one["template"], one["row"])
        for one in examples(tmp_path / "out").values()
        if one["task"] == "world/sums"
    )
    assert set(used.values()) == {2}
    shares = {share["task"]: share for share in manifest(tmp_path / "out")["mixture"]}
    assert shares["world/sums"]["quota"] == shares["world/sums"]["offered"] == sum(used.values())
    assert shares["world/sums"]["due"] == 2000
    assert "| world/sums | 2,000 |" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_rows_that_drops_leave_open_are_taken_from_the_next_epoch(tmp_path: Path) -> None:
    task = labelled(tmp_path, [-1 if n % 2 else 0 for n in range(50)])
    mixture = {"size": 50, "exhausted": "repeat", "max_epochs": 2}
    succeed("build", recipe(tmp_path, [task], template_sources=["templates"], mixture=mixture), "-j", "1")
    (ledger,) = ledgers(tmp_path / "out").values()
    assert (ledger["quota"], ledger["kept"]) == (50, 50)
    assert set(Counter(one["row"] for one in examples(tmp_path / "out").values()).values()) == {2}


def test_what_one_task_lacks_goes_to_the_others(tmp_path: Path) -> None:
    path = small(tmp_path, rows=5, policy="equal", size=2000, exhausted="spill")
    planned = plan_of(path, "--no-sample")
    sums, facts = (task["examples"] for task in planned["tasks"])
    assert sums < 1000 < facts
    assert sums + facts == planned["train"] == 2000


@pytest.mark.parametrize("size", [None, 700])
def test_a_further_task_leaves_the_chosen_rows_of_others_nested(size: int | None, tmp_path: Path) -> None:
    tasks = [world("facts", 300, cap_per_template=60), world("sums", 100)]
    mixture = {"size": size} if size else {}
    few = recipe(tmp_path / "few", tasks, mixture=mixture)
    many = recipe(tmp_path / "many", [*tasks, world("news", 500)], mixture=mixture)
    for path in (few, many):
        succeed("build", path, "-j", "1")
    for task in ("world/facts", "world/sums"):
        before, after = chosen(tmp_path / "few" / "out", task), chosen(tmp_path / "many" / "out", task)
        assert before.keys() >= after.keys()
        for name, rows in after.items():
            assert set(rows) <= set(before[name])
            assert size or sorted(rows) == sorted(before[name])


def test_inverted_templates_get_their_share(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows.jsonl", [{"q": f"question {n}", "a": f"answer {n}"} for n in range(200)])
    folder = tmp_path / "templates" / "own"
    for number in range(3):
        template(folder, f"ask{number}", f"{number}: {{{{ q }}}}\n|||\n{{{{ a }}}}")
    template(folder, "turned", "Ask for: {{ a }}\n|||\n{{ q }}", kind="inverted")
    task = {"dataset": "own", "cluster": "c", "source": {"kind": "files", "path": "rows.jsonl"}}
    mixture = {"size": 300, "inverted": 0.2}
    path = recipe(tmp_path, [task], template_sources=["templates"], mixture=mixture)
    assert plan_of(path, "--no-sample")["tasks"][0]["quotas"] == {
        "ask0": 80,
        "ask1": 80,
        "ask2": 80,
        "turned": 60,
    }
    succeed("build", path, "-j", "1")
    assert Counter(one["template"] for one in examples(tmp_path / "out").values())["turned"] == 60


def test_every_recipe_of_the_guide_to_mixtures_loads() -> None:
    text = (ROOT / "docs" / "mixtures.md").read_text("utf-8")
    sections = [yaml.safe_load(part.split("```")[0]) for part in text.split("```yaml\n")[1:]]
    from instructify.recipe.mixture import Mixture

    assert len(sections) >= 6
    for section in sections:
        Mixture.model_validate(section["mixture"])


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the datasets of the shared folder")
@pytest.mark.parametrize("name", ["t0-mini", "flan2022-mini", "cot"])
def test_the_recipes_for_public_data_build_what_they_plan(tmp_path: Path, name: str) -> None:
    path = ROOT / "recipes" / f"{name}.yaml"
    planned = json.loads(succeed("plan", path, "--data-root", DATA, "--no-sample", "--json"))
    succeed("build", path, "--data-root", DATA, "-o", tmp_path / "out", "--quiet")
    kept: Counter[str] = Counter()
    for (task, _), ledger in ledgers(tmp_path / "out").items():
        kept[task] += ledger["kept"]
    assert {task["task"]: task["examples"] for task in planned["tasks"]} == kept
    assert len(kept) == len(planned["tasks"]) >= 6


def test_a_name_of_the_recipe_that_leads_nowhere_is_told_on_its_line(tmp_path: Path) -> None:
    groups = [{"name": "all", "tasks": ["world/factz"]}]
    fields = {"held_out": ["ncl"], "mixture": {"groups": groups}}
    path = recipe(tmp_path, [world("facts", 10), world("entail3", 10)], **fields)
    said = fail("plan", path)
    assert said[0].startswith("mixture.yaml:7: held_out: no task is in the cluster 'ncl'; expected one of ")
    assert said[1].startswith("mixture.yaml:12: mixture: no task is called 'world/factz'")
    (said,) = fail("plan", recipe(tmp_path, [world("facts", 10)], template_sources=["builtin", "tt"]))
    assert said.startswith("mixture.yaml:6: no template folder 'tt'")
