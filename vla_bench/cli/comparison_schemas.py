"""The shapes of `compare --json` and `gate --json`: fields are added, never renamed, until `schema` changes.

Parts are the dataclasses that the commands print, so that the documented form and the printed one are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from vla_bench.results.comparison.flips import Flip
from vla_bench.results.comparison.table import SuiteTable
from vla_bench.results.gate.decision import Decision
from vla_bench.results.gate.planning import Flipping, MarginPlan
from vla_bench.results.stats.noninferiority import Verdict

__all__ = ["CompareModel", "GateModel", "GatePlanModel", "SequentialModel"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipModel(Flip):
    """A flipped episode of one policy."""

    policy: str


class CompareModel(_Model):
    """`vla-bench compare --json`: one table per suite, and the flipped episodes of every policy against the first."""

    schema_name: str = Field(alias="schema")
    sides: list[str]
    suites: list[SuiteTable]
    notes: list[str]
    flips: list[FlipModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionModel(Decision):
    """One question with its answer; `name` is the question's."""

    name: str


class SequentialModel(_Model):
    """How a sequential gate went; `told` is what stands on the terminal."""

    n_pairs: int
    n_plan: int
    n_saved: int
    n_lost: int
    n_ran: int
    order_seed: int
    log_e_pass: float
    log_e_fail: float
    told: dict[str, str]


class GateModel(_Model):
    """`vla-bench gate --json`. `n_to_settle` is null where there is an answer, or where no number would give one."""

    schema_name: str = Field(alias="schema")
    verdict: Verdict
    new: list[str]
    base: str
    decisions: list[DecisionModel]
    alpha: float
    n_shared: int
    n_planned: int
    n_to_settle: int | None
    notes: list[str]
    sequential: SequentialModel | None
    exit_code: int


class GatePlanModel(_Model):
    """`vla-bench gate --plan --json`."""

    schema_name: str = Field(alias="schema")
    baseline: str
    suite: str
    protocol: str
    rate: float | None
    n: int
    wall_s: float | None
    flipping: Flipping
    alpha: float
    margins: list[MarginPlan]
    smallest_margin: float
