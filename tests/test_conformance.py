"""Every golden rendering of promptsource is reproduced; where it draws, ours is one of its outcomes."""

import json
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from instructify.errors import RowError
from instructify.keys import Key
from instructify.render.reference import ReferenceTemplate
from instructify.templates import Template
from oracle import Oracle

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "conformance" / "promptsource"
CASES = 44_402
RANDOM_CASES = 6_246
ENUMERATED = 4_000
"""Outcomes of one row that are enumerated before random scripts are tried instead."""
TRIES = 4_000

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        not (GOLDEN / "cases.parquet").is_file(), reason="the golden renderings are not beside the checkout"
    ),
]


@pytest.fixture(scope="module")
def golden():
    """Return the templates by key and all cases."""
    import pyarrow.parquet as pq

    templates = pq.read_table(GOLDEN / "templates.parquet").to_pylist()
    cases = pq.read_table(GOLDEN / "cases.parquet").to_pylist()
    return {(t["dataset"], t["subset"], t["template_id"]): t for t in templates}, cases


def key_of(case):
    return case["dataset"], case["subset"], case["template_id"]


def recorded(case):
    """Return what promptsource gave: None for an exception, else parts and choices."""
    if case["parts"] is None:
        return None
    choices = case["answer_choices"]
    return tuple(case["parts"]), None if choices is None else tuple(choices)


class Ours:
    """Our rendering of the golden cases, each template compiled once."""

    def __init__(self, templates):
        self._templates = templates
        self._compiled = {}

    def __call__(self, case):
        key = (*key_of(case), case["truncate"])
        if key not in self._compiled:
            source = self._templates[key_of(case)]
            self._compiled[key] = ReferenceTemplate(
                Template(
                    dataset=case["dataset"],
                    name=source["template_name"],
                    dialect="promptsource",
                    body=source["jinja"],
                    choices=source["answer_choices_expr"],
                    truncate=case["truncate"],
                )
            )
        try:
            made = self._compiled[key].render(
                json.loads(case["row_json"]), Key.of("golden", case["template_id"]), case["seed"] or 0
            )
        except RowError:
            return None
        return made.parts, made.choices


def test_every_golden_case_that_draws_nothing_is_rendered_alike(golden):
    templates, cases = golden
    ours = Ours(templates)
    seen = Counter()
    differing = []
    for case in cases:
        if templates[key_of(case)]["uses_random"]:
            continue
        expected = recorded(case)
        seen["raises" if expected is None else "renders"] += 1
        if ours(case) != expected:
            differing.append(case["case_id"])
    assert differing == []
    assert seen.total() == CASES - RANDOM_CASES
    assert len(cases) == CASES
    assert seen["raises"] > 1_500


@pytest.fixture(scope="module")
def drawn(golden):
    """Return the cases whose templates draw, and the oracle of each template."""
    templates, cases = golden
    chosen = [case for case in cases if templates[key_of(case)]["uses_random"]]
    oracles = {}
    for case in chosen:
        source = templates[key_of(case)]
        key = (*key_of(case), case["truncate"])
        if key not in oracles:
            oracles[key] = Oracle(source["jinja"], source["answer_choices_expr"], case["truncate"])
    return chosen, oracles


def test_the_oracle_agrees_with_promptsource_under_every_recorded_seed(drawn):
    cases, oracles = drawn
    differing = []
    for case in cases:
        random.seed(case["seed"])
        made = oracles[*key_of(case), case["truncate"]].apply(json.loads(case["row_json"]), random.choice)
        if made != recorded(case):
            differing.append(case["case_id"])
    assert differing == []
    assert len(cases) == RANDOM_CASES


def test_what_a_drawing_template_renders_is_one_of_promptsources_outcomes(golden, drawn):
    templates, _ = golden
    cases, oracles = drawn
    ours = Ours(templates)
    known = defaultdict(set)
    for case in cases:
        known[*key_of(case), case["row_json"], case["truncate"]].add(recorded(case))
    routes = Counter()
    strangers = []
    for case in cases:
        made = ours(case)
        group = (*key_of(case), case["row_json"], case["truncate"])
        if made in known[group]:
            routes["recorded"] += 1
            continue
        route = _found(oracles[*key_of(case), case["truncate"]], json.loads(case["row_json"]), made)
        routes[route] += 1
        if route == "nowhere":
            strangers.append(case["case_id"])
        else:
            known[group].add(made)
    assert strangers == []
    assert routes.total() == RANDOM_CASES
    assert routes["recorded"] > 4_000
    assert routes["enumerated"] > 1_000
    assert routes["tried"] < 100


def _found(oracle, row, made):
    """Say how the oracle comes to this outcome: by enumeration, by random scripts, or not at all."""
    tried = 0
    for outcome in oracle.outcomes(row, ENUMERATED):
        if outcome == made:
            return "enumerated"
        tried += 1
    if tried < ENUMERATED:
        return "nowhere"
    draws = random.Random(1)
    return "tried" if any(oracle.apply(row, draws.choice) == made for _ in range(TRIES)) else "nowhere"
