"""Serve a policy over gRPC: in this process until a signal (`serve`), or in a thread (`BackgroundServer`)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from vla_bench.policies.base import Policy
from vla_bench.policies.codec import MAX_BYTES
from vla_bench.policies.grpc.service import PolicyService
from vla_bench.policies.grpc.wire import import_grpc
from vla_bench.policies.host import PolicyHost
from vla_bench.policies.listening import warn_if_open
from vla_bench.policies.memory import keep_freed_memory

__all__ = ["BackgroundServer", "serve"]


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
        token: what clients must show as `authorization: Bearer TOKEN`; None lets everybody in.
        max_wait_s: the longest wait of a batch for sessions that have not asked, seconds.
        session_expiry_s: a session without a request for so long is closed, seconds.
        max_bytes: the longest message.
        on_ready: told the port once the server answers.

    Raises:
        MissingExtra: gRPC is not installed.
        UsageError: the address cannot be listened on.
        PolicyRaised, BadReply: from the policy's `info`.
    """
    import_grpc()
    warn_if_open(host, token)
    keep_freed_memory()
    policy_host = PolicyHost(policy, max_wait_s=max_wait_s, session_expiry_s=session_expiry_s)
    asyncio.run(_serve(PolicyService(policy_host, token=token, max_bytes=max_bytes), host, port, on_ready))


async def _serve(service: PolicyService, host: str, port: int, on_ready: Callable[[int], None] | None) -> None:
    try:
        with _until_signal() as stopped:
            bound = await service.start(host, port)
            if on_ready is not None:
                on_ready(bound)
            await stopped.wait()
    finally:
        await service.stop()


@contextlib.contextmanager
def _until_signal() -> Iterator[asyncio.Event]:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class BackgroundServer:
    """A real server in a thread of this process, for tests and notebooks; use it in a `with` statement.

    Attributes:
        host: the sessions and counters behind it.
        port: where it listens, on the loopback interface.
        url: `grpc://127.0.0.1:PORT`.
    """

    def __init__(self, policy: Policy, *, port: int = 0, token: str | None = None, max_bytes: int = MAX_BYTES) -> None:
        """Start it; returns once it answers. The arguments are those of `serve`.

        Raises:
            MissingExtra, UsageError, PolicyRaised, BadReply: as `serve`.
        """
        import_grpc()
        self.host = PolicyHost(policy)
        self._service = PolicyService(self.host, token=token, max_bytes=max_bytes)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="policy-server-grpc", daemon=True)
        self._thread.start()
        try:
            starting = asyncio.run_coroutine_threadsafe(self._service.start(port=port), self._loop)
            self.port: int = starting.result()
        except BaseException:
            self.stop()
            raise
        self.url = f"grpc://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Close all sessions and sockets; safe to call twice."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._service.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
