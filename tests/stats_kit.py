"""Simulated scores with known truth, and the bootstrap again in slow plain Python.

`python tests/stats_kit.py 2000` prints how often the intervals hold the truth, for 2,000 simulated
experiments a line.
"""

import math
import statistics
import sys
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from instructify.keys import Key
from instructify.stats import compare, resample

NORMAL = NormalDist()


@dataclass(frozen=True)
class World:
    """A population of documents: a score is right where template + document + their meeting + noise > 0.

    `gain` is what tuning adds to a template's ease, `gain_sd` how much that differs between templates,
    `kept` the share of the noise that a row keeps from one model to the other.
    """

    documents: int
    templates: int
    gain: float = 0.3
    gain_sd: float = 0.2
    ease_sd: float = 0.5
    kept: float = 0.5
    document_sd: float = 1.0
    meeting_sd: float = 0.5

    def eases(self, rng):
        """Draw the templates: how easy each is before and after."""
        before = rng.normal(size=self.templates) * self.ease_sd
        return before, before + self.gain + rng.normal(size=self.templates) * self.gain_sd

    def truth(self, eases):
        """Return the true scores of the templates, over all documents."""
        scale = math.sqrt(1 + self.document_sd**2 + self.meeting_sd**2)
        return np.array([NORMAL.cdf(ease / scale) for ease in eases])

    def true_gain(self):
        """Return the true mean change over all documents and all templates."""
        inner = 1 + self.document_sd**2 + self.meeting_sd**2 + self.ease_sd**2
        return NORMAL.cdf(self.gain / math.sqrt(inner + self.gain_sd**2)) - 0.5

    def scores(self, rng, before, after):
        """Draw documents: two panels (templates, documents) of zeros and ones."""
        shape = (self.templates, self.documents)
        common = rng.normal(size=self.documents) * self.document_sd + rng.normal(size=shape) * self.meeting_sd
        common += rng.normal(size=shape) * math.sqrt(self.kept)
        left, right = (rng.normal(size=shape) * math.sqrt(1 - self.kept) for _ in range(2))
        old, new = before[:, None] + common + left > 0, after[:, None] + common + right > 0
        return old.astype(float), new.astype(float)


def coverage(world, repeats, draws=1000, seed=0):
    """Return how often each interval of `compare` held the truth, over simulated experiments.

    `mean` and `median`: the templates stay, the documents are new each time; `templates`: both are new.
    `widened` is the share of experiments in which too few documents changed for the plain bootstrap.
    Every experiment uses the same counts of drawn documents, which depend on nothing but the key.
    """
    rng = np.random.default_rng(seed)
    fixed = world.eases(rng)
    names = ("mean", "median", "templates") if world.templates > 1 else ("mean", "median")
    held = dict.fromkeys((*names, "widened"), 0)
    for _ in range(repeats):
        before, after = fixed
        old, new = world.scores(rng, before, after)
        change = compare(old, new[None], Key.of("coverage"), draws)
        was, now = world.truth(before), world.truth(after)
        held["mean"] += _holds(change.interval, (now - was).mean())
        held["median"] += _holds(change.median_interval, np.median(now) - np.median(was))
        held["widened"] += change.widened
        if "templates" in held:
            old, new = world.scores(rng, *world.eases(rng))
            change = compare(old, new[None], Key.of("coverage"), draws)
            held["templates"] += _holds(change.template_interval, world.true_gain())
    return {name: count / repeats for name, count in held.items()}


def _holds(interval, truth):
    return interval[0] - 1e-12 <= truth <= interval[1] + 1e-12


def slow_draws(before, after, key, draws):
    """Return the bootstrap's changes of the mean and of the median over templates, a document at a time."""
    templates, documents = len(before), len(before[0])
    means, medians = [], []
    for draw in range(draws):
        drawn = [key.below(documents, draw * documents + place) for place in range(documents)]
        olds, news = [], []
        for t in range(templates):
            rows = [d for d in drawn if not math.isnan(before[t][d])]
            rows = rows or [d for d in range(documents) if not math.isnan(before[t][d])]
            olds.append(math.fsum(before[t][d] for d in rows) / len(rows))
            news.append(math.fsum(after[t][d] for d in rows) / len(rows))
        means.append(statistics.fmean(b - a for a, b in zip(olds, news, strict=True)))
        medians.append(statistics.median(news) - statistics.median(olds))
    return means, medians


WORLDS = {
    f"{name}, {documents} documents, {templates} templates": World(documents, templates, **settings)
    for documents in (20, 50, 200, 1000)
    for templates in (1, 4, 8, 12)
    for name, settings in {
        "gain": {},
        "all templates alike": {"gain": 0.0, "gain_sd": 0.0, "ease_sd": 0.0},
        "few rows change": {"gain": 0.0, "gain_sd": 0.0, "kept": 0.995},
        "templates differ much": {"gain_sd": 0.6},
    }.items()
}


if __name__ == "__main__":
    kept: dict = {}
    counts = resample.document_counts
    resample.document_counts = lambda *which: kept.setdefault(which, list(counts(*which)))
    for title, world in WORLDS.items():
        found = coverage(world, int(sys.argv[1]))
        print(title, *(f"{name} {share:.3f}" for name, share in found.items()), sep="; ", flush=True)
