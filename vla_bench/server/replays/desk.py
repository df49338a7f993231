"""Where replays are handed out and taken back.

A row of `replay` is the truth. Every change of hands is one conditional UPDATE, so that of any number of workers and
processes exactly one gets a row, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.people import REPLAY, SUBMISSION
from vla_bench.results.reading import planned_episodes
from vla_bench.results.rows import now, plain_text
from vla_bench.results.stats.audit import deviating_at_most
from vla_bench.results.tables import ATTEMPT, EPISODE, FINGERPRINT, RUN, SUITE
from vla_bench.results.writing import insert_missing
from vla_bench.server.audit import SERVER, write_audit
from vla_bench.server.boards.change import refresh_mark
from vla_bench.server.problems import Problem
from vla_bench.server.replays.draw import queue_all
from vla_bench.server.submissions.states import LISTED, State, find_submission, move
from vla_bench.spec.canonical import content_id

__all__ = [
    "LEASE_S",
    "MOST_ATTEMPTS",
    "Report",
    "claim",
    "expire",
    "is_any_queued",
    "release",
    "renew",
    "report",
    "settle",
]

LEASE_S = 120
"""How long a worker that says nothing keeps what it claimed. It renews well before."""
MOST_ATTEMPTS = 3
MOST_CLAIMED = 100
_DETAIL = 2000
_DECISIVE = ("cpu", "os", "python", "packages")
_MOST_MACHINES = 200
"""Fingerprints that are looked at: they are told by submitters, who can make up any number."""

Agreement = Literal["bit", "outcome", "differs", "unreadable", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker says of a replay.

    Attributes:
        agreement: as `vla_bench.harness.replay.Agreement`.
        reasons: what disagrees, one line each.
        fingerprint: of the worker's machine, plain content; empty where nothing ran.
    """

    agreement: Agreement
    reasons: Sequence[str] = ()
    fingerprint: Mapping[str, Any] | None = None


def claim(
    connection: Connection,
    worker: str,
    suites: Collection[str],
    n_most: int,
    machines: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Lease queued replays of one submission, the oldest first, episodes of one task side by side.

    Those that were recorded on a machine like the worker's come before others: only there a replay can agree to the
    bit.

    Args:
        connection: inside a write transaction.
        worker: who asks, for the record.
        suites: that it can replay.
        n_most: at most so many.
        machines: fingerprints of the worker's machine, one for each interpreter that simulates there; plain content.

    Returns:
        Jobs as plain JSON values: what is to be replayed, from what, and under which lease it is reported.
    """
    expire(connection)
    unlike = _unlike(connection, machines)
    oldest = _queued(suites).order_by(unlike, REPLAY.c.attempt, REPLAY.c.id).limit(1)
    if (first := connection.execute(oldest).mappings().first()) is None:
        return []
    of_submission = _queued(suites).where(REPLAY.c.submission_id == first["submission_id"])
    wanted = of_submission.order_by(unlike, EPISODE.c.task, REPLAY.c.id).limit(min(n_most, MOST_CLAIMED))
    lease = f"{plain_text(worker, 120)}:{secrets.token_hex(16)}"
    taken = [row for row in connection.execute(wanted).mappings() if _lease(connection, row["id"], lease)]
    return _jobs(connection, taken, lease)


def is_any_queued(connection: Connection) -> bool:
    """Whether a replay waits, of whatever suite."""
    return connection.scalar(sa.select(REPLAY.c.id).where(REPLAY.c.state == "queued").limit(1)) is not None


def renew(connection: Connection, replay_id: int, lease: str) -> str:
    """Keep a lease for another while; returns until when.

    Raises:
        Problem: 409, somebody else has it by now.
    """
    until = _after(LEASE_S)
    _change(connection, replay_id, lease, lease_until=until)
    return until


def release(connection: Connection, replay_id: int, lease: str) -> None:
    """Give a replay back unmade; it does not count as an attempt.

    Raises:
        Problem: 409, somebody else has it by now.
    """
    _change(
        connection, replay_id, lease, state="queued", attempt=REPLAY.c.attempt - 1, lease_until=None, worker=""
    )  # fmt: skip


def report(connection: Connection, replay_id: int, lease: str, said: Report) -> str:
    """Take a worker's report, and draw its conclusions for the submission; a repeated report changes nothing.

    Returns:
        The new state of the replay.

    Raises:
        Problem: 404, no such replay; 409, the lease is over and somebody else has it.
    """
    row = connection.execute(sa.select(REPLAY).where(REPLAY.c.id == replay_id)).mappings().first()
    if row is None:
        raise Problem(404, f"no replay {replay_id}")
    if row["worker"] == lease and row["state"] in ("agreed", "deviated", "failed"):
        return str(row["state"])
    state = _state_after(said.agreement, row["attempt"])
    detail = plain_text("; ".join(said.reasons), _DETAIL)
    _change(
        connection,
        replay_id,
        lease,
        state=state,
        agreement=said.agreement if state in ("agreed", "deviated") else "",
        detail=detail,
        fingerprint=_machine(connection, said.fingerprint),
        lease_until=None,
        reported_at=now(),
    )
    if state == "deviated":
        told = {"episode": row["episode_id"], "reasons": detail}
        write_audit(connection, SERVER, "replay_deviated", "submission", row["submission_id"], told)
    settle(connection, row["submission_id"])
    return state


def expire(connection: Connection) -> int:
    """Queue what workers left lying, and give up what was tried often enough; returns how many leases were over."""
    is_over = (REPLAY.c.state == "leased") & (REPLAY.c.lease_until < now())
    rows = connection.execute(sa.select(REPLAY.c.id, REPLAY.c.attempt, REPLAY.c.submission_id).where(is_over)).all()
    given_up = set()
    for replay_id, attempt, submission_id in rows:
        is_last = attempt >= MOST_ATTEMPTS
        values = {"state": "failed" if is_last else "queued", "lease_until": None, "worker": ""}
        values["detail"] = f"the worker of attempt {attempt} did not report"
        changed = connection.execute(sa.update(REPLAY).where(REPLAY.c.id == replay_id, is_over).values(values))
        if is_last and changed.rowcount:
            given_up.add(submission_id)
    for submission_id in sorted(given_up):
        settle(connection, submission_id)
    return len(rows)


def settle(connection: Connection, submission_id: str) -> State:
    """Bring the state of a submission and the mark of its run in line with its replays."""
    # Of two reports that come last, the second is to see the first.
    connection.execute(sa.select(SUBMISSION.c.id).where(SUBMISSION.c.id == submission_id).with_for_update())
    submission = find_submission(connection, submission_id)
    state = State(submission["state"])
    if state not in LISTED:
        return state
    grouped = sa.select(REPLAY.c.state, sa.func.count()).where(REPLAY.c.submission_id == submission_id)
    counts = Counter({name: int(count) for name, count in connection.execute(grouped.group_by(REPLAY.c.state))})
    if counts["deviated"] and state is not State.DISPUTED:
        reason = "a replay deviates from what was submitted: the mark is withheld, and every episode is replayed"
        move(connection, submission_id, State.DISPUTED, actor=SERVER, reason=reason)
        queue_all(connection, submission_id, actor=SERVER)
    elif state is State.AUDITING and not counts["queued"] + counts["leased"]:
        if not counts.total():
            move(connection, submission_id, State.LISTED, actor=SERVER, reason="no episode of it can be replayed")
        elif counts["failed"]:
            failed = f"{counts['failed']} of {counts.total()} replays could not be made"
            reason = f"{failed}: {_why_failed(connection, submission_id)}"
            move(connection, submission_id, State.LISTED, actor=SERVER, reason=reason)
        else:
            move(connection, submission_id, State.REPLAYED, actor=SERVER, reason=_proof(connection, submission, counts))
    refresh_mark(connection, submission["run_id"])
    return State(find_submission(connection, submission_id)["state"])


def _queued(suites: Collection[str]) -> sa.Select[Any]:
    is_open = (REPLAY.c.state == "queued") & SUBMISSION.c.state.in_([str(state) for state in LISTED])
    return (
        sa.select(REPLAY, EPISODE.c.task)
        .join(SUBMISSION, SUBMISSION.c.id == REPLAY.c.submission_id)
        .join(RUN, RUN.c.id == REPLAY.c.run_id)
        .join(SUITE, SUITE.c.digest == RUN.c.suite_digest)
        .join(EPISODE, (EPISODE.c.run_id == REPLAY.c.run_id) & (EPISODE.c.episode_id == REPLAY.c.episode_id))
        .where(is_open, SUITE.c.name.in_(sorted(suites)))
    )


def _unlike(connection: Connection, machines: Sequence[Mapping[str, Any]]) -> sa.ColumnElement[int]:
    """By queued replay: 0 where it was recorded on a machine like these, 1 where processor and system are, 2 else.

    Render back ends do not count: states do not depend on them.
    """
    content = FINGERPRINT.c.content
    near: list[str] = []
    same: list[str] = []
    for cpu, system in sorted({(str(each["cpu"]), str(each["os"])) for each in machines}):
        is_near = (content["cpu"].as_string() == cpu) & (content["os"].as_string() == system)
        for machine_id, found in connection.execute(sa.select(FINGERPRINT).where(is_near).limit(_MOST_MACHINES)):
            is_same = any(all(found.get(part) == each[part] for part in _DECISIVE) for each in machines)
            (same if is_same else near).append(machine_id)
    if not near and not same:
        return sa.literal(2)

    def was_on(ids: Sequence[str]) -> sa.Exists:
        is_its = (ATTEMPT.c.run_id == REPLAY.c.run_id) & (ATTEMPT.c.episode_id == REPLAY.c.episode_id)
        return sa.exists().where(is_its, ATTEMPT.c.fingerprint.in_(ids)).correlate(REPLAY)

    return sa.case((was_on(same), 0), (was_on(near), 1), else_=2)


def _lease(connection: Connection, replay_id: int, lease: str) -> bool:
    changed = connection.execute(
        sa.update(REPLAY)
        .where(REPLAY.c.id == replay_id, REPLAY.c.state == "queued")
        .values(state="leased", worker=lease, lease_until=_after(LEASE_S), attempt=REPLAY.c.attempt + 1)
    )
    return changed.rowcount == 1


def _change(connection: Connection, replay_id: int, lease: str, **values: Any) -> None:
    is_mine = (REPLAY.c.id == replay_id) & (REPLAY.c.state == "leased") & (REPLAY.c.worker == lease)
    if connection.execute(sa.update(REPLAY).where(is_mine).values(values)).rowcount != 1:
        raise Problem(409, f"the lease of replay {replay_id} is over: somebody else has it", kind="lease-over")


def _state_after(agreement: Agreement, attempt: int) -> str:
    if agreement in ("bit", "outcome"):
        return "agreed"
    if agreement == "lost":
        return "queued" if attempt < MOST_ATTEMPTS else "failed"
    return "deviated"


def _machine(connection: Connection, content: Mapping[str, Any] | None) -> str:
    if not content:
        return ""
    machine = {"id": content_id(content), "content": dict(content)}
    insert_missing(connection, FINGERPRINT, [machine])
    return str(machine["id"])


def _proof(connection: Connection, submission: RowMapping, counts: Mapping[str, int]) -> str:
    n_agreed = counts["agreed"]
    of_run = EPISODE.c.run_id == submission["run_id"]
    n_episodes = connection.scalar(sa.select(sa.func.count()).select_from(EPISODE).where(of_run)) or 0
    line = f"{n_agreed} replayed of {n_episodes}, 0 deviating"
    return line if n_agreed >= n_episodes else f"{line}: at most {deviating_at_most(n_agreed):.1%} deviate (95 %)"


def _why_failed(connection: Connection, submission_id: str) -> str:
    is_failed = (REPLAY.c.submission_id == submission_id) & (REPLAY.c.state == "failed")
    return str(connection.scalar(sa.select(REPLAY.c.detail).where(is_failed).limit(1)) or "no reason was told")


def _jobs(connection: Connection, rows: Sequence[RowMapping], lease: str) -> list[dict[str, Any]]:
    """What a worker needs of each replay; all of them are of one run."""
    if not rows:
        return []
    run_id, ids = rows[0]["run_id"], [row["episode_id"] for row in rows]
    joined = sa.select(RUN, SUITE.c.name.label("suite"), SUITE.c.protocol).join(
        SUITE, SUITE.c.digest == RUN.c.suite_digest
    )
    run = connection.execute(joined.where(RUN.c.id == run_id)).mappings().one()
    planned = {content_id(values): values for values in planned_episodes(connection, run["plan_hash"])}
    tries = (
        sa.select(ATTEMPT, FINGERPRINT.c.content.label("machine"))
        .outerjoin(FINGERPRINT, FINGERPRINT.c.id == ATTEMPT.c.fingerprint)
        .where(ATTEMPT.c.run_id == run_id, ATTEMPT.c.episode_id.in_(ids))
        .order_by(ATTEMPT.c.attempt)
    )
    # The last attempt is the one that counts.
    last = {row["episode_id"]: dict(row) for row in connection.execute(tries).mappings()}
    return [
        {
            "id": row["id"],
            "lease": lease,
            "lease_s": LEASE_S,
            "submission": row["submission_id"],
            "suite": run["suite"],
            "protocol": run["protocol"],
            "control_mode": run["settings"].get("control_mode", ""),
            "episode": planned[row["episode_id"]],
            "machine": last[row["episode_id"]].pop("machine"),
            "attempt": {key: value for key, value in last[row["episode_id"]].items() if key != "run_id"},
        }
        for row in rows
    ]


def _after(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
