"""The drawings of a report, as inline SVG; colours and letters come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from instructify.report.text import percent, points, shown
from instructify.stats import Change

Line = Sequence[tuple[int, float]]  # (step, loss)

MOST_POINTS = 300


def interval_bar(
    change: float, inner: tuple[float, float], outer: tuple[float, float] | None, reach: float
) -> Markup:
    """Draw a change with its intervals on a scale from -reach to reach, 0 in the middle."""
    width, height, middle = 130, 18, 9

    def x(value: float) -> float:
        return width / 2 + max(-1.0, min(1.0, value / reach)) * (width / 2 - 4)

    marks = [_line(x(0), 1, x(0), height - 1, "zero")]
    if outer:
        marks.append(_line(x(outer[0]), middle, x(outer[1]), middle, "outer"))
    marks.append(_line(x(inner[0]), middle, x(inner[1]), middle, "inner"))
    marks.append(_tag("circle", cx=x(change), cy=middle, r=3.5, class_="dot"))
    return _svg(width, height, f"change {points(change)} points", marks, "bar")


def template_dots(change: Change, templates: Sequence[str], chance: float | None) -> Markup:
    """Draw a dot per template before and after, joined, beside each model's median and quartiles."""
    scores = [*change.before_by_template, *change.after_by_template]
    frame = _Frame(320, 236, 40, 14, 14, *_range([*scores, *([] if chance is None else [chance])]))
    left, right = frame.left + 36, frame.width - frame.right - 36
    marks = frame.ticks(percent)
    if chance is not None:
        y = frame.y(chance)
        marks.append(_line(frame.left, y, frame.width - frame.right, y, "chance"))
    for x, spread, name in ((left, change.before, "base"), (right, change.after, "tuned")):
        top, bottom, median = frame.y(spread.high), frame.y(spread.low), frame.y(spread.median)
        marks.append(_tag("rect", x=x - 20, y=top, width=40, height=max(1.0, bottom - top), class_="box"))
        marks.append(_line(x - 20, median, x + 20, median, "median"))
        marks.append(_label(x, frame.height - 8, name, "middle"))
    for template, old, new, gain in zip(
        templates, change.before_by_template, change.after_by_template, change.by_template, strict=True
    ):
        tone = "up" if gain > 0 else "down" if gain < 0 else "same"
        title = _title(f"{template}: {percent(old)} → {percent(new)}")
        ends = (left + 34, frame.y(old)), (right - 34, frame.y(new))
        dots = [_tag("circle", cx=x, cy=y, r=3.5) for x, y in ends]
        marks.append(_group(tone, [title, _line(*ends[0], *ends[1]), *dots]))
    if chance is not None:
        words = f"chance {percent(chance)}"
        marks.append(_label((left + right) / 2, frame.y(chance) - 4, words, "middle"))
    return _svg(frame.width, frame.height, "score of each template, base and tuned, in per cent", marks)


def loss_curves(curves: Mapping[int, Line]) -> Markup:
    """Draw the training loss by step, one line a seed."""
    thinned = {seed: _thinned(line) for seed, line in curves.items()}
    losses = [loss for line in thinned.values() for _, loss in line if math.isfinite(loss)]
    last = max(step for line in curves.values() for step, _ in line)
    frame = _Frame(540, 240, 44, 90, 40, *_range(losses, floor=0.0, least=0.01))
    marks = frame.ticks(lambda value: f"{value:g}")

    def x(step: float) -> float:
        return frame.left + (frame.width - frame.left - frame.right) * step / max(1, last)

    for step in _round_numbers(0, last, 5):
        marks.append(_label(x(step), frame.height - 24, f"{step:,.0f}", "middle"))
    marks.append(_label((frame.left + frame.width - frame.right) / 2, frame.height - 7, "step", "middle"))
    for number, (seed, line) in enumerate(thinned.items()):
        places = [(x(s), frame.y(loss)) for s, loss in line if math.isfinite(loss)]
        if len(places) == 1:  # a line of one point is not seen
            curve = _tag("circle", cx=places[0][0], cy=places[0][1], r=3.5, class_=f"curve seed{number % 5}")
        else:
            path = " ".join(f"{_number(left)},{_number(top)}" for left, top in places)
            curve = _tag("polyline", points=path, class_=f"curve seed{number % 5}")
        marks.append(_group("", [_title(f"seed {seed}"), curve]))
        y = 18 + 15 * number
        marks.append(_line(frame.width - 76, y - 4, frame.width - 56, y - 4, f"curve seed{number % 5}"))
        marks.append(_label(frame.width - 50, y, f"seed {seed}", "start"))
    return _svg(frame.width, frame.height, "training loss by step", marks)


@dataclass(frozen=True, slots=True)
class _Frame:
    """A plot: its size and margins in pixels, and the lowest and highest value on its upright axis."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    low: float
    high: float

    def y(self, value: float) -> float:
        """Return where a value stands."""
        share = (value - self.low) / (self.high - self.low)
        return self.height - self.bottom - 14 - share * (self.height - self.bottom - 26)

    def ticks(self, text: object) -> list[Markup]:
        """Return the axis: a faint line and a label at each of a few round values."""
        marks = []
        for value in _round_numbers(self.low, self.high, 5):
            y = self.y(value)
            marks.append(_line(self.left, y, self.width - self.right, y, "grid"))
            marks.append(_label(self.left - 6, y + 4, text(value), "end"))  # type: ignore[operator]
        return marks


def _range(values: Sequence[float], floor: float | None = None, least: float = 0.1) -> tuple[float, float]:
    """Return the ends of an axis: the values with some air, `least` long or more."""
    low, high = min(values), max(values)
    air = max((high - low) * 0.08, (least - (high - low)) / 2, least * 0.05)
    return (low - air if floor is None else min(floor, low)), high + air


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` + 1 multiples of 1, 2 or 5 times a power of ten in [low, high]."""
    raw = (high - low) / most or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= raw * 0.999999)
    return [
        round(n * step, 10) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _thinned(line: Line) -> list[tuple[float, float]]:
    """Return at most MOST_POINTS points, each the mean of its neighbours."""
    size = math.ceil(len(line) / MOST_POINTS)
    groups = [line[start : start + size] for start in range(0, len(line), size)]
    return [(math.fsum(s for s, _ in g) / len(g), math.fsum(v for _, v in g) / len(g)) for g in groups]


def _svg(width: int, height: int, label: str, marks: Sequence[Markup], class_: str = "chart") -> Markup:
    box = f"0 0 {width} {height}"
    inside = Markup("").join(marks)
    return _tag(
        "svg", inside, viewBox=box, width=width, height=height, class_=class_, role="img", aria_label=label
    )


def _line(x1: float, y1: float, x2: float, y2: float, class_: str = "") -> Markup:
    return _tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _label(x: float, y: float, text: str, anchor: str) -> Markup:
    return _tag("text", text, x=x, y=y, text_anchor=anchor)


def _title(text: str) -> Markup:
    return _tag("title", shown(text))


def _group(class_: str, marks: Sequence[Markup]) -> Markup:
    return _tag("g", Markup("").join(marks), class_=class_)


def _tag(name: str, inside: str = "", **attributes: str | float) -> Markup:
    """Return one element, escaped; `class_` is class, `text_anchor` text-anchor; empty ones are left out."""
    parts = Markup("")
    for key, value in attributes.items():
        text = value if isinstance(value, str) else _number(value)
        if text:
            parts += Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), text)
    return Markup("<{0}{1}>{2}</{0}>").format(name, parts, inside)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
