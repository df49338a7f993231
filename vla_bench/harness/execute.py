"""`execute_run`: one run from its configuration to its summary, for `vla-bench run` and `vla_bench.evaluate` alike."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.harness.config import RunConfig
from vla_bench.harness.events import Listener, RunStarted
from vla_bench.harness.executors.base import Job
from vla_bench.harness.open_runner import open_runner
from vla_bench.harness.order import scene_by_scene
from vla_bench.harness.prepare import Prepared, prepare
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import Interrupted, VlaBenchError
from vla_bench.spec.outcomes import Outcome

__all__ = ["execute_run"]

ROOM_BYTES = 1 << 20
ROOM_PER_EPISODE_BYTES = 16 << 10
"""What must be free before a run starts: a trace of 500 steps takes about 10 KiB, its rows 2."""


def execute_run(config: RunConfig, *, listener: Listener | None = None) -> RunSummary:
    """Run what is left of a run, and return its summary.

    Episodes that were judged before are not run again; those that were lost are.

    Args:
        config: the run.
        listener: hears what happens meanwhile; also why a run stopped before its end, which is then incomplete.

    Returns:
        The summary as stored, complete or not.

    Raises:
        UsageError: something in `config` is wrong, or the run exists with another plan, settings or policy.
        PolicyError: the policy could not be reached at all.
        StoreError: results cannot be stored; finished episodes are kept.
        Interrupted: Ctrl-C or SIGTERM (as `KeyboardInterrupt`); finished episodes are kept.
    """
    try:
        with prepare(config) as prepared:
            return _execute(config, prepared, listener or Listener())
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; finished episodes are kept, the same command goes on") from error


def _execute(config: RunConfig, prepared: Prepared, listener: Listener) -> RunSummary:
    store = prepared.store
    assert store is not None
    record = store.begin_run(prepared.spec, fresh=config.fresh)
    outcomes = store.outcomes(record.name)
    mine = [outcomes.get(episode.id, Outcome.NOT_RUN) for episode in prepared.episodes]
    jobs = [
        _job(store, record.name, episode, outcome)
        for episode, outcome in zip(prepared.episodes, mine, strict=True)
        if not outcome.is_judged
    ]
    jobs = scene_by_scene(prepared.spec.suite, jobs)
    if jobs:
        store.check_space(ROOM_BYTES + len(jobs) * ROOM_PER_EPISODE_BYTES)
    spec = prepared.spec
    started = RunStarted(
        name=record.name,
        suite=spec.suite,
        plan=spec.plan,
        settings=spec.settings,
        policy=spec.policy,
        shard=spec.shard,
        n_planned=len(mine),
        n_judged=len(mine) - len(jobs),
        n_success=mine.count(Outcome.SUCCESS),
        n_to_run=len(jobs),
        n_workers=min(prepared.n_workers, len(jobs)),
        executor=config.executor,
        is_resumed=record.is_resumed,
        database=str(store.location),
        notices=tuple(store.notices),
    )
    listener.run_started(started)
    stopped = _run_jobs(config, prepared, started, jobs, listener) if jobs else None
    if stopped is not None:
        listener.run_stopped(stopped)
    summary = store.summary(record.name)
    if jobs or not summary.finished_at:
        summary = store.finish(record.name)
    listener.run_finished(summary)
    return summary


def _job(store: Store, run_name: str, episode: Episode, outcome: Outcome) -> Job:
    n_before = 0 if outcome is Outcome.NOT_RUN else len(store.attempts_of(run_name, episode.id))
    return Job(episode=episode, attempt=n_before)


def _run_jobs(
    config: RunConfig,
    prepared: Prepared,
    started: RunStarted,
    jobs: Sequence[Job],
    listener: Listener,
) -> VlaBenchError | None:
    """Run all jobs; returns why the run stopped before their end, None where it did not."""
    with open_runner(config, prepared, started.name, started.n_workers, listener) as runner:
        return runner.run(jobs)
