"""The smallest suite that has everything that a rule looks at, and a policy for it."""

from __future__ import annotations

from typing import Any

from vla_bench.spec.conventions import ActionConvention, Frame, Gripper, Reference, Rotation
from vla_bench.spec.messages import CameraRequest, PolicyInfo
from vla_bench.spec.suite import ActionBounds, Camera, Protocol, Suite, Task

ACTION = ActionConvention(
    rotation=Rotation.AXIS_ANGLE, frame=Frame.BASE, reference=Reference.DELTA, gripper=Gripper.PLUS_CLOSES
)
PROTOCOL = Protocol(name="standard", version=1, n_trials=3, base_seed=100, action_bounds=ActionBounds.CLIP)
TASKS = (
    Task(id="open-drawer", instruction="open the drawer", horizon=50, params={"friction": 0.5}),
    Task(id="close-drawer", instruction="close the drawer", horizon=60),
    Task(id="stack", instruction="grasp it", horizon=90, stages=("grasp it", "stack it")),
)


def small_suite(**changes: Any) -> Suite:
    fields: dict[str, Any] = {
        "name": "small",
        "family": "small",
        "title": "a suite for tests",
        "protocol": PROTOCOL,
        "tasks": TASKS,
        "cameras": (Camera(name="front", height=48, width=64), Camera(name="wrist", height=32, width=32)),
        "state": {"hand": 3, "gripper": 1},
        "action": ACTION,
    }
    return Suite(**{**fields, **changes})


def small_policy(**changes: Any) -> PolicyInfo:
    fields: dict[str, Any] = {
        "name": "lamp",
        "action": ACTION,
        "cameras": (CameraRequest(name="front"),),
        "state": {"hand": 3},
        "chunk_length": 4,
    }
    return PolicyInfo(**{**fields, **changes})
