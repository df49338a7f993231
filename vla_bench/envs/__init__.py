"""Simulators behind one gymnasium interface: the contract, the suites, and the workers that they run in.

Importing this package registers the built-in suites with gymnasium as `vla_bench/<suite>`; no simulator is imported.
"""

from vla_bench.envs.base import EnvHandle, EnvOptions, EnvState, Installation, StepOutcome, SuiteEnv, SuiteFamily
from vla_bench.envs.registry import (
    WorkerLimits,
    families,
    family_of,
    find_suite,
    open_env,
    register_gymnasium,
    suite_names,
)

__all__ = [
    "EnvHandle", "EnvOptions", "EnvState", "Installation", "StepOutcome", "SuiteEnv", "SuiteFamily", "WorkerLimits",
    "families", "family_of", "find_suite", "open_env", "register_gymnasium", "suite_names",
]  # fmt: skip

register_gymnasium(built_in=True)
