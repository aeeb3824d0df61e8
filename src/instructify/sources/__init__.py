"""Sources: any table of rows becomes Parquet files that every process can read by row range."""

from __future__ import annotations

from instructify.sources.open import open_source
from instructify.sources.read import FieldPath, read_rows, source_schema
from instructify.sources.splits import parse_split
from instructify.sources.stamps import check_unchanged

__all__ = ["FieldPath", "check_unchanged", "open_source", "parse_split", "read_rows", "source_schema"]
