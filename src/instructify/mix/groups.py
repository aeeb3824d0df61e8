"""Groups of a mixture: which tasks belong to which, and what of a recipe's names leads nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from instructify.errors import Problem, nearest
from instructify.mix.policies import weight_of
from instructify.mix.sizes import TaskSize
from instructify.recipe.mixture import Group, Mixture, Sharing

Named = tuple[str, str]
"""Name and task cluster of a task."""
Path = tuple[str | int, ...]
"""Keys and indices of a value within the recipe's section on the mixture."""


def members_of(sharing: Sharing, tasks: Sequence[TaskSize]) -> list[tuple[Group, list[TaskSize]]]:
    """Return the groups of a level that have tasks, with these; a task that no group names is left out."""
    found: dict[str, list[TaskSize]] = {group.name: [] for group in sharing.groups}
    for task in tasks:
        group = _group_of(sharing.groups, task.task, task.cluster)
        if group is not None:
            found[group.name].append(task)
    return [(group, found[group.name]) for group in sharing.groups if found[group.name]]


def mixture_problems(
    mixture: Mixture,
    train: Sequence[Named],
    held_out: Sequence[Named] = (),
    place: Callable[..., str] = lambda *path: "",
) -> list[Problem]:
    """Return a problem for each training task without a place in the mixture, and each name of no task.

    `place` gives the place of a value of the section in messages, by its keys and indices.
    """
    known = [*train, *held_out]
    names, clusters = [name for name, _ in known], sorted({cluster for _, cluster in known})
    patterns, listed = list(_named(mixture, ())), ", ".join(clusters)
    problems = [
        Problem(f"mixture: no task is called {name!r}", place(*path), nearest=nearest(name, names))
        for path, name, is_cluster in patterns
        if not is_cluster and not any(fnmatchcase(one, name) or one == name for one in names)
    ]
    problems += [
        Problem(
            f"mixture: no task is in the cluster {name!r}",
            place(*path),
            f"one of {listed}",
            nearest(name, clusters),
        )
        for path, name, is_cluster in patterns
        if is_cluster and name not in clusters
    ]
    where = place("groups" if mixture.groups else "weights")
    problems += [Problem(f"mixture: {what}", where) for what in _homeless(mixture, train, "")]
    return problems


def _named(sharing: Sharing, path: Path) -> Iterator[tuple[Path, str, bool]]:
    """Yield every name that a level or one below gives, with its place, and whether it is of a cluster."""
    for name in sharing.weights:
        yield (*path, "weights", name), name, False
    for number, group in enumerate(sharing.groups):
        own = (*path, "groups", number)
        yield from (((*own, "tasks", n), name, False) for n, name in enumerate(group.tasks))
        yield from (((*own, "clusters", n), name, True) for n, name in enumerate(group.clusters))
        yield from _named(group, own)


def _homeless(sharing: Sharing, tasks: Sequence[Named], parent: str) -> list[str]:
    """Return a sentence for each task that no group or weight of a level names."""
    inside = f" in the group {parent!r}" if parent else ""
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
