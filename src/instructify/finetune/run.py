"""One training run for each seed: from a published build and a base model to a folder of its own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructify.errors import InstructifyError, LockedError, Problem, nearest
from instructify.finetune.card import card_text
from instructify.finetune.data import Examples, Texts, encode, read_texts
from instructify.finetune.log import MetricsFile, require_trackers, trackers
from instructify.finetune.loop import Trained, Watcher, deterministic, train
from instructify.finetune.record import (
    ADAPTER,
    RUN_JSON,
    TrainingRun,
    check_intact,
    deciding,
    read_run,
    seed_folder,
)
from instructify.finetune.save import save_tuned
from instructify.keys import hexdigest
from instructify.publish.files import io_errors, remove, write_bytes
from instructify.publish.lock import exclusive
from instructify.recipe.load import LoadedRecipe
from instructify.recipe.models import Recipe, resolve
from instructify.recipe.training import Finetune
from instructify.seq2seq import (
    Seq2Seq,
    hash_adapter,
    load_seq2seq,
    model_folder,
    quiet,
    require_train_extra,
)

PACKAGES = ("instructify", "torch", "transformers", "peft", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and on what to train; `device` is auto, or one that PyTorch knows, as cpu or cuda:0."""

    build: Path
    run: Path
    device: str = "auto"
    threads: int = 1
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run: its folder, what run.json says, and whether it was finished before."""

    folder: Path
    record: Mapping[str, Any]
    before: bool


def run_folder(loaded: LoadedRecipe, run: Path | None) -> Path:
    """Return the folder of an experiment: the one given, the recipe's, or runs/<name> beside the recipe."""
    if run is not None:
        return run.absolute()
    return resolve(loaded.recipe.run.dir or f"runs/{loaded.recipe.name}", loaded.base)


def require_apart(run: Path, build: Path) -> None:
    """Raise InstructifyError if a run's folder is the build's, holds it or lies in it.

    A build's folder holds what the build published and nothing else; with a run in it, it cannot be verified
    or built again.
    """
    ours, theirs = run.resolve(), build.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        relation = "is" if ours == theirs else "holds" if ours in theirs.parents else "lies in"
        what = f"the folder of the run {relation} the folder of the build, {build}"
        raise InstructifyError(Problem(what, str(run), "a folder apart: run.dir or --run"))


def finetune(loaded: LoadedRecipe, seed: int, settings: Settings, watcher: Watcher) -> Finished:
    """Train one seed, from its last checkpoint if there is one, and leave adapter, metrics and run.json.

    A run that is finished already, with the same settings, data and base model, is left as it is. A restart
    removes what is there only when all that can be checked beforehand has been.

    Raises:
        InstructifyError: a package, the build or the model is missing, the folder is not apart from the
            build's or holds another run, or the training fails.
    """
    require_train_extra()
    require_apart(settings.run, settings.build)
    folder = seed_folder(settings.run, seed)
    with io_errors(folder.parent, "make"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(folder.with_name(f".{folder.name}.lock"), folder), deterministic(settings.threads):
            return _finetune(loaded, seed, settings, folder, watcher)
    except LockedError:
        raise LockedError(Problem("this seed is being trained by another process", str(folder))) from None


def _finetune(
    loaded: LoadedRecipe, seed: int, settings: Settings, folder: Path, watcher: Watcher
) -> Finished:
    recipe = loaded.recipe
    section, device = recipe.finetune, _device(settings.device)
    mixed = section.method == "full" and recipe.model.dtype == "bfloat16"
    choice = recipe.model.model_copy(update={"dtype": "float32"}) if mixed else recipe.model
    texts = read_texts(settings.build)
    base = load_seq2seq(choice, loaded.base, device=device)
    identity = _identity(seed, recipe, base, texts)
    before = None if settings.restart else _finished(folder, identity)
    if before is not None:
        _tidy(folder, before.record.finetune)  # it may have been killed just before
        return Finished(folder, before.facts, True)
    examples = encode(texts, base.tokenizer, section, seed, encoder_eos=recipe.evaluate.encoder_eos)
    model = prepare(base.model, section, seed)
    require_trackers(section.log_to)
    with io_errors(folder, "make anew" if settings.restart else "make"):
        if settings.restart:
            remove(folder)
        folder.mkdir(exist_ok=True)
    trained = _train(model, examples, base, loaded, seed, folder, identity, mixed, watcher)
    described = _described(loaded, seed, base, texts)
    record = {**described, **_outcome(model, examples, trained, device, settings.threads)}
    source, _ = model_folder(recipe.model, loaded.base)
    save_tuned(model, recipe.model, source, card_text(recipe.name, record), folder / ADAPTER)
    record |= {"adapter_hash": hash_adapter(folder / ADAPTER), "identity": identity, "complete": True}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_bytes(folder, folder / RUN_JSON, text.encode())
    _tidy(folder, section)
    return Finished(folder, record, False)


def prepare(model: Any, section: Finetune, seed: int) -> Any:
    """Return the model with what is trained of it set: adapters, initialised by the seed, or every weight."""
    import torch

    torch.manual_seed(seed)
    if section.gradient_checkpointing:
        with quiet():
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if section.method == "full":
        return model.requires_grad_(True)
    if section.gradient_checkpointing:
        model.enable_input_require_grads()
    return _with_adapters(model, section)


def _with_adapters(model: Any, section: Finetune) -> Any:
    from peft import LoraConfig, TaskType, get_peft_model

    if section.targets != "all-linear":
        _check_targets(model, section.targets)
    config = LoraConfig(
        task_type=TaskType.SEQ_2_SEQ_LM,
        r=section.r,
        lora_alpha=section.alpha,
        lora_dropout=section.dropout,
        target_modules=section.targets,
    )
    with quiet():
        return get_peft_model(model, config)


def _check_targets(model: Any, targets: Sequence[str]) -> None:
    """Raise InstructifyError unless each target, by peft's rule of the end of a path, names linear layers.

    The output head is refused: it may be the embedding, whose weights an adapter must not change.
    """
    import torch

    modules = [(name, module) for name, module in model.named_modules() if name]
    head = model.get_output_embeddings()
    linear = {name for name, module in modules if isinstance(module, torch.nn.Linear) and module is not head}
    names = sorted({name.rpartition(".")[2] for name in linear})
    problems = []
    for target in targets:
        found = [pair for pair in modules if pair[0] == target or pair[0].endswith(f".{target}")]
        if not found:
            what = f"no layer of the model has the name {target!r}"
        elif any(module is head for _, module in found):
            what = f"{target!r} is the output head, which gets no adapter"
        elif odd := [module for name, module in found if name not in linear]:
            what = f"{target!r} is no linear layer but {type(odd[0]).__name__}"
        else:
            continue
        expected = f"all-linear, or some of {', '.join(names)}"
        problems.append(Problem(what, "finetune.targets", expected, "" if found else nearest(target, names)))
    if problems:
        raise InstructifyError(*problems)


def _train(
    model: Any,
    examples: Examples,
    base: Seq2Seq,
    loaded: LoadedRecipe,
    seed: int,
    folder: Path,
    identity: str,
    mixed: bool,
    watcher: Watcher,
) -> Trained:
    section = loaded.recipe.finetune
    metrics = MetricsFile(folder / "metrics.jsonl")
    with trackers(section.log_to, folder, loaded.recipe.name, folder.name) as others:

        def log(line: dict[str, Any]) -> None:
            metrics.write(line)
            for other in others:
                other(line)

        return train(
            model,
            examples,
            section,
            seed,
            pad_id=base.tokenizer.pad_token_id,
            mixed=mixed,
            checkpoints=folder / "checkpoints",
            identity=identity,
            log=log,
            resumed=metrics.keep_until,
            watcher=watcher,
        )


def _described(loaded: LoadedRecipe, seed: int, base: Seq2Seq, texts: Texts) -> dict[str, Any]:
    recipe = loaded.recipe
    return {
        "recipe": recipe.name,
        "recipe_sha256": loaded.text_sha256,
        "seed": seed,
        "model": {
            **recipe.model.model_dump(mode="json"),
            "commit": base.revision,
            "model_hash": base.model_hash,
            "tokenizer_hash": base.tokenizer_hash,
        },
        "finetune": recipe.finetune.model_dump(mode="json"),
        "evaluate": recipe.evaluate.model_dump(mode="json"),
        "data": {
            "build": texts.build,
            "content_hash": texts.content_hash,
            "manifest_sha256": texts.manifest_sha256,
            "examples": len(texts.inputs),
        },
    }


def _identity(seed: int, recipe: Recipe, base: Seq2Seq, texts: Texts) -> str:
    """Return a hash of all that decides the weights of a run."""
    decides = {
        "seed": seed,
        "finetune": deciding(recipe.finetune),
        "encoder_eos": recipe.evaluate.encoder_eos,
        "model": [recipe.model.dtype, base.model_hash, base.tokenizer_hash],
        "data": texts.content_hash,
    }
    return hexdigest("finetune", json.dumps(decides, sort_keys=True))


def _outcome(model: Any, examples: Examples, trained: Trained, device: str, threads: int) -> dict[str, Any]:
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {
        "parameters": {"trainable": sum(n for n, on in counts if on), "all": sum(n for n, _ in counts)},
        "steps": trained.steps,
        "examples_seen": trained.examples,
        "loss": trained.loss,
        "seconds": round(trained.seconds, 3),
        "examples_per_second": round(trained.examples / max(trained.seconds, 1e-9), 2),
        "peak_memory_bytes": _peak_memory(device),
        "device": device,
        "threads": threads,
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "too_long": examples.too_long,
        "dropped": examples.dropped,
    }


def _finished(folder: Path, identity: str) -> TrainingRun | None:
    """Return the finished run of a folder; raises InstructifyError if it is another run or not whole."""
    before = read_run(folder)
    if before is not None and before.record.identity != identity:
        raise InstructifyError(
            Problem(
                "the folder holds a run with other settings, data or base model",
                str(folder),
                "--restart to train anew, or another --run folder",
            )
        )
    if before is not None:
        check_intact(before)
    return before


def _tidy(folder: Path, section: Finetune) -> None:
    with io_errors(folder, "tidy"):
        remove(folder / "tmp")
        if not section.keep_checkpoints:
            remove(folder / "checkpoints")


def _device(name: str) -> str:
    import torch

    # cuBLAS needs this before its first use, to be deterministic
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _peak_memory(device: str) -> int:
    """Return the most memory held, in bytes: of the accelerator, or of this process."""
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
