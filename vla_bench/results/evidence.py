"""What a run claims, and whether its rows agree with one another: for those who check it. Nothing is replayed here.

Suites, plans, policies, settings and fingerprints are stored under the digest of their content, an episode's outcome
beside its attempts, and a summary beside the episodes: whoever changes one of them has to change them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.reading import find_run, identity_of, load_summary, stored_summary
from vla_bench.results.rows import attempt_from_row, suite_digest, unpack_plan
from vla_bench.results.runs import RunSummary, StoredAttempt
from vla_bench.results.store import Store
from vla_bench.results.tables import AGGREGATE, ATTEMPT, EPISODE, FINGERPRINT, PLAN
from vla_bench.spec.canonical import content_id, sha256_hex
from vla_bench.spec.episode import Episode, Plan
from vla_bench.spec.errors import StoreCorrupted, UsageError, VlaBenchError
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.settings import EvalSettings

__all__ = ["Claim", "Evidence", "Finding", "gather_evidence"]

_LAST = ("outcome", "error_kind", "n_steps", "n_clipped", "flags")
"""What an episode's row repeats of the attempt that counts."""
_NOT_LOOKED_AT = ("run_id", "policy_bins")
MOST_TOLD = 3
"""Findings that are told of a run that cannot be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        about: `plan`, `suite`, `settings`, `policy`, `machine`, `episode` or `summary`.
        message: one line, with both values.
        episode: id, where it is about one.
    """

    about: str
    message: str
    episode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One episode that was reached.

    Attributes:
        episode: as planned.
        outcome: as its row says.
        last: the attempt that counts; None where its row is missing.
    """

    episode: Episode
    outcome: Outcome
    last: StoredAttempt | None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run as stored.

    Attributes:
        name: of the run.
        suite, policy: plain content.
        suite_digest: the digest under which the suite's content is stored.
        settings: of the run.
        plan: whole.
        claims: of the episodes that were reached, in plan order.
        summary: computed anew from the rows.
        findings: where the rows contradict one another.
    """

    name: str
    suite: Mapping[str, Any]
    policy: Mapping[str, Any]
    suite_digest: str
    settings: EvalSettings
    plan: Plan
    claims: tuple[Claim, ...]
    summary: RunSummary
    findings: tuple[Finding, ...]

    @property
    def judged(self) -> tuple[Claim, ...]:
        """The claims that enter the score."""
        return tuple(claim for claim in self.claims if claim.outcome.is_judged)


def gather_evidence(store: Store, run_name: str) -> Evidence:
    """Read a run whole, attempts that count included, and compare its rows with one another.

    Raises:
        UnknownRun: there is no such run.
        StoreCorrupted: rows are missing or cannot be understood.
    """
    with store.database.read() as connection:
        try:
            return _gather(connection, find_run(connection, run_name))
        except VlaBenchError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise StoreCorrupted(f"run {run_name!r} is damaged: {type(error).__name__}: {error}") from error


def _gather(connection: Connection, run: RowMapping) -> Evidence:
    identity = identity_of(connection, run)
    plan = _plan(connection, run)
    planned = {episode.id: (position, episode) for position, episode in enumerate(plan.episodes)}
    rows = _rows(connection, EPISODE, run["id"], EPISODE.c.position)
    attempts = _attempts(connection, run["id"])
    findings = [
        *_content_findings(run, identity.suite, identity.policy),
        *_machine_findings(connection, run["id"]),
        *_plan_findings(plan),
        *(finding for row in rows for finding in _episode_findings(row, planned, attempts[row["episode_id"]])),
        *_stray_attempts(attempts, rows),
    ]
    summary = _summary(connection, run, findings)
    findings += _summary_findings(connection, run["id"], summary)
    findings += _aggregate_findings(connection, run["id"], summary)
    known = [row for row in rows if row["episode_id"] in planned]
    claims = [_claim(row, planned[row["episode_id"]][1], attempts[row["episode_id"]]) for row in known]
    return Evidence(
        name=run["name"],
        suite=identity.suite,
        policy=identity.policy,
        suite_digest=run["suite_digest"],
        settings=_settings(run),
        plan=plan,
        claims=tuple(claims),
        summary=summary,
        findings=tuple(findings),
    )


def _plan(connection: Connection, run: RowMapping) -> Plan:
    row = connection.execute(sa.select(PLAN).where(PLAN.c.plan_hash == run["plan_hash"])).mappings().first()
    if row is None:
        raise StoreCorrupted(f"the plan of run {run['name']!r} is missing from the database")
    return unpack_plan(row["episodes"], row["plan_hash"], row["suite"], row["protocol"])


def _summary(connection: Connection, run: RowMapping, findings: Sequence[Finding]) -> RunSummary:
    """The summary counted anew; rows that cannot be counted are told with what was found of them."""
    try:
        return load_summary(connection, run)
    except StoreCorrupted as error:
        told = "; ".join(f"{finding.about} {finding.episode}: {finding.message}" for finding in findings[:MOST_TOLD])
        raise StoreCorrupted(f"{error}{told and f'. Found besides: {told}'}") from error


def _settings(run: RowMapping) -> EvalSettings:
    try:
        return EvalSettings.from_dict(dict(run["settings"]))
    except UsageError as error:
        raise StoreCorrupted(f"the settings of run {run['name']!r} are damaged: {error}") from error


def _rows(connection: Connection, table: sa.Table, run_id: int, *order: Any) -> list[RowMapping]:
    statement = sa.select(table).where(table.c.run_id == run_id).order_by(*order)
    return list(connection.execute(statement).mappings())


def _attempts(connection: Connection, run_id: int) -> defaultdict[str, list[dict[str, Any]]]:
    """Episode id → the rows of its attempts, in order, each with the content of its fingerprint."""
    of_run = ATTEMPT.c.run_id == run_id
    # Not joined: ten thousand attempts name a few machines, and each row would have its own copy to decode.
    used = sa.select(ATTEMPT.c.fingerprint).where(of_run).distinct()
    named = connection.execute(sa.select(FINGERPRINT.c.id, FINGERPRINT.c.content).where(FINGERPRINT.c.id.in_(used)))
    machines: dict[str | None, Any] = {row.id: row.content for row in named}
    columns: Sequence[sa.Column[Any]] = [column for column in ATTEMPT.c if column.name not in _NOT_LOOKED_AT]
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(sa.select(*columns).where(of_run).order_by(ATTEMPT.c.attempt)).mappings():
        found[row["episode_id"]].append({**row, "machine": machines.get(row["fingerprint"])})
    return found


def _claim(row: RowMapping, episode: Episode, attempts: Sequence[Mapping[str, Any]]) -> Claim:
    last = None
    if attempts:
        result = attempt_from_row(attempts[-1], attempts[-1]["machine"])
        last = StoredAttempt(result=result, trace_digest=attempts[-1]["trace_digest"])
    return Claim(episode=episode, outcome=Outcome(row["outcome"]), last=last)


def _content_findings(run: RowMapping, suite: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Finding]:
    found = {
        "suite": (suite_digest(suite), run["suite_digest"]),
        "policy": (sha256_hex(policy), run["policy_digest"]),
        "settings": (sha256_hex(run["settings"]), run["eval_hash"]),
    }
    for about, (digest, stored) in found.items():
        if digest != stored:
            message = f"the {about} was changed: it is stored under digest {stored[:16]} and has {digest[:16]}"
            yield Finding(about=about, message=message)


def _machine_findings(connection: Connection, run_id: int) -> Iterator[Finding]:
    used = sa.select(ATTEMPT.c.fingerprint).where(ATTEMPT.c.run_id == run_id).distinct()
    for row in connection.execute(sa.select(FINGERPRINT).where(FINGERPRINT.c.id.in_(used))).mappings():
        if (found := content_id(row["content"])) != row["id"]:
            message = f"a fingerprint was changed: it is stored under {row['id']} and has {found}"
            yield Finding(about="machine", message=message)


def _plan_findings(plan: Plan) -> Iterator[Finding]:
    if len({episode.id for episode in plan.episodes}) < len(plan):
        yield Finding(about="plan", message="an episode is planned twice")


def _episode_findings(
    row: RowMapping, planned: Mapping[str, tuple[int, Episode]], attempts: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Where the row of an episode contradicts the plan or its attempts."""

    def finding(message: str) -> Finding:
        return Finding(about="episode", message=message, episode=row["episode_id"])

    if row["episode_id"] not in planned:
        yield finding(f"episode {row['episode_id']} is not in the plan")
        return
    position, episode = planned[row["episode_id"]]
    where = {"position": position, "task": episode.task, "trial": episode.trial, "repeat": episode.repeat}
    for name, wanted in where.items():
        if row[name] != wanted:
            yield finding(f"its row says {name} {row[name]}, the plan {wanted}")
    if len(attempts) != row["n_attempts"] or not attempts:
        yield finding(f"its row counts {row['n_attempts']} attempts, {len(attempts)} are stored")
    for attempt in attempts[:-1]:
        if Outcome(attempt["outcome"]).is_judged:
            yield finding(f"attempt {attempt['attempt']} was judged and another one was made after it")
    for name in _LAST if attempts else ():
        if row[name] != attempts[-1][name]:
            yield finding(f"its row says {name} {row[name]!r}, the attempt that counts {attempts[-1][name]!r}")


def _stray_attempts(attempts: Mapping[str, Sequence[Any]], rows: Sequence[RowMapping]) -> Iterator[Finding]:
    """Attempts whose episode has no row: foreign keys forbid them, a tool that does not enforce these makes them."""
    for episode_id in sorted({key for key, tries in attempts.items() if tries} - {row["episode_id"] for row in rows}):
        yield Finding(about="episode", message="attempts are stored, its row is missing", episode=episode_id)


def _summary_findings(connection: Connection, run_id: int, counted: RunSummary) -> Iterator[Finding]:
    """Where the stored summary, which lists and pages show, is not what the episodes say; none while a run goes on."""
    try:
        stored = stored_summary(connection, run_id, with_details=True)
    except StoreCorrupted as error:
        yield Finding(about="summary", message=str(error))
        return
    if stored is None:
        return
    for name in ("n_planned", "n_judged", "n_success", "n_attempts", "lost_by_kind", "plan_hash", "policy_digest"):
        old, new = getattr(stored, name), getattr(counted, name)
        if old != new:
            yield Finding(about="summary", message=f"the stored summary says {name} {old}, the episodes say {new}")
    if not _is_same_rate(stored.rate, counted.rate):
        yield Finding(about="summary", message=f"the stored rate is {stored.rate}, the episodes say {counted.rate}")
    before = {task.task: (task.n_success, task.n_judged) for task in stored.per_task}
    for task in counted.per_task:
        if before.get(task.task) != (task.n_success, task.n_judged):
            old = before.get(task.task)
            now = (task.n_success, task.n_judged)
            yield Finding(
                about="summary", message=f"task {task.task}: the stored summary says {old}, the episodes {now}"
            )


def _aggregate_findings(connection: Connection, run_id: int, counted: RunSummary) -> Iterator[Finding]:
    """The same for the columns that boards sort by."""
    names = ("n_planned", "n_judged", "n_success", "rate")
    statement = sa.select(*(AGGREGATE.c[name] for name in names)).where(AGGREGATE.c.run_id == run_id)
    for row in connection.execute(statement).mappings():
        for name in names:
            if not _is_same_rate(row[name], getattr(counted, name)):
                message = f"the stored aggregate says {name} {row[name]}, the episodes say {getattr(counted, name)}"
                yield Finding(about="summary", message=message)


def _is_same_rate(one: float | None, other: float | None) -> bool:
    # Another version may have summed in another order.
    return one == other if one is None or other is None else abs(one - other) < 1e-9
