"""Decide: on the thin index alone, which candidates of each template fill its quota, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from instructify.types import Ledger, Role


@dataclass(slots=True)
class Progress:
    """How far one template of one task has come along its keyed row order.

    The first `made` places have been rendered; `dropped` maps a reason to the places that fell. What is
    kept is always the first `quota` surviving places, however many more were rendered.
    """

    task: str
    template: str
    role: Role
    rows: int
    quota: int
    made: int = 0
    dropped: dict[str, list[int]] = field(default_factory=dict)

    def add(self, dropped: dict[str, list[int]]) -> None:
        """Take in what one shard dropped."""
        for reason, places in dropped.items():
            self.dropped.setdefault(reason, []).extend(places)

    def next_window(self) -> tuple[int, int] | None:
        """Return the next places [low, high) to render; None when the quota is full or the rows used up.

        After a shortfall it asks for what is missing at the keep rate so far, and a tenth more.
        """
        if not self.made:
            return (0, min(self.quota, self.rows)) if self.quota else None
        kept = self.made - sum(map(len, self.dropped.values()))
        if kept >= self.quota or self.made == self.rows:
            return None
        missing = self.quota - kept
        step = -(-missing * self.made * 11 // (kept * 10)) + 64 if kept else self.made * 4
        return self.made, min(self.rows, self.made + step)

    def cut(self) -> int:
        """Return the number of places after which the quota is full, or all that were made."""
        places = sorted(place for fallen in self.dropped.values() for place in fallen)
        end = self.quota
        for place in places:
            if place >= end:
                break
            end += 1
        return min(end, self.made)

    def ledger(self) -> Ledger:
        """Return the account of the places up to the cut."""
        end = self.cut()
        counts = {reason: sum(place < end for place in places) for reason, places in self.dropped.items()}
        dropped = Counter({reason: count for reason, count in counts.items() if count})
        kept = end - dropped.total()
        ledger = Ledger(self.task, self.template, self.role, self.rows, self.quota, end, kept, dropped)
        ledger.check()
        return ledger


def over_limit(ledgers: Sequence[Ledger], max_dropped: float) -> list[Ledger]:
    """Return the ledgers that dropped more than the allowed share of the rows they saw."""
    return [ledger for ledger in ledgers if ledger.dropped.total() > max_dropped * ledger.seen]
