"""`vla-bench pictures`: a sheet with the first picture of each task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Run
from vla_bench.cli.display.sheet import GAP, LINE, contact_sheet
from vla_bench.cli.schemas import PicturesModel
from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.spec.episode import make_plan


def test_a_sheet_shows_what_a_policy_would_see(quick: Run, home: Path) -> None:
    suite = find_suite("toy_reach")
    done = quick("pictures", "-s", "toy_reach", "--trials", "2", "--width", "64", "--out", "toy.png", "--json")
    told = PicturesModel.model_validate_json(done.stdout, strict=True)
    assert (told.path, told.camera) == ("toy.png", suite.cameras[0].name)
    assert told.tasks == [task.id for task in suite.tasks]
    plan = make_plan(suite, n_trials=2)
    assert told.n_pictures == len(plan)
    with Image.open(home / "toy.png") as written:
        sheet = np.asarray(written)
    env = open_env(suite, EnvOptions(cameras=(told.camera,)))
    try:
        for index in (0, len(plan) - 1):
            picture = env.reset(plan.episodes[index]).images[told.camera]
            row, column = divmod(index, min(5, len(plan)))
            height = round(64 * picture.shape[0] / picture.shape[1])
            top, left = row * (height + LINE + GAP), column * (64 + GAP)
            wanted = Image.fromarray(picture).resize((64, height), Image.Resampling.LANCZOS)
            assert np.array_equal(sheet[top : top + height, left : left + 64], np.asarray(wanted))
    finally:
        env.close()


def test_the_file_is_named_after_the_suite(quick: Run, home: Path) -> None:
    done = quick("pictures", "--suite", "toy_reach")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("toy_reach.webp: ")
    with Image.open(home / "toy_reach.webp") as sheet:
        assert sheet.format == "WEBP"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--camera", "back"), "has no camera 'back'"),
        (("--out", "sheet.pdf"), ".webp or a .png"),
        (("--out", "nowhere/sheet.png"), "nowhere does not exist"),
        (("--trials", "999"), "are more than 400"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_a_simulator_starts(
    quick: Run, home: Path, args: tuple[str, ...], words: str
) -> None:
    done = quick("pictures", "--suite", "toy_reach", *args)
    assert done.returncode == 2
    assert words in done.stderr
    assert list(home.glob("*.webp")) + list(home.glob("*.png")) == []


def test_a_long_name_keeps_its_end() -> None:
    picture = np.zeros((20, 40, 3), np.uint8)
    sheets = [np.asarray(contact_sheet([(name, picture)], columns=1, width=40)) for name in ("x" * 99 + "1", "x" * 99)]
    assert sheets[0].shape == sheets[1].shape == (20 + LINE, 40, 3)
    assert not np.array_equal(sheets[0], sheets[1])
