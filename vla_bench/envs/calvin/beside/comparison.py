"""Equal inputs on both sides, and the first number that differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vla_bench.envs.calvin.assets import checked_assets
from vla_bench.envs.calvin.cameras import Cameras
from vla_bench.envs.calvin.chains import chains
from vla_bench.envs.calvin.oracle import begin_rule
from vla_bench.envs.calvin.scenes import scene
from vla_bench.envs.calvin.starts import ROBOT_START, scene_start
from vla_bench.envs.calvin.world import World
from vla_bench.spec.errors import UsageError

__all__ = ["Comparison", "Difference", "compare_with_checkout"]

_PROGRAM: Final = Path(__file__).with_name("theirs.py")
_TIMEOUT_S: Final = 600.0
_PINNED: Final = "1431a46"
"""The commit whose button forgets the LED at the start; every other is compared with the logic of the newest one."""

_PRESS_M: Final = ((-0.12, -0.12, 0.56), (-0.12, -0.12, 0.47), (-0.12, -0.12, 0.54)) * 2
"""Above scene D's button, down on it and up again, twice: places for the TCP, metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first number that differs.

    Attributes:
        rollout: `chain 0, random actions`.
        step: control steps since its start.
        what: `robot_obs[3]`, `oracle open_drawer`, `picture static`.
        ours, theirs: the two values.
    """

    rollout: str
    step: int
    what: str
    ours: float
    theirs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison found.

    Attributes:
        checkout: folder of upstream's code.
        commit: its git commit, empty where it is no clone.
        versions: packages that it ran with; one that is empty was made up, as were `stand_ins`.
        stand_ins: packages that were replaced because they are not installed.
        rollouts: what was stepped.
        n_steps, n_answers, n_pictures: control steps, answers of the oracle and pictures that were compared.
        difference: None where all are equal, bit for bit.
    """

    checkout: str
    commit: str
    versions: Mapping[str, str]
    stand_ins: Sequence[str]
    rollouts: Sequence[str]
    n_steps: int
    n_answers: int
    n_pictures: int
    difference: Difference | None

    @property
    def is_equal(self) -> bool:
        """Whether every number is."""
        return self.difference is None


@dataclass(frozen=True, slots=True)
class _Rollout:
    name: str
    chain: int
    actions: NDArray[np.float32]


def compare_with_checkout(
    checkout: Path,
    config: Mapping[str, Any],
    *,
    n_chains: int = 3,
    n_steps: int = 120,
    seed: int = 0,
    told: Callable[[str], None] = lambda rollout: None,
) -> Comparison:
    """Step the first chains' starts on both sides, under random actions and under two presses of the button.

    Args:
        checkout: a folder with the package `calvin_env` and the folder `data`.
        config: `robot`, `scene`, `cameras` and `tasks`, upstream's own settings as plain values.
        n_chains: how many of the 1,000.
        n_steps: random actions in each.
        seed: of these actions.
        told: hears the name of each rollout before it is stepped.

    Raises:
        UsageError: this is no such folder, or its code fails.
        SuiteNotInstalled: our own assets are missing.
    """
    if not (checkout / "calvin_env/envs/play_table_env.py").is_file():
        raise UsageError(f"{checkout} is no checkout of calvin_env: it has no calvin_env/envs/play_table_env.py")
    commit = _commit_of(checkout)
    assets, rollouts = checked_assets(), list(_rollouts(n_chains, n_steps, seed))
    steps = answers = drawn = 0
    facts: dict[str, Any] = {"versions": {}, "stand_ins": []}
    difference = None
    with World(scene("D"), assets, button_remembers=not commit.startswith(_PINNED)) as world:
        for rollout in rollouts:
            told(rollout.name)
            theirs, facts = _run_theirs(checkout, config, rollout)
            ours = _run_ours(world, rollout, theirs["tasks"].tolist())
            difference = _first_difference(rollout, ours, theirs)
            steps += len(rollout.actions)
            answers += theirs["hits"].size
            drawn += sum(name.startswith(("static", "gripper")) for name in theirs)
            if difference is not None:
                break
    return Comparison(
        checkout=str(checkout),
        commit=commit,
        versions=facts["versions"],
        stand_ins=facts["stand_ins"],
        rollouts=[rollout.name for rollout in rollouts],
        n_steps=steps,
        n_answers=answers,
        n_pictures=drawn,
        difference=difference,
    )


def _rollouts(n_chains: int, n_steps: int, seed: int) -> Iterator[_Rollout]:
    for chain in range(n_chains):
        generator = np.random.default_rng([seed, chain])
        actions = generator.uniform(-1, 1, (n_steps, 7)).astype(np.float32)
        actions[:, 6] = np.where(actions[:, 6] > 0, 1, -1)
        yield _Rollout(f"chain {chain}, random actions", chain, actions)
    # The first chain that asks for it: its LED shines at the start.
    chain = next(index for index, chain in enumerate(chains()) if chain.tasks[0] == "turn_off_led")
    yield _Rollout(f"chain {chain}, two presses of the button", chain, _presses())


def _presses() -> NDArray[np.float32]:
    moves, here = [], np.array(ROBOT_START[:3])
    for place in _PRESS_M:
        way = np.array(place) - here
        n_moves = int(np.ceil(np.abs(way).max() / 0.02))
        moves += [way / 0.02 / n_moves] * n_moves + [np.zeros(3)] * 4
        here = np.array(place)
    return np.array([[*move, 0, 0, 0, -1] for move in moves], np.float32)


def _run_theirs(
    checkout: Path, config: Mapping[str, Any], rollout: _Rollout
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    job = {
        "checkout": str(checkout.resolve()),
        "config": config,
        "robot_obs": ROBOT_START,
        "scene_obs": scene_start(chains()[rollout.chain].state).tolist(),
        "actions": rollout.actions.tolist(),
    }
    # Files without a name, and a pipe that the child ends with: whatever ends us leaves nothing behind.
    with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer, _lifeline() as alive:
        question.write(json.dumps(job).encode())
        question.seek(0)
        files = question.fileno(), answer.fileno()
        try:
            # -P: this package's folders must not shadow upstream's modules.
            done = subprocess.run(
                [sys.executable, "-P", _PROGRAM, *map(str, files)], stdin=alive, pass_fds=files, capture_output=True,
                text=True, errors="replace", timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"the checkout did not end {rollout.name!r} within {_TIMEOUT_S:.0f} s") from error
        if done.returncode != 0 or not os.fstat(answer.fileno()).st_size:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise UsageError(f"the checkout does not run: {reason}")
        answer.seek(0)
        with np.load(answer) as arrays:
            return dict(arrays), _last_json(done.stdout)


@contextmanager
def _lifeline() -> Iterator[int]:
    """The reading end of a pipe that nobody writes into: it ends when this process does."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _last_json(output: str) -> dict[str, Any]:
    """The last line that is JSON: upstream prints, and so does PyBullet."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            facts: dict[str, Any] = json.loads(line)
            return facts
    return {"versions": {}, "stand_ins": []}


def _run_ours(world: World, rollout: _Rollout, tasks: Sequence[str]) -> dict[str, NDArray[Any]]:
    world.start(np.array(ROBOT_START), scene_start(chains()[rollout.chain].state))
    cameras = Cameras(world, shortcuts=True)
    cameras.begin()
    rules = [begin_rule(task, world) for task in tasks]
    found: dict[str, NDArray[Any]] = {f"{name}_0": cameras.take(name).rgb for name in ("static", "gripper")}
    seen, hits = [(world.robot_obs(), world.scene_obs())], []
    for action in rollout.actions:
        world.step(action[:6], int(action[6]))
        seen.append((world.robot_obs(), world.scene_obs()))
        hits.append([rule() for rule in rules])
    last = len(rollout.actions)
    found |= {f"{name}_{last}": cameras.take(name).rgb for name in ("static", "gripper")}
    robot, desk = zip(*seen, strict=True)
    return {**found, "robot_obs": np.array(robot), "scene_obs": np.array(desk), "hits": np.array(hits, bool)}


def _first_difference(
    rollout: _Rollout, ours: Mapping[str, NDArray[Any]], theirs: Mapping[str, NDArray[Any]]
) -> Difference | None:
    found = []
    for name in ("robot_obs", "scene_obs", "hits"):
        for step, entry in np.argwhere(ours[name] != theirs[name])[:1].tolist():
            what = f"oracle {theirs['tasks'][entry]}" if name == "hits" else f"{name}[{entry}]"
            values = float(ours[name][step, entry]), float(theirs[name][step, entry])
            found.append((step + (name == "hits"), what, *values))
    for name in (name for name in theirs if name.startswith(("static", "gripper"))):
        for row, column, channel in np.argwhere(ours[name] != theirs[name])[:1].tolist():
            camera, _, step = name.rpartition("_")
            what = f"picture {camera}[{row}, {column}, {channel}]"
            values = float(ours[name][row, column, channel]), float(theirs[name][row, column, channel])
            found.append((int(step), what, *values))
    if not found:
        return None
    step, what, our_value, their_value = min(found)
    return Difference(rollout=rollout.name, step=step, what=what, ours=our_value, theirs=their_value)


def _commit_of(checkout: Path) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
