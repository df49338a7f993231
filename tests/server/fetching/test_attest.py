"""Who fetched a listed run replays it and says so in public: under an account that is not its submitter's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import PROGRAM
from tests.server.submitting import DECLARATION, Service, running
from vla_bench.cli.board_schemas import AttestModel
from vla_bench.results.store import Store
from vla_bench.server.submissions.attestations import MOST_A_DAY
from vla_bench.server.submissions.send import submit

pytestmark = pytest.mark.slow

Program = Callable[..., subprocess.CompletedProcess[str]]
MACHINE = {"cpu": "x86_64 <b>none</b>", "os": "Linux 6", "python": "3.11.7", "packages": {}, "renderer": {}}
FORM: dict[str, Any] = {
    "bundle_digest": "0" * 64, "bit": 40, "outcome": 8, "differs": 2, "n_findings": 0, "seed": 7, "machine": MACHINE,
    "harness": "0.1",
}  # fmt: skip


class Scene:
    """A service with a run that alice submitted; bob has an account too."""

    def __init__(self, service: Service, toy_run: Path) -> None:
        board = service.board()
        self.service, self.alice, self.bob = service, str(board.token("alice")), str(board.token("bob"))
        board.store.close()
        with service.client(self.alice) as client, Store.open(toy_run, read_only=True) as store:
            self.submission = submit(client, store, "toy", DECLARATION).id
        self.run_id = httpx2.get(f"{service.url}/api/v1/submissions/{self.submission}").json()["run_id"]
        self.run_page = f"{service.url}/runs/{self.run_id}"

    def page(self) -> str:
        return httpx2.get(f"{self.service.url}/submissions/{self.submission}").text

    def post(self, token: str, **changes: Any) -> httpx2.Response:
        url = f"{self.service.url}/api/v1/submissions/{self.submission}/attestations"
        return httpx2.post(url, json=FORM | changes, headers={"Authorization": f"Bearer {token or 1}"})


@pytest.fixture(scope="module")
def scene(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("board")
    with running(str(folder / "board.db"), folder) as service:
        yield Scene(service, toy_run)


@pytest.fixture
def bob(scene: Scene, tmp_path: Path) -> Program:
    environment = os.environ | {"VLA_BENCH_HOME": str(tmp_path / "bob"), "VLA_BENCH_TOKEN": scene.bob}

    def call(*args: str, token: str = "") -> subprocess.CompletedProcess[str]:
        own = environment | ({"VLA_BENCH_TOKEN": token} if token else {})
        return subprocess.run(
            [PROGRAM, *args], capture_output=True, text=True, timeout=120, check=False, env=own
        )  # fmt: skip

    return call


def test_what_a_readers_replays_gave_stands_on_the_submissions_page(scene: Scene, bob: Program) -> None:
    assert "Nobody has replayed this run and said so" in scene.page()
    assert bob("leaderboard", "fetch", scene.run_page, "--name", "theirs").returncode == 0
    done = bob("leaderboard", "attest", "theirs", "--sample", "5", "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    told = AttestModel.model_validate_json(done.stdout)
    assert told.url.endswith(f"/submissions/{scene.submission}#attestations")
    assert told.verification.agreements["bit"] == 5
    page = " ".join(scene.page().split())
    assert '<th scope="row">bob</th>' in page
    assert "5 of 50" in page
    assert "seed 3" in page
    log = httpx2.get(f"{scene.service.url}/api/v1/log?subject_kind=submission&subject={scene.submission}").json()
    (line,) = [entry for entry in log["entries"] if entry["action"] == "attested"]
    assert (line["actor"], line["detail"]["bit"], line["detail"]["n_judged"]) == ("bob", 5, 50)
    own = bob("leaderboard", "attest", "theirs", "--sample", "1", token=scene.alice)
    assert (own.returncode, "by others than its submitter" in own.stderr) == (2, True)


def test_only_a_fetched_run_is_attested_and_only_with_a_token(scene: Scene, bob: Program, toy_run: Path) -> None:
    mine = bob("leaderboard", "attest", "toy", "--db", str(toy_run))
    assert (mine.returncode, "vla-bench leaderboard fetch" in mine.stderr) == (2, True)
    assert bob("leaderboard", "fetch", scene.run_page, "--name", "theirs").returncode == 0
    refused = bob("leaderboard", "attest", "theirs", token="vlab_none")
    assert (refused.returncode, "token" in refused.stderr) == (2, True)
    assert "replayed" not in refused.stdout


def test_what_cannot_be_replayed_here_says_nothing_of_the_run(scene: Scene, bob: Program, tmp_path: Path) -> None:
    traces = tmp_path / "gone"
    assert bob("leaderboard", "fetch", scene.run_page, "--name", "theirs", "--traces", str(traces)).returncode == 0
    before = scene.page()
    shutil.rmtree(traces)
    lost = bob("leaderboard", "attest", "theirs", "--sample", "2", "--traces", str(traces))
    assert (lost.returncode, "nothing was published" in lost.stderr) == (3, True), lost.stderr
    assert scene.page() == before


def test_an_attestation_that_cannot_be_is_refused(scene: Scene) -> None:
    assert scene.post("").status_code == 401
    assert scene.post(scene.alice).status_code == 403
    assert scene.post(scene.bob, bit=41).status_code == 422  # more episodes than the run has
    assert scene.post(scene.bob, bit=0, outcome=0, differs=0).status_code == 422
    assert scene.post(scene.bob, bit=-1).status_code == 422
    assert scene.post(scene.bob, machine=MACHINE | {"more": 1}).status_code == 422
    assert scene.post(scene.bob).status_code == 201
    assert "&lt;b&gt;none" in scene.page()
    assert "<b>none" not in scene.page()
    codes = [scene.post(scene.bob).status_code for _ in range(MOST_A_DAY)]
    assert set(codes) == {201, 429}
    assert codes[-1] == 429
