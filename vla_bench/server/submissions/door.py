"""What submissions, replays and challenges ask of the boards: three calls, each inside the transaction that changes."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.engine import Connection

__all__ = ["BoardDoor", "boards"]


class BoardDoor(Protocol):
    """Where runs are listed and their marks are computed."""

    def enter(self, connection: Connection, run_id: int, submission_id: str) -> int:
        """List a run; returns the id of its board."""
        ...

    def renew_mark(self, connection: Connection, run_id: int) -> None:
        """Compute the mark of a run's row from replay and challenge rows."""
        ...

    def strike(self, connection: Connection, run_id: int, state: str, reason: str) -> None:
        """Make a tombstone of a run's row: `retracted` or `withdrawn`."""
        ...


def boards() -> BoardDoor:
    """The boards of this service."""
    from vla_bench.server.boards import door

    return door
