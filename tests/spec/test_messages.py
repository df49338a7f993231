"""What a policy says of itself, and the digest by which it is known again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.spec.small import ACTION, small_policy
from vla_bench.spec.conventions import Gripper, ImageConvention, Orientation
from vla_bench.spec.messages import CameraRequest, PolicyInfo, PolicyKind

CHANGES: dict[str, Any] = {
    "name": "clad",
    "version": "2",
    "weights_digest": "ab" * 32,
    "kind": PolicyKind.ORACLE,
    "action": replace(ACTION, gripper=Gripper.PLUS_OPENS),
    "cameras": (CameraRequest(name="front", convention=ImageConvention(orientation=Orientation.ROTATED_180)),),
    "state": {"hand": 3, "gripper": 1},
    "history": (-1,),
    "wants_depth": True,
    "chunk_length": 8,
    "batch_limit": 2,
    "options": {"temperature": 0.5},
    "checkpoint_scope": "one per suite",
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_is_part_of_a_policys_digest(field: str) -> None:
    assert replace(small_policy(), **{field: CHANGES[field]}).digest != small_policy().digest


def test_all_fields_are_in_the_table_above() -> None:
    assert set(CHANGES) == set(PolicyInfo.__dataclass_fields__)


def test_lists_and_tuples_make_the_same_policy() -> None:
    """An author writes `history=[-1]`; what is compared with it comes from a file or from a wire."""
    listed = small_policy(history=[-2, -1], cameras=[CameraRequest(name="front")], kind="policy")
    assert listed == small_policy(history=(-2, -1))
    assert listed.digest == small_policy(history=(-2, -1)).digest


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"chunk_length": 0}, "at least 1"),
        ({"batch_limit": 0}, "at least 1"),
        ({"history": (0,)}, "negative"),
        ({"history": (-1, 2)}, "negative"),
        ({"kind": "baseline"}, "baseline"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(bad: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        small_policy(**bad)
