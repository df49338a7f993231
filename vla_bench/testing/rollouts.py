"""Rollouts under random actions, recorded so that two of them can be compared bit by bit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.base import EnvHandle, EnvState
from vla_bench.spec.canonical import blake2b_hex, canonical_json
from vla_bench.spec.episode import Episode
from vla_bench.spec.suite import Suite

__all__ = ["Record", "faults_of", "random_actions", "roll_out"]

_DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Record:
    """What a rollout showed, by step. Equal records are equal bit for bit.

    Attributes:
        facts: canonical JSON of the facts of the reset.
        digests: step → state digest.
        states: step → digest of the proprioception.
        pictures: step, camera → digest of the picture; also of the frames asked for inside a chunk.
        end: steps, success, stage.
        faults: what was not as the suite declares it.
    """

    facts: str = ""
    digests: dict[int, str] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    pictures: dict[tuple[int, str], str] = field(default_factory=dict)
    end: tuple[int, bool, int] = (0, False, 0)
    faults: list[str] = field(default_factory=list)

    def add(self, state: EnvState) -> None:
        """Take in one answer of the env."""
        self.digests[state.step] = state.digest
        self.states[state.step] = _digest(state.state)
        for step, images in {state.step: state.images, **state.frames}.items():
            self.pictures |= {(step, camera): _digest({camera: image}) for camera, image in images.items()}
        self.end = (state.step, state.success, state.stage)

    def difference(self, other: Record) -> str:
        """The first thing that differs at a step that both have seen; empty where nothing does."""
        for what in ("digests", "states", "pictures"):
            ours, theirs = getattr(self, what), getattr(other, what)
            for key in sorted(ours.keys() & theirs.keys()):
                if ours[key] != theirs[key]:
                    return f"{what} differ at step {key}"
        if self.facts != other.facts:
            return f"the facts of the reset differ: {self.facts[:200]} and {other.facts[:200]}"
        return "" if self.end == other.end else f"the ends (steps, success, stage) differ: {self.end} and {other.end}"


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    return blake2b_hex(b"".join(f"{key} {a.dtype.str} {a.shape} ".encode() + a.tobytes() for key, a in arrays.items()))


def random_actions(suite: Suite, episode: Episode, n_steps: int) -> NDArray[np.float32]:
    """Actions float32 `[n_steps, A]`, uniform in the suite's bounds, decided by the episode."""
    convention = suite.action
    generator = np.random.default_rng(episode.policy_seed)
    return generator.uniform(convention.low, convention.high, (n_steps, convention.n_entries)).astype(np.float32)


def roll_out(env: EnvHandle, episode: Episode, n_steps: int, *, chunk: int, frames: bool = False) -> Record:
    """Run an episode for at most `n_steps` steps of random actions, `chunk` at a time.

    Args:
        env: open.
        episode: of its suite.
        n_steps: the most steps.
        chunk: actions handed over at once.
        frames: whether to ask for the pictures of every step inside a chunk.

    Raises:
        EnvError: the env's.
    """
    actions = random_actions(env.suite, episode, n_steps)
    record = Record()
    state = env.reset(episode)
    record.facts = canonical_json(state.facts)
    record.add(state)
    record.faults += faults_of(env.suite, state)
    while not state.is_over and state.step < n_steps:
        begin = state.step
        some = actions[begin : begin + chunk]
        state = env.advance(some, frames_at=range(begin + 1, begin + len(some)) if frames else ())
        record.add(state)
        record.faults += faults_of(env.suite, state)
        if not state.step - begin == state.n_executed >= 1:
            record.faults.append(f"from step {begin} to {state.step} it executed {state.n_executed} actions")
            break
    return record


def faults_of(suite: Suite, state: EnvState) -> Iterator[str]:
    """What of a state is not as the suite declares it, one clause each."""
    shapes = {key: array.shape for key, array in state.state.items()}
    if shapes != (declared := {key: (n,) for key, n in suite.state.items()}):
        yield f"state has shapes {shapes} and not {declared}"
    for key, array in state.state.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            yield f"state {key!r} is {array.dtype}, or not finite, at step {state.step}"
    sizes = {camera.name: (camera.height, camera.width, 3) for camera in suite.cameras}
    for images in (state.images, *state.frames.values()):
        for name, image in images.items():
            if image.dtype != np.uint8 or image.shape != sizes.get(name):
                yield f"camera {name!r} gives {image.dtype} {list(image.shape)} and not uint8 {sizes.get(name)}"
            elif not image.any():
                yield f"camera {name!r} is black all over at step {state.step}"
    if not _DIGEST.fullmatch(state.digest):
        yield f"the state digest is {state.digest!r} and not 32 hexadecimal digits"
    if not state.instruction.strip():
        yield f"there is no instruction at step {state.step}"
