"""From the episodes of its runs to what a group says. No SQL here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from vla_bench.results.groups.evaluations import Evaluated
from vla_bench.results.groups.kinds import GroupKind, Member
from vla_bench.results.groups.model import GroupedChains, GroupedRun, RunGroup, RunGroupSummary
from vla_bench.results.groups.spread import between, mean_of_units, training_component, within
from vla_bench.results.runs import TaskSummary
from vla_bench.results.stats.chains import counted, mean_length
from vla_bench.results.stats.rates import rate_bounds
from vla_bench.results.stats.suites import TaskCounts, mean_rate, these_tasks

__all__ = ["summarise_group"]


def summarise_group(group: RunGroup, runs: Sequence[Evaluated]) -> RunGroupSummary:
    """What a group says.

    Args:
        group: as defined.
        runs: its members, in their order.
    """
    first = runs[0]
    labels = list(dict.fromkeys(member.label for member in group.members))
    is_complete = all(run.is_complete for run in runs)
    units = _by_unit(group, runs, Evaluated.scores) if is_complete else []
    counts = [_counts(runs, task) for task in first.planned] if is_complete else []
    n_success, n_judged, n_planned = (sum(getattr(run, f"n_{what}") for run in runs) for what in _PARTS)
    lost: Counter[str] = Counter()
    for run in runs:
        lost.update(run.lost)
    return RunGroupSummary(
        name=group.name,
        kind=group.kind,
        protocol=group.protocol,
        suite=first.suite,
        suite_protocol=first.suite_protocol,
        policy=", ".join(dict.fromkeys(run.policy for run in runs)),
        is_oracle=first.is_oracle,
        is_imported=bool(first.tool),
        n_units=len(labels),
        n_evaluations=len(runs) // len(labels) * first.n_repeats,
        n_states=sum(len(of_task) for of_task in first.planned.values()),
        n_planned=n_planned,
        n_judged=n_judged,
        n_success=n_success,
        lost_by_kind=dict(sorted(lost.items())),
        rate=mean_rate(counts),
        these_runs=these_tasks(counts),
        bounds=None if is_complete else rate_bounds(n_success, n_judged, n_planned),
        evaluation_spread=within(units),
        training_spread=between(units),
        training_component=training_component(units),
        noise_ceiling=_noise_ceiling(group, runs) if is_complete and len(labels) > 1 else None,
        new_trainings=mean_of_units(units) if group.kind is GroupKind.TRAINING_SEEDS else None,
        chains=_chains(group, runs) if is_complete and first.n_stages > 1 else None,
        runs=tuple(_member(member, run) for member, run in zip(group.members, runs, strict=True)),
        per_task=tuple(_task(runs, task) for task in first.planned),
        settings=first.settings,
        created_at=group.created_at,
    )


_PARTS = ("success", "judged", "planned")


def _by_unit(
    group: RunGroup, runs: Sequence[Evaluated], score: Callable[[Evaluated], tuple[float, ...]]
) -> list[list[float]]:
    """Scores of all evaluations of each label."""
    by_label: dict[str, list[float]] = {}
    for member, run in zip(group.members, runs, strict=True):
        by_label.setdefault(member.label, []).extend(score(run))
    return list(by_label.values())


def _chains(group: RunGroup, runs: Sequence[Evaluated]) -> GroupedChains:
    n_stages = runs[0].n_stages
    units = _by_unit(group, runs, Evaluated.mean_lengths)
    chains = [
        [length for run in runs for length in run.lengths[task][trial].values()]
        for task, of_task in runs[0].planned.items()
        for trial in of_task
    ]
    # A chain is one observation, however often it was rolled out: its total, all chains having equally many.
    n_rollouts = len(chains[0])
    found = mean_length(counted([sum(lengths) for lengths in chains]))
    assert found is not None
    interval = found.interval
    lengths = [length for of_chain in chains for length in of_chain]
    return GroupedChains(
        n_stages=n_stages,
        mean_length=found.mean / n_rollouts,
        interval=interval and replace(interval, low=interval.low / n_rollouts, high=interval.high / n_rollouts),
        stages=tuple(sum(length >= k for length in lengths) / len(lengths) for k in range(1, n_stages + 1)),
        evaluation_spread=within(units),
        training_spread=between(units),
        training_component=training_component(units),
        new_trainings=mean_of_units(units, highest=n_stages) if group.kind is GroupKind.TRAINING_SEEDS else None,
    )


def _counts(runs: Sequence[Evaluated], task: str) -> TaskCounts:
    """A task over all runs: rollouts of one initial state stay together, whoever made them."""
    states = []
    for trial in sorted(runs[0].planned[task]):
        rollouts = [outcome for run in runs for outcome in run.successes[task][trial].values()]
        states.append((sum(rollouts), len(rollouts)))
    return TaskCounts(task=task, states=tuple(states))


def _task(runs: Sequence[Evaluated], task: str) -> TaskSummary:
    n_planned = sum(sum(run.planned[task].values()) for run in runs)
    outcomes = [o for run in runs for rollouts in run.successes.get(task, {}).values() for o in rollouts.values()]
    counts = [_counts(runs, task)] if len(outcomes) == n_planned else []
    return TaskSummary(
        task=task,
        n_planned=n_planned,
        n_judged=len(outcomes),
        n_success=sum(outcomes),
        rate=mean_rate(counts),
        interval=these_tasks(counts),
        bounds=None if counts else rate_bounds(sum(outcomes), len(outcomes), n_planned),
    )


def _member(member: Member, run: Evaluated) -> GroupedRun:
    scores = run.scores()
    return GroupedRun(
        run=run.run,
        label=member.label,
        n_planned=run.n_planned,
        n_judged=run.n_judged,
        n_success=run.n_success,
        rate=sum(scores) / len(scores) if scores else None,
        scores=scores,
    )


def _noise_ceiling(group: RunGroup, runs: Sequence[Evaluated]) -> float:
    """The standard deviation that units' means would have if every rollout were a coin of its task's rate.

    Initial states differ in difficulty and are the same for all units, so that real noise is at most this.
    """
    labels = list(dict.fromkeys(member.label for member in group.members))
    variances = []
    for label in labels:
        of_unit = [run for member, run in zip(group.members, runs, strict=True) if member.label == label]
        counts = [_counts(of_unit, task) for task in of_unit[0].planned]
        variances.append(sum(count.rate * (1 - count.rate) / count.n for count in counts) / len(counts) ** 2)
    return math.sqrt(sum(variances) / len(variances))
