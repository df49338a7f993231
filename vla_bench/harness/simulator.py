"""`KeptSimulator`: the one simulator of a worker, opened when it is needed and freed from whatever thread."""

from __future__ import annotations

from typing import Literal

from vla_bench.envs.base import EnvHandle, EnvOptions
from vla_bench.envs.registry import WorkerLimits, open_env
from vla_bench.spec.errors import EnvCrashed
from vla_bench.spec.suite import Suite

__all__ = ["KeptSimulator"]


class KeptSimulator:
    """A simulator that lives from one job to the next, until it is closed because its state is not trusted any more."""

    def __init__(
        self, suite: Suite, options: EnvOptions, limits: WorkerLimits, isolation: Literal["process", "inline"]
    ) -> None:
        self._suite, self._options, self._limits = suite, options, limits
        self._isolation: Literal["process", "inline"] = isolation
        self._env: EnvHandle | None = None
        self._is_aborted = False

    def open(self) -> EnvHandle:
        """The simulator, started if there is none.

        Raises:
            EnvError: it does not start, or the worker was stopped meanwhile.
            UsageError: (a child) the suite is not installed or cannot be had with these options.
        """
        if self._env is None:
            self._env = open_env(self._suite, self._options, isolation=self._isolation, limits=self._limits)
            if self._is_aborted:
                raise EnvCrashed("the work was stopped while the simulator started")
        return self._env

    def abort(self) -> None:
        """Kill it from another thread; a start that is under way ends in `EnvCrashed`."""
        self._is_aborted = True
        if (env := self._env) is not None:
            env.close()

    def close(self) -> None:
        """Free it; the next `open` starts a new one."""
        env, self._env = self._env, None
        if env is not None:
            env.close()
