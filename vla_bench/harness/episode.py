"""The episode loop: the one function that everybody reads. No I/O, no SQL, no retry, no logging."""

from __future__ import annotations

from vla_bench.envs.base import EnvHandle
from vla_bench.harness.rollout import Rollout
from vla_bench.policies.base import PolicySession

__all__ = ["run_episode"]


def run_episode(env: EnvHandle, policy: PolicySession, rollout: Rollout) -> None:
    """Run one attempt at one episode.

    Ask the policy for a chunk of actions, execute its first `replan_horizon` ones, look, ask again: until the suite's
    rule says success, the task ends, or the horizon is reached. A change of stage drops the rest of the chunk and
    resets the policy with the new instruction, while the simulator goes on.

    Args:
        env: a simulator; whatever ran in it before does not matter.
        policy: a fresh session.
        rollout: knows the episode and the settings, and records what happens, also where an error ends the attempt.

    Raises:
        PolicyError: the policy gave no usable answer; the attempt is lost.
        EnvError: the simulator did not do its part; the attempt is lost.
    """
    state = env.reset(rollout.episode)
    rollout.begin(state)
    rollout.reset_policy(policy)
    while not state.is_over:
        chunk = rollout.ask(policy, state)
        actions = rollout.judge(chunk)
        stage = state.stage
        state = env.advance(actions, frames_at=rollout.frames_wanted(len(actions)))
        rollout.record(state)
        if state.stage != stage and not state.is_over:
            rollout.reset_policy(policy)
