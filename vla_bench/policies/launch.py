"""A policy server of this installation as a child process (`vla_bench.policies.child`), guarded."""

from __future__ import annotations

import json
import os
import secrets
import select
import sys
from collections.abc import Mapping
from time import monotonic
from typing import IO, Any, Final

import structlog

from vla_bench.policies.guarded import GuardedProcess
from vla_bench.spec.errors import (
    MissingExtra,
    PolicyRaised,
    PolicyTimeout,
    ServerUnreachable,
    UsageError,
    VlaBenchError,
)

__all__ = ["ChildServer"]

_GRACE_S: Final = 3.0
"""How long a server may take to close its sockets after SIGTERM."""

_log = structlog.get_logger(__name__)


class ChildServer:
    """A running child server on a free port of the loopback interface, behind a random token.

    Attributes:
        url: where it listens, `http://127.0.0.1:PORT`.
        token: what it asks for.
        pid: its process id, which is also the id of its process group.
    """

    url: str
    token: str
    pid: int

    def __init__(self, target: str, options: Mapping[str, Any], *, start_s: float) -> None:
        """Start it and wait until it listens; nothing is left behind where that fails.

        Args:
            target: a registered name, `module:Class` or `file.py:Class`.
            options: keywords of the policy, plain JSON values.
            start_s: how long import and loading of weights may take.

        Raises:
            UsageError: the policy cannot be imported or refuses its options.
            PolicyRaised: its own code raised while it was built.
            ServerUnreachable: the process died before it listened; the message has its last words.
            PolicyTimeout: it did not listen in time.
        """
        self._target = target
        self.token = secrets.token_urlsafe(24)
        ready_read, ready_write = os.pipe()
        with os.fdopen(ready_read, "rb", buffering=0) as ready:
            try:
                # -P: a random.py in the user's folder is not to stand for the standard library's. -u: what the policy
                # prints last is read even where the process is killed.
                command = [sys.executable, "-P", "-u", "-m", "vla_bench.policies.child", str(ready_write)]
                self._process = GuardedProcess(command, pass_fds=(ready_write,))
            finally:
                os.close(ready_write)
            self.pid = self._process.pid
            try:
                # Through a pipe: a command line is there for every user of the machine to read. And only now, so that
                # a server whose parent died before there was a guard finds an empty order and ends.
                order = {"target": target, "options": dict(options), "token": self.token}
                self._process.send(json.dumps(order).encode())
                self.url = f"http://127.0.0.1:{self._await_port(ready, start_s)}"
            except BaseException:
                self.stop(grace_s=0.0)
                raise
        _log.info("policy_server_started", target=target, pid=self.pid, url=self.url)

    @property
    def is_alive(self) -> bool:
        """Whether the server's process has not ended."""
        return self._process.is_alive

    def last_words(self) -> str:
        """How the process ended and the last line that it wrote, or why it was stopped; empty while it lives."""
        return self._process.last_words()

    def stop(self, grace_s: float = _GRACE_S, why: str = "it was stopped") -> None:
        """End the server and whatever it started; safe to call twice.

        Args:
            grace_s: how long the server may take after SIGTERM before SIGKILL.
            why: what `last_words` says from now on, where the server lives still: it did not die by itself.
        """
        self._process.stop(grace_s, why)

    def _await_port(self, ready: IO[bytes], start_s: float) -> int:
        deadline = monotonic() + start_s
        message = b""
        while not message.endswith(b"\n"):
            left = deadline - monotonic()
            if left <= 0 or not select.select([ready], [], [], left)[0]:
                raise PolicyTimeout(f"the server of policy {self._target!r} did not start within {start_s:g} s")
            piece = ready.read(65536)
            if not piece:
                words = self._process.last_words(_GRACE_S)
                raise ServerUnreachable(f"the server of policy {self._target!r} did not start: {words}")
            message += piece
        answer = json.loads(message)
        if "port" not in answer:
            raise _start_error(answer)
        return int(answer["port"])


def _start_error(answer: Mapping[str, Any]) -> VlaBenchError:
    if "extra" in answer:
        return MissingExtra(answer["feature"], answer["extra"])
    return UsageError(answer["message"]) if answer["is_usage"] else PolicyRaised(answer["message"])
