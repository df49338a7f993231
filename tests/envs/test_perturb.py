"""Perturbations of a compiled model: as strong as the table says, sound, seeded, taken back bit for bit."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco", reason="no simulator: pip install 'vla-bench[metaworld]'")

from tests.docs.pages import blocks  # noqa: E402
from tests.envs.perturb_scene import SCENE, build, differences, everything  # noqa: E402
from vla_bench.envs.perturb import LEVELS, Dimension, Perturbation, Scene, generator, strengths  # noqa: E402
from vla_bench.envs.perturb.baseline import Baseline, texture_pixels  # noqa: E402
from vla_bench.envs.perturb.layout import move_bodies  # noqa: E402
from vla_bench.envs.perturb.perturber import Perturber  # noqa: E402
from vla_bench.envs.perturb.robot import displace_arm  # noqa: E402
from vla_bench.envs.perturb.soundness import bodies_below, geoms_of, new_overlap, overlaps, solid_geoms  # noqa: E402
from vla_bench.spec.errors import EnvRaised, UsageError  # noqa: E402

pytestmark = pytest.mark.sim

TABLE = tomllib.loads(files("vla_bench.envs.perturb").joinpath("levels-1.toml").read_text(encoding="utf-8"))
IN_THE_MODEL = [Dimension.CAMERA, Dimension.ROBOT, Dimension.LIGHT, Dimension.BACKGROUND, Dimension.LAYOUT]


def perturbed(dimension: Dimension, level: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Model, data and facts after one perturbation of a new scene."""
    model, data = build()
    facts = Perturber(model, SCENE).apply(data, strengths(dimension, level), generator(seed, "task", dimension))
    return model, data, facts


@pytest.mark.parametrize("dimension", list(Dimension))
def test_every_level_is_stronger_than_the_one_below_and_within_bounds(dimension: Dimension):
    for name, row in TABLE[dimension.value].items():
        assert len(row) == len(LEVELS) == 5
        assert all(low < high for low, high in pairwise(row)), name
        low, high = TABLE["bounds"][dimension.value][name]
        assert low <= row[0] <= row[-1] <= high
    for level in LEVELS:
        params = strengths(dimension, level).to_params()
        assert Perturbation.from_params(params) == strengths(dimension, level)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"dimension": "camera", "level": 1, "strength": {"orbit_deg": 90, "distance": 0, "turn_deg": 0}}, "bounds"),
        ({"dimension": "camera", "level": 1, "strength": {"orbit_deg": 1}}, "wants orbit_deg, distance, turn_deg"),
        ({"dimension": "gravity", "level": 1, "strength": {}}, "gravity"),
        ({"level": 1}, "wants dimension"),
    ],
)
def test_a_perturbation_out_of_bounds_is_refused(params: dict[str, Any], words: str):
    with pytest.raises(UsageError, match=words):
        Perturbation.from_params(params)
    with pytest.raises(UsageError, match="1 to 5"):
        strengths(Dimension.CAMERA, 6)


@pytest.mark.parametrize("dimension", list(Dimension))
def test_a_model_is_put_back_bit_for_bit(dimension: Dimension):
    model, data = build()
    before = everything(model)
    perturber = Perturber(model, SCENE)
    state = data.qpos.copy()
    for seed, level in enumerate(LEVELS):
        perturber.apply(data, strengths(dimension, level), generator(seed, "task", dimension))
        is_physical = dimension in (Dimension.CAMERA, Dimension.LIGHT, Dimension.BACKGROUND, Dimension.LAYOUT)
        assert bool(differences(before, everything(model))) == is_physical
        perturber.restore()
        assert differences(before, everything(model)) == []
        data.qpos[:] = state
        mujoco.mj_forward(model, data)


@pytest.mark.parametrize("dimension", IN_THE_MODEL)
def test_the_same_seed_draws_the_same_and_another_seed_does_not(dimension: Dimension):
    first, again, other = perturbed(dimension, 3), perturbed(dimension, 3), perturbed(dimension, 3, seed=1)
    assert differences(everything(first[0]), everything(again[0])) == []
    assert first[1].qpos.tobytes() == again[1].qpos.tobytes()
    assert first[2] == again[2] != other[2]


def test_levels_go_the_same_way_and_grow():
    draws = [perturbed(Dimension.CAMERA, level)[2] for level in LEVELS]
    turns = [np.hypot(draw["azimuth_deg"], draw["elevation_deg"]) for draw in draws]
    assert turns == pytest.approx(TABLE["camera"]["orbit_deg"])
    assert len({np.sign(draw["azimuth_deg"]) for draw in draws}) == 1
    joints = [np.array(perturbed(Dimension.ROBOT, level, seed=5)[2]["joints_rad"]) for level in LEVELS]
    assert [np.linalg.norm(added) for added in joints] == pytest.approx(TABLE["robot"]["joints_rad"])
    ways = [added / np.linalg.norm(added) for added in joints[:2]]
    assert np.allclose(*ways)
    plain = everything(build()[0])
    changed = [everything(perturbed(Dimension.BACKGROUND, level)[0]) for level in LEVELS]
    texels = "tex_data" if "tex_data" in plain else "tex_rgb"
    distances = [np.abs(one[texels].astype(int) - plain[texels]).mean() for one in changed]
    assert distances == sorted(distances)
    assert distances[0] > 1
    light = [everything(perturbed(Dimension.LIGHT, level)[0])["light_diffuse"].mean() for level in LEVELS]
    assert light in (sorted(light), sorted(light, reverse=True))


@pytest.mark.parametrize("seed", range(8))
def test_a_camera_keeps_its_pivot_in_the_picture_from_a_sound_height(seed: int):
    model, data, facts = perturbed(Dimension.CAMERA, 5, seed)
    camera = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "front")
    arm = data.cam_xpos[camera] - np.array(SCENE.pivot_m)
    plain = build()[1].cam_xpos[camera] - np.array(SCENE.pivot_m)
    assert np.linalg.norm(arm) == pytest.approx(facts["distance"] * np.linalg.norm(plain))
    assert 9.9 < np.rad2deg(np.arctan2(arm[2], np.hypot(*arm[:2]))) < 80.1
    gaze = -data.cam_xmat[camera].reshape(3, 3)[:, 2]
    off = np.rad2deg(np.arccos(gaze @ -arm / np.linalg.norm(arm)))
    plain_gaze = -build()[1].cam_xmat[camera].reshape(3, 3)[:, 2]
    off_before = np.rad2deg(np.arccos(plain_gaze @ -plain / np.linalg.norm(plain)))
    assert off <= off_before + TABLE["camera"]["turn_deg"][4] + 1e-6


def test_a_camera_on_the_hand_is_not_turned_round_a_fixed_point():
    model, data = build()
    scene = Scene(cameras=("wrist",), pivot_m=SCENE.pivot_m)
    with pytest.raises(EnvRaised, match="rides on a body that moves"):
        Perturber(model, scene).apply(data, strengths(Dimension.CAMERA, 1), generator(0))


def test_a_camera_never_looks_into_a_wall():
    model, data = build()
    # The shelf stands a hand's breadth before the lens, wider than a small turn.
    shelf = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "shelf")
    model.body_pos[shelf] = (0.0, -0.6, 0.74)
    model.geom_size[model.body_geomadr[shelf]] = (0.4, 0.05, 0.3)
    mujoco.mj_forward(model, data)
    with pytest.raises(EnvRaised, match="no sound viewpoint"):
        Perturber(model, SCENE).apply(data, strengths(Dimension.CAMERA, 1), generator(0))


@pytest.mark.parametrize("seed", range(6))
def test_an_arm_starts_within_its_limits_and_free_of_everything(seed: int):
    model, data, _ = perturbed(Dimension.ROBOT, 5, seed)
    joints = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in SCENE.joints]
    low, high = model.jnt_range[joints].T
    angles = data.qpos[model.jnt_qposadr[joints]]
    assert np.all((low - 0.01 <= angles) & (angles <= high + 0.01))
    mujoco.mj_forward(model, data)
    arm = bodies_below(model, [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "base")])
    bodies = [{int(model.geom_bodyid[c.geom1]), int(model.geom_bodyid[c.geom2])} for c in data.contact[: data.ncon]]
    assert [pair for pair in bodies if len(pair & arm) == 1] == []


def test_an_arm_that_can_go_nowhere_says_so():
    model, data = build()
    at_rest = data.qpos.copy()
    with pytest.raises(EnvRaised, match="no sound state of the arm in 200 draws"):
        displace_arm(model, data, SCENE, {"joints_rad": 0.3}, generator(0), settle=lambda: False)
    assert np.array_equal(data.qpos, at_rest)


@pytest.mark.parametrize("seed", range(6))
def test_things_move_as_far_as_said_and_into_nothing(seed: int):
    plain, still = build()
    model, data, facts = perturbed(Dimension.LAYOUT, 5, seed)
    mujoco.mj_forward(model, data)
    for name in SCENE.bodies:
        body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)
        moved = data.xpos[body] - still.xpos[body]
        assert np.linalg.norm(moved) == pytest.approx(TABLE["layout"]["distance_m"][4])
        assert moved[2] == 0
        assert np.allclose(moved, facts["offset_m"][name])
        one, rest = solid_geoms(model, frozenset({body})), frozenset(range(model.nbody)) - {body}
        deeper = new_overlap(
            overlaps(plain, still, one, solid_geoms(model, rest)), overlaps(model, data, one, solid_geoms(model, rest))
        )
        assert deeper <= 0.002
        assert np.all(data.xpos[body][:2] <= np.array(SCENE.workspace_m[1])[:2])


def test_a_thing_with_no_room_says_so_and_stays():
    model, data = build()
    before, at = everything(model), data.qpos.copy()
    cell = Scene(bodies=("red",), workspace_m=((0.09, 0.39, 0.0), (0.11, 0.41, 0.1)))
    with pytest.raises(EnvRaised, match="no sound layout of red in 200 draws"):
        move_bodies(model, data, cell, {"distance_m": 0.1}, generator(0))
    assert differences(before, everything(model)) == []
    assert np.allclose(data.qpos, at, atol=1e-12)


def test_overlap_is_seen_between_things_that_the_simulator_lets_pass():
    model, data = build()
    shelf = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "shelf")
    world = solid_geoms(model, frozenset({0}))
    assert overlaps(model, data, solid_geoms(model, frozenset({shelf})), world) == {}
    model.body_pos[shelf] += (0.0, 0.2, -0.03)
    mujoco.mj_forward(model, data)
    depths = overlaps(model, data, solid_geoms(model, bodies_below(model, [shelf])), world)
    assert max(depths.values()) >= 0.02
    # Both are fixed to the world: MuJoCo itself reports no contact.
    fixed = set(geoms_of(model, bodies_below(model, [shelf])))
    assert [c for c in data.contact[: data.ncon] if {int(c.geom1), int(c.geom2)} & fixed] == []


def test_only_what_was_painted_is_uploaded_again():
    model, data = build()
    perturber = Perturber(model, SCENE)
    perturber.apply(data, strengths(Dimension.CAMERA, 2), generator(0))
    perturber.restore()
    assert perturber.stale_textures == set()
    perturber.apply(data, strengths(Dimension.BACKGROUND, 2), generator(0))
    assert len(perturber.stale_textures) == 3
    perturber.stale_textures.clear()
    perturber.restore()
    assert len(perturber.stale_textures) == 3


def test_the_sides_of_a_cube_are_alike_and_a_sky_has_one_colour():
    model = perturbed(Dimension.BACKGROUND, 5)[0]
    wood = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_TEXTURE, "wood")
    sides = texture_pixels(model, wood).reshape(-1, 32, 32, 3)
    assert all(np.array_equal(side, sides[0]) for side in sides)
    sky = int(np.flatnonzero(model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX))[0])
    assert len(np.unique(texture_pixels(model, sky).reshape(-1, 3), axis=0)) == 1


def test_a_scene_that_names_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no texture 'marble'"):
        Baseline(build()[0], ["marble"])


def test_the_example_of_the_docs_runs(capsys: pytest.CaptureFixture[str]):
    (example,) = [block for block in blocks("perturbations.md") if block.order == "run-with: perturb"]
    exec(compile(example.text, "perturbations.md", "exec"), {})
    assert [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()] == ["camera", "light", "layout"]
