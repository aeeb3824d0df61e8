"""Presets: published mixtures as settings of ours, with their numbers and where these come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instructify.mix.sizes import TaskSize
from instructify.recipe.mixture import Mixture

T0_LIMIT = 500_000
FLAN2021_ROWS, FLAN2021_RATE = 30_000, 3_000
FLAN2022: Mapping[str, tuple[float, int]] = {
    "flan": (0.40, 30_000),
    "t0": (0.32, 20_000),
    "niv2": (0.20, 5_000),
    "cot": (0.05, 100_000),
    "dialog": (0.03, 200_000),
}
"""Weight of each group, and the most examples of one of its datasets."""


def expand(mixture: Mixture) -> Mixture:
    """Return the mixture with what its preset says written out.

    flan2021: at most 30,000 examples of a dataset (train[:30000], google-research/FLAN@e9e4ec6,
    flan/tasks.py:66), weighed by min(rows, 3,000) (flan/mixtures.py:25).

    flan2022: groups weighed 0.40 flan, 0.32 t0, 0.20 niv2, 0.05 cot, 0.03 dialog (flan/v2/run_example.py:68),
    and inside a group by min(rows, cap), the caps being 30,000, 20,000, 5,000, 100,000 and 200,000
    (flan/v2/mixtures.py:27). There a cap only weighs; here it is also the most examples of a dataset. Groups
    that a recipe leaves out leave their weight to the others.

    t0 sets a cap that depends on the task; see `t0_cap`.
    """
    if mixture.preset == "flan2021":
        changes = {"rate_cap": FLAN2021_RATE, "count": "rows", "cap_per_dataset": FLAN2021_ROWS}
        return mixture.model_copy(update=changes)
    if mixture.preset == "flan2022":
        groups = []
        for group in mixture.groups:
            weight, cap = FLAN2022[group.name]
            changes = {"weight": weight, "rate_cap": cap, "count": "rows", "cap_per_dataset": cap}
            groups.append(group.model_copy(update=changes))
        return mixture.model_copy(update={"policy": "weights", "groups": groups})
    return mixture


def t0_cap(rows: int, templates: int) -> int | None:
    """Return the most examples of one template under the preset t0; None where there is no cap.

    A dataset of more than 500,000 rows gives 500,000 // templates examples of each template; one of up to
    500,000 rows gives every row under every template (bigscience-workshop/t-zero@7a699e3,
    t0/seqio_tasks/tasks.py:211). So the rule jumps: with ten templates 500,000 rows make 5,000,000 examples,
    and 500,001 rows make 500,000. That is how T0 was trained, and it is kept as it is.

    >>> t0_cap(500_000, 10), t0_cap(500_001, 10)
    (None, 50000)
    """
    return T0_LIMIT // templates if rows > T0_LIMIT else None


def preset_note(mixture: Mixture, tasks: Sequence[TaskSize]) -> str:
    """Return what a user should know of the preset in this recipe; empty where there is nothing."""
    if mixture.preset == "t0":
        large = [task.task for task in tasks if task.rows > T0_LIMIT]
        if large:
            shown = ", ".join(large[:5]) + (f" and {len(large) - 5} more" if len(large) > 5 else "")
            return (
                f"preset t0: {shown} above {T0_LIMIT:,} rows, so at most {T0_LIMIT:,} examples each; "
                "a dataset just below gives every row under every template"
            )
    if mixture.preset == "flan2022":
        lost = [name for name in FLAN2022 if name not in {group.name for group in mixture.groups}]
        if lost:
            return f"preset flan2022: no group {', '.join(lost)}; the others share the weight"
    return ""
