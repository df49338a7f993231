"""The Python door: `vla_bench.evaluate`, for notebooks and training loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vla_bench.harness.config import RunConfig
from vla_bench.harness.execute import execute_run
from vla_bench.policies.base import Policy

if TYPE_CHECKING:
    from vla_bench.harness.events import Listener
    from vla_bench.results.runs import RunSummary

__all__ = ["evaluate"]


def evaluate(
    policy: str | Policy,
    suite: str,
    *,
    protocol: str = "",
    tasks: Sequence[str] = (),
    trials: int | None = None,
    repeats: int = 1,
    settings: Mapping[str, Any] | None = None,
    name: str = "",
    db: str = "",
    workers: int | None = None,
    executor: str = "local",
    listener: Listener | None = None,
    **more: Any,
) -> RunSummary:
    """Run a suite's plan against a policy and return the result: what `vla-bench run` does, as a function.

    The same call again goes on where the last one stopped, and runs nothing where it was complete.

    Args:
        policy: a live object with `info`, `reset`, `act` and `close`, served from this process; or what `--policy`
            takes: a registered name, a URL, the path of a YAML file.
        suite: name of the suite, as `vla-bench suites` lists it.
        protocol: of the suite, its default where empty.
        tasks: tasks to keep, empty for all.
        trials: trials per task, None for the protocol's number.
        repeats: rollouts of each initial state, each under its own policy seed.
        settings: evaluation settings by name (`{"replan_horizon": 8}`).
        name: of the run; empty makes one of policy, suite and protocol.
        db: database URL, empty for the default one.
        workers: simulators at a time, None for as many as the machine has cores.
        executor: registered name of an executor.
        listener: hears what happens meanwhile.
        more: any other field of `RunConfig`.

    Returns:
        The summary. `rate` is None unless every planned episode was judged.

    Raises:
        UsageError: something in the arguments is wrong; nothing has been run.
        PolicyError: the policy could not be reached at all.
        StoreError: results cannot be stored; finished episodes are kept.
        Interrupted: stopped by the user; the same call goes on.
    """
    config = RunConfig(
        policy=policy,
        suite=suite,
        protocol=protocol,
        tasks=tuple(tasks),
        trials=trials,
        repeats=repeats,
        settings=settings or {},
        name=name,
        db=db,
        workers=workers,
        executor=executor,
        **more,
    )
    return execute_run(config, listener=listener)
