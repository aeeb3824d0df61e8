"""Made-up runs for the report: every score, loss and prompt here is synthetic."""

import json
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from instructify.evaluate.scores import score_schema
from instructify.publish.manifest import FileEntry, encode_manifest
from instructify.seq2seq import hash_adapter


@dataclass(frozen=True)
class Task:
    """A made-up held-out task: how often base and tuned model are right, and what its rows look like."""

    name: str
    cluster: str = "cluster"
    base: float = 0.5
    tuned: float = 0.5
    templates: tuple[str, ...] = ("first", "second", "third")
    documents: int = 60
    choices: tuple[str, ...] = ("yes", "no")
    metric: str = "accuracy"
    prompt: str = "Is it so?"
    seen: dict = field(
        default_factory=lambda: {"status": "unseen", "word": "zero-shot", "note": "the base did not see it"}
    )


def make_run(folder, tasks, seeds=(0, 1, 2), models=("tuned",), with_build=True):
    """Write a run folder, and a build beside it, and return the run's path."""
    run, build = folder / "run", folder / "build"
    manifest = make_build(build, tasks) if with_build else None
    evaluation = run / "evaluation"
    evaluation.mkdir(parents=True)
    rows = [row for task in tasks for row in score_rows(task, seeds, models)]
    pq.write_table(pa.Table.from_pylist(rows, schema=score_schema()), evaluation / "scores.parquet")
    for seed in seeds:
        make_training(run / "finetune" / f"seed-{seed}", seed)
    trained = [
        {
            "model": model,
            "seed": seed,
            "name": "made-up",
            "adapter_hash": hash_adapter(run / "finetune" / f"seed-{seed}" / "adapter"),
        }
        for model in models[:1]
        for seed in seeds
    ]
    document = {
        "schema": "instructify/evaluation/1",
        "base": {"name": "made-up", "dtype": "float32"},
        "settings": {"score_eos": True, "batch_size": 32},
        "device": "cpu",
        "build": {"path": str(build), "content_hash": manifest["content_hash"]} if manifest else {},
        "models": [{"model": "base", "seed": None, "name": "made-up", "model_hash": "ab" * 32}, *trained],
        "tasks": [{"task": task.name, "seen": task.seen} for task in tasks],
        "scores_sha256": sha256((evaluation / "scores.parquet").read_bytes()).hexdigest(),
        "versions": {"python": "3.11.0"},
    }
    (evaluation / "evaluation.json").write_text(json.dumps(document), "utf-8")
    return run


def make_training(folder, seed):
    """Write run.json and metrics.jsonl of a made-up training run of 200 steps."""
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"of seed %d" % seed)
    rng = np.random.default_rng(seed)
    record = {
        "seed": seed,
        "complete": True,
        "identity": f"{seed:064}",
        "model": {
            "name": "made-up",
            "revision": None,
            "dtype": "float32",
            "model_hash": "ab" * 32,
            "tokenizer_hash": "ba" * 32,
        },
        "finetune": {"method": "lora", "r": 16, "learning_rate": 0.001, "seeds": [0, 1, 2]},
        "evaluate": {},
        "data": {"content_hash": "ef" * 32},
        "parameters": {"trainable": 688_128, "all": 76_961_152},
        "steps": 200,
        "seconds": 75.0 + seed,
        "peak_memory_bytes": 700 * 2**20,
    }
    (folder / "run.json").write_text(json.dumps(record), "utf-8")
    lines = [
        {"step": step, "loss": float(0.4 + 3 * np.exp(-step / 40) + rng.normal() * 0.05)}
        for step in range(10, 201, 10)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def make_build(folder, tasks):
    """Write a build that holds the prompts of the tasks, and return its manifest."""
    rows = [
        {"id": example_id(task, template, document), "inputs": f"{task.prompt} ({document})"}
        for task in tasks
        for template in task.templates
        for document in range(task.documents)
    ]
    path = folder / "data" / "eval-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    document = {
        "name": "made-up run",
        "recipe": {"description": "Nothing here was measured."},
        "recipe_sha256": "cd" * 32,
        "content_hash": "ef" * 32,
        "parts": {"train": {"examples": 1000}, "eval": {"examples": len(rows)}},
        "tasks": [
            {
                "name": task.name,
                "cluster": task.cluster,
                "role": "held_out",
                "templates": [{"name": template} for template in task.templates],
            }
            for task in tasks
        ],
        "ledgers": [
            {"task": task.name, "kept": len(task.templates) * task.documents, "dropped": {"blank-target": 2}}
            for task in tasks
        ],
        "tokens": [
            {"task": task.name, "inputs": {"median": 41, "most": 1_090}, "targets": {"median": 2, "most": 7}}
            for task in tasks[:1]
        ],
    }
    digest = sha256(path.read_bytes()).hexdigest()
    entry = FileEntry(
        str(path.relative_to(folder)), path.stat().st_size, digest, len(rows), "aa" * 32, "eval", "parquet"
    )
    (folder / "manifest.json").write_bytes(encode_manifest(document, [entry]))
    return document


def example_id(task, template, document):
    return sha256(f"{task.name} {template} {document}".encode()).hexdigest()[:32]


def score_rows(task, seeds, models):
    """Return the score rows of a task; a document has one ease in all models, so that rows are paired."""
    rng = np.random.default_rng(len(task.name))
    ease = rng.uniform(size=task.documents)
    sway = rng.normal(size=len(task.templates)) * 0.06
    rows = []
    for model, seed in [("base", None), *((model, seed) for model in models for seed in seeds)]:
        level = task.tuned if model == "tuned" else task.base
        own = np.random.default_rng([7, *map(ord, model), seed or 0])
        for t, template in enumerate(task.templates):
            noise = own.normal(size=task.documents) * 0.05
            for document in range(task.documents):
                right = bool(ease[document] + noise[document] < level + sway[t])
                rows.append(_row(task, template, document, model, seed, right))
    return rows


def _row(task, template, document, model, seed, right):
    label = document % len(task.choices) if task.choices else 0
    row = {
        "task": task.name,
        "cluster": task.cluster,
        "dataset": task.name,
        "subset": None,
        "template": template,
        "variant": "zero_shot",
        "document": document,
        "example_id": example_id(task, template, document),
        "model": model,
        "seed": seed,
        "primary": task.metric,
        "truncated": False,
    }
    if not task.choices:
        metrics = {"exact_match": float(right), "token_f1": 0.9 if right else 0.2, task.metric: float(right)}
        named = [{"name": name, "value": value} for name, value in metrics.items()]
        said = "the answer is 42" if right else "the answer is 41"
        return {**row, "kind": "generate", "target": "the answer is 42", "prediction": said, "metrics": named}
    predicted = label if right else (label + 1) % len(task.choices)
    logs = [-1.5 if n == predicted else -3.25 - n for n in range(len(task.choices))]
    return {
        **row,
        "kind": "rank",
        "choices": list(task.choices),
        "loglikelihoods": logs,
        "prior_loglikelihoods": logs,
        "label": label,
        "predicted": predicted,
        "prior_predicted": 0,
        "target": task.choices[label],
        "metrics": [{"name": "accuracy", "value": float(right)}],
    }


RETENTION = {
    "status": "seen",
    "word": "retention",
    "note": "made-up was trained on it (FLAN 2021): retention, not zero-shot",
}

HOSTILE = "<script>alert('x')</script> & \"q\" \u202egnirts\u202c\x00 ```fence``` | {{ 7*7 }} {% raw %}"

SHOWCASE = (
    Task("reviews/inns", "inn_sentiment", 0.52, 0.83, tuple(f"prompt_{n}" for n in range(8)), 200),
    Task(
        "nli/entail3",
        "nli",
        0.34,
        0.36,
        ("guaranteed", "must_be_true", "should_assume", "가정", "뜻"),
        150,
        ("네", "아니요", "모르겠다"),
        prompt="전제: 고양이가 매트 위에 앉아 있다.\n가설: 매트 위에 동물이 있다.\n참인가요?",
    ),
    Task(
        "story/ends",
        "completion",
        0.61,
        0.50,
        ("long " * 40, "how_does_it_end"),
        100,
        ("the cat left", "the rain stopped", "nothing happened at all"),
        seen=RETENTION,
    ),
    Task(f"odd/{HOSTILE}", "tricky", 0.5, 0.51, (HOSTILE, "plain"), 30, (HOSTILE, "no"), prompt=HOSTILE),
    Task(
        "sums/words",
        "reasoning",
        0.05,
        0.22,
        ("think", "explain"),
        120,
        (),
        "cot_answer_accuracy",
        "Tom has 40 apples and buys 2 more. How many has he now?",
    ),
    Task("tiny/same", "paraphrase", 0.5, 0.5, ("only",), 25),
)
"""One task of every kind: better, no effect, worse, hostile, generated, hardly anything changed."""
