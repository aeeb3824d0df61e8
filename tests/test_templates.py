"""Both template formats load, say what is wrong by file and line, and hash only what they render."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from instructify.errors import InstructifyError
from instructify.render.reference import ReferenceTemplate
from instructify.templates import Template, open_library
from instructify.templates.library import builtin_root
from instructify.templates.ours import parse_template, read_task_file
from instructify.templates.promptsource import installed_root, read_templates

needs_promptsource = pytest.mark.skipif(installed_root() is None, reason="promptsource is not installed")

GOOD = """---
name: Good one
answer_choices: [bad, good]
metrics: [accuracy]
languages: [ko]
choices_in_prompt: false
original_task: true
author: someone
reference: a paper
kind: inverted
rationale: because {{ text }}
---
Is "{{ text }}" good?
|||
{{ answer_choices[label] }}
"""


def parsed(text):
    return parse_template(text, "t.jinja", "t", "d", "c")


def complaints(action, *args):
    with pytest.raises(InstructifyError) as caught:
        action(*args)
    return [str(problem) for problem in caught.value.problems]


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def yaml_file(folder, body):
    return write(folder, {"templates.yaml": body}) / "templates.yaml"


ENTRY = """dataset: d
templates:
  a-1: !Template
    answer_choices: yes ||| no
    id: a-1
    jinja: '{{ text }} ||| {{ answer_choices[label] }}'
    metadata: !TemplateMetadata
      choices_in_prompt: true
      languages: [en]
      metrics: [Accuracy]
      original_task: false
    name: first
    reference: somewhere
"""


# our format


def test_a_template_file_is_read_whole():
    template = parsed(GOOD)
    assert template == Template(
        dataset="d",
        name="Good one",
        dialect="strict",
        body='Is "{{ text }}" good?\n|||\n{{ answer_choices[label] }}\n',
        choices=("bad", "good"),
        rationale="because {{ text }}",
        id="d/Good one",
        collection="c",
        origin="t.jinja",
        line=13,
        metrics=("accuracy",),
        languages=("ko",),
        choices_in_prompt=False,
        original_task=True,
        author="someone",
        reference="a paper",
        kind="inverted",
    )
    assert template.where == "t.jinja:13"


def test_a_template_without_front_matter_takes_its_name_from_the_file():
    template = parsed("{{ text }} ||| yes")
    assert (template.name, template.line, template.choices) == ("t", 1, None)


@pytest.mark.parametrize("text", ["\ufeff" + GOOD, GOOD.replace("---", "---  ")])
def test_a_byte_order_mark_and_blanks_after_a_fence_do_no_harm(text):
    assert parsed(text) == parsed(GOOD)


def test_windows_line_ends_give_the_same_template(tmp_path):
    from instructify.templates.ours import read_template

    for name, text in (("a", GOOD), ("b", GOOD.replace("\n", "\r\n"))):
        (tmp_path / f"{name}.jinja").write_bytes(text.encode())
    one, other = (read_template(tmp_path / f"{name}.jinja", "d", "c") for name in "ab")
    assert one.hash == other.hash
    assert one.body == other.body


def test_answer_choices_may_be_an_expression():
    assert parsed("---\nanswer_choices: items\n---\na ||| b").choices == "items"


def test_a_yes_in_the_choices_is_a_text():
    assert parsed("---\nanswer_choices: [yes, no, on]\n---\na ||| b").choices == ("yes", "no", "on")


BAD_FRONT = {
    "---\nname: a\n": ("t.jinja:1", "no end"),
    "---\nname: a\nname: b\n---\n": ("t.jinja:3", "name"),
    "---\nmetrics: [a]\nauthr: b\n---\n": ("t.jinja:3", "'author'"),
    "---\nname: ''\n---\n": ("t.jinja:2", "name"),
    "---\n\nkind: upside\n---\n": ("t.jinja:3", "kind"),
    "---\nmetrics: accuracy\n---\n": ("t.jinja:2", "metrics"),
    "---\nanswer_choices: [1, 2]\n---\n": ("t.jinja:2", "answer_choices"),
    "---\nanswer_choices: {a: b}\n---\n": ("t.jinja:2", "answer_choices"),
    "---\n- a\n---\n": ("t.jinja", "mapping"),
    "---\nname: [\n---\n": ("t.jinja:", ""),
    "---\nname: !!python/object:os.system x\n---\n": ("t.jinja:2", ""),
    "---\nname: &a [*a]\n---\n": ("t.jinja:2", ""),
}


@pytest.mark.parametrize("text", BAD_FRONT)
def test_bad_front_matter_is_refused_with_its_line(text):
    where, what = BAD_FRONT[text]
    said = complaints(parsed, text + "a ||| b")
    assert said[0].startswith(where)
    assert what in said[0]


def test_every_fault_of_the_front_matter_is_told_at_once():
    said = complaints(parsed, "---\nmetrics: a\nlanguages: b\nnmae: c\n---\na ||| b")
    assert [line.split(":")[1] for line in said] == ["2", "3", "4"]


def test_a_task_file_is_read_strictly(tmp_path):
    write(tmp_path, {"task.yaml": "dataset: d\ncluster: c\nlicence: CC0-1.0\nlanguage: ko\n"})
    facts = read_task_file(tmp_path / "task.yaml")
    assert (facts.dataset, facts.cluster, facts.licence, facts.language) == ("d", "c", "CC0-1.0", "ko")
    write(tmp_path, {"task.yaml": "dataset: d\nlicense: x\n"})
    said = complaints(read_task_file, tmp_path / "task.yaml")
    assert "task.yaml:2" in said[0]
    assert "licence" in said[0]


def test_bytes_that_are_not_utf_8_are_refused(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.jinja").write_bytes(b"caf\xe9 ||| b")
    said = complaints(open_library([str(tmp_path)], tmp_path).templates, "d")
    assert said[0].endswith("a.jinja:1: not UTF-8 at byte 3; expected a file saved as UTF-8")
    (tmp_path / "d" / "a.jinja").write_bytes("---\nauthor: me\n---\n영화 평이다. ||| b".encode("cp949"))
    said = complaints(open_library([str(tmp_path)], tmp_path).templates, "d")
    assert "a.jinja:4: not UTF-8" in said[0]


def test_a_file_whose_name_is_not_utf_8_needs_a_name_of_its_own(tmp_path):
    (tmp_path / "d").mkdir()
    path = Path(os.fsdecode(bytes(tmp_path / "d") + b"/\xc7\xd1.jinja"))
    path.write_text("a ||| b")
    said = complaints(open_library([str(tmp_path)], tmp_path).templates, "d")
    assert said[0].endswith(
        "the file's name is not UTF-8; expected another name for it, or name in its front matter"
    )
    path.write_text("---\nname: a\n---\na ||| b")
    (template,) = open_library([str(tmp_path)], tmp_path).templates("d")
    assert template.name == "a"


# promptsource's format


def test_a_templates_yaml_is_read(tmp_path):
    (template,) = read_templates(yaml_file(tmp_path, ENTRY), "d", "c")
    assert template == Template(
        dataset="d",
        name="first",
        dialect="promptsource",
        body="{{ text }} ||| {{ answer_choices[label] }}",
        choices="yes ||| no",
        id="a-1",
        collection="c",
        origin=str(tmp_path / "templates.yaml"),
        line=3,
        metrics=("Accuracy",),
        choices_in_prompt=True,
        original_task=False,
        reference="somewhere",
    )


@pytest.mark.parametrize("choices", ["null", "''"])
def test_empty_answer_choices_are_none(tmp_path, choices):
    path = yaml_file(tmp_path, ENTRY.replace("yes ||| no", choices))
    assert read_templates(path, "d", "c")[0].choices is None


BAD_YAML = {
    "": "no templates in it",
    "[]": "no templates in it",
    "dataset: d\n": "no templates in it",
    "templates: []\n": "no templates in it",
    "templates: {a: b}\n": "not a !Template",
    "templates: {a: !Template {id: a, name: b}}\n": "no jinja",
    "templates: {a: !Template {id: a, jinja: b}}\n": "no name",
    "templates: {a: !Template {id: 1, jinja: b, name: c}}\n": "no id",
    "templates: {a: !Template {id: a, jinja: [b], name: c}}\n": "no jinja",
    "templates: {a: !Template {id: a, jinja: b, name: c, answer_choices: [d]}}\n": "answer_choices",
    "templates: {a: !Template [b]}\n": "templates.yaml:1",
    "templates:\n  a: !Other {id: a}\n": "templates.yaml:2",
    "templates:\n  a: !!python/object/apply:os.system ['true']\n": "templates.yaml:2",
    "templates: {\n": "templates.yaml:",
    "\t": "templates.yaml",
    "\0": "templates.yaml",
    "templates: {a: !Template {id: a, jinja: b, name: c, metadata: [1]}}\n": "metadata",
    "templates: {a: !Template {id: a, jinja: b, name: c, metadata: {metrics: 5}}}\n": "metrics",
    "templates: {a: !Template {id: a, jinja: b, name: c, metadata: {languages: [5]}}}\n": "languages",
    "templates: {a: !Template {id: a, jinja: b, name: c, metadata: {original_task: 5}}}\n": "original_task",
    "templates: {[a]: !Template {id: a, jinja: b, name: c}}\n": "templates.yaml",
    "templates: {{a: b}: c}\n": "templates.yaml",
    "a: &a [*a]\ntemplates: *a\n": "no templates in it",
    "[" * 5000: "templates.yaml",
}


@pytest.mark.parametrize("text", BAD_YAML, ids=range(len(BAD_YAML)))
def test_a_bad_templates_yaml_is_refused_clearly(tmp_path, text):
    said = complaints(read_templates, yaml_file(tmp_path, text), "d", "c")
    assert "templates.yaml" in said[0]
    assert BAD_YAML[text] in said[0]


def test_a_bad_body_is_refused_with_file_and_line(tmp_path):
    path = yaml_file(tmp_path, ENTRY.replace("{{ text }}", "{{ text | uper }}"))
    (template,) = read_templates(path, "d", "c")
    (said,) = complaints(ReferenceTemplate, template)
    assert said.startswith(f"{path}:3: ")
    assert "did you mean 'upper'?" in said


# collections


@pytest.fixture
def two(tmp_path):
    return write(
        tmp_path,
        {
            "one/d/a.jinja": "one ||| a",
            "one/d/b.jinja": "one ||| b",
            "one/d/task.yaml": "dataset: d\ncluster: first\n",
            "two/d/a.jinja": "two ||| a",
            "two/d/c.jinja": "two ||| c",
            "two/d/task.yaml": "dataset: d\ncluster: second\n",
            "two/deep/er/x.jinja": "x ||| y",
            "two/other/templates.yaml": ENTRY,
        },
    )


def test_the_first_collection_with_a_name_wins(two):
    bodies = {
        order: [t.body for t in open_library(order.split(), two).templates("d")]
        for order in ("one two", "two one", "one")
    }
    assert bodies == {
        "one two": ["one ||| a", "one ||| b", "two ||| c"],
        "two one": ["two ||| a", "one ||| b", "two ||| c"],
        "one": ["one ||| a", "one ||| b"],
    }


def test_the_first_task_file_wins(two):
    assert open_library(["one", "two"], two).task_info("d").cluster == "first"
    assert open_library(["two", "one"], two).task_info("d").cluster == "second"
    assert open_library(["one", "two"], two).task_info("nothing").cluster is None


def test_datasets_are_listed_with_their_subsets(two):
    assert open_library(["one", "two"], two).datasets() == ["d", "deep/er", "other"]


def test_an_unknown_dataset_is_told_the_nearest_one(two):
    (said,) = complaints(open_library(["one", "two"], two).templates, "othre")
    assert "'othre'" in said
    assert "one, two" in said
    assert "did you mean 'other'?" in said


def test_an_unknown_collection_is_told_the_nearest_one(two):
    said = complaints(open_library, ["bultin", "one", "three"], two)
    assert len(said) == 2
    assert said[0].startswith("no template folder 'bultin'")
    assert "did you mean 'builtin'?" in said[0]
    assert "'three'" in said[1]


def test_the_faults_of_all_files_of_a_dataset_are_told_at_once(two):
    write(two, {"one/d/a.jinja": "---\nx: 1\n---\n", "one/d/b.jinja": "---\ny: 1\n---\n"})
    said = complaints(open_library(["one"], two).templates, "d")
    assert [Path(line.split(":")[0]).name for line in said] == ["a.jinja", "b.jinja"]


def test_every_built_in_template_compiles():
    library = open_library(["builtin"], Path())
    files = sorted(builtin_root().rglob("*.jinja"))
    templates = [template for name in library.datasets() for template in library.templates(name)]
    assert len(templates) == len(files) >= 150
    assert len(library.datasets()) == len({file.parent for file in files}) >= 20
    for template in templates:
        assert ReferenceTemplate(template).variables
        assert library.task_info(template.dataset).cluster


@needs_promptsource
def test_every_promptsource_template_loads_and_compiles():
    library = open_library(["promptsource"], Path())
    files = sorted(installed_root().rglob("templates.yaml"))
    assert len(files) == 279
    templates = [template for name in library.datasets() for template in library.templates(name)]
    entries = sum(len(read_templates(path, "", "")) for path in files)
    assert entries == 2085
    assert len(templates) == 2085
    assert len({template.id for template in templates}) > 2000
    for template in templates:
        ReferenceTemplate(template)
        ReferenceTemplate(dataclasses.replace(template, truncate=True))


@needs_promptsource
def test_none_of_promptsources_code_is_imported():
    code = """
import json, sys
from pathlib import Path
from instructify.render.reference import ReferenceTemplate
from instructify.templates import open_library
for template in open_library(["promptsource"], Path()).templates("glue/mrpc"):
    ReferenceTemplate(template)
print(json.dumps([name for name in sys.modules if name.split(".")[0] == "promptsource"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


# the hash

BASE = Template(dataset="d", name="n", dialect="strict", body="a ||| b")

DECIDES = {
    "dialect": "promptsource",
    "body": "a ||| c",
    "choices": ("x",),
    "rationale": "because",
    "truncate": True,
}
SAYS_NOTHING = {
    "dataset": "e",
    "name": "m",
    "id": "i",
    "collection": "c",
    "origin": "o",
    "line": 7,
    "metrics": ("m",),
    "languages": ("ko",),
    "choices_in_prompt": True,
    "original_task": True,
    "author": "a",
    "reference": "r",
    "kind": "inverted",
}


def test_the_hash_depends_on_what_decides_the_text_and_on_nothing_else():
    names = {field.name for field in dataclasses.fields(Template)}
    assert names == DECIDES.keys() | SAYS_NOTHING.keys()
    changed = {name: dataclasses.replace(BASE, **{name: value}).hash for name, value in DECIDES.items()}
    assert len({BASE.hash, *changed.values()}) == len(DECIDES) + 1
    for name, value in SAYS_NOTHING.items():
        assert dataclasses.replace(BASE, **{name: value}).hash == BASE.hash


def test_choices_that_render_differently_hash_differently():
    every = [None, "a", ("a",), ("a", "b"), ("b", "a"), "a ||| b", (), ""]
    hashes = {dataclasses.replace(BASE, choices=choices).hash for choices in every}
    assert len(hashes) == len(every)


def test_the_hash_is_what_it_always_was():
    """Changed on purpose only, by raising RENDER_VERSION: every build is made anew then."""
    assert BASE.hash == "ad9d9257375e1a99"
