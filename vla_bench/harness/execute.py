"""`execute_run`: one run from its configuration to its summary, for `vla-bench run` and `vla_bench.evaluate` alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vla_bench.envs.registry import WorkerLimits
from vla_bench.harness.attempt import EpisodeWorker, WorkerSetup
from vla_bench.harness.config import RunConfig
from vla_bench.harness.events import Listener, RunStarted
from vla_bench.harness.executors.base import Job
from vla_bench.harness.interrupts import undisturbed
from vla_bench.harness.prepare import Prepared, prepare
from vla_bench.harness.runner import Runner, RunRules
from vla_bench.harness.writer import ResultWriter
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
    stopped = _run_jobs(config, prepared, store, started, jobs, listener) if jobs else None
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
    store: Store,
    started: RunStarted,
    jobs: Sequence[Job],
    listener: Listener,
) -> VlaBenchError | None:
    """Run all jobs; returns why the run stopped before their end, None where it did not."""
    setup = WorkerSetup(
        suite=prepared.spec.suite,
        binding=prepared.binding,
        settings=prepared.spec.settings,
        options=prepared.options,
        limits=replace(
            WorkerLimits(),
            start_s=config.env_start_s,
            call_s=config.env_call_s,
            memory_growth_bytes=config.env_growth_bytes,
        ),
        isolation=prepared.executor.isolation,
        open_session=prepared.line.open_session,
    )
    rules = RunRules(
        max_attempts=config.max_attempts,
        server_wait_s=config.server_wait_s,
        max_restarts=config.max_restarts,
        repeated_policy_errors=prepared.spec.settings.repeated_policy_errors,
    )
    writer = ResultWriter(store, started.name)
    executor = prepared.executor(lambda: EpisodeWorker(setup), started.n_workers)
    runner = Runner(executor=executor, line=prepared.line, writer=writer, rules=rules, listener=listener)
    try:
        return runner.run(jobs)
    finally:
        with undisturbed():
            # The policy first: a worker that waits for its answer would be waited for.
            prepared.line.close()
            executor.close()
            writer.close()
