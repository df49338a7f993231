"""The difference of two runs on one suite: as a whole, by task, by group, and of chain lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.comparison.pairing import PairedRuns
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.stats.chains import MeanLength, StageRate, counted, mean_length, stage_rates
from vla_bench.results.stats.paired import (
    LEAST_DISCORDANT,
    MeanDifference,
    Pairs,
    clustered_difference,
    mcnemar_p,
    tango_interval,
)
from vla_bench.results.stats.rates import Interval
from vla_bench.results.stats.several import holm
from vla_bench.results.stats.unpaired import independent_interval, independent_p

__all__ = [
    "Difference", "LengthDifference", "SuiteDifference", "adjusted", "paired_difference", "suite_difference",
    "unpaired_difference", "unpaired_suite_difference", "whole_difference",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """New minus baseline, on some set of episodes.

    Attributes:
        name: of the task or the value of the tag; empty for a whole suite.
        n_new, k_new, n_base, k_base: judged episodes and successes of the two.
        pairs: the four cells; None for independent trials.
        difference: of the rates.
        interval: 95 %.
        p: two-sided, of equal rates.
        p_adjusted: after Holm over its family.
        test: `mcnemar`, `clustered` (repeats of initial states), `boschloo` or `score`.
    """

    name: str = ""
    n_new: int
    k_new: int
    n_base: int
    k_base: int
    pairs: Pairs | None
    difference: float
    interval: Interval
    p: float
    p_adjusted: float
    test: str

    @property
    def rate_new(self) -> float:
        """Success rate of the new policy."""
        return self.k_new / self.n_new

    @property
    def rate_base(self) -> float:
        """Success rate of the baseline."""
        return self.k_base / self.n_base

    @property
    def is_hopeless(self) -> bool:
        """Whether there are too few discordant pairs for any split of them to be significant at 5 %."""
        return self.pairs is not None and self.test == "mcnemar" and self.pairs.n_discordant < LEAST_DISCORDANT


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthDifference:
    """Chain lengths of two runs on the same chains.

    Attributes:
        new, base: average length of either, with its bootstrap interval.
        difference: of the averages, chains resampled in pairs.
        stages_new, stages_base: share of chains of at least k stages.
    """

    new: MeanLength
    base: MeanLength
    difference: MeanLength
    stages_new: tuple[StageRate, ...]
    stages_base: tuple[StageRate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteDifference:
    """The difference of two runs on one suite.

    Attributes:
        suite, protocol: of both.
        new, base: names of the runs.
        whole: all episodes.
        like_these: the same for new tasks of this kind, clustered by task; None where there is no such answer.
        tasks: by task, in plan order.
        groups: tag → its values.
        length: of chains; None where tasks have no stages.
        is_even: whether every task has the same number of pairs: else the difference is over episodes, and not the mean
            over tasks.
    """

    suite: str
    protocol: str
    new: str
    base: str
    whole: Difference
    like_these: MeanDifference | None
    tasks: tuple[Difference, ...]
    groups: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict)
    length: LengthDifference | None = None
    is_even: bool = True


def paired_difference(
    new: NDArray[np.bool_], base: NDArray[np.bool_], state: NDArray[np.int64] | None = None, name: str = ""
) -> Difference:
    """The difference on judged pairs: exact McNemar and Tango's interval.

    Args:
        new: outcomes of the new policy, `[n]`, at least one.
        base: outcomes of the baseline on the same episodes.
        state: `[n]`, initial state of each pair where states were rolled out repeatedly: then states are the
            independent units. None where every pair has its own.
        name: of the part.
    """
    pairs = Pairs.of(new, base)
    clustered = None if state is None else clustered_difference(new.astype(float) - base.astype(float), state)
    if clustered is None:
        return _of_pairs(pairs, name, n_states=pairs.n if state is None else len(np.unique(state)))
    return replace(
        _of_pairs(pairs, name), interval=clustered.interval, p=clustered.p, p_adjusted=clustered.p, test="clustered"
    )


def _of_pairs(pairs: Pairs, name: str, n_states: int = 0) -> Difference:
    """From counts; repeats that agree in every one of `n_states` states say as much as one rollout of each."""
    n_units = n_states or pairs.n
    share = n_units / pairs.n
    new_only, base_only = round(pairs.new_only * share), round(pairs.base_only * share)
    interval = tango_interval(new_only, base_only, n_units)
    assert interval is not None
    p = mcnemar_p(new_only, base_only)
    return Difference(
        name=name,
        n_new=pairs.n,
        k_new=pairs.both + pairs.new_only,
        n_base=pairs.n,
        k_base=pairs.both + pairs.base_only,
        pairs=pairs,
        difference=(pairs.new_only - pairs.base_only) / pairs.n,
        interval=interval,
        p=p,
        p_adjusted=p,
        test="mcnemar",
    )


def whole_difference(paired: PairedRuns) -> Difference:
    """The difference of two paired runs over all their episodes; repeats of an initial state are clusters."""
    return paired_difference(paired.new_success, paired.base_success, _states(paired))


def suite_difference(paired: PairedRuns) -> SuiteDifference:
    """Everything about two paired runs, Holm over the tasks and over the values of each tag."""
    new, base, plan, state = paired.new_success, paired.base_success, paired.new.plan, _states(paired)
    values = new.astype(float) - base.astype(float)
    parts = _by_part(new, base, state, paired.task, plan.tasks)
    return SuiteDifference(
        suite=paired.new.suite,
        protocol=paired.new.protocol,
        new=paired.new.name,
        base=paired.base.name,
        whole=whole_difference(paired),
        like_these=clustered_difference(values, plan.cluster[paired.task]),
        tasks=parts,
        groups={
            tag: _by_part(new, base, state, groups.of_task[paired.task], groups.values)
            for tag, groups in plan.groups.items()
        },
        length=_length(paired),
        is_even=len({part.n_new for part in parts}) <= 1,
    )


def unpaired_suite_difference(new: RunVector, base: RunVector) -> SuiteDifference:
    """The difference of independent trials of one suite, by task where both ran it.

    Raises:
        IncompleteRun: one of them lacks episodes.
    """
    for vector in (base, new):
        vector.check_complete("a comparison")
    parts = []
    for index, task in enumerate(new.plan.tasks):
        at_base = base.task_index(task)
        if at_base is not None:
            rows_new, rows_base = new.plan.task == index, base.plan.task == at_base
            parts.append(unpaired_difference(new.outcomes[rows_new], base.outcomes[rows_base], task))
    return SuiteDifference(
        suite=new.suite,
        protocol=new.protocol,
        new=new.name,
        base=base.name,
        whole=unpaired_difference(new.outcomes, base.outcomes),
        like_these=None,
        tasks=adjusted(parts),
        is_even=new.plan.is_even and base.plan.is_even,
    )


def unpaired_difference(new: NDArray[np.int8], base: NDArray[np.int8], name: str = "") -> Difference:
    """The difference of judged outcomes of independent trials, at least one of each: Boschloo or score, Newcombe."""
    k_new, n_new, k_base, n_base = int(new.sum()), len(new), int(base.sum()), len(base)
    interval = independent_interval(k_new, n_new, k_base, n_base)
    assert interval is not None
    p = independent_p(k_new, n_new, k_base, n_base)
    return Difference(
        name=name,
        n_new=n_new,
        k_new=k_new,
        n_base=n_base,
        k_base=k_base,
        pairs=None,
        difference=k_new / n_new - k_base / n_base,
        interval=interval,
        p=p,
        p_adjusted=p,
        test="boschloo" if max(n_new, n_base) <= 200 else "score",
    )


def adjusted(parts: Sequence[Difference]) -> tuple[Difference, ...]:
    """The same with Holm's p-values, all of them one family."""
    p_values = holm([part.p for part in parts])
    return tuple(replace(part, p_adjusted=p) for part, p in zip(parts, p_values, strict=True))


def _states(paired: PairedRuns) -> NDArray[np.int64] | None:
    return paired.state if paired.new.plan.is_repeated else None


def _by_part(
    new: NDArray[np.bool_],
    base: NDArray[np.bool_],
    state: NDArray[np.int64] | None,
    part: NDArray[np.int64],
    names: Sequence[str],
) -> tuple[Difference, ...]:
    """One difference per part that has a pair; Holm over them."""
    if state is None:
        # Four columns of counts: picking ten thousand parts out of ten thousand rows one by one takes seconds.
        cells = (new & base, new & ~base, ~new & base, ~new & ~base)
        counts = np.stack([np.bincount(part, weights=cell, minlength=len(names)) for cell in cells], axis=1).astype(int)
        rows = zip(names, counts.tolist(), strict=True)
        return adjusted([_of_pairs(Pairs(*cell), name) for name, cell in rows if sum(cell)])
    found = []
    for index in np.unique(part):
        mine = part == index
        is_repeated = len(np.unique(state[mine])) < int(mine.sum())
        found.append(paired_difference(new[mine], base[mine], state[mine] if is_repeated else None, names[int(index)]))
    return adjusted(found)


def _length(paired: PairedRuns) -> LengthDifference | None:
    gained = paired.gained_lengths
    if gained is None or paired.new.lengths is None or paired.base.lengths is None:
        return None
    lengths_new = counted(paired.new.lengths[paired.at_new])
    lengths_base = counted(paired.base.lengths[paired.at_base])
    new, base, difference = mean_length(lengths_new), mean_length(lengths_base), mean_length(counted(gained))
    assert new is not None
    assert base is not None
    assert difference is not None
    n_stages = paired.new.plan.n_stages
    return LengthDifference(
        new=new,
        base=base,
        difference=difference,
        stages_new=tuple(stage_rates(lengths_new, n_stages)),
        stages_base=tuple(stage_rates(lengths_base, n_stages)),
    )
