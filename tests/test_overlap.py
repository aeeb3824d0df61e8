"""Texts are compared as the slow and plain definition says, whatever the batch, the place and the order."""

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from instructify.keys import Key
from instructify.overlap import minhash
from instructify.overlap import words as overlap_words
from instructify.overlap.fields import Leaves, other_values, text_leaves
from instructify.overlap.fold import _categories, fold
from instructify.overlap.postings import Postings, firsts
from instructify.overlap.units import Units, common, contexts, units, whole, without_a_word

alphabet = st.sampled_from(list("abcABC  \n\t.,'-é한글ＡßΣ漢字かİ\0\u200b1２\U0001f600")) | st.characters(
    exclude_categories=("Cs",)
)
texts = st.lists(st.text(alphabet, max_size=40), max_size=6)
BASE, LENGTH = 0xD6E8FEB86659FD95, 0x9E3779B97F4A7C15
IDEOGRAPHS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3134F))


def folded_text(text):
    return unicodedata.normalize("NFKD", text.replace("\0", " ")).casefold()


def is_kept(character):
    return unicodedata.category(character)[0] in "LMN"


def kept(text):
    """Say again, slowly, which characters of a text count."""
    return "".join(filter(is_kept, folded_text(text)))


def words(text):
    """Say again, slowly, what the words of a text are."""
    found = [""]
    for character in folded_text(text):
        category = unicodedata.category(character)[0]
        alone = any(first <= ord(character) <= last for first, last in IDEOGRAPHS)
        if category in "CZ":
            found.append("")
        elif category in "LMN":
            if alone:
                found += [character, ""]
            else:
                found[-1] += character
    return [word for word in found if word]


def lines(text):
    return [line for part in folded_text(text).splitlines() if (line := "".join(filter(is_kept, part)))]


def hash_of(characters):
    """Return the hash of kept characters, computed one by one."""
    draw = Key.of("instructify.overlap").draw
    total = sum(draw(ord(c), 1) * pow(BASE, place, 2**64) for place, c in enumerate(characters))
    return draw((total + len(characters) * LENGTH) % 2**64)


def each_unit(batch, least=1):
    one = fold(batch)
    return one, units(one, least)


@settings(max_examples=300, deadline=None)
@given(texts)
@example([])
@example([""])
@example(["", "a\n\nb", "", "\0"])
def test_a_fold_keeps_the_letters_marks_and_digits_of_every_text(batch):
    one = fold(batch)
    assert np.diff(one.texts).tolist() == [len(kept(text)) for text in batch]
    assert np.diff(one.words).tolist() == [len(word) for text in batch for word in words(text)]


@settings(max_examples=300, deadline=None)
@given(texts)
def test_a_text_has_the_same_hash_wherever_it_stands(batch):
    one = fold(batch)
    hashes = one.characters.spans(one.texts[:-1], one.texts[1:]).tolist()
    assert hashes == [hash_of(kept(text)) for text in batch]


@settings(max_examples=300, deadline=None)
@given(texts.filter(len), st.integers(0, 2))
@example(["漢字\t¨a b\0\0", "", " \u0301b", "a\u2028b\xa0c", "\0"], 1)
def test_words_are_those_of_each_text_however_often_they_are_said(batch, lead):
    padded = pa.array(["x\u0323"] * lead + batch * 2, pa.large_string()).slice(lead)
    found = overlap_words.words(padded)
    expected = [[hash_of(word) for word in words(text)] for text in batch * 2]
    spans = pairwise(found.starts.tolist())
    assert [found.hashes[start:stop].tolist() for start, stop in spans] == expected


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(0, 2), st.integers(1, 60))
def test_lots_of_texts_are_all_texts_in_order(batch, lead, most):
    given_ = pa.array(["xyz"] * lead + batch, pa.large_string()).slice(lead)
    lots = list(overlap_words.batches(given_, most))
    assert [start + n for start, lot in lots for n in range(len(lot))] == list(range(len(batch)))
    assert [text for _, lot in lots for text in lot.to_pylist()] == batch
    assert all(len(lot) == 1 or len("".join(lot.to_pylist()).encode()) <= most for _, lot in lots)


def same(one, other):
    both = fold([one, other])
    first, second = both.characters.spans(both.texts[:-1], both.texts[1:])
    return first == second


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet, max_size=20), st.text(alphabet, max_size=20))
@example("Don't", "do n't")
@example("ＡＢ", "ab")
def test_two_texts_share_a_hash_when_their_kept_characters_are_the_same(one, other):
    assert same(one, other) == (kept(one) == kept(other))


def test_case_width_punctuation_and_spacing_do_not_count_but_letters_and_digits_do():
    assert same("It 's a  CAFÉ; 12 km!", "its a cafe\u0301 １２ km")
    assert not same("12 km", "13 km")
    assert same("한국어", unicodedata.normalize("NFD", "한국어"))


def test_the_categories_are_those_of_every_code_point():
    every = (unicodedata.category(chr(n))[0] for n in range(0x110000))
    assert bytes(_categories()).decode("ascii") == "".join(every)


def test_a_printed_fold_keeps_punctuation():
    plus, minus = fold(["3 + 4"], "printed"), fold(["3 - 4"], "printed")
    assert plus.characters.sums[-1] != minus.characters.sums[-1]
    assert plus.texts.tolist() == [0, 3]


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(1, 12))
def test_units_are_long_lines_and_long_texts_of_several_lines(batch, least):
    one, found = each_unit(batch, least)
    expected = []
    for number, text in enumerate(batch):
        parts = lines(text)
        expected += [(number, hash_of(part)) for part in parts if len(part) >= least]
        if len(parts) > 1 and len(kept(text)) >= least:
            expected.append((number, hash_of(kept(text))))
    assert sorted(zip(found.text.tolist(), whole(one, found).tolist(), strict=True)) == sorted(expected)
    assert (np.diff(found.start) >= 0).all()


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(1, 10))
def test_without_a_word_is_the_text_with_that_word_cut_out(batch, least):
    single = [" ".join(text.split()) for text in batch]
    one, found = each_unit(single)
    hashes, unit = without_a_word(one, found, least)
    expected = []
    for number, text in enumerate(found.text.tolist()):
        parts = words(single[text])
        rests = ["".join(parts[:n] + parts[n + 1 :]) for n in range(len(parts))]
        whole_length = len("".join(parts))
        expected += [(number, hash_of(rest)) for rest in rests if len(rest) >= least and whole_length > least]
    assert list(zip(unit.tolist(), hashes.tolist(), strict=True)) == expected


def test_texts_that_differ_by_one_word_meet_without_it():
    sentence = "the quick brown fox jumps over the lazy dog today"
    one, found = each_unit([sentence, sentence.replace("fox", "wolverine"), f"{sentence} again"])
    keys, unit = without_a_word(one, found, 10)
    of = [set(keys[unit == number].tolist()) for number in range(3)]
    assert len(of[0] & of[1]) == 1
    assert int(whole(one, found)[0]) in of[2]


shingle_texts = st.lists(
    st.lists(st.sampled_from("alpha beta gamma delta eps zeta eta".split()), min_size=2, max_size=30).map(
        " ".join
    ),
    min_size=1,
    max_size=6,
)


def shingle_set(text):
    characters = kept(text)
    return {characters[n : n + minhash.SHINGLE] for n in range(len(characters) - minhash.SHINGLE + 1)}


@settings(max_examples=200, deadline=None)
@given(shingle_texts)
def test_the_jaccard_index_is_that_of_the_shingle_sets(batch):
    one, found = each_unit(batch, minhash.SHINGLE)
    sketches = minhash.sketches(minhash.shingles(one), found)
    left, right = (side.ravel() for side in np.meshgrid(*[np.arange(len(found.start))] * 2))
    sets = [shingle_set(batch[text]) for text in found.text.tolist()]
    expected = [len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in zip(left, right, strict=True)]
    assert minhash.jaccard(sketches, left, sketches, right) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(shingle_texts)
def test_band_keys_depend_on_the_text_alone(batch):
    one, found = each_unit(batch, minhash.SHINGLE)
    keys = minhash.bands(minhash.shingles(one), found)
    for number, text in enumerate(found.text.tolist()):
        alone, unit = each_unit([batch[text]], minhash.SHINGLE)
        assert (minhash.bands(minhash.shingles(alone), unit)[:, 0] == keys[:, number]).all()


def test_texts_of_jaccard_eight_tenths_share_a_band_as_often_as_promised():
    draw = np.random.default_rng(5).integers(0, 26, (400, 300))
    lines_ = ["".join(chr(97 + n) for n in row) for row in draw]
    nearly = [text[:268] + text[:32][::-1] for text in lines_]
    one, found = each_unit([*lines_, *nearly], minhash.SHINGLE)
    shingles = minhash.shingles(one)
    sketches = minhash.sketches(shingles, found)
    index = minhash.jaccard(sketches, np.arange(400), sketches, np.arange(400, 800))
    assert 0.75 < index.mean() < 0.85
    keys = minhash.bands(shingles, found)
    shared = (keys[:, :400] == keys[:, 400:]).any(axis=0).mean()
    assert 0.94 < shared <= 1.0  # 0.974 in expectation
    assert not (keys[:, :399] == keys[:, 1:400]).any()


def test_a_sketch_estimates_the_jaccard_index_of_long_texts():
    draw = np.random.default_rng(6).integers(0, 26, 6000)
    text = "".join(chr(97 + n) for n in draw)
    other = text[:5000] + text[:1000][::-1]
    one, found = each_unit([text, other], minhash.SHINGLE)
    sketches = minhash.sketches(minhash.shingles(one), found)
    assert np.diff(sketches.edges).tolist() == [minhash.SKETCH] * 2
    exact = len(shingle_set(text) & shingle_set(other)) / len(shingle_set(text) | shingle_set(other))
    assert minhash.jaccard(sketches, np.array([0]), sketches, np.array([1]))[0] == pytest.approx(
        exact, abs=0.1
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1) | st.integers(0, 5), st.integers(0, 4)), max_size=60),
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 7), max_size=30),
)
def test_postings_find_what_a_dictionary_finds(pairs, asked):
    keys = np.array([key for key, _ in pairs], np.uint64)
    held = Postings.of(keys, np.array([owner for _, owner in pairs], np.int64))
    asked = [*asked, *(key for key, _ in pairs[:3])]
    place, owner = held.find(np.array(asked, np.uint64))
    expected = [(n, o) for n, key in enumerate(asked) for o in sorted({o for k, o in pairs if k == key})]
    assert list(zip(place.tolist(), owner.tolist(), strict=True)) == expected


def test_only_the_first_owners_of_a_group_are_kept_for_a_key():
    keys = np.array([7, 7, 7, 7, 8, 7], np.uint64)
    owners, groups = np.array([3, 1, 2, 9, 4, 8]), np.array([0, 0, 0, 1, 0, 1])
    assert sorted(firsts(keys, owners, groups, 1).tolist()) == [1, 4, 5]
    assert sorted(firsts(keys, owners, groups, 2).tolist()) == [1, 2, 3, 4, 5]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30), st.integers(1, 3))
def test_a_unit_is_common_when_it_has_more_contexts_than_allowed(entries, most):
    unit = np.array([u for u, _ in entries], np.uint64)
    context = np.array([c for _, c in entries], np.uint64)
    expected = [len({c for v, c in entries if v == u}) > most for u, _ in entries]
    assert common(unit, context, most).tolist() == expected


def test_the_context_of_a_unit_is_the_longest_of_its_row():
    of = Units(np.arange(4), np.array([0, 5, 20, 30]), np.array([5, 20, 30, 34]))
    hashes = np.array([10, 11, 12, 13], np.uint64)
    assert contexts(of, hashes, np.array([7, 7, 9, 9])).tolist() == [11, 11, 12, 12]


NESTED = pa.table(
    {
        "question": ["why?", None, "how?"],
        "choices": pa.array(
            [{"text": ["a", "b"], "label": [0, 1]}, None, {"text": [], "label": None}],
            pa.struct([("text", pa.list_(pa.string())), ("label", pa.list_(pa.int8()))]),
        ),
        "turns": pa.array([[["x"], ["y", None]], [], [[]]], pa.list_(pa.list_(pa.large_string()))),
        "facts": pa.array([[("k", "v")], None, []], pa.map_(pa.string(), pa.string())),
        "score": [1.5, 2.5, None],
    }
)


def test_leaves_are_texts_at_any_depth_in_the_order_of_rows():
    leaves = text_leaves(NESTED, np.array([10, 20, 30]))
    assert list(zip(leaves.rows.tolist(), leaves.texts, strict=True)) == [
        *((10, text) for text in ["why?", "a", "b", "x", "y", "k", "v"]),
        (30, "how?"),
    ]
    assert len(set(leaves.places[:7].tolist())) == 7
    assert leaves.places[7] == leaves.places[0]


def test_a_slice_has_the_leaves_of_its_rows():
    for start in range(3):
        part = NESTED.slice(start, 1)
        whole_table = text_leaves(NESTED, np.arange(3))
        expected = [t for r, t in zip(whole_table.rows, whole_table.texts, strict=True) if r == start]
        assert text_leaves(part, np.array([start])).texts == expected
        assert other_values(part)[0] == other_values(NESTED)[start]


def test_other_values_tell_rows_apart_by_all_that_is_no_text():
    table = pa.table(
        {
            "a": pa.array([0, 1, None, 0], pa.int8()),
            "b": pa.array([True, True, True, None]),
            "c": ["x", "y", "z", "w"],
            "d": pa.array([b"1", b"1", b"1", b"1"]),
        }
    )
    assert len(set(other_values(table).tolist())) == 4
    assert other_values(table.select(["c"])).tolist() == [0] * 4
    swapped = pa.table({"a": [[1, 2], [2, 1]]})
    assert len(set(other_values(swapped).tolist())) == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.text("ab", max_size=12)), max_size=20), st.integers(1, 30))
def test_batches_are_whole_rows_and_lose_nothing(entries, size):
    entries.sort(key=lambda entry: entry[0])
    rows = np.array([row for row, _ in entries], np.int64)
    leaves = Leaves(rows, rows.astype(np.uint64), [text for _, text in entries])
    parts = list(leaves.batches(size))
    assert [text for part in parts for text in part.texts] == leaves.texts
    assert [row for part in parts for row in part.rows.tolist()] == rows.tolist()
    for one, other in pairwise(parts):
        assert one.rows[-1] != other.rows[0]
    for part in parts:
        assert sum(map(len, part.texts)) <= size or len(set(part.rows.tolist())) == 1
