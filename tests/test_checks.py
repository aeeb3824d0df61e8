"""A rendered row becomes an example or is dropped for one reason that the ledger knows."""

import ast
from pathlib import Path

import pytest

import instructify
from instructify.checks import REASONS, Checked, check
from instructify.errors import RowError
from instructify.render.reference import REASONS as ERROR_REASONS
from instructify.render.reference import Rendered


def rendered(*parts, choices=None, rationale=None, unlabelled=False, none_printed=False):
    return Rendered(parts, choices, rationale, unlabelled, none_printed)


BAD = {
    "unlabelled": rendered("a", "b", unlabelled=True),
    "not-two-parts": rendered("a", "b", "c"),
    "blank-prompt": rendered("", "b"),
    "blank-target": rendered("a", ""),
    "none-printed": rendered("a", "None", none_printed=True),
    "target-not-in-choices": rendered("a", "maybe", choices=("yes", "no")),
    "blank-rationale": rendered("a", "b", rationale=""),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_is_dropped_for_its_reason(reason):
    with pytest.raises(RowError) as caught:
        check(BAD[reason])
    assert caught.value.reason == reason
    assert reason in REASONS


def test_a_template_that_prints_nothing_has_a_blank_prompt():
    """promptsource's templates print nothing at all for the rows they are not meant for."""
    with pytest.raises(RowError, match="blank-prompt"):
        check(rendered(""))


@pytest.mark.parametrize("parts", [(), ("a",), ("a", "b", "c"), ("", "", "")])
def test_any_other_number_of_parts_is_refused(parts):
    with pytest.raises(RowError, match="not-two-parts"):
        check(rendered(*parts))


def test_a_plain_row_is_an_example_without_label():
    assert check(rendered("a", "b")) == Checked("a", "b", None, None, None)


def test_the_label_is_the_place_of_the_target():
    assert check(rendered("a", "no", choices=("yes", "no"))).label == 1


def test_a_target_that_is_several_of_the_choices_has_no_label():
    with pytest.raises(RowError, match="ambiguous-target"):
        check(rendered("a", "x", choices=("x", "x")))
    assert check(rendered("a", "y", choices=("x", "x", "y"))).label == 2


def test_no_choice_at_all_holds_no_target():
    with pytest.raises(RowError, match="target-not-in-choices"):
        check(rendered("a", "x", choices=()))


def test_a_rationale_is_kept():
    assert check(rendered("a", "b", rationale="because")).rationale == "because"


def test_the_first_fault_is_the_one_that_counts():
    with pytest.raises(RowError, match=r"^unlabelled"):
        check(rendered("", "", unlabelled=True, none_printed=True))


def test_every_reason_in_the_code_is_explained_and_every_explained_one_occurs():
    used = {reason for _, reason in ERROR_REASONS} | {"error"}
    said: set[object] = set()
    package = Path(instructify.__file__).parent
    files = sorted(package.rglob("*.py"))
    assert len(files) > 40
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and path != package / "checks.py":
                said.add(node.value)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RowError" and node.args:
                values = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
                used |= {value for value in values if isinstance(value, str)}
    composed = set(REASONS) - used  # rows that render well and fall later
    assert used <= set(REASONS)
    assert len(composed) >= 9
    assert composed - said == set()
    assert all(text and text[-1] != "." for text in REASONS.values())
