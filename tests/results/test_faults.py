"""Bad days of a database: one clear line with the way out, and finished episodes are kept."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.results import samples
from tests.results.processes import the_spec
from vla_bench.results.store import Store
from vla_bench.results.tables import EPISODE, PLAN, RUN
from vla_bench.spec.errors import (
    StoreCorrupted,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnreachable,
    UnknownRun,
)

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("processes.py")


def run(*arguments: str, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run `processes.py`, or a shell line before it."""
    return subprocess.run(
        [*prefix, sys.executable, str(SCRIPT), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def episodes_in(output: str) -> list[str]:
    known = {episode.id for episode in the_spec().plan.episodes}
    return [line for line in output.splitlines() if line in known]


def filled(path: Path, n_tasks: int = 3, n_trials: int = 2) -> str:
    spec = samples.spec(of=samples.suite(n_tasks, n_trials))
    with Store.open(path) as store:
        store.begin_run(spec)
        store.add(spec.name, samples.results(spec.plan, ["success"] * len(spec.plan)))
    return spec.name


# A full disk


def test_a_full_database_is_said_and_what_was_stored_is_kept(tmp_path: Path) -> None:
    spec = the_spec()
    with Store.open(tmp_path / "x.db") as store:
        store.begin_run(spec)
        store.add(spec.name, samples.results(spec.plan, ["success"] * 5))
        with store.database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreFull, match=r"x\.db: database or disk is full\. Free some space"):
            store.add(spec.name, samples.results(spec.plan, ["success"] * 200))
        assert len(store.outcomes(spec.name)) == 5
    with Store.open(tmp_path / "x.db") as store:
        store.add(spec.name, samples.results(spec.plan, ["success"] * 200))
        assert store.finish(spec.name).rate == 1.0


def test_a_file_size_limit_stops_a_run_in_its_middle_and_keeps_what_is_done(tmp_path: Path) -> None:
    db = str(tmp_path / "x.db")
    done = run("fill", db, FILE_SIZE_LIMIT=str(400_000))
    assert done.returncode == 70, done.stdout + done.stderr
    assert "ERROR store_full" in done.stdout
    assert "Free some space" in done.stdout
    finished = episodes_in(done.stdout)
    assert 0 < len(finished) < 200
    assert f"KEPT {len(finished)}" in done.stdout
    # With room again, the same command goes on.
    with Store.open(db) as store:
        assert set(store.outcomes("a-run")) == set(finished)
        assert store.begin_run(the_spec()).is_resumed


def test_no_room_at_all_is_said_before_anything_runs(tmp_path: Path) -> None:
    done = run("fill", str(tmp_path / "x.db"), FILE_SIZE_LIMIT="4096")
    assert done.returncode == 70
    assert "ERROR store_full" in done.stdout
    assert episodes_in(done.stdout) == []


IN_A_NAMESPACE = ("unshare", "-rm", "sh", "-c")


def _can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    command = [*IN_A_NAMESPACE, f"mount -t tmpfs -o size=1m none '{folder}'"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line where file systems may be mounted, `$P` being this file's processes."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "P": f"{sys.executable} {SCRIPT}"}
    return subprocess.run([*IN_A_NAMESPACE, line], env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_full_file_system_stops_a_run_and_keeps_what_is_done(tmp_path: Path) -> None:
    if not _can_mount(tmp_path):
        pytest.skip("no file system can be mounted here")
    done = shell(f"mount -t tmpfs -o size=2m none '{tmp_path}' && $P fill '{tmp_path}/x.db'")
    finished = episodes_in(done.stdout)
    assert "ERROR store_full" in done.stdout, done.stdout + done.stderr
    assert 0 < len(finished) < 200
    assert f"KEPT {len(finished)}" in done.stdout


def test_a_file_system_that_turned_read_only_is_read_and_not_written(tmp_path: Path) -> None:
    if not _can_mount(tmp_path):
        pytest.skip("no file system can be mounted here")
    done = shell(
        f"mount -t tmpfs -o size=64m none '{tmp_path}' && $P fill '{tmp_path}/x.db' && "
        f"mount -o remount,ro '{tmp_path}' && $P read '{tmp_path}/x.db'"
    )
    assert "SCORE 200/200 of 200 planned, 0 lost" in done.stdout, done.stdout + done.stderr
    assert "ERROR store_read_only" in done.stdout
    assert "KEPT 200" in done.stdout


def test_space_is_asked_for_before_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(tmp_path / "x.db") as store:
        store.check_space(1 << 20)
        with pytest.raises(StoreFull, match=r"MiB free, a run wants .* MiB"):
            store.check_space(1 << 60)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(StoreFull):
            store.check_space(1001)
        assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_a_limit_on_file_sizes_is_noticed_before_a_run(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from vla_bench.results.store import Store\n"
        "store = Store.open(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "store.check_space(1 << 24)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.db")], capture_output=True, text=True, check=False
    )
    assert "StoreFull" in done.stderr
    assert "ulimit -f" in done.stderr


# Nothing can be written


def test_a_read_only_database_is_read_and_not_written(tmp_path: Path) -> None:
    name = filled(tmp_path / "x.db")
    for target, options in (
        (f"sqlite:///file:{tmp_path}/x.db?mode=ro&uri=true", {}),
        (tmp_path / "x.db", {"read_only": True}),
    ):
        with Store.open(target, **options) as store:
            assert store.summary(name).rate == 1.0
            for write in (
                lambda store=store: store.begin_run(samples.spec()),
                lambda store=store: store.add(name, [samples.result(store.plan(name).episodes[0])]),
                lambda store=store: store.finish(name),
                lambda store=store: store.delete(name),
            ):
                with pytest.raises(StoreReadOnly, match="open for reading only"):
                    write()


def test_a_run_in_progress_is_read_by_others(tmp_path: Path) -> None:
    spec = samples.spec()
    with Store.open(tmp_path / "x.db") as writer:
        writer.begin_run(spec)
        writer.add(spec.name, samples.results(spec.plan, ["success"]))
        with Store.open(tmp_path / "x.db", read_only=True) as reader:
            assert reader.summary(spec.name).n_judged == 1
            writer.add(spec.name, [samples.result(spec.plan.episodes[1])])
            assert reader.summary(spec.name).n_judged == 2


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(StoreReadOnly, match=r"choose another place with --db"):
        Store.open(tmp_path / "file" / "x.db")


@pytest.mark.postgres
def test_a_server_that_takes_no_writes_is_read(postgres_db: str, open_store: Callable[..., Store]) -> None:
    store = open_store(postgres_db)
    spec = samples.spec()
    store.begin_run(spec)
    store.add(spec.name, samples.results(spec.plan, ["success"]))
    with psycopg.connect(postgres_db, autocommit=True) as admin:
        name = admin.execute("SELECT current_database()").fetchone()[0]  # type: ignore[index]
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    store = open_store(postgres_db)
    assert store.summary(spec.name).n_judged == 1
    with pytest.raises(StoreReadOnly, match="read-only transaction"):
        store.add(spec.name, [samples.result(spec.plan.episodes[1])])


# Somebody else has it


def test_a_locked_file_is_waited_for_and_then_said(tmp_path: Path) -> None:
    spec = samples.spec()
    path = tmp_path / "x.db"
    with Store.open(path, busy_timeout_s=0.2) as store:
        store.begin_run(spec)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match=r"database is locked\. Another process holds it"):
            store.add(spec.name, samples.results(spec.plan, ["success"]))
        other.execute("ROLLBACK")
        other.close()
        store.add(spec.name, samples.results(spec.plan, ["success"]))
        assert len(store.outcomes(spec.name)) == 1


def test_a_file_that_somebody_opened_exclusively_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE t (x)")
    with pytest.raises(StoreLocked):
        Store.open(path, busy_timeout_s=0.2)
    other.close()


@pytest.mark.postgres
def test_a_locked_run_on_a_server_is_waited_for_and_then_said(
    postgres_db: str, open_store: Callable[..., Store]
) -> None:
    spec = samples.spec()
    store = open_store(postgres_db, busy_timeout_s=0.2)
    store.begin_run(spec)
    with psycopg.connect(postgres_db) as other:
        other.execute("SELECT * FROM run FOR UPDATE")
        with pytest.raises(StoreLocked, match="lock timeout"):
            store.add(spec.name, samples.results(spec.plan, ["success"]))
        other.rollback()
    store.add(spec.name, samples.results(spec.plan, ["success"]))


# Damage


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(os.urandom(100_000))
    with pytest.raises(StoreCorrupted, match=r"file is not a database\. Move it away"):
        Store.open(path)


def test_a_damaged_header_is_said_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    filled(path)
    data = bytearray(path.read_bytes())
    data[:100] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(StoreCorrupted):
        Store.open(path)
    assert path.read_bytes() == bytes(data)


def test_damaged_pages_are_found_before_a_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    filled(path, 10, 20)
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    for page in range(len(data) // size // 2, len(data) // size):
        head = slice(page * size, page * size + 64)
        data[head] = bytes(byte ^ 0xFF for byte in data[head])
    path.write_bytes(data)
    with pytest.raises(StoreCorrupted, match="Move it away"):
        filled(path, 10, 20)


def test_a_file_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    filled(path, 10, 20)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreCorrupted):
        filled(path, 10, 20)


@pytest.mark.parametrize(
    "damage",
    [
        sa.update(PLAN).values(episodes=b"no zlib"),
        sa.update(PLAN).values(episodes=b"x\x9c\x03\x00\x00\x00\x00\x01"),
        sa.update(EPISODE).values(outcome="triumph"),
        sa.update(EPISODE).values(task="unheard of"),
        sa.text("UPDATE run SET settings = '{not json'"),
        sa.text("UPDATE suite SET content = '[]'"),
    ],
)
def test_damaged_content_is_never_a_number(tmp_path: Path, damage) -> None:
    name = filled(tmp_path / "x.db")
    with Store.open(tmp_path / "x.db") as store:
        with store.database.write() as connection:
            connection.execute(damage)
        with pytest.raises(StoreCorrupted):
            store.summary(name)
        with pytest.raises(StoreCorrupted):
            store.finish(name)


def test_a_damaged_aggregate_is_said(tmp_path: Path) -> None:
    name = filled(tmp_path / "x.db")
    with Store.open(tmp_path / "x.db") as store:
        store.finish(name)
        with store.database.write() as connection:
            connection.execute(sa.text("UPDATE aggregate SET headline = '{\"n\": 1}'"))
        with pytest.raises(StoreCorrupted):
            store.summary(name)


# A server that is not there


def test_an_absent_server_is_said_without_the_password() -> None:
    with pytest.raises(StoreUnreachable, match="Check the URL") as raised:
        Store.open("postgresql://me:secret@127.0.0.1:1/results")
    assert "secret" not in str(raised.value)


@pytest.mark.postgres
def test_a_database_that_does_not_exist_is_said(server: str) -> None:
    with pytest.raises(StoreUnreachable, match="does not exist"):
        Store.open(server.replace("/postgres?", "/not_there?"))


@pytest.mark.postgres
def test_a_connection_that_is_cut_is_made_anew(postgres_db: str, open_store: Callable[..., Store]) -> None:
    spec = samples.spec()
    store = open_store(postgres_db)
    store.begin_run(spec)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    def write_and_be_cut() -> None:
        with store.database.write() as connection:
            connection.execute(sa.update(RUN).values(command="never"))
            admin.execute(cut)
            connection.execute(sa.update(RUN).values(command="never again"))

    with psycopg.connect(postgres_db, autocommit=True) as admin:
        with pytest.raises(StoreUnreachable):
            write_and_be_cut()
        store.add(spec.name, samples.results(spec.plan, ["success"]))
        admin.execute(cut)
        store.add(spec.name, [samples.result(spec.plan.episodes[1])])
    assert len(store.outcomes(spec.name)) == 2
    assert store.summary(spec.name).command == "run x"


def test_errors_of_ours_pass_through(store: Store) -> None:
    with pytest.raises(UnknownRun):
        store.summary("absent")


@pytest.mark.postgres
def test_a_database_that_was_made_without_an_encoding_holds_texts(
    postgres_db: str, open_store: Callable[..., Store]
) -> None:
    url = make_url(postgres_db)
    name = f"{url.database}_c"
    with psycopg.connect(postgres_db, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        store = open_store(url.set(database=name).render_as_string(hide_password=False))
        try:
            with store.database.read() as connection:
                assert connection.scalar(sa.text("SELECT '×'")) == "×"
        finally:
            store.close()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
