"""Container engines for tests: a real one where one runs, and a fake one for the faults that a real one does not have.

The real image is built from scratch and holds nothing but links: the interpreter and this package are mounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import vla_bench

PACKAGE = Path(vla_bench.__file__).resolve().parent.parent
IMAGE = "localhost/vla-bench-test-policy"
# Where this user may not raise limits, an engine's own would be refused; and its default runtime may want cgroups that
# are not there.
RESTRICTED = '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\n'

FAKE = """
    import json, os, signal, subprocess, sys, time
    from pathlib import Path

    HERE = Path(__file__).resolve().parent
    KIND = Path(sys.argv[0]).name
    MODE = (HERE / "mode").read_text().strip()
    with (HERE / "calls").open("a") as calls:
        calls.write(json.dumps([KIND, *sys.argv[1:]]) + "\\n")

    def fail(text, status=125):
        print(text, file=sys.stderr)
        sys.exit(status)

    match sys.argv[1:]:
        case ["info", *_]:
            fail("Cannot connect to the daemon") if MODE == "no daemon" and KIND == "docker" else print("{}")
        case ["--version"]:
            print("1.3")
        case ["image", "inspect", *_]:
            if MODE == "no image":
                fail("no such image")
            print(json.dumps([{"Id": "sha256:" + "1" * 64, "RepoDigests": ["lamp@sha256:" + "2" * 64]}]))
        case ["image", "ls", *_]:
            print("ghcr.io/me/lamp:1.2")
        case ["pull", *_]:
            fail("manifest unknown")
        case ["port", *_]:
            print("127.0.0.1:" + (HERE / "port").read_text())
        case ["run", *arguments] | ["--silent", "run", *arguments]:
            if MODE == "refuses":
                fail("could not select device driver with capabilities: [[gpu]]")
            if MODE == "dies":
                print("CUDA out of memory", flush=True)
                sys.exit(3)
            if MODE == "is silent":
                time.sleep(600)
            port = arguments[arguments.index("--port") + 1] if "--port" in arguments else (HERE / "port").read_text()
            given = [item for pair in zip(arguments, arguments[1:]) if pair[0] == "-o" for item in pair]
            program = str(Path(sys.executable).parent / "vla-bench")
            command = [program, "serve", "noop", "--port", port, "--token-env", "VLA_BENCH_TOKEN", *given]
            (HERE / "environment").write_text(os.environ["VLA_BENCH_TOKEN"])
            child = subprocess.Popen(command)
            (HERE / "pid").write_text(str(child.pid))
            sys.exit(child.wait())
        case ["rm", "--force", name] | ["stop", "--time", _, name]:
            try:
                os.kill(int((HERE / "pid").read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                pass
"""


def fake_engines(folder: Path, *kinds: str, mode: str = "works", port: int = 0) -> Path:
    """Executables of those names in a folder that is to be on PATH; `calls` there has what they were told."""
    folder.mkdir(exist_ok=True)
    for kind in kinds:
        path = folder / kind
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(FAKE)}")
        path.chmod(0o755)
    (folder / "mode").write_text(mode)
    (folder / "port").write_text(str(port))
    return folder


@cache
def _works(program: str, conf: str) -> bool:
    environment = {**os.environ, **({"CONTAINERS_CONF": conf} if conf else {})}
    mounted = [part for path in mounts() for part in ("--volume", f"{path}:{path}:ro")]
    ask = [program, "run", "--rm", *mounted, "--entrypoint", "/usr/bin/true", IMAGE]
    return subprocess.run(ask, capture_output=True, env=environment, check=False).returncode == 0


def mounts() -> list[str]:
    """What the image lacks: the system's libraries, the interpreter, this package."""
    every = {Path(path) for path in ("/usr", sys.base_prefix, sys.prefix, PACKAGE)}
    return sorted(str(path) for path in every if not every & set(path.parents))


@contextmanager
def real_engine(folder: Path) -> Iterator[dict[str, str] | None]:
    """Variables under which an engine that works here runs `IMAGE`; None where none does."""
    program = shutil.which("podman")
    if program is None:
        yield None
        return
    root = folder / "root"
    for path in ("tmp", "etc", "proc", "dev", *(part.lstrip("/") for part in mounts())):
        (root / path).mkdir(parents=True, exist_ok=True)
    for link in ("bin", "lib", "lib64", "sbin"):
        (root / link).symlink_to(f"usr/{link}")
    program_path = Path(sys.executable).parent / "vla-bench"
    entry = [
        str(program_path),
        "serve",
        "noop",
        "--host",
        "0.0.0.0",
        "--port",
        "8600",
        "--token-env",
        "VLA_BENCH_TOKEN",
    ]
    quoted = ",".join(f'"{part}"' for part in entry)
    (folder / "Containerfile").write_text(f"FROM scratch\nCOPY root/ /\nENTRYPOINT [{quoted}]\n")
    (folder / "containers.conf").write_text(RESTRICTED)
    built = subprocess.run([program, "build", "-q", "-t", IMAGE, str(folder)], capture_output=True, check=False)
    if built.returncode != 0:
        yield None
        return
    try:
        for conf in ("", str(folder / "containers.conf")):
            if _works(program, conf):
                yield {"VLA_BENCH_CONTAINER_ENGINE": program, **({"CONTAINERS_CONF": conf} if conf else {})}
                return
        yield None
    finally:
        subprocess.run([program, "rmi", "--force", IMAGE], capture_output=True, check=False)
