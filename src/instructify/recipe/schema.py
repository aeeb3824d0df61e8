"""The JSON Schema of a recipe, for editors and other tools."""

from __future__ import annotations

import re
from typing import Any

from instructify.recipe.models import SPLIT, Recipe


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that accepts what a recipe may say.

    Only what one key says about another is left to the loader: task names must differ.
    """
    schema = Recipe.model_json_schema()
    # named groups are Python's own syntax
    split = re.sub(r"\?P<\w+>", "?:", SPLIT.pattern)
    task = schema["$defs"]["TaskEntry"]["properties"]
    for key in ("split", "eval_split"):
        task[key]["pattern"] = split
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without_titles(schema),
        "title": "instructify recipe",
        "description": "Which datasets to render with which prompt templates, how many, and where to.",
    }


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop the titles made from key names: editors would show them instead of the keys."""
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            out[key] = {name: _without_titles(part) for name, part in value.items()}
        elif isinstance(value, dict) and key != "default":
            out[key] = _without_titles(value)
        elif isinstance(value, list) and key in ("anyOf", "oneOf"):
            out[key] = [_without_titles(part) for part in value]
        elif key != "title":
            out[key] = value
    return out
