"""Runs `libero_stock.py` under the suite's own interpreter."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("libero_stock.py")


def play(interpreter: Path, **job: Any) -> list[dict[str, Any]]:
    """The records of a job (see that file), one per episode.

    Software rendering on one thread: what the pictures of one machine are compared with is drawn on the same.
    """
    fixed = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "LP_NUM_THREADS": "1"}
    osmesa = {"MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "osmesa"}
    done = subprocess.run(
        [interpreter, "-P", PROGRAM, json.dumps(job)],
        env={**os.environ, **fixed, **osmesa},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    records = [json.loads(line.removeprefix("RECORD")) for line in done.stdout.splitlines() if "RECORD" in line]
    if done.returncode != 0 or not records:
        raise AssertionError(f"{job} ended with {done.returncode}: {done.stderr[-2000:]}")
    return records


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """The first thing that differs at a step that both have looked at; empty where nothing does."""
    for what in ("states", "proprio", "pictures"):
        for step in ours[what].keys() & theirs[what].keys():
            if ours[what][step] != theirs[what][step]:
                return f"trial {ours['trial']}: {what} differ at step {step}"
    return "" if ours["success"] == theirs["success"] else f"trial {ours['trial']}: the outcomes differ"
