"""Every rule of lint finds what the guide says it finds, and nothing in the example beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled_kit import tables
from instructify.lint import RULES, lint
from instructify.lint.engine import Data, Draft
from instructify.lint.korean import level_of
from instructify.lint_run import load_tokenizer
from instructify.templates.model import Template
from lint_kit import data, drafts, sections, small_tokenizer
from template_grammar import templates

SECTIONS = {section.rule: section for section in sections()}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    pytest.importorskip("tokenizers")
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    small_tokenizer().save(str(path))
    return load_tokenizer(str(path))


def found(texts, tokens=None):
    return {finding.rule for finding in lint(drafts(texts), data(), tokens)}


@pytest.mark.parametrize("name", RULES)
def test_the_example_that_triggers_a_rule_does_and_the_other_does_not(name, tokens):
    section = SECTIONS[name]
    used = tokens if RULES[name].needs == "tokenizer" else None
    assert name in found(section.bad, used)
    assert name not in found(section.good, used)


def test_the_guide_has_a_section_for_each_rule_with_its_severity_and_summary():
    assert len(RULES) >= 40
    assert sorted(SECTIONS) == sorted(RULES)
    for name, section in SECTIONS.items():
        rule = RULES[name]
        assert section.severity == rule.severity, name
        assert section.sentence.replace("`", "").startswith(rule.summary.replace("`", "").rstrip(".")), name
        assert section.bad, name
        assert section.good, name


def test_a_template_that_runs_away_is_not_rendered_over_every_row():
    turns = "{% for a in range(9999) %}{% for b in range(9999) %}{{ text }}{% endfor %}{% endfor %}"
    findings = lint(drafts((f"{turns}\n|||\n{{{{ best }}}}",)), data())
    told = next(finding.what for finding in findings if finding.rule == "no-example")
    assert told.startswith("none of 3 sample rows makes an example: over-budget 3")


@pytest.mark.parametrize("target", ["[1 - label]", "[label - 1]", "[0]", "[1 if label == 0 else 0]"])
def test_a_target_with_the_name_of_another_label_is_found_unless_the_task_is_another(target):
    text = f"answer_choices: [Negative, Positive]\n---\n{{{{ text }}}}\n|||\n{{{{ answer_choices{target} }}}}"
    text = text.replace("{{ text }}", "{{ text }}{% set used = label %}")
    assert "choices-against-labels" in found((f"---\n{text}",))
    assert "choices-against-labels" not in found((f"---\noriginal_task: false\n{text}",))
    assert "choices-against-labels" not in found((f"---\n{text.replace(target, '[label]')}",))


def test_an_inverted_template_may_ask_for_a_text_that_the_tokenizer_does_not_give_back(tokens):
    (text,) = SECTIONS["target-roundtrip"].bad
    head = "kind: inverted\noriginal_task: false\n"
    inverted = f"---\n{head}---\n{text}"
    assert "target-roundtrip" in found((text,), tokens)
    assert "target-roundtrip" not in found((inverted,), tokens)


TOGETHER = {"duplicate-name", "duplicate-body", "near-duplicate"}
"""Rules whose examples are to be read together."""


def test_each_of_several_examples_triggers_by_itself():
    several = [name for name, section in SECTIONS.items() if len(section.bad) > 1 and name not in TOGETHER]
    assert {"choices-against-labels", "dropped-rows", "target-in-prompt"} <= set(several)
    for name in several:
        for text in SECTIONS[name].bad:
            assert name in found((text,)), text


def test_findings_are_on_the_lines_of_the_file():
    text = """---
# lint: ignore[nothing] said
original_task: true
---
{{ text }} or {label}?

{{ txet }}
|||
{{ best }}
"""
    lines = {finding.rule: finding.line for finding in lint(drafts((text,)), data())}
    assert lines == {"bad-ignore": 2, "missing-metadata": 1, "stray-braces": 5, "unknown-column": 7}


@settings(max_examples=150, deadline=None)
@given(st.lists(templates(), min_size=1, max_size=3), tables())
def test_no_template_and_no_row_makes_a_rule_fail(drawn, table):
    rows = tuple(enumerate(table.to_pylist()))
    known = Data(tuple(table.column_names), {"num": ("a", "b"), "flag": ("x",)}, rows)
    listed = [Draft(template) for template in drawn]
    findings = lint(listed, known)
    assert findings == lint(listed, known)
    assert {finding.rule for finding in findings} <= set(RULES)
    assert all(finding.line >= 1 for finding in findings)


def lint_one(text: str, known: Data | None = None) -> list:
    return lint(drafts((text,)), known or data())


@pytest.mark.parametrize("written", ['"{{ pair[0] }} ||| {{ pair[1] }}"', '"{{ pair }}"', '"A ||| B"'])
def test_choices_of_another_format_are_an_error_on_their_own_line(written):
    text = f"---\nmetrics: [accuracy]\nanswer_choices: {written}\n---\n{{{{ text }}}}\n|||\n{{{{ best }}}}"
    (finding,) = [finding for finding in lint_one(text) if finding.rule == "syntax"]
    assert finding.line == 3
    assert finding.what.startswith("answer_choices: ")
    assert finding.expected.startswith("a list of texts, or an expression")


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("---\nname: it\nauthor: @me\n---\n{{ text }}\n|||\n{{ best }}", "unreadable", 3),
        ("---\nname: it\n---\n{{ text }}\n{{ best | uper }}\n|||\n{{ best }}", "syntax", 5),
        ("---\nname: it\n---\n{{ text }}\n|||\n{{ best }}\n|||\n", "separator", 7),
        ("---\nname: it\n---\n{{ text }}\n{{ best }}", "separator", 4),
    ],
)
def test_an_error_of_form_is_on_its_line(text, rule, line):
    assert [finding.line for finding in lint_one(text) if finding.rule == rule] == [line]


def test_an_index_that_is_text_is_named_in_the_words_of_the_template():
    known = data()
    rows = tuple((number, {**row, "label": str(row["label"])}) for number, row in known.rows)
    text = "---\nanswer_choices: [bad, good]\n---\n{{ text }}\n|||\n{{ answer_choices[label] }}"
    told = next(
        f.what for f in lint_one(text, replace(known, labels={}, rows=rows)) if f.rule == "no-example"
    )
    assert "answer_choices has no element '1': the index is text; a number is made by | int" in told


def test_fewer_choices_than_labels_are_found_only_where_a_label_is_beyond_them():
    names = tuple(f"kind {number}" for number in range(50))
    known = replace(data(), labels={"plates": names})
    taken = "{{ text }}\n|||\n{{ answer_choices[plates] }}"
    head = "---\nanswer_choices: [none, one]\n---\n"
    told = {f.rule: f for f in lint_one(head + taken, known)}
    assert told["choices-against-labels"].expected.endswith("kind 7 and 42 more")
    promptsource = Template("inn", "it", "promptsource", taken, "none ||| one", original_task=True)
    assert "choices-against-labels" in {f.rule for f in lint([Draft(promptsource)], known)}
    guarded = f"{head}{{% if plates > 1 %}}{{{{ text[:0] }}}}{{% else %}}{{{{ text }}}}{{% endif %}}\n|||\n"
    guarded += "{% if plates < 2 %}{{ answer_choices[plates] }}{% endif %}"
    assert "choices-against-labels" not in {f.rule for f in lint_one(guarded, known)}
    assert "dropped-rows" not in {f.rule for f in lint_one(guarded, known)}


def test_the_rest_of_a_text_before_its_last_word_gives_nothing_away():
    text = "---\noriginal_task: true\n---\n{{ why.split()[:-1] | join(' ') }} ...\n|||\n{{ why.split()[-1] }}"
    known = data()
    rows = tuple((number, {**row, "why": "home again, home"}) for number, row in known.rows)
    assert "target-in-prompt" not in {f.rule for f in lint_one(text, replace(known, rows=rows))}
    whole = text.replace(".split()[:-1] | join(' ')", "")
    assert "target-in-prompt" in {f.rule for f in lint_one(whole, replace(known, rows=rows))}


def test_a_nul_character_is_found_on_its_line():
    lines = [f.line for f in lint_one("{{ text }}\na\0b\n|||\n{{ best }}") if f.rule == "control-character"]
    assert lines == [2]


ENDINGS = {
    "합니다": "평입니다 무엇입니까 답하십시오 고르시오 봅시다 씁니다",
    "해요": "썼나요 부정적인가요 글이에요 하세요 할까요 맞죠 있어요 예요 골라요 그래요 군요 거든요",
    "해라": "한다 말해라 무엇인가 답하라 골라라 적어라 없다 좋다 않는다 될까 아니다 했다 어려운가 다르다",
    "해": "줘 고르렴 부탁해",
    "": "전문가 캐나다 동요 가요 민요 필요 개요 작곡가 우간다 사이다 바다 나라 신라 카메라 케냐 올해 폐렴",
}


def test_only_endings_of_verbs_tell_a_speech_level():
    seen = 0
    for level, words in ENDINGS.items():
        for word in words.split():
            assert level_of(word) == level, word
            seen += 1
    assert seen == 52


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("metrics: [accuracy]\nanswer_choices: txet.split()", 3),
        ('answer_choices:\n- a\n- "{{ txet }}"', 4),
        ('answer_choices: [a, b]\nrationale: "{{ txet }}"', 3),
    ],
)
def test_an_unknown_column_of_the_front_matter_is_on_the_line_of_its_key(head, line):
    findings = lint_one(f"---\n{head}\n---\n{{{{ text }}}}\n|||\n{{{{ best }}}}")
    assert [finding.line for finding in findings if finding.rule == "unknown-column"] == [line]
