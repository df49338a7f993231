"""What every client checks, whatever the transport: whose answer is this, and is it still the same policy.

Pure functions. A reply that belongs to something else is an error, never an action.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from vla_bench.policies.codec import Receipt
from vla_bench.spec.errors import PolicyChanged, StaleReply
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, PolicyInfo

__all__ = ["check_receipt", "check_reply", "check_same_policy"]

_WAY_OUT: Final = "Serve the first one again, or start a run of its own with --fresh"


def check_reply(asked: Identity, reply: ActionChunk, server: str) -> None:
    """Compare an answer with its question.

    Args:
        asked: identity of the request.
        reply: as decoded.
        server: id of the server process that opened the session.

    Raises:
        StaleReply: the reply names no identity, another one, or another server process; the message says what differs.
    """
    if reply.identity is None:
        raise StaleReply("the reply does not say which request it answers; nothing of it is used")
    _check(asked, reply.identity, server, reply.server)


def check_receipt(session: str, episode: EpisodeInfo, request: str, receipt: Receipt, server: str) -> None:
    """Compare the answer to a reset with the reset, as `check_reply` does.

    Raises:
        StaleReply: it belongs to something else.
    """
    asked = Identity(session, episode.episode, episode.attempt, episode.stage, receipt.identity.step, request)
    _check(asked, receipt.identity, server, receipt.server)


def _check(asked: Identity, answered: Identity, server: str, answering: str) -> None:
    if answered != asked:
        differences = ", ".join(
            f"{field.name} {getattr(asked, field.name)!r} asked, {getattr(answered, field.name)!r} answered"
            for field in fields(Identity)
            if getattr(asked, field.name) != getattr(answered, field.name)
        )
        raise StaleReply(f"the reply belongs to another request ({differences}); nothing of it is used")
    if answering != server:
        raise StaleReply(
            f"the reply comes from server process {answering!r}, the session was opened at {server!r}; "
            "nothing of it is used"
        )


def check_same_policy(expected: PolicyInfo, found: PolicyInfo, url: str) -> None:
    """Refuse a server that has become another policy since the handshake.

    Raises:
        PolicyChanged: a field of the handshake differs; the message names the first one.
    """
    if found.digest == expected.digest:
        return
    names = (field.name for field in fields(PolicyInfo))
    name = next(name for name in names if getattr(expected, name) != getattr(found, name))
    raise PolicyChanged(
        f"another policy answers at {url}: {name} was {getattr(expected, name)!r} and is {getattr(found, name)!r}. "
        f"{_WAY_OUT}"
    )
