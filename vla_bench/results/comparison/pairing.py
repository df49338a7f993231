"""Which episodes of two runs belong together: those of equal plans, or what two plans share where told so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vla_bench.results.comparison.vectors import NOT_JUDGED, PlanColumns, RunVector, task_groups
from vla_bench.spec.canonical import sha256_hex
from vla_bench.spec.errors import PlanMismatch

__all__ = ["PairedRuns", "check_same_suite", "pair_runs", "shared_episodes"]


@dataclass(frozen=True, kw_only=True)
class PairedRuns:
    """Judged pairs of two runs; all columns have one entry per pair, in the plan order of the new run.

    Attributes:
        new, base: the runs.
        at_new, at_base: int64, positions in the plans of the two.
    """

    new: RunVector
    base: RunVector
    at_new: NDArray[np.int64]
    at_base: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at_new)

    @property
    def new_success(self) -> NDArray[np.bool_]:
        """Whether the new policy succeeded."""
        return np.asarray(self.new.outcomes[self.at_new] == 1)

    @property
    def base_success(self) -> NDArray[np.bool_]:
        """Whether the baseline succeeded."""
        return np.asarray(self.base.outcomes[self.at_base] == 1)

    @property
    def task(self) -> NDArray[np.int64]:
        """Index of the task in the new run's plan."""
        return self.new.plan.task[self.at_new]

    @property
    def state(self) -> NDArray[np.int64]:
        """Index of the initial state in the new run's plan."""
        return self.new.plan.state[self.at_new]

    @property
    def gained_lengths(self) -> NDArray[np.int64] | None:
        """Chain length of the new policy minus that of the baseline; None where tasks have no stages."""
        if self.new.lengths is None or self.base.lengths is None:
            return None
        return self.new.lengths[self.at_new].astype(np.int64) - self.base.lengths[self.at_base]


def check_same_suite(new: RunVector, base: RunVector) -> None:
    """Raise where two runs are of different suites or protocols.

    Raises:
        PlanMismatch: naming both.
    """
    if (new.suite, new.protocol) != (base.suite, base.protocol):
        raise PlanMismatch(
            f"{new.name!r} ran {new.suite} {new.protocol} and {base.name!r} ran {base.suite} {base.protocol}: "
            "only runs of one suite and protocol can be compared"
        )


def pair_runs(new: RunVector, base: RunVector) -> PairedRuns:
    """Pair two complete runs of one plan, episode by episode.

    Raises:
        PlanMismatch: suite, protocol or plan differ; the message says how many episodes are shared.
        IncompleteRun: an episode lacks a judged outcome.
    """
    check_same_suite(new, base)
    if new.plan.plan_hash != base.plan.plan_hash:
        raise PlanMismatch(_refusal(new, base))
    for vector in (base, new):
        vector.check_complete("a comparison (or add --intersection)")
    return PairedRuns(new=new, base=base, at_new=np.arange(len(new.plan)), at_base=_matching(new.plan, base.plan))


def shared_episodes(vectors: Sequence[RunVector]) -> list[RunVector]:
    """The runs cut down to the episodes that all their plans hold and all of them judged, in the first one's order.

    Raises:
        PlanMismatch: they are of different suites, or nothing is left.
    """
    first = vectors[0]
    for vector in vectors[1:]:
        check_same_suite(vector, first)
    rows = [_judged_rows(vector) for vector in vectors]
    kept = [key for key in rows[0] if all(key in other for other in rows[1:])]
    if not kept:
        names = ", ".join(repr(vector.name) for vector in vectors)
        raise PlanMismatch(f"{names} have no judged episode in common: nothing can be paired")
    plan = _cut(first.plan, np.array([rows[0][key] for key in kept], np.int64))
    cut = []
    for vector, own in zip(vectors, rows, strict=True):
        at = np.array([own[key] for key in kept], np.int64)
        lengths = None if vector.lengths is None else vector.lengths[at]
        cut.append(replace(vector, plan=plan, outcomes=vector.outcomes[at], lengths=lengths))
    return cut


def _judged_rows(vector: RunVector) -> dict[str, int]:
    """Episode id → row, of the judged ones."""
    judged = vector.outcomes != NOT_JUDGED
    return {episode: row for row, episode in enumerate(vector.plan.ids) if judged[row]}


def _cut(plan: PlanColumns, rows: NDArray[np.int64]) -> PlanColumns:
    """Some episodes of a plan as a plan of their own; tasks without one drop out."""
    kept, task = np.unique(plan.task[rows], return_inverse=True)
    ids = tuple(plan.ids[row] for row in rows)
    groups = {
        tag: task_groups([group.values[group.of_task[index]] for index in kept]) for tag, group in plan.groups.items()
    }
    return PlanColumns(
        plan_hash=sha256_hex(ids),
        tasks=tuple(plan.tasks[index] for index in kept),
        task=np.asarray(task, np.int64),
        trial=plan.trial[rows],
        repeat=plan.repeat[rows],
        cluster=plan.cluster[kept],
        groups=groups,
        n_stages=plan.n_stages,
        make_ids=lambda: ids,
    )


def _matching(new: PlanColumns, base: PlanColumns) -> NDArray[np.int64]:
    """Where the episodes of `new` stand in `base`: one plan, which a file may hold in another order."""
    if new is base:
        return np.arange(len(new))
    position = {key: at for at, key in enumerate(_keys(base))}
    return np.array([position[key] for key in _keys(new)], np.int64)


def _keys(plan: PlanColumns) -> list[tuple[str, int, int]]:
    columns = zip(plan.task.tolist(), plan.trial.tolist(), plan.repeat.tolist(), strict=True)
    return [(plan.tasks[task], trial, repeat) for task, trial, repeat in columns]


def _refusal(new: RunVector, base: RunVector) -> str:
    n_shared = len(set(new.plan.ids) & set(base.plan.ids))
    way_out = (
        f"Add --intersection to compare the {n_shared} that they share"
        if n_shared
        else "They share none; add --unpaired to compare the rates of independent trials"
    )
    return (
        f"{new.name!r} and {base.name!r} ran different plans ({len(new.plan)} and {len(base.plan)} episodes, "
        f"{n_shared} of them the same). {way_out}."
    )
