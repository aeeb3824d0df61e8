"""How one dataset's scores changed between two models, from paired rows, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from instructify.keys import Key
from instructify.stats.intervals import (
    Interval,
    between,
    detectable,
    over_templates,
    p_value,
    per_document,
    t_interval,
    tail,
)
from instructify.stats.resample import F64, resampled_means, resampled_templates, settled

DRAWS = 10_000
FEW = 10
"""With fewer changed documents than this the plain bootstrap promises too much."""


class UnpairableError(ValueError):
    """Two models share fewer than two documents, or lack a template; says which."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Scores of one model over the templates of a dataset: median, quartiles and mean."""

    median: float
    low: float
    high: float
    mean: float


@dataclass(frozen=True, slots=True)
class Change:
    """What a model gained over another on one dataset; all scores and changes from 0 to 1, not per cent.

    `mean` is the change averaged over documents, then templates, then training seeds; `interval` says how
    it would vary with other documents, `template_interval` with other documents and other templates.
    `median` is the change of the median over templates; its interval is a rough guide (in simulations it
    held the truth in 86 to 100 % of experiments), so that claims rest on `mean`. `template_t` is the
    t(T - 1) interval of `by_template`. Intervals that need two templates, and the spread of seeds, are None
    with one. `p` is two-sided and agrees with `interval`. `detectable` is the true change that this test
    would have found with 80 % power. `changed` documents changed under some template; with fewer than FEW
    the intervals are widened (`widened`). `draws` are the bootstrap's means.
    """

    documents: int
    before: Spread
    after: Spread
    before_by_template: tuple[float, ...]
    after_by_template: tuple[float, ...]
    by_template: tuple[float, ...]
    mean: float
    interval: Interval
    template_interval: Interval | None
    median: float
    median_interval: Interval
    template_t: Interval | None
    improved: int
    by_seed: tuple[float, ...]
    seed_sd: float | None
    p: float
    detectable: float
    changed: int
    widened: bool
    draws: F64 = field(repr=False, compare=False)

    @property
    def decidable(self) -> bool:
        """Whether any change that is possible from the score before would be found with 80 % power."""
        return self.detectable <= max(self.before.mean, 1 - self.before.mean)


def spread(scores: F64) -> Spread:
    """Return the median, quartiles (linear between order statistics) and mean of some scores."""
    low, median, high = (float(q) for q in np.quantile(scores, [0.25, 0.5, 0.75]))
    return Spread(median, low, high, float(scores.mean()))


def template_scores(scores: F64) -> F64:
    """Return a model's score under each template, of scores (seeds, templates, documents).

    It is the mean over training seeds and then over documents, NaN where a document was not scored.
    """
    over_seeds = scores.sum(axis=0)
    # summed before they are divided, so that equal scores are equal in bits however many seeds there are
    means: F64 = np.nansum(over_seeds, axis=1) / ((~np.isnan(over_seeds)).sum(axis=1) * len(scores))
    return means


def compare(before: F64, after: F64, key: Key, draws: int = DRAWS) -> Change:
    """Compare a model's scores (templates, documents) with another's (seeds, templates, documents).

    Only cells that both models scored, under every seed, count. Raises UnpairableError if fewer than two
    documents are left, or a template without any.
    """
    scored = ~(np.isnan(before) | np.isnan(after).any(axis=0))
    seen = scored.any(axis=0)
    if seen.sum() < 2 or not scored.any(axis=1).all():
        few = seen.sum() < 2
        raise UnpairableError("too few documents to compare" if few else "a template was scored by one alone")
    before = np.where(scored, before, np.nan)[:, seen]
    each = np.where(scored, after, np.nan)[:, :, seen]
    after = each.mean(axis=0)
    olds, news = template_scores(before[np.newaxis]), template_scores(each)
    gains = settled(news - olds)
    changed = int((np.nan_to_num(settled(each - before)) != 0).any(axis=(0, 1)).sum())
    widened = changed < FEW
    pair, weights = (before, after), (~np.isnan(before)).astype(np.float64)
    if widened:
        pair, weights = _with_one_each_way(before, after, weights)
    old_draws, new_draws = resampled_means(pair, weights, key, draws)
    gain_draws = new_draws - old_draws
    mean_draws = settled(gain_draws.mean(axis=1))
    other_templates = resampled_templates(gain_draws, Key.of(key.low, key.high, "templates"))
    documents, cut = before.shape[1], tail(weights.shape[1])
    parts = per_document(after - before)
    by_seed = tuple(float(np.nanmean(one - before, axis=1).mean()) for one in each)
    return Change(
        documents=documents,
        before=spread(olds),
        after=spread(news),
        before_by_template=tuple(olds.tolist()),
        after_by_template=tuple(news.tolist()),
        by_template=tuple(gains.tolist()),
        mean=float(settled(gains.mean())),
        interval=between(mean_draws, cut),
        template_interval=over_templates(gains, parts, other_templates),
        median=float(np.median(news) - np.median(olds)),
        median_interval=between(np.median(new_draws, axis=1) - np.median(old_draws, axis=1), cut),
        template_t=t_interval(gains),
        improved=int((gains > 0).sum()),
        by_seed=by_seed,
        seed_sd=float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None,
        p=p_value(mean_draws, weights.shape[1]),
        # where the interval is widened, so is what it can tell from nothing
        detectable=max(detectable(parts), detectable(per_document(pair[1] - pair[0]))),
        changed=changed,
        widened=widened,
        draws=mean_draws,
    )


def _with_one_each_way(before: F64, after: F64, weights: F64) -> tuple[tuple[F64, F64], F64]:
    """Add two documents, one that changes from 0 to 1 under every template and one from 1 to 0.

    They weigh as much as documents do on average, where templates have few of them. Bonett and Price 2012,
    "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data":
    counts of discordant pairs each raised by one.
    """
    shape = (len(before), 1)
    rising, falling = np.tile([0.0, 1.0], shape), np.tile([1.0, 0.0], shape)
    pair = np.hstack([before, rising]), np.hstack([after, falling])
    return pair, np.hstack([weights, np.tile(weights.mean(axis=1, keepdims=True), 2)])
