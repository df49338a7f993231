"""Do a recording and its replay agree? To the bit on the machine of the recording, in the outcome elsewhere."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from vla_bench.harness.replay.recording import Recording, digests_by_step
from vla_bench.harness.retries import REPEATED_POLICY_ERROR
from vla_bench.spec.canonical import to_plain
from vla_bench.spec.episode import Episode
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, Fingerprint, StageResult, Trace

__all__ = ["Agreement", "ReplayResult", "judge_replay", "machine_changes", "not_replayed"]


class Agreement(enum.StrEnum):
    """What a replay says of a recording."""

    BIT = "bit"
    """every compared state, the stages and the outcome are equal"""
    OUTCOME = "outcome"
    """the outcome, its step and the stages are equal; states differ, and so does the machine"""
    DIFFERS = "differs"
    """the outcome differs, or states do on the very machine of the recording, or the record contradicts itself"""
    UNREADABLE = "unreadable"
    """the trace is missing or damaged: nothing could be replayed"""
    LOST = "lost"
    """the simulator did not do its part in the replay: nothing is said"""

    @property
    def is_agreement(self) -> bool:
        """Whether the recorded outcome is what these actions give."""
        return self in (Agreement.BIT, Agreement.OUTCOME)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """One replayed episode.

    Attributes:
        episode: as planned.
        agreement: see there.
        recorded: the stored outcome.
        replayed: the outcome of the replay, `not_run` where the actions did not come to the episode's end; None where
            nothing was replayed.
        reasons: what disagrees, one line each; for `outcome`, from which step on states differ.
        differs_from_step: the first compared step whose state differs; None where none does.
        is_same_machine: whether the machines are the same but for the render back end; None where that is not known.
        n_steps: steps that were replayed.
        fingerprint: of the machine of the replay; None where nothing was replayed.
    """

    episode: Episode
    agreement: Agreement
    recorded: Outcome
    replayed: Outcome | None = None
    reasons: tuple[str, ...] = ()
    differs_from_step: int | None = None
    is_same_machine: bool | None = None
    n_steps: int = 0
    fingerprint: Fingerprint | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; of the episode its id and place, nothing of the machine."""
        episode, plain = self.episode, to_plain(self)
        del plain["fingerprint"]
        return {**plain, "episode": episode.id, "task": episode.task, "trial": episode.trial, "repeat": episode.repeat}


def not_replayed(recording: Recording, agreement: Agreement, reasons: tuple[str, ...]) -> ReplayResult:
    """The result where no simulator was asked, or none answered."""
    return ReplayResult(
        episode=recording.episode, agreement=agreement, recorded=recording.attempt.outcome, reasons=reasons
    )


def judge_replay(recording: Recording, trace: Trace | None, replayed: AttemptResult) -> ReplayResult:
    """Compare.

    Args:
        recording: whose faults were looked for before (`faults_of`).
        trace: of the recording; None where nothing was executed.
        replayed: what `replay_attempt` returned for it.
    """
    recorded, machine = recording.attempt, replayed.fingerprint
    is_same = None
    if recorded.fingerprint is not None and machine is not None:
        is_same = not machine_changes(recorded.fingerprint, machine)
    step = _first_difference(recorded, trace, replayed)
    reasons = tuple(_outcome_differences(recording, trace, replayed))
    if step is not None:
        reasons = (*reasons, _state_words(step, recorded.fingerprint, machine, is_same=is_same))
    if len(reasons) > (step is not None) or (step is not None and is_same is not False):
        agreement = Agreement.DIFFERS
    else:
        agreement = Agreement.BIT if step is None else Agreement.OUTCOME
    return ReplayResult(
        episode=recording.episode,
        agreement=agreement,
        recorded=recorded.outcome,
        replayed=replayed.outcome,
        reasons=reasons,
        differs_from_step=step,
        is_same_machine=is_same,
        n_steps=replayed.n_steps,
        fingerprint=machine,
    )


def machine_changes(recorded: Fingerprint, present: Fingerprint) -> list[str]:
    """What differs of two machines, one part each; render back ends do not count, states do not depend on them."""
    pairs = {name: (getattr(recorded, name), getattr(present, name)) for name in ("cpu", "os", "python")}
    for package in sorted({*recorded.packages, *present.packages}):
        pairs[package] = (recorded.packages.get(package, "none"), present.packages.get(package, "none"))
    return [f"{name} {old} → {new}" for name, (old, new) in pairs.items() if old != new]


def _first_difference(recorded: AttemptResult, trace: Trace | None, replayed: AttemptResult) -> int | None:
    """The first step, among those that both have, whose state is not the recorded one."""
    assert replayed.trace is not None
    if trace is not None:
        claimed = digests_by_step(trace)
    else:
        claimed = {0: recorded.initial_digest} if recorded.initial_digest else {}
    found = digests_by_step(replayed.trace)
    return next((step for step in sorted(found) if step in claimed and claimed[step] != found[step]), None)


def _outcome_differences(recording: Recording, trace: Trace | None, replayed: AttemptResult) -> Iterator[str]:
    recorded = recording.attempt
    n_actions = 0 if trace is None else len(trace.actions)
    if REPEATED_POLICY_ERROR in recorded.flags:
        # What ended the attempt was the policy; these actions must leave the episode open.
        if replayed.outcome is not Outcome.NOT_RUN:
            yield f"the episode was ended by a fault of the policy, its actions alone end it: {replayed.outcome}"
        return
    if replayed.outcome is Outcome.NOT_RUN:
        yield f"the episode is not over after its {n_actions} recorded actions, {recorded.outcome} is stored"
    elif replayed.outcome is not recorded.outcome:
        yield f"{recorded.outcome} is stored, the replay ends in {replayed.outcome}"
    elif set(replayed.flags) != set(recorded.flags):
        yield f"flags {sorted(recorded.flags)} are stored, the replay has {sorted(replayed.flags)}"
    elif replayed.n_steps != recorded.n_steps and not recording.ends_in_fault:
        yield f"{recorded.n_steps} steps are stored, the replay takes {replayed.n_steps}"
    elif _without_digests(replayed.stages) != _without_digests(recorded.stages):
        yield f"stages are stored as {_in_words(recorded.stages)}, the replay has {_in_words(replayed.stages)}"


def _state_words(step: int, recorded: Fingerprint | None, present: Fingerprint | None, *, is_same: bool | None) -> str:
    where = "the initial state differs" if step == 0 else f"states differ from step {step} on"
    if is_same is None or recorded is None or present is None:
        return f"{where}; the recording does not say which machine it was made on"
    if is_same:
        return f"{where}, on the machine of the recording"
    return f"{where}, on another machine ({', '.join(machine_changes(recorded, present))})"


def _without_digests(stages: tuple[StageResult, ...]) -> list[StageResult]:
    # Digests are compared with the states, under their rule.
    return [replace(stage, start_digest="") for stage in stages]


def _in_words(stages: tuple[StageResult, ...]) -> str:
    return ", ".join(f"{s.index + 1} {'done' if s.success else 'not done'} in {s.n_steps}" for s in stages) or "none"
