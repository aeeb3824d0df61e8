"""Evaluation end to end: scores of base and trained models, baselines, resuming, and what is refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import build_kit
import tiny_seq2seq
from instructify.errors import InstructifyError
from instructify.evaluate import BASE, Candidate, Job, evaluate, finished, read_held_out, score_schema
from instructify.evaluate.facts import headline as main_metric
from instructify.evaluate.heldout import HeldOut
from instructify.evaluate.scores import SCORE_COLUMNS
from instructify.evaluate.task import _written, headline
from instructify.evaluate.tokens import Prompt
from instructify.recipe.training import Evaluate, ModelSection
from instructify.seq2seq import Seq2Seq, load_seq2seq


class Still:
    """Watches an evaluation and counts."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int]] = []
        self.done = 0

    def phase(self, name: str, total: int, unit: str) -> None:
        self.phases.append((name, total))

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        self.done += amount


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_seq2seq.save(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def held_out(small_build: Path) -> HeldOut:
    return read_held_out(small_build)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, held_out: HeldOut) -> Path:
    """Return a run folder with two finished training runs and one that is not."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    run = tmp_path_factory.mktemp("run")
    for seed in (0, 1, 2):
        folder = run / "finetune" / f"seed-{seed}"
        base = load_seq2seq(ModelSection(name=str(tiny_model)), run)
        torch.manual_seed(seed)
        lora = LoraConfig(
            task_type=TaskType.SEQ_2_SEQ_LM, r=2, target_modules=["q", "v"], init_lora_weights=False
        )
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft 0.21, transformers 5
            get_peft_model(base.model, lora).save_pretrained(str(folder / "adapter"))
        record = {
            "seed": seed,
            "complete": seed < 2,
            "finetune": {"shuffle_targets": False},
            "evaluate": {"batch_size": 16},
            "model": {"name": str(tiny_model), "model_hash": base.model_hash},
            "data": {"content_hash": held_out.content_hash},
        }
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return run


def job(folder: Path, held_out: HeldOut, model: Path, *candidates: Candidate, **settings: object) -> Job:
    return Job(
        folder, held_out, ModelSection(name=str(model)), folder, (BASE, *candidates), Evaluate(**settings)
    )


def rows(folder: Path) -> list[dict[str, object]]:
    return pq.read_table(folder / "scores.parquet").to_pylist()


@pytest.fixture(scope="session")
def scored(
    tmp_path_factory: pytest.TempPathFactory, trained: Path, held_out: HeldOut, tiny_model: Path
) -> tuple[Path, dict[str, object]]:
    """Return the folder of an unbroken evaluation of base and two seeds, and what it says."""
    folder = tmp_path_factory.mktemp("scored") / "evaluation"
    return folder, evaluate(job(folder, held_out, tiny_model, *finished(trained)[0]), Still())


def test_every_example_is_scored_once_by_every_model(scored, small_build):
    folder, _ = scored
    table = pq.read_table(folder / "scores.parquet")
    assert table.schema.equals(score_schema())
    assert table.column_names == list(SCORE_COLUMNS)
    examples = build_kit.examples(small_build, "eval")
    found = table.to_pylist()
    assert [(row["model"], row["seed"]) for row in found] == [
        who for who in [("base", None), ("tuned", 0), ("tuned", 1)] for _ in examples
    ]
    for row in found:
        example = examples[row["example_id"]]
        assert row["target"] == example["targets"]
        assert (row["task"], row["template"], row["document"]) == (
            example["task"],
            example["template"],
            example["row"],
        )
    assert len({(row["example_id"], row["model"], row["seed"]) for row in found}) == len(found)


def test_ranked_rows_hold_every_log_likelihood_and_the_likeliest_is_predicted(scored):
    ranked = [row for row in rows(scored[0]) if row["kind"] == "rank"]
    assert len(ranked) > 500
    for row in ranked:
        assert len(row["loglikelihoods"]) == len(row["prior_loglikelihoods"]) == len(row["choices"])
        assert row["predicted"] == max(
            range(len(row["choices"])), key=lambda n: (row["loglikelihoods"][n], -n)
        )
        assert row["choices"][row["label"]] == row["target"]
        assert row["metrics"] == [{"name": "accuracy", "value": float(row["predicted"] == row["label"])}]
        assert (row["primary"], row["prediction"], row["truncated"]) == ("accuracy", None, False)
    assert len({row["predicted"] for row in ranked}) == 3


def test_written_rows_hold_the_text_and_its_metrics(scored):
    written = [row for row in rows(scored[0]) if row["kind"] == "generate"]
    assert written
    for row in written:
        names = [pair["name"] for pair in row["metrics"]]
        assert sorted(names) == ["exact_match", "rouge_l", "token_f1"]
        assert row["primary"] in names
        assert row["prediction"] is not None
        assert row["loglikelihoods"] is row["label"] is row["choices"] is None


def test_the_choice_prior_depends_on_the_choices_alone_and_matches_a_slow_scorer(scored, tiny_model):
    prior = {}
    for row in rows(scored[0]):
        if row["kind"] == "rank" and row["model"] == "base":
            for choice, value in zip(row["choices"], row["prior_loglikelihoods"], strict=True):
                assert prior.setdefault(choice, value) == value
    assert len(prior) > 6
    model = load_seq2seq(ModelSection(name=str(tiny_model)), tiny_model)
    for choice, value in list(prior.items())[:3]:
        ids = [*model.tokenizer(choice, add_special_tokens=False)["input_ids"], model.tokenizer.eos_token_id]
        alone = tiny_seq2seq.slow_loglikelihood(model, [model.tokenizer.eos_token_id], ids)
        assert abs(alone - value) < 1e-3


def test_training_runs_are_other_models_than_the_base(scored):
    by_model: dict[object, list[object]] = {}
    for row in rows(scored[0]):
        by_model.setdefault((row["model"], row["seed"]), []).append(row["loglikelihoods"])
    assert len(by_model) == 3
    base, *others = by_model.values()
    assert all(other != base for other in others)
    assert others[0] != others[1]


def test_the_document_says_what_was_scored_how_and_with_which_baselines(scored, held_out):
    folder, document = scored
    assert json.loads((folder / "evaluation.json").read_text("utf-8")) == document
    assert document["build"]["content_hash"] == held_out.content_hash
    assert document["settings"]["score_eos"] is True
    assert [(m["model"], m["seed"]) for m in document["models"]] == [
        ("base", None),
        ("tuned", 0),
        ("tuned", 1),
    ]
    assert len({m["adapter_hash"] for m in document["models"]}) == 3
    (task,) = document["tasks"]
    assert (task["task"], task["headline"]) == ("world/entail3", "accuracy")
    assert task["random"] == pytest.approx(1 / 3)
    assert task["majority"] > 1 / 3
    assert task["ranked"] + task["generated"] == task["examples"] == len(held_out.tasks[0].examples)
    assert (task["seen"]["status"], task["seen"]["word"]) == ("unknown", "unproven")
    assert [result["model"] for result in task["results"]] == ["base", "tuned", "tuned"]
    for result in task["results"]:
        assert 0 <= result["low"] <= result["median"] <= result["high"] <= 1


def test_choices_of_the_same_tokens_tie_and_are_counted(held_out, tiny_model, tmp_path):
    task = held_out.tasks[0]
    made = {
        "answer_choices": ["no", " no", "yes"],
        "label": 1,
        "targets": " no",
        "inputs": "a mill?",
        "answer_start": None,
        "answer_end": None,
        "template": task.examples[0]["template"],
        "variant": "zero_shot",
    }
    examples = tuple({**made, "id": f"{n}", "row": n, "inputs": "a mill? " * n} for n in range(1, 9))
    odd = replace(held_out, tasks=(replace(task, examples=examples),))
    document = evaluate(job(tmp_path / "e", odd, tiny_model), Still())
    assert document["tasks"][0]["colliding"] == 8
    for row in rows(tmp_path / "e"):
        assert row["loglikelihoods"][0] == row["loglikelihoods"][1] != row["loglikelihoods"][2]
        assert row["prior_loglikelihoods"][0] == row["prior_loglikelihoods"][1]
        assert row["predicted"] != 1


def test_a_training_run_that_is_not_finished_is_named_and_not_scored(trained):
    found, notes = finished(trained)
    assert [(one.label, one.seed) for one in found] == [("tuned", 0), ("tuned", 1)]
    assert notes == ["seed-2 is not finished and is not scored"]


def test_what_is_scored_already_is_not_scored_again(
    scored, trained, held_out, tiny_model, tmp_path, monkeypatch
):
    folder = shutil.copytree(scored[0], tmp_path / "evaluation")
    monkeypatch.setattr("instructify.evaluate.run.score_task", None)  # calling it would fail
    watcher = Still()
    again = evaluate(job(folder, held_out, tiny_model, *finished(trained)[0]), watcher)
    assert again == scored[1]
    assert watcher.done == sum(total for _, total in watcher.phases) > 0


def test_other_settings_are_scored_anew(scored, held_out, tiny_model, tmp_path):
    folder = shutil.copytree(scored[0], tmp_path / "evaluation")
    evaluate(job(folder, held_out, tiny_model, score_eos=False), Still())
    old, new = ({row["example_id"]: row for row in rows(one)} for one in (scored[0], folder))
    assert all(new[key]["loglikelihoods"] != old[key]["loglikelihoods"] for key in new if new[key]["choices"])


KILL = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
from test_evaluate import *
class Killer(Still):
    def advance(self, amount, kept=0, dropped=0):
        super().advance(amount)
        if self.done > {after}:
            os.kill(os.getpid(), signal.SIGKILL)
run, folder, build, model = map(Path, sys.argv[1:])
evaluate(job(folder, read_held_out(build), model, *finished(run)[0]), Killer())
"""


def test_an_evaluation_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    scored, trained, held_out, tiny_model, tmp_path, small_build
):
    folder = tmp_path / "evaluation"
    once = len(held_out.tasks[0].examples)
    script = KILL.format(tests=str(Path(__file__).parent), after=once + 50)
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, (trained, folder, small_build, tiny_model))],
        env=build_kit.environment(OMP_NUM_THREADS="1"),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (folder / "scores.parquet").exists()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "work" / "parts").iterdir()}
    assert len(kept) == 1  # the base was done, the first seed was not
    evaluate(job(folder, held_out, tiny_model, *finished(trained)[0]), Still())
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert rows(folder) == rows(scored[0])


def test_a_model_trained_on_another_build_or_base_is_refused(trained, held_out, tiny_model, tmp_path):
    adapter = trained / "finetune" / "seed-0" / "adapter"
    other_build = Candidate("tuned", 0, adapter, content_hash="0" * 64)
    with pytest.raises(InstructifyError, match="was trained on another build"):
        evaluate(job(tmp_path / "a", held_out, tiny_model, other_build), Still())
    other_base = Candidate("tuned", 0, adapter, base_hash="0" * 64)
    with pytest.raises(InstructifyError, match="was trained from another base"):
        evaluate(job(tmp_path / "b", held_out, tiny_model, other_base), Still())


def test_a_prompt_that_is_too_long_ends_the_evaluation_and_names_the_task(held_out, tiny_model, tmp_path):
    with pytest.raises(InstructifyError, match=r"task world/entail3: .* prompts are too long"):
        evaluate(job(tmp_path / "e", held_out, tiny_model, max_input_tokens=20), Still())
    assert not (tmp_path / "e" / "evaluation.json").exists()


def test_cut_prompts_are_marked_and_counted(small_build, tiny_model, tmp_path):
    few = read_held_out(small_build, limit=12)
    asked = job(tmp_path / "e", few, tiny_model, max_input_tokens=20, truncate="left", max_new_tokens=2)
    document = evaluate(asked, Still())
    cut = [row["truncated"] for row in rows(tmp_path / "e")]
    assert document["tasks"][0]["truncated"] == sum(cut) == len(cut) == 12


def test_a_limit_takes_the_same_documents_every_time_and_keeps_their_templates_together(
    small_build, held_out
):
    (task,) = read_held_out(small_build, limit=60).tasks
    assert len(task.examples) == 60
    assert task == read_held_out(small_build, limit=60).tasks[0]
    documents = [example["row"] for example in task.examples]
    whole = [example["row"] for example in held_out.tasks[0].examples]
    split = [row for row in set(documents) if documents.count(row) < whole.count(row)]
    assert len(split) <= 1
    assert read_held_out(small_build, limit=10**6) == held_out


def test_a_build_whose_examples_were_changed_is_refused(small_build, tmp_path):
    build = shutil.copytree(small_build, tmp_path / "build")
    (path,) = (build / "parquet").glob("eval-*")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InstructifyError, match=r"eval-.*: the file is not the one that was published"):
        read_held_out(build)


def test_a_task_that_is_not_held_out_is_named_with_the_nearest(small_build):
    with pytest.raises(
        InstructifyError, match=r"no held-out task 'world/entail'.*did you mean 'world/entail3'"
    ):
        read_held_out(small_build, ["world/entail"])


def example(**changes: object) -> dict[str, object]:
    return {"answer_choices": None, "label": None, "targets": "so it is 4", "answer_start": None, **changes}


@pytest.mark.parametrize(
    ("changes", "declared", "expected"),
    [
        ({}, (), "exact_match"),
        ({}, ("ROUGE",), "rouge_l"),
        ({}, ("BLEU",), "rouge_l"),
        ({}, ("Squad",), "token_f1"),
        ({}, ("accuracy", "token_f1"), "token_f1"),
        ({}, ("Other",), "exact_match"),
        ({"answer_start": 9}, ("exact_match",), "cot_answer_accuracy"),
        ({"answer_choices": ["so it is 4", "no"], "label": 0}, ("exact_match",), "accuracy"),
        ({"answer_choices": ["4", "5"], "label": 0, "answer_start": 9}, ("accuracy",), "cot_answer_accuracy"),
    ],
)
def test_the_main_metric_follows_from_the_example_and_what_its_template_declares(changes, declared, expected):
    assert headline(example(**changes), declared) == expected


@pytest.mark.parametrize(
    ("prediction", "right"),
    [("First 2, then 4. The answer is 4.", 1.0), ("The answer is 5.", 0.0), ("4", 1.0), ("", 0.0)],
)
def test_a_chain_of_thought_is_right_where_it_comes_to_the_answer(prediction, right):
    target = "2 and 2 make four. The answer is 4."
    reasoned = example(targets=target, answer_start=33, answer_end=34)
    scored = _written(reasoned, Prompt((1,), False), prediction, headline(reasoned, ()))
    values = {pair["name"]: pair["value"] for pair in scored["metrics"]}
    assert values["cot_answer_accuracy"] == right
    assert values["exact_match"] == 0.0
    assert scored["primary"] == "cot_answer_accuracy"


def test_the_headline_of_a_task_is_that_of_most_templates():
    made = [("a", "accuracy"), ("b", "accuracy"), ("c", "rouge_l"), ("c", "rouge_l"), ("c", "rouge_l")]
    assert main_metric([{"template": name, "primary": metric} for name, metric in made]) == "accuracy"


def test_the_command_scores_a_recipe_and_prints_table_notes_and_json(
    small_build, tiny_model, trained, tmp_path
):
    recipe = build_kit.recipe(
        tmp_path,
        [build_kit.world("reviews")],
        model={"name": str(tiny_model)},
        evaluate={"max_new_tokens": 4},
        run={"dir": str(tmp_path / "run")},
    )
    shutil.copytree(trained / "finetune", tmp_path / "run" / "finetune")
    ask = ("evaluate", recipe, "--build", small_build, "--limit", 30, "--threads", 1)
    told = build_kit.cli(*map(str, ask))
    assert told.returncode == 0, told.stderr
    assert "world/entail3" in told.stdout
    assert "note: seed-2 is not finished and is not scored" in told.stdout
    assert "nothing shows that this is zero-shot" in told.stdout
    assert "tuned, seed 1: 30 of 30 examples" in told.stderr
    folder = tmp_path / "run" / "evaluation"
    assert len(rows(folder)) == 90
    ask = ("evaluate", tmp_path / "run", "--build", small_build, "--limit", 5, "--model", tiny_model)
    document = json.loads(build_kit.succeed(*map(str, ask), "--out", tmp_path / "other", "--json"))
    assert [model["model"] for model in document["models"]] == ["base"]
    assert document["settings"]["batch_size"] == 16  # what the training runs recorded
    assert len(rows(tmp_path / "other")) == 5


def test_the_command_refuses_what_it_cannot_score(small_build, tmp_path):
    recipe = build_kit.recipe(tmp_path, [build_kit.world("reviews")], model={"name": "./nowhere"})
    assert build_kit.fail("evaluate", recipe, "--build", small_build) == [
        f"{tmp_path}/nowhere: there is no such model folder"
    ]


def test_the_guide_names_every_column_and_every_setting():
    guide = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text("utf-8")
    assert len(SCORE_COLUMNS) == 22
    assert [name for name in (*SCORE_COLUMNS, *Evaluate.model_fields) if f"`{name}`" not in guide] == []


def test_a_whole_model_takes_the_place_of_an_adapter(held_out, tiny_model, tmp_path, small_build):
    few = read_held_out(small_build, limit=8)
    document = evaluate(job(tmp_path / "e", few, tiny_model, Candidate("tuned", 5, tiny_model)), Still())
    first, second = rows(tmp_path / "e")[:8], rows(tmp_path / "e")[8:]
    assert [row["loglikelihoods"] for row in first] == [row["loglikelihoods"] for row in second]
    assert document["tasks"][0]["results"][1]["seed"] == 5
    assert isinstance(load_seq2seq(ModelSection(name=str(tiny_model)), tmp_path), Seq2Seq)
