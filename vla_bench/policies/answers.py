"""A policy's methods called safely: what they raise or return wrong becomes a `PolicyError`, as a value.

Whoever serves a policy, in another process or in this one, goes through these functions: the rules are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import structlog
from numpy.typing import NDArray

from vla_bench.policies.base import Policy
from vla_bench.spec.errors import ActionError, BadReply, PolicyError, PolicyRaised, StaleReply
from vla_bench.spec.messages import ActionChunk, EpisodeInfo, Identity, Observation, PolicyInfo

__all__ = ["Answer", "call_act", "call_close", "call_info", "call_reset"]

Answer: TypeAlias = NDArray[np.float32] | PolicyError
"""What one observation got: actions float32 `[k, A]`, unjudged, or the reason why there are none."""

# SystemExit: a policy that calls sys.exit() has failed; it does not end the process that serves it.
_RAISED = (Exception, SystemExit)

log = structlog.get_logger(__name__)


def call_info(policy: Policy) -> PolicyInfo:
    """Read the handshake.

    Raises:
        PolicyRaised: the policy's code raised.
        BadReply: it returned something else than a `PolicyInfo`, or one that has no canonical form.
    """
    try:
        info = policy.info()
    except _RAISED as error:
        raise _raised("info", error) from error
    if not isinstance(info, PolicyInfo):
        raise BadReply(f"the policy's info() returned {type(info).__name__}, not a PolicyInfo")
    try:
        info.digest  # noqa: B018  (computed here, so that what cannot travel is found before the first client comes)
    except (TypeError, ValueError) as error:
        raise BadReply(f"the policy's info() cannot be written down: {error}") from error
    return info


def call_reset(policy: Policy, session: str, episode: EpisodeInfo) -> PolicyError | None:
    """Reset a session; returns what went wrong, if anything."""
    try:
        policy.reset(session, episode)
    except _RAISED as error:  # becomes a policy_error of this episode
        return _raised("reset", error)
    return None


def call_close(policy: Policy, session: str) -> None:
    """Let the policy forget a session; what it raises is logged, since nobody's episode depends on it any more."""
    try:
        policy.close(session)
    except _RAISED as error:
        _raised("close", error)


def call_act(policy: Policy, batch: Sequence[Observation]) -> list[Answer]:
    """Ask for a batch; one answer per observation, in order.

    A policy that raises over a batch is asked again row by row, so that the one row that it cannot take does not cost
    the others their episodes. Another number of answers than of observations is every row's error. Anything else that
    is wrong concerns its own row alone.
    """
    try:
        returned: Any = policy.act(batch)
    except _RAISED as error:  # becomes a policy_error of the episodes in the batch
        reason: PolicyError = _raised("act", error)
        if len(batch) == 1:
            return [reason]
        return [answer for observation in batch for answer in call_act(policy, (observation,))]
    if not isinstance(returned, Sequence):
        reason = BadReply(f"the policy's act() returned {type(returned).__name__}, not a list of ActionChunk")
        return [reason] * len(batch)
    if len(returned) != len(batch):
        reason = BadReply(f"the policy's act() returned {len(returned)} answers to {len(batch)} observations")
        return [reason] * len(batch)
    return [_answer(observation.identity, chunk) for observation, chunk in zip(batch, returned, strict=True)]


def _answer(asked: Identity, chunk: Any) -> Answer:
    if not isinstance(chunk, ActionChunk):
        return BadReply(f"the policy's act() returned {type(chunk).__name__} for an observation, not an ActionChunk")
    if chunk.identity is not None and chunk.identity != asked:
        return StaleReply(f"the policy's act() answered {chunk.identity} in the place of {asked}")
    try:
        actions = np.asarray(chunk.actions)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; tensors that live on a device
        return BadReply(f"the policy's actions are no array: {error}")
    if actions.dtype.kind != "f":
        return ActionError(f"the policy's actions are {actions.dtype}, not float32")
    if actions.ndim != 2:
        return ActionError(f"the policy's actions have shape {list(actions.shape)}, not [k, A]")
    if actions.dtype == np.float32:
        return actions.copy()  # a policy may return the same buffer each time
    # Other floats are taken too, since NumPy makes float64 unasked; what is too large becomes infinite, which the
    # harness judges.
    with np.errstate(over="ignore"):
        return actions.astype(np.float32)


def _raised(method: str, error: BaseException) -> PolicyRaised:
    log.warning("policy_raised", method=method, error=repr(error), exc_info=error)
    lines = str(error).strip().splitlines()
    return PolicyRaised(f"the policy raised in {method}(): {type(error).__name__}{f': {lines[0]}' if lines else ''}")
