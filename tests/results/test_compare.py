"""Runs as columns: what they are loaded to, written to and paired as; on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.results.samples import attempt, results, spec, suite, trace
from vla_bench.results.comparison.baseline import read_baseline, write_baseline
from vla_bench.results.comparison.flips import find_flips, with_traces
from vla_bench.results.comparison.loading import load_vectors, mean_wall_s
from vla_bench.results.comparison.pairing import pair_runs, shared_episodes
from vla_bench.results.comparison.sides import Side
from vla_bench.results.comparison.table import compare
from vla_bench.results.comparison.vectors import NOT_JUDGED, RunVector
from vla_bench.results.stats.suites import mean_rate, tasks_like_these, these_tasks
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import IncompleteRun, PlanMismatch, UnknownRun, UsageError
from vla_bench.spec.result import EpisodeResult

OUTCOMES = ["success", "failure", "success", "success", "failure", "success"]


def stored(store: Store, name: str, outcomes: list[str], **changes: object) -> RunVector:
    made = spec(name, **changes)
    store.begin_run(made)
    store.add(name, results(made.plan, outcomes))
    return load_vectors(store, [name])[0]


def test_columns_are_in_plan_order(store: Store) -> None:
    vector = stored(store, "a", ["success", "policy_error", "failure"])
    assert vector.outcomes.tolist() == [1, NOT_JUDGED, 0, NOT_JUDGED, NOT_JUDGED, NOT_JUDGED]
    assert vector.plan.ids == tuple(episode.id for episode in spec().plan.episodes)
    assert (vector.n_judged, vector.n_success, vector.is_complete) == (2, 1, False)
    assert vector.counts() is None
    with pytest.raises(IncompleteRun, match="lacks 4 of 6 episodes"):
        vector.check_complete("this")


@pytest.mark.parametrize("repeats", [1, 3])
def test_rates_from_columns_are_those_of_the_summary(store: Store, repeats: int) -> None:
    of = suite(4, 12)
    rng = np.random.default_rng(repeats)
    plan = make_plan(of, repeats=repeats)
    outcomes = ["success" if bit else "failure" for bit in rng.random(len(plan)) < 0.7]
    vector = stored(store, "a", outcomes, of=of, plan=plan)
    summary = store.summary("a")
    assert mean_rate(vector.counts()) == pytest.approx(summary.rate)
    assert these_tasks(vector.counts()) == summary.these_tasks
    assert tasks_like_these(vector.counts()) == summary.tasks_like_these
    assert mean_wall_s(store, "a") == pytest.approx(0.1)


def test_runs_of_one_plan_share_its_columns(store: Store) -> None:
    stored(store, "a", OUTCOMES)
    stored(store, "b", OUTCOMES)
    one, other = load_vectors(store, ["b", "a"])
    assert (one.name, other.name) == ("b", "a")
    assert one.plan is other.plan
    with pytest.raises(UnknownRun):
        load_vectors(store, ["c"])


def test_a_baseline_file_gives_the_run_back(store: Store, tmp_path: Path) -> None:
    vector = stored(store, "a", OUTCOMES)
    write_baseline(tmp_path / "a.json", [vector])
    (found,) = read_baseline(tmp_path / "a.json")
    paired = pair_runs(vector, found)
    assert paired.new_success.tolist() == paired.base_success.tolist() == (vector.outcomes == 1).tolist()
    assert (found.plan.plan_hash, found.plan.groups.keys()) == (vector.plan.plan_hash, vector.plan.groups.keys())
    (again,) = shared_episodes([found])
    assert sorted(again.plan.ids) == sorted(vector.plan.ids)
    with pytest.raises(UsageError, match="one run per suite"):
        write_baseline(tmp_path / "b.json", [vector, vector])


def test_pairs_want_equal_plans(store: Store) -> None:
    long, short = stored(store, "long", ["success"] * 9, of=suite(3, 3)), stored(store, "short", OUTCOMES)
    with pytest.raises(PlanMismatch, match="6 of them the same"):
        pair_runs(long, short)
    one, other = shared_episodes([long, short])
    assert one.plan is other.plan
    assert len(one.plan) == 6
    assert pair_runs(one, other).base_success.tolist() == [outcome == "success" for outcome in OUTCOMES]


def test_a_side_is_compared_with_itself_by_nobody(store: Store) -> None:
    vector = stored(store, "a", OUTCOMES)
    with pytest.raises(UsageError, match="named twice"):
        compare([Side("a", (vector,)), Side("a", (vector,))])


def test_where_two_traces_part(store: Store) -> None:
    made = spec("old")
    common = trace(1)
    episode = made.plan.episodes[0]
    later = replace(common, actions=common.actions.copy(), digests=(*common.digests[:2], "f" * 32))
    later.actions[10, 2] += 0.25
    for name, found, outcome in (("old", common, "success"), ("new", later, "failure")):
        store.begin_run(replace(made, name=name))
        store.add(name, [EpisodeResult(episode=episode, attempts=(replace(attempt(outcome), trace=found),))])
    (new, old) = shared_episodes(load_vectors(store, ["new", "old"]))
    ((flip, traces),) = with_traces(find_flips(pair_runs(new, old)), store, "new", "old")
    assert (flip.actions_part_at, flip.states_part_at) == (10, 16)
    assert flip.largest_difference == pytest.approx(0.25, abs=1e-6)
    assert traces.flip == flip
    assert (flip.new.is_success, flip.base.is_success, flip.is_gain) == (False, True, False)


def test_equal_actions_with_different_ends_are_the_simulators_doing(store: Store) -> None:
    made = spec("old")
    for name, outcome in (("old", "success"), ("new", "failure")):
        store.begin_run(replace(made, name=name))
        store.add(name, [EpisodeResult(episode=made.plan.episodes[0], attempts=(attempt(outcome, seed=3),))])
    (new, old) = shared_episodes(load_vectors(store, ["new", "old"]))
    ((flip, _),) = with_traces(find_flips(pair_runs(new, old)), store, "new", "old")
    assert (flip.actions_part_at, flip.largest_difference) == (None, 0.0)
