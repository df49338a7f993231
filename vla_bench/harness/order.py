"""In which order the episodes of a plan are run. Scores do not depend on it: episodes know nothing of one another."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.harness.executors.base import Job
from vla_bench.spec.suite import Suite

__all__ = ["scene_by_scene"]


def scene_by_scene(suite: Suite, jobs: Sequence[Job]) -> list[Job]:
    """Bring jobs of one scene together, the scenes in the order of their first job, else as they come.

    A plan goes round the tasks, so that one that is cut short covers them all. A simulator that compiles a scene for
    seconds would then do so for every episode.
    """
    if not suite.scene_tag:
        return list(jobs)
    scenes = {task.id: task.id if suite.scene_tag == "task" else task.tags[suite.scene_tag] for task in suite.tasks}
    ranks: dict[object, int] = {}
    for job in jobs:
        ranks.setdefault(scenes[job.episode.task], len(ranks))
    return sorted(jobs, key=lambda job: ranks[scenes[job.episode.task]])
