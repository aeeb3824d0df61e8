"""Templates written against the compiled path: what Jinja does lazily, late, by identity, or not at all."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from compiled_kit import KEY, compare, force, make
from instructify.errors import InstructifyError
from instructify.render.compiled import BatchTemplate, Rows
from instructify.render.reference import PROTECTOR, ReferenceTemplate

ROW: dict[str, Any] = {
    "text": "abc",
    "num": 5,
    "label": 1,
    "flag": True,
    "words": ["a", "b", "a", "c", "b", "d"],
    "nums": [1, 2, 3],
    "blob": b"a%db",
}
WORDS = "words | map('upper')"

LAZY = {
    "a loop's condition sees what its body appended": (
        "{% set s = [] %}{% for w in words if w not in s %}{{ w }}{% set _ = s.append(w) %}{% endfor %}"
    ),
    "a loop's condition sees what its body counted": (
        "{% set ns = namespace(n=0) %}{% for w in words if ns.n < 2 %}{{ w }}{% set ns.n = ns.n + 1 %}"
        "{% endfor %}"
    ),
    "a loop's condition draws between the draws of its body": (
        "{% for w in words if (['a','b'] | choice) == 'a' %}{{ w }}{{ ['c','d','e'] | choice }}{% endfor %}x"
    ),
    "the body takes from the generator that it walks": (
        f"{{% set g = {WORDS} %}}{{% for x in g if x %}}{{{{ x }}}}-{{{{ g | first }}}};{{% endfor %}}"
    ),
    "the body takes from the generator and asks whether it is at the end": (
        f"{{% set g = {WORDS} %}}{{% for x in g %}}{{{{ x }}}}-{{{{ g | first }}}}{{{{ loop.last }}}};"
        "{% endfor %}"
    ),
    "the same by another name": (
        f"{{% set g = {WORDS} %}}{{% set h = g %}}"
        "{% for x in h %}{{ x }}{{ g | first }}{{ loop.nextitem }}{% endfor %}"
    ),
    "the same of a generator over a generator": (
        f"{{% set g = {WORDS} %}}{{% for x in g | select %}}{{{{ x }}}}{{{{ g | first }}}}{{{{ loop.last }}}}"
        "{% endfor %}"
    ),
    "the same held by a namespace": (
        f"{{% set ns = namespace(g={WORDS}) %}}"
        "{% for x in ns.g %}{{ x }}{{ ns.g | first }}{{ loop.last }}{% endfor %}"
    ),
    "the same by an item of it": (
        f"{{% set ns = namespace(g={WORDS}) %}}"
        "{% for x in ns['g'] %}{{ x }}{{ ns.g | first }}{{ loop.last }}{% endfor %}"
    ),
    "the same held by a namespace in a namespace": (
        f"{{% set g = {WORDS} %}}{{% set n = namespace(a=namespace(b=g)) %}}"
        "{% for x in n.a.b %}{{ x }}{{ g | first }}{{ loop.last }}{% endfor %}"
    ),
    "the same held by one namespace or another": (
        f"{{% set g = {WORDS} %}}{{% set n = namespace(a=g) %}}"
        "{% for x in (n if flag else n).a %}{{ x }}{{ loop.last }}{{ g | first }}{% endfor %}"
    ),
    "the same asked for by a condition": (
        f"{{% set n = namespace(h=namespace(g={WORDS})) %}}"
        "{% for x in words if x | upper in n.h.g %}{{ x }}{{ loop.last }}{{ n.h.g | first }}{% endfor %}"
    ),
    "the same in pairs": (
        f"{{% set n = namespace(h=namespace(g={WORDS})) %}}"
        "{% for x, y in zip(words, n.h.g) %}{{ x }}{{ loop.last }}{{ n.h.g | first }}{% endfor %}"
    ),
    "a condition that draws, in a loop that asks for its length": (
        "{% for w in words if (['a','b'] | choice) == 'a' %}{{ loop.last }}{{ ['c','d'] | choice }}"
        "{% endfor %}x"
    ),
    "a condition that counts, in a loop that asks for its end": (
        "{% set ns = namespace(n=0) %}{% for w in words if ns.n < 2 %}{{ w }}{{ loop.last }}"
        "{% set ns.n = ns.n + 1 %}{% endfor %}"
    ),
    "a condition that takes from a generator, in a loop that asks for its end": (
        f"{{% set g = {WORDS} %}}{{% for w in words if (g | first) != 'C' %}}{{{{ w }}}}{{{{ g | first }}}}"
        "{{ loop.last }}{% endfor %}"
    ),
    "the owner of a method draws before its arguments": (
        "{{ (['a','b'] | choice).replace('a', ['x','y'] | choice) }}"
        "{{ (words | choice).split(words | choice) }}"
    ),
    "a generator is not the one that is passed on": (
        f"{{% set g = {WORDS} %}}{{{{ g is sameas g }}}}{{{{ g is eq g }}}}{{{{ g is ne g }}}}"
    ),
}


@pytest.mark.parametrize("dialect", ["promptsource", "strict"])
@pytest.mark.parametrize("case", LAZY)
def test_what_happens_late_in_the_reference_happens_late_on_every_path(case, dialect):
    compare(make(LAZY[case] + "\n|||\nt", dialect), pa.Table.from_pylist([ROW] * 8))


PLAIN = {
    "columns whose names Python takes for one": ("{{ ﬁ }}{{ fi }}", {"ﬁ": "1", "fi": "2"}),
    "variables whose names Python takes for one": ("{% set ﬁ='a' %}{% set fi='b' %}{{ ﬁ }}{{ fi }}", ROW),
    "an argument whose name Python writes otherwise": ("{% set ns = namespace(ﬁ=1) %}{{ ns.ﬁ }}x", ROW),
    "a name in decomposed Hangul": ("{% set 가='b' %}{{ 가 }}{{ 가 }}", {"가": "a"}),
    "bytes that are added": ("{{ blob + blob }}", ROW),
    "bytes that are multiplied": ("{{ blob * 2 }}{{ (num * blob) | length }}", ROW),
    "bytes as a format": ("{{ blob % 3 }}", ROW),
    "a list takes in a function": (
        "{% set _ = words.append(range) %}{% if words == words %}a{% endif %}b",
        ROW,
    ),
    "a list takes in a namespace": (
        "{% set _ = words.append(namespace()) %}{{ words | select('string') | join }}",
        ROW,
    ),
    "lists that are short enough, one after the other": (
        "{{ (words | truncate(99)) ~ (nums | truncate(99)) }}",
        ROW,
    ),
    "no else": ("{{ ('a' if 0) is sequence }}{{ ('a' if 0) is undefined }}x{{ 'a' if 0 }}", ROW),
    "a column called loop": (
        "{% for w in words %}{{ loop.index }}{% endfor %}{{ loop.index }}",
        ROW | {"loop": {"index": "Z"}},
    ),
    "a column called loop, asked for its kind": (
        (
            "{% for x in nums %}{% if loop.index | string == 1 %}EQ{% endif %}{{ loop.index ~ loop.index0 }}"
            "{% set q = loop.last | string %}{{ q is boolean }}{{ q is string }}{% endfor %}"
        ),
        ROW | {"loop": {"index": "Z", "index0": "Y", "last": "X"}},
    ),
    "choices as a column": ("{{ text }}", ROW | {"answer_choices": "Z"}),
}


@pytest.mark.parametrize("dialect", ["promptsource", "strict"])
@pytest.mark.parametrize("case", PLAIN)
def test_names_bytes_and_odd_values_are_the_same_on_every_path(case, dialect):
    body, row = PLAIN[case]
    compare(make(body + "\n|||\nt", dialect), pa.Table.from_pylist([row] * 3))


APPEND = "{% set _ = answer_choices.append("
CHOICES = {
    "a bar of a choice meets the bars beside it": (
        "q {{ answer_choices[label] }}|||{{ answer_choices[0] }}",
        "|a ||| b| ||| x",
    ),
    "a choice begins with a bar": ("{{ answer_choices[0] }}||| t", "a| ||| | t"),
    "a choice holds the mark that stands for bars": ("q ||| {{ answer_choices[1] }}", f"a ||| b{PROTECTOR}c"),
    "a number is appended": (APPEND + "num) %}q ||| {{ answer_choices[0] }}", "abc ||| d"),
    "nothing is appended": (APPEND + "none) %}q ||| {{ answer_choices[0] }}", "abc ||| d"),
    "bytes are appended": (APPEND + "blob) %}q ||| {{ answer_choices[0] }}", "abc ||| d"),
    "what is not there is appended": (APPEND + "nope) %}q ||| {{ answer_choices[0] }}", "abc ||| d"),
    "a number is appended, and the target is no choice": (APPEND + "num) %}q ||| t", "abc ||| d"),
    "a text is appended": (APPEND + "text) %}q ||| {{ answer_choices[2] }}", "a ||| d"),
    "some choices are the same": ("q ||| {{ answer_choices[label] }}", "a ||| b ||| a"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_odd_answer_choices_are_the_same_on_every_path(case):
    body, choices = CHOICES[case]
    rows = pa.Table.from_pylist([ROW | {"label": n % 3} for n in range(6)])
    compare(make(body, choices=choices), rows)
    compare(make(body, "strict", choices=tuple(part.strip() for part in choices.split("|||"))), rows)


def test_a_column_may_have_any_name_where_choices_are_an_expression():
    rows = pa.Table.from_pylist([{"keep": "k", "other": "o"}] * 2)
    template = make("a\n|||\n{{ answer_choices[0] }}", "strict", choices="[keep, other]")
    assert compare(template, rows) == [("a", "k", ("k", "o"), 0, None)] * 2
    assert ReferenceTemplate(template).variables == {"keep", "other"}


def test_hundreds_of_branches_render():
    branches = "".join(f"{{% elif num == {n} %}}{n}" for n in range(1, 600))
    rows = pa.table({"num": [0, 3, 599, 600]})
    wanted = compare(make("{% if num == 0 %}x" + branches + "{% endif %} ||| t"), rows)
    said = [found if isinstance(found, str) else found[0] for found in wanted]
    assert said == ["x", "3", "599", "blank-prompt"]


@pytest.mark.parametrize("dialect", ["promptsource", "strict"])
def test_half_a_character_is_refused_wherever_it_stands(dialect):
    for body, choices in (("\ud800 a ||| t", None), ("a ||| t", "\ud800 ||| b")):
        with pytest.raises(InstructifyError, match="half a character"):
            ReferenceTemplate(
                make(body, dialect, choices=(choices,) if choices and dialect == "strict" else choices)
            )


LONG, MANY = "a" * 60_000, {"words": [f"w{n}" for n in range(1_000)], "stop": [f"s{n}" for n in range(1_100)]}
MAPPING = pa.array([[(f"k{n}", n) for n in range(12_000)]], pa.map_(pa.string(), pa.int64()))
FIXED = pa.FixedSizeListArray.from_arrays(pa.array(range(40_000)), 40_000)
VIEW = pa.array([list(range(1_100_000))], pa.list_view(pa.int64()))
DECIMAL = pa.array([decimal.Decimal("123456789012345678901234567890.12")])
NOTHING = "{% for a in range(999) %}{% for b in range(1000) if (range(1000)|select('gt', 999)|first) %}"
COSTLY: dict[str, tuple[str, Any]] = {
    "select in a list": ("{{ words | select('in', stop) | list | length }}", MANY),
    "reject in a list": ("{{ words | reject('in', stop) | join(' ') }}", MANY),
    "select in a text": ("{{ words | select('in', text) | list | length }}", MANY | {"text": "q" * 30_000}),
    "selectattr in a list": (
        "{{ items | selectattr('k', 'in', stop) | list | length }}",
        MANY | {"items": [{"k": word} for word in MANY["words"]]},
    ),
    "conditions that never hold": (
        "{% for a in range(200) %}{% for b in range(1000) if b > 9999 %}{% endfor %}{% endfor %}x",
        ROW,
    ),
    "ranges": ("{% for i in range(999) %}{{ range(1000) | max }}{% endfor %}", ROW),
    "ranges within conditions": (NOTHING + "{% endfor %}{% endfor %}x", ROW),
    "the characters of a text": ("{{ text | max }}" * 20, {"text": LONG}),
    "the characters of a text, unique": ("{{ text | unique | list | length }}" * 20, {"text": LONG}),
    "the characters of a text, sorted": ("{{ text | sort | length }}" * 20, {"text": LONG}),
    "pieces of a text": ("{{ text.split('a') | join('') | length }}" * 6, {"text": LONG}),
    "lines of a text": ("{{ text.splitlines() | length }}" * 20, {"text": "\n" * 60_000 + "a"}),
    "pairs": ("{{ zip(nums, nums) | map('first') | join }}" * 3, {"nums": list(range(4_000))}),
    "items": (
        "{{ table.items() | map('first') | join | length }}" * 3,
        {"table": {f"k{n}": n for n in range(4_000)}},
    ),
    "a map": ("{% if m == [] %}a{% endif %}b", pa.table({"m": MAPPING})),
    "a list of fixed size": ("{% if m == [] %}a{% endif %}" * 30 + "b", pa.table({"m": FIXED})),
    "a list view": ("{% if m == n %}a{% endif %}b", pa.table({"m": VIEW, "n": [1]})),
    "decimals": (
        "{% set ns = namespace(x=dec) %}{% for i in range(12) %}{% set ns.x = ns.x*ns.x %}{% endfor %}x",
        pa.table({"dec": DECIMAL}),
    ),
}


@pytest.mark.parametrize("case", COSTLY)
def test_work_that_hides_in_filters_and_values_is_paid_for_on_every_path(case):
    body, row = COSTLY[case]
    rows = row if isinstance(row, pa.Table) else pa.Table.from_pylist([row])
    assert compare(make(body + " ||| t"), rows) == ["over-budget"]


LOOK = "{% if v == v %}{% endif %}"
ONES = ", ".join("1" * 2_000)
LOOKED_AT: dict[str, tuple[str, Any]] = {
    "a list of many numbers": ("{% set v = [1] * 9000 %}" + LOOK * 60, ROW),
    "a list of many lists": ("{% set v = [[]] * 9000 %}" + LOOK * 30, ROW),
    "a list of long texts": ("{% set v = [text] * 20 %}" + LOOK * 60, {"text": "a" * 9_000}),
    "numbers of many digits": ("{% set v = [99999999999999999999] * 4000 %}" + LOOK * 3, ROW),
    "a literal, in a loop": (f"{{% set v = [{ONES}] %}}{{% for i in range(300) %}}{LOOK}{{% endfor %}}", ROW),
    "a range that is kept, in a loop": (
        f"{{% set v = range(1000) %}}{{% for i in range(600) %}}{LOOK}{{% endfor %}}",
        ROW,
    ),
    "a view that is kept, in a loop": (
        f"{{% set v = table.items() %}}{{% for i in range(100) %}}{LOOK}{{% endfor %}}",
        {"table": {f"k{n}": n for n in range(60)}},
    ),
    "pieces that are kept, in a loop": (
        f"{{% set v = text.split('a') %}}{{% for i in range(140) %}}{LOOK}{{% endfor %}}",
        {"text": "a" * 4_000},
    ),
    "a view, several times in one place": (
        "{% set v = table.items() %}" + "{% if v == v == v == v %}{% endif %}" * 30,
        {"table": {f"k{n}": n for n in range(100)}},
    ),
    "the words of a text": ("{{ text | wordcount }}" * 20, {"text": LONG}),
    "the title of a text": ("{{ text | title | length }}" * 20, {"text": LONG}),
    "a text composed again and again": (
        ("{{ text" + " | nfc" * 8 + " | length }}") * 5,
        {"text": LONG + "é"},
    ),
    "the bytes of a value": ("{{ blob | max }}" * 20, {"blob": b"a" * 60_000}),
    "bytes, the other way round": (
        ("{{ blob" + " | reverse" * 8 + " | length }}") * 3,
        {"blob": b"a" * 60_000},
    ),
    "bytes of a fixed size": (
        LOOK.replace("v", "blob") * 3,
        pa.table({"blob": pa.array([b"x" * 3_000_000], pa.binary(3_000_000))}),
    ),
    "dictionaries in a list": (
        "{% if v == v %}{% endif %}" * 30,
        pa.table({"v": pa.ListArray.from_arrays([0, 3], pa.array(["x" * 300_000] * 3).dictionary_encode())}),
    ),
    "numbers made of texts": (
        ("{{ words" + " | map('int')" * 4 + " | list | length }}") * 2,
        {"words": ["9" * 20] * 1_700},
    ),
    "members of a list of long texts": (
        "{{ words | select('in', tags) | list | length }}" * 4,
        {"words": [""] * 3_800, "tags": ["y" * 63] * 16},
    ),
    "pieces that leave nothing": ("{{ text.split('a') | join('') }}" * 6, {"text": LONG}),
}


@pytest.mark.parametrize("case", LOOKED_AT)
def test_what_is_looked_at_often_is_paid_for_on_every_path(case):
    body, row = LOOKED_AT[case]
    rows = row if isinstance(row, pa.Table) else pa.Table.from_pylist([row])
    assert compare(make(body + "q ||| t"), rows) == ["over-budget"]


def test_answer_choices_are_paid_for_however_they_are_made():
    body = f"{{% set v = answer_choices %}}{{% for i in range(300) %}}{LOOK}{{% endfor %}}q\n|||\nabc"
    row = pa.Table.from_pylist([ROW])
    assert compare(make(body, choices="|||" * 5_000 + "{{ text }}"), row) == ["over-budget"]
    listed = "[" + ", ".join(f"'{n}'" for n in range(2_000)) + "]"
    assert compare(make(body, "strict", choices=listed), row) == ["over-budget"]


def test_texts_that_double_are_dropped_by_the_kernels_as_soon_as_they_are_too_long():
    doubled = "{% set b = text ~ text %}" + "{% set b = b ~ b %}" * 60
    rows = pa.table({"text": ["ab" if n % 5 < 2 else "" for n in range(64)], "num": range(64)})
    with force("kernels"):
        batch = BatchTemplate(make(doubled + "q{{ num }} ||| a")).render(Rows(rows, np.arange(64)), KEY)
    assert len(batch.dropped["over-budget"]) == 26
    assert batch.by_kernels == 38


def test_options_are_laid_out_of_the_answer_choices_alone():
    body = "{% set answer_choices = ['a', 'b'] %}{{ answer_choices | options }} q\n|||\na"
    rows = pa.table({"text": ["a"] * 3})
    for dialect, choices in (("promptsource", "a ||| b"), ("strict", ("a", "b"))):
        assert compare(make(body, dialect, choices=choices), rows) == ["type-error"] * 3


def test_many_constant_choices_are_counted_once():
    choices = tuple(f"choice {n}" for n in range(4_000))
    rows = pa.table({"label": [0, 3_999, 17]})
    template = make("q\n|||\n{{ answer_choices[label] }}", "strict", choices=choices)
    assert [found[3] for found in compare(template, rows)] == [0, 3_999, 17]


def test_templates_of_these_kinds_still_compile():
    """The mends above refuse no more than they must."""
    bodies = (
        "{% for w in words if w != 'a' %}{{ loop.index }}{{ w }}{% endfor %}",
        "{% for w in words if w != 'a' %}{{ w }}{{ '' if loop.last else ', ' }}{% endfor %}",
        "{% for w in words | map('upper') %}{{ w }}{{ '' if loop.last else ', ' }}{% endfor %}",
        "{% set l = words | list %}{% for w in l %}{{ w }}{{ '' if loop.last else ', ' }}{% endfor %}",
        "{% for a, b in zip(words, nums) %}{{ a }}{{ b }}{{ '' if loop.last else ', ' }}{% endfor %}",
        "{{ words | select('in', ['a', 'b']) | join }}{{ words | reject('equalto', 'a') | join }}",
        "{{ text.split('b')[0] }}{{ text.replace('a', 'b') }}",
        "{{ words | select('equalto', text) | join }}{{ words | reject('in', [text, 'a']) | join }}",
        "{% for w in long.split() %}{{ loop.index }} {{ w }}{{ '' if loop.last else ', ' }}{% endfor %}",
        "{% for w in long.split() if w != 'w3' %}{{ w }} {% endfor %}",
        "{% set n = namespace(n=0) %}{% for w in words if w %}{% set n.n = 1 %}{{ loop.last }}{% endfor %}",
        "{% for x in [['a', 'b'], ['c', 'd']] | choice %}{{ x }}{{ '' if loop.last else ',' }}{% endfor %}",
        "{% for i in range(12) %}{% for j in range(12) %}{{ i * j }} {% endfor %}{% endfor %}",
    )
    table = pa.Table.from_pylist([ROW | {"long": " ".join(f"w{n}" for n in range(200))}] * 3)
    for body in bodies:
        template = make(body + " ||| t")
        compare(template, table)
        assert BatchTemplate(template).refusal is None, body
        with force("function"):
            batch = BatchTemplate(template).render(Rows(table, np.arange(3)), KEY)
        assert batch.by_reference == 0, body
