"""Fixtures for every test: nothing reaches the network, nothing is kept outside the test's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import build_kit


@pytest.fixture(scope="session")
def small_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build of a few thousand examples in every format; tests read it and leave it as it is."""
    folder = tmp_path_factory.mktemp("small")
    recipe = build_kit.recipe(
        folder,
        [
            build_kit.world("reviews"),
            build_kit.world("ko_reviews"),
            build_kit.world("facts"),
            build_kit.world("entail3"),
        ],
        name="small",
        seed=5,
        held_out=["nli"],
        mixture={"cap_per_dataset": 700, "eval_cap_per_template": 30},
        output={"dir": "out", "formats": ["parquet", "jsonl", "chat"], "shard_examples": 600},
    )
    build_kit.succeed("build", recipe, "-j", "1", "--quiet")
    return folder / "out"
