"""`vla-bench policies POLICY`: a look at one policy, which leaves nothing behind."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import Run
from tests.engines import fake_engines


@pytest.fixture
def engines(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a working docker, the only engine of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    folder = fake_engines(tmp_path / "bin", "docker", port=port)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def test_a_look_at_an_image_says_what_it_is_and_removes_its_container(quick: Run, engines: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    done = quick("policies", "docker://me/lamp:1.2", "-o", "chunk=3", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["handshakes"]
    assert (found["name"], found["chunk_length"], found["action"]) == ("noop", 3, None)
    assert found["options"] == {"chunk": 3, "image": f"sha256:{'2' * 64}"}
    assert calls(engines)[-1][:3] == ["docker", "rm", "--force"]
    assert set(psutil.Process().children(recursive=True)) <= before


def test_an_image_that_does_not_start_is_removed_and_its_last_words_are_told(quick: Run, engines: Path) -> None:
    (engines / "mode").write_text("dies")
    done = quick("policies", "docker://me/lamp:1.2")
    assert done.returncode == 3
    assert "its last line: CUDA out of memory" in done.stderr
    assert calls(engines)[-1][:3] == ["docker", "rm", "--force"]


def test_each_route_of_a_policy_is_looked_at(quick: Run, home: Path) -> None:
    (home / "own.py").write_text(
        "from vla_bench.policies.builtin.noop import NoopPolicy\n"
        "from vla_bench.spec.conventions import ActionConvention, Gripper, Rotation\n"
        "from vla_bench.spec.messages import CameraRequest, PolicyInfo\n"
        "class Own(NoopPolicy):\n"
        "    def info(self):\n"
        "        return PolicyInfo(name='own', version='2', chunk_length=8, state={'joints': 7}, history=(-4,),\n"
        "            cameras=(CameraRequest(name='front', height=224, width=224),),\n"
        "            action=ActionConvention(rotation=Rotation.EULER_XYZ, gripper=Gripper.PLUS_OPENS))\n"
    )
    (home / "routes.yaml").write_text("routes: {toy_reach: noop, libero_goal: 'own.py:Own'}\n")
    done = quick("policies", "routes.yaml")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("\n\n")
    assert "toy_reach" in first
    assert "noop, version 1" in first
    for words in ("libero_goal", "own, version 2", "7 numbers: position delta", "front 224x224", "joints (7)", "-4"):
        assert words in second


def test_options_without_a_policy_are_refused(quick: Run) -> None:
    done = quick("policies", "-o", "chunk=2")
    assert done.returncode == 2
    assert "vla-bench policies POLICY" in done.stderr
