"""What runs must have in common to be one group, each refusal one line with the way out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from vla_bench.results.groups.evaluations import Evaluated
from vla_bench.results.groups.kinds import GroupKind, Member
from vla_bench.spec.errors import UsageError

__all__ = ["check_alike", "labelled"]

_APART = "Scores of different protocols are never averaged: make a group of each."


def check_alike(runs: Sequence[Evaluated]) -> None:
    """Refuse runs whose scores are not of one kind.

    Raises:
        UsageError: they differ in suite, trials, initial states, settings, kind of policy or origin.
    """
    first = runs[0]
    for other in runs[1:]:
        pair = f"{first.run!r} and {other.run!r}"
        names = [f"{run.suite} {run.suite_protocol}" for run in (first, other)]
        if names[0] != names[1]:
            raise UsageError(f"{pair} are on {names[0]} and {names[1]}. {_APART}")
        if first.suite_digest != other.suite_digest:
            raise UsageError(f"{pair} ran different contents of {names[0]}. See `vla-bench diff`.")
        if first.rollouts != other.rollouts or first.n_repeats != other.n_repeats:
            raise UsageError(f"{pair} have {first.rollouts} and {other.rollouts} roll-outs a task. {_APART}")
        if first.states_hash != other.states_hash:
            raise UsageError(f"{pair} begin from different initial states or tasks. {_APART}")
        if first.settings != other.settings:
            keys = sorted(key for key in first.settings if first.settings[key] != other.settings.get(key))
            raise UsageError(f"{pair} have different evaluation settings ({', '.join(keys)}). {_APART}")
        if first.is_oracle != other.is_oracle:
            raise UsageError(f"one of {pair} is an oracle, which is never ranked or averaged with policies.")
        if first.tool != other.tool:
            raise UsageError(f"one of {pair} is imported and self-reported, the other is not. {_APART}")


def labelled(runs: Sequence[Evaluated], members: Sequence[Member], kind: GroupKind) -> list[Member]:
    """The members with a label each: the one given, or the digest of the weights.

    Raises:
        UsageError: two runs are one evaluation, or the labels do not fit the kind of group.
    """
    found = [
        Member(run.run, member.label or run.weights[:12] or run.policy_digest[:12])
        for run, member in zip(runs, members, strict=True)
    ]
    seeds: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for run, member in zip(runs, found, strict=True):
        twin = seeds[member.label].setdefault(run.policy_seed, run.run)
        if twin != run.run:
            raise UsageError(
                f"{twin!r} and {run.run!r} are the same weights under the same policy seed. If they are of "
                f"different {kind.unit}s, say which: {twin}=A {run.run}=B"
            )
    per_label = Counter(member.label for member in found)
    if kind is GroupKind.EVALUATION_SEEDS and len(per_label) > 1:
        raise UsageError(
            f"a group of kind {kind} is of one checkpoint, these runs are of {', '.join(per_label)}: "
            f"choose --kind {GroupKind.TRAINING_SEEDS}, or label them alike"
        )
    if kind is not GroupKind.EVALUATION_SEEDS and len(per_label) == 1:
        raise UsageError(
            f"a group of kind {kind} is of several {kind.unit}s, these runs are of one: choose --kind "
            f"{GroupKind.EVALUATION_SEEDS}, or label them RUN=LABEL"
        )
    if len(set(per_label.values())) > 1:
        counts = ", ".join(f"{label} {count}" for label, count in per_label.items())
        raise UsageError(f"every {kind.unit} is evaluated equally often in a group, not: {counts}")
    return found
