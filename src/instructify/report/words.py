"""What a report says of itself, the same in every report."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "headline": (
        "Scores are per cent: the median over prompt templates, with quartiles (IQR) and mean. The change is "
        "that of the mean over templates and training seeds, on the same rows, with its 95 % interval for "
        "other documents of the kind (thick line) and for other templates as well (thin line). The finding "
        "rests on Holm's p. Detectable is the true change, in points, that would be found in four "
        "experiments of five; none: no change that is possible would be. Random and majority guess among the "
        "choices; the choice prior is the model's "
        "own answer to an empty prompt, base → tuned. Where the base was trained on the task the "
        "score is retention; unproven means that nothing is known of its training."
    ),
    "details": (
        "Documents are resampled with all their templates, 10,000 times. The second interval resamples "
        "templates too and is on the wide side. The interval of the median is a rough guide: in simulations "
        "it held the truth in 86 to 100 % of experiments, that of the mean in 93 to 97 %, or more often "
        "where few documents changed."
    ),
    "others": (
        "The mean over the templates that have the metric. These are not tested; the headline of a dataset "
        "is the main metric of most of its templates."
    ),
    "controls": (
        "A model trained on shuffled targets can learn their form and nothing else: it should gain nothing."
    ),
    "sections": (
        "One dot a prompt template, joined from base to tuned; the bar is the median, the box the quartiles. "
        "Flipped answers are drawn at random under the first seed, not picked."
    ),
    "no_prompt": "The prompt stands in the build that was scored, which was not at hand.",
    "untrained": "The run folder holds no training run of a model that was scored.",
    "reproduce": (
        "RECIPE.yaml is the file with the hash below, RUN its run folder. The same recipe, sources, versions "
        "and kind of device give the same numbers."
    ),
}
