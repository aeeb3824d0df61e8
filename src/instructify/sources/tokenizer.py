"""Finding the tokenizer that a recipe names: a file, a folder, or a model of the Hugging Face hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

from instructify.errors import InstructifyError, Problem

FILE = "tokenizer.json"


def find_tokenizer(name: str, base: Path) -> tuple[Path, str]:
    """Return the path of a tokenizer.json and its SHA-256; `base` is the folder that paths are relative to.

    Raises:
        InstructifyError: there is no such file or folder, and the hub has no such model or cannot be reached.
    """
    place = (base / Path(name).expanduser()).resolve()
    path = place / FILE if place.is_dir() else place
    if not path.is_file():
        if place.exists() or "/" not in name or name.endswith(".json") or name.startswith((".", "/", "~")):
            raise InstructifyError(Problem(f"tokens.tokenizer: there is no file {path}", expected=FILE))
        path = _of_hub(name)
    try:
        return path, hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InstructifyError(Problem(f"cannot be read: {error.strerror}", str(path))) from error


def _of_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(name, FILE))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InstructifyError(
            Problem(
                f"tokens.tokenizer: {name!r} is no file or folder, and the hub did not give it: {reason}",
                expected=f"a path of a {FILE}, a folder that holds one, or a model of the hub",
            )
        ) from error
