"""The difference of two runs: every kind of it is found, named in words, and put where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.results.samples import MACHINE, attempt, results, spec, suite
from vla_bench.results.diff import Effect, RunDiff, RunSide, diff_runs
from vla_bench.results.evidence import gather_evidence
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.result import EpisodeResult
from vla_bench.spec.settings import EvalSettings

ALL = ["success", "failure"] * 3


@pytest.fixture
def difference(store: Store) -> Callable[..., RunDiff]:
    """The difference of a run and one with changes to what is run, or to what came out."""

    def diff(outcomes: list[str] = ALL, machine: Any = MACHINE, seed: int = 0, **changes: Any) -> RunDiff:
        for name, given, ended, where in (("one", {}, ALL, MACHINE), ("other", changes, outcomes, machine)):
            run = spec(name, **given)
            store.begin_run(run)
            made = results(run.plan, ended)
            if name == "other":
                made = [
                    EpisodeResult(
                        episode=result.episode,
                        attempts=(attempt(result.outcome, seed=seed * 100 + index, fingerprint=where),),
                    )
                    for index, result in enumerate(made)
                ]
            store.add(name, made)
            store.finish(name)
        sides = [RunSide(evidence=gather_evidence(store, n), machines=store.fingerprints(n)) for n in ("one", "other")]
        return diff_runs(*sides)

    return diff


def words(diff: RunDiff, effect: Effect) -> list[str]:
    return [trait.words for trait in diff.of(effect)]


def test_the_same_evaluation_twice_is_equal(difference: Callable[..., RunDiff]) -> None:
    diff = difference(command="typed otherwise")
    assert diff.is_equal
    assert not diff.obstacles
    assert words(diff, Effect.NONE)[0] == "command: run x → typed otherwise"
    assert diff.outcomes.n_shared == diff.outcomes.n_same_start == diff.outcomes.n_same_end == 6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": EvalSettings(replan_horizon=8)},
         "actions kept of each chunk (replan_horizon): the whole chunk → 8"),
        ({"settings": EvalSettings(crop=0.9)}, "side of the centred crop (crop): no crop → 0.9"),
        ({"policy": PolicyInfo(name="lamp", version="2")}, "version of the policy: 0 → 2"),
        ({"policy": PolicyInfo(name="lamp", weights_digest="ab")}, "weights: none → ab"),
        ({"policy": PolicyInfo(name="lamp", options={"noise": 0.5})}, "option noise: none → 0.5"),
    ],
    ids=["horizon", "crop", "version", "weights", "option"],
)  # fmt: skip
def test_what_decides_the_score_is_said_in_words(
    difference: Callable[..., RunDiff], changes: dict[str, Any], said: str
) -> None:
    diff = difference(**changes)
    assert words(diff, Effect.SCORE) == [said]
    assert not diff.is_equal
    assert not diff.obstacles


def test_another_plan_says_what_is_shared(difference: Callable[..., RunDiff]) -> None:
    longer = suite(n_trials=3)
    plan = make_plan(suite(), n_trials=3)
    diff = difference(plan=plan, outcomes=["success"] * 9)
    assert longer.protocol.n_trials == 3
    assert words(diff, Effect.SCORE) == ["plan, number of trials: 2 → 3", "plan: 6 → 9 episodes, 6 of them the same"]
    assert "different plans" in diff.obstacles[0]
    assert diff.outcomes.n_shared == 6


def test_the_same_tasks_in_other_states_are_counted(difference: Callable[..., RunDiff]) -> None:
    plan = make_plan(suite())
    moved = replace(plan, episodes=tuple(replace(e, env_seed=e.env_seed + 7) for e in plan.episodes))
    diff = difference(plan=moved)
    assert "plan: 6 episodes of the same task and trial begin in other states" in words(diff, Effect.SCORE)
    assert diff.outcomes.n_shared == 0


def test_another_protocol_or_content_of_it_decides(difference: Callable[..., RunDiff]) -> None:
    changed = suite()
    changed = replace(changed, tasks=(replace(changed.tasks[0], horizon=50), *changed.tasks[1:]), title="Renamed")
    diff = difference(suite=changed)
    assert words(diff, Effect.SCORE) == ["suite, tasks[0].horizon: 100 → 50"]
    assert "suite, title: Made up → Renamed" in words(diff, Effect.NONE)
    assert "different contents" in diff.obstacles[0]


def test_another_machine_may_move_episodes(difference: Callable[..., RunDiff]) -> None:
    other = replace(MACHINE, packages={"toy": "2"}, renderer={"name": "egl"})
    diff = difference(machine=other)
    said = ["version of toy: 1 → 2", "render back end, name: none → egl"]
    assert words(diff, Effect.MAY) == said
    assert not diff.of(Effect.SCORE)
    assert not diff.is_equal


def test_other_batches_may_move_episodes(difference: Callable[..., RunDiff]) -> None:
    diff = difference(policy=PolicyInfo(name="lamp", batch_limit=8))
    assert [trait.effect for trait in diff.traits if trait.about == "policy"] == [Effect.MAY]


def test_flips_make_equal_evaluations_different(difference: Callable[..., RunDiff]) -> None:
    diff = difference(outcomes=["success"] * 4 + ["failure"] * 2)
    assert (diff.outcomes.n_gained, diff.outcomes.n_lost) == (2, 1)
    assert not [trait for trait in diff.traits if trait.effect is not Effect.NONE]
    assert not diff.is_equal


def test_other_rollouts_from_the_same_states_are_told_apart(difference: Callable[..., RunDiff]) -> None:
    diff = difference(seed=5)
    assert (diff.outcomes.n_same_start, diff.outcomes.n_same_end) == (6, 0)
    assert diff.is_equal


def test_lost_episodes_are_named_with_their_kinds(difference: Callable[..., RunDiff]) -> None:
    diff = difference(outcomes=["success", "failure", "success", "failure", "success", "policy_error"])
    assert words(diff, Effect.SCORE) == [
        "judged episodes: 3/6 of 6 planned, 0 lost → 3/5 of 6 planned, 1 lost (policy_timeout 1)"
    ]
    assert "other is incomplete" in diff.obstacles[-1]
    assert diff.outcomes.n_shared == 5


def test_its_json_has_no_value_that_json_has_not(difference: Callable[..., RunDiff]) -> None:
    plain = difference(settings=EvalSettings(history=(-2, -1))).to_dict()
    assert plain["is_comparable"] is True
    assert plain["is_equal"] is False
    assert plain["traits"][0]["second"] == [-2, -1]
