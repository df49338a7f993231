"""Starts for one subtask alone: initial states in which it is possible, or symbolic states that others lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from vla_bench.envs.calvin.scenes import COLOURS
from vla_bench.envs.calvin.symbols import State, follow, initial_states

__all__ = ["single_starts"]

_LIFTS: Final = [(f"lift_{colour}_block_table",) for colour in COLOURS]
_BEFORE: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "place_in_slider": _LIFTS,
    "place_in_drawer": _LIFTS,
    "stack_block": _LIFTS,
    "unstack_block": [(*lift, "stack_block") for lift in _LIFTS],
    **{f"lift_{c}_block_drawer": [(f"lift_{c}_block_table", "place_in_drawer")] for c in COLOURS},
}
"""Tasks that no initial state allows → tasks after which they are possible."""


@cache
def single_starts(task: str, n_starts: int) -> tuple[State, ...]:
    """`n_starts` different states in which a task can be done in exactly one way, spread over all there are."""
    possible = list(dict.fromkeys(tuple(state.items()) for state in _possible(task)))
    picks = [len(possible) * index // n_starts for index in range(n_starts)]
    return tuple(dict(possible[pick]) for pick in picks)


def _possible(task: str) -> Iterator[State]:
    for state in initial_states():
        for before in _BEFORE.get(task, [()]):
            reached = follow(state, before)
            if reached is not None and follow(reached, [task]) is not None:
                yield reached
