"""`RunConfig`: everything a run is told, by the command line or by `vla_bench.evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vla_bench.policies.base import Deadlines, Policy
from vla_bench.spec.episode import Plan
from vla_bench.spec.errors import UsageError

__all__ = ["RunConfig"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: which policy, on what, how, and where the results go.

    Attributes:
        policy: a registered name, a URL, the path of a YAML file, or a live `Policy` object.
        suite: name of the suite.
        policy_options: options of a named policy (`noise` → `0.1`).
        protocol: name of the protocol, empty for the suite's default.
        plan: the episodes to run, in place of those that suite, tasks, tags, sample, trials and repeats select; None
            where they do.
        tasks: tasks to keep, empty for all.
        tags: tag of tasks → values to keep (`dimension` → `("camera",)`); one without values keeps all.
        sample: tasks to draw, every group with its share; None for all.
        sample_seed: of that draw.
        trials: trials per task, None for the protocol's number.
        repeats: rollouts of each initial state, each under its own policy seed.
        shard: `i/n` runs every n-th episode of the plan; empty runs all.
        settings: evaluation settings by name; they win over those of a YAML file.
        name: of the run; empty makes one of policy, suite and protocol.
        fresh: start anew under a numbered name where a run of that name exists.
        db: database URL, empty for the default one.
        traces: folder or object store of the traces, empty for the default one.
        db_wait_s: how long to wait for another process that writes to the database, seconds.
        executor: registered name.
        workers: simulators at a time, None for as many as the machine has cores.
        max_attempts: tries per episode and command.
        deadlines: how long a policy may take.
        env_start_s: how long a simulator may take to start, and for its first episode's scene, seconds.
        env_reset_s: for the scene of each later task, seconds; `env_call_s` where that is more.
        env_call_s: for another episode of the same task, and for the actions and pictures of one answer, seconds.
        env_growth_bytes: resident memory that a simulator may take beyond what it has after its first reset.
        server_wait_s: how long the run waits for a policy server that went away, seconds.
        max_restarts: times that a server of ours is started anew without an episode judged in between.
        token: bearer token of the policy server, None for none.
        renderer: render back end, empty for the first one that works.
        lazy: render once per chunk; False renders at every step (slower, equal results).
        command: the command as typed, stored with the run.
    """

    policy: str | Policy
    suite: str
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = ""
    plan: Plan | None = None
    tasks: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sample: int | None = None
    sample_seed: int = 0
    trials: int | None = None
    repeats: int = 1
    shard: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    fresh: bool = False
    db: str = ""
    traces: str = ""
    db_wait_s: float = 30.0
    executor: str = "local"
    workers: int | None = None
    max_attempts: int = 3
    deadlines: Deadlines = Deadlines()
    env_start_s: float = 120.0
    env_reset_s: float = 120.0
    env_call_s: float = 30.0
    env_growth_bytes: int = 2 << 30
    server_wait_s: float = 30.0
    max_restarts: int = 3
    token: str | None = None
    renderer: str = ""
    lazy: bool = True
    command: str = ""

    def __post_init__(self) -> None:
        checks = {
            "workers": self.workers is None or self.workers >= 1,
            "max_attempts": self.max_attempts >= 1,
            "env_start_s": self.env_start_s > 0,
            "env_reset_s": self.env_reset_s > 0,
            "env_call_s": self.env_call_s > 0,
            "env_growth_bytes": self.env_growth_bytes > 0,
            "db_wait_s": self.db_wait_s > 0,
            "server_wait_s": self.server_wait_s >= 0,
            "max_restarts": self.max_restarts >= 0,
        }
        if bad := [f"{name}={getattr(self, name)!r}" for name, is_good in checks.items() if not is_good]:
            raise UsageError(f"out of range: {', '.join(bad)}")
