"""The model card of a fine-tuned model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructify.errors import counted
from instructify.seq2seq import TINY

TEMPLATE = """\
---
base_model: {base}
library_name: {library}
tags: [instruction-tuning, text2text-generation]
---
# {name}, seed {seed}

{base} fine-tuned with instructify on the build `{build}` ({examples}, content hash
`{content_hash}`).

| | |
|---|---|
| method | {method} |
| trainable parameters | {trainable:,} of {parameters:,} |
| optimiser | AdamW, highest learning rate {learning_rate:g}, {schedule} after {warmup:g} % warmup |
| steps | {steps:,} of {batch} |
| budgets | {max_input_tokens} and {max_target_tokens} tokens; {too_long} over them{fate} |
| last loss | {loss:.4f} |
| targets | {targets} |

{load}

Which task clusters were held out, which licences the training rows have and what was dropped is said in the
build's own card and manifest (SHA-256 `{manifest}`).
Everything that decided this model is in run.json. Nothing here says that its answers are true or safe.
"""

PEFT = """\
```python
from peft import AutoPeftModelForSeq2SeqLM

model = AutoPeftModelForSeq2SeqLM.from_pretrained("this folder")
```

The base model is `{base}`; `instructify finetune --merge` writes both as one folder."""
LOCAL = """\
```python
from peft import PeftModel
from transformers import AutoModelForSeq2SeqLM

model = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained("the base's folder"), "this folder")
```

The base model is `{base}`, {where}; `instructify finetune --merge` writes both as one folder."""
TINY_WHERE = "the folder `world/tiny` of the installed package `instructify`"
FOLDER_WHERE = "a folder, relative to the recipe"
WHOLE = "This folder is a whole model and loads like any other."


def card_text(name: str, run: Mapping[str, Any]) -> str:
    """Return the card of a run, from what run.json says."""
    section, data = run["finetune"], run["data"]
    lora = section["method"] == "lora"
    adapters = section["targets"] if isinstance(section["targets"], str) else ", ".join(section["targets"])
    return TEMPLATE.format(
        name=name,
        seed=run["seed"],
        base=run["model"]["name"],
        library="peft" if lora else "transformers",
        build=data["build"],
        examples=counted(data["examples"], "training example"),
        content_hash=data["content_hash"],
        manifest=data["manifest_sha256"],
        method=f"LoRA, rank {section['r']}, alpha {section['alpha']}, dropout {section['dropout']:g}, on "
        f"{adapters}"
        if lora
        else "every weight",
        trainable=run["parameters"]["trainable"],
        parameters=run["parameters"]["all"],
        learning_rate=section["learning_rate"],
        schedule=section["schedule"],
        warmup=100 * section["warmup"],
        steps=run["steps"],
        batch=counted(section["batch_size"] * section["accumulate"], "example"),
        max_input_tokens=section["max_input_tokens"],
        max_target_tokens=section["max_target_tokens"],
        too_long=counted(run["too_long"], "example"),
        fate=", left out" if run["dropped"] else ", cut" if run["too_long"] else "",
        loss=run["loss"],
        targets="shuffled, as a negative control" if section["shuffle_targets"] else "as in the build",
        load=_load(run["model"]) if lora else WHOLE,
    )


def _load(model: Mapping[str, Any]) -> str:
    """Return how to load an adapter; peft finds a base by its name on the hub alone."""
    base = model["name"]
    if model["commit"] is not None:
        return PEFT.format(base=base)
    return LOCAL.format(base=base, where=TINY_WHERE if base == TINY else FOLDER_WHERE)
