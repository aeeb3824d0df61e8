"""JSON documents that one command leaves for another, read with care: anybody may have changed them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from instructify.errors import InstructifyError, Problem

Model = TypeVar("Model", bound=BaseModel)


def read_document(path: Path, expected: str) -> Any:
    """Return what a JSON file says; raises InstructifyError, which says what was expected instead."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InstructifyError(Problem("there is no such file", str(path), expected)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InstructifyError(Problem(f"cannot be read: {error}", str(path), expected)) from error


def checked(model: type[Model], data: Any, path: Path, expected: str) -> Model:
    """Return what a document says as a model; raises InstructifyError that names the first value amiss."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first["loc"] else "is not an object"
        raise InstructifyError(Problem(what, str(path), expected)) from error
