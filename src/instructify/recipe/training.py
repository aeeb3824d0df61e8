"""The sections of a recipe that say which model to fine-tune, how, and how to score it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from instructify.recipe.strict import Strict

Seed = Annotated[NonNegativeInt, Field(lt=2**31)]


class ModelSection(Strict):
    """The base model: an encoder-decoder with a fast tokenizer."""

    name: str = Field(
        default="google/flan-t5-small",
        min_length=1,
        description="tiny, the model that ships with instructify; or a folder, relative to the recipe; or a "
        "name on the Hugging Face hub.",
    )
    revision: str | None = Field(
        default=None, description="Branch, tag or commit of a hub model; the commit is recorded."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Type of the weights; float16 is refused, for T5 overflows in it."
    )

    @field_validator("dtype", mode="before")
    @classmethod
    def _dtype_can_hold_t5(cls, value: object) -> object:
        if value in ("float16", "fp16", "half"):
            raise ValueError(
                "float16 overflows to NaN in T5's feed-forward layers (huggingface/transformers#14189, "
                "#9295); use bfloat16 or float32"
            )
        return value


class Finetune(Strict):
    """How the base model is fine-tuned on the training part of a build."""

    method: Literal["lora", "full"] = Field(
        default="lora", description="lora trains small adapters, full every weight."
    )
    r: PositiveInt = Field(default=16, description="Rank of the adapters: higher holds more, costs more.")
    alpha: PositiveInt = Field(default=32, description="Adapters are scaled by alpha / r.")
    dropout: float = Field(
        default=0.05, ge=0.0, lt=1.0, description="Dropout in front of the adapters; the model keeps its own."
    )
    targets: Literal["all-linear"] | Annotated[list[str], Field(min_length=1)] = Field(
        default="all-linear",
        description="Which layers get adapters: all-linear, or names of linear layers such as q and v; each "
        "must be one of the model's.",
    )
    learning_rate: PositiveFloat = Field(
        default=1e-3, allow_inf_nan=False, description="Highest learning rate."
    )
    weight_decay: NonNegativeFloat = Field(
        default=0.0, allow_inf_nan=False, description="AdamW weight decay."
    )
    max_grad_norm: PositiveFloat = Field(default=1.0, description="Gradients are clipped to this norm.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="How the learning rate falls after the warmup."
    )
    warmup: float = Field(
        default=0.03, ge=0.0, lt=1.0, description="Share of the steps over which the learning rate rises."
    )
    batch_size: PositiveInt = Field(default=16, description="Examples of one forward pass.")
    accumulate: PositiveInt = Field(default=1, description="Forward passes of one optimiser step.")
    steps: PositiveInt | None = Field(default=None, description="Optimiser steps; overrides epochs.")
    epochs: PositiveFloat = Field(default=1.0, le=1e6, description="Passes over the training examples.")
    max_input_tokens: PositiveInt = Field(default=512, description="Longest prompt, in tokens.")
    max_target_tokens: PositiveInt = Field(default=128, description="Longest target, in tokens.")
    on_too_long: Literal["error", "cut", "drop"] = Field(
        default="error",
        description="What becomes of an example over the limits: an error, cut at its end, or left out; "
        "how many is recorded.",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Save memory by computing activations twice."
    )
    checkpoint_every: PositiveInt = Field(default=200, description="Optimiser steps between checkpoints.")
    keep_checkpoints: bool = Field(
        default=False, description="Keep the last checkpoint of a finished run, with the optimiser's state."
    )
    log_every: PositiveInt = Field(default=10, description="Optimiser steps between lines of metrics.jsonl.")
    log_to: list[Literal["tensorboard", "trackio"]] = Field(
        default=[], description="Where the metrics go besides metrics.jsonl."
    )
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1, description="One training run for each seed.")
    shuffle_targets: bool = Field(
        default=False,
        description="Negative control: shuffle the targets among the examples of the same task and "
        "template, so that nothing but their form can be learned.",
    )

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must differ")
        return seeds


class Evaluate(Strict):
    """How the held-out tasks of a build are scored."""

    score_eos: bool = Field(
        default=True,
        description="Count the end-of-sequence token in the log-likelihood of a choice, as T0 does.",
    )
    encoder_eos: bool = Field(
        default=True, description="End prompts with an end-of-sequence token: true for FLAN, false for T0."
    )
    max_input_tokens: PositiveInt = Field(default=512, description="Longest prompt, in tokens.")
    truncate: Literal["error", "left", "right"] = Field(
        default="error", description="What becomes of a longer prompt: an error, or cut at that end."
    )
    batch_size: PositiveInt = Field(default=32, description="Prompts of one forward pass.")
    max_new_tokens: PositiveInt = Field(default=128, description="Longest generated answer, in tokens.")


class Run(Strict):
    """Where training runs, scores and the report of an experiment go."""

    dir: str | None = Field(
        default=None,
        description="Folder, relative to the recipe and apart from the build's; by default runs/<name of the "
        "recipe>.",
    )
