"""What the reference renderer makes of a row: both dialects, draws, separators, nulls, whitespace, errors."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.checks import REASONS
from instructify.errors import InstructifyError, RowError
from instructify.keys import Key
from instructify.render.reference import MAX_OUTPUT, PROTECTOR, ReferenceTemplate
from instructify.templates import Template
from instructify.templates.ours import parse_template

KEY = Key.of("render")
DIALECTS = ("strict", "promptsource")


def compiled(body, dialect="strict", **fields):
    return ReferenceTemplate(Template(dataset="d", name="t", dialect=dialect, body=body, **fields))


def render(body, row, dialect="strict", key=KEY, number=0, **fields):
    return compiled(body, dialect, **fields).render(row, key, number)


def parts(body, row, dialect="strict", **fields):
    return render(body, row, dialect, **fields).parts


def reason(body, row, dialect="strict", **fields):
    with pytest.raises(RowError) as caught:
        render(body, row, dialect, **fields)
    return caught.value.reason


def refusal(text):
    """Return what the compiler says of a template file."""
    with pytest.raises(InstructifyError) as caught:
        ReferenceTemplate(parse_template(text, "t.jinja", "t", "d", "c"))
    return str(caught.value)


# what both dialects share


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    [
        "{{ text }}",
        "{% raw %}",
        "{# no comment #}",
        "{{",
        "}}",
        "{%",
        "<b>&amp;</b>",
        "'\"\\",
        "%s %(a)s {0}",
    ],
)
def test_the_text_of_a_row_is_never_read_as_a_template(dialect, text):
    assert parts("a {{ text }} b ||| {{ text }}", {"text": text}, dialect) == (f"a {text} b", text)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_korean_and_other_scripts_pass_unchanged(dialect):
    row = {"글": "맛있는 음식 😀", "rtl": "\u202eשלום"}
    assert parts("{{ 글 }}은? ||| {{ rtl }}", row, dialect) == ("맛있는 음식 😀은?", "\u202eשלום")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_prompt_and_target_are_stripped_and_inner_space_is_kept(dialect):
    body = "\n\t {{ text }}\n\n b \u3000|||\n c  d \n"
    assert parts(body, {"text": " a  a "}, dialect) == ("a  a \n\n b", "c  d")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_row_that_a_template_changes_is_whole_for_the_next(dialect):
    row = {"items": ["a", "b"], "deep": {"x": [1]}}
    before = copy.deepcopy(row)
    body = "{% set _ = items.append('c') %}{% set _ = deep['x'].pop() %}{{ items | length }} ||| {{ deep }}"
    assert parts(body, row, dialect) == ("3", "{'x': []}")
    assert row == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_change_shows_in_what_follows_it(dialect):
    row = {"items": ["a"]}
    body = "{% set _ = items.append('c') %}{{ items | join }} ||| {{ items | last }}"
    assert parts(body, row, dialect) == ("ac", "c")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{{ text.upper() }} ||| {{ text[:2] }}", ("ABC", "ab")),
        ("{{ '%s-%05.2f' | format('a', 1.5) }} ||| {{ '{:>4}|'.format(7) }}", ("a-01.50", "7|")),
        (
            "{{ [3, 1, 2] | sort | join(',') }} ||| {{ {'b': 1, 'a': 2} | dictsort }}",
            ("1,2,3", "[('a', 2), ('b', 1)]"),
        ),
        ("{% for a, b in zip([1, 2], 'xy') %}{{ a }}{{ b }}{% endfor %} ||| z", ("1x2y", "z")),
        (
            "{{ ['a', 'b', 'a'] | most_frequent | first }} ||| {{ [] | most_frequent | default('n', true) }}",
            ("a", "n"),
        ),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }} ||| {{ m('b') }}", ("<1>", "<b>")),
        (
            (
                "{% set n = namespace(x=0) %}"
                "{% for i in range(3) %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }} ||| b"
            ),
            ("3", "b"),
        ),
        ("{{ 2.567 | round(1, method='floor') }} ||| {{ 7 // 2 }}", ("2.5", "3")),
        ("{{ '  x ' | trim }}{{ 'xxaxx' | trim('x') }} ||| {{ {'a': [1]} | tojson }}", ("xa", '{"a": [1]}')),
        ("{{ {'a': 1} | tojson(indent=2) }} ||| b", ('{\n  "a": 1\n}', "b")),
        (
            "{{ '-'.join(['a', 'b']) }}{{ ' '.join({'k': 1}) }} ||| {{ 'a b'.split() | length }}",
            ("a-bk", "2"),
        ),
        ("{{ 10 ** 3 }} ||| {{ 100000000000000000000 + 1 }}", ("1000", "100000000000000000001")),
        ("100%% {{ '%d%% of %(' ~ 'x' }} ||| {{ '%d%%' % 5 }}", ("100%% %d%% of %(x", "5%")),
    ],
)
def test_ordinary_template_code_works(dialect, body, expected):
    assert parts(body, {"text": "abc"}, dialect) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{{ 1 + 'a' }} ||| b", "type-error"),
        ("{{ 1 / 0 }} ||| b", "arithmetic-error"),
        ("{{ 'a'.index('b') }} ||| b", "value-error"),
        ("{{ [] | choice }} ||| b", "lookup-error"),
        ("{{ text.encode() }} ||| b", "forbidden"),
        ("{{ range }} ||| b", "unprintable"),
        ("{{ text | map('upper') }} ||| b", "unprintable"),
    ],
)
def test_what_goes_wrong_has_a_reason(dialect, body, why):
    assert reason(body, {"text": "abc"}, dialect) == why
    assert why in REASONS


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "body", ["{{ n }} ||| b", "{{ n + 1 }} ||| b", "{{ [n] }} ||| b", "{{ n | tojson }} ||| b"]
)
def test_an_integer_without_end_is_over_budget(dialect, body):
    assert reason(body, {"n": 10**20_000}, dialect) == "over-budget"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_row_may_print_up_to_the_limit_and_no_more(dialect):
    text = "x" * 1_000_000
    inside = parts("{{ text }}" * 7 + "|||b", {"text": text}, dialect)
    assert len(inside[0]) == 7_000_000
    assert reason("{{ text }}" * 9 + "|||b", {"text": text}, dialect) == "over-budget"
    assert 7_000_000 < MAX_OUTPUT < 9_000_000


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_spent_budget_does_not_burden_the_next_row(dialect):
    template = compiled(
        "{% for a in range(n) %}{% for b in range(999) %}{% endfor %}{% endfor %}a ||| b", dialect
    )
    for _ in range(3):
        with pytest.raises(RowError, match="over-budget"):
            template.render({"n": 999}, KEY, 0)
        for _ in range(30):
            assert template.render({"n": 10}, KEY, 0).parts == ("a", "b")


# the strict dialect


@pytest.mark.parametrize(
    "body", ["{{ nothing }} ||| b", "a ||| {{ row.nothing }}", "{% if nothing %}x{% endif %} ||| b"]
)
def test_strict_an_undefined_name_ends_the_row(body):
    assert reason(body, {"row": {}}) == "undefined"


def test_strict_an_undefined_name_may_be_asked_for_and_replaced():
    assert parts("{{ nothing | default('a') }} ||| {{ nothing is defined }}", {}) == ("a", "False")


@pytest.mark.parametrize("body", ["{{ x }} ||| b", "a ||| {{ x }}", "{{ x ~ '' }}{{ x }} ||| b"])
def test_strict_a_printed_null_ends_the_row(body):
    assert reason(body, {"x": None}) == "none-printed"


def test_strict_the_word_none_is_a_text():
    assert parts("{{ x }} ||| None", {"x": "None"}) == ("None", "None")


@pytest.mark.parametrize("index", [-1, None])
def test_strict_a_missing_label_ends_the_row(index):
    body = "a ||| {{ answer_choices[label] }}"
    assert reason(body, {"label": index}, choices=("x", "y")) == "unlabelled"


@pytest.mark.parametrize(("index", "why"), [(2, "index-out-of-range"), (-1, "index-out-of-range")])
def test_strict_an_index_outside_a_list_ends_the_row(index, why):
    assert reason("a ||| {{ items[i] }}", {"items": ["x", "y"], "i": index}) == why


def test_strict_a_label_outside_the_choices_ends_the_row():
    assert (
        reason("a ||| {{ answer_choices[label] }}", {"label": 9}, choices=("x", "y")) == "index-out-of-range"
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("a ||| {{ answer_choices[2] }}", "answer_choices has no element 2"),
        ("a ||| {{ items[3] }}", "the list has no element 3"),
    ],
)
def test_strict_a_constant_index_past_the_end_is_told_in_the_words_of_the_template(body, told):
    with pytest.raises(RowError) as caught:
        render(body, {"items": ["x"]}, choices=("x", "y"))
    assert (caught.value.reason, caught.value.detail) == ("undefined", told)


def test_strict_a_constant_negative_index_is_the_authors_will():
    assert parts("{{ items[-1] }} ||| b", {"items": ["x", "y"]}) == ("y", "b")


@pytest.mark.parametrize("where", ["top", "nested"])
def test_strict_bars_in_a_row_never_split(where):
    row = {"x": "a ||| b"} if where == "top" else {"x": ["a ||| b"]}
    value = "{{ x }}" if where == "top" else "{{ x[0] }}"
    assert parts(f"{value} ||| {value}", row) == ("a ||| b", "a ||| b")


def test_strict_bars_in_an_expression_never_split():
    assert parts("{{ 'a ||| b' }} ||| c", {}) == ("a ||| b", "c")


def test_strict_bars_in_a_choice_never_split():
    made = render(
        "{{ answer_choices | join(', ') }} ||| {{ answer_choices[0] }}", {}, choices=("a ||| b", "c")
    )
    assert made.parts == ("a ||| b, c", "a ||| b")
    assert made.choices == ("a ||| b", "c")


def test_strict_the_stand_in_of_promptsource_means_nothing():
    assert parts("{{ x }} ||| b", {"x": PROTECTOR})[0] == PROTECTOR


SEPARATORS = {
    "a": "t:1: there is no |||",
    "a ||| b ||| c": "t:1: 2 times ||| on lines 1, 1",
    "a\n|||\nb\n|||\nc": "t:2: 2 times ||| on lines 2, 4",
    "{% if x %}a ||| b{% endif %}": "t:1: ||| stands inside a block on line 1",
    "\n{% for i in x %}\na ||| b\n{% endfor %}": "t:3: ||| stands inside a block on line 3",
    "{% macro m() %}|||{% endmacro %}a": "t:1: ||| stands inside a block on line 1",
    "a {# ||| #} b": "t:1: there is no |||",
    "a {{ '|||' }} b": "t:1: there is no |||",
}


@pytest.mark.parametrize("body", SEPARATORS)
def test_strict_anything_but_one_separator_outside_blocks_is_refused(body):
    with pytest.raises(InstructifyError) as caught:
        compiled(body)
    assert str(caught.value).startswith(SEPARATORS[body] + "; expected exactly one |||")


def test_strict_separator_in_an_if_is_refused_but_an_if_around_each_side_is_fine():
    body = "{% if x %}a{% else %}b{% endif %} ||| {% if x %}c{% endif %}d"
    assert parts(body, {"x": 1}) == ("a", "cd")


def test_strict_block_tags_leave_no_blank_lines():
    body = (
        "Choose:\n{% for item in items %}\n  - {{ item }}\n{% endfor %}\nWell?\n"
        "|||\n{% if true %}\nyes\n{% endif %}\n"
    )
    assert parts(body, {"items": ["a", "b"]}) == ("Choose:\n  - a\n  - b\nWell?", "yes")


def test_promptsource_block_tags_keep_their_line_ends():
    body = "Choose:\n{% for item in items %}\n- {{ item }}\n{% endfor %}\n|||\nyes\n"
    assert parts(body, {"items": ["a"]}, "promptsource") == ("Choose:\n\n- a", "yes")


def test_strict_choices_are_templates_of_their_own():
    made = render("{{ answer_choices[0] }} ||| b", {"a": "x y"}, choices=(" {{ a }} ", "{{ a.upper() }}"))
    assert made.choices == ("x y", "X Y")


def test_strict_choices_may_come_from_the_row():
    made = render("a ||| {{ answer_choices[1] }}", {"items": [" x", "y "]}, choices="items")
    assert made.choices == ("x", "y")
    assert made.parts == ("a", "y")


@pytest.mark.parametrize("choices", ["text", "[1, 2]", "{'a': 1}", "items | map('upper')", "none"])
def test_strict_choices_that_are_no_list_of_texts_end_the_row(choices):
    assert reason("a ||| b", {"text": "t", "items": ["x"]}, choices=choices) == "bad-choices"


def test_strict_a_rationale_is_rendered_with_the_choices():
    made = render(
        "a ||| {{ answer_choices[0] }}",
        {"why": "x"},
        choices=("y",),
        rationale="{{ why }}{{ answer_choices[0] }} ",
    )
    assert made.rationale == "xy"


def test_the_variables_of_a_template_are_the_columns_it_reads():
    template = compiled(
        "{% for i in items %}{{ i }}{{ a }}{% endfor %} ||| {{ answer_choices[label] }}",
        choices=("{{ b }}",),
        rationale="{{ c }}{{ range(d) }}",
    )
    assert template.variables - {"range"} == {"items", "a", "label", "b", "c", "d"}


# promptsource's dialect


def test_promptsource_an_undefined_name_prints_nothing():
    assert parts("{{ nothing }}{{ row.nothing }}a ||| b", {"row": {}}, "promptsource") == ("a", "b")


def test_promptsource_a_printed_null_is_noted():
    made = render("{{ x }} ||| b", {"x": None}, "promptsource")
    assert made.parts == ("None", "b")
    assert made.none_printed
    assert not render("{{ y }} ||| b", {"y": "None"}, "promptsource").none_printed


def test_promptsource_a_negative_label_takes_the_last_choice_and_is_noted():
    made = render("a ||| {{ answer_choices[label] }}", {"label": -1}, "promptsource", choices="x ||| y")
    assert made.parts == ("a", "y")
    assert made.unlabelled
    assert not render("a ||| {{ items[i] }}", {"items": ["x"], "i": -1}, "promptsource").unlabelled


def test_promptsource_notes_are_forgotten_for_the_next_row():
    template = compiled("{{ x }} ||| {{ answer_choices[label] }}", "promptsource", choices="x ||| y")
    assert template.render({"x": None, "label": -1}, KEY, 0).none_printed
    made = template.render({"x": "a", "label": 0}, KEY, 1)
    assert (made.none_printed, made.unlabelled) == (False, False)


def test_promptsource_bars_at_the_top_of_a_row_do_not_split_but_nested_ones_do():
    assert parts("{{ x }} ||| b", {"x": "a ||| c"}, "promptsource") == ("a ||| c", "b")
    assert parts("{{ x[0] }} ||| b", {"x": ["a ||| c"]}, "promptsource") == ("a", "c", "b")


def test_promptsource_a_printed_choice_with_bars_splits():
    made = render("{{ answer_choices[0] }} ||| b", {"x": "a ||| c"}, "promptsource", choices="{{ x }} ||| y")
    assert made.choices == ("a ||| c", "y")
    assert made.parts == ("a", "c", "b")


def test_promptsource_a_column_called_answer_choices_ends_the_row():
    assert reason("a ||| b", {"answer_choices": []}, "promptsource") == "reserved-column"


def test_promptsource_truncation_cuts_printed_expressions_only():
    long = "word " * 600
    whole, cut = (
        parts("{{ x }} ||| b", {"x": long}, "promptsource", truncate=flag)[0] for flag in (False, True)
    )
    assert whole == long.strip()
    assert len(cut) <= 2048
    assert cut.endswith("...")


def test_promptsource_a_draw_from_nothing_is_undefined_for_random_only():
    assert parts("a{{ [] | random }} ||| b", {}, "promptsource") == ("a", "b")
    assert reason("a{{ [] | choice }} ||| b", {}, "promptsource") == "lookup-error"


# draws

LETTERS = "{{ ['A', 'B', 'C', 'D'] | choice }}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_draw_from_constants_is_made_for_every_row(dialect):
    template = compiled(LETTERS + " ||| b", dialect)
    drawn = [template.render({}, KEY, row).parts[0] for row in range(4000)]
    counts = np.array([drawn.count(letter) for letter in "ABCD"])
    assert ((counts - 1000) ** 2 / 1000).sum() < 30


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_draw_kept_in_a_variable_is_the_same_in_prompt_and_target(dialect):
    template = compiled("{% set x = ['A', 'B', 'C'] | choice %}{{ x }} ||| {{ x }}", dialect)
    made = [template.render({}, KEY, row).parts for row in range(100)]
    assert all(prompt == target for prompt, target in made)
    assert len(set(made)) == 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_draws_do_not_depend_on_the_order_of_rows_or_on_other_templates(dialect):
    one = compiled(LETTERS * 3 + " ||| " + LETTERS, dialect)
    other = compiled(LETTERS + " ||| {{ range(9) | random }}", dialect)
    forward = {row: one.render({}, KEY, row).parts for row in range(50)}
    backward = {}
    for row in reversed(range(50)):
        other.render({}, KEY, row)
        backward[row] = one.render({}, KEY, row).parts
    assert forward == backward


def test_draws_differ_between_keys_rows_and_numbers():
    template = compiled("{{ range(1000) | list | choice }} ||| {{ range(1000) | list | choice }}")
    made = [template.render({}, key, row).parts for key in (KEY, Key.of("other")) for row in range(200)]
    assert len(set(made)) == 400
    assert sum(prompt == target for prompt, target in made) < 5


def test_a_failed_row_takes_no_draw_from_the_next():
    template = compiled("{{ [1, 2, 3] | choice }}{{ 1 // x }} ||| b")
    expected = template.render({"x": 1}, KEY, 7).parts
    with pytest.raises(RowError):
        template.render({"x": 0}, KEY, 6)
    assert template.render({"x": 1}, KEY, 7).parts == expected


def test_choices_are_drawn_before_the_body():
    made = [
        render(
            "{{ answer_choices[0] }} ||| " + LETTERS, {}, "promptsource", number=row, choices=LETTERS
        ).parts
        for row in range(40)
    ]
    alone = [KEY.below(4, row, 0) for row in range(40)]
    assert [prompt for prompt, _ in made] == ["ABCD"[index] for index in alone]


# refusals


REFUSED = {
    "---\nname: a\n---\n\n{{ text | uper }} ||| b": ("t.jinja:5", "did you mean 'upper'?"),
    "---\nname: a\n---\na\n|||\n{{ text": ("t.jinja:6", ""),
    "---\nname: a\n---\n{% if x %}\na ||| b": ("t.jinja:", "endif"),
    "a ||| {{ x is odder }}": ("t.jinja:1", "'odd'"),
    "{% include 'x' %} ||| b": ("t.jinja", "include"),
    "---\nname: a\n---\n\n{% include 'x' %} ||| b": ("t.jinja:5", "include"),
    "---\nname: a\n---\na\n|||\nb\n|||\nc": ("t.jinja", "t.jinja:5: 2 times ||| on lines 5, 7"),
    "{% extends 'x' %} ||| b": ("t.jinja", "extends"),
    "{% import 'x' as y %} ||| b": ("t.jinja", "import"),
    "{% from 'x' import y %} ||| b": ("t.jinja", "from import"),
    "{% block x %}{% endblock %} ||| b": ("t.jinja", "block"),
    "{% autoescape true %}a{% endautoescape %} ||| b": ("t.jinja", "autoescape"),
    "{{ 'x' | _tick }} ||| b": ("t.jinja", "_tick"),
    "{{ " + "9" * 5000 + " }} ||| b": ("t.jinja", "too long"),
    "a" * 70_000 + " ||| b": ("t.jinja", "too long"),
    "{{ " + "(" * 500 + "1" + ")" * 500 + " }} ||| b": ("t.jinja", "too deeply"),
    "{{ a }}" * 6_000 + " ||| b": ("t.jinja", "too many expressions"),
    "---\nanswer_choices: ['{{']\n---\na ||| b": ("t.jinja: answer_choices: ", ""),
    "---\nrationale: '{{ x | uper }}'\n---\na ||| b": ("t.jinja: rationale: ", "did you mean 'upper'?"),
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_a_template_that_cannot_be_compiled_is_refused_with_its_file(text):
    where, what = REFUSED[text]
    said = refusal(text)
    assert said.startswith(where)
    assert what in said


def test_every_forbidden_statement_of_a_template_is_told_at_once():
    said = refusal("{% include 'x' %}\n{% include 'y' %}\n ||| b").splitlines()
    assert [line.split(":")[1] for line in said] == ["1", "2"]


# any row

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**40)
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["|||", "\0", "\u202e", "😀", "\ud800", "{{ x }}", PROTECTOR, math.nan, 10**4000, b"\xff"]
    )
)
values = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
rows = st.fixed_dictionaries({"a": values, "b": values, "label": values}, optional={"c": values})

BODIES = [
    "{{ a }} {{ b }} ||| {{ c }}",
    "{{ a ~ b }} ||| {{ a | string | upper }}{{ c | default('d') }}",
    "{% for x in a %}{{ loop.index }}: {{ x }}\n{% endfor %} ||| {{ answer_choices[label] }}",
    "{{ a | length }}{{ b | first }} ||| {{ [a, b] | choice }}",
    "{% if a == b or a in [b] %}{{ a }}{% else %}{{ b | tojson }}{% endif %} ||| {{ a[label] }}",
    "{{ a | sort | join(', ') }} ||| {{ b.items() | list }}",
    "{{ a + b }}{{ a * 3 }} ||| {{ '%s' % a }}{{ '{}'.format(b) }}",
]


@settings(max_examples=600, deadline=None)
@given(rows, st.sampled_from(BODIES), st.sampled_from(DIALECTS), st.integers(0, 10**9))
def test_no_row_raises_anything_but_a_row_error_and_twice_the_same(row, body, dialect, number):
    choices = "x ||| {{ a }}" if dialect == "promptsource" else ("x", "{{ b }}")
    outcomes = []
    for _ in range(2):
        try:
            made = compiled(body, dialect, choices=choices).render(copy.deepcopy(row), KEY, number)
        except RowError as error:
            assert error.reason in REASONS
            outcomes.append((error.reason, error.detail))
        else:
            assert all(isinstance(part, str) for part in made.parts)
            assert dialect == "promptsource" or len(made.parts) == 2
            outcomes.append(made)
    assert outcomes[0] == outcomes[1]


def test_a_constant_that_can_only_fail_is_an_error_of_the_template() -> None:
    with pytest.raises(InstructifyError, match="fails for every row"):
        ReferenceTemplate(Template("d", "t", "strict", "{{ {'a': 1}['b'] or 2 }} ||| t"))
