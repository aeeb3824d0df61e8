"""Decide: on the thin index alone, which candidates of each template fill its quota, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from instructify.keys import I64
from instructify.types import Ledger, Role


@dataclass(slots=True)
class Progress:
    """How far one template of one task has come along its keyed row order.

    The first `made` places have been rendered. `counts` says how many of them fell for which reason, and
    `fallen` where they lay, as arrays; where the quota takes every row nobody asks where, and `fallen` stays
    empty. What is kept is always the first `quota` surviving places, however many more were rendered. Where
    rows may be repeated, the order goes on for `epochs` times the rows, each epoch in an order of its own.
    """

    task: str
    template: str
    role: Role
    rows: int
    quota: int
    epochs: int = 1
    made: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    fallen: dict[str, list[I64]] = field(default_factory=dict)

    @property
    def places(self) -> int:
        """Length of the order."""
        return self.rows * self.epochs

    @property
    def takes_everything(self) -> bool:
        """Whether no place can be left over."""
        return self.quota >= self.places

    def add(self, dropped: Mapping[str, int | Sequence[int]]) -> None:
        """Take in what one shard dropped: places by reason, or counts where the quota takes every row."""
        for reason, places in dropped.items():
            if isinstance(places, int):
                self.counts[reason] += places
            else:
                self.counts[reason] += len(places)
                if not self.takes_everything:
                    self.fallen.setdefault(reason, []).append(np.array(places, np.int64))

    def next_window(self) -> tuple[int, int] | None:
        """Return the next places [low, high) to render; None when the quota is full or the order used up.

        After a shortfall it asks for what is missing at the keep rate so far, and a tenth more. No window
        reaches beyond its epoch.
        """
        if not self.made:
            return (0, min(self.quota, self.rows)) if self.quota else None
        kept = self.made - self.counts.total()
        if kept >= self.quota or self.made == self.places:
            return None
        missing = self.quota - kept
        step = -(-missing * self.made * 11 // (kept * 10)) + 64 if kept else self.made * 4
        end = (self.made // self.rows + 1) * self.rows
        return self.made, min(end, self.made + step)

    def cut(self) -> int:
        """Return the number of places after which the quota is full, or all that were made."""
        if self.takes_everything or not self.fallen:
            return min(self.quota, self.made)
        places = np.sort(np.concatenate([part for parts in self.fallen.values() for part in parts]))
        # the n-th place to fall lies before the end as long as it is less than quota + n
        before = places < self.quota + np.arange(len(places))
        lost = len(places) if before.all() else int(np.argmin(before))
        return min(self.quota + lost, self.made)

    def ledger(self) -> Ledger:
        """Return the account of the places up to the cut."""
        end = self.cut()
        counts = self.counts
        if not self.takes_everything:
            counts = Counter({r: sum(int((part < end).sum()) for part in p) for r, p in self.fallen.items()})
        dropped = Counter({reason: count for reason, count in counts.items() if count})
        kept = end - dropped.total()
        ledger = Ledger(
            self.task, self.template, self.role, self.rows, self.quota, end, kept, dropped, self.epochs
        )
        ledger.check()
        return ledger


def over_limit(ledgers: Sequence[Ledger], max_dropped: float) -> list[Ledger]:
    """Return the ledgers that dropped more than the allowed share of the rows they saw."""
    return [ledger for ledger in ledgers if ledger.dropped.total() > max_dropped * ledger.seen]
