"""The offline world: rows that depend on their place alone, right labels, planted dirt, templates."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.checks import check
from instructify.errors import InstructifyError, RowError
from instructify.keys import Key, hexdigest
from instructify.render.reference import ReferenceTemplate
from instructify.templates import open_library
from instructify.world import SPLITS, WORLD, build_table, dirty_rows, world_names
from instructify.world.draws import Draws, plural
from instructify.world.facts import (
    DISHES,
    FACTS,
    FOODS,
    PEOPLE,
    RELATIONS,
    SERVED,
    TRADES,
    VILLAGES,
    home,
    trade,
)
from instructify.world.korean import FOODS as KOREAN_FOODS
from instructify.world.korean import NAMES, PETS, TOWNS, final, with_particle

TEMPLATES = Path(__file__).resolve().parents[1] / "templates" / "world"
# what a row's prompt is made of, where it is not simply every column but the answer
ANSWERS = {"label", "answer", "answers", "answerKey", "reply", "explanation", "rationale", "reason", "steps"}
# the choices are words of the row's own text, so the prompt has them without listing them
CHOICES_IN_ROW = {f"world/pronouns/{name}" for name in ("no_options", "question_first")}
NAMES_OF_ALL = sorted(WORLD)
FOOD_NAMES = "|".join(food.name for food in FOODS)


@cache
def rows(name: str, split: str = "train") -> list[dict[str, Any]]:
    return build_table(name, split).to_pylist()


def clean(name: str, split: str = "train") -> list[dict[str, Any]]:
    dirty = dirty_rows(WORLD[name], split, SPLITS[split])
    return [row for number, row in enumerate(rows(name, split)) if number not in dirty]


def text_of(name: str, row: dict[str, Any]) -> str:
    return json.dumps([row[column] for column in WORLD[name].text], ensure_ascii=False)


def test_the_world_has_enough_datasets_and_clusters() -> None:
    assert len(WORLD) >= 16
    assert len({dataset.cluster for dataset in WORLD.values()}) >= 8
    assert list(world_names()) == NAMES_OF_ALL
    assert all(name == dataset.name for name, dataset in WORLD.items())


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_splits_have_their_default_sizes_and_the_columns_of_the_catalogue(name: str) -> None:
    for split, count in SPLITS.items():
        assert len(rows(name, split)) == count
    assert build_table(name, "train", 1).column_names == list(WORLD[name].columns)
    assert build_table(name, "test", 0).num_rows == 0


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_more_rows_only_add_to_fewer(name: str) -> None:
    assert build_table(name, "train", 37).to_pylist() == rows(name)[:37]


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_at_least_nine_tenths_of_the_prompts_differ(name: str) -> None:
    columns = [column for column in WORLD[name].columns if column not in ANSWERS]
    prompts = {json.dumps([row[column] for column in columns]) for row in rows(name)}
    assert len(prompts) >= 0.9 * len(rows(name))


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_no_text_is_shared_between_splits_except_the_planted(name: str) -> None:
    texts = {split: {text_of(name, row) for row in clean(name, split)} for split in SPLITS}
    assert not texts["train"] & texts["validation"]
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & texts["test"]


@pytest.mark.parametrize("name", [n for n in NAMES_OF_ALL if WORLD[n].label])
def test_labels_are_roughly_balanced(name: str) -> None:
    counts = Counter(row[WORLD[name].label] for row in clean(name))
    assert len(counts) > 1
    assert min(counts.values()) > 0.7 * len(clean(name)) / len(counts)


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_the_schema_reads_back_through_the_datasets_library(name: str) -> None:
    datasets = pytest.importorskip("datasets")
    table = build_table(name, "train", 3)
    features = datasets.Features.from_arrow_schema(table.schema)
    assert list(features) == table.column_names
    for column, names in WORLD[name].label_names.items():
        assert features[column].names == list(names)
    assert features.arrow_schema.types == table.schema.types


def test_unknown_names_and_splits_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(InstructifyError, match="did you mean 'reviews'"):
        build_table("reveiws", "train")
    with pytest.raises(InstructifyError, match="did you mean 'train'"):
        build_table("reviews", "trian")
    with pytest.raises(InstructifyError, match="0 rows or more"):
        build_table("reviews", "train", -1)


def test_importing_the_world_does_not_import_pyarrow() -> None:
    code = (
        "import sys, instructify.world; print(sorted({'pyarrow', 'datasets', 'jinja2'} & set(sys.modules)))"
    )
    assert _python(code, {}) == "[]"


def test_bytes_do_not_depend_on_hash_seed_time_zone_or_locale() -> None:
    code = """
import json
from instructify.keys import hexdigest
from instructify.world import SPLITS, build_table, world_names
tables = [build_table(name, split, 20).to_pylist() for name in world_names() for split in SPLITS]
print(hexdigest(json.dumps(tables)))
"""
    first = _python(code, {"PYTHONHASHSEED": "1", "TZ": "Asia/Seoul", "LC_ALL": "C"})
    second = _python(code, {"PYTHONHASHSEED": "2", "TZ": "America/Lima", "LC_ALL": "C.UTF-8"})
    tables = [build_table(name, split, 20).to_pylist() for name in world_names() for split in SPLITS]
    assert first == second == hexdigest(json.dumps(tables))


def _python(code: str, environment: dict[str, str]) -> str:
    source = str(Path(__file__).resolve().parents[1] / "src")
    env = {**os.environ, "PYTHONPATH": source, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
    ).stdout.strip()


# --- planted dirt ---


def test_dirt_lies_at_known_places_in_known_counts() -> None:
    dirty = dirty_rows(WORLD["reviews"], "train", 2000)
    assert Counter(dirty.values()) == dict.fromkeys(WORLD["reviews"].dirt, 2)
    at = {kind: number for number, kind in reversed(dirty.items())}
    reviews = rows("reviews")
    assert reviews[at["unlabelled"]]["label"] == -1
    assert reviews[at["blank"]]["text"].strip() == ""
    assert reviews[at["missing"]]["text"] is None
    assert reviews[at["trailing"]]["text"].endswith("  ")
    assert "|||" in reviews[at["bars"]]["text"]
    assert "{{ label }}" in reviews[at["braces"]]["text"]
    assert len(reviews[at["long"]]["text"]) > 15_000
    assert reviews[at["duplicate"]] == reviews[at["duplicate"] - 1]


def test_every_kind_of_dirt_is_planted_somewhere_and_nowhere_else() -> None:
    kinds = {kind for dataset in WORLD.values() for kind in dataset.dirt}
    assert len(kinds) == 10
    for name, dataset in WORLD.items():
        for row in clean(name):
            assert all(row[c] and row[c] == row[c].strip() for c in dataset.text if isinstance(row[c], str))
            assert dataset.label is None or row[dataset.label] not in (-1, "")


def test_the_leak_and_the_unanswered_question_are_where_they_are_said_to_be() -> None:
    (place,) = (n for n, kind in dirty_rows(WORLD["entail2"], "validation", 400).items() if kind == "leak")
    assert rows("entail2", "validation")[place] == rows("entail2")[place]
    unanswered = [n for n, row in enumerate(rows("notes")) if not row["answers"]["text"]]
    assert unanswered == [817, 1817]


# --- labels are right ---


def test_every_sum_ends_its_rationale_with_the_answer_and_every_step_is_correct() -> None:
    steps = 0
    for row in clean("sums"):
        assert int(re.findall(r"-?\d+", row["rationale"])[-1]) == row["answer"] > 0
        for left, sign, right, result in re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", row["rationale"]):
            one, two = int(left), int(right)
            assert {"+": one + two, "-": one - two, "*": one * two, "/": one / two}[sign] == int(result)
            steps += 1
    assert steps > 2 * len(clean("sums"))


def test_the_numbers_of_a_sum_are_those_of_its_question() -> None:
    for row in clean("sums"):
        given_numbers = set(re.findall(r"\d+", row["question"]))
        first = re.search(r"(\d+) [-+*/] (\d+)", row["steps"][0])
        assert first is not None
        assert {first[1], first[2]} & given_numbers


def test_every_answer_of_a_note_is_the_span_it_claims_to_be() -> None:
    for row in clean("notes"):
        (answer,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(answer)] == answer


def test_facts_have_one_right_choice_and_it_is_the_fact() -> None:
    truth = {
        question.format(s=subject): relation.facts[subject]
        for relation, subject in FACTS
        for question in relation.questions
    }
    assert len(truth) > 1200
    for row in clean("facts"):
        texts = row["choices"]["text"]
        assert len(set(texts)) == len(texts) == len(row["choices"]["label"])
        assert texts[row["choices"]["label"].index(row["answerKey"])] == truth[row["question"]]


def test_claims_about_people_and_legs_are_judged_rightly() -> None:
    counts: Counter[str] = Counter()
    for row in clean("claims"):
        if found := re.search(r"(\w+) and (\w+) live in the same village", row["claim"]):
            assert (home(found[1]) == home(found[2])) == row["answer"]
            counts["village"] += 1
        elif found := re.search(r"[Ff]or work, (\w+) uses (?:an? )?(\w+)", row["claim"]):
            assert (trade(found[1]).tool == found[2]) == row["answer"]
            counts["tool"] += 1
        elif " legs than " in row["claim"]:
            legs = [_number(word) for word in re.findall(r"has (\w+)", row["reason"])]
            assert ((legs[0] > legs[1]) == ("more legs" in row["claim"])) == row["answer"]
            counts["legs"] += 1
    assert min(counts.values()) > 100
    assert len(counts) == 3


def _number(word: str) -> int:
    return ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"].index(word)


def test_pronouns_mean_one_of_their_options_and_the_right_one() -> None:
    big_or_small = 0
    for row in clean("pronouns"):
        options = (row["option1"], row["option2"])
        assert options[0] != options[1]
        assert all(option in row["text"] for option in options)
        assert re.search(rf"\b{row['pronoun']}\b", row["text"])
        if found := re.search(r"(the \w+) did not fit into (the \w+), because it was too (\w+)", row["text"]):
            meant = found[1] if found[3] == "big" else found[2]
            assert options[int(row["answer"]) - 1] == meant
            big_or_small += 1
    assert big_or_small > 100


def test_story_choices_follow_the_thing_to_its_last_holder_and_place() -> None:
    for row in clean("story_choice"):
        right = row["options"][row["label"]]
        assert len(set(row["options"])) == 3
        if row["question"].startswith("Who"):
            assert re.findall(r"gave it to (\w+)", row["story"])[-1] == right
        else:
            places = re.findall(r"(?:at|to) the (\w+)", row["story"])
            assert right == f"at the {places[-1]}"


def test_comparisons_in_entail2_and_same_meaning_are_labelled_rightly() -> None:
    seen = 0
    for row in clean("same_meaning"):
        pair = [re.fullmatch(r"(\w+) is (\w+) than (\w+)\.", row[c]) for c in ("sentence1", "sentence2")]
        if pair[0] and pair[1]:
            assert (pair[0][1] == pair[1][3]) == (row["label"] == 1)
            seen += 1
    for row in clean("entail2"):
        order = re.findall(r"(\w+) is (\w+) than (\w+)\.", row["premise"])
        claim = re.fullmatch(r"(\w+) is (\w+) than (\w+)\.", row["hypothesis"])
        if len(order) == 2 and claim:
            more = {
                (a, b) if word in ("older", "taller", "faster", "richer") else (b, a) for a, word, b in order
            }
            first, second = (
                (claim[1], claim[3])
                if claim[2] in ("older", "taller", "faster", "richer")
                else (claim[3], claim[1])
            )
            middle = {b for _, b in more} & {a for a, _ in more}
            holds = any((first, m) in more and (m, second) in more for m in middle)
            assert holds == (row["label"] == 0)
            seen += 1
    assert seen > 600


def test_records_are_told_in_full() -> None:
    for row in clean("records"):
        assert row["concepts"] == [field["value"] for field in row["fields"]]
        assert row["target"] == row["references"][0]
        for sentence in row["references"]:
            assert all(value in sentence for value in row["concepts"])


def test_the_summary_of_a_meeting_agrees_with_its_votes() -> None:
    meetings = 0
    for row in clean("reports"):
        if found := re.search(r"(\d+) people voted for the plan and (\d+) against", row["document"]):
            assert (int(found[1]) > int(found[2])) == (" will build " in row["summary"])
            meetings += 1
    assert meetings > 500


def test_stars_of_inns_agree_with_their_labels() -> None:
    assert {(row["stars"] > 3, row["label"]) for row in clean("inn_reviews")} == {(True, 1), (False, 0)}


def test_nobody_eats_a_drink_and_no_inn_serves_vinegar() -> None:
    eaten = Counter(
        name for name in ("notes", "entail2", "reviews") for row in clean(name) for name in foods_eaten(row)
    )
    assert set(eaten) == {food.name for food in DISHES} and min(eaten.values()) > 5
    assert not {"coffee", "dark ale", "vinegar", "mustard"} & set(eaten)
    served = {
        field["value"] for row in clean("records") for field in row["fields"] if field["name"] == "food"
    }
    assert served == {food.name for food in SERVED} and not {"vinegar", "mustard"} & served


def foods_eaten(row: dict[str, Any]) -> list[str]:
    text = row.get("context") or row.get("premise") or row["text"]
    return re.findall(rf"\b(?:ate some|ate|I ate|served us) ({FOOD_NAMES})\b", text)


def test_what_a_hypothesis_denies_is_the_thing_of_the_premise() -> None:
    denials = [
        re.search(r"(?:left|kept) (\w+) (\w+) ", row["hypothesis"])
        for row in clean("entail3")
        if row["label"] == 2
    ]
    found = [denial.groups() for denial in denials if denial]
    assert len(found) > 30
    assert {article for article, _ in found} == {"the"}


def test_senses_and_because_have_their_word_and_two_different_choices() -> None:
    for row in clean("senses"):
        for sentence in (row["sentence1"], row["sentence2"]):
            assert re.search(rf"\b{row['word']}\b", sentence)
        assert row["explanation"].startswith("In both") == (row["label"] == 1)
        assert row["sentence1"] != row["sentence2"]
    assert all(row["choice1"] != row["choice2"] for row in clean("because"))


def test_the_world_has_no_contradictory_facts() -> None:
    assert Counter(map(home, PEOPLE)) == dict.fromkeys(VILLAGES, 2)
    assert Counter(map(trade, PEOPLE)) == dict.fromkeys(TRADES, 3)
    assert len({relation.statement + relation.topic for relation in RELATIONS}) >= 15
    assert all(len(relation.values) > 2 for relation in RELATIONS)
    statements = {relation.say(subject) for relation, subject in FACTS}
    assert len(statements) == len(FACTS) > 450


# --- Korean ---


@pytest.mark.parametrize(
    ("word", "particle", "expected"),
    [
        ("빵", "이", "빵이"),
        ("국수", "이", "국수가"),
        ("사과", "을", "사과를"),
        ("김밥", "은", "김밥은"),
        ("민지", "과", "민지와"),
        ("은별", "과", "은별과"),
        ("솔마을", "으로", "솔마을로"),
        ("은골", "으로", "은골로"),
        ("바람재", "으로", "바람재로"),
        ("너른들", "으로", "너른들로"),
        ("구름섬", "으로", "구름섬으로"),
    ],
)
def test_particles_follow_the_last_sound(word: str, particle: str, expected: str) -> None:
    assert with_particle(word, particle) == expected


def test_no_korean_row_has_a_wrong_particle_after_a_known_word() -> None:
    words = sorted({*KOREAN_FOODS, *NAMES, *PETS, *TOWNS}, key=len, reverse=True)
    ends = {True: "가를는와", False: "이을은과"}  # the forms that do not go with this kind of word
    found = 0
    for name in ("ko_reviews", "ko_entail"):
        for row in clean(name):
            for token in " ".join(str(row[c]) for c in WORLD[name].text).replace(".", "").split():
                for word in words:
                    if token.startswith(word) and len(token) == len(word) + 1 and token not in words:
                        assert token[-1] not in ends[final(word) != 0], token
                        found += 1
                        break
    assert found > 4000


# --- draws ---


@given(st.integers(0, 2**40), st.integers(0, 9), st.lists(st.integers(), min_size=1, max_size=20))
@settings(max_examples=60)
def test_draws_are_within_bounds_and_repeat_themselves(row: int, attempt: int, items: list[int]) -> None:
    key = Key.of("test")
    one, two = Draws(key, row, attempt), Draws(key, row, attempt)
    assert sorted(one.shuffled(items)) == sorted(items)
    assert one.pick(items) in items
    assert 3 <= one.between(3, 5) <= 5
    assert two.shuffled(items) == Draws(key, row, attempt).shuffled(items)


def test_plurals_are_english() -> None:
    nouns = ["hen", "fox", "ox", "mouse", "goose", "sheep", "trout", "berry", "day", "brush", "loaf"]
    plurals = [
        "hens",
        "foxes",
        "oxen",
        "mice",
        "geese",
        "sheep",
        "trouts",
        "berries",
        "days",
        "brushes",
        "loaves",
    ]
    assert [plural(noun) for noun in nouns] == plurals
    assert plural("hen", 1) == "hen"


# --- templates ---


def library() -> Any:
    return open_library([str(TEMPLATES.parent)], TEMPLATES)


def test_every_dataset_has_at_least_eight_templates_and_a_task_file_that_agrees() -> None:
    total = 0
    for name, dataset in WORLD.items():
        templates = library().templates(f"world/{name}")
        total += len(templates)
        assert len([t for t in templates if t.kind == "task"]) >= 8, name
        assert any(t.choices_in_prompt for t in templates) or dataset.metric != "accuracy"
        info = library().task_info(f"world/{name}")
        assert (info.cluster, info.language, info.licence) == (dataset.cluster, dataset.language, "CC0-1.0")
    assert total == len(list(TEMPLATES.glob("*/*.jinja"))) >= 180
    assert {path.name for path in TEMPLATES.iterdir()} == set(WORLD)


def test_label_names_of_task_files_are_those_of_the_schema() -> None:
    from instructify.templates.ours import read_task_file

    for name, dataset in WORLD.items():
        listed = read_task_file(TEMPLATES / name / "task.yaml").label_names
        assert listed == {column: list(names) for column, names in dataset.label_names.items()}


def test_some_datasets_have_rationales_and_inverted_and_korean_templates() -> None:
    templates = [t for name in WORLD for t in library().templates(f"world/{name}")]
    assert len({t.dataset for t in templates if t.rationale}) >= 3
    assert len({t.dataset for t in templates if t.kind == "inverted"}) >= 8
    for name in ("ko_reviews", "ko_entail"):
        assert {t.languages for t in library().templates(f"world/{name}")} == {("en",), ("ko",)}


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_every_template_renders_every_clean_row_and_drops_only_dirt(name: str) -> None:
    count = 450  # far enough to meet the first five kinds of dirt
    dirty = dirty_rows(WORLD[name], "train", count)
    for template in library().templates(f"world/{name}"):
        compiled = ReferenceTemplate(template)
        labels = set()
        for number, row in enumerate(rows(name)[:count]):
            try:
                example = check(compiled.render(row, Key.of("test"), number))
            except RowError as error:
                assert number in dirty, f"{template.name} drops row {number}: {error}"
                continue
            labels.add(example.label)
            unlabelled = dirty.get(number) == "unlabelled"
            assert not (unlabelled and template.original_task), f"{template.name} keeps row {number}"
        assert len(labels) > 1 or labels == {None}, template.name


def test_choices_are_shown_where_the_front_matter_says_so_and_nowhere_else() -> None:
    seen: Counter[bool | None] = Counter()
    for name in WORLD:
        row = clean(name)[5]
        for template in library().templates(f"world/{name}"):
            example = check(ReferenceTemplate(template).render(row, Key.of("test"), 5))
            if example.choices is None or template.id in CHOICES_IN_ROW:
                continue
            prompt = example.inputs.lower()
            if template.choices_in_prompt:
                assert all(choice.lower() in prompt for choice in example.choices), template.id
            else:
                words = [rf"(?<!\w){re.escape(choice.lower())}(?!\w)" for choice in example.choices]
                assert not all(re.search(word, prompt) for word in words), template.id
            seen[template.choices_in_prompt] += 1
    assert seen[True] > 60
    assert seen[False] > 30
    assert len(seen) == 2
