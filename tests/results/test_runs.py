"""What a run's result says: the score line, rates only where nothing is missing, the stable JSON form."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.results import samples
from vla_bench.results.runs import RunSummary, score_line
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import PolicyInfo, PolicyKind
from vla_bench.spec.outcomes import Outcome


@pytest.fixture
def memory():
    with Store.open("sqlite://") as store:
        yield store


def run(store: Store, outcomes, name: str = "a-run", **changes) -> RunSummary:
    spec = samples.spec(name, **changes)
    name = store.begin_run(spec).name
    store.add(name, samples.results(spec.plan, outcomes))
    return store.finish(name)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((20, 20, 20, {}), "20/20 of 20 planned, 0 lost"),
        (
            (17, 18, 20, {"not_run": 1, "policy_timeout": 1}),
            "17/18 of 20 planned, 2 lost (policy_timeout 1, not_run 1)",
        ),
        ((0, 0, 5, {"not_run": 5}), "0/0 of 5 planned, 5 lost (not_run 5)"),
        (
            (1, 1, 9, {"a": 1, "not_run": 4, "z": 2, "b": 1, "empty": 0}),
            "1/1 of 9 planned, 8 lost (z 2, a 1, b 1, not_run 4)",
        ),
    ],
)
def test_there_is_one_way_to_write_a_score(arguments, line: str) -> None:
    assert score_line(*arguments) == line


def test_a_complete_run_has_a_rate_and_both_intervals(memory: Store) -> None:
    summary = run(memory, ["success"] * 5 + ["failure"])
    assert (summary.is_complete, summary.n_success, summary.n_judged, summary.rate) == (
        True,
        5,
        6,
        pytest.approx(5 / 6),
    )
    assert summary.these_tasks is not None
    assert summary.tasks_like_these is not None
    assert summary.tasks_like_these.is_rough
    assert summary.bounds is None
    assert summary.coverage == 1.0


@pytest.mark.parametrize("lost", ["policy_error", "env_error", "harness_error", "not_run"])
def test_a_lost_episode_is_no_failure_and_the_run_has_no_rate(memory: Store, lost: str) -> None:
    summary = run(memory, ["success"] * 4 + [lost])
    assert (summary.n_judged, summary.n_success, summary.n_lost, summary.not_run) == (4, 4, 2, 1)
    assert summary.rate is summary.these_tasks is summary.tasks_like_these is None
    assert summary.bounds == pytest.approx((4 / 6, 1.0))
    assert summary.coverage == pytest.approx(4 / 6)
    assert not summary.is_complete
    assert all(mean.rate is None for mean in summary.group_means.values())


def test_a_complete_task_of_an_incomplete_run_has_its_rate(memory: Store) -> None:
    spec = samples.spec()
    memory.begin_run(spec)
    done = [episode for episode in spec.plan.episodes if episode.task == "t0"]
    memory.add(spec.name, [samples.result(episode) for episode in done])
    by_task = {task.task: task for task in memory.summary(spec.name).per_task}
    assert (by_task["t0"].rate, by_task["t0"].bounds) == (1.0, None)
    assert (by_task["t1"].rate, by_task["t1"].bounds, by_task["t1"].n_lost) == (None, (0.0, 1.0), 2)


def test_nothing_run_is_no_number(memory: Store) -> None:
    summary = run(memory, [])
    assert summary.score_line == "0/0 of 6 planned, 6 lost (not_run 6)"
    assert summary.rate is None
    assert summary.latencies.policy_p50_ms is None
    assert summary.latencies.harness_share is None
    assert summary.latencies.policy_max_ms is None


def test_groups_are_means_of_task_rates_and_their_mean_is_over_groups(memory: Store) -> None:
    outcomes = {"t0": ["success", "success"], "t1": ["failure", "failure"], "t2": ["success", "failure"]}
    spec = samples.spec()
    memory.begin_run(spec)
    memory.add(spec.name, [samples.result(e, outcomes[e.task][e.trial]) for e in spec.plan.episodes])
    summary = memory.finish(spec.name)
    groups = {group.value: group for group in summary.groups["difficulty"]}
    assert (groups["easy"].rate, groups["easy"].n_tasks, groups["hard"].rate) == (0.75, 2, 0.0)
    assert summary.rate == pytest.approx(0.5)
    assert summary.group_means["difficulty"].rate == pytest.approx(0.375)
    interval = summary.group_means["difficulty"].interval
    assert interval is not None
    assert interval.low <= 0.375 <= interval.high


def test_repeats_are_counted_by_initial_state(memory: Store) -> None:
    of = samples.suite()
    plan = make_plan(of, repeats=5)
    # Trial 0 always succeeds, trial 1 never: five repeats add nothing to what the states say.
    outcomes = ["success" if episode.trial == 0 else "failure" for episode in plan.episodes]
    repeated, once = run(memory, outcomes, of=of, plan=plan), run(memory, outcomes[:6], name="once")
    assert (repeated.n_repeats, once.n_repeats) == (5, 1)
    assert repeated.n_judged == 30
    assert repeated.these_tasks is not None
    assert once.these_tasks is not None
    width, width_once = (i.high - i.low for i in (repeated.these_tasks, once.these_tasks))
    assert width > 0.9 * width_once


def test_oracles_are_marked(memory: Store) -> None:
    assert run(memory, [], policy=PolicyInfo(name="expert", kind=PolicyKind.ORACLE)).is_oracle
    assert not run(memory, [], name="other").is_oracle


def test_latencies_are_those_of_all_answers_and_shares_add_up(memory: Store) -> None:
    spec = samples.spec()
    memory.begin_run(spec)
    quick = samples.trace(latency_ms=[10.0] * 98)
    slow = samples.trace(latency_ms=[500.0, 1000.0])
    first, second = spec.plan.episodes[:2]
    memory.add(spec.name, [samples.result(first, trace=quick), samples.result(second, "policy_error", trace=slow)])
    latencies = memory.summary(spec.name).latencies
    assert latencies.policy_p50_ms == pytest.approx(10.0, rel=0.0101)
    assert latencies.policy_p95_ms == pytest.approx(10.0, rel=0.0101)
    assert latencies.policy_max_ms == 20.0
    assert latencies.harness_share == pytest.approx(0.05)
    assert latencies.policy_share + latencies.env_share + latencies.harness_share == pytest.approx(1)  # type: ignore[operator]
    assert (latencies.wall_s, latencies.n_queries) == (pytest.approx(0.2), 4)


def test_flags_and_clipped_actions_are_counted(memory: Store) -> None:
    spec = samples.spec()
    memory.begin_run(spec)
    flagged = samples.result(spec.plan.episodes[0], "failure", flags=("unstable",), n_clipped=7)
    memory.add(spec.name, [flagged, samples.result(spec.plan.episodes[1], n_clipped=1)])
    summary = memory.summary(spec.name)
    assert (summary.flags, summary.n_clipped) == ({"unstable": 1}, 8)


@pytest.mark.parametrize("outcomes", [["success"] * 6, ["success", "env_error"], []])
def test_the_json_form_comes_back_as_the_same_summary(memory: Store, outcomes) -> None:
    summary = run(memory, outcomes)
    text = json.dumps(summary.to_dict(), allow_nan=False)
    assert RunSummary.from_dict(json.loads(text)) == summary
    assert json.loads(text)["score_line"] == summary.score_line


NAMES = (f"run-{index}" for index in count())


# One database for all examples: to open one costs more than to store a run.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outcomes=st.lists(st.sampled_from([str(outcome) for outcome in Outcome]), max_size=6))
def test_counts_always_add_up(memory: Store, outcomes: list[str]) -> None:
    summary = run(memory, outcomes, next(NAMES))
    assert sum(summary.lost_by_kind.values()) == summary.n_lost == summary.n_planned - summary.n_judged
    assert sum(task.n_success for task in summary.per_task) == summary.n_success <= summary.n_judged
    assert (summary.rate is None) == (summary.n_lost > 0)


def test_a_headline_is_the_summary_without_its_parts(memory: Store) -> None:
    summary = run(memory, ["success"] * 6)
    assert memory.summaries() == [replace(summary, per_task=(), groups={})]
