"""What the tests of fine-tuning share: a toy task that a model of a few thousand weights can learn, built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import build_kit
import tiny_seq2seq
from instructify.recipe.load import LoadedRecipe, load_recipe

WORDS = {"positive": ("good", "fine", "great"), "negative": ("bad", "poor", "awful")}
LABELS = ("negative", "positive")
TEMPLATES = {
    "ask": "review: {{ text }} is it positive or negative?",
    "tell": "{{ text }} the review is",
}


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return rows whose label is told by one of six words, the same number of both labels."""
    out = []
    for n in range(start, start + count):
        label = n % 2
        word = WORDS[LABELS[label]][n // 2 % 3]
        out.append({"text": f"the inn number {n} was {word}", "label": label})
    return out


def make_build(folder: Path, examples: int = 400) -> Path:
    """Build the toy task, with a second dataset of the same kind held out; returns the build's folder."""
    tasks = []
    for name, start in (("inns", 0), ("mills", 5000)):
        for split in ("train", "validation"):
            build_kit.rows_file(folder / "data" / name / f"{split}.jsonl", rows(examples, start))
        place = folder / "templates" / name
        place.mkdir(parents=True)
        (place / "task.yaml").write_text(
            f"dataset: {name}\ncluster: {name}\nlicence: CC0-1.0\nlanguage: en\ndescription: A toy.\n",
            encoding="utf-8",
        )
        for template, body in TEMPLATES.items():
            (place / f"{template}.jinja").write_text(
                "---\nanswer_choices: [negative, positive]\nmetrics: [accuracy]\nlanguages: [en]\n"
                "choices_in_prompt: false\noriginal_task: true\nauthor: tests\n---\n"
                f"{body}\n|||\n{{{{ answer_choices[label] }}}}\n",
                encoding="utf-8",
            )
        tasks.append({"dataset": name, "source": {"kind": "files", "path": f"data/{name}/{{split}}.jsonl"}})
    path = build_kit.recipe(folder, tasks, name="toy", held_out=["mills"], template_sources=["templates"])
    build_kit.succeed("build", path, "-j", "1", "--quiet")
    return folder / "out"


def make_recipe(folder: Path, build: Path, model: str | Path, **finetune: Any) -> LoadedRecipe:
    """Return a recipe over the toy build for a model, with a few small steps of training unless told."""
    settings = {"steps": 6, "batch_size": 4, "checkpoint_every": 2, "log_every": 2, "seeds": [0]} | finetune
    path = build_kit.recipe(
        folder,
        [{"dataset": "inns", "source": {"kind": "files", "path": "none.jsonl"}}],
        name="toy",
        output={"dir": str(build)},
        model={"name": str(model)},
        finetune=settings,
    )
    return load_recipe(path)


def make_model(folder: Path, **shape: Any) -> Path:
    """Write a random T5 of a few thousand weights, its output head apart from its embedding as FLAN-T5's."""
    tiny_seq2seq.save(folder, **shape)
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(5)
    weights["lm_head.weight"] = 0.5 * torch.randn(weights["shared.weight"].shape, generator=generator)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config |= {"tie_word_embeddings": True, "scale_decoder_outputs": False}  # as transformers 5 writes it
    (folder / "config.json").write_text(json.dumps(config))
    return folder


class Watched:
    """A watcher that keeps what it was told."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int, str]] = []
        self.done = 0
        self.notes: list[str] = []

    def phase(self, name: str, total: int, unit: str) -> None:
        self.phases.append((name, total, unit))

    def advance(self, amount: int, kept: int = 0, dropped: int = 0) -> None:
        self.done += amount

    def note(self, text: str) -> None:
        self.notes.append(text)
