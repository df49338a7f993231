"""A board with real runs behind it: toy_reach under policies whose skill is known, and the published figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from tests.server.submitting import DECLARATION, Board, bundle_of
from vla_bench import evaluate
from vla_bench.harness.replay_source import export_actions
from vla_bench.policies.builtin.replay import ReplayPolicy
from vla_bench.results.leaderboard.people import REPLAY
from vla_bench.results.store import Store
from vla_bench.server.accounts.tokens import Token
from vla_bench.server.boards.change import refresh_mark
from vla_bench.server.boards.enter import enter_run
from vla_bench.server.published.load import load_published
from vla_bench.server.submissions.states import State
from vla_bench.spec.messages import PolicyInfo

SKILLS = (("steady", "2.0", 0.55), ("steady", "1.0", 0.8), ("eager", "0.3", 0.65), ("drowsy", "0.1", 1.3))
"""Policy, version, and the noise that makes it fail."""


class Named(ReplayPolicy):
    """Recorded actions under a name of their own."""

    def __init__(self, name: str, version: str, actions: Path) -> None:
        super().__init__(str(actions), chunk=8)
        self._name, self._version = name, version

    def info(self) -> PolicyInfo:
        return replace(super().info(), name=self._name, version=self._version)


@dataclass(frozen=True)
class RealBoard:
    """A database to serve.

    Attributes:
        database, folder: for `tests.server.submitting.running`.
        token: of account `alice`, which may submit.
        slug: of the board with runs.
        bundle: of a run that nobody has submitted.
    """

    database: str
    folder: Path
    token: Token
    slug: str
    bundle: Path


def build(folder: Path) -> RealBoard:
    """Run, submit, and mark: three submissions and the oracle, which is never ranked."""
    mine = folder / "mine.db"
    for name, version, noise in SKILLS:
        _run(mine, name, version, noise, folder)
    board = Board(str(folder / "board.db"), folder)
    try:
        load_published(board.store.database)
        alice = board.principal("alice")
        slugs = [_submit(board, alice, mine, f"{name}-{version}", folder) for name, version, _ in SKILLS[:3]]
        token = board.token("alice")
    finally:
        board.store.close()
    last = "-".join(SKILLS[3][:2])
    bundle = bundle_of(mine, folder, last, DECLARATION.model_copy(update={"family": SKILLS[3][0]}))
    return RealBoard(board.settings.database, folder, token, slugs[0], bundle)


def _run(mine: Path, name: str, version: str, noise: float, folder: Path) -> None:
    oracle = f"oracle-{name}-{version}"
    options = {"noise": noise}
    evaluate("expert", "toy_reach", policy_options=options, name=oracle, db=str(mine), executor="inline")
    with Store.open(mine, read_only=True) as store:
        actions = export_actions(store, oracle, folder / f"{oracle}.npz")
    evaluate(Named(name, version, actions), "toy_reach", name=f"{name}-{version}", db=str(mine), executor="inline")


def _submit(board: Board, alice: object, mine: Path, run: str, folder: Path) -> str:
    family = run.partition("-")[0]
    bundle = bundle_of(mine, folder, run, DECLARATION.model_copy(update={"family": family, "notes": "For the tests."}))
    submission_id, state, reason = board.submit(alice, bundle)  # type: ignore[arg-type]
    assert state is not State.REFUSED, reason
    with board.store.database.write() as connection:
        agreed = {"state": "agreed", "agreement": "bit", "reported_at": "2026-11-12T10:00:00+00:00", "worker": "test"}
        if run != "eager-0.3":
            connection.execute(sa.update(REPLAY).where(REPLAY.c.submission_id == submission_id).values(agreed))
        from vla_bench.server.submissions.states import find_submission

        row = find_submission(connection, submission_id)
        refresh_mark(connection, row["run_id"])
        entry = enter_run(
            connection, _name_of(connection, row["run_id"]), submission_id=submission_id, declaration=row["declaration"]
        )
    return entry.slug


def _name_of(connection: sa.Connection, run_id: int) -> str:
    from vla_bench.results.tables import RUN

    return str(connection.scalar(sa.select(RUN.c.name).where(RUN.c.id == run_id)))
