"""What every client checks, whatever the transport: whose answer is this, is it still the same policy, what went wrong.

Pure functions. A reply that belongs to something else is an error, never an action.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from vla_bench.spec.errors import (
    BadReply,
    MessageTooLarge,
    PolicyChanged,
    PolicyError,
    PolicyRaised,
    PolicyTimeout,
    ServerUnreachable,
    SessionLost,
    StaleReply,
    Unauthorized,
)
from vla_bench.spec.messages import ActionChunk, Identity, PolicyInfo

__all__ = ["check_reply", "check_same_policy", "error_of_kind"]

_BY_KIND: Final = {
    error.kind: error
    for error in (
        BadReply,
        MessageTooLarge,
        PolicyChanged,
        PolicyError,
        PolicyRaised,
        PolicyTimeout,
        ServerUnreachable,
        SessionLost,
        StaleReply,
        Unauthorized,
    )
}


def check_reply(asked: Identity, reply: ActionChunk, server: str) -> None:
    """Compare an answer with its question.

    Args:
        asked: identity of the request.
        reply: as decoded.
        server: id of the server process that opened the session; empty where it is not known.

    Raises:
        StaleReply: the reply names no identity, another one, or another server process; the message lists the differences.
    """
    if reply.identity is None:
        raise StaleReply("the reply does not say which request it answers; nothing of it is used")
    if reply.identity != asked:
        differences = ", ".join(
            f"{field.name} {getattr(asked, field.name)!r} asked, {getattr(reply.identity, field.name)!r} answered"
            for field in fields(Identity)
            if getattr(asked, field.name) != getattr(reply.identity, field.name)
        )
        raise StaleReply(f"the reply belongs to another request ({differences}); nothing of it is used")
    if server and reply.server != server:
        raise StaleReply(
            f"the reply comes from server process {reply.server!r}, the session was opened at {server!r}; nothing of it is used"
        )


def check_same_policy(expected: PolicyInfo, found: PolicyInfo, url: str) -> None:
    """Refuse a server that has become another policy since the handshake.

    Raises:
        PolicyChanged: a field of the handshake differs; the message names the first one.
    """
    if found.digest == expected.digest:
        return
    name = next(field.name for field in fields(PolicyInfo) if getattr(expected, field.name) != getattr(found, field.name))
    raise PolicyChanged(
        f"another policy answers at {url}: {name} was {getattr(expected, name)!r} and is {getattr(found, name)!r}. "
        "Serve the first one again, or start a run of its own with --fresh"
    )


def error_of_kind(kind: str, message: str) -> PolicyError:
    """The error that a server reported as `{"kind", "message"}`; an unknown kind is a plain `PolicyError`."""
    return _BY_KIND.get(kind, PolicyError)(message)
