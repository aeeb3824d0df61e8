"""Tasks for lm-evaluation-harness say just what was scored, and its logged samples are compared with ours.

The samples in lm_eval_samples/ were logged by lm_eval 0.4.13 (transformers 5.23.0, torch 2.13.0, CPU) on an
export of the offline world, with a random T5 and the vocabulary of T5; a few documents and keys of them.
"""

from __future__ import annotations

import doctest
import json
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import build_kit
import tiny_seq2seq
from instructify.errors import InstructifyError
from instructify.evaluate import read_held_out, score_schema
from instructify.export import lm_eval
from instructify.export.compare import TOLERANCE, compare
from instructify.export.lm_eval import export_lm_eval, harness_name

SAMPLES = Path(__file__).with_name("lm_eval_samples")
EXAM, JOKE = "instructify_world_entail2__exam_acccb7", "instructify_world_senses__joke_a21340"


@pytest.fixture(scope="module")
def exported(small_build, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "tasks"
    made, left_out = export_lm_eval(read_held_out(small_build), out, "</s>")
    return out, made, left_out


def documents(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_ranked_example_is_a_document_and_the_others_are_counted(exported, small_build):
    out, made, left_out = exported
    examples = build_kit.examples(small_build, "eval")
    found = {d["example_id"]: d for one in made for d in documents(out / f"{one.name}.jsonl")}
    ranked = {key for key, e in examples.items() if e["answer_choices"] is not None}
    assert found.keys() == ranked
    assert left_out == len(examples) - len(ranked) > 0
    assert sum(one.documents for one in made) == len(ranked) > 200
    for key, document in found.items():
        example = examples[key]
        assert document["input"] == example["inputs"]
        assert document["choices"] == [choice + "</s>" for choice in example["answer_choices"]]
        assert type(document["label"]) is int
        assert document["choices"][document["label"]] == example["targets"] + "</s>"
        assert (document["task"], document["document"]) == (example["task"], example["row"])


def test_every_task_has_a_file_that_names_columns_and_renders_nothing(exported):
    out, made, _ = exported
    assert len(made) == 8
    for one in made:
        task = yaml.safe_load((out / f"{one.name}.yaml").read_text("utf-8"))
        assert task["task"] == one.name
        assert task["dataset_kwargs"]["data_files"] == {"test": f"{one.name}.jsonl"}
        columns = (task["doc_to_text"], task["doc_to_choice"], task["doc_to_target"])
        assert columns == ("input", "choices", "label")
        assert (task["target_delimiter"], task["num_fewshot"]) == ("", 0)
        assert (task["output_type"], task["test_split"]) == ("multiple_choice", "test")
        assert [metric["metric"] for metric in task["metric_list"]] == ["acc"]
    names = {f"{one.name}{suffix}" for one in made for suffix in (".yaml", ".jsonl")}
    assert {path.name for path in out.iterdir()} == names | {"README.md", "run.py"}
    assert all(one.name in (out / "README.md").read_text("utf-8") for one in made)


def test_without_the_end_of_sequence_the_choices_are_as_they_stand(small_build, tmp_path):
    made, _ = export_lm_eval(read_held_out(small_build, limit=20), tmp_path / "out", None)
    choices = [
        c for one in made for d in documents(tmp_path / "out" / f"{one.name}.jsonl") for c in d["choices"]
    ]
    assert choices
    assert not any("</s>" in choice for choice in choices)


def test_a_folder_with_something_in_it_is_left_alone(small_build, tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(InstructifyError, match="the folder is not empty"):
        export_lm_eval(read_held_out(small_build, limit=5), tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_different_templates_have_different_names_that_a_file_system_bears():
    parts = ["a/b", "a_b", "A b", "a b", "한국어", "日本語", "x" * 200, "x" * 201, "a__b"]
    names = {harness_name(task, template) for task in parts for template in parts}
    assert len(names) == len(parts) ** 2
    assert all(name.isascii() and len(name) < 200 and name.startswith("instructify_") for name in names)
    assert harness_name("a", "b", "few_shot") != harness_name("a", "b")
    assert doctest.testmod(lm_eval).attempted == 2
    assert not doctest.testmod(lm_eval).failed


def test_the_launcher_keeps_an_output_head_that_the_harness_would_overwrite(exported, tmp_path, monkeypatch):
    from transformers import AutoModelForSeq2SeqLM, PreTrainedModel

    folder = tiny_seq2seq.save(tmp_path / "model")

    def head_is_embedding():
        model = AutoModelForSeq2SeqLM.from_pretrained(folder)
        model.tie_weights()  # as the harness does
        return model.lm_head.weight is model.shared.weight

    found = []
    harness = SimpleNamespace(cli_evaluate=lambda: found.append(head_is_embedding()))
    monkeypatch.setitem(sys.modules, "lm_eval", SimpleNamespace(__main__=harness))
    monkeypatch.setitem(sys.modules, "lm_eval.__main__", harness)
    monkeypatch.setattr(PreTrainedModel, "tie_weights", PreTrainedModel.tie_weights)  # put back at the end
    assert head_is_embedding()
    runpy.run_path(str(exported[0] / "run.py"))
    assert found == [False]


def ours(folder, **changes):
    """Write scores of ours that agree with the samples to 0.0001, but for changes by example id."""
    rows = []
    for path in sorted(SAMPLES.glob("*.jsonl")):
        for sample in documents(path):
            key = sample["doc"]["example_id"]
            logs = [float(value) + 1e-4 for value, _ in sample["filtered_resps"]]
            row = {
                "task": sample["doc"]["task"],
                "template": sample["doc"]["template"],
                "variant": "zero_shot",
                "document": sample["doc"]["document"],
                "example_id": key,
                "model": "base",
                "kind": "rank",
                "loglikelihoods": logs,
                "label": sample["doc"]["label"],
                "predicted": logs.index(max(logs)),
                "target": "",
                "metrics": [],
            }
            rows.append({**row, **changes.get(f"of_{key}", {})})
    path = folder / "scores.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=score_schema()), path)
    return path


def first(name):
    (path,) = SAMPLES.glob(f"samples_{name}_*.jsonl")
    return documents(path)[0]


def test_scores_that_are_the_same_agree(tmp_path):
    found = compare(ours(tmp_path), SAMPLES)
    assert [one.name for one in found] == [EXAM, JOKE]
    for one in found:
        assert (one.documents, one.missing, one.differing, one.tied) == (4, 0, 0, 0)
        assert one.ours == one.theirs
        assert one.largest == pytest.approx(1e-4, rel=0.01)
        assert one.agrees
    assert found[0].theirs == 0.25


def test_a_log_likelihood_beyond_the_tolerance_does_not_agree(tmp_path):
    sample = first(JOKE)
    logs = [float(value) + 1.1 * TOLERANCE for value, _ in sample["filtered_resps"]]
    changed = {f"of_{sample['doc']['example_id']}": {"loglikelihoods": logs}}
    exam, joke = compare(ours(tmp_path, **changed), SAMPLES)
    assert exam.agrees
    assert not joke.agrees
    assert (joke.differing, joke.ours == joke.theirs) == (0, True)


def test_another_choice_does_not_agree_and_is_counted(tmp_path):
    sample = first(EXAM)
    changed = {f"of_{sample['doc']['example_id']}": {"predicted": 1}}
    exam, joke = compare(ours(tmp_path, **changed), SAMPLES)
    assert (exam.differing, exam.tied, exam.agrees, joke.agrees) == (1, 0, False, True)
    assert exam.ours == exam.theirs + 0.25


def test_a_tie_that_rounding_broke_the_other_way_is_counted_as_one(tmp_path):
    sample = first(EXAM)
    tie = {"loglikelihoods": [-30.83, -30.83], "predicted": 1}
    exam = compare(ours(tmp_path, **{f"of_{sample['doc']['example_id']}": tie}), SAMPLES)[0]
    assert (exam.differing, exam.tied) == (1, 1)


def test_of_several_runs_the_latest_counts_and_documents_without_a_score_are_counted(tmp_path):
    results = shutil.copytree(SAMPLES, tmp_path / "results")
    (old,) = results.glob(f"samples_{JOKE}_*.jsonl")
    newer = [json.loads(line) for line in old.read_text("utf-8").splitlines()][:2]
    newer[0]["doc"]["example_id"] = "0" * 32
    text = "".join(json.dumps(sample) + "\n" for sample in newer)
    (results / f"samples_{JOKE}_2026-12-01T00-00-00.000001.jsonl").write_text(text)
    joke = compare(ours(tmp_path), results)[1]
    assert (joke.documents, joke.missing) == (1, 1)


def test_what_cannot_be_compared_is_said(tmp_path):
    scores = ours(tmp_path)
    with pytest.raises(InstructifyError, match="no ranked scores of tuned with seed 3; expected one of base"):
        compare(scores, SAMPLES, "tuned", 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InstructifyError, match="no logged samples of exported tasks"):
        compare(scores, tmp_path / "empty")
    with pytest.raises(InstructifyError, match="there is no such file"):
        compare(tmp_path / "nothing.parquet", SAMPLES)


def test_a_damaged_file_of_samples_is_named_with_its_line(tmp_path):
    scores, good = ours(tmp_path), first(JOKE)
    bad = tmp_path / f"samples_{JOKE}_2026-12-01T00-00-00.1.jsonl"
    for damaged in (
        b'{"doc": {}}',
        b"\xff",
        b"[" * 99_999,
        json.dumps({**good, "doc": {"example_id": [1]}}).encode(),
        json.dumps({**good, "filtered_resps": []}).encode(),
    ):
        bad.write_bytes(json.dumps(good).encode() + b"\n" + damaged + b"\n")
        with pytest.raises(InstructifyError, match=r"jsonl:2: not a logged sample"):
            compare(scores, tmp_path)
    bad.write_bytes(b"")
    with pytest.raises(InstructifyError, match=r"\.jsonl: holds no logged sample"):
        compare(scores, tmp_path)
    bad.unlink()
    bad.mkdir()
    with pytest.raises(InstructifyError, match=r"\.jsonl: cannot read"):
        compare(scores, tmp_path)


def test_the_commands_export_and_compare(small_build, tmp_path):
    said = build_kit.succeed("export", "lm-eval", "--build", small_build, "--out", tmp_path / "tasks")
    assert "wrote 8 tasks with 240 documents" in said
    assert "30 examples without choices to rank are left out" in said
    asked = ("export", "compare", "--ours", ours(tmp_path), "--lm-eval", SAMPLES)
    assert "2 of 2 tasks agree, 8 documents" in build_kit.succeed(*asked)
    changed = {f"of_{first(EXAM)['doc']['example_id']}": {"predicted": 1}}
    ours(tmp_path, **changed)
    done = build_kit.cli(*map(str, asked), "--json")
    assert done.returncode == 1
    assert [task["agrees"] for task in json.loads(done.stdout)["tasks"]] == [False, True]
