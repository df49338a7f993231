"""Challenges: drawn afterwards, run on the registered policy, and the only way to the tick."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.server.submitting import DECLARATION, Board, bundle_of
from vla_bench import evaluate
from vla_bench.envs.registry import find_suite
from vla_bench.results.leaderboard.boards import BOARD_ROW
from vla_bench.results.leaderboard.people import AUDIT, CHALLENGE
from vla_bench.server.problems import Problem
from vla_bench.server.replays import desk
from vla_bench.server.replays.challenges import (
    cancel_challenge,
    challenge_plan,
    close_challenge,
    issue_challenge,
    list_challenges,
    plan_of_challenge,
)
from vla_bench.spec.episode import Plan, make_plan
from vla_bench.spec.errors import RunMismatch, UsageError


def policy_of(folder: Path, noise: float = 0.0) -> str:
    """A policy that may be ranked: toy_reach's controller from the state alone, as somebody's own class."""
    path = folder / "my_policy.py"
    path.write_text(
        "from vla_bench.policies.builtin.noop import NoopPolicy\n\n\n"
        "class MyPolicy(NoopPolicy):\n"
        f"    '''Does nothing, {noise}.'''\n"
    )
    return f"{path}:MyPolicy"


def run_challenge(board: Board, policy: str, plan: Plan, settings: Mapping[str, Any], name: str) -> None:
    board.store.close()
    evaluate(
        policy, "toy_reach", plan=plan, settings=settings, name=name, db=board.settings.database,
        traces=board.settings.traces, executor="inline",
    )  # fmt: skip


@pytest.fixture
def replayed(board: Board, tmp_path: Path) -> tuple[str, str]:
    """A replayed submission of a policy that may be ranked; its id, and how the policy is named."""
    policy = policy_of(tmp_path)
    evaluate(policy, "toy_reach", name="toy", db=str(tmp_path / "mine.db"), executor="inline")
    bundle = bundle_of(tmp_path / "mine.db", tmp_path, declaration=DECLARATION)
    submission_id, state, reason = board.submit(board.principal("alice"), bundle)
    assert str(state) == "auditing", reason
    with board.store.database.write() as connection:
        for job in desk.claim(connection, "w", ["toy_reach"], 100):
            desk.report(connection, job["id"], job["lease"], desk.Report(agreement="bit"))
    return submission_id, policy


@pytest.mark.slow
def test_a_challenge_run_by_maintainers_gives_the_tick(board: Board, replayed: tuple[str, str], tmp_path: Path) -> None:
    submission_id, policy = replayed
    with board.store.database.write() as connection:
        challenge = issue_challenge(connection, submission_id, actor="keeper", image_digest="sha256:0f", n_trials=2)
        assert list_challenges(connection)[0]["seed"] is None
        told = str(list(connection.execute(sa.select(AUDIT.c.detail)).mappings()))
        assert str(challenge["seed"]) not in told
        plan, settings, name = plan_of_challenge(connection, challenge["id"])
    assert len(plan) == 10
    run_challenge(board, policy, plan, settings, name)
    with board.store.database.write() as connection:
        assert str(close_challenge(connection, challenge["id"], name, actor="keeper")) == "re-run"
    with board.store.database.read() as connection:
        # The mark is computed from rows; the log has the seed, so that everybody can make the plan again.
        assert (
            connection.scalar(sa.select(BOARD_ROW.c.mark).where(BOARD_ROW.c.submission_id == submission_id)) == "re-run"
        )
        closed = connection.scalar(sa.select(AUDIT.c.detail).where(AUDIT.c.action == "challenge_closed"))
    again = challenge_plan(find_suite("toy_reach"), closed["seed"], 2)
    assert again.plan_hash == plan.plan_hash
    with board.store.database.write() as connection, pytest.raises(UsageError, match="is closed"):
        close_challenge(connection, challenge["id"], name, actor="keeper")
    with board.store.database.write() as connection:
        # One that comes to nothing takes nothing away.
        another = issue_challenge(connection, submission_id, actor="keeper")["id"]
        assert str(cancel_challenge(connection, another, "the image is gone", actor="keeper")) == "re-run"


@pytest.mark.slow
def test_a_challenge_is_closed_by_its_own_plan_and_policy_only(
    board: Board, replayed: tuple[str, str], tmp_path: Path
) -> None:
    submission_id, policy = replayed
    with board.store.database.write() as connection:
        challenge = issue_challenge(connection, submission_id, actor="keeper", n_trials=1)
        plan, _, name = plan_of_challenge(connection, challenge["id"])
        with pytest.raises(Problem, match="another state"):
            issue_challenge(connection, submission_id, actor="keeper")
    board.store.close()
    common = {"db": board.settings.database, "traces": board.settings.traces, "executor": "inline"}
    evaluate(policy, "toy_reach", name="other-plan", trials=1, **common)
    evaluate("random", "toy_reach", plan=plan, name=name, **common)
    for run, what in (("other-plan", "plan_hash"), (name, "policy_digest")):
        with board.store.database.write() as connection, pytest.raises(RunMismatch, match=what):
            close_challenge(connection, challenge["id"], run, actor="keeper")
    with board.store.database.read() as connection:
        assert connection.scalar(sa.select(CHALLENGE.c.closed_at)) is None


def test_a_challenge_that_will_not_be_run_is_cancelled_in_public(board: Board, replayed: tuple[str, str]) -> None:
    submission_id, _ = replayed
    with board.store.database.write() as connection:
        challenge = issue_challenge(connection, submission_id, actor="keeper")["id"]
        assert str(cancel_challenge(connection, challenge, "the image is gone", actor="keeper")) == "replayed"
        log = connection.scalar(sa.select(AUDIT.c.detail).where(AUDIT.c.action == "challenge_cancelled"))
        assert (log["reason"], log["had"]) == ("the image is gone", "nothing was run")
        with pytest.raises(UsageError, match="is closed"):
            cancel_challenge(connection, challenge, "once more", actor="keeper")
        assert issue_challenge(connection, submission_id, actor="keeper")["id"] != challenge


def test_what_was_run_of_a_cancelled_challenge_is_told(board: Board, replayed: tuple[str, str]) -> None:
    submission_id, policy = replayed
    with board.store.database.write() as connection:
        challenge = issue_challenge(connection, submission_id, actor="keeper", n_trials=2)["id"]
        plan, settings, name = plan_of_challenge(connection, challenge)
    run_challenge(board, policy, plan, settings, name)
    with board.store.database.write() as connection:
        cancel_challenge(connection, challenge, "too many failures", actor="keeper")
        log = connection.scalar(sa.select(AUDIT.c.detail).where(AUDIT.c.action == "challenge_cancelled"))
    assert "10 planned" in log["had"]


def test_an_oracle_and_an_unreplayed_submission_get_no_challenge(board: Board, toy_bundle: Path) -> None:
    submission_id, _, _ = board.submit(board.principal("alice"), toy_bundle)
    with board.store.database.write() as connection, pytest.raises(UsageError, match="an oracle"):
        issue_challenge(connection, submission_id, actor="keeper")


@pytest.mark.parametrize("name", ["toy_reach", "metaworld_mt10", "libero_goal", "calvin_d_d"])
def test_challenge_plans_are_new_repeatable_and_of_the_suite(name: str) -> None:
    suite = find_suite(name)
    plan = challenge_plan(suite, 7, 1)
    assert plan.plan_hash == challenge_plan(suite, 7, 1).plan_hash
    assert plan.plan_hash != challenge_plan(suite, 8, 1).plan_hash
    assert {episode.task for episode in plan.episodes} == {task.id for task in suite.tasks}
    public = {episode.id for episode in make_plan(suite).episodes}
    assert not public & {episode.id for episode in plan.episodes}
