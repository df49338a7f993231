"""`gate --sequential`: candidate and baseline in turns, looked at after every block, stopped when it is answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_bench.cli.display.console import story
from vla_bench.cli.gating.fixed import Outputs, tell
from vla_bench.cli.options import parse_options, typed_command
from vla_bench.cli.reading import open_results
from vla_bench.harness.config import RunConfig
from vla_bench.harness.contest import (
    REGISTERED,
    Contestant,
    ContestPairs,
    Known,
    open_contestant,
    run_contest_pairs,
)
from vla_bench.harness.executors.base import default_workers
from vla_bench.results.comparison.sides import Side
from vla_bench.results.comparison.vectors import NOT_JUDGED, RunVector
from vla_bench.results.gate.published import Published
from vla_bench.results.gate.report import GateReport, open_baselines
from vla_bench.results.gate.sequential import SequentialTest, contest_order
from vla_bench.results.gate.thresholds import AVERAGE_LENGTH, Criterion, Thresholds, criteria_for
from vla_bench.results.gate.words import OnInconclusive
from vla_bench.results.stats.noninferiority import Verdict
from vla_bench.results.stats.sequential import SequentialAnswer
from vla_bench.results.store import Store
from vla_bench.spec.errors import IncompleteRun, UsageError, VlaBenchError
from vla_bench.spec.outcomes import ExitCode

__all__ = ["Contest", "run_contest"]

N_LINES = 10
"""Lines of progress over a whole plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The options of a sequential gate; see `vla-bench gate --help`."""

    policy: str
    options: tuple[str, ...]
    baselines: tuple[str, ...]
    baseline_policy: str
    baseline_options: tuple[str, ...]
    suite: str
    protocol: str
    tasks: tuple[str, ...]
    trials: int | None
    max_trials: int | None
    seed: int
    order_seed: int
    workers: int | None
    names: tuple[str, ...]
    db: str


def run_contest(contest: Contest, thresholds: Thresholds, outputs: Outputs) -> ExitCode:
    """Run pairs until the answer is there, or the plan is at its end; print the answer.

    Raises:
        UsageError: (a child) something in the options is wrong.
        IncompleteRun: it stopped before its end, or lost episodes keep the answer open.
    """
    _check(contest, thresholds, outputs)
    known = _known_baseline(contest)
    config = _config(contest, known, is_extended=outputs.on_inconclusive is OnInconclusive.EXTEND)
    with ExitStack() as stack:
        fixed = _fixed(contest, thresholds)
        command = f"{typed_command()}  {REGISTERED}{fixed}"
        new = stack.enter_context(open_contestant(config(contest.policy, contest.options, 0, command), fixed=fixed))
        base: Contestant | Known
        if known is not None:
            base = Known(known, new.plan)
        else:
            base = stack.enter_context(
                open_contestant(config(contest.baseline_policy, contest.baseline_options, 1, command), fixed=fixed)
            )
        answer = _Answer(contest, thresholds, new, base)
        report, stopped = answer.find()
    if stopped is not None and report.verdict is Verdict.INCONCLUSIVE:
        raise IncompleteRun(f"the gate stopped before its end: {stopped}. The same command goes on.")
    if report.verdict is Verdict.INCONCLUSIVE and answer.n_lost:
        tell(report, outputs)
        raise IncompleteRun(
            f"{answer.n_lost} pairs lack an outcome, which keeps the answer open. The same command goes on."
        )
    return tell(report, outputs)


class _Answer:
    """Looks at the pairs as they come."""

    def __init__(self, contest: Contest, thresholds: Thresholds, new: Contestant, base: Contestant | Known) -> None:
        self._contest, self._new, self._base = contest, new, base
        vector = new.vector
        criterion = _criterion(thresholds, vector)
        self.test = SequentialTest(criterion=criterion, n_stages=vector.plan.n_stages)
        self._is_staged = criterion.measure == AVERAGE_LENGTH or criterion.k is not None
        n_trials = contest.trials if contest.trials is not None and contest.max_trials is not None else None
        trial = vector.plan.trial
        self._n_trials = int(trial.max()) + 1 if n_trials is None else n_trials
        self.order = contest_order(trial, self._n_trials, contest.order_seed)
        self._told = 0
        self.n_lost = 0

    def find(self) -> tuple[GateReport, VlaBenchError | None]:
        block = self._contest.workers or default_workers()
        pairs, stopped = run_contest_pairs(self._new, self._base, self.order, self._is_settled, block=block)
        one, other = self._columns(pairs)
        answer = self.test.look(one, other)
        decision = self.test.decision(one, other, answer)
        self.n_lost = int(((one == NOT_JUDGED) | (other == NOT_JUDGED)).sum())
        n_sides = 1 if isinstance(self._base, Known) else 2
        n_possible = n_sides * len(self.order)
        saved = n_possible - n_sides * len(pairs.new)
        told = {
            "pairs": f"{answer.n_used:,} of {len(self.order):,}",
            "saved": f"{saved:,} of {n_possible:,} episodes need not be run"
            if saved
            else "nothing: the plan is at its end",
            "evidence": f"E {_e(answer.log_e_pass)} for a pass, {_e(answer.log_e_fail)} for a fail",
            "order": f"seed {self._contest.order_seed}",
        }
        report = GateReport(
            verdict=answer.verdict,
            new=(self._new.name,),
            base=self._base.name,
            decisions=(decision,),
            alpha=self.test.criterion.alpha,
            n_shared=len(self.order),
            n_planned=len(self.order),
            sequential={
                "n_pairs": answer.n_used, "n_plan": len(self.order), "n_saved": saved, "n_lost": self.n_lost,
                "n_ran": self._new.n_ran + getattr(self._base, "n_ran", 0), "order_seed": self._contest.order_seed,
                "log_e_pass": min(answer.log_e_pass, 700.0), "log_e_fail": min(answer.log_e_fail, 700.0), "told": told,
            },
        )  # fmt: skip
        return report, stopped

    def _is_settled(self, pairs: ContestPairs) -> bool:
        answer = self.test.look(*self._columns(pairs))
        n = len(pairs.new)
        if n * N_LINES // len(self.order) > self._told or answer.verdict is not Verdict.INCONCLUSIVE:
            self._told = n * N_LINES // len(self.order)
            self._tell(n, answer)
        return answer.verdict is not Verdict.INCONCLUSIVE

    def _columns(self, pairs: ContestPairs) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        if self._is_staged:
            assert pairs.new_lengths is not None
            assert pairs.base_lengths is not None
            return pairs.new_lengths, pairs.base_lengths
        return pairs.new, pairs.base

    def _tell(self, n: int, answer: SequentialAnswer) -> None:
        needed = 1 / self.test.criterion.alpha
        story().print(
            f"[dim]{n:,} of {len(self.order):,} pairs: E {_e(answer.log_e_pass)} for a pass, "
            f"{_e(answer.log_e_fail)} for a fail, {needed:g} is enough[/]",
            soft_wrap=True,
        )


def _check(contest: Contest, thresholds: Thresholds, outputs: Outputs) -> None:
    """What can be said before anything is opened."""
    if not contest.policy:
        raise UsageError("a sequential gate runs the candidate: name it with --policy, as in `vla-bench run`")
    if bool(contest.baselines) == bool(contest.baseline_policy):
        raise UsageError(
            "a sequential gate wants --baseline (a complete run or a file) or --baseline-policy, one of them"
        )
    if any(thresholds.tasks.values()) or any(rule.at_least is not None for rule in thresholds.suites.values()):
        raise UsageError(
            "a sequential gate asks one question: a margin on a whole suite. Floors and tasks want complete runs"
        )
    if len(contest.names) > 2:
        raise UsageError("a sequential gate has two runs: vla-bench gate CANDIDATE BASELINE --sequential")
    if outputs.on_inconclusive is OnInconclusive.EXTEND:
        if contest.max_trials is None or contest.trials is None or contest.max_trials <= contest.trials:
            raise UsageError("--on-inconclusive extend wants --trials and a larger --max-trials, both fixed beforehand")
    elif contest.max_trials is not None:
        raise UsageError("--max-trials goes with --on-inconclusive extend")


def _known_baseline(contest: Contest) -> RunVector | None:
    if not contest.baselines:
        return None
    with ExitStack() as stack:

        def open_store() -> Store:
            return stack.enter_context(open_results(contest.db))

        found = open_baselines(contest.baselines, open_store)
    if isinstance(found, Published):
        raise UsageError(
            "a published number has no episodes to pair: gate a complete run against it, without --sequential"
        )
    return _only(found)


def _only(sides: list[Side]) -> RunVector:
    vectors = [vector for side in sides for vector in side.vectors]
    if len(vectors) != 1:
        raise UsageError(f"a sequential gate is of one suite, and {len(vectors)} baselines are given")
    return vectors[0]


def _config(
    contest: Contest, known: RunVector | None, *, is_extended: bool
) -> Callable[[str, tuple[str, ...], int, str], RunConfig]:
    """Makes the run of either side; what the command does not say is taken from the baseline's run."""
    suite, protocol, tasks, trials = contest.suite, contest.protocol, contest.tasks, contest.trials
    if known is not None:
        suite = suite or known.suite
        protocol = protocol or known.protocol.split("/")[0]
        tasks = tasks or known.plan.tasks
        trials = int(known.plan.trial.max()) + 1 if trials is None else trials
    if not suite:
        raise UsageError("a sequential gate wants --suite")
    n_trials = contest.max_trials if is_extended else trials

    def made(policy: str, options: tuple[str, ...], side: int, command: str) -> RunConfig:
        return RunConfig(
            policy=policy,
            suite=suite,
            policy_options=parse_options(options),
            protocol=protocol,
            tasks=tasks,
            trials=n_trials,
            settings={"policy_seed": contest.seed},
            name=contest.names[side] if len(contest.names) > side else _run_name(contest, side, suite),
            db=contest.db,
            workers=contest.workers,
            command=command,
        )

    return made


def _run_name(contest: Contest, side: int, suite: str) -> str:
    """Made of what was typed, so that two policies of one name do not share a run; a policy against itself has two."""
    typed = ((contest.policy, *contest.options), (contest.baseline_policy, *contest.baseline_options))
    twin = ["twin"] if side == 1 and typed[0] == typed[1] else []
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(["gate", *typed[side], suite, *twin])).strip("-")


def _criterion(thresholds: Thresholds, vector: RunVector) -> Criterion:
    return criteria_for(thresholds, [vector])[0]


def _fixed(contest: Contest, thresholds: Thresholds) -> str:
    """What may not change once the first episode was run."""
    margins = {thresholds.margin, *(rule.margin for rule in thresholds.suites.values())} - {None}
    margin = ", ".join(f"{value:g}" for value in sorted(value for value in margins if value is not None)) or "default"
    trials = "" if contest.max_trials is None else f", trials {contest.trials} to {contest.max_trials}"
    return f"margin {margin}, alpha {thresholds.alpha:g}, order {contest.order_seed}{trials}"


def _e(log_e: float) -> str:
    return f"{np.exp(min(log_e, 50.0)):.3g}"
