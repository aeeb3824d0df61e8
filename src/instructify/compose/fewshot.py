"""Few-shot prompts: exemplars drawn, laid out before their query, and pruned to the token budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from instructify.compose.budget import Budget
from instructify.compose.exemplars import NONE, Pool, draw_exemplars
from instructify.compose.layouts import LAYOUTS, few_shot
from instructify.compose.texts import Texts, lists_of, unmarked
from instructify.compose.words import Words
from instructify.keys import I64, Key
from instructify.recipe.variants import Variant

if TYPE_CHECKING:
    import pyarrow as pa

SHOTS, LAYOUT = range(2)
"""Numbers of the draws of a row."""
LAYOUT_TOKENS = 16
"""More than the tokens that a layout puts around one exemplar."""
SURE = 0.8
"""Share of the budget up to which the sum of the parts' tokens is taken for a bound of the whole's."""


@dataclass(frozen=True, slots=True)
class FewShot:
    """Prompts with their exemplars, in the order of the queries.

    `shots` counts the exemplars and `exemplars` lists their rows. `turns` lists prompt and target of every
    exemplar, and at the end the query's own prompt. `lonely` queries found no exemplar in the pool. `short`
    prompts are so far within the budget that nobody need count their tokens.
    """

    prompts: pa.Array
    shots: pa.Array
    exemplars: pa.Array
    turns: pa.Array
    lonely: Any
    short: Any

    def take(self, places: pa.Array) -> FewShot:
        """Return the prompts at these places."""
        return FewShot(
            self.prompts.take(places),
            self.shots.take(places),
            self.exemplars.take(places),
            self.turns.take(places),
            self.lonely[places.to_numpy()],
            self.short[places.to_numpy()],
        )


def few_shot_prompts(
    queries: Texts,
    pools: Sequence[Texts],
    members: I64,
    sources: pa.Array,
    variant: Variant,
    words: Words,
    key: Key,
    pool: Pool,
    tokens: I64,
    budget: Budget | None,
) -> FewShot:
    """Return the prompts of queries, each with exemplars out of the one of `pools` that `members` says.

    All pools hold the rows of `pool`, each in another dress; `tokens` counts what each of its examples has in
    one of them. Exemplars that do not fit the budget are left out, the last drawn first; a query that needs
    all of it for itself stands alone.
    """
    import pyarrow as pa

    draws = Key.of("few-shot", key.low, key.high)
    least, most = variant.shot_range
    wanted = least + draws.belows(most - least + 1, queries.rows, SHOTS)
    layouts = draws.belows(len(variant.layouts), queries.rows, LAYOUT)
    chosen = draw_exemplars(
        pool, queries, sources, wanted, Key.of("exemplars", key.low, key.high), balanced=variant.balanced
    )
    counts = (chosen != NONE).sum(axis=1)
    lonely = (counts == 0) & (wanted > 0)
    build = _Builder(queries, pools, members, chosen, layouts, tokens, variant, words)
    prompts = build.prompts(np.arange(len(queries)), counts)
    short = np.ones(len(queries), bool)
    if budget is not None:
        about = budget.count(unmarked(queries.inputs)) + LAYOUT_TOKENS * (counts + 1)
        about += np.where(chosen == NONE, 0, tokens[np.maximum(chosen, 0)]).sum(axis=1)
        short = about < budget.max_input * SURE
    asked = np.flatnonzero(~short)
    while budget is not None and len(asked):
        over = asked[budget.over(unmarked(prompts.take(pa.array(asked))), budget.max_input)]
        asked = over = over[counts[over] > 0]
        if not len(over):
            break
        excess = budget.count(unmarked(prompts.take(pa.array(over)))) - budget.max_input
        counts[over] -= build.too_many(over, counts, excess)
        prompts = _replaced(prompts, over, build.prompts(over, counts))
    kept = np.where(np.arange(chosen.shape[1]) < counts[:, None], chosen, NONE)
    rows = pool.texts.rows[kept[kept != NONE]]
    return FewShot(
        prompts,
        pa.array(counts.astype(np.int32)),
        lists_of(counts, pa.array(rows)),
        build.turns(kept, counts),
        lonely,
        short,
    )


@dataclass(frozen=True, slots=True)
class _Builder:
    queries: Texts
    pools: Sequence[Texts]
    members: I64
    chosen: I64
    layouts: I64
    tokens: I64
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

    def too_many(self, indices: I64, counts: I64, excess: I64) -> I64:
        """Return about how many exemplars, from the last, hold the tokens that are too many; at least one."""
        gone = np.ones(len(indices), np.int64)
        for place, row in enumerate(indices.tolist()):
            tokens = self.tokens[self.chosen[row, : counts[row]]]
            freed = np.cumsum(tokens[::-1])
            gone[place] = min(int(np.searchsorted(freed, excess[place])) + 1, int(counts[row]))
        return gone

    def turns(self, kept: I64, counts: I64) -> pa.Array:
        """Return for each query the list of prompt and target of every exemplar, and its own prompt."""
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
        starts = np.cumsum(counts * 2 + 1) - (counts * 2 + 1)
        places = np.empty(len(flat) * 2 + len(counts), np.int64)
        places[starts[owners] + within * 2] = flat
        places[starts[owners] + within * 2 + 1] = at + flat
        places[starts + counts * 2] = 2 * at + np.arange(len(counts))
        every = pa.concat_arrays([*inputs, *targets, unmarked(self.queries.inputs)])
        return lists_of(counts * 2 + 1, every.take(pa.array(places)))


def _pair(pool: Texts, places: I64) -> tuple[pa.Array, pa.Array]:
    import pyarrow as pa

    indices = pa.array(places)
    return pool.inputs.take(indices), pool.targets.take(indices)


def _replaced(texts: pa.Array, indices: I64, values: pa.Array) -> pa.Array:
    """Return the texts with new ones at these (ascending) indices."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = np.zeros(len(texts), bool)
    mask[indices] = True
    return pc.replace_with_mask(texts, pa.array(mask), values)
