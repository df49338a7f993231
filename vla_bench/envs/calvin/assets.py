"""Where the models and textures of CALVIN lie, and whether they are the ones that the protocols mean."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from vla_bench.envs.runtime.home import assets_folder
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["checked_assets", "expected_digests", "faults_of"]


@cache
def expected_digests() -> Mapping[str, str]:
    """File → SHA-256; the paths are relative to the folder of assets."""
    lines = files(__package__).joinpath("assets.sha256").read_text(encoding="ascii").splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if not line.startswith("#"))
    return {path: digest for digest, path in pairs}


def faults_of(folder: Path) -> list[str]:
    """What is missing or altered, one clause each; about 30 ms for all 15 MB."""
    faults = []
    for path, digest in expected_digests().items():
        try:
            found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        except OSError:
            faults.append(f"{path} is missing")
            continue
        if found != digest:
            faults.append(f"{path} is altered, or of another commit")
    return faults


def checked_assets() -> Path:
    """The `data` folder, every file checked.

    Raises:
        SuiteNotInstalled: assets are missing or altered; the message has the line that installs them.
    """
    folder = assets_folder() / "calvin"
    if not folder.is_dir():
        raise SuiteNotInstalled(f"CALVIN's assets are not in {folder}. Type: vla-bench assets install calvin")
    if faults := faults_of(folder):
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise SuiteNotInstalled(
            f"CALVIN's assets in {folder}: {faults[0]}{more}. Type: vla-bench assets install calvin"
        )
    return folder / "data"
