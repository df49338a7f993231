"""What becomes of an attempt: is the episode judged, tried again, or lost? Rules only; nothing is run here.

Two faults are the episode's own where they repeat, and are judged as failures: a simulator that turns unstable at the
same step under the same actions, and, where the settings say so, a policy that makes the same mistake at the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vla_bench.spec.errors import ActionError, EnvUnstable, PolicyRaised
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult
from vla_bench.spec.settings import RepeatedPolicyErrors

__all__ = ["OWN_FAULTS", "REPEATED_POLICY_ERROR", "UNSTABLE", "Ruling", "rule"]

UNSTABLE: Final = "unstable"
REPEATED_POLICY_ERROR: Final = "repeated_policy_error"

OWN_FAULTS: Final = frozenset({ActionError.kind, PolicyRaised.kind})
"""Kinds that a policy's own code makes. Deadlines, broken connections and garbage depend on machine and network too:
the same policy would score otherwise on a faster machine, so they never count as failures."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of an episode after its latest attempt.

    Attributes:
        attempt: the latest attempt as it is to be stored; a failure where its fault is the episode's own.
        is_final: False where the episode is to be tried again.
    """

    attempt: AttemptResult
    is_final: bool


def rule(
    attempts: Sequence[AttemptResult],
    *,
    max_attempts: int,
    repeated_policy_errors: RepeatedPolicyErrors = RepeatedPolicyErrors.LOST,
) -> Ruling:
    """Decide after an attempt.

    Args:
        attempts: all attempts of this command at one episode, the latest last.
        max_attempts: tries per command.
        repeated_policy_errors: what a policy fault that repeats counts as.
    """
    latest = attempts[-1]
    if latest.outcome.is_judged:
        return Ruling(latest, True)
    if any(_is_same_instability(earlier, latest) for earlier in attempts[:-1]):
        return Ruling(_as_failure(latest, UNSTABLE), True)
    is_last = len(attempts) >= max_attempts
    if is_last and repeated_policy_errors is RepeatedPolicyErrors.FAILURE and _is_own_fault_every_time(attempts):
        return Ruling(_as_failure(latest, REPEATED_POLICY_ERROR), True)
    return Ruling(latest, is_last)


def _is_same_instability(one: AttemptResult, other: AttemptResult) -> bool:
    kinds = {one.error_kind, other.error_kind}
    if kinds != {EnvUnstable.kind} or one.n_steps != other.n_steps or one.error_message != other.error_message:
        return False
    if one.trace is None or other.trace is None:
        # Unstable before the first action: the initial state alone did it.
        return one.trace is other.trace
    return np.array_equal(one.trace.actions, other.trace.actions)


def _is_own_fault_every_time(attempts: Sequence[AttemptResult]) -> bool:
    """Whether every attempt, and more than one, was lost to the same fault of the policy's own at the same step."""
    faults = {(attempt.error_kind, attempt.n_steps) for attempt in attempts}
    return len(attempts) > 1 and len(faults) == 1 and attempts[0].error_kind in OWN_FAULTS


def _as_failure(attempt: AttemptResult, flag: str) -> AttemptResult:
    # The kind and message stay with the earlier attempts; a judged one has none.
    return replace(attempt, outcome=Outcome.FAILURE, error_kind="", error_message="", flags=(*attempt.flags, flag))
