"""The schema: one history that equals the models; older is upgraded or refused, newer and foreign are refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.results import samples
from vla_bench.results import schema, upgrade
from vla_bench.results.database import Database, locate
from vla_bench.results.store import Store
from vla_bench.results.tables import REVISION, Table
from vla_bench.spec.errors import SchemaMismatch, StoreFull

NEXT = '''
"""A later revision, for tests."""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", "{newest}"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("note", sa.Text(), nullable=False, server_default="none"))
    {extra}
'''


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call it, and this version wants one revision more than `REVISION`."""

    def install(extra: str = "") -> None:
        folder = tmp_path / "later"
        folder.mkdir(exist_ok=True)
        (folder / "9999_note.py").write_text(NEXT.format(newest=REVISION, extra=extra))
        monkeypatch.setattr(schema, "HEAD", "9999")
        monkeypatch.setattr(schema, "VERSIONS", (*schema.VERSIONS, folder))

    return install


def filled(store: Store) -> str:
    spec = samples.spec()
    store.begin_run(spec)
    store.add(spec.name, samples.results(spec.plan, ["success", "failure"]))
    return spec.name


def notes(target: str) -> list[str]:
    database = Database(locate(target), busy_timeout_s=5)
    with database.read() as connection:
        found = list(connection.scalars(sa.text("SELECT note FROM run")))
    database.close()
    return found


def test_the_history_equals_the_models(store: Store) -> None:
    with store.database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_the_known_revision_is_the_newest_and_the_history_has_one_line() -> None:
    script = ScriptDirectory.from_config(schema.alembic_config())
    assert script.get_heads() == [REVISION]
    assert script.get_bases() == ["0001"]


def test_the_history_goes_back_to_nothing(store: Store) -> None:
    config = schema.alembic_config()
    with store.database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]


def test_an_older_file_is_upgraded_after_a_copy(tmp_path: Path, later: Callable[..., None]) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        name = filled(store)
    later()
    with Store.open(path) as store:
        copy = tmp_path / f"results.db.schema-{REVISION}"
        assert store.notices == [
            f"{path}: schema upgraded from {REVISION} to 9999; the database as it was is kept in {copy}"
        ]
        assert len(store.outcomes(name)) == 2
    assert notes(str(path)) == ["none"]
    with sqlite3.connect(copy) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert old.execute("SELECT count(*) FROM episode").fetchall() == [(2,)]
    old.close()
    with Store.open(path) as store:
        assert store.notices == []


def test_a_file_of_the_first_schema_keeps_its_runs(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        name = filled(store)
        before = store.summary(name)
        config = schema.alembic_config()
        with store.database.write() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "0001")
    with Store.open(path) as store:
        assert "schema upgraded from 0001" in store.notices[0]
        assert store.summary(name) == before
        assert not before.is_imported


def test_a_second_copy_replaces_none(tmp_path: Path, later: Callable[..., None]) -> None:
    (tmp_path / f"results.db.schema-{REVISION}").write_text("an earlier copy")
    with Store.open(tmp_path / "results.db") as store:
        filled(store)
    later()
    Store.open(tmp_path / "results.db").close()
    assert (tmp_path / f"results.db.schema-{REVISION}").read_text() == "an earlier copy"
    assert (tmp_path / f"results.db.schema-{REVISION}-2").exists()


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path, later: Callable[..., None]) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        name = filled(store)
    later("raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        Store.open(path)
    schema.HEAD, schema.VERSIONS = REVISION, schema.VERSIONS[:1]
    with Store.open(path) as store:
        assert len(store.outcomes(name)) == 2
    with pytest.raises(Exception, match="note"):
        notes(str(path))


def test_a_copy_that_finds_no_room_leaves_the_file_alone(
    tmp_path: Path, later: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        filled(store)
    later()
    connect = sqlite3.connect

    def small(target, *arguments, **options):
        connection = connect(target, *arguments, **options)
        if f"schema-{REVISION}" in str(target):
            connection.execute("PRAGMA max_page_count=4")
        return connection

    monkeypatch.setattr(schema.sqlite3, "connect", small)
    with pytest.raises(StoreFull):
        Store.open(path)
    assert not (tmp_path / f"results.db.schema-{REVISION}").exists()
    with pytest.raises(Exception, match="note"):
        notes(str(path))


def test_an_older_file_that_cannot_be_written_is_refused(tmp_path: Path, later: Callable[..., None]) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        filled(store)
    later()
    with pytest.raises(SchemaMismatch, match=f"vla-bench runs --db '{path}'"):
        Store.open(path, read_only=True)


@pytest.mark.postgres
def test_an_older_server_is_refused_with_the_line_that_upgrades_it(
    postgres_db: str, later: Callable[..., None], capsys
) -> None:
    with Store.open(postgres_db) as store:
        name = filled(store)
    later()
    with pytest.raises(SchemaMismatch, match=r"python -m vla_bench\.results\.upgrade 'postgresql://"):
        Store.open(postgres_db)
    assert upgrade.main([postgres_db]) == 0
    assert f"upgraded from {REVISION} to 9999" in capsys.readouterr().out
    with Store.open(postgres_db) as store:
        assert len(store.outcomes(name)) == 2
    assert notes(postgres_db) == ["none"]
    assert upgrade.main([postgres_db]) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.postgres
def test_an_upgrade_of_a_server_that_fails_changes_nothing(postgres_db: str, later: Callable[..., None]) -> None:
    with Store.open(postgres_db) as store:
        name = filled(store)
    later("raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        upgrade.main([postgres_db])
    schema.HEAD, schema.VERSIONS = REVISION, schema.VERSIONS[:1]
    with Store.open(postgres_db) as store:
        assert len(store.outcomes(name)) == 2


def test_a_newer_database_is_refused(db: str, open_store: Callable[..., Store]) -> None:
    store = open_store(db)
    filled(store)
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '7777'")
    store.close()
    with pytest.raises(SchemaMismatch, match=r"schema 7777.*pip install --upgrade vla-bench"):
        open_store(db)


def test_a_database_of_another_program_is_left_alone(db: str, open_store: Callable[..., Store]) -> None:
    database = Database(locate(db), busy_timeout_s=5)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE customers (id INTEGER)")
    database.close()
    with pytest.raises(SchemaMismatch, match="not a database of vla-bench"):
        open_store(db)
    database = Database(locate(db), busy_timeout_s=5)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == ["customers"]
    database.close()


def test_opening_a_present_database_needs_no_alembic(tmp_path: Path) -> None:
    Store.open(tmp_path / "x.db").close()
    code = (
        "import sys; from vla_bench.results.store import Store; Store.open(sys.argv[1]).close(); "
        "sys.exit('alembic' in sys.modules or 'scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.db")], check=False).returncode == 0


def test_the_upgrade_command_says_how_it_is_used(tmp_path: Path, capsys) -> None:
    assert upgrade.main([]) == 2
    (tmp_path / "x.db").write_bytes(b"garbage" * 1000)
    assert upgrade.main([str(tmp_path / "x.db")]) == 70
    assert "usage: " in (errors := capsys.readouterr().err)
    assert "file is not a database" in errors
