"""A policy server made by hand on bare sockets, so that it can misbehave byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from vla_bench.policies.codec import (
    Opening,
    Receipt,
    decode_observation,
    decode_reset,
    encode_chunk,
    encode_info,
    encode_opening,
    encode_receipt,
)
from vla_bench.policies.sessions import new_id
from vla_bench.spec.errors import BadRequest
from vla_bench.spec.messages import ActionChunk, Identity, Observation, PolicyInfo

SERVER = "raw"
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/msgpack\r\ncontent-length: {}\r\n\r\n"


def http(body: bytes, head: str = HEAD) -> bytes:
    """A whole reply."""
    return head.format(len(body)).encode() + body


class Talk:
    """One `act` and the socket on which it came.

    Attributes:
        n: how many came before it, on any connection.
        observation: decoded.
    """

    def __init__(self, connection: socket.socket, observation: Observation, n: int) -> None:
        self.connection, self.observation, self.n = connection, observation, n

    def chunk(self, value: float = 1.0, server: str = SERVER, **changes: object) -> bytes:
        """A chunk that answers this question, or one whose identity differs by `changes`."""
        identity = replace(self.observation.identity, **changes)  # type: ignore[arg-type]
        return encode_chunk(ActionChunk(actions=np.full((1, 4), value, np.float32), identity=identity, server=server))

    def send(self, data: bytes) -> None:
        """Send bytes; a client that has gone is its own affair."""
        with contextlib.suppress(OSError):
            self.connection.sendall(data)

    def drip(self, data: bytes, pause_s: float) -> None:
        """Send byte by byte."""
        with contextlib.suppress(OSError):
            for index in range(len(data)):
                self.connection.sendall(data[index : index + 1])
                time.sleep(pause_s)

    def cut(self) -> None:
        """End the connection at once."""
        self.connection.shutdown(socket.SHUT_RDWR)


class RawServer:
    """Speaks the API; each `act` goes to a function that may do what it likes with the socket.

    Attributes:
        n_connections: connections accepted so far.
        requests: ids of the questions that came, in order.
        info: what the next handshakes say.
    """

    def __init__(self, act: Callable[[Talk], None]) -> None:
        self._act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.n_connections = 0
        self.requests: list[str] = []
        self.info = PolicyInfo(name="raw")
        self.stopping = threading.Event()
        self._start(self._accept)

    def close(self) -> None:
        """End all connections and threads."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.n_connections += 1
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # What it cannot read ends the connection: it knows no better.
        with contextlib.suppress(OSError, BadRequest), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                method, path, _ = line.split()
                length = 0
                while (header := stream.readline().strip().lower()) != b"":
                    if header.startswith(b"content-length:"):
                        length = int(header.partition(b":")[2])
                self._answer(connection, method.decode(), path.decode(), stream.read(length))

    def _answer(self, connection: socket.socket, method: str, path: str, body: bytes) -> None:
        if path == "/v1/policy":
            connection.sendall(http(encode_info(self.info, SERVER)))
        elif path == "/v1/sessions":
            connection.sendall(http(encode_opening(Opening(new_id(), self.info.digest, SERVER))))
        elif path.endswith("/reset"):
            episode, request = decode_reset(body)
            session = path.split("/")[-2]
            identity = Identity(session, episode.episode, episode.attempt, episode.stage, 0, request)
            connection.sendall(http(encode_receipt(Receipt(identity, SERVER))))
        elif method == "DELETE":
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            observation = decode_observation(body)
            self.requests.append(observation.identity.request)
            self._act(Talk(connection, observation, len(self.requests) - 1))


@contextlib.contextmanager
def raw_server(act: Callable[[Talk], None]) -> Iterator[RawServer]:
    """A `RawServer` for one test."""
    with contextlib.closing(RawServer(act)) as server:
        yield server
