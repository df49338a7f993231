"""LIBERO as data: suites, protocols, clocks and formulas, without a simulator."""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.libero import package
from vla_bench.envs.libero.family import SUITES, instruction_of
from vla_bench.envs.libero.finish import check_files
from vla_bench.envs.libero.init_states import read_init_states
from vla_bench.envs.libero.rotations import axis_angle_of
from vla_bench.envs.libero.sampling import SamplingClock
from vla_bench.envs.libero.speedups import Speedups
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import EnvRaised, SuiteNotInstalled, UsageError


@pytest.mark.parametrize(
    ("protocol", "limits", "n_trials"),
    [
        ("openpi", (220, 280, 300, 520, 400), 50),
        ("openvla_oft", (220, 280, 300, 520, 400), 50),
        ("gr00t", (220, 280, 600, 990, 400), 5),
        ("lerobot", (280, 280, 300, 520, 400), 10),
        ("per_episode_seed", (220, 280, 300, 520, 400), 50),
    ],
)
def test_limits_and_trials_are_those_of_the_published_loops(protocol: str, limits: tuple[int, ...], n_trials: int):
    for name, limit in zip(SUITES, limits, strict=True):
        suite = find_suite(name, protocol)
        assert {task.horizon for task in suite.tasks} == {limit}
        assert (suite.protocol.n_trials, suite.protocol.settling_steps) == (n_trials, 10)
        assert len(suite.tasks) == (90 if name == "libero_90" else 10)
        assert {(camera.height, camera.width) for camera in suite.cameras} == {(256, 256)}


@pytest.mark.parametrize(
    ("protocol", "seeds"),
    [
        ("openpi", [7, 7, 7]),
        ("openvla_oft", [0, 0, 0]),
        ("gr00t", [0, 0, 0]),
        ("lerobot", [1000, 1001, 1002]),
        ("per_episode_seed", [7, 8, 9]),
    ],
)
def test_published_loops_seed_a_task_once(protocol: str, seeds: list[int]):
    suite = find_suite("libero_goal", protocol)
    plan = make_plan(suite, tasks=[suite.tasks[0].id], n_trials=3)
    assert [episode.env_seed for episode in plan.episodes] == seeds
    assert [episode.initial_state for episode in plan.episodes] == [{"init_state": k} for k in range(3)]


def test_libero_is_the_four_suites_that_papers_report():
    suite = find_suite("libero")
    assert len(suite.tasks) == 40
    assert suite.group_by == ("suite",)
    assert {task.tags["suite"] for task in suite.tasks} == set(SUITES[:4])
    assert [task.horizon for task in suite.tasks[::10]] == [220, 280, 300, 520]
    assert find_suite("LIBERO-Long").name == "libero_10"


def test_instructions_are_the_names_without_their_scenes():
    assert instruction_of("put_the_bowl_on_the_stove") == "put the bowl on the stove"
    assert (
        instruction_of("KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet") == "close the top drawer of the cabinet"
    )
    assert instruction_of("LIVING_ROOM_SCENE2_put_both_the_cream_cheese_box_and_the_butter_in_the_basket").startswith(
        "put both the cream cheese box"
    )
    task = find_suite("libero_90").tasks[0]
    assert "SCENE" not in task.instruction
    assert task.instruction == task.instruction.lower()


def test_a_machine_without_libero_is_told_the_one_line(home: Path):
    with pytest.raises(SuiteNotInstalled, match=r"Type: vla-bench env create libero$"):
        open_env(find_suite("libero_spatial"), EnvOptions())


def test_another_simulator_than_the_protocols_mean_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(package, "_version", lambda name: {**package.VERSIONS, "mujoco": "3.3.7"}[name])
    with pytest.raises(SuiteNotInstalled, match=r"mujoco 2\.3\.7.* found mujoco 3\.3\.7\. Type: vla-bench env create"):
        package.check_versions()


@pytest.mark.parametrize("w", [1.0, 0.3, 1e-9, -1e-9, -0.3, 1.0000001, -1.0000001])
def test_axis_angle_is_the_raw_formula_and_leaves_its_argument_alone(w: float):
    rest = math.sqrt(max(0.0, 1 - w * w))
    quaternion = np.array([rest, 0.0, 0.0, w])
    before = quaternion.copy()
    found = axis_angle_of(quaternion)
    assert np.array_equal(quaternion, before)
    # No shorter way round: w below 0 is an angle above a half turn.
    expected = 2 * math.acos(min(max(w, -1.0), 1.0)) if rest else 0.0
    assert found == pytest.approx([expected, 0.0, 0.0])


def test_observations_are_sampled_inside_the_step():
    clock = SamplingClock(sampling_period_s=1 / 20, physics_period_s=0.002)
    clock.begin(n_forced=2)
    sampled = [[index for index in range(1, 26) if clock.tick()] for _ in range(600)]
    assert sampled[:47] == [[24]] * 47
    assert all(len(step) == 1 for step in sampled)


def test_every_forced_update_moves_the_sampling_by_one_physics_step():
    for n_forced, expected in ((0, 1), (1, 25), (2, 24), (3, 23)):
        clock = SamplingClock(sampling_period_s=1 / 20, physics_period_s=0.002)
        clock.begin(n_forced=n_forced)
        assert [index for index in range(1, 26) if clock.tick()] == [expected]


def _archive(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    return path


def test_initial_states_are_read_without_torch(tmp_path: Path):
    states = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(read_init_states(_archive(tmp_path / "a", pickle.dumps(states, protocol=2))), states)
    assert read_init_states(_archive(tmp_path / "b", pickle.dumps(states[0]))).shape == (1, 4)


class _Malice:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must never be called",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(_Malice()),
        pickle.dumps({"states": 1}),
        pickle.dumps(np.array(["a"])),
        pickle.dumps(np.array([{}, {}], dtype=object)),
        b"",
        b"no pickle",
    ],
)
def test_a_file_that_is_no_array_is_refused(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(EnvRaised, match="initial states evil"):
        read_init_states(_archive(tmp_path / "evil", content))
    assert not capsys.readouterr().out


def test_a_missing_file_of_initial_states_is_named(tmp_path: Path):
    with pytest.raises(EnvRaised, match=r"gone\.pruned_init cannot be read"):
        read_init_states(tmp_path / "gone.pruned_init")
    (tmp_path / "short").write_bytes(io.BytesIO(b"PK").getvalue())
    with pytest.raises(EnvRaised, match="short cannot be read"):
        read_init_states(tmp_path / "short")


def test_files_that_are_missing_or_changed_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    damaged = tmp_path / "assets" / "wall.xml"
    damaged.parent.mkdir()
    damaged.write_text("<mujoco/>")
    faults = check_files(tmp_path)
    assert len(faults) == 886
    assert "assets/wall.xml is not the published file" in faults
    assert "assets/serving_region.xml is missing" in faults


def test_shortcuts_can_be_switched_off_one_by_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VLA_BENCH_LIBERO_SPEEDUPS", raising=False)
    assert Speedups.chosen() == Speedups()
    monkeypatch.setenv("VLA_BENCH_LIBERO_SPEEDUPS", "none")
    assert not any(getattr(Speedups.chosen(), name) for name in Speedups.__slots__)
    monkeypatch.setenv("VLA_BENCH_LIBERO_SPEEDUPS", "stages, controller")
    chosen = Speedups.chosen()
    assert (chosen.stages, chosen.controller, chosen.remembered_draws) == (True, True, False)
    monkeypatch.setenv("VLA_BENCH_LIBERO_SPEEDUPS", "warp")
    with pytest.raises(UsageError, match="warp"):
        Speedups.chosen()
