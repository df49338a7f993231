"""The fault switchboard: `toy_reach_faults` misbehaves in chosen episodes and is `toy_reach` in all others.

A test orders faults through the environment variable `VLA_BENCH_TOY_FAULTS` (set before the worker starts), a JSON
object from `task:trial` to a fault, or through `Episode.params["fault"]`, which holds one fault:

    {"reach_red:0": {"kind": "hang", "step": 5, "once": "/tmp/marker"}}

`kind` is one of `KINDS`. `step` is the control step at which it happens (from 1, the default); 0 is during reset. With
`once`, a path, it happens in the first process that comes there, which creates the file, and never again. `mb` is the
megabytes that `leak` takes at each step from there on, and that `flood` prints.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvOptions, StepOutcome
from vla_bench.envs.toy_reach.env import ToyReachEnv
from vla_bench.spec.episode import Episode
from vla_bench.spec.suite import Suite

__all__ = ["FAULTS_VARIABLE", "KINDS", "FaultyToyReachEnv"]

FAULTS_VARIABLE: Final = "VLA_BENCH_TOY_FAULTS"

KINDS: Final = {
    "raise": "raises RuntimeError",
    "none": "the step returns None",
    "unstable": "the simulator warns of its state",
    "black": "pictures are black from there on",
    "hang": "sleeps for ever",
    "hang_hard": "sleeps for ever in C, holding Python's global lock",
    "deaf": "ignores SIGTERM and sleeps for ever",
    "stop": "stops itself with SIGSTOP",
    "leak": "takes `mb` more megabytes at every step from there on",
    "segv": "dies by SIGSEGV",
    "kill": "dies by SIGKILL",
    "exit": "exits with status 7",
    "flood": "prints `mb` megabytes and goes on",
    "child": "starts a process that sleeps for ever, and goes on",
}
"""Fault → what happens."""


@dataclass(frozen=True, slots=True)
class _Fault:
    kind: str
    step: int = 1
    once: str = ""
    mb: int = 16

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are: {', '.join(KINDS)}")

    def take(self) -> bool:
        """Whether it happens now: always, or only for who creates the marker."""
        if not self.once:
            return True
        try:
            Path(self.once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class FaultyToyReachEnv(ToyReachEnv):
    """`ToyReachEnv` that misbehaves as the switchboard says."""

    def __init__(self, suite: Suite, options: EnvOptions = EnvOptions(), *, task: str = "") -> None:
        """See `SuiteEnv`; reads the switchboard.

        Raises:
            ValueError: the variable is not JSON, or orders a fault that does not exist.
        """
        super().__init__(suite, options, task=task)
        table = json.loads(os.environ.get(FAULTS_VARIABLE) or "{}")
        self._faults = {where: _Fault(**fault) for where, fault in table.items()}
        self._fault: _Fault | None = None
        self._is_black = False
        self._leaking_mb = 0
        self._hoard: list[NDArray[np.uint8]] = []

    def _start(self, episode: Episode) -> Mapping[str, Any]:
        own = episode.params.get("fault")
        self._fault = _Fault(**own) if own else self._faults.get(f"{episode.task}:{episode.trial}")
        self._is_black, self._leaking_mb = False, 0
        facts = super()._start(episode)
        if self._fault and self._fault.step == 0 and self._fault.take():
            self._happen(self._fault)
        return facts

    def _step(self, action: NDArray[np.float32]) -> StepOutcome:
        fault = self._fault
        outcome = super()._step(action)
        if fault and fault.step == self.n_steps + 1 and fault.take():
            if fault.kind == "none":
                return None  # type: ignore[return-value]
            if fault.kind == "unstable":
                return StepOutcome(success=False, stage=outcome.stage, warning="huge value in QACC (ordered)")
            self._happen(fault)
        if self._leaking_mb:
            self._hoard.append(np.ones(self._leaking_mb << 20, np.uint8))
        return outcome

    def _render(self, camera: str) -> NDArray[np.uint8]:
        image = super()._render(camera)
        return np.zeros_like(image) if self._is_black else image

    def _happen(self, fault: _Fault) -> None:
        if fault.kind == "black":
            self._is_black = True
        elif fault.kind == "leak":
            self._leaking_mb = fault.mb
        else:
            _DEEDS[fault.kind](fault)


def _raise(fault: _Fault) -> None:
    raise RuntimeError(f"ordered at step {fault.step}")


def _hang(fault: _Fault) -> None:
    while True:
        time.sleep(3600)


def _hang_hard(fault: _Fault) -> None:
    while True:
        ctypes.PyDLL(None).sleep(3600)


def _deaf(fault: _Fault) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _hang(fault)


def _flood(fault: _Fault) -> None:
    line = "a simulator that prints and prints and prints and prints and prin\n"
    for _ in range((fault.mb << 20) // len(line)):
        sys.stderr.write(line)
    sys.stdout.write("the last line of the flood\n")
    sys.stdout.flush()


def _child(fault: _Fault) -> None:
    # Holds this process's output open, as a simulator's helper does.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])


def _die(number: signal.Signals) -> Callable[[_Fault], None]:
    return lambda fault: os.kill(os.getpid(), number)


_DEEDS: Final[Mapping[str, Callable[[_Fault], None]]] = {
    "raise": _raise,
    "hang": _hang,
    "hang_hard": _hang_hard,
    "deaf": _deaf,
    "stop": _die(signal.SIGSTOP),
    "segv": _die(signal.SIGSEGV),
    "kill": _die(signal.SIGKILL),
    "exit": lambda fault: os._exit(7),
    "flood": _flood,
    "child": _child,
}
