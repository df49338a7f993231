"""LIBERO-Plus as data: 10,030 tasks exactly as classified, what their names say, and the two suites made of them."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from vla_bench.envs.libero.plus.archive import ARCHIVE, needed_files
from vla_bench.envs.libero.plus.cameras import view_pose
from vla_bench.envs.libero.plus.names import DIMENSIONS, KINDS, parse_name
from vla_bench.envs.libero.plus.noise import add_noise, draw_noise
from vla_bench.envs.libero.plus.robots import perturbed_joints
from vla_bench.envs.libero.plus.table import plus_tasks
from vla_bench.envs.registry import find_suite
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import UnknownProtocol

SHARED = Path(__file__).resolve().parents[3] / "shared"
CLASSIFICATION = SHARED / "assets" / "libero_plus" / "task_classification.json.xz"
# Of the published classification, by dimension: all tasks, and those that need no archive.
COUNTS = {
    "Camera Viewpoints": (1599, 1599),
    "Robot Initial States": (1550, 1550),
    "Language Instructions": (1537, 1537),
    "Light Conditions": (1142, 0),
    "Background Textures": (1076, 0),
    "Sensor Noise": (1601, 1601),
    "Objects Layout": (1525, 696),
}
BASE = "pick_up_the_black_bowl_from_table_center_and_place_it_on_the_plate"


@pytest.mark.skipif(not CLASSIFICATION.exists(), reason="no ../shared beside the repository")
def test_the_table_is_the_published_classification() -> None:
    published = json.loads(lzma.decompress(CLASSIFICATION.read_bytes()))
    ours: dict[str, list[dict[str, object]]] = {suite: [] for suite in published}
    for task in plus_tasks():
        ours[task.base_suite].append(
            {
                "id": task.number,
                "name": task.variant.name,
                "category": task.variant.dimension,
                "difficulty_level": task.level,
            }
        )
    assert ours == published


def test_the_counts_by_dimension_are_those_of_the_benchmark() -> None:
    every = Counter(task.variant.dimension for task in plus_tasks())
    here = Counter(task.variant.dimension for task in plus_tasks() if not task.variant.needs_archive)
    assert {dimension: (every[dimension], here[dimension]) for dimension in DIMENSIONS} == COUNTS
    assert (every.total(), here.total()) == (10_030, 6_983)
    assert sum(task.level is None for task in plus_tasks()) == 121


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_name_says_makes_the_same_name_again(kind: str) -> None:
    members = [task.variant for task in plus_tasks() if task.variant.kind == kind]
    assert members
    for variant in members:
        assert variant.base_task + KINDS[kind].suffix.format(variant.number) == variant.name


@pytest.mark.parametrize(
    ("name", "kind", "number"),
    [
        (f"{BASE}_table_12", "table", "12"),
        (f"{BASE}_tb_3", "tb", "3"),
        (f"{BASE}_view_0_0_100_0_0_initstate_400", "initstate", "400"),
        (f"{BASE}_view_30_15_110_5_352_initstate_0", "view", "30_15_110_5_352"),
        (f"{BASE}_view_0_0_100_0_0_initstate_0_noise_38", "noise", "38"),
        (f"{BASE}_language_7_view_0_0_100_0_0_initstate_0", "language", "7"),
        (f"{BASE}_level3_sample2", "level", "3_sample2"),
        (f"{BASE}_moved_level3_sample2", "moved", "3_sample2"),
    ],
)
def test_names_are_read_from_their_end(name: str, kind: str, number: str) -> None:
    variant = parse_name(name)
    assert (variant.base_task, variant.kind, variant.number) == (BASE, kind, number)


def test_a_plain_task_is_no_variant() -> None:
    with pytest.raises(ValueError, match="not the name of a LIBERO-Plus task"):
        parse_name(BASE)


def test_four_dimensions_run_on_forty_scenes() -> None:
    shared = [task for task in plus_tasks() if not task.variant.has_own_scene]
    assert len(shared) == 6_287
    assert len({(task.base_suite, task.variant.base_task) for task in shared}) == 40
    # In the order of the plan each scene comes once, so that a worker compiles it once.
    suite = find_suite("libero_plus_open")
    scenes = [task.tags["base_task"] for task in suite.tasks if not parse_name(task.id).has_own_scene]
    assert len([scene for scene, _ in groupby(scenes)]) == 40


def test_upstreams_instruction_is_the_tasks_name_and_the_correction_drops_its_end() -> None:
    published, clean = find_suite("libero_plus"), find_suite("libero_plus", "clean_instruction")
    name = f"{BASE}_view_0_0_100_0_0_initstate_203"
    sentence = "pick up the black bowl from table center and place it on the plate"
    assert published.task(name).instruction == f"{sentence} view 0 0 100 0 0 initstate 203"
    assert clean.task(name).instruction == sentence
    kitchen = next(task for task in clean.tasks if task.id.startswith("KITCHEN_SCENE3") and "_light_" in task.id)
    assert kitchen.instruction == "turn on the stove and put the moka pot on it"
    pairs = zip(published.tasks, clean.tasks, strict=True)
    assert sum(one.instruction != other.instruction for one, other in pairs) == 10_030 - 1_537


def test_rewritten_instructions_are_sentences_under_every_protocol() -> None:
    for protocol in ("published", "clean_instruction"):
        tasks = [task for task in find_suite("libero_plus", protocol).tasks if "_language_" in task.id]
        assert len(tasks) == 1_537
        assert not [task.id for task in tasks if re.search(r"initstate|view \d|_", task.instruction)]
        assert len({task.instruction for task in tasks}) > 1_400


def test_every_episode_says_what_is_perturbed() -> None:
    suite = find_suite("libero_plus")
    name = f"{BASE}_view_0_0_100_0_0_initstate_0_noise_38"
    task = next(task for task in suite.tasks if "_noise_38" in task.id)
    assert dict(suite.task(task.id).params) == {"variant": "noise", "number": "38", "noise": "fog", "severity": 8}
    assert parse_name(name).params() == dict(task.params)
    episode = make_plan(suite, tasks=[task.id]).episodes[0]
    assert episode.params == task.params
    assert set(task.tags) == {"dimension", "level", "suite", "base_task", "upstream_id"}


def test_limits_are_those_of_the_base_suites() -> None:
    limits = {task.tags["suite"]: task.horizon for task in find_suite("libero_plus").tasks}
    assert limits == {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520}


def test_the_open_suite_has_totals_and_notes_of_its_own() -> None:
    whole, part = find_suite("libero_plus"), find_suite("libero_plus_open")
    assert not {total.name for total in whole.totals} & {total.name for total in part.totals}
    assert not any("LIBERO-Plus" in total.title for total in part.totals)
    assert make_plan(whole).plan_hash != make_plan(part).plan_hash
    notes = part.group_notes["dimension"]
    assert notes["Light Conditions"] == "not run: 0 of 1,142 tasks"
    assert notes["Objects Layout"].startswith("696 of 1,525 tasks")
    assert set(notes) == {"Light Conditions", "Background Textures", "Objects Layout"}
    assert whole.group_notes == {}


def test_protocols_are_found_by_name_and_others_are_refused() -> None:
    variants = ("published", "clean_instruction", "robot_init_applied", "noise_global_rng")
    assert [find_suite("libero_plus", name).protocol.id for name in variants] == [f"{name}/1" for name in variants]
    with pytest.raises(UnknownProtocol):
        find_suite("libero_plus", "openpi")


def test_a_task_with_an_archive_file_is_one_that_needs_the_archive() -> None:
    needed = needed_files()
    names = {task.variant.name for task in plus_tasks() if task.variant.needs_archive}
    assert needed.keys() < names
    assert len(needed) == 2_985  # the other 62 combine floors and walls that LIBERO has
    assert {Path(file).parts[0] for files in needed.values() for file in files} == {"scenes", "textures", "new_objects"}
    assert ARCHIVE.lacking(None, list(names)[:5]) == list(names)[:5]
    assert ARCHIVE.lacking(None, [f"{BASE}_level3_sample2"]) == []


def test_the_camera_goes_where_upstream_puts_it() -> None:
    """The published example, and a digest of all views, compared with upstream's own functions when it was fixed."""
    position, turn = (0.6586131746834771, 0.0, 1.6103500240372423), (0.6380177736282349, 0.3048497438430786)
    home = (*turn, 0.30484986305236816, turn[0])
    place, _ = view_pose(position, home, (30, 15, 110, 5, 352))
    assert place == [0.4062, 0.2345, 1.8485]
    assert view_pose(position, home, (0, 0, 100, 0, 0)) == ([0.6586, 0.0, 1.6104], [0.638, 0.3048, 0.3048, 0.638])
    views = sorted({task.variant.view for task in plus_tasks()})
    text = json.dumps([view_pose(position, home, view) for view in views])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "bb24f2dd15efc51f"


def test_the_robots_are_upstreams_frozen_numbers() -> None:
    frozen = [0.02097405, -0.16687568, 0.02734903, -2.38028663, -0.00988726, 2.21686563, 0.85208136]
    assert perturbed_joints(1).tolist() == frozen
    assert perturbed_joints(400).tolist()[:2] == [-0.16074941, -0.16649097]
    joints = np.array([perturbed_joints(number) for number in range(1, 501)])
    home = (0, -1.61037389e-01, 0, -2.44459747, 0, 2.22675220, np.pi / 4)
    distances = np.linalg.norm(joints - home, axis=1)
    assert np.allclose(distances, np.repeat([0.1, 0.2, 0.3, 0.4, 0.5], 100), atol=1e-7)


@pytest.mark.parametrize("noise", [1, 5, 10, 11, 20, 21, 30, 31, 40, 41, 50])
def test_noise_is_a_picture_that_its_generator_decides(noise: int) -> None:
    image = np.random.RandomState(0).randint(0, 256, (256, 256, 3)).astype(np.uint8)
    first, again, other = (add_noise(image, noise, draw_noise(noise, np.random.RandomState(s))) for s in (3, 3, 4))
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, image)
    is_random = noise <= 10 or noise > 30
    assert np.array_equal(first, other) is not is_random


def test_severity_makes_noise_worse() -> None:
    rows, columns = np.indices((256, 256))
    image = np.repeat((((rows // 32 + columns // 32) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    for kind in range(5):
        losses = []
        for noise in (10 * kind + 1, 10 * kind + 10):
            noisy = add_noise(image, noise, draw_noise(noise, np.random.RandomState(0)))
            losses.append(float(np.mean(np.abs(noisy.astype(float) - image))))
        assert losses[0] < losses[1]
