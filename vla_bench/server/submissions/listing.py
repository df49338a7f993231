"""`process`: a sealed bundle becomes a listed run, or a refusal. The one place where a bundle enters the results.

Whatever is killed in the middle leaves the submission where it was: rows enter in one transaction, and traces, which
come before it, are found by digest and harm nobody when their run never comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from vla_bench.results.leaderboard.people import AUDIT, SUBMISSION, UPLOAD_PART
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT
from vla_bench.results.writing import lock_runs
from vla_bench.server.audit import SERVER, write_audit
from vla_bench.server.boards.change import refresh_mark
from vla_bench.server.boards.enter import enter_run
from vla_bench.server.replays.draw import queue_draw
from vla_bench.server.settings import Settings
from vla_bench.server.submissions.bundle import ArchiveLimits, Bundle, read_bundle
from vla_bench.server.submissions.check import (
    Checks,
    check_bytes,
    check_identity,
    check_plan,
    check_rows,
    check_traces,
)
from vla_bench.server.submissions.keeping import TraceKeeper
from vla_bench.server.submissions.parts import PartFolder
from vla_bench.server.submissions.scratch import insert_run, scratch_store
from vla_bench.server.submissions.states import State, StateChanged, find_submission, move
from vla_bench.spec.errors import StoreFull, StoreLocked, StoreReadOnly, StoreUnreachable, SubmissionRefused

__all__ = ["MOST_TRIES", "PATIENCE", "process", "waiting"]

PATIENCE = timedelta(minutes=30)
"""A check that is not over by then has died with its process, and another one begins anew."""
MOST_TRIES = 3
"""Checks that a fault of ours ends before the submission is refused. Each is a line of the log."""
_PASSING = (StoreFull, StoreLocked, StoreReadOnly, StoreUnreachable)
"""Faults that end by themselves or with the operator's help, and are those of no submission: they count for nothing."""
_FAULT = "submission_check_failed"
_IN_BATCH = 500
_MOST_LISTED = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A submission that is being checked."""

    store: Store
    folder: PartFolder
    limits: ArchiveLimits
    submission_id: str
    account: int
    numbers: tuple[int, ...]
    size: int
    digest: str
    run_name: str

    @contextmanager
    def bytes(self) -> Iterator[BinaryIO]:
        stream = self.folder.open(self.numbers)
        try:
            yield stream
        finally:
            stream.close()


def waiting(connection: Connection) -> list[str]:
    """Submissions that should be checked now: sealed ones, and those whose check died."""
    stale = (datetime.now(UTC) - PATIENCE).isoformat(timespec="seconds")
    is_sealed = SUBMISSION.c.state == str(State.SEALED)
    is_stale = (SUBMISSION.c.state == str(State.CHECKING)) & (SUBMISSION.c.updated_at < stale)
    return list(
        connection.scalars(sa.select(SUBMISSION.c.id).where(is_sealed | is_stale).order_by(SUBMISSION.c.sealed_at))
    )


def process(store: Store, settings: Settings, submission_id: str) -> State:
    """Check a sealed submission and list or refuse it; safe to call twice, by two processes and after a crash.

    A fault of ours is logged with its traceback and leaves the submission sealed, to be checked again; after
    `MOST_TRIES` of them it is refused, with a reason that says whose fault it was.

    Returns:
        The state that it is in now.

    Raises:
        StoreError: the database or the traces cannot be written now; the submission stays sealed.
    """
    case = _begin(store, settings, submission_id)
    if case is None:
        with store.database.read() as connection:
            return State(find_submission(connection, submission_id)["state"])
    try:
        _check_and_list(case)
    except SubmissionRefused as error:
        with store.database.write() as connection:
            move(connection, submission_id, State.REFUSED, actor=SERVER, come_from=State.CHECKING, reason=str(error))
        log.info("submission_refused", submission=submission_id, reasons=len(error.reasons))
        return State.REFUSED
    except StateChanged:
        # Another process was quicker.
        log.info("submission_checked_elsewhere", submission=submission_id)
    except Exception as error:
        is_passing = isinstance(error, _PASSING)
        log.error("submission_check_failed", submission=submission_id, exc_info=True)
        with store.database.write() as connection:
            state = _put_back(connection, submission_id) if is_passing else _note_fault(connection, submission_id)
        if is_passing:
            raise
        return state
    except BaseException:
        with store.database.write() as connection:
            _put_back(connection, submission_id)
        raise
    else:
        case.folder.remove()
        log.info("submission_listed", submission=submission_id)
    with store.database.read() as connection:
        return State(find_submission(connection, submission_id)["state"])


def _begin(store: Store, settings: Settings, submission_id: str) -> _Case | None:
    """Take the submission; None where there is nothing to do, or another process does it."""
    with store.database.write() as connection:
        if submission_id not in waiting(connection):
            return None
        row = find_submission(connection, submission_id)
        if row["state"] == State.CHECKING:
            log.error("submission_check_died", submission=submission_id)
            if _note_fault(connection, submission_id) is State.REFUSED:
                return None
        move(connection, submission_id, State.CHECKING, actor=SERVER, come_from=State.SEALED)
        numbers = connection.scalars(
            sa.select(UPLOAD_PART.c.number)
            .where(UPLOAD_PART.c.submission_id == submission_id)
            .order_by(UPLOAD_PART.c.number)
        )
        return _Case(
            store=store,
            folder=PartFolder.of(settings, store, submission_id),
            limits=ArchiveLimits(packed_bytes=settings.max_bundle_bytes, n_members=settings.max_members),
            submission_id=submission_id,
            account=row["account_id"],
            numbers=tuple(numbers),
            size=row["bundle_size"],
            digest=row["bundle_digest"],
            run_name=f"{submission_id}-{row['run_name']}"[:200],
        )


def _note_fault(connection: Connection, submission_id: str) -> State:
    """Write down that a check came to no end through a fault of ours; returns what that makes of the submission."""
    of_it = (AUDIT.c.subject_kind == "submission") & (AUDIT.c.subject == submission_id)
    counted = sa.select(sa.func.count()).select_from(AUDIT).where(of_it, AUDIT.c.action == _FAULT)
    tries = 1 + (connection.scalar(counted) or 0)
    write_audit(connection, SERVER, _FAULT, "submission", submission_id, {"try": tries, "of": MOST_TRIES})
    if tries < MOST_TRIES:
        return _put_back(connection, submission_id)
    reason = (
        f"its check failed {tries} times through a fault of this board, and not of the submission; the maintainers "
        "have it in the service's log. Submit it again when it is mended: the same command sends it"
    )
    move(connection, submission_id, State.REFUSED, actor=SERVER, come_from=State.CHECKING, reason=reason)
    return State.REFUSED


def _put_back(connection: Connection, submission_id: str) -> State:
    move(connection, submission_id, State.SEALED, actor=SERVER, come_from=State.CHECKING, reason="to be checked again")
    return State.SEALED


def _check_and_list(case: _Case) -> None:
    with case.bytes() as source:
        check_bytes(source, case.size, case.digest)
    with case.bytes() as source:
        bundle = read_bundle(source, case.size, case.limits)
        suite = check_identity(bundle)
        check_plan(bundle, suite)
        with case.store.database.read() as connection:
            _check_is_new(connection, case, bundle)
        with scratch_store(bundle, case.run_name, case.store.traces) as scratch:
            checks = check_rows(bundle, scratch, case.run_name, suite)
            with TraceKeeper(case.store) as keeper:
                flags = check_traces(bundle, checks, case.limits, keep=keeper.put)
                keeper.begin_sync()
                _list(case, bundle, checks, flags, keeper)


def _list(case: _Case, bundle: Bundle, checks: Checks, flags: Sequence[str], keeper: TraceKeeper) -> None:
    """Everything that makes a listed run, in one transaction."""
    manifest = bundle.manifest
    declaration = manifest.declaration.model_dump()
    with case.store.database.write() as connection:
        lock_runs(connection)
        _check_is_new(connection, case, bundle)
        run_id = insert_run(connection, bundle, case.run_name)
        move(
            connection,
            case.submission_id,
            State.LISTED,
            actor=SERVER,
            come_from=State.CHECKING,
            run_id=run_id,
            policy_digest=manifest.policy_digest,
            plan_hash=manifest.plan_hash,
            eval_hash=manifest.eval_hash,
            declaration=declaration,
        )
        entry = enter_run(
            connection,
            case.run_name,
            submission_id=case.submission_id,
            declaration=declaration,
            harness=manifest.harness,
            summary=checks.evidence.summary,
            flags=flags,
        )
        is_here = SUBMISSION.c.id == case.submission_id
        connection.execute(sa.update(SUBMISSION).where(is_here).values(board_id=entry.board_id))
        if checks.suite.deterministic:
            queue_draw(connection, case.submission_id)
            refresh_mark(connection, run_id)
        keeper.check_all_are_kept()


def _check_is_new(connection: Connection, case: _Case, bundle: Bundle) -> None:
    """Refuse what was submitted before: the whole of it, or traces of somebody's run.

    Raises:
        SubmissionRefused: it was.
    """
    digests = [row["trace_digest"] for row in bundle.attempts if row["trace_digest"]]
    known: dict[str, set[str]] = {}
    for start in range(0, len(digests), _IN_BATCH):
        statement = (
            sa.select(SUBMISSION.c.id, ATTEMPT.c.trace_digest)
            .join(SUBMISSION, SUBMISSION.c.run_id == ATTEMPT.c.run_id)
            .where(ATTEMPT.c.trace_digest.in_(digests[start : start + _IN_BATCH]))
        )
        for submission_id, digest in connection.execute(statement):
            known.setdefault(submission_id, set()).add(digest)
    known.pop(case.submission_id, None)
    if not known:
        return
    owner, shared = max(known.items(), key=lambda item: len(item[1]))
    if len(shared) == len(digests):
        raise SubmissionRefused(f"this run was submitted before: it is submission {owner}")
    episodes = _owners(bundle.attempts, shared)
    raise SubmissionRefused(
        f"{len(shared)} traces are those of submission {owner} (episodes {', '.join(episodes)}): a recording belongs "
        "to the run that made it"
    )


def _owners(attempts: Sequence[dict[str, str]], digests: set[str]) -> list[str]:
    found = [row["episode_id"] for row in attempts if row["trace_digest"] in digests]
    return found[:_MOST_LISTED] + (["…"] if len(found) > _MOST_LISTED else [])
