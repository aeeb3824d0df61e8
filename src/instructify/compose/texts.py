"""Examples in columns, as the composition passes them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instructify.compose.marks import FIT_CLOSE, FIT_OPEN
from instructify.keys import I64

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Texts:
    """Rendered rows in columns of one length.

    `rows` are row numbers in the whole split. `choices` are lists of texts; it, `labels` (index into the
    choices) and `rationales` are None where the template has none.
    """

    rows: I64
    inputs: pa.Array
    targets: pa.Array
    choices: pa.Array | None = None
    labels: pa.Array | None = None
    rationales: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: I64) -> Texts:
        """Return the examples at these indices."""
        import pyarrow as pa

        places = pa.array(indices)

        def taken(column: pa.Array | None) -> pa.Array | None:
            return None if column is None else column.take(places)

        return Texts(
            self.rows[indices],
            self.inputs.take(places),
            self.targets.take(places),
            taken(self.choices),
            taken(self.labels),
            taken(self.rationales),
        )


def glued(*pieces: pa.Array | str) -> pa.Array:
    """Return texts joined piece by piece; at least one piece is a column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = [pa.scalar(piece, pa.large_string()) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(*given, pa.scalar("", pa.large_string()))


def normalised(texts: pa.Array) -> pa.Array:
    """Return texts without case, punctuation and spacing: what is left is the same for copies of a text."""
    import pyarrow.compute as pc

    lowered = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    return pc.replace_substring_regex(lowered, r"[\s\p{Z}\p{P}]+", "")


def unmarked(inputs: pa.Array) -> pa.Array:
    """Return prompts without the marks of the filter `fit`."""
    import pyarrow.compute as pc

    for mark in (FIT_OPEN, FIT_CLOSE):
        inputs = pc.replace_substring(inputs, mark, "")
    return inputs


def lists_of(lengths: I64, values: pa.Array) -> pa.Array:
    """Return a column of lists of these lengths, made of consecutive values."""
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), values)
