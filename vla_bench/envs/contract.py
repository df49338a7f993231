"""What a run and an env say to each other: how it is opened, what it shows, what it can be asked, what it needs.

Authors of suites find all of it in `vla_bench.envs.base` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vla_bench.spec.episode import Episode
from vla_bench.spec.result import Fingerprint
from vla_bench.spec.suite import Suite

__all__ = ["EnvHandle", "EnvOptions", "EnvState", "Installation", "StepOutcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a family needs to run and how it gets it.

    Attributes:
        extra: pip extra of vla-bench that installs it into the present interpreter, empty where nothing is needed.
        imports: modules that must import.
        versions: distribution → exact version that must be installed (`mujoco` → `3.3.0`); empty for any.
        pythons: interpreters it can use, best first (`3.11`); empty for the present one.
        lock_file: hash-pinned requirements inside the `vla_bench` package for `vla-bench env create`, empty for none.
        finish: module that the new environment's own interpreter runs last (`python -m …`) and that must end with
            status 0: it links and checks what packages alone cannot bring. Empty for none.
        renderer: which probe finds its render back end (`mujoco`), empty where it renders without one.
    """

    extra: str = ""
    imports: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    pythons: tuple[str, ...] = ()
    lock_file: str = ""
    finish: str = ""
    renderer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvOptions:
    """How an env is opened; equal for all episodes of a run.

    Attributes:
        cameras: names of the cameras to render; empty renders nothing and needs no GL library.
        depth: whether to render metric depth of these cameras too.
        privileged: whether every state carries simulator truth; only for oracle policies.
        lazy: render once at the end of a chunk; False renders at every step (slower, equal bits: the plain path).
        renderer: render back end, empty for the first one that works.
        control_mode: the suite's controller, empty for its default.
    """

    cameras: tuple[str, ...] = ()
    depth: bool = False
    privileged: bool = False
    lazy: bool = True
    renderer: str = ""
    control_mode: str = ""


@dataclass(slots=True, kw_only=True)
class EnvState:
    """What a run sees after a reset or an executed chunk.

    Attributes:
        step: control steps since the episode's start.
        n_executed: steps of this call, at most the actions given.
        success: the task's rule is met (all stages).
        is_over: success, the task's own end, or the horizon.
        stage: index of the present stage; equal to the number of finished ones.
        instruction: command of the present stage.
        state: proprioception key → float32 `[n]`.
        images: camera → uint8 `[H, W, 3]`, upright RGB; empty where nothing was asked for or the episode is over.
        frames: step → images, for the steps named in `frames_at`.
        depth: camera → float32 `[H, W]`, metres.
        privileged: key → float64 `[n]`.
        digest: of the whole simulator state, BLAKE2b-128.
        reward: sum over the executed steps.
        facts: at reset, what the env says of the state it built (`rand_vec`).
        env_ms: time inside simulator and renderer, milliseconds.
    """

    step: int
    n_executed: int
    success: bool
    is_over: bool
    stage: int
    instruction: str
    state: Mapping[str, NDArray[np.float32]]
    digest: str
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    frames: Mapping[int, Mapping[str, NDArray[np.uint8]]] = field(default_factory=dict)
    depth: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    privileged: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    reward: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    env_ms: float = 0.0


class EnvHandle(Protocol):
    """An env that episodes are run in: a supervised worker process, or the env itself in this process.

    Every method may raise the children of `EnvError`; after one the handle is dead and only `close` is allowed.
    """

    suite: Suite

    @property
    def fingerprint(self) -> Fingerprint:
        """Machine, versions and render back end of the process that simulates."""
        ...

    def reset(self, episode: Episode) -> EnvState:
        """Build the episode's initial state: the same bits whatever ran before."""
        ...

    def advance(self, actions: NDArray[np.float32], *, frames_at: Sequence[int] = ()) -> EnvState:
        """Execute float32 `[k, A]`, stopping after success, a change of stage or the end; see `SuiteEnv.advance`."""
        ...

    def close(self) -> None:
        """Free everything; safe to call twice and after any error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What one control step of a simulator brought.

    Attributes:
        success: the rule of the whole task is met.
        stage: index of the present stage after the step.
        terminated: the task's own rule ended it without success.
        reward: the simulator's, 0 where it has none.
        warning: why the simulator's state cannot be trusted, empty where it can.
    """

    success: bool
    stage: int = 0
    terminated: bool = False
    reward: float = 0.0
    warning: str = ""
