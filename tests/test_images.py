"""Images and compose file: pinned, without root, with health checks; entry points run as they are written."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
SECRETS = {"POSTGRES_PASSWORD": "p", "VLA_BENCH_BOARD_SECRET": "s"}
OWN = {"migration", "leaderboard", "worker", "policy", "policy-gpu", "harness"}


def stages() -> dict[str, tuple[str, str]]:
    """Stage of the Dockerfile → what it is built from, and its instructions."""
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    found = re.split(r"^FROM (\S+) AS (\S+)\n", text, flags=re.MULTILINE)
    return {found[i + 1]: (found[i], found[i + 2]) for i in range(1, len(found), 3)}


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return content


def test_bases_are_pinned_by_digest() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON=\S+@sha256:[0-9a-f]{64}$", text, flags=re.MULTILINE)
    built = set(stages())
    assert {base for base, _ in stages().values()} <= built | {"${PYTHON}"}
    images = {name: service["image"] for name, service in compose()["services"].items() if name not in OWN}
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in images.values())


@pytest.mark.parametrize("target", ["board", "harness", "policy", "policy-gpu"])
def test_every_image_ends_without_root_and_with_a_health_check(target: str) -> None:
    found = stages()
    text, name = "", target
    while name in found:
        base, body = found[name]
        text, name = body + text, base
    users = re.findall(r"^USER (\S+)$", text, flags=re.MULTILINE)
    assert users[-1] == "10001:10001"
    assert "HEALTHCHECK" in text
    assert re.search(r"^ENTRYPOINT ", text, flags=re.MULTILINE)


def test_the_compose_file_has_every_part_and_gives_none_of_them_more_than_it_needs() -> None:
    services = compose()["services"]
    assert set(services) == OWN | {"database"}
    for name in OWN:
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["read_only"] is True, name
    # The worker and the harness hold no credentials of the database.
    assert not [name for name in ("worker", "policy", "harness") if "POSTGRES" in str(services[name])]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8700:8700"]
    assert compose()["networks"]["inner"] == {"internal": True}


def compose_program() -> list[str] | None:
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def test_the_compose_file_is_understood_and_wants_its_secrets() -> None:
    program = compose_program()
    if program is None:
        pytest.skip("no docker compose here: apt-get install docker-compose")
    command = [*program, "-f", str(ROOT / "docker-compose.yml"), "config"]
    clean = {key: value for key, value in os.environ.items() if key not in SECRETS}
    done = subprocess.run(command, env=clean | SECRETS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "postgresql://board:p@database/board" in done.stdout
    for missing in SECRETS:
        rest = {key: value for key, value in SECRETS.items() if key != missing}
        refused = subprocess.run(command, env=clean | rest, capture_output=True, text=True, check=False)
        assert refused.returncode != 0
        assert "fill in .env" in refused.stderr


def test_the_example_of_settings_has_what_the_compose_file_asks_for() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    given = set(re.findall(r"^([A-Z_]+)=", (ROOT / "docker" / "example.env").read_text(), flags=re.MULTILINE))
    assert asked == given


@pytest.mark.parametrize("service", ["worker", "harness", "leaderboard", "policy"])
def test_commands_of_the_compose_file_are_understood(service: str) -> None:
    """Parsed by the command line itself, as the entry point would."""
    from vla_bench.cli.main import build_cli

    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in compose()["services"][service].get("command", [])]
    if service == "leaderboard":
        words = ["leaderboard", *words]
    if service == "policy":
        words = ["serve", "random", "--host", "0.0.0.0", "--port", "8600", *words]
    build_cli().commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.slow
def test_the_entry_point_of_a_policy_s_image_serves_as_it_is_written() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "VLA_BENCH_POLICY": "noop", "VLA_BENCH_TOKEN": "t"}
    command = [
        "/bin/sh",
        str(ROOT / "docker" / "serve.sh"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "-o",
        "chunk=2",
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/policy", headers={"Authorization": "Bearer t"}
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
        finally:
            server.terminate()
            server.wait(30)
    assert server.returncode == 0
