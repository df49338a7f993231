"""What a group knows of a run: the identity that must agree among members, and the outcome of every episode."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from vla_bench.results.reading import find_run, identity_of
from vla_bench.results.tables import EPISODE
from vla_bench.spec.canonical import sha256_hex
from vla_bench.spec.outcomes import Outcome

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
        if not self.is_complete:
            return ()
        return tuple(self._score(repeat) for repeat in range(self.n_repeats))

    def _score(self, repeat: int) -> float:
        rates = []
        for of_task in self.successes.values():
            outcomes = [rollouts[repeat] for rollouts in of_task.values() if repeat in rollouts]
            rates.append(sum(outcomes) / len(outcomes))
        return sum(rates) / len(rates)


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
