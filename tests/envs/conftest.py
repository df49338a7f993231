"""Forgets the plug-ins of a test, and starts supervised simulators for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.envs.workers import CAMERAS, LIMITS, SUITE, Start, is_gone
from vla_bench.envs import EnvOptions, family_of
from vla_bench.envs.runtime.supervisor import WorkerEnv
from vla_bench.spec import plugins


@pytest.fixture(autouse=True)
def entry_points_are_read_anew() -> Iterator[None]:
    yield
    plugins._group.cache_clear()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts workers of `toy_reach_faults`; afterwards nothing of them is left."""
    opened: list[WorkerEnv] = []

    def start(options: EnvOptions = CAMERAS, **limits: float) -> WorkerEnv:
        env = WorkerEnv(family_of(SUITE), SUITE, options, limits=replace(LIMITS, **limits))
        opened.append(env)
        return env

    yield start
    for env in opened:
        env.close()
        assert is_gone(env.pid)
