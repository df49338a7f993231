"""The workflows of `examples/gate`, step by step as a CI server runs them, on real Meta-World episodes."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from vla_bench.cli.main import build_cli

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples" / "gate"


def workflow(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def steps(job: str) -> dict[str, str]:
    """Name → script, of the steps that run something, without the installation."""
    found = {step["name"]: step["run"] for step in workflow("github.yml")["jobs"][job]["steps"] if "run" in step}
    assert found.pop("Install").startswith("pip install 'vla-bench[")
    return found


def run_step(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As GitHub does: `bash -e -o pipefail`."""
    binaries = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", **variables}
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )


def test_gitlab_runs_what_github_runs() -> None:
    job = workflow("gitlab.yml")["gate"]
    ours = [" ".join(script.split()) for script in steps("gate").values()][:2]
    assert [" ".join(script.split()) for script in job["script"]] == ours
    assert job["artifacts"]["reports"]["junit"] == "gate.xml"
    assert job["allow_failure"]["exit_codes"] == [4]


@pytest.mark.parametrize("job", ["gate", "baseline"])
def test_every_line_of_the_workflow_is_understood(job: str) -> None:
    import shlex

    group = build_cli()
    lines = [script.replace("\\\n", "") for script in steps(job).values()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("vla-bench")]
    assert len(commands) == 2
    for name, *args in commands:
        group.commands[name].make_context(name, args)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's checkout after the baseline job ran on its main branch."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("policy.yaml", "thresholds.yaml"):
        shutil.copy(EXAMPLES / name, folder)
    for script in steps("baseline").values():
        done = run_step(script, folder)
        assert done.returncode == 0, done.stderr
    assert (folder / "baseline.json").stat().st_size < 10_000
    return folder


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.xdist_group("gate_in_ci")  # they share the baseline
@pytest.mark.parametrize(
    ("policy", "code"),
    [({"policy": "expert", "options": {"noise": 0.02}}, 0), ({"policy": "expert", "options": {"noise": 4.0}}, 1)],
    ids=["an equal policy passes", "one made clearly worse is stopped"],
)
def test_a_pull_request(repository: Path, tmp_path: Path, policy: dict[str, Any], code: int) -> None:
    for name in ("thresholds.yaml", "baseline.json"):
        shutil.copy(repository / name, tmp_path)
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    summary = tmp_path / "step_summary.md"
    codes = {
        name: run_step(script, tmp_path, GITHUB_STEP_SUMMARY=str(summary)).returncode
        for name, script in steps("gate").items()
    }
    assert codes == {"Run the candidate": 0, "Gate": code, "Summary": 0}
    assert summary.read_text().startswith("### ✅ Gate: pass" if code == 0 else "### ❌ Gate: fail")
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()[0]
    assert suite.get("tests") == "3"
    assert (suite.get("failures") == "0") == (code == 0)


@contextmanager
def forge() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A server that takes commit statuses; gives its URL and what it was sent."""
    received: list[tuple[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append((self.path, body))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl: apt-get install curl")
@pytest.mark.parametrize(
    ("codes", "state"), [((0, 0), "success"), ((0, 1), "failure"), ((0, 4), "failure"), ((3, 0), "error")]
)
def test_a_cluster_posts_the_status(tmp_path: Path, codes: tuple[int, int], state: str) -> None:
    """The recipe's own logic, with a `vla-bench` that ends as told."""
    program = tmp_path / "bin" / "vla-bench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = run ] && exit {codes[0]}\nexit {codes[1]}\n')
    program.chmod(0o755)
    with forge() as (url, received):
        environment = {
            **os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "GITHUB_TOKEN": "t",
            "GITHUB_API_URL": url, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", str(EXAMPLES / "cluster.sh"), "me/mine", "abc"], cwd=tmp_path, env=environment, timeout=60,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == (codes[0] or codes[1]), done.stderr
    ((path, body),) = received
    assert (path, body["state"], body["context"]) == ("/repos/me/mine/statuses/abc", state, "vla-bench gate")
