"""Flags of plausibility: what a reader should look at. They are notes beside a row and never touch its mark or rank."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vla_bench.spec.result import Trace

__all__ = ["FEWEST_EPISODES", "Plausibility", "roughness"]

MOST_EPISODES = 500
"""Episodes that are looked at: more say the same."""
SHORTEST = 10
"""Steps of an episode whose actions say anything of smoothness."""
FEWEST_EPISODES = 10
"""Of those, below which nothing is said."""
MOVING = 0.8
"""Share of the steps at which an entry of the action changes, if it is looked at."""
PLANNED, NOISE = 0.02, 1.6
"""Roughness of a path that is planned to its end, and near that of numbers drawn anew at every step (√3)."""
NO_TIME = 0.01
"""Share of answers in 0 ms from which on somebody should ask how they were made."""


class Plausibility:
    """Gathers what the traces of a run tell, one after the other."""

    def __init__(self) -> None:
        self._roughness: list[float] = []
        self._n_answers = self._n_at_once = 0

    def add(self, trace: Trace) -> None:
        """Look at one episode."""
        self._n_answers += len(trace.latency_ms)
        self._n_at_once += int(np.count_nonzero(np.asarray(trace.latency_ms) <= 0.0))
        if len(self._roughness) < MOST_EPISODES and (found := roughness(np.asarray(trace.actions))) is not None:
            self._roughness.append(found)

    def flags(self) -> list[str]:
        """What was found, a sentence each; empty where nothing stands out."""
        found = []
        if self._n_at_once and self._n_at_once >= NO_TIME * self._n_answers:
            found.append(f"{self._n_at_once:,} of {self._n_answers:,} answers are said to have taken 0 ms")
        if len(self._roughness) >= FEWEST_EPISODES:
            typical = median(self._roughness)
            if typical > NOISE:
                found.append("its actions change from step to step like numbers drawn by chance")
            elif typical < PLANNED:
                found.append("its actions are as smooth as a path that was planned to its end")
        return found


def roughness(actions: np.ndarray) -> float | None:
    """Mean size of second differences over that of first ones, of the entries that change at most steps.

    0 for a straight line, √3 for independent normal numbers. Entries that jump now and then, as grippers and held
    commands do, would give 2 and say nothing; None where there are no others.

    Args:
        actions: float32 `[T, A]`.
    """
    if len(actions) < SHORTEST:
        return None
    first = np.diff(actions.astype(np.float64), axis=0)
    first = first[:, (np.abs(first) > 1e-6).mean(axis=0) >= MOVING]
    if not first.size:
        return None
    return float(np.abs(np.diff(first, axis=0)).mean() / np.abs(first).mean())
