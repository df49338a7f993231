"""How rows become a table. Scores of different protocols never share a block, and nothing is ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vla_bench.results.exports.papers.scores import Score
from vla_bench.results.stats.rates import Interval
from vla_bench.spec.errors import UsageError

__all__ = ["LAYOUTS", "Block", "Cell", "Column", "Table", "lay_out"]

Cell = str | int | float | Interval | tuple[float, float] | None
"""What stands in a cell: text, a count, a rate (fraction), an interval, bounds, or nothing."""


class Column(NamedTuple):
    """`kind` is `text`, `count`, `rate`, `length` (of chains) or `interval`."""

    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Block:
    """Rows whose scores are of one kind; `heading` says which."""

    heading: str
    rows: list[list[Cell]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table before it is written: values, not text.

    Attributes:
        columns: titles and kinds.
        blocks: rows under headings.
        notes: mark → what it means, for the marks that occur.
    """

    columns: list[Column]
    blocks: list[Block]
    notes: Mapping[str, str] = field(default_factory=dict)


ORACLE, IMPORTED, SELECTED, INCOMPLETE = "†", "‡", "§", "¶"
_NOTES = {
    ORACLE: "oracle: reads privileged state, never ranked",
    IMPORTED: "imported, self-reported",
    SELECTED: "checkpoints chosen by their score on this suite: optimistic",
    INCOMPLETE: "incomplete: no score; the interval shows where it can lie",
}


def lay_out(scores: Sequence[Score], layout: str) -> Table:
    """Arrange scores.

    Args:
        scores: at least one.
        layout: a key of `LAYOUTS`: `runs` a row per run or group, `suites` a column per suite, `tasks` a row per task.

    Raises:
        UsageError: there is no such layout, or these scores do not fit it.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"no layout {layout!r}: choose {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](scores)


def _by_run(scores: Sequence[Score]) -> Table:
    n_stages = max(len(score.stages) for score in scores)
    columns = [Column("Policy", "text"), Column("Variant", "text"), Column("n", "count"), Column("Seeds", "text")]
    if n_stages:
        columns += [Column(f"SR@{k + 1}", "rate") for k in range(n_stages)] + [Column("Length", "length")]
    else:
        columns += [Column("Success", "rate"), Column("95 %", "interval")]
    blocks: dict[str, Block] = {}
    for score in scores:
        heading = f"{score.suite}, {score.protocol}"
        found: list[Cell] = [score.rate, _range(score)]
        if n_stages:
            found = [*(score.stages or [None] * n_stages), score.average_length]
        if len(found) != len(columns) - 4:
            raise UsageError(f"{score.name!r} is of other chains than the rest: make a table of each")
        row: list[Cell] = [_name(score), score.variant, score.n_judged, score.seeds, *found]
        blocks.setdefault(heading, Block(heading, [])).rows.append(row)
    return Table(columns, list(blocks.values()), _notes(scores))


def _by_suite(scores: Sequence[Score]) -> Table:
    suites = list(dict.fromkeys(score.suite for score in scores))
    columns = [Column("Policy", "text"), Column("Variant", "text"), Column("n", "count"), Column("Seeds", "text")]
    columns += [Column(suite, "rate") for suite in suites]
    columns += [Column("Mean", "rate")] if len(suites) > 1 else []
    rows: dict[tuple[str, str, str, str], dict[str, Score]] = {}
    for score in scores:
        key = (score.protocol, _name(score), score.variant, score.seeds)
        of_policy = rows.setdefault(key, {})
        if score.suite in of_policy:
            raise UsageError(
                f"{of_policy[score.suite].name!r} and {score.name!r} are both {score.policy} on {score.suite}: name "
                "one of them, make a group of both, or take --layout runs"
            )
        of_policy[score.suite] = score
    blocks: dict[str, Block] = {}
    for (protocol, name, variant, seeds), found in rows.items():
        rates = [found[suite].rate if suite in found else None for suite in suites]
        known = [rate for rate in rates if rate is not None]
        mean = sum(known) / len(known) if len(known) == len(suites) else None
        n_judged = sum(score.n_judged for score in found.values())
        row: list[Cell] = [name, variant, n_judged, seeds, *rates, *([mean] if len(suites) > 1 else [])]
        blocks.setdefault(protocol, Block(protocol, [])).rows.append(row)
    return Table(columns, list(blocks.values()), _notes(scores))


def _by_task(scores: Sequence[Score]) -> Table:
    first = scores[0]
    for other in scores[1:]:
        for what in ("suite", "protocol"):
            if getattr(other, what) != getattr(first, what):
                raise UsageError(
                    f"{first.name!r} and {other.name!r} are of different protocols ({getattr(first, what)}, "
                    f"{getattr(other, what)}) and never share a table of tasks: make one of each, or take --layout runs"
                )
    tasks = list(dict.fromkeys(task.task for score in scores for task in score.per_task))
    columns = [Column("Task", "text"), Column("n", "count")]
    columns += [Column(f"{_name(score)} {score.variant}".strip(), "rate") for score in scores]
    by_score = [{task.task: task for task in score.per_task} for score in scores]
    rows: list[list[Cell]] = []
    for task in tasks:
        found = [of_score.get(task) for of_score in by_score]
        n = {part.n_judged for part in found if part is not None}
        rows.append([task, n.pop() if len(n) == 1 else None, *(part.rate if part else None for part in found)])
    rows.append(["mean", None, *(score.rate for score in scores)])
    return Table(columns, [Block(f"{first.suite}, {first.protocol}", rows)], _notes(scores))


def _name(score: Score) -> str:
    return score.policy + "".join(_marks(score))


def _marks(score: Score) -> list[str]:
    is_so = {
        ORACLE: score.is_oracle,
        IMPORTED: score.is_imported,
        SELECTED: score.is_selected,
        INCOMPLETE: score.rate is None,
    }
    return [mark for mark, holds in is_so.items() if holds]


def _notes(scores: Sequence[Score]) -> dict[str, str]:
    found = {mark for score in scores for mark in _marks(score)}
    return {mark: words for mark, words in _NOTES.items() if mark in found}


def _range(score: Score) -> Cell:
    return score.interval if score.interval is not None else score.bounds


LAYOUTS: Mapping[str, Callable[[Sequence[Score]], Table]] = {"runs": _by_run, "suites": _by_suite, "tasks": _by_task}
"""Layout → what makes it."""
