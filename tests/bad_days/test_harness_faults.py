"""The harness itself is killed or interrupted: what was finished stays, and the same command does the rest."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.bad_days.commands import Command, attempts_per_episode, n_judged
from tests.bad_days.days import record, record_day, run_day
from tests.policies.raw_server import Talk, raw_server
from vla_bench.harness import attempt

GROUP = "The harness"
N = 12


def test_killed_in_the_middle_the_same_command_runs_only_the_rest() -> None:
    with Command(trials=N) as command:
        command.wait_until_judged(3)
        command.send(signal.SIGKILL)
        code, _, _ = command.finish()
    assert code == -signal.SIGKILL
    n_before = n_judged()
    assert 3 <= n_before < N
    with Command(trials=N) as again:
        code, out, err = again.finish()
    assert code == 0, err
    assert f"{N}/{N} of {N} planned, 0 lost" in out
    assert f"{N - n_before} to run" in err
    assert attempts_per_episode() == [1] * N
    record(
        GROUP, "killed by SIGKILL in the middle of a run", kind="", noticed_s=None, exit_code=137,
        score=f"{n_before} episodes kept", then=f"{N}/{N} of {N} planned, 0 lost; {N - n_before} run",
    )  # fmt: skip


def test_one_of_two_shards_killed_is_run_again_alone() -> None:
    with Command("--shard", "1/2", trials=N) as killed, Command("--shard", "2/2", trials=N) as other:
        killed.wait_until_judged(2)
        killed.send(signal.SIGKILL)
        killed.finish()
        _, _, err = other.finish()
    assert "policy_error" not in err
    n_before = n_judged()
    assert N // 2 <= n_before < N
    with Command("--shard", "1/2", trials=N) as again:
        code, out, err = again.finish()
    assert code == 0, err
    assert f"{N}/{N} of {N} planned, 0 lost" in out
    assert attempts_per_episode() == [1] * N
    record(
        GROUP, "one of two shards killed by SIGKILL", kind="", noticed_s=None, exit_code=137,
        score=f"{n_before} episodes kept", then=f"{N}/{N} of {N} planned, 0 lost; {N - n_before} run",
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_it_ends_soon_with_130_and_goes_on_later(number: signal.Signals) -> None:
    with Command(trials=N) as command:
        command.wait_until_judged(3)
        command.send(number)
        code, out, err = command.finish(timeout_s=20)
    assert code == 130, err
    assert "Traceback" not in err
    assert "interrupted" in err
    assert "success rate" not in out
    n_before = n_judged()
    assert 3 <= n_before < N
    with Command(trials=N) as again:
        code, out, err = again.finish()
    assert code == 0, err
    assert f"{N}/{N} of {N} planned, 0 lost" in out
    assert attempts_per_episode() == [1] * N
    record(
        GROUP, f"interrupted by {number.name}", kind="interrupted", noticed_s=None, exit_code=130,
        score=f"{n_before} episodes kept", then=f"{N}/{N} of {N} planned, 0 lost; {N - n_before} run",
    )  # fmt: skip


def test_interrupted_while_the_policy_is_silent_it_does_not_wait_for_its_deadline() -> None:
    asked = threading.Event()

    def hang(talk: Talk) -> None:
        asked.set()
        server.stopping.wait(60)

    with raw_server(hang) as server, Command(policy=server.url) as command:
        assert asked.wait(60)
        command.send(signal.SIGINT)
        code, _, err = command.finish(timeout_s=25)
    assert code == 130, err
    assert "Traceback" not in err
    record(
        GROUP, "interrupted by SIGINT while the policy is silent (deadline 30 s)", kind="interrupted", noticed_s=None,
        exit_code=130, score="0 episodes kept", then="",
    )  # fmt: skip


def test_a_bug_of_ours_is_no_fault_of_the_policy_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = attempt.run_episode
    n_calls = 0

    def buggy(env: object, policy: object, rollout: object) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls <= 2:
            raise ZeroDivisionError("division by zero")
        real(env, policy, rollout)  # type: ignore[arg-type]

    monkeypatch.setattr(attempt, "run_episode", buggy)
    day = run_day(workers=1, trials=1)
    assert day.score == "0/0 of 1 planned, 1 lost (harness_error 1)"
    assert day.lost[0].error_message == "ZeroDivisionError: division by zero"
    assert day.exit_code == 3
    then = run_day(workers=1, trials=1)
    assert then.score == "1/1 of 1 planned, 0 lost"
    record_day(GROUP, "a bug of ours in an episode, twice", day, then)
