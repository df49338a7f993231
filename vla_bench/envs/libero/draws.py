"""The random draws of earlier episodes, without the episodes.

The published loop seeds once and then resets; episode k sees what the generator gives after k resets. A reset costs 3
to 35 ms, nearly all of it physics that nothing of a later episode depends on. `DrawsOfResets` plays the draws alone (a
fifth of a millisecond), in their order and with all that decides how many they are:

- seven normal numbers for the arm, whose noise has magnitude 0 and is drawn all the same;
- one number for every initialiser of a joint (drawers, knobs), as many as the list of initialisers has by then;
- the placements, which are drawn again until objects do not overlap. Where an object is placed in or on a part of
  another, its place depends on where that part is: positions are then computed, for the compiled scene and the joints
      just drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np

from vla_bench.envs.libero.randomness import global_stream, present_state, state_of_seed

__all__ = ["DrawsOfResets"]


class DrawsOfResets:
    """The generator's state before every reset of one scene, played when first needed and remembered."""

    def __init__(self, env: Any, initialisers: list[Any], does_not_fit: type[Exception]) -> None:
        """Play nothing yet.

        Args:
            env: upstream's.
            initialisers: one set of joint initialisers.
            does_not_fit: what a sampler raises that finds no place; upstream then resets again.
        """
        self._env = env
        self._initialisers = initialisers
        self._on_table = _light(env.placement_initializer)
        self._on_parts = _light(env.conditional_placement_initializer)
        self._on_objects = _light(env.conditional_placement_on_objects_initializer)
        self._does_not_fit = does_not_fit
        self._states: dict[tuple[int, int], list[Any]] = {}

    def before(self, seed: int, index: int, *, n_builds: int) -> Any:
        """State of the generator after seeding and `index` resets.

        Changes positions in the simulation: a reset has to follow.

        Args:
            seed: of the generator.
            index: resets since then.
            n_builds: hard resets of the published loop up to and including the next one.
        """
        first_build = n_builds - index
        states = self._states.setdefault((seed, first_build), [state_of_seed(seed)])
        while len(states) <= index:
            with global_stream(states[-1]):
                self._play(first_build + len(states) - 1)
                states.append(present_state())
        return states[index]

    def _play(self, n_builds: int) -> None:
        while True:
            try:
                self._draw(self._initialisers * (n_builds + 1))
            except self._does_not_fit:
                n_builds += 1
            else:
                return

    def _draw(self, initialisers: list[Any]) -> None:
        env = self._env
        np.random.randn(len(env.robots[0].init_qpos))  # noqa: NPY002
        # Later ones win, as they do upstream, which sets every one of them.
        joints = {initialiser.name: initialiser.sample() for initialiser in initialisers}
        if self._on_parts.samplers:
            model, data = env.sim.model._model, env.sim.data._data
            np.copyto(data.qpos, model.qpos0)
            for name, position in joints.items():
                env.object_states_dict[name].set_joint(position)
            mujoco.mj_kinematics(model, data)
        placements = self._on_table.sample()
        placements = self._on_parts.sample(env.sim, placements)
        self._on_objects.sample(placements)


def _light(sampler: Any) -> Any:
    """A copy of a sampler of samplers whose objects know their sizes; upstream's parse XML each time they are asked."""
    light = copy(sampler)
    light.samplers = {name: copy(part) for name, part in sampler.samplers.items()}
    for part in light.samplers.values():
        part.mujoco_objects = [_shape(object_) for object_ in part.mujoco_objects]
    return light


def _shape(object_: Any) -> SimpleNamespace:
    names: Iterable[str] = ("name", "horizontal_radius", "bottom_offset", "top_offset", "init_quat")
    return SimpleNamespace(**{name: getattr(object_, name) for name in names if hasattr(object_, name)})
