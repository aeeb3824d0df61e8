"""Rendering by other libraries: a row at a time through `datasets.map`, and unitxt where it is installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import pyarrow as pa
from jinja2 import Environment

from bench_engines import apply
from instructify.render.reference import PIPES
from instructify.templates import Template

Row = dict[str, Any]
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def is_installed(name: str) -> bool:
    """Tell whether a module can be imported."""
    return find_spec(name) is not None


def by_map(env: Environment, template: Template, table: pa.Table) -> Callable[[], object]:
    """Return what maps a dataset through Jinja compiled once, row by row, in memory."""
    import datasets

    datasets.disable_progress_bars()
    dataset = datasets.Dataset(table)
    cached: Any = env.overlay()
    cached.from_string = lru_cache(maxsize=None)(env.from_string)

    def render(row: Row) -> dict[str, str]:
        inputs, targets, *_ = [*apply(cached, template, row), "", ""]
        return {"inputs": inputs, "targets": targets}

    return lambda: dataset.map(
        render,
        remove_columns=dataset.column_names,
        keep_in_memory=True,
        load_from_cache_file=False,
        new_fingerprint="bench",
    )


def by_unitxt(env: Environment, template: Template, rows: list[Row]) -> Callable[[], object] | None:
    """Return what renders rows as unitxt's template of the same text does; None for one with statements.

    Unitxt is given the values of all expressions ready-made: its templates only put values in their places.
    """
    if "{%" in template.body:
        return None
    from unitxt.templates import InputOutputTemplate

    pieces = _EXPRESSION.split(template.body)
    pieces[::2] = [text.replace("{", "{{").replace("}", "}}") for text in pieces[::2]]
    values = {f"value{n}": env.compile_expression(source) for n, source in enumerate(pieces[1::2])}
    pieces[1::2] = ["{" + name + "}" for name in values]
    source, target = "".join(pieces).split(PIPES)
    other = InputOutputTemplate(
        input_format=source.strip(),
        output_format=target.strip(),
        postprocessors=[],
        skip_rendered_instance=False,
    )
    instances = []
    for row in rows:
        choices = env.from_string(str(template.choices or "")).render(**row).split(PIPES)
        given = {**row, "answer_choices": [choice.strip() for choice in choices]}
        fields = {name: str(value(**given)) for name, value in values.items()}
        instances.append({"input_fields": fields, "reference_fields": fields})
    prompt, wanted = other.process_instance(instances[0]), apply(env, template, rows[0])
    if [prompt["source"], prompt["target"]] != wanted:
        raise SystemExit(f"unitxt renders {template.name} otherwise: {prompt['source']!r}, not {wanted!r}")
    return lambda: [other.process_instance(instance) for instance in instances]
