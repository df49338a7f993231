"""One compiled LIBERO scene: reset under the published fixture sequence, step, sample, digest.

What LIBERO-Plus needs of it:

- another BDDL file, or another package with other problem classes: `Scene`. Equal scenes share one simulator.
- another pose of the robot before the reset: `Start.robot_qpos`.
- changed model fields (cameras, bodies, sites): `Start.edit`, called on the compiled model after every array that an
  earlier episode may have changed was put back, and before the reset. Nothing has to be undone afterwards.
- noise on pictures: `LiberoEnv.picture` (in `env.py`), called with every picture that somebody sees.

The published loop rebuilds the scene for every episode (a "hard" reset). Here it is compiled once. What makes the
states that follow equal, bit for bit:

- every array of the model is put back to its compiled value: fixtures stand where the last reset drew them, which
  decides where objects on them are placed, and how often a placement is drawn again;
- the forward passes of a new scene are made (one when it is built, one when its renderer is): the solver starts from
  them;
- the gripper's last command is forgotten, and which burner glows;
- the list of initialisers is as long as upstream's, which a hard reset lengthens by one set each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.libero.draws import DrawsOfResets
from vla_bench.envs.libero.package import LIBERO, simulator_package
from vla_bench.envs.libero.passes import PassesAtReset
from vla_bench.envs.libero.physics import N_PHYSICS_STEPS, Arm, PlainPasses, ReusingPasses
from vla_bench.envs.libero.randomness import global_stream, present_state, state_of_seed
from vla_bench.envs.libero.sampling import Sample, SamplingClock
from vla_bench.envs.libero.speedups import Speedups

__all__ = ["Scene", "Simulator", "Start"]

_NEVER_CHANGED = ("bvh_", "hfield_", "mesh_", "names", "skin_", "tex_")
_N_FORCED_BY_RESET = 1
_N_FORCED_BY_INIT_STATE = 1


@dataclass(frozen=True, slots=True)
class Scene:
    """What is compiled once.

    Attributes:
        bddl: the problem file.
        package: the one that has its problem class and its assets.
    """

    bddl: Path
    package: str = LIBERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How an episode begins.

    Attributes:
        seed: of the process-wide generator, before the first of the resets.
        n_resets: resets since then, this episode's included: the published loop seeds once, episode k is reset k + 1.
        n_builds: hard resets of the published loop up to now, this episode's included; decides how long the list of
            initialisers has grown.
        init_state: float64 `[1 + nq + nv]`, time, positions and velocities set after the reset; None for the state that
            the reset drew.
        robot_qpos: joint angles float64 `[7]` that the reset gives the arm, None for the robot's own.
        edit: changes the compiled model for this episode.
    """

    seed: int
    n_resets: int = 1
    n_builds: int = 1
    init_state: NDArray[np.float64] | None = None
    robot_qpos: NDArray[np.float64] | None = None
    edit: Callable[[Any], None] | None = field(default=None, compare=False)


class Simulator:
    """A scene with its robot and controller. Not thread-safe: one per process at a time uses NumPy's own generator."""

    def __init__(self, scene: Scene, speedups: Speedups | None = None) -> None:
        """Compile the scene, 2–3 s.

        Args:
            scene: what is compiled.
            speedups: which shortcuts are taken, all where None.

        Raises:
            SuiteNotInstalled: assets are missing.
        """
        mujoco.set_mju_user_warning(lambda message: None)  # else a file in the working directory; counters are read
        package = simulator_package(scene.package)
        speedups = speedups or Speedups.chosen()
        with global_stream(state_of_seed(0)):
            self._env: Any = _with_compiled_arrays(package.problem(scene.bddl))(
                str(scene.bddl),
                robots=["Panda"],
                controller_configs=package.robosuite.load_controller_config(default_controller="OSC_POSE"),
                initialization_noise=None,
                use_camera_obs=False,
                has_offscreen_renderer=False,
                control_freq=20,
                horizon=_NO_HORIZON,
                hard_reset=False,
            )
        self.scene = scene
        self._does_not_fit = package.robosuite.utils.errors.RandomizationError
        env = self._env
        self.model, self.data = env.sim.model._model, env.sim.data._data
        env._observables = {}  # sampled by `Sample`, on the same clock
        self._passes_at_reset = PassesAtReset(self.model, self.data, remember=speedups.remembered_passes)
        env.sim.reset = self._passes_at_reset.begin
        env.sim.forward = self._passes_at_reset.forward
        self._robot = env.robots[0]
        self._own_qpos = np.array(self._robot.init_qpos)
        self._initialisers = list(env.object_property_initializers)
        self._glowing = _visible_sites(env)
        self._compiled = env.compiled_arrays
        self._warnings: NDArray[np.int32] = self.data.warning.number  # a live view
        self._draws = DrawsOfResets(env, self._initialisers, self._does_not_fit)
        self._speedups = speedups
        self._integration_state = np.empty(mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_INTEGRATION))
        self._clock = SamplingClock(sampling_period_s=1.0 / 20, physics_period_s=self.model.opt.timestep)
        self.sample = Sample(self.model, self.data)
        self._scene_digest = b""
        self.stream: Any = None
        self._passes = (ReusingPasses if speedups.stages else PlainPasses)(self.model, self.data)
        self._arm = Arm(self._robot, package, self._passes) if speedups.controller else None
        self.begin(Start(seed=0))  # what later resets remember is part of the price of a new scene

    @property
    def env(self) -> Any:
        """Upstream's environment object, for what reads it (predicates, privileged state)."""
        return self._env

    # An episode's start.

    def begin(self, start: Start) -> None:
        """Build the initial state: the same bits whatever ran before, in any process."""
        self._restore(start)
        with global_stream(self._stream(start)):
            self._reset(start.n_builds)
            # Where upstream's stream stands now: LIBERO-Plus goes on drawing from it.
            self.stream = present_state()
        self._clock.begin(_N_FORCED_BY_RESET)
        if start.init_state is not None:
            self._set_init_state(start.init_state)
        self.sample.take()
        self._scene_digest = self._digest_of_scene()

    def _restore(self, start: Start) -> None:
        for array, compiled in self._compiled:
            np.copyto(array, compiled)
        for sites, visible in self._glowing:
            sites.update(visible)
        if start.edit is not None:
            start.edit(self.model)
        robot = self._robot
        robot.gripper.current_action = np.zeros(robot.gripper.dof)
        robot.init_qpos = self._own_qpos if start.robot_qpos is None else np.array(start.robot_qpos)
        self._passes_at_reset.known_by = _key(robot.init_qpos, self.model) if start.edit else _key(robot.init_qpos)

    def _reset(self, n_builds: int) -> None:
        """One reset of upstream's `ControlEnv`, which repeats it when the objects do not fit."""
        while True:
            # One set from the construction, one more from every hard reset.
            self._env.object_property_initializers = self._initialisers * (n_builds + 1)
            try:
                self._env.reset()
            except self._does_not_fit:
                n_builds += 1
            else:
                return

    def _stream(self, start: Start) -> Any:
        """State of the generator before the last of the resets."""
        index = start.n_resets - 1
        if self._speedups.remembered_draws:
            return self._draws.before(start.seed, index, n_builds=start.n_builds)
        state = state_of_seed(start.seed)
        for n_builds in range(start.n_builds - index, start.n_builds):
            with global_stream(state):
                self._reset(n_builds)
                state = present_state()
            self._restore(start)
        return state

    def _set_init_state(self, init_state: NDArray[np.float64]) -> None:
        """Upstream's `set_init_state`: also the solver's warm start and the glow of burners follow from it."""
        env = self._env
        env.sim.set_state_from_flattened(init_state)
        mujoco.mj_forward(self.model, self.data)
        env._check_success()
        env._post_process()
        self._clock.tick(force=True)

    # Steps.

    def step(self, action: NDArray[np.float64]) -> bool:
        """Apply one action float64 `[7]` for one control step (50 ms); returns whether the goal holds now."""
        for index in range(N_PHYSICS_STEPS):
            self._passes.first()
            if self._arm is not None:
                self._arm.control(action, is_new=index == 0)
            else:
                self._robot.control(action, policy_step=index == 0)
            self._passes.advance()
            if self._clock.tick():
                self.sample.take()
        success = bool(self._env._check_success())
        self._env._post_process()
        return success

    def take_absolute_poses(self) -> None:
        """Read actions from now on as absolute: position in the world (m), axis times angle (rad), gripper."""
        self._robot.controller.use_delta = False

    def warning(self) -> str:
        """What MuJoCo warned of since the reset, empty for nothing. It resets an unstable state in silence."""
        if not self._warnings.any():
            return ""
        kinds = [mujoco.mjtWarning(index).name for index in np.flatnonzero(self._warnings)]
        return f"MuJoCo warned: {', '.join(kinds)}"

    def close(self) -> None:
        """Free the scene; safe to call twice."""
        self._env.close()

    # What it looks like from outside.

    def proprioception(self) -> Mapping[str, NDArray[np.float64]]:
        """What the last observation says of the robot, from the moment at which it was sampled.

        Returns:
            `eef_pos` `[3]`, metres; `eef_quat` `[4]`, x y z w, of the hand; `gripper_qpos` `[2]`, metres; `joint_pos`
            `[7]`, radians; and what the controller saw last, at the beginning of the step's last physics step:
            `controller_pos` `[3]`, metres, and `controller_mat` `[9]`, rows of the rotation matrix, of the grasping
            point, which absolute poses are targets for. It is turned against the hand.
        """
        robot, sample = self._robot, self.sample
        hand = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_BODY, robot.robot_model.eef_name)
        return {
            "eef_pos": sample["site_xpos"][robot.eef_site_id].copy(),
            "eef_quat": sample["xquat"][hand][[1, 2, 3, 0]],
            "gripper_qpos": sample["qpos"][robot._ref_gripper_joint_pos_indexes],
            "joint_pos": sample["qpos"][robot._ref_joint_pos_indexes],
            "controller_pos": np.array(robot.controller.ee_pos),
            "controller_mat": np.array(robot.controller.ee_ori_mat).ravel(),
        }

    def digest(self) -> str:
        """BLAKE2b-128 over all that decides the future: physics, fixtures, controller, gripper, sampling clock."""
        mujoco.mj_getState(self.model, self.data, self._integration_state, mujoco.mjtState.mjSTATE_INTEGRATION)
        controller = self._robot.controller
        digest = hashlib.blake2b(self._scene_digest, digest_size=16)
        digest.update(self._integration_state.tobytes())
        for array in (controller.goal_pos, controller.goal_ori, controller.initial_joint):
            digest.update(np.ascontiguousarray(array, np.float64).tobytes())
        digest.update(np.asarray(self._robot.gripper.current_action, np.float64).tobytes())
        digest.update(repr((controller.use_delta, self._clock.state)).encode())
        return digest.hexdigest()

    def _digest_of_scene(self) -> bytes:
        digest = hashlib.blake2b(self.scene.bddl.name.encode(), digest_size=16)
        for array, _ in self._compiled:
            digest.update(array.tobytes())
        return digest.digest()


_NO_HORIZON = 1 << 30  # the limits are the protocols'


def _key(robot_qpos: NDArray[np.float64], model: Any = None) -> bytes:
    """What decides a new scene's first forward passes: the arm's pose, and the model where an episode changes it."""
    digest = hashlib.blake2b(robot_qpos.tobytes(), digest_size=16)
    for array, _ in _changeable_arrays(model) if model is not None else ():
        digest.update(array.tobytes())
    return digest.digest()


def _with_compiled_arrays(problem: Any) -> Any:
    """A problem class that keeps the model's arrays as compiled: the construction itself moves fixtures right after."""

    def initialize_sim(self: Any, xml_string: str | None = None) -> None:
        problem._initialize_sim(self, xml_string)
        self.compiled_arrays = _changeable_arrays(self.sim.model._model)

    # Upstream compares the name of the class with that in the problem file.
    return type(problem.__name__, (problem,), {"_initialize_sim": initialize_sim})


def _changeable_arrays(model: Any) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Every array of the model that is not a mesh or a texture, with a copy of its compiled content."""
    names = [name for name in dir(model) if not name.startswith(("_", *_NEVER_CHANGED))]
    arrays = [value for name in names if isinstance(value := getattr(model, name), np.ndarray)]
    return [(array, array.copy()) for array in arrays if array.flags.writeable]


def _visible_sites(env: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Which sites of an object are shown (the glow of a burner): upstream's dictionaries, with copies."""
    objects = [*env.objects_dict.values(), *env.fixtures_dict.values()]
    tables = [object_.object_properties["vis_site_names"] for object_ in objects]
    return [(table, dict(table)) for table in tables]
