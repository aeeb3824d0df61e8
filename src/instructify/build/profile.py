"""Where the time of a build went, and by which means its rows were rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from instructify.build.emit import Emitted
from instructify.build.make import Shard


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time went, and how rows were rendered.

    `seconds` are summed over all workers, by step. `rendered` maps (task, template) to rows, rows by
    kernels, rows by the reference and rows audited; `refusals` maps those that have only the reference to
    the reason.
    """

    seconds: Mapping[str, float]
    rendered: Mapping[tuple[str, str], tuple[int, int, int, int]]
    refusals: Mapping[tuple[str, str], str]


def make_profile(shards: Sequence[Shard], emitted: Iterable[Emitted]) -> Profile:
    """Return the sums over every shard that was made or found, and every file that was written."""
    seconds: Counter[str] = Counter()
    for times in (*(shard.seconds for shard in shards), *(files.seconds for files in emitted)):
        seconds.update(times)
    rendered: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    refusals: dict[tuple[str, str], str] = {}
    for shard in shards:
        for name, entry in zip(shard.templates, shard.record.meta["templates"], strict=True):
            if "rows" not in entry:
                continue
            key = (shard.task, name)
            new = (entry["rows"], entry["by_kernels"], entry["by_reference"], entry["audited"])
            old = rendered.get(key, (0, 0, 0, 0))
            rendered[key] = (old[0] + new[0], old[1] + new[1], old[2] + new[2], old[3] + new[3])
            if entry["refusal"]:
                refusals[key] = entry["refusal"]
    return Profile(seconds, rendered, refusals)
