"""LIBERO's scripted expert: it solves tasks that a run judges, and one that stops before it lets go does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import vla_bench
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.envs.runtime.limits import WorkerLimits
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.builtin.experts.libero import controller
from vla_bench.results.runs import StoredAttempt
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import ActionChunk, Observation, PolicyKind
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import Trace

# The first test may have to install 2 GB of packages; simulators on a busy machine take their time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("libero")]

PATIENT = {"env_start_s": 600, "env_call_s": 120, "workers": 1, "trials": 1}
SOUP = "pick_up_the_alphabet_soup_and_place_it_in_the_basket"
BOWL = "pick_up_the_black_bowl_from_table_center_and_place_it_on_the_plate"
CHEESE = "pick_up_the_cream_cheese_and_place_it_in_the_basket"
DRAWER = "open_the_middle_drawer_of_the_cabinet"
STOVE = "KITCHEN_SCENE3_turn_on_the_stove_and_put_the_moka_pot_on_it"


class Spectator(ExpertPolicy):
    """The expert, keeping the first and the last picture that it was sent of each camera."""

    def __init__(self) -> None:
        super().__init__(cameras=["front", "wrist"])
        self.seen: list[Observation] = []

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        self.seen[1:] = batch
        return super().act(batch)


def stored(name: str) -> tuple[StoredAttempt, Trace]:
    """The one attempt of a run of one episode, and its trace."""
    with Store.open() as store:
        (episode,) = store.outcomes(name)
        (attempt,) = store.attempts_of(name, episode)
        return attempt, store.trace(attempt.trace_digest)


@pytest.mark.parametrize(
    ("suite", "task"),
    [("libero_object", SOUP), ("libero_spatial", BOWL), ("libero_goal", DRAWER), ("libero_10", STOVE)],
)
def test_the_expert_solves_a_task_of_each_suite_and_that_is_stored(libero: Path, suite: str, task: str):
    summary = vla_bench.evaluate("expert", suite, tasks=[task], name="solved", **PATIENT)
    assert summary.score_line == "1/1 of 1 planned, 0 lost"
    assert summary.policy_kind is PolicyKind.ORACLE
    attempt, trace = stored("solved")
    result = attempt.result
    assert result.outcome is Outcome.SUCCESS
    assert result.facts == {"solved_after_settling": False}
    (horizon,) = {its.horizon for its in find_suite(suite).tasks if its.id == task}
    assert 0 < result.n_steps < horizon
    assert trace.actions.shape == (result.n_steps, 7)
    assert np.abs(trace.actions).max() <= 1
    assert result.final_digest == trace.digests[-1] != result.initial_digest


def test_an_episode_with_both_cameras_shows_what_happens(libero: Path):
    spectator = Spectator()
    summary = vla_bench.evaluate(spectator, "libero_object", tasks=[CHEESE], name="seen", **PATIENT)
    assert summary.score_line == "1/1 of 1 planned, 0 lost"
    first, last = spectator.seen
    for camera in ("front", "wrist"):
        pictures = [observation.images[camera] for observation in (first, last)]
        assert {(picture.shape, picture.dtype) for picture in pictures} == {((256, 256, 3), np.dtype(np.uint8))}
        assert min(np.std(picture) for picture in pictures) > 10
        assert np.mean(pictures[0] != pictures[1]) > 0.05


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
