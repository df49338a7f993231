"""A policy that misbehaves on order, for the tests of every room.

Start it by path, in a child server or behind `vla-bench serve`:

    tests/policies/faulty_policies.py:FaultyPolicy
    options: {fault: nan, step: 10, episodes: "0123456789abcdef", once: /tmp/x/marker, base: expert}

Until its fault strikes it answers as its `base`, a registered policy (`noop`, `random`, `expert`, …).

Options:
    fault: one of `FAULTS`; `none` never strikes.
    step: strike at the first `act` whose identity has this step or a later one (`raise_in_reset` strikes at once).
    episodes: ids or tasks, separated by commas, that the fault is limited to; empty for all.
    once: path of a marker file: strike only while it does not exist, and create it first. It outlives the process,
        so a retry on a fresh server passes.
    seconds: how long `hang` (3600) and `slow` (0.2) sleep.
    base, base_options: what it is while it is well.
    label: shown as the policy's name, to make two of them differ.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vla_bench.policies.base import Policy
from vla_bench.spec.errors import UnknownPolicy
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo
from vla_bench.spec.plugins import POLICIES, load_plugin

FAULTS = (
    "none",
    "raise_in_reset",
    "raise_in_act",
    "nan",
    "inf",
    "wrong_length",
    "wrong_dtype",
    "empty",
    "out_of_bounds",
    "one_dimensional",
    "too_long",
    "no_answer",
    "hang",
    "slow",
    "exit",
    "segfault",
)


class FaultyPolicy:
    """See the module's opening."""

    def __init__(
        self,
        fault: str = "none",
        step: int = 0,
        episodes: str = "",
        once: str = "",
        seconds: float = -1.0,
        base: str = "noop",
        base_options: Mapping[str, Any] | None = None,
        label: str = "faulty",
    ) -> None:
        if fault not in FAULTS:
            raise ValueError(f"unknown fault {fault!r}; there are: {', '.join(FAULTS)}")
        self.base: Policy = load_plugin(POLICIES, base, UnknownPolicy)(**(base_options or {}))
        self.fault, self.step, self.once, self.label = fault, step, once, label
        self.seconds = seconds if seconds >= 0 else {"hang": 3600.0, "slow": 0.2}.get(fault, 0.0)
        self.only = {name.strip() for name in episodes.split(",") if name.strip()}
        self.sessions: dict[str, EpisodeInfo] = {}

    def info(self) -> PolicyInfo:
        """The base's, under this policy's label."""
        return replace(self.base.info(), name=self.label)

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        """Reset the base, or raise."""
        self.sessions[session] = episode
        if self.fault == "raise_in_reset" and self._strikes(session, self.step):
            raise RuntimeError("faulty on purpose: reset")
        self.base.reset(session, episode)

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """Answer as the base, row by row, unless the fault strikes."""
        struck = [
            self.fault != "raise_in_reset" and self._strikes(row.identity.session, row.identity.step) for row in batch
        ]
        chunks = list(self.base.act(batch))
        if not any(struck):
            return chunks
        self._strike_process()
        if self.fault == "no_answer":
            return []
        return [
            ActionChunk(actions=self._spoil(chunk.actions)) if hit else chunk
            for chunk, hit in zip(chunks, struck, strict=True)
        ]

    def close(self, session: str) -> None:
        """Forget a session."""
        self.sessions.pop(session, None)
        self.base.close(session)

    def _strikes(self, session: str, step: int) -> bool:
        episode = self.sessions[session]
        if self.fault == "none" or step < self.step:
            return False
        if self.only and not self.only & {episode.episode, episode.task}:
            return False
        if not self.once:
            return True
        try:
            Path(self.once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _strike_process(self) -> None:
        if self.fault == "raise_in_act":
            raise RuntimeError("faulty on purpose: act")
        if self.fault in ("hang", "slow"):
            time.sleep(self.seconds)
        if self.fault == "exit":
            os._exit(3)
        if self.fault == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)

    def _spoil(self, actions: Any) -> Any:
        if self.fault == "wrong_dtype":
            return np.zeros(actions.shape, np.int64)
        if self.fault == "wrong_length":
            return np.zeros((len(actions), actions.shape[1] + 1), np.float32)
        if self.fault == "empty":
            return actions[:0]
        if self.fault == "one_dimensional":
            return actions[0]
        if self.fault == "too_long":
            return np.repeat(actions, 1000, axis=0)
        value = {"nan": np.nan, "inf": np.inf, "out_of_bounds": 1e6}.get(self.fault)
        if value is None:
            return actions
        spoilt = actions.copy()
        spoilt[0, 0] = value
        return spoilt
