"""A listed run leaves its board, and is replayed by somebody who has nothing but its address."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from tests.cli.conftest import PROGRAM
from tests.server.submitting import DECLARATION, Forgery, Service, running, until
from vla_bench.cli.board_schemas import FetchModel
from vla_bench.results.leaderboard.boards import BOARD_ROW
from vla_bench.results.merge import merge
from vla_bench.results.store import Store
from vla_bench.results.tables import SUITE
from vla_bench.server.boards.enter import enter_finished_runs
from vla_bench.server.fetching.fetch import fetch
from vla_bench.server.submissions.bundle import read_bundle
from vla_bench.server.submissions.bundle.write import digest_of
from vla_bench.server.submissions.send import submit
from vla_bench.spec.errors import NotListed, SubmissionRefused, UsageError

pytestmark = pytest.mark.slow


@dataclass
class Listed:
    """A service with one submitted run, and one of its own that nobody submitted."""

    service: Service
    token: str
    submission: str
    run_id: int
    own_run_id: int

    @property
    def page(self) -> str:
        return f"{self.service.url}/runs/{self.run_id}"

    @property
    def kept(self) -> Path:
        """Where the board keeps the bundles that it has written."""
        return self.service.folder / "uploads" / "bundles"

    @property
    def bundle(self) -> str:
        return f"{self.service.url}/api/v1/runs/{self.run_id}/bundle"


@pytest.fixture(scope="module")
def listed(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listed]:
    folder = tmp_path_factory.mktemp("board")
    with running(str(folder / "board.db"), folder) as service:
        board = service.board()
        token = str(board.token("alice"))
        with service.client(token) as client, Store.open(toy_run, read_only=True) as store:
            sent = submit(client, store, "toy", DECLARATION)
        merge(board.store, [str(toy_run)])
        enter_finished_runs(board.store.database)
        with board.store.database.read() as connection:
            found = connection.execute(sa.select(BOARD_ROW.c.submission_id, BOARD_ROW.c.run_id))
            rows = {submission: run_id for submission, run_id in found if run_id is not None}
        board.store.close()
        yield Listed(service, token, sent.id, rows[sent.id], rows[""])


@pytest.fixture
def fresh(listed: Listed) -> Iterator[Listed]:
    """The board without any kept bundle, before and after."""
    shutil.rmtree(listed.kept, ignore_errors=True)
    yield listed
    shutil.rmtree(listed.kept, ignore_errors=True)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The program in a home that has nothing."""
    home = tmp_path / "reader"
    monkeypatch.setenv("VLA_BENCH_HOME", str(home))

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=120, check=False,
                              env=os.environ | {"VLA_BENCH_TOKEN": "vlab_none"})  # fmt: skip

    return call


def test_who_has_the_address_replays_the_number(
    listed: Listed, reader: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    page = httpx2.get(listed.page).text
    commands = [line for line in page.replace("<code>", "\n").replace("</code>", "\n").splitlines()
                if line.startswith("vla-bench ")]  # fmt: skip
    assert commands == [
        f"vla-bench leaderboard fetch {listed.page}", f"vla-bench verify {listed.submission}-toy --all",
    ]  # fmt: skip
    fetched = reader(*commands[0].split()[1:])
    assert fetched.returncode == 0, fetched.stderr
    assert "as it was submitted" in fetched.stdout
    assert commands[1] in fetched.stdout
    verified = reader(*commands[1].split()[1:], "--json")
    assert verified.returncode == 0, verified.stderr
    report = json.loads(verified.stdout)
    assert report["verdict"] == "equal"
    assert {episode["agreement"] for episode in report["episodes"]} == {"bit"}
    assert len(report["episodes"]) == 50
    assert not list((tmp_path / "reader" / "fetched").iterdir())


def test_a_fetched_run_is_nobodys_own(
    listed: Listed, reader: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    fetched = reader("leaderboard", "fetch", listed.page, "--name", "theirs", "--json")
    assert fetched.returncode == 0, fetched.stderr
    assert FetchModel.model_validate_json(fetched.stdout).run == "theirs"
    assert f"fetched from {listed.page}" in reader("show", "theirs").stdout
    assert "fetched" in reader("runs").stdout
    declaration = tmp_path / "d.yaml"
    declaration.write_text("\n".join(f"{k}: {v!r}" for k, v in DECLARATION.model_dump(exclude_none=True).items()))
    sent = reader("submit", "theirs", "--declaration", str(declaration), "--server", listed.service.url)
    assert (sent.returncode, "only who made a run submits it" in sent.stderr) == (2, True)
    gone_on = reader("run", "-p", "expert", "-o", "noise=0.7", "-s", "toy_reach", "--name", "theirs")
    assert (gone_on.returncode, "was not made here" in gone_on.stderr) == (2, True)
    again = reader("leaderboard", "fetch", listed.page)
    assert (again.returncode, "vla-bench verify theirs --all" in again.stderr) == (2, True)


def test_a_taken_name_gets_a_number(listed: Listed, toy_run: Path, tmp_path: Path) -> None:
    shutil.copy(toy_run, tmp_path / "mine.db")
    with Store.open(tmp_path / "mine.db", tmp_path / "traces") as store:
        assert fetch(store, listed.page + "?all#check", name="toy").run == "toy-2"
        assert store.summary("toy").origin == {}
        assert store.summary("toy-2").score_line == store.summary("toy").score_line


def test_the_bundle_comes_in_parts_under_its_digest(fresh: Listed) -> None:
    whole = httpx2.get(fresh.bundle)
    digest = whole.headers["x-bundle-digest"]
    sealed = httpx2.get(f"{fresh.service.url}/api/v1/submissions/{fresh.submission}").json()["bundle_digest"]
    assert digest == sealed
    rest = httpx2.get(fresh.bundle, headers={"Range": "bytes=1000-", "If-Range": f'"{digest}"'})
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])
    other = httpx2.get(fresh.bundle, headers={"Range": "bytes=1000-", "If-Range": f'"{"0" * 64}"'})
    assert (other.status_code, other.content) == (200, whole.content)


def test_what_broke_off_goes_on(fresh: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLA_BENCH_HOME", str(tmp_path))
    with Store.open(tmp_path / "x.db") as store:
        assert fetch(store, fresh.page, name="first").is_as_sealed
        store.delete("first")

        def stop(done: int, total: int) -> None:
            assert 0 < done <= total
            if done > 10_000:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(store, fresh.page, told=stop)
        (part,) = (tmp_path / "fetched").iterdir()
        part.write_bytes(part.read_bytes()[:9_000])
        steps: list[tuple[int, int]] = []
        found = fetch(store, fresh.page, told=lambda done, total: steps.append((done, total)))
        assert steps[0][0] > 9_000
        assert steps[-1] == (found.bundle_bytes, found.bundle_bytes)
        assert all(store.traces.has(a["trace_digest"]) for a in _attempts(store))


def test_a_changed_download_is_refused_and_leaves_nothing(
    fresh: Listed, reader: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    httpx2.get(fresh.bundle)
    (kept,) = fresh.kept.glob("*.bundle")
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(data)
    done = reader("leaderboard", "fetch", fresh.page)
    assert (done.returncode, "it was changed" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
    home = tmp_path / "reader"
    assert not list((home / "fetched").iterdir())
    assert not list(home.rglob("*.trace.zst"))
    assert "no runs" in reader("runs").stderr


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("suite", "the suite was changed"),
        ("outcome", "contradicts itself"),
        ("trace", "traces are missing"),
        ("stranger", "attempts belong to no episode"),
    ],
)
def test_a_board_that_lies_is_refused_before_anything_is_stored(
    fresh: Listed, tmp_path: Path, what: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLA_BENCH_HOME", str(tmp_path))
    httpx2.get(fresh.bundle)
    (kept,) = fresh.kept.glob("*.bundle")
    forged = Forgery.of(kept)
    if what == "suite":
        # It would lie under the digest of the real one, for every later run of this database.
        forged.members["suite.json"]["tasks"][0]["horizon"] += 1
    elif what == "outcome":
        row = forged.episodes[0]
        row["outcome"] = "failure" if row["outcome"] == "success" else "success"
    elif what == "trace":
        forged.traces.pop(next(iter(forged.traces)))
    else:
        forged.episodes.pop()
        forged.manifest["n_episodes"] -= 1
    path = forged.write(tmp_path / "forged")
    kept.unlink()
    path.replace(fresh.kept / f"{fresh.submission}-{digest_of(path)}.bundle")
    with Store.open(tmp_path / "x.db") as store:
        with pytest.raises(SubmissionRefused, match=message):
            fetch(store, fresh.page)
        assert store.summaries() == []
        with store.database.read() as connection:
            assert connection.execute(sa.select(SUITE)).all() == []
        assert not list(tmp_path.rglob("*.trace.zst"))


def test_a_newer_bundle_names_the_way_out(toy_bundle: Path, tmp_path: Path) -> None:
    forged = Forgery.of(toy_bundle)
    forged.manifest["format"] = "vla-bench/bundle/2"
    path = forged.write(tmp_path / "newer")
    with path.open("rb") as file, pytest.raises(SubmissionRefused, match=r"bundle/2.*pip install --upgrade"):
        read_bundle(file, path.stat().st_size)


def test_what_is_not_there_is_one_sentence(listed: Listed, tmp_path: Path) -> None:
    own = httpx2.get(f"{listed.service.url}/api/v1/runs/{listed.own_run_id}/bundle")
    assert (own.status_code, "nobody submitted it" in own.json()["detail"]) == (404, True)
    assert httpx2.get(f"{listed.service.url}/api/v1/runs/999/bundle").status_code == 404
    with Store.open(tmp_path / "x.db") as store:
        with pytest.raises(NotListed, match="no run 999"):
            fetch(store, f"{listed.service.url}/runs/999")
        with pytest.raises(NotListed, match="nobody submitted it"):
            fetch(store, f"{listed.service.url}/runs/{listed.own_run_id}")
        with pytest.raises(UsageError, match="the address of a run's page"):
            fetch(store, f"{listed.service.url}/boards")


def test_a_tombstone_can_be_checked_too(toy_run: Path, tmp_path: Path) -> None:
    with running(str(tmp_path / "board.db"), tmp_path) as service:
        board = service.board()
        token = str(board.token("alice"))
        board.store.close()
        with service.client(token) as client, Store.open(toy_run, read_only=True) as store:
            sent = submit(client, store, "toy", DECLARATION)
            client.post(f"submissions/{sent.id}/retract", {"reason": "the gripper was set up wrongly"})
            run_id = until(lambda: client.get(f"submissions/{sent.id}")["run_id"])
        with Store.open(tmp_path / "x.db") as store:
            assert fetch(store, f"{service.url}/runs/{run_id}").n_episodes == 50


def _attempts(store: Store) -> list[dict[str, str]]:
    from vla_bench.results.tables import ATTEMPT

    with store.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(ATTEMPT.c.trace_digest)).mappings()]
