"""The library of perturbations on a scene that it was not made for: LIBERO's, under MuJoCo 2.3.7."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("libero")]

CHANGES = {
    "camera": {"cam_pos", "cam_quat"},
    "robot": set(),
    "light": {
        "light_pos",
        "light_dir",
        "light_diffuse",
        "light_specular",
        "head_ambient",
        "head_diffuse",
        "head_specular",
    },
    "background": {"tex_rgb"},
    "layout": set(),
}
"""Arrays of the model that a dimension may change; joints are part of the state."""


@pytest.fixture
def found(libero: Path) -> dict[str, Any]:
    command = [libero, "-P", Path(__file__).with_name("perturb_libero.py")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: dict[str, Any] = json.loads(done.stdout.partition("FOUND")[2])
    return answers


def test_five_dimensions_change_what_they_should_in_a_scene_of_libero_and_leave_no_trace(found: dict[str, Any]) -> None:
    assert found["left"] == []
    dimensions = found["dimensions"]
    assert dimensions.keys() == CHANGES.keys()
    for dimension, seen in dimensions.items():
        assert seen["first"] == seen["again"], dimension
        assert (seen["first"]["model"] != seen["other"]["model"]) == bool(CHANGES[dimension]), dimension
        assert set(seen["first"]["fields"]) <= CHANGES[dimension], dimension
        assert bool(seen["first"]["fields"]) == bool(CHANGES[dimension]), dimension
        assert bool(seen["first"]["joints"]) == (dimension in ("robot", "layout")), dimension
        assert seen["other"]["deepest_m"] > -0.005, dimension
    robot, layout = dimensions["robot"], dimensions["layout"]
    assert robot["first"]["joints"] == list(range(7))
    assert np.linalg.norm(robot["other"]["facts"]["joints_rad"]) == pytest.approx(0.5)
    assert [np.linalg.norm(move) for move in layout["first"]["facts"]["offset_m"].values()] == pytest.approx([0.06] * 2)
