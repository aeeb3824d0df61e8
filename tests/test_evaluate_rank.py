"""Log-likelihoods are those of one choice scored alone, whatever is batched with it."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_seq2seq
from instructify.errors import InstructifyError
from instructify.evaluate import rank as ranking
from instructify.evaluate.generate import generate
from instructify.evaluate.rank import MOST_SOURCE_TOKENS, MOST_TARGET_TOKENS, Question, batches, rank
from instructify.evaluate.tokens import encode_choices, encode_prompts
from instructify.recipe.training import Evaluate, ModelSection
from instructify.seq2seq import load_seq2seq

CLOSE = 2e-4  # nats; the log-likelihoods are around -50


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_seq2seq.save(tmp_path_factory.mktemp("rank") / "model")
    return load_seq2seq(ModelSection(name=str(folder)), folder)


def ragged(count, seed=1, most=6):
    draw = random.Random(seed)

    def ids(low, high):
        return (*(draw.randrange(3, 320) for _ in range(draw.randrange(low, high))), 1)

    return [
        Question(ids(1, 60), tuple(ids(1, 9) for _ in range(draw.randrange(1, most)))) for _ in range(count)
    ]


def nothing(_):
    pass


def far(one, other):
    return max(abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def test_fast_scores_are_those_of_a_slow_scorer_of_one_choice_at_a_time(model):
    questions = ragged(12)
    assert len({len(question.choices) for question in questions}) > 2
    slow = [
        [tiny_seq2seq.slow_loglikelihood(model, list(q.prompt), list(choice)) for choice in q.choices]
        for q in questions
    ]
    assert far(rank(model, questions, 5, nothing), slow) < CLOSE
    assert min(min(logs) for logs in slow) < -20


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_the_batch_size_moves_only_the_last_digits(model, batch_size):
    questions = ragged(30, seed=2)
    alone = [rank(model, [question], 1, nothing)[0] for question in questions]
    together = rank(model, questions, batch_size, nothing)
    assert far(alone, together) < CLOSE
    assert [max(logs) for logs in together] != [logs[0] for logs in together]


def test_the_order_of_questions_changes_nothing_but_the_last_digits(model):
    questions = ragged(20, seed=3)
    turned = rank(model, questions[::-1], 4, nothing)[::-1]
    assert far(rank(model, questions, 4, nothing), turned) < CLOSE


def test_the_same_call_gives_the_same_bits(model):
    questions = ragged(20, seed=4)
    assert rank(model, questions, 4, nothing) == rank(model, questions, 4, nothing)


def test_choices_too_many_for_one_batch_are_scored_in_pieces(model, monkeypatch):
    questions = [*ragged(5, seed=5), Question((5, 6, 1), tuple((n, 1) for n in range(3, 53)))]
    whole = rank(model, questions, 4, nothing)
    monkeypatch.setattr(ranking, "MOST_TARGET_TOKENS", 20)
    done = []
    assert far(rank(model, questions, 4, done.append), whole) < CLOSE
    assert sum(done) == len(questions)
    assert len(list(batches(questions, 4))) > 5


def test_one_token_choices_need_no_second_pass(model):
    question = Question((7, 8, 9, 1), ((4,), (5,), (6,)))
    slow = [tiny_seq2seq.slow_loglikelihood(model, [7, 8, 9, 1], list(choice)) for choice in question.choices]
    assert far(rank(model, [question], 1, nothing), [slow]) < CLOSE


def test_log_likelihoods_are_sums_and_not_divided_by_length(model):
    first, second = rank(model, [Question((7, 1), ((4, 1), (4, 5, 5, 5, 5, 5, 5, 1)))], 1, nothing)[0]
    assert second < first < 0
    assert second < -15


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9000), st.lists(st.integers(1, 300), min_size=1, max_size=40)),
        max_size=12,
    ),
    st.integers(1, 9),
)
def test_every_choice_is_in_one_batch_and_no_batch_is_over_its_bounds(shapes, batch_size):
    questions = [Question((3,) * prompt, tuple((3,) * size for size in sizes)) for prompt, sizes in shapes]
    found = []
    for batch in batches(questions, batch_size):
        assert 0 < len(batch) <= batch_size
        rows = sum(piece.stop - piece.start for piece in batch)
        source = max(len(questions[piece.question].prompt) for piece in batch)
        target = max(len(c) for piece in batch for c in questions[piece.question].choices)
        assert rows == 1 or (rows * source <= MOST_SOURCE_TOKENS and rows * target <= MOST_TARGET_TOKENS)
        found += [(piece.question, n) for piece in batch for n in range(piece.start, piece.stop)]
    assert sorted(found) == [(n, c) for n, (_, sizes) in enumerate(shapes) for c in range(len(sizes))]


def test_weights_that_are_not_numbers_are_an_error_and_no_score(model):
    class Broken:
        config = model.model.config
        parameters = model.model.parameters

        def __call__(self, **inputs):
            made = model.model(**inputs)
            return type(made)(**{**made, "logits": made.logits * math.nan})

    odd = replace(model, model=Broken(), name="odd")
    with pytest.raises(InstructifyError, match="odd gives log-likelihoods that are not finite"):
        rank(odd, ragged(1), 1, nothing)


def test_the_end_of_sequence_is_scored_and_read_as_the_switches_say(model):
    words = model.tokenizer
    on, off = Evaluate(), Evaluate(score_eos=False, encoder_eos=False)
    with_end, without = (encode_choices(words, ["yes", "no"], s, "here") for s in (on, off))
    assert {text: (*ids, words.eos_token_id) for text, ids in without.items()} == with_end
    prompts = [encode_prompts(words, ["a village"], s, "here")[0].ids for s in (on, off)]
    assert prompts[0] == (*prompts[1], words.eos_token_id)
    assert words.eos_token_id not in prompts[1]
    end = Question(prompts[0], (with_end["yes"],)), Question(prompts[0], (without["yes"],))
    scored, unscored = (rank(model, [question], 1, nothing)[0][0] for question in end)
    assert scored < unscored


def test_an_empty_prompt_is_one_end_of_sequence_token_either_way(model):
    for settings_ in (Evaluate(), Evaluate(encoder_eos=False)):
        assert encode_prompts(model.tokenizer, [""], settings_, "prior")[0].ids == (
            model.tokenizer.eos_token_id,
        )


def test_a_choice_without_tokens_is_an_error_unless_its_end_is_scored(model):
    assert encode_choices(model.tokenizer, [""], Evaluate(), "here") == {"": (model.tokenizer.eos_token_id,)}
    with pytest.raises(InstructifyError, match="here: the answer choice '' has no tokens"):
        encode_choices(model.tokenizer, [""], Evaluate(score_eos=False), "here")


def test_long_prompts_are_an_error_that_says_how_many_and_how_long(model):
    texts = ["a b c", "z " * 40, "z " * 50]
    length = len(encode_prompts(model.tokenizer, texts[2:], Evaluate(), "t")[0].ids)
    with pytest.raises(InstructifyError, match=rf"task t: 2 of 3 prompts are too long.* {length} tokens"):
        encode_prompts(model.tokenizer, texts, Evaluate(max_input_tokens=20), "task t")


@pytest.mark.parametrize("encoder_eos", [True, False])
def test_a_prompt_is_cut_at_the_end_asked_for_and_keeps_its_end_of_sequence(model, encoder_eos):
    text = "one two three four five six seven eight nine"
    whole = encode_prompts(model.tokenizer, [text], Evaluate(encoder_eos=False), "t")[0].ids
    kept = {}
    for end in ("left", "right"):
        asked = Evaluate(max_input_tokens=8, truncate=end, encoder_eos=encoder_eos)
        short, long = encode_prompts(model.tokenizer, ["a", text], asked, "t")
        assert (short.truncated, long.truncated) == (False, True)
        assert len(long.ids) == 8
        kept[end] = long.ids[:-1] if encoder_eos else long.ids
    assert kept == {"left": whole[-len(kept["left"]) :], "right": whole[: len(kept["right"])]}


def test_generation_takes_the_likeliest_token_each_time_whatever_is_batched_with_it(model):
    import torch

    prompts = [question.prompt for question in ragged(7, seed=6)]
    together = generate(model, prompts, 3, 6, nothing)
    net, words = model.model, model.tokenizer
    for prompt, text in zip(prompts, together, strict=True):
        so_far = [net.config.decoder_start_token_id]
        while len(so_far) <= 6 and so_far[-1] != words.eos_token_id:
            with torch.inference_mode():
                out = net(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([so_far]))
            so_far.append(int(out.logits[0, -1].argmax()))
        assert words.decode(so_far, skip_special_tokens=True).strip() == text
    assert len(set(together)) > 1
