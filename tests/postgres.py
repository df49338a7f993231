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
from typing import Any
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
    with postgres_cluster() as cluster:
        yield cluster.url


@contextmanager
def postgres_cluster() -> Iterator[Cluster]:
    """A running cluster of one's own, which may be killed and started again."""
    programs = find_programs()
    assert programs is not None, "no PostgreSQL server programs: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="vb-pg-", dir="/tmp"))
    cluster = Cluster(programs, folder)
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """A cluster in a folder, and its server process.

    Attributes:
        url: of the database `postgres` in it.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder, self._user = programs, folder, _user()
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://vla_bench@/postgres?host={folder}"

    def create(self) -> None:
        """Make its files."""
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        options = ("-U", "vla_bench", "-A", "trust", "-E", "UTF8", "--no-sync")
        initdb = [self._programs / "initdb", "-D", self._folder / "data", *options]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **self._surroundings())

    def start(self) -> None:
        """Start the server and wait until it answers; one that was killed recovers first."""
        end = time.monotonic() + START_S
        while not self._starts():
            # What is left of a killed server holds its memory for a moment.
            assert time.monotonic() < end, f"PostgreSQL did not start: {self._log()}"
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to the server process itself; its children notice and end."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(STOP_S)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._server is None or self._server.poll() is not None:
            return
        self._server.send_signal(signal.SIGINT)  # "fast": clients are thrown out
        try:
            self._server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(STOP_S)

    def _starts(self) -> bool:
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        place = ("-D", self._folder / "data", "-k", self._folder)
        command = [*_dies_with_us(), self._programs / "postgres", *place, *options]
        with (self._folder / "log").open("ab") as output:
            self._server = subprocess.Popen(command, stdout=output, stderr=output, **self._surroundings())
        end = time.monotonic() + START_S
        while self._server.poll() is None:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return True
            except psycopg.OperationalError:
                assert time.monotonic() < end, f"PostgreSQL did not start: {self._log()}"
                time.sleep(0.05)
        return False

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    def _surroundings(self) -> dict[str, Any]:
        who: dict[str, Any] = {}
        if self._user:
            who = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return {
            "cwd": self._folder,
            "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self._folder)},
            **who,
        }


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
