"""Every path gives a row the reference's outcome: generated templates, found cases, budgets, draws."""

from __future__ import annotations

import gc
import itertools
import os
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiled_kit import (
    KEY,
    NUMBERS_FROM,
    PATHS,
    SCHEMA,
    SHAPES,
    compare,
    force,
    is_template,
    make,
    outcomes_compiled,
    outcomes_of,
    row_of,
    shaped,
    tables,
)
from instructify.keys import Key
from instructify.render.compiled import BatchTemplate, Rows
from instructify.render.reference import PROTECTOR
from instructify.templates import Template
from template_grammar import templates

EXAMPLES = int(os.environ.get("INSTRUCTIFY_FUZZ_EXAMPLES", "250"))
FEWER = max(EXAMPLES // 5, 20)
CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))


def outcome(template: Template, row: dict[str, Any]) -> Any:
    """Return the one outcome that every path gives for a row, standing between two others like it."""
    first, second, third = compare(template, pa.Table.from_pylist([row] * 3))
    del first, third
    return second


# generated templates over generated rows


@settings(CALM, max_examples=EXAMPLES)
@given(templates(), tables())
def test_a_generated_template_renders_the_same_on_every_path(template, table):
    if is_template(template):
        compare(template, table)


@settings(CALM, max_examples=FEWER)
@given(templates(), tables(), st.integers(0, 2**63 - 100))
def test_rows_keep_their_outcomes_however_large_their_numbers(template, table, first):
    if is_template(template):
        compare(template, table, np.arange(first, first + table.num_rows))


@settings(CALM, max_examples=FEWER)
@given(templates(), tables(), st.lists(st.integers(0, 7), max_size=3), st.sampled_from(PATHS))
def test_where_a_batch_is_cut_changes_no_outcome(template, table, cuts, path):
    if not is_template(template):
        return
    numbers = np.arange(NUMBERS_FROM, NUMBERS_FROM + table.num_rows)
    places = sorted({0, table.num_rows, *(cut for cut in cuts if cut < table.num_rows)})
    with force(path):
        batch = BatchTemplate(template)
        whole = outcomes_of(batch.render(Rows(table, numbers), KEY), table.num_rows)
        pieces = []
        for start, stop in itertools.pairwise(places):
            rows = Rows(table.slice(start, stop - start), numbers[start:stop])
            pieces += outcomes_of(batch.render(rows, KEY), stop - start)
    assert pieces == whole


@settings(CALM, max_examples=FEWER)
@given(st.lists(templates(), min_size=2, max_size=4), tables(), st.sampled_from(PATHS))
def test_templates_leave_the_rows_they_share_as_they_were(some, table, path):
    numbers = np.arange(table.num_rows)
    before = table.to_pylist()
    batches = [BatchTemplate(template) for template in some if is_template(template)]
    with force(path):
        alone = [outcomes_of(b.render(Rows(table, numbers), KEY), table.num_rows) for b in batches]
        shared = Rows(table, numbers)
        together = [outcomes_of(b.render(shared, KEY), table.num_rows) for b in batches]
        again = [outcomes_of(b.render(shared, KEY), table.num_rows) for b in batches]
    assert repr(together) == repr(alone) == repr(again)
    assert repr(table.to_pylist()) == repr(before)


# cases that once rendered otherwise, or not at all

ROW = {"text": "abc", "other": "zz", "num": 5, "label": 1, "words": ["ab", "cd", "ef"], "nums": [1, 2, 3]}
LOOPS = "{% for a in words[:1] %}"
FOUND: dict[str, tuple[Template, dict[str, Any]]] = {
    "a column is called range": (make("{% for i in range(3) %}{{ i }}{% endfor %} ||| t"), {"range": "abc"}),
    "a number from a condition is asked for its truth": (
        make("{% set big = 1 if num > 5 else 0 %}{% if big %}a{% else %}b{% endif %} ||| t"),
        ROW,
    ),
    "a column is called dict": (make("{{ dict(a=1) }} ||| t"), {"dict": "abc"}),
    "a constant has more than 64 bits": (
        make("{% if num == 99999999999999999999 %}a{% endif %}b ||| t"),
        ROW,
    ),
    "a range has more than 64 bits": (
        make("{% for i in range(99999999999999999999) %}a{% endfor %}b ||| t"),
        ROW,
    ),
    "a table of constants has more than 64 bits": (
        make('{{ {"abc": 99999999999999999999}[text] }} ||| t'),
        ROW,
    ),
    "int makes a number of too many digits": (
        make('{% if ("f" * 5000) | int(0, 16) > 3 %}a{% endif %}b ||| t'),
        ROW,
    ),
    "a comparison is cut short before a draw": (
        make("{{ 9 < 1 < (words | choice) }}{{ words | choice }} ||| t"),
        ROW,
    ),
    "map draws": (make('{{ words | map("choice") | join }} ||| t'), ROW),
    "map draws by a computed name": (make("{{ words | map(text) | join }} ||| t"), ROW | {"text": "choice"}),
    "map prints a null": (make('{{ words | map("string") | join }} ||| t'), {"words": ["a", None]}),
    "map prints a null, strictly": (
        make('{{ words | map("string") | join }} ||| t', "strict"),
        {"words": ["a", None]},
    ),
    "an argument is named by a Python keyword": (make("{{ dict(class=1) }} ||| t"), ROW),
    "an attribute is named by a Python keyword": (
        make("{% set ns = namespace(class=1) %}{{ ns.class }} ||| t"),
        ROW,
    ),
    "19 loops are nested": (make(LOOPS * 19 + "x" + "{% endfor %}" * 19 + " ||| t"), ROW),
    "97 branches are nested": (make("{% if num %}" * 97 + "x" + "{% endif %}" * 97 + " ||| t"), ROW),
    "a loop adds to the list it goes through": (
        make(
            "{% for w in words %}{{ loop.length }}{{ w }}"
            '{% if loop.index < 3 %}{% set _ = words.append("x") %}{% endif %}{% endfor %} ||| t'
        ),
        ROW,
    ),
    "self is printed": (make("{{ self }}a ||| t"), ROW),
    "self is tested": (make("{% if self is defined %}a{% else %}b{% endif %} ||| t", "strict"), ROW),
    "a template holds the protector": (make(f"{PROTECTOR} ||| t"), ROW),
    "a template puts the protector together": (
        make("{{ text ~ other }} ||| t"),
        {"text": PROTECTOR[:5], "other": PROTECTOR[5:]},
    ),
    "there are no choices in the tuple": (make("a ||| t", "strict", ()), ROW),
    "choices are two expressions": (make("a ||| A", "strict", '"A", "B"'), ROW),
    "choices close the expression": (make("a ||| A", "strict", '["A"]) %}{% set q = (2'), ROW),
    "choices name an argument": (make("a ||| A", "strict", '["A"], x=1'), ROW),
    "center is wide": (make('{{ "a" | center(1000000) | length }} ||| t'), ROW),
    "indent is wide": (make('{{ "a\\nb" | indent(20000) | length }} ||| t'), ROW),
    "round has many digits": (make("{{ 2.5 | round(500) }} ||| t"), ROW),
    "batch is wide": (make("{{ [1] | batch(1000000, 0) | list | length }} ||| t"), ROW),
    "a list holds itself over and over": (
        make(
            "{% set ns = namespace(a=[1]) %}{% for i in range(20) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
            "{% if ns.a == 1 %}z{% endif %}a ||| t"
        ),
        ROW,
    ),
    "many tuples are compared": (
        make(
            "{% if zip(words, words) | list == [] or zip(words, words) | list == [] "
            "or zip(words, words) | list == [] %}a{% endif %}b ||| t"
        ),
        {"words": ["a"] * 3000},
    ),
    "truncate has no room for its end": (make("{{ text }} ||| t{{ text[:2] | truncate(2) }}"), ROW),
    "a list holds a generator": (make("{% if [words | map('upper')] %}a{% endif %}b ||| t"), ROW),
    "the rationale takes a choice away": (
        make(
            "{{ text }} ||| {{ answer_choices[label] }}",
            "strict",
            ("zz", "b", "b"),
            "{{ text }}{% set _ = answer_choices.pop() %}",
        ),
        ROW,
    ),
    "the rationale adds a choice": (
        make(
            "{{ text }} ||| {{ answer_choices[label] }}",
            "strict",
            ("a", "b"),
            "{{ text }}{% set _ = answer_choices.append('c') %}",
        ),
        ROW,
    ),
    "a generator is asked for its case": (
        make("{% if (words | map('upper')) is lower %}a{% endif %}b ||| t"),
        ROW,
    ),
    "a global is asked for its case": (make("{{ range is upper }} ||| t"), ROW),
    "a drawn list holds a generator": (
        make("{{ [words, nums | map('string')] | choice | length }} ||| t"),
        ROW,
    ),
    "a truncated join gives the choices": (
        make("a ||| {{ answer_choices[0] }}", choices="{{ [text, 'b'] | join('|||') }}", truncate=True),
        ROW,
    ),
    "a joined list of expressions gives the choices": (
        make("a ||| {{ answer_choices[0] }}", choices="{{ [text, 'b'] | join('|||') }}"),
        ROW,
    ),
    "a name is set after a loop reads it": (
        make("{% for w in words %}{{ text }}{{ w }}{% endfor %}{% set text = 'q' %}{{ text }} ||| t"),
        ROW,
    ),
    "a name is set in a block after a loop reads it": (
        make("{% for w in words %}{{ text }}{{ w }}{% endfor %}{% set text %}q{% endset %} ||| t"),
        ROW,
    ),
    "a list is the index": (make("{{ text[[]] }}a ||| t"), ROW),
    "a constant is too large for a float": (make("{{ 1e400 }} ||| t"), ROW),
    "a constant is cut into pieces": (make("{{ 3[1:] }}b ||| t"), ROW),
    "a nested loop target has a condition": (
        make("{% for (a, b), c in zip(zip(words, words), nums) if c > 1 %}{{ a }}{{ c }}{% endfor %} ||| t"),
        ROW,
    ),
    "a loop has another name in the loops inside it": (
        make(
            "{% for w in words %}{% set up = loop %}{% for n in nums %}"
            "{{ up.index }}{{ up.last }}{{ loop.index }}{% endfor %}{% endfor %} ||| t"
        ),
        ROW,
    ),
    "a loop's other name is used after the loop": (
        make("{% for w in words %}{% set up = loop %}{{ up.index }}{% endfor %}{{ up }} ||| t"),
        ROW,
    ),
    "a loop's other name is a column": (
        make("{% for w in words %}{% set text = loop %}{{ text.index }}{% endfor %}{{ text }} ||| t"),
        ROW,
    ),
    "a loop's other name is printed": (
        make("{% for w in words %}{% set up = loop %}{{ up }}{% endfor %} ||| t"),
        ROW,
    ),
    "a namespace is used before it is made": (
        make("{{ ns.a }}{% set ns = namespace(a=1) %}{{ ns.a }} ||| t"),
        ROW,
    ),
    "a namespace is made of itself": (
        make("{% set ns = namespace(a=1) %}{% set ns = namespace(a=ns.a, b=2) %}{{ ns.a }}{{ ns.b }} ||| t"),
        ROW,
    ),
    "a namespace is made in a loop": (
        make(
            "{% for w in words %}{% set ns = namespace(a=w) %}{{ ns.a }}{% set ns.a = 'z' %}{{ ns.a }}"
            "{% endfor %}{{ ns }} ||| t"
        ),
        ROW,
    ),
    "a namespace is given an attribute that it was not made with": (
        make("{% set ns = namespace(a=1) %}{% set ns.b = 2 %}{{ ns.a }}{{ ns.b }} ||| t"),
        ROW,
    ),
    "a namespace has an attribute that it was not made with, strictly": (
        make("{% set ns = namespace(a=1) %}{{ ns.b }} ||| t", "strict"),
        ROW,
    ),
    "a namespace is a column": (
        make("{{ ns.a }}{% set ns = namespace(a=1) %}{{ ns.a }} ||| t"),
        {"ns": {"a": "x"}},
    ),
    "a namespace has the name of the column it is made of": (
        make("{% set text = namespace(a=text) %}{{ text.a }}{% set text.a = 1 %}{{ text.a }} ||| t"),
        ROW,
    ),
    "a namespace is printed": (make("{% set ns = namespace(a=1) %}{{ ns }}{{ ns.a }} ||| t"), ROW),
    "the name namespace is a column": (
        make("{% set ns = namespace(a=1) %}{{ ns.a }} ||| t"),
        {"namespace": "x"},
    ),
    "numbers and nulls have a text replaced": (
        make("{{ num | replace(5, none) }}{{ none | replace('None', text) }}{{ num.replace(5, 1) }} ||| t"),
        ROW,
    ),
    "numbers are formatted": (make("{{ '%.1f%% of %d' | format(num / 3, num) }} ||| t"), ROW),
    "a text is cut at another": (make("{{ text.split(other) }}{{ text.split('b') }} ||| t"), ROW),
    "the choices are asked for the place of one": (
        make("a ||| {{ answer_choices[answer_choices.index(text)] }}", choices="{{ text }} ||| b"),
        ROW,
    ),
    "the protector cuts a text": (
        make(f"{{{{ text.split('{PROTECTOR}') | join('-') }}}} ||| t"),
        ROW | {"text": "a|||b|||c"},
    ),
    "a text is protected in the choices": (
        make("{{ text }} ||| {{ answer_choices[0] }}", choices="{{ text }} ||| b"),
        ROW | {"text": "a|||b"},
    ),
    "an element is selected before a map that fails is at its end": (
        make("{{ recs | map(attribute='k') | select | first }}{{ recs | map('upper') | first }} ||| t"),
        {"recs": [{"k": "a"}, {"v": 1}]},
    ),
    "the same generator is read twice": (
        make("{% set g = words | map('upper') %}{{ g | first }}{{ g | first }}{{ g | list }} ||| t"),
        ROW,
    ),
    "a test of attributes is not known": (
        make("{{ recs | selectattr('k', 'nosuch') | list }} ||| t"),
        {"recs": [{"k": "a"}]},
    ),
    "a set block reads the name it sets": (
        make("{% set text %}{{ text }}!{% endset %}{{ text }} ||| t"),
        ROW,
    ),
    "a set block reads the name it sets, strictly": (
        make("{% set text %}{{ text }}!{% endset %}{{ text }} ||| t", "strict"),
        ROW,
    ),
    "an undefined name is looked for in a list of itself": (
        make("{% set text %}{{ text in (text, 'x') }}{% endset %}a ||| t", "strict"),
        ROW,
    ),
    "a name that nothing gives is looked for in a list of itself": (
        make("{{ nothing in [nothing] }} ||| t", "strict"),
        ROW,
    ),
    "a name assigned in one branch is looked for in a list of itself": (
        make("{% if num %}{% set a = 1 %}{% endif %}{{ a in [a] }} ||| t", "strict"),
        ROW | {"num": 0},
    ),
    "an undefined value that has a name is found in a list of itself": (
        make("{% set a = nothing %}{{ a in [a] }} ||| t", "strict"),
        ROW,
    ),
    "an item that is not there is looked for in a list of itself": (
        make("{% for w in words %}{{ loop.previtem in [loop.previtem] }}{% endfor %} ||| t", "strict"),
        ROW,
    ),
    "a condition without else is looked for in a list of itself": (
        make("{{ ('a' if 0) in [('a' if 0)] }} ||| t", "strict"),
        ROW,
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_a_case_found_by_search_stays_settled(case):
    template, row = FOUND[case]
    assert outcome(template, row)


def test_the_choices_of_one_row_are_not_seen_by_the_next():
    choices = "{% if label %}{{ answer_choices[0] }}{% else %}A{{ text }}{% endif %} ||| B"
    rows = [{"label": number % 2, "text": str(number)} for number in range(6)]
    found = compare(make("a ||| {{ answer_choices[0] }}", choices=choices), pa.Table.from_pylist(rows))
    assert found[1::2] == ["undefined"] * 3
    assert [each[1] for each in found[::2]] == ["A0", "A2", "A4"]


def test_views_and_dictionaries_of_text_are_read_like_text():
    texts = ["a|||b", "x", "a|||b", f"{PROTECTOR} "]
    wanted = compare(make("{{ text }}. ||| t"), pa.table({"text": texts}))
    for kind in (pa.large_string(), pa.string_view()):
        assert compare(make("{{ text }}. ||| t"), pa.table({"text": pa.array(texts, kind)})) == wanted
    encoded = pa.table({"text": pa.array(texts).dictionary_encode()})
    assert compare(make("{{ text }}. ||| t"), encoded) == wanted
    assert [found[0] for found in wanted] == ["a|||b.", "x.", "a|||b.", "||| ."]


def test_columns_of_string_and_of_large_string_may_stand_in_one_list():
    texts = [f"text {number} " + "x" * number for number in range(300)]
    table = pa.table(
        {
            "small": pa.array(texts),
            "large": pa.array(texts[::-1], pa.large_string()),
            "place": [number % 4 for number in range(300)],
        }
    )
    found = compare(make("{{ [small, large, 'constant', large][place] }} ||| t"), table)
    assert [each[0] for each in found[:3]] == [texts[0].strip(), texts[298], "constant"]


# white space


def _edges() -> list[str]:
    """Return every character of the first planes' white space and all that lie near it."""
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    return [c for c in characters if (c.isspace() or ord(c) < 0x3100) and c != "|"]


@pytest.mark.parametrize("dialect", ["strict", "promptsource"])
def test_kernels_strip_what_python_strips(dialect):
    edges = _edges()
    assert len(edges) > 12_000
    table = pa.table({"text": [f"{edge}a{edge}" for edge in edges]})
    wanted = compare(make("{{ text }} ||| {{ text | trim }}.", dialect), table)
    assert [found[0] for found in wanted] == [f"{edge}a{edge}".strip() for edge in edges]
    choices = ("{{ text }}", "b") if dialect == "strict" else "{{ text }} ||| b"
    found = compare(make("q ||| {{ text }}", dialect, choices), table)
    assert all(isinstance(each, tuple) and each[3] == 0 for each in found)


# draws


@pytest.mark.parametrize("path", PATHS)
def test_draws_are_numbered_in_the_order_they_are_made(path):
    letters = ["A", "B", "C", "D", "E"]
    body = "{{ letters | choice }}{{ words | choice }} ||| {{ letters | random }}".replace(
        "letters", str(letters)
    )
    count = 200
    table = pa.table({"words": [["x", "y", "z"]] * count})
    numbers = np.arange(NUMBERS_FROM, NUMBERS_FROM + count)
    with force(path):
        found = outcomes_compiled(make(body), table, numbers)
    for number, (inputs, targets, *_) in zip(numbers.tolist(), found, strict=True):
        first, second, third = (KEY.below(size, number, n) for n, size in enumerate((5, 3, 5)))
        assert (inputs, targets) == (letters[first] + "xyz"[second], letters[third])
    assert {inputs[0] for inputs, *_ in found} == set(letters)


@pytest.mark.parametrize(
    "body",
    [
        "{% if flag %}{{ ['A', 'B'] | choice }}{% endif %}{{ ['C', 'D', 'E'] | choice }} ||| t",
        "{% for w in words %}{{ [w, 'n'] | choice }}{% endfor %}{{ ['C', 'D', 'E'] | choice }} ||| t",
        "{{ ['A', 'B'] | choice if flag else 'none' }}{{ ['C', 'D', 'E'] | choice }} ||| t",
        "{% if flag %}{% elif (words | choice) == 'p' %}p{% endif %}{{ ['C', 'D', 'E'] | choice }} ||| t",
        "{% if flag and ['A', 'B'] | choice == 'A' %}a{% endif %}{{ ['C', 'D', 'E'] | choice }} ||| t",
        "{% if ['A', 'B'] | choice == 'A' and flag %}a{% endif %}{{ ['C', 'D', 'E'] | choice }} ||| t",
        "{{ flag and ['A', 'B'] | choice }}{{ ['C', 'D', 'E'] | choice }} ||| t",
        "{{ ['A', 'B'] | choice }}{{ words | random }}{{ text | choice }} ||| {{ ['A', 'B'] | choice }}",
        "{% set x = ['A', 'B'] | choice %}{{ x }}{{ ['C', 'D'] | choice }} ||| {{ x }}",
    ],
)
def test_draws_in_branches_and_loops_are_those_of_the_reference(body):
    rng = random.Random(3)
    rows = [
        {"flag": rng.random() < 0.5, "words": ["p", "q", "r"][: rng.randrange(1, 4)], "text": "xyz"}
        for _ in range(60)
    ]
    wanted = compare(make(body), pa.Table.from_pylist(rows))
    assert len(set(wanted)) > 2


def test_choices_rationale_and_body_draw_in_this_order():
    template = make(
        "{{ ['A', 'B', 'C'] | choice }} ||| {{ answer_choices[0] }}",
        "strict",
        ("{{ ['D', 'E', 'F'] | choice }}", "G"),
        rationale="{{ ['H', 'I', 'J'] | choice }}",
    )
    found = compare(template, pa.table({"text": ["x"] * 40}))
    for number, (inputs, targets, choices, label, rationale) in enumerate(found, NUMBERS_FROM):
        assert targets == "DEF"[KEY.below(3, number, 0)] == choices[0]
        assert rationale == "HIJ"[KEY.below(3, number, 1)]
        assert inputs == "ABC"[KEY.below(3, number, 2)]
        assert label == 0


@pytest.mark.parametrize("path", PATHS)
def test_another_key_draws_otherwise(path):
    table, numbers = pa.table({"text": ["x"] * 64}), np.arange(64)
    template = make("{{ ['A', 'B'] | choice }} ||| t")
    with force(path):
        one, other = (outcomes_compiled(template, table, numbers, Key.of(name)) for name in "ab")
    assert one != other


# rows


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_tables_of_any_shape_and_no_length_render(shape, count):
    rows = [row_of(random.Random(seed), 0.3) for seed in range(count)]
    table = shaped(pa.Table.from_pylist(rows, SCHEMA), shape)
    for body in (
        "{{ text }} a ||| {{ words | join }}b",
        "a ||| b",
        "{% for w in words %}{{ w }}{% endfor %}|||t",
    ):
        for dialect in ("strict", "promptsource"):
            assert len(compare(make(body, dialect), table)) == count


def test_rows_with_bars_are_no_affair_of_the_reference():
    table = pa.table({"text": ["a|||b", "plain", "|||"], "words": [["x|||y"], ["z"], []]})
    template = make("{{ text }}: {{ words | join }} ||| {{ text }}")
    for path in PATHS:
        with force(path):
            batch = BatchTemplate(template).render(Rows(table, np.arange(3)), KEY)
        assert batch.by_reference == 0
    assert [found[0] for found in compare(template, table)[1:]] == ["plain: z", "|||:"]


def test_one_long_row_sends_no_other_row_to_the_reference():
    body = "{% for w in words %}{{ w }}{{ text | length }}{% endfor %}" * 12 + "{{ text | title }} ||| t"
    table = pa.table({"text": ["a" * 10] * 99 + ["a" * 60_000], "words": [["x", "y"]] * 100})
    for path in PATHS:
        with force(path):
            batch = BatchTemplate(make(body)).render(Rows(table, np.arange(100)), KEY)
        assert batch.by_reference == 1
    compare(make(body), table)


def test_rows_that_fall_plainly_are_settled_by_kernels():
    labels = [0, 1, -1, -2, -3, 2, 7]
    texts = ["x", "", "x", "x", "x", "x", " "]
    table = pa.table({"text": texts * 20, "label": labels * 20})
    template = make("{{ text }} ||| {{ answer_choices[label] }}", choices="A ||| B ||| B")
    with force("kernels"):
        batch = BatchTemplate(template).render(Rows(table, np.arange(140)), KEY)
    assert batch.by_kernels == 140 - 2 * 20 + 20  # 7 and -3 are no places, but -3 is a label all the same
    assert set(batch.dropped) == {"unlabelled", "blank-prompt", "ambiguous-target"}
    compare(template, table)


def test_rows_for_which_a_template_prints_nothing_are_settled_by_kernels():
    table = pa.table({"text": ["x", "y", "x"] * 30, "label": [0, 1, -1] * 30})
    template = make("\n{% if text == 'x' %}a ||| {{ answer_choices[label] }}{% endif %}\n", choices="A ||| B")
    with force("kernels"):
        batch = BatchTemplate(template).render(Rows(table, np.arange(90)), KEY)
    assert batch.by_kernels == 90
    assert {reason: len(rows) for reason, rows in batch.dropped.items()} == {
        "blank-prompt": 30,
        "unlabelled": 30,
    }
    compare(template, table)


def test_what_goes_wrong_in_branches_that_most_rows_do_not_take_is_no_affair_of_theirs():
    table = pa.table({"text": ["x", "y", "z", "z"] * 20, "label": [7, 8, 9, -1] * 20})
    names = "{% set places = {7: 0, 8: 1} %}"
    template = make(
        names
        + "{% if label < 9 and label > 0 %}{{ text }} ||| {{ answer_choices[places[label]] }}{% endif %}",
        choices="A ||| B",
    )
    with force("kernels"):
        batch = BatchTemplate(template).render(Rows(table, np.arange(80)), KEY)
    assert batch.by_kernels == 80
    assert {reason: len(rows) for reason, rows in batch.dropped.items()} == {"blank-prompt": 40}
    compare(template, table)


@pytest.mark.parametrize("enabled", [True, False])
def test_rendering_leaves_the_garbage_collector_as_it_was(enabled):
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        outcomes_compiled(make("{{ text }} ||| t"), pa.table({"text": ["a"]}), np.arange(1))
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_plain_rows_are_settled_by_kernels_and_others_by_the_function():
    table = pa.table({"text": ["a"] * 9 + [None], "label": [0, 1] * 5})
    template = make("{{ text }} ||| {{ answer_choices[label] }}", "strict", ("A", "B"))
    numbers = np.arange(10)
    with force("kernels"):
        batch = BatchTemplate(template).render(Rows(table, numbers), KEY)
        assert (batch.by_kernels, batch.by_reference) == (9, 1)
    with force("function"):
        batch = BatchTemplate(template).render(Rows(table, numbers), KEY)
        assert (batch.by_kernels, batch.by_reference) == (0, 1)
    assert compare(template, table)[9] == "none-printed"


@pytest.mark.parametrize("length", [2047, 2048, 2049, 2052, 2053, 2054, 3000])
def test_truncation_cuts_the_same_lengths(length):
    table = pa.table({"text": ["é" * length, "x " * (length // 2) + "x" * (length % 2)] * 2})
    compare(make("{{ text }} ||| t", truncate=True), table)


# budgets

HEAVY = {
    "turns": "{% for i in range(num) %}x{% endfor %}",
    "turns of turns": "{% for i in range(num // 100) %}{% for j in range(200) %}{% endfor %}{% endfor %}",
    "a growing text": (
        "{% set ns = namespace(s='') %}"
        "{% for i in range(num // 20) %}{% set ns.s = ns.s ~ text %}{% endfor %}"
    ),
    "a growing list": (
        "{% set l = [] %}{% for i in range(num // 20) %}{% set _ = l.append(1) %}"
        "{% if l == [] %}{% endif %}{% endfor %}"
    ),
    "a growing sum of lists": (
        "{% set ns = namespace(s=[]) %}"
        "{% for i in range(num // 20) %}{% set ns.s = ns.s + words %}{% endfor %}"
    ),
    "joins": "{% for i in range(num // 2) %}{{ words | join(text) }}{% endfor %}",
    "products": "{% for i in range(num // 1000) %}{% if (words * num) == 1 %}{% endif %}{% endfor %}",
    "replacements": (
        "{% for i in range(30) %}{{ ('a' * num) | replace('a', 'bcdefghijk') | length }}{% endfor %}"
    ),
    "tuples": (
        "{% for i in range(num // 1000) %}"
        "{% if zip(range(num), range(num)) | list == [] %}{% endif %}{% endfor %}"
    ),
    "doubled lists": (
        "{% set ns = namespace(a=[1]) %}"
        "{% for i in range(num // 2500) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
    ),
    "large integers": (
        "{% for i in range(num // 20) %}"
        "{% if [big * 8, big * 8, big * 8, big * 8] == [] %}{% endif %}{% endfor %}"
    ),
    "a text looked at": "{% for i in range(num // 5) %}{% if 'q' in long %}{% endif %}{% endfor %}",
    "a mapped list": "{% for i in range(num // 60) %}{{ many | map('upper') | join | length }}{% endfor %}",
    "a long constant": (
        "{% set l = ['"
        + "q" * 40_000
        + "'] %}{% for i in range(num // 60) %}{% if l == [] %}{% endif %}{% endfor %}"
    ),
    "a long loop body": (
        "{% for i in range(num // 200) %}" + "{% if i == 1000 %}{% endif %}" * 900 + "{% endfor %}"
    ),
    "a sorted list": "{% for i in range(num // 20) %}{% set _ = many | sort %}{% endfor %}",
}


@pytest.mark.parametrize("case", HEAVY)
def test_a_row_that_spends_the_budget_does_so_on_every_path(case):
    rows = [
        {
            "num": num,
            "text": "ab" * 10,
            "words": ["x", "y"],
            "big": 2**62,
            "long": "p" * 2000,
            "many": ["b", "a"] * 200,
        }
        for num in (0, 700, 3_000, 9_000, 16_000, 22_000, 41_000, 49_000, 51_000, 60_000)
    ]
    wanted = compare(make(HEAVY[case] + "a ||| t"), pa.Table.from_pylist(rows))
    assert {isinstance(found, str) for found in wanted} == {True, False}
    assert {found for found in wanted if isinstance(found, str)} == {"over-budget"}


def test_a_long_row_is_over_budget_alone():
    texts = ["a" * size for size in (10, 70_000, 10, 1_000_000, 20)]
    loop = (
        "{% for i in range(5) %}{% for c in text[:3] %}{{ text | length }}{% endfor %}{{ text }}{% endfor %}"
    )
    body = loop + " ||| t"
    compare(make(body), pa.table({"text": texts}))
    compare(make(body, "strict"), pa.table({"text": texts}))


@pytest.mark.parametrize(
    "template",
    [
        make("{{ text }}|||t{{ x | lower }}", "strict", rationale="{% set x = text %}because"),
        make("{{ text }}|||{{ x }}", "strict", rationale="{% set x = text %}because"),
        make("{{ text }}|||{{ x }}", "promptsource", choices="{% set x = text %}{{ text }} ||| no"),
        make("{{ text }}|||{{ x }}", "strict", choices=("{% set x = text %}{{ text }}", "no")),
    ],
)
def test_what_one_text_of_a_template_assigns_is_not_known_in_the_next(template):
    rows = pa.table({"text": ["one", "two", "no"]})
    compare(template, rows)


def test_the_mark_that_stands_for_bars_is_turned_back_in_choices_too():
    rows = pa.table({"text": ["a", f"b{PROTECTOR}c", "d"], "label": [0, 1, 1]})
    template = make("say|||{{ answer_choices[label] }}", choices="{{ text }} ||| no")
    outcomes = compare(template, rows)
    assert outcomes[1][2] == ("b|||c", "no")
