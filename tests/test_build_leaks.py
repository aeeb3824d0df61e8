"""What stands in a held-out task does not reach training, and tokens that nobody knows are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from build_kit import examples, fail, ledgers, manifest, recipe, rows_file, succeed, template

WORDS = "amber birch cedar delta ember fjord grove heath islet jetty knoll lagoon meadow notch".split()


def _sentence(number: int) -> str:
    """Return a sentence of sixteen words that no other number has four words in a row of."""
    return " ".join(f"{WORDS[(number + place) % len(WORDS)]}{number}x{place}" for place in range(16))


def _task(folder: Path, name: str, cluster: str, texts: Sequence[str], **fields: Any) -> dict[str, Any]:
    """Write rows and a template of one task, and return its entry."""
    template(folder / "templates" / name, "say", "{{ text }}\nSay it in a word.\n|||\n{{ word }}")
    rows = [{"text": text, "word": f"w{number}"} for number, text in enumerate(texts)]
    for split in ("train", "validation"):
        rows_file(folder / f"{name}-{split}.jsonl", rows)
    source = {"kind": "files", "path": f"{name}-{{split}}.jsonl"}
    return {"dataset": name, "cluster": cluster, "licence": "CC0-1.0", "source": source, **fields}


def _build(folder: Path, tasks: list[dict[str, Any]], **fields: Any) -> Path:
    path = recipe(folder, tasks, template_sources=["templates"], held_out=["held"], **fields)
    succeed("build", path, "--quiet")
    return folder / "out"


def test_copies_near_copies_and_shared_wording_are_dropped_and_counted(tmp_path: Path) -> None:
    held = [_sentence(number) for number in range(12)]
    changed = held[1].replace(held[1].split()[5], "otherword")
    quoted = (
        "A long introduction of our own stands here, "
        + " ".join(held[2].split()[1:15])
        + ", and so on and on"
    )
    own = [_sentence(number) for number in range(100, 160)]
    train = [*own, held[0].upper() + "!", changed, quoted]
    out = _build(
        tmp_path, [_task(tmp_path, "ours", "trained", train), _task(tmp_path, "theirs", "held", held)]
    )
    ledger = ledgers(out)["ours", "say"]
    assert ledger["in"] == 63
    assert ledger["kept"] == 60
    assert ledger["dropped"]["leak-row"] == 1
    assert sum(ledger["dropped"].values()) == 3
    assert {row["row"] for row in examples(out, "train").values()} == set(range(60))
    found = {(leak["level"], leak["task"], leak["held_out"]) for leak in manifest(out)["leaks"]}
    assert ("row", "ours", "theirs") in found
    assert "Training rows that stand in held-out tasks" in (out / "README.md").read_text("utf-8")


def test_an_exemplar_is_never_a_row_that_leaks(tmp_path: Path) -> None:
    held = [_sentence(number) for number in range(12)]
    train = [*held[:6], *(_sentence(number) for number in range(100, 112))]
    tasks = [_task(tmp_path, "ours", "trained", train), _task(tmp_path, "theirs", "held", held)]
    out = _build(tmp_path, tasks, variants=[{"name": "few", "shots": 3}])
    few = examples(out, "train").values()
    assert len(few) == 12
    assert all(len(row["exemplars"]) == 3 for row in few)
    assert {row for one in few for row in one["exemplars"]} <= set(range(6, 18))


@pytest.mark.parametrize("action", ["drop", "off"])
def test_a_dataset_known_to_be_of_one_origin_is_left_out_or_let_be(tmp_path: Path, action: str) -> None:
    out = _build(tmp_path, _related(tmp_path), leaks={"origin": action}, mixture={"size": 16})
    kept = {task: ledger["kept"] for (task, _), ledger in ledgers(out).items()}
    if action == "off":
        assert kept == {"glue/sst2": 20, "other": 8, "rotten_tomatoes": 8}
        return
    assert kept == {"glue/sst2": 20, "other": 16}, "its share goes to the others"
    assert any("rotten_tomatoes is left out of training" in note for note in manifest(out)["notes"])


def test_shared_wording_fails_a_build_where_the_recipe_says_so(tmp_path: Path) -> None:
    held = [_sentence(number) for number in range(12)]
    quoted = "A long introduction of our own, " + " ".join(held[2].split()[1:15]) + ", and so on"
    train = [*(_sentence(number) for number in range(100, 120)), quoted]
    tasks = [_task(tmp_path, "ours", "trained", train), _task(tmp_path, "theirs", "held", held)]
    fields: dict[str, Any] = {"template_sources": ["templates"], "held_out": ["held"]}
    leaks = {"row": "off", "near": "off"}
    (complaint,) = fail("build", recipe(tmp_path, tasks, "f", leaks={**leaks, "ngram": "fail"}, **fields))
    assert complaint.startswith(
        "ours: 1 of 21 examples share 13 words in a row with the held-out task theirs"
    )
    (complaint,) = fail("build", recipe(tmp_path, tasks, "m", leaks={**leaks, "max_dropped": 0.01}, **fields))
    assert "leaks.max_dropped" in complaint
    succeed("build", recipe(tmp_path, tasks, leaks=leaks, **fields), "--quiet")
    (count,) = manifest(tmp_path / "out")["leaked_examples"]
    assert count == {"train": "ours", "held_out": "theirs", "examples": 1}


def test_shared_wording_is_counted_as_the_ledger_counts_it(tmp_path: Path) -> None:
    held = [_sentence(number) for number in range(12)]
    train = [_sentence(number) for number in range(200)]
    train[20:] = [f"{held[n % 12]} {text}" if n % 3 else text for n, text in enumerate(train[20:])]
    tasks = [_task(tmp_path, "ours", "trained", train), _task(tmp_path, "theirs", "held", held)]
    leaks = {"row": "off", "near": "off", "max_dropped": 1.0}
    mixture = {"cap_per_template": 15}  # further rows take the place of those that fall, and more than needed
    out = _build(tmp_path, tasks, leaks=leaks, mixture=mixture)
    ledger = ledgers(out)["ours", "say"]
    assert ledger["kept"] == 15
    assert 0 < ledger["in"] < 79, "not all that were rendered"
    (count,) = manifest(out)["leaked_examples"]
    assert count["examples"] == ledger["dropped"]["leak-ngram"]


def test_a_dataset_known_to_be_of_one_origin_fails_the_build_by_default(tmp_path: Path) -> None:
    path = recipe(tmp_path, _related(tmp_path), template_sources=["templates"], held_out=["held"])
    (complaint,) = fail("build", path)
    line = path.read_text("utf-8").split("\n").index("- dataset: rotten_tomatoes") + 1
    assert complaint.startswith(
        f"mixture.yaml:{line}: rotten_tomatoes is trained on while glue/sst2 is held out: the treebank"
    )
    assert "leaks.origin: drop or off" in complaint


def test_a_build_whose_training_tasks_are_all_left_out_says_why(tmp_path: Path) -> None:
    tasks = [task for task in _related(tmp_path) if task["dataset"] != "other"]
    path = recipe(
        tmp_path, tasks, template_sources=["templates"], held_out=["held"], leaks={"origin": "drop"}
    )
    (complaint,) = fail("build", path)
    line = path.read_text("utf-8").split("\n").index("tasks:") + 1
    assert complaint.startswith(
        f"mixture.yaml:{line}: every training task is left out: "
        "rotten_tomatoes, because glue/sst2 is held out: the treebank"
    )


def _related(folder: Path) -> list[dict[str, Any]]:
    return [
        _task(folder, "rotten_tomatoes", "sentiment", [_sentence(number) for number in range(20)]),
        _task(folder, "other", "sentiment", [_sentence(number) for number in range(200, 220)]),
        _task(folder, "glue/sst2", "held", [_sentence(number) for number in range(100, 120)])
        | {
            "dataset": "glue",
            "subset": "sst2",
            "source": {"kind": "files", "path": "glue/sst2-{split}.jsonl"},
        },
    ]


def test_what_task_yaml_declares_counts_like_what_is_known(tmp_path: Path) -> None:
    tasks = [
        _task(tmp_path, "ours", "trained", [_sentence(number) for number in range(20)]),
        _task(tmp_path, "theirs", "held", [_sentence(number) for number in range(100, 120)]),
    ]
    facts = "dataset: ours\norigin: [diaries]\n"
    (tmp_path / "templates" / "ours" / "task.yaml").write_text(facts, "utf-8")
    (tmp_path / "templates" / "theirs" / "task.yaml").write_text(facts.replace("ours", "theirs"), "utf-8")
    path = recipe(tmp_path, tasks, template_sources=["templates"], held_out=["held"])
    (complaint,) = fail("build", path)
    assert "diaries" in complaint


def test_the_templates_of_a_held_out_task_share_their_rows(tmp_path: Path) -> None:
    tasks = [
        _task(tmp_path, "ours", "trained", [_sentence(number) for number in range(20)]),
        _task(tmp_path, "theirs", "held", [_sentence(number) for number in range(100, 160)]),
    ]
    template(tmp_path / "templates" / "theirs", "other", "{{ text }} In a word?\n|||\n{{ word }}")
    out = _build(tmp_path, tasks, mixture={"eval_cap_per_template": 7})
    rows: dict[str, set[int]] = {"say": set(), "other": set()}
    for example in examples(out, "eval").values():
        rows[example["template"]].add(example["row"])
    assert rows["say"] == rows["other"]
    assert len(rows["say"]) == 7


def _tokenizer(folder: Path, known: Sequence[str]) -> Path:
    words = {"<unk>": 0, **{word: number for number, word in enumerate(known, 1)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_task_with_too_many_unknown_tokens_is_refused_and_named(tmp_path: Path) -> None:
    task = _task(tmp_path, "ours", "trained", ["hello world"] * 20)
    path = recipe(
        tmp_path,
        [task],
        template_sources=["templates"],
        tokens={"tokenizer": str(_tokenizer(tmp_path, ["hello", "world"])), "max_unknown": 0.1},
    )
    (complaint,) = fail("build", path)
    assert complaint.startswith("ours")
    assert "unknown" in complaint
    assert not (tmp_path / "out").exists()


def test_token_statistics_stand_in_manifest_and_card(tmp_path: Path) -> None:
    task = _task(tmp_path, "ours", "trained", [f"hello world {number}" for number in range(20)])
    words = "hello world Say it in a word . w".split()
    path = recipe(
        tmp_path,
        [task],
        template_sources=["templates"],
        tokens={"tokenizer": str(_tokenizer(tmp_path, words))},
    )
    succeed("build", path, "--quiet")
    (tokens,) = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["tokens"]
    assert tokens["task"] == "ours"
    assert tokens["inputs"] == {"mean": 9.0, "median": 9, "p95": 9, "most": 9}
    assert tokens["targets"]["most"] == 1
    assert tokens["unknown"] == pytest.approx(2 / 10)
    assert "## Tokens" in (tmp_path / "out" / "README.md").read_text("utf-8")
