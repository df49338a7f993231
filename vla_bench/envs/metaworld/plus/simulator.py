"""One Meta-World task under perturbation: the plain initial state of a seed, and what the perturbation makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.metaworld.plus.suite import scene
from vla_bench.envs.metaworld.simulator import Simulator
from vla_bench.envs.perturb import Dimension, Perturbation
from vla_bench.envs.perturb.layout import offsets
from vla_bench.envs.perturb.perturber import Perturber
from vla_bench.envs.perturb.robot import displace_arm
from vla_bench.envs.perturb.soundness import TOLERANCE_M, Overlaps, bodies_below, new_overlap, overlaps, solid_geoms
from vla_bench.spec.errors import EnvRaised

__all__ = ["PerturbedSimulator"]

_SETTLING_STEPS: Final = 50
"""As many as metaworld itself takes to bring the hand to where it begins."""
_NUDGE_M: Final = 0.005
"""An object that the settling arm moves by more than this has been touched."""
_HELD_M: Final = 0.02
"""How far the hand may hang off its target: in the plain initial states it is 0.007 m."""
_ROOM_M: Final = 0.2
"""More than any layout moves a goal."""
_TRIES: Final = 200


class PerturbedSimulator(Simulator):
    """A task whose every episode is perturbed in one dimension; the model is the plain one again before each."""

    def __init__(self, task: str) -> None:
        """Compile the task's model; see `Simulator`."""
        super().__init__(task)
        # metaworld clips the goal that it reports, and judges, to where its own rule puts goals.
        space = self._env.goal_space
        self._env.goal_space = type(space)(space.low - _ROOM_M, space.high + _ROOM_M, dtype=space.dtype)
        self._scene = scene(task)
        self._perturber = Perturber(self.model, self._scene)
        # Of bodies: which are the arm's, and which others can move.
        self._arm = np.zeros(self.model.nbody, bool)
        self._arm[list(bodies_below(self.model, [self.model.body(self._scene.robot).id]))] = True
        self._movable = (self.model.body_weldid != 0) & ~self._arm

    @property
    def stale_textures(self) -> set[int]:
        """See `Perturber.stale_textures`."""
        return self._perturber.stale_textures

    def begin_perturbed(self, seed: int, perturbation: Perturbation, rng: np.random.Generator) -> Mapping[str, Any]:
        """Build the initial state of `seed` and perturb it: the same bits whatever ran before.

        Returns:
            `rand_vec` as `begin`, and `perturbation`: what was drawn.

        Raises:
            EnvRaised: no sound scene was found.
        """
        self._perturber.restore()
        facts = self.begin(seed)
        match perturbation.dimension:
            case Dimension.ROBOT:
                drawn = self._displace_arm(perturbation.strength, rng)
            case Dimension.LAYOUT:
                facts, drawn = self._displace_objects(seed, perturbation.strength, rng)
            case _:
                drawn = self._perturber.apply(self.data, perturbation, rng)
        return {**facts, "perturbation": dict(drawn)}

    def _displace_arm(self, strength: Mapping[str, float], rng: np.random.Generator) -> Mapping[str, Any]:
        """Turn the joints; the hand's target goes where they bring it, and its orientation comes back to the one."""
        state = np.empty_like(self._integration_state)
        mujoco.mj_getState(self.model, self.data, state, _STATE)
        self._hold()
        resting = self._objects()
        mujoco.mj_setState(self.model, self.data, state, _STATE)
        mujoco.mj_kinematics(self.model, self.data)

        def settle() -> bool:
            target = self.data.body("hand").xpos.copy()
            low, high = np.array(self._scene.workspace_m)
            if np.any(target < low) or np.any(target > high):
                return False
            self.data.mocap_pos[0] = target
            has_touched = self._hold()
            is_held = np.linalg.norm(self.data.body("hand").xpos - target) <= _HELD_M
            # Lids that lie askew and handles on springs move by themselves, and never twice the same.
            is_nudged = has_touched and np.abs(self._objects() - resting).max(initial=0.0) > _NUDGE_M
            return bool(is_held) and not is_nudged

        drawn = displace_arm(self.model, self.data, self._scene, strength, rng, settle)
        self._take_stock()
        return {**drawn, "hand_m": self.observation[:3].tolist()}

    def _hold(self) -> bool:
        """Let the hand come to its target; returns whether the arm has touched something that can move."""
        touching = 0
        for _ in range(_SETTLING_STEPS):
            self._env.do_simulation([-1, 1], self._env.frame_skip)
            one, other = self.model.geom_bodyid[self.data.contact.geom].T
            touching += np.sum(self._arm[one] & self._movable[other] | self._arm[other] & self._movable[one])
        return bool(touching)

    def _objects(self) -> NDArray[np.float64]:
        """Positions in the world of everything that can move and is not the arm, float64 `[n, 3]`."""
        return np.array(self.data.xpos[self._movable])

    def _displace_objects(
        self, seed: int, strength: Mapping[str, float], rng: np.random.Generator
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Have the task place its objects and goal elsewhere by its own rule, so that success means the same."""
        before, points = self._overlaps(), self._points()
        env, n_vectors = self._env, self._env._random_reset_space.low.size // 3
        draws = offsets(n_vectors, strength, rng)
        used = np.zeros((n_vectors, 3))

        def placement() -> NDArray[np.float64]:
            # Asked again by a task that is not content: the goal is too near to the object.
            nonlocal used
            used = next(draws)
            env._last_rand_vec = type(env)._get_state_rand_vec(env) + used.ravel()
            displaced: NDArray[np.float64] = env._last_rand_vec
            return displaced

        for draw in range(1, _TRIES + 1):
            env._get_state_rand_vec = placement
            try:
                facts = self.begin(seed)
            finally:
                del env._get_state_rand_vec
            if self._are_in_reach(points) and new_overlap(before, self._overlaps()) <= TOLERANCE_M:
                return facts, {"offset_m": used.tolist(), "draws": draw}
        raise EnvRaised(f"no sound layout in {_TRIES} draws at {dict(strength)}")

    def _overlaps(self) -> Overlaps:
        """Of what the task has placed with all that it has not."""
        model = self.model
        is_moved = np.any(model.body_pos != self._positions["body_pos"], axis=1)
        is_moved[model.jnt_bodyid[model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE)]] = True
        found: dict[tuple[int, int], float] = {}
        for root in np.flatnonzero(is_moved).tolist():
            bodies = bodies_below(model, [root])
            others = frozenset(range(model.nbody)) - bodies
            found |= overlaps(model, self.data, solid_geoms(model, bodies), solid_geoms(model, others))
        return found

    def _points(self) -> NDArray[np.float64]:
        """What the hand has to reach: first object, second object and goal as metaworld reports them, `[3, 3]`."""
        return np.array([self.observation[4:7], self.observation[11:14], self.observation[36:39]])

    def _are_in_reach(self, plain: NDArray[np.float64]) -> bool:
        """Whether no point is farther outside of the workspace than it is in the plain initial state."""
        low, high = np.array(self._scene.workspace_m)
        there = self._points()[:, :2]
        return bool(
            np.all(there >= np.minimum(low[:2], plain[:, :2])) and np.all(there <= np.maximum(high[:2], plain[:, :2]))
        )


_STATE: Final = mujoco.mjtState.mjSTATE_INTEGRATION
