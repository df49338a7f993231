"""The mark of a run, computed from what is stored of its replays and challenges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.people import CHALLENGE, REPLAY, SUBMISSION
from vla_bench.results.stats.audit import deviating_at_most
from vla_bench.results.stats.unpaired import independent_p
from vla_bench.results.tables import AGGREGATE, RUN
from vla_bench.server.boards.marks import Mark, MarkFacts

__all__ = ["MISMATCH_P", "mark_of_run"]

MISMATCH_P = 0.01
"""A challenge that scores lower than the submission with a smaller p than this withholds the tick."""


def mark_of_run(connection: Connection, run_id: int, submission_id: str) -> MarkFacts:
    """The strongest mark that the rows allow.

    `replayed`: every episode that the server drew was replayed and agrees. `re-run`: beside that or not, a challenge
    issued after the submission was sealed is closed with a complete run of the same policy on the challenge's plan,
    and scores no lower than the submission than chance allows.

    Args:
        connection: open.
        run_id: of the run.
        submission_id: that brought it; empty for a run of this database's own.
    """
    claimed = connection.execute(
        sa.select(AGGREGATE.c.n_success, AGGREGATE.c.n_judged).where(AGGREGATE.c.run_id == run_id)
    ).first()  # fmt: skip
    k, n = (claimed.n_success, claimed.n_judged) if claimed else (0, 0)
    if not submission_id:
        return MarkFacts(mark=Mark.SELF_REPORTED, text="A run of this database's own.", n_episodes=n)
    facts = _replays(connection, submission_id, n)
    if facts.n_deviating:
        return facts
    return _challenges(connection, submission_id, (k, n), facts)


def _replays(connection: Connection, submission_id: str, n: int) -> MarkFacts:
    found = connection.execute(
        sa.select(REPLAY.c.state, REPLAY.c.reported_at).where(REPLAY.c.submission_id == submission_id)
    ).all()
    states = Counter(row.state for row in found)
    n_agreed, n_deviating = states["agreed"], states["deviated"]
    n_pending, n_failed = states["queued"] + states["leased"], states["failed"]
    n_replayed = n_agreed + n_deviating
    at_most = None
    if n_agreed and not n_deviating:
        # A sample bounds what was not replayed; of all episodes none is left.
        at_most = 0.0 if n_agreed >= n else deviating_at_most(n_agreed)
    if not found:
        text = "No episode of it has been replayed yet."
    else:
        text = f"{n_replayed} replayed of {n}, {n_deviating} deviating"
        text += f": at most {100 * at_most:.3g} % deviate (95 %)" if at_most else ""
        text += f"; {n_pending} to come" if n_pending else ""
        text += f"; {n_failed} could not be replayed" if n_failed else ""
        text += "."
    is_replayed = n_agreed > 0 and n_agreed == len(found)
    return MarkFacts(
        mark=Mark.REPLAYED if is_replayed else Mark.SELF_REPORTED,
        text=text,
        at=max((row.reported_at or "" for row in found), default=""),
        n_replayed=n_replayed,
        n_deviating=n_deviating,
        n_pending=n_pending,
        n_episodes=n,
        deviating_at_most=at_most,
    )


def _challenges(connection: Connection, submission_id: str, claimed: tuple[int, int], facts: MarkFacts) -> MarkFacts:
    statement = (
        sa.select(
            AGGREGATE.c.n_success, AGGREGATE.c.n_judged, AGGREGATE.c.n_planned, CHALLENGE.c.closed_at
        )
        .select_from(CHALLENGE)
        .join(SUBMISSION, SUBMISSION.c.id == CHALLENGE.c.submission_id)
        .join(RUN, RUN.c.id == CHALLENGE.c.run_id)
        .join(AGGREGATE, AGGREGATE.c.run_id == RUN.c.id)
        .where(
            CHALLENGE.c.submission_id == submission_id,
            CHALLENGE.c.closed_at.is_not(None),
            CHALLENGE.c.issued_at >= SUBMISSION.c.sealed_at,
            RUN.c.policy_digest == SUBMISSION.c.policy_digest,
            CHALLENGE.c.policy_digest == SUBMISSION.c.policy_digest,
            RUN.c.plan_hash == CHALLENGE.c.plan_hash,
            CHALLENGE.c.plan_hash != SUBMISSION.c.plan_hash,
        )
        .order_by(CHALLENGE.c.id)
    )  # fmt: skip
    complete = [row for row in connection.execute(statement).mappings() if row["n_judged"] == row["n_planned"] > 0]
    return _with_challenge(complete, claimed, facts) if complete else facts


def _with_challenge(found: Sequence[RowMapping], claimed: tuple[int, int], facts: MarkFacts) -> MarkFacts:
    k, n = sum(row["n_success"] for row in found), sum(row["n_judged"] for row in found)
    is_lower = k / n < claimed[0] / claimed[1] if claimed[1] else False
    p = independent_p(k, n, *claimed)
    if is_lower and p < MISMATCH_P:
        verdict, mark = f"fewer than claimed (p = {p:.2g}): the tick is withheld", facts.mark
    else:
        verdict, mark = "as claimed", Mark.RE_RUN
    return MarkFacts(
        mark=mark,
        text=f"Maintainers' own run on a plan drawn afterwards: {k} of {n}, {verdict}. {facts.text}",
        at=max(facts.at, *(row["closed_at"] for row in found)),
        n_replayed=facts.n_replayed,
        n_deviating=facts.n_deviating,
        n_pending=facts.n_pending,
        n_episodes=facts.n_episodes,
        deviating_at_most=facts.deviating_at_most,
        challenge=f"{k}/{n}",
    )
