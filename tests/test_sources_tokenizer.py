"""A tokenizer is found by name, file, folder or on the hub, and what is not there is told at once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from instructify.errors import InstructifyError
from instructify.seq2seq import TINY_FOLDER
from instructify.sources.tokenizer import find_tokenizer


def complaint(name: str, base: Path) -> str:
    with pytest.raises(InstructifyError) as caught:
        find_tokenizer(name, base)
    (problem,) = caught.value.problems
    return str(problem)


def test_tiny_a_file_and_a_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text("{}", "utf-8")
    found = tmp_path / "model" / "tokenizer.json", hashlib.sha256(b"{}").hexdigest()
    for name in ("model", "./model", "model/tokenizer.json", str(tmp_path / "model")):
        assert find_tokenizer(name, tmp_path) == found
    assert find_tokenizer("tiny", tmp_path)[0] == TINY_FOLDER / "tokenizer.json"


@pytest.mark.parametrize(
    "name", ["modle", "a/b/c", "./a/b", "/a/b", "~/a", "a/tokenizer.json", "t5-base", "a b/c"]
)
def test_what_is_neither_there_nor_named_as_on_the_hub_is_not_asked_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr("instructify.sources.tokenizer._of_hub", lambda *_: pytest.fail("the hub was asked"))
    said = complaint(name, tmp_path)
    assert said.startswith("tokens.tokenizer: there is no file ")
    assert "expected tiny, a tokenizer.json, a folder that holds one, or owner/name of a model" in said
    assert said.endswith("did you mean 'model'?") == (name == "modle")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A hub whose answer is `error`, or else yes; it counts what it is asked, and `cached` is a file."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    state: dict[str, Any] = {"error": None, "asked": 0, "downloads": 0, "cached": None}

    def model_info(self: Any, name: str, **options: Any) -> None:
        state["asked"] += 1
        if state["error"] is not None:
            raise state["error"]

    def download(name: str, file: str, local_files_only: bool = False) -> str:
        state["downloads"] += not local_files_only
        if state["cached"] is None:
            raise LocalEntryNotFoundError("not cached")
        return str(state["cached"])

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return state


def test_without_a_connection_the_hub_is_asked_once_and_then_its_cache(hub: Any, tmp_path: Path) -> None:
    hub["error"] = ConnectionError("no route")
    said = complaint("owner/model", tmp_path)
    assert "'owner/model' is no file or folder, and the hub cannot be reached" in said
    hub["cached"] = tmp_path / "cached.json"
    hub["cached"].write_text("{}", "utf-8")
    assert find_tokenizer("owner/model", tmp_path)[0] == hub["cached"]
    assert (hub["asked"], hub["downloads"]) == (2, 0)


def test_with_a_connection_the_file_is_downloaded_or_the_reason_told(hub: Any, tmp_path: Path) -> None:
    assert "the hub did not give its tokenizer.json: not cached" in complaint("owner/model", tmp_path)
    hub["cached"] = tmp_path / "cached.json"
    hub["cached"].write_text("{}", "utf-8")
    assert find_tokenizer("owner/model", tmp_path)[0] == hub["cached"]
    assert hub["downloads"] == 2


def test_a_model_that_the_hub_does_not_know_is_told(hub: Any, tmp_path: Path) -> None:
    from huggingface_hub.errors import HFValidationError

    hub["error"] = HFValidationError("bad name")
    assert "and the hub has no such model" in complaint("owner/model", tmp_path)
    assert hub["downloads"] == 0
