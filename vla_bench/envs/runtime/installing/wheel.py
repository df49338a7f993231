"""Gives a suite's own environment exactly the `vla_bench` that runs here: as a wheel, or as a folder of code.

It works from a checkout, an editable install and an installed wheel alike: the files are the package's, the metadata
those of the installed distribution.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import vla_bench

__all__ = ["pack_wheel", "worker_code", "worker_digest"]

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the same files give the same bytes
_WORKER_ROOMS: Final = ("spec", "envs")
_UNUSED_S: Final = 7 * 24 * 3600.0


def pack_wheel(folder: Path) -> Path:
    """Write `vla_bench-<version>-py3-none-any.whl` into a folder.

    Returns:
        Its path. Equal files give an equal wheel, byte for byte.
    """
    information = distribution("vla-bench")
    stem = f"vla_bench-{information.version}"
    members = {f"vla_bench/{name}": path.read_bytes() for name, path in _package_files()}
    about = f"{stem}.dist-info"
    members[f"{about}/METADATA"] = (information.read_text("METADATA") or "").encode()
    members[f"{about}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: vla-bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    for name in ("entry_points.txt", "licenses/LICENSE"):
        if text := information.read_text(name):
            members[f"{about}/{name}"] = text.encode()
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in members.items()]
    members[f"{about}/RECORD"] = "\n".join([*lines, f"{about}/RECORD,,", ""]).encode()
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return wheel


@cache
def worker_digest() -> str:
    """BLAKE2b-128 over the files that a worker runs, 32 hexadecimal digits.

    A version number does not change while somebody edits a checkout; this does, so that a suite's own environment with
    older code is noticed.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, path in _package_files():
        if name.split("/")[0] in _WORKER_ROOMS:
            digest.update(f"{name}\0".encode() + hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
    return digest.hexdigest()


def worker_code(root: Path) -> Path:
    """A folder for `PYTHONPATH` that holds the running `vla_bench` and nothing else; made when it is first asked for.

    A suite's own environment is heavy and holds the code that it was made with. When only our code is another, workers
    import it from here instead. A folder belongs to one state of the code, so that whoever runs older code is not
    touched.

    Args:
        root: where such folders are kept; those that nobody asked for in the last week are removed.
    """
    place = root / f"code-{worker_digest()}"
    if not place.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".code-", dir=root))
        try:
            with zipfile.ZipFile(pack_wheel(partial)) as wheel:
                wheel.extractall(partial / "code")
            with suppress(OSError):  # another process was faster
                (partial / "code").rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    os.utime(place)
    _remove_unused(root)
    return place


def _remove_unused(root: Path) -> None:
    for path in [*root.glob("code-*"), *root.glob(".code-*")]:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(path, ignore_errors=True)


def _package_files() -> Iterator[tuple[str, Path]]:
    """Every file of the package, by its path inside it, in a fixed order."""
    root = Path(vla_bench.__file__).parent
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if path.is_file() and "__pycache__" not in name.parts and not name.name.endswith((".pyc", "~")):
            yield name.as_posix(), path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
