"""Meta-World's scripted experts, from the package `metaworld` itself: closed loops over the full state."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.expert import Controller
from vla_bench.spec.errors import MissingExtra, UnknownTask
from vla_bench.spec.names import match_name

__all__ = ["controller"]


def controller(task_id: str) -> Controller:
    """The expert of a task.

    Args:
        task_id: `reach-v3`; case, dashes and underscores do not matter. What stands after a dot names a variant of the
            task (`reach-v3.camera-2`), which its expert solves as well as it can.

    Returns:
        A callable from privileged state, whose `observation` is metaworld's float64 `[39]` with the goal in it, to an
        action float32 `[4]` within ±1. It remembers nothing.

    Raises:
        MissingExtra: metaworld is not installed where the policy runs.
        UnknownTask: metaworld has no such task.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from metaworld.policies import ENV_POLICY_MAP
    except ModuleNotFoundError as error:
        raise MissingExtra("the Meta-World expert", "metaworld") from error
    match = match_name(task_id.partition(".")[0], ENV_POLICY_MAP)
    if match is None:
        raise UnknownTask(task_id, ENV_POLICY_MAP)
    experts: Any = ENV_POLICY_MAP  # foreign and loosely typed
    expert = experts[match]()

    def act(privileged: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        # metaworld warns at nearly every step that its own gains exceed the bounds, which are for us to clip to.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A copy: some of these experts write into what they are shown.
            action = expert.get_action(privileged["observation"].copy())
        bounded: NDArray[np.float32] = np.clip(action, -1.0, 1.0).astype(np.float32)
        return bounded

    return act
