"""What a group knows of a run: the identity that must agree among members, and the outcome of every episode."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.reading import find_run, identity_of
from vla_bench.results.tables import ATTEMPT, EPISODE
from vla_bench.spec.canonical import sha256_hex
from vla_bench.spec.outcomes import JUDGED, Outcome

__all__ = ["Evaluated", "load_evaluated"]

_OF_SEED = ("policy_seed", "repeat")


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One run, ready to be compared with the others of its group and to be counted with them.

    Attributes:
        run_id, run: of the run.
        suite, suite_protocol, suite_digest: what was evaluated.
        policy, policy_digest, weights, is_oracle: `weights` is the digest that the policy declares, empty without one.
        tool: what an imported run was imported from, empty for our own.
        settings: evaluation settings without the policy seed.
        policy_seed: base of the policy seeds.
        plan_hash: of the plan.
        states_hash: digest of the planned initial states in order, whatever the policy seeds.
        n_repeats: rollouts of every initial state.
        planned: task → trial → rollouts planned.
        successes: task → trial → repeat → whether it succeeded; judged episodes only.
        lost: error kind → episodes.
        n_stages: of every chain; 1 where tasks are no chains of equal length.
        lengths: task → trial → repeat → finished stages, of judged chains; empty where there are none.
    """

    run_id: int
    run: str
    suite: str
    suite_protocol: str
    suite_digest: str
    policy: str
    policy_digest: str
    weights: str
    is_oracle: bool
    tool: str
    settings: Mapping[str, Any]
    policy_seed: int
    plan_hash: str
    states_hash: str
    n_repeats: int
    planned: Mapping[str, Mapping[int, int]]
    successes: Mapping[str, Mapping[int, Mapping[int, bool]]]
    lost: Mapping[str, int]
    n_stages: int
    lengths: Mapping[str, Mapping[int, Mapping[int, int]]]

    @property
    def n_planned(self) -> int:
        """Planned episodes."""
        return sum(sum(of_task.values()) for of_task in self.planned.values())

    @property
    def n_judged(self) -> int:
        """Judged episodes."""
        return sum(len(rollouts) for of_task in self.successes.values() for rollouts in of_task.values())

    @property
    def n_success(self) -> int:
        """Successes."""
        return sum(sum(rollouts.values()) for of_task in self.successes.values() for rollouts in of_task.values())

    @property
    def is_complete(self) -> bool:
        """Whether every planned episode is judged."""
        return self.n_judged == self.n_planned

    @property
    def rollouts(self) -> str:
        """Rollouts per task, `50`; `48-50` where tasks differ."""
        numbers = sorted({sum(of_task.values()) for of_task in self.planned.values()})
        return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"

    def scores(self) -> tuple[float, ...]:
        """One mean of task rates per evaluation seed in this run; empty unless it is complete."""
        return self._means(self.successes)

    def mean_lengths(self) -> tuple[float, ...]:
        """One average length of chains per evaluation seed; empty unless it is complete and of chains."""
        return self._means(self.lengths) if self.n_stages > 1 else ()

    def _means(self, values: Mapping[str, Mapping[int, Mapping[int, int]]]) -> tuple[float, ...]:
        if not self.is_complete:
            return ()
        return tuple(_mean(values, repeat) for repeat in range(self.n_repeats))


def _mean(values: Mapping[str, Mapping[int, Mapping[int, int]]], repeat: int) -> float:
    """Mean over tasks of their means over trials, of one repeat."""
    means = []
    for of_task in values.values():
        found = [rollouts[repeat] for rollouts in of_task.values() if repeat in rollouts]
        means.append(sum(found) / len(found))
    return sum(means) / len(means)


def load_evaluated(connection: Connection, name: str) -> Evaluated:
    """Read a run for a group.

    Raises:
        UnknownRun: there is none of that name.
        StoreCorrupted: its content is missing or damaged.
    """
    run = find_run(connection, name)
    identity = identity_of(connection, run)
    episodes = identity.episodes()
    planned: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for episode in episodes:
        planned[episode["task"]][episode["trial"]] += 1
    states = {(e["task"], e["trial"]): {k: v for k, v in e.items() if k not in _OF_SEED} for e in episodes}
    successes, lost = _outcomes(connection, run["id"], len(episodes))
    settings = dict(identity.settings)
    protocol = identity.suite["protocol"]
    stages = {len(task["stages"]) for task in identity.suite["tasks"]}
    n_stages = max(1, stages.pop()) if len(stages) == 1 else 1
    return Evaluated(
        run_id=run["id"],
        run=run["name"],
        suite=identity.suite["name"],
        suite_protocol=f"{protocol['name']}/{protocol['version']}",
        suite_digest=run["suite_digest"],
        policy=identity.policy["name"],
        policy_digest=run["policy_digest"],
        weights=identity.policy.get("weights_digest", ""),
        is_oracle=identity.policy["kind"] == "oracle",
        tool=str((run["origin"] or {}).get("tool", "")),
        policy_seed=int(settings.pop("policy_seed", 0)),
        settings=settings,
        plan_hash=run["plan_hash"],
        states_hash=sha256_hex([states[key] for key in sorted(states)]),
        n_repeats=max((n for of_task in planned.values() for n in of_task.values()), default=0),
        planned={task: dict(of_task) for task, of_task in planned.items()},
        successes=successes,
        lost=lost,
        n_stages=n_stages,
        lengths=_lengths(connection, run["id"]) if n_stages > 1 else {},
    )


def _outcomes(
    connection: Connection, run_id: int, n_planned: int
) -> tuple[dict[str, dict[int, dict[int, bool]]], dict[str, int]]:
    columns = [EPISODE.c[name] for name in ("task", "trial", "repeat", "outcome", "error_kind")]
    successes: dict[str, dict[int, dict[int, bool]]] = {}
    lost: Counter[str] = Counter()
    n_reached = 0
    for task, trial, repeat, outcome, kind in connection.execute(sa.select(*columns).where(EPISODE.c.run_id == run_id)):
        n_reached += 1
        if Outcome(outcome).is_judged:
            successes.setdefault(task, {}).setdefault(trial, {})[repeat] = outcome == Outcome.SUCCESS
        else:
            lost[kind or outcome] += 1
    if n_planned > n_reached:
        lost[Outcome.NOT_RUN.value] += n_planned - n_reached
    return successes, dict(lost)


def _lengths(connection: Connection, run_id: int) -> dict[str, dict[int, dict[int, int]]]:
    # An episode's own outcome is that of its last attempt, and judged ones are not tried again.
    is_judging = ATTEMPT.c.outcome.in_([outcome.value for outcome in JUDGED])
    statement = (
        sa.select(EPISODE.c.task, EPISODE.c.trial, EPISODE.c.repeat, ATTEMPT.c.stages)
        .join(ATTEMPT, (ATTEMPT.c.run_id == EPISODE.c.run_id) & (ATTEMPT.c.episode_id == EPISODE.c.episode_id))
        .where(EPISODE.c.run_id == run_id, is_judging)
    )
    lengths: dict[str, dict[int, dict[int, int]]] = {}
    for task, trial, repeat, stages in connection.execute(statement):
        lengths.setdefault(task, {}).setdefault(trial, {})[repeat] = sum(stage["success"] for stage in stages)
    return lengths
