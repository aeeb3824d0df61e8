"""An independent statement of what promptsource renders: plain Jinja2, its draws taken from a function.

It says again, in a few lines, what the README of the golden renderings says `Template.apply` does, and
shares no code with what it checks. `Drawing` counts the draws, so that every outcome can be enumerated.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

BARS = "|||"
STANDIN = "3ed2dface8203c4c9dfb1a5dc58e41e0"

Outcome = tuple[tuple[str, ...], tuple[str, ...] | None] | None
"""Parts and answer choices; None for an exception."""


@dataclass
class Drawing:
    """The draws of one rendering: each takes the next index of the script, or 0 after its end."""

    script: Sequence[int] = ()
    limits: list[int] = field(default_factory=list)

    def __call__(self, values: Any) -> Any:
        if not len(values):
            raise IndexError("nothing to draw from")
        number = len(self.limits)
        self.limits.append(len(values))
        return values[self.script[number] if number < len(self.script) else 0]


class Oracle:
    """One template of promptsource; its draws go to `draw`, or to the Drawing of an enumeration."""

    def __init__(self, body: str, choices: str | None, truncate: bool) -> None:
        self._texts = (choices, body.replace("}}", " | string | truncate(2048) }}") if truncate else body)
        self._draw: Callable[[Any], Any] = Drawing()
        self._compiled: dict[tuple[str, tuple[int, ...]], tuple[Any, list[int]]] = {}
        self._env = jinja2.Environment(loader=jinja2.BaseLoader())
        self._env.filters.update(
            choice=lambda values: self._draw(values),
            random=self._random,
            most_frequent=_commonest,
            highlight=lambda value: f"<span style='color: #F08080'>{value}</span>",
        )
        self._env.globals["zip"] = zip

    @jinja2.pass_context
    def _random(self, context: Any, values: Any) -> Any:
        return self._draw(values) if len(values) else context.environment.undefined("nothing to draw from")

    def apply(self, row: Mapping[str, Any], draw: Callable[[Any], Any]) -> Outcome:
        """Return what one rendering gives; draws happen where promptsource's do, some while it compiles."""
        self._draw = draw
        row = copy.deepcopy(dict(row))
        for name, value in row.items():
            if isinstance(value, str):
                row[name] = value.replace(BARS, STANDIN)
        try:
            if "answer_choices" in row:
                return None
            choices = None
            if self._texts[0]:
                text = self._compile(self._texts[0]).render(**row)
                choices = tuple(part.strip().replace(STANDIN, BARS) for part in text.split(BARS))
            row["answer_choices"] = None if choices is None else list(choices)
            text = self._compile(self._texts[1]).render(**row)
        except Exception:
            return None
        return tuple(part.replace(STANDIN, BARS).strip() for part in text.split(BARS)), choices

    def outcomes(self, row: Mapping[str, Any], limit: int) -> Iterator[Outcome]:
        """Yield the outcome of every script of draws, depth first, at most `limit` of them."""
        script: list[int] | None = []
        for _ in range(limit):
            drawing = Drawing(script)
            yield self.apply(row, drawing)
            script = _next_script(script, drawing.limits)
            if script is None:
                return

    def _compile(self, text: str) -> Any:
        """Compile, or take what was compiled when the same draws were folded into constants before."""
        drawing = self._draw
        if not isinstance(drawing, Drawing):
            return self._env.from_string(text)
        at = len(drawing.limits)
        for (known, folded), (compiled, limits) in self._compiled.items():
            if known == text and folded == _indices(drawing.script, at, len(limits)):
                drawing.limits += limits
                return compiled
        compiled = self._env.from_string(text)
        limits = drawing.limits[at:]
        self._compiled[text, _indices(drawing.script, at, len(limits))] = compiled, limits
        return compiled


def _indices(script: Sequence[int], at: int, count: int) -> tuple[int, ...]:
    return tuple(script[i] if i < len(script) else 0 for i in range(at, at + count))


def _next_script(script: Sequence[int], limits: Sequence[int]) -> list[int] | None:
    full = [*script, *[0] * (len(limits) - len(script))][: len(limits)]
    while full:
        full[-1] += 1
        if full[-1] < limits[len(full) - 1]:
            return full
        full.pop()
    return None


def _commonest(items: Any) -> Any:
    if not items:
        return None
    counts = Counter(items)
    top = max(counts.values())
    return [item for item, count in counts.items() if count == top]
