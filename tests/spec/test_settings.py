"""Settings that change a score are all in one hash, and nothing else is in it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.spec.errors import UsageError
from vla_bench.spec.settings import EvalSettings, RepeatedPolicyErrors, Resize

CHANGES: dict[str, Any] = {
    "preset": "openpi",
    "replan_horizon": 5,
    "resize": Resize.PAD,
    "crop": 0.9,
    "jpeg_quality": 95,
    "sticky_gripper": 15,
    "control_mode": "joint",
    "history": (-2, -1),
    "clip_actions": True,
    "policy_seed": 1,
    "repeated_policy_errors": RepeatedPolicyErrors.FAILURE,
}

SETTINGS = st.builds(
    EvalSettings,
    preset=st.text(st.characters(exclude_categories=["Cs"])),
    replan_horizon=st.none() | st.integers(1, 100),
    resize=st.sampled_from(Resize),
    crop=st.floats(0, 1, exclude_min=True),
    jpeg_quality=st.integers(0, 95),
    sticky_gripper=st.integers(0, 100),
    control_mode=st.sampled_from(["", "joint"]),
    history=st.lists(st.integers(max_value=-1), max_size=4).map(tuple),
    clip_actions=st.booleans(),
    policy_seed=st.integers(min_value=0),
    repeated_policy_errors=st.sampled_from(RepeatedPolicyErrors),
) | st.builds(EvalSettings, replan_horizon=st.just(1), ensembling=st.floats(allow_nan=False, allow_infinity=False))


def test_the_hash_of_the_defaults_is_this_one() -> None:
    """If it changes, every stored run has other settings than the ones that are asked for."""
    assert EvalSettings().eval_hash == "a7f63e82cae10e41d38408807eb4c29c69efdf0cbca93a3a29711c631d9b1742"


def test_every_field_is_in_the_hash() -> None:
    hashes = [EvalSettings().eval_hash, EvalSettings(replan_horizon=1).eval_hash]
    hashes.append(EvalSettings(replan_horizon=1, ensembling=0.01).eval_hash)
    hashes += [replace(EvalSettings(), **{name: value}).eval_hash for name, value in CHANGES.items()]
    assert len(set(hashes)) == len(hashes)
    assert {field.name for field in fields(EvalSettings)} == {*CHANGES, "ensembling"}


@given(SETTINGS)
def test_settings_survive_json(settings: EvalSettings) -> None:
    back = EvalSettings.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert back == settings
    assert back.eval_hash == settings.eval_hash


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ({"crop": 1}, {"crop": 1.0}),
        ({"crop": np.float64(0.5)}, {"crop": 0.5}),
        ({"jpeg_quality": np.int64(90)}, {"jpeg_quality": 90}),
        ({"history": [-1]}, {"history": (-1,)}),
        ({"resize": "pad"}, {"resize": Resize.PAD}),
        ({"repeated_policy_errors": "failure"}, {"repeated_policy_errors": RepeatedPolicyErrors.FAILURE}),
        ({"replan_horizon": 1, "ensembling": 0}, {"replan_horizon": 1, "ensembling": 0.0}),
    ],
    ids=repr,
)
def test_two_ways_to_write_one_setting_are_one_setting(typed: dict[str, Any], meant: dict[str, Any]) -> None:
    assert EvalSettings(**typed) == EvalSettings(**meant)
    assert EvalSettings(**typed).eval_hash == EvalSettings(**meant).eval_hash


@pytest.mark.parametrize(
    "bad",
    [
        {"replan_horizon": 0},
        {"crop": 0.0},
        {"crop": 1.01},
        {"crop": float("nan")},
        {"jpeg_quality": 96},
        {"jpeg_quality": -1},
        {"replan_horizon": 1, "ensembling": float("nan")},
        {"replan_horizon": 1, "ensembling": float("inf")},
        {"sticky_gripper": -1},
        {"history": (-1, 0)},
        {"policy_seed": -1},
    ],
    ids=repr,
)
def test_a_value_out_of_range_is_named(bad: dict[str, Any]) -> None:
    name = list(bad)[-1]
    with pytest.raises(UsageError, match=f"out of range: {name}="):
        EvalSettings(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"resize": "bigger"},
        {"repeated_policy_errors": "maybe"},
        {"crop": "0.9"},
        {"crop": None},
        {"crop": True},
        {"replan_horizon": 2.0},
        {"replan_horizon": "5"},
        {"jpeg_quality": 90.5},
        {"ensembling": "0.01"},
        {"sticky_gripper": None},
        {"policy_seed": True},
        {"history": -1},
        {"history": "-1"},
        {"history": [-1.5]},
        {"clip_actions": "no"},
        {"clip_actions": 1},
        {"preset": None},
        {"control_mode": 3},
    ],
    ids=repr,
)
def test_a_value_of_another_type_is_named(bad: dict[str, Any]) -> None:
    """A configuration file says `crop: "0.9"`: that is the user's to mend, not a crash of ours."""
    with pytest.raises(UsageError, match=f"evaluation settings: {next(iter(bad))}="):
        EvalSettings.from_dict(bad)


def test_every_value_out_of_range_is_in_one_message() -> None:
    with pytest.raises(UsageError, match=r"crop=2\.0, jpeg_quality=-1, policy_seed=-3"):
        EvalSettings(crop=2.0, jpeg_quality=-1, policy_seed=-3)


@pytest.mark.parametrize("horizon", [None, 2])
def test_ensembling_asks_at_every_step(horizon: int | None) -> None:
    with pytest.raises(UsageError, match="set replan_horizon to 1"):
        EvalSettings(ensembling=0.01, replan_horizon=horizon)


def test_an_unknown_setting_comes_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown evaluation settings: croop, zoom. Known: .*crop, .*history"):
        EvalSettings.from_dict({"zoom": 1, "croop": 0.9})
