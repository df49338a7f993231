"""A policy server as a child process that cannot outlive its parent, whatever happens to either.

The server runs `vla_bench.policies.child` in a process group of its own. A second, tiny member of that group waits for
the end of a pipe whose other end only the parent holds, and then kills the group: so the server and all that it started
end with the parent even after SIGKILL, and even where the policy holds the interpreter lock. Linux's parent-death
signal is not used: it follows the *thread* that started the child. macOS works the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import IO, Any, Final

import structlog

from vla_bench.spec.errors import (
    MissingExtra,
    PolicyRaised,
    PolicyTimeout,
    ServerUnreachable,
    UsageError,
    VlaBenchError,
)

__all__ = ["ChildServer", "how_it_ended"]

_GRACE_S: Final = 3.0
"""How long a server may take to close its sockets after SIGTERM."""
_DYING_S: Final = 0.5
_GUARD: Final = ("/bin/sh", "-c", "read -r _; kill -s KILL 0")
_TAIL_LINES: Final = 20
_LINE_BYTES: Final = 4096

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
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._why = ""
        self.token = secrets.token_urlsafe(24)
        ready_read, ready_write = os.pipe()
        with os.fdopen(ready_read, "rb", buffering=0) as ready:
            try:
                self._server = _spawn_server(ready_write)
            finally:
                os.close(ready_write)
            self.pid = self._server.pid
            self._reader = threading.Thread(target=self._read_tail, name=f"policy-{self.pid}-output", daemon=True)
            self._reader.start()
            try:
                self._guard = _spawn_guard(self.pid)
            except BaseException:
                self._server.kill()
                self._server.wait()
                raise
            try:
                self._give_order({"target": target, "options": dict(options), "token": self.token})
                self.url = f"http://127.0.0.1:{self._await_port(ready, start_s)}"
            except BaseException:
                self.stop(grace_s=0.0)
                raise
        _log.info("policy_server_started", target=target, pid=self.pid, url=self.url)

    @property
    def is_alive(self) -> bool:
        """Whether the server's process has not ended."""
        return self._server.poll() is None

    def last_words(self) -> str:
        """How the process ended and the last line that it wrote, or why it was stopped; empty while it lives."""
        # A dying process closes its sockets a moment before it is seen to have ended.
        try:
            status = self._server.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            return ""
        if self._why:
            return self._why
        self._reader.join(timeout=1.0)
        said = next((line for line in reversed(self._tail) if line.strip()), "")
        return f"{how_it_ended(status)}{f'; its last line: {said}' if said else ''}"

    def stop(self, grace_s: float = _GRACE_S, why: str = "it was stopped") -> None:
        """End the server, its guard and whatever else is in their process group; safe to call twice.

        Args:
            grace_s: how long the server may take after SIGTERM before SIGKILL.
            why: what `last_words` says from now on, where the server lives still: it did not die by itself.
        """
        if self.is_alive and not self._why:
            self._why = why
        if self._server.poll() is None and grace_s > 0:
            self._server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(grace_s)
        # While the guard lives the group's id cannot have been given to strangers.
        if self._guard.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._server.kill()
        self._server.wait()
        self._guard.wait()
        for stream in (self._server.stdin, self._guard.stdin):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        # A grandchild that left the group can hold the pipe open: the thread is a daemon, so nobody waits for it.
        self._reader.join(timeout=1.0)

    def _give_order(self, order: Mapping[str, Any]) -> None:
        # Through a pipe: a command line is there for every user of the machine to read. And only now, so that a server
        # whose parent died before there was a guard finds an empty order and ends.
        assert self._server.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # It died at once: waiting for the port says so.
            self._server.stdin.write(json.dumps(order).encode())
            self._server.stdin.close()

    def _await_port(self, ready: IO[bytes], start_s: float) -> int:
        deadline = monotonic() + start_s
        message = b""
        while not message.endswith(b"\n"):
            left = deadline - monotonic()
            if left <= 0 or not select.select([ready], [], [], left)[0]:
                raise PolicyTimeout(f"the server of policy {self._target!r} did not start within {start_s:g} s")
            piece = ready.read(65536)
            if not piece:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._server.wait(_GRACE_S)
                raise ServerUnreachable(f"the server of policy {self._target!r} did not start: {self.last_words()}")
            message += piece
        answer = json.loads(message)
        if "port" not in answer:
            raise _start_error(answer)
        return int(answer["port"])

    def _read_tail(self) -> None:
        stream = self._server.stdout
        assert stream is not None
        with stream:
            while line := stream.readline(_LINE_BYTES):
                self._tail.append(line.decode(errors="replace").rstrip())


def _spawn_server(ready_fd: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -P: a random.py in the user's folder is not to stand for the standard library's. -u: what the policy prints
        # last is read even where the process is killed.
        [sys.executable, "-P", "-u", "-m", "vla_bench.policies.child", str(ready_fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(ready_fd,),
        process_group=0,
    )


def _spawn_guard(group: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        _GUARD,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=group,
    )


def how_it_ended(status: int) -> str:
    """A process's status (negative for a signal) in words."""
    if status >= 0:
        return f"it ended with status {status}"
    try:
        return f"it was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was killed by signal {-status}"


def _start_error(answer: Mapping[str, Any]) -> VlaBenchError:
    if "extra" in answer:
        return MissingExtra(answer["feature"], answer["extra"])
    return UsageError(answer["message"]) if answer["is_usage"] else PolicyRaised(answer["message"])
