"""Renders a batch of rows under one template: the generated function first, the reference for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import nodes

from instructify.checks import Checked, check
from instructify.errors import RowError
from instructify.keys import I64, Key
from instructify.render import rewrite
from instructify.render.compiled import generate
from instructify.render.compiled.generate import CannotCompile, Generated, Shape, Step, UndefinedName
from instructify.render.compiled.rows import BoolArray, Path, Rows
from instructify.render.compiled.runtime import State, namespace_for
from instructify.render.compiled.vector import NotVector, Vectors, vectorises, vectors
from instructify.render.meter import WORK_LIMIT, Choices
from instructify.render.reference import PIPES, TRUNCATION, ReferenceTemplate, Rendered, sandbox

if TYPE_CHECKING:
    import pyarrow as pa

    from instructify.templates.model import Template

GIANT = 65_536
"""Rows larger than this many bytes are rendered by the reference."""

MIN_KERNEL_ROWS = 64
"""Batches smaller than this are not worth setting kernels up for."""

MAX_KERNEL_FAILURES = 3
"""Kernels are not tried again for a template after so many batches in which they failed."""

STRICT_FINISH = (
    "add_0(prompt.strip())",
    "add_1(target.strip())",
)
PROMPTSOURCE_FINISH = (
    "parts = body.split('|||')",
    "if len(parts) == 2:",
    "    add_0(parts[0].strip())",
    "    add_1(parts[1].strip())",
    "else:",
    "    odd(i, parts)",
    "    add_0('')",
    "    add_1('')",
)


@dataclass(frozen=True, slots=True)
class RenderedBatch:
    """What one template makes of a batch: the examples it kept, by index into the batch, and the drops.

    The arrays are as long as `kept`, in the same order, which need not be that of the rows. `choices` is one
    tuple where the template's choices are constant. `labels` and `rationales` are None where there are none.
    `by_reference` and `by_kernels` count the rows that the reference and the Arrow kernels rendered; the
    generated function rendered the others.
    """

    kept: I64
    inputs: pa.Array
    targets: pa.Array
    choices: pa.Array | tuple[str, ...] | None
    labels: pa.Array | None
    rationales: pa.Array | None
    dropped: dict[str, list[int]]
    by_reference: int = 0
    by_kernels: int = 0


@dataclass(slots=True)
class _Listed:
    """The same as Python lists, while rows are still being settled."""

    kept: I64
    inputs: list[str]
    targets: list[str]
    choices: list[Sequence[str] | None] | tuple[str, ...] | None
    labels: list[int | None]
    rationales: list[str | None] | None
    dropped: dict[str, list[int]] = field(default_factory=dict)
    by_reference: int = 0


class BatchTemplate:
    """A template on both paths; `refusal` tells why it has only the reference, if so."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.reference = ReferenceTemplate(template)
        self.refusal: CannotCompile | None = None
        self.kernel_refusal = ""
        self._kernel_failures = 0
        self._strict = template.dialect == "strict"
        self._env = sandbox(template.dialect)
        self._names = namespace_for(self._env)
        self._functions: dict[tuple[frozenset[str], tuple[tuple[Path, bool], ...]], Any] = {}
        self._constant: tuple[str, ...] | None = None
        try:
            self._steps = self._make_steps()
            self._mutates = any(generate.mutates(step.tree) for step in self._steps)
            self._paths = {path for step in self._steps for path in generate.paths(step.tree)}
            self._generate(Shape(frozenset(path[0] for path in self._paths), {}))
            self._vectorises = not self._mutates and vectorises(self._steps)
        except CannotCompile as refusal:
            self.refusal = refusal
        except RecursionError:
            self.refusal = CannotCompile("nested too deeply", 1)

    def render(self, rows: Rows, key: Key) -> RenderedBatch:
        """Render every row of a batch; draws depend on `key` and the rows' absolute numbers."""
        if self.refusal is not None or (not self._strict and rows.has_protector):
            return _arrays(self._by_reference(rows, key))
        import pyarrow as pa

        hard = rows.sizes > GIANT
        if (
            not self._vectorises
            or len(rows) < MIN_KERNEL_ROWS
            or self._kernel_failures >= MAX_KERNEL_FAILURES
        ):
            return _arrays(self._by_python(rows, key, hard))
        try:
            made = vectors(rows, key, self._steps, self._constant, self._strict)
        except (NotVector, pa.ArrowException) as refusal:
            self._kernel_failures += 1
            self.kernel_refusal = str(refusal)
            return _arrays(self._by_python(rows, key, hard))
        hard |= made.hard | self._too_costly(rows, made)
        easy = np.flatnonzero(~hard)
        if len(easy) == len(rows):
            return _from_kernels(made, None)
        result = _from_kernels(made, easy)
        indices = np.flatnonzero(hard)
        taken = rows.take(indices)
        rest = _arrays(self._by_python(taken, key, taken.sizes > GIANT))
        return _together(result, rest, indices)

    def _too_costly(self, rows: Rows, made: Vectors) -> BoolArray:
        """Return the rows that might spend the reference's budget."""
        import pyarrow.compute as pc

        out = pc.add(pc.binary_length(made.inputs), pc.binary_length(made.targets)).to_numpy()
        costly: BoolArray = self._nodes * (40 + ((rows.sizes + out) >> 3)) > WORK_LIMIT
        return costly

    def _by_python(self, rows: Rows, key: Key, hard: BoolArray) -> _Listed:
        """Render by the generated function, and rows that it may not touch by the reference."""
        if not self._strict:
            hard = hard | rows.with_bars
        return self._mixed(rows, key, hard) if hard.any() else self._compiled(rows, key)

    # the compiled path

    def _compiled(self, rows: Rows, key: Key) -> _Listed:
        function, generated = self._function(rows)
        count = len(rows)
        state = State(self._strict, key, rows.numbers)
        inputs: list[str] = []
        targets: list[str] = []
        choices: list[Any] = []
        rationales: list[Any] = []
        slow: list[int] = []
        odd: dict[int, list[str]] = {}

        def give_up(row: int, state: State) -> None:
            state.flagged = state.unlabelled = False
            slow.append(row)
            for column in (inputs, targets):
                del column[row:]
                column.append("")
            if self._varying:
                del choices[row:]
                choices.append(None)
            if self._has_rationale:
                del rationales[row:]
                rationales.append("")

        columns = [rows.values(path, self._mutates) for path in generated.columns]
        draws = [(key.draws(rows.numbers, n) >> np.uint64(32)).tolist() for n in range(generated.draws)]
        size = int(rows.sizes.max()) if count else 0
        function(
            zip(range(count), *columns, *draws, strict=True),
            size,
            state,
            give_up,
            inputs.append,
            targets.append,
            choices.append,
            rationales.append,
            odd.__setitem__,
        )
        return self._collect(rows, key, state, inputs, targets, choices, rationales, slow, odd, size)

    def _collect(
        self,
        rows: Rows,
        key: Key,
        state: State,
        inputs: list[str],
        targets: list[str],
        choices: list[Any],
        rationales: list[Any],
        slow: list[int],
        odd: dict[int, list[str]],
        size: int,
    ) -> _Listed:
        flagged = dict.fromkeys(state.none_rows, (False, True)) | dict.fromkeys(
            state.unlabelled_rows, (True, False)
        )
        longest = max(map(len, inputs), default=0) + max(map(len, targets), default=0)
        if self._nodes * (40 + ((size + longest) >> 3)) > WORK_LIMIT:
            slow = sorted({*slow, *self._too_long(inputs, targets, size)})
        slow_rows = set(slow)
        constant = self._constant
        lookup = (
            {choice: place for place, choice in reversed(list(enumerate(constant)))} if constant else None
        )
        if lookup is not None:
            labels: list[int | None] = [lookup.get(target) for target in targets]
        elif self._varying:
            labels = [_place(own, target) for own, target in zip(choices, targets, strict=True)]
        else:
            labels = [None] * len(targets)
        has_choices = lookup is not None or self._varying
        bad = slow_rows | flagged.keys() | odd.keys()
        bad |= {row for row, (a, b) in enumerate(zip(inputs, targets, strict=True)) if not a or not b}
        if has_choices:
            bad |= {row for row, label in enumerate(labels) if label is None}
        if self._has_rationale:
            bad |= {row for row, rationale in enumerate(rationales) if not rationale}
        result = _Listed(np.arange(len(rows)), inputs, targets, constant, labels, None)
        if self._varying:
            result.choices = choices
        if self._has_rationale:
            result.rationales = rationales
        if bad:
            self._mend(rows, key, result, sorted(bad), slow_rows, flagged, odd)
        return result

    def _mend(
        self,
        rows: Rows,
        key: Key,
        result: _Listed,
        bad: list[int],
        slow: set[int],
        flagged: dict[int, tuple[bool, bool]],
        odd: dict[int, list[str]],
    ) -> None:
        """Settle the rows that are not plainly kept: by the reference, or by the row checks."""
        import pyarrow as pa

        gone: set[int] = set()
        table = rows.table.take(pa.array(sorted(slow), pa.int64())).to_pylist() if slow else []
        originals = dict(zip(sorted(slow), table, strict=True))
        for row in bad:
            try:
                if row in slow:
                    number = int(rows.numbers[row])
                    self._put(result, row, check(self.reference.render(originals[row], key, number)))
                else:
                    unlabelled, none_printed = flagged.get(row, (False, False))
                    parts = (
                        tuple(part.strip() for part in odd[row])
                        if row in odd
                        else (result.inputs[row], result.targets[row])
                    )
                    choices = (
                        result.choices
                        if isinstance(result.choices, tuple) or result.choices is None
                        else (tuple(result.choices[row] or ()))
                    )
                    rationale = result.rationales[row] if result.rationales is not None else None
                    check(Rendered(parts, choices, rationale, unlabelled, none_printed))
            except RowError as error:
                result.dropped.setdefault(error.reason, []).append(row)
                gone.add(row)
        result.by_reference = len(slow)
        if gone:
            _remove(result, gone)

    @staticmethod
    def _put(result: _Listed, row: int, example: Checked) -> None:
        result.inputs[row], result.targets[row] = example.inputs, example.targets
        result.labels[row] = example.label
        if isinstance(result.choices, list):
            result.choices[row] = example.choices
        if result.rationales is not None:
            result.rationales[row] = example.rationale

    def _too_long(self, inputs: list[str], targets: list[str], size: int) -> list[int]:
        return [
            row
            for row, (a, b) in enumerate(zip(inputs, targets, strict=True))
            if self._nodes * (40 + ((size + len(a) + len(b)) >> 3)) > WORK_LIMIT
        ]

    # the reference path

    def _by_reference(self, rows: Rows, key: Key) -> _Listed:
        result = _Listed(np.empty(0, np.int64), [], [], [], [], [], by_reference=len(rows))
        assert isinstance(result.choices, list)  # noqa: S101  (made so above)
        assert result.rationales is not None  # noqa: S101
        kept = []
        for row, values in enumerate(rows.table.to_pylist()):
            try:
                example = check(self.reference.render(values, key, int(rows.numbers[row])))
            except RowError as error:
                result.dropped.setdefault(error.reason, []).append(row)
                continue
            kept.append(row)
            result.inputs.append(example.inputs)
            result.targets.append(example.targets)
            result.choices.append(example.choices)
            result.labels.append(example.label)
            result.rationales.append(example.rationale)
        result.kept = np.array(kept, np.int64)
        return result

    def _mixed(self, rows: Rows, key: Key, hard: BoolArray) -> _Listed:
        """Render hard rows by the reference and the others compiled, and put them together in row order."""
        pieces = []
        for indices, render in (
            (np.flatnonzero(hard), self._by_reference),
            (np.flatnonzero(~hard), self._compiled),
        ):
            if len(indices):
                piece = render(rows.take(indices), key)
                piece.dropped = {reason: indices[places].tolist() for reason, places in piece.dropped.items()}
                piece.kept = indices[piece.kept]
                pieces.append(piece)
        return _merge(pieces)

    # compilation

    def _make_steps(self) -> list[Step]:
        template = self.template
        steps: list[Step] = []
        self._given: frozenset[str] = frozenset()
        self._has_rationale = template.rationale is not None
        self._varying = False
        choices = template.choices
        if choices is None:
            self._names["answer_choices"] = None
            self._given = frozenset({"answer_choices"})
        else:
            steps += self._choice_steps(choices)
        if template.rationale is not None:
            steps.append(Step(self._parse(template.rationale), "rationale"))
        body = template.body.replace("}}", TRUNCATION) if template.truncate else template.body
        tree = self._parse(body)
        if self._strict:
            rewrite.cut_at_separator(tree, template.where)
            steps.append(Step(tree, "prompt", after_cut="target"))
        else:
            steps.append(Step(tree, "body"))
        self._nodes = sum(1 for step in steps for _ in step.tree.find_all(nodes.Node))
        return steps

    def _choice_steps(self, choices: str | tuple[str, ...]) -> list[Step]:
        mutable = "append" in self.template.body or (
            "[" in self.template.body and ".sort" in self.template.body
        )
        if isinstance(choices, str) and self._strict:
            tree = self._parse("{{ " + choices + " }}")
            output = tree.body[0]
            if not isinstance(output, nodes.Output) or len(tree.body) != 1 or len(output.nodes) != 1:
                raise CannotCompile("answer_choices is more than one expression", 1)
            self._varying = True
            return [Step(output.nodes[0], "chosen", "answer_choices = listed(chosen)")]
        texts = choices if isinstance(choices, tuple) else (choices,)
        trees = [self._parse(text) for text in texts]
        plain = [_plain_text(tree) for tree in trees]
        known = [text for text in plain if text is not None]
        if len(known) == len(plain) and not mutable:
            split = [known[0].split(PIPES)] if isinstance(choices, str) else [known]
            self._constant = tuple(part.strip() for part in split[0])
            self._names["answer_choices"] = Choices(self._constant)
            self._given = frozenset({"answer_choices"})
            return []
        self._varying = True
        if isinstance(choices, str):
            return [Step(trees[0], "chosen", "answer_choices = split_choices(chosen)")]
        steps = [Step(tree, f"choice_{n}") for n, tree in enumerate(trees)]
        items = ", ".join(f"choice_{n}.strip()" for n in range(len(trees)))
        last = steps[-1]
        return [*steps[:-1], Step(last.tree, last.result, f"answer_choices = Choices([{items}])")]

    def _parse(self, text: str) -> nodes.Template:
        return self._env.parse(text)

    def _function(self, rows: Rows) -> tuple[Any, Generated]:
        """Return the function for what this batch holds: which leaves can be read, which are all text."""
        paths = self._paths if not self._mutates else {path[:1] for path in self._paths}
        readable: list[tuple[Path, bool]] = []
        for path in sorted(paths):
            for length in range(1, len(path) + 1):
                head = path[:length]
                readable += [(head, rows.is_text(head))] if rows.array(head) is not None else []
        profile = (rows.names, tuple(readable))
        if profile not in self._functions:
            generated = self._generate(Shape(rows.names, dict(readable)))
            names = {**self._names, **self._bound(generated)}
            exec(compile(generated.source, f"<{self.template.name}>", "exec"), names)  # noqa: S102  (our own text)
            self._functions[profile] = names["run"], generated
        found: tuple[Any, Generated] = self._functions[profile]
        return found

    def _generate(self, shape: Shape) -> Generated:
        finish = list(STRICT_FINISH if self._strict else PROMPTSOURCE_FINISH)
        if self._varying:
            finish.append("add_choices(answer_choices)")
        if self._has_rationale:
            finish.append("add_rationale(rationale.strip())")
        return generate.generate(self._steps, finish, shape, self._given)

    def _bound(self, generated: Generated) -> dict[str, Any]:
        return {
            name: self._env.undefined(name=value.name) if isinstance(value, UndefinedName) else value
            for name, value in generated.constants.items()
        }


def _plain_text(tree: nodes.Template) -> str | None:
    """Return the text of a template without any expression, else None."""
    parts = [child for node in tree.body for child in getattr(node, "nodes", [node])]
    if all(isinstance(part, nodes.TemplateData) for part in parts):
        return "".join(part.data for part in parts)
    return None


def _place(choices: Sequence[str] | None, target: str) -> int | None:
    try:
        return choices.index(target) if choices is not None else None
    except ValueError:
        return None


def _remove(result: _Listed, gone: set[int]) -> None:
    stay = [row for row in range(len(result.inputs)) if row not in gone]
    result.kept = np.array(stay, np.int64)
    result.inputs = [result.inputs[row] for row in stay]
    result.targets = [result.targets[row] for row in stay]
    result.labels = [result.labels[row] for row in stay]
    if isinstance(result.choices, list):
        result.choices = [result.choices[row] for row in stay]
    if result.rationales is not None:
        result.rationales = [result.rationales[row] for row in stay]


def _merge(pieces: list[_Listed]) -> _Listed:
    order = np.argsort(np.concatenate([piece.kept for piece in pieces]), kind="stable")
    spread = [_spread(piece) for piece in pieces]
    columns = [[value for columns in spread for value in columns[n]] for n in range(5)]
    inputs, targets, choices, labels, rationales = ([column[i] for i in order] for column in columns)
    dropped: dict[str, list[int]] = {}
    for piece in pieces:
        for reason, places in piece.dropped.items():
            dropped[reason] = sorted([*dropped.get(reason, []), *places])
    kept = np.concatenate([piece.kept for piece in pieces])[order]
    by_reference = sum(piece.by_reference for piece in pieces)
    return _Listed(kept, inputs, targets, choices, labels, rationales, dropped, by_reference)


def _spread(piece: _Listed) -> tuple[list[Any], ...]:
    count = len(piece.inputs)
    choices = piece.choices if isinstance(piece.choices, list) else [piece.choices] * count
    rationales = piece.rationales if piece.rationales is not None else [None] * count
    return piece.inputs, piece.targets, choices, piece.labels, rationales


def _arrays(listed: _Listed) -> RenderedBatch:
    import pyarrow as pa

    choices = listed.choices
    if isinstance(choices, list):
        choices = pa.array(choices, pa.large_list(pa.large_string())) if any(choices) else None
    has_labels = any(label is not None for label in listed.labels)
    return RenderedBatch(
        listed.kept,
        pa.array(listed.inputs, pa.large_string()),
        pa.array(listed.targets, pa.large_string()),
        choices,
        pa.array(listed.labels, pa.int32()) if has_labels else None,
        None if listed.rationales is None else pa.array(listed.rationales, pa.large_string()),
        listed.dropped,
        listed.by_reference,
    )


def _from_kernels(made: Vectors, rows: I64 | None) -> RenderedBatch:
    """Return the chosen rows of what the kernels made; every row where `rows` is None."""
    import pyarrow as pa

    taken = None if rows is None else pa.array(rows)

    def column(array: pa.Array, kind: pa.DataType) -> pa.Array:
        return (array if taken is None else array.take(taken)).cast(kind)

    kept = np.arange(len(made.inputs)) if rows is None else rows
    choices = made.choices
    if choices is not None and not isinstance(choices, tuple):
        choices = column(choices, pa.large_list(pa.large_string()))
    return RenderedBatch(
        kept,
        column(made.inputs, pa.large_string()),
        column(made.targets, pa.large_string()),
        choices,
        None if made.labels is None else column(pa.array(made.labels), pa.int32()),
        None if made.rationales is None else column(made.rationales, pa.large_string()),
        {},
        by_kernels=len(kept),
    )


def _together(first: RenderedBatch, rest: RenderedBatch, indices: I64) -> RenderedBatch:
    """Return both results; those of `rest` are for the rows at `indices` of the batch."""
    import pyarrow as pa

    def column(one: pa.Array | None, other: pa.Array | None, kind: pa.DataType) -> pa.Array | None:
        if one is None and other is None:
            return None
        one = pa.nulls(len(first.kept), kind) if one is None else one
        other = pa.nulls(len(rest.kept), kind) if other is None else other
        return pa.chunked_array([one, other])

    text, lists = pa.large_string(), pa.large_list(pa.large_string())
    choices = first.choices
    if not isinstance(choices, tuple):
        others = (
            rest.choices
            if not isinstance(rest.choices, tuple)
            else pa.array([rest.choices] * len(rest.kept), lists)
        )
        choices = column(choices, others, lists)
    return RenderedBatch(
        np.concatenate([first.kept, indices[rest.kept]]),
        column(first.inputs, rest.inputs, text),
        column(first.targets, rest.targets, text),
        choices,
        column(first.labels, rest.labels, pa.int32()),
        column(first.rationales, rest.rationales, text),
        {reason: indices[places].tolist() for reason, places in rest.dropped.items()},
        rest.by_reference,
        first.by_kernels,
    )
