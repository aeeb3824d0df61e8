"""Evaluation end to end: scores of base and trained models, baselines, resuming, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import build_kit
import tiny_seq2seq
from instructify.errors import InstructifyError
from instructify.evaluate import (
    BASE,
    Candidate,
    Job,
    evaluate,
    finished,
    of_adapter,
    read_held_out,
    score_schema,
)
from instructify.evaluate.facts import headline as main_metric
from instructify.evaluate.heldout import HeldOut, _few_shot
from instructify.evaluate.scores import SCORE_COLUMNS
from instructify.evaluate.task import _written, headline
from instructify.evaluate.tokens import Prompt
from instructify.recipe.load import load_recipe
from instructify.recipe.models import Recipe
from instructify.recipe.training import Evaluate, ModelSection
from instructify.report import write_report
from instructify.seen import Seen
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
            "identity": "",
            "finetune": {"steps": 3},
            "evaluate": {"batch_size": 16},
            "model": {
                "name": str(tiny_model),
                "revision": None,
                "dtype": "float32",
                "model_hash": base.model_hash,
                "tokenizer_hash": base.tokenizer_hash,
            },
            "data": {"content_hash": held_out.content_hash},
            "parameters": {"trainable": 1, "all": 2},
            "steps": 3,
        }
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return run


def edit(run: Path, seed: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what run.json of a seed says."""
    path = run / "finetune" / f"seed-{seed}" / "run.json"
    record = json.loads(path.read_text("utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


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
    return folder, evaluate(job(folder, held_out, tiny_model, *finished(trained, None)[0]), Still())


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


def test_a_build_may_lie_in_a_folder_whose_name_is_not_utf_8(tmp_path, held_out, tiny_model):
    odd = replace(held_out, path=Path(os.fsdecode(b"/builds/\xc7\xd1")), tasks=held_out.tasks[:1])
    document = evaluate(job(tmp_path, odd, tiny_model), Still())
    assert json.loads((tmp_path / "evaluation.json").read_bytes()) == document


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


def test_what_guessing_gets_right_stands_beside_accuracies_alone(held_out, tiny_model, tmp_path):
    few = read_held_out(held_out.path, limit=8)
    (task,) = few.tasks
    written = {"answer_choices": None, "label": None}
    examples = [
        {**one, **(written if n else {}), "id": f"{n} {one['id']}", "template": f"{n}"}
        for one in task.examples[:2]
        for n in range(3)
    ]
    odd = replace(task, examples=tuple(examples), metrics=dict.fromkeys("012", ("Other",)))
    document = evaluate(
        job(tmp_path / "e", replace(few, tasks=(odd,)), tiny_model, max_new_tokens=2), Still()
    )
    (facts,) = document["tasks"]
    assert (facts["headline"], facts["ranked"], facts["others"]) == ("exact_match", 2, 1)
    assert facts["random"] is facts["majority"] is facts["results"][0]["prior"] is None


def test_a_training_run_that_is_not_finished_is_named_and_not_scored(trained):
    found, notes = finished(trained, None)
    assert [(one.label, one.seed) for one in found] == [("tuned", 0), ("tuned", 1)]
    assert notes == ["seed-2 is not finished and is not scored"]


def recipe(tmp_path: Path, model: Path, **section: object) -> Recipe:
    fields = {"model": {"name": str(model)}, "finetune": {"steps": 3, **section}}
    return load_recipe(build_kit.recipe(tmp_path, [build_kit.world("reviews")], **fields)).recipe


def test_only_the_recipes_seeds_are_scored_and_what_is_left_out_is_said(trained, tiny_model, tmp_path):
    found, notes = finished(trained, recipe(tmp_path, tiny_model, seeds=[1, 2, 5]))
    assert [one.seed for one in found] == [1]
    assert notes == [
        "seed-0 is not one of the recipe's seeds and is not scored",
        "seed-2 is not finished and is not scored",
        "seed-5 is not trained",
    ]
    run = shutil.copytree(trained, tmp_path / "run")
    for seed in (0, 1):
        edit(run, seed, lambda record: record["finetune"].update(seeds=[1, 2]))
    assert [one.seed for one in finished(run, None)[0]] == [1]


def test_training_runs_with_other_settings_are_refused_and_the_settings_named(trained, tiny_model, tmp_path):
    with pytest.raises(InstructifyError) as caught:
        finished(trained, recipe(tmp_path, tiny_model, r=4, learning_rate=0.5, log_every=3))
    assert [problem.where for problem in caught.value.problems] == [
        str(trained / "finetune" / f"seed-{seed}") for seed in (0, 1)
    ]
    ours, theirs = "r 16, learning_rate 0.001", "r 4, learning_rate 0.5"
    assert {problem.what for problem in caught.value.problems} == {
        f"was trained with {ours}; the recipe says {theirs}"
    }
    run = shutil.copytree(trained, tmp_path / "run")
    edit(run, 1, lambda record: record["model"].update(dtype="bfloat16"))
    with pytest.raises(InstructifyError) as caught:
        finished(run, None)
    (problem,) = caught.value.problems
    assert problem.what == 'was trained with dtype "bfloat16"; seed-0 with dtype "float32"'
    (run / "finetune" / "seed-0").rename(run / "finetune" / "seed-7")
    edit(run, 1, lambda record: record["model"].update(dtype="float32"))
    with pytest.raises(InstructifyError, match="seed-7: holds a training run of seed 0"):
        finished(run, None)


def test_a_control_differs_in_its_targets_alone_and_may_have_any_seed(trained, tiny_model, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    edit(run, 0, lambda record: record["finetune"].update(shuffle_targets=True, seeds=[0]))
    found, notes = finished(run, recipe(tmp_path, tiny_model, seeds=[1]))
    assert [(one.label, one.seed) for one in found] == [("tuned", 1), ("shuffled", 0)]
    assert notes == ["seed-2 is not finished and is not scored"]
    edit(run, 0, lambda record: record["finetune"].update(r=4))
    with pytest.raises(InstructifyError, match="seed-0: was trained with r 4; the recipe says r 16"):
        finished(run, recipe(tmp_path, tiny_model, seeds=[1]))


def test_prompts_that_end_otherwise_than_in_training_are_noted(trained, small_build, tiny_model, tmp_path):
    few = read_held_out(small_build, limit=4)
    found, _ = finished(trained, None)
    asked = job(tmp_path / "e", few, tiny_model, *found, encoder_eos=False, max_new_tokens=2)
    document = evaluate(replace(asked, notes=("a note",)), Still())
    assert document["notes"] == [
        "a note",
        "tuned, seed 0: prompts ended with an end-of-sequence token in training and end with none here",
        "tuned, seed 1: prompts ended with an end-of-sequence token in training and end with none here",
    ]


def test_the_scores_over_seeds_are_those_of_the_report(scored, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    shutil.copytree(scored[0], run / "evaluation")
    (finding,) = write_report(run).findings.datasets
    (task,) = scored[1]["tasks"]
    base, tuned = task["over_seeds"]
    assert base == {"model": "base", **asdict(finding.change.before)}
    assert tuned == {"model": "tuned", **asdict(finding.change.after)}
    single = [result["median"] for result in task["results"] if result["model"] == "tuned"]
    assert len(single) == 2


def test_each_variant_of_a_task_is_scored_by_itself_and_zero_shot_is_said_of_those_without_exemplars(
    held_out, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "instructify.evaluate.facts.seen_by", lambda *_: Seen("unseen", "zero-shot", "a note")
    )
    few = read_held_out(held_out.path, limit=12)
    (task,) = few.tasks
    examples = tuple({**one, "variant": ("few", "plain")[n % 2]} for n, one in enumerate(task.examples))
    both = replace(few, tasks=(replace(task, examples=examples, few_shot=frozenset({"few"})),))
    shots, plain = evaluate(job(tmp_path / "e", both, tiny_model, max_new_tokens=2), Still())["tasks"]
    assert (shots["title"], plain["title"]) == (f"{task.name}, variant few", f"{task.name}, variant plain")
    assert (shots["variant"], shots["examples"], shots["seen"]["word"]) == ("few", 6, "few-shot")
    assert (plain["variant"], plain["examples"], plain["seen"]["word"]) == ("plain", 6, "zero-shot")
    one = replace(few, tasks=(replace(both.tasks[0], examples=examples[::2]),))
    (alone,) = evaluate(job(tmp_path / "one", one, tiny_model, max_new_tokens=2), Still())["tasks"]
    assert (alone["title"], alone["seen"]["word"]) == (task.name, "few-shot")


def test_a_recipes_variants_with_exemplars_are_known():
    made = [("plain", 0), ("one", 1), ("some", [0, 3]), ("none", [0, 0])]
    assert list(_few_shot([{"name": name, "shots": shots} for name, shots in made])) == ["one", "some"]


def test_an_adapter_of_unknown_training_is_unproven_and_a_note_says_so(
    trained, small_build, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "instructify.evaluate.facts.seen_by", lambda *_: Seen("unseen", "zero-shot", "a note")
    )
    copied = shutil.copytree(trained / "finetune" / "seed-0" / "adapter", tmp_path / "copied")
    few = read_held_out(small_build, limit=4)
    for adapter, word in ((copied, "unproven"), (trained / "finetune" / "seed-0" / "adapter", "zero-shot")):
        asked = job(tmp_path / word, few, tiny_model, of_adapter(adapter), max_new_tokens=2)
        document = evaluate(asked, Still())
        assert document["tasks"][0]["seen"]["word"] == word
        assert any("how it was trained is not known" in note for note in document["notes"]) == (
            adapter == copied
        )


def test_what_is_scored_already_is_not_scored_again(
    scored, trained, held_out, tiny_model, tmp_path, monkeypatch
):
    folder = shutil.copytree(scored[0], tmp_path / "evaluation")
    monkeypatch.setattr("instructify.evaluate.run.score_task", None)  # calling it would fail
    watcher = Still()
    again = evaluate(job(folder, held_out, tiny_model, *finished(trained, None)[0]), watcher)
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
evaluate(job(folder, read_held_out(build), model, *finished(run, None)[0]), Killer())
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
    (folder / "work" / "tmp").mkdir(exist_ok=True)
    (folder / "work" / "tmp" / "half").touch()
    evaluate(job(folder, held_out, tiny_model, *finished(trained, None)[0]), Still())
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list((folder / "work").rglob("half"))
    assert rows(folder) == rows(scored[0])


def test_a_model_trained_on_another_build_or_base_is_refused(trained, held_out, tiny_model, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    for seed, part, key in ((0, "data", "content_hash"), (1, "model", "model_hash")):
        edit(run, seed, lambda record, part=part, key=key: record[part].update({key: "0" * 64}))
    edit(run, 2, lambda record: record.update(complete=True, adapter_hash="0" * 64))
    with pytest.raises(InstructifyError) as caught:
        evaluate(job(tmp_path / "a", held_out, tiny_model, *finished(run, None)[0]), Still())
    assert [problem.what for problem in caught.value.problems] == [
        "was trained on another build",
        f"was trained from another base than {tiny_model}",
        "is not what the training left, which run.json has the hash of",
    ]


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
        ({}, ("Mean Reciprocal Rank", "Squad"), "token_f1"),
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
    rows = [{"template": name, "primary": metric} for name, metric in made]
    assert main_metric(rows) == "accuracy"
    even = [{"template": "d", "primary": "rouge_l"}, {"template": "e", "primary": "rouge_l"}]
    assert main_metric([*rows, *even]) == "rouge_l"


def test_the_command_scores_a_recipe_and_prints_table_notes_and_json(
    small_build, tiny_model, trained, tmp_path
):
    recipe = build_kit.recipe(
        tmp_path,
        [build_kit.world("reviews")],
        model={"name": str(tiny_model)},
        finetune={"steps": 3},
        evaluate={"max_new_tokens": 4},
        run={"dir": str(tmp_path / "run")},
    )
    shutil.copytree(trained / "finetune", tmp_path / "run" / "finetune")
    every = len(read_held_out(small_build).tasks[0].examples)
    ask = ("evaluate", recipe, "--build", small_build, "--threads", 1)
    told = build_kit.cli(*map(str, ask))
    assert told.returncode == 0, told.stderr
    assert "world/entail3" in told.stdout
    assert "note: seed-2 is not finished and is not scored" in told.stdout
    assert "note: the build is of a recipe with other held_out, mixture, output, seed, tasks" in told.stdout
    assert f"next: instructify report {tmp_path / 'run'}" in told.stdout
    assert "nothing shows that this is zero-shot" in told.stdout
    assert f"tuned, seed 1: {every:,} of {every:,} examples" in told.stderr
    folder = tmp_path / "run" / "evaluation"
    assert len(rows(folder)) == 3 * every
    ask = ("evaluate", tmp_path / "run", "--build", small_build, "--limit", 5, "--model", tiny_model)
    document = json.loads(build_kit.succeed(*map(str, ask), "--out", tmp_path / "other", "--json"))
    assert [model["model"] for model in document["models"]] == ["base"]
    assert document["settings"]["batch_size"] == 16  # what the training runs recorded
    assert len(rows(tmp_path / "other")) == 5
    recipe.write_text(recipe.read_text("utf-8").replace("steps: 3", "steps: 4"), encoding="utf-8")
    problems = build_kit.fail("evaluate", recipe, "--build", small_build)
    said = "was trained with steps 3; the recipe says steps 4; expected instructify finetune --restart"
    assert [problem.split(": ")[1].partition(", or")[0] for problem in problems] == [said] * 2
    assert len(rows(folder)) == 3 * every


def test_the_command_refuses_what_it_cannot_score(small_build, tmp_path):
    recipe = build_kit.recipe(tmp_path, [build_kit.world("reviews")], model={"name": "./nowhere"})
    assert build_kit.fail("evaluate", recipe, "--build", small_build) == [
        f"{tmp_path}/nowhere: there is no such model folder"
    ]
    for option in (
        ("--task", "world/entail3"),
        ("--limit", "5"),
        ("--model", "tiny"),
        ("--adapter", "adapter"),
    ):
        done = build_kit.cli("evaluate", recipe, "--build", small_build, *option)
        assert done.returncode == 2 and "name one with --out" in done.stderr


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
