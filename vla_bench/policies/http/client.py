"""The client of the act() API over HTTP: `connect(url)`, then one session, on a connection of its own, per rollout."""

from __future__ import annotations

import contextlib
import threading
from typing import Final
from urllib.parse import urlsplit

import httpx2

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
from vla_bench.policies.http.transport import DeadlineTransport
from vla_bench.policies.identity import check_receipt, check_reply, check_same_policy
from vla_bench.policies.sessions import new_id
from vla_bench.spec.errors import (
    BadReply,
    MessageTooLarge,
    PolicyChanged,
    PolicyError,
    PolicyTimeout,
    ServerUnreachable,
    Unauthorized,
    UsageError,
)
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["HttpConnection", "HttpSession", "connect"]

_CLOSE_S: Final = 2.0
"""A server that does not answer to the closing of a session within this forgets it by itself, later."""


def connect(
    url: str, *, token: str | None = None, deadlines: Deadlines = Deadlines(), max_bytes: int = MAX_BYTES
) -> HttpConnection:
    """Reach a policy server and read its handshake.

    Args:
        url: `http://host:port`, or `https://…`; a path in front of the endpoints is kept.
        token: bearer token of the server.
        deadlines: of each call, whole.
        max_bytes: the longest message, in either direction.

    Raises:
        UsageError: the URL is none.
        ServerUnreachable, PolicyTimeout, Unauthorized, BadReply, MessageTooLarge: see there.
    """
    return HttpConnection(url, token=token, deadlines=deadlines, max_bytes=max_bytes)


class _Line:
    """Requests to one server over one connection, one at a time."""

    def __init__(self, url: httpx2.URL, token: str | None, max_bytes: int) -> None:
        self._name, self._max_bytes = str(url), max_bytes
        self._transport = DeadlineTransport(url, max_bytes=max_bytes)
        headers = {"accept": Form.MSGPACK, "content-type": Form.MSGPACK, "accept-encoding": "identity"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        # Proxies of the environment are for the web, not for a policy server.
        self._client = httpx2.Client(base_url=url, headers=headers, transport=self._transport, trust_env=False)
        # Parsing a URL costs a tenth of an exchange, and a session has three.
        self._urls: dict[str, httpx2.URL] = {}

    def exchange(self, method: str, path: str, timeout_s: float, body: bytes = b"") -> tuple[bytes, Form]:
        """Send a request; returns the body of a good reply and its form, else raises what the reply says."""
        if len(body) > self._max_bytes:
            raise MessageTooLarge(f"a request of {len(body)} bytes to {self._name}; the limit is {self._max_bytes}")
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = self._client.build_request(method, path).url
        request = self._client.build_request(method, url, content=body, extensions={"timeout_s": timeout_s})
        reply = self._client.send(request)
        if reply.status_code == 204:
            return b"", Form.MSGPACK
        content_type = reply.headers.get("content-type", "").partition(";")[0]
        form = Form(content_type) if content_type in tuple(Form) else None
        if reply.status_code != 200:
            self.drop()
            raise (decode_error(reply.content, form) if form else None) or self._refusal(reply)
        if form is None:
            self.drop()
            raise BadReply(f"{self._name} answers in {content_type!r}: not a policy server of this API")
        return reply.content, form

    def abort(self) -> None:
        """End the exchange that another thread is in."""
        self._transport.abort()

    def drop(self) -> None:
        """Close the connection; the next exchange opens another."""
        self._transport.close()

    def close(self) -> None:
        """Free everything."""
        self._client.close()

    def _refusal(self, reply: httpx2.Response) -> PolicyError:
        said = f"{self._name} answers with status {reply.status_code}"
        if reply.status_code in (401, 403):
            return Unauthorized(f"{said}: give the server's token")
        if reply.status_code == 413:
            return MessageTooLarge(f"{said}: the request is too large for it")
        if reply.status_code in (502, 503, 504):
            return ServerUnreachable(said)
        return BadReply(f"{said}: not a policy server of this API")


class HttpConnection:
    """A policy behind a URL (`PolicyConnection`). Threads may share it, not its sessions.

    Attributes:
        url: of the server.
    """

    def __init__(self, url: str, *, token: str | None, deadlines: Deadlines, max_bytes: int) -> None:
        self._url = _parse(url)
        self._token, self._deadlines, self._max_bytes = token, deadlines, max_bytes
        self._sessions: set[HttpSession] = set()
        self._lock = threading.Lock()
        self.url = url
        # Calls of this kind that have succeeded at this server process: the first one may take longer.
        self._warm: set[tuple[str, str]] = set()
        line = self._new_line()
        try:
            self._handshake = decode_info(*line.exchange("GET", "v1/policy", deadlines.connect_s))
        finally:
            line.close()

    @property
    def info(self) -> PolicyInfo:
        """The handshake, read when the connection was made."""
        return self._handshake.info

    def open_session(self) -> HttpSession:
        """Open a session; its server must still be the policy of the handshake, in whatever process.

        Raises:
            PolicyChanged: another policy answers now.
            ServerUnreachable, PolicyTimeout, Unauthorized, BadReply: see there.
        """
        line = self._new_line()
        try:
            opening = decode_opening(*line.exchange("POST", "v1/sessions", self._deadlines.connect_s))
            if opening.digest != self._handshake.digest:
                now = decode_info(*line.exchange("GET", "v1/policy", self._deadlines.connect_s))
                check_same_policy(self.info, now.info, self.url)  # says which field differs
                raise PolicyChanged(f"the digest of the policy at {self.url} is not the one of the handshake")
            session = HttpSession(self, line, opening.session, opening.server)
        except BaseException:
            line.close()
            raise
        with self._lock:
            self._sessions.add(session)
        return session

    def close(self) -> None:
        """Close the sessions that are still open, and end what they wait for; safe to call twice."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    def _new_line(self) -> _Line:
        return _Line(self._url, self._token, self._max_bytes)

    def _deadline_s(self, method: str, server: str) -> float:
        deadlines = self._deadlines
        return deadlines.act_s if (method, server) in self._warm else max(deadlines.first_act_s, deadlines.act_s)

    def _forget(self, session: HttpSession) -> None:
        with self._lock:
            self._sessions.discard(session)


class HttpSession:
    """A session at a policy server (`PolicySession`). Belongs to one thread, but `close` may come from any."""

    def __init__(self, connection: HttpConnection, line: _Line, session: str, server: str) -> None:
        self._connection, self._line = connection, line
        self._id, self._server = session, server
        self._path = f"v1/sessions/{session}"
        self._is_reachable = True
        self._is_closed = False
        self._calls = threading.Lock()

    @property
    def id(self) -> str:
        """The id that the server gave; part of every `Identity`."""
        return self._id

    def reset(self, episode: EpisodeInfo) -> None:
        """Start an episode or a further stage.

        Raises:
            StaleReply: the reply belongs to another request, or comes from another server process.
            PolicyError: any other of its children but `ActionError`.
        """
        request = new_id()
        try:
            receipt = decode_receipt(*self._call("reset", encode_reset(episode, request)))
            check_receipt(self._id, episode, request, receipt, self._server)
        except BaseException as error:
            self._doubt(error)
            raise
        self._trust("reset")

    def act(self, observation: Observation) -> ActionChunk:
        """Ask once; the reply is whole, in time, and of this very request. Its actions are unchecked numbers.

        Raises:
            StaleReply: the reply belongs to another request, or comes from another server process.
            PolicyError: any other of its children but `ActionError`.
        """
        try:
            chunk = decode_chunk(*self._call("act", encode_observation(observation)))
            check_reply(observation.identity, chunk, self._server)
        except BaseException as error:
            self._doubt(error)
            raise
        self._trust("act")
        return chunk

    def close(self) -> None:
        """Tell the server to forget the session, unless it has just been silent; never raises. Safe to call twice.

        A call that is going on in another thread ends with `ServerUnreachable`, and that thread closes the session.
        """
        if not self._calls.acquire(blocking=False):
            self._line.abort()
            return
        try:
            self._close()
        finally:
            self._calls.release()

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._connection._forget(self)
        # A server that does not hear it forgets the session by itself when it expires.
        with contextlib.suppress(PolicyError):
            if self._is_reachable:
                self._line.exchange("DELETE", self._path, _CLOSE_S)
        self._line.close()

    def _call(self, method: str, body: bytes) -> tuple[bytes, Form]:
        timeout_s = self._connection._deadline_s(method, self._server)
        with self._calls:
            return self._line.exchange("POST", f"{self._path}/{method}", timeout_s, body)

    def _trust(self, method: str) -> None:
        self._is_reachable = True
        self._connection._warm.add((method, self._server))

    def _doubt(self, error: BaseException) -> None:
        """After any error the connection is not used again: what still comes on it belongs to nobody."""
        self._is_reachable = not isinstance(error, (PolicyTimeout, ServerUnreachable))
        self._line.drop()


def _parse(url: str) -> httpx2.URL:
    try:
        urlsplit(url)  # stricter about brackets than httpx2, which would escape them
        parsed = httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL) as error:
        raise UsageError(f"not a URL: {url!r}: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"a policy server's URL is http://host:port or https://host, not {url!r}")
    return parsed
