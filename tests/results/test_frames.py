"""Data frames: the numbers of `show`, typed, filtered; exports give them back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import vla_bench
from tests.results import samples
from vla_bench.results.exports import FORMATS, export_table
from vla_bench.results.exports.atomic import new_file, new_folder
from vla_bench.results.frames import load
from vla_bench.results.runs import RunSpec
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import UnknownRun, UsageError
from vla_bench.spec.messages import PolicyInfo
from vla_bench.spec.result import StageResult
from vla_bench.spec.suite import Task

NOT_EXPORTED = ["started_at", "finished_at", "policy_p50_ms", "policy_p95_ms", "policy_max_ms", "env_mean_ms"]
"""Of a run: times of its attempts that do not count, and when it began, are not in an export of its episodes."""


def fill(store: Store) -> None:
    """A complete run, an incomplete one with every kind of loss, and one of another policy on repeats."""
    complete, lossy = samples.spec("lamp-a"), samples.spec("lamp-b")
    store.begin_run(complete)
    store.add("lamp-a", samples.results(complete.plan, ["success"] * 4 + ["failure"] * 2))
    store.begin_run(lossy)
    first, second, third, *_ = lossy.plan.episodes
    flagged = samples.result(first, "failure", flags=("unstable",), n_clipped=3)
    store.add("lamp-b", [flagged, samples.result(second, "policy_error"), samples.result(third, "env_error")])
    store.add("lamp-b", [samples.result(second, "success", 1, n_steps=7)])
    repeated = samples.spec("dial", policy=PolicyInfo(name="dial"), plan=make_plan(samples.suite(), repeats=2))
    store.begin_run(repeated)
    store.add("dial", samples.results(repeated.plan, ["success", "failure"] * 6))
    for name in ("lamp-a", "lamp-b", "dial"):
        store.finish(name)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        fill(store)
    return path


def test_runs_say_what_their_summaries_say(filled: Path) -> None:
    frames = vla_bench.load(filled)
    with Store.open(filled, read_only=True) as store:
        summaries = {run.name: store.summary(run.name) for run in store.summaries()}
    rows = frames.runs.set_index("run")
    assert list(rows.index) == ["lamp-a", "lamp-b", "dial"]
    for name, summary in summaries.items():
        row = rows.loc[name]
        assert (row.n_planned, row.n_judged, row.n_success, row.n_lost) == (
            summary.n_planned,
            summary.n_judged,
            summary.n_success,
            summary.n_lost,
        )
        if summary.rate is None:
            assert pd.isna(row.rate)
            assert pd.isna(row.low)
            assert (row.bound_low, row.bound_high) == summary.bounds
        else:
            assert summary.these_tasks is not None
            assert (row.rate, row.low, row.high) == (summary.rate, summary.these_tasks.low, summary.these_tasks.high)
            assert pd.isna(row.bound_low)
    tasks = frames.tasks
    for name, summary in summaries.items():
        assert tasks[tasks.run == name].n_success.tolist() == [task.n_success for task in summary.per_task]
    assert tasks.tag_difficulty.tolist() == ["easy", "hard", "easy"] * 3


def test_every_planned_episode_is_a_row_and_lost_ones_have_no_success(filled: Path) -> None:
    episodes = load(filled, run="lamp-b").episodes
    assert episodes.outcome.tolist() == ["failure", "success", "env_error", "not_run", "not_run", "not_run"]
    assert episodes.success.tolist() == [False, True, pd.NA, pd.NA, pd.NA, pd.NA]
    assert episodes.n_attempts.tolist() == [1, 2, 1, 0, 0, 0]
    assert episodes.n_steps.tolist() == [16, 7, 16, 0, 0, 0]
    assert episodes["flags"].tolist()[0] == "unstable"
    assert episodes.wall_ms.isna().tolist() == [False] * 3 + [True] * 3
    plan = samples.spec().plan
    assert episodes.episode.tolist() == [episode.id for episode in plan.episodes]
    assert episodes.policy_seed.tolist() == [episode.policy_seed for episode in plan.episodes]
    assert episodes.success.sum() == 1


def test_columns_are_typed(filled: Path) -> None:
    types = load(filled).episodes.dtypes
    assert isinstance(types["outcome"], pd.CategoricalDtype)
    assert len(types["outcome"].categories) == 6
    assert (str(types["success"]), str(types["n_steps"]), str(types["wall_ms"])) == ("boolean", "int32", "Float64")
    assert str(types["started_at"]).endswith("UTC]")
    assert "object" not in {str(kind) for kind in load(filled).runs.dtypes}


@pytest.mark.parametrize(
    ("filters", "runs"),
    [
        ({}, ["lamp-a", "lamp-b", "dial"]),
        ({"run": "LAMP_A"}, ["lamp-a"]),
        ({"run": "lamp-*"}, ["lamp-a", "lamp-b"]),
        ({"run": ["dial", "lamp-b"]}, ["lamp-b", "dial"]),
        ({"policy": "dial"}, ["dial"]),
        ({"suite": "made up", "policy": "la*"}, ["lamp-a", "lamp-b"]),
        ({"suite": "another"}, []),
    ],
)
def test_runs_are_filtered(filled: Path, filters: dict, runs: list[str]) -> None:
    frames = load(filled, **filters)
    assert frames.runs.run.tolist() == runs
    assert list(dict.fromkeys(frames.episodes.run)) == runs
    assert list(dict.fromkeys(frames.tasks.run)) == runs


def test_tasks_are_filtered(filled: Path) -> None:
    frames = load(filled, run="lamp-a", task=["t0", "T2"])
    assert frames.tasks.task.tolist() == ["t0", "t2"]
    assert set(frames.episodes.task) == {"t0", "t2"}
    assert frames.runs.n_planned.tolist() == [6]


def test_names_that_are_not_there_are_refused(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownRun, match="Did you mean 'lamp-a'"):
        _ = load(filled, run="lamp-aa").runs
    with pytest.raises(UsageError, match=r"no run is like 'x\*'"):
        _ = load(filled, run="x*").episodes
    with pytest.raises(UsageError, match="no database at"):
        load(tmp_path / "nothing.db")
    with pytest.raises(UsageError, match="no file at"):
        _ = load(tmp_path / "nothing.csv").runs


def test_an_open_store_is_read_too_also_on_postgresql(store: Store) -> None:
    fill(store)
    frames = load(store, run="lamp-b")
    assert frames.episodes.outcome.tolist()[:3] == ["failure", "success", "env_error"]
    assert frames.runs.n_lost.tolist() == [4]


def test_chains_have_lengths_and_give_them_back(tmp_path: Path) -> None:
    tasks = tuple(Task(id=f"c{i}", instruction="", horizon=9, stages=("a", "b", "c")) for i in range(4))
    spec: RunSpec = samples.spec("chains", of=samples.suite(n_trials=1, tasks=tasks))

    def stages(n_done: int) -> tuple[StageResult, ...]:
        return tuple(StageResult(index=i, success=i < n_done, n_steps=5) for i in range(min(3, n_done + 1)))

    with Store.open(tmp_path / "x.db") as store:
        store.begin_run(spec)
        for episode, done in zip(spec.plan.episodes, (2, 3, 0), strict=False):
            outcome = "success" if done == 3 else "failure"
            store.add("chains", [samples.result(episode, outcome, stages=stages(done))])
        episodes = load(store).episodes
        assert episodes.n_stages_done.tolist() == [2, 3, 0, pd.NA]
        assert episodes.n_stages.tolist() == [3] * 4
        assert load(store).runs.average_length.isna().all()
        store.add("chains", [samples.result(spec.plan.episodes[3], "success", stages=stages(3))])
        export_table(store, ["chains"], "csv", tmp_path / "x.csv")
        runs = load(store).runs
    assert runs.average_length.tolist() == [2.0]
    assert runs.length_low.tolist()[0] < 2.0 < runs.length_high.tolist()[0]
    assert_frame_equal(load(tmp_path / "x.csv").runs.drop(columns=NOT_EXPORTED), runs.drop(columns=NOT_EXPORTED))


def test_every_episode_says_what_of_its_task_is_perturbed(tmp_path: Path) -> None:
    params = {"variant": "noise", "noise": "fog", "severity": 8}
    tasks = (Task(id="fog", instruction="", horizon=9, params=params), Task(id="plain", instruction="", horizon=9))
    spec: RunSpec = samples.spec("plus", of=samples.suite(n_trials=1, tasks=tasks))
    with Store.open(tmp_path / "x.db") as store:
        store.begin_run(spec)
        # Also of an episode that was never reached.
        store.add("plus", [samples.result(spec.plan.episodes[1], "success")])
        export_table(store, ["plus"], "csv", tmp_path / "x.csv")
        fog, plain = load(store).episodes.params
    assert (json.loads(fog), plain) == (params, "")
    assert load(tmp_path / "x.csv").episodes.params.tolist() == [fog, plain]


@pytest.mark.parametrize("table_format", list(FORMATS))
def test_an_export_gives_back_the_same_numbers(filled: Path, tmp_path: Path, table_format: str) -> None:
    path = tmp_path / f"runs.{table_format}"
    with Store.open(filled, read_only=True) as store:
        written = export_table(store, ["lamp-a", "lamp-b", "dial"], table_format, path)
        here = load(store)
        assert_frame_equal(written, here.episodes)
    there = load(path)
    assert_frame_equal(there.episodes, here.episodes)
    assert_frame_equal(there.tasks, here.tasks)
    assert_frame_equal(there.runs.drop(columns=NOT_EXPORTED), here.runs.drop(columns=NOT_EXPORTED))
    assert_frame_equal(load(path, run="lamp-b", task="t1").episodes, load(filled, run="lamp-b", task="t1").episodes)


def test_plain_pandas_reads_an_export(filled: Path, tmp_path: Path) -> None:
    with Store.open(filled, read_only=True) as store:
        for table_format in FORMATS:
            export_table(store, ["lamp-a"], table_format, tmp_path / f"x.{table_format}")
    frames = [
        pd.read_csv(tmp_path / "x.csv"),
        pd.read_json(tmp_path / "x.jsonl", lines=True),
        pd.read_parquet(tmp_path / "x.parquet"),
    ]
    assert [float(frame["success"].mean()) for frame in frames] == [pytest.approx(4 / 6)] * 3


def test_a_parquet_file_says_which_runs_it_holds(filled: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    with Store.open(filled, read_only=True) as store:
        export_table(store, ["lamp-a", "dial"], "parquet", tmp_path / "x.parquet")
    told = json.loads(parquet.read_schema(tmp_path / "x.parquet").metadata[b"vla_bench"])
    assert [(run["run"], run["n_success"]) for run in told] == [("lamp-a", 4), ("dial", 6)]


def damage(path: Path, change: Callable[[str], str]) -> Path:
    path.write_text(change(path.read_text()))
    return path


@pytest.mark.parametrize(
    ("table_format", "change", "words"),
    [
        ("csv", lambda text: text.replace("outcome", "what"), "no column 'outcome'"),
        ("csv", lambda text: text.replace(",16,", ",many,"), "not readable as csv"),
        ("csv", lambda text: text.partition("\n")[0] + "\n", "holds no episodes"),
        ("csv", lambda text: "", "not readable as csv"),
        ("jsonl", lambda text: text.replace("{", "<"), "not readable as jsonl"),
        ("jsonl", lambda text: text.replace('"trial": 0, ', "", 1), "not readable as jsonl"),
        ("jsonl", lambda text: text.replace('"trial": 0', '"trial": "x"'), "a value is damaged"),
        ("jsonl", lambda text: "", "holds no episodes"),
    ],
)
def test_a_damaged_export_is_one_clear_line(
    filled: Path, tmp_path: Path, table_format: str, change, words: str
) -> None:
    path = tmp_path / f"x.{table_format}"
    with Store.open(filled, read_only=True) as store:
        export_table(store, ["lamp-a"], table_format, path)
    with pytest.raises(UsageError, match=words) as caught:
        _ = load(damage(path, change)).runs
    assert len(str(caught.value).splitlines()) == 1


def test_a_damaged_parquet_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(UsageError, match="not readable as parquet") as caught:
        _ = load(tmp_path / "x.parquet").runs
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(UnicodeEncodeError), new_file(path) as temporary:
        temporary.write_text("half\ud800", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    with new_file(path) as temporary:
        temporary.write_text("whole")
    with pytest.raises(UsageError, match="replace it with --force"), new_file(path):
        pass
    with new_file(path, force=True) as temporary:
        temporary.write_text("anew")
    assert path.read_text() == "anew"
    with pytest.raises(UsageError, match="no folder"), new_file(tmp_path / "no" / "x.csv"):
        pass
    with pytest.raises(UsageError, match="is there already"), new_file(tmp_path, force=True):
        pass


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "set"
    with pytest.raises(UnicodeEncodeError), new_folder(path) as temporary:
        (temporary / "a").write_text("half\ud800", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    for text in ("one", "two"):
        with new_folder(path, force=text == "two") as temporary:
            (temporary / text).write_text(text)
    assert [item.name for item in path.iterdir()] == ["two"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is there already"), new_folder(tmp_path / "file", force=True):
        pass
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "set"]
