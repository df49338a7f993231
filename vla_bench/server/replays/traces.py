"""The recorded actions of a replay, for whoever holds its lease."""

from __future__ import annotations

import sqlalchemy as sa

from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT
from vla_bench.server.problems import Problem

__all__ = ["leased_trace"]


def leased_trace(store: Store, replay_id: int, lease: str) -> tuple[str, bytes]:
    """Digest and packed bytes of the trace of a leased replay.

    Raises:
        Problem: 404, no actions were recorded, or the replay is not under this lease.
    """
    with store.database.read() as connection:
        tries = (
            sa.select(ATTEMPT.c.trace_digest)
            .join(REPLAY, (REPLAY.c.run_id == ATTEMPT.c.run_id) & (REPLAY.c.episode_id == ATTEMPT.c.episode_id))
            .where(REPLAY.c.id == replay_id, REPLAY.c.worker == lease)
            .order_by(ATTEMPT.c.attempt.desc())
            .limit(1)
        )
        digest = connection.scalar(tries)
    if not digest:
        raise Problem(404, f"no recorded actions for replay {replay_id} under this lease")
    return str(digest), store.traces.packed(digest)
