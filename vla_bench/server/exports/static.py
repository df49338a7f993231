"""The whole board as files: every page that links lead to, asked of the application itself, with links made relative.

Sorted and filtered views are left out, since there would be no end of them, and episodes unless they are wanted; what
was left out links to a page that says so.
"""

from __future__ import annotations

import asyncio
import html
import posixpath
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx2
from fastapi import FastAPI

from vla_bench.spec.errors import HarnessError, UsageError

__all__ = ["Exported", "export_pages"]

BASE: Final = "http://board.invalid"
LEFT_OUT: Final = "left-out.html"
_REFERENCE = re.compile(r'\b(href|src|action)="([^"]*)"')
_EPISODES = re.compile(r"^/runs/\d+/episodes(/|$)")
_LIVE = ("/account", "/api/", "/metrics", "/healthz", "/readyz")
"""What only a living service answers."""
_PAGING = {"after", "v"}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Left out</title><h1>Left out</h1>
<p>This copy of the board holds its pages and tables. Sorted and filtered views, accounts and submissions, and episodes
where they were not asked for, are on the living board.</p>
<p><a href="index.html">All boards</a></p></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written: files, and their bytes."""

    n_files: int
    n_bytes: int


def export_pages(app: FastAPI, folder: Path, *, with_episodes: bool = False, most: int = 50_000) -> Exported:
    """Write all pages of an application into a folder that any web server, or no server at all, can show.

    Args:
        app: of `create_app`.
        folder: new or empty.
        with_episodes: a page for each episode too: thousands for each run.
        most: pages, after which it gives up.

    Raises:
        UsageError: the folder has something in it, or there are more pages.
        HarnessError: a page answers with a fault of the service.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder")
    return asyncio.run(_Crawl(app, folder, with_episodes=with_episodes, most=most).run())


class _Crawl:
    def __init__(self, app: FastAPI, folder: Path, *, with_episodes: bool, most: int) -> None:
        self._app, self._folder, self._with_episodes, self._most = app, folder, with_episodes, most
        self._waiting: deque[str] = deque(["/", "/suites", "/latency", "/methodology", "/scores", "/log"])
        self._seen = set(self._waiting)
        self._n_files = self._n_bytes = 0

    async def run(self) -> Exported:
        transport = httpx2.ASGITransport(app=self._app)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE, follow_redirects=True) as client:
            while self._waiting:
                await self._fetch(client, self._waiting.popleft())
        self._write(LEFT_OUT, _PAGE.encode())
        return Exported(n_files=self._n_files, n_bytes=self._n_bytes)

    async def _fetch(self, client: httpx2.AsyncClient, target: str) -> None:
        answer = await client.get(target)
        if answer.status_code >= 500:
            raise HarnessError(f"page {target} answers with status {answer.status_code}: the export is not whole")
        path = file_of(target)
        if answer.headers.get("content-type", "").startswith("text/html"):
            self._write(path, self._relative(answer.text, path).encode())
        elif answer.status_code == 200:
            self._write(path, answer.content)

    def _relative(self, text: str, path: str) -> str:
        """The page with its links leading to files; the pages behind them are queued."""

        def rewrite(found: re.Match[str]) -> str:
            name, target = found[1], html.unescape(found[2])
            if not target.startswith("/") or target.startswith("//"):
                return found[0]
            kept = self._queue(target)
            there = file_of(kept) if kept else LEFT_OUT
            fragment = urlsplit(target).fragment if kept else ""
            relative = posixpath.relpath(there, posixpath.dirname(path) or ".")
            return f'{name}="{html.escape(relative)}{f"#{html.escape(fragment)}" if fragment else ""}"'

        return _REFERENCE.sub(rewrite, text)

    def _queue(self, target: str) -> str:
        """The address under which a target is exported; empty where it is left out."""
        parts = urlsplit(target)
        asked = parse_qsl(parts.query)
        is_left_out = (
            parts.path.startswith(_LIVE)
            or any(name not in _PAGING for name, _ in asked)
            or (not self._with_episodes and _EPISODES.match(parts.path))
        )
        if is_left_out:
            return ""
        wanted = parts.path + (f"?{parts.query}" if any(name == "after" for name, _ in asked) else "")
        if wanted not in self._seen:
            if len(self._seen) >= self._most:
                raise UsageError(f"the board has more than {self._most} pages: raise --most")
            self._seen.add(wanted)
            self._waiting.append(wanted)
        return wanted

    def _write(self, path: str, data: bytes) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self._n_files += 1
        self._n_bytes += len(data)


def file_of(target: str) -> str:
    """The file of an address, relative to the export's root: `/runs/3` is `runs/3/index.html`."""
    parts = urlsplit(target)
    segments = [_safe(unquote(part)) for part in parts.path.split("/") if part]
    after = dict(parse_qsl(parts.query)).get("after", "")
    if segments and re.search(r"\.(css|js|svg|png|jpg|webp|csv|json|tex|md|bib|mp4|webm)$", segments[-1]):
        return "/".join(segments)
    return "/".join([*segments, f"after-{_safe(after)}.html" if after else "index.html"])


def _safe(name: str) -> str:
    """A name of a file: names are made by strangers, and may not lead out of the folder."""
    cleaned = re.sub(r"[^\w.@+=,~-]", "_", name)[:150]
    return cleaned if cleaned.strip(".") else f"_{len(cleaned)}"
