"""Runs a plan: the episode loop, the runner, executors, and the door for Python; replays what was recorded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vla_bench.harness.config import RunConfig as RunConfig
    from vla_bench.harness.episode import run_episode as run_episode
    from vla_bench.harness.events import Listener as Listener
    from vla_bench.harness.execute import execute_run as execute_run
    from vla_bench.harness.executors import Executor as Executor
    from vla_bench.harness.preview import preview_run as preview_run
    from vla_bench.harness.replay import verify_episodes as verify_episodes
    from vla_bench.harness.replay import verify_run as verify_run
    from vla_bench.harness.rollout import Rollout as Rollout
    from vla_bench.harness.runner import Runner as Runner

__all__ = [
    "Executor", "Listener", "Rollout", "RunConfig", "Runner", "execute_run", "preview_run", "run_episode",
    "verify_episodes", "verify_run",
]  # fmt: skip

_HOMES = {
    "Executor": "executors",
    "Listener": "events",
    "Rollout": "rollout",
    "RunConfig": "config",
    "Runner": "runner",
    "execute_run": "execute",
    "preview_run": "preview",
    "run_episode": "episode",
    "verify_episodes": "replay",
    "verify_run": "replay",
}


def __getattr__(name: str) -> Any:
    # A progress display wants `Listener` and no database.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
