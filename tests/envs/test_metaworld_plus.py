"""`metaworld_plus`, `_plus_mt50`: what they say of themselves; each dimension changes what it should and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.envs.metaworld_golden import actions_of
from tests.envs.perturb_scene import differences, everything
from vla_bench.envs.base import EnvOptions, EnvState, SuiteEnv
from vla_bench.envs.metaworld import family
from vla_bench.envs.perturb import NOISE_KINDS, Dimension
from vla_bench.policies.builtin.experts.metaworld import controller
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.testing import check_suite

pytestmark = [pytest.mark.sim, pytest.mark.xdist_group("metaworld")]

SUITE = family.suite("metaworld_plus", "compact")
PLAIN = family.suite("metaworld_mt10", "compact")
FIFTY = family.suite("metaworld_plus_mt50", "compact")
CHANGES_STATES = (Dimension.ROBOT, Dimension.LAYOUT)


def fresh(**options: Any) -> SuiteEnv:
    return family.make_env(SUITE, EnvOptions(**options))


@pytest.fixture(scope="module")
def env() -> Iterator[SuiteEnv]:
    """One env for the whole module: its history grows with every test, which must not matter."""
    env = fresh(cameras=("front", "wrist"))
    yield env
    env.close()


def episode_of(task: str, trial: int = 0) -> Episode:
    return make_plan(SUITE, tasks=[task], n_trials=trial + 1).episodes[trial]


def plain_episode(task: str, trial: int = 0) -> Episode:
    return make_plan(PLAIN, tasks=[task], n_trials=trial + 1).episodes[trial]


def look(env: SuiteEnv, episode: Episode) -> dict[str, Any]:
    """Digests and pictures of an episode's beginning and of where some actions bring it."""
    states = [env.start(episode), env.advance(actions_of(episode.params["base_task"])[:6])]
    return {"facts": states[0].facts, "digests": [s.digest for s in states], "pictures": [s.images for s in states]}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["facts"] == other["facts"]
    assert one["digests"] == other["digests"]
    for before, after in zip(one["pictures"], other["pictures"], strict=True):
        assert all(np.array_equal(before[camera], after[camera]) for camera in before)


def test_every_task_comes_in_seven_dimensions_at_five_levels():
    assert len(SUITE.tasks) == 350
    cells = Counter((task.tags["dimension"], task.tags["level"]) for task in SUITE.tasks)
    assert cells == {(str(dimension), level): 10 for dimension in Dimension for level in range(1, 6)}
    assert {task.tags["base_task"] for task in SUITE.tasks} == {task.id for task in PLAIN.tasks}
    assert {task.horizon for task in SUITE.tasks} == {500}
    assert len(make_plan(SUITE)) == 1750
    assert SUITE.protocol.id == "compact/1"
    assert family.suite("metaworld_plus").protocol.id == "standard/1"
    # Initial states and seeds are those of the plain suite, so that a loss can be counted pair by pair.
    assert {(e.trial, e.env_seed) for e in make_plan(SUITE).episodes} == {(i, 1000 + i) for i in range(5)}


def test_all_fifty_tasks_come_likewise_and_the_ten_are_the_same_in_both():
    cells = Counter((task.tags["dimension"], task.tags["level"]) for task in FIFTY.tasks)
    assert cells == {(str(dimension), level): 50 for dimension in Dimension for level in range(1, 6)}
    fifty = {task.id: task for task in FIFTY.tasks}
    assert all(fifty[task.id] == task for task in SUITE.tasks)
    assert SUITE.protocol.parameters["paraphrases"] == "paraphrases/1"
    assert FIFTY.protocol.parameters["paraphrases"] == "paraphrases/1 paraphrases-mt50/1"


def test_the_plan_covers_the_strengths():
    task = SUITE.task("push-v3.camera-2")
    assert task.params == {
        "base_task": "push-v3",
        "dimension": "camera",
        "level": 2,
        "strength": {"orbit_deg": 12.0, "distance": 0.08, "turn_deg": 1.0},
    }
    assert episode_of("push-v3.camera-2").params == task.params


def test_language_alone_changes_the_instruction():
    plain = {task.id: task.instruction for task in family.suite("metaworld_mt50").tasks}
    for task in FIFTY.tasks:
        is_own = task.instruction == plain[str(task.tags["base_task"])]
        assert is_own != (task.tags["dimension"] == Dimension.LANGUAGE), task.id
    texts = [task.instruction for task in FIFTY.tasks if task.tags["dimension"] == Dimension.LANGUAGE]
    assert len(set(texts)) == len(texts) == 250
    for base, original in plain.items():
        synonym, reordered, indirect, distracting, long = (
            FIFTY.task(f"{base}.language-{level}").instruction for level in range(1, 6)
        )
        # Each kind is what its name says: as far as words can be counted.
        assert len(synonym.split()) <= len(original.split()) + 3
        assert set(original.lower().split()) & set(reordered.lower().replace(",", "").split())
        assert original.lower() not in indirect.lower()
        assert distracting.startswith(original)
        assert len(long.split()) > 20 > len(indirect.split())


@pytest.mark.parametrize("dimension", list(Dimension))
def test_a_dimension_changes_what_it_should(env: SuiteEnv, dimension: Dimension):
    with_plain = family.make_env(PLAIN, EnvOptions(cameras=("front", "wrist")))
    plain = with_plain.start(plain_episode("drawer-open-v3"))
    found = env.start(episode_of(f"drawer-open-v3.{dimension}-4"))
    with_plain.close()
    assert (found.digest == plain.digest) == (dimension not in CHANGES_STATES)
    assert np.array_equal(found.state["agent_pos"], plain.state["agent_pos"]) == (dimension is not Dimension.ROBOT)
    assert (found.instruction == plain.instruction) == (dimension is not Dimension.LANGUAGE)
    is_seen = {camera: not np.array_equal(found.images[camera], plain.images[camera]) for camera in plain.images}
    # The camera on the hand stays where it is; all others are seen by both.
    assert is_seen["front"] == (dimension is not Dimension.LANGUAGE)
    assert is_seen["wrist"] == (dimension not in (Dimension.LANGUAGE, Dimension.CAMERA))


def test_what_was_drawn_is_among_the_facts(env: SuiteEnv):
    assert set(env.start(episode_of("reach-v3.camera-1")).facts["perturbation"]) == {
        "azimuth_deg", "elevation_deg", "distance", "pan_deg", "tilt_deg",
    }  # fmt: skip
    kinds = [env.start(episode_of("reach-v3.noise-1", trial)).facts["perturbation"]["kind"] for trial in range(5)]
    assert sorted(kinds) == sorted(NOISE_KINDS)


@pytest.mark.parametrize("dimension", list(Dimension))
def test_an_episode_is_the_same_after_any_others(env: SuiteEnv, dimension: Dimension):
    """After every other dimension on the same model, and in an env that has seen none."""
    episode = episode_of(f"push-v3.{dimension}-5", trial=1)
    first = look(env, episode)
    for other in Dimension:
        env.start(episode_of(f"push-v3.{other}-5", trial=2))
        env.advance(actions_of("push-v3")[:2])
    again = look(env, episode)
    new = fresh(cameras=("front", "wrist"))
    assert_same(first, again)
    assert_same(first, look(new, episode))
    new.close()


def test_the_model_is_the_plain_one_again_before_each_episode(env: SuiteEnv):
    def untouched() -> dict[str, Any]:
        simulator = env._simulator  # type: ignore[attr-defined]
        simulator._perturber.restore()
        simulator.begin(1000)
        return everything(simulator.model)

    env.start(episode_of("push-v3.language-1"))
    before = untouched()
    for dimension in Dimension:
        for level in (1, 5):
            env.start(episode_of(f"push-v3.{dimension}-{level}", trial=1))
            assert differences(before, untouched()) == []


@pytest.mark.parametrize("dimension", [Dimension.NOISE, Dimension.CAMERA, Dimension.BACKGROUND])
def test_lazy_rendering_gives_the_pictures_of_rendering_at_every_step(dimension: Dimension):
    episode = episode_of(f"window-open-v3.{dimension}-3", trial=4)
    states: list[EnvState] = []
    for lazy in (True, False):
        env = fresh(cameras=("front",), lazy=lazy)
        env.start(episode)
        states.append(env.advance(actions_of("window-open-v3")[:5], frames_at=(2,)))
        env.close()
    one, other = states
    assert one.digest == other.digest
    assert np.array_equal(one.images["front"], other.images["front"])
    assert np.array_equal(one.frames[2]["front"], other.frames[2]["front"])
    assert not np.array_equal(one.frames[2]["front"], one.images["front"])


@pytest.mark.parametrize("task", ["push-v3", "peg-insert-side-v3", "drawer-open-v3"])
def test_a_layout_stands_as_far_off_as_said(env: SuiteEnv, task: str):
    for level, trial in ((1, 0), (5, 2)):
        episode = episode_of(f"{task}.layout-{level}", trial)
        facts = env.start(episode).facts
        offsets = np.array(facts["perturbation"]["offset_m"])
        assert np.allclose(np.linalg.norm(offsets, axis=1), episode.params["strength"]["distance_m"])
        assert np.all(offsets[:, 2] == 0)
        data = env._simulator.data  # type: ignore[attr-defined]
        assert min((contact.dist for contact in data.contact), default=0.0) > -0.005


def test_the_goal_that_the_oracle_sees_is_where_the_layout_put_it():
    # metaworld clips it to where its own rule would have put it.
    env = fresh(privileged=True)
    state = env.start(episode_of("reach-v3.layout-5"))
    goal = np.array(state.facts["rand_vec"][3:])
    assert goal[0] > 0.1
    assert np.allclose(state.privileged["observation"][36:], goal)
    assert np.allclose(env.advance(np.zeros((1, 4), np.float32)).privileged["observation"][36:], goal)


def test_a_displaced_arm_holds_still_within_the_workspace(env: SuiteEnv):
    for trial in range(2):
        state = env.start(episode_of("pick-place-v3.robot-5", trial))
        assert np.linalg.norm(state.facts["perturbation"]["joints_rad"]) == pytest.approx(0.5)
        before = state.state["agent_pos"]
        after = env.advance(np.tile(np.array([[0, 0, 0, -1]], np.float32), (10, 1))).state["agent_pos"]
        assert np.abs(before - after).max() < 0.01
        assert np.all((before[:3] > (-0.5, 0.4, 0.04)) & (before[:3] < (0.5, 1.0, 0.51)))


@pytest.mark.parametrize("task", ["box-close-v3", "handle-press-v3", "hand-insert-v3"])
def test_what_moves_by_itself_or_lacks_a_wall_is_no_hindrance(task: str):
    """A lid that lies askew, a handle on a spring, a table with a hole: tasks of MT50 alone."""
    env = family.make_env(FIFTY, EnvOptions())
    tasks = [f"{task}.{dimension}-5" for dimension in (Dimension.ROBOT, Dimension.LAYOUT, Dimension.BACKGROUND)]
    for episode in make_plan(FIFTY, tasks=tasks, n_trials=3).episodes:
        assert env.start(episode).facts["perturbation"]
    env.close()


@pytest.mark.parametrize("task", ["push-v3.robot-4", "drawer-close-v3.layout-5", "reach-v3.camera-2"])
def test_the_expert_solves_perturbed_tasks(task: str):
    env = fresh(privileged=True)
    expert = controller(task)
    state = env.start(episode_of(task))
    while not state.is_over:
        state = env.advance(expert(state.privileged)[None])
    assert state.success


@pytest.mark.slow
def test_the_suite_passes_the_conformance_kit():
    assert check_suite("metaworld_plus", protocol="compact")
