"""`EvalSettings`: everything on the policy's side that changes a score, and its `eval_hash`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from vla_bench.spec.canonical import sha256_hex, to_plain
from vla_bench.spec.errors import UsageError

__all__ = ["EvalSettings", "RepeatedPolicyErrors", "Resize"]


class RepeatedPolicyErrors(enum.StrEnum):
    """What a policy fault that repeats with the same seeds counts as."""

    LOST = "lost"
    FAILURE = "failure"


class Resize(enum.StrEnum):
    """How a picture comes to the size that a policy asks for."""

    REFUSE = "refuse"
    """the sizes must be equal"""
    STRETCH = "stretch"
    """bilinear, the aspect ratio is not kept"""
    PAD = "pad"
    """bilinear inside the frame, black borders (openpi's `resize_with_pad`)"""


@dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """Everything on the policy's side that changes a score.

    Attributes:
        preset: name of the mapping these values came from, for the record.
        replan_horizon: actions kept of each chunk, at least 1; None keeps the whole chunk.
        resize: how pictures come to the policy's size.
        crop: side of the centred crop before resizing, a fraction in (0, 1]; 1 keeps all.
        jpeg_quality: pictures pass through JPEG of this quality, 1…95 (as in a training set); 0 for never.
        ensembling: weight `m` of temporal ensembling over overlapping chunks, `exp(-m i)` with i = 0 for the oldest
            (Zhao et al. 2023, arXiv 2304.13705); None for none. Wants `replan_horizon` 1.
        sticky_gripper: steps for which a changed gripper command is held, 0 for none (RT-1's filter, as in SimplerEnv).
        control_mode: the suite's controller, empty for its default.
        history: offsets of earlier frames in steps, all negative, as the policy declares them.
        clip_actions: clip to the suite's bounds on the policy's side, where the protocol would refuse or pass on.
        policy_seed: base of the policy seeds of the plan.
        repeated_policy_errors: whether a fault that repeats with the same seeds is a failure.
    """

    preset: str = ""
    replan_horizon: int | None = None
    resize: Resize = Resize.REFUSE
    crop: float = 1.0
    jpeg_quality: int = 0
    ensembling: float | None = None
    sticky_gripper: int = 0
    control_mode: str = ""
    history: tuple[int, ...] = ()
    clip_actions: bool = False
    policy_seed: int = 0
    repeated_policy_errors: RepeatedPolicyErrors = RepeatedPolicyErrors.LOST

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "resize", Resize(self.resize))
            object.__setattr__(self, "repeated_policy_errors", RepeatedPolicyErrors(self.repeated_policy_errors))
        except ValueError as error:
            raise UsageError(f"evaluation settings: {error}") from error
        object.__setattr__(self, "history", tuple(self.history))
        checks = {
            "replan_horizon": self.replan_horizon is None or self.replan_horizon >= 1,
            "crop": 0 < self.crop <= 1,
            "jpeg_quality": 0 <= self.jpeg_quality <= 95,
            "sticky_gripper": self.sticky_gripper >= 0,
            "history": all(offset < 0 for offset in self.history),
            "policy_seed": self.policy_seed >= 0,
        }
        if bad := [f"{name}={getattr(self, name)!r}" for name, is_good in checks.items() if not is_good]:
            raise UsageError(f"evaluation settings out of range: {', '.join(bad)}")
        if self.ensembling is not None and self.replan_horizon != 1:
            raise UsageError("temporal ensembling asks at every step: set replan_horizon to 1")

    @cached_property
    def eval_hash(self) -> str:
        """SHA-256 of the canonical JSON of all fields, 64 hexadecimal digits."""
        return sha256_hex(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the form that is stored."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EvalSettings:
        """Read the stored form or a configuration file.

        Raises:
            UsageError: an unknown key or a value out of range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise UsageError(f"unknown evaluation settings: {', '.join(unknown)}. Known: {', '.join(sorted(known))}")
        return cls(**data)
