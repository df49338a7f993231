"""`toy_reach`: a point of a hand reaches for coloured balls. Pure NumPy, no installation, complete.

The smallest example of a suite, and the one that the guide "add a suite" shows: `family.py` describes, `env.py`
simulates, `drawing.py` draws, data lie in TOML files. `faults.py` is a second suite, `toy_reach_faults`, which
misbehaves on order for tests of whatever runs suites.
"""

from vla_bench.envs.toy_reach.family import ToyReachFamily

__all__ = ["family"]

family = ToyReachFamily()
