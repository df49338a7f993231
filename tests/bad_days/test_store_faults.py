"""Results cannot be stored: said at once, with the way out; what was stored stays."""

from __future__ import annotations

import resource
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bad_days.commands import Command, attempts_per_episode, n_judged
from tests.bad_days.days import plain_day, record, record_day
from vla_bench.results import schema
from vla_bench.results.store import Store
from vla_bench.spec.errors import SchemaMismatch, StoreCorrupted, StoreFull, StoreLocked, StoreReadOnly

GROUP = "The database"
N = 12


def test_a_disk_that_is_full_before_the_run_runs_nothing() -> None:
    def starve() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, 64 << 10))

    with Command(trials=N, preexec=starve) as command:
        code, out, err = command.finish()
    assert code == 70
    assert out == ""
    assert "file-size limit" in err
    assert "Traceback" not in err
    assert n_judged() == 0
    record(GROUP, "disk full before the run", kind="store_full", noticed_s=None, exit_code=70, score="none", then="")


def test_a_disk_that_fills_in_the_middle_keeps_what_was_finished(home: Path) -> None:
    with Command(trials=N) as command:
        command.wait_until_judged(3)
        size = max(path.stat().st_size for path in home.rglob("results.db*"))
        resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (size, size))
        code, out, err = command.finish()
    assert code == 70, err
    assert "success rate" not in out
    assert "Finished episodes are kept" in err
    assert "Traceback" not in err
    n_before = n_judged()
    assert 3 <= n_before < N
    with Command(trials=N) as again:
        code, out, err = again.finish()
    assert code == 0, err
    assert f"{N}/{N} of {N} planned, 0 lost" in out
    assert attempts_per_episode() == [1] * N
    record(
        GROUP, "disk full in the middle of the run (a file-size limit)", kind=StoreFull.kind, noticed_s=None,
        exit_code=70, score=f"{n_before} episodes kept", then=f"{N}/{N} of {N} planned, 0 lost; {N - n_before} run",
    )  # fmt: skip


@pytest.fixture
def database(home: Path) -> Path:
    """A database with one complete run called `before`."""
    day = plain_day(name="before", trials=1)
    assert day.exit_code == 0
    return home / "results.db"


def test_a_database_locked_by_another_process_runs_nothing(database: Path) -> None:
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    day = plain_day(db_wait_s=0.3)
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(day.error, StoreLocked)
    assert day.exit_code == 70
    assert day.seen.attempts == []
    then = plain_day(db_wait_s=0.3)
    assert then.exit_code == 0
    record_day(GROUP, "locked by another process", day, then)


def test_a_database_locked_in_the_middle_keeps_what_was_finished(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    first_is_stored = threading.Event()
    real = Store.add

    def add(store: Store, name: str, results: object) -> None:
        real(store, name, results)  # type: ignore[arg-type]
        if not first_is_stored.is_set():
            other.execute("BEGIN IMMEDIATE")
            first_is_stored.set()

    monkeypatch.setattr(Store, "add", add)
    day = plain_day(db_wait_s=0.3, trials=40)
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(day.error, StoreLocked)
    assert day.exit_code == 70
    n_before = n_judged()
    assert 1 <= n_before < 40
    then = plain_day(db_wait_s=0.3, trials=40)
    assert then.score == "40/40 of 40 planned, 0 lost"
    record_day(GROUP, "locked by another process in the middle of the run (wait 0.3 s)", day, then)


def test_a_read_only_database_runs_nothing(database: Path) -> None:
    day = plain_day(db=f"sqlite:///file:{database}?mode=ro&uri=true")
    assert isinstance(day.error, StoreReadOnly)
    assert day.exit_code == 70
    assert day.seen.attempts == []
    assert "--db" in str(day.error)
    record_day(GROUP, "read-only", day)


@pytest.mark.parametrize(("what", "offset"), [("its header", 0), ("a page", 4096)])
def test_a_corrupted_database_runs_nothing_and_is_not_overwritten(database: Path, what: str, offset: int) -> None:
    damaged = bytearray(database.read_bytes())
    damaged[offset : offset + 2048] = b"\xa5" * 2048
    for path in database.parent.glob("results.db-*"):
        path.unlink()
    database.write_bytes(damaged)
    day = plain_day()
    assert isinstance(day.error, StoreCorrupted)
    assert day.exit_code == 70
    assert day.seen.attempts == []
    assert database.read_bytes() == damaged
    record_day(GROUP, f"corrupted: {what} overwritten", day)


NEXT = '''
"""A later revision, for tests."""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", "{before}"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("note", sa.Text(), nullable=False, server_default="none"))
'''


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and this version wants one revision more than there is."""

    def install() -> None:
        folder = tmp_path / "later"
        folder.mkdir()
        (folder / "9999_note.py").write_text(NEXT.format(before=schema.HEAD))
        monkeypatch.setattr(schema, "VERSIONS", (*schema.VERSIONS, folder))
        monkeypatch.setattr(schema, "HEAD", "9999")

    return install


def test_a_database_of_an_older_schema_is_upgraded_and_the_run_goes_on(
    database: Path, later: Callable[[], None]
) -> None:
    later()
    day = plain_day(name="before", trials=1)
    assert day.exit_code == 0
    assert day.seen.attempts == []
    assert day.seen.started is not None
    assert any("upgraded" in notice for notice in day.seen.started.notices)
    assert list(database.parent.glob("results.db.schema-*"))
    record_day(GROUP, "of an older schema", day, said="none: upgraded, a copy is kept")


def test_a_database_of_a_newer_schema_is_left_alone(database: Path) -> None:
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    day = plain_day()
    assert isinstance(day.error, SchemaMismatch)
    assert day.exit_code == 70
    record_day(GROUP, "of a newer schema", day)
