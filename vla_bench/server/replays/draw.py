"""Which episodes are replayed: drawn after the upload is sealed, by a secret that was committed to before it.

`rank = HMAC-SHA256(key, bundle digest ‖ 0x00 ‖ draw ‖ 0x00 ‖ episode id)`; the lowest ranks are taken, one success of
every task first, then successes until four of five are, then whatever is left. When the key is revealed anybody can
compute the draw again with a hash function and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.results.leaderboard.people import DRAW_KEY, REPLAY, SUBMISSION
from vla_bench.results.rows import now
from vla_bench.results.tables import EPISODE
from vla_bench.server.audit import SERVER, write_audit
from vla_bench.server.submissions.states import State, find_submission, move

__all__ = ["SAMPLE", "Candidate", "commitment_of", "draw", "present_key", "queue_all", "queue_draw", "rotate_key"]

SAMPLE = 59
"""Where none of so many deviates, at most 5 % of the successes do, with 95 % confidence."""
MOST_TASKS = 150
"""Up to so many tasks each has an episode in the draw; suites of thousands of tasks would be replayed whole."""
SUCCESS_SHARE = 0.8


class Candidate(NamedTuple):
    """An episode that may be drawn."""

    episode_id: str
    task: str
    is_success: bool


def commitment_of(secret: str) -> str:
    """SHA-256 of a key: public from its first day."""
    return hashlib.sha256(bytes.fromhex(secret)).hexdigest()


def draw(secret: str, bundle_digest: str, number: int, candidates: Iterable[Candidate]) -> list[str]:
    """The ids of the drawn episodes, in order of rank.

    Args:
        secret: the key, hexadecimal.
        bundle_digest: of the sealed upload, hexadecimal.
        number: of the draw, from 1.
        candidates: every judged episode of the run.
    """
    key = bytes.fromhex(secret)

    def rank(candidate: Candidate) -> bytes:
        message = b"\0".join(part.encode() for part in (bundle_digest, str(number), candidate.episode_id))
        return hmac.digest(key, message, "sha256")

    ranked = sorted(candidates, key=rank)
    first: dict[str, Candidate] = {}
    for candidate in sorted(ranked, key=lambda item: not item.is_success):
        first.setdefault(candidate.task, candidate)
    size = max(SAMPLE, len(first)) if len(first) <= MOST_TASKS else SAMPLE
    chosen = list(first.values()) if len(first) <= MOST_TASKS else []
    taken = set(chosen)
    successes = [item for item in ranked if item.is_success and item not in taken]
    n_wanted = round(SUCCESS_SHARE * size) - sum(item.is_success for item in chosen)
    chosen += successes[: max(0, min(n_wanted, size - len(chosen)))]
    taken = set(chosen)
    failures = [item for item in ranked if not item.is_success and item not in taken]
    chosen += failures[: size - len(chosen)]
    taken = set(chosen)
    chosen += [item for item in successes if item not in taken][: size - len(chosen)]
    return [item.episode_id for item in sorted(chosen, key=rank)]


def present_key(connection: Connection) -> RowMapping:
    """The key that draws now, made and committed to where there is none."""
    row = _live(connection)
    if row is None:
        secret = secrets.token_hex(32)
        values = {"commitment": commitment_of(secret), "secret": secret, "created_at": now()}
        connection.execute(sa.insert(DRAW_KEY).values(values))
        row = _live(connection)
        assert row is not None
        write_audit(
            connection, SERVER, "draw_key_committed", "draw_key", str(row["id"]), {"commitment": row["commitment"]}
        )
    return row


def rotate_key(connection: Connection, *, actor: str) -> str:
    """Retire and reveal the present key, and commit to a new one; returns the new commitment."""
    old = _live(connection)
    if old is not None:
        moment = now()
        is_it = DRAW_KEY.c.id == old["id"]
        connection.execute(sa.update(DRAW_KEY).where(is_it).values(retired_at=moment, revealed_at=moment))
        detail = {"commitment": old["commitment"], "key": old["secret"]}
        write_audit(connection, actor, "draw_key_revealed", "draw_key", str(old["id"]), detail)
    return str(present_key(connection)["commitment"])


def queue_draw(connection: Connection, submission_id: str) -> int:
    """Draw a listed submission's first sample and queue it; returns how many episodes."""
    submission, key = find_submission(connection, submission_id), present_key(connection)
    number = _next_draw(connection, submission_id)
    drawn = draw(key["secret"], submission["bundle_digest"], number, _candidates(connection, submission["run_id"]))
    connection.execute(sa.update(SUBMISSION).where(SUBMISSION.c.id == submission_id).values(draw_key_id=key["id"]))
    _queue(connection, submission, drawn, number)
    detail = {"draw": number, "n": len(drawn), "commitment": key["commitment"]}
    write_audit(connection, SERVER, "replays_drawn", "submission", submission_id, detail)
    if State(submission["state"]) is not State.AUDITING:
        move(connection, submission_id, State.AUDITING, actor=SERVER)
    return len(drawn)


def queue_all(connection: Connection, submission_id: str, *, actor: str) -> int:
    """Queue every judged episode that no draw had; returns how many."""
    submission = find_submission(connection, submission_id)
    number = _next_draw(connection, submission_id)
    had = set(connection.scalars(sa.select(REPLAY.c.episode_id).where(REPLAY.c.submission_id == submission_id)))
    rest = [item.episode_id for item in _candidates(connection, submission["run_id"]) if item.episode_id not in had]
    _queue(connection, submission, rest, number)
    write_audit(connection, actor, "all_replays_queued", "submission", submission_id, {"draw": number, "n": len(rest)})
    return len(rest)


def _queue(connection: Connection, submission: RowMapping, episodes: Sequence[str], number: int) -> None:
    nothing = {"attempt": 0, "lease_until": None, "worker": "", "fingerprint": "", "agreement": "", "detail": ""}
    rows = [
        {
            "submission_id": submission["id"],
            "run_id": submission["run_id"],
            "episode_id": episode_id,
            "draw": number,
            "state": "queued",
            "reported_at": None,
            **nothing,
        }
        for episode_id in episodes
    ]
    if rows:
        connection.execute(sa.insert(REPLAY), rows)


def _candidates(connection: Connection, run_id: int) -> list[Candidate]:
    columns = (EPISODE.c.episode_id, EPISODE.c.task, EPISODE.c.outcome)
    is_judged = EPISODE.c.outcome.in_(("success", "failure"))
    rows = connection.execute(
        sa.select(*columns).where(EPISODE.c.run_id == run_id, is_judged).order_by(EPISODE.c.position)
    )
    return [Candidate(episode_id, task, outcome == "success") for episode_id, task, outcome in rows]


def _next_draw(connection: Connection, submission_id: str) -> int:
    last = connection.scalar(sa.select(sa.func.max(REPLAY.c.draw)).where(REPLAY.c.submission_id == submission_id))
    return 1 + int(last or 0)


def _live(connection: Connection) -> RowMapping | None:
    live = sa.select(DRAW_KEY).where(DRAW_KEY.c.retired_at.is_(None)).order_by(DRAW_KEY.c.id.desc())
    return connection.execute(live).mappings().first()
