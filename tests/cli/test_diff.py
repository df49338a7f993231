"""`diff` as a user has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.harness.runs import Forger, make_run
from vla_bench.cli.replay_schemas import DiffModel


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    make_run(folder, "first", trials=1)
    make_run(folder, "again", trials=1)
    make_run(folder, "short", trials=1, settings={"replan_horizon": 1}, tasks=["reach_red", "reach_green"])
    return make_run(folder, "steady", trials=1, noise=0.0)


@pytest.fixture(autouse=True)
def forger(original: Path, home: Path) -> Forger:
    return Forger.of(original, home)


def test_the_same_evaluation_exits_0_and_is_equal_to_the_bit(quick: Run) -> None:
    done = quick("diff", "first", "again")
    assert done.returncode == 0, done.stdout
    assert "equal to the bit in 5" in done.stdout
    assert "nothing differs that decides or may move the score" in done.stdout


def test_another_policy_exits_1_and_says_how_to_compare(quick: Run) -> None:
    done = quick("diff", "first", "steady")
    assert done.returncode == 1
    assert "option noise: 0.9 → 0.0" in done.stdout
    assert "vla-bench compare first steady" in done.stdout


def test_what_keeps_two_runs_from_being_compared_stands_first(quick: Run) -> None:
    done = quick("diff", "first", "short")
    assert done.returncode == 1
    assert "not comparable pair by pair: they ran different plans" in done.stdout
    assert "plan: 5 → 2 episodes, 2 of them the same" in done.stdout
    assert "replan_horizon): the whole chunk → 1" in done.stdout


def test_json_keeps_to_its_schema(quick: Run) -> None:
    for other in ("again", "short", "steady"):
        told = quick("diff", "first", other, "--json").stdout
        DiffModel.model_validate_json(told)
        assert json.loads(told)["second"] == other


def test_rows_that_contradict_one_another_are_told_of(quick: Run, forger: Forger) -> None:
    forger.sql("UPDATE aggregate SET n_success = 99")
    done = quick("diff", "first", "again")
    assert "the rows of first contradict one another" in done.stdout


def test_an_unknown_run_exits_2(quick: Run) -> None:
    assert quick("diff", "first", "agein").returncode == 2
