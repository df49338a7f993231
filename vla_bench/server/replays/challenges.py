"""Challenges: a plan that nobody could know before a policy was registered, on which maintainers run that policy.

What is drawn anew depends on the suite: where states come from seeds, both the simulator's and the policy's; where a
suite lists its initial states, which of them are run, and the policy's seeds. The seed is made public at the close.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from vla_bench.envs.registry import find_suite
from vla_bench.results.leaderboard.people import CHALLENGE, SUBMISSION
from vla_bench.results.reading import find_run, load_summary
from vla_bench.results.rows import now, pack_plan, unpack_plan
from vla_bench.results.tables import PLAN, POLICY, RUN, SUITE
from vla_bench.results.writing import insert_missing
from vla_bench.server.audit import write_audit
from vla_bench.server.boards.change import refresh_mark
from vla_bench.server.boards.marks import Mark
from vla_bench.server.submissions.states import State, find_submission, move
from vla_bench.spec.episode import Episode, Plan
from vla_bench.spec.errors import RunMismatch, UsageError
from vla_bench.spec.messages import PolicyKind
from vla_bench.spec.suite import Suite, Task

__all__ = [
    "cancel_challenge", "challenge_plan", "close_challenge", "issue_challenge", "list_challenges", "plan_of_challenge",
]  # fmt: skip

_SEEDS = 2**31 - 1


def challenge_plan(suite: Suite, seed: int, n_trials: int) -> Plan:
    """The plan of a challenge: a function of its arguments alone, so that everybody can make it again at the close.

    Args:
        suite: under the protocol of the submission.
        seed: of the challenge.
        n_trials: per task.

    Raises:
        UsageError: the suite lists fewer initial states than that.
    """
    episodes = tuple(
        episode for index, task in enumerate(suite.tasks) for episode in _episodes(suite, task, index, seed, n_trials)
    )
    return Plan(suite=suite.name, protocol=suite.protocol.id, episodes=episodes)


def issue_challenge(
    connection: Connection, submission_id: str, *, actor: str, image_digest: str = "", n_trials: int | None = None
) -> RowMapping:
    """Draw a challenge for a submission; returns its row.

    Raises:
        Problem: 404, no such submission; 409, it is not listed, or a challenge of it is open.
        UsageError: the policy is an oracle, which is not ranked.
    """
    submission = find_submission(connection, submission_id)
    run = _run(connection, submission["run_id"])
    if run["kind"] == PolicyKind.ORACLE:
        raise UsageError("an oracle reads the simulator's state and has no rank: there is nothing to confirm")
    suite = find_suite(run["suite"], run["protocol"])
    seed = secrets.randbelow(_SEEDS)
    plan = challenge_plan(suite, seed, n_trials or suite.protocol.n_trials)
    packed = {
        "plan_hash": plan.plan_hash,
        "suite": plan.suite,
        "protocol": plan.protocol,
        "n_episodes": len(plan),
        "episodes": pack_plan(plan),
    }
    insert_missing(connection, PLAN, [packed])
    values = {
        "submission_id": submission_id,
        "policy_digest": submission["policy_digest"],
        "image_digest": image_digest,
        "plan_hash": plan.plan_hash,
        "seed": seed,
        "issued_by": actor,
        "issued_at": now(),
    }
    made = connection.execute(sa.insert(CHALLENGE).values(values).returning(CHALLENGE.c.id)).scalar_one()
    move(connection, submission_id, State.RE_RUNNING, actor=actor)
    detail = {"challenge": made, "plan_hash": plan.plan_hash, "n": len(plan), "image": image_digest}
    write_audit(connection, actor, "challenge_issued", "submission", submission_id, detail)
    return _find(connection, made)


def plan_of_challenge(connection: Connection, challenge_id: int) -> tuple[Plan, Mapping[str, Any], str]:
    """What is to be run for a challenge: plan, evaluation settings, and the name under which the run is stored.

    Raises:
        UsageError: there is no such challenge, or it is closed.
    """
    challenge = _find_open(connection, challenge_id)
    row = connection.execute(sa.select(PLAN).where(PLAN.c.plan_hash == challenge["plan_hash"])).mappings().one()
    plan = unpack_plan(row["episodes"], row["plan_hash"], row["suite"], row["protocol"])
    submission = find_submission(connection, challenge["submission_id"])
    settings = connection.scalar(sa.select(RUN.c.settings).where(RUN.c.id == submission["run_id"]))
    return plan, dict(settings or {}), _run_name(challenge_id)


def close_challenge(connection: Connection, challenge_id: int, run_name: str, *, actor: str) -> State:
    """Close a challenge with the run that was made of it; returns the submission's new state.

    Raises:
        UsageError: no such challenge, it is closed, or the run is not complete.
        RunMismatch: the run is of another plan, policy or settings.
    """
    challenge = _find_open(connection, challenge_id)
    submission = find_submission(connection, challenge["submission_id"])
    run = find_run(connection, run_name)
    for what, wanted in (
        ("plan_hash", challenge["plan_hash"]),
        ("policy_digest", challenge["policy_digest"]),
        ("eval_hash", submission["eval_hash"]),
    ):
        if run[what] != wanted:
            raise RunMismatch(f"run {run_name!r} has {what} {run[what][:16]}, the challenge wants {wanted[:16]}")
    summary = load_summary(connection, run)
    if not summary.is_complete:
        raise UsageError(f"run {run_name!r} is not complete: {summary.score_line}. Run the challenge again to go on")
    is_it = CHALLENGE.c.id == challenge_id
    connection.execute(sa.update(CHALLENGE).where(is_it).values(run_id=run["id"], closed_at=now()))
    detail = {"challenge": challenge_id, "seed": challenge["seed"], "score": summary.score_line}
    write_audit(connection, actor, "challenge_closed", "submission", submission["id"], detail)
    facts = refresh_mark(connection, submission["run_id"], actor=actor)
    to = State.RE_RUN if facts.mark is Mark.RE_RUN else State.DISPUTED
    move(connection, submission["id"], to, actor=actor, come_from=State.RE_RUNNING, reason=facts.text)
    return to


def cancel_challenge(connection: Connection, challenge_id: int, reason: str, *, actor: str) -> State:
    """Close a challenge without a result, in public; returns the submission's new state, which is the one before.

    What was run of it by then stands in the log beside the reason: nobody cancels the runs that they dislike in secret.

    Raises:
        UsageError: no such challenge, or it is closed.
        StateChanged: the submission was retracted or withdrawn meanwhile.
    """
    challenge = _find_open(connection, challenge_id)
    submission = find_submission(connection, challenge["submission_id"])
    connection.execute(sa.update(CHALLENGE).where(CHALLENGE.c.id == challenge_id).values(closed_at=now()))
    run = connection.execute(sa.select(RUN).where(RUN.c.name == _run_name(challenge_id))).mappings().first()
    had = load_summary(connection, run).score_line if run is not None else "nothing was run"
    detail = {"challenge": challenge_id, "seed": challenge["seed"], "had": had, "reason": reason}
    write_audit(connection, actor, "challenge_cancelled", "submission", submission["id"], detail)
    facts = refresh_mark(connection, submission["run_id"], actor=actor)
    to = State.RE_RUN if facts.mark is Mark.RE_RUN else State.REPLAYED
    move(connection, submission["id"], to, actor=actor, come_from=State.RE_RUNNING, reason=reason)
    return to


def list_challenges(connection: Connection) -> list[dict[str, Any]]:
    """All challenges, the newest first; the seed of an open one is left out."""
    columns = (CHALLENGE, SUBMISSION.c.run_name)
    joined = sa.select(*columns).join(SUBMISSION, SUBMISSION.c.id == CHALLENGE.c.submission_id)
    rows = connection.execute(joined.order_by(CHALLENGE.c.id.desc())).mappings()
    return [{**row, "seed": row["seed"] if row["closed_at"] else None} for row in rows]


def _run_name(challenge_id: int) -> str:
    return f"challenge-{challenge_id}"


def _find_open(connection: Connection, challenge_id: int) -> RowMapping:
    challenge = _find(connection, challenge_id)
    if challenge["closed_at"]:
        raise UsageError(f"challenge {challenge_id} is closed")
    return challenge


def _episodes(suite: Suite, task: Task, index: int, seed: int, n_trials: int) -> Iterator[Episode]:
    rng = np.random.default_rng([seed, index])
    states = task.initial_states
    if states and n_trials > len(states):
        raise UsageError(f"task {task.id!r} has {len(states)} initial states, not {n_trials} trials")
    trials = sorted(rng.permutation(len(states))[:n_trials].tolist()) if states else range(n_trials)
    for trial in trials:
        # Where states are listed the simulator's seed is the protocol's own: upstream's states go with it.
        own_seed = suite.protocol.base_seed + suite.protocol.seed_stride * trial
        drawn, policy_seed = (int(value) for value in rng.integers(0, _SEEDS, 2))
        yield Episode(
            suite=suite.name,
            protocol=suite.protocol.id,
            task=task.id,
            trial=trial,
            env_seed=own_seed if states else drawn,
            policy_seed=policy_seed,
            initial_state=dict(states[trial]) if states else {},
            params=dict(task.params),
        )


def _find(connection: Connection, challenge_id: int) -> RowMapping:
    row = connection.execute(sa.select(CHALLENGE).where(CHALLENGE.c.id == challenge_id)).mappings().first()
    if row is None:
        raise UsageError(f"no challenge {challenge_id}. See `vla-bench leaderboard challenge list`.")
    return row


def _run(connection: Connection, run_id: int | None) -> RowMapping:
    columns = (RUN.c.id, SUITE.c.name.label("suite"), SUITE.c.protocol, POLICY.c.kind)
    joined = (
        sa.select(*columns)
        .join(SUITE, SUITE.c.digest == RUN.c.suite_digest)
        .join(POLICY, POLICY.c.digest == RUN.c.policy_digest)
    )
    row = connection.execute(joined.where(RUN.c.id == run_id)).mappings().first()
    if row is None:
        raise UsageError("this submission is not listed: it has no run that a challenge could confirm")
    return row
