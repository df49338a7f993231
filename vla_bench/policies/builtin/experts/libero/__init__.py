"""Scripted experts for LIBERO: one planner over the goal predicates and the poses in the privileged state.

`scene` reads the state, `shapes` knows the objects, `motion` moves the hand, `grasp` and `carry` take and bring,
`placing` says where, `fixtures` works drawers, knobs and doors, `plan` puts it in order. No simulator is imported.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

import numpy as np
from numpy.typing import NDArray

from vla_bench.policies.builtin.expert import Controller
from vla_bench.policies.builtin.experts.libero.plan import solve
from vla_bench.policies.builtin.experts.libero.scene import Scene

__all__ = ["controller"]


def controller(task_id: str) -> Controller:
    """The expert of one episode: the same for every task, since the goal is in the privileged state.

    Args:
        task_id: any task of a LIBERO suite.

    Returns:
        A callable from privileged state (see `vla_bench.envs.libero.truth`) to an action float32 `[7]` within ±1. It
        remembers how far its plan is and depends on nothing else, so equal states give equal actions.
    """
    plan: Generator[NDArray[np.float64], Scene, None] | None = None

    def act(privileged: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        nonlocal plan
        scene = Scene(privileged)
        if plan is None:
            plan = solve(scene)
            action = next(plan)
        else:
            action = plan.send(scene)
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    return act
