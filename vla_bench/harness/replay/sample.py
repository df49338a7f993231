"""Which episodes are replayed: all, or a seeded sample that looks at successes more heavily, as forgeries are those."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_bench.harness.replay.recording import Recording
from vla_bench.spec.outcomes import Outcome

__all__ = ["DEFAULT_SAMPLE", "Sample", "draw_sample"]

DEFAULT_SAMPLE = 59
"""Where none of so many deviates, at most 5 % of the episodes do, with 95 % confidence."""
SUCCESS_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was drawn.

    Attributes:
        recordings: in plan order.
        n_success, n_failure: of them.
        n_success_of, n_failure_of: of the run.
        seed: draws the same sample again; None where everything was taken.
    """

    recordings: tuple[Recording, ...]
    n_success: int
    n_failure: int
    n_success_of: int
    n_failure_of: int
    seed: int | None = None


def draw_sample(recordings: Sequence[Recording], size: int | None, seed: int | None = None) -> Sample:
    """Draw `size` recordings: four out of five are successes, as far as there are.

    Args:
        recordings: judged ones, in plan order.
        size: at least 1; None, or as many as there are, takes all.
        seed: None draws one from the system, so that nobody can know the sample beforehand.
    """
    groups: dict[bool, list[int]] = {True: [], False: []}
    for index, recording in enumerate(recordings):
        groups[recording.attempt.outcome is Outcome.SUCCESS].append(index)
    n_all = len(recordings)
    if size is None or size >= n_all:
        chosen, seed = set(range(n_all)), None
    else:
        seed = secrets.randbits(32) if seed is None else seed
        rng = np.random.default_rng(seed)
        n_success = min(len(groups[True]), max(round(SUCCESS_SHARE * size), size - len(groups[False])))
        wanted = {True: n_success, False: size - n_success}
        chosen = {int(i) for kind, n in wanted.items() for i in rng.choice(groups[kind], n, replace=False)}
    n_success = len(chosen & set(groups[True]))
    return Sample(
        recordings=tuple(recordings[index] for index in sorted(chosen)),
        n_success=n_success,
        n_failure=len(chosen) - n_success,
        n_success_of=len(groups[True]),
        n_failure_of=len(groups[False]),
        seed=seed,
    )
