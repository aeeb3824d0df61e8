"""JSON documents that carry a hash of themselves, so that a change to any byte of one is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def seal(document: Mapping[str, Any], field: str) -> bytes:
    """Return the document as pretty JSON, with `field` set to the SHA-256 of everything else in it.

    Keys are sorted and text is UTF-8. Raises ValueError for NaN and infinity, which JSON cannot hold.
    """
    # one round trip first, so that tuples and whole-number keys hash as what a reader will see
    plain = json.loads(json.dumps(document, allow_nan=False))
    plain[field] = _hash(plain, field)
    return _pretty(plain)


def unseal(raw: bytes, field: str) -> tuple[dict[str, Any] | None, str]:
    """Return the document, or None where there is none to be read, and what is wrong with it or ''."""
    try:
        document = json.loads(raw.decode("utf-8"))
        if not isinstance(document, dict):
            return None, f"is a JSON {type(document).__name__}, not an object"
        # comparing the bytes as well finds what parsing forgives, such as 1E5 for 1e5
        intact = document.get(field) == _hash(document, field) and raw == _pretty(document)
    except json.JSONDecodeError as exc:
        return None, f"is not valid JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}"
    except UnicodeDecodeError as exc:
        return None, f"is not UTF-8 text: byte {exc.start}"
    except (ValueError, RecursionError) as exc:
        return None, f"is not a document of ours: {exc}"
    return document, "" if intact else f"was changed after it was written: {field} does not match"


def _hash(document: Mapping[str, Any], field: str) -> str:
    rest = {key: value for key, value in document.items() if key != field}
    return hashlib.sha256(_encode(rest, separators=(",", ":"))).hexdigest()


def _pretty(document: Mapping[str, Any]) -> bytes:
    return _encode(document, indent=2) + b"\n"


def _encode(document: Mapping[str, Any], **layout: Any) -> bytes:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, **layout)
    # half a surrogate pair cannot be UTF-8, but its backslash form is the JSON escape for it
    return text.encode("utf-8", "backslashreplace")
