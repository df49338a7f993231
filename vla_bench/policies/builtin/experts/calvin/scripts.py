"""Which script does which subtask, and how the hand gets free before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.expert import Controller
from vla_bench.policies.builtin.experts.calvin import blocks, desk, piles
from vla_bench.policies.builtin.experts.calvin.hand import CLOSE, OPEN, Hand, Motion
from vla_bench.policies.builtin.experts.calvin.sight import COLOURS, Sight
from vla_bench.policies.builtin.experts.calvin.taking import TABLE_Z, free_spot, leave

__all__ = ["SUBTASKS", "controller"]

Script = Callable[[Hand], Motion]


def _scripts() -> dict[str, Script]:
    scripts: dict[str, Script] = {}
    for colour in COLOURS:
        for side in ("right", "left"):
            scripts[f"rotate_{colour}_block_{side}"] = partial(blocks.rotate, colour=colour, to_left=side == "left")
    for colour in COLOURS:
        for side in ("right", "left"):
            scripts[f"push_{colour}_block_{side}"] = partial(blocks.push, colour=colour, to_left=side == "left")
    scripts |= {f"move_slider_{side}": partial(desk.move_slider, to_left=side == "left") for side in ("left", "right")}
    scripts |= {"open_drawer": desk.open_drawer, "close_drawer": desk.close_drawer}
    for colour in COLOURS:
        scripts[f"lift_{colour}_block_table"] = partial(blocks.lift, colour=colour)
        scripts[f"lift_{colour}_block_slider"] = partial(blocks.lift_from_slider, colour=colour)
        scripts[f"lift_{colour}_block_drawer"] = partial(blocks.lift, colour=colour)
    scripts |= {
        "place_in_slider": blocks.place_in_slider,
        "place_in_drawer": blocks.place_in_drawer,
        "stack_block": piles.stack,
        "unstack_block": piles.unstack,
        "turn_on_lightbulb": desk.turn_on_bulb,
        "turn_off_lightbulb": desk.turn_off_bulb,
        "turn_on_led": desk.press_button,
        "turn_off_led": desk.press_button,
        "push_into_drawer": blocks.push_into_drawer,
    }
    return scripts


_SCRIPTS: Mapping[str, Script] = _scripts()
SUBTASKS: tuple[str, ...] = tuple(_SCRIPTS)
"""All 34, in the suite's order: privileged state names a subtask by its number."""

_HOLDING = ("place_in_slider", "place_in_drawer", "stack_block")
"""Subtasks that begin with a block in the hand."""


def controller(task_id: str) -> Controller:
    """The expert of a chain, or of one of its stages.

    Args:
        task_id: any: the privileged state says which subtask it is.

    Returns:
        A callable from privileged state to an action float32 `[7]`: relative, in the suite's own units. It remembers
        how far its script is, so that every stage wants one of its own.
    """
    hand = Hand()
    script: Motion | None = None

    def act(privileged: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        nonlocal script
        hand.sight = Sight.of(privileged)
        if script is None:
            script = _stage(hand, SUBTASKS[hand.sight.task])
        return next(script).astype(np.float32)

    return act


def _stage(hand: Hand, subtask: str) -> Motion:
    hand.gripper = OPEN if hand.sight.is_open else CLOSE
    yield from leave(hand) if subtask in _HOLDING else _free(hand)
    yield from _SCRIPTS[subtask](hand)
    while True:
        yield from hand.wait(1)


def _free(hand: Hand) -> Motion:
    """Put down what is held, and leave the place where the last subtask ended."""
    sight = hand.sight
    held = sight.held()
    if held is not None and not sight.is_open and held.position[1] < 0.0:
        x, y = free_spot(hand, [(x, y) for y in (-0.12, -0.06) for x in (0.14, 0.05, 0.23, -0.02, 0.30)], TABLE_Z)
        drop = held.position[2] - held.height / 2 - 0.44
        if drop > 0.02:
            # It may rest on another block, and the target lie below it.
            yield from hand.move((np.nan, np.nan, sight.tcp[2] + 0.03), patience=6)
            yield from hand.move((x, y, sight.tcp[2] + 0.03))
            drop = hand.sight.blocks[held.colour].position[2] - held.height / 2 - 0.44
        yield from hand.shift((0, 0, -max(drop - 0.002, 0.0)), speed=0.01)
    yield from hand.open(5)
    yield from leave(hand)
