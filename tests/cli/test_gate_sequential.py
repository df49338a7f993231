"""`gate --sequential` on real episodes of toy_reach: stopping early, going on, and nothing changed on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vla_bench.cli.comparison_schemas import GateModel
from vla_bench.results.store import Store

TASKS = ("--suite", "toy_reach", "--task", "reach_red", "--task", "hold_at_blue")
GATE = ("gate", "--sequential", "--policy", "expert", "-w", "1", "--json")


def outcome_counts(home: Path) -> dict[str, int]:
    with Store.open(home / "results.db") as store:
        return {run.name: run.n_judged for run in store.summaries()}


def test_an_equal_policy_passes_before_the_plan_ends(quick: Run, home: Path) -> None:
    done = quick(*GATE, "--baseline-policy", "expert", *TASKS, "--trials", "30", "--margin", "0.1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    GateModel.model_validate(found)
    told = found["sequential"]
    # Without a discordant pair the answer is a matter of counting: 95 pairs at 5 points, 46 at 10.
    assert told["n_pairs"] == 46
    assert told["n_saved"] == 2 * (60 - 46)
    assert found["decisions"][0]["test"] == "e_process"
    assert found["decisions"][0]["low"] > -0.1
    assert sorted(outcome_counts(home).values()) == [46, 46]
    # The same command again runs nothing and says the same.
    again = json.loads(quick(*GATE, "--baseline-policy", "expert", *TASKS, "--trials", "30", "--margin", "0.1").stdout)
    assert again["sequential"]["n_ran"] == 0
    assert again["decisions"] == found["decisions"]


def test_a_worse_policy_is_stopped_early_against_a_complete_run(quick: Run, home: Path) -> None:
    assert quick("run", "-p", "expert", *TASKS, "--trials", "25", "--name", "main", "-w", "1").returncode == 0
    worse = (*GATE, "-o", "noise=0.6", "--baseline", "main")
    done = quick(*worse)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)["sequential"]
    assert found["n_saved"] == 50 - found["n_pairs"] > 20
    assert found["n_ran"] == found["n_pairs"]
    # What was asked may not change once episodes were run.
    other = quick(*worse, "--margin", "0.4")
    assert other.returncode == 2
    assert "was begun with margin default, alpha 0.05, order 0; now it is margin 0.4" in other.stderr
    # A file stands for the run.
    quick("gate", "main", "--save-baseline", "main.json")
    by_file = json.loads(quick(*GATE, "-o", "noise=0.6", "--baseline", "main.json").stdout)["sequential"]
    assert by_file["n_pairs"] == found["n_pairs"]


def test_an_order_is_kept_when_a_gate_goes_on(quick: Run, home: Path) -> None:
    against = ("--baseline-policy", "expert", "--baseline-option", "noise=0.01", *TASKS)
    done = quick(*GATE, *against, "--trials", "10")
    assert done.returncode == 4, done.stderr
    whole = json.loads(done.stdout)
    assert (whole["sequential"]["n_pairs"], whole["sequential"]["n_saved"]) == (20, 0)
    assert "n_to_settle" in whole


@pytest.mark.slow
def test_extending_goes_on_with_further_trials(quick: Run, home: Path) -> None:
    extend = ("--trials", "10", "--max-trials", "40", "--on-inconclusive", "extend", "--margin", "0.1")
    done = quick(*GATE, "--baseline-policy", "expert", *TASKS, *extend)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["sequential"]
    assert (found["n_plan"], found["n_pairs"]) == (80, 46)
    with Store.open(home / "results.db") as store:
        name = store.summaries()[0].name
        judged = {episode for episode, outcome in store.outcomes(name).items() if outcome.is_judged}
        first = {episode.id for episode in store.plan(name).episodes if episode.trial < 10}
    assert first <= judged


@pytest.mark.slow
def test_what_the_policy_loses_keeps_the_answer_open(quick: Run, home: Path) -> None:
    (home / "sulky.py").write_text(
        "from vla_bench.policies.builtin.noop import NoopPolicy\n"
        "class Sulky(NoopPolicy):\n"
        "    def act(self, batch):\n"
        "        raise RuntimeError('no')\n"
    )
    done = quick(
        "gate",
        "--sequential",
        "--policy",
        "sulky.py:Sulky",
        "--baseline-policy",
        "noop",
        "-w",
        "1",
        *TASKS,
        "--trials",
        "2",
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "4 pairs lack an outcome" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--baseline-policy", "expert"), "wants --suite"),
        (("--baseline", "published:3/4"), "no episodes to pair"),
        (
            ("--baseline-policy", "expert", "--suite", "toy_reach", "--on-inconclusive", "extend"),
            "a larger --max-trials",
        ),
        (("--baseline", "gone"), "unknown run"),
    ],
)
def test_a_wrong_question_is_refused(quick: Run, finished_run: None, args: tuple[str, ...], words: str) -> None:
    done = quick(*GATE, *args)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr


def test_a_baseline_of_another_plan_is_refused(quick: Run, finished_run: None) -> None:
    done = quick(*GATE, "--baseline", "expert-toy_reach", "--seed", "5")
    assert done.returncode == 2
    assert "ran another plan than this gate would" in done.stderr
