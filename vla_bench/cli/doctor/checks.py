"""What `doctor` looks at outside of the other rooms: machine, packages, extras. Nothing is changed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal

from packaging.requirements import Requirement

__all__ = ["Check", "Status", "check_devices", "check_extras", "check_packages", "check_python"]

EXTRAS = {
    "grpc": "policy servers over gRPC",
    "postgres": "results in PostgreSQL",
    "ray": "runs on many machines",
    "models": "policies with PyTorch",
}


Status = Literal["ok", "note", "blocker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the report: `fix` is the line to type, empty where nothing is to be done."""

    group: str
    name: str
    status: Status
    detail: str
    fix: str = ""


def check_python() -> list[Check]:
    """The interpreter and the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [
        Check(group="machine", name="python", status="ok", detail=f"{platform.python_version()} at {sys.executable}"),
        Check(group="machine", name="system", status="ok", detail=f"{platform.platform()}, {cores} cores"),
    ]


def check_packages() -> list[Check]:
    """The packages that every command needs, at the versions that the package asks for."""
    needed = [Requirement(line) for line in requires("vla-bench") or ()]
    core = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = []
    for requirement in core:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} is {found}, wants {requirement.specifier}")
    if wrong:
        return [
            Check(
                group="machine",
                name="packages",
                status="blocker",
                detail="; ".join(wrong),
                fix="pip install -U vla-bench",
            )
        ]
    return [
        Check(
            group="machine",
            name="packages",
            status="ok",
            detail=f"vla-bench {version('vla-bench')}, {len(core)} packages",
        )
    ]


def check_extras() -> list[Check]:
    """Optional parts of vla-bench, by pip extra."""
    return [_check_extra(extra, what) for extra, what in EXTRAS.items()]


def _check_extra(extra: str, what: str) -> Check:
    needed = [Requirement(line) for line in requires("vla-bench") or ()]
    wanted = [
        each
        for each in needed
        if each.marker and each.marker.evaluate({"extra": extra}) and "extra" in str(each.marker)
    ]
    found = []
    for requirement in wanted:
        try:
            found.append(f"{requirement.name} {version(requirement.name)}")
        except PackageNotFoundError:
            fix = f"pip install 'vla-bench[{extra}]'"
            return Check(group="extras", name=extra, status="note", detail=f"not installed: {what}", fix=fix)
    return Check(group="extras", name=extra, status="ok", detail=f"{what}: {', '.join(found)}")


def check_devices() -> list[Check]:
    """GPUs as the driver names them, and which of them this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    limits = "" if visible is None else f"; CUDA_VISIBLE_DEVICES={visible or '(none)'}"
    names = _nvidia_names()
    if not names:
        return [Check(group="machine", name="gpu", status="ok", detail=f"none: pictures are drawn in software{limits}")]
    return [Check(group="machine", name="gpu", status="ok", detail=", ".join(names) + limits)]


def _nvidia_names() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        told = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [re.sub(r" \(UUID.*", "", line) for line in told.splitlines() if line.startswith("GPU")]
