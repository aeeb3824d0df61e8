"""Runs the generated function of a template over a batch, and finds the rows it may not decide alone."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import numpy as np

from instructify.keys import Key
from instructify.render.compiled.generate import Generated, generate
from instructify.render.compiled.names import Shape, UndefinedName
from instructify.render.compiled.namespace import namespace_for
from instructify.render.compiled.prepare import Prepared
from instructify.render.compiled.result import Columns
from instructify.render.compiled.rows import Path, Rows
from instructify.render.compiled.runtime import State
from instructify.render.compiled.trees import CannotCompile
from instructify.render.meter import WORK_LIMIT, Choices
from instructify.render.reference import PIPES, PROTECTOR, Rendered
from instructify.render.sandbox import GLOBALS, Sandbox

STRICT_FINISH = ("add_0(prompt.strip())", "add_1(target.strip())")
PROMPTSOURCE_FINISH = (
    f"parts = body.split({PIPES!r})",
    f"if {PROTECTOR!r} in body: parts = [part.replace({PROTECTOR!r}, {PIPES!r}) for part in parts]",
    "if len(parts) == 2:",
    "    add_0(parts[0].strip())",
    "    add_1(parts[1].strip())",
    "else:",
    "    odd(i, parts)",
    "    add_0('')",
    "    add_1('')",
)


@dataclass(slots=True)
class Listed:
    """What the function made of every row, and the rows to be settled one by one.

    `doubtful` maps a row to what the row checks are to judge, or to None where the reference must render it.
    """

    inputs: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    choices: list[Any] = field(default_factory=list)
    rationales: list[str] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    doubtful: dict[int, Rendered | None] = field(default_factory=dict)

    def sure(self, varying: bool, has_labels: bool, has_rationale: bool) -> Columns:
        """Return the rows that need no settling as columns."""
        stay = [row for row in range(len(self.inputs)) if row not in self.doubtful]

        def chosen(values: list[Any]) -> list[Any]:
            return values if len(stay) == len(values) else [values[row] for row in stay]

        return Columns(
            np.array(stay, np.int64),
            chosen(self.inputs),
            chosen(self.targets),
            chosen(self.choices) if varying else None,
            chosen(self.labels) if has_labels else None,
            chosen(self.rationales) if has_rationale else None,
        )


class PythonTemplate:
    """The generated functions of one template, one for each shape of batch it has met."""

    def __init__(self, prepared: Prepared, env: Sandbox, name: str) -> None:
        """Write the function once for an unknown batch; raises CannotCompile when that cannot be done."""
        self._prepared = prepared
        self._env = env
        self._file = f"<{name}>"
        self._names = dict(namespace_for("strict" if prepared.strict else "promptsource"))
        constant = prepared.constant
        self._names["answer_choices"] = None if constant is None else Choices(constant)
        self._functions: dict[
            tuple[frozenset[str], tuple[tuple[Path, bool], ...]], tuple[Any, Generated]
        ] = {}
        self._generate(Shape(frozenset(path[0] for path in prepared.paths) - GLOBALS, {}))

    def run(self, rows: Rows, key: Key) -> Listed:
        """Render every row that the function can."""
        prepared = self._prepared
        function, generated = self._function(rows)
        listed = Listed()
        state = State(prepared.strict, key, rows.numbers, prepared.walks)
        odd: dict[int, list[str]] = {}
        columns = [rows.values(path, prepared.mutates) for path in generated.columns]
        draws = [(key.draws(rows.numbers, n) >> np.uint64(32)).tolist() for n in range(generated.draws)]
        sizes = rows.sizes.tolist()
        function(
            zip(range(len(rows)), sizes, *columns, *draws, strict=True),
            state,
            self._give_up(listed),
            listed.inputs.append,
            listed.targets.append,
            listed.choices.append,
            listed.rationales.append,
            odd.__setitem__,
        )
        self._label(listed)
        self._doubt(listed, state, odd)
        self._doubt_costly(listed, sizes)
        return listed

    def _give_up(self, listed: Listed) -> Any:
        """Return what the function calls for a row that raised: its columns are evened out."""
        prepared = self._prepared
        columns: list[tuple[list[Any], Any]] = [(listed.inputs, ""), (listed.targets, "")]
        columns += [(listed.choices, None)] if prepared.varying else []
        columns += [(listed.rationales, "")] if prepared.has_rationale else []

        def give_up(row: int, state: State) -> None:
            state.flagged = state.unlabelled = False
            listed.doubtful[row] = None
            for column, filler in columns:
                del column[row:]
                column.append(filler)

        return give_up

    def _label(self, listed: Listed) -> None:
        constant = self._prepared.constant
        if constant is not None:
            counts = Counter(constant)
            places = {choice: n for n, choice in enumerate(constant) if counts[choice] == 1}
            listed.labels = [places.get(target) for target in listed.targets]
        elif self._prepared.varying:
            pairs = zip(listed.choices, listed.targets, strict=True)
            listed.labels = [_place(choices, target) for choices, target in pairs]

    def _doubt(self, listed: Listed, state: State, odd: dict[int, list[str]]) -> None:
        """Mark the rows that are not plainly examples, for the row checks to name the reason."""
        pairs = enumerate(zip(listed.inputs, listed.targets, strict=True))
        rows = {row for row, (prompt, target) in pairs if not prompt or not target}
        rows |= {row for row, label in enumerate(listed.labels) if label is None}
        rows |= {row for row, rationale in enumerate(listed.rationales) if not rationale}
        rows |= {*odd, *state.none_rows, *state.unlabelled_rows}
        none_rows, unlabelled_rows = set(state.none_rows), set(state.unlabelled_rows)
        constant = self._prepared.constant
        for row in sorted(rows - listed.doubtful.keys()):
            parts = (listed.inputs[row], listed.targets[row])
            listed.doubtful[row] = Rendered(
                tuple(part.strip() for part in odd[row]) if row in odd else parts,
                tuple(listed.choices[row]) if self._prepared.varying else constant,
                listed.rationales[row] if self._prepared.has_rationale else None,
                row in unlabelled_rows,
                row in none_rows,
            )

    def _doubt_costly(self, listed: Listed, sizes: list[int]) -> None:
        """Hand rows to the reference that might spend its budget there."""
        longest = max(map(len, listed.inputs), default=0) + max(map(len, listed.targets), default=0)
        nodes, text = self._prepared.size, self._prepared.text
        if nodes * (40 + ((max(sizes, default=0) + longest + text) >> 3)) <= WORK_LIMIT:
            return
        printed = zip(sizes, listed.inputs, listed.targets, strict=True)
        for row, (size, prompt, target) in enumerate(printed):
            if nodes * (40 + ((size + len(prompt) + len(target) + text) >> 3)) > WORK_LIMIT:
                listed.doubtful[row] = None

    def _function(self, rows: Rows) -> tuple[Any, Generated]:
        """Return the function for what this batch holds: which leaves can be read, which are all text."""
        prepared = self._prepared
        paths = {path[:1] for path in prepared.paths} if prepared.mutates else prepared.paths
        readable: list[tuple[Path, bool]] = []
        for path in sorted(paths):
            for length in range(1, len(path) + 1):
                head = path[:length]
                readable += [(head, rows.is_text(head))] if rows.array(head) is not None else []
        profile = (rows.names, tuple(readable))
        if profile not in self._functions:
            generated = self._generate(Shape(rows.names, dict(readable)))
            names = {**self._names, **self._bound(generated)}
            exec(self._code(generated.source), names)  # noqa: S102  (text of our own making)
            self._functions[profile] = names["run"], generated
        return self._functions[profile]

    def _code(self, source: str) -> CodeType:
        """Return compiled text; raises CannotCompile where Python has limits that Jinja has not."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return compile(source, self._file, "exec")
        except (SyntaxError, MemoryError, RecursionError, ValueError) as error:
            raise CannotCompile(f"Python refuses its text: {error}", 1) from error

    def _generate(self, shape: Shape) -> Generated:
        prepared = self._prepared
        finish = list(STRICT_FINISH if prepared.strict else PROMPTSOURCE_FINISH)
        finish += ["add_choices(answer_choices)"] if prepared.varying else []
        finish += ["add_rationale(rationale.strip())"] if prepared.has_rationale else []
        return generate(prepared.steps, finish, shape, frozenset({"answer_choices"}), prepared.text)

    def _bound(self, generated: Generated) -> dict[str, Any]:
        return {
            name: self._env.undefined(name=value.name) if isinstance(value, UndefinedName) else value
            for name, value in generated.constants.items()
        }


def _place(choices: Sequence[str] | None, target: str) -> int | None:
    return choices.index(target) if choices is not None and choices.count(target) == 1 else None
