"""Every filter, test and operator is tried on every kind of value, on every path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest
from jinja2.tests import TESTS

from compiled_kit import compare, make
from instructify.errors import InstructifyError
from instructify.render.filters import FROM_JINJA, OWN

VALUES = (
    "text", "other", "num", "label", "real", "flag", "words", "nums", "nested", "rec", "recs", "missing",
    "blank", "empty", "none", "true", "1", "0", "-1", "1.5", "''", "'a'", "'True'", "[]", "{}", "()",
    "(1, 2)", "['a', 'B']", "{'a': 1}", "(recs | map(attribute='k'))", "(words | map('upper'))",
    "(words | select)", "(words | reverse)", "[words | reverse]", "range", "range(3)", "dict",
    "namespace(a=1)", "rec.missing", "rec['x y']", "words[9]", "text[99]", "text[0]", "rec.items",
    "rec.inner", "rec.inner.ys", "words.append", "text.upper", "(text ~ num)", "(num > 1)",
    "(none | default('d'))", "(text | fit)", "(words | batch(2))", "answer_choices", "(num,)", "recs[0]",
    "recs[0].v", "(missing | default(words))", "(real | round)", "10**20", "1e308 * 10", "text.split()",
    "(text | list)", "joiner(',')", "cycler(1, 2)",
)  # fmt: skip
TEST_ARGUMENTS: Mapping[str, Sequence[str]] = {
    **{name: ["(1)", "('a')", "(num)"] for name in ("eq", "equalto", "ne")},
    **{name: ["(1)"] for name in ("ge", "gt", "greaterthan", "le", "lt", "lessthan")},
    "divisibleby": ["(2)", "(0)"],
    "in": ["(words)", "(text)"],
    "sameas": ["(none)", "(true)"],
}
FILTER_ARGUMENTS: Mapping[str, Sequence[str]] = {
    "batch": ["(2)", "(2, 'x')"],
    "center": ["(6)"],
    "d": ["('d')"],
    "default": ["('d')", "('d', true)"],
    "dictsort": ["", "(by='value')"],
    "format": ["(1)", "('a')"],
    "indent": ["", "(2)"],
    "int": ["", "(7)"],
    "join": ["", "(', ')", "(', ', attribute='k')"],
    "josa": ["('을')"],
    "map": ["('upper') | list", "(attribute='k')", "(attribute='k') | list", "('string') | list"],
    "reject": [" | list", "('none') | list"],
    "rejectattr": ["('k') | list"],
    "replace": ["('a', 'b')"],
    "reverse": ["", " | list"],
    "round": ["", "(1)", "(0, 'floor')"],
    "select": ["", " | list", "('string') | list"],
    "selectattr": ["('k') | list", "('v', 'gt', 1) | list"],
    "sort": ["", "(reverse=true)", "(attribute='k')"],
    "sum": ["", "(attribute='v')"],
    "truncate": ["(2)", "(255)"],
    "unique": [" | list"],
}
USES = (
    "{{ # }}", "{{ # ~ 'x' }}", "{% for x in # %}{{ x }},{% endfor %}", "{% if # %}y{% else %}n{% endif %}",
    "{{ # == text }}", "{{ # in words }}", "{{ text in # }}", "{{ #[0] }}", "{{ #.k }}", "{{ # + 1 }}",
    "{{ # * 2 }}", "{{ -# }}", "{{ # < 2 }}", "{{ #[1:] }}", "{{ #[label] }}", "{{ # % 2 }}",
    "{% set z = # %}{{ z }}{{ z }}", "{{ # // 2 }}", "{{ # ** 2 }}",
)  # fmt: skip
ROW = {
    "text": "a Bc",
    "other": "zz",
    "num": 5,
    "label": 1,
    "real": 0.5,
    "flag": True,
    "words": ["ab", "Cd"],
    "nums": [1, 2, 3],
    "nested": [["a"], []],
    "rec": {"name": "n", "items": "i", "inner": {"x": "y", "ys": [1]}},
    "recs": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
    "blank": None,
    "empty": "",
}
OTHER = {**ROW, "text": "", "num": -3, "label": 0, "real": -0.0, "flag": False, "words": [], "recs": []}
TABLE = pa.Table.from_pylist([ROW, {**OTHER, "blank": "b"}])
NAMED_TESTS = sorted(name for name in TESTS if name.isidentifier())
FILTERS = sorted({*FROM_JINJA, *OWN, "random", "string"})


def agreed(bodies: Sequence[str]) -> int:
    """Return how many of the bodies are templates, once all paths agree on all of these."""
    count = 0
    for body in bodies:
        template = make(f"q ||| {body}")
        try:
            compare(template, TABLE)
        except InstructifyError:  # a number has no attribute that one could write
            continue
        count += 1
    return count


@pytest.mark.parametrize("name", NAMED_TESTS)
def test_a_test_says_the_same_of_every_kind_of_value(name: str) -> None:
    arguments = TEST_ARGUMENTS.get(name, [""])
    bodies = [f"{{{{ {value} is {name}{given} }}}}" for value in VALUES for given in arguments]
    assert agreed(bodies) == len(bodies)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_makes_the_same_of_every_kind_of_value(name: str) -> None:
    arguments = FILTER_ARGUMENTS.get(name, [""])
    bodies = [f"{{{{ {value} | {name}{given} }}}}" for value in VALUES for given in arguments]
    assert agreed(bodies) == len(bodies)


@pytest.mark.parametrize("use", USES)
def test_an_operator_makes_the_same_of_every_kind_of_value(use: str) -> None:
    assert agreed([use.replace("#", value) for value in VALUES]) > len(VALUES) - 15


def test_the_grid_has_every_filter_and_test() -> None:
    assert len(NAMED_TESTS) > 30
    assert len(FILTERS) > 40
    assert set(TEST_ARGUMENTS) <= set(NAMED_TESTS)
    assert set(FILTER_ARGUMENTS) <= set(FILTERS)
