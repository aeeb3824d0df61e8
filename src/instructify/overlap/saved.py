"""Arrays in a folder, mapped into memory when they are loaded, so that processes share them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]


def save(folder: Path, about: Mapping[str, Any], arrays: Arrays) -> None:
    """Write named arrays, and facts about them as JSON, to a new folder; raises OSError."""
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(SimpleNamespace(write=file.write), array)  # given a real file, NumPy hides why it fails


def load(folder: Path) -> tuple[dict[str, Any], Arrays]:
    """Return what was saved; the arrays cannot be written to."""
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return about, {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
