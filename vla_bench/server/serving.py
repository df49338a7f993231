"""What `vla-bench leaderboard` does: serve the application until a signal."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
from collections.abc import Callable, Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from vla_bench.server.pages.site import environment
from vla_bench.server.settings import Settings
from vla_bench.spec.errors import UsageError

__all__ = ["listen", "serve"]

GRACE_S = 10
"""How long requests in flight may take after a signal."""
KEEP_ALIVE_S = 20

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """Uvicorn that tells when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open for requests, then say so."""
        await super().startup(sockets)
        self._on_ready()


def serve(app: FastAPI, settings: Settings, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. Belongs in a process's main thread.

    Args:
        app: of `create_app`.
        settings: what it was made with.
        listener: of `listen`; closed at the end.
        on_ready: told the URL once the service answers.
    """
    host, port = settings.host, listener.getsockname()[1]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def ready() -> None:
        log.info("leaderboard_ready", url=url)
        on_ready(url)

    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
    )
    with contextlib.closing(listener), contextlib.suppress(KeyboardInterrupt), _warming():
        _Server(config, ready).run(sockets=[listener])


@contextlib.contextmanager
def _warming() -> Iterator[None]:
    """Load beside the first requests what the first page or submission would wait a second for."""
    thread = threading.Thread(target=_load_slow_parts, name="warming")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _load_slow_parts() -> None:
    import scipy.stats  # noqa: F401

    for name in environment().list_templates():
        environment().get_template(name)
    # What is loaded now stays: looking through it for garbage would hold up a page now and then. And rows of a large
    # submission are a million objects, none of them garbage before its end: Python's own rhythm is half of its time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def listen(settings: Settings) -> socket.socket:
    """Open the socket.

    Raises:
        UsageError: the address cannot be listened on.
    """
    host, port = settings.host, settings.port
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error}. Give another --host or --port") from error
