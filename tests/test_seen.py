"""What base models saw: no score is called zero-shot where the base was trained on the task."""

import doctest

import pytest

from instructify import seen
from instructify.seen import BASES, TRAINING, seen_by

T0_HELD_OUT = [
    ("super_glue", "rte"),
    ("super_glue", "cb"),
    ("anli", "r1"),
    ("anli", "r2"),
    ("anli", "r3"),
    ("super_glue", "wsc.fixed"),
    ("winogrande", "winogrande_xl"),
    ("super_glue", "copa"),
    ("story_cloze", "2016"),
    ("hellaswag", None),
    ("super_glue", "wic"),
]


@pytest.mark.parametrize("size", ["small", "base", "large", "xl", "xxl"])
@pytest.mark.parametrize("task", T0_HELD_OUT)
def test_flan_t5_was_trained_on_all_eleven_held_out_sets_of_t0(size, task):
    found = seen_by(f"google/flan-t5-{size}", *task)
    assert (found.status, found.word) == ("seen", "retention")
    assert "not zero-shot" in found.note
    assert any("flan_collection_info.csv" in source for source in found.sources)


@pytest.mark.parametrize("task", T0_HELD_OUT)
def test_t0_was_trained_on_none_of_them(task):
    for model in ("bigscience/T0", "bigscience/T0_3B"):
        assert seen_by(model, *task).word == "zero-shot"


def test_t0pp_was_trained_on_four_of_them():
    trained = [task for task in T0_HELD_OUT if seen_by("bigscience/T0pp", *task).word == "retention"]
    names = [("super_glue", "wsc.fixed"), ("super_glue", "copa"), ("hellaswag", None), ("super_glue", "wic")]
    assert trained == names


@pytest.mark.parametrize(
    "model", ["google/t5-small-lm-adapt", "google/t5-v1_1-small", "google/mt5-small", "GOOGLE/T5-V1_1-XL"]
)
def test_models_of_plain_text_saw_no_task(model):
    assert {seen_by(model, *task).status for task in T0_HELD_OUT} == {"unseen"}
    assert seen_by(model, "glue", "sst2").sources


def test_the_first_t5_saw_glue_and_super_glue_but_not_anli():
    assert seen_by("google-t5/t5-small", "glue", "mnli").status == "seen"
    assert seen_by("t5-small", "super_glue", "rte").status == "seen"
    assert seen_by("google-t5/t5-small", "anli").status == "unseen"


def test_multilingual_t0_holds_out_inference_and_saw_word_sense():
    assert seen_by("bigscience/mt0-small", "super_glue", "rte").status == "unseen"
    assert seen_by("bigscience/mt0-small", "super_glue", "wic").status == "seen"


@pytest.mark.parametrize(
    ("dataset", "subset"),
    [
        ("rte", None),
        ("glue", "rte"),
        ("aps/super_glue", "rte"),
        ("facebook/anli", None),
        ("ai2_arc", "ARC-Challenge"),
        ("openai/gsm8k", "main"),
        ("flan_cot", "ecqa"),
        ("tau/commonsense_qa", None),
        ("tweet_eval", "irony"),
        ("conv_ai_2", None),
        ("squad_v2", None),
        ("paws-x", "ko"),
    ],
)
def test_a_dataset_is_known_by_its_other_names(dataset, subset):
    assert seen_by("google/flan-t5-small", dataset, subset).status == "seen"


@pytest.mark.parametrize(
    ("dataset", "subset"), [("super_glue", "axg"), ("klue", "nli"), ("banking77", None), ("world", "entail2")]
)
def test_a_dataset_that_no_list_names_is_unseen(dataset, subset):
    assert seen_by("google/flan-t5-small", dataset, subset).status == "unseen"


def test_a_folder_is_known_by_its_last_name():
    assert seen_by("/models/flan-t5-small/", "anli").word == "retention"
    assert seen_by("../flan-t5-small", "anli").word == "retention"


def test_of_an_unknown_model_nothing_is_claimed():
    found = seen_by("somebody/model", "anli")
    assert (found.status, found.word, found.sources) == ("unknown", "unproven", ())


def test_the_tiny_model_has_read_the_world_and_nothing_else():
    assert seen_by("tiny", "world", "entail2").status == "text"
    assert seen_by("tiny", "world", "entail2").word == "zero-shot"
    assert seen_by("tiny", "anli").status == "unseen"


def test_every_list_and_every_base_says_where_it_is_written():
    assert len(TRAINING) == 10
    for training in TRAINING.values():
        assert training.datasets
        assert training.source.startswith(("https://github.com/", "arXiv:"))
    assert len(BASES) == 10
    for base in BASES:
        assert base.source
        assert set(base.training) <= TRAINING.keys()


def test_every_other_name_stands_for_a_dataset_of_some_list():
    named = frozenset().union(*(training.datasets for training in TRAINING.values()))
    assert len(seen._ALIASES) > 40
    assert set(seen._ALIASES) <= named


def test_names_are_spelt_as_they_are_looked_up():
    for training in TRAINING.values():
        for name in training.datasets:
            assert name == name.lower().replace("-", "_")


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(seen).attempted == 2
    assert not doctest.testmod(seen).failed


@pytest.mark.parametrize(
    "model", ["alice/t5-v1_1-small-finetuned-mnli-rte", "carol/mt5-small-xnli", "bob/tiny", "./models/tiny"]
)
def test_a_model_that_is_only_named_after_a_base_is_never_called_zero_shot(model):
    assert seen_by(model, "super_glue", "rte").word != "zero-shot"
    assert seen_by("google/t5-v1_1-small", "super_glue", "rte").word == "zero-shot"
