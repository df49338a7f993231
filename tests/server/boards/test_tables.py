"""The leaderboard's tables: a log that only grows, and a history that goes back and forth with data."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from tests.server.boards.making import SLUG, fill
from vla_bench.results import schema
from vla_bench.results.store import Store
from vla_bench.server.boards import read
from vla_bench.spec.errors import StoreError


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_no_line_of_the_log_is_changed_or_deleted(store: Store, statement: str) -> None:
    fill(store, [0.5])
    before = read.log_page(store.database).entries
    with pytest.raises(StoreError, match="append-only"), store.database.write() as connection:
        connection.exec_driver_sql(statement)
    assert read.log_page(store.database).entries == before


def test_runs_outlive_the_way_down_and_boards_are_made_anew_on_the_way_up(store: Store) -> None:
    outcomes = fill(store, [0.9, 0.2])
    before = store.summary("p0")
    config = schema.alembic_config()
    with store.database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        assert not {"board", "audit"} & set(sa.inspect(connection).get_table_names())
        command.upgrade(config, "head")
    assert store.summary("p0") == before
    assert read.boards(store.database) == ()
    assert len(store.outcomes("p1")) == len(outcomes["p1"])


def test_a_run_on_a_board_cannot_be_deleted(store: Store) -> None:
    fill(store, [0.5])
    with pytest.raises(StoreError):
        store.delete("p0")
    assert read.board_page(store.database, SLUG).n_total == 1
    assert len(store.outcomes("p0")) == 30


def test_the_help_needs_no_table(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, vla_bench.results.store; sys.exit('vla_bench.results.leaderboard.boards' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
