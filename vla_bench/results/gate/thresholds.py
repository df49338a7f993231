"""What a gate asks: margins and floors, for suites and for tasks, from the command line and from a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vla_bench.results.comparison.vectors import RunVector
from vla_bench.spec.errors import UnknownTask, UsageError
from vla_bench.spec.names import match_name, near_matches, normalise_name

__all__ = ["DEFAULT_ALPHA", "DEFAULT_MARGIN", "Criterion", "Rule", "Thresholds", "criteria_for", "read_thresholds"]

DEFAULT_MARGIN = 0.05
"""The smallest round margin that 500 episodes decide with 80 % power, even where outcomes have nothing in common."""
DEFAULT_ALPHA = 0.05
SUCCESS, AVERAGE_LENGTH = "success", "average_length"
_STAGE = re.compile(r"sr@([1-9][0-9]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is asked of one suite or task; None is inherited from what is above it.

    Attributes:
        margin: tolerated loss, a fraction; of an average length, subtasks.
        at_least: floor of the rate (of the average length, subtasks), whatever the baseline does.
        measure: `success`, `average_length` or `sr@k`.
    """

    margin: float | None = None
    at_least: float | None = None
    measure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Everything a gate is told.

    Attributes:
        margin: of every suite that has no rule of its own; None takes the default.
        alpha: error rate of either answer.
        measure: of every suite that has no rule of its own; None takes the suite's own.
        suites: suite → rule.
        tasks: suite → task → rule.
    """

    margin: float | None = None
    alpha: float = DEFAULT_ALPHA
    measure: str | None = None
    suites: Mapping[str, Rule] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, Rule]] = field(default_factory=dict)

    def with_changes(self, *, margin: float | None = None, alpha: float | None = None, measure: str = "") -> Thresholds:
        """The same with what the command line says: it is for suites that have no rule of their own."""
        if measure and measure not in (SUCCESS, AVERAGE_LENGTH) and not _STAGE.fullmatch(measure):
            raise UsageError(f"--measure is success, average_length or sr@k, not {measure!r}")
        return replace(
            self,
            margin=self.margin if margin is None else margin,
            alpha=self.alpha if alpha is None else alpha,
            measure=measure or self.measure,
        )

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise UsageError(f"alpha is an error rate between 0 and 0.5, for example 0.05, not {self.alpha:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One question of a gate.

    Attributes:
        suite, protocol: where.
        task: its id; empty for the whole suite.
        measure: `success`, `average_length` or `sr@k`.
        margin: tolerated loss against the baseline; None where only a floor is asked.
        at_least: the floor; None where there is none.
        alpha: error rate of either answer.
    """

    suite: str
    protocol: str
    task: str
    measure: str
    margin: float | None
    at_least: float | None
    alpha: float

    @property
    def k(self) -> int | None:
        """The stage of `sr@k`; None for other measures."""
        found = _STAGE.fullmatch(self.measure)
        return int(found.group(1)) if found else None

    @property
    def name(self) -> str:
        """`metaworld_mt10`, `metaworld_mt10 / reach-v3`, `calvin_abc_d average_length`."""
        place = f"{self.suite} / {self.task}" if self.task else self.suite
        return place if self.measure == SUCCESS else f"{place} {self.measure}"


def read_thresholds(path: Path) -> Thresholds:
    """Read a thresholds file; see docs/gate.md for its form.

    Raises:
        UsageError: it cannot be read, or something in it is not understood.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the thresholds {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    reader = _Reader(path)
    table = reader.table(content if content is not None else {}, "the file", ("margin", "alpha", "measure", "suites"))
    suites: dict[str, Rule] = {}
    tasks: dict[str, dict[str, Rule]] = {}
    for suite, value in reader.mapping(table.get("suites", {}), "suites").items():
        suites[suite] = reader.rule(value, f"suites.{suite}", ("tasks",))
        nested = value.get("tasks", {}) if isinstance(value, Mapping) else {}
        tasks[suite] = {
            task: reader.rule(rule, f"suites.{suite}.tasks.{task}")
            for task, rule in reader.mapping(nested, f"suites.{suite}.tasks").items()
        }
    top = reader.rule({key: table[key] for key in ("margin", "measure") if key in table}, "the file")
    alpha = reader.number(table.get("alpha", DEFAULT_ALPHA), "alpha")
    return Thresholds(margin=top.margin, measure=top.measure, alpha=alpha, suites=suites, tasks=tasks)


def criteria_for(thresholds: Thresholds, vectors: Sequence[RunVector]) -> list[Criterion]:
    """The questions that a gate asks of these runs: each suite as a whole, then the tasks that have rules.

    Raises:
        UnknownTask: a rule names a task that the suite's plan does not have.
        UsageError: a measure does not fit the suite, or a margin is out of range.
    """
    criteria = []
    for vector in vectors:
        rule = _rule_of(thresholds.suites, vector.suite)
        measure = rule.measure or thresholds.measure or (AVERAGE_LENGTH if vector.plan.n_stages > 1 else SUCCESS)
        margin = rule.margin if rule.margin is not None else thresholds.margin
        if margin is None:
            margin = DEFAULT_MARGIN * (vector.plan.n_stages if measure == AVERAGE_LENGTH else 1)
        whole = Criterion(
            suite=vector.suite, protocol=vector.protocol, task="", measure=measure, margin=margin,
            at_least=rule.at_least, alpha=thresholds.alpha,
        )  # fmt: skip
        criteria.append(_checked(whole, vector))
        for task, task_rule in _rule_of(thresholds.tasks, vector.suite, {}).items():
            known = match_name(task, vector.plan.tasks)
            if known is None:
                raise UnknownTask(task, vector.plan.tasks)
            own = replace(
                whole, task=known, margin=task_rule.margin, at_least=task_rule.at_least,
                measure=task_rule.measure or SUCCESS,
            )  # fmt: skip
            criteria.append(_checked(own, vector))
    return criteria


def _checked(criterion: Criterion, vector: RunVector) -> Criterion:
    stages = vector.plan.n_stages
    if criterion.measure != SUCCESS and (stages == 1 or (criterion.k or 1) > stages):
        has = f"chains of {stages} stages" if stages > 1 else "no chains"
        raise UsageError(f"{criterion.name}: {vector.suite} has {has}; its measure is success" + (
            f", average_length or sr@1 … sr@{stages}" if stages > 1 else ""
        ))  # fmt: skip
    limit = stages if criterion.measure == AVERAGE_LENGTH else 1
    if criterion.margin is not None and not 0 < criterion.margin < limit:
        unit = "subtasks" if limit > 1 else "a fraction: 0.05 is 5 points"
        raise UsageError(
            f"{criterion.name}: a margin is above 0 and below {limit} ({unit}), not {criterion.margin:g}. No number of "
            "episodes shows that two equal policies differ by nothing at all"
        )
    if criterion.at_least is not None and not 0 < criterion.at_least <= limit:
        raise UsageError(f"{criterion.name}: at_least is above 0 and at most {limit}, not {criterion.at_least:g}")
    if criterion.margin is None and criterion.at_least is None:
        raise UsageError(f"{criterion.name}: a rule wants a margin, an at_least, or both")
    return criterion


def _rule_of(rules: Mapping[str, Any], suite: str, default: Any = Rule()) -> Any:
    wanted = normalise_name(suite)
    return next((rule for name, rule in rules.items() if normalise_name(name) == wanted), default)


class _Reader:
    """Turns YAML values into rules; every complaint names the file and the place in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rule(self, value: Any, where: str, more: tuple[str, ...] = ()) -> Rule:
        table = self.table(value, where, ("margin", "at_least", "measure", *more))
        numbers = {key: self.number(table[key], f"{where}.{key}") for key in ("margin", "at_least") if key in table}
        measure = table.get("measure")
        if measure is not None and measure not in (SUCCESS, AVERAGE_LENGTH) and not _STAGE.fullmatch(str(measure)):
            raise self._error(where, f"a measure is success, average_length or sr@k, not {measure!r}")
        return Rule(margin=numbers.get("margin"), at_least=numbers.get("at_least"), measure=measure)

    def table(self, value: Any, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
        table = self.mapping(value, where)
        for key in table:
            if key not in keys:
                near = near_matches(key, keys)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise self._error(where, f"unknown key {key!r}.{hint} Known: {', '.join(keys)}")
        return table

    def mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._error(where, f"a table of names and values is wanted, not {value!r}")
        return {str(key): item for key, item in value.items()}

    def number(self, value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise self._error(where, f"a number is wanted, not {value!r}")
        return float(value)

    def _error(self, where: str, what: str) -> UsageError:
        return UsageError(f"{self._path}: {where}: {what}")
