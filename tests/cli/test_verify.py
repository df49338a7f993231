"""`verify` as a user has it: exit codes, words, JSON, and what it makes of odd runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import PROGRAM, Run
from tests.harness.runs import Forger, make_run, moved
from vla_bench.cli.replay_schemas import VerifyModel

pytestmark = pytest.mark.usefixtures("finished_run")

RUN = "expert-toy_reach"


def forge(home: Path) -> Forger:
    return Forger(home / "results.db")


def test_an_honest_run_exits_0_and_says_what_that_proves(quick: Run) -> None:
    done = quick("verify", RUN, "--all")
    assert done.returncode == 0, done.stderr
    assert "bit      10" in done.stdout
    assert "these actions give these outcomes" in done.stdout
    assert "Who chose the actions, a replay cannot say" in done.stdout
    assert "10/10 replays" in done.stderr


def test_json_keeps_to_its_schema_for_good_and_bad(quick: Run, home: Path) -> None:
    good = VerifyModel.model_validate_json(quick("verify", RUN, "--json").stdout, strict=True)
    assert (good.verdict, good.agreements["bit"], good.n_replayed) == ("equal", 10, 10)
    forger = forge(home)
    forger.retrace(forger.episodes()[0], moved)
    forger.sql("UPDATE aggregate SET rate = 0.5")
    done = quick("verify", RUN, "--json")
    bad = VerifyModel.model_validate_json(done.stdout, strict=True)
    assert done.returncode == 1
    assert bad.verdict == "differs"
    assert bad.findings[0].about == "summary"
    assert [episode.agreement for episode in bad.episodes].count("differs") == 1


def test_a_changed_action_exits_1_and_names_episode_and_step(quick: Run, home: Path) -> None:
    forger = forge(home)
    forger.retrace(forger.episodes()[0], moved)
    done = quick("verify", RUN)
    assert done.returncode == 1
    assert "differs reach_red trial 0: " in done.stdout
    assert "on the machine of the recording" in done.stdout
    assert done.stdout.rstrip().endswith("the stored result is not what its recorded actions give")


def test_a_truncated_run_exits_3(quick: Run, home: Path) -> None:
    forger = forge(home)
    last = forger.episodes()[-1]
    for table in ("attempt", "episode"):
        forger.sql(f"DELETE FROM {table} WHERE episode_id = ?", last)
    assert quick("verify", RUN).returncode == 1, "the summary still says 10"
    forger.sql("DELETE FROM aggregate")
    done = quick("verify", RUN)
    assert done.returncode == 3
    assert "incomplete: 1 planned episode without a judged outcome" in done.stdout


def test_a_run_without_any_episode_is_incomplete_and_no_number_is_made_up(quick: Run, home: Path) -> None:
    for table in ("attempt", "episode", "aggregate"):
        forge(home).sql(f"DELETE FROM {table}")
    done = quick("verify", RUN)
    assert done.returncode == 3
    assert "nan" not in (done.stdout + done.stderr).lower()


def test_a_sample_says_its_seed_and_what_it_leaves_possible(quick: Run) -> None:
    done = quick("verify", RUN, "--sample", "4", "--seed", "11")
    assert done.returncode == 0
    answer = " ".join(done.stdout.split())  # lines end where the terminal does
    assert "4 of 10 judged episodes (4 of 10 successes, 0 of 0 failures, --seed 11)" in answer
    assert "at most 52.7 % of the successes do (95 % confidence)" in answer


@pytest.mark.parametrize("words", [("--sample", "0"), ("--sample", "3", "--all"), ("--db", "nowhere.db")])
def test_what_makes_no_sense_exits_2(quick: Run, words: tuple[str, ...]) -> None:
    done = quick("verify", RUN, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_an_unknown_run_names_the_near_one(quick: Run) -> None:
    done = quick("verify", "expert-toy-reech")
    assert done.returncode == 2
    assert RUN in done.stderr


def test_a_database_with_a_damaged_page_exits_1_or_says_that_it_is_damaged(quick: Run, home: Path) -> None:
    path = home / "results.db"
    data = bytearray(path.read_bytes())
    for start in range(4096 * 3, len(data), 4096):
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    done = quick("verify", RUN)
    assert done.returncode in (1, 70)
    assert "Traceback" not in done.stderr
    assert "damaged" in (told := done.stdout + done.stderr) or "malformed" in told, told


def test_traces_that_lie_elsewhere_are_named(quick: Run, home: Path) -> None:
    shutil.move(home / "results-traces", home / "moved")
    lost = quick("verify", RUN)
    assert lost.returncode == 1
    assert "Name the folder of traces" in lost.stdout
    assert quick("verify", RUN, "--traces", str(home / "moved")).returncode == 0


def test_latencies_that_are_no_numbers_do_not_matter(quick: Run, home: Path) -> None:
    forge(home).sql("UPDATE attempt SET policy_p50_ms = 9e999, wall_ms = -9e999")
    done = quick("verify", RUN, "--json")
    assert done.returncode == 0, done.stdout
    json.loads(done.stdout, parse_constant=lambda name: pytest.fail(name))


def test_ctrl_c_ends_with_130_and_leaves_no_simulator(home: Path, tmp_path: Path) -> None:
    make_run(tmp_path, suite="toy_reach_faults", trials=1)
    faults = {"VLA_BENCH_TOY_FAULTS": '{"reach_red:0": {"kind": "hang", "step": 2}}'}
    command = [PROGRAM, "verify", "--db", str(tmp_path / "results.db"), "--workers", "1"]
    with subprocess.Popen(command, env=os.environ | faults, stderr=subprocess.PIPE, text=True) as process:
        while not psutil.Process(process.pid).children():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, story = process.communicate(timeout=30)
    assert process.returncode == 130, story
    assert "Traceback" not in story
