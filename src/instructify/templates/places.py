"""Where the front matter of a template uses a name: in its answer choices, or in its rationale."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2.meta import find_undeclared_variables

from instructify.render.reference import sandbox
from instructify.templates.model import Template
from instructify.templates.ours import read_head


def line_in_head(template: Template, text: str, name: str) -> int:
    """Return the first line of the front matter with a key or a choice that uses a variable; 0 without one.

    `text` is that of the template's file; the template is one that compiles.
    """
    if template.dialect != "strict":
        return 0
    head = read_head(text, template.origin)
    if not head.lines:
        return 0
    parse = sandbox(template.dialect).parse
    lines = (
        head.positions.line(path)
        for path, piece in _texts(template)
        if name in find_undeclared_variables(parse(piece))
    )
    return min(lines, default=0)


def _texts(template: Template) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the Jinja texts of the front matter with their places in it."""
    if isinstance(template.choices, tuple):
        for number, choice in enumerate(template.choices):
            yield ("answer_choices", number), choice
    elif template.choices is not None:
        yield ("answer_choices",), f"{{% set _ = ({template.choices}) %}}"
    if template.rationale is not None:
        yield ("rationale",), template.rationale
