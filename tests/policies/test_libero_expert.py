"""LIBERO's scripted expert: it solves tasks that a run judges, and one that stops before it lets go does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vla_bench
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.envs.runtime.limits import WorkerLimits
from vla_bench.policies.builtin.experts.libero import controller
from vla_bench.spec.episode import make_plan

# The first test may have to install 2 GB of packages; simulators on a busy machine take their time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("libero")]

PATIENT = {"env_start_s": 600, "env_call_s": 120, "workers": 1}
SOUP = "pick_up_the_alphabet_soup_and_place_it_in_the_basket"
BOWL = "pick_up_the_black_bowl_from_table_center_and_place_it_on_the_plate"


@pytest.mark.parametrize(("suite", "task"), [("libero_object", SOUP), ("libero_spatial", BOWL)])
def test_the_expert_solves_a_task_of_each_kind(libero: Path, suite: str, task: str):
    summary = vla_bench.evaluate("expert", suite, tasks=[task], trials=1, **PATIENT)
    assert summary.score_line == "1/1 of 1 planned, 0 lost"


def test_what_is_lifted_and_held_is_no_success(libero: Path):
    suite = find_suite("libero_object")
    plan = make_plan(suite, tasks=[SOUP], n_trials=1)
    limits = WorkerLimits(start_s=600, call_s=120)
    env = open_env(suite, EnvOptions(privileged=True), limits=limits)
    try:
        state = env.reset(plan.episodes[0])
        act, has_taken_it = controller(SOUP), False
        while not state.is_over:
            action = act(state.privileged)
            has_taken_it = has_taken_it or state.privileged["object/alphabet_soup_1"][2] > 0.1
            if has_taken_it:
                action = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)  # stay there and hold
            state = env.advance(action[None])
    finally:
        env.close()
    assert has_taken_it
    assert not state.success
