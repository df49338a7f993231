"""`vla-bench assets`, and what `run` says of a suite whose assets are not here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.libero_plus_standin import build
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in of LIBERO-Plus's archive, without LIBERO's own files."""
    folder = tmp_path_factory.mktemp("standin")
    (folder / "libero").mkdir()
    build(folder / "copy", folder / "libero")
    return folder / "copy"


def test_without_an_answer_nothing_is_downloaded_and_all_is_said(quick: Run) -> None:
    done = quick("assets", "install", "libero_plus")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    for words in ("6.40 GB", "huggingface.co/datasets/Sylvest/LIBERO-plus", "no licence file", "--yes", "--from PATH"):
        assert words in said


def test_a_stand_in_is_installed_listed_checked_and_removed(quick: Run, standin: Path) -> None:
    assert json.loads(quick("assets", "list", "--json").stdout)["assets"]
    done = quick("assets", "install", "libero_plus", "--from", str(standin))
    assert "stand-in:" in done.stdout
    listed = {each["name"]: each for each in json.loads(quick("assets", "list", "--json").stdout)["assets"]}
    assert listed["libero_plus"]["is_installed"]
    assert "not the published assets" in listed["libero_plus"]["standin"]
    checked = quick("assets", "check", "libero_plus").stdout
    assert "3,047 of 3,047 tasks" in checked
    assert "0 of LIBERO's own 585 files" in checked
    quick("assets", "remove", "libero_plus")
    assert quick("assets", "check", "libero_plus").returncode == 2


def test_changed_assets_fail_the_check(quick: Run, standin: Path) -> None:
    quick("assets", "install", "libero_plus", "--from", str(standin))
    extra = next(standin.rglob("STANDIN")).with_name("extra.txt")
    extra.write_text("x")
    try:
        checked = quick("assets", "check", "libero_plus")
        assert (checked.returncode, "not those that were installed" in checked.stdout) == (1, True)
    finally:
        extra.unlink()


def test_a_run_without_the_archive_names_both_ways_out(quick: Run) -> None:
    done = quick("run", "--policy", "noop", "--suite", "libero_plus")
    assert done.returncode == 2
    said = done.stderr
    assert "3,047 of these 10,030 tasks" in said
    assert "vla-bench assets install libero_plus" in said
    assert "run --suite libero_plus_open" in said


def test_dimension_level_and_sample_choose_tasks(quick: Run) -> None:
    args = ("plan", "--suite", "libero_plus_open", "--dimension", "camera", "--level", "5", "--sample", "3", "--json")
    plan = json.loads(quick(*args).stdout)
    assert plan["n_episodes"] == 3
    assert all(episode["params"]["variant"] == "view" for episode in plan["episodes"])
    again = json.loads(quick(*args, "--sample-seed", "1").stdout)
    assert plan["plan_hash"] != again["plan_hash"]
    wrong = quick("plan", "--suite", "libero_plus", "--dimension", "smell")
    assert (wrong.returncode, "has no dimension 'smell'" in wrong.stderr) == (2, True)
