"""Runs `plus_beside.py` under the suite's own interpreter, and compares what two runs of it saw."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from vla_bench.envs.runtime.home import ASSETS_VARIABLE, assets_folder

PROGRAM = Path(__file__).with_name("plus_beside.py")


def play(interpreter: Path, **job: Any) -> list[dict[str, Any]]:
    """The records of a job (see that file). Software rendering on one thread, so that pictures can be compared."""
    fixed = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "LP_NUM_THREADS": "1"}
    osmesa = {"MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "osmesa"}
    done = subprocess.run(
        [interpreter, "-P", PROGRAM, json.dumps(job)],
        # Programs outside of this interpreter are told where assets are, as workers are.
        env={**os.environ, **fixed, **osmesa, ASSETS_VARIABLE: str(assets_folder())},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    records = [json.loads(line.partition("RECORD")[2]) for line in done.stdout.splitlines() if "RECORD" in line]
    if done.returncode != 0 or not records:
        raise AssertionError(f"{job} ended with {done.returncode}: {done.stderr[-2000:]}")
    return records


def difference(ours: dict[str, Any], upstreams: dict[str, Any]) -> str:
    """The first thing that differs; empty where nothing does."""
    for name in ("cam_pos", "cam_quat", "cam_pos0", "cam_mat0"):
        if ours["camera"][name] != upstreams["camera"][name]:
            return f"{ours['task']}: {name} differs"
    # Not in the last bit: the compiler takes the centre of mass from a sum that nobody keeps. Nothing reads this field.
    pairs = zip(ours["camera"]["cam_poscom0"], upstreams["camera"]["cam_poscom0"], strict=True)
    if any(abs(one - other) > 1e-14 for one, other in pairs):
        return f"{ours['task']}: cam_poscom0 differs"
    if ours["layout"] != upstreams["layout"]:
        return f"{ours['task']}: bodies or sites stand elsewhere"
    for what in ("states", "pictures"):
        both = ours[what].keys() & upstreams[what].keys()
        if upstreams[what] and not both:
            return f"{ours['task']}: no {what} to compare"
        for step in sorted(both, key=int):
            if ours[what][step] != upstreams[what][step]:
                return f"{ours['task']}: {what} differ at step {step}"
    return ""
