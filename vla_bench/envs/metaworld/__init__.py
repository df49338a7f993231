"""Meta-World v3: 50 tabletop tasks of a Sawyer arm, as suites `metaworld_mt10`, `metaworld_mt50` and one per task.

Importing this package imports no simulator; `family.make_env` does.
"""

from vla_bench.envs.metaworld.family import MetaWorldFamily

__all__ = ["family"]

family = MetaWorldFamily()
