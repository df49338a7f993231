"""The desk: four joints that the robot can move, and the two lights that button and switch command.

The joints' order in `scene_obs` is slide, drawer, button, switch; then bulb, LED.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from vla_bench.envs.calvin.bullet import bullet
from vla_bench.envs.calvin.scenes import Scene

__all__ = ["SCALE", "Table"]

SCALE: Final = 0.8
"""Of the desk and the blocks."""

_MOTOR_FORCE: Final = 4.0
_JOINTS: Final = ("base__slide", "base__drawer", "base__button", "base__switch")
_OFF: Final = (1.0, 1.0, 1.0, 1.0)
_YELLOW: Final = (1.0, 1.0, 0.0, 1.0)
_GREEN: Final = (0.0, 1.0, 0.0, 1.0)


class Table:
    """The desk of one loaded world.

    Attributes:
        body: PyBullet's id.
        links: link name → index; `base_link` is -1.
        lightbulb, led: whether they shine.
    """

    def __init__(self, client: int, assets: Path, scene: Scene) -> None:
        """Load the desk; the joints are free of motors but for a little friction, and a spring under the button."""
        self._client = client
        upright = bullet.getQuaternionFromEuler((0.0, 0.0, 0.0))
        self.body: int = bullet.loadURDF(
            str(assets / scene.table_urdf), (0.0, 0.0, 0.0), upright, globalScaling=SCALE, physicsClientId=client
        )
        joints = [
            bullet.getJointInfo(self.body, index, physicsClientId=client)
            for index in range(bullet.getNumJoints(self.body, physicsClientId=client))
        ]
        self.links = {"base_link": -1} | {info[12].decode(): info[0] for info in joints}
        by_name = {info[1].decode(): info for info in joints}
        self._indices = tuple(by_name[name][0] for name in _JOINTS)
        self._button_middle = _middle(by_name["base__button"])
        self._switch_middle = _middle(by_name["base__switch"])
        self._add_motors()
        self.lightbulb = self.led = False
        self._was_pressed = self.joints()[2] > self._button_middle
        self._button_is_on = self._switch_is_on = False

    def _add_motors(self) -> None:
        slide, drawer, button, switch = self._indices
        for joint in (slide, drawer):
            self._free(joint)
        bullet.setJointMotorControl2(
            self.body, button, bullet.POSITION_CONTROL, targetPosition=0, force=_MOTOR_FORCE,
            physicsClientId=self._client,
        )  # fmt: skip
        self._free(switch)

    def _free(self, joint: int) -> None:
        bullet.setJointMotorControl2(
            self.body, joint, bullet.VELOCITY_CONTROL, force=_MOTOR_FORCE, physicsClientId=self._client
        )

    def reset(self, joints: tuple[float, ...], lightbulb: bool, led: bool, *, button_remembers: bool) -> None:
        """Put the four joints somewhere, at rest, and the lights on or off.

        Args:
            joints: slide, drawer, button, switch, metres.
            lightbulb: whether the bulb shines.
            led: whether the LED shines.
            button_remembers: whether the button knows that the LED shines. Where it does not (upstream's commit
                1431a46), the first press of a button whose LED shines changes nothing.
        """
        for joint, value in zip(self._indices, joints, strict=True):
            bullet.resetJointState(self.body, joint, value, physicsClientId=self._client)
        self._switch_light("light_link", lightbulb, _YELLOW)
        self._switch_light("led_link", led, _GREEN)
        self.lightbulb, self.led = lightbulb, led
        self._button_is_on = led and button_remembers
        self._switch_is_on = False

    def step(self) -> None:
        """Let button and switch act, once per control step: the button on each press, the switch when it changes."""
        _, _, button, switch = self.joints()
        is_pressed = button > self._button_middle
        if is_pressed and not self._was_pressed:
            self._button_is_on = not self._button_is_on
            self._set_led(self._button_is_on)
        self._was_pressed = is_pressed
        is_up = switch > self._switch_middle
        if is_up != self._switch_is_on:
            self._switch_is_on = is_up
            self._set_lightbulb(is_up)

    def _set_led(self, is_on: bool) -> None:
        self.led = is_on
        self._switch_light("led_link", is_on, _GREEN)

    def _set_lightbulb(self, is_on: bool) -> None:
        self.lightbulb = is_on
        self._switch_light("light_link", is_on, _YELLOW)

    def _switch_light(self, link: str, is_on: bool, colour: tuple[float, ...]) -> None:
        bullet.changeVisualShape(
            self.body, self.links[link], rgbaColor=colour if is_on else _OFF, physicsClientId=self._client
        )

    def joints(self) -> tuple[float, ...]:
        """Slide, drawer, button, switch, metres."""
        states = bullet.getJointStates(self.body, self._indices, physicsClientId=self._client)
        return tuple(state[0] for state in states)

    def joint(self, name: str) -> float:
        """One of `slide`, `drawer`, `button`, `switch`, metres."""
        index = self._indices[_JOINTS.index(f"base__{name}")]
        position: float = bullet.getJointState(self.body, index, physicsClientId=self._client)[0]
        return position

    def memory(self) -> tuple[bool, ...]:
        """What button and switch remember: part of what decides the future."""
        return (self.lightbulb, self.led, self._was_pressed, self._button_is_on, self._switch_is_on)


def _middle(info: Any) -> float:
    """The middle of a joint's range."""
    return (info[8] + info[9]) / 2
