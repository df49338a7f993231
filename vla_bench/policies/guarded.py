"""A child process that cannot outlive its parent, whatever happens to either, and what it said last.

The child has a process group of its own. A second, tiny member of that group, the guard, waits for the end of a pipe
whose other end only the parent holds, and then ends the group: so the child and all that it started end with the parent
even after SIGKILL, and even where a policy holds the interpreter lock. Linux's parent-death signal is not used: it
follows the *thread* that started the child. macOS works the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["GuardedProcess"]

_GUARD: Final = ("/bin/sh", "-c", "read -r _; kill -s KILL 0")
_DYING_S: Final = 0.5
_GRACE_S: Final = 3.0
_READER_S: Final = 1.0
_TAIL_LINES: Final = 20
_LINE_BYTES: Final = 1 << 16


class GuardedProcess:
    """A running child whose output is read.

    Attributes:
        pid: its process id, which is also the id of its process group.
    """

    pid: int

    def __init__(
        self,
        command: Sequence[str],
        *,
        guard: Sequence[str] = _GUARD,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        log_path: Path | None = None,
    ) -> None:
        """Start it; nothing is left behind where that fails.

        Args:
            command: program and arguments. It reads what `send` gives.
            guard: another guard; it waits for the end of its standard input, and ends its process group at last.
            env: the child's environment, this process's own where left out.
            pass_fds: file descriptors that it inherits.
            log_path: a file that keeps its whole output.

        Raises:
            OSError: it cannot be started.
        """
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._why = ""
        self._log_path = log_path
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            pass_fds=pass_fds,
            process_group=0,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name=f"policy-{self.pid}-output", daemon=True)
        self._reader.start()
        try:
            self._guard = subprocess.Popen(
                guard,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=self.pid,
            )
        except BaseException:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._close(self._process)
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the child has not ended."""
        return self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Exit status of the child, negative for a signal; None while it lives."""
        return self._process.poll()

    def send(self, content: bytes) -> None:
        """Give the child its standard input, and end that."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # It died at once: whoever waits for its answer says so.
            self._process.stdin.write(content)
            self._process.stdin.close()

    def last_line(self) -> str:
        """The last line that it wrote; empty where it wrote none."""
        return next((line for line in reversed(self._tail) if line.strip()), "")

    def last_words(self, wait_s: float = _DYING_S) -> str:
        """How the child ended and the last line that it wrote, or why it was stopped; empty while it lives.

        Args:
            wait_s: a dying process closes its sockets a moment before it is seen to have ended.
        """
        try:
            status = self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return ""
        if self._why:
            return self._why
        self._reader.join(timeout=_READER_S)
        said = self.last_line()
        return f"{_how_it_ended(status)}{f'; its last line: {said}' if said else ''}"

    def blame(self, why: str) -> None:
        """Have `last_words` say this from now on, where the child lives still: it does not die by itself."""
        if self.is_alive and not self._why:
            self._why = why

    def stop(self, grace_s: float = _GRACE_S, why: str = "it was stopped") -> None:
        """End the child, its guard and whatever else is in their process group; safe to call twice.

        Args:
            grace_s: how long the child may take after SIGTERM before SIGKILL.
            why: as `blame`.
        """
        self.blame(why)
        if self.is_alive and grace_s > 0:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        # While the guard lives the group's id cannot have been given to strangers.
        if self._guard.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._guard.wait()
        self._close(self._process, self._guard)
        # A grandchild that left the group can hold the pipe open: the thread is a daemon, so nobody waits for it.
        self._reader.join(timeout=_READER_S)

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        kept = contextlib.nullcontext() if self._log_path is None else self._log_path.open("wb", buffering=0)
        with stream, kept as log:
            while line := stream.readline(_LINE_BYTES):
                self._tail.append(line.decode(errors="replace").rstrip())
                if log is not None:
                    log.write(line)

    @staticmethod
    def _close(*processes: subprocess.Popen[bytes]) -> None:
        for process in processes:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()


def _how_it_ended(status: int) -> str:
    """A process's status (negative for a signal) in words."""
    if status >= 0:
        return f"it ended with status {status}"
    try:
        return f"it was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was killed by signal {-status}"
