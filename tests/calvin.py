"""CALVIN's assets and golden traces for tests, out of the folder of reference data."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vla_bench.envs.calvin import family
from vla_bench.envs.runtime.assets.installing import install_copy
from vla_bench.envs.runtime.home import assets_folder

__all__ = ["golden", "golden_names", "link_assets", "unpacked"]


@cache
def unpacked(shared: Path) -> Path:
    """The folder of assets, unpacked once per process."""
    place = Path(tempfile.mkdtemp(prefix="calvin-assets-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    with tarfile.open(shared / "assets/calvin/calvin_assets.tar.xz") as archive:
        archive.extractall(place, filter="data")
    return place / "calvin_assets"


def link_assets(home: Path, shared: Path) -> Path:
    """Install the assets into a `VLA_BENCH_HOME`, as a link; return the folder of models."""
    assert assets_folder() == home / "assets"
    install_copy(family.assets[0], unpacked(shared), progress=lambda doing, done, total: None)
    return unpacked(shared) / "data"


def golden_names(shared: Path, prefix: str = "") -> list[str]:
    """Golden files whose names begin so, each checked against the digest that it was recorded with."""
    folder = shared / "assets/calvin/golden"
    digests = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    names = sorted(path.name for path in folder.glob(f"{prefix}*.npz"))
    for name in names:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digests[name], name
    return [name.removesuffix(".npz") for name in names]


def golden(shared: Path, name: str) -> dict[str, Any]:
    """One golden file: upstream's observations, actions, oracle answers, pictures."""
    with np.load(shared / f"assets/calvin/golden/{name}.npz") as arrays:
        return dict(arrays)
