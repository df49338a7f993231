"""Submissions to the real service, in processes of their own, that are killed in the middle."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from tests.cli.conftest import PROGRAM
from tests.postgres import find_programs, fresh_database, postgres_cluster
from tests.server.submitting import (
    DECLARATION,
    Board,
    Forgery,
    Service,
    announcement,
    copy_run_as,
    running,
    until,
)
from vla_bench.cli.board_schemas import SubmitModel
from vla_bench.results.copying import trace_digests
from vla_bench.results.leaderboard.boards import BOARD_ROW
from vla_bench.results.leaderboard.people import REPLAY, SUBMISSION
from vla_bench.results.store import Store
from vla_bench.results.tables import ATTEMPT, EPISODE, RUN
from vla_bench.results.traces import TraceFolder
from vla_bench.server.accounts.people import Role, Scope
from vla_bench.server.client import BoardClient
from vla_bench.server.submissions import listing
from vla_bench.server.submissions.bundle import read_bundle
from vla_bench.server.submissions.scratch import scratch_store
from vla_bench.server.submissions.send import submit
from vla_bench.server.submissions.states import find_submission
from vla_bench.spec.errors import BoardUnreachable, StoreError, StoreUnreachable, SubmissionRefused, UsageError
from vla_bench.spec.result import Trace

YAML = "\n".join(f"{key}: {value!r}" for key, value in DECLARATION.model_dump(exclude_none=True).items())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(str(tmp_path / "board.db"), tmp_path) as found:
        yield found


@pytest.fixture
def alice(service: Service) -> str:
    board = service.board()
    token = str(board.token("alice"))
    board.store.close()
    return token


def cli(*args: str, token: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"VLA_BENCH_TOKEN": token}
    return subprocess.run(
        [PROGRAM, *args], capture_output=True, text=True, env=environment, timeout=120, check=False
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_is_submitted_replayed_and_marked_by_the_commands_of_the_docs(
    service: Service, alice: str, toy_run: Path, tmp_path: Path
) -> None:
    board = service.board()
    keeper = str(board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER))
    declaration = tmp_path / "d.yaml"
    declaration.write_text(YAML)
    send = ("submit", "toy", "--db", str(toy_run), "--declaration", str(declaration), "--server", service.url)
    done = cli(*send, "--json", token=alice)
    assert done.returncode == 0, done.stderr
    assert SubmitModel.model_validate_json(done.stdout).state in ("auditing", "replayed")
    again = cli(*send, token=alice)
    assert again.returncode == 1
    assert "this bundle was submitted before" in again.stderr
    work = ("leaderboard", "worker", "--server", service.url, "--suite", "toy_reach", "--until-idle")
    worked = cli(*work, token=keeper)
    assert worked.returncode == 0, worked.stderr
    assert "50 replays reported" in worked.stdout
    with board.store.database.read() as connection:
        row = connection.execute(sa.select(SUBMISSION)).mappings().one()
    assert (row["state"], row["reason"]) == ("replayed", "50 replayed of 50, 0 deviating")
    page = httpx2.get(f"{service.url}/api/v1/submissions/{row['id']}").json()
    assert page["state"] == "replayed"
    board.store.close()
    service.stop()
    log = service.log.read_text()
    for secret in (alice, keeper, alice[13:], keeper[13:]):
        assert secret not in log + done.stdout + done.stderr + worked.stdout + worked.stderr


@pytest.mark.slow
def test_without_a_good_token_nothing_is_sent(service: Service, toy_run: Path, tmp_path: Path) -> None:
    declaration = tmp_path / "d.yaml"
    declaration.write_text(YAML)
    send = ("submit", "toy", "--db", str(toy_run), "--declaration", str(declaration), "--server", service.url)
    done = cli(*send, token="vlab_nothing")
    assert done.returncode == 2
    assert "refuses the token" in done.stderr
    service.stop()
    gone = cli(*send, token="vlab_nothing")
    assert gone.returncode == 3
    assert "does not answer" in gone.stderr


@pytest.mark.slow
def test_a_service_killed_in_mid_upload_goes_on_where_it_was(service: Service, alice: str, toy_bundle: Path) -> None:
    data = toy_bundle.read_bytes()
    parts = [data[start : start + 10_000] for start in range(0, len(data), 10_000)]
    announced = announcement(toy_bundle) | {"suite": "toy_reach", "protocol": "standard/1"}
    with BoardClient(service.url, alice) as client:
        opened = client.post("submissions", announced)
        for number, part in enumerate(parts[:2], start=1):
            client.call("PUT", f"submissions/{opened['id']}/parts/{number}", content=part)

    def half_a_part() -> Iterator[bytes]:
        yield parts[2][:5000]
        service.kill()
        yield parts[2][5000:]

    with BoardClient(service.url, alice) as client, pytest.raises(BoardUnreachable):
        client.call("PUT", f"submissions/{opened['id']}/parts/3", content=half_a_part())
    service.start()
    with BoardClient(service.url, alice) as client:
        again = client.post("submissions", announced)
        assert again["id"] == opened["id"]
        digests = [hashlib.sha256(part).hexdigest() for part in parts]
        assert [(part["number"], part["digest"]) for part in again["parts"]] == [(1, digests[0]), (2, digests[1])]
        with pytest.raises(SubmissionRefused, match="20000 bytes have arrived"):
            client.post(f"submissions/{opened['id']}/seal")
        for number in range(3, len(parts) + 1):
            client.call("PUT", f"submissions/{opened['id']}/parts/{number}", content=parts[number - 1])
        client.post(f"submissions/{opened['id']}/seal")
        # Killed again before, or in the middle of, the check: the next start checks what is sealed.
        service.kill()
    service.start()
    with BoardClient(service.url, alice) as client:
        end_of_checking(service, opened["id"])
        until(lambda: client.get(f"submissions/{opened['id']}")["state"] == "auditing")
    board = service.board()
    with board.store.database.read() as connection:
        counts = [connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in (RUN, EPISODE, ATTEMPT)]
    board.store.close()
    assert counts == [1, 50, 50]


def end_of_checking(service: Service, submission_id: str) -> None:
    """Let a check that died with its process be over now, and not in half an hour."""
    board = service.board()
    with board.store.database.write() as connection:
        if find_submission(connection, submission_id)["state"] == "checking":
            long_ago = {"updated_at": "2020-01-01T00:00:00+00:00"}
            connection.execute(sa.update(SUBMISSION).values(long_ago))
    listing.process(board.store, board.settings, submission_id)
    board.store.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_twenty_submissions_at_once_are_neither_lost_nor_mixed(
    kind: str, toy_run: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = str(tmp_path / "board.db")
    if kind == "postgres":
        context = fresh_database(request.getfixturevalue("postgres_url"))
        database = context.__enter__()
        request.addfinalizer(lambda: context.__exit__(None, None, None))
    runs = tmp_path / "runs.db"
    for number in range(20):
        copy_run_as(toy_run, runs, f"run-{number}", 1.0 + number)
    with running(database, tmp_path) as service:
        board = service.board()
        tokens = [str(board.token(f"account-{number}")) for number in range(20)]

        def send(number: int) -> str:
            with Store.open(runs, read_only=True) as store, service.client(tokens[number]) as client:
                return submit(client, store, f"run-{number}", DECLARATION).id

        with ThreadPoolExecutor(20) as pool:
            ids = list(pool.map(send, range(20)))
        assert len(set(ids)) == 20
        with board.store.database.read() as connection:
            for number, submission_id in enumerate(ids):
                row = find_submission(connection, submission_id)
                assert (row["run_name"], row["state"]) == (f"run-{number}", "auditing")
                name = connection.scalar(sa.select(RUN.c.name).where(RUN.c.id == row["run_id"]))
                assert name == f"{submission_id}-run-{number}"
                found = set(
                    connection.scalars(sa.select(ATTEMPT.c.trace_digest).where(ATTEMPT.c.run_id == row["run_id"]))
                )
                with Store.open(runs, read_only=True) as store, store.database.read() as mine:
                    assert found == set(trace_digests(mine, f"run-{number}"))
        board.store.close()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("victim", ["the backend", "the server"])
def test_postgres_killed_in_mid_seal_leaves_nothing_half_done(victim: str, toy_bundle: Path, tmp_path: Path) -> None:
    """A cluster of its own, killed while the listing transaction is open."""
    if find_programs() is None:
        pytest.skip("needs a cluster of its own")
    with postgres_cluster() as cluster:
        board = Board(cluster.url, tmp_path)
        submission_id = board.seal(board.principal("alice"), toy_bundle)
        original = listing.queue_draw

        def crash(connection: sa.Connection, of: str) -> int:
            # The last thing before the commit: every row of the run is written.
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            if victim == "the server":
                cluster.kill()
                until(lambda: not Path(f"/proc/{pid}").exists())
            else:  # which takes all the others down
                os.kill(pid, signal.SIGKILL)
            return original(connection, of)

        listing.queue_draw = crash
        try:
            with pytest.raises(Exception, match=r"."):
                listing.process(board.store, board.settings, submission_id)
        finally:
            listing.queue_draw = original
        if victim == "the server":
            with pytest.raises(StoreUnreachable):
                listing.process(board.store, board.settings, submission_id)
            cluster.start()

        def counts() -> list[int] | None:
            try:
                with board.store.database.read() as connection:
                    tables = (RUN, EPISODE, ATTEMPT, BOARD_ROW, REPLAY)
                    return [connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in tables]
            except StoreError:  # the cluster recovers
                return None

        assert until(counts) == [0] * 5
        with board.store.database.write() as connection:
            assert find_submission(connection, submission_id)["state"] in ("checking", "sealed")
            connection.execute(sa.update(SUBMISSION).values(updated_at="2020-01-01T00:00:00+00:00"))
        assert str(listing.process(board.store, board.settings, submission_id)) == "auditing"
        assert counts() == [1, 50, 50, 1, 50]
        board.store.close()


@pytest.mark.slow
def test_what_is_too_much_or_broken_is_refused_at_the_door(
    service: Service, alice: str, toy_bundle: Path, tmp_path: Path
) -> None:
    announced = announcement(toy_bundle) | {"suite": "toy_reach", "protocol": "standard/1"}
    with BoardClient(service.url, alice) as client:
        for changes, words in (
            ({"bundle_size": 3 << 30}, "the limit is"),
            ({"plan_hash": "0" * 64}, "run the protocol's full plan"),
            ({"suite": "my_suite"}, "unknown suite"),
            ({"declaration": {}}, "training_data"),
            ({"bundle_digest": "zz"}, "bundle_digest"),
        ):
            with pytest.raises(SubmissionRefused, match=words):
                client.post("submissions", announced | changes)
        opened = client.post("submissions", announced)
        path = f"submissions/{opened['id']}/parts"
        with pytest.raises(SubmissionRefused, match="were announced"):
            client.call("PUT", f"{path}/1", content=bytes(announced["bundle_size"] + 1))
        with pytest.raises(SubmissionRefused, match="damaged"):
            client.call("PUT", f"{path}/1", content=b"x", headers={"X-Part-Digest": "0" * 64})
        for number in ("0", "10001", "../1", "x"):
            with pytest.raises((SubmissionRefused, UsageError)):
                client.call("PUT", f"{path}/{number}", content=b"x")
        client.call("PUT", f"{path}/1", content=bytes(announced["bundle_size"]))
        client.post(f"submissions/{opened['id']}/seal")
        found = until(lambda: refused(client, opened["id"]))
    assert "bytes with digest" in found["reason"]
    assert httpx2.get(f"{service.url}/api/v1/submissions/{opened['id']}").json()["state"] == "refused"


def refused(client: BoardClient, submission_id: str) -> dict[str, str] | None:
    found = client.get(f"submissions/{submission_id}")
    return found if found["state"] == "refused" else None


@pytest.mark.slow
def test_a_flipped_outcome_that_hides_from_every_check_is_caught_by_its_replay(
    service: Service, alice: str, toy_bundle: Path, toy_run: Path, tmp_path: Path
) -> None:
    """The careful forger: outcome, stages and every aggregate are consistent. Only the simulator knows better."""
    forged = consistent_flip(toy_bundle, tmp_path)
    board = service.board()
    submission_id, state, reason = board.submit(board.principal("mallory"), forged)
    assert str(state) == "auditing", reason
    keeper = str(board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER))
    work = ("leaderboard", "worker", "--server", service.url, "--suite", "toy_reach", "--until-idle")
    worked = cli(*work, token=keeper)
    assert "deviated" in worked.stderr
    with board.store.database.read() as connection:
        assert find_submission(connection, submission_id)["state"] == "disputed"
    board.store.close()


@pytest.mark.slow
def test_an_action_changed_together_with_its_digests_passes_the_checks_and_is_caught_by_its_replay(
    service: Service, alice: str, toy_bundle: Path, tmp_path: Path
) -> None:
    forged = Forgery.of(toy_bundle)
    episode = next(row["episode_id"] for row in forged.episodes if row["outcome"] == "success")
    before = forged.attempt(episode)["trace_digest"]
    forged.retrace(episode, with_another_first_action)
    assert forged.attempt(episode)["trace_digest"] != before
    board = service.board()
    submission_id, state, reason = board.submit(board.principal("mallory"), forged.write(tmp_path / "forged"))
    assert str(state) == "auditing", reason
    keeper = str(board.token("keeper", Scope.REPLAY, role=Role.MAINTAINER))
    worked = cli("leaderboard", "worker", "--server", service.url, "--suite", "toy_reach", "--until-idle", token=keeper)
    assert "deviated" in worked.stderr
    with board.store.database.read() as connection:
        found = find_submission(connection, submission_id)
        mark = connection.scalar(sa.select(BOARD_ROW.c.mark).where(BOARD_ROW.c.run_id == found["run_id"]))
        replays = connection.execute(sa.select(REPLAY.c.episode_id, REPLAY.c.state)).all()
    board.store.close()
    assert (found["state"], mark) == ("disputed", "self-reported")
    assert {row["episode_id"] for row in forged.episodes} == {name for name, _ in replays}
    assert [name for name, ended in replays if ended == "deviated"] == [episode]


def with_another_first_action(trace: Trace) -> Trace:
    actions = trace.actions.copy()
    actions[0] = -0.5 * actions[0]
    return replace(trace, actions=actions)


def consistent_flip(toy_bundle: Path, tmp_path: Path) -> Path:
    forged = Forgery.of(toy_bundle)
    failed = next(row["episode_id"] for row in forged.episodes if row["outcome"] == "failure")
    row = forged.attempt(failed)
    for item in (row, next(item for item in forged.episodes if item["episode_id"] == failed)):
        item["outcome"] = "success"
    for stage in row["stages"]:
        stage["success"] = True
    forged.members["summary.json"] = recounted(forged, tmp_path)
    return forged.write(tmp_path / "forged")


def recounted(forged: Forgery, tmp_path: Path) -> dict[str, object]:
    """The summary of the forged rows, as our own code counts it."""
    data = forged.write(tmp_path / "draft").read_bytes()
    bundle = read_bundle(io.BytesIO(data), len(data))
    with scratch_store(bundle, forged.manifest["run"], TraceFolder(tmp_path / "none")) as scratch:
        return scratch.summary(forged.manifest["run"]).to_dict()
