"""The client's way to one server: an httpx2 transport on one keep-alive connection, whole replies by a deadline.

Here, and only here, what sockets and HTTP parsers raise becomes a `PolicyError`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from time import monotonic
from typing import Final

import httpcore2
import httpx2

from vla_bench.policies.http.stream import Deadline, DeadlineBackend
from vla_bench.spec.errors import BadReply, MessageTooLarge, PolicyError, PolicyTimeout, ServerUnreachable

__all__ = ["DeadlineTransport"]

_BROKEN: Final = (httpcore2.NetworkError, httpcore2.RemoteProtocolError)


class DeadlineTransport(httpx2.BaseTransport):
    """Exchanges one request at a time. A request has its seconds in `extensions["timeout_s"]`.

    A kept connection that broke is replaced, and the request, which is idempotent by its identity, sent once more, all
    within the same deadline. A connection that carried more than the reply, or failed in any way, is never used again.
    """

    def __init__(self, url: httpx2.URL, *, max_bytes: int) -> None:
        """Connect to nothing yet.

        Args:
            url: of the server; its scheme, host and port.
            max_bytes: the longest body of a reply.
        """
        self._name = str(url)
        self._max_bytes = max_bytes
        port = url.port or (443 if url.scheme == "https" else 80)
        self._origin = httpcore2.Origin(url.raw_scheme, url.raw_host, port)
        self._deadline = Deadline()
        self._backend = DeadlineBackend(self._deadline)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._connection: httpcore2.HTTPConnection | None = None
        self._is_aborted = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read its reply whole.

        Raises:
            ServerUnreachable: refused, or broken off.
            PolicyTimeout: no whole reply before the deadline.
            BadReply: what came is not HTTP.
            MessageTooLarge: the reply is longer than `max_bytes`.
        """
        timeout_s: float = request.extensions["timeout_s"]
        self._deadline.at = monotonic() + timeout_s
        try:
            try:
                return self._exchange(request)
            except _BROKEN:
                if self._is_aborted or not self._was_kept or not self._is_broken:
                    raise
                return self._exchange(request)
        except httpcore2.TimeoutException as error:
            raise PolicyTimeout(f"no whole answer from {self._name} within {timeout_s:g} s") from error
        except (httpcore2.ConnectError, httpcore2.ReadError, httpcore2.WriteError) as error:
            raise self._unreachable(error) from error
        except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
            if self._is_broken:
                raise self._unreachable(error) from error
            raise BadReply(f"{self._name} does not answer in HTTP: {error}") from error

    def abort(self) -> None:
        """End the exchange that another thread is in: it raises `ServerUnreachable`, and nothing is sent again."""
        self._is_aborted = True
        if (stream := self._backend.stream) is not None:
            stream.abort()

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, request: httpx2.Request) -> httpx2.Response:
        connection = self._connection
        self._was_kept = connection is not None and not connection.is_closed() and not connection.has_expired()
        if connection is None or not self._was_kept:
            self.close()
            connection = self._connection = httpcore2.HTTPConnection(
                self._origin, ssl_context=self._tls, network_backend=self._backend
            )
        try:
            return self._talk(connection, request)
        except BaseException:
            self.close()
            raise

    def _talk(self, connection: httpcore2.HTTPConnection, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        reply = connection.handle_request(
            httpcore2.Request(
                request.method,
                httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        length = next((int(value) for name, value in reply.headers if name.lower() == b"content-length"), None)
        if length is not None and length > self._max_bytes:
            raise self._too_large()
        assert isinstance(reply.stream, Iterable)
        pieces, total = [], 0
        for piece in reply.stream:
            pieces.append(piece)
            total += len(piece)
            if total > self._max_bytes:
                raise self._too_large()
        reply.close()
        if self._backend.stream is not None:
            self._backend.stream.end_reply(total, is_length_known=length is not None)
        return httpx2.Response(reply.status, headers=reply.headers, content=b"".join(pieces))

    @property
    def _is_broken(self) -> bool:
        return self._backend.stream is not None and self._backend.stream.is_broken

    def _unreachable(self, error: Exception) -> PolicyError:
        if isinstance(error, httpcore2.ConnectError):
            return ServerUnreachable(
                f"cannot reach the policy server at {self._name}: {error}. `vla-bench serve NAME` starts one"
            )
        return ServerUnreachable(f"the connection to {self._name} broke before its answer was whole: {error}")

    def _too_large(self) -> MessageTooLarge:
        return MessageTooLarge(f"the answer of {self._name} is longer than {self._max_bytes} bytes")
