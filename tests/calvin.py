"""CALVIN's assets and golden traces for tests, out of the folder of reference data."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vla_bench.envs.calvin import family
from vla_bench.envs.calvin.assets import faults_of
from vla_bench.envs.runtime.assets.installing import install_copy
from vla_bench.envs.runtime.assets.unpack import unpack
from vla_bench.envs.runtime.home import assets_folder
from vla_bench.envs.runtime.installing.locks import folder_lock

__all__ = ["arithmetic_of_here", "golden", "golden_names", "link_assets", "unpack_once", "unpacked"]

_CACHE = Path(__file__).parents[1] / ".cache" / "tests" / "calvin"
"""One copy for all test processes and runs, whatever ends them: `make clean` removes it."""


@cache
def unpacked(shared: Path) -> Path:
    """The folder of assets."""
    return unpack_once(shared / "assets/calvin/calvin_assets.tar.xz", _CACHE)


def unpack_once(archive: Path, root: Path) -> Path:
    """Unpack into a folder named after the archive's content; what is there and whole is left as it is.

    What a killed process left in `root`, or unpacked from another archive, is removed.
    """
    root.mkdir(parents=True, exist_ok=True)
    place = root / hashlib.sha256(archive.read_bytes()).hexdigest()[:16]
    with folder_lock(root, "unpack"):
        for other in root.iterdir():
            if other.is_dir() and other != place:
                shutil.rmtree(other)
        if faults_of(place):
            shutil.rmtree(place, ignore_errors=True)
            partial = root / "partial"
            unpack(archive, partial, progress=lambda done, total: None)
            (partial / "calvin_assets").rename(place)
            partial.rmdir()
    return place


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


def arithmetic_of_here(assets: Path) -> str:
    """A digest of what PyBullet computes on this machine, with no code of our environment.

    Loading, inverse kinematics, contacts, Euler angles and a picture of the arm with a block that falls beside it:
    where this digest is the recorded one, processor, C library and wheel compute as those of the golden traces did.
    """
    from vla_bench.envs.calvin.bullet import bullet, quiet

    client = bullet.connect(bullet.DIRECT)
    digest = hashlib.blake2b(digest_size=8)
    try:
        bullet.setGravity(0, 0, -9.8, physicsClientId=client)
        model = str(assets / "franka_panda/panda_longer_finger.urdf")
        arm = bullet.loadURDF(model, (-0.3, 0.1, 0.02), useFixedBase=True, physicsClientId=client)
        turn = bullet.getQuaternionFromEuler((0.3, 0.2, 0.1))
        block = bullet.loadURDF(str(assets / "blocks/block_red_big.urdf"), (0.2, 0, 0.3), turn, physicsClientId=client)
        bullet.loadURDF(str(assets / "plane/plane.urdf"), physicsClientId=client)
        for step in range(240):
            goal = (0.2 + 0.1 * np.sin(step / 40), 0.1 * np.cos(step / 30), 0.05)
            for joint, angle in enumerate(bullet.calculateInverseKinematics(arm, 15, goal, physicsClientId=client)[:7]):
                bullet.setJointMotorControl2(
                    arm, joint, bullet.POSITION_CONTROL, targetPosition=angle, force=200, physicsClientId=client
                )
            bullet.stepSimulation(physicsClientId=client)
            position, turn = bullet.getBasePositionAndOrientation(block, physicsClientId=client)
            joints = [state[0] for state in bullet.getJointStates(arm, range(9), physicsClientId=client)]
            digest.update(np.array([*position, *turn, *bullet.getEulerFromQuaternion(turn), *joints]).tobytes())
        view = bullet.computeViewMatrix((1.5, -1.2, 1.0), (0, 0, 0.2), (0, 0, 1))
        lens = bullet.computeProjectionMatrixFOV(40, 1, 0.01, 10)
        picture = bullet.getCameraImage(64, 64, view, lens, physicsClientId=client)
        digest.update(np.ascontiguousarray(picture[2], np.uint8).tobytes())
    finally:
        with quiet():
            bullet.disconnect(physicsClientId=client)
    return digest.hexdigest()
