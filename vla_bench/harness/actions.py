"""From the policy's answer to what the simulator gets: checked, converted, ensembled, held, bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.bind import Binding
from vla_bench.spec.conventions import ActionConvention, Gripper
from vla_bench.spec.errors import ActionError
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import ActionBounds

__all__ = ["ActionFilter", "check_actions"]

Actions = NDArray[np.float32]


def check_actions(actions: Any, n_entries: int, chunk_length: int | None = None) -> Actions:
    """Refuse whatever is not a chunk of finite actions.

    Args:
        actions: what the policy returned.
        n_entries: length `A` of an action in the policy's convention.
        chunk_length: the most actions that the policy declared; None for any number.

    Returns:
        The same numbers, float32 `[k, A]`, k ≥ 1.

    Raises:
        ActionError: wrong type, dtype or shape, empty, too long, or not finite; the message names the first bad entry.
    """
    if not isinstance(actions, np.ndarray) or actions.dtype.kind != "f":
        found = f"dtype {actions.dtype}" if isinstance(actions, np.ndarray) else type(actions).__name__
        raise ActionError(f"actions are float32 [k, {n_entries}], got {found}")
    if actions.ndim != 2 or actions.shape[1] != n_entries:
        raise ActionError(f"actions are float32 [k, {n_entries}], got shape {list(actions.shape)}")
    if not len(actions):
        raise ActionError("the chunk is empty: a policy returns at least one action")
    if chunk_length is not None and len(actions) > chunk_length:
        raise ActionError(f"the chunk has {len(actions)} actions, the policy declared at most {chunk_length}")
    if not np.isfinite(actions).all():
        row, column = np.argwhere(~np.isfinite(actions))[0]
        raise ActionError(f"action {row} of the chunk is not finite: entry {column} is {actions[row, column]}")
    if type(actions) is np.ndarray and actions.dtype == np.float32:
        return np.ascontiguousarray(actions)
    # A masked array shows its hidden numbers only now.
    with np.errstate(over="ignore"):
        narrowed = np.ascontiguousarray(actions, dtype=np.float32)
    if not np.isfinite(narrowed).all():
        raise ActionError("an action is outside the range of float32")
    return narrowed


class ActionFilter:
    """Everything between a checked chunk and the simulator; holds the state of ensembling and of the sticky gripper.

    One per attempt; `reset` at each stage.
    """

    def __init__(self, binding: Binding, settings: EvalSettings, bounds: ActionBounds) -> None:
        """Fix the rules of one attempt; see `EvalSettings` and `ActionBounds` for their meaning."""
        self._binding = binding
        self._settings = settings
        self._convention: ActionConvention = binding.suite_action
        self._bounds = ActionBounds.CLIP if settings.clip_actions else bounds
        self.n_clipped = 0
        self._is_clipped: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.reset()

    def reset(self) -> None:
        """Forget earlier chunks and the gripper's history: a new episode or stage."""
        self._chunks: list[tuple[int, Actions]] = []
        self._gripper: np.float32 | None = None
        self._held_for = 0

    def __call__(self, checked: Actions, step: int) -> Actions:
        """Turn a checked chunk, asked for at `step`, into what the simulator executes.

        Returns:
            float32 `[n, A]` in the suite's convention, `n = min(k, replan_horizon)`.

        Raises:
            ActionError: an action cannot be converted, or the bounds are hard and an entry is outside.
        """
        try:
            actions = self._binding.to_suite_actions(checked)
        except ValueError as error:
            raise ActionError(f"an action cannot be converted: {error}") from error
        if self._settings.ensembling is not None:
            actions = self._ensembled(actions, step, self._settings.ensembling)
        if (horizon := self._settings.replan_horizon) is not None:
            actions = actions[:horizon]
        if self._settings.sticky_gripper and self._convention.gripper is not Gripper.NONE:
            actions = self._with_held_gripper(actions)
        return self._bounded(actions)

    def count_executed(self, n_executed: int) -> None:
        """Count the clipped ones among the first `n_executed` actions of the last answer: the rest was dropped."""
        self.n_clipped += int(self._is_clipped[:n_executed].sum())

    def _ensembled(self, chunk: Actions, step: int, weight: float) -> Actions:
        self._chunks = [(start, old) for start, old in self._chunks if step - start < len(old)] + [(step, chunk)]
        rows = np.stack([old[step - start] for start, old in self._chunks]).astype(np.float64)
        weights = np.exp(-weight * np.arange(len(rows)))
        mean: Actions = (weights @ rows / weights.sum()).astype(np.float32)
        return mean[None]

    def _with_held_gripper(self, actions: Actions) -> Actions:
        closed_side = 0.5 if self._convention.gripper is Gripper.ZERO_ONE_OPEN else 0.0
        held = actions.copy()
        for row in held:
            if self._held_for and self._gripper is not None:
                self._held_for -= 1
                row[-1] = self._gripper
                continue
            changed = self._gripper is not None and (row[-1] > closed_side) != (self._gripper > closed_side)
            self._gripper = row[-1].copy()
            self._held_for = self._settings.sticky_gripper - 1 if changed else 0
        return held

    def _bounded(self, actions: Actions) -> Actions:
        low, high = np.float32(self._convention.low), np.float32(self._convention.high)
        self._is_clipped = np.zeros(len(actions), np.bool_)
        if self._bounds is ActionBounds.NONE or (actions.min() >= low and actions.max() <= high):
            return actions
        is_outside = (actions < low) | (actions > high)
        if self._bounds is ActionBounds.HARD:
            row, column = np.argwhere(is_outside)[0]
            raise ActionError(
                f"action {row} of the chunk is out of bounds [{low}, {high}]: entry {column} is {actions[row, column]}"
            )
        self._is_clipped = np.asarray(is_outside.any(axis=1))
        return np.clip(actions, low, high)
