"""The model that ships with instructify, the text it was made from, and the experiment it is for."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from instructify.keys import Key
from instructify.recipe.load import load_recipe
from instructify.recipe.training import ModelSection
from instructify.seq2seq import TINY_FOLDER, load_seq2seq
from instructify.world import WORLD, build_table, dirty_rows
from instructify.world.draws import Draws
from instructify.world.prose import KNOWLEDGE, WRITERS, prose

ROOT = Path(__file__).resolve().parents[1]
MADE = json.loads((TINY_FOLDER / "made.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tiny():
    return load_seq2seq(ModelSection(name="tiny"), Path("/"))


@pytest.fixture(scope="module")
def maker():
    path = ROOT / "scripts" / "make_tiny.py"
    spec = importlib.util.spec_from_file_location("make_tiny", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_small_and_as_its_record_says(tiny):
    weights = (TINY_FOLDER / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == MADE["model_sha256"]
    assert sum(p.stat().st_size for p in TINY_FOLDER.iterdir()) < 6_000_000
    assert sum(p.numel() for p in tiny.model.parameters()) == MADE["parameters"]
    assert MADE["losses"][-1][0] == MADE["steps"]
    assert tiny.model.config.tie_word_embeddings is True  # as transformers 5 has it, of every T5
    assert tiny.model.config.scale_decoder_outputs is False
    assert json.loads((TINY_FOLDER / "config.json").read_text())["tie_word_embeddings"] is False


def test_it_has_learned_the_prose_of_the_world(tiny):
    documents = [text.split(" ") for text in list(prose(99, 12))[::7] if len(text.split(" ")) > 9]
    assert len(documents) > 25

    def loss(words):
        """Return the loss of the second half of a text, given the first."""
        half = len(words) // 2
        ids = tiny.tokenizer(" ".join(words[:half]), return_tensors="pt")
        labels = tiny.tokenizer(" ".join(words[half:]), return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            return float(tiny.model(**ids, labels=labels).loss)

    told = [loss(words) for words in documents]
    jumbled = [loss([*words[: len(words) // 2], *words[: len(words) // 2 - 1 : -1]]) for words in documents]
    assert np.mean(told) < 3 < np.mean(jumbled)


@given(st.text())
def test_the_tokenizer_gives_every_text_back_but_for_what_it_says(text):
    tokenizer = load_tokenizer()
    special = [token for token in tokenizer.all_special_tokens if token in text]
    if special or text.startswith(" ") or "▁" in text:
        return  # control tokens, a leading space and SentencePiece's space mark
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def load_tokenizer(cache=[]):  # noqa: B006 - loaded once for all examples of a property
    from instructify.seq2seq import load_tokenizer as load

    if not cache:
        cache.append(load(TINY_FOLDER))
    return cache[0]


def test_the_tokenizer_ends_texts_and_keeps_line_breaks(tiny):
    ids = tiny.tokenizer("Yes\n{x}  <b>")["input_ids"]
    assert ids[-1] == tiny.tokenizer.eos_token_id == 1
    assert tiny.tokenizer.pad_token_id == 0
    assert tiny.tokenizer.unk_token_id not in ids
    assert len(tiny.tokenizer("Yes")["input_ids"]) == 2


def test_a_word_is_one_token_wherever_it_stands(tiny):
    def tokens(text):
        return tiny.tokenizer.convert_ids_to_tokens(
            tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
        )

    for text in ("What", "It asks: What", 'It asks "What', "It asks (What", "It asks:\nWhat", "one\n\nWhat"):
        assert tokens(text)[-1] == "▁What", text
    known = [word for text in prose(20, 30) for word in re.findall(r"[A-Za-z]{2,}", text)]
    whole = [word for word in known if len(tokens(word)) == 1]
    assert len(known) > 10_000 and len(whole) > 0.97 * len(known)


def test_no_verdict_of_an_inn_review_is_told_but_by_its_writer():
    rows = build_table("inn_reviews", "train", 200).to_pylist()
    told = [WRITERS["inn_reviews"](Draws(Key.of("test"), n), row) for n, row in enumerate(rows)]
    assert told == [row["text"] for row in rows]


def test_prose_covers_the_english_world_and_never_speaks_of_an_evaluation_row():
    english = {name for name, dataset in WORLD.items() if dataset.language == "en"}
    assert english - set(WRITERS) == {"facts", "almanac", "claims", "senses"}  # told by KNOWLEDGE
    assert set(KNOWLEDGE) == {"facts", "claims", "senses", "opinions"}
    documents = list(prose(1, 150))
    kinds = len(WRITERS) + sum(times for times, _ in KNOWLEDGE.values())
    assert 140 * kinds < len(documents) <= 150 * kinds
    told, checked = set(documents), 0
    for name, write in WRITERS.items():
        if name == "because":  # all splits share its few causes, with other wrong choices
            continue
        for number, row in enumerate(build_table(name, "validation", 100).to_pylist()):
            if number in dirty_rows(WORLD[name], "validation", 100):  # no label, or the planted leak
                continue
            checked += 1
            said = {write(Draws(Key.of("test", name), 20 * number + n), row) for n in range(20)}
            assert not said & told, (name, row)
    assert checked > 1200


def test_prose_is_the_same_every_time_and_other_for_another_seed():
    assert list(prose(1, 30)) == list(prose(1, 30))
    assert list(prose(1, 30)) != list(prose(2, 30))


def test_its_vocabulary_is_learned_from_prompts_that_are_trained_on_only():
    loaded = load_recipe(ROOT / "recipes" / "tiny.yaml")
    assert loaded.recipe.held_out == [
        "nli",
        "coreference",
        "sentence_completion",
        "word_sense",
        "inn_sentiment",
    ]
    assert loaded.recipe.model.name == "tiny"
    assert len(loaded.recipe.finetune.seeds) == 3


def test_corruption_hides_spans_and_nothing_is_lost(maker):
    ids, ends = np.arange(100, 160), np.array([119, 139, 159])
    seen = {"continued": 0, "corrupted": 0}
    for number in range(200):
        source, target = maker.corrupt(ids, 3, ends, maker._generator("test", number))
        assert source[-1] == target[-1] == 1
        if not any(3 <= token < 3 + maker.SENTINELS for token in source):
            seen["continued"] += 1
            assert source[-2] in (119, 139)  # the end of a sentence, but not of the last
            assert source[:-1] + target[:-1] == ids.tolist()
            continue
        seen["corrupted"] += 1
        spans = {}
        for token in target[:-1]:
            if token < 100:
                spans[token] = []
            else:
                spans[next(reversed(spans))].append(token)
        restored = [t for token in source[:-1] for t in (spans[token] if token < 100 else [token])]
        assert restored == ids.tolist()
        assert sum(map(len, spans.values())) == round(60 * maker.NOISE)
    assert min(seen.values()) > 70


def test_a_pretraining_batch_depends_on_its_step_alone(maker):
    tokenizer = maker.Tokenizer.from_file(str(TINY_FOLDER / "tokenizer.json"))
    encoded = [np.array(tokenizer.encode(text).ids) for text in prose(1, 20)]
    whole, tail = maker.stream(encoded, tokenizer, 0), maker.stream(encoded, tokenizer, 7)
    for _ in range(7):
        next(whole)
    for _ in range(2):
        first, second = next(whole), next(tail)
        assert all(torch.equal(first[name], second[name]) for name in first)
