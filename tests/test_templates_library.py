"""Collections of templates refuse what is ambiguous, say what they cannot read, and can be counted."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from build_kit import promptsource_file, template
from instructify.errors import InstructifyError
from instructify.keys import Key
from instructify.render.reference import reference
from instructify.templates import Template, matches, open_library
from instructify.templates.library import builtin_root, dataset_of, meant
from instructify.templates.ours import parse_template, read_task_file
from instructify.templates.places import line_in_head
from instructify.templates.promptsource import parts
from instructify.templates.stats import template_stats
from instructify.templates.wording import bigrams, static_prompt


def complaints(action: Any, *arguments: Any) -> list[str]:
    with pytest.raises(InstructifyError) as caught:
        action(*arguments)
    return [str(problem) for problem in caught.value.problems]


# names


def test_two_templates_of_one_name_are_refused_with_both_files(tmp_path: Path) -> None:
    one = template(tmp_path / "own/d", "a", "{{ x }} ||| y", name="same")
    two = template(tmp_path / "own/d", "b", "{{ x }} ||| z", name="same")
    (said,) = complaints(open_library(["own"], tmp_path).templates, "d")
    assert f"{two}:4: a second template is called 'same'; the first is {one}:4" in said


def test_two_templates_of_one_name_are_refused_across_the_formats(tmp_path: Path) -> None:
    one = template(tmp_path / "own/d", "same", "{{ x }} ||| y")
    two = promptsource_file(tmp_path / "own/d", {"same": ("{{ x }} ||| y", None)})
    (said,) = complaints(open_library(["own"], tmp_path).templates, "d")
    assert said.startswith(f"{two}:3: ")
    assert str(one) in said


@pytest.mark.parametrize(
    ("include", "exclude", "is_told"),
    [
        (["*"], [], True),
        (["good", "b*"], [], True),
        (["bad"], [], True),
        (["good"], [], False),
        (["g*"], [], False),
        (["*"], ["bad"], False),
    ],
)
def test_a_broken_file_is_told_to_whom_may_want_it(
    tmp_path: Path, include: list[str], exclude: list[str], is_told: bool
) -> None:
    template(tmp_path / "own/d", "good", "{{ x }} ||| y")
    (tmp_path / "own/d/bad.jinja").write_text("---\nauthor: @me\n---\n{{ x }} ||| y\n")
    library = open_library(["own"], tmp_path)
    if is_told:
        (said,) = complaints(library.templates, "d", include, exclude)
        assert "bad.jinja:2" in said
    else:
        assert [found.name for found in library.templates("d", include, exclude)] == ["good"]


def test_a_broken_file_that_may_have_any_name_is_told_unless_every_name_is_known(tmp_path: Path) -> None:
    template(tmp_path / "own/d", "good [1]", "{{ x }} ||| y")
    (tmp_path / "own/d/bad.jinja").write_text("---\nname: better\nauthor: @me\n---\n{{ x }} ||| y\n")
    library = open_library(["own"], tmp_path)
    assert len(library.templates("d", ["good [1]"])) == len(library.templates("d", ["good [[]1]"])) == 1
    for pattern in ("better", "g*"):
        assert "bad.jinja:3" in complaints(library.templates, "d", [pattern])[0]


def test_where_nothing_can_be_read_it_is_told_why(tmp_path: Path) -> None:
    (tmp_path / "own/d").mkdir(parents=True)
    (tmp_path / "own/d/bad.jinja").write_text("---\nauthor: @me\n---\n{{ x }} ||| y\n")
    assert "bad.jinja:2" in complaints(open_library(["own"], tmp_path).templates, "d", ["good"])[0]


def test_a_name_in_two_collections_is_no_conflict(tmp_path: Path) -> None:
    for collection in ("one", "two"):
        template(tmp_path / collection / "d", "same", "{{ x }} ||| y")
    (found,) = open_library(["one", "two"], tmp_path).templates("d")
    assert found.collection == "one"


@pytest.mark.parametrize("name", ["a [b] c? *|", "[", "[!x]", "*", "plain"])
def test_a_name_matches_itself_whatever_is_in_it(name: str) -> None:
    assert matches(name, name)


def test_a_pattern_matches_as_a_glob_with_case() -> None:
    found = [name for name in ("one", "One", "on", "two") if matches(name, "o?[a-f]")]
    assert found == ["one"]


def test_names_that_begin_with_a_dot_are_no_templates(tmp_path: Path) -> None:
    template(tmp_path / "own/d", "one", "{{ x }} ||| y")
    for name in ("._one.jinja", ".jinja"):
        (tmp_path / "own/d" / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "own/d/.#one.jinja").symlink_to("nobody@nowhere:1")
    template(tmp_path / "own/.checkpoints", "one", "{{ x }} ||| y")
    template(tmp_path / "own/only_hidden", ".one", "{{ x }} ||| y")
    library = open_library(["own"], tmp_path)
    assert library.datasets() == ["d"]
    assert [found.name for found in library.templates("d")] == ["one"]


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    template(tmp_path / "own/d", "one", "{{ x }} ||| y")
    (tmp_path / "own/d/two.jinja").symlink_to("nothing")
    assert "two.jinja: cannot be read" in complaints(open_library(["own"], tmp_path).templates, "d")[0]


# folders


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template(tmp_path / "own/d", "one", "{{ x }} ||| y")
    library = open_library(["own"], tmp_path)
    scandir = os.scandir

    def refusing(path: Any = ".") -> Any:
        if Path(path).name == "d":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    expected = [f"{tmp_path / 'own/d'}: the template folder cannot be read: permission denied"]
    assert complaints(library.datasets) == expected
    assert complaints(library.templates, "d") == expected
    assert complaints(library.task_info, "d") == expected


@pytest.mark.parametrize("name", ["a" * 300, "nul\0", "~nobody-of-that-name"])
def test_a_collection_that_cannot_be_a_folder_is_told(name: str, tmp_path: Path) -> None:
    assert len(complaints(open_library, [name, "missing"], tmp_path)) == 2


def test_a_name_too_long_for_a_folder_is_a_dataset_without_templates(tmp_path: Path) -> None:
    template(tmp_path / "own/d", "one", "{{ x }} ||| y")
    assert (
        "no templates for the dataset" in complaints(open_library(["own"], tmp_path).templates, "d" * 300)[0]
    )


def test_a_tilde_in_a_collection_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template(tmp_path / "own/d", "one", "{{ x }} ||| y")
    monkeypatch.setenv("HOME", str(tmp_path))
    library = open_library(["~/own"], Path("/"))
    assert library.datasets() == ["d"]
    assert library.templates("d")[0].collection == "~/own"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("cluster: c\ndataset: other\n", 2, "dataset"),
        ("dataset: a\nsubset: other\n", 2, "subset"),
        ("dataset: b\n", 1, "dataset"),
        ("dataset: other\nsubset: b\n", 1, "dataset"),
    ],
)
def test_a_task_file_must_name_the_folder_it_lies_in(text: str, line: int, key: str, tmp_path: Path) -> None:
    template(tmp_path / "own/a/b", "one", "{{ x }} ||| y")
    path = tmp_path / "own/a/b/task.yaml"
    path.write_text(text, "utf-8")
    (said,) = complaints(open_library(["own"], tmp_path).task_info, "a/b")
    assert said.startswith(f"{path}:{line}: {key}: ")
    assert "'a/b'" in said


@pytest.mark.parametrize("text", ["dataset: a\nsubset: b\n", "dataset: a/b\n"])
def test_a_task_file_decides_what_is_the_subset(text: str, tmp_path: Path) -> None:
    template(tmp_path / "own/a/b", "one", "{{ x }} ||| y")
    (tmp_path / "own/a/b/task.yaml").write_text(text, "utf-8")
    expected = ("a", "b") if "subset" in text else ("a/b", None)
    assert open_library(["own"], tmp_path).parts("a/b") == expected


def test_a_folder_without_a_task_file_is_the_longest_end_of_its_path_in_the_data_root(tmp_path: Path) -> None:
    for name in ("data/cola", "data/glue/cola", "own/glue/cola", "own/cola", "own/other"):
        (tmp_path / name).mkdir(parents=True)
    data = tmp_path / "data"
    assert dataset_of(tmp_path / "own/glue/cola", data) == "glue/cola"
    assert dataset_of(tmp_path / "own/cola", data) == "cola"
    assert dataset_of(tmp_path / "own/other", data) is None
    assert dataset_of(tmp_path / "own/cola", None) is None


def test_every_task_file_of_ours_names_its_folder() -> None:
    files = sorted(builtin_root().rglob("task.yaml"))
    assert len(files) >= 20
    for path in files:
        assert read_task_file(path, path.parent.relative_to(builtin_root()).as_posix()).cluster


def test_only_known_users_make_a_dataset_name_of_two_parts() -> None:
    assert {
        name: parts(name) for name in ("imdb", "super_glue/rte", "Zaid/coqa_expanded", "craffel/a/b")
    } == {
        "imdb": ("imdb", None),
        "super_glue/rte": ("super_glue", "rte"),
        "Zaid/coqa_expanded": ("Zaid/coqa_expanded", None),
        "craffel/a/b": ("craffel/a", "b"),
    }


# answer choices


@pytest.mark.parametrize(
    ("front", "line", "what"),
    [
        ("author: me\nanswer_choices: []", 3, "none are given"),
        ("answer_choices: ''", 2, "none are given"),
        ("answer_choices: '  '", 2, "the expression is blank"),
        ("answer_choices:\n- yes\n- no\n- ' yes '", 5, "'yes' is given twice"),
        ("answer_choices:\n- yes\n- ' '", 4, "answer_choices[1]: the choice is blank"),
    ],
)
def test_static_choices_that_cannot_be_told_apart_are_refused(front: str, line: int, what: str) -> None:
    (said,) = complaints(parse_template, f"---\n{front}\n---\na ||| b", "t.jinja", "t", "d", "c")
    assert said.startswith(f"t.jinja:{line}: answer_choices")
    assert what in said


@pytest.mark.parametrize("listed", ["[yes, Yes]", "['{{ a }}', '{{ a }}']", "[one]", "cities"])
def test_choices_that_only_rows_can_judge_are_taken(listed: str) -> None:
    assert parse_template(f"---\nanswer_choices: {listed}\n---\na ||| b", "t.jinja", "t", "d", "c").choices


# statistics


def made(body: str, **fields: Any) -> Template:
    return Template(dataset="d", name="n", dialect="strict", body=body, **fields)


def test_the_static_prompt_is_what_stands_outside_jinja_before_the_separator() -> None:
    body = "Read {# all #}{{ text }} well.{% if x %} Or not.{% endif %}{% raw %} {{ {% endraw %} ||| {{ y }}"
    assert "".join(static_prompt(made(body))) == "Read  well. Or not. {{  "
    assert static_prompt(made("a {{ '|||' }} b")) == ("a ", " b")


def test_text_that_is_not_jinja_is_told_by_its_place() -> None:
    (said,) = complaints(template_stats, [made("{{ 'a ||| b", origin="t.jinja", line=3)])
    assert said.startswith("t.jinja:3: ")


def test_bigrams_have_no_case_and_do_not_reach_over_a_gap() -> None:
    assert list(bigrams(["One two, THREE", " four ", "", "five. Six"])) == [
        ("one", "two"), ("two", "three"), ("five", "six"),
    ]  # fmt: skip


def test_the_numbers_about_known_templates_are_known() -> None:
    found = template_stats(
        [
            made("Is it so? {{ a }} ||| b", choices=("x", "y"), choices_in_prompt=True, author="B"),
            made(
                "Is it so {{ a }} ||| b", choices="c", choices_in_prompt=False, author="A", languages=("ko",)
            ),
            made("{{ a }} ||| b", kind="inverted", author="A"),
        ]
    )
    assert (found.templates, found.task, found.inverted) == (3, 2, 1)
    assert found.languages == ("en", "ko")
    assert (found.with_choices, found.choices_in_prompt) == (2, 1)
    assert found.prompt_characters == len("Is it so")
    assert found.distinct_2 == 2 / 4
    assert found.authors == ("A", "B")


def test_templates_without_words_have_no_distinct_2() -> None:
    found = template_stats([made("{{ a }} ||| b"), made("Why {{ a }} ||| b")])
    assert found.distinct_2 is None
    assert found.prompt_characters == 1.5


def test_every_built_in_template_can_be_counted() -> None:
    library = open_library(["builtin"], Path())
    counted = [template_stats(library.templates(name)) for name in library.datasets()]
    assert sum(one.templates for one in counted) == len(list(builtin_root().rglob("*.jinja"))) >= 150
    assert all(one.prompt_characters > 20 and one.distinct_2 for one in counted)


def test_an_ending_that_begins_with_a_comma_is_shown_without_it() -> None:
    row = {
        "ctx_a": "Then",
        "ctx_b": "",
        "activity_label": "Washing",
        "endings": [", the man sings.", "a dog barks.", ", it rains.", "he stops."],
        "label": "0",
    }
    seen = 0
    for found in open_library(["builtin"], Path()).templates("hellaswag"):
        for number in range(4):
            made = reference(found).render(row, Key.of("endings"), number)
            texts = [*made.parts, *(made.choices or ())]
            assert not any(re.search(r"(^|[\s:/)>-]), ", text) for text in texts), (found.name, texts)
            seen += 1
    assert seen == 4 * 12


# what is not read


def test_a_template_outside_of_every_dataset_is_none_of_a_dataset(tmp_path: Path) -> None:
    template(tmp_path / "own/d", "one", "{{ x }} ||| y")
    path = template(tmp_path / "own", "loose", "{{ x }} ||| y")
    library = open_library(["own"], tmp_path)
    assert library.datasets() == ["d"]
    assert library.collections[0].loose() == [path]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one.j2", "one.jinja"),
        ("one.JINJA", "one.jinja"),
        ("one.jinja2", "one.jinja"),
        ("one.jinja.txt", "one.jinja"),
        ("task.yml", "task.yaml"),
        ("Task.yaml", "task.yaml"),
        ("templates.yml", "templates.yaml"),
        ("one.jinja", ""),
        ("task.yaml", ""),
        ("templates.yaml", ""),
        (".one.j2", ""),
        ("README.md", ""),
    ],
)
def test_a_file_that_is_not_read_for_its_name_has_another(name: str, expected: str) -> None:
    assert meant(name) == expected


def test_a_dataset_without_templates_is_told_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "own/d").mkdir(parents=True)
    (tmp_path / "own/d/one.j2").write_text("{{ x }} ||| y")
    template(tmp_path / "own/glue/rte", "one", "{{ x }} ||| y")
    template(tmp_path / "own/glue/cola", "one", "{{ x }} ||| y")
    library = open_library(["own"], tmp_path)
    expected = f"expected *.jinja files or a templates.yaml in {tmp_path}/own/d (one.j2 is not read)"
    assert complaints(library.templates, "d") == [f"no templates for the dataset 'd' in own; {expected}"]
    (said,) = complaints(library.templates, "glue")
    assert said.endswith("in own, only for 2 below it; expected one of these, as glue/cola")
    (said,) = complaints(library.templates, "glue/cols")
    assert "expected a folder glue/cols with *.jinja files or a templates.yaml; did you mean 'glue/c" in said


def test_a_missing_collection_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(InstructifyError) as caught:
        open_library(["one", "two"], tmp_path, where=lambda number: f"r.yaml:{number + 3}")
    assert [problem.where for problem in caught.value.problems] == ["r.yaml:4"]
    assert complaints(open_library, ["onne"], tmp_path)[0].endswith("did you mean 'one'?")


COMPOSED, APART = unicodedata.normalize("NFC", "영화"), unicodedata.normalize("NFD", "영화")


@pytest.mark.parametrize(("there", "named"), [(COMPOSED, APART), (APART, COMPOSED)])
def test_a_folder_whose_name_only_looks_the_same_is_told(tmp_path: Path, there: str, named: str) -> None:
    template(tmp_path / there / there, "one", "{{ x }} ||| y")
    wanted = "differs only in how its letters, such as Hangul, are composed"
    assert wanted in complaints(open_library, [named], tmp_path)[0]
    assert wanted in complaints(open_library([there], tmp_path).templates, named)[0]
    (tmp_path / there / there / "task.yaml").write_text(f"dataset: {named}\n", "utf-8")
    assert wanted in complaints(open_library([there], tmp_path).task_info, there)[0]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("metrics: []\nanswer_choices: wyh.text", 3),
        ('answer_choices: [a, b]\nrationale: "{{ wyh }}"', 3),
        ('rationale: "why"\nanswer_choices:\n- wyh\n- "{{ wyh }}"', 5),
        ("reference: wyh", 0),
    ],
)
def test_the_line_of_the_front_matter_that_uses_a_name(head: str, line: int) -> None:
    text = f"---\n{head}\n---\n{{{{ wyh }}}}\n|||\nb"
    assert line_in_head(parse_template(text, "t.jinja", "t", "d", "c"), text, "wyh") == line
