"""`--shard` and `merge`: parts of a plan, run apart and joined."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from vla_bench.cli.schemas import RunsModel

RUN = ("run", "--policy", "expert", "--suite", "toy_reach", "--trials", "2", "--workers", "1")


def test_shards_merged_are_the_whole_run(quick: Run, home: Path) -> None:
    whole = json.loads(quick("plan", "--suite", "toy_reach", "--trials", "2", "--json").stdout)
    for number in (1, 2):
        done = quick(*RUN, "--shard", f"{number}/2", "--db", f"part{number}.db")
        assert done.returncode == 0, done.stderr
    done = quick("merge", "part1.db", "part2.db", "--db", "all.db", "--json")
    assert done.returncode == 0, done.stderr
    (merged,) = RunsModel.model_validate_json(done.stdout).runs
    assert merged.plan_hash == whole["plan_hash"]
    assert (merged.n_judged, merged.rate) == (10, 1.0)
    assert merged.shards == ["1/2", "2/2"]


def test_a_merge_without_all_shards_is_incomplete(quick: Run, home: Path) -> None:
    quick(*RUN, "--shard", "1/2", "--db", "part1.db")
    done = quick("merge", "part1.db", "--db", "all.db")
    assert done.returncode == 3
    assert "not_run 5" in done.stdout


def test_databases_that_are_not_there_are_named(quick: Run) -> None:
    done = quick("merge", "nowhere.db", "--db", "all.db")
    assert done.returncode == 2
    assert "nowhere.db" in done.stderr
