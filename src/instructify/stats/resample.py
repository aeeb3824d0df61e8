"""The bootstrap over documents: a drawn document brings its rows under every template with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from instructify.keys import Key

F64 = npt.NDArray[np.float64]

ROUNDING = 1e-12
"""Differences smaller than this are none: sums of thousands of scores from 0 to 1 are off by less."""

CELLS = 1 << 18  # draws of a document that are held at once: about 10 MB


def settled(differences: npt.ArrayLike) -> F64:
    """Return differences of scores with 0 for what is mere rounding; NaN stays NaN."""
    return np.where(np.abs(differences) < ROUNDING, 0.0, differences)


def document_counts(key: Key, documents: int, draws: int) -> Iterator[F64]:
    """Yield how often each document is drawn, as arrays (some draws, documents), `draws` rows in all."""
    chunk = max(1, CELLS // documents)
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        cells = np.arange(start * documents, (start + size) * documents)
        drawn = key.belows(documents, cells) + np.repeat(np.arange(size) * documents, documents)
        counts = np.bincount(drawn, minlength=size * documents)
        yield counts.reshape(size, documents).astype(np.float64)


def resampled_means(panels: Sequence[F64], weights: F64, key: Key, draws: int) -> tuple[F64, ...]:
    """Return, for each panel (templates, documents), the weighted means of its templates in every draw.

    Each is of shape (draws, templates). `weights` is of a panel's shape; cells of weight 0 may be NaN. A
    template none of whose documents is drawn keeps the mean it has in the data.
    """
    values = np.vstack([np.nan_to_num(panel) * weights for panel in panels])
    out: Any = np.empty((draws, len(values)))
    done = 0
    for counts in document_counts(key, weights.shape[1], draws):
        drawn = np.tile(counts @ weights.T, len(panels))
        with np.errstate(invalid="ignore"):
            out[done : done + len(counts)] = (counts @ values.T) / drawn
        done += len(counts)
    observed = values.sum(axis=1) / np.tile(weights.sum(axis=1), len(panels))
    missing = np.isnan(out)
    out[missing] = np.broadcast_to(observed, out.shape)[missing]
    return tuple(np.split(out, len(panels), axis=1))


def resampled_templates(means: F64, key: Key) -> F64:
    """Return, for each draw in `means` (draws, templates), the mean over templates drawn with replacement."""
    draws, templates = means.shape
    drawn = key.belows(templates, np.arange(draws * templates)).reshape(draws, templates)
    found: F64 = np.take_along_axis(means, drawn, axis=1).mean(axis=1)
    return found
