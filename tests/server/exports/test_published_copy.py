"""The pages of an empty board, which has the published figures: every link of them answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_bench.server.app import create_app
from vla_bench.server.database import open_store
from vla_bench.server.exports.static import export_pages
from vla_bench.server.published.load import load_published
from vla_bench.server.settings import Settings


@pytest.mark.slow
def test_no_page_that_an_empty_board_leads_to_is_broken(tmp_path: Path) -> None:
    settings = Settings(database=str(tmp_path / "b.db"), runs_jobs=False, request_s=300.0).checked()
    with open_store(settings) as store:
        load_published(store.database)
        # A page with a fault raises.
        written = export_pages(create_app(settings, store=store), tmp_path / "copy")
    assert len(list((tmp_path / "copy" / "policies").iterdir())) > 30
    assert written.n_files > 100
