"""What an attempt and an episode say of how they ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.spec.small import small_suite
from vla_bench.spec.episode import make_plan
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import AttemptResult, EpisodeResult, Fingerprint, Latencies

EPISODE = make_plan(small_suite()).episodes[0]
FINGERPRINT = Fingerprint(cpu="x86_64 EPYC", os="Linux", python="3.11.7", packages={"mujoco": "3.3.0"})


def test_an_episode_that_was_not_reached_is_not_run() -> None:
    result = EpisodeResult(episode=EPISODE)
    assert (result.outcome, result.last, result.is_judged) == (Outcome.NOT_RUN, None, False)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_last_attempt_is_the_one_that_counts(outcome: Outcome) -> None:
    attempts = (AttemptResult(attempt=0, outcome=Outcome.ENV_ERROR), AttemptResult(attempt=1, outcome=outcome))
    result = EpisodeResult(episode=EPISODE, attempts=attempts)
    assert result.outcome is outcome
    assert result.last is attempts[1]
    assert result.is_judged is outcome.is_judged


def test_the_harness_took_what_nobody_else_did() -> None:
    assert Latencies(wall_ms=100.0, policy_ms=60.0, env_ms=30.0).harness_ms == 10.0


@pytest.mark.parametrize(
    "change", [{"cpu": "arm64"}, {"os": "Darwin"}, {"python": "3.12"}, {"packages": {}}, {"renderer": {"name": "egl"}}]
)
def test_every_field_is_part_of_a_fingerprint(change: dict[str, str]) -> None:
    assert replace(FINGERPRINT, **change).id != FINGERPRINT.id  # type: ignore[arg-type]
    assert replace(FINGERPRINT).id == FINGERPRINT.id
    assert len(FINGERPRINT.id) == 16
