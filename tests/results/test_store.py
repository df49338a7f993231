"""The store on SQLite files and on PostgreSQL: runs are begun, resumed, refused; episodes are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa

from tests.results import samples
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT, EPISODE, RUN
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import RunMismatch, UnknownRun
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import EpisodeResult
from vla_bench.spec.settings import EvalSettings


def count(store: Store, table: sa.Table) -> int:
    with store.database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_everything_of_an_attempt_comes_back(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    episode = spec.plan.episodes[0]
    lost, judged = (
        samples.attempt("env_error", seed=1),
        samples.attempt("success", 1, seed=2, n_clipped=3, flags=("unstable",)),
    )
    store.add(spec.name, [EpisodeResult(episode=episode, attempts=(lost, judged))])
    stored = store.attempts_of(spec.name, episode.id)
    assert [item.result for item in stored] == [replace(lost, trace=None), replace(judged, trace=None)]
    trace = store.trace(stored[1].trace_digest)
    assert judged.trace is not None
    assert np.array_equal(trace.actions, judged.trace.actions)
    assert trace.digests == judged.trace.digests


def test_the_machines_of_a_run_are_counted(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    other = replace(samples.MACHINE, renderer={"name": "egl"})
    attempts = [samples.attempt(fingerprint=machine) for machine in (samples.MACHINE, other, other, None)]
    episodes = spec.plan.episodes
    store.add(spec.name, [EpisodeResult(episode=e, attempts=(a,)) for e, a in zip(episodes, attempts, strict=False)])
    assert store.fingerprints(spec.name) == [(other, 2), (samples.MACHINE, 1)]


def test_a_run_is_self_contained(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    assert store.plan(spec.name) == spec.plan
    assert store.plan(spec.name).plan_hash == spec.plan.plan_hash


def test_finished_episodes_are_there_in_another_store(db: str, open_store: Callable[..., Store]) -> None:
    spec = samples.spec()
    first = open_store(db)
    first.begin_run(spec)
    first.add(spec.name, samples.results(spec.plan, ["success", "failure"]))
    assert list(open_store(db).outcomes(spec.name).values()) == [Outcome.SUCCESS, Outcome.FAILURE]


def test_the_same_run_is_resumed(db: str, open_store: Callable[..., Store]) -> None:
    spec = samples.spec()
    first = open_store(db)
    begun = first.begin_run(spec)
    first.add(spec.name, samples.results(spec.plan, ["success"]))
    again = open_store(db).begin_run(replace(spec, command="another command line"))
    assert (begun.is_resumed, again.is_resumed) == (False, True)
    assert (again.name, again.started_at, again.n_planned) == (spec.name, begun.started_at, 6)


def test_attempts_that_come_one_by_one_are_one_episode(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    episode = spec.plan.episodes[0]
    store.add(spec.name, [samples.result(episode, "policy_error", 0)])
    assert store.outcomes(spec.name) == {episode.id: Outcome.POLICY_ERROR}
    store.add(spec.name, [samples.result(episode, "env_error", 1), samples.result(episode, "success", 2)])
    assert store.outcomes(spec.name) == {episode.id: Outcome.SUCCESS}
    assert [item.result.outcome for item in store.attempts_of(spec.name, episode.id)] == [
        Outcome.POLICY_ERROR, Outcome.ENV_ERROR, Outcome.SUCCESS,
    ]  # fmt: skip
    assert store.summary(spec.name).n_attempts == 3


def test_attempts_of_a_resumed_run_are_counted_on(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    episode = spec.plan.episodes[0]
    store.add(spec.name, [samples.result(episode, "policy_error", 0), samples.result(episode, "policy_error", 1)])
    store.begin_run(spec)
    store.add(spec.name, [samples.result(episode, "success", 0)])
    stored = store.attempts_of(spec.name, episode.id)
    assert [(item.result.attempt, item.result.outcome.value) for item in stored] == [
        (0, "policy_error"), (1, "policy_error"), (2, "success"),
    ]  # fmt: skip


def test_a_judged_episode_stays_as_it_is(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    episode = spec.plan.episodes[0]
    store.add(spec.name, [samples.result(episode, "success")])
    for later in ("failure", "policy_error", "success"):
        store.add(spec.name, [samples.result(episode, later)])
    assert store.outcomes(spec.name) == {episode.id: Outcome.SUCCESS}
    assert count(store, ATTEMPT) == 1


def test_a_batch_is_stored_whole_or_not_at_all(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    stranger = samples.spec(of=samples.suite(4, 9)).plan.episodes[-1]
    with pytest.raises(ValueError, match=stranger.id):
        store.add(spec.name, [samples.result(spec.plan.episodes[0]), samples.result(stranger)])
    assert store.outcomes(spec.name) == {}
    store.add(spec.name, [])
    assert count(store, EPISODE) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": EvalSettings(replan_horizon=8)}, "settings.replan_horizon: null → 8"),
        ({"policy": PolicyInfo(name="lamp", weights_digest="ff")}, 'policy.weights_digest: "" → "ff"'),
        ({"plan": make_plan(samples.suite(), policy_seed=7)}, "plan episode 0.policy_seed: "),
        ({"plan": make_plan(samples.suite(), n_trials=1)}, "plan: 6 episodes → 3 episodes"),
        ({"plan": make_plan(samples.suite(), tasks=["t1"])}, "plan: 3 tasks → 1 tasks"),
        ({"suite": samples.suite(state={"q": 5})}, "suite.state.q: 4 → 5"),
    ],
)
def test_another_run_of_the_same_name_is_refused_with_a_difference(store: Store, change, words: str) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    store.add(spec.name, samples.results(spec.plan, ["success"]))
    with pytest.raises(RunMismatch) as refused:
        store.begin_run(replace(spec, **change))
    assert words in str(refused.value)
    assert "--fresh" in str(refused.value)
    assert len(store.outcomes(spec.name)) == 1


def test_corrected_words_are_no_other_suite(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    better = samples.suite(title="A better title", provenance={"code": "elsewhere"})
    assert store.begin_run(replace(spec, suite=better)).is_resumed


def test_fresh_takes_the_next_free_name(store: Store) -> None:
    spec = samples.spec()
    assert store.begin_run(spec, fresh=True).name == "a-run"
    assert store.begin_run(spec, fresh=True).name == "a-run-2"
    assert store.begin_run(spec, fresh=True).name == "a-run-3"
    assert [run.name for run in store.summaries()] == ["a-run", "a-run-2", "a-run-3"]


def test_an_unknown_run_names_its_near_matches(store: Store) -> None:
    store.begin_run(samples.spec("expert-toy_reach"))
    for ask in (store.summary, store.outcomes, store.finish, store.delete, store.plan):
        with pytest.raises(UnknownRun, match="Did you mean 'expert-toy_reach'"):
            ask("expert-toyreach1")


def test_a_finished_run_is_read_from_its_aggregate(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    store.add(spec.name, samples.results(spec.plan, ["success"] * 6))
    assert store.summary(spec.name).finished_at == ""
    finished = store.finish(spec.name)
    assert finished.finished_at
    with store.database.write() as connection:
        # Whatever happens to the rows, the aggregate is what is shown.
        connection.execute(sa.update(EPISODE).values(outcome="failure"))
    assert store.summary(spec.name) == finished
    assert store.summaries()[0].n_success == 6


def test_a_further_attempt_makes_the_aggregate_out_of_date(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    store.add(spec.name, samples.results(spec.plan, ["success"] * 5))
    incomplete = store.finish(spec.name)
    store.add(spec.name, [samples.result(spec.plan.episodes[5], "failure")])
    now = store.summary(spec.name)
    assert (incomplete.rate, now.n_judged, now.finished_at) == (None, 6, "")
    assert now.rate == pytest.approx(5 / 6)


def test_finishing_twice_keeps_the_time(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    with store.database.write() as connection:
        connection.execute(sa.update(RUN).values(finished_at="2030-01-01T00:00:00+00:00"))
    assert store.finish(spec.name) == store.finish(spec.name)
    assert store.summary(spec.name).finished_at == "2030-01-01T00:00:00+00:00"


def test_shards_are_parts_of_one_run(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(replace(spec, shard="2/2"))
    store.add(spec.name, samples.results(spec.plan, ["success"]))
    store.finish(spec.name)
    assert store.begin_run(replace(spec, shard="1/2")).is_resumed
    store.begin_run(replace(spec, shard="1/2"))
    summary = store.summary(spec.name)
    assert summary.shards == ("1/2", "2/2")
    assert summary.n_planned == 6


def test_a_deleted_run_is_gone_with_what_was_its_own(db: str, open_store: Callable[..., Store]) -> None:
    store = open_store(db)
    for name in ("keep", "drop"):
        spec = samples.spec(name)
        store.begin_run(spec)
        store.add(name, samples.results(spec.plan, ["success", "failure"]))
    store.delete("drop")
    assert [run.name for run in store.summaries()] == ["keep"]
    assert (count(store, EPISODE), count(store, ATTEMPT)) == (2, 2)
    store.begin_run(samples.spec("drop"))
    assert store.outcomes("drop") == {}


def test_traces_go_with_their_run_unless_another_one_needs_them(tmp_path) -> None:
    with Store.open(tmp_path / "x.db") as store:
        first, second = samples.spec("first"), samples.spec("second")
        for spec, seeds in ((first, (0, 1)), (second, (1,))):
            store.begin_run(spec)
            store.add(spec.name, [samples.result(spec.plan.episodes[i], seed=seed) for i, seed in enumerate(seeds)])
        shared = store.attempts_of("second", second.plan.episodes[0].id)[0].trace_digest
        store.delete("first")
        assert [path.name.split(".")[0] for path in (tmp_path / "x-traces").glob("*/*")] == [shared]


def test_odd_values_never_lose_an_episode(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    odd = samples.attempt(
        "env_error",
        error_kind="k" * 100,
        error_message="NUL \0 and half a pair \ud800",
        facts={"nan": float("nan"), "array": np.arange(2), "bytes": b"x", "text": "\0", "deep": [{"inf": np.inf}]},
        latencies=replace(samples.attempt().latencies, policy_p50_ms=float("nan")),
        n_steps=np.int64(3),
    )
    store.add(spec.name, [EpisodeResult(episode=spec.plan.episodes[0], attempts=(odd,))])
    stored = store.attempts_of(spec.name, spec.plan.episodes[0].id)[0].result
    assert stored.error_message == "NUL  and half a pair ?"
    assert stored.facts == {"nan": "nan", "array": [0, 1], "bytes": "b'x'", "text": "", "deep": [{"inf": "inf"}]}
    assert (stored.n_steps, stored.latencies.policy_p50_ms) == (3, 0.0)
    assert store.finish(spec.name).n_lost == 6


def test_an_attempt_without_a_worker_or_a_trace_is_stored(store: Store) -> None:
    spec = samples.spec()
    store.begin_run(spec)
    bare = samples.attempt("env_error", fingerprint=None, trace=None)
    store.add(spec.name, [EpisodeResult(episode=spec.plan.episodes[0], attempts=(bare,))])
    stored = store.attempts_of(spec.name, spec.plan.episodes[0].id)
    assert (stored[0].result, stored[0].trace_digest) == (bare, "")


def test_large_batches_are_taken(store: Store) -> None:
    of = samples.suite(30, 40)
    spec = samples.spec(of=of)
    store.begin_run(spec)
    results = [samples.result(episode, trace=None) for episode in spec.plan.episodes]
    store.add(spec.name, results)
    store.add(spec.name, results)
    assert len(store.outcomes(spec.name)) == count(store, ATTEMPT) == 1200
    assert store.finish(spec.name).rate == 1.0


def test_one_store_serves_several_threads(store: Store) -> None:
    spec = samples.spec(of=samples.suite(4, 10))
    store.begin_run(spec)
    errors: list[BaseException] = []

    def write(part: int) -> None:
        try:
            for episode in spec.plan.episodes[part::4]:
                store.add(spec.name, [samples.result(episode, trace=None)])
                store.outcomes(spec.name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.outcomes(spec.name)) == 40


def test_the_default_place_is_the_home(home) -> None:
    with Store.open() as store:
        assert store.location.path == home / "results.db"
        assert store.traces_url == str(home / "results-traces")
    assert (home / "results.db").exists()
