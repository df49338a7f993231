"""`CalvinEnv`: CALVIN's chains behind `SuiteEnv`. An episode is a chain, its stages are the subtasks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvOptions, StepOutcome, SuiteEnv
from vla_bench.envs.calvin.arm import CLOSED, OPEN
from vla_bench.envs.calvin.assets import checked_assets
from vla_bench.envs.calvin.cameras import Cameras, Picture
from vla_bench.envs.calvin.oracle import TASKS, Rule, begin_rule
from vla_bench.envs.calvin.scenes import COLOURS, SCENES, scene
from vla_bench.envs.calvin.starts import ROBOT_START, scene_start
from vla_bench.envs.calvin.world import World
from vla_bench.spec.episode import Episode
from vla_bench.spec.suite import Suite

__all__ = ["CalvinEnv"]


class CalvinEnv(SuiteEnv):
    """One PyBullet client; every chain starts from an empty world, loaded anew."""

    def __init__(self, suite: Suite, options: EnvOptions = EnvOptions(), *, task: str = "") -> None:
        """See `SuiteEnv`.

        Raises:
            SuiteNotInstalled: assets are missing or altered.
        """
        super().__init__(suite, options, task=task)
        rules = self._rules = suite.protocol.parameters
        self._subtask_steps: int = rules["subtask_steps"]
        self._is_absolute: bool = rules["actions"] == "absolute"
        where = scene(rules["scene"])
        is_tiny = rules["renderer"] == "tiny"
        self._world = World(
            where,
            checked_assets(),
            button_remembers=rules["button_reset"] == "head",
            egl=bool(options.cameras) and not is_tiny,
        )
        self._rule: Rule | None = None
        self._subtasks: tuple[str, ...] = ()
        self._stage_start = 0
        self._cameras = Cameras(self._world, shortcuts=is_tiny)
        self._pictures_now: dict[str, Picture] = {}

    def _start(self, episode: Episode) -> Mapping[str, Any]:
        self._subtasks = tuple(episode.params["subtasks"])
        self._pictures_now = {}
        start = scene_start(episode.initial_state, self._world.scene)
        self._world.load()
        if before := episode.params.get("before"):
            self._world.place(np.array(ROBOT_START), scene_start(before, self._world.scene))
            self._hold(self._rules["held_steps"], CLOSED)
        self._world.place(np.array(ROBOT_START), start)
        self._hold(self.suite.protocol.settling_steps, CLOSED if episode.initial_state["grasped"] else OPEN)
        self._cameras.begin()
        self._begin_stage(0)
        return {"scene_obs": start.tolist()}

    def _hold(self, n_steps: int, gripper: int) -> None:
        for _ in range(n_steps):
            self._world.step(np.zeros(6, np.float32), gripper)

    def _begin_stage(self, stage: int) -> None:
        self._stage_start = self.n_steps if stage == 0 else self.n_steps + 1
        self._rule = begin_rule(self._subtasks[stage], self._world)

    def _step(self, action: NDArray[np.float32]) -> StepOutcome:
        assert self._rule is not None, "reset() comes first"
        self._pictures_now = {}
        # Nothing but the sign of the gripper's number counts; the trace keeps the number itself.
        gripper = OPEN if action[6] > 0 else CLOSED
        if self._is_absolute:
            self._world.step_absolute(action[:6], gripper)
        else:
            self._world.step(action[:6], gripper)
        stage = self.stage
        if self._rule():
            stage += 1
            if stage == len(self._subtasks):
                return StepOutcome(success=True, stage=stage)
            self._begin_stage(stage)
        is_late = self.n_steps + 1 - self._stage_start >= self._subtask_steps
        return StepOutcome(success=False, stage=stage, terminated=is_late)

    def _state(self) -> Mapping[str, NDArray[np.float32]]:
        return {"robot_obs": self._world.robot_obs().astype(np.float32)}

    def _render(self, camera: str) -> NDArray[np.uint8]:
        return self._picture(camera).rgb

    def _depth(self, camera: str) -> NDArray[np.float32]:
        return self._picture(camera).depth

    def _picture(self, camera: str) -> Picture:
        if camera not in self._pictures_now:
            source = next(known.source for known in self.suite.cameras if known.name == camera)
            self._pictures_now[camera] = self._cameras.take(source)
        return self._pictures_now[camera]

    def state_digest(self) -> str:
        """See `World.digest`; with the place in the chain."""
        return self._world.digest(f"{self.stage} {self.n_steps - self._stage_start} {self._subtasks}")

    def privileged(self) -> Mapping[str, NDArray[np.float64]]:
        """All that a scripted expert may want, float64 `[n]`, world frame, metres and radians.

        `tcp_position`, `tcp_euler`, `joints`, `gripper_width`, `gripper_action` (1 open); `target_position` and
        `target_euler`, which relative actions add to; `red_block`, `blue_block`, `pink_block` (position and quaternion
        xyzw), `block_lengths` (red, blue, pink, along the block's x axis), `touched` (whether the robot touches red,
        blue, pink); `slide`, `drawer`, `button`, `switch` (metres), `lightbulb`, `led` (1 shines); `scene` (0 for A),
        `subtask` (its number among the 34), `subtask_step` (control steps since it began).
        """
        world, robot = self._world, self._world.robot_obs()
        touched = {body for body, _ in world.contacts(world.arm.body)}
        lengths = {block.colour: block.length_m for block in world.scene.blocks}
        subtask = self._subtasks[min(self.stage, len(self._subtasks) - 1)]
        truth = {
            "tcp_position": robot[:3],
            "tcp_euler": robot[3:6],
            "gripper_width": robot[6:7],
            "joints": robot[7:14],
            "gripper_action": robot[14:],
            "target_position": world.arm.target_position,
            "target_euler": world.arm.target_euler,
            **{f"{colour}_block": [part for pose in world.block_pose(colour) for part in pose] for colour in COLOURS},
            "block_lengths": [lengths[colour] for colour in COLOURS],
            "touched": [world.blocks[colour] in touched for colour in COLOURS],
            **{name: [value] for name, value in zip(_JOINTS, world.table.joints(), strict=True)},
            "lightbulb": [world.table.lightbulb],
            "led": [world.table.led],
            "scene": [SCENES.index(world.scene.name)],
            "subtask": [TASKS.index(subtask)],
            "subtask_step": [self.n_steps - self._stage_start],
        }
        return {key: np.array(value, np.float64) for key, value in truth.items()}

    def packages(self) -> Mapping[str, str]:
        """Versions that a result may depend on."""
        return {name: version(name) for name in ("pybullet", "numpy")}

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._world.close()
        super().close()


_JOINTS = ("slide", "drawer", "button", "switch")
