"""`vla-bench compare` as a user types it: answers, plots, refusals, and what bad input becomes."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.stored import pattern, store_chains, store_run, suite
from vla_bench.cli.comparison_schemas import CompareModel
from vla_bench.results.stats.paired import mcnemar_p, tango_interval

GOOD, BAD = pattern(100, 4, seed=1), pattern(100, 30, seed=2)


@pytest.fixture
def two_runs(home: Path) -> None:
    store_run(home, "old", GOOD)
    store_run(home, "new", BAD)


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def test_two_runs_of_one_plan_are_paired(quick: Run, two_runs: None) -> None:
    done = quick("compare", "old", "new", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    CompareModel.model_validate(found)
    whole = found["suites"][0]["differences"][0]["whole"]
    new_only = sum(n and not o for n, o in zip(BAD, GOOD, strict=True))
    base_only = sum(o and not n for n, o in zip(BAD, GOOD, strict=True))
    interval = tango_interval(new_only, base_only, 100)
    assert (whole["pairs"]["new_only"], whole["pairs"]["base_only"]) == (new_only, base_only)
    assert whole["difference"] == pytest.approx(-0.26)
    assert (whole["interval"]["low"], whole["interval"]["high"]) == (interval.low, interval.high)
    assert (whole["p"], whole["test"]) == (mcnemar_p(new_only, base_only), "mcnemar")
    assert len(found["flips"]) == new_only + base_only
    assert all(math.isfinite(number) for number in numbers(found))


def test_the_terminal_says_what_is_told_apart(quick: Run, two_runs: None) -> None:
    done = quick("compare", "old", "new")
    assert "100 pairs of one plan" in done.stdout
    assert re.search(r"new +70\.0 % .* −26\.0 \*", done.stdout)
    assert "exact McNemar test, Tango's interval" in done.stdout
    assert re.search(r"^t\d +\d+ +success 16  failure 16 +0 +0 +\d", done.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("width", ["80", "110"])
def test_no_terminal_cuts_a_number(quick: Run, two_runs: None, width: str) -> None:
    done = quick("compare", "old", "new", COLUMNS=width)
    found = json.loads(quick("compare", "old", "new", "--json").stdout)["suites"][0]["differences"][0]["whole"]
    ends = [f"{100 * found['interval'][end]:.1f}".replace("-", "−") for end in ("low", "high")]
    assert all(text in done.stdout for text in ["96.0 %", "−26.0 *", "< 0.0001", f"[{ends[0]}, {ends[1]}]"])


def test_flips_say_where_traces_part(quick: Run, two_runs: None) -> None:
    found = json.loads(quick("compare", "old", "new", "--json", "--flips", "3").stdout)["flips"]
    looked_into = [flip for flip in found if flip["actions_part_at"] is not None]
    assert len(looked_into) == 3
    for flip in looked_into:
        assert flip["new"]["is_success"] != flip["base"]["is_success"]
        assert (flip["actions_part_at"], flip["states_part_at"]) == (0, 0)
        assert flip["new"]["n_steps"] == 16
        assert flip["largest_difference"] > 0


def test_twenty_policies_have_groups_and_ranks(quick: Run, home: Path) -> None:
    names = [f"p{i:02d}" for i in range(20)]
    for i, name in enumerate(names):
        store_run(home, name, pattern(100, 3 * i + 2, seed=i))
    done = quick("compare", *names, "--json", "--flips", "0")
    table = json.loads(done.stdout)["suites"][0]
    assert len(table["policies"]) == 20
    assert table["policies"][0]["rank"][0] == 1
    apart = {(i, j) for i in range(20) for j in range(i) if table["p_adjusted"][i][j] <= 0.05}
    for i in range(20):
        for j in range(i):
            shared = set(table["policies"][i]["letters"]) & set(table["policies"][j]["letters"])
            assert bool(shared) == ((i, j) not in apart)
    assert quick("compare", *names, "--flips", "0").returncode == 0


@pytest.mark.parametrize("ending", ["png", "svg", "html"])
def test_plots_are_written(quick: Run, home: Path, two_runs: None, ending: str) -> None:
    done = quick("compare", "old", "new", "--plot", f"it.{ending}", "--flips", "2")
    assert done.returncode == 0, done.stderr
    data = (home / f"it.{ending}").read_bytes()
    if ending == "png":
        assert data.startswith(b"\x89PNG")
        return
    text = data.decode()
    assert "prefers-color-scheme" in text
    assert "src=" not in text
    assert "@import" not in text
    if ending == "html":
        assert text.count("<svg") == 3
        assert "actions part at step 0" in text


def test_names_are_text_in_a_page(quick: Run, home: Path) -> None:
    store_run(home, "<script>alert(1)</script>", GOOD)
    store_run(home, "$x$ & co", BAD)
    done = quick("compare", "<script>alert(1)</script>", "$x$ & co", "--plot", "it.html")
    assert done.returncode == 0, done.stderr
    text = (home / "it.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_plot_of_another_kind_is_refused(quick: Run, two_runs: None) -> None:
    done = quick("compare", "old", "new", "--plot", "it.pdf")
    assert done.returncode == 2
    assert ".html, .png, .svg" in done.stderr


def test_a_plot_that_cannot_be_written_is_one_line(quick: Run, two_runs: None) -> None:
    done = quick("compare", "old", "new", "--plot", "no/such/folder/it.svg")
    assert done.returncode == 2
    assert "cannot write no/such/folder/it.svg" in done.stderr


def test_unequal_plans_are_refused_and_shared_ones_counted(quick: Run, home: Path) -> None:
    store_run(home, "old", GOOD)
    store_run(home, "half", BAD[:50], trials=10)
    done = quick("compare", "old", "half")
    assert done.returncode == 2
    assert "different plans (50 and 100 episodes, 50 of them the same)" in done.stderr
    shared = quick("compare", "old", "half", "--intersection")
    assert shared.returncode == 0, shared.stderr
    assert "50 of 100 episodes: the intersection" in shared.stdout


def test_plans_without_a_shared_episode_compare_rates_only(quick: Run, home: Path) -> None:
    store_run(home, "old", GOOD)
    made = suite()
    store_run(home, "other", BAD, replace(made, protocol=replace(made.protocol, base_seed=99)))
    assert "They share none; add --unpaired" in quick("compare", "old", "other").stderr
    assert "no judged episode in common" in quick("compare", "old", "other", "--intersection").stderr
    done = quick("compare", "old", "other", "--unpaired")
    assert done.returncode == 0, done.stderr
    assert "Boschloo" in done.stdout


def test_missing_tasks_are_an_intersection(quick: Run, home: Path) -> None:
    store_run(home, "old", GOOD)
    store_run(home, "fewer", pattern(60, 9), suite(3))
    assert quick("compare", "old", "fewer").returncode == 2
    found = json.loads(quick("compare", "old", "fewer", "--intersection", "--json").stdout)
    assert [part["name"] for part in found["suites"][0]["differences"][0]["tasks"]] == ["t0", "t1", "t2"]


def test_lost_episodes_are_refused_with_exit_code_3(quick: Run, home: Path, two_runs: None) -> None:
    store_run(home, "lossy", [None, None, *BAD[2:]])
    done = quick("compare", "old", "lossy")
    assert done.returncode == 3
    assert "'lossy' lacks 2 of 100 episodes" in done.stderr
    assert "98 of 100 episodes" in quick("compare", "old", "lossy", "--intersection").stdout


def test_an_empty_run_is_refused(quick: Run, home: Path, two_runs: None) -> None:
    store_run(home, "empty", [])
    assert quick("compare", "old", "empty").returncode == 3
    done = quick("compare", "old", "empty", "--intersection")
    assert done.returncode == 2
    assert "no judged episode in common" in done.stderr


@pytest.mark.parametrize(
    ("one", "other"),
    [([True], [False]), ([True], [True]), ([True] * 100, [True] * 100), ([False] * 100, [False] * 100),
     ([True] * 100, [False] * 100)],
    ids=["one episode", "one equal episode", "all successes", "all failures", "the one all, the other none"],
)  # fmt: skip
def test_extremes_have_numbers(quick: Run, home: Path, one: list[bool], other: list[bool]) -> None:
    of = suite(1, 1) if len(one) == 1 else None
    store_run(home, "one", one, of)
    store_run(home, "other", other, of)
    done = quick("compare", "one", "other", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(math.isfinite(number) for number in numbers(found))
    table = quick("compare", "one", "other")
    assert "nan" not in table.stdout.lower()
    if sum(a != b for a, b in zip(one, other, strict=True)) < 6:
        assert "fewer than 6 pairs differ" in table.stdout
    assert quick("compare", "one", "other", "--plot", "it.svg").returncode == 0


def test_latencies_that_are_no_numbers_reach_no_table(quick: Run, home: Path) -> None:
    store_run(home, "old", GOOD)
    store_run(home, "new", BAD, latency_ms=(float("nan"), float("inf")))
    done = quick("compare", "old", "new", "--json")
    assert done.returncode == 0, done.stderr
    assert all(math.isfinite(number) for number in numbers(json.loads(done.stdout)))
    assert "nan" not in quick("show", "new").stdout.lower()


def test_a_damaged_trace_spoils_one_flip_and_no_more(quick: Run, home: Path, two_runs: None) -> None:
    for path in (home / "results-traces").rglob("*.zst"):
        path.write_bytes(b"no trace")
    done = quick("compare", "old", "new", "--flips", "2")
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stdout


@pytest.mark.parametrize("outcome", ["triumph", ""])
def test_a_damaged_database_is_one_line(quick: Run, home: Path, two_runs: None, outcome: str) -> None:
    with sqlite3.connect(home / "results.db") as connection:
        connection.execute("update episode set outcome = ? where position = 3", (outcome,))
    done = quick("compare", "old", "new")
    assert done.returncode == 70
    assert "is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_database_is_one_line(quick: Run, home: Path) -> None:
    (home / "results.db").write_bytes(b"nothing of the kind" * 100)
    done = quick("compare", "old", "new")
    assert done.returncode == 70
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("old",), "two runs or more"),
        (("old", "old"), "named twice"),
        (("old", "nwe"), "unknown run 'nwe'. Did you mean 'new'"),
        (("old", "new", "--intersection", "--unpaired"), "choose one"),
        (("old", "new", "--theme", "pink"), "--theme is light or dark"),
        (("old", "gone.json"), "cannot read the baseline gone.json"),
    ],
)
def test_a_wrong_question_is_refused(quick: Run, two_runs: None, args: tuple[str, ...], words: str) -> None:
    done = quick("compare", *args)
    assert done.returncode == 2
    assert words in done.stderr


def test_runs_of_different_suites_are_refused(quick: Run, home: Path, two_runs: None) -> None:
    store_chains(home, "chains", [5, 4, 3])
    done = quick("compare", "old", "chains")
    assert done.returncode == 2
    assert "only runs of one suite and protocol can be compared" in done.stderr


def test_chains_have_their_lengths(quick: Run, home: Path) -> None:
    store_chains(home, "old", [5, 5, 4, 3, 5, 0] * 20)
    store_chains(home, "new", [5, 4, 4, 3, 2, 0] * 20)
    found = json.loads(quick("compare", "old", "new", "--json").stdout)
    length = found["suites"][0]["differences"][0]["length"]
    assert length["difference"]["mean"] == pytest.approx(-4 / 6)
    assert [stage["n_success"] for stage in length["stages_base"]] == [100, 100, 100, 80, 60]
    assert "average length" in quick("compare", "old", "new").stdout


def test_chains_that_never_differ_have_no_variation(quick: Run, home: Path) -> None:
    store_chains(home, "old", [5] * 30)
    store_chains(home, "new", [5] * 30)
    done = quick("compare", "old", "new")
    assert done.returncode == 0, done.stderr
    assert "no variation" in done.stdout


def test_repeats_of_a_state_are_clusters(quick: Run, home: Path) -> None:
    of = suite(5, 4)
    store_run(home, "old", pattern(100, 10), of, repeats=5)
    store_run(home, "new", pattern(100, 30, seed=3), of, repeats=5)
    whole = json.loads(quick("compare", "old", "new", "--json").stdout)["suites"][0]["differences"][0]["whole"]
    assert whole["test"] == "clustered"


def test_several_suites_make_one_family(quick: Run, home: Path) -> None:
    for name, failures in (("old", 4), ("new", 20)):
        store_run(home, f"{name}-a", pattern(100, failures, seed=1))
        store_run(home, f"{name}-b", pattern(40, failures // 2, seed=2), suite(2, 20, name="made_up_b"))
    done = quick("compare", "old-a,old-b", "new-a,new-b", "--json")
    assert done.returncode == 0, done.stderr
    wholes = [table["differences"][0]["whole"] for table in json.loads(done.stdout)["suites"]]
    assert len(wholes) == 2
    assert sum(whole["p_adjusted"] > whole["p"] for whole in wholes) >= 1


def test_many_tasks_are_shown_by_group(quick: Run, home: Path) -> None:
    of = suite(80, 2)
    store_run(home, "old", pattern(160, 10), of)
    store_run(home, "new", pattern(160, 60, seed=3), of)
    done = quick("compare", "old", "new", "--plot", "it.svg", "--flips", "0")
    assert done.returncode == 0, done.stderr
    assert "80 tasks: all of them with --json" in done.stdout
    assert re.search(r"^hard +\d+/80", done.stdout, flags=re.MULTILINE)
    assert "Success rate by difficulty" in (home / "it.svg").read_text()
    found = json.loads(quick("compare", "old", "new", "--json", "--flips", "0").stdout)
    assert len(found["suites"][0]["differences"][0]["tasks"]) == 80
