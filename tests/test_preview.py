"""Preview shows what a build makes: variants, tokens and cuts, and what has changed since the last save."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from build_kit import cli, examples, fail, recipe, rows_file, succeed, template
from compose_kit import write_tokenizer
from instructify.checks import REASONS
from instructify.errors import InstructifyError
from instructify.preview import Sheet, Wanted, find, open_bench, sheets
from instructify.preview.saved import saved_versions
from instructify.preview.target import VARIANTS
from instructify.templates import Template

NOTES = "The quiet harbour|A bridge in the rain|Market day|The old garden|Late train|Two closed doors".split(
    "|"
)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder with rows and three templates: one with options and reasoning, a plain one, a terse one."""
    rows = [
        {
            "text": f"{text} {'word ' * (number * 9)}end {number}.",
            "mood": number % 2,
            "why": f"It was so in {number}.",
            "page": str(number),
        }
        for number, text in enumerate(NOTES * 4)
    ]
    rows[3] |= {"mood": -1}
    rows_file(tmp_path / "rows.jsonl", rows)
    choices = {"answer_choices": ["calm", "wild"], "rationale": "{{ why }}"}
    body = "{{ text | fit }}\nHow was it?\n{{ answer_choices | options }}\n|||\n{{ answer_choices[mood] }}"
    template(tmp_path / "own/notes", "options", body, **choices)
    template(tmp_path / "own/notes", "plain", "{{ text }} Calm?\n|||\n{{ answer_choices[mood] }}", **choices)
    template(tmp_path / "own/notes", "terse", "{{ text }} ->\n|||\n{{ why }}")
    return tmp_path


def made(
    folder: Path, target: str | Path, rows: list[int], against: Path | None = None, **wanted: Any
) -> list[Sheet]:
    data = str(folder / "rows.jsonl")
    work = folder / f"work{len(list(folder.iterdir()))}"
    work.mkdir()
    found = find(Wanted(str(folder / target), **({"data": data} | wanted)), work)
    return sheets(open_bench(found, len(rows) or 3, rows, work, against))


def commit(folder: Path) -> None:
    run = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run([*run, "add", "-A"], check=True)
    subprocess.run([*run, "commit", "-q", "-m", "saved"], check=True)


# what a build makes


def test_preview_shows_every_row_of_a_recipe_as_its_build_makes_it(notes: Path) -> None:
    variants = [
        {"name": "zero_shot"},
        {"name": "few", "share": 2, "shots": [1, 2]},
        {"name": "hidden", "options": "hidden", "shots": 1},
        {"name": "reasons", "reasoning": "before"},
        {"name": "markers", "answer_by_marker": True},
    ]
    tokens = {"tokenizer": str(write_tokenizer(notes / "tokenizer.json")), "max_input": 300}
    task = {"dataset": "notes", "cluster": "c", "source": {"kind": "files", "path": "rows.jsonl"}}
    path = recipe(notes, [task], template_sources=["own"], variants=variants, tokens=tokens)
    succeed("build", path, "-q", "-j", "1")
    built = {(row["template"], row["row"]): row for row in examples(notes / "out").values()}
    cards = {
        (one["template"], one["row"]): one
        for one in json.loads(cli("preview", path, "-n", "24", "--json").stdout)
    }
    kept = {place: card for place, card in cards.items() if card["inputs"] is not None}
    assert kept.keys() == built.keys()
    assert len(cards) == 72 > len(kept) > 40
    assert {card["variant"] for card in kept.values()} == {variant["name"] for variant in variants}
    for place, card in kept.items():
        for name in ("inputs", "targets", "answer_choices", "label", "rationale", "variant", "cut"):
            assert card[name] == built[place][name], (place, name)
        assert (card["exemplars"] or None) == built[place]["exemplars"]


def test_a_variant_is_shown_for_every_row_and_template_that_can_be_composed_in_it(notes: Path) -> None:
    found = made(notes, "own/notes", [0, 1], variant="*")
    assert {sheet.template.name: {card.variant for card in sheet.cards} for sheet in found} == {
        "options": {variant.name for variant in VARIANTS},
        "plain": {"zero_shot", "few_shot", "reason_first", "answer_first"},
        "terse": {"zero_shot", "few_shot"},
    }
    (options, _, _) = found
    by_variant = {card.variant: card.now.example for card in options.cards if card.row == 1}
    assert all(by_variant.values())
    assert len(by_variant["few_shot"].exemplars) == 2
    assert 1 not in by_variant["few_shot"].exemplars
    assert by_variant["few_shot"].inputs[by_variant["few_shot"].query :].startswith("A bridge")
    assert by_variant["options_hidden"].inputs.endswith("How was it?")
    assert by_variant["reason_first"].targets.startswith("It was so in 1. ")
    assert "\ufdd0" not in "".join(example.inputs for example in by_variant.values())


def test_without_a_variant_rows_stand_alone(notes: Path) -> None:
    assert {card.variant for sheet in made(notes, "own/notes", [0]) for card in sheet.cards} == {"zero_shot"}


@pytest.mark.parametrize(
    ("target", "variant", "complaint"),
    [
        ("own/notes", "few_shots", "no variant is called 'few_shots'; expected one of"),
        ("own/notes/terse.jinja", "reason_first", "none of these templates can be composed in the variant"),
    ],
)
def test_a_variant_that_cannot_be_shown_is_one_error(
    notes: Path, target: str, variant: str, complaint: str
) -> None:
    (said,) = fail("preview", notes / target, "--data", notes / "rows.jsonl", "--variant", variant)
    assert said.startswith(f"--variant: {complaint}")
    assert ("did you mean 'few_shot'?" in said) == (variant == "few_shots")


def test_a_row_that_is_dropped_says_why_in_plain_words(notes: Path) -> None:
    done = cli("preview", notes / "own/notes/plain.jinja", "--data", notes / "rows.jsonl", "--row", "3")
    assert done.returncode == 1
    assert "dropped: unlabelled" in done.stdout
    assert REASONS["unlabelled"] in done.stdout


def test_rows_cannot_steer_the_terminal(notes: Path) -> None:
    rows_file(notes / "rows.jsonl", [{"text": "a\x1b[31mb\x07\u202ec", "why": "y\x1b]0;t\x07"}])
    said = succeed("preview", notes / "own/notes/terse.jinja", "--data", notes / "rows.jsonl")
    assert not {"\x1b", "\x07", "\u202e"} & set(said)
    assert "a[U+001B][31mb[U+0007][U+202E]c" in said


def test_a_template_without_columns_is_shown_for_each_row_asked_for(notes: Path) -> None:
    template(notes / "own/notes", "fixed", "Say hello.\n|||\nHello.")
    (sheet,) = made(notes, "own/notes/fixed.jinja", [4, 4], variant="zero_shot")
    assert [card.row for card in sheet.cards] == [4, 4]
    assert all(card.now.example for card in sheet.cards)


# tokens


def test_tokens_are_counted_and_what_the_budget_cuts_is_shown_where_it_stood(notes: Path) -> None:
    tokenizer = str(write_tokenizer(notes / "tokenizer.json"))
    (whole,) = made(notes, "own/notes/options.jinja", [23])
    (sheet,) = made(notes, "own/notes/options.jinja", [23], tokenizer=tokenizer, max_input=200)
    example, before = sheet.cards[0].now.example, whole.cards[0].now.example
    assert example and before and example.size
    assert example.size.inputs <= 200
    assert example.cut == len(example.gone) > 500
    assert example.inputs[: example.gap] + example.gone + example.inputs[example.gap :] == before.inputs
    assert (before.cut, before.size) == (0, None)


def test_exemplars_that_do_not_fit_are_counted(notes: Path) -> None:
    tokenizer = str(write_tokenizer(notes / "tokenizer.json"))
    wanted = {"tokenizer": tokenizer, "variant": "few_shot"}
    (roomy,) = made(notes, "own/notes/options.jinja", [0], **wanted, max_input=100_000)
    (tight,) = made(notes, "own/notes/options.jinja", [0], **wanted, max_input=120)
    one, other = roomy.cards[0].now.example, tight.cards[0].now.example
    assert one and other
    assert (len(one.exemplars), one.dropped_shots) == (2, 0)
    assert len(other.exemplars) + other.dropped_shots == 2
    assert other.dropped_shots


def test_a_prompt_that_cannot_be_cut_is_dropped_for_the_budget(notes: Path) -> None:
    tokenizer = write_tokenizer(notes / "tokenizer.json")
    path = notes / "own/notes/options.jinja"
    done = cli("preview", path, "--data", notes / "rows.jsonl", "--tokenizer", tokenizer, "--max-input", "9")
    assert done.returncode == 1
    assert "dropped: input-over-budget" in done.stdout


def test_a_character_without_a_token_is_named(notes: Path) -> None:
    tokenizer = write_tokenizer(notes / "tokenizer.json", "words")
    (sheet,) = made(notes, "own/notes/terse.jinja", [0], tokenizer=str(tokenizer))
    example = sheet.cards[0].now.example
    assert example and example.size
    assert "q" in example.size.unknown
    assert "a" not in example.size.unknown


def test_options_that_do_not_go_together_are_told(notes: Path) -> None:
    (said,) = fail("preview", notes / "own/notes", "--data", notes / "rows.jsonl", "--max-input", "9")
    assert said == "--max-input: no tokenizer counts the tokens; expected --tokenizer beside it"
    (said,) = fail(
        "preview", notes / "own/notes", "--data", notes / "rows.jsonl", "--tokenizer", "./none.json"
    )
    assert said.startswith("--tokenizer: there is no file ")
    fail("preview", notes / "own/notes", "--json", "--watch", code=2)
    (said,) = fail(
        "preview", notes / "own/notes", "--data", notes / "rows.jsonl", "--against", notes / "a.jinja"
    )
    assert said == "--against: only one template can be compared with a file"


def test_a_folder_of_a_subset_finds_its_rows_in_the_data_root(notes: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (notes / "root/some/part").mkdir(parents=True)
    pq.write_table(pa.table({"text": ["one"], "why": ["a"]}), notes / "root/some/part/train.parquet")
    path = template(notes / "own/some/part", "plain", "{{ text }} Calm?\n|||\n{{ why }}")
    for target in (path, path.parent):
        (sheet,) = made(notes, target, [0], data=None, data_root=notes / "root")
        assert (sheet.task, sheet.cards[0].now.text[0]) == ("some/part", "one Calm?")


def test_a_template_is_shown_beside_a_broken_one(notes: Path) -> None:
    (notes / "own/notes/bad.jinja").write_text("---\nauthor: @me\n---\n{{ text }} ||| y\n")
    for target, name in (("own/notes/terse.jinja", "*"), ("own/notes", "terse")):
        (sheet,) = made(notes, target, [0], template=name)
        assert sheet.template.name == "terse"
    for target in ("own/notes/bad.jinja", "own/notes"):
        with pytest.raises(InstructifyError, match=r"bad\.jinja:2"):
            made(notes, target, [0])


@pytest.mark.parametrize(("option", "value"), [("--data", "rows.jsonl"), ("--split", "test")])
def test_rows_beside_a_recipe_are_refused(notes: Path, option: str, value: str) -> None:
    task = {"dataset": "notes", "cluster": "c", "source": {"kind": "files", "path": "rows.jsonl"}}
    path = recipe(notes, [task], template_sources=["own"])
    assert fail("preview", path, option, value) == [f"{option}: a recipe names its own rows"]


def test_without_a_split_rows_are_those_of_the_first_split_of_the_data_root(notes: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (notes / "data" / "notes").mkdir(parents=True)
    pq.write_table(pa.table({"text": ["a"], "why": ["b"]}), notes / "data" / "notes" / "test.parquet")
    arguments = ["preview", notes / "own/notes/terse.jinja", "--data-root", notes / "data"]
    assert "1 of 1 rows make an example" in succeed(*arguments)
    (said,) = fail(*arguments, "--split", "tset")
    assert "there is no split 'tset'" in said
    assert said.endswith("did you mean 'test'?")
    (said,) = fail(*arguments[:-1], notes / "dta")
    assert "the data root is no folder" in said
    assert said.endswith("did you mean 'data'?")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("typo", "there is no file"),
        ("a/b/c", "there is no file"),
        ("./none.json", "there is no file"),
        ("tinny", "did you mean 'tiny'?"),
        ("nobody/nothing", "'nobody/nothing' is no file or folder, and the hub cannot be reached"),
    ],
)
def test_a_tokenizer_that_is_not_there_is_told_in_one_line(notes: Path, name: str, complaint: str) -> None:
    arguments = ["preview", notes / "own/notes/terse.jinja", "--data", notes / "rows.jsonl"]
    (said,) = fail(*arguments, "--tokenizer", name)
    assert said.startswith("--tokenizer: ")
    assert complaint in said


# what was saved


def test_a_template_is_compared_with_head_on_the_same_draws(notes: Path) -> None:
    commit(notes)
    path = notes / "own/notes/options.jinja"
    path.write_text(path.read_text("utf-8").replace("How was it?", "What was it like?"), "utf-8")
    found = {sheet.template.name: sheet for sheet in made(notes, "own/notes", [0, 1, 2])}
    assert (found["plain"].diff, found["plain"].cards[0].was) == ((), None)
    assert [line for line in found["options"].diff if line[0] in "+-"] == [
        "--- HEAD:options.jinja",
        "+++ options.jinja",
        "-How was it?",
        "+What was it like?",
    ]
    for card in found["options"].cards:
        assert card.changed and card.was and card.was.example and card.now.example
        assert card.was.example.inputs.replace("How was it?", "What was it like?") == card.now.example.inputs


def test_a_template_is_compared_with_a_file(notes: Path) -> None:
    old = notes / "old.jinja"
    old.write_text("{{ text }} ->\n|||\n{{ mood }}\n", "utf-8")
    (sheet,) = made(notes, "own/notes/terse.jinja", [1], old)
    assert "-{{ mood }}" in sheet.diff
    assert sheet.cards[0].was and sheet.cards[0].was.text[-1] == "1"
    data = ["--data", notes / "rows.jsonl", "--row", "1", "--against", old]
    said = succeed("preview", notes / "own/notes/terse.jinja", *data)
    assert "changed from the saved version" in said
    (one,) = json.loads(succeed("preview", notes / "own/notes/terse.jinja", *data, "--json"))
    assert one["was"][-1] == "1"
    assert "-{{ mood }}" in one["diff"]


@pytest.mark.parametrize(
    "text", ["{{ text ", "{{ elsewhere }} ||| a", "---\nno_such_key: 1\n---\na ||| b", ""]
)
def test_a_saved_version_that_cannot_be_rendered_still_has_a_diff(notes: Path, text: str) -> None:
    old = notes / "old.jinja"
    old.write_text(text, "utf-8")
    (sheet,) = made(notes, "own/notes/terse.jinja", [1], old)
    assert sheet.diff
    assert sheet.cards[0].now.example
    assert sheet.cards[0].was is None or sheet.cards[0].was.example is None


def test_the_saved_version_may_lack_what_a_variant_needs(notes: Path) -> None:
    old = notes / "old.jinja"
    old.write_text("{{ text }}\n|||\n{{ page }}\n", "utf-8")
    (sheet,) = made(notes, "own/notes/options.jinja", [1], old, variant="*")
    compared = {card.variant for card in sheet.cards if card.was is not None}
    assert compared == {"zero_shot"}, (
        "it has no options and no rationale, and reads a column that exemplars lack"
    )


def test_a_file_that_git_does_not_know_has_no_saved_version(notes: Path) -> None:
    commit(notes)
    names = ["new.jinja", "a b ' $(c).jinja", "plain.jinja", "line\nbreak.jinja", "한국어.jinja"]
    for name in names[:2] + names[3:]:
        (notes / "own/notes" / name).write_text("a ||| b", "utf-8")
    asked = [Template("d", "n", "strict", "", origin=str(notes / "own/notes" / name)) for name in names]
    found = saved_versions(asked, None)
    assert list(found) == [str(notes / "own/notes/plain.jinja")]
    assert found[str(notes / "own/notes/plain.jinja")].text.endswith("{{ answer_choices[mood] }}\n")
    commit(notes)
    assert len(saved_versions(asked, None)) == 4


def test_outside_a_repository_nothing_is_saved(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [Template("d", "n", "strict", "", origin=str(notes / "own/notes/plain.jinja"))]
    assert saved_versions(asked, None) == {}
    monkeypatch.setenv("PATH", "")
    assert saved_versions(asked, None) == {}


# what is no target


def test_a_collection_is_told_to_be_one(notes: Path) -> None:
    template(notes / "own/some/part", "plain", "{{ text }} Calm?\n|||\n{{ why }}")
    for target in ("own", "./own/"):
        (said,) = fail("preview", target, "--data", "rows.jsonl", cwd=notes)
        assert said == f"{target}: this is a collection of 2 datasets; expected one of them, as own/notes"
    (said,) = fail("preview", notes / "own/some", "--data", "rows.jsonl", cwd=notes)
    assert said.endswith(f"a collection of one dataset; expected one of them, as {notes}/own/some/part")
    template(notes / "own/some", "plain", "{{ text }} Calm?\n|||\n{{ why }}")
    succeed("preview", "own/some", "--data", "rows.jsonl", cwd=notes)


@pytest.mark.parametrize(
    ("target", "guess"),
    [
        ("own/note", "own/notes"),
        ("own/notes/ters.jinja", "own/notes/terse.jinja"),
        ("world/factz", "world/facts"),
    ],
)
def test_a_path_of_which_nothing_is_there_is_told_to_be_missing(notes: Path, target: str, guess: str) -> None:
    (said,) = fail("preview", target, "--data", "rows.jsonl", cwd=notes)
    assert said.startswith(
        f"there is no file or folder '{target}', and no dataset with templates is called so"
    )
    assert said.endswith(f"did you mean '{guess}'?")
