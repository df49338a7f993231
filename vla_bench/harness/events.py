"""What a run tells while it goes on: a `Listener` with one method per event. Progress displays live in `cli`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vla_bench.spec.episode import Episode, Plan
from vla_bench.spec.errors import VlaBenchError
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.result import AttemptResult, EpisodeResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

if TYPE_CHECKING:
    from vla_bench.results.runs import RunSummary

__all__ = ["Listener", "RunStarted", "ServerWait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Everything is bound and open; the first episode starts next, or none is left to run.

    Attributes:
        name: of the run in the database.
        suite, plan, settings, policy: what is evaluated.
        shard: `i/n`, empty for the whole plan.
        n_planned: episodes of this part of the plan.
        n_judged, n_success: of those, judged and successful before this command.
        n_to_run: episodes that this command runs, lost ones of earlier commands included.
        n_workers: simulators at a time.
        executor: name of the executor.
        is_resumed: whether the run existed before.
        database: where results go, for people.
        notices: what the store wants people to know: an upgraded schema, a network file system.
    """

    name: str
    suite: Suite
    plan: Plan
    settings: EvalSettings
    policy: PolicyInfo
    shard: str
    n_planned: int
    n_judged: int
    n_success: int
    n_to_run: int
    n_workers: int
    executor: str
    is_resumed: bool
    database: str
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWait:
    """The policy server does not answer; no episode is started until it does.

    Attributes:
        error: what the first episode that noticed got.
        wait_s: how long a server that is not ours is waited for, seconds; a server of ours is started anew at once.
        is_restarting: whether the server is ours.
        route: which of a policy's routes it serves; empty where there are none.
    """

    error: VlaBenchError
    wait_s: float
    is_restarting: bool
    route: str = ""


class Listener:
    """Override what you want to hear. Every method is called from the thread that runs the plan, and must not raise."""

    def run_started(self, started: RunStarted) -> None:
        """The run is open. `started.n_to_run` may be 0: the run was complete before."""

    def attempt_finished(self, episode: Episode, attempt: AttemptResult, *, is_final: bool) -> None:
        """One try ended. Where it was lost and `is_final` is False, the episode is tried again."""

    def episode_finished(self, result: EpisodeResult) -> None:
        """An episode was judged, or lost for the last time; `result.attempts` are those of this command."""

    def waiting_for_server(self, wait: ServerWait) -> None:
        """The policy server is gone; no episode is started until it answers."""

    def server_back(self) -> None:
        """The policy server answers again; the run goes on."""

    def run_stopped(self, error: VlaBenchError) -> None:
        """The run ends before its plan does, because of `error`; what was not reached is `not_run`."""

    def run_finished(self, summary: RunSummary) -> None:
        """Everything is stored. Also called after `run_stopped`."""
