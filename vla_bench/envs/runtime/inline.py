"""`InlineEnv`: the env itself in this process, for debuggers and notebooks. Nobody supervises it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvOptions, EnvState, SuiteFamily
from vla_bench.envs.runtime.fingerprint import take_fingerprint
from vla_bench.envs.runtime.place import rendering_of
from vla_bench.envs.runtime.replies import known_error, own_actions, with_plain_facts
from vla_bench.spec.episode import Episode
from vla_bench.spec.result import Fingerprint
from vla_bench.spec.suite import Suite

__all__ = ["InlineEnv"]


class InlineEnv:
    """An `EnvHandle` without a process: a crash, a hang or a leak of the simulator is this process's own."""

    def __init__(self, family: SuiteFamily, suite: Suite, options: EnvOptions) -> None:
        """Open the env here.

        The environment variables that select a render back end stay set: simulators read them when they are imported.

        Raises:
            MissingExtra, SuiteNotInstalled: this interpreter does not have the suite.
            NoRenderer: pictures are wanted and no render back end works.
            UsageError: the options do not fit the suite.
            EnvRaised: the simulator raised.
        """
        self.suite = suite
        variables, renderer = rendering_of(family.installation, options)
        os.environ.update(variables)
        try:
            self._env = family.make_env(suite, options)
        except Exception as error:  # The simulator's own code: outcome `env_error`.
            raise known_error(error, "opening the env") from error
        self._fingerprint = take_fingerprint(self._env.packages(), renderer)
        self._is_over = False

    @property
    def fingerprint(self) -> Fingerprint:
        """See `EnvHandle`."""
        return self._fingerprint

    def reset(self, episode: Episode) -> EnvState:
        """See `EnvHandle`."""
        return self._guarded("reset", lambda: with_plain_facts(self._env.start(episode)))

    def advance(self, actions: NDArray[np.float32], *, frames_at: Sequence[int] = ()) -> EnvState:
        """See `EnvHandle`."""
        return self._guarded("advance", lambda: self._env.advance(own_actions(actions), frames_at=frames_at))

    def _guarded(self, doing: str, call: Callable[[], EnvState]) -> EnvState:
        if self._is_over:
            raise ValueError("this env is closed, or has raised: open a new one")
        try:
            return call()
        except Exception as error:  # The simulator's own code: outcome `env_error`.
            self._is_over = True
            raise known_error(error, doing) from error

    def close(self) -> None:
        """Free the simulator; safe to call twice."""
        self._is_over = True
        self._env.close()
