"""What `doctor` asks the rooms: can results be stored, pictures be drawn, suites be run? Nothing is changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vla_bench.cli.display.words import plural
from vla_bench.cli.doctor.checks import Check, Status
from vla_bench.cli.reading import open_results
from vla_bench.envs.base import SuiteFamily
from vla_bench.envs.registry import families
from vla_bench.envs.runtime.install import installation_status
from vla_bench.envs.runtime.rendering import probe_renderers
from vla_bench.results.database import locate
from vla_bench.results.network import network_kind
from vla_bench.spec.errors import VlaBenchError

__all__ = ["check_database", "check_renderers", "check_suites"]

MIN_FREE_MIB = 500
"""Below this a long run can fill the disk: an episode takes some tens of KiB with its trace."""


def check_database(db: str) -> list[Check]:
    """Where results go, whether they can be written, and how much room there is."""
    try:
        location = locate(db)
        if location.path is not None and not location.path.exists():
            checks = [_check_new_file(location.path)]
        else:
            with open_results(db) as store:
                n_runs = len(store.summaries())
            status: Status = "note" if location.is_read_only else "ok"
            detail = f"{location}, {plural(n_runs, 'run')}{', read-only' if location.is_read_only else ''}"
            checks = [Check(group="results", name="database", status=status, detail=detail)]
    except VlaBenchError as error:
        return [Check(group="results", name="database", status="blocker", detail=str(error))]
    return checks + (_check_place(location.path) if location.path is not None else [])


def _check_new_file(path: Path) -> Check:
    folder = _existing(path.parent)
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Check(group="results", name="database", status="ok", detail=f"{path} (made by the first run)")
    detail, fix = f"{path} cannot be made in {folder}", "export VLA_BENCH_HOME=/a/folder/of/yours"
    return Check(group="results", name="database", status="blocker", detail=detail, fix=fix)


def _check_place(path: Path) -> list[Check]:
    free_mib = shutil.disk_usage(_existing(path.parent)).free / 2**20
    status: Status = "ok" if free_mib >= MIN_FREE_MIB else "note"
    detail = f"{free_mib / 1024:.1f} GiB free at {path.parent}"
    checks = [Check(group="results", name="disk", status=status, detail=detail)]
    if kind := network_kind(path):
        detail = (
            f"{path} is on a network file system ({kind}): each process gets a file of its own, for `vla-bench merge`"
        )
        checks.append(Check(group="results", name="file system", status="note", detail=detail))
    return checks


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def check_renderers() -> list[Check]:
    """Render back ends by kind of simulator. Without one, policies that ask for no pictures still run."""
    kinds = sorted({family.installation.renderer for family in families() if family.installation.renderer})
    return [check for kind in kinds for check in _check_renderers(kind)]


def _check_renderers(kind: str) -> list[Check]:
    reports = probe_renderers(kind)
    works = [report for report in reports if report.works]
    checks = []
    for report in reports:
        # One that works is enough: what others lack is only a note where none does.
        fix = "" if works else report.fix_line
        status: Status = "ok" if report.works or works else "note"
        checks.append(Check(group=f"pictures ({kind})", name=report.name, status=status, detail=report.detail, fix=fix))
    return checks


def check_suites() -> list[Check]:
    """Families of suites: which run here, and the line that installs the others."""
    return [_check_family(family) for family in families()]


def _check_family(family: SuiteFamily) -> Check:
    status = installation_status(family)
    n_suites = len(family.suite_names())
    if status.is_ready:
        detail = f"{plural(n_suites, 'suite')}, in {status.interpreter}"
        return Check(group="suites", name=family.name, status="ok", detail=detail)
    detail = f"{plural(n_suites, 'suite')}, not ready: {status.reason}"
    return Check(group="suites", name=family.name, status="note", detail=detail, fix=status.fix_line)
