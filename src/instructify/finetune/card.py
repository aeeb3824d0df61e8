"""The model card of a fine-tuned model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEMPLATE = """\
---
base_model: {base}
library_name: {library}
tags: [instruction-tuning, text2text-generation]
---
# {name}, seed {seed}

{base} fine-tuned with instructify on the build `{build}` ({examples:,} training examples, content hash
`{content_hash}`).

| | |
|---|---|
| method | {method} |
| trainable parameters | {trainable:,} of {parameters:,} |
| optimiser | AdamW, highest learning rate {learning_rate:g}, {schedule} after {warmup:.0%} warmup |
| steps | {steps:,} of {batch} examples |
| budgets | {max_input_tokens} and {max_target_tokens} tokens; {too_long:,} examples over them{fate} |
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
        examples=data["examples"],
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
        warmup=section["warmup"],
        steps=run["steps"],
        batch=section["batch_size"] * section["accumulate"],
        max_input_tokens=section["max_input_tokens"],
        max_target_tokens=section["max_target_tokens"],
        too_long=run["too_long"],
        fate=", left out" if run["dropped"] else ", cut" if run["too_long"] else "",
        loss=run["loss"],
        targets="shuffled, as a negative control" if section["shuffle_targets"] else "as in the build",
        load=PEFT.format(base=run["model"]["name"]) if lora else WHOLE,
    )
