"""Rendering when the policy is asked against rendering at every step: how much faster, and is all the rest equal?

    python -m benchmarks.lazy_rendering [--suite metaworld_mt10] [--protocol compact] [--steps 120] [--passes 3]

The same episodes run both ways in turns, in one supervised process each, by the scripted expert, which holds each
action for the length of a chunk. Compared are the state digests after every chunk, the outcomes, and the pictures that
the policy gets, bit for bit. The ratio is that of whole episodes (simulator, renderer, transport, policy), median over
the passes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vla_bench.envs.base import EnvOptions
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.harness.episode import run_episode
from vla_bench.harness.rollout import Rollout
from vla_bench.policies.builtin.expert import ExpertPolicy
from vla_bench.policies.inline import InlineConnection
from vla_bench.spec.bind import bind
from vla_bench.spec.canonical import blake2b_hex
from vla_bench.spec.episode import make_plan
from vla_bench.spec.messages import ActionChunk, Observation
from vla_bench.spec.settings import EvalSettings
from vla_bench.spec.suite import Suite

CHUNKS = (1, 8, 16)


class Eyes(ExpertPolicy):
    """The expert, which remembers what it was shown."""

    def __init__(self, chunk: int, cameras: Sequence[str]) -> None:
        super().__init__(chunk=chunk, cameras=list(cameras))
        self.seen: list[str] = []

    def act(self, batch: Sequence[Observation]) -> Sequence[ActionChunk]:
        """Look, then answer."""
        self.seen += [blake2b_hex(image.tobytes()) for row in batch for image in row.images.values()]
        return super().act(batch)


@dataclass
class Way:
    """What one way of rendering gave.

    Attributes:
        wall_s: per pass.
        found: per episode: outcome, steps, state digests.
        seen: digests of the pictures that the policy got.
    """

    wall_s: list[float] = field(default_factory=list)
    found: list[tuple[object, ...]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


def run_both(suite: Suite, chunk: int, n_passes: int) -> tuple[Way, Way]:
    """Run the suite's first trial of every task lazily and at every step, in turns; the first pass warms up."""
    settings, cameras = EvalSettings(), [camera.name for camera in suite.cameras]
    episodes = make_plan(suite, n_trials=1).episodes
    ways = Way(), Way()
    options = [EnvOptions(cameras=tuple(cameras), privileged=True, lazy=lazy) for lazy in (True, False)]
    envs = [open_env(suite, option) for option in options]
    try:
        for _ in range(n_passes + 1):
            for way, env in zip(ways, envs, strict=True):
                policy = Eyes(chunk, cameras)
                connection = InlineConnection(policy)
                binding = bind(connection.info, suite, settings)
                way.found = []
                begin = time.perf_counter()
                for episode in episodes:
                    rollout, session = Rollout(suite, episode, 0, binding, settings), connection.open_session()
                    run_episode(env, session, rollout)
                    session.close()
                    result = rollout.result()
                    assert result.trace is not None
                    way.found.append((result.outcome, result.n_steps, result.trace.digests))
                way.wall_s.append(time.perf_counter() - begin)
                way.seen = policy.seen
    finally:
        for env in envs:
            env.close()
    return ways


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="metaworld_mt10")
    parser.add_argument("--protocol", default="compact")
    parser.add_argument("--tasks", type=int, default=3, help="how many of the suite's tasks")
    parser.add_argument("--steps", type=int, default=120, help="horizon, so that rendering at every step ends")
    parser.add_argument("--passes", type=int, default=3)
    arguments = parser.parse_args()
    suite = find_suite(arguments.suite, arguments.protocol)
    tasks = tuple(replace(task, horizon=arguments.steps) for task in suite.tasks[: arguments.tasks])
    suite = replace(suite, tasks=tasks)
    print(f"{suite.name} {suite.protocol.id}, {len(tasks)} episodes of at most {arguments.steps} steps, both cameras")
    for chunk in CHUNKS:
        lazy, plain = run_both(suite, chunk, arguments.passes)
        ratios = [b / a for a, b in zip(lazy.wall_s[1:], plain.wall_s[1:], strict=True)]
        equal = {
            "states and outcomes": lazy.found == plain.found,
            "pictures": lazy.seen == plain.seen,
        }
        verdict = ", ".join(f"{what} {'equal' if is_equal else 'DIFFER'}" for what, is_equal in equal.items())
        print(
            f"chunk {chunk:2d}: lazy {statistics.median(lazy.wall_s[1:]):.2f} s, every step "
            f"{statistics.median(plain.wall_s[1:]):.2f} s, {statistics.median(ratios):.1f} times faster; {verdict}"
        )


if __name__ == "__main__":
    main()
