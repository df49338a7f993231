"""CALVIN's symbolic world: which states a chain may start from, and which tasks are possible in which state.

It decides the 1,000 evaluation chains and nothing else; whether a task was done is for `oracle.py`. The rules are
those of mees/calvin @ fa03f01 (`multistep_sequences.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from vla_bench.envs.calvin.scenes import COLOURS, read_table

__all__ = ["CHAIN_LENGTH", "KEYS", "State", "category", "follow", "initial_states", "outcomes"]

CHAIN_LENGTH: Final = 5

State = Mapping[str, str | int]
"""Values by `KEYS`."""

KEYS: Final = ("led", "lightbulb", "slider", "drawer", "red_block", "blue_block", "pink_block", "grasped")
"""In this order: the seed of the start pose is a hash over the printed values."""

_PLACES: Final = ("table", "slider_right", "slider_left")


@cache
def initial_states() -> tuple[State, ...]:
    """The 192 states that chains start from: one or two blocks on the table, at most one in each half of the slider."""
    states = []
    for led, bulb, slider, drawer in itertools.product((0, 1), (0, 1), ("right", "left"), ("closed", "open")):
        for places in itertools.product(_PLACES, repeat=3):
            crowded = places.count("slider_right") > 1 or places.count("slider_left") > 1
            if places.count("table") in (1, 2) and not crowded:
                values = (led, bulb, slider, drawer, *places, 0)
                states.append(dict(zip(KEYS, values, strict=True)))
    return tuple(states)


def follow(state: State, tasks: Sequence[str]) -> State | None:
    """The state after a chain of tasks; None where one of them is impossible or could be done in more than one way."""
    for task in tasks:
        after = outcomes(state, task)
        if len(after) != 1:
            return None
        state = after[0]
    return state


def outcomes(state: State, task: str) -> list[State]:
    """The states that a task can lead to: none where it is impossible, several where it can be done in several ways."""
    changes = [change for change in _changes(task, state) if change is not None]
    return [{**state, **change} for change in changes]


def category(task: str) -> str:
    """What kind of task it is; the five of a chain are all different."""
    name: str = read_table("tasks.toml")[task]["category"]
    return name


def _changes(task: str, state: State) -> list[dict[str, str | int] | None]:
    """What each way of doing a task changes; None for a way that is impossible in `state`."""
    words = task.split("_")
    blocks = [f"{colour}_block" for colour in COLOURS]
    held = [block for block in blocks if state[block] == "grasped"]
    on_table = [block for block in blocks if state[block] == "table"]
    if state["grasped"]:
        return _changes_with_block(task, state, held, on_table)
    match words:
        case ["rotate" | "push", colour, "block", _]:
            return [{} if state[f"{colour}_block"] == "table" else None]
        case ["move", "slider", side]:
            return [{"slider": side} if state["slider"] != side else None]
        case [("open" | "close") as verb, "drawer"]:
            end = "open" if verb == "open" else "closed"
            return [{"drawer": end} if state["drawer"] != end else None]
        case ["lift", colour, "block", source]:
            lifted: dict[str, str | int] = {f"{colour}_block": "grasped", "grasped": 1}
            return [lifted if _can_lift(state, f"{colour}_block", source) else None]
        case ["turn", switch, light]:
            return [{light: int(switch == "on")} if state[light] != int(switch == "on") else None]
        case ["push", "into", "drawer"]:
            alone = len(on_table) == 1 and all(state[b] in _PLACES for b in blocks)
            return [{on_table[0]: "drawer"} if alone and state["drawer"] == "open" else None]
        case ["unstack", "block"]:
            pair = [block for block in blocks if state[block] in ("stacked_top", "stacked_bottom")]
            return [dict.fromkeys(pair, "table") if len(pair) == 2 else None]
    return []


def _changes_with_block(
    task: str, state: State, held: list[str], on_table: list[str]
) -> list[dict[str, str | int] | None]:
    match task:
        case "place_in_slider":
            # Upstream notes the half that the door stands before, though the block lands in the open one.
            return [{block: f"slider_{state['slider']}", "grasped": 0} for block in held]
        case "place_in_drawer":
            return [{block: "drawer", "grasped": 0} for block in held] if state["drawer"] == "open" else []
        case "stack_block":
            return [
                {block: "stacked_top", other: "stacked_bottom", "grasped": 0} for block in held for other in on_table
            ]
    return []


def _can_lift(state: State, block: str, source: str) -> bool:
    place = state[block]
    match source:
        case "table":
            return place == "table"
        case "slider":
            return (place, state["slider"]) in (("slider_left", "right"), ("slider_right", "left"))
        case _:
            return place == "drawer" and state["drawer"] == "open"
