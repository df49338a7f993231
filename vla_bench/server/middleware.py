"""What every request passes, on bare ASGI: an id, a clock, a limit of its body, and headers on its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request

from vla_bench.server.metrics import Metrics
from vla_bench.server.problems import RETRY_S, Problem, problem_of, respond
from vla_bench.server.settings import Settings

__all__ = ["CONTENT_SECURITY_POLICY", "EveryRequest"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FEATURES = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "microphone", "payment", "usb")
_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": ", ".join(f"{name}=()" for name in _FEATURES),
    "cross-origin-opener-policy": "same-origin",
}
_A_YEAR_OF_TLS: Final = "max-age=31536000; includeSubDomains"
_PART: Final = re.compile(r"^/api/v\d+/submissions/[^/]+/parts/\d+$")
"""The one kind of request whose body is long: it has its own limits, and the submissions count its bytes."""
_BUNDLE: Final = re.compile(r"^/api/v\d+/runs/\d+/bundle$")
"""The one kind of answer that is long: what breaks off is asked for again from where it was."""

log = structlog.get_logger(__name__)


class EveryRequest:
    """The outermost layer of the service.

    An exception that no handler knew ends here as a problem with the request's id; its traceback goes to the log. An
    answer that takes too long is given up: the reader gets 503, and what it still computes is thrown away.
    """

    def __init__(self, app: Application, *, owner: FastAPI, settings: Settings, metrics: Metrics) -> None:
        self._app, self._owner, self._settings, self._metrics = app, owner, settings, metrics
        extra = {"strict-transport-security": _A_YEAR_OF_TLS} if settings.is_https else {}
        self._headers = [(name.encode(), value.encode()) for name, value in (_HEADERS | extra).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Our own id always: one that a client chose could stand in the log for another's.
        scope["request_id"] = uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=scope["request_id"])
        answer = _Answer(send, [*self._headers, (b"x-request-id", scope["request_id"].encode())])
        begun = perf_counter()
        settings = self._settings
        is_part = bool(_PART.match(scope["path"]))
        is_long = is_part or bool(_BUNDLE.match(scope["path"]))
        limit_s = settings.part_s if is_long else settings.request_s
        body = _Body(receive, settings.max_part_bytes if is_part else settings.max_body_bytes)
        try:
            await self._within(limit_s, scope, body, answer)
        finally:
            self._tell(scope, answer, perf_counter() - begun)

    async def _within(self, limit_s: float, scope: Scope, body: _Body, answer: _Answer) -> None:
        """Run the request as a task of its own: a thread that hangs cannot be stopped, only left alone."""
        task = asyncio.create_task(self._guarded(scope, body, answer))
        try:
            done, _ = await asyncio.wait({task}, timeout=limit_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            task.result()
            return
        self._metrics.refusals.labels("time_limit").inc()
        log.warning("request_took_too_long", limit_s=limit_s, path=scope["path"])
        problem = Problem(
            503, f"the answer took longer than {limit_s:g} s", kind="time-limit", headers={"Retry-After": str(RETRY_S)}
        )
        is_started = answer.status != 0
        send = answer.take_over()
        task.cancel()
        if not is_started:
            await respond(Request(scope), problem)(scope, body, send)

    async def _guarded(self, scope: Scope, receive: _Body, answer: _Answer) -> None:
        scope["app"] = self._owner
        try:
            if receive.is_declared_too_long(scope):
                raise receive.too_long()
            await self._app(scope, receive, answer)
        except Exception as error:  # every fault that no handler knew: the reader gets an id, the log the traceback
            problem = problem_of(error)
            if problem.status >= 500:
                log.error("request_failed", exc_info=error)
            if problem.kind == "body-too-long":
                self._metrics.refusals.labels("body_too_long").inc()
            if answer.status:
                raise ConnectionResetError("the answer broke off") from None
            if self._settings.debug and problem is not error:
                problem = Problem(problem.status, f"{type(error).__name__}: {error}", kind=problem.kind)
            await respond(Request(scope), problem)(scope, receive, answer)

    def _tell(self, scope: Scope, answer: _Answer, took_s: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "unmatched"
        status = answer.status or 499  # the reader went away
        self._metrics.requests.labels(scope["method"], route, str(status)).observe(took_s)
        if status == 429:
            self._metrics.refusals.labels("rate_limit").inc()
        # The path without its query: values of forms and searches are nobody's business.
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            route=route,
            status=status,
            ms=round(took_s * 1e3, 1),
        )


class _Answer:
    """The way back: adds headers, remembers the status, and can be taken from a request that is given up."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send, self._headers, self._is_taken = send, headers, False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if not self._is_taken:
            await self._pass(message)

    def take_over(self) -> Send:
        """Silence whoever held it; returns the way back for the one who takes over."""
        self._is_taken = True
        return self._pass

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name.lower() for name, _ in message.get("headers", [])}
            # A route may be stricter than the rule: what it says itself stands.
            message["headers"] = [*message.get("headers", []), *(item for item in self._headers if item[0] not in own)]
        await self._send(message)


class _Body:
    """The way in: counts the bytes of a body, whatever its header says."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive, self._max_bytes, self._n_bytes = receive, max_bytes, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._n_bytes += len(message.get("body", b""))
            if self._n_bytes > self._max_bytes:
                raise self.too_long()
        return message

    def is_declared_too_long(self, scope: Scope) -> bool:
        """Whether the header alone says that the body is too long."""
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        return declared.isdigit() and int(declared) > self._max_bytes

    def too_long(self) -> Problem:
        """The refusal."""
        return Problem(413, f"the body is longer than {self._max_bytes} bytes", kind="body-too-long")
