"""Strict YAML: one document in the 1.2 core schema, as plain data with a line number for every value.

PyYAML's C parser (its Python one where that was not built) only cuts the text into events; the tree is
built here, without recursion, so that depth, aliases and size are bounded before anything is expanded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import yaml

from instructify.errors import InstructifyError, Problem

MAX_BYTES = 4 << 20
MAX_NODES = 100_000  # aliases count as often as they are used, long texts once more per 1,000 characters
MAX_DEPTH = 64
MAX_PROBLEMS = 50

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]{1,4000}|0o[0-7]{1,4000}|0x[0-9a-fA-F]{1,4000}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"(?P<sign>[-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# NEL, LS and PS would be line breaks to the parser and characters to everyone else
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_ESCAPED_FORBIDDEN = re.compile("[\0\ud800-\udfff]")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS: dict[str, tuple[type, ...]] = {
    _TAG + "str": (str,),
    _TAG + "int": (int,),
    _TAG + "float": (float, int),
    _TAG + "bool": (bool,),
    _TAG + "null": (type(None),),
}
_NO_KEY = object()
_BAD_KEY = object()


@dataclass(slots=True)
class _Node:
    """A value with the lines of its parts; `lines` and `parts` are keyed by mapping key or list index."""

    line: int
    value: Any = None
    lines: dict[str | int, int] = field(default_factory=dict)
    parts: dict[str | int, _Node] = field(default_factory=dict)
    is_plain: bool = False
    is_open: bool = False
    size: int = 1
    height: int = 0
    key: Any = _NO_KEY  # the mapping key that waits for its value
    key_line: int = 0


@dataclass(frozen=True, slots=True)
class Positions:
    """Where each value of a parsed text stands."""

    _root: _Node

    def line(self, path: tuple[str | int, ...] = ()) -> int:
        """Return the 1-based line of the key or item at `path`, or of the nearest thing around it."""
        node, line = self._root, self._root.line
        for part in path:
            if part not in node.lines:
                break
            node, line = node.parts[part], node.lines[part]
        return line


def parse(text: str, where: str, first_line: int = 1) -> tuple[Any, Positions]:
    """Return the only document of `text` as plain data, and the lines of its values.

    `where` names the text in messages and `first_line` is the line that it starts on there. Only
    `true`, `false`, `null`, `~` and numbers are anything but text: `Yes`, `off`, `12:30` and dates stay
    text. Raises InstructifyError, and nothing else, for whatever is not strict YAML.
    """
    text = text.removeprefix("\ufeff")
    _check_text(text, where, first_line)
    builder = _Builder(where, first_line)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        builder.give_up(_syntax_problem(error, text, where, first_line))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # the Python parser does not guard its chr() and int() calls
        builder.give_up(Problem(f"not valid YAML: {error}", where))
    if builder.problems:
        raise InstructifyError(*builder.problems)
    root = builder.root or _Node(first_line)
    return root.value, Positions(root)


class _Builder:
    """Builds the tree from events and collects what is wrong with it."""

    def __init__(self, where: str, first_line: int) -> None:
        self.where = where
        self.first_line = first_line
        self.root: _Node | None = None
        self.stack: list[_Node] = []
        self.anchors: dict[str, _Node] = {}
        self.problems: list[Problem] = []
        self.nodes = 0
        self.documents = 0

    def report(self, line: int, what: str, expected: str = "") -> None:
        """Note a problem and go on, unless there are already many."""
        self.problems.append(Problem(what, f"{self.where}:{line}", expected))
        if len(self.problems) >= MAX_PROBLEMS:
            self.give_up()

    def give_up(self, *problems: Problem) -> None:
        """Raise everything found so far."""
        raise InstructifyError(*self.problems, *problems) from None

    def feed(self, event: Any) -> None:
        """Take the next event of the parser."""
        line = event.start_mark.line + self.first_line
        match event:
            case yaml.ScalarEvent():
                self.add(self.scalar(event, line), line, event.anchor)
            case yaml.SequenceStartEvent():
                self.open([], event, line, _TAG + "seq")
            case yaml.MappingStartEvent():
                self.open({}, event, line, _TAG + "map")
            case yaml.CollectionEndEvent():
                node = self.stack.pop()
                node.is_open = False
                self.attach(node, node.line)
            case yaml.AliasEvent():
                self.alias(event.anchor or "", line)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self.report(line, "a second YAML document begins here", "one document in the file")
                    self.give_up()

    def open(self, value: Any, event: Any, line: int, own_tag: str) -> None:
        """Begin a list or a mapping."""
        if event.tag not in (None, "!", own_tag):
            self.report(line, f"unknown tag {_shown(event.tag)}", "a value without a tag")
        node = _Node(line, value, is_open=True)
        self.check_limits(1, 0, line)
        self.stack.append(node)
        if event.anchor is not None:
            self.anchors[event.anchor] = node

    def add(self, node: _Node, line: int, anchor: str | None) -> None:
        """Take a finished scalar."""
        self.check_limits(node.size, 0, line)
        if anchor is not None:
            self.anchors[anchor] = node
        self.attach(node, line)

    def alias(self, name: str, line: int) -> None:
        """Take the value that an anchor named; the value is shared, its size is counted again."""
        node = self.anchors.get(name)
        if node is None:
            self.report(line, f"the alias *{name[:80]} has no anchor before it", "an &anchor of that name")
            node = _Node(line)
        elif node.is_open:
            self.report(line, f"the alias *{name[:80]} stands inside the value it names", "a finite value")
            self.give_up()
        self.check_limits(node.size, node.height, line)
        self.attach(node, line)

    def check_limits(self, size: int, height: int, line: int) -> None:
        """Give up on a document that is too large or too deep once its aliases are written out."""
        self.nodes += size
        if self.nodes > MAX_NODES:
            self.report(
                line, "the document is too large, aliases written out", f"at most {MAX_NODES:,} values"
            )
            self.give_up()
        if len(self.stack) + height >= MAX_DEPTH:
            self.report(line, "values are nested too deeply here", f"at most {MAX_DEPTH} levels")
            self.give_up()

    def attach(self, node: _Node, line: int) -> None:
        """Put a finished value where it belongs; `line` is where it is used, not where an alias leads."""
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if isinstance(parent.value, list):
            index = len(parent.value)
            parent.value.append(node.value)
            parent.lines[index], parent.parts[index] = line, node
        elif parent.key is _NO_KEY:
            parent.key, parent.key_line = self.key(parent, node, line), line
        else:
            if parent.key is not _BAD_KEY:
                parent.value[parent.key] = node.value
                parent.lines[parent.key], parent.parts[parent.key] = parent.key_line, node
            parent.key = _NO_KEY

    def key(self, parent: _Node, node: _Node, line: int) -> Any:
        """Return the text of a mapping key, or note what is wrong with it."""
        key = node.value
        if isinstance(key, dict | list):
            self.report(line, "a mapping key must be text", "quotes around a text that begins with { or [")
        elif not isinstance(key, str):
            self.report(line, f"a mapping key must be text, not {_shown(key)}", "quotes around the key")
        elif key == "<<" and node.is_plain:
            self.report(line, "merge keys (<<) are not part of YAML 1.2", "the keys written out")
        elif key in parent.lines:
            first = parent.lines[key]
            self.report(line, f"the key {_shown(key)} is given twice, first on line {first}", "each key once")
        else:
            return key
        return _BAD_KEY

    def scalar(self, event: Any, line: int) -> _Node:
        """Return the node of a scalar, resolved by the core schema unless it is quoted or tagged."""
        text: str = event.value
        is_plain = event.tag is None and bool(event.implicit[0])
        if _ESCAPED_FORBIDDEN.search(text):
            self.report(line, "NUL and lone surrogates are not text", "other characters")
        if event.tag in (None, "!"):
            value = self.resolve(text, line) if is_plain else text
        elif event.tag not in _SCALAR_TAGS:
            self.report(
                line, f"unknown tag {_shown(event.tag)}", "a value without a tag; quotes make it text"
            )
            value = None
        else:
            value = text if event.tag == _TAG + "str" else self.resolve(text, line)
            if type(value) not in _SCALAR_TAGS[event.tag]:
                self.report(line, f"{_shown(text)} does not fit its tag !!{event.tag.removeprefix(_TAG)}")
        return _Node(line, value, is_plain=is_plain, size=1 + len(text) // 1000)

    def resolve(self, text: str, line: int) -> Any:
        """Return what a plain scalar means in the core schema."""
        if text in _WORDS:
            return _WORDS[text]
        if not (text[0] in "+-." or text[0].isdigit()):
            return text
        if _INT.fullmatch(text):
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            number = int(text[2:] if base != 10 else text, base)
            if not -(2**63) <= number < 2**63:
                self.report(line, f"the number {_shown(text)} does not fit 64 bits", "quotes if it is text")
            return number
        if special := _SPECIAL_FLOAT.fullmatch(text):
            return float(special["sign"] + "inf") if special["sign"] is not None else math.nan
        if _FLOAT.fullmatch(text):
            value = float(text)
            if math.isinf(value):
                self.report(line, f"the number {_shown(text)} is too large", "quotes if it is text")
            return value
        return text


def _check_text(text: str, where: str, first_line: int) -> None:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InstructifyError(Problem("the YAML text is too large", where, f"at most {MAX_BYTES >> 20} MiB"))
    problems = []
    for match in islice(_FORBIDDEN.finditer(text), 5):
        line, column = _line_and_column(text, match.start())
        code = ord(match[0])
        expected = f'the escape "\\u{code:04x}" inside double quotes, or another character'
        if code == 0 or 0xD800 <= code <= 0xDFFF:
            expected = "UTF-8 text"
        at = f"{where}:{line + first_line}:{column + 1}"
        problems.append(Problem(f"the character U+{code:04X} may not stand in YAML", at, expected))
    if problems:
        raise InstructifyError(*problems)


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    breaks = [m.end() for m in _LINE_BREAK.finditer(text, 0, position)]
    return len(breaks), position - (breaks[-1] if breaks else 0)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, where: str, first_line: int) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = f"not valid YAML: {error.problem or error.context or 'unreadable'}"
    if mark is None:
        return Problem(what, where)
    lines = _LINE_BREAK.split(text)
    # libyaml places the end of a text without a last line break on a line of its own
    line, column = min((mark.line, mark.column), (len(lines) - 1, len(lines[-1])))
    begun = error.context_mark
    if begun is not None and begun.line < line:
        what += f" ({error.context}, begun on line {begun.line + first_line})"
    rest = lines[line][column:]
    expected = ""
    if rest.startswith("\t"):
        expected = "spaces, not a tab, for indentation"
    elif "cannot start any token" in what:
        expected = f"quotes around a text that begins with {rest[:1]}"
    elif "mapping values are not allowed" in what:
        expected = "quotes around a text that has a colon and a space in it, or other indentation"
    return Problem(what, f"{where}:{line + first_line}:{column + 1}", expected)


def _shown(value: object) -> str:
    if isinstance(value, str):
        text = repr(value)
    else:
        text = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    return text if len(text) <= 80 else text[:77] + "..."
