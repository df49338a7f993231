"""`MetaWorldEnv`: metaworld's tasks behind `SuiteEnv`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvOptions, StepOutcome, SuiteEnv
from vla_bench.envs.metaworld.pictures import Painter
from vla_bench.envs.metaworld.simulator import Simulator, check_versions
from vla_bench.spec.conventions import Orientation
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import EnvUnstable
from vla_bench.spec.suite import Suite

__all__ = ["MetaWorldEnv"]

_MAX_SIMULATORS = 12
"""Compiled tasks kept, about 40 MB each: all of MT10, whose plans go round the tasks."""


class MetaWorldEnv(SuiteEnv):
    """All tasks of a Meta-World suite, compiled when first used; one renderer at a time."""

    def __init__(self, suite: Suite, options: EnvOptions = EnvOptions(), *, task: str = "") -> None:
        """See `SuiteEnv`.

        Raises:
            SuiteNotInstalled: another version of metaworld or MuJoCo is installed.
        """
        check_versions()
        super().__init__(suite, options, task=task)
        self._simulators: OrderedDict[str, Simulator] = OrderedDict()
        self._simulator: Simulator | None = None
        self._painter: Painter | None = None

    def _start(self, episode: Episode) -> Mapping[str, Any]:
        simulator = self._take(self._base_task(episode))
        facts = self._begin(simulator, episode)
        if warning := simulator.warning():
            raise EnvUnstable(f"at reset: {warning}")
        return facts

    # What a suite of variants of these tasks changes.

    def _base_task(self, episode: Episode) -> str:
        """The name that metaworld knows an episode's task by."""
        return episode.task

    def _new_simulator(self, task: str) -> Simulator:
        return Simulator(task)

    def _begin(self, simulator: Simulator, episode: Episode) -> Mapping[str, Any]:
        """Build an episode's initial state; return facts about it."""
        return simulator.begin(episode.env_seed)

    def _take(self, task: str) -> Simulator:
        """Make `task` the present simulator."""
        simulator = self._simulators.pop(task, None) or self._new_simulator(task)
        self._simulators[task] = simulator
        if len(self._simulators) > _MAX_SIMULATORS:
            self._simulators.popitem(last=False)
        if simulator is not self._simulator:
            self._drop_painter()
        self._simulator = simulator
        return simulator

    def _step(self, action: NDArray[np.float32]) -> StepOutcome:
        simulator = self._present
        success, reward = simulator.step(action)
        return StepOutcome(success=success, stage=int(success), reward=reward, warning=simulator.warning())

    def _state(self) -> Mapping[str, NDArray[np.float32]]:
        # Hand position in the world, metres, and the opening of the fingers (1 is open), as LeRobot's `agent_pos`.
        return {"agent_pos": self._present.observation[:4].astype(np.float32)}

    def _render(self, camera: str) -> NDArray[np.uint8]:
        picture = self._paint().picture(self._present.data, self._source(camera))
        return np.ascontiguousarray(self._upright(camera, picture))

    def _depth(self, camera: str) -> NDArray[np.float32]:
        depth = self._paint().depth(self._present.data, self._source(camera))
        return np.ascontiguousarray(self._upright(camera, depth))

    def _paint(self) -> Painter:
        if self._painter is None:
            size, quality = self.suite.cameras[0], self.suite.protocol.parameters
            self._painter = Painter(
                self._present.model,
                height=size.height,
                width=size.width,
                shadows=quality["shadows"],
                multisampling=quality["multisampling"],
            )
        return self._painter

    def _source(self, camera: str) -> str:
        return next(known.source for known in self.suite.cameras if known.name == camera)

    def _upright(self, camera: str, array: NDArray[Any]) -> NDArray[Any]:
        convention = next(known.convention for known in self.suite.cameras if known.name == camera)
        return array[::-1, ::-1] if convention.orientation is Orientation.ROTATED_180 else array

    @property
    def _present(self) -> Simulator:
        assert self._simulator is not None, "reset() comes first"
        return self._simulator

    def state_digest(self) -> str:
        """See `Simulator.digest`."""
        return self._present.digest()

    def privileged(self) -> Mapping[str, NDArray[np.float64]]:
        """`observation`: metaworld's own 39 numbers float64 (hand, objects, the same one step before, goal)."""
        return {"observation": self._present.observation}

    def packages(self) -> Mapping[str, str]:
        """Versions that a result may depend on."""
        return {name: version(name) for name in ("metaworld", "mujoco", "gymnasium", "numpy", "scipy")}

    def close(self) -> None:
        """Free the renderer and the simulators; safe to call twice."""
        self._drop_painter()
        self._simulators.clear()
        self._simulator = None
        super().close()

    def _drop_painter(self) -> None:
        if self._painter is not None:
            self._painter.close()
            self._painter = None
