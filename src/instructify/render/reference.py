"""The reference renderer: sandboxed Jinja, row by row. What it renders is the definition of correct."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables

from instructify.errors import InstructifyError, Problem, RowError, nearest
from instructify.keys import Key
from instructify.render import rewrite
from instructify.render.meter import Choices
from instructify.render.sandbox import CUT, MUTATORS, Dialect, Sandbox

if TYPE_CHECKING:
    from instructify.templates.model import Template

PIPES = "|||"
PROTECTOR = "3ed2dface8203c4c9dfb1a5dc58e41e0"
"""What promptsource puts in place of ||| in row texts (promptsource/templates.py @ 7dab96a)."""
TRUNCATION = " | string | truncate(2048) }}"
KEEP = "the_choices_are_kept_by_this"
KEEPING = f"{{{{% set _ = {KEEP}({{}}) %}}}}"
"""How answer choices that are an expression are had as a value: by a name that no column should have."""
MAX_OUTPUT = 8_000_000
CHOICES_FORM = "a list of texts, or an expression that gives one, without {{ }} and |||"
_NO_ELEMENT = re.compile(r"'?(?:[\w.]+\.)?(\w+) object'? has no element (-?\d+)")
_BY_TEXT = re.compile(r"'[\w.]+\.Choices object' has no attribute '(.*)'")

REASONS: tuple[tuple[type[Exception], str], ...] = (
    (UndefinedError, "undefined"),
    (SecurityError, "forbidden"),
    (RecursionError, "over-budget"),
    (MemoryError, "over-budget"),
    (OverflowError, "over-budget"),
    (TypeError, "type-error"),
    (LookupError, "lookup-error"),
    (ValueError, "value-error"),
    (ArithmeticError, "arithmetic-error"),
    (AttributeError, "type-error"),
    (TemplateError, "template-error"),
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one template makes of one row.

    `parts` is prompt and target when there are two; other lengths are for the row checks to refuse.
    `unlabelled` tells that a negative or null index was taken into the answer choices, `none_printed` that
    a null was printed as text.
    """

    parts: tuple[str, ...]
    choices: tuple[str, ...] | None
    rationale: str | None
    unlabelled: bool
    none_printed: bool


@lru_cache(maxsize=2)
def sandbox(dialect: Dialect) -> Sandbox:
    """Return this process's environment for a dialect."""
    return Sandbox(dialect)


@lru_cache(maxsize=4096)
def reference(template: Template) -> ReferenceTemplate:
    """Return this process's compiled form of a template; raises InstructifyError as its constructor does."""
    return ReferenceTemplate(template)


class ReferenceTemplate:
    """A template compiled once; `render` is not to be called from two threads at a time."""

    def __init__(self, template: Template) -> None:
        """Compile; raise InstructifyError with every problem of the template's text."""
        self.template = template
        self._env = sandbox(template.dialect)
        self._strict = template.dialect == "strict"
        self._names: list[set[str]] = []
        body = template.body.replace("}}", TRUNCATION) if template.truncate else template.body
        trees = [self._parse(body)]
        self._body = self._compile(trees[0])
        self._choices: tuple[JinjaTemplate, ...] = ()
        if template.choices is not None:
            texts = template.choices if isinstance(template.choices, tuple) else (template.choices,)
            if self._strict and isinstance(template.choices, str):
                texts = (KEEPING.format(template.choices),)
            parsed = [self._parse(text, "answer_choices") for text in texts]
            self._choices = tuple(self._compile(tree, "answer_choices") for tree in parsed)
            trees += parsed
        self._rationale: JinjaTemplate | None = None
        if template.rationale is not None:
            tree = self._parse(template.rationale, "rationale")
            self._rationale = self._compile(tree, "rationale")
            trees.append(tree)
        self.variables = frozenset().union(*self._names) - {"answer_choices", KEEP}
        self._mutates = any(_may_mutate(node) for tree in trees for node in tree.find_all(nodes.Node))

    def where_of(self, name: str) -> str:
        """Return the file and line on which the template's body first uses a name."""
        if not self._strict or name not in self._lines:
            return self.template.where
        return f"{self.template.origin or self.template.name}:{self.template.line + self._lines[name] - 1}"

    def render(self, row: Mapping[str, Any], key: Key, number: int) -> Rendered:
        """Render one row; `key` and `number` (the row's index) decide every draw.

        Raises RowError with a reason when the row cannot be rendered.
        """
        meter = self._env.meter
        meter.start(key, number)
        self._env.may_mutate = self._mutates
        try:
            return self._strict_row(row) if self._strict else self._promptsource_row(row)
        except RowError:
            raise
        except Exception as error:
            reason = next((name for kind, name in REASONS if isinstance(error, kind)), "error")
            raise RowError(reason, _explain(error)) from error

    def _strict_row(self, row: Mapping[str, Any]) -> Rendered:
        values = copy.deepcopy(dict(row)) if self._mutates else dict(row)
        choices = self._strict_choices(values)
        values["answer_choices"] = choices
        rationale = None
        if self._rationale is not None:
            rationale = "".join(self._pieces(self._rationale, values)).strip()
        pieces = self._pieces(self._body, values)
        at = next(i for i, piece in enumerate(pieces) if piece is CUT)
        parts = ("".join(pieces[:at]).strip(), "".join(pieces[at + 1 :]).strip())
        return self._rendered(parts, choices, rationale)

    def _strict_choices(self, values: dict[str, Any]) -> Choices | None:
        if self.template.choices is None:
            return None
        if isinstance(self.template.choices, tuple):
            return Choices("".join(self._pieces(choice, values)).strip() for choice in self._choices)
        kept: list[Any] = []
        self._pieces(self._choices[0], {**values, KEEP: lambda value: kept.append(value)})
        listed = kept[0]
        if not isinstance(listed, (list, tuple)) or not all(isinstance(item, str) for item in listed):
            raise RowError("bad-choices", f"answer_choices is not a list of texts: {type(listed).__name__}")
        return Choices(item.strip() for item in listed)

    def _promptsource_row(self, row: Mapping[str, Any]) -> Rendered:
        if self._mutates:
            row = copy.deepcopy(dict(row))
        values = {
            name: value.replace(PIPES, PROTECTOR) if isinstance(value, str) else value
            for name, value in row.items()
        }
        if "answer_choices" in values:
            raise RowError("reserved-column", "the row has a column called answer_choices")
        choices: Choices | None = None
        if self._choices:
            text = "".join(self._pieces(self._choices[0], values))
            choices = Choices(part.strip().replace(PROTECTOR, PIPES) for part in text.split(PIPES))
        values["answer_choices"] = choices
        text = "".join(self._pieces(self._body, values))
        parts = tuple(part.replace(PROTECTOR, PIPES).strip() for part in text.split(PIPES))
        return self._rendered(parts, choices, None)

    def _rendered(self, parts: tuple[str, ...], choices: Choices | None, rationale: str | None) -> Rendered:
        meter = self._env.meter
        frozen = None if choices is None else tuple(choices)
        if any(isinstance(choice, bytes) for choice in frozen or ()):
            raise RowError("type-error", "answer_choices holds bytes")
        if not all(map(rewrite.is_encodable, (*parts, *(frozen or ()), rationale or ""))):
            raise RowError("unprintable", "half of a character is printed")
        return Rendered(parts, frozen, rationale, meter.unlabelled, meter.none_printed)

    def _pieces(self, compiled: JinjaTemplate, values: dict[str, Any]) -> list[str]:
        pieces: list[str] = []
        size = 0
        for piece in compiled.root_render_func(compiled.new_context(values)):
            size += len(piece)
            if size > MAX_OUTPUT:
                raise RowError("over-budget", f"the template prints more than {MAX_OUTPUT:,} characters")
            pieces.append(piece)
        return pieces

    def _parse(self, text: str, key: str = "") -> nodes.Template:
        """Parse the body, or the text that the front matter gives under `key`."""
        is_body = not key
        where = self.template.origin or self.template.name
        if len(text) > rewrite.MAX_SOURCE:
            raise InstructifyError(
                Problem("the template is too long", where, f"at most {rewrite.MAX_SOURCE:,} characters")
            )
        try:
            tree = self._env.parse(text, filename=where)
            rewrite.check_size(tree, where)
            # on a tree of its own, for it works out constants in place: 'a' ~ none would print no None then
            self._names.append(find_undeclared_variables(self._env.parse(text, filename=where)))
            if is_body:
                self._lines = {name.name: name.lineno for name in reversed(list(tree.find_all(nodes.Name)))}
            rewrite.guard(tree, where, lambda line: self._place(line, is_body))
            if is_body and self._strict:
                rewrite.cut_at_separator(tree, where, self.template.line)
        except TemplateSyntaxError as error:
            raise InstructifyError(self._syntax_problem(error, key)) from error
        except RecursionError as error:
            raise InstructifyError(Problem("the template is nested too deeply", where)) from error
        except ValueError as error:  # an integer of more digits than Python converts
            raise InstructifyError(Problem("a number in the template is too long", where)) from error
        except (TemplateError, TypeError, ArithmeticError) as error:  # from constants that Jinja works out
            what = f"the template fails for every row: {_explain(error)}"
            raise InstructifyError(Problem(what, self.template.where)) from error
        return tree

    def _compile(self, tree: nodes.Template, key: str = "") -> JinjaTemplate:
        template = self.template
        filename = f"{template.where} {key}" if key else template.origin or template.name
        try:
            with warnings.catch_warnings():  # Python has its own opinion of {{ 3[1:] }}
                warnings.simplefilter("ignore")
                code = self._env.compile(tree, filename=filename)
            assert isinstance(code, CodeType)  # noqa: S101  (what compile returns unless raw=True)
            return self._env.template_class.from_code(self._env, code, dict(self._env.globals))
        except TemplateSyntaxError as error:
            raise InstructifyError(self._syntax_problem(error, key)) from error
        except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError) as error:
            raise InstructifyError(
                Problem("the template is too large to compile", self.template.where)
            ) from error
        except (TemplateError, TypeError, ArithmeticError) as error:
            what = f"the template fails for every row: {_explain(error)}"
            raise InstructifyError(Problem(what, self.template.where)) from error

    def _place(self, line: int, is_body: bool) -> str:
        """Return the file and line of a line of one of the template's texts, as near as is known."""
        template = self.template
        if not is_body or not self._strict:
            return template.where
        return f"{template.origin or template.name}:{template.line + line - 1}"

    def _syntax_problem(self, error: TemplateSyntaxError, key: str) -> Problem:
        """Return what is wrong with the body, or with the text under a key of the front matter."""
        message = (error.message or "syntax error").rstrip(".")
        guess = ""
        for word, known in (("filter", self._env.filters), ("test", self._env.tests)):
            if message.startswith(f"No {word} named "):
                guess = nearest(message.split("'")[1], [name for name in known if name[0] != "_"])
        file, line = self.template.origin or self.template.name, self.template.line
        if not key and self._strict:
            return Problem(message, f"{file}:{line + error.lineno - 1}", nearest=guess)
        if error.lineno > 1:
            message += f" (line {error.lineno} of the template's text)"
        if key and self._strict:
            expected = (
                CHOICES_FORM if isinstance(self.template.choices, str) and key == "answer_choices" else ""
            )
            return Problem(f"{key}: {message}", file, expected, guess)
        return Problem(message, f"{file}:{line}", nearest=guess)


def _may_mutate(node: nodes.Node) -> bool:
    """Tell whether a node names a method that changes its owner."""
    if isinstance(node, nodes.Getattr):
        return node.attr in MUTATORS
    key = node.arg.value if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) else None
    return isinstance(key, str) and key in MUTATORS


def _explain(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if by_text := _BY_TEXT.fullmatch(text):
        text = f"answer_choices has no element {by_text[1]!r}: the index is text; a number is made by | int"
    if past := _NO_ELEMENT.fullmatch(text):
        owner = "answer_choices" if past[1] == Choices.__name__ else f"the {past[1]}"
        text = f"{owner} has no element {past[2]}"
    return text if len(text) <= 200 else text[:197] + "..."
