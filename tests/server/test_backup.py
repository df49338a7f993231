"""A backup of either database restores into either, whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.server.submitting import Board
from vla_bench.results.database import Database, locate
from vla_bench.results.store import Store
from vla_bench.results.tables import Table
from vla_bench.server.backup import back_up, restore
from vla_bench.server.boards import read
from vla_bench.server.boards.enter import enter_finished_runs
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import StoreCorrupted, UsageError


@pytest.fixture
def filled(board: Board, toy_run: Path) -> Board:
    """A board with a run, its row, an account and lines in the log."""
    from vla_bench.results.merge import merge

    merge(board.store, [str(toy_run)])
    board.token("ann")
    enter_finished_runs(board.store.database)
    return board


def rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.read() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in Table.metadata.sorted_tables
        }


def test_a_restored_board_is_the_same_board(filled: Board, tmp_path: Path) -> None:
    settings: Settings = filled.settings
    manifest = back_up(settings.database, tmp_path / "backup", traces=settings.traces)
    assert manifest.rows["run"] == 1
    assert manifest.rows["audit"] > 0
    assert len(manifest.traces) > 0
    restored = tmp_path / "restored.db"
    restore(tmp_path / "backup", str(restored))
    with Store.open(restored) as again:
        assert rows(again.database) == rows(filled.store.database)
        assert again.summary("toy").score_line == filled.store.summary("toy").score_line
        (head,) = [head for head in read.boards(again.database) if head.suite == "toy_reach"]
        assert read.board_page(again.database, head.slug).rows
        with again.database.read() as connection:
            digest = connection.scalar(sa.text("SELECT trace_digest FROM attempt WHERE trace_digest != '' LIMIT 1"))
        assert again.trace(digest).actions.size


@pytest.mark.postgres
def test_a_backup_moves_a_board_into_postgres_where_ids_go_on(filled: Board, tmp_path: Path, postgres_url: str) -> None:
    from tests.postgres import fresh_database

    settings = filled.settings
    back_up(settings.database, tmp_path / "backup", traces=settings.traces)
    with fresh_database(postgres_url) as url:
        restore(tmp_path / "backup", url, traces=str(tmp_path / "there"))
        moved = Board(url, tmp_path / "moved")
        try:
            assert rows(moved.store.database) == rows(filled.store.database)
            moved.token("bob")  # takes the next ids of account and audit
        finally:
            moved.store.close()


def test_a_database_that_is_not_empty_is_left_alone(filled: Board, tmp_path: Path) -> None:
    back_up(filled.settings.database, tmp_path / "backup", traces=filled.settings.traces)
    with pytest.raises(UsageError, match="is not empty"):
        restore(tmp_path / "backup", filled.settings.database)


@pytest.mark.parametrize("damage", ["tables", "trace", "manifest"])
def test_a_damaged_backup_restores_nothing(toy_run: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "backup"
    back_up(str(toy_run), folder)
    if damage == "tables":
        data = (folder / "results.db").read_bytes()
        (folder / "results.db").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "trace":
        next(folder.glob("traces/*/*.zst")).write_bytes(b"nothing")
    else:
        content = json.loads((folder / "manifest.json").read_text())
        content["rows"]["episode"] += 1
        (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(StoreCorrupted):
        restore(folder, str(tmp_path / "restored.db"))
    restored = Database(locate(tmp_path / "restored.db"), busy_timeout_s=5.0)
    with restored.read() as connection:
        has_runs = sa.inspect(connection).has_table("run")
        assert not has_runs or not connection.scalar(sa.text("SELECT count(*) FROM run"))
    restored.close()


def test_a_listed_backup_wants_its_traces_back_first(toy_run: Path, tmp_path: Path) -> None:
    back_up(str(toy_run), tmp_path / "backup", with_traces=False)
    assert not (tmp_path / "backup" / "traces").exists()
    with pytest.raises(UsageError, match="copy them there first"):
        restore(tmp_path / "backup", str(tmp_path / "restored.db"))
    shutil.copytree(toy_run.with_name("mine-traces"), tmp_path / "restored-traces")
    restore(tmp_path / "backup", str(tmp_path / "restored.db"))


def test_a_folder_with_something_in_it_is_left_alone(toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        back_up(str(toy_run), tmp_path)
