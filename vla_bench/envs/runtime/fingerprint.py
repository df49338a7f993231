"""Machine and software identity of the process that simulates."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from vla_bench.spec.result import Fingerprint

__all__ = ["take_fingerprint"]


def take_fingerprint(packages: Mapping[str, str], renderer: Mapping[str, str] = {}) -> Fingerprint:
    """Describe this process.

    Args:
        packages: simulator and binding versions.
        renderer: vendor, renderer and version of the render back end; empty where nothing is rendered.
    """
    return Fingerprint(
        cpu=_cpu(), os=_system(), python=platform.python_version(), packages=dict(packages), renderer=dict(renderer)
    )


@cache
def _cpu() -> str:
    """`x86_64 AMD EPYC 9V74`; the architecture alone where the machine does not say more."""
    return f"{platform.machine()} {_cpu_model()}".strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2] for line in lines if line.lower().startswith(("model name", "cpu model")))
    return " ".join(next(names, "").split())


@cache
def _system() -> str:
    """`Linux 6.1 glibc 2.36`: the C library computes sines, the kernel's patch level does not."""
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return " ".join(part for part in (platform.system(), release, *_libc()) if part)


def _libc() -> tuple[str, ...]:
    try:
        return tuple((os.confstr("CS_GNU_LIBC_VERSION") or "").split())
    except (AttributeError, ValueError, OSError):
        return ()  # musl and others do not say
