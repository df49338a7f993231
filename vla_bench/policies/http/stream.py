"""A socket with one absolute deadline for everything that is done with it: connect, send, receive, byte by byte or not.

The usual read timeout starts anew with each byte, so that a server which drips could hold a run for ever.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import sys
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final

import httpcore2

__all__ = ["Deadline", "DeadlineBackend"]

_HEAD_END: Final = b"\r\n\r\n"
_READ_BYTES: Final = 64 * 1024


class Deadline:
    """The end of the present exchange, shared by those who take part in it.

    Attributes:
        at: on the monotonic clock, seconds.
    """

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = 0.0

    def left(self) -> float:
        """Seconds left, above 0.

        Raises:
            TimeoutError: none are left.
        """
        left = self.at - monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


class DeadlineBackend(httpcore2.NetworkBackend):
    """Opens the connections of one session; remembers the last."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self.stream: DeadlineStream | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> DeadlineStream:
        """Connect to the first address of the host that answers; all of them together have until the deadline."""
        try:
            self.stream = DeadlineStream(_connect(host, port, self._deadline), self._deadline)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(error.strerror or str(error)) from error
        return self.stream


class DeadlineStream(httpcore2.NetworkStream):
    """A connected socket.

    Attributes:
        is_broken: the other side closed it, or the network did.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline
        self._head = b""
        self._n_received = 0
        self._has_surplus = False
        self.is_broken = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive at most `max_bytes`; none means that the other side has closed."""
        try:
            self._socket.settimeout(self._deadline.left())
            data = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from error
        except OSError as error:
            self.is_broken = True
            raise httpcore2.ReadError(error.strerror or str(error)) from error
        self.is_broken = not data
        self._n_received += len(data)
        if _HEAD_END not in self._head and len(self._head) <= _READ_BYTES:
            self._head += data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything."""
        view = memoryview(buffer)
        try:
            while view:
                self._socket.settimeout(self._deadline.left())
                view = view[self._socket.send(view) :]
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            self.is_broken = True
            raise httpcore2.WriteError(error.strerror or str(error)) from error

    def end_reply(self, n_body: int, *, is_length_known: bool) -> None:
        """Mark the end of a reply: bytes beyond it belong to no question, and the connection is not used again.

        Args:
            n_body: bytes of the body.
            is_length_known: whether the reply's head told that number; else where it ended cannot be checked.
        """
        n_head = self._head.find(_HEAD_END) + len(_HEAD_END)
        self._has_surplus = not is_length_known or self._n_received != n_head + n_body
        self._head, self._n_received = b"", 0

    def abort(self) -> None:
        """End what another thread does with the socket now, as if the other side had closed it."""
        with contextlib.suppress(OSError):  # it has closed it
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> DeadlineStream:
        """Put TLS on the connection."""
        try:
            self._socket.settimeout(self._deadline.left())
            self._socket = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.close()
            raise httpcore2.ConnectError(error.strerror or str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        """What HTTPcore asks: a connection readable between two exchanges has ended or carries something unasked."""
        if info == "is_readable":
            return self._has_surplus or _is_readable(self._socket)
        if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket):
            return self._socket
        return None


def _connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    problem: OSError = ConnectionError(f"no address for {host}")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left())
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            sock.close()
            raise
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem


def _is_readable(sock: socket.socket) -> bool:
    if sock.fileno() < 0:
        return True
    if sys.platform == "win32":
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()  # unlike select, without a limit on descriptors
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
