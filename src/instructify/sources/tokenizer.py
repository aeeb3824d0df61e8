"""Finding the tokenizer that is named: the tiny model's, a file, a folder, or a model of the hub."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from instructify.errors import InstructifyError, Problem, nearest
from instructify.seq2seq import TINY, TINY_FOLDER

FILE = "tokenizer.json"
EXPECTED = f"{TINY}, a {FILE}, a folder that holds one, or owner/name of a model on the hub"
OF_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*(?<!\.json)")
SECONDS = 10
"""How long the hub may take to answer."""


def find_tokenizer(name: str, base: Path, where: str = "tokens.tokenizer") -> tuple[Path, str]:
    """Return the path of a tokenizer.json and its SHA-256; `base` is the folder that paths are relative to.

    `where` is where it was named, for what there is to complain of.

    Raises:
        InstructifyError: there is no such file or folder, and the hub has no such model or cannot be reached.
    """
    place = TINY_FOLDER if name == TINY else (base / Path(name).expanduser()).resolve()
    path = place / FILE if place.is_dir() else place
    if not path.is_file():
        if place.exists() or not OF_HUB.fullmatch(name):
            raise InstructifyError(_missing(name, path, where))
        path = _of_hub(name, where)
    try:
        return path, hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InstructifyError(Problem(f"cannot be read: {error.strerror}", str(path))) from error


def _missing(name: str, path: Path, where: str) -> Problem:
    folder = path.parent
    beside = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    known = beside if "/" in name else [TINY, *beside]
    return Problem(f"there is no file {path}", where, EXPECTED, nearest(path.name, known))


def _of_hub(name: str, where: str) -> Path:
    """Return the file from the hub's cache, or from the hub, which is asked once whether it is there."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    said = f"{name!r} is no file or folder, and"
    try:
        HfApi().model_info(name, timeout=SECONDS)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InstructifyError(Problem(f"{said} the hub has no such model", where, EXPECTED)) from error
    except Exception:  # no connection: each of the client's own attempts to download waits for half a minute
        try:
            return Path(hf_hub_download(name, FILE, local_files_only=True))
        except LocalEntryNotFoundError as error:
            hint = f"a connection, a copy in the hub's cache, a folder, or {TINY}, which needs none of these"
            raise InstructifyError(Problem(f"{said} the hub cannot be reached", where, hint)) from error
    try:
        return Path(hf_hub_download(name, FILE))
    except Exception as error:  # the hub's client raises almost any type; all become one line here
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        problem = Problem(f"{said} the hub did not give its {FILE}: {reason}", where, EXPECTED)
        raise InstructifyError(problem) from error
