"""Leases: one worker at a time, none for ever; what reports do to a submission and its mark. On both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.server.submitting import Board, bundle_of, copy_run_as
from vla_bench.results.leaderboard.boards import BOARD_ROW
from vla_bench.results.leaderboard.people import AUDIT, REPLAY
from vla_bench.results.tables import ATTEMPT, FINGERPRINT
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.app import create_app
from vla_bench.server.problems import Problem
from vla_bench.server.replays import desk
from vla_bench.server.submissions.moderation import resume, retract, withdraw
from vla_bench.server.submissions.states import State, find_submission
from vla_bench.spec.canonical import content_id

TOY = ["toy_reach"]


@pytest.fixture
def submission(board: Board, toy_bundle: Path) -> str:
    return board.submit(board.principal("alice"), toy_bundle)[0]


def claim(board: Board, n: int = 100, worker: str = "w") -> list[dict[str, object]]:
    with board.store.database.write() as connection:
        return desk.claim(connection, worker, TOY, n)


def tell(board: Board, job: dict[str, object], agreement: str, *reasons: str) -> str:
    with board.store.database.write() as connection:
        said = desk.Report(agreement=agreement, reasons=reasons)
        return desk.report(connection, job["id"], job["lease"], said)


def state_of(board: Board, submission: str) -> tuple[str, str, str]:
    """State, mark of the row, reason."""
    with board.store.database.read() as connection:
        row = find_submission(connection, submission)
        mark = connection.scalar(sa.select(BOARD_ROW.c.mark).where(BOARD_ROW.c.run_id == row["run_id"]))
        return row["state"], str(mark), row["reason"]


def end_leases(board: Board) -> None:
    with board.store.database.write() as connection:
        is_leased = REPLAY.c.state == "leased"
        connection.execute(sa.update(REPLAY).where(is_leased).values(lease_until="2020-01-01T00:00:00+00:00"))


def test_workers_that_claim_at_once_get_each_replay_once(board: Board, submission: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = [job["id"] for jobs in pool.map(lambda n: claim(board, 7, f"w{n}"), range(8)) for job in jobs]
    assert len(claimed) == len(set(claimed)) == 50


def test_a_job_has_what_a_worker_needs_and_no_secret(board: Board, submission: str) -> None:
    job = claim(board, 1)[0]
    assert job["suite"] == "toy_reach"
    assert job["attempt"]["episode_id"]
    assert job["machine"]["cpu"]
    assert "secret" not in str(job).lower()


def test_other_suites_are_not_handed_out(board: Board, submission: str) -> None:
    with board.store.database.write() as connection:
        assert desk.claim(connection, "w", ["libero_goal"], 5) == []


def test_a_machine_like_that_of_the_recording_is_served_first(
    board: Board, submission: str, toy_run: Path, tmp_path: Path
) -> None:
    here = claim(board, 1)[0]["machine"]
    elsewhere = {**here, "cpu": "riscv64 Other"}
    copy_run_as(toy_run, tmp_path / "second.db", "second", 3.0)
    second = board.submit(board.principal("bob"), bundle_of(tmp_path / "second.db", tmp_path, "second"))[0]
    with board.store.database.write() as connection:
        machine = {"id": content_id(elsewhere), "content": elsewhere}
        connection.execute(sa.insert(FINGERPRINT).values(machine))
        is_second = ATTEMPT.c.run_id == find_submission(connection, second)["run_id"]
        connection.execute(sa.update(ATTEMPT).where(is_second).values(fingerprint=machine["id"]))

    def served(**changes: object) -> str:
        with board.store.database.write() as connection:
            jobs = desk.claim(connection, "w", TOY, 3, [{**elsewhere, **changes}])
        return {job["machine"]["cpu"] for job in jobs}.pop()

    assert served() == "riscv64 Other"
    assert served(renderer={"vendor": "another"}) == "riscv64 Other"
    assert served(packages={}) == "riscv64 Other"
    assert served(cpu="riscv64 Third") == here["cpu"]
    assert served(cpu="'; DROP TABLE replay; --") == here["cpu"]


def test_no_machine_that_a_worker_names_is_a_fault_of_ours(board: Board, submission: str) -> None:
    token = board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER)
    app = create_app(board.settings.model_copy(update={"runs_jobs": False}), store=board.store)
    client = TestClient(app, headers={"Authorization": f"Bearer {token}"}, raise_server_exceptions=False)
    machine = {"cpu": "x", "os": "y", "python": "3", "packages": {}, "renderer": {}}
    for odd in ("\0", "\u202e", "'; DROP TABLE replay; --", "%", '"', "\\"):
        for where in ({"cpu": odd}, {"packages": {odd: odd}}):
            asked = {"worker": "w", "suites": TOY, "n": 1, "machines": [machine | where]}
            assert client.post("/api/v1/replays/claim", json=asked).status_code == (422 if odd == "\0" else 200)


def test_a_draw_without_deviation_gives_the_mark(board: Board, submission: str) -> None:
    for job in claim(board):
        assert state_of(board, submission)[:2] == ("auditing", "self-reported")
        assert tell(board, job, "bit") == "agreed"
    state, mark, reason = state_of(board, submission)
    assert (state, mark) == ("replayed", "replayed")
    assert reason == "50 replayed of 50, 0 deviating"


def test_one_deviation_withholds_the_mark_and_is_told(board: Board, submission: str) -> None:
    jobs = claim(board)
    for job in jobs[1:]:
        tell(board, job, "outcome")
    assert tell(board, jobs[0], "differs", "success is stored, the replay ends in failure") == "deviated"
    state, mark, reason = state_of(board, submission)
    assert (state, mark) == ("disputed", "self-reported")
    assert "the mark is withheld" in reason
    with board.store.database.read() as connection:
        told = connection.execute(sa.select(AUDIT).where(AUDIT.c.action == "replay_deviated")).mappings().one()
    assert "the replay ends in failure" in told["detail"]["reasons"]


def test_a_deviation_queues_every_other_episode(board: Board, submission: str) -> None:
    # As if the first draw had been of ten episodes.
    with board.store.database.write() as connection:
        ids = list(connection.scalars(sa.select(REPLAY.c.id).order_by(REPLAY.c.id).limit(10)))
        connection.execute(sa.delete(REPLAY).where(REPLAY.c.id.not_in(ids)))
    tell(board, claim(board, 1)[0], "differs", "x")
    with board.store.database.read() as connection:
        rows = list(connection.execute(sa.select(REPLAY.c.draw, REPLAY.c.episode_id)))
    assert sorted(draw for draw, _ in rows) == [1] * 10 + [2] * 40
    assert len({episode for _, episode in rows}) == 50


def test_a_lease_that_is_over_goes_to_another_and_its_report_is_dropped(board: Board, submission: str) -> None:
    first = claim(board, 1)[0]
    end_leases(board)
    second = next(job for job in claim(board) if job["id"] == first["id"])
    with pytest.raises(Problem, match="somebody else has it"):
        tell(board, first, "differs", "late")
    for act in (desk.renew, desk.release):
        with board.store.database.write() as connection, pytest.raises(Problem):
            act(connection, first["id"], first["lease"])
    assert tell(board, second, "bit") == "agreed"


def test_a_repeated_report_changes_nothing(board: Board, submission: str) -> None:
    job = claim(board, 1)[0]
    assert tell(board, job, "bit") == tell(board, job, "differs", "x") == "agreed"


def test_after_three_attempts_a_replay_is_given_up_with_its_reason(board: Board, submission: str) -> None:
    others = claim(board)
    lost = others.pop()
    for job in others:
        tell(board, job, "bit")
    assert tell(board, lost, "lost", "the simulator died") == "queued"
    assert tell(board, claim(board)[0], "lost", "the simulator died") == "queued"
    assert tell(board, claim(board)[0], "lost", "the simulator died") == "failed"
    assert claim(board) == []
    state, mark, reason = state_of(board, submission)
    assert (state, mark) == ("listed", "self-reported")
    assert reason == "1 of 50 replays could not be made: the simulator died"


def test_a_worker_that_dies_three_times_is_given_up(board: Board, submission: str) -> None:
    for _ in range(3):
        assert len(claim(board)) == 50
        end_leases(board)
    assert claim(board) == []
    assert state_of(board, submission)[0] == "listed"


def test_what_is_given_back_is_no_attempt(board: Board, submission: str) -> None:
    for _ in range(5):
        job = claim(board, 1)[0]
        with board.store.database.write() as connection:
            desk.release(connection, job["id"], job["lease"])
    assert len(claim(board)) == 50


def test_a_dispute_whose_cause_was_found_is_audited_anew_in_public(board: Board, submission: str) -> None:
    keeper, alice = board.principal("keeper", Scope.ADMIN, role=Role.MAINTAINER), board.principal("alice")
    jobs = claim(board)
    tell(board, jobs[0], "differs", "other states")
    for job in jobs[1:]:
        tell(board, job, "bit")
    assert state_of(board, submission)[:2] == ("disputed", "self-reported")
    with board.store.database.write() as connection, pytest.raises(Problem, match="only maintainers"):
        resume(connection, submission, "it was not my fault", by=alice)
    with board.store.database.write() as connection, pytest.raises(Problem, match="say why"):
        resume(connection, submission, " oops     ", by=keeper)
    with board.store.database.write() as connection:
        assert resume(connection, submission, "the worker had another MuJoCo", by=keeper) is State.AUDITING
    assert state_of(board, submission) == ("auditing", "self-reported", "the worker had another MuJoCo")
    (again,) = claim(board)
    assert again["id"] == jobs[0]["id"]
    assert tell(board, again, "bit") == "agreed"
    assert state_of(board, submission)[:2] == ("replayed", "replayed")
    with board.store.database.read() as connection:
        rows = connection.execute(sa.select(AUDIT.c.actor, AUDIT.c.action, AUDIT.c.detail)).all()
    told = {action: (actor, detail) for actor, action, detail in rows}
    assert told["replays_queued_again"][0] == "keeper"
    assert told["replays_queued_again"][1]["deviated"] == [told["replay_deviated"][1]["episode"]]
    with board.store.database.write() as connection, pytest.raises(Problem, match="is replayed: no replay of it"):
        resume(connection, submission, "once more, with feeling", by=keeper)


def test_a_dispute_that_deviates_again_stays_one(board: Board, submission: str) -> None:
    keeper = board.principal("keeper", Scope.ADMIN, role=Role.MAINTAINER)
    for job in claim(board):
        tell(board, job, "differs", "other states")
    with board.store.database.write() as connection:
        resume(connection, submission, "let us look once more", by=keeper)
    assert tell(board, claim(board)[0], "differs", "other states") == "deviated"
    assert state_of(board, submission)[:2] == ("disputed", "self-reported")


def test_replays_that_could_not_be_made_are_made_when_the_cause_is_mended(board: Board, submission: str) -> None:
    keeper = board.principal("keeper", Scope.ADMIN, role=Role.MAINTAINER)
    for _ in range(desk.MOST_ATTEMPTS):
        for job in claim(board):
            tell(board, job, "lost", "no simulator")
    assert state_of(board, submission)[0] == "listed"
    with board.store.database.write() as connection:
        assert resume(connection, submission, "the workers are well again", by=keeper) is State.AUDITING
    for job in claim(board):
        tell(board, job, "bit")
    assert state_of(board, submission)[:2] == ("replayed", "replayed")


def test_an_owner_retracts_and_a_tombstone_stays(board: Board, submission: str) -> None:
    alice, mallory = board.principal("alice"), board.principal("mallory")
    with board.store.database.write() as connection, pytest.raises(Problem, match="belongs to somebody else"):
        retract(connection, submission, "it is better than mine", by=mallory)
    with board.store.database.write() as connection, pytest.raises(Problem, match="say why"):
        retract(connection, submission, "oops", by=alice)
    with board.store.database.write() as connection:
        retract(connection, submission, "the gripper was set up wrongly", by=alice)
    with board.store.database.read() as connection:
        row = connection.execute(sa.select(BOARD_ROW)).mappings().one()
    assert (row["state"], row["state_reason"]) == ("retracted", "the gripper was set up wrongly")
    assert claim(board) == []
    with board.store.database.write() as connection, pytest.raises(Problem, match="cannot become"):
        retract(connection, submission, "once more, with feeling", by=alice)


def test_only_maintainers_withdraw(board: Board, submission: str) -> None:
    keeper, mallory = board.principal("keeper", Scope.ADMIN, role=Role.MAINTAINER), board.principal("mallory")
    with board.store.database.write() as connection, pytest.raises(Problem, match="only maintainers"):
        withdraw(connection, submission, "because I say so", by=mallory)
    with board.store.database.write() as connection:
        withdraw(connection, submission, "trained on the initial states", by=keeper)
    assert state_of(board, submission)[0] == State.WITHDRAWN
