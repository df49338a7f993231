"""Short ways to ask a policy, for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np

from vla_bench.policies.base import Policy
from vla_bench.policies.host import PolicyHost
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, Observation

_REQUESTS = count()


def episode(name: str = "e0", **changes: Any) -> EpisodeInfo:
    """An episode of a suite with four-dimensional actions in [-1, 1]."""
    values: dict[str, Any] = {"suite": "toy_reach", "task": "reach", "n_actions": 4, "policy_seed": 7}
    return EpisodeInfo(episode=name, **(values | changes))


def observation(
    session: str, info: EpisodeInfo, step: int = 0, privileged: Mapping[str, Any] | None = None, **more: Any
) -> Observation:
    """A question of an episode, under a request id of its own."""
    identity = Identity(session, info.episode, info.attempt, info.stage, step, f"r{next(_REQUESTS)}")
    return Observation(identity=identity, privileged=privileged or {}, **more)


def ask(policy: Policy, info: EpisodeInfo, n: int = 1, session: str = "s", **more: Any) -> list[np.ndarray]:
    """Reset a session of a bare policy and ask `n` times, at steps 0, 1, …; the actions of each answer."""
    policy.reset(session, info)
    return [policy.act([observation(session, info, step, **more)])[0].actions for step in range(n)]


def ask_through_host(
    policy: Policy, infos: list[EpisodeInfo], n: int, together: bool, privileged: Mapping[str, Any] | None = None
) -> tuple[list[list[bytes]], int]:
    """Ask `n` times per episode, each in its session, all at once or one by one.

    Returns:
        The bytes of the actions, per episode and question, and the largest batch that the policy saw.
    """

    async def main() -> tuple[list[list[bytes]], int]:
        host = PolicyHost(policy, max_wait_s=0.2 if together else 0.0)
        try:
            sessions = [await host.open() for _ in infos]
            for session, info in zip(sessions, infos, strict=True):
                await host.reset(session, info)
            answers: list[list[bytes]] = [[] for _ in infos]
            for step in range(n):
                questions = [
                    host.act(observation(session, info, step, privileged))
                    for session, info in zip(sessions, infos, strict=True)
                ]
                chunks: list[ActionChunk] = (
                    await asyncio.gather(*questions) if together else [await question for question in questions]
                )
                for collected, chunk in zip(answers, chunks, strict=True):
                    collected.append(chunk.actions.tobytes())
            return answers, max(host.metrics.batch_sizes)
        finally:
            await host.stop()

    return asyncio.run(main())
