"""The models and textures of CALVIN: where they come from, where they lie, whether they are those that are meant."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from vla_bench.envs.runtime.assets.declared import AssetArchive, AssetReport, AssetSet
from vla_bench.envs.runtime.home import assets_folder
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["checked_assets", "declare_assets", "expected_digests", "faults_of"]

_COMMIT: Final = "797142c588c21e76717268b7b430958dbd13bf48"
_NAME: Final = "calvin"


@cache
def expected_digests() -> Mapping[str, str]:
    """File → SHA-256; the paths are relative to the folder of assets."""
    lines = files(__package__).joinpath("assets.sha256").read_text(encoding="ascii").splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if not line.startswith("#"))
    return {path: digest for digest, path in pairs}


def declare_assets(suites: Sequence[str]) -> AssetSet:
    """What `vla-bench assets` knows of them.

    Args:
        suites: all of this family: none runs without.
    """
    return AssetSet(
        name=_NAME,
        title="CALVIN's models and textures",
        suites=tuple(suites),
        archives=(
            AssetArchive(url=f"https://github.com/mees/calvin_env/archive/{_COMMIT}.zip", size_bytes=20_900_000),
        ),
        unpacked_bytes=15_000_000,
        origin=f"github.com/mees/calvin_env @ {_COMMIT[:7]}, folder data",
        terms="MIT (calvin_env), Apache-2.0 (franka_panda); their texts are kept with the files",
        marker=("data/franka_panda/panda_longer_finger.urdf", "data/calvin_table_D"),
        keep=_is_kept,
        check=_check,
        lacking=_lacking,
    )


def _is_kept(path: str) -> bool:
    """The files that the scenes need, and licences."""
    return path in expected_digests() or path == "LICENSE" or path.startswith("LICENSES/")


def _check(folder: Path) -> AssetReport:
    notes = [f"{len(expected_digests())} files, as in calvin_env @ {_COMMIT[:7]}"]
    faults = faults_of(folder)
    return AssetReport(faults=faults, notes=[] if faults else notes)


def _lacking(folder: Path | None, tasks: Collection[str]) -> Sequence[str]:
    """All tasks or none; every file is looked at when an env is opened."""
    return sorted(tasks) if folder is None or not (folder / "data").is_dir() else []


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
            faults.append(f"{path} is altered, or of another commit than {_COMMIT[:7]}")
    return faults


def checked_assets() -> Path:
    """The `data` folder, every file checked.

    Raises:
        SuiteNotInstalled: assets are missing or altered; the message has the line that installs them.
    """
    folder = assets_folder() / _NAME
    if not folder.is_dir():
        raise SuiteNotInstalled(f"CALVIN's assets are not in {folder}. Type: vla-bench assets install {_NAME}")
    if faults := faults_of(folder):
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise SuiteNotInstalled(
            f"CALVIN's assets in {folder}: {faults[0]}{more}. Type: vla-bench assets install {_NAME}"
        )
    return folder / "data"
