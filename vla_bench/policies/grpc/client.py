"""The gRPC line from a run to a policy server. What it promises and raises is what the HTTP client does."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from vla_bench.policies.base import Deadlines
from vla_bench.policies.codec import (
    MAX_BYTES,
    Form,
    decode_chunk,
    decode_error,
    decode_info,
    decode_opening,
    decode_receipt,
    encode_observation,
    encode_reset,
)
from vla_bench.policies.grpc.wire import (
    METHODS,
    SERVICE,
    SESSION_KEY,
    TOKEN_KEY,
    error_of_status,
    import_grpc,
    limits,
)
from vla_bench.policies.identity import check_receipt, check_reply, check_same_policy
from vla_bench.policies.sessions import new_id
from vla_bench.spec.errors import (
    MessageTooLarge,
    PolicyChanged,
    PolicyError,
    PolicyTimeout,
    ServerUnreachable,
    UsageError,
)
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["GrpcConnection", "GrpcSession", "connect"]

_CLOSE_S: Final = 2.0
_OPTIONS: Final = (
    # Each connection has a socket of its own, so that closing one frees it and a new one finds a restarted server.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def connect(
    url: str, *, token: str | None = None, deadlines: Deadlines = Deadlines(), max_bytes: int = MAX_BYTES
) -> GrpcConnection:
    """Connect to `grpc://HOST:PORT` and read the handshake.

    Args:
        url: of the server.
        token: shown to the server with every call.
        deadlines: see `Deadlines`.
        max_bytes: limit of one message, in either direction.

    Raises:
        MissingExtra: gRPC is not installed.
        UsageError: the URL is no `grpc://HOST:PORT`.
        ServerUnreachable, PolicyTimeout, Unauthorized, BadReply: see there.
    """
    parts = urlsplit(url)
    if parts.scheme != "grpc" or not parts.netloc or parts.path.strip("/"):
        raise UsageError(f"a gRPC policy server is written grpc://HOST:PORT, not {url!r}")
    return GrpcConnection(url, parts.netloc, token=token, deadlines=deadlines, max_bytes=max_bytes)


class GrpcConnection:
    """A policy that has been reached over gRPC; threads may share it."""

    def __init__(self, url: str, address: str, *, token: str | None, deadlines: Deadlines, max_bytes: int) -> None:
        """Open the channel and read the handshake; see `connect`."""
        self.url, self.deadlines, self._max_bytes = url, deadlines, max_bytes
        self._grpc = import_grpc()
        self._metadata = ((TOKEN_KEY, f"Bearer {token}"),) if token else ()
        self._channel: Any = self._grpc.insecure_channel(address, [*limits(max_bytes), *_OPTIONS])
        self._methods = {name: self._channel.unary_unary(f"/{SERVICE}/{name}") for name in METHODS}
        # Calls of this kind that have succeeded at this server process: the first one may take longer.
        self._warm: set[tuple[str, str]] = set()
        try:
            self._handshake = decode_info(self.call("Info", b"", deadlines.connect_s))
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> PolicyInfo:
        """The handshake, read when the connection was made."""
        return self._handshake.info

    def open_session(self) -> GrpcSession:
        """Open a session; its server must still be the policy of the handshake.

        Raises:
            PolicyChanged: another policy answers now.
            ServerUnreachable, PolicyTimeout, Unauthorized: see there.
        """
        opening = decode_opening(self.call("Open", b"", self.deadlines.connect_s))
        if opening.digest != self._handshake.digest:
            now = decode_info(self.call("Info", b"", self.deadlines.connect_s))
            check_same_policy(self.info, now.info, self.url)
            raise PolicyChanged(f"another policy answers at {self.url}: its digest is not the one of the handshake")
        return GrpcSession(self, opening.session, opening.server)

    def close(self) -> None:
        """Close the channel; safe to call twice."""
        self._channel.close()

    def call(self, method: str, request: bytes, timeout_s: float, session: str = "") -> bytes:
        """Call a method once, and once more where the connection broke: calls are idempotent by identity.

        Raises:
            PolicyError: the child that fits; both calls together have `timeout_s`.
        """
        if len(request) > self._max_bytes:
            raise MessageTooLarge(f"the request to {self.url} has {len(request)} bytes, the limit is {self._max_bytes}")
        deadline = monotonic() + timeout_s
        try:
            return self._call_once(method, request, timeout_s, timeout_s, session)
        except ServerUnreachable:
            left = deadline - monotonic()
            if left <= 0:
                raise
            return self._call_once(method, request, left, timeout_s, session)

    def _call_once(self, method: str, request: bytes, left_s: float, timeout_s: float, session: str) -> bytes:
        metadata = (*self._metadata, (SESSION_KEY, session)) if session else self._metadata
        try:
            reply: bytes = self._methods[method](request, timeout=left_s, metadata=metadata)
        except self._grpc.RpcError as error:
            raise self._explain(method, error, timeout_s) from error
        except ValueError as error:  # The channel was closed.
            raise ServerUnreachable(f"the connection to {self.url} is closed") from error
        return reply

    def _explain(self, method: str, error: Any, timeout_s: float) -> PolicyError:
        name, details = error.code().name, error.details() or ""
        told = decode_error(details.encode(), Form.JSON)
        if told is not None:
            return told
        if name == "DEADLINE_EXCEEDED":
            return PolicyTimeout(f"the policy server at {self.url} did not answer {method} within {timeout_s:g} s")
        if name == "UNAVAILABLE":
            return ServerUnreachable(f"the policy server at {self.url} cannot be reached: {details}")
        return error_of_status(name, f"{method} at {self.url}: {details}")

    def deadline_s(self, method: str, server: str) -> float:
        """How long a call may take: longer until one of its kind has succeeded at this server process."""
        deadlines = self.deadlines
        return deadlines.act_s if (method, server) in self._warm else max(deadlines.first_act_s, deadlines.act_s)

    def trust(self, method: str, server: str) -> None:
        """A call of this kind has succeeded."""
        self._warm.add((method, server))


class GrpcSession:
    """One rollout's line to the policy. Not shared between threads."""

    def __init__(self, connection: GrpcConnection, session: str, server: str) -> None:
        """Take what the server gave."""
        self._connection, self._id, self._server = connection, session, server
        self._is_closed = False

    @property
    def id(self) -> str:
        """The id that the server gave."""
        return self._id

    def reset(self, episode: EpisodeInfo) -> None:
        """Start an episode or a further stage.

        Raises:
            PolicyError: as `PolicySession.act`.
        """
        request = new_id()
        reply = self._ask("Reset", encode_reset(episode, request))
        check_receipt(self._id, episode, request, decode_receipt(reply), self._server)
        self._connection.trust("Reset", self._server)

    def act(self, observation: Observation) -> ActionChunk:
        """Ask once; see `PolicySession.act`."""
        chunk = decode_chunk(self._ask("Act", encode_observation(observation)))
        check_reply(observation.identity, chunk, self._server)
        self._connection.trust("Act", self._server)
        return chunk

    def _ask(self, method: str, request: bytes) -> bytes:
        timeout_s = self._connection.deadline_s(method, self._server)
        return self._connection.call(method, request, timeout_s, self._id)

    def close(self) -> None:
        """Tell the server to forget the session; never raises."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(PolicyError):  # What was not told expires by itself.
            self._connection.call("Close", b"", _CLOSE_S, self._id)
