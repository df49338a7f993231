"""`EvalSettings`: everything on the policy's side that changes a score, and its `eval_hash`."""

from __future__ import annotations

import enum
import math
import numbers
from collections.abc import Callable
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


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError("a whole number is wanted")
    return int(value)


def _number(value: Any) -> float:
    # 1 and 1.0 are one number, and are to have one hash.
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError("a number is wanted")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is wanted")
    return value


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is wanted")
    return value


def _offsets(value: Any) -> tuple[int, ...]:
    return tuple(_whole(offset) for offset in value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "preset": _text,
    "replan_horizon": lambda value: None if value is None else _whole(value),
    "resize": Resize,
    "crop": _number,
    "jpeg_quality": _whole,
    "ensembling": lambda value: None if value is None else _number(value),
    "sticky_gripper": _whole,
    "control_mode": _text,
    "history": _offsets,
    "clip_actions": _yes_or_no,
    "policy_seed": _whole,
    "repeated_policy_errors": RepeatedPolicyErrors,
}
"""How each field is read from a command or a configuration file: another type is refused, so is text for a number."""


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
        for name, read in _READERS.items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, read(value))
            except (TypeError, ValueError) as error:
                raise UsageError(f"evaluation settings: {name}={value!r}: {error}") from error
        checks = {
            "replan_horizon": self.replan_horizon is None or self.replan_horizon >= 1,
            "crop": 0 < self.crop <= 1,
            "ensembling": self.ensembling is None or math.isfinite(self.ensembling),
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
