"""The order in which examples are learned, and what becomes of text on its way to token ids."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_seq2seq
from build_kit import recipe, rows_file, succeed, template
from instructify.errors import InstructifyError
from instructify.evaluate.tokens import encode_prompts
from instructify.finetune.data import (
    Texts,
    batches_from,
    batches_per_epoch,
    encode,
    epoch_batches,
    read_texts,
    shuffled,
)
from instructify.finetune.loop import learning_rate, total_steps
from instructify.recipe.training import Evaluate, Finetune, ModelSection

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=400).map(np.array)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_seq2seq.tokenizer()


def texts(inputs, targets=None):
    targets = targets or ["yes"] * len(inputs)
    ids = [f"id{n}" for n in range(len(inputs))]
    return Texts(ids, inputs, targets, [("task", "template")] * len(inputs), "toy", "c" * 64, "m" * 64)


@given(LENGTHS, st.integers(1, 32), st.integers(0, 9), st.integers(0, 3))
def test_an_epoch_has_every_row_once_in_batches_of_one_size(lengths, batch_size, seed, epoch):
    batches = epoch_batches(lengths, batch_size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert len(batches) == batches_per_epoch(len(lengths), batch_size)
    assert sorted(map(len, batches), reverse=True)[: len(batches) - 1] == [batch_size] * (len(batches) - 1)


@given(LENGTHS, st.integers(1, 32), st.integers(0, 9), st.integers(0, 60))
def test_the_batch_at_a_position_does_not_depend_on_where_reading_began(lengths, batch_size, seed, position):
    whole = islice(batches_from(lengths, batch_size, seed, 0), position + 3)
    tail = islice(batches_from(lengths, batch_size, seed, position), 3)
    assert [b.tolist() for b in whole][position:] == [b.tolist() for b in tail]


def test_epochs_and_seeds_have_orders_of_their_own():
    lengths = np.arange(1000) % 7 + 1
    orders = {
        (seed, epoch): tuple(np.concatenate(epoch_batches(lengths, 10, seed, epoch)))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4


def test_batches_are_of_like_length():
    lengths = np.random.default_rng(1).integers(1, 200, 3000)
    padded = sum(len(b) * lengths[b].max() for b in epoch_batches(lengths, 20, 0, 0))
    assert padded < 1.1 * lengths.sum()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.text(max_size=3)), max_size=60))
def test_shuffling_keeps_the_targets_of_each_task_and_template(examples):
    groups = [(task, template) for task, template, _ in examples]
    targets = [target for _, _, target in examples]
    made = shuffled(targets, groups, seed=3)
    assert Counter(zip(groups, made, strict=True)) == Counter(zip(groups, targets, strict=True))


def test_shuffling_parts_prompts_from_their_targets():
    targets = [str(n) for n in range(500)]
    made = shuffled(targets, [("t", "a")] * 500, seed=0)
    assert sum(a == b for a, b in zip(made, targets, strict=True)) < 10
    assert made != shuffled(targets, [("t", "a")] * 500, seed=1)


def test_prompts_and_targets_end_with_an_end_of_sequence_token_that_prompts_may_lack(tokenizer):
    data = texts(["a village", "the mill is"])
    made = encode(data, tokenizer, Finetune(), 0, encoder_eos=True)
    bare = encode(data, tokenizer, Finetune(), 0, encoder_eos=False)
    for n, text in enumerate(data.inputs):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert made.inputs[n].tolist() == [*ids, tokenizer.eos_token_id]
        assert bare.inputs[n].tolist() == ids
        assert bare.targets[n][-1] == tokenizer.eos_token_id
    assert made.too_long == made.dropped == 0


def test_a_prompt_without_tokens_is_an_end_of_sequence_token_as_when_it_is_scored(tokenizer):
    examples = encode(texts(["", "a mill"]), tokenizer, Finetune(), 0, encoder_eos=False)
    assert examples.inputs[0].tolist() == [tokenizer.eos_token_id]
    (scored, _) = encode_prompts(tokenizer, ["", "a mill"], Evaluate(encoder_eos=False), "here")
    assert scored.ids == (tokenizer.eos_token_id,)


def test_too_long_is_an_error_a_cut_or_a_drop_as_the_recipe_says(tokenizer):
    data = texts(["a", "the village " * 30, "b"], ["yes", "no", "the mill " * 30])
    small = {"max_input_tokens": 12, "max_target_tokens": 9}
    with pytest.raises(InstructifyError) as caught:
        encode(data, tokenizer, Finetune(**small), 0, encoder_eos=True)
    assert "2 of 3 examples are over the budgets, among them id1, of task / template" in str(caught.value)
    assert "max_input_tokens" in str(caught.value)
    cut = encode(data, tokenizer, Finetune(**small, on_too_long="cut"), 0, encoder_eos=True)
    assert cut.inputs.lengths.max() == 12
    assert cut.targets.lengths.max() == 9
    assert cut.inputs[1][-1] == cut.targets[2][-1] == tokenizer.eos_token_id
    assert (len(cut), cut.too_long, cut.dropped) == (3, 2, 0)
    dropped = encode(data, tokenizer, Finetune(**small, on_too_long="drop"), 0, encoder_eos=True)
    assert (len(dropped), dropped.too_long, dropped.dropped) == (1, 2, 2)
    assert dropped.inputs[0].tolist() == cut.inputs[0].tolist()


def test_nothing_left_is_an_error(tokenizer):
    with pytest.raises(InstructifyError, match="no training example"):
        encode(
            texts(["the village"]),
            tokenizer,
            Finetune(max_input_tokens=1, on_too_long="drop"),
            0,
            encoder_eos=True,
        )


def test_a_published_build_is_read_whole_and_only_as_published(small_build, tmp_path):
    import shutil

    read = read_texts(small_build)
    assert len(read.inputs) == len(read.targets) == len(read.groups) == 2100
    assert {task for task, _ in read.groups} == {"world/reviews", "world/ko_reviews", "world/facts"}
    copy = tmp_path / "copy"
    shutil.copytree(small_build, copy)
    shard = next(copy.rglob("train-00000*.parquet"))
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(InstructifyError, match="not what the manifest says"):
        read_texts(copy)
    with pytest.raises(InstructifyError, match="no manifest"):
        read_texts(tmp_path)


def test_what_is_learned_when_does_not_depend_on_how_a_build_is_cut_into_files(tmp_path):
    rows_file(tmp_path / "rows-train.jsonl", [{"text": f"t{n}", "label": n % 2} for n in range(600)])
    template(tmp_path / "own" / "rows", "echo", "{{ text }}\n|||\n{{ text }}")
    template(tmp_path / "own" / "rows", "again", "again {{ text }}\n|||\n{{ text }}")
    files = {"kind": "files", "path": "rows-{split}.jsonl"}
    task = {"dataset": "rows", "cluster": "c", "source": files}
    read = []
    for name, size in (("one", 10_000), ("many", 100)):
        output = {"dir": name, "shard_examples": size}
        succeed("build", recipe(tmp_path, [task], template_sources=["own"], output=output), "-j", "1", "-q")
        texts = read_texts(tmp_path / name)
        assert len(set(texts.ids)) == len(texts.ids) == 1_200
        read.append((texts.ids, texts.inputs, texts.targets, texts.groups))
    assert len(list((tmp_path / "many" / "parquet").iterdir())) > 5
    assert read[0] == read[1]


def test_the_learning_rate_rises_and_falls_as_the_schedule_says():
    shape = {"learning_rate": 1.0, "warmup": 0.1}
    for schedule, middle, last in (("linear", 0.5, 1 / 90), ("cosine", 0.5, 0.0), ("constant", 1.0, 1.0)):
        section = Finetune(**shape, schedule=schedule)
        rates = [learning_rate(section, step, 100) for step in range(100)]
        assert rates[0] == pytest.approx(0.1)
        assert rates[9] == rates[10] == 1.0
        assert rates[55] == pytest.approx(middle)
        assert rates[99] == pytest.approx(last, abs=1e-3)
        assert all(a >= b for a, b in pairwise(rates[10:]))
    assert learning_rate(Finetune(learning_rate=1.0, warmup=0.0), 0, 1) == 1.0


def test_steps_come_from_epochs_unless_they_are_given():
    assert total_steps(Finetune(batch_size=4, epochs=2.0), 10) == 6
    assert total_steps(Finetune(batch_size=4, accumulate=2), 10) == 2
    assert total_steps(Finetune(batch_size=4, epochs=0.5), 10) == 2
    assert total_steps(Finetune(steps=7, epochs=3.0), 10) == 7


@pytest.mark.parametrize("dtype", ["float16", "fp16", "half"])
def test_float16_is_refused_and_told_why(dtype):
    with pytest.raises(ValueError, match="overflows to NaN in T5"):
        ModelSection.model_validate({"dtype": dtype})


def test_seeds_must_differ():
    with pytest.raises(ValueError, match="seeds must differ"):
        Finetune.model_validate({"seeds": [1, 1]})
