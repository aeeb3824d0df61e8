"""The token budget: counts that are exact where it matters, and cuts that take marked text and no more."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compose_kit import write_tokenizer
from instructify.compose.budget import Budget, open_tokenizer, without_fit
from instructify.compose.marks import FIT_CLOSE, FIT_OPEN

pytest.importorskip("tokenizers", reason="tokenizers, from the extra train, is not installed")
T5 = Path(__file__).resolve().parents[2] / "shared" / "t5-tokenizer" / "tokenizer.json"
CALM = settings(max_examples=60, deadline=None)
KINDS = ("bytes", "words", "t5")
NASTY = (
    "\ufdfa\ufdfb\u3300\u1fb7\u0390\u01c4\uac01\u0130\u00df\u2028\u200b\u00a0e\u0301🇰🇷👩‍💻漢字가나 .,\n\t<{~"
)
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.text(NASTY, max_size=40),
    st.text("ab ,.", max_size=80),
)
WORDS = st.lists(st.sampled_from(["tea", "milk", "가나", "juice,", "a.b", "\n", "\ufdfa"]), max_size=60).map(
    " ".join
)


@lru_cache
def budget(kind: str, max_input: int = 20) -> Budget:
    """Return a budget of a byte-level tokenizer, one of a few words and letters, or T5's."""
    if kind == "t5":
        if not T5.is_file():
            pytest.skip("the T5 tokenizer is not at hand")
        return Budget(T5, "t5", max_input, 20)
    folder = Path(tempfile.mkdtemp(prefix="instructify-test-"))
    return Budget(write_tokenizer(folder / "tokenizer.json", kind), kind, max_input, 20)


def tokens(own: Budget, text: str) -> int:
    return len(open_tokenizer(own.tokenizer).encode(text).ids)


def column(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_exact_and_bounds_are_bounds_for_any_text(kind: str) -> None:
    own = budget(kind)

    @CALM
    @given(st.lists(TEXT, min_size=1, max_size=5), st.integers(0, 200))
    def check(texts: list[str], enough: int) -> None:
        exact = [tokens(own, text) for text in texts]
        assert own.count(column(texts)).tolist() == exact
        bounds = own.count(column(texts), enough).tolist()
        for real, bound in zip(exact, bounds, strict=True):
            assert bound == real or real <= bound <= enough
        over = [place for place, real in enumerate(exact) if real > enough]
        assert own.over(column(texts), enough).tolist() == over

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_prompt_fits_and_only_marked_text_is_gone(kind: str) -> None:
    @CALM
    @given(WORDS, st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3), st.integers(3, 60))
    def check(head: str, marked: list[tuple[str, str]], limit: int) -> None:
        own = budget(kind, limit)
        text = head + "".join(f"{FIT_OPEN}{fit}{FIT_CLOSE}{rest}" for fit, rest in marked)
        found = own.cut(text, [])
        longest = max((fit for fit, _ in marked), key=len)
        if found is None:
            return
        shorter, gone = found
        assert tokens(own, shorter) <= limit
        kept = longest[: len(longest) - gone]
        candidates = []
        for number, (fit, _) in enumerate(marked):
            if fit == longest:
                parts = [(kept if n == number else fit, rest) for n, (fit, rest) in enumerate(marked)]
                candidates.append(head + "".join(fit + rest for fit, rest in parts))
        assert shorter in candidates
        assert kept.strip()

    check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [12, 25, 40])
def test_no_more_is_cut_than_must_be(kind: str, limit: int) -> None:
    own = budget(kind, limit)
    head, tail = "a tea ", " milk"
    text = f"{head}{FIT_OPEN}{'tea milk ' * 40}{FIT_CLOSE}{tail}"
    found = own.cut(text, [])
    if found is None:
        assert tokens(own, head + "t" + tail) > limit - 2
        return
    shorter = found[0]
    room = limit - tokens(own, shorter)
    assert 0 <= room <= 2, "within a token or two of the budget"


def test_what_cannot_be_cut_is_told() -> None:
    own = budget("bytes", 20)
    assert own.cut("a" * 50, []) is None
    assert own.cut("a" * 50 + f"{FIT_OPEN}b{FIT_CLOSE}", []) is None
    assert own.cut("a" * 50, ["not there"]) is None


def test_without_marks_the_first_field_that_stands_in_the_prompt_is_cut_at_its_end() -> None:
    own = budget("bytes", 30)
    field = "tea milk " * 10
    found = own.cut(f"Read: {field.strip()} Why?", ["x" * 200, field.strip(), "Why?"])
    assert found is not None
    shorter, gone = found
    assert shorter.startswith("Read: tea milk")
    assert shorter.endswith(" Why?")
    assert tokens(own, shorter) <= 30
    assert gone == len(f"Read: {field.strip()} Why?") - len(shorter)


def test_unknown_tokens_are_counted_and_byte_level_tokenizers_have_none() -> None:
    assert budget("bytes").measure(["가 {"])[1] == 0
    lengths, unknown, behind = budget("words").measure(["tea", "zzz"])
    assert lengths == [2, 3]
    assert (unknown, behind) == (1, ["z", "z", "z"])
    assert without_fit(f"{FIT_OPEN}a{FIT_CLOSE}b") == "ab"
    assert np.array_equal(budget("words").count(column([])), [])
