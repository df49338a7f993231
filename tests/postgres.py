"""A private PostgreSQL cluster for tests: made in a temporary folder, stopped on every path.

`VLA_BENCH_TEST_POSTGRES` names a server to use instead (`postgresql://user@host/database`, a user who may create
databases).
The server refuses to run as root, so that root starts it as `postgres` or `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy.engine import make_url

START_S = 60.0
STOP_S = 20.0
SETTINGS = {
    "listen_addresses": "",
    # Nothing of a test database is worth a sync, and no helper process should start in the middle of a test.
    "fsync": "off",
    "autovacuum": "off",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "0",
}


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest one where there are several; None where there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server that takes `CREATE DATABASE`, over a socket file: no port is used."""
    if url := os.environ.get("VLA_BENCH_TEST_POSTGRES"):
        yield url
        return
    programs = find_programs()
    assert programs is not None, "no PostgreSQL server programs: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="vb-pg-", dir="/tmp"))
    try:
        with _running(programs, folder):
            yield f"postgresql://vla_bench@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The URL of a new, empty database, dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[None]:
    user = _user()
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, log = folder / "data", folder / "log"
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    initdb = [programs / "initdb", "-D", data, "-U", "vla_bench", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=env, **who)
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [*_dies_with_us(), programs / "postgres", "-D", data, "-k", folder, *options]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=env, **who)
    try:
        _wait(server, f"postgresql://vla_bench@/postgres?host={folder}", log)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # "fast": clients are thrown out
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait(STOP_S)


def _dies_with_us() -> list[str]:
    """A prefix by which the server is stopped when this process is killed (Linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []


def _user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)
