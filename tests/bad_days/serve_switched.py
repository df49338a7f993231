"""Serves a `SwitchedPolicy` in a process of its own: `python serve_switched.py PORT ORDERS LABEL`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bad_days.switched_policy import SwitchedPolicy
from vla_bench.policies.http.server import serve

if __name__ == "__main__":
    port, orders, label = sys.argv[1:]
    policy = SwitchedPolicy(orders)
    policy.label = label
    serve(policy, port=int(port))
