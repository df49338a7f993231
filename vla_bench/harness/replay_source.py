"""`--policy replay -o run=NAME`: the actions of a stored run, as the file that the replay policy reads."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.resolve import ResolvedPolicy
from vla_bench.results.store import Store
from vla_bench.spec.errors import UnknownRun, UsageError

__all__ = ["export_actions", "with_recorded_actions"]


def with_recorded_actions(policy: ResolvedPolicy, store: Store | None, stack: ExitStack) -> ResolvedPolicy:
    """Where the policy is `replay` and names a run, export that run's actions and name the file instead.

    Args:
        policy: as resolved; any other one is returned as it is.
        store: where the run is; None where there is no database.
        stack: the file is deleted when it closes.

    Raises:
        UnknownRun: there is no such run.
        UsageError: both a run and a file are named, or nothing of the run was judged.
    """
    if policy.target != "replay" or "run" not in policy.options:
        return policy
    options = dict(policy.options)
    run_name = str(options.pop("run"))
    if options.get("actions"):
        raise UsageError("policy 'replay' takes run=NAME or actions=PATH, not both")
    if store is None:
        raise UnknownRun(run_name)
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="vla-bench-replay-")))
    options["actions"] = str(export_actions(store, run_name, folder / "actions.npz"))
    return replace(policy, options=options)


def export_actions(store: Store, run_name: str, path: Path) -> Path:
    """Write the executed actions of a run's judged episodes, those of the attempt that counts.

    The same run gives the same bytes, so that a replay is the same policy every time.

    Args:
        store: where the run is.
        run_name: of the run.
        path: of the `.npz` to write: episode id → float32 `[T, A]`.

    Returns:
        `path`.

    Raises:
        UnknownRun: there is no such run.
        UsageError: nothing of it was judged.
        StoreCorrupted: a trace is missing or damaged.
    """
    actions: dict[str, NDArray[np.float32]] = {}
    for episode_id, outcome in sorted(store.outcomes(run_name).items()):
        if outcome.is_judged and (digest := store.attempts_of(run_name, episode_id)[-1].trace_digest):
            actions[episode_id] = np.asarray(store.trace(digest).actions, np.float32)
    if not actions:
        raise UsageError(f"run {run_name!r} has no judged episode to replay. See `vla-bench show {run_name}`.")
    np.savez_compressed(path, **actions)  # type: ignore[arg-type]
    return path
