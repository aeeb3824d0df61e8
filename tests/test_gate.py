"""The gate drops what training shares with held-out rows, for one reason a row, whatever the workers."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from instructify.build import gate
from instructify.build.gate import GateTask, problems, run_gate
from instructify.errors import InstructifyError
from instructify.origins import FACTS, HUB_NAMES, Fact, Identity, relation
from instructify.recipe.leaks import LeakGate
from instructify.recipe.models import FilesSource
from instructify.runners import open_runner
from instructify.sources import open_source

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
HELD_OUT = [
    "The harbour master closed the gates before the storm arrived.",
    "Nobody in the village remembered who had built the old stone bridge.",
    "A heron stood for an hour in the shallow water and caught nothing.",
]
TRAIN = [
    "the harbour master closed the gates , before the storm arrived",
    "Nobody in the village remembered who had painted the old stone bridge.",
    "Seven lorries waited at the border all night.",
    "seven lorries waited at the  border all night.",
    "A choir sang in the square until the lamps were lit and everyone had gone home to supper at last.",
    "A choir sang in the square until the lamps were lit and everyone had gone home to supper at long last.",
    "Good.",
]


def task(folder, name, columns, split="train"):
    path = folder / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return opened(folder, name, split)


def opened(folder, name, split="train", columns=None):
    source = open_source(FilesSource(kind="files", path=f"{name}.parquet"), split, folder, folder / "work")
    return GateTask(name, source, tuple(columns or source.columns))


def run(folder, train, held_out, workers=1, **settings):
    with open_runner(workers) as runner:
        return run_gate(train, held_out, LeakGate(**settings), runner, folder)


def plain(result):
    dropped = {name: {why: rows.tolist() for why, rows in of.items()} for name, of in result.dropped.items()}
    return dropped, [dataclasses.asdict(count) for count in result.counts]


@pytest.fixture
def tasks(tmp_path):
    train = task(tmp_path, "train", {"text": TRAIN, "label": [0] * len(TRAIN)})
    return train, task(tmp_path, "held_out", {"sentence": HELD_OUT})


def test_every_row_that_goes_has_one_reason(tmp_path, tasks):
    train, held_out = tasks
    seen = []
    with open_runner(1) as runner:
        settings = LeakGate(duplicate="drop", near_duplicate="drop")
        result = run_gate([train], [held_out], settings, runner, tmp_path, seen.append)
    dropped, counts = plain(result)
    assert dropped == {"train": {"leak-row": [0], "leak-near": [1], "duplicate": [3], "near-duplicate": [5]}}
    assert [(c["level"], c["held_out"], c["rows"], c["held_out_rows"]) for c in counts] == [
        ("row", "held_out", 1, 1),
        ("near", "held_out", 1, 1),
    ]
    first, second = (c["examples"] for c in counts)
    assert first == ({"row": 0, "held_out_row": 0, "text": TRAIN[0], "held_out_text": HELD_OUT[0]},)
    assert second == ({"row": 1, "held_out_row": 1, "text": TRAIN[1], "held_out_text": HELD_OUT[1]},)
    assert sum(seen) == len(TRAIN) + len(HELD_OUT)


def test_a_level_that_is_off_is_not_looked_at(tmp_path, tasks):
    train, held_out = tasks
    assert plain(run(tmp_path, [train], [held_out], row="off", near="off")) == ({"train": {}}, [])
    near_only = run(tmp_path, [train], [held_out], row="off")
    assert plain(near_only)[0] == {"train": {"leak-near": [0, 1]}}
    row_only = run(tmp_path, [train], [held_out], near="off")
    assert plain(row_only)[0] == {"train": {"leak-row": [0]}}


def test_workers_and_block_sizes_change_nothing(tmp_path, tasks, monkeypatch):
    train, held_out = tasks
    more = task(tmp_path, "more", {"a": ["x"] * 21, "b": [[t, "y"] for t in HELD_OUT * 7]})
    expected = plain(run(tmp_path, [train, more], [held_out], duplicate="drop", near_duplicate="drop"))
    assert expected[0]["more"]["leak-row"] == list(range(21))
    parallel = run(tmp_path, [train, more], [held_out], workers=2, duplicate="drop", near_duplicate="drop")
    assert plain(parallel) == expected
    for rows in (1, 2, 5):
        monkeypatch.setattr(gate, "BLOCK_ROWS", rows)
        assert (
            plain(run(tmp_path, [train, more], [held_out], duplicate="drop", near_duplicate="drop"))
            == expected
        )


def test_another_training_task_changes_nothing_for_the_first(tmp_path, tasks):
    train, held_out = tasks
    alone = run(tmp_path, [train], [held_out], duplicate="drop", near_duplicate="drop")
    other = task(tmp_path, "other", {"t": [*TRAIN, *TRAIN]})
    beside = run(tmp_path, [other, train], [held_out], duplicate="drop", near_duplicate="drop")
    assert plain(beside)[0]["train"] == plain(alone)[0]["train"]


def test_more_rows_at_the_end_change_nothing_for_the_duplicates_before_them(tmp_path):
    rows = ["a b", "c d", "a  b", "e f", "c d"]
    train = task(tmp_path, "train", {"text": rows})
    for count in range(1, 6):
        some = opened(tmp_path, "train", f"train[:{count}]")
        dropped = plain(run(tmp_path, [some], [], duplicate="drop"))[0]["train"]
        assert dropped.get("duplicate", []) == [row for row in (2, 4) if row < count]
    assert plain(run(tmp_path, [train], [], duplicate="drop"))[0] == {"train": {"duplicate": [2, 4]}}


def test_row_numbers_are_those_of_the_whole_split(tmp_path, tasks):
    _, held_out = tasks
    train = opened(tmp_path, "train", "train[1:5]")
    dropped = plain(run(tmp_path, [train], [held_out], duplicate="drop"))[0]
    assert dropped == {"train": {"leak-near": [1], "duplicate": [3]}}
    some = opened(tmp_path, "held_out", "train[1:]")
    (count,) = run(tmp_path, [train], [some]).counts
    assert [(e.row, e.held_out_row) for e in count.examples] == [(1, 1)]


def test_a_row_that_leaks_is_no_earlier_copy(tmp_path):
    train = task(tmp_path, "train", {"text": [HELD_OUT[0], HELD_OUT[0]], "label": [0, 0]})
    held_out = task(tmp_path, "held_out", {"text": HELD_OUT})
    dropped = plain(run(tmp_path, [train], [held_out], duplicate="drop"))[0]
    assert dropped == {"train": {"leak-row": [0, 1]}}


def test_columns_that_no_template_reads_are_not_compared(tmp_path):
    train = task(tmp_path, "train", {"id": HELD_OUT, "text": ["one", "two", "three"]})
    held_out = task(tmp_path, "held_out", {"text": HELD_OUT})
    train = dataclasses.replace(train, columns=("text",))
    assert plain(run(tmp_path, [train], [held_out]))[0] == {"train": {}}


def test_a_failing_level_names_tasks_rows_and_text(tmp_path, tasks):
    train, held_out = tasks
    result = run(tmp_path, [train], [held_out])
    assert problems(result, [train], LeakGate()) == []
    (problem,) = problems(result, [train], LeakGate(row="fail"))
    what = "1 of 7 training rows stand in the held-out task held_out, as row 0 in row 0"
    assert str(problem) == f"train: {what}: {TRAIN[0]!r}; expected none, as leaks.row is fail"
    (problem,) = problems(result, [train], LeakGate(near="fail"))
    assert "near copies of rows of the held-out task held_out, as row 1 in row 1" in str(problem)
    both = problems(result, [train], LeakGate(max_dropped=0.1))
    assert len(both) == 2
    assert "at most 10% (leaks.max_dropped)" in str(both[0])


def test_a_source_that_has_changed_is_an_error(tmp_path, tasks):
    train, held_out = tasks
    pq.write_table(pa.table({"sentence": HELD_OUT[:1]}), tmp_path / "held_out.parquet")
    with pytest.raises(InstructifyError, match="changed"):
        run(tmp_path, [train], [held_out])
    assert [path for path in tmp_path.iterdir() if path.name.startswith("leaks-")] == []


def real(name, columns=None):
    return dataclasses.replace(opened(SHARED, name, name.rpartition("/")[2], columns), name=name)


shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real datasets are not beside the checkout")


def texts(name, column):
    return pq.read_table(SHARED / f"{name}.parquet")[column].to_pylist()


@pytest.mark.shared
@shared
@pytest.mark.parametrize(
    ("train", "held_out", "counted", "row", "near"),
    [
        (("rotten_tomatoes/train", "text"), ("glue/sst2/validation", "sentence"), 195, 421, 11),
        (("glue/sst2/train", "sentence"), ("rotten_tomatoes/validation", "text"), 42, 95, 60),
    ],
)
def test_the_sentences_of_one_corpus_are_found_in_the_other(tmp_path, train, held_out, counted, row, near):
    # as the notes beside the data count them: punctuation as it is, and over 40 characters
    ours, theirs = ([" ".join(text.lower().split()) for text in texts(*one)] for one in (train, held_out))
    known = [text for text in theirs if text in set(ours) and len(text) > 40]
    assert len(known) == counted
    result = run(tmp_path, [real(train[0])], [real(held_out[0])])
    assert {count.level: count.held_out_rows for count in result.counts} == {"row": row, "near": near}
    dropped = np.concatenate(list(result.dropped[train[0]].values()))
    assert not set(known) & {ours[row] for row in np.setdiff1d(np.arange(len(ours)), dropped).tolist()}


@pytest.mark.shared
@shared
@pytest.mark.parametrize(
    ("train", "held_out", "found"),
    [
        ("flan_cot/gsm8k/train", "gsm8k/main/train", 5000),
        ("flan_cot/ecqa/train", "commonsense_qa/train", 4847),
        ("commonsense_qa/train", "flan_cot/ecqa/train", 4847),
    ],
)
def test_one_dataset_under_two_names_is_found_and_fails(tmp_path, train, held_out, found):
    one, other = real(train), real(held_out)
    result = run(tmp_path, [one], [other])
    assert len(result.dropped[train]["leak-row"]) == found  # questions of under 25 letters are not compared
    (problem,) = problems(result, [one], LeakGate())
    assert "are the two of one origin?" in str(problem)


@pytest.mark.shared
@shared
@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("ag_news/train", "race/all/validation"),
        ("race/all/train", "ag_news/test"),
        ("klue/nli/train", "nsmc/test"),
        ("nsmc/train", "klue/nli/validation"),
        ("gsm8k/main/train", "hellaswag/validation"),
    ],
)
def test_datasets_that_have_nothing_in_common_lose_nothing(tmp_path, train, held_out):
    result = run(tmp_path, [real(train)], [real(held_out)])
    assert plain(result) == ({train: {}}, [])


@pytest.mark.shared
@shared
def test_planted_near_copies_are_found(tmp_path):
    held_out = [text for text in texts("ag_news/test", "text") if len(text.split()) >= 12]
    spoilt = {
        "case": [text.swapcase() for text in held_out],
        "punctuation": [" ".join(f"{word} ;" for word in text.split()) for text in held_out],
        "word": [" ".join([*(w := text.split())[:6], "zyzzyva", *w[7:]]) for text in held_out],
    }
    held = task(tmp_path, "held_out", {"text": held_out})
    for name, copies in spoilt.items():
        train = task(tmp_path, name, {"text": copies})
        dropped = run(tmp_path, [train], [held]).dropped[name]
        found = sum(len(rows) for reason, rows in dropped.items() if reason.startswith("leak"))
        assert found >= 0.99 * len(held_out), name
    assert len(held_out) > 900


def test_a_fact_relates_the_datasets_that_it_names_and_their_subsets():
    assert len(FACTS) > 20
    for fact in FACTS:
        assert fact.why and fact.source
        for one in fact.names:
            for other in fact.names:
                found = relation(Identity(one), Identity(f"{other}/subset"))
                assert found is not None
                assert found.kind in ("alias", fact.kind)
    assert relation(Identity("glue/sst2"), Identity("glue/cola")) is None
    assert relation(Identity("gsm8k"), Identity("gsm8k_hard")) is None


def test_a_name_on_the_hub_is_the_dataset_it_names():
    assert relation(Identity("nyu-mll/glue/sst2"), Identity("glue/sst2")).kind == "alias"
    assert relation(Identity("Rowan/hellaswag"), Identity("hellaswag")).why == "the same dataset"
    assert relation(Identity("stanfordnlp/sst2"), Identity("rotten_tomatoes")).kind == "origin"
    for hub, ours in HUB_NAMES.items():
        assert hub == hub.lower()
        assert relation(Identity(hub), Identity(ours)).kind == "alias"


def test_known_relations_fail_or_leave_the_task_out_as_the_settings_say():
    train = {name: Identity(name) for name in ("gsm8k/main", "rotten_tomatoes", "ag_news")}
    held_out = {"sums": Identity("flan_cot/gsm8k"), "glue/sst2": Identity("glue/sst2")}
    left_out, failures = gate.related(train, held_out, LeakGate(alias="drop"))
    assert list(left_out) == ["gsm8k/main"]
    assert left_out["gsm8k/main"].startswith("sums is held out: the same problems")
    (problem,) = failures
    assert str(problem).startswith("rotten_tomatoes: trained on while glue/sst2 is held out: the treebank")
    assert str(problem).endswith("expected both held out, or leaks.origin: drop or off")
    assert gate.related(train, held_out, LeakGate(alias="off", origin="off")) == ({}, [])
    assert gate.related({"ag_news": Identity("ag_news")}, held_out, LeakGate()) == ({}, [])


def test_what_is_declared_relates_datasets_without_the_table():
    mine = Identity("mine", aliases=("theirs",), origin=("news_corpus",))
    assert relation(mine, Identity("theirs/small"), ()).kind == "alias"
    assert relation(Identity("other", origin=("news_corpus",)), mine, ()).kind == "origin"
    assert relation(Identity("news_corpus"), mine, ()).kind == "origin"
    assert relation(Identity("other"), mine, ()) is None
    facts = (Fact(("other", "theirs"), "origin", "because", "here"),)
    assert relation(Identity("other"), mine, facts).why == "because (here)"
