"""Flags of plausibility: they find what they are for and stay silent on ordinary actions."""

from __future__ import annotations

import numpy as np
import pytest

from vla_bench.server.boards.plausible import FEWEST_EPISODES, Plausibility, roughness
from vla_bench.spec.result import Trace

RNG = np.random.default_rng(3)
STEPS = np.linspace(0, 6, 200)[:, None]
FEEDBACK = np.exp(-STEPS) + 0.02 * RNG.normal(size=(200, 4))


def trace(actions: np.ndarray, latency: list[float]) -> Trace:
    return Trace(
        actions=actions.astype(np.float32),
        query_steps=np.arange(len(latency), dtype=np.int32),
        digests=("",) * (len(latency) + 1),
        latency_ms=np.array(latency, np.float32),
        server_ms=np.zeros(len(latency), np.float32),
    )


@pytest.mark.parametrize(
    ("actions", "latency", "said"),
    [
        (FEEDBACK.cumsum(axis=0), [3.0] * 50, []),
        (RNG.normal(size=(200, 4)), [3.0] * 50, ["by chance"]),
        (np.sin(STEPS / 3) * np.ones((1, 4)), [3.0] * 50, ["planned"]),
        (FEEDBACK.cumsum(axis=0), [0.0] * 25 + [2.0] * 25, ["25 of 50 answers"]),
        (np.zeros((200, 4)), [3.0], []),
        (np.repeat(RNG.normal(size=(40, 4)), 5, axis=0), [3.0], []),
        (FEEDBACK[:5], [3.0], []),
    ],
)
def test_flags_say_what_stands_out(actions: np.ndarray, latency: list[float], said: list[str]) -> None:
    found = Plausibility()
    for _ in range(FEWEST_EPISODES):
        found.add(trace(actions, latency))
    flags = found.flags()
    assert len(flags) == len(said)
    assert all(word.replace("25 of 50", "250 of 500") in flag for word, flag in zip(said, flags, strict=True))


def test_roughness_has_the_values_of_its_two_ends() -> None:
    assert roughness(np.linspace(0, 1, 50)[:, None]) == pytest.approx(0.0, abs=1e-9)
    assert roughness(RNG.normal(size=(20_000, 2))) == pytest.approx(np.sqrt(3), rel=0.02)
