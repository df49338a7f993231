"""The simulator misbehaves: its episode is lost, never failed, and run again in a new process with the same seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bad_days.days import FAULTS, QUICK, Day, episode_of, record_day, run_day, stored
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.http.server import BackgroundServer
from vla_bench.spec.outcomes import Outcome

GROUP = "The simulator"
CALL_S = 1.0

FAULTY = [
    ({"kind": "raise", "step": 0}, "reset raises", "env_raised"),
    ({"kind": "raise", "step": 3}, "step raises", "env_raised"),
    ({"kind": "none", "step": 3}, "step returns None", "env_raised"),
    ({"kind": "segv", "step": 3}, "killed by SIGSEGV", "env_crashed"),
    ({"kind": "kill", "step": 3}, "killed by SIGKILL", "env_crashed"),
    ({"kind": "exit", "step": 3}, "ends with status 7", "env_crashed"),
    ({"kind": "hang", "step": 3}, "hangs (deadline 1 s)", "env_hung"),
    ({"kind": "hang_hard", "step": 3}, "hangs in C with the interpreter lock (deadline 1 s)", "env_hung"),
    ({"kind": "stop", "step": 3}, "stopped by SIGSTOP (deadline 1 s)", "env_hung"),
    ({"kind": "leak", "step": 1, "mb": 100}, "leaks memory (limit 64 MiB)", "env_leaked"),
    ({"kind": "unstable", "step": 3}, "warns of an unstable state, once", "env_unstable"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The expert, served over real HTTP for the whole module."""
    with BackgroundServer(ExpertPolicy()) as server:
        yield server.url


def run(url: str, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any] | None, **changes: Any) -> Day:
    """Run a day with a fault in trial 1."""
    monkeypatch.setenv(FAULTS, json.dumps({"reach_red:1": fault} if fault else {}))
    given = {"deadlines": QUICK, "workers": 1, "env_call_s": CALL_S, "env_growth_bytes": 64 << 20, **changes}
    return run_day(url, **given)


def same_start(attempts: list[Any]) -> bool:
    digests = {attempt.result.initial_digest for attempt in attempts} - {""}
    return len(digests) == 1


@pytest.mark.parametrize(("fault", "what", "kind"), FAULTY, ids=[what.split(" (")[0] for _, what, _ in FAULTY])
def test_a_fault_of_the_simulator_loses_its_attempt_and_is_made_good(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: dict[str, Any], what: str, kind: str
) -> None:
    day = run(url, monkeypatch, {**fault, "once": str(tmp_path / "once")})
    assert day.score == "3/3 of 3 planned, 0 lost"
    assert day.exit_code == 0
    assert day.kinds == [kind]
    attempts = stored(episode_of(1))
    assert [attempt.result.outcome for attempt in attempts] == [Outcome.ENV_ERROR, Outcome.SUCCESS]
    assert same_start(attempts)
    if kind == "env_hung":
        assert CALL_S <= day.noticed_s < CALL_S + 2
    record_day(GROUP, what, day)


def test_a_simulator_that_always_crashes_in_an_episode_loses_it_and_no_other(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = run(url, monkeypatch, {"kind": "segv", "step": 3}, workers=2)
    assert day.score == "2/2 of 3 planned, 1 lost (env_crashed 1)"
    assert day.exit_code == 3
    assert day.summary is not None
    assert day.summary.rate is None
    then = run(url, monkeypatch, None)
    assert then.score == "3/3 of 3 planned, 0 lost"
    assert [attempt.result.attempt for attempt in stored(episode_of(1))] == [0, 1, 2]
    record_day(GROUP, "killed by SIGSEGV every time", day, then)


def test_black_pictures_are_a_lost_context_and_not_a_dark_scene(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with BackgroundServer(ExpertPolicy(cameras=["front"])) as server:
        day = run(server.url, monkeypatch, {"kind": "black", "step": 1, "once": str(tmp_path / "once")})
    assert day.score == "3/3 of 3 planned, 0 lost"
    assert day.kinds == ["black_picture"]
    record_day(GROUP, "pictures turn black", day)


def test_an_instability_that_repeats_under_the_same_actions_is_the_episodes_own_failure(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = run(url, monkeypatch, {"kind": "unstable", "step": 3}, max_attempts=3)
    assert day.score == "2/3 of 3 planned, 0 lost"
    assert day.exit_code == 0
    assert day.summary is not None
    assert day.summary.flags == {"unstable": 1}
    attempts = [attempt.result for attempt in stored(episode_of(1))]
    assert [attempt.outcome for attempt in attempts] == [Outcome.ENV_ERROR, Outcome.FAILURE]
    record_day(GROUP, "warns of an unstable state every time, under the same actions", day, said="env_unstable")


def test_a_simulator_that_starts_a_helper_and_dies_leaves_nothing_behind(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fixture that every test has looks for what is left.
    day = run(url, monkeypatch, {"kind": "child", "step": 1})
    assert day.score == "3/3 of 3 planned, 0 lost"


def test_a_simulator_that_never_starts_does_not_burn_through_the_plan(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULTS, "this is not JSON")
    day = run_day(url, deadlines=QUICK, trials=8, workers=1, max_restarts=1)
    assert day.score == "0/0 of 8 planned, 8 lost (env_start_failed 3, not_run 5)"
    assert day.exit_code == 3
    assert day.seen.stopped is not None
    record_day(GROUP, "does not start", day)
