"""A replay worker: claims over HTTP, replays in supervised simulators, reports. It holds a token and nothing else.

Killed in the middle it leaves leases that end by themselves; stopped, it gives back what it has not replayed.
"""

from __future__ import annotations

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
from vla_bench.envs.runtime.place import place_of
from vla_bench.harness.replay import Agreement, Recording, ReplayResult, verify_episodes
from vla_bench.harness.replay.judge import not_replayed
from vla_bench.results.rows import attempt_from_row
from vla_bench.results.traces import TraceFolder, unpack_trace
from vla_bench.server.client import BoardClient, LeaseOver
from vla_bench.spec.canonical import content_id, to_plain
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import BoardUnreachable, StoreCorrupted, SubmissionRefused, UsageError, VlaBenchError
from vla_bench.spec.suite import Suite

__all__ = ["WorkDone", "Worker", "ready_suites"]

IDLE_S = 5.0
UNREACHABLE_S = 15.0
RENEWALS = 4
"""A lease is renewed so many times in its length."""

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


@dataclass(kw_only=True)
class Worker:
    """Replays what a board has drawn.

    Attributes:
        client: of the board, with a token of scope `replay`.
        name: of this worker, for the record.
        suites: that it replays.
        workers: simulators at a time, None for as many as the machine has cores.
        n_at_a_time: replays claimed at once.
        executor: registered name.
        told: hears of each replay that ended.
    """

    client: BoardClient
    name: str
    suites: Sequence[str]
    workers: int | None = None
    n_at_a_time: int = 8
    executor: str = "local"
    told: Callable[[WorkDone], None] = lambda done: None
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, *, until_idle: bool = False) -> int:
        """Work until stopped, or until nothing is queued; returns how many replays were reported.

        Raises:
            UsageError: the board refuses the token.
            BoardUnreachable: the board does not answer, where `until_idle`; else it is asked again.
        """
        n_done = 0
        while not self._stopping.is_set():
            try:
                jobs = self._claim()
            except BoardUnreachable as error:
                if until_idle:
                    raise
                log.warning("board_unreachable", error=str(error))
                self._stopping.wait(UNREACHABLE_S)
                continue
            if jobs:
                n_done += self._work(jobs)
            elif until_idle:
                break
            else:
                self._stopping.wait(IDLE_S)
        return n_done

    def stop(self) -> None:
        """End `run` after the replays that are under way; from any thread."""
        self._stopping.set()

    def _claim(self) -> list[dict[str, Any]]:
        wanted = {"worker": self.name, "suites": list(self.suites), "n": self.n_at_a_time}
        jobs: list[dict[str, Any]] = self.client.post("replays/claim", wanted)["jobs"]
        return jobs

    def _work(self, jobs: Sequence[Mapping[str, Any]]) -> int:
        """Replay what was claimed, which is of one submission; what is not reported goes back."""
        with ExitStack() as stack:
            held = _Leases(self.client, jobs)
            stack.callback(held.close)
            traces = TraceFolder(stack.enter_context(tempfile.TemporaryDirectory(prefix="vla-bench-")))
            suite = find_suite(jobs[0]["suite"], jobs[0]["protocol"])
            n_done = 0

            def report(result: ReplayResult) -> None:
                nonlocal n_done
                job = by_id[result.episode.id]
                state = self._report(job, result)
                held.forget(job["id"])
                n_done += 1
                self.told(WorkDone(submission=job["submission"], episode=result.episode.id, result=result, state=state))

            by_id = {content_id(job["episode"]): job for job in jobs}
            recordings = []
            for recording in map(_recording, jobs):
                if why := self._fetch(by_id[recording.episode.id], recording, traces):
                    report(not_replayed(recording, Agreement.LOST, (why,)))
                else:
                    recordings.append(recording)
            self._replay(recordings, suite, traces, jobs[0]["control_mode"], report)
            return n_done

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
            answer = self.client.call("GET", f"replays/{job['id']}/trace", params={"lease": job["lease"]})
            unpack_trace(answer.content, recording.trace_digest)
        except (SubmissionRefused, ValueError) as error:
            return f"its recorded actions did not arrive: {error}"
        traces.put_packed(recording.trace_digest, answer.content, is_synced=False)
        return ""

    def _report(self, job: Mapping[str, Any], result: ReplayResult) -> str:
        machine = None if result.fingerprint is None else to_plain(result.fingerprint)
        reasons = [reason[:1000] for reason in result.reasons[:50]]
        told = {"lease": job["lease"], "agreement": str(result.agreement), "reasons": reasons, "fingerprint": machine}
        for attempt in range(3):
            try:
                return str(self.client.post(f"replays/{job['id']}/report", told)["state"])
            except LeaseOver:
                return "lost"
            except BoardUnreachable:
                if attempt == 2:
                    raise
                time.sleep(1.0 + 4.0 * attempt)
        raise AssertionError("not reached")


class _Leases:
    """Keeps leases alive from a thread of its own, and gives back what is left at the end."""

    def __init__(self, client: BoardClient, jobs: Sequence[Mapping[str, Any]]) -> None:
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
                self._client.post(f"replays/{replay_id}/release", {"lease": lease})
        self._client.close()

    def _renew(self) -> None:
        while not self._ended.wait(self._every_s):
            with self._lock:
                left = dict(self._left)
            for replay_id, lease in left.items():
                try:
                    self._client.post(f"replays/{replay_id}/renew", {"lease": lease})
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
