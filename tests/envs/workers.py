"""Helpers: episodes with faults, and a look at what is left of a worker's group."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psutil

from vla_bench.envs import EnvOptions, WorkerLimits, find_suite
from vla_bench.envs.runtime.supervisor import WorkerEnv
from vla_bench.spec.episode import Episode, make_plan

SUITE = find_suite("toy_reach_faults")
EPISODES = make_plan(SUITE).episodes
STILL = np.zeros((4, 4), np.float32)
LIMITS = WorkerLimits(start_s=30, reset_s=20, call_s=20, close_s=2)


CAMERAS = EnvOptions(cameras=("front", "wrist"))

Start = Callable[..., WorkerEnv]
"""The fixture `start`: options of the env, and limits by name, where they are not `LIMITS`."""


def run(env: WorkerEnv, episode: Episode, n_chunks: int = 10) -> None:
    env.reset(episode)
    for _ in range(n_chunks):
        env.advance(STILL)


def faulty(kind: str, step: int = 1, **fault: Any) -> Episode:
    """The first episode of the plan with a fault ordered in it."""
    episode = EPISODES[0]
    return replace(episode, params={**episode.params, "fault": {"kind": kind, "step": step, **fault}})


def group_members(group: int) -> list[int]:
    """Living processes of a process group."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return members


def is_gone(group: int, within_s: float = 10.0) -> bool:
    """Whether nothing of a process group is left, or soon nothing is."""
    deadline = time.monotonic() + within_s
    while group_members(group):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
