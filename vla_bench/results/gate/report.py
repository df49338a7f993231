"""All questions of a gate and the one answer that is drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vla_bench.results.comparison.pairing import pair_runs, shared_episodes
from vla_bench.results.comparison.sides import Side, open_sides
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.gate.decision import Decision, decide_against_published, decide_floor, decide_paired
from vla_bench.results.gate.published import PREFIX, Published, read_published
from vla_bench.results.gate.thresholds import Criterion, Thresholds, criteria_for
from vla_bench.results.gate.words import OnInconclusive
from vla_bench.results.stats.noninferiority import Verdict
from vla_bench.results.stats.several import holm
from vla_bench.results.store import Store
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.errors import PlanMismatch, UsageError
from vla_bench.spec.outcomes import ExitCode

__all__ = ["GateReport", "evaluate_gate", "exit_code_of", "open_baselines", "overall"]

SCHEMA = "vla-bench/gate/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """What a gate found.

    Attributes:
        verdict: pass where every criterion passes; fail where one is shown to fail, Holm over all; else inconclusive.
        new, base: what was compared.
        decisions: one per question.
        alpha: error rate of either answer.
        n_shared, n_planned: episodes compared of those planned, where a part of the plan was compared; else equal.
        notes: what a reader must know besides.
        sequential: how a sequential gate went; None for one on complete runs.
    """

    verdict: Verdict
    new: tuple[str, ...]
    base: str
    decisions: tuple[Decision, ...]
    alpha: float
    n_shared: int
    n_planned: int
    notes: tuple[str, ...] = ()
    sequential: dict[str, Any] | None = None

    @property
    def weak(self) -> list[Decision]:
        """Decisions with less than even power; one that was shown to fail had power enough."""
        return [each for each in self.decisions if each.is_weak and each.verdict is not Verdict.FAIL]

    @property
    def n_to_settle(self) -> int | None:
        """Episodes at which all open questions have an answer, if things are as they look; None where nobody knows."""
        sizes = [each.n_to_settle for each in self.decisions if each.verdict is Verdict.INCONCLUSIVE]
        return max((size for size in sizes if size is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = {"schema": SCHEMA, **to_plain(self), "n_to_settle": self.n_to_settle}
        for decision, stored in zip(self.decisions, plain["decisions"], strict=True):
            stored["name"] = decision.criterion.name
        return plain


def open_baselines(arguments: Sequence[str], open_store: Callable[[], Store]) -> list[Side] | Published:
    """What `--baseline` names: runs, baseline files, or one published number.

    Raises:
        UsageError: a published number is mixed with anything else, or something cannot be read.
        UnknownRun: there is no run of that name.
    """
    published = [argument for argument in arguments if argument.startswith(PREFIX)]
    if not published:
        return open_sides(arguments, open_store)
    if len(arguments) > 1:
        raise UsageError("a published number stands alone; put several suites into one published:FILE.yaml")
    return read_published(published[0])


def evaluate_gate(
    new: Sequence[RunVector], base: Sequence[Side] | Published, thresholds: Thresholds, *, intersection: bool = False
) -> GateReport:
    """Ask every question of complete runs.

    Args:
        new: the candidate's runs, one per suite.
        base: what they are held against.
        thresholds: margins and floors.
        intersection: compare the episodes that both judged where plans differ.

    Raises:
        IncompleteRun: a run lacks episodes.
        PlanMismatch: there is no baseline of that suite, or its plan is another one.
        UsageError: a threshold does not fit.
    """
    for vector in new:
        if not intersection:
            vector.check_complete("the gate")
    notes: list[str] = list(base.notes) if isinstance(base, Published) else []
    decisions: list[Decision] = []
    n_shared = n_planned = 0
    for vector in new:
        mine, against = vector, base if isinstance(base, Published) else _matching(vector, base)
        if isinstance(against, RunVector):
            n_planned += max(len(vector.plan), len(against.plan))
            if intersection:
                mine, against = shared_episodes([vector, against])
            notes += _differences(mine, against)
        else:
            n_planned += len(vector.plan)
        n_shared += len(mine.plan)
        for criterion in criteria_for(thresholds, [mine]):
            decisions += _decisions(criterion, mine, against)
    unused = [suite for suite in thresholds.suites if not any(_is(suite, vector) for vector in new)]
    notes += [f"the thresholds name {suite}, which none of the runs is of" for suite in unused]
    adjusted = _adjusted(decisions)
    base_name = base.source if isinstance(base, Published) else ", ".join(side.name for side in base)
    return GateReport(
        verdict=overall(adjusted, thresholds.alpha),
        new=tuple(vector.name for vector in new),
        base=base_name,
        decisions=tuple(adjusted),
        alpha=thresholds.alpha,
        n_shared=n_shared,
        n_planned=n_planned,
        notes=tuple(notes),
    )


def overall(decisions: Sequence[Decision], alpha: float) -> Verdict:
    """The one answer.

    To pass, every question must pass on its own: the chance that a policy that is too bad anywhere passes is at most
    alpha without any adjustment (an intersection-union test). To fail, one must be shown to fail, and the more are
    asked the easier one fails by chance: Holm keeps that at alpha.

    Reference: Berger 1982, Technometrics 24; Holm 1979.
    """
    if all(decision.verdict is Verdict.PASS for decision in decisions):
        return Verdict.PASS
    return Verdict.FAIL if any(each.p_fail_adjusted <= alpha for each in decisions) else Verdict.INCONCLUSIVE


def exit_code_of(verdict: Verdict, on_inconclusive: OnInconclusive) -> ExitCode:
    """What the shell sees."""
    if verdict is Verdict.INCONCLUSIVE:
        answers = {OnInconclusive.PASS: ExitCode.OK, OnInconclusive.FAIL: ExitCode.CHECK_FAILED}
        return answers.get(on_inconclusive, ExitCode.INCONCLUSIVE)
    return ExitCode.OK if verdict is Verdict.PASS else ExitCode.CHECK_FAILED


def _decisions(criterion: Criterion, vector: RunVector, against: RunVector | Published) -> list[Decision]:
    decisions = []
    if criterion.margin is not None:
        if isinstance(against, Published):
            decisions.append(decide_against_published(criterion, vector, against.score_of(criterion.suite)))
        else:
            decisions.append(decide_paired(criterion, pair_runs(vector, against)))
    if criterion.at_least is not None:
        decisions.append(decide_floor(criterion, vector))
    return decisions


def _adjusted(decisions: Sequence[Decision]) -> list[Decision]:
    p_values = holm([decision.p_fail for decision in decisions])
    adjusted = []
    for decision, p in zip(decisions, p_values, strict=True):
        verdict, remark = decision.verdict, decision.remark
        if verdict is Verdict.FAIL and p > decision.criterion.alpha:
            verdict, remark = Verdict.INCONCLUSIVE, f"a fail alone, and one of {len(decisions)} questions (Holm)"
        adjusted.append(replace(decision, p_fail_adjusted=p, verdict=verdict, remark=remark))
    return adjusted


def _matching(vector: RunVector, sides: Sequence[Side]) -> RunVector:
    """The baseline of a run's suite and protocol."""
    found = [side.by_suite[key] for side in sides if (key := (vector.suite, vector.protocol)) in side.by_suite]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(repr(each.name) for each in found)
        raise UsageError(f"two baselines of {vector.suite} {vector.protocol} are given: {names}")
    has = ", ".join(" ".join(key) for side in sides for key in side.by_suite)
    raise PlanMismatch(f"no baseline of {vector.suite} {vector.protocol} for {vector.name!r}; there is one of {has}")


def _differences(new: RunVector, base: RunVector) -> list[str]:
    notes = []
    if new.name == base.name and new.source == base.source == "run":
        notes.append(f"{new.name!r} is held against itself")
    if new.suite_digest != base.suite_digest:
        notes.append(f"{new.suite}: the suite itself changed since the baseline; see `vla-bench diff`")
    if new.eval_hash != base.eval_hash:
        notes.append(f"{new.suite}: candidate and baseline have different evaluation settings; see `vla-bench diff`")
    return notes


def _is(suite: str, vector: RunVector) -> bool:
    from vla_bench.spec.names import normalise_name

    return normalise_name(suite) == normalise_name(vector.suite)
