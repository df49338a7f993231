"""One planned attempt (`Episode`), the ordered episodes of a run (`Plan`), and how a plan is made and split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from vla_bench.spec.canonical import content_id, sha256_hex
from vla_bench.spec.errors import EmptyPlan, UsageError
from vla_bench.spec.selection import select_tasks
from vla_bench.spec.suite import Suite

__all__ = ["Episode", "Plan", "Shard", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One planned attempt at a task. Frozen; its id is a digest of its content.

    Attributes:
        suite, protocol: `metaworld_mt10`, `standard/1`.
        task: id of the task.
        trial: index of the initial state of this task, from 0; trial i is the same for everyone.
        repeat: index of a further rollout of the same initial state under another policy seed, from 0.
        initial_state: what the env needs to build the state, plain JSON values.
        env_seed: seed of everything random on the simulator's side.
        policy_seed: seed handed to the policy at reset, `0 <= policy_seed < 2**32`.
        params: variant parameters of the task (perturbations), plain JSON values.
    """

    suite: str
    protocol: str
    task: str
    trial: int
    repeat: int = 0
    initial_state: Mapping[str, Any] = field(default_factory=dict)
    env_seed: int
    policy_seed: int
    params: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits made of the content."""
        return content_id(self)

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The ordered episodes of a run. Runs on equal `plan_hash` can be compared pair by pair."""

    suite: str
    protocol: str
    episodes: tuple[Episode, ...]

    @cached_property
    def plan_hash(self) -> str:
        """SHA-256 of the canonical JSON of the list of episodes, 64 hexadecimal digits."""
        return sha256_hex(self.episodes)

    def __len__(self) -> int:
        return len(self.episodes)


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count` parts of a plan, `1 <= index <= count`: every `count`-th episode."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UsageError(f"a shard is written i/n with 1 <= i <= n, not {self.index}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `i/n`.

        Raises:
            UsageError: the text is not of that form.
        """
        index, slash, count = text.partition("/")
        if not (slash and index.strip().isdecimal() and count.strip().isdecimal()):
            raise UsageError(f"a shard is written i/n, for example 1/4, not {text!r}")
        return cls(int(index), int(count))

    def of(self, plan: Plan) -> tuple[Episode, ...]:
        """The episodes of this part, in plan order. The parts of one count are disjoint and make up the plan."""
        return plan.episodes[self.index - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def policy_seed_of(base: int, task: str, trial: int, repeat: int) -> int:
    """Derive the policy seed of one rollout from the run's base seed: independent of which tasks are selected.

    Returns:
        `0 <= seed < 2**32`, from `numpy.random.SeedSequence`, whose hashing is stable across NumPy versions.
    """
    words = np.frombuffer(task.encode().ljust(-(-len(task.encode()) // 4) * 4, b"\0"), dtype="<u4")
    entropy = [base, trial, repeat, *words.tolist()]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def make_plan(
    suite: Suite,
    *,
    tasks: Iterable[str] = (),
    tags: Mapping[str, Sequence[str]] | None = None,
    sample: int | None = None,
    sample_seed: int = 0,
    n_trials: int | None = None,
    repeats: int = 1,
    policy_seed: int = 0,
) -> Plan:
    """Lay out the episodes of a suite: repeat by repeat, trial by trial, task by task.

    A plan that is cut short therefore still covers every task; one with fewer repeats, or with fewer trials of one
    repeat, is a prefix of a longer one.

    Args:
        suite: with its protocol.
        tasks: ids to keep, in the suite's order; empty keeps all.
        tags: tag → values to keep; see `select_tasks`.
        sample: number of tasks to draw, None for all; see `select_tasks`.
        sample_seed: of that draw.
        n_trials: trials per task, the protocol's number where None.
        repeats: rollouts of each initial state, each under its own policy seed.
        policy_seed: base of all policy seeds.

    Raises:
        UnknownTask: a selected task does not exist.
        EmptyPlan: nothing is selected.
        UsageError: a selection cannot be made (see `select_tasks`), the seed is negative, or a task lists fewer initial
            states than there are trials.
    """
    trials = suite.protocol.n_trials if n_trials is None else n_trials
    if policy_seed < 0:
        raise UsageError(f"a policy seed is not negative, got {policy_seed}")
    if trials < 1 or repeats < 1:
        raise EmptyPlan(f"no episodes: {trials} trials and {repeats} repeats per task; both must be at least 1")
    selected = select_tasks(suite, tasks=tasks, tags=tags, sample=sample, sample_seed=sample_seed)
    for task in selected:
        if task.initial_states and trials > len(task.initial_states):
            raise UsageError(f"task {task.id!r} has {len(task.initial_states)} initial states, not {trials} trials")
    protocol = suite.protocol
    episodes = tuple(
        Episode(
            suite=suite.name,
            protocol=protocol.id,
            task=task.id,
            trial=trial,
            repeat=repeat,
            env_seed=protocol.base_seed + protocol.seed_stride * trial,
            policy_seed=policy_seed_of(policy_seed, task.id, trial, repeat),
            initial_state=dict(task.initial_states[trial]) if task.initial_states else {},
            params=dict(task.params),
        )
        for repeat in range(repeats)
        for trial in range(trials)
        for task in selected
    )
    return Plan(suite=suite.name, protocol=protocol.id, episodes=episodes)
