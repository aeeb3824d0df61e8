"""Few-shot prompts: exemplars drawn, laid out before their query, and pruned to the token budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.budget import Budget
from instructify.compose.exemplars import NONE, Pool, draw_exemplars
from instructify.compose.layouts import few_shot
from instructify.compose.styles import LAYOUTS
from instructify.compose.texts import Texts, lists_of, unmarked
from instructify.compose.words import Words
from instructify.keys import I64, Key
from instructify.recipe.variants import Variant

if TYPE_CHECKING:
    import pyarrow as pa

SHOTS, LAYOUT = range(2)
"""Numbers of the draws of a row."""
CAUTION = 0.9
"""Share of the text that is too long by estimate which is taken out before the tokens are counted again."""


@dataclass(frozen=True, slots=True)
class FewShot:
    """Prompts with their exemplars, in the order of the queries.

    `shots` counts the exemplars and `exemplars` lists their rows, null for none. `turns` lists prompt and
    target of every exemplar, and at the end the query's own prompt; nothing where there are no exemplars.
    `lonely` queries found no exemplar in the pool. Prompts `over` the budget have no exemplar left to lose.
    """

    prompts: pa.Array
    shots: pa.Array
    exemplars: pa.Array
    turns: pa.Array
    lonely: Any
    over: Any

    def take(self, places: pa.Array) -> FewShot:
        """Return the prompts at these places."""
        return FewShot(
            self.prompts.take(places),
            self.shots.take(places),
            self.exemplars.take(places),
            self.turns.take(places),
            self.lonely[places.to_numpy()],
            self.over[places.to_numpy()],
        )


def few_shot_prompts(
    queries: Texts,
    pools: Sequence[Texts],
    members: I64,
    prints: tuple[pa.Array, ...],
    variant: Variant,
    words: Words,
    key: Key,
    pool: Pool,
    budget: Budget | None,
) -> FewShot:
    """Return the prompts of queries, each with exemplars out of the one of `pools` that `members` says.

    `prints` tell the copies of a query, as those of `pool` do.
    All pools hold the rows of `pool`, each in another dress. Exemplars that do not fit the budget are left
    out, the last drawn first; a query that needs all of it for itself stands alone.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    draws = Key.of("few-shot", key.low, key.high)
    least, most = variant.shot_range
    wanted = least + draws.belows(most - least + 1, queries.rows, SHOTS)
    layouts = draws.belows(len(variant.layouts), queries.rows, LAYOUT)
    own = Key.of("exemplars", key.low, key.high)
    chosen = draw_exemplars(pool, queries.rows, prints, wanted, most, own, balanced=variant.balanced)
    counts = (chosen != NONE).sum(axis=1)
    lonely = (counts == 0) & (wanted > 0)
    build = _Builder(queries, pools, members, chosen, layouts, variant, words)
    prompts = build.prompts(np.arange(len(queries)), counts)
    over = np.zeros(len(queries), bool)
    asked = np.arange(len(queries))
    while budget is not None and len(asked):
        tokens = budget.count(unmarked(prompts.take(pa.array(asked))), budget.max_input)
        over[asked] = tokens > budget.max_input
        prunable = over[asked] & (counts[asked] > 0)
        asked, too_much = asked[prunable], 1 - budget.max_input / tokens[prunable]
        counts[asked] -= build.too_many(asked, counts, too_much)
        prompts = _replaced(prompts, asked, build.prompts(asked, counts))
    kept = np.where(np.arange(chosen.shape[1]) < counts[:, None], chosen, NONE)
    rows = pool.texts.rows[kept[kept != NONE]]
    return FewShot(
        prompts,
        pa.array(counts.astype(np.int32)),
        pc.if_else(pa.array(counts > 0), lists_of(counts, pa.array(rows)), None),
        build.turns(kept, counts),
        lonely,
        over,
    )


@dataclass(frozen=True, slots=True)
class _Builder:
    queries: Texts
    pools: Sequence[Texts]
    members: I64
    chosen: I64
    layouts: I64
    variant: Variant
    words: Words

    def prompts(self, indices: I64, counts: I64) -> pa.Array:
        """Return the prompts of some queries with their first so many exemplars."""
        import pyarrow as pa

        if not len(indices):
            return self.queries.inputs.slice(0, 0)
        shape = np.stack([self.members[indices], self.layouts[indices], counts[indices]], axis=1)
        kinds, which = np.unique(shape, axis=0, return_inverse=True)
        which = which.reshape(-1)
        made, order = [], []
        for number, (member, layout, count) in enumerate(kinds.tolist()):
            places = np.flatnonzero(which == number)
            rows = indices[places]
            texts = self.pools[member]
            pairs = [_pair(texts, self.chosen[rows, shot]) for shot in range(count)]
            queries = self.queries.inputs.take(pa.array(rows))
            form = LAYOUTS[self.variant.layouts[layout]]
            made.append(few_shot(pairs, queries, form, self.words) if count else queries)
            order.append(places)
        back = np.argsort(np.concatenate(order), kind="stable")
        return pa.concat_arrays(made).take(pa.array(back))

    def too_many(self, indices: I64, counts: I64, shares: Any) -> I64:
        """Return about how many exemplars, from the last, make up these shares of prompts; at least one."""
        gone = np.ones(len(indices), np.int64)
        sizes = {
            member: _sizes(self.pools[member].inputs) + _sizes(self.pools[member].targets)
            for member in set(self.members[indices].tolist())
        }
        own = _sizes(self.queries.inputs)
        for place, row in enumerate(indices.tolist()):
            each = sizes[int(self.members[row])][self.chosen[row, : counts[row]]]
            excess = shares[place] * (own[row] + each.sum()) * CAUTION
            gone[place] = min(int(np.searchsorted(np.cumsum(each[::-1]), excess)) + 1, int(counts[row]))
        return gone

    def turns(self, kept: I64, counts: I64) -> pa.Array:
        """Return for each query with exemplars the list of their prompts and targets, and its own prompt."""
        import pyarrow as pa

        inputs, targets, at = [], [], 0
        base = np.zeros(len(self.pools), np.int64)
        for number, pool in enumerate(self.pools):
            inputs.append(pool.inputs)
            targets.append(pool.targets)
            base[number], at = at, at + len(pool)
        owners = np.repeat(np.arange(len(counts)), counts)
        flat = base[self.members[owners]] + kept[kept != NONE]
        within = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
        lengths = np.where(counts > 0, counts * 2 + 1, 0)
        starts = np.cumsum(lengths) - lengths
        places = np.empty(int(lengths.sum()), np.int64)
        places[starts[owners] + within * 2] = flat
        places[starts[owners] + within * 2 + 1] = at + flat
        shown = np.flatnonzero(counts)
        places[starts[shown] + counts[shown] * 2] = 2 * at + shown
        every = pa.concat_arrays([*inputs, *targets, unmarked(self.queries.inputs)])
        return lists_of(lengths, every.take(pa.array(places)))


def _pair(pool: Texts, places: I64) -> tuple[pa.Array, pa.Array]:
    import pyarrow as pa

    indices = pa.array(places)
    return pool.inputs.take(indices), pool.targets.take(indices)


def _sizes(texts: pa.Array) -> I64:
    """Return the bytes of each text."""
    import pyarrow.compute as pc

    sizes: I64 = pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    return sizes


def _replaced(texts: pa.Array, indices: I64, values: pa.Array) -> pa.Array:
    """Return the texts with new ones at these (ascending) indices."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = np.zeros(len(texts), bool)
    mask[indices] = True
    return pc.replace_with_mask(texts, pa.array(mask), values)
