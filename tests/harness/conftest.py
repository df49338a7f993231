"""A recorded run, and a copy of it to be forged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.runs import Forger, make_run


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("original"))


@pytest.fixture
def forger(original: Path, tmp_path: Path) -> Forger:
    return Forger.of(original, tmp_path / "forged")
