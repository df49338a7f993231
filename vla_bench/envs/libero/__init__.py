"""LIBERO: five suites of table-top and kitchen tasks for a Panda arm, in an environment of their own.

Importing this package imports no simulator; `family.make_env` does.

    family.py      the suites and protocols as data: tasks.toml, protocols/, no simulator needed
    finish.py      the last step of `vla-bench env create libero`: links the assets, checks every file
    package.py     imports the simulator's package without its prompts, downloads and GL bindings
    simulator.py   one compiled scene: reset under the published fixture sequence, step, sample, digest
    env.py         LiberoEnv: the scenes of a suite behind `SuiteEnv`; what LIBERO-Plus builds on
"""

from vla_bench.envs.libero.family import LiberoFamily

__all__ = ["family"]

family = LiberoFamily()
