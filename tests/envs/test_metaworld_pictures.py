"""Meta-World's pictures: the simulator's own, upright, true to the state, and never black."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from tests.envs.metaworld_golden import actions_of
from vla_bench.envs.base import EnvOptions, SuiteEnv
from vla_bench.envs.metaworld import family
from vla_bench.envs.registry import open_env
from vla_bench.envs.runtime.gl import shared_context
from vla_bench.envs.runtime.rendering import choose_renderer
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import NoRenderer
from vla_bench.testing import check_suite

pytestmark = [pytest.mark.sim, pytest.mark.xdist_group("metaworld")]

CAMERAS = ("front", "wrist")

# metaworld's own pictures after its own reset and steps, in a process of their own: its GL contexts disturb others.
STOCK = """
import sys
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from tests.envs.metaworld_golden import actions_of
out, task, front, wrist = sys.argv[1:]
env = ALL_V3_ENVIRONMENTS[task](render_mode="rgb_array", camera_name=front)
env._set_task_called = env.seeded_rand_vec = True
env._freeze_rand_vec = env._partially_observable = False
del env.sawyer_observation_space
env.seed(1000)
env.reset()
for action in actions_of(task):
    env.step(action)
pictures = [env.render()]
env.mujoco_renderer.camera_id = env.model.camera(wrist).id
np.save(out, [*pictures, env.render()])
env.close()
"""


@pytest.fixture(autouse=True)
def renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        found = choose_renderer("mujoco")
    except NoRenderer as error:
        pytest.skip(str(error))
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def opened() -> Iterator[Any]:
    """A function that opens an env which is closed after the test."""
    envs: list[SuiteEnv] = []

    def open_suite(suite: str, protocol: str = "compact", **options: Any) -> SuiteEnv:
        envs.append(family.make_env(family.suite(suite, protocol), EnvOptions(**{"cameras": CAMERAS, **options})))
        return envs[-1]

    yield open_suite
    for env in envs:
        env.close()


def first_episode(env: SuiteEnv, task: str = "") -> Any:
    return make_plan(env.suite, tasks=[task] if task else [], n_trials=1).episodes[0]


def test_standard_pictures_are_metaworlds_own_but_for_the_half_turn(opened: Any, tmp_path: Path):
    task, out = "drawer-open-v3", tmp_path / "stock.npy"
    command = [sys.executable, "-c", STOCK, out, task, "corner4", "gripperPOV"]
    subprocess.run(command, cwd=Path(__file__).parent.parent.parent, check=True, capture_output=True)
    front, wrist = np.load(out)
    env = opened("metaworld_mt10", "standard")
    env.start(first_episode(env, task))
    images = env.advance(actions_of(task)).images
    assert images["front"].shape == (480, 480, 3)
    assert np.array_equal(images["front"], front[::-1, ::-1])
    assert np.array_equal(images["wrist"], wrist)
    assert not np.array_equal(front, wrist)


def test_pictures_are_upright(opened: Any):
    env = opened("metaworld_reach")
    env.start(first_episode(env))
    data, model = env._simulator.data, env._simulator.model
    up = {name: data.cam_xmat[model.camera(name).id].reshape(3, 3)[:, 1] for name in ("corner4", "gripperPOV")}
    # The front camera hangs head down, hence its half turn; the wrist camera looks down, its upper side ahead (+y).
    assert up["corner4"][2] < -0.8
    assert up["gripperPOV"][1] > 0.9
    # The hand goes up in the world: in the picture, what is new against the first one lies higher.
    before = env._render("front").astype(int)
    after = env.advance(np.tile(np.array([[0, 0, 1, -1]], np.float32), (25, 1))).images["front"].astype(int)
    changed = np.abs(after - before).sum(axis=2) > 60
    red = (after[..., 0] > after[..., 1] + 40) & changed
    was_red = (before[..., 0] > before[..., 1] + 40) & changed
    assert np.argwhere(red)[:, 0].mean() < np.argwhere(was_red)[:, 0].mean() - 2


@pytest.mark.parametrize("task", ["reach-v3", "window-close-v3", "peg-insert-side-v3"])
def test_the_first_picture_shows_the_state_as_it_is(opened: Any, task: str):
    env = opened(f"metaworld_{task.removesuffix('-v3').replace('-', '_')}")
    shown = env.start(first_episode(env)).images
    simulator = env._simulator
    mujoco.mj_forward(simulator.model, simulator.data)
    for camera in CAMERAS:
        assert np.array_equal(shown[camera], env._render(camera))


def test_pictures_do_not_depend_on_what_was_drawn_before(opened: Any):
    fresh, used = opened("metaworld_mt10"), opened("metaworld_mt10")
    for task in ("push-v3", "door-open-v3", "reach-v3", "push-v3"):
        used.start(first_episode(used, task))
    first, second = fresh.start(first_episode(fresh, "push-v3")), used.start(first_episode(used, "push-v3"))
    for camera in CAMERAS:
        assert np.array_equal(first.images[camera], second.images[camera])


def test_closing_one_env_does_not_blacken_another(opened: Any):
    kept, closed = opened("metaworld_reach"), opened("metaworld_push")
    expected = kept.start(first_episode(kept)).images["front"]
    closed.start(first_episode(closed))
    closed.close()
    assert np.array_equal(kept.start(first_episode(kept)).images["front"], expected)
    kept.close()
    assert shared_context._context is None
    # And a context is made anew when one is wanted again.
    reopened = opened("metaworld_reach")
    assert np.array_equal(reopened.start(first_episode(reopened)).images["front"], expected)


def test_rendering_changes_no_state(opened: Any):
    seen, blind = opened("metaworld_drawer_close", lazy=False), opened("metaworld_drawer_close", cameras=())
    episode = first_episode(seen)
    assert seen.start(episode).digest == blind.start(episode).digest
    actions = actions_of("drawer-close-v3")[:6]
    assert seen.advance(actions).digest == blind.advance(actions).digest


def test_compact_has_no_shadows_and_standard_has(opened: Any):
    compact, standard = opened("metaworld_reach"), opened("metaworld_reach", "standard")
    for env in (compact, standard):
        env.start(first_episode(env))
    assert not compact._simulator.model.light_castshadow.any()
    assert standard._simulator.model.light_castshadow.any()
    assert (standard._simulator.model.vis.quality.shadowsize, standard._simulator.model.vis.quality.offsamples) == (
        4096,
        4,
    )


def test_depth_is_metric(opened: Any):
    env = opened("metaworld_reach", depth=True)
    depth = env.start(first_episode(env)).depth["wrist"]
    assert depth.dtype == np.float32
    assert depth.shape == (256, 256)
    model, data = env._simulator.model, env._simulator.data
    camera = model.camera("gripperPOV").id
    axes, position = data.cam_xmat[camera].reshape(3, 3), data.cam_xpos[camera]
    half = np.tan(np.radians(model.cam_fovy[camera]) / 2)
    for row, column in [(128, 128), (40, 200), (220, 220)]:
        x, y = (column + 0.5) / 128 - 1, 1 - (row + 0.5) / 128
        ray = axes @ np.array([x * half, y * half, -1.0])
        hit = np.zeros(1, np.int32)
        distance = mujoco.mj_ray(model, data, position, ray, None, 1, -1, hit)
        assert depth[row, column] == pytest.approx(distance, rel=0.02)


def test_without_a_back_end_the_message_is_one_line(opened: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "nowhere")
    env = opened("metaworld_reach")
    with pytest.raises(NoRenderer, match="'nowhere' does not start"):
        env.start(first_episode(env))


def test_a_worker_sends_the_pictures_of_this_process(opened: Any):
    here = opened("metaworld_push")
    expected = here.start(first_episode(here))
    worker = open_env(here.suite, here.options)
    try:
        state = worker.reset(first_episode(here))
        assert state.digest == expected.digest
        for camera in CAMERAS:
            assert np.array_equal(state.images[camera], expected.images[camera])
        assert worker.fingerprint.renderer["renderer"]
    finally:
        worker.close()


def drawing_threads(env: Any) -> list[str]:
    """Threads that Mesa's software renderer has in a worker."""
    names = [path.read_text() for path in Path(f"/proc/{env.pid}/task").glob("*/comm")]
    return [name for name in names if name.startswith("llvmpipe")]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the names of threads from /proc")
def test_a_worker_draws_in_one_thread_and_in_more_where_told_with_the_same_pixels(
    opened: Any, monkeypatch: pytest.MonkeyPatch
):
    if "llvmpipe" not in choose_renderer("mujoco").facts["renderer"]:
        pytest.skip("pictures are not drawn by llvmpipe here")
    suite = family.suite("metaworld_push", "standard")
    pictures, n_threads = [], []
    for given in ("", "3"):
        monkeypatch.setenv("LP_NUM_THREADS", given) if given else monkeypatch.delenv("LP_NUM_THREADS", raising=False)
        worker = open_env(suite, EnvOptions(cameras=CAMERAS))
        try:
            pictures.append(worker.reset(make_plan(suite).episodes[0]).images)
            n_threads.append(len(drawing_threads(worker)))
        finally:
            worker.close()
    assert n_threads == [0, 3]
    assert all(np.array_equal(pictures[0][camera], pictures[1][camera]) for camera in CAMERAS)


@pytest.mark.slow
def test_the_suite_with_pictures_passes_the_conformance_kit():
    assert check_suite("metaworld_reach", protocol="compact", n_steps=12)
