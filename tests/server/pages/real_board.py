"""A board with real runs behind it: toy_reach under policies whose skill is known, and the published figures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
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
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

SKILLS = (("steady", "2.0", 0.9), ("steady", "1.0", 0.6), ("eager", "0.3", 0.75), ("drowsy", "0.1", 0.3))
"""Policy, version, and the share of episodes that it knows."""


class Skilled(ReplayPolicy):
    """An oracle's actions for the episodes that it knows; the others it sits out."""

    def __init__(self, name: str, version: str, skill: float, actions: Path) -> None:
        super().__init__(str(actions), chunk=8)
        self._name, self._version, self._skill = name, version, skill
        self._idle: set[str] = set()

    def info(self) -> PolicyInfo:
        digest = hashlib.sha256(f"{self._name} {self._version}".encode()).hexdigest()
        return replace(super().info(), name=self._name, version=self._version, weights_digest=digest)

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        super().reset(session, episode)
        luck = int(hashlib.sha256(f"{self._name} {episode.episode}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
        (self._idle.discard if luck < self._skill else self._idle.add)(session)

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        idle = ActionChunk(actions=np.zeros((8, 4), np.float32))
        return [idle if row.identity.session in self._idle else super(Skilled, self).act([row])[0] for row in batch]


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
    evaluate("expert", "toy_reach", name="oracle", db=str(mine), executor="inline")
    with Store.open(mine, read_only=True) as store:
        export_actions(store, "oracle", folder / "oracle.npz")
    for name, version, skill in SKILLS:
        _run(mine, name, version, skill, folder)
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


def _run(mine: Path, name: str, version: str, skill: float, folder: Path) -> None:
    policy = Skilled(name, version, skill, folder / "oracle.npz")
    evaluate(policy, "toy_reach", name=f"{name}-{version}", db=str(mine), executor="inline")


def _submit(board: Board, alice: object, mine: Path, run: str, folder: Path) -> str:
    family = run.partition("-")[0]
    told = {"family": family, "notes": "For the tests.", "device": "NVIDIA H200", "precision": "float32", "batch": 1}
    bundle = bundle_of(mine, folder, run, DECLARATION.model_copy(update=told))
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
