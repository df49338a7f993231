"""Pages of made-up boards, over ASGI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.testclient import TestClient

from tests.server.pages import made_up
from vla_bench.server.app import create_app
from vla_bench.server.boards import read
from vla_bench.server.settings import Settings


@pytest.fixture(autouse=True)
def _short_log() -> Iterator[None]:
    """Without the tracebacks for people, which take minutes for errors that hold a whole page."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database=str(tmp_path / "board.db"), reads_per_minute=100_000).checked()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A service on an empty database."""
    with TestClient(create_app(settings), base_url="http://testserver") as found:
        yield found


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Show made-up views; those that are given instead of the usual ones."""

    def show(**instead: Any) -> None:
        for name, function in (made_up.readers() | instead).items():
            monkeypatch.setattr(read, name, function)

    return show
