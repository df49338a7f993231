"""Forgets the plug-ins of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vla_bench.spec import plugins


@pytest.fixture(autouse=True)
def entry_points_are_read_anew() -> Iterator[None]:
    yield
    plugins._group.cache_clear()
