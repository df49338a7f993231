"""How often somebody without a token may read: one rule for pages, exports and the API, before any router.

What a page loads and what others embed may be asked more often than pages, and so may what the reader has already: that
is only known from the answer, so a conditional request that was not answered with 304 counts as any other read.
"""

from __future__ import annotations

import re
from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vla_bench.server.accounts.access import SAFE, address_of, is_from_here, limits_of, principal_or_none
from vla_bench.server.problems import Problem, respond

__all__ = ["CountReaders"]

_UNCOUNTED: Final = re.compile(r"^/(healthz|readyz|metrics)$|^/api/v\d+/(account|replays)(/|$)")
"""The operator's own, and what wants a token of its reader anyhow."""
_LOADED: Final = re.compile(r"^/(static|badges|account)(/|$)|^/suites/[^/]+/pictures/|/film/[^/]+$")
"""Pictures, styles and badges, of which one page has many; and signing in."""


class CountReaders:
    """Refuses an address that reads too often with 429 and `Retry-After`.

    Not counted: who shows a token or a cookie that is worth something; and this machine, for a board of one's own
    (`vla-bench open`) and for the static export.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http" or scope["method"] not in SAFE or _UNCOUNTED.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if is_from_here(request) or await run_in_threadpool(_is_known, request):
            await self._app(scope, receive, send)
            return
        is_conditional = "if-none-match" in request.headers
        is_light = is_conditional or bool(_LOADED.search(request.url.path))
        try:
            await run_in_threadpool(limits_of(request).count_read, address_of(request), is_light=is_light)
        except Problem as problem:
            await respond(request, problem)(scope, receive, send)
            return
        await self._app(scope, receive, _Unless304(request, receive, send) if is_conditional else send)


class _Unless304:
    """The way back of a conditional request: anything but 304 is counted, and withheld where it is one too many."""

    def __init__(self, request: Request, receive: Receive, send: Send) -> None:
        self._request, self._receive, self._send, self._is_refused = request, receive, send, False

    async def __call__(self, message: Message) -> None:
        is_start = message["type"] == "http.response.start"
        if is_start and message["status"] != 304 and not _LOADED.search(self._request.url.path):
            try:
                await run_in_threadpool(limits_of(self._request).count_read, address_of(self._request))
            except Problem as problem:
                self._is_refused = True
                await respond(self._request, problem)(self._request.scope, self._receive, self._send)
        if not self._is_refused:
            await self._send(message)


def _is_known(request: Request) -> bool:
    """Whether the reader shows a token or a cookie that is worth something; a wrong one makes a stranger of him."""
    try:
        return principal_or_none(request) is not None
    except Problem:
        return False
