"""Random mixtures: tasks of every size, and recipes' mixture sections of every shape over them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from instructify.mix import TaskSize
from instructify.recipe.mixture import Mixture

NAMES = st.text("abcdef", min_size=1, max_size=4)
CAPS = st.none() | st.integers(1, 500)
WEIGHTS = st.sampled_from([0.05, 0.3, 1 / 3, 1, 2.5, 40])


@st.composite
def tasks(draw: st.DrawFn) -> TaskSize:
    """Draw one task, some of its templates inverted."""
    templates = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    return TaskSize(
        task=draw(NAMES),
        templates=tuple(templates),
        rows=draw(st.integers(0, 1000)),
        cap=draw(CAPS),
        cap_per_template=draw(CAPS),
        inverted=frozenset(draw(st.sets(st.sampled_from(templates)))),
        cluster=draw(st.sampled_from(["nli", "qa"])),
    )


TASKS = st.lists(tasks(), max_size=6, unique_by=lambda task: task.task)


def _policy(draw: st.DrawFn, weighted: Any) -> dict[str, Any]:
    policy = draw(st.sampled_from(["proportional", "equal", "temperature", "weights"]))
    found: dict[str, Any] = {"policy": policy, "count": draw(st.sampled_from(["examples", "rows"]))}
    if policy in ("proportional", "temperature"):
        found["rate_cap"] = draw(CAPS)
    if policy == "temperature":
        found["temperature"] = draw(st.sampled_from([0.5, 1.0, 2, 3.3]))
    if policy == "weights" and weighted is not None:
        found["weights"] = weighted
    return found


def _sharing(draw: st.DrawFn, names: list[str], depth: int) -> dict[str, Any]:
    """Draw how some tasks share, in groups or not."""
    if not depth or len(names) < 2 or draw(st.booleans()):
        weights = {name: draw(WEIGHTS) for name in names} | {"*": 1.0}
        return _policy(draw, weights)
    found = _policy(draw, None)
    cuts = sorted(draw(st.sets(st.integers(1, len(names) - 1), max_size=2)))
    parts = [names[a:b] for a, b in zip([0, *cuts], [*cuts, len(names)], strict=True)]
    found["groups"] = [
        {
            "name": f"g{number}",
            "tasks": part,
            **({"weight": draw(WEIGHTS)} if found["policy"] == "weights" else {}),
            "cap_per_dataset": draw(CAPS),
            **_sharing(draw, part, depth - 1),
        }
        for number, part in enumerate(parts)
    ]
    return found


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[list[TaskSize], Mixture]:
    """Draw some tasks and a mixture of them."""
    found = draw(TASKS)
    section = _sharing(draw, [task.task for task in found], 2)
    section |= {
        "size": draw(st.integers(1, 6000)),
        "cap_per_dataset": draw(CAPS),
        "cap_per_template": draw(CAPS),
        "exhausted": draw(st.sampled_from(["stop", "repeat", "spill"])),
        "inverted": draw(st.none() | st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])),
    }
    if section["exhausted"] == "repeat":
        section["max_epochs"] = draw(st.integers(1, 5))
    return found, Mixture.model_validate(section)


def caps_of(task: TaskSize, mixture: Mixture) -> tuple[int | None, int | None]:
    """State again, slowly, the cap of a task and that of each of its templates."""
    cap, level = mixture.cap_per_dataset, mixture
    while level.groups:
        level = next(group for group in level.groups if task.task in group.tasks)
        cap = level.cap_per_dataset or cap
    return task.cap or cap, task.cap_per_template or mixture.cap_per_template
