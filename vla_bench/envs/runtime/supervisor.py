"""`WorkerEnv`: an env in a supervised process. Whatever happens to it there becomes one named error here, in time."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench import __version__
from vla_bench.envs.base import EnvOptions, EnvState, SuiteFamily
from vla_bench.envs.runtime.channel import Channel, ChannelClosed, ChannelGarbage, ChannelTimeout
from vla_bench.envs.runtime.limits import DEFAULT_LIMITS, WorkerLimits
from vla_bench.envs.runtime.pictures import PictureReader, create_memory
from vla_bench.envs.runtime.place import Place, place_of
from vla_bench.envs.runtime.process import WorkerProcess
from vla_bench.envs.runtime.replies import decode_error, decode_state
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.episode import Episode
from vla_bench.spec.errors import EnvCrashed, EnvError, EnvHung, EnvLeaked, EnvStartFailed, SuiteNotInstalled
from vla_bench.spec.result import Fingerprint
from vla_bench.spec.suite import Suite

__all__ = ["WorkerEnv"]


class WorkerEnv:
    """An `EnvHandle` whose env lives in a process of its own, under the suite's own interpreter where it has one.

    For one thread at a time, except `close`, which may come from any and ends a call that is running.
    """

    def __init__(
        self, family: SuiteFamily, suite: Suite, options: EnvOptions, *, limits: WorkerLimits = DEFAULT_LIMITS
    ) -> None:
        """Start the process and open the env in it.

        Raises:
            SuiteNotInstalled: no interpreter has the suite, or the one that has it carries another vla-bench.
            NoRenderer: pictures are wanted and no render back end works.
            UsageError: the options do not fit the suite.
            EnvStartFailed: the process died, was silent or raised before the env was open.
        """
        self.suite = suite
        self._limits = limits
        self._deadline_s, self._is_warm = limits.start_s, False
        self._task = ""
        # Re-entrant, so that a signal handler can close the env whose call it interrupts.
        self._calls = threading.RLock()
        self._is_over = False
        self._doing, self._step = "its start", -1
        place = place_of(family, options)
        self._start(place)
        try:
            self._fingerprint = self._open(options, place.renderer)
        except BaseException as error:
            self._free()
            if isinstance(error, EnvError) and not isinstance(error, EnvStartFailed):
                raise EnvStartFailed(f"suite {suite.name!r} cannot start: {error}") from error
            raise

    def _start(self, place: Place) -> None:
        with ExitStack() as kept, ExitStack() as lent:
            ours, theirs = socket.socketpair()
            self._channel = Channel(ours)
            kept.callback(self._channel.close)
            lent.callback(theirs.close)
            pictures = create_memory()
            self._pictures = PictureReader(pictures)
            kept.callback(self._pictures.close)
            # Nobody writes here: the kernel tells the worker when we are gone.
            lifeline, our_end = os.pipe()
            kept.callback(os.close, our_end)
            lent.callback(os.close, lifeline)
            descriptors = [theirs.fileno(), pictures, lifeline]
            # -P: a file in the current folder that is called like a module is not that module.
            command = [place.interpreter, "-P", "-m", "vla_bench.envs.runtime.worker", *map(str, descriptors)]
            growth = self._limits.memory_growth_bytes
            try:
                self._process = WorkerProcess(
                    command, environment=place.environment, descriptors=descriptors, growth_bytes=growth
                )
            except OSError as error:
                raise EnvStartFailed(f"suite {self.suite.name!r} cannot start: {error}") from error
            kept.callback(self._process.kill)
            # Idempotent, and also called where an env is dropped without `close`, and at exit.
            self._free = weakref.finalize(self, kept.pop_all().close)

    def _open(self, options: EnvOptions, renderer: Mapping[str, str]) -> Fingerprint:
        version = self._call(None).get("version")
        if version != __version__:
            raise SuiteNotInstalled(
                f"the environment of suite {self.suite.name!r} holds vla-bench {version}, and this is {__version__}. "
                f"Type: vla-bench env create {self.suite.family}"
            )
        reply = self._call({"open": pickle.dumps((self.suite, options)), "renderer": dict(renderer)})
        return Fingerprint(**reply["fingerprint"])

    @property
    def fingerprint(self) -> Fingerprint:
        """See `EnvHandle`."""
        return self._fingerprint

    @property
    def pid(self) -> int:
        """Process id of the worker, and of its process group."""
        return self._process.pid

    def reset(self, episode: Episode) -> EnvState:
        """See `EnvHandle`. The first one has `limits.start_s`, a later one to another task `limits.reset_s`."""
        self._doing, self._step = f"the reset of {episode.task} trial {episode.trial}", -1
        if self._is_warm and episode.task != self._task:
            self._deadline_s = max(self._limits.reset_s, self._limits.call_s)
        self._task = episode.task
        state = self._state(self._call(["reset", to_plain(episode)]))
        self._deadline_s = self._limits.call_s
        if not self._is_warm:
            self._is_warm = True
            self._process.limit_memory()
        self._doing, self._step = f"{episode.task} trial {episode.trial}", 0
        return state

    def advance(self, actions: NDArray[np.float32], *, frames_at: Sequence[int] = ()) -> EnvState:
        """See `EnvHandle`."""
        state = self._state(self._call(["advance", actions, list(frames_at)]))
        self._step = state.step
        return state

    def _state(self, reply: Mapping[str, Any]) -> EnvState:
        try:
            return decode_state(reply, self._pictures)
        except (ValueError, KeyError, TypeError) as error:
            self._end()
            raise EnvCrashed(f"the simulator's process answered what is no state: {error}") from error

    def _call(self, request: Any) -> dict[str, Any]:
        """Send (unless None) and wait for the answer. After anything but an answer the process is dead."""
        with self._calls:
            if self._is_over:
                raise ValueError("this env is closed, or its worker is dead: open a new one")
            try:
                if request is not None:
                    self._channel.send(request, timeout_s=self._deadline_s)
                reply = self._channel.receive(timeout_s=self._deadline_s)
                if not isinstance(reply, dict):
                    raise ChannelGarbage(f"a {type(reply).__name__}")
                if "error" not in reply:
                    return reply
                error = decode_error(reply)
                cause = None
            except (ChannelClosed, ChannelTimeout, ChannelGarbage) as broken:
                self._process.kill()
                error, cause = self._verdict(broken), broken
            except BaseException:
                # Ctrl-C in the middle of a call: an answer that comes later must not be taken for the next one's.
                self._end()
                raise
            self._end()
        if tail := self._process.tail:
            # Not in the one line that people read, but there with --debug.
            error.add_note(f"The last output of the worker:\n{tail}")
        raise error from cause

    def _verdict(self, broken: Exception) -> EnvError:
        """Why the channel broke; the process is dead by now."""
        process = self._process
        during = f"during {self._doing}" + (f" after step {self._step}" if self._step >= 0 else "")
        if process.leak:
            limit = self._limits.memory_growth_bytes >> 20
            return EnvLeaked(f"the simulator's process {process.leak} and was killed; it may grow by {limit} MiB")
        if self._is_over:
            return EnvCrashed(f"the simulator was closed {during}")
        if isinstance(broken, ChannelTimeout):
            return EnvHung(f"the simulator was silent for {self._deadline_s:g} s {during} and was killed")
        if isinstance(broken, ChannelGarbage):
            return EnvCrashed(f"the simulator's process answered garbage {during} and was killed: {broken}")
        said = f"; the last it printed: {process.last_line}" if process.last_line else ""
        return EnvCrashed(f"the simulator's process {process.end_text()} {during}{said}")

    def _end(self) -> None:
        self._is_over = True
        self._process.kill()

    def close(self) -> None:
        """Hang up, wait `limits.close_s`, kill the group. Where a call is running in another thread, kill at once."""
        if not self._calls.acquire(blocking=False):
            self._end()
            self._calls.acquire()
        try:
            if not self._is_over:
                self._is_over = True
                self._wait_for_end()
            self._free()
        finally:
            self._calls.release()

    def _wait_for_end(self) -> None:
        self._channel.hang_up()
        try:
            self._channel.receive(timeout_s=self._limits.close_s)
        except (ChannelClosed, ChannelTimeout, ChannelGarbage):
            return  # Gone by itself or not: its group is killed now.
