"""Six ends of an episode, seven of a command."""

from __future__ import annotations

from vla_bench.spec.outcomes import JUDGED, LOST, ExitCode, Outcome


def test_only_success_and_failure_are_judged() -> None:
    assert {outcome for outcome in Outcome if outcome.is_judged} == {Outcome.SUCCESS, Outcome.FAILURE}


def test_every_outcome_is_judged_or_lost() -> None:
    assert set(Outcome) == JUDGED | LOST
    assert not JUDGED & LOST


def test_outcomes_are_stored_under_these_names() -> None:
    assert [str(outcome) for outcome in Outcome] == [
        "success", "failure", "policy_error", "env_error", "harness_error", "not_run",
    ]  # fmt: skip


def test_exit_codes_are_these() -> None:
    assert {code.name.lower(): int(code) for code in ExitCode} == {
        "ok": 0, "check_failed": 1, "usage": 2, "incomplete": 3, "inconclusive": 4, "internal": 70, "interrupted": 130,
    }  # fmt: skip
