"""`vla-bench gate` as a user types it: three answers, their exit codes, what they rest on, and refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Run
from tests.cli.stored import pattern, store_chains, store_run, suite
from vla_bench.cli.comparison_schemas import GateModel, GatePlanModel
from vla_bench.results.stats.noninferiority import noninferior_paired

GOOD = pattern(100, 4, seed=1)


def flipped(outcomes: list[bool], n: int) -> list[bool]:
    """The same with the first `n` successes turned into failures."""
    found, left = [], n
    for outcome in outcomes:
        found.append(outcome and left <= 0)
        left -= outcome
    return found


@pytest.fixture
def old(home: Path) -> None:
    store_run(home, "old", GOOD)


@pytest.mark.parametrize(
    ("n_lost", "code", "answer"), [(0, 0, "pass"), (3, 4, "inconclusive"), (25, 1, "fail")], ids=["0", "3", "25"]
)
def test_three_answers(quick: Run, home: Path, old: None, n_lost: int, code: int, answer: str) -> None:
    store_run(home, "new", flipped(GOOD, n_lost))
    done = quick("gate", "new", "--baseline", "old")
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(f"gate: {answer}")
    found = json.loads(quick("gate", "new", "--baseline", "old", "--json").stdout)
    GateModel.model_validate(found)
    wanted = noninferior_paired(0, n_lost, 100, 0.05)
    decision = found["decisions"][0]
    assert (found["verdict"], found["exit_code"], found["alpha"]) == (answer, code, 0.05)
    assert (decision["low"], decision["high"]) == (wanted.low, wanted.high)
    assert (decision["p_pass"], decision["bar"]) == (wanted.p_pass, -0.05)
    assert (found["n_to_settle"] is None) == (answer != "inconclusive")


def test_inconclusive_says_how_many_episodes_would_settle_it(quick: Run, home: Path, old: None) -> None:
    store_run(home, "new", flipped(GOOD, 3))
    done = quick("gate", "new", "--baseline", "old")
    assert "episodes would settle it with 80 % power" in done.stdout


@pytest.mark.parametrize(("how", "code"), [("pass", 0), ("fail", 1), ("tell", 4)])
def test_what_inconclusive_ends_with(quick: Run, home: Path, old: None, how: str, code: int) -> None:
    store_run(home, "new", flipped(GOOD, 3))
    done = quick("gate", "new", "--baseline", "old", "--on-inconclusive", how, "--junit", "it.xml")
    assert done.returncode == code
    assert "gate: inconclusive" in done.stdout
    found = ElementTree.parse(home / "it.xml").getroot()[0]
    assert (found.get("failures"), found.get("skipped")) == (("0", "1") if how == "pass" else ("1", "0"))


def test_extending_a_fixed_test_is_refused(quick: Run, home: Path, old: None) -> None:
    done = quick("gate", "old", "--baseline", "old", "--on-inconclusive", "extend")
    assert done.returncode == 2
    assert "a fixed test that is repeated" in done.stderr


def test_too_few_episodes_are_warned_of(quick: Run, home: Path) -> None:
    one, other = pattern(50, 5, seed=1), pattern(50, 5, seed=4)
    store_run(home, "old", one, suite(5, 10))
    store_run(home, "new", other, suite(5, 10))
    done = quick("gate", "new", "--baseline", "old", "--margin", "0.02")
    assert done.returncode == 4
    assert "warning: made_up: an equal policy would pass only" in done.stdout


def test_a_real_loss_within_the_margin_is_said(quick: Run, home: Path) -> None:
    of = suite(5, 100)
    base = [True] * 500
    store_run(home, "old", base, of)
    store_run(home, "new", [at >= 8 for at in range(500)], of)
    done = quick("gate", "new", "--baseline", "old")
    assert done.returncode == 0
    assert "a loss within the margin, and a real one" in done.stdout


def test_a_baseline_file_stands_for_its_run(quick: Run, home: Path, old: None) -> None:
    store_run(home, "new", flipped(GOOD, 25))
    assert quick("gate", "old", "--save-baseline", "main.json").returncode == 0
    by_run = json.loads(quick("gate", "new", "--baseline", "old", "--json").stdout)
    by_file = json.loads(quick("gate", "new", "--baseline", "main.json", "--json").stdout)
    assert by_file["decisions"] == by_run["decisions"]
    text = (home / "main.json").read_text()
    assert len(text.splitlines()) < 40
    assert len(text) < 6000


def test_a_file_stands_for_a_run_whose_plan_it_shares_in_part(quick: Run, home: Path, old: None) -> None:
    quick("gate", "old", "--save-baseline", "main.json")
    store_run(home, "half", GOOD[:50], trials=10)
    assert quick("gate", "half", "--baseline", "main.json").returncode == 2
    done = quick("gate", "half", "--baseline", "main.json", "--intersection", "--margin", "0.1")
    assert done.returncode == 0, done.stderr
    assert "50 of 100 episodes are compared" in done.stdout


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text.replace('"outcomes":"1', '"outcomes":"0', 1), "was altered after it was written"),
        (lambda text: text[:200], "is no JSON"),
        (lambda text: "[1, 2]", "is no baseline file"),
        (lambda text: json.dumps({"schema": "vla-bench/baseline/1", "runs": 3, "digest": ""}), "altered"),
    ],
    ids=["edited", "cut", "another", "nonsense"],
)
def test_a_damaged_baseline_file_is_refused(quick: Run, home: Path, old: None, damage, words: str) -> None:
    quick("gate", "old", "--save-baseline", "main.json")
    (home / "main.json").write_text(damage((home / "main.json").read_text()))
    done = quick("gate", "old", "--baseline", "main.json")
    assert done.returncode == 2
    assert words in done.stderr


def test_an_incomplete_run_is_no_answer(quick: Run, home: Path, old: None) -> None:
    store_run(home, "lossy", [None, *GOOD[1:]])
    for args in (
        ("lossy", "--baseline", "old"),
        ("old", "--baseline", "lossy"),
        ("lossy", "--save-baseline", "it.json"),
    ):
        done = quick("gate", *args)
        assert done.returncode == 3, args
        assert "'lossy' lacks 1 of 100 episodes" in done.stderr
    assert not (home / "it.json").exists()


def test_an_empty_run_is_no_answer(quick: Run, home: Path, old: None) -> None:
    store_run(home, "empty", [])
    assert quick("gate", "empty", "--baseline", "old").returncode == 3


@pytest.mark.parametrize("success", [True, False])
def test_one_episode_decides_nothing(quick: Run, home: Path, success: bool) -> None:
    store_run(home, "old", [True], suite(1, 1))
    store_run(home, "new", [success], suite(1, 1))
    done = quick("gate", "new", "--baseline", "old", "--json")
    assert done.returncode == 4, done.stderr
    assert "nan" not in done.stdout.lower()


@pytest.mark.parametrize(
    ("one", "other", "code"), [(True, True, 0), (False, False, 0), (True, False, 1), (False, True, 0)]
)
def test_all_successes_and_all_failures(quick: Run, home: Path, one: bool, other: bool, code: int) -> None:
    store_run(home, "old", [one] * 100)
    store_run(home, "new", [other] * 100)
    done = quick("gate", "new", "--baseline", "old", "--json")
    assert done.returncode == code, done.stderr
    assert math.isfinite(json.loads(done.stdout)["decisions"][0]["low"])


def test_thresholds_per_suite_and_task(quick: Run, home: Path, old: None) -> None:
    # t0 loses 12 of its 20 episodes, the others none.
    outcomes = list(GOOD)
    for at in range(0, 60, 5):
        outcomes[at] = False
    store_run(home, "new", outcomes)
    (home / "it.yaml").write_text(
        "suites:\n  made_up:\n    margin: 0.3\n    at_least: 0.5\n"
        "    tasks:\n      t0: {margin: 0.1}\n      t1: {at_least: 0.5}\n"
    )
    found = json.loads(quick("gate", "new", "-b", "old", "--thresholds", "it.yaml", "--json").stdout)
    answers = {(each["name"], each["kind"]): each["verdict"] for each in found["decisions"]}
    assert answers == {
        ("made_up", "noninferior"): "pass",
        ("made_up", "floor"): "pass",
        ("made_up / t0", "noninferior"): "fail",
        ("made_up / t1", "floor"): "pass",
    }
    assert found["verdict"] == "fail"


def test_a_fail_among_many_questions_must_survive_holm(quick: Run, home: Path) -> None:
    of = suite(20, 10)
    base = [True] * 200
    # One task loses 4 of 10: a fail alone at 5 %, not as one of twenty-one.
    store_run(home, "old", base, of)
    store_run(home, "new", [not (at % 20 == 3 and at < 80) for at in range(200)], of)
    tasks = "\n".join(f"      t{i}: {{margin: 0.1}}" for i in range(20))
    (home / "it.yaml").write_text(f"suites:\n  made_up:\n    margin: 0.1\n    tasks:\n{tasks}\n")
    found = json.loads(quick("gate", "new", "-b", "old", "--thresholds", "it.yaml", "--json").stdout)
    mine = next(each for each in found["decisions"] if each["name"] == "made_up / t3")
    assert mine["p_fail"] <= 0.05 < mine["p_fail_adjusted"]
    assert (mine["verdict"], found["verdict"]) == ("inconclusive", "inconclusive")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("margn: 0.1", "unknown key 'margn'. Did you mean 'margin'"),
        ("margin: lots", "a number is wanted, not 'lots'"),
        ("margin: [", "is no YAML"),
        ("suites: 3", "a table of names and values"),
        ("suites: {made_up: {measure: sr@0}}", "a measure is success, average_length or sr@k"),
        ("suites: {made_up: {measure: average_length}}", "has no chains"),
        ("suites: {made_up: {tasks: {t9: {margin: 0.1}}}}", "unknown task 't9'"),
        ("suites: {made_up: {tasks: {t1: {}}}}", "wants a margin, an at_least, or both"),
        ("suites: {made_up: {at_least: 1.2}}", "at_least is above 0 and at most 1"),
        ("alpha: 0.7", "an error rate between 0 and 0.5"),
        ("margin: .nan", "a number is wanted"),
    ],
)
def test_thresholds_that_are_not_understood(quick: Run, home: Path, old: None, text: str, words: str) -> None:
    (home / "it.yaml").write_text(text)
    done = quick("gate", "old", "-b", "old", "--thresholds", "it.yaml")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    ("what", "code"), [("published:75/100", 0), ("published:99.0%@1000", 1), ("published:0.93@2000", 4)]
)
def test_a_published_number_with_its_count(quick: Run, home: Path, old: None, what: str, code: int) -> None:
    store_run(home, "new", pattern(100, 12))
    done = quick("gate", "new", "--baseline", what, "--margin", "0.03")
    assert done.returncode == code, done.stdout + done.stderr
    assert "score test on independent trials" in done.stdout


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("published:96.7%", "with its episode count"),
        ("published:600/500", "is none"),
        ("published:none.yaml", "cannot read none.yaml"),
        ("published:it.yaml", "a published file has"),
    ],
)
def test_a_published_number_without_its_count_is_refused(quick: Run, home: Path, old: None, what, words) -> None:
    (home / "it.yaml").write_text("suites:\n  made_up: {rate: 0.9}\n")
    done = quick("gate", "old", "--baseline", what)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_published_number_that_cannot_be_is_noted(quick: Run, old: None) -> None:
    assert "cannot come from 20 episodes" in quick("gate", "old", "--baseline", "published:96.7%@20").stdout


def test_chains_are_held_against_a_published_distribution(quick: Run, home: Path) -> None:
    store_chains(home, "new", [5, 5, 4, 3, 5, 0] * 40)
    (home / "paper.yaml").write_text(
        "source: A paper, Table 1\nsuites:\n  made_up_chains: {episodes: 240, sr: [0.833, 0.833, 0.833, 0.667, 0.5]}\n"
    )
    done = quick("gate", "new", "--baseline", "published:paper.yaml", "--margin", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A paper, Table 1" in done.stdout
    assert (
        quick("gate", "new", "--baseline", "published:paper.yaml", "--measure", "sr@4", "--margin", "0.2").returncode
        == 0
    )
    done = quick("gate", "new", "--baseline", "published:200/240", "--margin", "0.5")
    assert "wants `sr`" in done.stderr


def test_chains_are_gated_on_their_length(quick: Run, home: Path) -> None:
    store_chains(home, "old", [5, 5, 4, 3, 5, 0] * 40)
    store_chains(home, "new", [5, 4, 4, 3, 2, 0] * 40)
    found = json.loads(quick("gate", "new", "-b", "old", "--json").stdout)
    decision = found["decisions"][0]
    assert (decision["criterion"]["measure"], decision["criterion"]["margin"]) == ("average_length", 0.25)
    assert (decision["test"], decision["verdict"]) == ("bootstrap", "fail")
    assert decision["difference"] == pytest.approx(-4 / 6)
    by_stage = json.loads(quick("gate", "new", "-b", "old", "--measure", "sr@3", "--margin", "0.05", "--json").stdout)
    assert by_stage["decisions"][0]["pairs"]["base_only"] == 40
    assert quick("gate", "old", "-b", "old").returncode == 0


def test_several_suites_are_one_gate(quick: Run, home: Path, old: None) -> None:
    other = suite(2, 50, name="made_up_b")
    store_run(home, "old-b", pattern(100, 5), other)
    store_run(home, "new", GOOD)
    store_run(home, "new-b", [False] * 60 + [True] * 40, other)
    done = quick("gate", "new", "new-b", "-b", "old", "-b", "old-b", "--json")
    found = json.loads(done.stdout)
    assert [each["verdict"] for each in found["decisions"]] == ["pass", "fail"]
    assert done.returncode == 1
    assert quick("gate", "new", "new-b", "-b", "old").returncode == 2


def test_repeats_of_a_state_count_once(quick: Run, home: Path) -> None:
    of = suite(5, 4)
    store_run(home, "old", [True] * 100, of, repeats=5)
    # One state of twenty fails in all of its five repeats: 5 of 100 episodes, and one state.
    store_run(home, "new", [at % 20 != 7 for at in range(100)], of, repeats=5)
    found = json.loads(quick("gate", "new", "-b", "old", "--json").stdout)
    assert found["decisions"][0]["test"] == "clustered"
    assert found["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "a gate wants the candidate's RUN"),
        (("old",), "a gate wants --baseline"),
        (("old", "-b", "od"), "unknown run 'od'. Did you mean 'old'"),
        (("old", "-b", "old", "--margin", "0"), "a margin is above 0 and below 1"),
        (("old", "-b", "old", "--margin", "5"), "0.05 is 5 points"),
        (("old", "-b", "old", "--alpha", "0"), "alpha is an error rate"),
        (("old", "-b", "old", "--measure", "speed"), "--measure is success"),
        (("old", "-b", "published:3/4", "-b", "old"), "a published number stands alone"),
        (("old", "--save-baseline", "main.txt"), "ends in .json"),
        (("--plan",), "--plan wants one run"),
        (("old", "-b", "old", "--junit", "no/such/it.xml"), "cannot write no/such/it.xml"),
        (("--sequential", "-b", "old"), "name it with --policy"),
        (("--sequential", "-p", "expert"), "wants --baseline"),
        (("--sequential", "-p", "expert", "-b", "old", "--max-trials", "9"), "--max-trials goes with"),
    ],
)
def test_a_wrong_question_is_refused(quick: Run, old: None, args: tuple[str, ...], words: str) -> None:
    done = quick("gate", *args)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr


def test_different_plans_are_refused(quick: Run, home: Path, old: None) -> None:
    made = suite()
    store_run(home, "other", GOOD, replace(made, protocol=replace(made.protocol, base_seed=99)))
    done = quick("gate", "other", "-b", "old")
    assert done.returncode == 2
    assert "different plans" in done.stderr


def test_a_plan_says_what_margins_cost(quick: Run, home: Path, old: None) -> None:
    done = quick("gate", "--plan", "old", "--margin", "0.04", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    GatePlanModel.model_validate(found)
    assert [row["margin"] for row in found["margins"]] == [0.01, 0.02, 0.03, 0.04, 0.05, 0.1]
    assert found["flipping"]["n_pairs"] == 0
    psi = 2 * 97 / 102 * 5 / 102
    assert found["flipping"]["share"] == pytest.approx(psi)
    assert found["margins"][4]["n_80"] == math.ceil((1.6448536 + 0.8416212) ** 2 * psi / 0.05**2)
    assert found["margins"][4]["hours"] == pytest.approx(found["margins"][4]["n_80"] * found["wall_s"] / 3600)
    assert "worst case" in quick("gate", "--plan", "old").stdout


def test_a_plan_measures_how_often_the_baseline_flips_by_itself(quick: Run, home: Path, old: None) -> None:
    of = suite(5, 4)
    store_run(home, "noisy", [at % 20 != 7 or at < 20 for at in range(100)], of, repeats=5)
    found = json.loads(quick("gate", "--plan", "noisy", "--json").stdout)["flipping"]
    # One state of twenty succeeds once and fails four times: 4 of its 10 pairs of rollouts differ, of 200 in all.
    assert (found["n_pairs"], found["share"]) == (200, pytest.approx(4 / 200))
    # A second run of the same policy and settings on the same plan tells it too; one of another policy does not.
    store_run(home, "another", flipped(GOOD, 9))
    store_run(home, "old-2", flipped(GOOD, 3), policy="old-policy")
    found = json.loads(quick("gate", "--plan", "old", "--json").stdout)["flipping"]
    assert (found["n_pairs"], found["share"]) == (100, pytest.approx(0.03))
    assert "old against old-2" in found["source"]
