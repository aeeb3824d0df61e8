"""Groups of a mixture: which tasks belong to which, and what of a recipe's names leads nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from instructify.errors import Problem, nearest
from instructify.mix.policies import weight_of
from instructify.mix.sizes import TaskSize
from instructify.recipe.mixture import Group, Mixture, Sharing, levels

Named = tuple[str, str]
"""Name and task cluster of a task."""


def members_of(sharing: Sharing, tasks: Sequence[TaskSize]) -> list[tuple[Group, list[TaskSize]]]:
    """Return the groups of a level that have tasks, with these; a task that no group names is left out."""
    found: dict[str, list[TaskSize]] = {group.name: [] for group in sharing.groups}
    for task in tasks:
        group = _group_of(sharing.groups, task.task, task.cluster)
        if group is not None:
            found[group.name].append(task)
    return [(group, found[group.name]) for group in sharing.groups if found[group.name]]


def mixture_problems(
    mixture: Mixture, train: Sequence[Named], held_out: Sequence[Named] = ()
) -> list[Problem]:
    """Return a problem for each training task without a place in the mixture, and each name of no task."""
    known = [*train, *held_out]
    names, clusters = [name for name, _ in known], sorted({cluster for _, cluster in known})
    problems = []
    for level in levels(mixture):
        patterns = [*level.weights, *(name for group in level.groups for name in group.tasks)]
        problems += [
            Problem(f"mixture: no task is called {pattern!r}", nearest=nearest(pattern, names))
            for pattern in patterns
            if not any(fnmatchcase(name, pattern) or name == pattern for name in names)
        ]
        problems += [
            Problem(f"mixture: no task is in the cluster {cluster!r}", nearest=nearest(cluster, clusters))
            for group in level.groups
            for cluster in group.clusters
            if cluster not in clusters
        ]
    problems += [Problem(f"mixture: {what}") for what in _homeless(mixture, train, "")]
    return problems


def _homeless(sharing: Sharing, tasks: Sequence[Named], place: str) -> list[str]:
    """Return a sentence for each task that no group or weight of a level names."""
    inside = f" in the group {place!r}" if place else ""
    if not sharing.groups:
        if sharing.policy != "weights":
            return []
        bare = [name for name, _ in tasks if weight_of(sharing.weights, name) is None]
        return [f"the task {name} has no weight{inside}" for name in bare]
    found = []
    members: dict[str, list[Named]] = {group.name: [] for group in sharing.groups}
    for name, cluster in tasks:
        group = _group_of(sharing.groups, name, cluster)
        if group is None:
            found.append(f"the task {name} (cluster {cluster}) is in no group{inside}")
        else:
            members[group.name].append((name, cluster))
    for group in sharing.groups:
        found += _homeless(group, members[group.name], group.name)
    return found


def _group_of(groups: Sequence[Group], task: str, cluster: str) -> Group | None:
    for group in groups:
        named = any(task == pattern or fnmatchcase(task, pattern) for pattern in group.tasks)
        if named or cluster in group.clusters:
            return group
    return None
