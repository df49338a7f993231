"""CALVIN's expert: a script for each kind of the 34 subtasks, on privileged state. An oracle, never ranked."""

from vla_bench.policies.builtin.experts.calvin.scripts import controller

__all__ = ["controller"]
