"""The command is wrong, or there is nothing to do: nothing runs, one line says what to type instead."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bad_days.commands import PROGRAM
from tests.bad_days.days import plain_day, record, record_day, run_day
from vla_bench.envs.toy_reach.family import ToyReachFamily
from vla_bench.results.store import Store
from vla_bench.spec.suite import Suite

GROUP = "The command"

WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("unknown suite", {"suite": "toy_reech"}, "unknown_suite", "'toy_reach'"),
    ("unknown task", {"tasks": ("reach_read",)}, "unknown_task", "'reach_red'"),
    ("unknown policy", {"policy": "expurt"}, "unknown_policy", "'expert'"),
    ("unknown protocol", {"protocol": "standart"}, "unknown_protocol", "'standard"),
    ("unknown executor", {"executor": "locale"}, "unknown_executor", "'local'"),
    ("no episodes at all", {"trials": 0}, "empty_plan", "at least 1"),
    ("a shard that does not exist", {"shard": "3/2"}, "usage", "1 <= i <= n"),
    ("an unknown setting", {"settings": {"replan": 2}}, "usage", "replan_horizon"),
    (
        "a replan horizon longer than the policy's chunks",
        {"settings": {"replan_horizon": 9}},
        "convention_mismatch",
        "9",
    ),
    (
        "a camera that the suite does not have",
        {"policy_options": {"cameras": ["back"]}},
        "convention_mismatch",
        "front",
    ),
]


@pytest.mark.parametrize(("what", "changes", "kind", "says"), WRONG, ids=[wrong[0] for wrong in WRONG])
def test_a_wrong_command_runs_nothing_and_names_the_way_out(
    what: str, changes: dict[str, Any], kind: str, says: str
) -> None:
    day = run_day(**changes)
    assert day.error is not None
    assert day.error.kind == kind
    assert day.exit_code == 2
    assert says in str(day.error)
    with Store.open() as store:
        assert store.summaries() == []
    record_day(GROUP, what, day)


@pytest.fixture
def before() -> None:
    assert plain_day(trials=1).exit_code == 0


@pytest.mark.parametrize(
    ("what", "changes", "says"),
    [
        ("the same run with other seeds", {"settings": {"policy_seed": 7}}, "policy_seed: 0 → 7"),
        ("the same run with other settings", {"settings": {"clip_actions": True}}, "clip_actions"),
        ("the same run with other episodes", {"trials": 2}, "1 episodes → 2 episodes"),
        ("the same run with another protocol", {"protocol": "hard_bounds"}, "hard_bounds"),
        ("the same run with another policy", {"noise": 0.5}, "noise"),
    ],
)
def test_a_run_is_never_mixed_and_the_difference_is_shown(
    before: None, what: str, changes: dict[str, Any], says: str
) -> None:
    day = plain_day(**{"trials": 1, **changes})
    assert day.error is not None
    assert day.error.kind == "run_mismatch"
    assert day.exit_code == 2
    assert says in str(day.error)
    assert "--fresh" in str(day.error)
    assert day.seen.attempts == []
    record_day(GROUP, what, day)


def test_another_version_of_the_suite_is_another_run(before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ToyReachFamily.suite

    def newer(family: ToyReachFamily, name: str, protocol: str = "") -> Suite:
        suite = real(family, name, protocol)
        return replace(suite, protocol=replace(suite.protocol, version=2))

    monkeypatch.setattr(ToyReachFamily, "suite", newer)
    day = plain_day(trials=1)
    assert day.error is not None
    assert day.error.kind == "run_mismatch"
    assert day.exit_code == 2
    assert day.seen.attempts == []
    record_day(GROUP, "the same run with another version of the suite", day)


def test_a_second_run_of_a_complete_plan_runs_nothing_and_gives_the_result() -> None:
    first = plain_day(trials=1)
    day = plain_day(trials=1)
    assert day.seen.attempts == []
    assert day.seen.started is not None
    assert day.seen.started.n_to_run == 0
    assert day.summary == first.summary
    assert day.exit_code == 0
    record_day(GROUP, "a complete plan, run a second time", day, said="none: nothing is run")


def test_the_command_line_ends_with_the_documented_code_and_one_line(home: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "run", "--policy", "expert", "--suite", "libero_spacial"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: unknown suite 'libero_spacial'.")


def test_a_file_of_the_same_name_as_a_policy_is_no_policy(tmp_path: Path) -> None:
    day = run_day(str(tmp_path / "absent.yaml"))
    assert day.error is not None
    assert day.exit_code == 2
    assert "does not exist" in str(day.error)
    record(
        GROUP, "a policy file that does not exist", kind=day.error.kind, noticed_s=day.took_s, exit_code=2,
        score="none", then="",
    )  # fmt: skip
