"""What a finished run leaves: the adapter or the whole model, its tokenizer and card, and a merged export."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, Problem
from instructify.publish.files import io_errors, remove
from instructify.recipe.training import ModelSection
from instructify.seq2seq import load_seq2seq, model_folder, quiet

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model")
CARD = "README.md"


def save_tuned(model: Any, base: ModelSection, source: Path, card: str, out: Path) -> None:
    """Write an adapter, or a whole model that loads like any other, with a card and `source`'s tokenizer.

    The folder is complete or not there.
    """
    with _whole_folder(out) as folder:
        if hasattr(model, "peft_config"):
            for config in model.peft_config.values():
                config.base_model_name_or_path, config.revision = base.name, base.revision
        _save(model, folder, source)
        (folder / CARD).write_text(card, encoding="utf-8", newline="\n")


def save_merged(base: ModelSection, where: Path, adapter: Path, out: Path) -> None:
    """Write base model and adapter as one model folder that needs neither peft nor this package."""
    loaded: Any = load_seq2seq(base, where, adapter=adapter).model
    source, _ = model_folder(base, where)
    with _whole_folder(out) as folder:
        with quiet():
            model = loaded.merge_and_unload() if hasattr(loaded, "peft_config") else loaded
        _save(model, folder, source)


def untied_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a T5 config as transformers 4 wrote it, which 5 reads as well.

    transformers 5 writes `tie_word_embeddings: true` for every T5 and keeps what it knows of the head in
    `scale_decoder_outputs` (models/t5/configuration_t5.py of 5.23.0); transformers 4 then overwrites an
    untied head, as FLAN-T5's, with the embedding and says nothing.
    """
    plain = dict(config)
    if "scale_decoder_outputs" in plain:
        plain["tie_word_embeddings"] = plain.pop("scale_decoder_outputs")
    return plain


def _save(model: Any, folder: Path, source: Path) -> None:
    """Write model or adapter, configs in their portable form, and the tokenizer's files."""
    if not hasattr(model, "peft_config") and not getattr(model.config, "scale_decoder_outputs", True):
        # an untied head is written out even where it is the embedding, for the config says it is not
        head = model.get_output_embeddings()
        head.weight = type(head.weight)(head.weight.detach().clone(), requires_grad=False)
    # peft would ask the hub, by the base's name, whether its vocabulary has grown; ours never does
    kept = {"save_embedding_layers": False} if hasattr(model, "peft_config") else {}
    with quiet():
        model.save_pretrained(str(folder), **kept)
    for name, portable in (("config.json", untied_config), ("adapter_config.json", _ordered)):
        path = folder / name
        if path.is_file():
            config = portable(json.loads(path.read_text(encoding="utf-8")))
            text = json.dumps(config, indent=2, sort_keys=True) + "\n"
            path.write_text(text, encoding="utf-8", newline="\n")
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner may read


def _ordered(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return an adapter's config with its target layers, a set to peft, in one order."""
    targets = config["target_modules"]
    return {**config, "target_modules": sorted(targets) if isinstance(targets, list) else targets}


@contextmanager
def write_errors(path: Path, advice: str = "") -> Iterator[None]:
    """Turn a disk's refusal of weights into one error, whichever library meets it."""
    from safetensors import SafetensorError

    try:
        with io_errors(path, "write", advice):
            yield
    except SafetensorError as error:
        why = str(error).removeprefix("Error while serializing: ")
        raise InstructifyError(Problem(f"cannot write: {why}{advice}", str(path))) from error


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `out` when the block ends well."""
    temporary = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    with write_errors(out):
        for left in out.parent.glob(f".{out.name}-" + "[0-9a-f]" * 32):  # by a process that was killed
            remove(left)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            remove(out)
            temporary.replace(out)
        except BaseException:
            remove(temporary)
            raise
