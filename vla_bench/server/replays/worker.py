"""A replay worker: claims over HTTP, replays in supervised simulators, reports. It holds a token and nothing else.

Killed in the middle it leaves leases that end by themselves; stopped, it gives back what it has not replayed.
"""

from __future__ import annotations

import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import families, family_of, find_suite
from vla_bench.envs.runtime.assets.needs import require_assets
from vla_bench.envs.runtime.fingerprint import take_fingerprint
from vla_bench.envs.runtime.place import place_of
from vla_bench.harness.replay import Agreement, Recording, ReplayResult, verify_episodes
from vla_bench.harness.replay.judge import not_replayed
from vla_bench.results.rows import attempt_from_row
from vla_bench.results.traces import TraceFolder, unpack_trace
from vla_bench.server.client import LeaseOver, ReplayBoard
from vla_bench.spec.canonical import content_id, to_plain
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import BoardUnreachable, StoreCorrupted, SubmissionRefused, UsageError, VlaBenchError
from vla_bench.spec.result import Fingerprint
from vla_bench.spec.suite import Suite

__all__ = ["WorkDone", "Worker", "ready_suites", "time_limit_s", "worker_name"]

IDLE_S = 5.0
UNREACHABLE_S = 15.0
REPORT_AGAIN_S = (1.0, 5.0)
"""Waits before a report is sent again, where the board does not answer."""
RENEWALS = 4
"""A lease is renewed so many times in its length."""

_MOST_MACHINES = 20
TIMES_RECORDED, SHORTEST_S, LONGEST_S = 3.0, 180.0, 7200.0
_LOST = "lost"
"""What became of a report that came after the end of its lease."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDone:
    """One replay that was reported.

    Attributes:
        submission, episode: what was replayed.
        result: what came of it.
        state: of the replay, as the board has it now; `lost` where the lease was over.
    """

    submission: str
    episode: str
    result: ReplayResult
    state: str


def time_limit_s(recording: Recording) -> float:
    """Seconds that a replay may take: three times the recorded duration, which is the submitter's word.

    So never less than a simulator needs to start, and never more than any episode needs.
    """
    return min(max(SHORTEST_S, TIMES_RECORDED * recording.attempt.latencies.wall_ms / 1e3), LONGEST_S)


def ready_suites() -> list[str]:
    """The suites that can be replayed on this machine."""
    found = []
    for family in families():
        try:
            place_of(family, EnvOptions())
        except UsageError:
            continue
        found += list(family.suite_names())
    return sorted(found)


def worker_name(wanted: str = "") -> str:
    """A name that the board takes: this one, else the machine's."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", wanted or socket.gethostname())[:120] or "worker"


class _Stopped(Exception):
    """Raised among replays that are not wanted any longer."""


@dataclass(kw_only=True)
class Worker:
    """Replays what a board has drawn.

    Attributes:
        client: of the board: over HTTP with a token of scope `replay`, or the server's own (`OwnBoard`).
        name: of this worker, for the record.
        suites: that it replays.
        workers: simulators at a time, None for as many as the machine has cores.
        n_at_a_time: replays claimed at once.
        executor: registered name.
        told: hears of each replay that ended.
    """

    client: ReplayBoard
    name: str
    suites: Sequence[str]
    workers: int | None = None
    n_at_a_time: int = 8
    executor: str = "local"
    told: Callable[[WorkDone], None] = lambda done: None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _n_done: int = 0
    _machines: dict[str, Fingerprint] = field(default_factory=dict)
    """By suite: what its replays ran on. Versions of simulators are known once one has been started."""

    def run(self, *, until_idle: bool = False) -> int:
        """Work until stopped, or until nothing is queued that can be made here; returns how many were reported.

        Raises:
            UsageError: the board refuses the token.
            BoardUnreachable: the board does not answer, where `until_idle`; else it is asked again.
        """
        self._n_done = 0
        while not self._stopping.is_set():
            n_before = self._n_done
            try:
                if jobs := self._claim():
                    self._work(jobs)
                    if until_idle and self._n_done == n_before:
                        # They went back: they would be claimed again, and go back again, for ever.
                        break
                elif until_idle:
                    break
                else:
                    self._stopping.wait(IDLE_S)
            except BoardUnreachable as error:
                if until_idle:
                    raise
                log.warning("board_unreachable", error=str(error))
                self._stopping.wait(UNREACHABLE_S)
        return self._n_done

    def stop(self) -> None:
        """End `run` when the next replay has ended, from any thread; the others go back."""
        self._stopping.set()

    def _claim(self) -> list[dict[str, Any]]:
        machines = {machine.id: to_plain(machine) for machine in (take_fingerprint({}), *self._machines.values())}
        wanted = {
            "worker": self.name,
            "suites": list(self.suites),
            "n": self.n_at_a_time,
            "machines": list(machines.values())[:_MOST_MACHINES],
        }
        return self.client.claim(wanted)

    def _work(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        """Replay what was claimed, which is of one submission; what is not reported goes back.

        Raises:
            UsageError: the board refuses the token.
            BoardUnreachable: it does not answer; what was reported before is counted.
        """
        with ExitStack() as stack:
            held = _Leases(self.client, jobs)
            stack.callback(held.close)
            traces = TraceFolder(stack.enter_context(tempfile.TemporaryDirectory(prefix="vla-bench-")))
            suite = find_suite(jobs[0]["suite"], jobs[0]["protocol"])

            def report(result: ReplayResult) -> None:
                job = by_id[result.episode.id]
                if result.fingerprint is not None:
                    self._machines[suite.name] = result.fingerprint
                state = self._report(job, result)
                held.forget(job["id"])
                self._n_done += state != _LOST
                self.told(WorkDone(submission=job["submission"], episode=result.episode.id, result=result, state=state))
                if self._stopping.is_set():
                    raise _Stopped

            by_id = {content_id(job["episode"]): job for job in jobs}
            recordings = []
            for recording in map(_recording, jobs):
                if why := self._fetch(by_id[recording.episode.id], recording, traces):
                    report(not_replayed(recording, Agreement.LOST, (why,)))
                else:
                    recordings.append(recording)
            with suppress(_Stopped):
                self._replay(recordings, suite, traces, jobs[0]["control_mode"], report)

    def _replay(
        self,
        recordings: Sequence[Recording],
        suite: Suite,
        traces: TraceFolder,
        control_mode: str,
        report: Callable[[ReplayResult], None],
    ) -> None:
        try:
            require_assets(family_of(suite), suite, {recording.episode.task for recording in recordings})
            verify_episodes(
                recordings,
                suite,
                traces,
                control_mode=control_mode,
                workers=self.workers,
                executor=self.executor,
                limit_s=time_limit_s,
                told=report,
            )
        except (BoardUnreachable, UsageError):
            # The board is away, or this machine cannot: the leases go back, and somebody else makes them.
            log.warning("replays_given_back", suite=suite.name, exc_info=True)
            self._stopping.wait(IDLE_S)
        except VlaBenchError as error:
            log.warning("replays_lost", suite=suite.name, error=str(error))
            self._stopping.wait(IDLE_S)

    def _fetch(self, job: Mapping[str, Any], recording: Recording, traces: TraceFolder) -> str:
        """Get the recorded actions; returns why there are none, which says nothing against the recording."""
        if not recording.trace_digest:
            return ""
        try:
            packed = self.client.trace(job["id"], job["lease"])
            unpack_trace(packed, recording.trace_digest)
        except (SubmissionRefused, ValueError) as error:
            return f"its recorded actions did not arrive: {error}"
        traces.put_packed(recording.trace_digest, packed, is_synced=False)
        return ""

    def _report(self, job: Mapping[str, Any], result: ReplayResult) -> str:
        machine = None if result.fingerprint is None else to_plain(result.fingerprint)
        reasons = [reason[:1000] for reason in result.reasons[:50]]
        told = {"agreement": str(result.agreement), "reasons": reasons, "fingerprint": machine}
        for wait_s in (*REPORT_AGAIN_S, None):
            try:
                return self.client.report(job["id"], job["lease"], told)
            except LeaseOver:
                return _LOST
            except BoardUnreachable:
                if wait_s is None:
                    raise
                time.sleep(wait_s)
        raise AssertionError("not reached")


class _Leases:
    """Keeps leases alive from a thread of its own, and gives back what is left at the end."""

    def __init__(self, client: ReplayBoard, jobs: Sequence[Mapping[str, Any]]) -> None:
        # A connection of its own: the other one may be in the middle of a report.
        self._client, self._left = client.twin(), {job["id"]: job["lease"] for job in jobs}
        self._every_s = jobs[0]["lease_s"] / RENEWALS
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._thread.start()

    def forget(self, replay_id: int) -> None:
        """It is reported."""
        with self._lock:
            self._left.pop(replay_id, None)

    def close(self) -> None:
        """Stop renewing, and give back what was not reported."""
        self._ended.set()
        self._thread.join()
        for replay_id, lease in self._left.items():
            with suppress(VlaBenchError, LeaseOver):
                self._client.release(replay_id, lease)
        self._client.close()

    def _renew(self) -> None:
        while not self._ended.wait(self._every_s):
            with self._lock:
                left = dict(self._left)
            for replay_id, lease in left.items():
                try:
                    self._client.renew(replay_id, lease)
                except LeaseOver:
                    self.forget(replay_id)
                except VlaBenchError as error:
                    log.warning("lease_not_renewed", replay=replay_id, error=str(error))


def _recording(job: Mapping[str, Any]) -> Recording:
    row = job["attempt"]
    try:
        return Recording(
            episode=Episode(**job["episode"]),
            attempt=attempt_from_row(row, job["machine"]),
            trace_digest=row["trace_digest"],
        )
    except (KeyError, TypeError) as error:
        raise StoreCorrupted(f"the board's replay {job['id']} cannot be understood: {error}") from error
