"""One Meta-World task: the only module that touches metaworld's private names, which is why its version is checked."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import metaworld.env_dict
import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.metaworld.family import VERSIONS
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["Simulator", "check_versions"]

_INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION  # time, qpos, qvel, act, ctrl, forces, mocap, warm start, …
_MOVED_BY_TASKS = ("body_pos", "body_quat", "geom_pos", "geom_quat", "site_pos", "site_quat")


def check_versions() -> None:
    """Refuse any other simulator than the one that the protocols mean.

    Raises:
        SuiteNotInstalled: the message has the line that installs the right versions.
    """
    wrong = {name: found for name, wanted in VERSIONS.items() if (found := version(name)) != wanted}
    if wrong:
        found = ", ".join(f"{name} {number}" for name, number in wrong.items())
        pins = " ".join(f"{name}=={number}" for name, number in VERSIONS.items())
        raise SuiteNotInstalled(f"metaworld suites need {pins}, found {found}. Type: pip install {pins}")


class Simulator:
    """A metaworld env under the episode rule of the protocols: seed, one reset, goal visible in the observation.

    metaworld itself reports the same states whatever ran before (measured over all 50 tasks); `begin` puts back every
    position in the model and every plain attribute besides, so that it is so by construction.
    """

    def __init__(self, task: str) -> None:
        """Compile the task's model, 0.1–0.3 s.

        Args:
            task: `reach-v3`.
        """
        # MuJoCo would write its warnings to a file in the working directory; the counters are read instead.
        mujoco.set_mju_user_warning(lambda message: None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = metaworld.env_dict.ALL_V3_ENVIRONMENTS[task]()
        env._set_task_called = True
        env._freeze_rand_vec = False
        env.seeded_rand_vec = True
        # The goal is always in the observation, oracle or not: states and outcomes cannot depend on who watches.
        env._partially_observable = False
        del env.sawyer_observation_space  # cached with the goal hidden
        self._env: Any = env
        self.model, self.data = env.model, env.data
        self._warnings: NDArray[np.int32] = env.data.warning.number  # a live view
        self._integration_state = np.empty(mujoco.mj_stateSize(self.model, _INTEGRATION))
        self._attributes = _values(env)
        self._contents = {name: value.copy() for name, value in self._attributes.items() if _is_owned_array(value)}
        self._positions = {name: getattr(self.model, name).copy() for name in _MOVED_BY_TASKS}
        self._scene_digest = b""
        self.observation: NDArray[np.float64] = np.zeros(39)

    def begin(self, seed: int) -> Mapping[str, Any]:
        """Build the initial state of `seed`: the same bits whatever ran before, in any process.

        Returns:
            `rand_vec`: the numbers that metaworld drew for the placement of objects and goal.
        """
        self._restore()
        self._env.seed(seed)
        self._env.reset()
        self._take_stock()
        return {"rand_vec": self._env._last_rand_vec.tolist()}

    def _take_stock(self) -> None:
        """Bring positions, observation and digest up to date with an initial state."""
        env = self._env
        # metaworld moves bodies and markers after its last forward pass. Positions alone are recomputed: a full forward
        # pass would change the solver's warm start, and with it the last bits of the states that follow.
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        env._prev_obs = env._get_curr_obs_combined_no_goal()
        self.observation = env._get_obs()
        self._scene_digest = self._digest_of_scene()

    def step(self, action: NDArray[np.float32]) -> tuple[bool, float]:
        """Apply one action float32 `[4]`, clipped to ±1; return whether the task's rule is met now, and the reward."""
        # metaworld clips the position itself, but not the gripper's number.
        self.observation, reward, _, _, info = self._env.step(np.clip(action, -1.0, 1.0))
        return bool(info["success"]), float(reward)

    def warning(self) -> str:
        """What MuJoCo warned of since the reset, empty for nothing. It resets an unstable state in silence."""
        if not self._warnings.any():
            return ""
        kinds = [mujoco.mjtWarning(index).name for index in np.flatnonzero(self._warnings)]
        return f"MuJoCo warned: {', '.join(kinds)}"

    def digest(self) -> str:
        """BLAKE2b-128 over all that decides the future: physics, moved parts of the model, metaworld's variables."""
        mujoco.mj_getState(self.model, self.data, self._integration_state, _INTEGRATION)
        env = self._env
        digest = hashlib.blake2b(self._scene_digest, digest_size=16)
        digest.update(self._integration_state.tobytes())
        digest.update(self.model.body_pos)
        digest.update(self.model.site_pos)
        digest.update(env._prev_obs)
        digest.update(np.asarray(env._target_pos, np.float64).tobytes())
        digest.update(env.curr_path_length.to_bytes(4, "little"))
        return digest.hexdigest()

    def _digest_of_scene(self) -> bytes:
        """What an episode does not change: the parts of the model that tasks move, metaworld's values after reset."""
        digest = hashlib.blake2b(self._env.task_name.encode(), digest_size=16)
        for name in _MOVED_BY_TASKS:
            digest.update(getattr(self.model, name).tobytes())
        for name, value in sorted(_values(self._env).items()):
            if isinstance(value, str):
                continue  # names, and where the model's file lies: that differs from machine to machine
            plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
            digest.update(f"{name}={plain!r};".encode())
        return digest.digest()

    def _restore(self) -> None:
        for name, positions in self._positions.items():
            getattr(self.model, name)[:] = positions
        mujoco.mj_resetData(self.model, self.data)
        attributes = vars(self._env)
        for name in _values(self._env).keys() - self._attributes.keys():
            del attributes[name]
        for name, value in self._attributes.items():
            if name in self._contents:
                value[...] = self._contents[name]
            attributes[name] = value


def _is_owned_array(value: Any) -> bool:
    """Whether an array holds its own numbers; the others are live views of MuJoCo's."""
    return isinstance(value, np.ndarray) and value.flags.owndata


def _values(env: Any) -> dict[str, Any]:
    """The attributes of a metaworld env that are plain values or arrays."""
    plain = (bool, int, float, str, np.generic, np.ndarray, type(None))
    return {name: value for name, value in vars(env).items() if isinstance(value, plain)}
