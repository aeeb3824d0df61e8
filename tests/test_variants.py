"""Whole builds with variants: shares, exemplars, reasoning, options and budgets, through the command line."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import build_kit
from build_kit import Examples
from compose_kit import write_tokenizer
from instructify.build import ranges
from instructify.build.run import build
from instructify.cli.progress import Silence
from instructify.compose.schedule import counts
from instructify.recipe.load import load_recipe

SHARED = Path(__file__).resolve().parents[2] / "shared"
VARIANTS: list[dict[str, Any]] = [
    {"name": "zero_shot", "share": 3},
    {"name": "few_shot", "share": 4, "shots": [1, 3]},
    {"name": "hidden", "share": 1, "shots": 2, "options": "hidden"},
    {"name": "by_marker", "share": 1, "answer_by_marker": True},
    {"name": "reasons", "share": 2, "reasoning": "before"},
    {"name": "few_reasons", "share": 2, "reasoning": "before", "shots": [1, 2]},
    {"name": "answers_first", "share": 1, "reasoning": "after"},
]
PLACES = "harbour bridge market garden station library kitchen museum office island".split()
MOODS = ("calm", "wild")
MARKS = "\ufdd0\ufdd1\ufdd2"


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Return notes, one in four of them a copy of the one before in other case and punctuation.

    Reasoning contradicts its answer in one of ten.
    """
    draw = random.Random(seed)
    made: list[dict[str, Any]] = []
    for number in range(count):
        label = draw.randrange(2)
        text = " ".join(draw.choice(PLACES) for _ in range(6)) + "."
        why = f"The {draw.choice(PLACES)} was like that."
        if number % 10 == 3:
            why += f" So the answer is {MOODS[1 - label]}."
        elif number % 10 == 4:
            why += f" So the answer is {MOODS[label].upper()}!"
        made.append({"id": f"n{number}", "row": number, "text": text, "why": why, "mood": label})
        if number % 4 == 3:
            before = made[-2]
            made[-1] |= {"text": before["text"].upper().replace(".", " !!"), "mood": before["mood"]}
    return made


def project(folder: Path) -> Path:
    """Write two splits of notes and the templates for them."""
    build_kit.rows_file(folder / "train.jsonl", rows(240, 1))
    build_kit.rows_file(folder / "validation.jsonl", [*rows(40, 2), *rows(240, 1)[:20]])
    own = folder / "own" / "notes"
    choices = {"answer_choices": list(MOODS), "rationale": "{{ why }}"}
    build_kit.template(
        own,
        "options",
        "{{ text | fit }}\nWhat was it like?\n{{ answer_choices | options }}\n|||\n"
        "{{ answer_choices[mood] }}",
        **choices,
    )
    build_kit.template(
        own, "plain", "{{ text }} Was that calm or wild?\n|||\n{{ answer_choices[mood] }}", **choices
    )
    build_kit.template(own, "retold", "Note: {{ text }}\n|||\nIt said: {{ text | lower }}")
    build_kit.template(
        own,
        "korean",
        "{{ text }}\n어땠나요?\n{{ answer_choices | options }}\n|||\n{{ answer_choices[mood] }}",
        **{**choices, "languages": ["ko"], "rationale": "그날은 그랬다"},
    )
    return folder


def task(name: str = "notes", **fields: Any) -> dict[str, Any]:
    source = {"kind": "files", "path": "{split}.jsonl"}
    return {"dataset": name, "cluster": name, "source": source, "templates": {"dataset": "notes"}, **fields}


def recipe(folder: Path, tasks: list[dict[str, Any]], name: str = "mixture", **fields: Any) -> Path:
    given = {"template_sources": ["own"], "variants": VARIANTS, "seed": 3, **fields}
    return build_kit.recipe(folder, tasks, name=name, **given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with notes, templates, and a build of them in `out`."""
    place = project(tmp_path_factory.mktemp("variants"))
    path = recipe(place, [task()], output={"dir": "out", "formats": ["parquet", "chat"]})
    build_kit.succeed("build", path, "-j", "1", "-q")
    return place


@pytest.fixture(scope="module")
def built(folder: Path) -> Examples:
    return build_kit.examples(folder / "out")


def chats(out: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
    for path in sorted((out / "chat").glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            one = json.loads(line)
            yield one["id"], one["messages"]


def bare(text: str) -> str:
    """Return the letters and digits of a text, in one case."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def test_every_variant_has_its_exact_share_of_every_template(folder: Path, built: Examples) -> None:
    ledgers = build_kit.ledgers(folder / "out")
    shares = {variant["name"]: variant["share"] for variant in VARIANTS}
    wants = {"options": set(shares), "korean": set(shares), "retold": {"zero_shot", "few_shot"}}
    wants["plain"] = set(shares) - {"hidden", "by_marker"}
    for name, own in wants.items():
        found = Counter(row["variant"] for row in built.values() if row["template"] == name)
        ledger = ledgers["notes", name]
        assert ledger["in"] == ledger["rows"] == 240
        names = [variant for variant in shares if variant in own]
        expected = dict(zip(names, counts([shares[variant] for variant in names], 0, 240), strict=True))
        assert set(found) == own
        fallen = {variant: expected[variant] - found[variant] for variant in names}
        assert sum(fallen.values()) == sum(ledger["dropped"].values())
        assert all(fall >= 0 for fall in fallen.values())
        assert {variant for variant, fall in fallen.items() if fall} <= {
            "reasons",
            "few_reasons",
            "answers_first",
        }


def test_no_exemplar_is_its_query_or_a_copy_and_no_two_are_copies(folder: Path, built: Examples) -> None:
    texts = [bare(row["text"]) for row in rows(240, 1)]
    assert len(set(texts)) <= 190, "the source has copies"
    shown = [row for row in built.values() if row["shots"]]
    for row in shown:
        seen = [texts[row["row"]], *(texts[number] for number in row["exemplars"])]
        assert len(set(seen)) == len(seen) == row["shots"] + 1
    assert len(shown) > 350


def test_shots_are_drawn_from_their_range_and_labels_are_balanced(built: Examples) -> None:
    moods = [row["mood"] for row in rows(240, 1)]
    ranges = {"few_shot": (1, 3), "hidden": (2, 2), "few_reasons": (1, 2)}
    for name, (least, most) in ranges.items():
        found = Counter(row["shots"] for row in built.values() if row["variant"] == name)
        assert set(found) == set(range(least, most + 1))
        assert min(found.values()) > 0.6 * max(found.values())
    for row in built.values():
        assert (row["exemplars"] is None) == (row["shots"] == 0)
        if row["shots"] and row["template"] != "retold":
            labels = [moods[number] for number in row["exemplars"]]
            assert abs(labels.count(0) - labels.count(1)) <= 1


def test_chat_shows_exemplars_as_turns_and_the_bare_query_last(folder: Path, built: Examples) -> None:
    several = 0
    for name, messages in chats(folder / "out"):
        row = built[name]
        roles = [message["role"] for message in messages]
        assert roles == ["user", "assistant"] * (row["shots"] + 1)
        assert messages[-1]["content"] == row["targets"]
        query = messages[-2]["content"]
        assert rows(240, 1)[row["row"]]["text"] in query
        if not row["shots"]:
            assert query == row["inputs"]
            continue
        several += 1
        assert len(query) < len(row["inputs"])
        at = 0
        for message in messages[:-1]:
            at = row["inputs"].index(message["content"], at) + len(message["content"])
        for number, message in zip(row["exemplars"], messages[0:-2:2], strict=True):
            assert rows(240, 1)[number]["text"] in message["content"]
    assert several > 350


def test_the_recorded_span_is_the_answer_of_every_target_that_reasons(built: Examples) -> None:
    reasoned = 0
    for row in built.values():
        if row["variant"] not in ("reasons", "few_reasons", "answers_first"):
            assert row["answer_start"] is row["answer_end"] is None
            continue
        reasoned += 1
        answer = row["targets"][row["answer_start"] : row["answer_end"]]
        assert answer == MOODS[rows(240, 1)[row["row"]]["mood"]] == row["answer_choices"][row["label"]]
        place = row["targets"].index(row["rationale"])
        assert (place > row["answer_end"]) == (row["variant"] == "answers_first")
    assert reasoned > 200


def test_contradictions_are_dropped_and_counted_and_are_no_exemplars(folder: Path, built: Examples) -> None:
    planted = {number for number in range(240) if number % 10 == 3}
    # a copy takes the mood of the note before, so some of the planted ones have come true
    texts = rows(240, 1)
    false = {n for n in planted if not texts[n]["why"].endswith(f"is {MOODS[texts[n]['mood']]}.")}
    false |= {
        n
        for n in range(240)
        if n % 10 == 4 and not texts[n]["why"].endswith(f"is {MOODS[texts[n]['mood']].upper()}!")
    }
    dropped = {name: ledger["dropped"] for (_, name), ledger in build_kit.ledgers(folder / "out").items()}
    assert set(dropped["plain"]) == set(dropped["options"]) == {"cot-answer-mismatch"}
    assert dropped["korean"] == dropped["retold"] == {}
    for name in ("plain", "options"):
        kept = {row["row"]: row for row in built.values() if row["template"] == name}
        gone = set(range(240)) - set(kept)
        assert gone <= false
        assert len(gone) == dropped[name]["cot-answer-mismatch"] > 3
        assert all(
            kept[number]["variant"] in ("zero_shot", "few_shot", "hidden", "by_marker")
            for number in false - gone
        )
        for row in kept.values():
            assert not set(row["exemplars"] or ()) & false


def test_korean_templates_are_composed_in_korean(built: Examples) -> None:
    own = [row for row in built.values() if row["template"] == "korean"]
    english = re.compile(
        r"Options|Choose one|Question|Answer|Input|Output|Example|Problem|Your turn|Reason| or "
    )
    assert [row["inputs"] for row in own if english.search(row["inputs"] + row["targets"])] == []
    assert any("보기:" in row["inputs"] for row in own)
    assert any("답: " in row["targets"] for row in own)


def test_options_are_shown_hidden_and_answered_by_marker(built: Examples) -> None:
    answers = set()
    for row in built.values():
        assert not set(MARKS) & set(row["inputs"] + row["targets"])
        if row["template"] == "options" and row["variant"] == "hidden":
            assert not re.search(r"calm.{0,8}wild", row["inputs"], re.S)
            assert "\n\n\n" not in row["inputs"]
        if row["template"] == "options" and row["variant"] in ("zero_shot", "by_marker"):
            assert re.search(r"calm.{0,8}wild", row["inputs"], re.S)
        if row["variant"] == "by_marker":
            answers.add(row["targets"])
            assert row["targets"] == row["answer_choices"][row["label"]]
            assert row["label"] == rows(240, 1)[row["row"]]["mood"]
            assert row["targets"] in row["inputs"]
    assert answers == {"calm", "wild", "A", "B", "a", "b", "1", "2"}


def test_workers_and_the_size_of_shards_change_nothing(
    folder: Path, built: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "mixture.yaml"
    build_kit.succeed("build", path, "-j", "2", "-q", "--out", tmp_path / "two")
    assert build_kit.differences(build_kit.tree(folder / "out"), build_kit.tree(tmp_path / "two")) == []
    monkeypatch.setattr(ranges, "EXAMPLES_PER_SHARD", 100)
    monkeypatch.setattr(ranges, "MIN_ROWS", 7)
    made = build(load_recipe(path), Silence(), out=tmp_path / "cut", workers=1)
    assert build_kit.examples(made.out) == built


def test_another_variant_template_or_dataset_leaves_every_other_example_as_it_is(
    folder: Path, built: Examples, tmp_path: Path
) -> None:
    place = project(tmp_path)
    more = recipe(place, [task()], "variant", variants=[*VARIANTS, {"name": "extra", "shots": 1}])
    build_kit.succeed("build", more, "-j", "1", "-q")
    found = build_kit.examples(place / "out")
    both = found.keys() & built.keys()
    assert {name: found[name] for name in both} == {name: built[name] for name in both}
    assert len(both) > 200
    assert any(row["shots"] for row in map(built.get, both) if row)
    build_kit.template(
        place / "own" / "notes", "all_columns", "{{ id }} {{ row }} {{ why }}: {{ text }}\n|||\n{{ mood }}"
    )
    build_kit.succeed("build", recipe(place, [task(), task("again", cap=50)], "template"), "-j", "1", "-q")
    found = build_kit.examples(place / "out")
    assert {name: found[name] for name in built} == built
    assert len(found) >= len(built) + 240 + 50


def test_exemplars_of_held_out_tasks_come_from_their_training_split(folder: Path, tmp_path: Path) -> None:
    place = project(tmp_path)
    build_kit.rows_file(place / "other.jsonl", [{"text": f"thing {n}"} for n in range(9)])
    build_kit.template(place / "own" / "other", "copy", "Say {{ text }}.\n|||\n{{ text }}")
    source = {"kind": "files", "path": "other.jsonl"}
    other = task("other", split="train", source=source, templates={"dataset": "other"})
    path = recipe(
        place,
        [task(eval_split="validation"), other],
        held_out=["notes"],
        eval_variants=[{"name": "few_shot", "shots": 2}],
        output={"dir": "out", "formats": ["parquet"]},
    )
    build_kit.succeed("build", path, "-j", "1", "-q")
    train = [row["text"] for row in rows(240, 1)]
    asked = [row["text"] for row in [*rows(40, 2), *rows(240, 1)[:20]]]
    found = build_kit.examples(place / "out", "eval")
    for row in found.values():
        assert row["shots"] == 2
        shown = [train[number] for number in row["exemplars"]]
        assert all(text in row["inputs"] for text in [*shown, asked[row["row"]]])
        assert len({bare(text) for text in [*shown, asked[row["row"]]]}) == 3, "no copy across splits either"
    assert len(found) == 240


def test_a_row_whose_text_holds_a_mark_is_dropped_and_never_read_as_one(tmp_path: Path) -> None:
    place = project(tmp_path)
    plain = [{"text": f"note {n} of the {PLACES[n % 10]}", "mood": n % 2, "why": "so"} for n in range(20)]
    foul = [
        {"text": f"a{mark}b", "mood": 0, "why": "so"} for mark in (*MARKS, "\ufdd1x\ufdd2", "\ufdd2x\ufdd1")
    ]
    build_kit.rows_file(place / "train.jsonl", [*foul, *plain])
    path = recipe(place, [task(templates={"dataset": "notes", "include": ["options"]})])
    build_kit.succeed("build", path, "-j", "1", "-q")
    found = build_kit.examples(place / "out")
    assert {row["row"] for row in found.values()} == set(range(5, 25))
    assert not any(set(row["exemplars"] or ()) & set(range(5)) for row in found.values())
    assert build_kit.ledgers(place / "out")["notes", "options"]["dropped"] == {"reserved-character": 5}


def test_marks_of_filter_blocks_and_of_map_never_reach_an_example(tmp_path: Path) -> None:
    place = project(tmp_path)
    own = place / "own" / "notes"
    build_kit.template(own, "block", "{% filter fit %}{{ text }}{% endfilter %}\n|||\n{{ mood }}")
    build_kit.template(own, "mapped", "{{ [text] | map('fit') | join }}\n|||\n{{ mood }}")
    names = {"dataset": "notes", "include": ["block", "mapped"]}
    path = recipe(place, [task(templates=names)], variants=[{"name": "zero_shot"}])
    build_kit.succeed("build", path, "-j", "1", "-q")
    found = build_kit.examples(place / "out").values()
    assert [row["inputs"] for row in found] == [rows(240, 1)[row["row"]]["text"] for row in found]
    assert len(found) == 480


def test_a_template_that_marks_its_target_is_named(tmp_path: Path) -> None:
    place = project(tmp_path)
    build_kit.template(place / "own" / "notes", "wrong", "Say it.\n|||\n{{ text | fit }}")
    path = recipe(place, [task(templates={"dataset": "notes", "include": ["wrong"]})])
    (said,) = build_kit.fail("build", path, "-j", "1", "-q")
    assert "wrong.jinja" in said
    assert "'wrong' uses the filter options or fit in its target" in said


def test_a_task_that_no_variant_can_compose_is_an_error(tmp_path: Path) -> None:
    path = recipe(
        project(tmp_path),
        [task(templates={"dataset": "notes", "include": ["retold"]})],
        variants=[{"name": "reasons", "reasoning": "before"}],
    )
    (said,) = build_kit.fail("build", path, "-q")
    assert "no template can be composed in the variants reasons" in said


def test_all_rows_of_a_variant_may_fall_and_contradictions_are_no_exemplars(tmp_path: Path) -> None:
    place = project(tmp_path)
    foul = [{"text": f"n{n}", "mood": 0, "why": "The answer is wild."} for n in range(12)]
    build_kit.rows_file(place / "train.jsonl", foul)
    path = recipe(place, [task(templates={"dataset": "notes", "include": ["options", "plain"]})])
    build_kit.succeed("build", path, "-q", "-j", "1")
    found = build_kit.examples(place / "out")
    assert {row["variant"] for row in found.values()} == {"zero_shot", "by_marker"}
    for ledger in build_kit.ledgers(place / "out").values():
        assert set(ledger["dropped"]) == {"cot-answer-mismatch", "no-exemplar"}


def budget_recipe(place: Path, limit: int, **fields: Any) -> Path:
    pytest.importorskip("tokenizers", reason="tokenizers, from the extra train, is not installed")
    write_tokenizer(place / "tokenizer.json")
    tokens = {"tokenizer": "tokenizer.json", "max_input": limit, "max_target": 120}
    return recipe(
        place, [task()], tokens=tokens, output={"dir": "out", "formats": ["parquet", "chat"]}, **fields
    )


def size(text: str) -> int:
    """Return the tokens that a text has for the tokenizer of bytes."""
    return len((" " + text).encode()) + 1


def test_a_budget_prunes_exemplars_then_cuts_marked_text_and_never_a_target(
    built: Examples, tmp_path: Path
) -> None:
    limit = 110
    place = project(tmp_path)
    build_kit.succeed("build", budget_recipe(place, limit), "-j", "1", "-q")
    found = build_kit.examples(place / "out")
    cut = pruned = 0
    for name, row in found.items():
        whole = built[name]
        assert size(row["inputs"]) <= limit
        assert (row["targets"], row["variant"]) == (whole["targets"], whole["variant"])
        assert (row["exemplars"] or []) == (whole["exemplars"] or [])[: row["shots"]]
        pruned += row["shots"] < whole["shots"]
        if row["cut"]:
            cut += 1
            assert row["shots"] == 0
            text = rows(240, 1)[row["row"]]["text"]
            assert row["inputs"].startswith(("Note: " if row["template"] == "retold" else "") + text[0])
            left = [text[:stop] for stop in range(1, len(text)) if text[:stop] in row["inputs"]]
            assert len(text) - len(left[-1]) <= row["cut"] <= len(text) - 1
        elif row["shots"] == whole["shots"]:
            assert row["inputs"] == whole["inputs"]
    assert cut > 20
    assert pruned > 100
    for name, messages in chats(place / "out"):
        if not found[name]["shots"]:
            assert [message["content"] for message in messages] == [
                found[name]["inputs"],
                found[name]["targets"],
            ]
    gone = built.keys() - found.keys()
    dropped = Counter()
    for ledger in build_kit.ledgers(place / "out").values():
        dropped.update(ledger["dropped"])
    assert set(dropped) <= {"cot-answer-mismatch", "target-over-budget", "input-over-budget"}
    assert dropped["target-over-budget"] + dropped["input-over-budget"] == len(gone)


def test_the_instruction_survives_every_cut(tmp_path: Path) -> None:
    place = project(tmp_path)
    zero = [{"name": "zero_shot", "option_styles": ["dashes"]}]
    build_kit.succeed("build", budget_recipe(place, 75, variants=zero), "-j", "1", "-q")
    found = [row for row in build_kit.examples(place / "out").values() if row["template"] == "options"]
    ending = "\nWhat was it like?\nOptions:\n- calm\n- wild"
    assert len(found) > 200
    for row in found:
        text = rows(240, 1)[row["row"]]["text"]
        kept = row["inputs"].removesuffix(ending)
        assert row["inputs"].endswith(ending)
        assert text.startswith(kept)
        assert kept
        assert row["cut"] == len(text) - len(kept)
    assert sum(row["cut"] > 0 for row in found) > 100


def test_what_cannot_be_cut_is_dropped_and_counted(tmp_path: Path) -> None:
    place = project(tmp_path)
    build_kit.template(
        place / "own" / "notes", "shouted", "Loudly: {{ text | upper | replace('A', '4') }}\n|||\n{{ mood }}"
    )
    path = budget_recipe(place, 57, variants=[{"name": "zero_shot"}])
    build_kit.succeed("build", path, "-j", "1", "-q")
    ledger = build_kit.ledgers(place / "out")["notes", "shouted"]
    long = sum(size("Loudly: " + row["text"]) > 57 for row in rows(240, 1))
    assert ledger["dropped"] == {"input-over-budget": long}
    assert 0 < long < 240


@pytest.mark.shared
def test_targets_are_never_cut_on_race_and_imdb_at_128_tokens(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip(
        "tokenizers", reason="tokenizers, from the extra train, is not installed"
    )
    file = SHARED / "t5-tokenizer" / "tokenizer.json"
    if not file.is_file():
        pytest.skip("the shared data is not at hand")
    tasks = [{"dataset": "race", "subset": "all"}, {"dataset": "imdb"}]
    fields: dict[str, Any] = {
        "variants": [{"name": "zero_shot"}, {"name": "few_shot", "shots": [1, 2]}],
        "mixture": {"cap_per_template": 60},
        "output": {"dir": "out", "formats": ["parquet"]},
    }
    free = build_kit.recipe(tmp_path / "free", tasks, **fields)
    tight = build_kit.recipe(
        tmp_path / "tight",
        tasks,
        tokens={"tokenizer": str(file), "max_input": 128, "max_target": 128},
        **fields,
    )
    for path in (free, tight):
        build_kit.succeed("build", path, "--data-root", SHARED / "data", "-j", "1", "-q")
    whole, found = (build_kit.examples(tmp_path / name / "out") for name in ("free", "tight"))
    t5 = tokenizers.Tokenizer.from_file(str(file))
    both = whole.keys() & found.keys()
    assert len(both) > 800
    for name in both:
        assert found[name]["targets"] == whole[name]["targets"]
    for row in found.values():
        assert len(t5.encode(row["inputs"]).ids) <= 128
        assert len(t5.encode(row["targets"]).ids) <= 128
    assert sum(row["cut"] > 0 for row in found.values()) > 500


BARE = ('{{ dict(*[["a"]]) }}', "A poem.", '{% macro f(x) %}{{ x }}{% endmacro %}{{ f(*["x"]) }}')


@pytest.mark.parametrize("body", BARE)
def test_a_template_that_reads_no_column_builds_or_drops_its_rows(tmp_path: Path, body: str) -> None:
    build_kit.rows_file(tmp_path / "rows.jsonl", [{"text": f"row {number}"} for number in range(8)])
    build_kit.template(tmp_path / "templates" / "plain", "bare", f"{body}\n|||\nThe same for all.")
    source = {"kind": "files", "path": "rows.jsonl"}
    task = {"dataset": "plain", "cluster": "c", "licence": "CC0-1.0", "source": source}
    for name, variant in (("plain", {"name": "zero_shot"}), ("few", {"name": "few", "shots": 2})):
        path = build_kit.recipe(
            tmp_path, [task], name, template_sources=["templates"], variants=[variant], output={"dir": name}
        )
        done = build_kit.cli("build", path)
        assert "Traceback" not in done.stderr + done.stdout
        assert "INSTRUCTIFY_DEBUG" not in done.stderr
        if done.returncode == 0:
            ledger = build_kit.ledgers(tmp_path / name)["plain", "bare"]
            assert ledger["in"] == ledger["kept"] + sum(ledger["dropped"].values()) == 8
        else:
            assert "every row was dropped" in done.stderr
