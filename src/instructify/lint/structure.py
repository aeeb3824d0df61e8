"""Rules on a template's text alone: its form, its names, and what its head says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from jinja2 import nodes

from instructify.compose.marks import OPTIONS
from instructify.errors import Problem, nearest
from instructify.lint.model import Found, Subject
from instructify.lint.pieces import SEPARATOR, Piece, Side
from instructify.templates.model import Template
from instructify.templates.places import line_in_head

NEEDS_ONE = "exactly one ||| between prompt and target"
_FIELD = re.compile(r"(?<!\{)\{ ?([A-Za-z_]\w*) ?\}(?!\})")
_WORD = re.compile(r"\w+")
_HANGUL = re.compile("[가-힣]")
_LATIN, _LETTER = re.compile(r"[A-Za-z]{2,}"), re.compile(r"[A-Za-z]")


def unreadable(subject: Subject) -> Iterator[Found]:
    """The file is no template: its front matter or its YAML does not hold."""
    for problem in subject.unread:
        yield _of_problem(subject, problem)


def syntax(subject: Subject) -> Iterator[Found]:
    """The text is not Jinja, or uses what a prompt template may not use."""
    for problem in subject.broken:
        if NEEDS_ONE not in problem.expected:
            yield _of_problem(subject, problem)


def separator(subject: Subject) -> Iterator[Found]:
    """Prompt and target are not parted by exactly one |||."""
    for problem in subject.broken:
        if NEEDS_ONE in problem.expected:
            listed = [int(line) for line in re.findall(r"\d+", problem.what)]
            line = (listed[-1] if listed else subject.template.line) - subject.template.line + 1
            yield Found(problem.what, problem.expected, line)
    if subject.template.dialect == "promptsource" and subject.body.tree and subject.body.separators != 1:
        yield Found(f"found {subject.body.separators} {SEPARATOR} on one way through the body", NEEDS_ONE)


def unknown_column(subject: Subject) -> Iterator[Found]:
    """A variable is no column of the dataset."""
    if subject.columns is None:
        return
    for name in sorted(subject.variables - set(subject.columns)):
        guess = nearest(name, subject.columns)
        hint = f"; did you mean {guess!r}?" if guess else ""
        columns = ", ".join(subject.columns)
        yield Found(f"the dataset has no column {name!r}{hint}", f"one of {columns}", _line_of(subject, name))


def duplicate_name(subject: Subject) -> Iterator[Found]:
    """Another template of the dataset has the same name."""
    for other in subject.siblings:
        if other.template.name == subject.template.name:
            yield Found(f"{other.template.where} is called {other.template.name!r} too", "another name")
            return


def duplicate_body(subject: Subject) -> Iterator[Found]:
    """Another template of the dataset renders the same."""
    for other in subject.siblings:
        if _essence(other.template) == _essence(subject.template):
            what = f"renders the same as {other.template.name!r} ({other.template.where})"
            yield Found(what, "one of them")
            return


def near_duplicate(subject: Subject) -> Iterator[Found]:
    """Another template of the dataset differs in hardly a word of its prompt."""
    mine = _pairs(subject, "prompt")
    for other in subject.siblings:
        theirs = _pairs(other, "prompt")
        if not mine or not theirs or _essence(other.template) == _essence(subject.template):
            continue
        is_same_answer = _words(other, "target") == _words(subject, "target")
        if is_same_answer and len(mine & theirs) >= NEAR * len(mine | theirs):
            what = f"hardly differs from {other.template.name!r} ({other.template.where})"
            yield Found(what, "another wording, or one of the two")
            return


NEAR = 0.8
"""Share of common pairs of neighbouring words (Jaccard) from which two prompts are near-duplicates."""


def _pairs(subject: Subject, side: Side) -> set[tuple[str, str]]:
    """Return the pairs of neighbouring words and expressions of one side; none for a short one."""
    words = _words(subject, side)
    return set(pairwise(words)) if len(words) >= 6 else set()


def _words(subject: Subject, side: Side) -> list[str]:
    """Return the words of one side and its expressions; what the choices are is part of the answer."""
    words = [str(subject.template.choices)] if side == "target" else []
    for piece in subject.body.pieces:
        if piece.side == side:
            is_text = piece.kind == "text"
            words += _WORD.findall(piece.text.casefold()) if is_text else [repr(piece.node)]
    return words


def _essence(template: Template) -> tuple[object, ...]:
    return " ".join(template.body.split()), template.choices, template.rationale


def unused_variable(subject: Subject) -> Iterator[Found]:
    """A variable is set and never used."""
    if subject.body.tree is None:
        return
    stored: dict[str, int] = {}
    loaded = {name.name for name in subject.body.tree.find_all(nodes.Name) if name.ctx == "load"}
    for statement in subject.body.tree.find_all(nodes.Assign):
        is_for_its_effect = isinstance(statement.node, nodes.Call)
        if isinstance(statement.target, nodes.Name) and not is_for_its_effect:
            stored.setdefault(statement.target.name, statement.lineno)
    for name, line in stored.items():
        if name not in loaded and not name.startswith("_"):
            yield Found(f"{name!r} is set and never used", "a use of it, or no set", line)


def missing_metadata(subject: Subject) -> Iterator[Found]:
    """The head does not say what kind of template it is."""
    template = subject.template
    facts = {
        "original_task": template.original_task is not None or template.kind == "inverted",
        "choices_in_prompt": template.choices_in_prompt is not None or template.choices is None,
        "metrics": bool(template.metrics),
    }
    absent = [name for name, is_given in facts.items() if not is_given]
    if absent:
        yield Found(f"{', '.join(absent)} not given", "a value for each")


def accuracy_without_choices(subject: Subject) -> Iterator[Found]:
    """The metric is accuracy, but there are no answer choices to rank."""
    metrics = [metric.casefold() for metric in subject.template.metrics]
    if "accuracy" in metrics and subject.template.choices is None:
        what = "the metric is accuracy, but there are no answer_choices"
        yield Found(what, "answer_choices, or exact match")


def stray_braces(subject: Subject) -> Iterator[Found]:
    """Braces are printed that look like Jinja gone wrong."""
    columns = set(subject.columns or ()) | subject.variables
    text = "".join(piece.text for piece in subject.body.texts())
    is_unbalanced = text.count("{") != text.count("}")
    for piece in subject.body.texts():
        for mark in ("{{", "}}", "{%", "%}", "{#", "#}"):
            if mark in piece.text and (is_unbalanced or mark not in ("{{", "}}")):
                yield Found(f"{mark} is printed as it stands", "balanced {{ }}", _line_in(piece, mark))
        for name in _FIELD.findall(piece.text):
            if name in columns:
                what = f"{{{name}}} is printed as it stands"
                yield Found(what, f"{{{{ {name} }}}}", _line_in(piece, name))


def missing_space(subject: Subject) -> Iterator[Found]:
    """A word of the template follows a printed value without a space."""
    for piece in subject.body.texts():
        found = re.match(r"[A-Z][a-z]+\b|[a-z]{2,}(?= [a-zA-Z])", piece.text)
        if (
            found
            and found[0] not in _SUFFIXES
            and piece.after
            and not any(isinstance(n, _WORKED_OUT) for n in _parts(piece.after))
        ):
            what = f"{found[0]!r} follows a printed value without a space"
            yield Found(what, f"a space before {found[0]!r}", piece.line)


_SUFFIXES = frozenset("st nd rd th es ed ing er est ly ness ful less like km kg cm mm am pm".split())
"""What may rightly follow a value without a space."""


def _parts(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    yield from node.find_all(nodes.Expr)


_WORKED_OUT = (nodes.Call, nodes.Filter)
"""What may leave a space at the end of a printed value."""


def wrong_language(subject: Subject) -> Iterator[Found]:
    """The template's own words are not in the language that it declares."""
    words = " ".join(piece.text for piece in subject.body.texts("prompt"))
    languages = {language.split("-")[0] for language in subject.template.languages}
    if languages == {"ko"} and _LATIN.search(words) and not _HANGUL.search(words):
        yield Found("declared as Korean, but its own words have no Hangul", "languages: [en]")
    if "ko" not in languages and len(_HANGUL.findall(words)) > len(_LETTER.findall(words)):
        listed = ", ".join(sorted(languages))
        yield Found(f"declared as {listed}, but its own words are in Hangul", "languages: [ko]")


def misplaced_mark(subject: Subject) -> Iterator[Found]:
    """`options` or `fit` stands where it cannot work."""
    for piece, node in subject.body.expressions("target"):
        if isinstance(node, nodes.Filter) and node.name in ("options", "fit"):
            yield Found(f"| {node.name} in the target", "it in the prompt only", piece.line)
    for line, text in _lines(subject):
        if OPTIONS in text and text.strip() != OPTIONS:
            yield Found("| options beside other text", "a line of its own", line)


def _lines(subject: Subject) -> Iterator[tuple[int, str]]:
    """Yield the lines of the prompt in every branch, an expression as one character."""
    line, text = 0, ""
    for piece in subject.body.pieces:
        if piece.side == "prompt" and piece.kind in ("text", "print"):
            head, *rest = piece.text.split("\n") if piece.kind == "text" else [_printed(piece.node)]
            line, text = line or piece.line, text + head
            for number, more in enumerate(rest, 1):
                yield line, text
                line, text = piece.line + number, more
    yield line, text


def _printed(node: nodes.Node | None) -> str:
    return OPTIONS if isinstance(node, nodes.Filter) and node.name == "options" else "\ufffc"


def draw_twice(subject: Subject) -> Iterator[Found]:
    """Prompt and target each draw from the same list, so that they take different elements."""
    drawn = [node for _, node in subject.body.expressions("prompt") if _is_draw(node)]
    for piece, node in subject.body.expressions("target"):
        if _is_draw(node) and node in drawn:
            expected = "{% set one = ... | choice %} before both"
            yield Found("the target draws again what the prompt has drawn", expected, piece.line)
            return


def _is_draw(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Filter) and node.name in ("choice", "random")


def bad_ignore(subject: Subject) -> Iterator[Found]:
    """A lint comment has no reason, or names no rule."""
    for ignore in subject.ignores:
        if ignore.wrong:
            line = ignore.line - subject.template.line + 1
            yield Found(ignore.wrong, "# lint: ignore[rule] reason", line)


def unused_ignore(subject: Subject) -> Iterator[Found]:
    """A lint comment ignores a rule that finds nothing."""
    for ignore in subject.ignores:
        if subject.ran.get(ignore.rule) is False:
            line = ignore.line - subject.template.line + 1
            yield Found(f"{ignore.rule} finds nothing here", "no such comment", line)


def _line_of(subject: Subject, name: str) -> int:
    if line := line_in_head(subject.template, subject.text, name):
        return line - subject.template.line + 1
    found = (piece.line for piece, node in subject.body.expressions() if _is_name(node, name))
    return next(found, 0)


def _is_name(node: nodes.Node, name: str) -> bool:
    return isinstance(node, nodes.Name) and node.name == name


def _line_in(piece: Piece, text: str) -> int:
    return piece.line + piece.text[: piece.text.index(text)].count("\n")


def _of_problem(subject: Subject, problem: Problem) -> Found:
    """Return a problem as a finding, its line told from its place, or from the key that it is about."""
    template = subject.template
    what = problem.what + (f"; did you mean {problem.nearest!r}?" if problem.nearest else "")
    place = re.fullmatch(r":(\d+)(:\d+)?", problem.where.removeprefix(template.origin))
    line = int(place[1]) if place else subject.keys.get(problem.what.split(":")[0], 0)
    return Found(what, problem.expected, line - template.line + 1 if line else 0)
