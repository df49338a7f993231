"""Downloads one large file so that an interruption costs nothing: the next call goes on where the last one stopped."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from vla_bench.envs.runtime.assets.declared import AssetArchive
from vla_bench.spec.errors import SuiteNotInstalled

__all__ = ["download"]

_TIMEOUT_S: Final = 60.0
_BLOCK: Final = 1 << 20
_MOST_TRIES: Final = 5
"""Tries in a row that bring not a single byte."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Published:
    """What the server says of the file: its size, 0 where unknown, a tag of its content, its SHA-256 or nothing."""

    size: int
    tag: str
    sha256: str


def download(archive: AssetArchive, target: Path, *, progress: Progress, pause_s: float = 2.0) -> None:
    """Bring an archive into a file.

    Args:
        archive: what to bring.
        target: the file; what an earlier call left beside it is gone on with, if the server still has the same file.
        progress: called with bytes here and bytes in all (0 where unknown).
        pause_s: before the second try; it doubles.

    Raises:
        SuiteNotInstalled: the server does not give it, or not all of it, or something else than was published; the
            message says what to do.
    """
    if urlsplit(archive.url).scheme not in ("http", "https"):
        raise SuiteNotInstalled(f"assets are downloaded from http or https addresses, not from {archive.url!r}")
    partial = target.with_name(f"{target.name}.partial")
    n_fruitless = 0
    while True:
        before = _size(partial)
        try:
            published = _ask(archive.url)
            _forget_other(partial, archive.url, published)
            _check_space(partial, published.size)
            _receive(archive.url, partial, published, progress)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise _stopped(archive, partial, f"the server answers {error.code} {error.reason}") from error
            reason: Exception = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
        n_fruitless = 0 if _size(partial) > before else n_fruitless + 1
        if n_fruitless >= _MOST_TRIES:
            raise _stopped(archive, partial, str(reason) or type(reason).__name__) from reason
        time.sleep(pause_s * 2**n_fruitless)
    _verify(archive, partial, published)
    partial.replace(target)
    _notes(partial).unlink(missing_ok=True)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


def _ask(url: str) -> _Published:
    """Ask for size and tag. The hub says both, and the file's SHA-256, before it sends the caller elsewhere."""
    request = urllib.request.Request(url, method="HEAD")
    opener = urllib.request.build_opener(_NoRedirect)
    headers: Mapping[str, str] = {}
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as reply:
            headers = reply.headers
    except urllib.error.HTTPError as error:
        if error.code not in (301, 302, 303, 307, 308):
            raise
        headers = error.headers
    if linked := headers.get("X-Linked-ETag", "").strip('"'):
        size = int(headers.get("X-Linked-Size", 0))
        return _Published(size=size, tag=linked, sha256=linked if len(linked) == 64 else "")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
        found = reply.headers
        tag = found.get("ETag") or found.get("Last-Modified") or ""
        return _Published(size=int(found.get("Content-Length", 0)), tag=tag, sha256="")


def _receive(url: str, partial: Path, published: _Published, progress: Progress) -> None:
    have = _size(partial)
    if published.size and have >= published.size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
        # A server that knows no ranges sends the whole.
        is_rest = reply.status == 206
        with partial.open("ab" if is_rest else "wb") as file:
            while block := reply.read(_BLOCK):
                file.write(block)
                progress(file.tell(), published.size)
    if published.size and _size(partial) < published.size:
        raise http.client.IncompleteRead(b"", published.size - _size(partial))


def _forget_other(partial: Path, url: str, published: _Published) -> None:
    """Keep what is here only if it is the beginning of the same file."""
    now = {"url": url, "size": published.size, "tag": published.tag}
    before = None
    with suppress(OSError, ValueError):
        before = json.loads(_notes(partial).read_text(encoding="utf-8"))
    if before != now or not published.tag:
        partial.unlink(missing_ok=True)
    _notes(partial).write_text(json.dumps(now), encoding="utf-8")


def _verify(archive: AssetArchive, partial: Path, published: _Published) -> None:
    wanted = archive.sha256 or published.sha256
    if not wanted:
        return
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        partial.unlink()
        raise SuiteNotInstalled(
            f"{archive.url} is damaged: its SHA-256 is {found[:16]}…, not {wanted[:16]}…. What came was removed; "
            "repeat the command"
        )


def _check_space(partial: Path, size: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    lacking = size - _size(partial) - free
    if lacking > 0:
        raise SuiteNotInstalled(
            f"{partial.parent} lacks {lacking / 1e9:.1f} GB for the download. Choose another place: "
            "export VLA_BENCH_ASSETS=/a/large/folder"
        )


def _stopped(archive: AssetArchive, partial: Path, reason: str) -> SuiteNotInstalled:
    have = _size(partial)
    kept = f"; {have / 1e6:.1f} MB are kept, and the same command goes on there" if have else ""
    return SuiteNotInstalled(
        f"{archive.url} cannot be downloaded: {reason}{kept}. With a copy from elsewhere, add: --from PATH"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _notes(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")
