"""The policy server's web application: FastAPI for its table and documentation, bare ASGI where it is hot.

`act` is reached past FastAPI's routing and middleware, which would cost about as much as the transport itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from vla_bench.policies.codec import (
    MAX_BYTES,
    Form,
    Opening,
    Receipt,
    decode_observation,
    decode_reset,
    encode_chunk,
    encode_info,
    encode_opening,
    encode_receipt,
)
from vla_bench.policies.host import PolicyHost
from vla_bench.policies.http.exchange import Exchange, Receive, Scope, Send
from vla_bench.spec.errors import BadRequest, PolicyError, Unauthorized
from vla_bench.spec.messages import Identity

__all__ = ["PolicyApp"]

_SESSIONS: Final = "/v1/sessions"
_ACT_PREFIX: Final = f"{_SESSIONS}/"
_ACT_SUFFIX: Final = "/act"


class PolicyApp:
    """An ASGI application that serves a `PolicyHost`; stops it when the server shuts down."""

    def __init__(self, host: PolicyHost, *, token: str | None = None, max_bytes: int = MAX_BYTES) -> None:
        """Build the table of endpoints.

        Args:
            host: of the policy.
            token: bearer token that every endpoint but `/healthz` asks for; None asks for none.
            max_bytes: the longest request body.
        """
        self._host, self._max_bytes = host, max_bytes
        self._token = token.encode() if token else b""
        self._table = self._make_table()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._table(scope, receive, send)
            return
        path: str = scope["path"]
        if self._token and path != "/healthz":
            exchange = Exchange(scope, receive)
            try:
                exchange.authorize(self._token)
            except Unauthorized as error:
                await exchange.reply(send, *exchange.failure(error))
                return
        if path.endswith(_ACT_SUFFIX) and path.startswith(_ACT_PREFIX) and scope["method"] == "POST":
            exchange = Exchange(scope, receive)
            session = path[len(_ACT_PREFIX) : -len(_ACT_SUFFIX)]
            await exchange.reply(send, *await _settle(exchange, self._act(exchange, session)))
            return
        await self._table(scope, receive, send)

    def _make_table(self) -> FastAPI:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield
            await self._host.stop()

        table = FastAPI(
            title="vla-bench policy server",
            description=f"The act() API. Bodies are {' or '.join(Form)}; an error is a map of kind and message.",
            version="1",
            lifespan=lifespan,
        )
        table.add_api_route("/healthz", self._get_health, methods=["GET"], summary="Whether the server answers")
        table.add_api_route("/metrics", self._get_metrics, methods=["GET"], summary="Counters, for Prometheus")
        table.add_api_route("/v1/policy", self._get_policy, methods=["GET"], summary="The handshake")
        table.add_api_route(_SESSIONS, self._post_session, methods=["POST"], summary="Open a session")
        session = f"{_SESSIONS}/{{session}}"
        table.add_api_route(
            session, self._delete_session, methods=["DELETE"], summary="Close a session", status_code=204
        )
        table.add_api_route(f"{session}/reset", self._post_reset, methods=["POST"], summary="Start an episode or stage")
        table.add_api_route(f"{session}/act", self._post_act, methods=["POST"], summary="Observation → action chunk")
        table.add_exception_handler(HTTPException, _unknown_endpoint)
        return table

    async def _get_health(self) -> dict[str, str]:
        return {"status": "ok"}

    async def _get_metrics(self) -> Response:
        text = self._host.metrics.render(self._host.n_sessions)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _get_policy(self, request: Request) -> Response:
        exchange = _exchange_of(request)
        return _response(exchange, 200, encode_info(self._host.info, self._host.server_id, exchange.reply_form))

    async def _post_session(self, request: Request) -> Response:
        exchange = _exchange_of(request)
        return _response(exchange, *await _settle(exchange, self._open(exchange)))

    async def _delete_session(self, request: Request, session: str) -> Response:
        exchange = _exchange_of(request)
        status, body = await _settle(exchange, self._close(session))
        return Response(status_code=204) if status == 200 else _response(exchange, status, body)

    async def _post_reset(self, request: Request, session: str) -> Response:
        exchange = _exchange_of(request)
        return _response(exchange, *await _settle(exchange, self._reset(exchange, session)))

    async def _post_act(self, request: Request, session: str) -> Response:
        exchange = _exchange_of(request)
        return _response(exchange, *await _settle(exchange, self._act(exchange, session)))

    async def _open(self, exchange: Exchange) -> bytes:
        session = await self._host.open()
        return encode_opening(Opening(session, self._host.digest, self._host.server_id), exchange.reply_form)

    async def _close(self, session: str) -> bytes:
        await self._host.close(session)
        return b""

    async def _reset(self, exchange: Exchange, session: str) -> bytes:
        episode, request = decode_reset(await exchange.read(self._max_bytes), exchange.form)
        await self._host.reset(session, episode)
        identity = Identity(session, episode.episode, episode.attempt, episode.stage, 0, request)
        return encode_receipt(Receipt(identity, self._host.server_id), exchange.reply_form)

    async def _act(self, exchange: Exchange, session: str) -> bytes:
        observation = decode_observation(await exchange.read(self._max_bytes), exchange.form)
        if observation.identity.session != session:
            raise BadRequest(f"a question of session {observation.identity.session!r} at the URL of {session!r}")
        return encode_chunk(await self._host.act(observation), exchange.reply_form)


async def _settle(exchange: Exchange, answer: Awaitable[bytes]) -> tuple[int, bytes]:
    """Await an answer; an error becomes the status and the body that tell it."""
    try:
        return 200, await answer
    except PolicyError as error:
        return exchange.failure(error)


def _exchange_of(request: Request) -> Exchange:
    return Exchange(request.scope, request.receive)


def _response(exchange: Exchange, status: int, body: bytes) -> Response:
    return Response(body, status_code=status, media_type=exchange.reply_form.value)


async def _unknown_endpoint(request: Request, error: Exception) -> Response:
    """Whatever FastAPI itself refuses: a path or method that is not in the table."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    exchange = _exchange_of(request)
    _, body = exchange.failure(BadRequest(f"the policy server has no {request.method} {request.url.path}"))
    return _response(exchange, status, body)
