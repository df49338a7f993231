"""From a board to a file: what broke off goes on where it was, in the same call or in the next one."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from vla_bench.results.faults import file_errors
from vla_bench.server.client import BoardClient
from vla_bench.server.submissions.bundle import LIMITS
from vla_bench.spec.errors import BoardUnreachable, SubmissionRefused, UsageError

__all__ = ["download"]

WAIT_S = (1.0, 3.0, 10.0)
"""Waits before a board that gave nothing is asked again."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def download(
    client: BoardClient, path: str, folder: Path, told: Callable[[int, int], None]
) -> tuple[Path, str]:  # fmt: skip
    """Get the bundle at an address of the API.

    Args:
        client: of the board.
        path: below `/api/v1`.
        folder: where what has arrived is kept, under a name that the address and the digest give.
        told: hears bytes that are here, and bytes in all.

    Returns:
        The file, which is the caller's to delete, and its SHA-256, which is the one that the board named.

    Raises:
        BoardUnreachable: it does not answer, or no longer; the same call goes on.
        SubmissionRefused: the board has none, or what arrived is not what it named; that is deleted.
        UsageError: it is no leaderboard of this version.
    """
    key = hashlib.sha256(f"{client.url} {path}".encode()).hexdigest()[:16]
    with file_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        n_silent, before = 0, _size(_newest(folder, key))
        while True:
            try:
                file = _go_on(client, path, folder, key, told)
                break
            except BoardUnreachable:
                now = _size(_newest(folder, key))
                n_silent = 0 if now > before else n_silent + 1
                if n_silent > len(WAIT_S):
                    raise
                before = now
                time.sleep(WAIT_S[max(0, n_silent - 1)])
        return file, _checked(client, file)


def _go_on(client: BoardClient, path: str, folder: Path, key: str, told: Callable[[int, int], None]) -> Path:
    """One request, for all of it or for the rest."""
    part = _newest(folder, key)
    have = _size(part)
    wanted = {"Range": f"bytes={have}-", "If-Range": f'"{_digest_of(part)}"'} if part and have else {}
    with client.stream(path, **wanted) as answer:
        if answer.status_code == 416 and part is not None:
            return part
        digest = answer.headers.get("x-bundle-digest", "")
        if not _DIGEST.fullmatch(digest):
            raise UsageError(f"{client.url} is no leaderboard of this version: it gives no bundles")
        is_rest = answer.status_code == 206 and part is not None and _digest_of(part) == digest
        if part is not None and not is_rest:
            part.unlink()
        if answer.status_code == 206 and not is_rest:
            raise BoardUnreachable(f"{client.url} has another bundle now. Repeat the command.")
        file = folder / f"{key}-{digest}.part"
        _receive(answer, file, have if is_rest else 0, told)
    return file


def _receive(answer: httpx2.Response, file: Path, have: int, told: Callable[[int, int], None]) -> None:
    length = answer.headers.get("content-length", "")
    total = have + int(length) if length.isdigit() else 0
    if total > LIMITS.packed_bytes:
        raise SubmissionRefused(f"the bundle has {total} bytes, the limit is {LIMITS.packed_bytes}")
    with file.open("ab" if have else "wb") as target:
        for chunk in answer.iter_raw():
            have += len(chunk)
            if have > LIMITS.packed_bytes:
                raise SubmissionRefused(f"the bundle has more than {LIMITS.packed_bytes} bytes, the limit")
            target.write(chunk)
            told(have, total)


def _checked(client: BoardClient, file: Path) -> str:
    with file.open("rb") as source:
        found = hashlib.file_digest(source, "sha256").hexdigest()
    wanted = _digest_of(file)
    if found != wanted:
        file.unlink()
        raise SubmissionRefused(
            f"the bundle arrived from {client.url} with digest {found[:16]}, the board names {wanted[:16]}: it was "
            "changed on the way or there. Nothing was stored. Repeat the command; tell the board if it says so again"
        )
    return found


def _newest(folder: Path, key: str) -> Path | None:
    found = [path for path in folder.glob(f"{key}-*.part") if _DIGEST.fullmatch(_digest_of(path))]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _digest_of(path: Path | None) -> str:
    return path.stem.rpartition("-")[2] if path else ""


def _size(path: Path | None) -> int:
    return path.stat().st_size if path else 0
