"""Imported results: their episodes by our rules, their claims beside, one clear line for what is no result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.results import foreign, samples
from vla_bench.results.frames import load
from vla_bench.results.imports import ImportedResult, import_result, read_results
from vla_bench.results.imports.writing import notes_of
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.spec.errors import UnknownTask, UsageError


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as store:
        yield store


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read_(*contents: Any) -> tuple[list[ImportedResult], str]:
        paths = [tmp_path / f"{number}.json" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_results(paths)

    return read_


def stored(store: Store, read: Any, *contents: Any, policy: str = "pi0", **options: Any) -> RunSummary:
    results, digest = read(*contents)
    (result,) = results
    return import_result(store, result, policy=policy, files=[Path("result.json")], digest=digest, **options)


def test_a_vla_eval_file_is_a_self_reported_run(store: Store, read: Any) -> None:
    run = stored(store, read, foreign.vla_eval({"a": [True, True, False], "b": [True] * 3}))
    assert (run.name, run.suite, run.protocol) == (
        "pi0-LIBEROBenchmark_libero_spatial",
        "LIBEROBenchmark_libero_spatial",
        "vla-eval/1",
    )
    assert (run.is_imported, run.is_complete, run.score_line) == (True, True, "5/6 of 6 planned, 0 lost")
    assert run.rate == pytest.approx(5 / 6)
    assert run.these_tasks is not None
    assert (run.origin["tool"], run.origin["tool_version"], run.origin["file"]) == ("vla-eval", "0.8.0", "result.json")
    assert run.origin["claimed_rate"] == pytest.approx(0.8333)
    assert notes_of(run) == []
    assert run.latencies.env_mean_ms is run.latencies.policy_share is None
    assert store.summary(run.name) == run


def test_what_vla_eval_counts_as_failed_after_a_crash_is_lost(store: Store, read: Any) -> None:
    reasons = ["timeout", "connection_closed", "model_act", "env_step", "env_start", "exception"]
    run = stored(store, read, foreign.vla_eval({"a": [True, *reasons]}))
    assert run.rate is run.these_tasks is None
    assert run.bounds == pytest.approx((1 / 7, 1.0))
    assert dict(run.lost_by_kind) == {
        "policy_timeout": 1,
        "server_unreachable": 1,
        "policy_raised": 1,
        "env_raised": 1,
        "env_start_failed": 1,
        "harness_error": 1,
    }
    assert notes_of(run) == ["the file claims 14.3 %, counting 6 lost episodes as it does"]
    (attempt,) = store.attempts_of(run.name, store.plan(run.name).episodes[1].id)
    assert attempt.result.error_message == "timeout: what happened"
    assert attempt.trace_digest == ""


def test_episodes_that_the_configuration_promises_are_planned(store: Store, read: Any) -> None:
    file = foreign.vla_eval({"a": [True, False], "b": [True]}, config={"episodes_per_task": 2})
    run = stored(store, read, file)
    assert run.score_line == "2/3 of 4 planned, 1 lost (not_run 1)"
    assert [task.n_lost for task in run.per_task] == [0, 1]


def test_shards_are_joined_and_a_missing_one_is_named(store: Store, read: Any) -> None:
    def shard(index: int, outcomes: list[bool]) -> dict[str, Any]:
        content = foreign.vla_eval({"a": outcomes}, shard={"id": index, "total": 2})
        for row in content["tasks"][0]["episodes"]:
            row["episode_id"] = 2 * row["episode_id"] + index
        return content

    parts = shard(0, [True, True]), shard(1, [False, True])
    run = stored(store, read, *parts)
    assert run.score_line == "3/4 of 4 planned, 0 lost"
    assert notes_of(run) == ["joined from 2 shards"]
    with pytest.raises(UsageError, match=r"sharded into 2 parts and these are 0: name the files of all shards"):
        read(parts[0])
    with pytest.raises(UsageError, match="has episode 0 twice"):
        read(parts[0], parts[0] | {"shard": {"id": 1, "total": 2}})


def test_chains_keep_their_lengths(store: Store, read: Any) -> None:
    file = foreign.vla_eval({"chain": [True, False, False]})
    for row, done in zip(file["tasks"][0]["episodes"], (5, 2, 0), strict=True):
        row["metrics"]["completed_subtasks"] = done
    run = stored(store, read, file)
    assert load(store, run=run.name).episodes["n_stages_done"].tolist() == [5, 2, 0]


def test_each_group_of_a_lerobot_file_is_a_run(store: Store, read: Any) -> None:
    groups = {"libero_spatial": {3: [True, False], 0: [True, 1]}, "libero_object": {0: [False] * 4}}
    results, digest = read(foreign.lerobot_eval(groups))
    runs = [import_result(store, result, policy="act", digest=digest) for result in results]
    assert [(run.name, run.n_success, run.n_judged) for run in runs] == [
        ("act-libero_spatial", 3, 4),
        ("act-libero_object", 0, 4),
    ]
    assert [task.task for task in runs[0].per_task] == ["0", "3"]
    assert runs[0].origin["claimed_rate"] == pytest.approx(0.75)


def test_the_older_form_of_lerobot_keeps_its_seeds(store: Store, read: Any) -> None:
    rows = [{"episode_ix": i, "sum_reward": 0.0, "success": i == 1, "seed": 1000 + i} for i in range(3)]
    run = stored(store, read, {"per_episode": rows, "aggregated": {"pc_success": 50.0}})
    assert [episode.env_seed for episode in store.plan(run.name).episodes] == [1000, 1001, 1002]
    assert notes_of(run) == ["the file claims 50.0 %, its episodes give 33.3 %"]


def test_plans_are_equal_only_where_seeds_are_named(store: Store, read: Any) -> None:
    file = foreign.vla_eval({"a": [True, True]})
    runs = [stored(store, read, file, policy="one"), stored(store, read, file | {"mode": "other"}, policy="two")]
    assert runs[0].plan_hash == runs[1].plan_hash
    other = stored(store, read, file | {"seed": 8}, policy="three")
    assert other.plan_hash != runs[0].plan_hash
    unseeded = [{k: v for k, v in file.items() if k != "seed"} | {"mode": mode} for mode in "xy"]
    plans = {stored(store, read, content, policy=f"u{i}").plan_hash for i, content in enumerate(unseeded)}
    assert len(plans) == 2


def test_tasks_are_matched_to_a_suite_of_ours_by_name_instruction_or_number(store: Store, read: Any) -> None:
    ours = samples.suite(n_tasks=3)
    run = stored(store, read, foreign.vla_eval({"T-1": [True], "do 2": [False], "0": [True]}), suite=ours)
    assert run.suite == "made_up"
    assert [(task.task, task.n_success) for task in run.per_task] == [("t1", 1), ("t2", 0), ("t0", 1)]
    assert {group.value for group in run.groups["difficulty"]} == {"easy", "hard"}
    with pytest.raises(UnknownTask, match="'t9'"):
        stored(store, read, foreign.vla_eval({"t9": [True]}), suite=ours)
    with pytest.raises(UsageError, match="two tasks of the file are 't1'"):
        stored(store, read, foreign.vla_eval({"t1": [True], "1": [True]}), suite=ours)


def test_the_same_file_is_imported_once(store: Store, read: Any) -> None:
    file = foreign.vla_eval({"a": [True]})
    name = stored(store, read, file).name
    with pytest.raises(UsageError, match=f"imported before, as run {name!r}"):
        stored(store, read, file)
    assert stored(store, read, file | {"mode": "other"}).name == f"{name}-2"


def test_a_policy_must_be_named(store: Store, read: Any) -> None:
    with pytest.raises(UsageError, match="name it with --policy"):
        stored(store, read, foreign.vla_eval({"a": [True]}), policy="")


def without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}


def with_episode(**changes: Any) -> dict[str, Any]:
    file = foreign.vla_eval({"a": [True, False]})
    file["tasks"][0]["episodes"][1] |= changes
    return file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no JSON"),
        ("[1, 2", "is no JSON"),
        ("{}", "of no harness that is known here"),
        ("[]", "of no harness that is known here"),
        (foreign.vla_eval({}), "holds no episodes"),
        (foreign.vla_eval({"a": []}), "holds no episodes"),
        (foreign.vla_eval({"a": [True]}, tasks="x"), "tasks is a text, not a list"),
        (foreign.vla_eval({"a": [True]}, tasks=[3]), r"tasks\[0\] is a number, not an object"),
        (foreign.vla_eval({"a": [True]}, benchmark=None), "benchmark is missing, not a text"),
        (foreign.vla_eval({"a": [True]}, partial=True), "marked partial and does not say which"),
        (with_episode(metrics={"success": 0.5}), r"episodes\[1\].metrics.success is 0.5, neither success nor failure"),
        (with_episode(metrics={}), "metrics.success is None, neither success nor failure"),
        (with_episode(metrics=None), "metrics.success is None, neither success nor failure"),
        (with_episode(episode_id=0), "task 'a' has episode 0 twice"),
        (with_episode(episode_id="1"), "episode_id is '1', not a count"),
        (with_episode(steps=-1), "steps is -1, not a count"),
        (with_episode(elapsed_sec=float("nan")), "is nan, not a number"),
        (foreign.lerobot_eval({}), "holds no episodes"),
        (foreign.lerobot_eval({"g": {0: ["yes"]}}), "is 'yes', neither success nor failure"),
        (foreign.lerobot_eval({"g": {0: [float("nan")]}}), "is nan, neither success nor failure"),
        (foreign.lerobot_eval({"g": {0: [True]}}, per_task=[{"task_group": "g", "task_id": 0}]), "metrics is missing"),
        (without(foreign.lerobot_eval({"g": {0: [True]}}), "per_task") | {"per_episode": 3}, "not a list"),
    ],
)  # fmt: skip
def test_what_is_no_result_is_one_clear_line(read: Any, content: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read(content)
    assert len(str(caught.value).splitlines()) == 1


def test_no_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file at"):
        read_results([tmp_path / "nothing.json"])
    with pytest.raises(UsageError, match="no file at"):
        read_results([tmp_path])
    with pytest.raises(UsageError, match="name the file to import"):
        read_results([])


def test_lerobot_files_stand_alone(read: Any) -> None:
    file = foreign.lerobot_eval({"g": {0: [True]}})
    with pytest.raises(UsageError, match="import one file at a time"):
        read(file, file)


def test_numbers_that_json_has_not_are_kept_as_text(store: Store, read: Any) -> None:
    run = stored(store, read, foreign.vla_eval({"a": [True]}, config={"params": {"x": float("nan")}}))
    assert store.summary(run.name).origin["settings"]["config"] == {"params": {"x": "nan"}}
