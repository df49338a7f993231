"""What becomes of an attempt, as tables."""

from __future__ import annotations

import numpy as np
import pytest

from vla_bench.harness.retries import REPEATED_POLICY_ERROR, UNSTABLE, rule
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, Trace
from vla_bench.spec.settings import RepeatedPolicyErrors

FAILURE = RepeatedPolicyErrors.FAILURE


def attempt(number: int, outcome: Outcome, kind: str = "", n_steps: int = 5, action: float = 0.5) -> AttemptResult:
    trace = Trace(
        actions=np.full((n_steps, 2), action, np.float32),
        query_steps=np.zeros(1, np.int32),
        digests=("a", "b"),
        latency_ms=np.ones(1, np.float32),
        server_ms=np.ones(1, np.float32),
    )
    return AttemptResult(
        attempt=number, outcome=outcome, error_kind=kind, error_message=kind and f"{kind} at {n_steps}",
        n_steps=n_steps, trace=trace,
    )  # fmt: skip


def lost(number: int, kind: str, **how: float) -> AttemptResult:
    outcome = Outcome.ENV_ERROR if kind.startswith("env") else Outcome.POLICY_ERROR
    return attempt(number, outcome, kind, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.FAILURE])
def test_a_judged_attempt_is_final_at_once(outcome: Outcome) -> None:
    ruling = rule([attempt(0, outcome)], max_attempts=3)
    assert ruling.is_final
    assert ruling.attempt.outcome is outcome


@pytest.mark.parametrize("kind", ["bad_action", "server_unreachable", "env_crashed", "policy_timeout"])
def test_a_lost_attempt_is_tried_again_until_the_limit_and_stays_lost(kind: str) -> None:
    attempts = [lost(number, kind) for number in range(3)]
    assert [rule(attempts[:n], max_attempts=3).is_final for n in (1, 2, 3)] == [False, False, True]
    assert rule(attempts, max_attempts=3).attempt.outcome is attempts[-1].outcome


def test_the_same_instability_under_the_same_actions_is_the_episodes_own_failure() -> None:
    ruling = rule([lost(0, "env_unstable"), lost(1, "env_unstable")], max_attempts=5)
    assert ruling.is_final
    assert ruling.attempt.outcome is Outcome.FAILURE
    assert ruling.attempt.flags == (UNSTABLE,)
    assert ruling.attempt.error_kind == ""


def test_an_instability_between_other_losses_still_counts() -> None:
    attempts = [lost(0, "env_unstable"), lost(1, "env_crashed"), lost(2, "env_unstable")]
    assert rule(attempts, max_attempts=5).attempt.outcome is Outcome.FAILURE


@pytest.mark.parametrize("how", [{"n_steps": 6}, {"action": 0.25}])
def test_an_instability_elsewhere_or_under_other_actions_is_no_failure(how: dict[str, float]) -> None:
    ruling = rule([lost(0, "env_unstable"), lost(1, "env_unstable", **how)], max_attempts=2)
    assert ruling.attempt.outcome is Outcome.ENV_ERROR


@pytest.mark.parametrize("kind", ["bad_action", "policy_raised"])
def test_a_policys_own_repeated_fault_is_a_failure_only_where_declared(kind: str) -> None:
    attempts = [lost(number, kind) for number in range(3)]
    assert rule(attempts, max_attempts=3).attempt.outcome is Outcome.POLICY_ERROR
    ruling = rule(attempts, max_attempts=3, repeated_policy_errors=FAILURE)
    assert ruling.attempt.outcome is Outcome.FAILURE
    assert ruling.attempt.flags == (REPEATED_POLICY_ERROR,)
    assert not rule(attempts[:2], max_attempts=3, repeated_policy_errors=FAILURE).is_final


@pytest.mark.parametrize(
    "attempts",
    [
        [lost(0, "server_unreachable"), lost(1, "server_unreachable")],
        [lost(0, "policy_timeout"), lost(1, "policy_timeout")],
        [lost(0, "bad_reply"), lost(1, "bad_reply")],
        [lost(0, "bad_action"), lost(1, "policy_raised")],
        [lost(0, "bad_action", n_steps=3), lost(1, "bad_action", n_steps=4)],
        [lost(0, "env_crashed"), lost(1, "env_crashed")],
        [lost(0, "bad_action")],
    ],
)
def test_what_is_not_the_same_own_fault_every_time_stays_lost(attempts: list[AttemptResult]) -> None:
    ruling = rule(attempts, max_attempts=len(attempts), repeated_policy_errors=FAILURE)
    assert ruling.is_final
    assert not ruling.attempt.outcome.is_judged
