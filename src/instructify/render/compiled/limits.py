"""What the compiled path takes on: nothing that could run away between two looks at its budget.

The reference pays for every step as it goes. Generated code pays by an estimate, once a loop turn, which
holds only for operations whose time and result are in proportion to their input. All others are left to
the reference: few templates that mean well use them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from jinja2 import nodes

from instructify.render.compiled.trees import CannotCompile, is_constant
from instructify.render.meter import SMALL_BITS
from instructify.render.rewrite import CUT

FILTERS = frozenset(
    "abs capitalize choice count d default first fit float format int join josa last length list lower map "
    "max min most_frequent nfc options random reject rejectattr replace reverse round select selectattr sort "
    "string title trim truncate unique upper wordcount".split()
)
CONSTANT_ARGUMENTS = frozenset("int float round trim truncate".split())
MAPPED = frozenset(
    "abs capitalize count d default first float int last length list lower max min string title upper "
    "trim choice random".split()
)
"""Filters that `map` may apply: the results of others may be larger than their input."""

METHODS = frozenset(
    "append capitalize count endswith find get index isalpha isdigit isupper items join keys lower lstrip "
    "partition pop removeprefix removesuffix replace rstrip split splitlines startswith strip title update "
    "upper values".split()
)
CONSTANT_METHODS = frozenset("lstrip partition rstrip split strip".split())
MAX_CONSTANT = 100
"""Most characters or greatest size of a constant argument."""
_PLAIN_FORMAT = re.compile(r"([^%]|%%|%[0 +-]?\d{0,2}(\.\d{1,2})?[dfs])*", re.DOTALL)


def check_limits(tree: nodes.Node) -> None:
    """Raise CannotCompile for the first operation that is the reference's alone."""
    for node in tree.find_all((nodes.Filter, nodes.Call, nodes.Const)):
        if isinstance(node, nodes.Const):
            if isinstance(node.value, int) and node.value.bit_length() > SMALL_BITS:
                raise CannotCompile("a number of so many digits", node.lineno)
        elif isinstance(node, nodes.Filter):
            _check_filter(node)
        elif isinstance(node, nodes.Call):
            _check_call(node)


def check_names(tree: nodes.Node) -> None:
    """Raise CannotCompile for a name that Python would write otherwise, as it does where Jinja writes it."""
    for node in tree.find_all((nodes.Name, nodes.NSRef, nodes.Keyword)):
        name = node.key if isinstance(node, nodes.Keyword) else node.name  # type: ignore[attr-defined]
        if unicodedata.normalize("NFKC", name) != name:
            raise CannotCompile(f"the name {name}, which Python writes otherwise", node.lineno)


def _check_filter(node: nodes.Filter) -> None:
    given = [*node.args, *(pair.value for pair in node.kwargs)]
    small = node.name not in CONSTANT_ARGUMENTS or _are_small(given, 1 if node.name == "int" else 3)
    if node.name == "map" and node.args:
        first = node.args[0]
        small = isinstance(first, nodes.Const) and first.value in MAPPED and _are_small(given[1:], 3)
    if node.name == "format":
        text = node.node.value if isinstance(node.node, nodes.Const) else None
        small = isinstance(text, str) and len(text) <= MAX_CONSTANT and not node.kwargs
        small = small and _PLAIN_FORMAT.fullmatch(str(text)) is not None
    if node.name not in FILTERS | {CUT} or not small:
        raise CannotCompile(f"the filter {node.name} used so", node.lineno)


def _check_call(node: nodes.Call) -> None:
    called = node.node
    if isinstance(called, nodes.Name) and called.name == "dict":
        raise CannotCompile("a call of dict", node.lineno)
    if not isinstance(called, nodes.Getattr):
        return
    small = called.attr not in CONSTANT_METHODS or _are_small(node.args, 3)
    small = small or (called.attr == "split" and len(node.args) == 1)
    if called.attr == "join":
        small = _are_small([called.node], 1)
    if called.attr not in METHODS or node.kwargs or not small:
        raise CannotCompile(f"the method {called.attr} used so", node.lineno)


def _are_small(given: Iterable[nodes.Node], most: int) -> bool:
    listed = list(given)
    return len(listed) <= most and all(is_constant(node) and _is_small(node) for node in listed)


def _is_small(node: nodes.Node) -> bool:
    value = node.node.value if isinstance(node, (nodes.Neg, nodes.Pos)) else node.value  # type: ignore[attr-defined]
    if isinstance(value, str):
        return len(value) <= MAX_CONSTANT
    return not isinstance(value, (int, float)) or abs(value) <= MAX_CONSTANT * MAX_CONSTANT
