"""Policies in images: what is typed, what an engine is told, and what is left behind on every path: nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.engines import IMAGE, fake_engines, mounts, real_engine
from tests.policies.questions import episode, observation
from vla_bench.policies.base import Deadlines
from vla_bench.policies.containers import ContainerOptions, ImageReference
from vla_bench.policies.containers.engines import Engine
from vla_bench.policies.containers.server import KEPT_LOGS, log_folder
from vla_bench.policies.resolve import ResolvedPolicy, RoutedPolicy, resolve_policy
from vla_bench.spec.errors import PolicyTimeout, ServerUnreachable, UsageError

PIN = f"sha256:{'2' * 64}"
LAMP = ImageReference.parse("docker://ghcr.io/me/lamp:1.2")
DEADLINES = Deadlines(connect_s=20.0, first_act_s=60.0, act_s=20.0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VLA_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VLA_BENCH_CONTAINER_ENGINE", raising=False)
    return tmp_path / "home"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, *kinds: str, mode: str = "works") -> Path:
    """Make these fake engines the only ones of this machine."""
    monkeypatch.setenv("PATH", str(fake_engines(folder, *kinds, mode=mode, port=free_port())))
    return folder


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


@pytest.mark.parametrize(
    ("typed", "name", "digest"),
    [
        ("docker://lamp", "lamp", ""),
        ("docker://ghcr.io/me/lamp:1.2", "lamp", ""),
        ("docker://localhost:5000/me/lamp", "lamp", ""),
        (f"docker://me/lamp:1.2@{PIN}", "lamp", PIN),
    ],
)
def test_an_image_is_known_by_its_scheme(typed: str, name: str, digest: str) -> None:
    resolved = resolve_policy(typed, {"chunk": 2})
    assert isinstance(resolved, ResolvedPolicy)
    assert (resolved.name, resolved.image, resolved.options) == (name, typed.removeprefix("docker://"), {"chunk": 2})
    assert resolved.is_ours
    assert ImageReference.parse(typed).digest == digest


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("dokcer://lamp", r"Did you mean docker://\?"),
        ("docker://", "no image is named"),
        ("docker://Me/Lamp", r"Did you mean docker://me/lamp\?"),
        ("docker://lamp@sha256:12", "64 hexadecimal digits"),
        ("docker://lamp; rm -rf", r"an image is written docker://NAME"),
        ("docker://--privileged", r"an image is written docker://NAME"),
    ],
)
def test_what_is_no_image_is_refused_with_the_way_out(typed: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        resolve_policy(typed)


def test_a_file_says_how_an_image_is_started(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    path = tmp_path / "lamp.yaml"
    path.write_text(
        textwrap.dedent(
            """
            policy: docker://me/lamp:1.2
            options: {steps: 10}
            container: {gpus: "0,1", mounts: ["weights:/weights", "weights:/cache:rw"], env: [HF_TOKEN], shm_gib: 2}
            """
        )
    )
    resolved = resolve_policy(str(path))
    assert isinstance(resolved, ResolvedPolicy)
    assert resolved.container == ContainerOptions(
        gpus="0,1",
        mounts=(f"{tmp_path / 'weights'}:/weights:ro", f"{tmp_path / 'weights'}:/cache:rw"),
        env=("HF_TOKEN",),
        shm_gib=2.0,
    )


@pytest.mark.parametrize(
    ("container", "says"),
    [
        ("{gpu: all}", "unknown key 'gpu'. Did you mean 'gpus'?"),
        ("{gpus: some}", "gpus is auto, all, none or indices"),
        ("{mounts: [nowhere:/weights]}", "nowhere does not exist"),
        ("{mounts: [weights]}", "a mount is SOURCE:/TARGET"),
        ("{env: ['A=1']}", "is no name of one"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(tmp_path: Path, container: str, says: str) -> None:
    path = tmp_path / "lamp.yaml"
    path.write_text(f"policy: docker://me/lamp\ncontainer: {container}\n")
    with pytest.raises(UsageError) as caught:
        resolve_policy(str(path))
    assert says in str(caught.value)


def test_a_route_may_be_an_image(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("routes: {libero_goal: docker://me/goal, libero_10: 'http://127.0.0.1:1'}\n")
    resolved = resolve_policy(str(path))
    assert isinstance(resolved, RoutedPolicy)
    assert [route.image for route in resolved.routes.values()] == ["me/goal", ""]


@pytest.mark.parametrize(
    ("kind", "gpus", "flags"),
    [
        ("docker", "all", ["--gpus", "all"]),
        ("docker", "0,1", ["--gpus", '"device=0,1"']),
        ("podman", "all", ["--device", "nvidia.com/gpu=all"]),
        ("podman", "0,1", ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"]),
        ("apptainer", "all", ["--nv"]),
        ("apptainer", "0,1", ["--nv"]),
    ],
)
def test_each_engine_is_told_of_gpus_in_its_own_words(kind: str, gpus: str, flags: list[str]) -> None:
    command = Engine(kind, kind).run_command("name", LAMP, ContainerOptions(gpus=gpus), ["-o", "a=1"], 1234)
    assert " ".join(flags) in " ".join(command)
    without = Engine(kind, kind).run_command("name", LAMP, ContainerOptions(gpus="none"), [], 1234)
    assert not set(flags[::2]) & set(without)


def test_docker_and_podman_publish_on_loopback_without_capabilities() -> None:
    for kind in ("docker", "podman"):
        command = Engine(kind, kind).run_command("name", LAMP, ContainerOptions(), ["-o", "a=1"], 1234)
        text = " ".join(command)
        assert "--rm --name name" in text
        assert "--publish 127.0.0.1::8600 --cap-drop ALL --security-opt no-new-privileges" in text
        assert command[-3:] == ["ghcr.io/me/lamp:1.2", "-o", "a=1"]


def test_the_first_engine_that_works_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = on_path(monkeypatch, tmp_path / "bin", "docker", "podman", mode="no daemon")
    with resolve_policy("docker://me/lamp").connect(DEADLINES) as served:
        assert served.info.options["image"] == PIN
        assert served.open_session().id
    assert [call[0] for call in calls(folder)][:2] == ["docker", "podman"]
    assert {call[0] for call in calls(folder)[1:]} == {"podman"}


def test_no_engine_says_what_each_of_them_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, tmp_path / "bin", "docker", mode="no daemon")
    with pytest.raises(UsageError) as caught:
        resolve_policy("docker://me/lamp").connect(DEADLINES)
    assert "docker does not work (Cannot connect to the daemon); podman is not installed" in str(caught.value)


def test_a_misspelt_engine_names_the_near_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLA_BENCH_CONTAINER_ENGINE", "podmen")
    with pytest.raises(UsageError, match=r"no container engine 'podmen'.*Did you mean podman\?"):
        resolve_policy("docker://me/lamp").connect(DEADLINES)


def test_a_missing_image_names_the_near_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, tmp_path / "bin", "docker", mode="no image")
    with pytest.raises(UsageError, match=r"manifest unknown Did you mean docker://ghcr.io/me/lamp:1.2\?"):
        resolve_policy("docker://lmap:1.2").connect(DEADLINES)


@pytest.mark.parametrize(
    ("mode", "error", "says"),
    [
        ("refuses", UsageError, "docker refuses to run 'me/lamp'.*device driver"),
        ("dies", ServerUnreachable, "did not start: it ended with status 3; its last line: CUDA out of memory"),
        ("is silent", PolicyTimeout, "did not answer /healthz within"),
    ],
)
def test_a_bad_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, error: type[Exception], says: str
) -> None:
    folder = on_path(monkeypatch, tmp_path / "bin", "docker", mode=mode)
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(error, match=says) as caught:
        resolve_policy("docker://me/lamp").connect(Deadlines(connect_s=0.5, first_act_s=1.0, act_s=1.0))
    assert set(psutil.Process().children(recursive=True)) <= before
    assert calls(folder)[-1][:3] == ["docker", "rm", "--force"]
    (kept,) = log_folder().glob("*.log")
    assert mode == "is silent" or kept.read_text()
    assert str(kept) in str(caught.value)


def test_the_token_is_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = on_path(monkeypatch, tmp_path / "bin", "docker")
    with resolve_policy("docker://me/lamp").connect(DEADLINES) as served:
        token = served.token
    assert token
    assert (folder / "environment").read_text() == token
    assert token not in (folder / "calls").read_text()


@pytest.mark.parametrize("kind", ["docker", "podman", "apptainer"])
def test_values_of_variables_are_in_the_environment_and_on_no_command_line(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_a,b=c")
    options = ContainerOptions(env=("HF_TOKEN",), gpus="0,1")
    engine = Engine(kind, kind)
    command = " ".join(engine.run_command("name", LAMP, options, [], 1234))
    environment = engine.environment(options, "the-token")
    assert "hf_a" not in command
    assert "the-token" not in command
    if kind == "apptainer":
        # It keeps nothing of its own environment but what has one of these prefixes.
        for prefix in ("APPTAINERENV_", "SINGULARITYENV_"):
            passed = {name: environment[f"{prefix}{name}"] for name in ("HF_TOKEN", "VLA_BENCH_TOKEN")}
            assert passed == {"HF_TOKEN": "hf_a,b=c", "VLA_BENCH_TOKEN": "the-token"}
            assert environment[f"{prefix}CUDA_VISIBLE_DEVICES"] == "0,1"
    else:
        assert "--env VLA_BENCH_TOKEN --env HF_TOKEN" in command
        assert (environment["HF_TOKEN"], environment["VLA_BENCH_TOKEN"]) == ("hf_a,b=c", "the-token")


def test_apptainer_gets_a_port_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = on_path(monkeypatch, tmp_path / "bin", "apptainer")
    with resolve_policy("docker://me/lamp", {"chunk": 2}).connect(DEADLINES) as served:
        port = served.url.rpartition(":")[2]
        assert served.info.options == {"chunk": 2}
    run = next(call for call in calls(folder) if "run" in call)
    assert run[-7:] == ["docker://me/lamp", "--host", "127.0.0.1", "--port", port, "-o", "chunk=2"]


def test_logs_of_containers_make_room_for_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, tmp_path / "bin", "docker", mode="dies")
    log_folder().mkdir(parents=True)
    for number in range(KEPT_LOGS + 5):
        (log_folder() / f"{number:03}.log").write_text("old")
        os.utime(log_folder() / f"{number:03}.log", (number, number))
    with pytest.raises(ServerUnreachable):
        resolve_policy("docker://me/lamp").connect(DEADLINES)
    kept = sorted(path.name for path in log_folder().glob("*.log"))
    assert len(kept) == KEPT_LOGS
    assert "000.log" not in kept


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with real_engine(tmp_path_factory.mktemp("image")) as variables:
        if variables is None:
            pytest.skip("no container engine runs here: apt-get install podman runc")
        yield variables


@pytest.fixture
def policy(engine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file for the real image."""
    for name, value in engine.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "policy.yaml"
    content = {"policy": f"docker://{IMAGE}", "container": {"mounts": [f"{path}:{path}" for path in mounts()]}}
    path.write_text(json.dumps(content))
    return str(path)


def containers(engine: dict[str, str]) -> list[str]:
    program = engine["VLA_BENCH_CONTAINER_ENGINE"]
    ask = [program, "ps", "--all", "--filter", "label=org.vla-bench.policy-server", "--format", "{{.Names}}"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
def test_a_real_container_answers_comes_back_goes_and_dies_with_its_killed_parent(
    engine: dict[str, str], policy: str
) -> None:
    with resolve_policy(policy, {"chunk": 3}).connect(DEADLINES) as served:
        (name,) = containers(engine)
        session = served.open_session()
        info = episode()
        session.reset(info)
        assert session.act(observation(session.id, info)).actions.shape[0] == 3
        digest = served.info.options["image"]
        assert digest.startswith("sha256:")
        subprocess.run([engine["VLA_BENCH_CONTAINER_ENGINE"], "kill", name], capture_output=True, check=True)
        with pytest.raises(ServerUnreachable, match="gone: it ended with status 137"):
            served.open_session()
        served.restart()
        assert served.info.options["image"] == digest
        assert served.open_session().id
    assert containers(engine) == []
    # In the same test: two at a time would count each other's containers.
    code = (
        "import sys, time; from vla_bench.policies.resolve import resolve_policy\n"
        "with resolve_policy(sys.argv[1]).connect() as served:\n    print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, policy], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        while "up" not in (line := parent.stdout.readline()):
            assert line, "it ended"
        assert len(containers(engine)) == 1
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    give_up = time.monotonic() + 30
    while containers(engine):
        assert time.monotonic() < give_up, "the container outlived its parent"
        time.sleep(0.2)
