"""How others render: promptsource's way, compiling for every row, and Jinja compiled once."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from jinja2 import BaseLoader, Environment

from instructify.render.reference import PIPES, PROTECTOR
from instructify.templates import Template


def environment() -> Environment:
    """Return a plain environment with what promptsource adds to it."""
    env = Environment(loader=BaseLoader())
    env.globals["zip"] = zip
    env.filters["choice"] = random.choice
    env.filters["most_frequent"] = _most_frequent
    return env


def apply(env: Environment, template: Template, row: Mapping[str, Any]) -> list[str]:
    """Return what promptsource's `Template.apply(row, truncate=False)` returns, as it goes about it.

    Body and answer choices are compiled for every row, as promptsource/templates.py @ 7dab96a does.
    """
    compiled = env.from_string(template.body)
    values = _protected(row)
    values["answer_choices"] = None
    if template.choices is not None:
        text = env.from_string(str(template.choices)).render(**_protected(row))
        values["answer_choices"] = [_unprotected(part.strip()) for part in text.split(PIPES)]
    return [_unprotected(part).strip() for part in compiled.render(**values).split(PIPES)]


def once(env: Environment, template: Template, table: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Return prompts and targets of an Arrow table, rendered by templates compiled once, as Arrow arrays."""
    body = env.from_string(template.body)
    choices = env.from_string(str(template.choices)) if template.choices is not None else None
    prompts, targets = [], []
    for row in table.to_pylist():
        values = _protected(row)
        values["answer_choices"] = None
        if choices is not None:
            parts = choices.render(**_protected(row)).split(PIPES)
            values["answer_choices"] = [_unprotected(part.strip()) for part in parts]
        rendered = [_unprotected(part).strip() for part in body.render(**values).split(PIPES)]
        prompts.append(rendered[0])
        targets.append(rendered[1] if len(rendered) > 1 else "")
    return pa.array(prompts), pa.array(targets)


def _most_frequent(items: Any) -> Any:
    return [
        item for item in dict.fromkeys(items) if items.count(item) == max(map(items.count, items))
    ] or None


def _protected(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.replace(PIPES, PROTECTOR) if isinstance(v, str) else v for k, v in row.items()}


def _unprotected(text: str) -> str:
    return text.replace(PROTECTOR, PIPES)
