"""Scene by scene: nothing is lost, nothing is done twice, and a scene is not left before its jobs are done."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from vla_bench.envs.registry import find_suite
from vla_bench.harness.executors.base import Job
from vla_bench.harness.order import scene_by_scene
from vla_bench.spec.episode import make_plan


def test_jobs_of_one_scene_come_together_in_the_order_of_the_plan():
    suite = find_suite("libero_spatial")
    jobs = [Job(episode=episode, attempt=0) for episode in make_plan(suite, n_trials=3).episodes]
    ordered = scene_by_scene(suite, jobs)
    tasks = [job.episode.task for job in ordered]
    assert [task for task, _ in groupby(tasks)] == [task.id for task in suite.tasks]
    assert [job.episode.trial for job in ordered[:3]] == [0, 1, 2]
    assert {job.episode.id for job in ordered} == {job.episode.id for job in jobs}
    by_tag = scene_by_scene(replace(suite, scene_tag="suite"), jobs)
    assert by_tag == jobs


def test_a_suite_whose_tasks_cost_nothing_to_change_keeps_the_order_of_the_plan():
    suite = find_suite("toy_reach")
    jobs = [Job(episode=episode, attempt=0) for episode in make_plan(suite, n_trials=2).episodes]
    assert scene_by_scene(suite, jobs) == jobs
