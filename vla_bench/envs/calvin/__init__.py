"""CALVIN: chains of five language instructions for a Panda arm at a desk with drawer, slider, switch and blocks.

An environment of our own on PyBullet that equals upstream's calvin_env bit for bit (docs/calvin.md says where that was
checked). Importing this package imports no simulator; `family.make_env` does.
"""

from vla_bench.envs.calvin.family import CalvinFamily

__all__ = ["family"]

family = CalvinFamily()
