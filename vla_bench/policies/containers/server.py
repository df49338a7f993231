"""A policy server in a container that cannot outlive its parent, whatever happens to either.

The engine's program runs in the foreground as our guarded child, and its output is kept. The guard removes the
container, so that it goes away with the parent even after SIGKILL. `--rm` removes it where it ends by itself.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import platformdirs
import structlog

from vla_bench.policies.containers.engines import find_engine
from vla_bench.policies.containers.image import ImageReference
from vla_bench.policies.containers.options import ContainerOptions
from vla_bench.policies.guarded import GuardedProcess
from vla_bench.spec.errors import PolicyTimeout, ServerUnreachable, UsageError

__all__ = ["ContainerServer", "log_folder"]

GRACE_S: Final = 3
KEPT_LOGS: Final = 20
POLL_S: Final = 0.1
_ENGINE_FAULT: Final = 125
"""Status with which an engine says that it was its own fault, or the command line's: nothing ran."""
# $1 the engine, $2 the container; apptainer's have no name, their processes are all there is. A container may appear
# some seconds after it was asked for. The guard is in the group that it kills at last: so the group's id is nobody
# else's.
_GUARD: Final = """
read -r _
if [ -n "$2" ]; then for _ in 1 2 3 4 5 6; do "$1" rm --force "$2"; sleep 0.5; done; fi
kill -s KILL 0
"""

log = structlog.get_logger(__name__)


class ContainerServer:
    """A running server in a container; a random token is offered to it.

    Attributes:
        url: where it is reached, `http://127.0.0.1:PORT`.
        token: what clients send; a server that asks for none does not mind.
        pid: of the engine's program.
        image_digest: `sha256:…` of the image; empty where the engine knows none.
        log_path: everything that it wrote.
    """

    url: str
    token: str
    pid: int
    image_digest: str
    log_path: Path

    def __init__(
        self, image: ImageReference, options: Mapping[str, Any], container: ContainerOptions, *, start_s: float
    ) -> None:
        """Start it and wait until it answers; nothing is left behind where that fails.

        Args:
            image: fetched where it is not here.
            options: of the policy, appended to the entry point as `-o key=value`.
            container: GPUs, mounts and so on.
            start_s: how long the start and the loading of weights may take; fetching an image is not counted.

        Raises:
            UsageError: no engine works, there is no such image, or the engine refuses the command.
            ServerUnreachable: it ended before it answered; the message has its last words.
            PolicyTimeout: it did not answer in time.
        """
        container.check_variables()
        self._engine = find_engine(container.engine)
        self._image = image
        log.info("container_image", image=image.text, engine=self._engine.kind)
        self.image_digest = self._engine.fetch(image)
        self.token = secrets.token_urlsafe(24)
        self._name = f"vla-bench-{secrets.token_hex(6)}"
        self.log_path = _new_log(self._name)
        port = _free_port()
        arguments = [part for key, value in options.items() for part in ("-o", f"{key}={json.dumps(value)}")]
        self._process = GuardedProcess(
            self._engine.run_command(self._name, image, container, arguments, port),
            guard=["/bin/sh", "-c", _GUARD, "guard", self._engine.program, self._removable],
            env=self._engine.environment(container, self.token),
            log_path=self.log_path,
        )
        self.pid = self._process.pid
        try:
            self._process.send(b"")
            self.url = f"http://127.0.0.1:{self._await_answer(port, time.monotonic() + start_s, start_s)}"
        except BaseException:
            self.stop(grace_s=0.0)
            raise
        log.info("policy_container_started", image=image.text, name=self._name, url=self.url)

    @property
    def is_alive(self) -> bool:
        """Whether the container has not ended."""
        return self._process.is_alive

    def last_words(self) -> str:
        """How it ended and the last line that it wrote, or why it was stopped; empty while it lives."""
        words = self._process.last_words()
        return f"{words} (all of it: {self.log_path})" if words else ""

    def stop(self, grace_s: float = GRACE_S, why: str = "it was stopped") -> None:
        """End and remove it; safe to call twice.

        Args:
            grace_s: how long the server may take after SIGTERM before SIGKILL.
            why: what `last_words` says from now on, where it lives still.
        """
        self._process.blame(why)
        if self._removable:
            if self.is_alive and grace_s > 0:
                self._engine.ask("stop", "--time", str(max(1, round(grace_s))), self._name)
            self._engine.ask("rm", "--force", self._name)
        self._process.stop(0.0 if self._removable else grace_s, why)

    @property
    def _removable(self) -> str:
        """The container's name where the engine knows it by one, else empty."""
        return self._name if self._engine.has_daemon_names else ""

    def _await_answer(self, port: int, deadline: float, start_s: float) -> int:
        found = None if self._engine.has_daemon_names else port
        while True:
            if not self.is_alive:
                raise self._start_error()
            if found is None:
                found = self._engine.published_port(self._name)
            elif _answers(found):
                return found
            if time.monotonic() > deadline:
                raise PolicyTimeout(
                    f"the server in image {self._image.text!r} did not answer /healthz within {start_s:g} s; "
                    f"its last line: {self._process.last_line() or 'nothing'} (all of it: {self.log_path})"
                )
            time.sleep(POLL_S)

    def _start_error(self) -> Exception:
        words = self.last_words()
        if self._process.status == _ENGINE_FAULT:
            return UsageError(f"{self._engine.kind} refuses to run {self._image.text!r}: {words}")
        return ServerUnreachable(f"the server in image {self._image.text!r} did not start: {words}")


def log_folder() -> Path:
    """Where the output of containers is kept: `container-logs` in `VLA_BENCH_HOME` or the user's data folder."""
    home = os.environ.get("VLA_BENCH_HOME") or platformdirs.user_data_dir("vla-bench", appauthor=False)
    return Path(home).expanduser() / "container-logs"


def _new_log(name: str) -> Path:
    """The path of a new log; the oldest ones make room."""
    folder = log_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for path in kept[: max(0, len(kept) - KEPT_LOGS + 1)]:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"the logs of containers cannot be kept in {folder}: {error}. Set VLA_BENCH_HOME") from error
    return folder / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{name}.log"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):  # not yet
        return False
    finally:
        connection.close()
