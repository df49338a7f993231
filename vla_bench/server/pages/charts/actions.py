"""What a policy commanded over an episode: one small chart for each entry of the action, on one axis of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vla_bench.server.pages.charts.axis import Axis, Tick

__all__ = ["ActionChart", "ActionEntry", "action_chart"]

MOST_POINTS = 240
"""Of a line: more are no wider than a pixel, and weigh."""
MOST_QUERIES = 120


@dataclass(frozen=True, slots=True)
class ActionEntry:
    """One entry of the action.

    Attributes:
        name: of the entry.
        path: in a frame of 100 by 100.
        low, high, mean: of its values, in the units of the action.
        is_gripper: the gripper's.
    """

    name: str
    path: str
    low: float
    high: float
    mean: float
    is_gripper: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionChart:
    """All entries over time.

    Attributes:
        title, desc: for those who do not see it.
        n_steps: executed.
        entries: in the order of the action.
        steps: axis of control steps.
        stages: where a stage began, percent of the frame.
        queries: where the policy was asked, percent of the frame; empty where it is asked too often to show.
        n_queries: how often it was.
    """

    title: str
    desc: str
    n_steps: int
    entries: tuple[ActionEntry, ...]
    steps: Axis
    stages: tuple[Tick, ...]
    queries: tuple[float, ...]
    n_queries: int


def action_chart(
    actions: NDArray[np.float32],
    names: Sequence[str],
    query_steps: Sequence[int],
    *,
    stages: Sequence[tuple[int, str]] = (),
    gripper: int | None = -1,
) -> ActionChart | None:
    """Draw executed actions.

    Args:
        actions: float32 `[T, A]`.
        names: of the A entries; numbers stand where there are fewer.
        query_steps: where the policy was asked.
        stages: step at which a stage began, and its name.
        gripper: index of the gripper's entry; None where there is none.

    Returns:
        None where nothing was executed.
    """
    n_steps, width = actions.shape if actions.ndim == 2 else (0, 0)
    if not n_steps or not width:
        return None
    marks = sorted({0, n_steps // 4, n_steps // 2, 3 * n_steps // 4, n_steps})
    steps = Axis(0, n_steps, tuple(Tick(round(100 * step / n_steps, 2), str(step)) for step in marks))
    called = [names[index] if index < len(names) else f"entry {index}" for index in range(width)]
    grip = None if gripper is None else gripper % width
    entries = [_entry(called[index], actions[:, index], is_gripper=index == grip) for index in range(width)]
    return ActionChart(
        title="Actions over time",
        desc=f"{width} entries of the action over {n_steps} steps; the policy was asked "
        f"{'once' if len(query_steps) == 1 else f'{len(query_steps)} times'}.",
        n_steps=n_steps,
        entries=tuple(entries),
        steps=steps,
        stages=tuple(Tick(steps.at(step), name) for step, name in stages),
        queries=tuple(steps.at(step) for step in query_steps) if len(query_steps) <= MOST_QUERIES else (),
        n_queries=len(query_steps),
    )


def _entry(name: str, values: NDArray[np.float32], *, is_gripper: bool) -> ActionEntry:
    low, high = float(values.min()), float(values.max())
    axis = Axis(low, high)
    steps = _thinned(values)
    points = [(100 * step / max(1, len(values) - 1), 96 - 0.92 * axis.at(float(values[step]))) for step in steps]
    path = "".join(f"{'L' if index else 'M'}{x:.4g} {y:.4g}" for index, (x, y) in enumerate(points))
    return ActionEntry(name, path, low, high, float(values.mean()), is_gripper)


def _thinned(values: NDArray[np.float32]) -> list[int]:
    """Steps that keep the outline: the lowest and the highest of each stretch."""
    if len(values) <= MOST_POINTS:
        return list(range(len(values)))
    edges = np.linspace(0, len(values), MOST_POINTS // 2 + 1).astype(int)
    kept = {0, len(values) - 1}
    for begin, end in pairwise(edges):
        kept |= {int(begin + values[begin:end].argmin()), int(begin + values[begin:end].argmax())}
    return sorted(kept)
