"""Whole chains of CALVIN with both cameras: chains per CPU hour at chunk 8 against drawing at every step.

    python -m benchmarks.calvin_chains [--chains 5] [--chunk 8] [--suite calvin_abc_d] [--protocol standard-tiny]

Wants the assets (`vla-bench assets install calvin`). The scripted expert does the chains once, without cameras and an
action at a time. Its actions then come back from a recording, in chunks, with both cameras, four ways in turns:

- every step, drawn whole: both pictures at every control step as PyBullet draws them, as calvin_env does;
- every step, shortcuts: the same with what `sight.py` and `floor.py` leave out;
- chunk, drawn whole, and chunk, shortcuts: both pictures when the policy is asked.

Simulator, renderer, loop and policy share this process; what is counted is its processor time, reloads included. All
four ways must give equal outcomes, steps and state digests, and equal pictures at the queries, else the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.harness.episode import run_episode
from vla_bench.harness.rollout import Rollout
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.builtin.replay import ReplayPolicy
from vla_bench.policies.inline import InlineConnection
from vla_bench.spec.bind import bind
from vla_bench.spec.canonical import blake2b_hex
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.messages import ActionChunk, CameraRequest, Observation, PolicyInfo
from vla_bench.spec.result import EpisodeResult
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

WANTED = 6.0


class Way(NamedTuple):
    """How pictures come about."""

    name: str
    is_lazy: bool
    has_shortcuts: bool


BASE = Way("every step, drawn whole", is_lazy=False, has_shortcuts=False)
WAYS = (
    BASE,
    Way("every step, shortcuts", is_lazy=False, has_shortcuts=True),
    Way("chunk, drawn whole", is_lazy=True, has_shortcuts=False),
    Way("chunk, shortcuts", is_lazy=True, has_shortcuts=True),
)


@dataclass
class Found:
    """What a way gave: processor seconds per chain, and what must be equal."""

    cpu_s: list[float] = field(default_factory=list)
    chains: list[tuple[object, ...]] = field(default_factory=list)
    pictures: list[list[str]] = field(default_factory=list)

    @property
    def chains_per_hour(self) -> float:
        """Of processor time."""
        return 3600 * len(self.cpu_s) / sum(self.cpu_s)


class Watcher(ReplayPolicy):
    """Recorded actions; remembers the digests of the pictures that it was shown."""

    def __init__(self, actions: Path, chunk: int, cameras: Sequence[str]) -> None:
        super().__init__(str(actions), chunk)
        self._cameras = tuple(CameraRequest(name=name) for name in cameras)
        self.seen: list[str] = []

    def info(self) -> PolicyInfo:
        """Wants every camera."""
        return replace(super().info(), cameras=self._cameras)

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """Look, then answer."""
        self.seen += [blake2b_hex(image.tobytes()) for row in batch for image in row.images.values()]
        return super().act(batch)


def run_chain(env: Any, policy: Any, suite: Suite, episode: Episode) -> EpisodeResult:
    """One episode in this process."""
    settings, connection = EvalSettings(), InlineConnection(policy)
    rollout = Rollout(suite, episode, 0, bind(connection.info, suite, settings), settings)
    session = connection.open_session()
    run_episode(env, session, rollout)
    session.close()
    return rollout.result()


def record(suite: Suite, episodes: Sequence[Episode], path: Path) -> None:
    """The expert's actions, by episode."""
    recorded = {}
    with closing(open_env(suite, EnvOptions(privileged=True), isolation="inline")) as env:
        for episode in episodes:
            trace = run_chain(env, ExpertPolicy(), suite, episode).trace
            assert trace is not None
            recorded[episode.id] = trace.actions
    np.savez_compressed(path, **recorded)


def measure(suite: Suite, episodes: Sequence[Episode], actions: Path, chunk: int) -> dict[Way, Found]:
    """All chains, each of them all four ways, one after the other; the first chain's first pass is not counted."""
    cameras = [camera.name for camera in suite.cameras]
    found = {way: Found() for way in WAYS}
    with closing(open_env(suite, EnvOptions(cameras=tuple(cameras)), isolation="inline")) as env:
        simulator: Any = env._env
        run_chain(env, Watcher(actions, chunk, cameras), suite, episodes[0])
        for episode in episodes:
            for way, result_of in found.items():
                simulator.options = EnvOptions(cameras=tuple(cameras), lazy=way.is_lazy)
                simulator._cameras._has_shortcuts = way.has_shortcuts
                policy = Watcher(actions, chunk, cameras)
                begin = process_time()
                result = run_chain(env, policy, suite, episode)
                result_of.cpu_s.append(process_time() - begin)
                assert result.trace is not None
                result_of.chains.append((result.outcome, result.stages, result.n_steps, result.trace.digests))
                result_of.pictures.append(policy.seen)
    return found


def report(found: dict[Way, Found]) -> bool:
    """Print the table, and return whether everything that must be equal is."""
    base = found[BASE]
    n_steps = sum(chain[2] for chain in base.chains)
    n_pictures = sum(map(len, base.pictures))
    print(f"{len(base.chains)} chains, {n_steps} control steps, {n_pictures} pictures at queries, the expert's actions")
    print(f"{'':26}{'CPU s a chain':>14}{'chains an hour':>16}{'ratio':>8}  range over chains")
    for way, it in found.items():
        ratios = [whole / cpu for whole, cpu in zip(base.cpu_s, it.cpu_s, strict=True)]
        ratio = it.chains_per_hour / base.chains_per_hour
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        print(f"{way.name:26}{np.mean(it.cpu_s):14.2f}{it.chains_per_hour:16.0f}{ratio:8.1f}  {spread}")
    lazy_shortcuts, plain_shortcuts = found[WAYS[3]], found[WAYS[1]]
    alike = lazy_shortcuts.chains_per_hour / plain_shortcuts.chains_per_hour
    print(f"shortcuts on both sides: {alike:.1f}")
    lazy = found[WAYS[2]].chains_per_hour / base.chains_per_hour
    print(f"shortcuts on neither side: {lazy:.1f}   (wanted: at least {WANTED:.0f})")
    equal = {
        "outcomes, stages, steps and state digests": all(it.chains == base.chains for it in found.values()),
        "pictures at the queries": all(it.pictures == base.pictures for it in found.values()),
    }
    for what, is_equal in equal.items():
        print(f"{what}: {'equal' if is_equal else 'DIFFER'} in all {len(found)} ways")
    return all(equal.values())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="calvin_abc_d")
    parser.add_argument("--protocol", default="standard-tiny")
    parser.add_argument("--chains", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=8)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    suite = find_suite(given.suite, given.protocol)
    episodes = make_plan(suite).episodes[: given.chains]
    with tempfile.TemporaryDirectory() as folder:
        actions = Path(folder, "actions.npz")
        record(suite, episodes, actions)
        found = measure(suite, episodes, actions, given.chunk)
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
