"""One HTTP exchange on the server's side, on bare ASGI: form, token, body within its limit, reply."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from vla_bench.policies.codec import Form, encode_error
from vla_bench.spec.errors import (
    BadRequest,
    MessageTooLarge,
    PolicyError,
    ServerUnreachable,
    SessionLost,
    Unauthorized,
)

__all__ = ["STATUS", "Exchange", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STATUS: Final[dict[type[PolicyError], int]] = {
    Unauthorized: 401,
    SessionLost: 404,
    MessageTooLarge: 413,
    BadRequest: 422,
    ServerUnreachable: 503,
}
"""Status by error; every other one is the policy's own fault, 500. The `kind` in the body says which."""

_FORMS: Final = {form.value.encode(): form for form in Form} | {b"application/x-msgpack": Form.MSGPACK}


class Exchange:
    """A request and the way back.

    Attributes:
        reply_form: what the client accepts; by default the form of its request, and JSON where it sent no body.
    """

    __slots__ = ("_authorization", "_content_type", "_length", "_receive", "reply_form")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._authorization = self._content_type = accept = b""
        self._length = 0
        for name, value in scope["headers"]:
            if name == b"content-type":
                self._content_type = value
            elif name == b"content-length":
                self._length = int(value)  # the HTTP parser lets digits only pass
            elif name == b"accept":
                accept = value
            elif name == b"authorization":
                self._authorization = value
        self.reply_form: Form = _FORMS.get(accept) or _FORMS.get(self._content_type) or _accepted(accept)

    def authorize(self, token: bytes) -> None:
        """Compare the bearer token in constant time.

        Raises:
            Unauthorized: it is missing or another.
        """
        scheme, _, given = self._authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given, token):
            raise Unauthorized("the policy server wants another token: send the one that it was started with")

    @property
    def form(self) -> Form:
        """How the body is written.

        Raises:
            BadRequest: the content type is neither msgpack nor JSON.
        """
        form = _FORMS.get(self._content_type) or _FORMS.get(self._content_type.partition(b";")[0].strip().lower())
        if form is None:
            raise BadRequest(f"content type {self._content_type.decode('latin-1')!r}: send {' or '.join(Form)}")
        return form

    async def read(self, max_bytes: int) -> bytes:
        """Read the body whole; never keeps more than `max_bytes` and a piece of it.

        Raises:
            MessageTooLarge: it is longer.
            BadRequest: the client went away before its end.
        """
        if self._length > max_bytes:
            raise _too_large(max_bytes)
        pieces: list[bytes] = []
        total = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("the client went away in the middle of its request")
            pieces.append(message["body"])
            total += len(pieces[-1])
            if total > max_bytes:
                raise _too_large(max_bytes)
            if not message["more_body"]:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def failure(self, error: PolicyError) -> tuple[int, bytes]:
        """The status and the body, `{"kind", "message"}`, that tell an error."""
        return STATUS.get(type(error), 500), encode_error(error, self.reply_form)

    async def reply(self, send: Send, status: int, body: bytes) -> None:
        """Send a whole reply in the form that the client accepts."""
        headers = [(b"content-type", self.reply_form.value.encode()), (b"content-length", b"%d" % len(body))]
        if status == STATUS[Unauthorized]:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _accepted(accept: bytes) -> Form:
    return Form.MSGPACK if b"msgpack" in accept else Form.JSON


def _too_large(max_bytes: int) -> MessageTooLarge:
    return MessageTooLarge(f"the request is longer than this policy server takes: {max_bytes} bytes")
