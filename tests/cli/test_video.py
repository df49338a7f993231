"""`video` as a user has it: which films come out, what is said, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.harness.runs import Forger, make_run, moved
from vla_bench.cli.replay_schemas import VideoModel

SMALL = ("--size", "32", "--workers", "1")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shaky run and a steady one on the same plan."""
    folder = tmp_path_factory.mktemp("two")
    make_run(folder, "shaky")
    return make_run(folder, "steady", noise=0.0)


@pytest.fixture(autouse=True)
def forger(original: Path, home: Path) -> Forger:
    return Forger.of(original, home)


def test_films_are_written_and_named(quick: Run, home: Path) -> None:
    done = quick("video", "shaky", "-e", "reach_red:0", "--out", "here", *SMALL)
    assert done.returncode == 0, done.stderr
    (path,) = (home / "here").iterdir()
    assert done.stdout.startswith(f"here/{path.name}")
    assert "bit" in done.stdout


def test_failures_are_filmed_and_counted_against_the_limit(quick: Run, home: Path, forger: Forger) -> None:
    ((n_failed,),) = forger.sql(
        "SELECT COUNT(*) FROM episode JOIN run ON run.id = run_id WHERE outcome = 'failure' AND name = 'shaky'"
    )
    assert n_failed > 1
    done = quick("video", "shaky", "--failures", "--limit", "1", "--json", *SMALL)
    assert done.returncode == 0
    assert f"the first 1 of {n_failed} episodes" in done.stderr
    told = VideoModel.model_validate_json(done.stdout, strict=True)
    assert [film.episodes[0].recorded for film in told.films] == ["failure"]
    assert (home / str(told.films[0].path)).exists()


def test_beside_another_run_shows_the_episodes_that_ended_otherwise(quick: Run) -> None:
    done = quick("video", "shaky", "--beside", "steady", "--limit", "1", "--json", *SMALL)
    assert done.returncode == 0, done.stderr
    (film,) = json.loads(done.stdout)["films"]
    assert [episode["recorded"] for episode in film["episodes"]] == ["failure", "success"]


def test_a_grid_is_one_film(quick: Run, home: Path) -> None:
    assert quick("video", "shaky", "--grid", *SMALL).returncode == 0
    assert [path.name for path in (home / "films").iterdir()] == ["shaky-grid.mp4"]


def test_a_replay_that_differs_exits_1_and_says_where(quick: Run, forger: Forger) -> None:
    for table in ("attempt", "episode"):
        forger.sql(f"DELETE FROM {table} WHERE run_id = (SELECT id FROM run WHERE name = 'steady')")
    episode = forger.episodes()[0]
    forger.retrace(episode, moved)
    done = quick("video", "shaky", "-e", episode, *SMALL)
    assert done.returncode == 1
    assert "on the machine of the recording" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("steady", "--failures"), "no episode of steady failed"),
        (("steady", "-e", "reach_rad:0"), "Did you mean reach_red"),
        (("steady", "--beside", "steady"), "ended otherwise"),
        (("steady", "--beside", "shaky", "--grid"), "choose one"),
        (("steady", "--size", "2"), "16 to 2160"),
        (("steady", "--camera", "back"), "front, wrist"),
        (("stedy",), "steady"),
    ],
)
def test_what_cannot_be_filmed_is_refused_with_the_way_out(quick: Run, words: tuple[str, ...], told: str) -> None:
    done = quick("video", *words)
    assert done.returncode == 2, done.stdout
    assert told in done.stderr


def test_a_run_without_judged_episodes_has_nothing_to_show(quick: Run, forger: Forger) -> None:
    for table in ("attempt", "episode", "aggregate"):
        forger.sql(f"DELETE FROM {table}")
    done = quick("video", "steady")
    assert done.returncode == 2
    assert "no judged episode" in done.stderr
