"""Joining databases: shards make one run, nothing is counted twice, and what does not fit is refused whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.results import samples
from vla_bench.results.merge import merge
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.spec.episode import Shard
from vla_bench.spec.errors import RunMismatch, UnknownRun, UsageError
from vla_bench.spec.outcomes import Outcome
from vla_bench.spec.result import EpisodeResult
from vla_bench.spec.settings import EvalSettings


def write(path: Path, spec: RunSpec, results: list[EpisodeResult], shard: str = "") -> Path:
    with Store.open(path) as store:
        store.begin_run(replace(spec, shard=shard))
        store.add(spec.name, results)
        store.finish(spec.name)
    return path


def shards(folder: Path, spec: RunSpec, n: int) -> list[Path]:
    paths = []
    for i in range(1, n + 1):
        results = [samples.result(episode, seed=int(episode.id[:6], 16)) for episode in Shard(i, n).of(spec.plan)]
        paths.append(write(folder / f"part{i}.db", spec, results, f"{i}/{n}"))
    return paths


def test_shards_make_one_run_with_its_traces(db: str, open_store: Callable[..., Store], tmp_path: Path) -> None:
    spec = samples.spec(of=samples.suite(3, 4))
    paths = shards(tmp_path, spec, 3)
    target = open_store(db)
    (summary,) = merge(target, paths)
    assert (summary.n_judged, summary.rate, summary.shards) == (12, 1.0, ("1/3", "2/3", "3/3"))
    assert target.summary(spec.name) == summary
    assert target.notices == []
    for episode in spec.plan.episodes:
        (stored,) = target.attempts_of(spec.name, episode.id)
        assert len(target.trace(stored.trace_digest).actions) == 16


def test_a_merged_run_is_the_run_that_was_not_split(tmp_path: Path) -> None:
    spec = samples.spec(of=samples.suite(3, 4))
    whole = write(tmp_path / "whole.db", spec, [samples.result(e, seed=int(e.id[:6], 16)) for e in spec.plan.episodes])
    with Store.open(tmp_path / "all.db") as target, Store.open(whole) as reference:
        (merged,) = merge(target, shards(tmp_path, spec, 4))
        expected = replace(reference.summary(spec.name), shards=merged.shards, started_at=merged.started_at)
        assert replace(merged, finished_at="") == replace(expected, finished_at="")


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    spec = samples.spec()
    paths = shards(tmp_path, spec, 2)
    with Store.open(tmp_path / "all.db") as target:
        first = merge(target, paths)
        assert [replace(run, finished_at="") for run in merge(target, paths)] == [
            replace(r, finished_at="") for r in first
        ]
        assert first[0].n_attempts == 6


def test_the_missing_part_of_a_merged_run_is_not_run(tmp_path: Path) -> None:
    spec = samples.spec()
    with Store.open(tmp_path / "all.db") as target:
        (summary,) = merge(target, shards(tmp_path, spec, 3)[:2])
        assert summary.score_line == "4/4 of 6 planned, 2 lost (not_run 2)"
        assert not target.begin_run(replace(spec, name="other")).is_resumed
        assert target.begin_run(spec).is_resumed


def test_an_episode_judged_alike_twice_is_kept_once(tmp_path: Path) -> None:
    spec = samples.spec()
    paths = [write(tmp_path / f"{i}.db", spec, samples.results(spec.plan, ["success", "failure"])) for i in range(2)]
    with Store.open(tmp_path / "all.db") as target:
        (summary,) = merge(target, paths)
        assert (summary.n_judged, summary.n_attempts) == (2, 2)


def test_an_episode_judged_differently_is_refused_by_name_and_nothing_is_merged(tmp_path: Path) -> None:
    spec = samples.spec()
    first = write(tmp_path / "1.db", spec, samples.results(spec.plan, ["success", "success"]))
    second = write(tmp_path / "2.db", spec, samples.results(spec.plan, ["success", "failure"]))
    with Store.open(tmp_path / "all.db") as target:
        with pytest.raises(RunMismatch, match=f"{spec.plan.episodes[1].id}.*success and failure"):
            merge(target, [first, second])
        assert target.summaries() == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_lost_episode_is_taken_from_where_it_was_judged_with_all_attempts(tmp_path: Path, order) -> None:
    spec = samples.spec()
    episode = spec.plan.episodes[0]
    lost = write(
        tmp_path / "lost.db",
        spec,
        [samples.result(episode, "env_error", 0), samples.result(episode, "policy_error", 1)],
    )
    judged = write(tmp_path / "judged.db", spec, [samples.result(episode, "failure", 0, seed=3)])
    with Store.open(tmp_path / "all.db") as target:
        (summary,) = merge(target, [(lost, judged)[i] for i in order])
        assert target.outcomes(spec.name) == {episode.id: Outcome.FAILURE}
        stored = [item.result for item in target.attempts_of(spec.name, episode.id)]
        assert [(a.attempt, a.outcome.value) for a in stored] == [(0, "env_error"), (1, "policy_error"), (2, "failure")]
        assert summary.n_attempts == 3


@pytest.mark.parametrize(
    "change", [{"settings": EvalSettings(replan_horizon=3)}, {"plan": samples.spec(of=samples.suite(2)).plan}]
)
def test_runs_of_one_name_that_differ_are_refused_with_the_difference(tmp_path: Path, change) -> None:
    spec = samples.spec()
    first = write(tmp_path / "1.db", spec, [])
    second = write(tmp_path / "2.db", replace(spec, **change), [])
    with Store.open(tmp_path / "all.db") as target:
        with pytest.raises(RunMismatch, match="→"):
            merge(target, [first, second])
        assert target.summaries() == []


def test_only_named_runs_are_taken(tmp_path: Path) -> None:
    source = tmp_path / "1.db"
    for name in ("one", "two"):
        write(source, samples.spec(name), [])
    with Store.open(tmp_path / "all.db") as target:
        assert [run.name for run in merge(target, [source], ["two"])] == ["two"]
        with pytest.raises(UnknownRun, match="two"):
            merge(target, [source], ["twoo"])


def test_a_lost_trace_is_said_and_its_outcome_kept(tmp_path: Path) -> None:
    spec = samples.spec()
    source = write(tmp_path / "1.db", spec, samples.results(spec.plan, ["success", "failure"]))
    damaged, missing = sorted((tmp_path / "1-traces").glob("*/*"))
    damaged.write_bytes(b"damaged")
    missing.unlink()
    with Store.open(tmp_path / "all.db") as target:
        (summary,) = merge(target, [source])
        assert summary.n_judged == 2
        assert len(target.notices) == 2
        assert all(digest.name.split(".")[0] in " ".join(target.notices) for digest in (damaged, missing))


def test_sources_are_only_read(tmp_path: Path) -> None:
    spec = samples.spec()
    source = write(tmp_path / "1.db", spec, samples.results(spec.plan, ["success"]))
    before = source.read_bytes()
    with Store.open(tmp_path / "all.db") as target:
        merge(target, [source])
    assert source.read_bytes() == before


def test_a_merge_of_nothing_or_of_itself_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "all.db") as target:
        with pytest.raises(UsageError, match="nothing to merge"):
            merge(target, [])
        with pytest.raises(UsageError, match="name only the others"):
            merge(target, [tmp_path / "all.db"])
        with pytest.raises(UsageError, match="no database at"):
            merge(target, [tmp_path / "absent.db"])
