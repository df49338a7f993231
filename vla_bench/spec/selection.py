"""Which tasks of a suite a plan keeps: by name, by the values of tags, by a stratified sample."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from vla_bench.spec.errors import EmptyPlan, UsageError
from vla_bench.spec.names import match_name, near_matches, normalise_name
from vla_bench.spec.suite import Suite, Task

__all__ = ["NO_VALUE", "select_tasks"]

NO_VALUE = "none"
"""How the value of a tag that a task has no value for is written."""


def select_tasks(
    suite: Suite,
    *,
    tasks: Iterable[str] = (),
    tags: Mapping[str, Sequence[str]] | None = None,
    sample: int | None = None,
    sample_seed: int = 0,
) -> tuple[Task, ...]:
    """Keep some tasks of a suite, in its order.

    Args:
        suite: whose tasks.
        tasks: ids to keep; empty keeps all.
        tags: tag → values to keep, any of them; a tag without values keeps all. A value may be shortened as long as one
            value alone begins with it (`camera`), and `none` stands for tasks without a value.
        sample: number of tasks to draw from what is kept, None for all of them; see `_sampled`.
        sample_seed: of the draw.

    Raises:
        UnknownTask: a task does not exist.
        UsageError: the suite has no such tag, a tag has no such value, or there are fewer tasks than `sample`.
        EmptyPlan: nothing is left.
    """
    wanted = {suite.task(task).id for task in tasks}
    selected = [task for task in suite.tasks if not wanted or task.id in wanted]
    for tag, values in (tags or {}).items():
        if values:
            kept = {_match_value(suite, tag, value) for value in values}
            selected = [task for task in selected if _written(task, tag) in kept]
    if not selected:
        raise EmptyPlan(f"suite {suite.name!r} has no tasks to run{' that fit all of this' if suite.tasks else ''}")
    return tuple(selected) if sample is None else _sampled(suite, selected, sample, sample_seed)


def _match_value(suite: Suite, tag: str, value: str) -> str:
    known = list(dict.fromkeys(_written(task, tag) for task in suite.tasks if tag in task.tags))
    if not known:
        tags = list(dict.fromkeys(name for task in suite.tasks for name in task.tags))
        raise UsageError(f"the tasks of suite {suite.name!r} have no {tag}; they have: {', '.join(tags) or 'no tags'}")
    form = normalise_name(value)
    found = match_name(value, known)
    begun = [each for each in known if form and normalise_name(each).startswith(form)]
    if found is None and len(begun) == 1:
        return begun[0]
    if found is None:
        near = begun or near_matches(value, known) or sorted(known)
        raise UsageError(f"suite {suite.name!r} has no {tag} {value!r}. It has, among others: {', '.join(near[:10])}")
    return found


def _written(task: Task, tag: str) -> str:
    value = task.tags.get(tag)
    return NO_VALUE if value is None else str(value)


def _sampled(suite: Suite, tasks: Sequence[Task], n: int, seed: int) -> tuple[Task, ...]:
    """Draw `n` tasks so that every group has its share, to within one task.

    Groups are those of the first tag that the suite reports by; within each, those of the second have their shares,
    and so on. The mean over a sample therefore estimates the mean over all tasks, and a larger sample of the same seed
    holds every smaller one.
    """
    if not 1 <= n <= len(tasks):
        raise UsageError(f"a sample of {n} tasks cannot be drawn from {len(tasks)}")
    chosen = {task.id for task in _spread(tasks, suite.group_by, seed)[:n]}
    return tuple(task for task in tasks if task.id in chosen)


def _spread(tasks: Sequence[Task], tags: Sequence[str], seed: int, *path: str) -> list[Task]:
    """Order tasks so that every beginning of the list has each group's share.

    Each group is ordered by itself and laid out evenly over the unit interval, from a random offset below its own
    spacing; the tasks of all groups are then taken as they come along the interval.
    """
    if not tags:
        return sorted(tasks, key=lambda task: _unit(seed, "task", task.id))
    groups: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        groups[_written(task, tags[0])].append(task)
    places: list[tuple[float, str, Task]] = []
    for value, members in groups.items():
        offset = _unit(seed, "group", *path, value)
        ordered = _spread(members, tags[1:], seed, *path, value)
        places += [((rank + offset) / len(members), task.id, task) for rank, task in enumerate(ordered)]
    return [task for _, _, task in sorted(places, key=lambda place: place[:2])]


def _unit(seed: int, *words: str) -> float:
    """A number from [0, 1) made of a seed and words: the same on every machine and under every version of NumPy."""
    text = "\0".join((str(seed), *words))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
