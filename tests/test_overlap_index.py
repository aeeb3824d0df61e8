"""The indexes find what brute force finds, in any lots and order, and nothing else."""

import pickle
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructify.compose.words import phrases
from instructify.overlap import ngrams
from instructify.overlap.duplicates import Prints, candidates, prints, repeated, row_sketches
from instructify.overlap.evidence import closest, passage
from instructify.overlap.fields import text_leaves
from instructify.overlap.heldout import LEVELS, HeldOutIndex, prepare
from instructify.overlap.minhash import jaccard
from instructify.overlap.ngrams import NgramIndex, template_ngrams
from instructify.overlap.units import Limits

LIMITS = Limits(min_characters=8, near_characters=12, max_contexts=2)
VOCABULARY = "amber bishop cedar dragon ember falcon glade harbor".split()
sentences = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6).map(" ".join)
rows_of_text = st.lists(st.tuples(sentences, sentences), max_size=8)


def table(rows):
    columns = {"a": [a for a, _ in rows], "b": [b for _, b in rows]}
    return pa.table(columns, pa.schema([("a", pa.string()), ("b", pa.string())]))


def leaves(rows, first=0):
    return text_leaves(table(rows), np.arange(first, first + len(rows)))


def index(tasks, lot=100):
    parts = []
    for name, rows in tasks.items():
        for start in range(0, len(rows), lot):
            parts += [(name, part) for part in prepare(leaves(rows[start : start + lot], start), LIMITS)]
    return HeldOutIndex.of(parts, LIMITS)


def squeezed(text):
    return text.replace(" ", "")


def contexts(rows):
    """Return for each text the longest texts that it stands beside; of equals the first."""
    found = defaultdict(set)
    for row in rows:
        texts = [text for text in map(squeezed, row) if len(text) >= LIMITS.min_characters]
        for text in texts:
            found[text].add(max(texts, key=len))
    return found


def one_word_apart(one, other):
    def rests(text):
        words = text.split()
        return {r for n in range(len(words)) if len(r := "".join(words[:n] + words[n + 1 :])) >= 12}

    ours, theirs = squeezed(one), squeezed(other)
    if min(len(ours), len(theirs)) < LIMITS.near_characters:
        return False
    return bool(ours == theirs or rests(one) & rests(other) or ours in rests(other) or theirs in rests(one))


def shingle_index(one, other):
    sets = [{t[n : n + 5] for n in range(len(t) - 4)} for t in map(squeezed, (one, other))]
    return len(sets[0] & sets[1]) / max(1, len(sets[0] | sets[1]))


def brute_force(train, tasks):
    """Return {(level, train row, held-out task)}, and what may come on top by MinHash."""
    in_train = contexts(train)
    rows, near, maybe = set(), set(), set()
    for name, held_out in tasks.items():
        in_held_out = contexts(held_out)
        for number, row in enumerate(train):
            for text in row:
                if len(squeezed(text)) < LIMITS.min_characters:
                    continue
                if len(in_train[squeezed(text)]) > LIMITS.max_contexts:
                    continue
                for other in (t for r in held_out for t in r if len(squeezed(t)) >= LIMITS.min_characters):
                    if len(in_held_out[squeezed(other)]) > LIMITS.max_contexts:
                        continue
                    if squeezed(text) == squeezed(other):
                        rows.add((number, name))
                    elif one_word_apart(text, other):
                        near.add((number, name))
                    elif shingle_index(text, other) >= LIMITS.jaccard:
                        maybe.add((number, name))
    return rows, near, maybe


def found(index_, matches, level):
    chosen = matches.level == LEVELS.index(level)
    tasks = index_.task[matches.owner[chosen]].tolist()
    return {(row, index_.tasks[t]) for row, t in zip(matches.row[chosen].tolist(), tasks, strict=True)}


@settings(max_examples=150, deadline=None)
@given(rows_of_text, rows_of_text, rows_of_text)
def test_the_index_finds_equal_texts_and_texts_one_word_apart_and_nothing_unlike(train, first, second):
    tasks = {name: rows for name, rows in (("one", first), ("two", second)) if rows}
    held = index(tasks)
    matches = held.find(leaves(train)).settled(LIMITS)
    rows, near, maybe = brute_force(train, tasks)
    assert found(held, matches, "row") == rows
    left = {number for number in range(len(train)) if number not in {row for row, _ in rows}}
    ours = found(held, matches, "near")
    assert {pair for pair in near if pair[0] in left} <= ours
    assert ours <= {pair for pair in near | maybe if pair[0] in left}
    alone = held.find(leaves(train), ["near"]).settled(LIMITS)
    assert found(held, alone, "near") >= near


@settings(max_examples=100, deadline=None)
@given(rows_of_text, rows_of_text, st.integers(1, 4))
def test_lots_change_nothing(train, held_out, lot):
    one, other = index({"t": held_out}), index({"t": held_out}, lot)
    ours = one.find(leaves(train))
    parts = [other.find(leaves(train[n : n + lot], n)) for n in range(0, len(train), lot)]
    theirs = type(ours).join(parts)
    for name in ("level", "row", "owner", "unit", "context"):
        order, other_order = (np.lexsort((m.unit, m.owner, m.row, m.level)) for m in (ours, theirs))
        assert (getattr(ours, name)[order] == getattr(theirs, name)[other_order]).all()
    touched = one.touched(ours)
    for level in LEVELS:
        assert (touched[level] == other.touched(theirs)[level]).all()


def test_a_saved_index_finds_the_same(tmp_path):
    held_out = [("amber bishop cedar dragon", "ember falcon glade harbor"), ("amber cedar ember", "glade")]
    held = index({"t": held_out})
    held.save(tmp_path / "index")
    loaded = HeldOutIndex.load(tmp_path / "index")
    assert loaded.limits == LIMITS
    assert loaded.tasks == ("t",)
    train = leaves([("amber bishop cedar falcon", "Ember-Falcon glade, harbor"), ("x", "y")])
    for one, other in ((held, loaded), (held, pickle.loads(pickle.dumps(held)))):
        matches, same = one.find(train), other.find(train)
        assert matches.level.tolist() == [0, 1]
        assert matches.row.tolist() == same.row.tolist()
        assert matches.unit.tolist() == same.unit.tolist()


def test_an_index_of_nothing_finds_nothing():
    held = HeldOutIndex.of([], LIMITS)
    assert len(held.find(leaves([("amber bishop cedar", "dragon ember falcon")])).row) == 0
    assert len(index({"t": [("a", "b")]}).find(leaves([])).row) == 0


def test_a_question_asked_of_many_passages_is_a_common_phrase_but_a_passage_of_many_questions_is_not():
    question, passage_text = (
        "which of these statements is true",
        "amber bishop cedar dragon ember falcon glade harbor",
    )
    others = ["".join(f"{word}{n} " for word in VOCABULARY) for n in range(3)]
    asked = [(question, other) for other in others]
    held = index({"t": asked})
    assert len(held.find(leaves([(question, "x")])).row) == 0
    one = index({"t": [(question, "x")]})
    assert one.find(leaves(asked)).row.tolist() == [0, 1, 2]
    assert one.find(leaves(asked)).settled(LIMITS).row.tolist() == []
    many = index({"t": [(passage_text, f"question number {n} about it") for n in range(9)]})
    assert many.find(leaves([(passage_text, "another one")])).row.tolist() == [0]


def test_hashes_are_the_same_on_every_machine():
    held = index({"t": [("Amber bishop, 한국어 cedar dragon", "")]})
    hashes = (held.exact.keys, held.near.keys, held.bands.keys, held.sketches.hashes)
    assert [int(np.bitwise_xor.reduce(each)) for each in hashes] == [
        13337033040084333320,
        357394300658567113,
        17452573757201752137,
        3750737779,
    ]


PIECES = [" ".join(f"{word}{n}" for n in range(size)) for size, word in enumerate(VOCABULARY, 2)]
WRITTEN = st.lists(st.sampled_from(PIECES), max_size=5).map(" ".join)


def array(texts):
    return pa.array(texts, pa.large_string())


def windows(text, size=ngrams.WORDS):
    words = text.split()
    return [tuple(words[n : n + size]) for n in range(len(words) - size + 1)]


def own_ngrams(held_out):
    """Say again, slowly, which n-grams count and the first row of each."""
    rows_with = defaultdict(set)
    for row, text in enumerate(held_out):
        for small in windows(text, 3):
            rows_with[small].add(row)
    template = {small for small, rows in rows_with.items() if len(rows) > max(1, len(held_out) / 2)}
    found_ = defaultdict(set)
    for row, text in enumerate(held_out):
        places = {n + k for n, small in enumerate(windows(text, 3)) if small in template for k in range(3)}
        for n, window in enumerate(windows(text)):
            if len(places & set(range(n, n + ngrams.WORDS))) <= ngrams.WORDS - ngrams.OWN_WORDS:
                found_[window].add(row)
    return {window: min(rows) for window, rows in found_.items() if len(rows) <= ngrams.MOST_ROWS}


@settings(max_examples=300, deadline=None)
@given(st.lists(WRITTEN, max_size=8), st.lists(WRITTEN, max_size=6), st.integers(1, 3))
def test_ngrams_find_the_texts_that_share_thirteen_words_of_which_eight_are_the_rows(held_out, train, lot):
    rows = np.arange(len(held_out))
    lots = [(array(held_out[n : n + lot]), rows[n : n + lot]) for n in range(0, len(held_out), lot)]
    held = NgramIndex.of([("t", template_ngrams(lots))])
    known = own_ngrams(held_out)
    shared = [(n, set(windows(text)) & known.keys()) for n, text in enumerate(train)]
    expected = [(n, min(known[window] for window in both)) for n, both in shared if both]
    place, owner = held.find(array(train))
    assert list(zip(place.tolist(), held.rows[owner].tolist(), strict=True)) == expected


def test_the_words_of_a_template_are_no_leak_but_a_row_is():
    instruction = "Read the text below and say in one word whether its author liked what was seen: {}"
    texts = [f"{VOCABULARY[n % 8]}{n} " * 13 for n in range(30)]
    rows = [np.arange(first, min(first + 7, 30)) for first in range(0, 30, 7)]
    lots = [(array([instruction.format(texts[row]) for row in lot]), lot) for lot in rows]
    other = template_ngrams([(array(["x " * 13]), np.array([4]))])
    twice = [*lots, *lots]  # as when each row is rendered in two variants
    held = NgramIndex.of([("t", template_ngrams(twice)), ("u", other)])
    short = instruction.format(texts[3].split()[0])
    train = [instruction.format("something else"), f"Translate: {texts[12]}", "x, X. x " * 5, short]
    place, owner = held.find(array(train))
    assert place.tolist() == [1, 2]
    assert held.rows[owner].tolist() == [12, 4]
    assert [held.tasks[n] for n in held.task[owner]] == ["t", "u"]


@settings(max_examples=200, deadline=None)
@given(rows_of_text, st.data())
def test_a_row_is_repeated_when_an_earlier_one_left_in_has_the_same_texts(rows, data):
    out = np.array([data.draw(st.booleans()) for _ in rows], np.bool_)
    shouted = [(a.upper(), f" {b} ") for a, b in rows]
    found_ = prints(table(shouted), leaves(shouted), 0, False, LIMITS)
    expected = [
        not out[n] and any(rows[m] == row and not out[m] for m in range(n)) for n, row in enumerate(rows)
    ]
    assert repeated(found_.exact, out).tolist() == expected


def test_rows_whose_numbers_labels_or_order_differ_are_no_duplicates():
    rows = pa.table(
        {
            "text": ["3 + 4", "3 - 4", "3 + 4", "3 + 4", "3 + 4"],
            "options": [["a", "b"], ["a", "b"], ["b", "a"], ["a", "b"], ["a", "b"]],
            "label": [0, 0, 0, 1, 0],
        }
    )
    exact = prints(rows, text_leaves(rows, np.arange(5)), 0, False, LIMITS).exact
    assert repeated(exact, np.zeros(5, np.bool_)).tolist() == [False, False, False, False, True]


def test_near_duplicates_pair_with_an_earlier_row_and_never_across_labels():
    text = " ".join(f"{word}{n}" for n in range(6) for word in VOCABULARY)
    rows = pa.table(
        {"a": [text, "short", f"{text} more", f"{text} again", text[::-1]], "label": [0, 0, 0, 1, 0]}
    )
    lots = []
    for first in range(0, 5, 2):
        lot = rows.slice(first, 2)
        numbers = np.arange(first + 10, first + 10 + lot.num_rows)
        lots.append(prints(lot, text_leaves(lot, numbers), first + 10, True, LIMITS))
    whole = Prints.join(lots)
    earlier, later = candidates(whole, np.zeros(5, np.bool_), 10)
    assert (earlier.tolist(), later.tolist()) == ([10], [12])
    sketches = row_sketches(rows.take([0, 2]))
    assert jaccard(sketches, np.array([0]), sketches, np.array([1]))[0] == pytest.approx(1, abs=0.05)
    out = np.array([True, False, False, False, False])
    assert len(candidates(whole, out, 10)[0]) == 0


def test_evidence_names_the_passages_that_are_alike():
    train = table([("unrelated", "First line.\n The amber bishop of cedar  \nlast")])
    held_out = table([("the amber bishop of cedars", "something else entirely here")])
    held = HeldOutIndex.of([("t", p) for p in prepare(text_leaves(held_out, np.arange(1)), LIMITS)], LIMITS)
    matches = held.find(text_leaves(train, np.arange(1)))
    text = passage(train, int(matches.unit[0]))
    assert text == " The amber bishop of cedar  "
    assert closest(held_out, text) == "the amber bishop of cedars"


def test_words_of_a_composition_are_no_wording_that_texts_share():
    asking = sorted((text for text in phrases("en") if text.count(" ") > 4), key=len)
    tail = "so tell us now what you make of this"
    own = [" ".join(f"word{n}of{row}" for n in range(9)) for row in range(len(asking))]
    held_out = [f"{one} {tail} {text}" for one, text in zip(own, asking, strict=True)]
    lots = [(array(held_out), np.arange(len(held_out)))]
    unaware = NgramIndex.of([("t", template_ngrams(lots))])
    aware = NgramIndex.of([("t", template_ngrams(lots, phrases("en")))])
    train = [f"quite another story of a tree {tail} {text}" for text in asking]
    longest = [n for n, text in enumerate(asking) if text.count(" ") > 6]
    assert unaware.find(array(train))[0].tolist() == longest != []
    assert aware.find(array(train))[0].tolist() == []
    assert aware.find(array([f"{one} {tail}" for one in own]))[0].tolist() == list(range(len(own)))
