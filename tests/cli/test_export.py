"""`export` and `import`: files that give the same numbers back, datasets that hold what was seen and done."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import vla_bench
from tests.cli.conftest import Run
from tests.results import foreign
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.results.store import Store

RUN = "expert-toy_reach"


@pytest.fixture
def exported(quick: Run, finished_run: None, home: Path) -> Path:
    done = quick("export", RUN, "--format", "lerobot", "--fps", "10", "--output", "set")
    assert done.returncode == 0, done.stderr
    return home / "set"


def info(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "meta" / "info.json").read_text())
    return found


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("table_format", ["csv", "jsonl", "parquet"])
def test_a_table_gives_the_numbers_of_show(quick: Run, finished_run: None, home: Path, table_format: str) -> None:
    told = json.loads(quick("show", RUN, "--json").stdout)
    done = quick("export", RUN, "--format", table_format)
    assert done.stdout == f"wrote {RUN}.{table_format}: 10 episodes\n"
    back = vla_bench.load(home / f"{RUN}.{table_format}")
    run = back.runs.iloc[0]
    assert (run.rate, run.low, run.high) == (told["rate"], told["these_tasks"]["low"], told["these_tasks"]["high"])
    assert back.tasks.n_success.tolist() == [task["n_success"] for task in told["per_task"]]


def test_a_dataset_holds_the_recorded_actions_and_what_was_seen(exported: Path, home: Path) -> None:
    frames = pd.read_parquet(exported / "data/chunk-000/file-000.parquet")
    facts = [json.loads(line) for line in (exported / "meta/vla_bench.jsonl").read_text().splitlines()]
    assert info(exported)["total_frames"] == len(frames)
    with Store.open(home, read_only=True) as store:
        plan = {episode.id: episode for episode in store.plan(RUN).episodes}
        env = open_env(find_suite("toy_reach"), EnvOptions(cameras=("front",)), isolation="inline")
        for index, fact in enumerate(facts):
            trace = store.trace(fact["trace"])
            rows = frames[frames.episode_index == index]
            assert np.array_equal(np.stack(rows["action"]), trace.actions)
            assert rows["next.done"].tolist() == [False] * (len(rows) - 1) + [True]
            assert rows["next.success"].tolist()[-1] == (fact["outcome"] == "success")
            if index in (0, len(facts) - 1):
                state = env.reset(plan[fact["episode"]])
                shown = pictures(exported / f"videos/observation.images.front/chunk-000/file-{index:03d}.mp4")
                assert len(shown) == len(rows)
                for row, picture, action in zip(rows.to_dict("records"), shown, trace.actions, strict=True):
                    assert np.array_equal(row["observation.state"], np.concatenate(list(state.state.values())))
                    assert np.abs(picture.astype(int) - state.images["front"]).mean() < 4
                    state = env.advance(action[None])
        env.close()


def test_the_descriptions_of_v3_agree_with_the_files(exported: Path) -> None:
    told = info(exported)
    assert (told["codebase_version"], told["fps"], told["total_episodes"]) == ("v3.0", 10, 10)
    episodes = pd.read_parquet(exported / "meta/episodes/chunk-000/file-000.parquet")
    assert episodes.dataset_to_index.tolist() == np.cumsum(episodes.length).tolist()
    assert (episodes["videos/observation.images.wrist/to_timestamp"] == episodes.length / 10).all()
    tasks = pd.read_parquet(exported / "meta/tasks.parquet")
    assert list(tasks.index) == list(dict.fromkeys(task for of in episodes.tasks for task in of))
    frames = pd.read_parquet(exported / "data/chunk-000/file-000.parquet")
    assert parquet.ParquetFile(exported / "data/chunk-000/file-000.parquet").num_row_groups == 10
    assert set(told["features"]) == set(frames.columns) | {"observation.images.front", "observation.images.wrist"}
    assert frames["index"].tolist() == list(range(len(frames)))
    assert np.allclose(frames["timestamp"], frames["frame_index"] / 10)
    stats = json.loads((exported / "meta/stats.json").read_text())
    actions = np.stack(frames["action"]).astype(np.float64)
    for name, values in (("mean", actions.mean(0)), ("std", actions.std(0)), ("max", actions.max(0))):
        assert np.allclose(stats["action"][name], values)
    assert np.shape(stats["observation.images.front"]["mean"]) == (3, 1, 1)
    assert stats["observation.images.front"]["count"] == [len(frames)]


def test_the_older_layout_has_a_file_an_episode(quick: Run, finished_run: None, home: Path) -> None:
    args = ("--layout", "v2.1", "--camera", "wrist", "--size", "33", "--output", "old")
    assert quick("export", RUN, "--format", "lerobot", *args).returncode == 0
    told = info(home / "old")
    assert (told["codebase_version"], told["total_videos"], told["total_chunks"]) == ("v2.1", 10, 1)
    lines = [json.loads(line) for line in (home / "old/meta/episodes.jsonl").read_text().splitlines()]
    for line in lines:
        place = {"episode_chunk": 0, "episode_index": line["episode_index"]}
        assert parquet.read_table(home / "old" / told["data_path"].format(**place)).num_rows == line["length"]
        video = home / "old" / told["video_path"].format(video_key="observation.images.wrist", **place)
        assert {picture.shape for picture in pictures(video)} == {(33, 33, 3)}
    assert len((home / "old/meta/episodes_stats.jsonl").read_text().splitlines()) == 10


def test_a_dataset_without_pictures_needs_no_video(quick: Run, finished_run: None, home: Path) -> None:
    assert quick("export", RUN, "--format", "lerobot", "--no-pictures", "--output", "blind").returncode == 0
    assert info(home / "blind")["video_path"] is None
    assert not (home / "blind" / "videos").exists()


def test_an_episode_that_is_not_as_recorded_is_left_out_and_named(quick: Run, finished_run: None, home: Path) -> None:
    with sqlite3.connect(home / "results.db") as database:
        (changed,) = database.execute("SELECT episode_id FROM episode WHERE outcome = 'success' LIMIT 1").fetchone()
        for table in ("episode", "attempt"):
            database.execute(f"UPDATE {table} SET outcome = 'failure' WHERE episode_id = ?", (changed,))
    database.close()
    done = quick("export", RUN, "--format", "lerobot", "--output", "set")
    assert f"left out: episode {changed}" in done.stderr
    assert "it was recorded as failure and is success here" in " ".join(done.stderr.split())
    assert info(home / "set")["total_episodes"] == 9
    assert len(list((home / "set/videos/observation.images.front").rglob("*.mp4"))) == 9


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nothing",), "unknown run 'nothing'"),
        ((RUN, "--format", "xml"), "choose csv, jsonl, parquet, lerobot"),
        ((RUN, "--output", "no/where.csv"), "no folder no"),
        ((RUN, "--output", "."), "is there already"),
        ((RUN, RUN, "--format", "lerobot"), "a dataset is of one run"),
        ((RUN, "--format", "lerobot", "--only", "luck"), "--only takes success or failure"),
        ((RUN, "--format", "lerobot", "--layout", "v1.6"), "choose v3.0, v2.1"),
        ((RUN, "--format", "lerobot", "--camera", "back"), "has no camera 'back'; it has: front, wrist"),
        ((RUN, "--format", "lerobot", "--only", "failure"), "has no judged episode that is a failure"),
    ],
)
def test_what_is_no_export_is_one_line_and_code_2(
    quick: Run, finished_run: None, home: Path, args: tuple[str, ...], words: str
) -> None:
    # SQLite keeps files beside a database that is open.
    before = {path for path in home.iterdir() if not path.name.startswith("results.db")}
    done = quick("export", *args)
    assert done.returncode == 2
    assert words in done.stderr
    assert {path for path in home.iterdir() if not path.name.startswith("results.db")} == before


def test_an_imported_run_is_marked_everywhere(quick: Run, home: Path) -> None:
    (home / "a.json").write_text(json.dumps(foreign.vla_eval({"a": [True, False]})))
    done = quick("import", "a.json", "--policy", "pi0")
    assert done.returncode == 0, done.stderr
    assert "imported from vla-eval: self-reported" in done.stdout
    name = "pi0-LIBEROBenchmark_libero_spatial"
    assert "imported from vla-eval: self-reported" in quick("show", name).stdout
    assert "imported" in quick("runs").stdout
    assert json.loads(quick("show", name, "--json").stdout)["is_imported"] is True
    assert "‡ imported, self-reported" in quick("table", name).stdout
    assert "nothing to replay" in quick("verify", name).stderr
    refused = quick("export", name, "--format", "lerobot")
    assert (refused.returncode, "nothing to replay" in refused.stderr) == (2, True)
    assert vla_bench.load(home / "results.db").runs.origin.tolist() == ["vla-eval"]


def test_an_import_that_lacks_episodes_is_incomplete(quick: Run, home: Path) -> None:
    (home / "a.json").write_text(json.dumps(foreign.vla_eval({"a": [True, "timeout"]})))
    done = quick("import", "a.json", "--policy", "pi0", "--json")
    assert done.returncode == 3
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["rate"], run["lost_by_kind"]) == (None, {"policy_timeout": 1})
    assert "the file claims 50.0 %, counting 1 lost episodes as it does" in " ".join(done.stderr.split())


def test_an_import_can_be_a_suite_of_ours(quick: Run, home: Path) -> None:
    (home / "a.json").write_text(json.dumps(foreign.vla_eval({"reach_red": [True], "reach the green ball": [True]})))
    assert quick("import", "a.json", "--policy", "pi0", "--suite", "toy-reach").returncode == 0
    told = json.loads(quick("show", "pi0-toy_reach", "--json").stdout)
    assert [task["task"] for task in told["per_task"]] == ["reach_red", "reach_green"]
    (home / "b.json").write_text(json.dumps(foreign.vla_eval({"fold_towel": [True]})))
    done = quick("import", "b.json", "--policy", "pi0", "--suite", "toy-reach")
    assert (done.returncode, "unknown task 'fold_towel'" in done.stderr) == (2, True)
