"""Strict YAML: what is text stays text, what is doubtful is refused with its line, nothing else escapes."""

import json
import math

import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.errors import InstructifyError
from instructify.recipe import yaml

LOADERS = sorted(
    {pyyaml.SafeLoader, getattr(pyyaml, "CSafeLoader", pyyaml.SafeLoader)}, key=lambda c: c.__name__
)

SCALARS = {
    "Yes": "Yes",
    "no": "no",
    "on": "on",
    "OFF": "OFF",
    "y": "y",
    "12:30": "12:30",
    "2024-01-31": "2024-01-31",
    "1_000": "1_000",
    "0b101": "0b101",
    "=": "=",
    "true": True,
    "True": True,
    "TRUE": True,
    "tRUE": "tRUE",
    "false": False,
    "null": None,
    "Null": None,
    "~": None,
    "": None,
    "nil": "nil",
    "12": 12,
    "-7": -7,
    "+7": 7,
    "010": 10,
    "0o17": 15,
    "0x1F": 31,
    "-0x1F": "-0x1F",
    "9223372036854775807": 2**63 - 1,
    "1e-4": 0.0001,
    "1E3": 1000.0,
    ".5": 0.5,
    "5.": 5.0,
    "-1.5e+3": -1500.0,
    "1.2.3": "1.2.3",
    "1e": "1e",
    ".inf": math.inf,
    "-.INF": -math.inf,
    ".iNF": ".iNF",
    "-x": "-x",
    "...x": "...x",
    ".": ".",
    "١٢": "١٢",
    "'12'": "12",
    '"true"': "true",
    "'~'": "~",
    "! 12": "12",
    "!!str 12": "12",
    "!!int 12": 12,
    "!!float 12": 12,
    "!!float 1e3": 1000.0,
    "!!bool true": True,
    '"\\u2028"': "\u2028",
    "한국어": "한국어",
    "😀": "😀",
}

REFUSED = {
    "a: 1\nb: 2\na: 3": ["r:3: the key 'a' is given twice, first on line 1; expected each key once"],
    "o:\n  x: 1\n  'x': 2": ["r:3: the key 'x' is given twice, first on line 2; expected each key once"],
    "x: 1\nx: 2\ny: !a 1": ["r:2: the key 'x'", "r:3: unknown tag '!a'"],
    "a: !!python/object:os.system 1": ["r:1: unknown tag 'tag:yaml.org,2002:python/object:os.system'"],
    "a: !!set {b}": ["r:1: unknown tag"],
    "a: !!int x": ["r:1: 'x' does not fit its tag !!int"],
    "1: a": ["r:1: a mapping key must be text, not 1; expected quotes around the key"],
    "true: a": ["r:1: a mapping key must be text, not true"],
    "~: a": ["r:1: a mapping key must be text, not null"],
    "? [a]\n: b": ["r:1: a mapping key must be text"],
    "a: {{ b }}": ["r:1: a mapping key must be text; expected quotes around a text that begins with {"],
    "a: &a {b: 1}\nc:\n  <<: *a": [
        "r:3: merge keys (<<) are not part of YAML 1.2; expected the keys written out"
    ],
    "a: 1\n---\nb: 2": ["r:2: a second YAML document begins here"],
    "a: &a [1, *a]": ["r:1: the alias *a stands inside the value it names"],
    "a: *b": ["r:1: the alias *b has no anchor before it"],
    "a:\n\t- b": ["r:2:1: not valid YAML: found character", "expected spaces, not a tab, for indentation"],
    "a: b: c": ["r:1:5: not valid YAML: mapping values are not allowed", "expected quotes around a text"],
    "a: [1,\nb: 2": ["r:2:", "not valid YAML"],
    "a: 'x\n\n": ["begun on line 1"],
    "a: @b": ["r:1:4: not valid YAML", "expected quotes around a text that begins with @"],
    "a: \0": ["r:1:4: the character U+0000 may not stand in YAML"],
    "a: 1\nb: \ud800": ["r:2:4: the character U+D800 may not stand in YAML"],
    "a: \x1b[31m": ["r:1:4: the character U+001B"],
    "a: x\u2028y": ['r:1:5: the character U+2028 may not stand in YAML; expected the escape "\\u2028"'],
    "a: x\ufeff": ["r:1:5: the character U+FEFF"],
    'a: "\\0"': ["r:1: NUL and lone surrogates are not text"],
    'a: "\\ud800"': ["r:1:"],
    'a: "\\U00110000"': ["not valid YAML"],
    "%YAML 9" + "9" * 5000 + ".1\n---\na": ["not valid YAML"],
    "9223372036854775808": ["r:1: the number '9223372036854775808' does not fit 64 bits"],
    "9" * 5000: ["r:1: the number '999", "is too large"],
    "1e999": ["r:1: the number '1e999' is too large"],
}


@pytest.fixture(params=LOADERS, ids=lambda c: c.__name__)
def loader(request, monkeypatch):
    monkeypatch.setattr(yaml, "LOADER", request.param)


def refusal(text: str, **options: int) -> str:
    with pytest.raises(InstructifyError) as caught:
        yaml.parse(text, "r", **options)
    return str(caught.value)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("text", SCALARS)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text):
    value, _ = yaml.parse(f"a: {text}", "r")
    assert value["a"] == SCALARS[text]
    assert type(value["a"]) is type(SCALARS[text])


def test_nan_is_a_number():
    assert math.isnan(yaml.parse(".nan", "r")[0])


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_doubtful_documents_are_refused_with_their_place(text):
    message = refusal(text)
    for part in REFUSED[text]:
        assert part in message


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? ", "&a ["])
def test_a_very_deep_document_is_refused(opening):
    assert "nested too deeply" in refusal(opening * 20_000)


def test_depth_is_allowed_up_to_the_limit():
    yaml.parse("[" * yaml.MAX_DEPTH + "]" * yaml.MAX_DEPTH, "r")
    refusal("[" * (yaml.MAX_DEPTH + 1) + "]" * (yaml.MAX_DEPTH + 1))


def test_aliases_cannot_hide_depth():
    half = "[" * 40 + "x" + "]" * 40
    assert "nested too deeply" in refusal(f"a: &a {half}\nb: {'[' * 40}*a{']' * 40}")


def test_aliases_cannot_hide_size():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too large, aliases written out" in refusal("\n".join(lines))


def test_aliases_of_one_long_text_cannot_hide_size():
    assert "too large" in refusal("- &a " + "x" * 1_000_000 + "\n- *a" * 200)


def test_a_text_over_the_size_limit_is_refused():
    assert "at most 4 MiB" in refusal("한" * (yaml.MAX_BYTES // 3 + 1))


def test_aliases_give_the_value_they_name_and_the_latest_anchor_wins():
    value, _ = yaml.parse("a: &x [1, {b: 2}]\nc: *x\nd: &x k\ne: *x\n*x : 5", "r")
    assert value == {"a": [1, {"b": 2}], "c": [1, {"b": 2}], "d": "k", "e": "k", "k": 5}


def test_every_duplicate_of_a_document_is_reported():
    message = refusal("a: 1\na: 2\nb:\n  - c: 1\n    c: 2\n")
    assert [line.split(":")[1] for line in message.splitlines()] == ["2", "5"]


def test_reports_end_somewhere():
    assert len(refusal("\n".join(f"{n}: x" for n in range(1000))).splitlines()) == yaml.MAX_PROBLEMS


def test_a_byte_order_mark_at_the_start_is_tolerated():
    assert yaml.parse("\ufeffa: 1", "r")[0] == {"a": 1}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "---", "---\n..."])
def test_an_empty_document_is_none(text):
    value, positions = yaml.parse(text, "r")
    assert value is None
    assert positions.line(("a", 0)) >= 1


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_positions_are_lines_of_keys_and_items(end):
    text = end.join(["# c", "a: 1", "b:", "  - x", "  - y:", "      5", "    z: {q: 1,", "      r: 2}"])
    value, positions = yaml.parse(text, "r", first_line=10)
    assert value == {"a": 1, "b": ["x", {"y": 5, "z": {"q": 1, "r": 2}}]}
    expected = {
        (): 11,
        ("a",): 11,
        ("b",): 12,
        ("b", 0): 13,
        ("b", 1): 14,
        ("b", 1, "y"): 14,
        ("b", 1, "z"): 16,
        ("b", 1, "z", "q"): 16,
        ("b", 1, "z", "r"): 17,
    }
    assert {path: positions.line(path) for path in expected} == expected
    assert positions.line(("b", 1, "no", "such")) == 14
    assert positions.line(("b", 7)) == 12
    assert positions.line(("nowhere",)) == 11


def test_the_line_of_an_alias_is_where_it_is_used_and_its_insides_are_where_they_stand():
    _, positions = yaml.parse("a: &x\n  k: 1\nb: *x\n", "r")
    assert positions.line(("b",)) == 3
    assert positions.line(("b", "k")) == 2


def test_the_first_line_shifts_every_message():
    assert refusal("\na: 1\na: 2", first_line=5).startswith(
        "r:7: the key 'a' is given twice, first on line 6"
    )
    assert refusal("a: \0", first_line=5).startswith("r:5:4:")
    assert refusal("a: [", first_line=5).startswith("r:5:")


CHARACTERS = st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff\u2028\u2029"
).filter(lambda c: ord(c) < 0x7F or ord(c) > 0x9F)
TEXTS = st.text(CHARACTERS, max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON)
def test_json_reads_as_itself(data):
    value, _ = yaml.parse(json.dumps(data, ensure_ascii=False), "r")
    assert value == data


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.lists(st.integers(0, 9)), min_size=1))
def test_the_line_of_each_item_is_the_line_it_was_written_on(data):
    lines, expected = [], {}
    for key, items in data.items():
        lines.append(f"'{key}':")
        expected[(key,)] = len(lines)
        for index, item in enumerate(items):
            lines.append(f"- {item}")
            expected[(key, index)] = len(lines)
    _, positions = yaml.parse("\n".join(lines), "r")
    assert {path: positions.line(path) for path in expected} == expected


def holds_or_is_refused(text: str) -> None:
    for loader in LOADERS:
        saved, yaml.LOADER = yaml.LOADER, loader
        try:
            _, positions = yaml.parse(text, "r")
            assert positions.line() >= 1
        except InstructifyError as error:
            assert all(problem.what and problem.where.startswith("r") for problem in error.problems)
            str(error).encode("utf-8")
        finally:
            yaml.LOADER = saved


@settings(deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_no_text_ends_in_another_exception(text):
    holds_or_is_refused(text)


PIECES = [*"[]{},:?-|>&*!%@`'\"\\#~ \n\t", "a", "&a ", "*a", "- ", ": ", "? ", "<<", "!!int ", "!<", "---\n",
          "...\n", "%YAML 1.1\n", "%TAG ! x:\n", "  ", "\\x", "\\u", "d800", "1e", "0x", ".nan", "|2-\n",
          "\r", "\ufeff", "\x85"]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_jumble_of_yaml_signs_ends_in_another_exception(text):
    holds_or_is_refused(text)
