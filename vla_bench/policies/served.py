"""The line to a policy that a run holds: a connection, and the child server behind it where there is one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import structlog

from vla_bench.policies.base import Deadlines, PolicyConnection, PolicySession
from vla_bench.policies.containers import ContainerOptions, ContainerServer, ImageReference
from vla_bench.policies.identity import check_same_policy
from vla_bench.policies.launch import ChildServer
from vla_bench.spec.errors import ServerUnreachable
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Observation, PolicyInfo

__all__ = ["ServedPolicy", "connect_url"]

_log = structlog.get_logger(__name__)


def connect_url(url: str, *, token: str | None = None, deadlines: Deadlines = Deadlines()) -> PolicyConnection:
    """Connect to a running server by the transport that its URL names.

    Raises:
        MissingExtra: gRPC is not installed.
        ServerUnreachable, PolicyTimeout, Unauthorized, BadReply: see there.
    """
    if urlsplit(url).scheme == "grpc":
        from vla_bench.policies.grpc.client import connect as connect_grpc

        return connect_grpc(url, token=token, deadlines=deadlines)
    from vla_bench.policies.http.client import connect as connect_http

    return connect_http(url, token=token, deadlines=deadlines)


class ServedPolicy:
    """A `PolicyConnection` that can be restored after its server died. Threads may share it.

    Attributes:
        info: the handshake, under the user's own name for the policy where there is one; constant.
        generation: how often `restart` has replaced the connection; sessions belong to one generation.
    """

    info: PolicyInfo
    generation: int

    def __init__(
        self,
        *,
        target: str = "",
        url: str = "",
        image: str = "",
        container: ContainerOptions | None = None,
        options: Mapping[str, Any] | None = None,
        token: str | None = None,
        deadlines: Deadlines = Deadlines(),
        label: str = "",
    ) -> None:
        """Start a child server for `target` or a container of `image`, or take the server at `url`, and connect.

        Raises:
            UsageError: the policy cannot be imported or refuses its options.
            PolicyRaised: its own code raised while it was built.
            ServerUnreachable, PolicyTimeout, Unauthorized, BadReply: see there. Nothing is left running.
        """
        self._target, self._options, self._deadlines, self._label = target, dict(options or {}), deadlines, label
        self._url, self._token = url, token
        self._image = ImageReference.parse(image) if image else None
        self._container = container or ContainerOptions()
        self._lock = threading.RLock()
        self._child: ChildServer | ContainerServer | None = None
        self._connection: PolicyConnection | None = None
        self._retired: list[PolicyConnection] = []
        self._is_closed = False
        self.generation = 0
        self._found = self._open()
        self.info = replace(self._found, name=label) if label else self._found

    @property
    def url(self) -> str:
        """Where the server listens; another port after the restart of a child server."""
        child = self._child
        return child.url if child else self._url

    @property
    def token(self) -> str | None:
        """What the server asks for."""
        child = self._child
        return child.token if child else self._token

    @property
    def pid(self) -> int | None:
        """Process id of the child server or of a container's engine, None for a server behind a URL."""
        child = self._child
        return child.pid if child else None

    @property
    def is_alive(self) -> bool:
        """False where the child server's process has ended. Of a server behind a URL nothing is known: True."""
        child = self._child
        return child is None or child.is_alive

    def last_words(self) -> str:
        """How the child server ended and what it wrote last, for a message; empty while it lives and for a URL."""
        child = self._child
        return child.last_words() if child else ""

    def open_session(self) -> PolicySession:
        """Open a session; waits while another thread restarts the server.

        Raises:
            PolicyChanged: another policy answers now.
            ServerUnreachable, PolicyTimeout, Unauthorized: see there.
        """
        with self._lock:
            connection, child = self._connection, self._child
        if connection is None:
            raise ServerUnreachable("the policy server is not running")
        if child is None:
            return connection.open_session()
        try:
            return _ChildSession(connection.open_session(), child)
        except ServerUnreachable as error:
            raise _with_last_words(error, child) from error

    def restart(self, generation: int | None = None) -> None:
        """Put a new connection in the place of a broken one: a new child server, or the URL asked again.

        Args:
            generation: the one that the caller saw fail. Where another thread has replaced it since, nothing is done.

        Raises:
            PolicyChanged: what answers now is another policy.
            ServerUnreachable, PolicyTimeout, Unauthorized, PolicyRaised, UsageError: as at the start; try again later.
        """
        with self._lock:
            if self._is_closed or (generation is not None and generation != self.generation):
                return
            if self._child is not None:
                why = self._child.last_words() or "it does not answer"
                _log.warning("policy_server_replaced", pid=self._child.pid, why=why)
            self._retire()
            found = self._open()
            try:
                check_same_policy(self._found, found, self.url)
            except BaseException:
                self._retire()
                raise
            self.generation += 1

    def close(self) -> None:
        """Close the connection and stop the child server; safe to call twice."""
        with self._lock:
            self._is_closed = True
            connection, self._connection = self._connection, None
            child, self._child = self._child, None
            try:
                for line in (connection, *self._retired):
                    if line is not None:
                        line.close()
            finally:
                if child is not None:
                    child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> PolicyInfo:
        if self._target:
            start_s = max(self._deadlines.connect_s, self._deadlines.first_act_s)
            self._child = ChildServer(self._target, self._options, start_s=start_s)
        elif self._image is not None:
            start_s = max(self._deadlines.connect_s, self._deadlines.first_act_s)
            self._child = ContainerServer(self._image, self._options, self._container, start_s=start_s)
        try:
            self._connection = connect_url(self.url, token=self.token, deadlines=self._deadlines)
        except BaseException:
            self._retire()
            raise
        return self._with_image(self._connection.info)

    def _with_image(self, info: PolicyInfo) -> PolicyInfo:
        """The handshake with the image's digest among the options: it decides the answers as weights do."""
        digest = self._child.image_digest if isinstance(self._child, ContainerServer) else ""
        return replace(info, options={**info.options, "image": digest}) if digest else info

    def _retire(self) -> None:
        """Stop the child server at once. Sessions of the old connection are still in the hands of other threads."""
        if self._connection is not None:
            self._retired.append(self._connection)
            self._connection = None
        child, self._child = self._child, None
        if child is not None:
            child.stop(grace_s=0.0, why="it was replaced, since it did not answer")


class _ChildSession:
    """A session with a child server (`PolicySession`), which can say how that server ended where it did."""

    def __init__(self, session: PolicySession, child: ChildServer | ContainerServer) -> None:
        self._session, self._child = session, child

    @property
    def id(self) -> str:
        return self._session.id

    def reset(self, episode: EpisodeInfo) -> None:
        try:
            self._session.reset(episode)
        except ServerUnreachable as error:
            raise _with_last_words(error, self._child) from error

    def act(self, observation: Observation) -> ActionChunk:
        try:
            return self._session.act(observation)
        except ServerUnreachable as error:
            raise _with_last_words(error, self._child) from error

    def close(self) -> None:
        self._session.close()


def _with_last_words(error: ServerUnreachable, child: ChildServer | ContainerServer) -> ServerUnreachable:
    """A broken connection says nothing; how the server's process ended does."""
    words = child.last_words()
    return ServerUnreachable(f"the policy server of this run is gone: {words}") if words else error
