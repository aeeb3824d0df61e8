"""Show a few short training examples of a published build, each from another task cluster."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

LONGEST = 300


def main() -> int:
    """Print the examples as prompt and target."""
    parser = argparse.ArgumentParser(description="Show a few short training examples of a build.")
    parser.add_argument("build", type=Path, help="a published build with Parquet files")
    parser.add_argument("-n", type=int, default=3, help="how many examples (default 3)")
    arguments = parser.parse_args()
    for example in chosen(arguments.build, arguments.n):
        print(f"\n{example['task']} / {example['template']}")
        for name, text in (("prompt", example["inputs"]), ("target", example["targets"])):
            print("\n".join(f"  {name if not i else '':<8}{line}" for i, line in enumerate(text.split("\n"))))
    return 0


def chosen(build: Path, count: int) -> list[dict[str, Any]]:
    """Return the first short examples of the build, no two of one task cluster."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((build / "parquet").glob("train-*.parquet")):
        columns = ["task", "cluster", "template", "inputs", "targets"]
        for batch in pq.ParquetFile(path).iter_batches(batch_size=256, columns=columns):
            for row in batch.to_pylist():
                if len(found) == count:
                    return list(found.values())
                if len(row["inputs"]) + len(row["targets"]) <= LONGEST:
                    found.setdefault(row["cluster"], row)
    return list(found.values())


if __name__ == "__main__":
    raise SystemExit(main())
