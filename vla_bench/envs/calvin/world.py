"""One CALVIN scene in PyBullet: load, start, step, look. The order of construction decides bits; keep it.

Same start, same actions, same bits as calvin_env @ 797142c in a fresh process, because every start loads all anew.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.arm import Arm
from vla_bench.envs.calvin.bullet import bullet, load_egl, quiet
from vla_bench.envs.calvin.scenes import Scene
from vla_bench.envs.calvin.table import SCALE, Table

__all__ = ["Contacts", "World"]

_SUBSTEPS: Final = 8  # 240 Hz of physics, 30 Hz of control
_TIME_STEP_S: Final = 1 / 240
_GRAVITY: Final = -9.8

Contacts = frozenset[tuple[int, int]]
"""(body, link) pairs that something touches."""


class World:
    """A physics client of its own with one scene.

    Attributes:
        scene: what is loaded.
        client: PyBullet's id of the client.
        arm: the robot.
        table: the desk.
        blocks: colour → PyBullet's id, in the scene's order.
        plane: the floor's id.
    """

    def __init__(self, scene: Scene, assets: Path, *, button_remembers: bool = True, egl: bool = False) -> None:
        """Connect; nothing is loaded before `start`.

        Args:
            scene: to load.
            assets: upstream's `data` folder.
            button_remembers: see `Table.reset`.
            egl: render with EGL and not with TinyRenderer.

        Raises:
            NoRenderer: EGL does not load.
        """
        self.scene = scene
        self._assets = assets
        self._button_remembers = button_remembers
        self.client: int = bullet.connect(bullet.DIRECT)
        if egl:
            load_egl(self.client)
        self.arm: Arm
        self.table: Table
        self.blocks: dict[str, int] = {}
        self.plane = -1

    def start(self, robot_obs: NDArray[np.float64], scene_obs: NDArray[np.float64]) -> None:
        """Load everything anew and put it where the two observations say: bits do not depend on what ran before.

        Args:
            robot_obs: float64 `[15]`; the joint angles and the width of the gripper are used.
            scene_obs: float64 `[24]`: slide, drawer, button, switch, bulb, LED, then position and Euler angles of the
                blocks in the scene's order.
        """
        self.load()
        self.place(robot_obs, scene_obs)

    def load(self) -> None:
        """Load arm, blocks, desk and floor into an empty world."""
        bullet.resetSimulation(physicsClientId=self.client)
        bullet.setPhysicsEngineParameter(deterministicOverlappingPairs=1, physicsClientId=self.client)
        bullet.setTimeStep(_TIME_STEP_S, physicsClientId=self.client)
        bullet.resetSimulation(physicsClientId=self.client)
        bullet.setGravity(0, 0, _GRAVITY, physicsClientId=self.client)
        self.arm = Arm(self.client, self._assets)
        self.blocks = {
            block.colour: bullet.loadURDF(
                str(self._assets / block.urdf), block.position, block.quat_xyzw, globalScaling=SCALE,
                physicsClientId=self.client,
            )
            for block in self.scene.blocks
        }  # fmt: skip
        self.table = Table(self.client, self._assets, self.scene)
        self.plane = bullet.loadURDF(str(self._assets / "plane/plane.urdf"), physicsClientId=self.client)

    def place(self, robot_obs: NDArray[np.float64], scene_obs: NDArray[np.float64]) -> None:
        """Upstream's own reset: put everything somewhere, at rest, and take one substep. Contacts stay remembered."""
        values = scene_obs.tolist()
        self.table.reset(
            tuple(values[:4]), lightbulb=values[4] == 1, led=values[5] == 1, button_remembers=self._button_remembers
        )
        for index, body in enumerate(self.blocks.values()):
            pose = values[6 + 6 * index : 12 + 6 * index]
            quaternion = bullet.getQuaternionFromEuler(pose[3:])
            bullet.resetBasePositionAndOrientation(body, pose[:3], quaternion, physicsClientId=self.client)
        self.arm.reset(tuple(robot_obs[7:14].tolist()), float(robot_obs[6]) / 2)
        bullet.stepSimulation(physicsClientId=self.client)

    def step(self, motion: NDArray[np.floating], gripper: int) -> None:
        """Apply one relative action for a thirtieth of a second; see `Arm.apply_relative`."""
        self.arm.apply_relative(motion, gripper)
        self._pass()

    def step_absolute(self, pose: NDArray[np.floating], gripper: int) -> None:
        """Apply one absolute action for a thirtieth of a second; see `Arm.apply_absolute`."""
        self.arm.apply_absolute(pose, gripper)
        self._pass()

    def _pass(self) -> None:
        client = self.client
        for _ in range(_SUBSTEPS):
            bullet.stepSimulation(physicsClientId=client)
        self.table.step()

    def robot_obs(self) -> NDArray[np.float64]:
        """See `Arm.observation`."""
        return self.arm.observation()

    def scene_obs(self) -> NDArray[np.float64]:
        """Upstream's `scene_obs`, float64 `[24]`; see `start`."""
        poses = [self.block_pose(colour) for colour in self.blocks]
        flat = [value for position, quat in poses for value in (*position, *bullet.getEulerFromQuaternion(quat))]
        return np.array([*self.table.joints(), self.table.lightbulb, self.table.led, *flat], np.float64)

    def block_pose(self, colour: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Position (metres) and quaternion xyzw of a block, world frame."""
        pose = bullet.getBasePositionAndOrientation(self.blocks[colour], physicsClientId=self.client)
        return pose[0], pose[1]

    def block_velocity(self, colour: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Linear (metres per second) and angular (radians per second) velocity of a block, world frame."""
        velocity = bullet.getBaseVelocity(self.blocks[colour], physicsClientId=self.client)
        return velocity[0], velocity[1]

    def contacts(self, body: int) -> Contacts:
        """What touches a body, as of the last substep."""
        points = bullet.getContactPoints(bodyA=body, physicsClientId=self.client)
        return frozenset((point[2], point[4]) for point in points)

    def digest(self, label: str = "") -> str:
        """BLAKE2b-128 over `label` and all that decides the future and can be read.

        Positions and velocities of every joint and block, every contact with its forces, what the arm aims at, what
        button and switch remember.
        """
        digest = hashlib.blake2b(f"{self.scene.name} {label}".encode(), digest_size=16)
        for numbers in self._numbers():
            digest.update(np.array(numbers, np.float64).tobytes())
        return digest.hexdigest()

    def _numbers(self) -> list[list[float]]:
        client = self.client
        numbers: list[list[float]] = []
        for body in (self.arm.body, self.table.body):
            joints = range(bullet.getNumJoints(body, physicsClientId=client))
            states = bullet.getJointStates(body, joints, physicsClientId=client)
            numbers += [[state[0], state[1], state[3]] for state in states]
        for colour in self.blocks:
            numbers += [list(part) for part in (*self.block_pose(colour), *self.block_velocity(colour))]
        for point in bullet.getContactPoints(physicsClientId=client) or ():
            places = [value for vector in point[5:8] for value in vector]
            distance, force, friction, other_friction = point[8], point[9], point[10], point[12]
            numbers.append([*point[1:5], *places, distance, force, friction, other_friction])
        numbers.append([*self.arm.target_position, *self.arm.target_euler, self.arm.gripper_action])
        numbers.append([float(memory) for memory in self.table.memory()])
        return numbers

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        if self.client >= 0:
            with quiet():
                bullet.disconnect(physicsClientId=self.client)
            self.client = -1

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
