"""Score one held-out task with one model: ranking where there are choices, generation elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from instructify.evaluate.generate import generate
from instructify.evaluate.heldout import HeldOutTask
from instructify.evaluate.rank import Question, rank
from instructify.evaluate.scores import score_schema
from instructify.evaluate.tokens import Ids, Prompt, encode_choices, encode_prompts
from instructify.metrics import DECLARED, METRICS, metric_key
from instructify.recipe.training import Evaluate
from instructify.seq2seq import Seq2Seq

if TYPE_CHECKING:
    import pyarrow as pa

Example = Mapping[str, Any]
Advance = Callable[[int], object]

GENERATION = ("exact_match", "token_f1", "rouge_l")
CHAIN = "cot_answer_accuracy"
PRIORS_AT_ONCE = 64
"""Choices scored as one question with an empty prompt."""


def score_task(
    model: Seq2Seq, task: HeldOutTask, settings: Evaluate, label: str, seed: int | None, advance: Advance
) -> pa.Table:
    """Return the scores of every example of a task in the task's order, by `score_schema`.

    `label` and `seed` say whose scores they are; `advance` is told how many examples are done.
    """
    import pyarrow as pa

    ranked = [example for example in task.examples if is_ranked(example)]
    written = [example for example in task.examples if not is_ranked(example)]
    scored = {
        **_rank(model, task, ranked, settings, advance),
        **_generate(model, task, written, settings, advance),
    }
    common = {
        "task": task.name,
        "cluster": task.cluster,
        "dataset": task.dataset,
        "subset": task.subset,
        "model": label,
        "seed": seed,
    }
    rows = [{**common, **_place(example), **scored[example["id"]]} for example in task.examples]
    return pa.Table.from_pylist(rows, schema=score_schema())


def is_ranked(example: Example) -> bool:
    """Tell whether an example is scored by ranking its choices: the target is one of them, as it stands."""
    choices, label = example["answer_choices"], example["label"]
    return choices is not None and label is not None and choices[label] == example["targets"]


def headline(example: Example, declared: Sequence[str]) -> str:
    """Return the name of an example's main metric, given what its template declares."""
    if is_ranked(example):
        return "accuracy"
    if example["answer_start"] is not None:
        return CHAIN
    known = (DECLARED.get(metric_key(name)) for name in declared)
    return next(filter(None, known), "exact_match")


def _place(example: Example) -> dict[str, Any]:
    return {
        "template": example["template"],
        "variant": example["variant"],
        "document": example["row"],
        "example_id": example["id"],
        "target": example["targets"],
    }


def _rank(
    model: Seq2Seq, task: HeldOutTask, examples: Sequence[Example], settings: Evaluate, advance: Advance
) -> dict[str, dict[str, Any]]:
    if not examples:
        return {}
    where = f"task {task.name}"
    prompts = encode_prompts(model.tokenizer, [e["inputs"] for e in examples], settings, where)
    every = (choice for e in examples for choice in e["answer_choices"])
    ids = encode_choices(model.tokenizer, every, settings, where)
    # choices of the same tokens are scored as one, so that they tie whatever the rounding
    questions = [
        Question(prompt.ids, tuple(dict.fromkeys(ids[choice] for choice in example["answer_choices"])))
        for prompt, example in zip(prompts, examples, strict=True)
    ]
    found = rank(model, questions, settings.batch_size, advance)
    prior = _priors(model, list(dict.fromkeys(ids.values())), settings)
    scored = {}
    for example, prompt, question, logs in zip(examples, prompts, questions, found, strict=True):
        by_ids = dict(zip(question.choices, logs, strict=True))
        own = [ids[choice] for choice in example["answer_choices"]]
        scored[example["id"]] = _ranked(
            example, prompt, [by_ids[one] for one in own], [prior[one] for one in own]
        )
    return scored


def _priors(model: Seq2Seq, choices: Sequence[Ids], settings: Evaluate) -> dict[Ids, float]:
    """Return the log-likelihood of each distinct choice given an empty prompt."""
    empty = encode_prompts(model.tokenizer, [""], settings, "choice prior")[0].ids
    parts = [choices[n : n + PRIORS_AT_ONCE] for n in range(0, len(choices), PRIORS_AT_ONCE)]
    questions = [Question(empty, tuple(part)) for part in parts]
    found = rank(model, questions, settings.batch_size, lambda _: None)
    return {
        choice: value
        for part, logs in zip(parts, found, strict=True)
        for choice, value in zip(part, logs, strict=True)
    }


def _ranked(example: Example, prompt: Prompt, logs: list[float], prior: list[float]) -> dict[str, Any]:
    predicted = logs.index(max(logs))
    return {
        "kind": "rank",
        "choices": example["answer_choices"],
        "loglikelihoods": logs,
        "prior_loglikelihoods": prior,
        "label": example["label"],
        "predicted": predicted,
        "prior_predicted": prior.index(max(prior)),
        "metrics": [{"name": "accuracy", "value": float(predicted == example["label"])}],
        "primary": "accuracy",
        "truncated": prompt.truncated,
    }


def _generate(
    model: Seq2Seq, task: HeldOutTask, examples: Sequence[Example], settings: Evaluate, advance: Advance
) -> dict[str, dict[str, Any]]:
    if not examples:
        return {}
    prompts = encode_prompts(model.tokenizer, [e["inputs"] for e in examples], settings, f"task {task.name}")
    texts = generate(
        model, [prompt.ids for prompt in prompts], settings.batch_size, settings.max_new_tokens, advance
    )
    return {
        example["id"]: _written(example, prompt, text, headline(example, task.metrics[example["template"]]))
        for example, prompt, text in zip(examples, prompts, texts, strict=True)
    }


def _written(example: Example, prompt: Prompt, text: str, primary: str) -> dict[str, Any]:
    target: str = example["targets"]
    right = dict.fromkeys((primary, *GENERATION), target)
    if primary == CHAIN:
        right[CHAIN] = target[example["answer_start"] : example["answer_end"]]
    return {
        "kind": "generate",
        "prediction": text,
        "metrics": [{"name": name, "value": METRICS[name](text, wanted)} for name, wanted in right.items()],
        "primary": primary,
        "truncated": prompt.truncated,
    }
