"""Flipped episodes: those that ended differently under two policies, and where their traces part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.comparison.pairing import PairedRuns
from vla_bench.results.store import Store
from vla_bench.spec.errors import StoreCorrupted
from vla_bench.spec.result import AttemptResult, Trace

__all__ = ["Flip", "SideOfFlip", "Traces", "find_flips", "with_traces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOfFlip:
    """One of the two ways in which a flipped episode went.

    Attributes:
        is_success: how it ended.
        n_steps: control steps; None where the run is not in this database.
        n_queries: answers of the policy.
        length: stages reached to their end; None where tasks have no stages.
        trace_digest: of its trace; empty where there is none.
    """

    is_success: bool
    n_steps: int | None = None
    n_queries: int | None = None
    length: int | None = None
    trace_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """An episode with two outcomes.

    Attributes:
        suite, task, trial, repeat, episode: which one.
        new, base: how it went under either policy.
        actions_part_at: first step at which the executed actions differ, or at which one trace ends; None where they
            are equal, or where no traces were read.
        states_part_at: step of the first query whose state digests differ; None as above.
        largest_difference: largest difference of an entry of the actions over the steps that both executed.
        problem: why traces could not be read; empty where they could, or were not asked for.
    """

    suite: str
    task: str
    trial: int
    repeat: int
    episode: str
    new: SideOfFlip
    base: SideOfFlip
    actions_part_at: int | None = None
    states_part_at: int | None = None
    largest_difference: float | None = None
    problem: str = ""

    @property
    def is_gain(self) -> bool:
        """Whether the new policy is the one that succeeded."""
        return self.new.is_success


@dataclass(frozen=True, slots=True)
class Traces:
    """The executed actions of a flipped episode, float32 `[T, A]` each, for drawing them side by side."""

    flip: Flip
    new: NDArray[np.float32]
    base: NDArray[np.float32]


def find_flips(paired: PairedRuns) -> list[Flip]:
    """All flipped episodes, in plan order."""
    new, base, plan = paired.new_success, paired.base_success, paired.new.plan
    flips = []
    for row in np.flatnonzero(new != base):
        at_new, at_base = int(paired.at_new[row]), int(paired.at_base[row])
        flips.append(
            Flip(
                suite=paired.new.suite,
                task=plan.tasks[plan.task[at_new]],
                trial=int(plan.trial[at_new]),
                repeat=int(plan.repeat[at_new]),
                episode=plan.ids[at_new],
                new=SideOfFlip(is_success=bool(new[row]), length=_length(paired.new.lengths, at_new)),
                base=SideOfFlip(is_success=bool(base[row]), length=_length(paired.base.lengths, at_base)),
            )
        )
    return flips


def with_traces(
    flips: Sequence[Flip], store: Store | None, new: str, base: str, *, from_file: Sequence[bool] = (False, False)
) -> Iterator[tuple[Flip, Traces | None]]:
    """The same flips with steps and the points at which they part, one by one as their traces are read.

    A run whose outcomes come from a baseline file has no traces; a damaged trace is told and spoils no other flip.

    Args:
        flips: of the pair of runs.
        store: where both runs are; None where neither is.
        new: name of the new run.
        base: name of the baseline.
        from_file: whether the new run, and whether the baseline, is known from a file only.
    """
    for flip in flips:
        sides, traces, problems = [], [], []
        for side, name, is_file in zip((flip.new, flip.base), (new, base), from_file, strict=True):
            detailed, trace, problem = _look_up(side, store, name, flip.episode, is_file=is_file)
            sides.append(detailed)
            traces.append(trace)
            problems += [problem] if problem else []
        known = replace(flip, new=sides[0], base=sides[1], problem="; ".join(dict.fromkeys(problems)))
        first, second = traces
        if first is None or second is None:
            yield known, None
        else:
            parted = _parted(known, first, second)
            yield parted, Traces(parted, first.actions, second.actions)


def _look_up(
    side: SideOfFlip, store: Store | None, name: str, episode: str, *, is_file: bool
) -> tuple[SideOfFlip, Trace | None, str]:
    if store is None or is_file:
        return side, None, "a baseline file holds outcomes and no traces"
    attempts = store.attempts_of(name, episode)
    if not attempts:
        return side, None, f"run {name!r} has no attempt at it"
    last, digest = attempts[-1].result, attempts[-1].trace_digest
    detailed = _detailed(side, last, digest)
    if not digest:
        return detailed, None, f"run {name!r} has no trace of it"
    try:
        return detailed, store.trace(digest), ""
    except StoreCorrupted as error:
        return detailed, None, str(error).split(". ")[0]


def _detailed(side: SideOfFlip, attempt: AttemptResult, digest: str) -> SideOfFlip:
    return replace(side, n_steps=attempt.n_steps, n_queries=attempt.latencies.n_queries, trace_digest=digest)


def _parted(flip: Flip, new: Trace, base: Trace) -> Flip:
    n = min(len(new.actions), len(base.actions))
    if new.actions.shape[1:] != base.actions.shape[1:]:
        return replace(flip, actions_part_at=0, problem="their actions have different sizes")
    gap = np.abs(new.actions[:n].astype(np.float64) - base.actions[:n])
    differs = np.flatnonzero((gap > 0).any(axis=1))
    at: int | None = int(differs[0]) if len(differs) else None
    if at is None and len(new.actions) != len(base.actions):
        at = n
    largest = float(gap.max()) if gap.size else 0.0
    return replace(flip, actions_part_at=at, states_part_at=_states_part(new, base), largest_difference=largest)


def _states_part(new: Trace, base: Trace) -> int | None:
    """Digests are taken at queries: the states parted at the first differing one, or since the one before."""
    one, other = _digests(new), _digests(base)
    return next((step for step in sorted(one.keys() & other.keys()) if one[step] != other[step]), None)


def _digests(trace: Trace) -> dict[int, str]:
    steps = [*(int(step) for step in trace.query_steps), len(trace.actions)]
    return dict(zip(steps, trace.digests, strict=False))


def _length(lengths: NDArray[np.int8] | None, at: int) -> int | None:
    return None if lengths is None else int(lengths[at])
