"""Held-out tasks as tasks of EleutherAI's lm-evaluation-harness: rendered JSONL and one YAML file a template.

Prompts and choices are rendered already, so that no second template engine can differ; labels are whole
numbers, for the harness takes a text of digits for an index. The harness ends encoder inputs with an
end-of-sequence token, encodes choices without one, and keeps the last tokens of what is too long
(lm_eval/models/huggingface.py, `_encode_pair` and `_loglikelihood_tokens`, release 0.4.13). So a choice gets
the end-of-sequence text appended where our evaluation scores it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.evaluate.heldout import HeldOut
from instructify.evaluate.task import is_ranked
from instructify.keys import hexdigest
from instructify.publish.files import io_errors

PREFIX, TAG = "instructify", "instructify_heldout"
README, LAUNCHER = "README.md", "run.py"
LAUNCH = '''\
"""Run lm-evaluation-harness on models as their checkpoints have them: python run.py run --model hf ...

Release 0.4.13 calls tie_weights() on every model it has loaded. transformers 5 then overwrites the output
head of a T5 whose head is not its embedding, as in T5 1.1 and FLAN-T5. Here that call ties what loading tied.
"""

from lm_eval.__main__ import cli_evaluate
from transformers import PreTrainedModel

tie = PreTrainedModel.tie_weights


def tie_as_loaded(self, missing_keys=None, recompute_mapping=True):
    if missing_keys is None and hasattr(self, "all_tied_weights_keys"):
        recompute_mapping = False
    return tie(self, missing_keys=missing_keys, recompute_mapping=recompute_mapping)


PreTrainedModel.tie_weights = tie_as_loaded
cli_evaluate()
'''


@dataclass(frozen=True, slots=True)
class Exported:
    """One task of the harness: its name, and how many documents of which task and template it has."""

    name: str
    task: str
    template: str
    documents: int


def export_lm_eval(held_out: HeldOut, out: Path, eos: str | None) -> tuple[list[Exported], int]:
    """Write the ranked examples of held-out tasks to a new or empty folder.

    `eos` is the tokenizer's end-of-sequence text, appended to each choice so that it is scored, or None.
    Returns the tasks written and the number of examples left out because they are generated.

    Raises:
        InstructifyError: the folder is not empty, or nothing in the build is ranked.
    """
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    left_out = 0
    for task in held_out.tasks:
        for example in task.examples:
            if is_ranked(example):
                key = task.name, example["template"], example["variant"]
                groups.setdefault(key, []).append(example)
            else:
                left_out += 1
    if not groups:
        what = "no held-out example has answer choices"
        raise InstructifyError(Problem(what, str(held_out.path), "a task that is scored by ranking"))
    with io_errors(out, "write"):
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise InstructifyError(Problem("the folder is not empty", str(out), "a new or empty folder"))
        made = [_write(out, key, examples, eos) for key, examples in groups.items()]
        (out / README).write_text(_readme(held_out, made, eos), encoding="utf-8")
        (out / LAUNCHER).write_text(LAUNCH, encoding="utf-8")
    return made, left_out


def harness_name(task: str, template: str, variant: str = "zero_shot") -> str:
    """Return the harness's name of a template of a task; different ones have different names.

    >>> harness_name("super_glue/rte", "must be true")
    'instructify_super_glue_rte__must_be_true_96d611'
    >>> harness_name("rte", "must_be_true")
    'instructify_rte__must_be_true'
    """
    parts = (task, template) if variant == "zero_shot" else (task, template, variant)
    plain = [re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_")[:60] for part in parts]
    name = "__".join((f"{PREFIX}_{plain[0]}", *plain[1:]))
    return name if tuple(plain) == parts else f"{name}_{hexdigest(*parts)[:6]}"


def _write(
    out: Path, key: tuple[str, str, str], examples: Sequence[Mapping[str, Any]], eos: str | None
) -> Exported:
    task, template, variant = key
    name = harness_name(task, template, variant)
    lines = [json.dumps(_document(example, eos), ensure_ascii=False) + "\n" for example in examples]
    (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
    (out / f"{name}.yaml").write_text(_yaml(name), encoding="utf-8", newline="\n")
    return Exported(name, task, template, len(examples))


def _document(example: Mapping[str, Any], eos: str | None) -> dict[str, Any]:
    return {
        "input": example["inputs"],
        "choices": [choice + (eos or "") for choice in example["answer_choices"]],
        "label": example["label"],
        "example_id": example["id"],
        "task": example["task"],
        "template": example["template"],
        "document": example["row"],
    }


def _yaml(name: str) -> str:
    return f"""\
task: {name}
tag: {TAG}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {name}.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: input
doc_to_choice: choices
doc_to_target: label
target_delimiter: ""
num_fewshot: 0
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


def _readme(held_out: HeldOut, made: Sequence[Exported], eos: str | None) -> str:
    scored = f"scored, as {eos!r} at the end of each choice" if eos else "not scored"
    rows = "".join(f"| `{one.name}` | {one.task} | {one.template} | {one.documents:,} |\n" for one in made)
    return f"""\
# Held-out tasks for lm-evaluation-harness

From the build with content hash `{held_out.content_hash}`. The end-of-sequence token of a choice is {scored}.
Run in this folder, for the data files are named relative to it. `run.py` is the harness's own command, kept
from overwriting the output heads of T5 1.1 and FLAN-T5 under transformers 5:

```sh
python run.py run --model hf --include_path . --tasks {TAG} --log_samples --output_path results \\
  --model_args pretrained=MODEL,dtype=float32 --device cpu --batch_size 8
```

With an adapter: `--model_args pretrained=MODEL,peft=ADAPTER,dtype=float32`. Then
`instructify export compare --ours scores.parquet --lm-eval results`.

| harness task | task | template | documents |
|---|---|---|---:|
{rows}"""
