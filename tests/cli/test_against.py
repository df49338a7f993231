"""`verify --against-calvin-env`: a checkout of upstream's beside ours.

Upstream's own code is not in this project. What stands for it here is a package of its names over our own world, which
is equal by construction, or wrong on order: what is tested is that the first wrong number is found and told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.calvin import link_assets
from vla_bench.cli.replay_schemas import AgainstModel

pytestmark = [pytest.mark.sim, pytest.mark.bullet]

ENVIRONMENT = """
import git, hydra, quaternion, tacto, cv2, gym  # upstream imports them all
import pybullet
from pathlib import Path
from types import SimpleNamespace
from omegaconf import OmegaConf

from vla_bench.envs.calvin.cameras import Cameras
from vla_bench.envs.calvin.scenes import scene
from vla_bench.envs.calvin.world import World


def get_git_commit_hash(path):
    raise RuntimeError("no clone")


class PlayTableSimEnv:
    def __init__(self, robot_cfg, scene_cfg, cameras, **rest):
        get_git_commit_hash(__file__)
        assert scene_cfg.data_path and robot_cfg.filename.endswith("panda_longer_finger.urdf")
        self.world, self.n_steps = World(scene("D"), Path(DATA)), 0
        self.cameras = [Eye(self, name) for name in cameras]

    def observe(self):
        robot_obs, scene_obs = self.world.robot_obs(), self.world.scene_obs()
        robot_obs[3] += WRONG if self.n_steps >= 7 else 0.0
        return {"robot_obs": robot_obs, "scene_obs": scene_obs}

    def reset(self, robot_obs, scene_obs):
        self.world.start(robot_obs, scene_obs)
        self.drawn = Cameras(self.world, shortcuts=False)
        self.drawn.begin()
        return self.observe()

    def step(self, action):
        self.n_steps += 1
        self.world.step(action[:6].copy(), int(action[6]))
        return self.observe(), 0, False, self.get_info()

    def get_info(self):
        return self.world


class Eye:
    def __init__(self, env, name):
        self.env, self.name = env, name

    def render(self):
        return self.env.drawn.take(self.name)
"""
TASKS = """
from omegaconf import ListConfig
from vla_bench.envs.calvin.oracle import begin_rule


class Tasks:
    def __init__(self, tasks):
        self.tasks, self.rules = dict(tasks), None

    def get_task_info(self, start, world):
        # The rules are begun late, one step after the start: equal but for what the first step changed.
        self.rules = self.rules or {name: begin_rule(name, world) for name in self.tasks}
        return {name for name, rule in self.rules.items() if rule()}
"""


@pytest.fixture
def checkout(tmp_path: Path, home: Path, shared: Path) -> Callable[..., Path]:
    """Makes a folder that looks like upstream's; `wrong` is added to a number from step 7 on."""
    data = link_assets(home, shared)

    def make(wrong: float = 0.0, environment: str = ENVIRONMENT) -> Path:
        place = tmp_path / "calvin_env"
        for package in ("calvin_env", "calvin_env/envs"):
            (place / package).mkdir(parents=True)
            (place / package / "__init__.py").touch()
        head = f"DATA, WRONG = {str(data)!r}, {wrong!r}\n"
        (place / "calvin_env/envs/play_table_env.py").write_text(head + environment)
        (place / "calvin_env/envs/tasks.py").write_text(TASKS)
        (place / "conf").symlink_to(data.parent / "conf")
        return place

    return make


@pytest.mark.slow
def test_an_equal_checkout_is_equal_and_the_command_ends_well(checkout: Callable[..., Path], quick) -> None:
    done = quick("verify", "--against-calvin-env", str(checkout()), "--json")
    found = AgainstModel.model_validate_json(done.stdout, strict=True)
    assert done.returncode == 0
    assert found.is_equal
    assert found.difference is None
    assert found.n_steps > 400
    assert found.n_answers == 34 * found.n_steps
    assert found.n_pictures == 16
    assert found.versions["pybullet"] == "3.2.7"


def test_the_first_difference_is_named(checkout: Callable[..., Path], quick) -> None:
    done = quick("verify", "--against-calvin-env", str(checkout(1e-12)), "--json")
    difference = json.loads(done.stdout)["difference"]
    assert done.returncode == 1
    assert (difference["rollout"], difference["step"], difference["what"]) == (
        "chain 0, random actions",
        7,
        "robot_obs[3]",
    )
    assert difference["theirs"] - difference["ours"] == pytest.approx(1e-12, rel=1e-2)


def test_code_that_fails_is_one_line(checkout: Callable[..., Path], quick) -> None:
    done = quick("verify", "--against-calvin-env", str(checkout(environment="import no_such_module_at_all")))
    assert done.returncode == 2
    assert "the checkout does not run: ModuleNotFoundError: No module named 'no_such_module_at_all'" in done.stderr


def test_a_killed_comparison_leaves_neither_files_nor_the_checkouts_process(
    checkout: Callable[..., Path], tmp_path: Path
) -> None:
    """The checkout hangs in its constructor; whoever started it is killed."""
    begun, places = tmp_path / "begun", tmp_path / "temporary"
    places.mkdir()
    hanging = f"import os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    command = [str(Path(sys.executable).parent / "vla-bench"), "verify", "--against-calvin-env"]
    with subprocess.Popen(
        [*command, str(checkout(environment=hanging))], env={**os.environ, "TMPDIR": str(places)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while not (begun.exists() and begun.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        theirs = psutil.Process(int(begun.read_text()))
        process.kill()
    assert psutil.wait_procs([theirs], timeout=30)[1] == []
    assert list(places.iterdir()) == []


def test_a_folder_that_is_no_checkout_is_one_line(tmp_path: Path, quick) -> None:
    done = quick("verify", "--against-calvin-env", str(tmp_path))
    assert done.returncode == 2
    assert "is no checkout of calvin_env" in done.stderr


def test_it_compares_environments_and_not_runs(tmp_path: Path, quick) -> None:
    done = quick("verify", "a-run", "--against-calvin-env", str(tmp_path))
    assert done.returncode == 2
    assert "leave the run's name out" in done.stderr
