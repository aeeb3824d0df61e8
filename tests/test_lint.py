"""Every rule of lint finds what the guide says it finds, and nothing in the example beside it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled_kit import tables
from instructify.lint import RULES, lint
from instructify.lint.engine import Data, Draft
from instructify.lint_run import load_tokenizer
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


@pytest.mark.parametrize("number", range(2))
def test_each_example_against_the_labels_triggers_by_itself(number):
    assert "choices-against-labels" in found(SECTIONS["choices-against-labels"].bad[number : number + 1])


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
