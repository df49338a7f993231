"""Refuses a run whose tasks need assets that are not here, before anything is started."""

from __future__ import annotations

from collections.abc import Collection

from vla_bench.envs.base import SuiteFamily
from vla_bench.envs.runtime.assets.declared import assets_of
from vla_bench.envs.runtime.assets.installed import folder_of, installed_assets
from vla_bench.spec.errors import SuiteNotInstalled
from vla_bench.spec.suite import Suite

__all__ = ["missing_assets", "require_assets"]


def missing_assets(family: SuiteFamily, suite: Suite) -> str:
    """The name of a set of assets that some task of a suite lacks here; empty where none is missing."""
    tasks = [task.id for task in suite.tasks]
    wanted = (assets for assets in assets_of(family) if suite.name in assets.suites)
    return next((assets.name for assets in wanted if assets.lacking(folder_of(assets), tasks)), "")


def require_assets(family: SuiteFamily, suite: Suite, tasks: Collection[str]) -> None:
    """Look whether the assets of these tasks are installed.

    Args:
        family: of the suite.
        suite: of the tasks.
        tasks: ids of those that would be run.

    Raises:
        SuiteNotInstalled: they are not; the message has the ways out.
    """
    for assets in assets_of(family):
        if suite.name not in assets.suites:
            continue
        record = installed_assets(assets.name)
        if not (lacking := assets.lacking(folder_of(assets), tasks)):
            continue
        what = f"{len(lacking):,} of these {len(tasks):,} tasks of {suite.name!r} need {assets.title}"
        if record is None:
            size = (
                f"{assets.size_bytes / 1e9:.1f} GB" if assets.size_bytes > 1e8 else f"{assets.size_bytes / 1e6:.0f} MB"
            )
            way = f", which is not installed. Type: vla-bench assets install {assets.name} ({size}, it asks first)"
        else:
            kind = "the stand-in" if record.standin else "what is installed"
            way = f", and {kind} lacks it for {lacking[0]!r}. Type: vla-bench assets check {assets.name}"
        raise SuiteNotInstalled(f"{what}{way}{f', or {assets.other_way}' if assets.other_way else ''}")
