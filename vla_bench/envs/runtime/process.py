"""`WorkerProcess`: the operating system's side of a worker. Its group, its memory, its output, its end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

import psutil

__all__ = ["WorkerProcess"]

_WATCH_PERIOD_S: Final = 0.25
_TAIL_BYTES: Final = 4096
_READ_BYTES: Final = 1 << 16
_MAX_READS_AFTER: Final = 64
_JOIN_S: Final = 10.0


class WorkerProcess:
    """A child in a process group of its own, watched by one thread.

    The thread keeps the last of what the child prints, so that printing never blocks it. A few times a second it looks
    at the child's memory and whether it is alive, so that a call costs nothing for it. Where the child has grown too
    much, or is dead while something it started holds its sockets open, the whole group is killed.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], descriptors: Sequence[int], growth_bytes: int
    ) -> None:
        """Start it.

        Args:
            command: the program and its arguments.
            environment: all of its environment variables.
            descriptors: file descriptors that it inherits under the same numbers.
            growth_bytes: resident memory that it may take beyond what it has when `limit_memory` is called.

        Raises:
            OSError: it cannot be started.
        """
        self._growth_bytes = growth_bytes
        self._limit_bytes = 0
        self._tail = bytearray()
        self._over = threading.Event()
        # Re-entrant: a finalizer or a signal handler may come here in a thread that is here already.
        self._end = threading.RLock()
        self.leak = ""
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors,
            # Ctrl-C is for the run, which then ends its workers; and the whole group can be killed at once.
            process_group=0,
        )
        self._watcher = threading.Thread(target=self._watch, name=f"watch worker {self.pid}", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """Process id, which is the group's too."""
        return self._process.pid

    def limit_memory(self) -> None:
        """Take the present resident memory as the one that growth is counted from."""
        with suppress(psutil.Error):  # It has just died: the next call finds out.
            self._limit_bytes = psutil.Process(self.pid).memory_info().rss + self._growth_bytes

    def kill(self) -> None:
        """Kill the whole group and wait for the child's end; from any thread, any number of times."""
        with self._end:
            if self._process.returncode is None:
                self._kill_group()
                self._process.wait()
        self._over.set()
        if threading.current_thread() is not self._watcher:
            # It reads what is left in the pipe and ends by itself; only a machine without a free moment needs longer.
            self._watcher.join(timeout=_JOIN_S)

    def _kill_group(self) -> None:
        # Until the child is waited for, its number cannot be anybody else's, so this hits no stranger.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except PermissionError:
            self._process.kill()  # macOS refuses where the leader is dead and not waited for
        except ProcessLookupError:
            pass

    def end_text(self) -> str:
        """How it ended, after `kill`: `was killed by SIGSEGV`, `exited with status 1`."""
        code = self._process.returncode or 0
        if code >= 0:
            return f"exited with status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        # The commonest reason, which no log of ours could hold.
        hint = " (by the kernel, where memory ran out)" if -code == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"

    @property
    def tail(self) -> str:
        """The last of what it printed."""
        return bytes(self._tail).decode(errors="replace").strip()

    @property
    def last_line(self) -> str:
        """The last line that it printed, shortened; empty where it printed nothing."""
        lines = self.tail.splitlines()
        return lines[-1].strip()[:300] if lines else ""

    def _watch(self) -> None:
        assert self._process.stdout is not None
        child = psutil.Process(self.pid)
        with self._process.stdout as output:
            self._follow(output.fileno(), child)
        # A child may close its output and live on.
        while not self._over.wait(_WATCH_PERIOD_S):
            self._inspect(child)

    def _follow(self, output: int, child: psutil.Process) -> None:
        """Keep what is printed until end of file, or until the child is over and the pipe is empty."""
        poller = select.poll()
        poller.register(output, select.POLLIN)
        inspected, n_reads_after = 0.0, 0
        # Whoever escaped from the group and prints for ever is not read for ever.
        while n_reads_after < _MAX_READS_AFTER:
            # Asked before looking into the pipe: what was printed before the end is in there by now.
            is_over = self._over.is_set()
            if poller.poll(0 if is_over else 1000 * _WATCH_PERIOD_S):
                if not self._keep(os.read(output, _READ_BYTES)):
                    return
            elif is_over:
                return
            n_reads_after += is_over
            if not is_over and monotonic() - inspected >= _WATCH_PERIOD_S:
                self._inspect(child)
                inspected = monotonic()

    def _keep(self, data: bytes) -> bool:
        self._tail += data
        del self._tail[:-_TAIL_BYTES]
        return bool(data)

    def _inspect(self, child: psutil.Process) -> None:
        try:
            with child.oneshot():
                is_dead = child.status() == psutil.STATUS_ZOMBIE
                resident = child.memory_info().rss
        except psutil.Error:
            return  # waited for already
        if self._limit_bytes and resident > self._limit_bytes:
            grown = (resident - self._limit_bytes + self._growth_bytes) >> 20
            self.leak = f"grew by {grown} MiB to {resident >> 20} MiB"
        if is_dead or self.leak:
            with self._end:
                if self._process.returncode is None:
                    self._kill_group()
