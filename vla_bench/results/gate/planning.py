"""`gate --plan`: what a margin costs before anything is run: episodes, hours, how often a policy flips by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vla_bench.results.comparison.loading import load_vectors, mean_wall_s
from vla_bench.results.comparison.pairing import pair_runs
from vla_bench.results.comparison.vectors import RunVector
from vla_bench.results.reading import run_names
from vla_bench.results.stats.noninferiority import pairs_without_discord
from vla_bench.results.stats.paired import Pairs
from vla_bench.results.stats.power import (
    noninferior_arm,
    noninferior_pairs,
    noninferior_power,
    smallest_margin,
    worst_discordance,
)
from vla_bench.results.stats.rates import Interval, wilson
from vla_bench.results.store import Store
from vla_bench.spec.canonical import to_plain

__all__ = ["MARGINS", "Flipping", "GatePlan", "MarginPlan", "plan_gate"]

MARGINS = (0.01, 0.02, 0.03, 0.05, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipping:
    """How often a policy's outcome on one episode differs between two of its own rollouts.

    Attributes:
        share: of discordant pairs.
        interval: Wilson, where it was measured on pairs; None where it was not.
        n_pairs: that it was measured on; 0 where it was not.
        source: where it comes from, in words.
    """

    share: float
    interval: Interval | None
    n_pairs: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginPlan:
    """What one margin costs.

    Attributes:
        margin: a fraction.
        n_least: pairs that pass where no outcome differs at all.
        n_80, n_90: pairs on which an equal policy passes with 80 and with 90 % power.
        n_unpaired: episodes per arm on independent trials, 80 %.
        power: with which this plan lets an equal policy pass.
        hours: simulator hours of `n_80` pairs, candidate only; None where nothing was measured.
    """

    margin: float
    n_least: int
    n_80: int
    n_90: int
    n_unpaired: int
    power: float
    hours: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What a gate against this baseline would cost.

    Attributes:
        baseline, suite, protocol: of the run.
        rate: its success rate; None where it is incomplete.
        n: episodes of its plan.
        wall_s: mean wall time of an attempt, seconds; None where nothing was measured.
        flipping: baseline against itself.
        alpha: error rate of either answer.
        margins: one row each.
        smallest_margin: that this plan decides with 80 % power.
    """

    baseline: str
    suite: str
    protocol: str
    rate: float | None
    n: int
    wall_s: float | None
    flipping: Flipping
    alpha: float
    margins: tuple[MarginPlan, ...]
    smallest_margin: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = {"schema": "vla-bench/gate-plan/1", **to_plain(self)}
        return plain


def plan_gate(store: Store, baseline: str, *, margins: Sequence[float] = (), alpha: float = 0.05) -> GatePlan:
    """Say what gates against a stored run would cost.

    Args:
        store: where it is, and where its twins are looked for.
        baseline: name of the run; it may be incomplete.
        margins: to plan for, besides the usual ones.
        alpha: error rate of either answer.

    Raises:
        UnknownRun: there is no such run.
    """
    vector = load_vectors(store, [baseline])[0]
    wall_s = mean_wall_s(store, vector.name)
    flipping = measure_flipping(store, vector)
    rows = tuple(
        _row(margin, vector, flipping.share, wall_s, alpha) for margin in sorted({*MARGINS, *margins})
    )  # fmt: skip
    return GatePlan(
        baseline=vector.name,
        suite=vector.suite,
        protocol=vector.protocol,
        rate=vector.n_success / vector.n_judged if vector.is_complete else None,
        n=len(vector.plan),
        wall_s=wall_s,
        flipping=flipping,
        alpha=alpha,
        margins=rows,
        smallest_margin=smallest_margin(len(vector.plan), flipping.share, alpha=alpha),
    )


def measure_flipping(store: Store, vector: RunVector) -> Flipping:
    """How often the policy of a run differs from itself: on repeats within the run, else on a second run of the same.

    Where neither is there, the worst case: outcomes that have nothing to do with each other.
    """
    if vector.plan.is_repeated:
        return _within(vector)
    for name in _twins(store, vector):
        twin = load_vectors(store, [name])[0]
        if twin.plan.plan_hash == vector.plan.plan_hash and twin.is_complete and vector.is_complete:
            pairs = Pairs.of(*_outcomes(vector, twin))
            return Flipping(
                share=pairs.discordance or 0.0, interval=wilson(pairs.n_discordant, pairs.n), n_pairs=pairs.n,
                source=f"measured: {vector.name} against {name}, the same policy and settings",
            )  # fmt: skip
    rate = _expected_rate(vector)
    return Flipping(
        share=worst_discordance(rate), interval=None, n_pairs=0,
        source="not measured: the worst case for this rate, outcomes that have nothing in common. Run the same command "
        "with --fresh, or with --repeats 2, to measure it",
    )  # fmt: skip


def _within(vector: RunVector) -> Flipping:
    """Pairs of rollouts of one initial state under different policy seeds."""
    judged = vector.outcomes >= 0
    state = vector.plan.state
    n = np.bincount(state[judged], minlength=int(state.max()) + 1)
    k = np.bincount(state[judged], weights=vector.outcomes[judged], minlength=len(n))
    n_pairs, n_discordant = int((n * (n - 1) // 2).sum()), round(float((k * (n - k)).sum()))
    return Flipping(
        share=n_discordant / n_pairs if n_pairs else worst_discordance(0.5), interval=wilson(n_discordant, n_pairs),
        n_pairs=n_pairs, source="measured: repeats of one initial state under different policy seeds",
    )  # fmt: skip


def _expected_rate(vector: RunVector) -> float:
    """The rate of the next run: a little nearer to a half, so that thirty of thirty do not look like certainty."""
    return (vector.n_success + 1) / (vector.n_judged + 2)


def _twins(store: Store, vector: RunVector) -> list[str]:
    """Other runs of the same suite, policy and settings, by their headlines."""
    with store.database.read() as connection:
        names = run_names(connection)
    if len(names) < 2:
        return []
    same = (vector.suite, vector.plan.plan_hash, vector.policy_digest, vector.eval_hash)
    return [
        run.name
        for run in store.summaries()
        if run.name != vector.name and (run.suite, run.plan_hash, run.policy_digest, run.eval_hash) == same
    ]


def _outcomes(vector: RunVector, twin: RunVector) -> tuple[Any, Any]:
    paired = pair_runs(vector, twin)
    return paired.new_success, paired.base_success


def _row(margin: float, vector: RunVector, discordance: float, wall_s: float | None, alpha: float) -> MarginPlan:
    n_80 = noninferior_pairs(margin, discordance, 0.8, alpha)
    return MarginPlan(
        margin=margin,
        n_least=pairs_without_discord(margin, alpha),
        n_80=n_80,
        n_90=noninferior_pairs(margin, discordance, 0.9, alpha),
        n_unpaired=noninferior_arm(margin, _expected_rate(vector), 0.8, alpha),
        power=noninferior_power(len(vector.plan), margin, discordance, alpha),
        hours=None if wall_s is None else n_80 * wall_s / 3600,
    )
