"""The methods of the gRPC service: a thin layer over `PolicyHost`, on the same event loop as its batching."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog

from vla_bench.policies.codec import (
    MAX_BYTES,
    Form,
    Opening,
    Receipt,
    decode_observation,
    decode_reset,
    encode_chunk,
    encode_error,
    encode_info,
    encode_opening,
    encode_receipt,
)
from vla_bench.policies.grpc.wire import SERVICE, SESSION_KEY, TOKEN_KEY, import_grpc, limits, status_name
from vla_bench.policies.host import PolicyHost
from vla_bench.spec.errors import BadRequest, MessageTooLarge, PolicyError, Unauthorized, UsageError
from vla_bench.spec.messages import Identity

if TYPE_CHECKING:
    import grpc.aio

__all__ = ["PolicyService"]

_GRACE_S: Final = 1.0

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Answerer: TypeAlias = Callable[[bytes, Context], Awaitable[bytes]]

log = structlog.get_logger(__name__)


class PolicyService:
    """The gRPC server of one host. All methods belong to one event loop."""

    def __init__(self, host: PolicyHost, *, token: str | None = None, max_bytes: int = MAX_BYTES) -> None:
        """Prepare; `start` listens."""
        self._host, self._max_bytes = host, max_bytes
        self._secret = f"Bearer {token}".encode() if token else None
        self._grpc = import_grpc()
        self._server: Any = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and return the port.

        Raises:
            UsageError: the address cannot be bound.
        """
        grpc = self._grpc
        # Without the last option two servers could share a port and answer in turns.
        server = grpc.aio.server(options=[*limits(self._max_bytes), ("grpc.so_reuseport", 0)])
        guarded: dict[str, Answerer] = {
            "Info": self._info,
            "Open": self._open,
            "Reset": self._reset,
            "Act": self._act,
            "Close": self._close,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._guard(answer)) for name, answer in guarded.items()
        } | {"Health": grpc.unary_unary_rpc_method_handler(self._health)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = int(server.add_insecure_port(address))
        except RuntimeError as error:
            raise UsageError(f"cannot listen at {address}: is the port in use? {error}") from error
        await server.start()
        self._server = server
        log.info("policy_server_ready", transport="grpc", port=bound)
        return bound

    async def stop(self) -> None:
        """Answer no more and free the policy's thread; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(_GRACE_S)
        await self._host.stop()

    def _guard(self, answer: Answerer) -> Answerer:
        """Check the token, and turn a `PolicyError` into a status."""

        async def guarded(request: bytes, context: Context) -> bytes:
            try:
                self._check_token(context)
                reply = await answer(request, context)
                if len(reply) > self._max_bytes:
                    raise MessageTooLarge(f"the answer has {len(reply)} bytes, the limit is {self._max_bytes}")
                return reply
            except PolicyError as error:
                code = self._grpc.StatusCode[status_name(error)]
                await context.abort(code, encode_error(error, Form.JSON).decode())

        return guarded

    def _check_token(self, context: Context) -> None:
        shown = _metadata(context, TOKEN_KEY)
        if self._secret is not None and not hmac.compare_digest(shown.encode(), self._secret):
            raise Unauthorized("the policy server wants another token: send the one that it was started with")

    async def _info(self, request: bytes, context: Context) -> bytes:
        return encode_info(self._host.info, self._host.server_id)

    async def _open(self, request: bytes, context: Context) -> bytes:
        return encode_opening(Opening(await self._host.open(), self._host.digest, self._host.server_id))

    async def _reset(self, request: bytes, context: Context) -> bytes:
        session = _session(context)
        episode, request_id = decode_reset(request)
        await self._host.reset(session, episode)
        identity = Identity(session, episode.episode, episode.attempt, episode.stage, 0, request_id)
        return encode_receipt(Receipt(identity, self._host.server_id))

    async def _act(self, request: bytes, context: Context) -> bytes:
        return encode_chunk(await self._host.act(decode_observation(request)))

    async def _close(self, request: bytes, context: Context) -> bytes:
        await self._host.close(_session(context))
        return b""

    async def _health(self, request: bytes, context: Context) -> bytes:
        return b""


def _session(context: Context) -> str:
    session = _metadata(context, SESSION_KEY)
    if not session:
        raise BadRequest(f"the call names no session: metadata {SESSION_KEY} is missing")
    return session


def _metadata(context: Context, key: str) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == key:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""
