"""What can move a score, and boards that are closed because something did."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from tests.server.boards.making import SLUG, enter, store_run
from vla_bench.cli.leaderboard import app as cli
from vla_bench.results.store import Store
from vla_bench.server.app import create_app
from vla_bench.server.boards import read
from vla_bench.server.pages.changes import read_scores, score_changes
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import NotListed, UsageError

CHANGELOG = """# Changelog
## [Unreleased]
### Added
- A command.
## [0.2.0] - 2026-12-01
### Scores
- `suite`: protocol `standard/2`
  fixes the limit.
- Another.

### Added
- Nothing of this.
"""


def test_only_the_lines_below_scores_are_read() -> None:
    assert read_scores(CHANGELOG) == (
        ("0.2.0 - 2026-12-01", ("suite: protocol standard/2 fixes the limit.", "Another.")),
    )
    assert any("CALVIN" in line for _, lines in score_changes() for line in lines)


def test_a_frozen_board_says_why_and_takes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "board.db"
    settings = Settings(database=str(path), runs_jobs=False, shows_published=False).checked()
    with Store.open(path) as store:
        store_run(store, "old", [True] * 30)
        enter(store, "old")
        store_run(store, "late", [True] * 30)
    runner = CliRunner()
    assert isinstance(runner.invoke(cli, ["freeze", SLUG, "--db", str(path)]).exception, UsageError)
    nowhere = runner.invoke(cli, ["freeze", "no/such/board/x", "--reason", "because", "--db", str(path)])
    assert isinstance(nowhere.exception, NotListed)
    done = runner.invoke(cli, ["freeze", SLUG, "--reason", "standard/2 fixes the limit", "--db", str(path)])
    assert done.exit_code == 0, done.output
    with Store.open(path) as store:
        with pytest.raises(UsageError, match="takes no further runs"):
            enter(store, "late")
        assert [row.run for row in read.board_page(store.database, SLUG).rows] == ["old"]
        client = TestClient(create_app(settings, store=store))
        text = client.get(f"/boards/{SLUG}").text
        assert "standard/2 fixes the limit" in text
        assert 'href="/suites/made_up#boards"' in text
        assert 'href="/scores"' in text
        assert "CALVIN" in client.get("/scores").text
        assert "board frozen" in client.get("/").text
