"""`verify_run`: is a stored run what its recorded actions give? `verify_episodes`: the same for chosen episodes."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite
from vla_bench.harness.replay.judge import Agreement, ReplayResult
from vla_bench.harness.replay.recording import Recording, recordings_of
from vla_bench.harness.replay.sample import Sample, draw_sample
from vla_bench.harness.replay.worker import ReplaySetup, replay_all
from vla_bench.results.evidence import Evidence, Finding, gather_evidence
from vla_bench.results.identity import leaf_changes, short
from vla_bench.results.rows import suite_content, suite_digest
from vla_bench.results.stats.audit import deviating_at_most
from vla_bench.results.store import Store
from vla_bench.results.traces import TraceFolder
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.errors import StoreCorrupted, UsageError
from vla_bench.spec.outcomes import ExitCode
from vla_bench.spec.suite import Suite

__all__ = [
    "Verdict", "Verification", "check_is_replayable", "suite_findings", "verify_episodes", "verify_run",
]  # fmt: skip

MOST_CHANGES = 3
"""Differences of one kind that are told one by one."""


class Verdict(enum.StrEnum):
    """What a verification says of a run; also its exit code, 0, 1 and 3."""

    EQUAL = "equal"
    """the recorded actions give the stored outcomes"""
    DIFFERS = "differs"
    """they do not, or the stored run contradicts itself"""
    INCOMPLETE = "incomplete"
    """nothing differs, but planned episodes are not judged, or a replay was lost"""

    @property
    def exit_code(self) -> ExitCode:
        """What the shell sees."""
        codes = {
            Verdict.EQUAL: ExitCode.OK,
            Verdict.DIFFERS: ExitCode.CHECK_FAILED,
            Verdict.INCOMPLETE: ExitCode.INCOMPLETE,
        }
        return codes[self]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was checked of a run, and what came out.

    Attributes:
        run, suite, protocol: names.
        n_planned, n_judged: episodes of the run, as its rows say.
        findings: where the stored run contradicts itself, its plan or its suite.
        sample: what was replayed; None where the run cannot be read.
        results: of the replayed episodes, in plan order.
    """

    run: str
    suite: str = ""
    protocol: str = ""
    n_planned: int = 0
    n_judged: int = 0
    findings: tuple[Finding, ...] = ()
    sample: Sample | None = None
    results: tuple[ReplayResult, ...] = ()

    @property
    def counts(self) -> Counter[Agreement]:
        """Replayed episodes by agreement."""
        return Counter(result.agreement for result in self.results)

    @property
    def disagreements(self) -> tuple[ReplayResult, ...]:
        """The replayed episodes whose recorded outcome was not confirmed, those lost in the replay included."""
        return tuple(result for result in self.results if not result.agreement.is_agreement)

    @property
    def verdict(self) -> Verdict:
        """`differs` where anything does; else `incomplete` where an episode or a replay is missing; else `equal`."""
        counts = self.counts
        if self.findings or counts[Agreement.DIFFERS] or counts[Agreement.UNREADABLE]:
            return Verdict.DIFFERS
        if counts[Agreement.LOST] or self.n_judged < self.n_planned or not self.n_judged:
            return Verdict.INCOMPLETE
        return Verdict.EQUAL

    @property
    def deviating_at_most(self) -> float | None:
        """The share of the run's successes that may differ though none of the sample does, with 95 % confidence.

        None where every success was replayed, none was, or something differs.
        """
        sample = self.sample
        if self.verdict is Verdict.DIFFERS or sample is None or sample.n_success in (0, sample.n_success_of):
            return None
        return deviating_at_most(sample.n_success)

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form of `verify --json`."""
        sample, counts = self.sample, self.counts
        return {
            "run": self.run,
            "suite": self.suite,
            "protocol": self.protocol,
            "verdict": str(self.verdict),
            "n_planned": self.n_planned,
            "n_judged": self.n_judged,
            "n_replayed": len(self.results),
            "n_success_replayed": sample.n_success if sample else 0,
            "n_failure_replayed": sample.n_failure if sample else 0,
            "seed": sample.seed if sample else None,
            "deviating_at_most": self.deviating_at_most,
            "agreements": {str(agreement): counts[agreement] for agreement in Agreement},
            "findings": to_plain(self.findings),
            "episodes": [result.to_dict() for result in self.results],
        }


def verify_run(
    store: Store,
    run_name: str,
    *,
    sample: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    executor: str = "local",
    started: Callable[[Sample], None] = lambda sample: None,
    told: Callable[[ReplayResult], None] = lambda result: None,
) -> Verification:
    """Check a run's rows against one another, against the suite that is installed here, and against replays.

    Args:
        store: where the run is; nothing is written.
        run_name: of the run.
        sample: episodes to replay, drawn at random; None replays every judged one.
        seed: of the sample.
        workers: simulators at a time, None for as many as the machine has cores.
        executor: registered name.
        started: hears what was drawn, before the first replay.
        told: hears each result as its replay ends.

    Raises:
        UnknownRun: there is no such run.
        UsageError: it has no recorded actions, its suite is not deterministic or cannot be opened here.
        EnvStartFailed: the simulator does not start.
        StoreError: the database cannot be read; one that is damaged is a finding.
    """
    try:
        evidence = gather_evidence(store, run_name)
    except StoreCorrupted as error:
        return Verification(run=run_name, findings=(Finding(about="database", message=str(error)),))
    _check_has_recordings(evidence)
    suite = find_suite(evidence.suite["name"], _protocol_id(evidence))
    check_is_replayable(suite)
    findings = (*evidence.findings, *suite_findings(evidence, suite), *_plan_findings(evidence, suite))
    drawn = draw_sample(recordings_of(evidence.judged), sample, seed)
    started(drawn)
    results = verify_episodes(
        drawn.recordings,
        suite,
        store.traces,
        control_mode=evidence.settings.control_mode,
        workers=workers,
        executor=executor,
        told=told,
    )
    return Verification(
        run=evidence.name,
        suite=suite.name,
        protocol=suite.protocol.id,
        n_planned=len(evidence.plan),
        n_judged=len(evidence.judged),
        findings=findings,
        sample=drawn,
        results=tuple(results),
    )


def verify_episodes(
    recordings: Sequence[Recording],
    suite: Suite,
    traces: TraceFolder,
    *,
    control_mode: str = "",
    workers: int | None = None,
    executor: str = "local",
    limit_s: Callable[[Recording], float] = lambda recording: math.inf,
    told: Callable[[ReplayResult], None] = lambda result: None,
) -> list[ReplayResult]:
    """Replay recorded attempts without policy and without rendering, and compare states and outcomes.

    Args:
        recordings: episodes of one suite, each with its recorded attempt.
        suite: as installed here; its rules decide, not those that a database claims.
        traces: where the traces are.
        control_mode: the controller that the attempts ran with.
        workers: simulators at a time, None for as many as the machine has cores.
        executor: registered name.
        limit_s: seconds that a replay may take before it is given up as lost.
        told: hears each result as its replay ends.

    Returns:
        One result for each recording, in their order.

    Raises:
        UsageError: the simulator cannot be opened here.
        EnvStartFailed: it does not start.
    """
    setup = ReplaySetup(
        suite=suite,
        traces=traces,
        options=EnvOptions(control_mode=control_mode),
        executor=executor,
        workers=workers,
        limit_s=limit_s,
    )
    found: dict[str, ReplayResult] = {}
    with closing(replay_all(recordings, setup)) as results:
        for result in results:
            found[result.episode.id] = result
            told(result)
    return [found[recording.episode.id] for recording in recordings]


def check_is_replayable(suite: Suite) -> None:
    """Refuse a suite whose equal episodes and actions do not give equal states.

    Raises:
        UsageError: it is not deterministic; the message says why, where the suite does.
    """
    if not suite.deterministic:
        why = suite.provenance.get("determinism", "its description does not say why")
        raise UsageError(
            f"suite {suite.name!r} is not deterministic ({why}): equal actions give other states, and a replay would "
            "show nothing. Nothing was replayed."
        )


def _check_has_recordings(evidence: Evidence) -> None:
    """Refuse a run that was read from another harness's file.

    Raises:
        UsageError: it was; the message names the file.
    """
    origin = evidence.summary.origin
    if evidence.summary.is_imported:
        source = f"{origin.get('tool', 'another harness')}, {origin.get('file', 'a file')}"
        raise UsageError(f"run {evidence.name!r} was imported ({source}): no actions were recorded, nothing to replay")


def _protocol_id(evidence: Evidence) -> str:
    protocol = evidence.suite["protocol"]
    return f"{protocol['name']}/{protocol['version']}"


def suite_findings(evidence: Evidence, suite: Suite) -> Iterator[Finding]:
    """Where the suite of the run is not the one that is installed here."""
    content = suite_content(suite)
    if suite_digest(content) == suite_digest(evidence.suite):
        return
    decisive = {key: value for key, value in evidence.suite.items() if key not in ("title", "provenance")}
    changes = list(leaf_changes("", _shared(content, decisive), _shared(decisive, content)))
    for path, old, new in changes[:MOST_CHANGES]:
        yield Finding(about="suite", message=f"the run's suite has {path} {short(old)}, the one installed {short(new)}")
    if len(changes) > MOST_CHANGES:
        yield Finding(about="suite", message=f"and {len(changes) - MOST_CHANGES} more differences")


def _shared(other: Any, kept: Any) -> Any:
    """`kept` without the fields that `other` has not: an earlier or a later version describes suites by others."""
    if isinstance(other, Mapping) and isinstance(kept, Mapping):
        return {key: _shared(other[key], value) for key, value in kept.items() if key in other}
    if isinstance(other, list) and isinstance(kept, list) and len(other) == len(kept):
        return [_shared(*pair) for pair in zip(other, kept, strict=True)]
    return kept


def _plan_findings(evidence: Evidence, suite: Suite) -> Iterator[Finding]:
    """Where a planned episode is not the one that the suite plans for its task, trial and repeat."""
    planned = evidence.plan.episodes
    known = {task.id for task in suite.tasks}
    if strangers := sorted({episode.task for episode in planned} - known):
        yield Finding(about="plan", message=f"the plan has tasks that the suite has not: {', '.join(strangers)}")
    mine = [episode for episode in planned if episode.task in known]
    if not mine:
        return
    own = make_plan(
        suite,
        tasks=sorted({episode.task for episode in mine}),
        n_trials=1 + max(episode.trial for episode in mine),
        repeats=1 + max(episode.repeat for episode in mine),
        policy_seed=evidence.settings.policy_seed,
    )
    expected = {_place(episode): episode for episode in own.episodes}
    changed = [(episode, expected[_place(episode)]) for episode in mine if episode != expected[_place(episode)]]
    for episode, original in changed[:MOST_CHANGES]:
        path, old, new = next(leaf_changes("", to_plain(original), to_plain(episode)))
        yield Finding(
            about="plan",
            message=f"{episode.task} trial {episode.trial}: the suite plans {path} {short(old)}, the run {short(new)}",
            episode=episode.id,
        )
    if len(changed) > MOST_CHANGES:
        yield Finding(about="plan", message=f"and {len(changed) - MOST_CHANGES} more planned episodes differ")


def _place(episode: Episode) -> tuple[Any, ...]:
    return episode.task, episode.trial, episode.repeat
