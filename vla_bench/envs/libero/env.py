"""`LiberoEnv`: the scenes of a LIBERO suite behind `SuiteEnv`. LIBERO-Plus overrides what is marked so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvOptions, StepOutcome, SuiteEnv
from vla_bench.envs.libero.init_states import read_init_states
from vla_bench.envs.libero.package import check_versions, simulator_package
from vla_bench.envs.libero.pictures import Painter
from vla_bench.envs.libero.rotations import axis_angle_of
from vla_bench.envs.libero.simulator import Scene, Simulator, Start
from vla_bench.envs.libero.speedups import Speedups
from vla_bench.envs.libero.truth import read_truth
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import EnvUnstable
from vla_bench.spec.suite import Suite

__all__ = ["LiberoEnv"]

_MAX_SCENES = 2
"""Compiled scenes kept: each takes about 0.4 GB, and 0.5 GB more once it was drawn. Building one takes 3 s."""

_SETTLING_ACTION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])  # stand still, open the gripper


class LiberoEnv(SuiteEnv):
    """All tasks of a LIBERO suite, each scene compiled when it is first used."""

    def __init__(self, suite: Suite, options: EnvOptions = EnvOptions(), *, task: str = "") -> None:
        """See `SuiteEnv`.

        Raises:
            SuiteNotInstalled: another version of LIBERO, robosuite or MuJoCo is installed.
        """
        check_versions()
        super().__init__(suite, options, task=task)
        self._scenes: OrderedDict[Scene, Simulator] = OrderedDict()
        self._painters: dict[Scene, Painter] = {}
        self._present: Simulator | None = None
        self._speedups = Speedups.chosen()
        self._sources = {camera.name: camera.source for camera in suite.cameras}

    # What LIBERO-Plus overrides.

    def scene(self, episode: Episode) -> Scene:
        """The scene that an episode is played in; equal scenes are compiled once."""
        return Scene(self._file("bddl_files", "bddl"))

    def beginning(self, episode: Episode) -> Start:
        """How an episode begins in its scene."""
        is_published = self.suite.protocol.parameters["fixture_sequence"] == "published"
        n_resets = episode.trial + 1 if is_published else 1
        states = init_states(self._file("init_files", "pruned_init"))
        return Start(
            seed=episode.env_seed,
            n_resets=n_resets,
            n_builds=n_resets,
            init_state=states[episode.initial_state["init_state"]],
        )

    def picture(self, camera: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change what a camera sees (noise), keyed by `self.episode`, `self.n_steps` and `camera`.

        Args:
            camera: its name in the suite.
            image: uint8 `[H, W, 3]`, as robosuite returns it: lowest row first.
        """
        return image

    def _file(self, kind: str, ending: str) -> Path:
        return simulator_package().folder / kind / str(self.task.tags["suite"]) / f"{self.task.id}.{ending}"

    # What every suite writes.

    def _start(self, episode: Episode) -> Mapping[str, Any]:
        simulator = self._take(self.scene(episode))
        simulator.begin(self.beginning(episode))
        is_solved = False
        for _ in range(self.suite.protocol.settling_steps):
            # Published loops do not look at success while they wait: the first step of the policy is the first counted.
            is_solved = simulator.step(_SETTLING_ACTION)
        if warning := simulator.warning():
            raise EnvUnstable(f"at reset: {warning}")
        if self.options.control_mode == "osc_abs":
            simulator.take_absolute_poses()
        return {"solved_after_settling": is_solved}

    def _take(self, scene: Scene) -> Simulator:
        """Make the simulator of `scene` the present one."""
        if scene in self._scenes and not self._speedups.soft_reset:
            self._drop(scene)
        simulator = self._scenes.pop(scene, None)
        if simulator is None:
            while len(self._scenes) >= _MAX_SCENES:
                self._drop(next(iter(self._scenes)))
            simulator = Simulator(scene, self._speedups)
        self._scenes[scene] = simulator
        self._present = simulator
        return simulator

    def _drop(self, scene: Scene) -> None:
        if painter := self._painters.pop(scene, None):
            painter.close()
        self._scenes.pop(scene).close()

    def _step(self, action: NDArray[np.float32]) -> StepOutcome:
        simulator = self.simulator
        success = simulator.step(action.astype(np.float64))
        return StepOutcome(success=success, stage=int(success), reward=float(success), warning=simulator.warning())

    def _state(self) -> Mapping[str, NDArray[np.float32]]:
        values = dict(self.simulator.proprioception())
        values["eef_axis_angle"] = axis_angle_of(values["eef_quat"])
        # The eight numbers that policies of LIBERO are trained on.
        parts = [values[name] for name in ("eef_pos", "eef_axis_angle", "gripper_qpos")]
        values["eef_state"] = np.concatenate(parts)
        return {key: values[key].astype(np.float32) for key in self.suite.state}

    def _render(self, camera: str) -> NDArray[np.uint8]:
        scene = self.simulator.scene
        painter = self._painters.get(scene)
        if painter is None:
            size = self.suite.cameras[0]
            painter = self._painters[scene] = Painter(
                self.simulator.model, height=size.height, width=size.width, culling=self._speedups.culling
            )
        image = self.picture(camera, painter.picture(self.simulator.sample, self._sources[camera]))
        return np.ascontiguousarray(image[::-1, ::-1])

    @property
    def simulator(self) -> Simulator:
        """The present scene; `reset` comes first."""
        assert self._present is not None, "reset() comes first"
        return self._present

    def state_digest(self) -> str:
        """See `Simulator.digest`."""
        return self.simulator.digest()

    def privileged(self) -> Mapping[str, NDArray[np.float64]]:
        """See `read_truth`."""
        return read_truth(self.simulator)

    def packages(self) -> Mapping[str, str]:
        """Versions that a result may depend on."""
        names = ("rlinf-libero", "robosuite", "mujoco", "bddl", "numpy", "scipy", "numba")
        return {name: version(name) for name in names}

    def close(self) -> None:
        """Free renderers and scenes; safe to call twice."""
        for scene in list(self._scenes):
            self._drop(scene)
        self._present = None
        super().close()


@lru_cache(maxsize=16)
def init_states(path: Path) -> NDArray[np.float64]:
    """The initial states of a task: float64 `[n, 1 + nq + nv]`."""
    return read_init_states(path)
