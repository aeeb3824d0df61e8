from __future__ import annotations

import json
from pathlib import Path

import pytest

from instructify.recipe.models import FilesSource
from instructify.sources import open_source, read_rows, source_schema

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="the real datasets do not lie beside the checkout")
def test_every_real_configuration_opens_with_the_rows_of_its_manifest(tmp_path: Path) -> None:
    manifest = json.loads((DATA / "manifest.json").read_text())["datasets"]
    marks = set()
    labelled = 0
    for entry in manifest:
        for split, facts in entry["splits"].items():
            spec = FilesSource(kind="files", path=f"{entry['name']}/{{split}}.parquet")
            source = open_source(spec, split, DATA, tmp_path / "work")
            assert source.rows == facts["rows"], facts["file"]
            assert set(source.columns) == set(entry["features"]), facts["file"]
            features = {name: f for name, f in entry["features"].items() if isinstance(f, dict)}
            named = {name: f["names"] for name, f in features.items() if f.get("_type") == "ClassLabel"}
            assert {name: list(names) for name, names in source.labels.items()} == named
            labelled += bool(named)
            middle = source.rows // 2
            table = read_rows(source, middle, middle + 1, source.columns)
            assert table.num_rows == 1
            assert table.schema == source_schema(source)
            marks.add(source.fingerprint)
    splits = sum(len(entry["splits"]) for entry in manifest)
    assert (len(manifest), splits) == (60, len(marks))
    assert splits > 100
    assert labelled > 30
    assert not (tmp_path / "work").exists()
