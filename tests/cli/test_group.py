"""`group` and `table`: what is told, how it is refused, and tables that a paper can take."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vla_bench.cli.group_schemas import GroupListModel, GroupShowModel

SEEDS = ("lamp-s0", "lamp-s1", "lamp-s2")
pytestmark = pytest.mark.usefixtures("lamp_runs")


def test_a_group_tells_each_spread_by_itself(quick: Run) -> None:
    done = quick("group", "seeds", *SEEDS)
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "seeds training_seeds/3x2" in words
    assert "15/18 of 18 planned, 0 lost" in words
    assert "success rate 83.3 %" in words
    assert re.search(r"trainings like these \[41\.9, 100\.0\] 95 %, Student t over 3; rough: fewer than 5", words)
    assert "between trainings SD 16.7 points [8.7, 104.7] 95 % over 3 trainings" in words
    assert "between evaluation seeds not seen: one evaluation of each" in words


def test_json_keeps_to_its_schema(quick: Run) -> None:
    for args in (("group", "seeds", *SEEDS), ("group", "show", "SEEDS")):
        GroupShowModel.model_validate_json(quick(*args, "--json").stdout, strict=True)
    assert quick("group", "show", "seeds").stdout.startswith("seeds   training_seeds/3x2")
    listed = GroupListModel.model_validate_json(quick("group", "list", "--json").stdout, strict=True)
    assert [member.run for member in listed.groups[0].members] == list(SEEDS)


def test_a_group_is_listed_and_removed(quick: Run) -> None:
    assert "no groups" in quick("group", "list").stderr
    quick("group", "seeds", *SEEDS)
    assert "training_seeds/3x2" in quick("group", "list").stdout
    assert quick("group", "remove", "seeds").returncode == 0
    assert json.loads(quick("group", "list", "--json").stdout) == {"groups": []}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("seeds", "lamp-s0"), "at least two runs"),
        (("seeds", "lamp-s0", "lamp-s9"), "unknown run 'lamp-s9'"),
        (("show", "nothing"), "unknown group 'nothing'"),
        (("remove", "nothing"), "unknown group 'nothing'"),
        (("define", "list", *SEEDS), "a command of `vla-bench group`"),
        (("seeds", *SEEDS, "--kind", "best"), "choose training_seeds, top_checkpoints"),
    ],
)
def test_what_is_no_group_is_one_line_and_code_2(quick: Run, args: tuple[str, ...], words: str) -> None:
    done = quick("group", *args)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_table_keeps_ways_of_averaging_apart(quick: Run) -> None:
    quick("group", "seeds", *SEEDS)
    quick("group", "best", "lamp-90k=90k", "lamp-95k=95k", "lamp-100k=100k", "--kind", "top_checkpoints")
    told = quick("table", "seeds", "best", "lamp-s0", "lamp-s1").stdout
    headings = re.findall(r"^\*\*(.*)\*\*$", told, flags=re.MULTILINE)
    assert headings == [
        r"made\_up standard/1, training\_seeds/3x2",
        r"made\_up standard/1, top\_checkpoints/3x2",
        r"made\_up standard/1, single/1x2",
    ]
    assert "| lamp |  | 18 | 3 trainings | 83.3 |" in told
    assert "| lamp§ |  | 18 | 3 checkpoints | 33.3 |" in told
    assert "| lamp | version 2 | 6 | 1 | 100.0 | [61.0, 100.0] |" in told
    assert "§ checkpoints chosen by their score on this suite: optimistic" in told


def test_a_table_of_tasks_is_of_one_protocol(quick: Run) -> None:
    quick("group", "seeds", *SEEDS)
    done = quick("table", "seeds", "lamp-s0", "--layout", "tasks")
    assert done.returncode == 2
    assert "are of different protocols (training_seeds/3x2, single/1x2)" in done.stderr
    told = quick("table", "lamp-s0", "lamp-s2", "--layout", "tasks", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [row["Task"] for row in rows] == ["t0", "t1", "t2", "mean"]
    assert [float(row["lamp version 2"]) for row in rows][-1] == pytest.approx(4 / 6)


def test_latex_has_booktabs_and_no_bare_special_character(quick: Run) -> None:
    told = quick("table", "lamp-s0", "lamp-s1", "--format", "latex").stdout
    for line in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"):
        assert line in told
    assert r"made\_up standard/1, single/1x2" in told
    body = told.partition("\n")[2]
    assert not re.search(r"(?<!\\)[_#%]", body)
    assert len({line.count("&") for line in body.splitlines() if "&" in line}) == 1


def test_two_runs_of_one_policy_are_two_rows_or_a_group(quick: Run) -> None:
    done = quick("table", "lamp-s0", "lamp-s1", "--layout", "suites")
    assert done.returncode == 2
    assert "name one of them, make a group of both, or take --layout runs" in done.stderr


def test_a_table_is_written_once(quick: Run, home: Path) -> None:
    args = ("table", "lamp-s0", "--output", "table.md")
    assert quick(*args).returncode == 0
    text = (home / "table.md").read_text()
    assert "version 2" in text
    done = quick(*args)
    assert done.returncode == 2
    assert "replace it with --force" in done.stderr
    assert quick(*args, "--format", "latex", "--force").returncode == 0
    assert r"\toprule" in (home / "table.md").read_text()
    assert "no folder" in quick("table", "lamp-s0", "--output", "nowhere/table.md").stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("lamp-s9",), "unknown run 'lamp-s9'"),
        (("lamp-s0", "--layout", "wide"), "choose runs, suites, tasks"),
        (("lamp-s0", "--format", "html"), "choose markdown, latex, csv"),
    ],
)
def test_what_is_no_table_is_one_line_and_code_2(quick: Run, args: tuple[str, ...], words: str) -> None:
    done = quick("table", *args)
    assert done.returncode == 2
    assert words in done.stderr
