"""`Recording`: what is replayed, and whether it can be one at all before any simulator is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vla_bench.harness.retries import REPEATED_POLICY_ERROR, UNSTABLE
from vla_bench.results.evidence import Claim
from vla_bench.spec.episode import Episode
from vla_bench.spec.result import AttemptResult, Trace
from vla_bench.spec.suite import ActionBounds, Suite

__all__ = ["Recording", "digests_by_step", "faults_of", "recordings_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded attempt.

    Attributes:
        episode: as planned.
        attempt: the attempt that counts, without its trace.
        trace_digest: finds the trace; empty where nothing was executed.
    """

    episode: Episode
    attempt: AttemptResult
    trace_digest: str

    @property
    def ends_in_fault(self) -> bool:
        """Whether it was judged a failure for an instability or a policy's fault, not by the suite's own rule."""
        return bool({UNSTABLE, REPEATED_POLICY_ERROR} & set(self.attempt.flags))


def recordings_of(claims: Iterable[Claim]) -> list[Recording]:
    """What can be replayed of stored episodes: those with an attempt."""
    return [
        Recording(episode=claim.episode, attempt=claim.last.result, trace_digest=claim.last.trace_digest)
        for claim in claims
        if claim.last is not None
    ]


def digests_by_step(trace: Trace) -> dict[int, str]:
    """Step → recorded state digest: where the policy was asked, and at the end (which a fault leaves out)."""
    steps = [*trace.query_steps.tolist(), len(trace.actions)]
    return dict(zip(steps, trace.digests, strict=False))


def faults_of(
    recording: Recording,
    trace: Trace | None,
    suite: Suite,
    control_mode: str = "",
    known_tasks: Collection[str] | None = None,
) -> Iterator[str]:
    """Where a recording contradicts itself, one line each.

    Args:
        recording: the attempt.
        trace: as stored, None where there is none.
        suite: of the episode.
        control_mode: the controller that the attempt ran with.
        known_tasks: ids of the suite's tasks, for those who ask of thousands of recordings; collected where None.
    """
    attempt = recording.attempt
    if recording.episode.task not in ({task.id for task in suite.tasks} if known_tasks is None else known_tasks):
        yield f"the suite has no task {recording.episode.task!r}"
    if trace is None:
        if not recording.ends_in_fault or attempt.n_steps:
            yield "no trace is stored"
        return
    yield from _shape_faults(trace, suite, control_mode)
    n_queries = len(trace.query_steps)
    n_digests = (n_queries, n_queries + 1) if recording.ends_in_fault else (n_queries + 1,)
    if len(trace.digests) not in n_digests:
        yield f"the trace has {len(trace.digests)} state digests for {n_queries} queries"
        return
    if trace.digests[0] != attempt.initial_digest:
        yield "the initial state digest of the trace is not the stored one"
    if trace.digests[-1] != attempt.final_digest:
        yield "the final state digest of the trace is not the stored one"
    if len(trace.actions) != attempt.n_steps and not recording.ends_in_fault:
        yield f"the trace has {len(trace.actions)} actions, the attempt {attempt.n_steps} steps"


def _shape_faults(trace: Trace, suite: Suite, control_mode: str) -> Iterator[str]:
    actions, steps, action = trace.actions, trace.query_steps, suite.action_of(control_mode)
    if actions.dtype != np.float32 or actions.ndim != 2 or actions.shape[1] != action.n_entries:
        yield f"the actions are {actions.dtype} {list(actions.shape)}, not float32 [T, {action.n_entries}]"
    elif not np.isfinite(actions).all():
        yield f"action {int(np.argwhere(~np.isfinite(actions))[0][0])} is not finite"
    elif suite.protocol.action_bounds is not ActionBounds.NONE:
        outside = (actions < np.float32(action.low)) | (actions > np.float32(action.high))
        if outside.any():
            first = int(np.argwhere(outside)[0][0])
            yield f"action {first} is outside the suite's bounds [{action.low}, {action.high}]"
    is_ordered = steps.ndim == 1 and len(steps) and steps[0] == 0 and bool((np.diff(steps) > 0).all())
    if not is_ordered or steps[-1] >= max(1, len(actions)):
        yield "the steps at which the policy was asked are not in order"
