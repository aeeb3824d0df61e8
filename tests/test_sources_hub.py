from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from huggingface_hub import constants

from instructify.errors import InstructifyError
from instructify.recipe.models import DiskSource, HubSource, WorldSource
from instructify.sources import hub, open_source, source_schema
from instructify.types import OpenSource
from sources_kit import everything, put

FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
)


def reviews(count: int = 5) -> datasets.Dataset:
    table = {"text": [f"t{n}" for n in range(count)], "label": [n % 2 for n in range(count)]}
    return datasets.Dataset.from_dict(table, features=FEATURES)


class FakeHub:
    """Stands for the network: what load_dataset and the commit look-up would answer."""

    def __init__(self, answer: Any, commit: str | Exception = "c0ffee") -> None:
        self.answer, self.commit, self.asked = answer, commit, []  # type: ignore[var-annotated]
        self.commits: list[str] = []
        self.offline: list[bool] = []

    def fetch(self, path: str, config: str | None, split: str, revision: str | None) -> Any:
        self.asked.append((path, config, split, revision))
        self.offline.append(datasets.config.HF_HUB_OFFLINE and constants.HF_HUB_OFFLINE)
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 8s")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def fetch_commit(self, path: str, revision: str | None) -> str:
        self.commits.append(path)
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 8s")
        if isinstance(self.commit, Exception):
            raise self.commit
        return self.commit


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    made = FakeHub(reviews())
    monkeypatch.setattr(hub, "UNREACHABLE", threading.Event())
    monkeypatch.setattr(hub, "fetch", made.fetch)
    monkeypatch.setattr(hub, "fetch_commit", made.fetch_commit)
    return made


def opened(base: Path, split: str = "train", **options: Any) -> OpenSource:
    spec = HubSource(kind="hub", **{"path": "imdb", **options})
    return open_source(spec, split, base, base / "work")


def test_a_hub_dataset_is_loaded_at_its_resolved_commit(tmp_path: Path, fake: FakeHub) -> None:
    source = opened(tmp_path, "train[1:3]", config="plain", revision="main")
    assert fake.asked == [("imdb", "plain", "train", "c0ffee")]
    assert source.revision == "c0ffee"
    assert source.notes == ()
    assert source.labels == {"label": ("neg", "pos")}
    assert everything(source) == [{"text": "t1", "label": 1}, {"text": "t2", "label": 0}]


def test_an_unreachable_hub_leaves_no_commit_but_a_note(tmp_path: Path, fake: FakeHub) -> None:
    fake.commit = ConnectionError("no route")
    source = opened(tmp_path, revision="main")
    assert fake.asked == [("imdb", None, "train", "main")]
    assert source.revision is None
    (note,) = source.notes
    assert note.startswith("The commit of imdb could not be resolved (the hub cannot be reached): its rows")


@pytest.mark.parametrize("kind", ["ConnectionError", "TimeoutError", "OfflineModeIsEnabled"])
def test_after_one_failed_connection_only_the_cache_is_asked(
    tmp_path: Path,
    fake: FakeHub,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = {"ConnectionError": ConnectionError, "TimeoutError": TimeoutError}
    fake.commit = kinds[kind]() if kind in kinds else type(kind, (Exception,), {})()
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    notes = [opened(tmp_path, path=path).notes for path in ("imdb", "a/b", "c")]
    assert fake.commits == ["imdb"]
    assert fake.offline == [True, True, True]
    assert not datasets.config.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    assert [len(found) for found in notes] == [1, 1, 1]


def test_the_hubs_own_log_lines_are_silent_and_its_level_put_back(tmp_path: Path, fake: FakeHub) -> None:
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    logger = logging.getLogger("huggingface_hub")
    logger.addHandler(handler)
    try:
        opened(tmp_path)
        assert lines == []
        fake.fetch_commit("imdb", None)
        assert [line.getMessage() for line in lines] == ["Retrying in 8s"]
    finally:
        logger.removeHandler(handler)


def test_a_connection_lost_while_loading_is_remembered_too(tmp_path: Path, fake: FakeHub) -> None:
    fake.answer = ConnectionError("cut off")
    for _ in range(2):
        with pytest.raises(InstructifyError, match="the hub cannot be reached"):
            opened(tmp_path)
    assert fake.offline == [False, True]
    fake.answer = ValueError("Couldn't find cache for imdb for config 'x'")
    with pytest.raises(InstructifyError, match="the hub cannot be reached"):
        opened(tmp_path)


def test_a_dataset_that_is_not_there_does_not_stop_the_asking(tmp_path: Path, fake: FakeHub) -> None:
    fake.commit = KeyError("no such thing")
    notes = [opened(tmp_path, path=path).notes for path in ("imdb", "a/b")]
    assert fake.commits == ["imdb", "a/b"]
    assert fake.offline == [False, False]
    assert notes[0] == ("The commit of imdb could not be resolved (KeyError): none is recorded.",)


def test_columns_are_renamed_cast_and_labelled(tmp_path: Path, fake: FakeHub) -> None:
    source = opened(tmp_path, rename={"label": "y"}, cast={"y": "string"})
    assert source_schema(source) == pa.schema({"text": pa.string(), "y": pa.string()})
    assert source.labels == {}
    assert everything(source)[1] == {"text": "t1", "y": "1"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ValueError("Unknown split \"train\". Should be one of ['trainer', 'test']."),
            "imdb/plain: there is no split 'train'; expected one of trainer, test; did you mean 'trainer'?",
        ),
        (
            ValueError("BuilderConfig 'plain' not found. Available: ['plain_text', 'other']"),
            "no configuration 'plain'; expected one of plain_text, other; did you mean 'plain_text'?",
        ),
        (
            ValueError(
                "Config name is missing.\nPlease pick one among the available configs: ['a', 'b']\nExample"
            ),
            "the dataset has several configurations; expected config: one of a, b",
        ),
        (
            RuntimeError("Dataset scripts are no longer supported, but found imdb.py"),
            "the dataset is a script, which is not run; expected a dataset of plain files; revision: refs/",
        ),
        (ConnectionError("no route to host"), "the hub cannot be reached"),
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'imdb' doesn't exist on the Hub"),
            "there is no such dataset on the hub",
        ),
        (KeyError("surprise\nwith lines"), "imdb/plain: cannot be loaded: KeyError"),
    ],
)
def test_a_hub_error_becomes_one_line(tmp_path: Path, fake: FakeHub, error: Exception, expected: str) -> None:
    fake.answer = error
    with pytest.raises(InstructifyError) as caught:
        opened(tmp_path, config="plain")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cause_of_an_error_is_looked_at_too(tmp_path: Path, fake: FakeHub) -> None:
    fake.answer = RuntimeError("could not load")
    fake.answer.__cause__ = ConnectionError("offline")
    with pytest.raises(InstructifyError, match="cannot be reached"):
        opened(tmp_path)


def test_a_folder_in_the_working_directory_never_stands_in_for_a_hub_dataset(
    tmp_path: Path, fake: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imdb").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InstructifyError, match="hides the hub dataset"):
        opened(tmp_path)
    assert fake.asked == []


def test_a_local_folder_is_loaded_without_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "fetch_commit", None)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    reviews().to_parquet(tmp_path / "data/train.parquet")
    source = opened(tmp_path, path="./data")
    assert len(everything(source)) == 5
    assert source.labels == {"label": ("neg", "pos")}
    assert (source.revision, source.notes) == (None, ())
    with pytest.raises(
        InstructifyError, match="there is no split 'trian'; expected one of train; did you mean"
    ):
        opened(tmp_path, "trian", path="./data")


def test_the_fingerprint_is_of_values_not_of_chunks_or_the_library(tmp_path: Path, fake: FakeHub) -> None:
    whole = opened(tmp_path)
    fake.answer = datasets.concatenate_datasets([reviews().select([0, 1]), reviews().select([2, 3, 4])])
    assert opened(tmp_path / "other").fingerprint == whole.fingerprint
    fake.answer = reviews().select([1, 0, 2, 3, 4])
    assert opened(tmp_path).fingerprint != whole.fingerprint
    fake.answer = reviews().cast_column("label", datasets.ClassLabel(names=["bad", "good"]))
    assert opened(tmp_path).fingerprint != whole.fingerprint
    assert opened(tmp_path, rename={"text": "t"}).fingerprint != whole.fingerprint


def test_progress_bars_are_silent_and_put_back(
    tmp_path: Path, fake: FakeHub, capfd: pytest.CaptureFixture[str]
) -> None:
    before = datasets.is_progress_bar_enabled()
    opened(tmp_path)
    assert datasets.is_progress_bar_enabled() == before
    assert capfd.readouterr() == ("", "")


def test_saved_folders_are_opened_with_or_without_splits(tmp_path: Path) -> None:
    reviews().save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": reviews(3), "test": reviews(2)}).save_to_disk(tmp_path / "many")
    one = open_source(DiskSource(kind="disk", path="one"), "train", tmp_path, tmp_path / "work")
    many = open_source(DiskSource(kind="disk", path="many"), "test", tmp_path, tmp_path / "work")
    assert (one.rows, many.rows) == (5, 2)
    assert one.labels == many.labels == {"label": ("neg", "pos")}
    with pytest.raises(
        InstructifyError, match="no split 'tests'; expected one of train, test; did you mean 'test'"
    ):
        open_source(DiskSource(kind="disk", path="many"), "tests", tmp_path, tmp_path / "work")
    with pytest.raises(InstructifyError, match="no split 'test'; expected one of train"):
        open_source(DiskSource(kind="disk", path="one"), "test", tmp_path, tmp_path / "work")


def test_a_folder_that_was_not_saved_to_disk_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "d/a.txt", "x")
    for path, expected in (
        ("d", "expected a folder written by save_to_disk"),
        ("e", "there is no such folder"),
    ):
        with pytest.raises(InstructifyError, match=expected):
            open_source(DiskSource(kind="disk", path=path), "train", tmp_path, tmp_path / "work")


def test_undecoded_media_are_kept_as_they_are(tmp_path: Path, fake: FakeHub) -> None:
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"image": pa.array([{"bytes": b"no picture"}], kind), "text": ["x"]})
    fake.answer = datasets.Dataset(table, info=datasets.DatasetInfo(features=features))
    assert everything(opened(tmp_path)) == [{"image": {"bytes": b"no picture", "path": None}, "text": "x"}]


def test_the_offline_world_is_a_source_with_labels(tmp_path: Path) -> None:
    from instructify.world import build_table

    spec = WorldSource(kind="world", name="reviews", rows=50)
    source = open_source(spec, "train", tmp_path, tmp_path / "work")
    table = build_table("reviews", "train", 50)
    assert everything(source) == table.to_pylist()
    assert source.labels
    again = open_source(spec, "train", tmp_path, tmp_path / "elsewhere")
    assert again.fingerprint == source.fingerprint
