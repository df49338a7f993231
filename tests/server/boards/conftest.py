"""A store on each database, without traces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vla_bench.results.store import Store


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    with Store.open(database, tmp_path / "traces") as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    """On SQLite only, for what does not depend on the database."""
    with Store.open(tmp_path / "file.db", tmp_path / "traces") as opened:
        yield opened
