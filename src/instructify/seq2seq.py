"""Encoder-decoder models: the shipped tiny one, a local folder or a name on the hub, by one path.

Whatever was named ends as a folder with `config.json`, `tokenizer.json` and weights, and that folder is
loaded. No code of a model is run, and weights are read from safetensors, or with torch's weights-only
unpickler where a hub model has nothing else.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from instructify.errors import InstructifyError, Problem
from instructify.recipe.models import resolve
from instructify.recipe.training import ModelSection

if TYPE_CHECKING:
    from torch.nn import Module

TINY = "tiny"
TINY_FOLDER = Path(__file__).with_name("world") / "tiny"
INSTALL = "pip install 'instructify[train]'"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True, slots=True)
class Seq2Seq:
    """A model in evaluation mode with its tokenizer, and SHA-256 hashes of what they were loaded from.

    `model_hash` is over config and weights, `tokenizer_hash` over tokenizer.json; `revision` is the commit
    of a hub model. An adapter, where one was asked for, is on the model but in neither hash.
    """

    model: Module
    tokenizer: Any
    name: str
    model_hash: str
    tokenizer_hash: str
    revision: str | None = None


def require_train_extra() -> None:
    """Raise InstructifyError with what to install unless torch, transformers and peft are there."""
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "peft") if find_spec(name) is None]
    if missing:
        raise InstructifyError(
            Problem(f"{', '.join(missing)} not installed", expected=f"the training extra: {INSTALL}")
        )


def load_seq2seq(
    choice: ModelSection, base: Path, *, adapter: Path | None = None, device: str = "cpu"
) -> Seq2Seq:
    """Return the model of a recipe whose folder is `base`, with an adapter on it if one is given.

    A full fine-tuned model (`adapter` without adapter_config.json) takes the place of the base's weights.

    Raises:
        InstructifyError: a package or a file is missing, the hub cannot be reached, or the files are not
            those of an encoder-decoder, or an adapter is not whole.
    """
    require_train_extra()
    folder, revision = model_folder(choice, base)
    weights = folder
    if adapter is not None and not holds_adapter(adapter):
        weights, adapter = adapter, None
    tokenizer = load_tokenizer(folder)
    model = load_model(weights, choice.dtype)
    if adapter is not None:
        model = _with_adapter(model, adapter)
    return Seq2Seq(_on(model, device).eval(), tokenizer, choice.name, *_hashes(folder), revision)


def model_folder(choice: ModelSection, base: Path) -> tuple[Path, str | None]:
    """Return the folder a model lies in, fetched from the hub if that is where it is, and its commit."""
    if choice.name == TINY:
        return _complete(TINY_FOLDER), None
    path = resolve(choice.name, base)
    if path.is_dir():
        return _complete(path), None
    if choice.name.startswith((".", "/", "~")) or choice.name.count("/") > 1:
        raise InstructifyError(Problem("there is no such model folder", str(path)))
    return _fetched(choice)


def base_hashes(choice: ModelSection, base: Path) -> tuple[str, str]:
    """Return the hashes of model and tokenizer that `load_seq2seq` would give, and load nothing."""
    return _hashes(model_folder(choice, base)[0])


def holds_adapter(folder: Path) -> bool:
    """Tell whether a folder holds an adapter, or a whole fine-tuned model.

    Raises InstructifyError if it holds neither, or not all of its files.
    """
    if not folder.is_dir():
        raise InstructifyError(Problem("there is no such folder", str(folder), "an adapter"))
    if (folder / "adapter_config.json").is_file():
        if not any((folder / name).is_file() for name in _ADAPTER_WEIGHTS):
            missing = f"the adapter has no {' or '.join(_ADAPTER_WEIGHTS)}"
            raise InstructifyError(Problem(missing, str(folder)))
        return True
    if (folder / "config.json").is_file():
        if not _weight_files(folder):
            raise InstructifyError(Problem(f"the model folder has no {' or '.join(_WEIGHTS)}", str(folder)))
        return False
    what = "holds neither an adapter nor a whole model"
    raise InstructifyError(Problem(what, str(folder), "adapter_config.json, or config.json, and weights"))


def hash_adapter(folder: Path) -> str:
    """Return the SHA-256 of the configs, weights and tokenizer files of an adapter or a whole model."""
    kinds = (".json", ".safetensors", ".bin")
    with _loading(folder):
        names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix in kinds)
        return hash_files(folder, tuple(names))


def load_tokenizer(folder: Path) -> Any:
    """Return the fast tokenizer of a model folder; it must name an end-of-sequence and a padding token."""
    from transformers import AutoTokenizer

    with _loading(folder):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        missing = "the tokenizer has no end-of-sequence or no padding token"
        raise InstructifyError(Problem(missing, str(folder)))
    return tokenizer


def load_model(folder: Path, dtype: str) -> Module:
    """Return the encoder-decoder of a model folder on the CPU.

    transformers 5 says that it ties the head of every T5 to the embedding, keeps it apart all the same
    where the weights hold one of its own, and warns of that; the warning is held back.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    with _loading(folder), quiet():
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        if not config.is_encoder_decoder:
            raise InstructifyError(Problem(f"{config.model_type} is no encoder-decoder", str(folder)))
        model, found = AutoModelForSeq2SeqLM.from_pretrained(
            str(folder),
            config=config,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            output_loading_info=True,
        )
    lost = sorted(set(found["missing_keys"]))
    if lost:
        raise InstructifyError(Problem(f"the weights lack {len(lost)} tensors, as {lost[0]}", str(folder)))
    return cast("Module", model)


def hash_files(folder: Path, names: tuple[str, ...]) -> str:
    """Return the SHA-256 of some files of a folder, names included."""
    total = hashlib.sha256()
    for name in names:
        with (folder / name).open("rb") as file:
            total.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _hashes(folder: Path) -> tuple[str, str]:
    weights = hash_files(folder, ("config.json", *_weight_files(folder)))
    return weights, hash_files(folder, ("tokenizer.json",))


def _with_adapter(model: Module, adapter: Path) -> Module:
    """Return a model with an adapter on it.

    peft only warns of a tensor that the file lacks, and leaves out one that fits nowhere; here either is an
    error.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    with _loading(adapter), quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found missing adapter keys", UserWarning)
        tuned: Any = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
        wanted = set(get_peft_model_state_dict(tuned, save_embedding_layers=False))
        found = set(load_peft_weights(str(adapter), device="cpu"))
    problems = [
        Problem(f"{what} {len(names)} tensors, as {min(names)}", str(adapter), "a whole adapter")
        for what, names in (
            ("the adapter lacks", wanted - found),
            ("the adapter's config has no place for", found - wanted - set(tuned.state_dict())),
        )
        if names
    ]
    if problems:
        raise InstructifyError(*problems)
    return cast("Module", tuned)


def _on(model: Module, device: str) -> Module:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        problem = Problem(f"the device {device!r} cannot be used: {_first_line(error)}")
        raise InstructifyError(problem) from error


def _complete(folder: Path) -> Path:
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    missing += [] if _weight_files(folder) else [" or ".join(_WEIGHTS)]
    if missing:
        raise InstructifyError(*(Problem(f"the model folder has no {name}", str(folder)) for name in missing))
    return folder


def _weight_files(folder: Path) -> tuple[str, ...]:
    found = next((name for name in _WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        return ()
    if not found.endswith(".index.json"):
        return (found,)
    return (found, *_shards(folder / found))


def _shards(index: Path) -> list[str]:
    """Return the names of the weight files that an index names, all of them there."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [name for name in names if name != Path(name).name or not (index.parent / name).is_file()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"cannot be read: {_first_line(error)}"
        raise InstructifyError(Problem(what, str(index), "an index of weight files")) from error
    if missing:
        raise InstructifyError(Problem(f"there is no weight file {missing[0]!r} beside it", str(index)))
    return names


def _fetched(choice: ModelSection) -> tuple[Path, str]:
    """Return the folder of a hub model in the hub's cache, and its commit."""
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "spiece.model"]
    try:
        with quiet():
            folder = Path(snapshot_download(choice.name, revision=choice.revision, allow_patterns=wanted))
            if not _weight_files(folder):
                more = [*wanted, "pytorch_model.bin"]
                folder = Path(snapshot_download(choice.name, revision=choice.revision, allow_patterns=more))
    except InstructifyError:
        raise
    except Exception as error:  # the hub's client raises almost any type; all become one line here
        raise InstructifyError(_unfetched(error, choice)) from error
    return _complete(folder), folder.name


def _unfetched(error: Exception, choice: ModelSection) -> Problem:
    where = f"model {choice.name}"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        return Problem("the model is gated", where, "an account with access, logged in with `hf auth login`")
    if kinds & {"RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"}:
        return Problem("there is no such model on the hub", where, "a public model, a folder, or tiny")
    if kinds & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectionError"}:
        hint = "a connection, a copy in the hub's cache, a model folder, or tiny, which needs none of these"
        return Problem("the hub cannot be reached", where, hint)
    return Problem(f"cannot be fetched: {_first_line(error)}", where)


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise for a broken folder into one line that names it."""
    try:
        yield
    except InstructifyError:
        raise
    except Exception as error:
        raise InstructifyError(Problem(f"cannot be loaded: {_first_line(error)}", str(folder))) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back progress bars and warnings of transformers and peft that no user can act on.

    Those are: that a T5 head is not tied (of every FLAN-T5), and the use of names that transformers 6 drops.
    """
    import huggingface_hub.utils as hub
    from transformers.utils import logging

    log: Any = logging
    bars: Any = hub
    verbosity, hidden = log.get_verbosity(), bars.are_progress_bars_disabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    bars.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`\w*gradient_checkpointing\w*` is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", "Input and output embeddings are no longer tied", UserWarning)
            yield
    finally:
        log.set_verbosity(verbosity)
        log.enable_progress_bar()
        if not hidden:
            bars.enable_progress_bars()
