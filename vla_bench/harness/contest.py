"""A contest: candidate and baseline run the same episodes in turns, block by block, until somebody has seen enough.

Episodes come in an order that is given, in the same one for both, so that what has been run at any time is a set of
pairs. What to conclude from them is the caller's affair (`vla_bench.results.gate.sequential`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_bench.harness.config import RunConfig
from vla_bench.harness.events import Listener
from vla_bench.harness.executors.base import Job
from vla_bench.harness.open_runner import open_runner
from vla_bench.harness.prepare import Prepared, prepare
from vla_bench.harness.runner import Runner
from vla_bench.results.comparison.loading import load_vectors
from vla_bench.results.comparison.vectors import NOT_JUDGED, RunVector
from vla_bench.results.runs import RunRecord
from vla_bench.results.store import Store
from vla_bench.spec.episode import Plan
from vla_bench.spec.errors import Interrupted, PlanMismatch, RunMismatch, VlaBenchError
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, EpisodeResult

__all__ = ["REGISTERED", "ContestPairs", "Contestant", "Known", "open_contestant", "run_contest_pairs"]

REGISTERED = "# registered: "
"""In the stored command of a run that a sequential gate began: what was fixed before its first episode."""


class Known:
    """A contestant whose episodes have been run: columns in the order of a plan."""

    def __init__(self, vector: RunVector, plan: Plan) -> None:
        """Take a complete run of this plan.

        Raises:
            PlanMismatch: it ran another one.
            IncompleteRun: it lacks episodes.
        """
        if vector.plan.plan_hash != plan.plan_hash:
            raise PlanMismatch(
                f"baseline {vector.name!r} ran another plan than this gate would ({len(vector.plan)} and {len(plan)} "
                "episodes). Give the gate the same --suite, --protocol, --task, --trials and --seed as its run had"
            )
        vector.check_complete("a baseline that is not run again")
        rows = {episode: row for row, episode in enumerate(vector.plan.ids)}
        at = np.array([rows[episode.id] for episode in plan.episodes], np.int64)
        self.name = vector.name
        self.policy = vector.policy
        self.outcomes = vector.outcomes[at]
        self.lengths = None if vector.lengths is None else vector.lengths[at]

    def advance(self, positions: Sequence[int]) -> VlaBenchError | None:
        """Nothing is left to run."""


class Contestant(Listener):
    """A contestant whose episodes are run as they are asked for; those that were judged before are not run again.

    Attributes:
        name: of its run in the database.
        policy: its name.
        plan: whole.
        vector: the run as it was when this began.
        outcomes: int8 `[N]`, in plan order: 1, 0 or `NOT_JUDGED`.
        lengths: int8 `[N]`, stages reached to their end; None where tasks have no stages.
        n_ran: episodes that were run here.
    """

    def __init__(self, prepared: Prepared, record: RunRecord, known: RunVector) -> None:
        self.name, self.policy = record.name, prepared.spec.policy.name
        self.plan = prepared.spec.plan
        self.vector = known
        self.outcomes, self.lengths = known.outcomes.copy(), None if known.lengths is None else known.lengths.copy()
        self.n_ran = 0
        self._runner: Runner | None = None
        self._store = prepared.store
        self._position = {episode.id: at for at, episode in enumerate(self.plan.episodes)}

    def use(self, runner: Runner) -> None:
        """Run with this runner from now on."""
        self._runner = runner

    def advance(self, positions: Sequence[int]) -> VlaBenchError | None:
        """Run the episodes at these positions of the plan.

        Returns:
            None where every one of them was judged or lost for good; else why the run stopped.
        """
        assert self._runner is not None
        jobs = [
            Job(episode=self.plan.episodes[at], attempt=self._n_attempts(self.plan.episodes[at].id))
            for at in positions
            if self.outcomes[at] == NOT_JUDGED
        ]
        return self._runner.run(jobs)

    def episode_finished(self, result: EpisodeResult) -> None:
        """Note how an episode ended."""
        at = self._position[result.episode.id]
        self.n_ran += 1
        last = result.last
        if last is not None and last.outcome.is_judged:
            self.outcomes[at] = int(last.outcome is Outcome.SUCCESS)
            if self.lengths is not None:
                self.lengths[at] = _length(last)

    def _n_attempts(self, episode_id: str) -> int:
        assert self._store is not None
        return len(self._store.attempts_of(self.name, episode_id))


def _length(attempt: AttemptResult) -> int:
    return sum(stage.success for stage in attempt.stages)


@contextmanager
def open_contestant(config: RunConfig, *, fixed: str = "") -> Iterator[Contestant]:
    """Begin a run, or go on with it, and be ready to run any of its episodes.

    Args:
        config: the run.
        fixed: what is fixed before the first episode; stored with the run's command, and compared when it goes on.

    Raises:
        RunMismatch: the run was begun by a gate that had fixed something else.
        UsageError, PolicyError, StoreError: as `execute_run`.
    """
    with prepare(config) as prepared:
        store = prepared.store
        assert store is not None
        record = store.begin_run(prepared.spec, fresh=config.fresh)
        if record.is_resumed:
            _check_registration(store, record.name, fixed)
        contestant = Contestant(prepared, record, load_vectors(store, [record.name])[0])
        with open_runner(config, prepared, record.name, prepared.n_workers, contestant) as runner:
            contestant.use(runner)
            yield contestant
        if contestant.n_ran:
            store.finish(record.name)


def _check_registration(store: Store, name: str, fixed: str) -> None:
    stored = store.summary(name).command
    if REGISTERED in stored and (before := stored.split(REGISTERED)[1].strip()) != fixed:
        raise RunMismatch(
            f"run {name!r} belongs to a gate that was begun with {before}; now it is {fixed}. What is asked is fixed "
            "before the first episode: repeat the earlier command, or name new runs"
        )


@dataclass(frozen=True, slots=True)
class ContestPairs:
    """What has been run so far, in the order in which it was run.

    Attributes:
        new, base: int8 `[n]`, outcomes of either.
        new_lengths, base_lengths: int8 `[n]`; None where tasks have no stages.
    """

    new: NDArray[np.int8]
    base: NDArray[np.int8]
    new_lengths: NDArray[np.int8] | None
    base_lengths: NDArray[np.int8] | None


def run_contest_pairs(
    new: Contestant,
    base: Contestant | Known,
    order: NDArray[np.int64],
    is_settled: Callable[[ContestPairs], bool],
    *,
    block: int,
) -> tuple[ContestPairs, VlaBenchError | None]:
    """Run pairs in this order, candidate and baseline in turns, until somebody has seen enough or the plan ends.

    Args:
        new: the candidate.
        base: the baseline.
        order: positions of the plan.
        is_settled: asked after every block, with all pairs so far.
        block: pairs between two looks; as many as simulators run at a time keeps all of them busy.

    Returns:
        The pairs, and why the contest stopped before its end; None where it did not.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; finished episodes are kept.
    """
    stopped: VlaBenchError | None = None
    done = 0
    try:
        while done < len(order):
            turn = [int(at) for at in order[done : done + block]]
            # In turns, so that a machine that slows down or a simulator that drifts touches both alike.
            stopped = new.advance(turn) or base.advance(turn)
            done += len(turn)
            if stopped is not None or is_settled(_pairs(new, base, order[:done])):
                break
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; finished episodes are kept, the same command goes on") from error
    return _pairs(new, base, order[:done]), stopped


def _pairs(new: Contestant, base: Contestant | Known, at: NDArray[np.int64]) -> ContestPairs:
    return ContestPairs(
        new=new.outcomes[at],
        base=base.outcomes[at],
        new_lengths=None if new.lengths is None else new.lengths[at],
        base_lengths=None if base.lengths is None else base.lengths[at],
    )
