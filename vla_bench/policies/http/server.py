"""Serve a policy over HTTP: in this process until a signal (`serve`), or in a thread (`BackgroundServer`)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

import structlog
import uvicorn

from vla_bench.policies.base import Policy
from vla_bench.policies.codec import MAX_BYTES
from vla_bench.policies.host import PolicyHost
from vla_bench.policies.http.app import PolicyApp
from vla_bench.policies.listening import warn_if_open
from vla_bench.policies.memory import keep_freed_memory
from vla_bench.spec.errors import UsageError

__all__ = ["BackgroundServer", "serve"]

_KEEP_ALIVE_S: Final = 600
"""Longer than a simulator's slowest reset: between two questions the connection stays."""
_GRACE_S: Final = 1

log = structlog.get_logger(__name__)


def serve(
    policy: Policy,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    max_wait_s: float = 0.010,
    session_expiry_s: float = 1800.0,
    max_bytes: int = MAX_BYTES,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then close all sessions and return. Belongs in a process's main thread.

    Args:
        policy: called from one thread of its own.
        host: address to listen on; others than loopback want a token.
        port: 0 takes a free one.
        token: bearer token that clients must send.
        max_wait_s: the longest wait of a batch for sessions that have not asked, seconds.
        session_expiry_s: a session without a request for so long is closed, seconds.
        max_bytes: the longest request.
        on_ready: told the port once the server answers.

    Raises:
        UsageError: the address cannot be listened on.
        PolicyRaised, BadReply: from the policy's `info`.
    """
    keep_freed_memory()
    with contextlib.closing(_listen(host, port)) as listener:
        warn_if_open(host, token)
        policy_host = PolicyHost(policy, max_wait_s=max_wait_s, session_expiry_s=session_expiry_s)
        server = _Server(PolicyApp(policy_host, token=token, max_bytes=max_bytes), listener, on_ready)
        server.run(sockets=[listener])


class BackgroundServer:
    """A real server in a thread of this process, for tests and notebooks; use it in a `with` statement.

    Attributes:
        host: the sessions and counters behind it.
        port: where it listens, on the loopback interface.
        url: `http://127.0.0.1:PORT`.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        port: int = 0,
        token: str | None = None,
        max_wait_s: float = 0.010,
        session_expiry_s: float = 1800.0,
        max_sessions: int = 1024,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Start it; returns once it answers. The arguments are those of `serve` and `PolicyHost`.

        Raises:
            UsageError: the port cannot be listened on.
            PolicyRaised, BadReply: from the policy's `info`.
        """
        self._listener = _listen("127.0.0.1", port)
        try:
            self.host = PolicyHost(
                policy, max_wait_s=max_wait_s, session_expiry_s=session_expiry_s, max_sessions=max_sessions
            )
        except BaseException:
            self._listener.close()
            raise
        self._ready = threading.Event()
        app = PolicyApp(self.host, token=token, max_bytes=max_bytes)
        self._server = _Server(app, self._listener, lambda _: self._ready.set())
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, name=f"policy-server-{self.port}", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close all sessions and sockets; safe to call twice."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._ready.set()


class _Server(uvicorn.Server):
    """Uvicorn with our settings, which tells when it is ready and ends in peace at a signal."""

    def __init__(self, app: PolicyApp, listener: socket.socket, on_ready: Callable[[int], None] | None) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            interface="asgi3",
            lifespan="on",
            log_config=None,  # a library leaves logging to the program
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
        super().__init__(config)
        self._port: int = listener.getsockname()[1]
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open for requests, then say so."""
        await super().startup(sockets)
        log.info("policy_server_ready", port=self._port)
        if self._on_ready is not None:
            self._on_ready(self._port)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT; unlike uvicorn's, does not raise them again once everything is closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error}. Give another --host or --port") from error
