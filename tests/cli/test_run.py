"""`run`, `show` and `runs` on real episodes of the toy suite."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import EXPERT_RUN as TWO
from tests.cli.conftest import PROGRAM, Run
from vla_bench.cli.schemas import PreviewModel, RunModel, RunsModel

FAULTS = "VLA_BENCH_TOY_FAULTS"


def test_a_run_prints_its_score_on_stdout_and_its_story_on_stderr(vla_bench: Run) -> None:
    done = vla_bench(*TWO)
    assert done.returncode == 0, done.stderr
    assert "10/10 of 10 planned, 0 lost" in done.stdout
    assert "100.0 %" in done.stdout
    assert "on these tasks" in done.stdout
    assert "on tasks like these" in done.stdout
    assert "oracle: never ranked" in done.stdout
    assert "reach_in_order" in done.stdout
    assert "10/10 episodes" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.usefixtures("finished_run")
def test_the_same_command_again_says_complete_and_runs_nothing(quick: Run) -> None:
    done = quick(*TWO, "--json")
    assert done.returncode == 0
    assert "complete before" in done.stderr
    assert json.loads(done.stdout)["n_attempts"] == 10


@pytest.mark.usefixtures("finished_run")
def test_fresh_starts_anew_under_a_numbered_name(quick: Run) -> None:
    quick(*TWO, "--fresh")
    names = {run["name"] for run in json.loads(quick("runs", "--json").stdout)["runs"]}
    assert names == {"expert-toy_reach", "expert-toy_reach-2"}


@pytest.mark.usefixtures("finished_run")
def test_the_same_run_with_other_seeds_is_refused_with_a_diff(quick: Run) -> None:
    done = quick(*TWO, "--seed", "7")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "seed" in done.stderr
    assert "--fresh" in done.stderr


@pytest.mark.usefixtures("finished_run")
def test_settings_of_the_policy_s_side_make_another_eval_hash(quick: Run) -> None:
    one = json.loads(quick("show", "--json").stdout)
    options = ("-o", "chunk=4", "--replan-horizon", "2", "--name", "held")
    two = json.loads(quick(*TWO, *options, "--json").stdout)
    assert two["settings"]["replan_horizon"] == 2
    assert two["plan_hash"] == one["plan_hash"]
    assert two["eval_hash"] != one["eval_hash"]


def test_a_dry_run_says_what_would_be_run_and_stores_nothing(quick: Run, home: Path) -> None:
    done = quick(*TWO, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "expert-toy_reach" in done.stdout
    assert "10 episodes" in done.stdout
    assert re.search(r"plan_hash +[0-9a-f]{64}", done.stdout)
    PreviewModel.model_validate_json(quick(*TWO, "--dry-run", "--json").stdout)
    assert not list(home.rglob("*.db"))


def test_an_incomplete_run_has_bounds_the_command_that_completes_it_and_code_3(quick: Run) -> None:
    faults = json.dumps({"reach_red:0": {"kind": "raise", "step": 3}})
    command = ("run", "--policy", "expert", "--suite", "toy_reach_faults", "--trials", "1", "--max-attempts", "2")
    done = quick(*command, **{FAULTS: faults})
    assert done.returncode == 3, done.stderr
    assert "4/4 of 5 planned, 1 lost (env_raised 1)" in done.stdout
    assert "success rate" not in done.stdout
    assert "[80.0, 100.0]" in done.stdout
    assert "complete it: vla-bench run --policy expert --suite toy_reach_faults" in done.stdout
    assert re.search(r"lost reach_red trial 0, attempt 1, .*env_raised.*run again with the same seeds", done.stderr)
    assert "lost for good" in done.stderr
    completed = quick(*command)
    assert completed.returncode == 0
    assert "5/5 of 5 planned, 0 lost" in completed.stdout


@pytest.mark.usefixtures("finished_run")
def test_what_json_prints_keeps_to_its_schema(quick: Run) -> None:
    told = RunModel.model_validate_json(quick(*TWO, "--json").stdout)
    shown = RunModel.model_validate_json(quick("show", "Expert-Toy-Reach", "--json").stdout)
    assert told.model_dump() == shown.model_dump()
    listed = RunsModel.model_validate_json(quick("runs", "--json").stdout)
    assert [run.name for run in listed.runs] == ["expert-toy_reach"]


@pytest.mark.usefixtures("finished_run")
def test_show_without_a_name_shows_the_newest_run(quick: Run) -> None:
    quick("run", "--policy", "noop", "--suite", "toy_reach", "--trials", "1", "--name", "later")
    assert quick("show").stdout.startswith("later")


@pytest.mark.usefixtures("finished_run")
def test_colours_survive_a_pipe_where_they_are_asked_for(vla_bench: Run) -> None:
    assert "\x1b[" in vla_bench("show", FORCE_COLOR="1").stdout
    assert "\x1b[3" not in vla_bench("show", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" in vla_bench("show", CLICOLOR_FORCE="1").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_run_ends_with_130_and_goes_on_with_the_same_command(
    vla_bench: Run, home: Path, number: signal.Signals
) -> None:
    faults = json.dumps({"hold_at_blue:0": {"kind": "hang", "step": 3, "once": str(home / "hung")}})
    command = ("run", "--policy", "expert", "--suite", "toy_reach_faults", "--trials", "1", "--workers", "1")
    with subprocess.Popen(
        [PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"VLA_BENCH_HOME": str(home), FAULTS: faults}, cwd=home,
    ) as process:  # fmt: skip
        while not (home / "hung").exists():
            assert process.poll() is None
        process.send_signal(number)
        _, story = process.communicate(timeout=60)
    assert process.returncode == 130, story
    assert "the same command" in story or "vla-bench run" in story
    done = vla_bench(*command)
    assert "4 of 5 judged before, 1 to run" in done.stderr
    assert done.returncode == 0
