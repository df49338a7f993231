"""`open_runner`: executor, writer and runner of a prepared run, freed in the right order whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from vla_bench.envs.registry import WorkerLimits
from vla_bench.harness.attempt import EpisodeWorker, WorkerSetup
from vla_bench.harness.config import RunConfig
from vla_bench.harness.events import Listener
from vla_bench.harness.interrupts import undisturbed
from vla_bench.harness.prepare import Prepared
from vla_bench.harness.runner import Runner, RunRules
from vla_bench.harness.writer import ResultWriter

__all__ = ["open_runner"]


@contextmanager
def open_runner(
    config: RunConfig, prepared: Prepared, run_name: str, n_workers: int, listener: Listener
) -> Iterator[Runner]:
    """A runner whose `run` may be called several times; results are on disk when this is left.

    Args:
        config: the run.
        prepared: of the same configuration, with a store.
        run_name: as begun in the store.
        n_workers: simulators at a time.
        listener: hears what happens.

    Raises:
        StoreError: results could not be stored.
    """
    assert prepared.store is not None
    setup = WorkerSetup(
        suite=prepared.spec.suite,
        bindings=prepared.bindings,
        settings=prepared.spec.settings,
        options=prepared.options,
        limits=replace(
            WorkerLimits(),
            start_s=config.env_start_s,
            reset_s=config.env_reset_s,
            call_s=config.env_call_s,
            memory_growth_bytes=config.env_growth_bytes,
        ),
        isolation=prepared.executor.isolation,
        line_of=prepared.line.of,
    )
    rules = RunRules(
        max_attempts=config.max_attempts,
        server_wait_s=config.server_wait_s,
        max_restarts=config.max_restarts,
        repeated_policy_errors=prepared.spec.settings.repeated_policy_errors,
    )
    writer = ResultWriter(prepared.store, run_name)
    executor = prepared.executor(lambda: EpisodeWorker(setup), n_workers)
    try:
        yield Runner(executor=executor, line=prepared.line, writer=writer, rules=rules, listener=listener)
    finally:
        with undisturbed():
            # The policy first: a worker that waits for its answer would be waited for.
            prepared.line.close()
            executor.close()
            writer.close()
