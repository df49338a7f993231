"""A policy whose faults are ordered while it is being served: one server process for many tests."""

from __future__ import annotations

import json
from pathlib import Path

from tests.policies.faulty_policies import FaultyPolicy
from vla_bench.spec.messages import EpisodeInfo


class SwitchedPolicy(FaultyPolicy):
    """`FaultyPolicy` that reads its fault from a file at every reset."""

    def __init__(self, orders: str) -> None:
        super().__init__(base="expert", label="switched", seconds=3600)
        self.orders = Path(orders)

    def reset(self, session: str, episode: EpisodeInfo) -> None:
        order = json.loads(self.orders.read_text())
        self.fault, self.step, self.once = order.get("fault", "none"), order.get("step", 0), order.get("once", "")
        self.only = set(order.get("episodes", ()))
        super().reset(session, episode)
