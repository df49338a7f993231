"""How a comparison looks on a terminal: policies, differences by group and task, flipped episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from vla_bench.cli.display.tables import plain_table
from vla_bench.cli.display.words import interval, percent, plural
from vla_bench.results.comparison.page import about_pairs
from vla_bench.results.comparison.pictures import MOST_ROWS, labels
from vla_bench.results.comparison.table import ALPHA, Comparison, Pairing, SuiteTable
from vla_bench.results.stats.paired import LEAST_DISCORDANT
from vla_bench.results.wording import p_text, points, points_interval, signed

if TYPE_CHECKING:
    from rich.table import Table

    from vla_bench.results.comparison.differences import Difference, LengthDifference, SuiteDifference
    from vla_bench.results.comparison.flips import Flip, SideOfFlip
    from vla_bench.results.stats.chains import MeanLength

__all__ = ["print_comparison"]

MOST_POLICIES = 5
"""Columns of rates that fit beside task names; more are in the plot and in JSON."""
TESTS = {
    "mcnemar": "exact McNemar test, Tango's interval",
    "clustered": "repeats of an initial state taken as one, Student's t",
    "boschloo": "Boschloo's exact test, Newcombe's interval",
    "score": "score test, Newcombe's interval",
}


def print_comparison(comparison: Comparison, flips: Sequence[tuple[str, Flip]], console: Console) -> None:
    """Print all suites, the notes, and the flips that were looked into."""
    for table in comparison.suites:
        _print_suite(table, console)
    for note in comparison.notes:
        console.print(f"[note]note:[/] {escape(note)}", soft_wrap=True)
    if comparison.suites[0].pairing is not Pairing.UNPAIRED:
        _print_flips(flips, comparison, console)


def _print_suite(table: SuiteTable, console: Console) -> None:
    tests = dict.fromkeys(TESTS[difference.whole.test] for difference in table.differences)
    console.print(f"[name]{table.suite} {table.protocol}[/]   {about_pairs(table)}")
    console.print(f"[dim]rates on these tasks; {'; '.join(tests)}; p after Holm[/]", soft_wrap=True)
    console.print(_policies(table))
    for difference in table.differences:
        _print_remarks(difference, console)
    lengths = [each.length for each in table.differences if each.length is not None]
    for grid in (_lengths(table, lengths), _stages(table, lengths)) if lengths else ():
        console.print("")
        console.print(grid)
    for part in _parts(table):
        console.print("")
        console.print(part)
    console.print("")


def _policies(table: SuiteTable) -> Table:
    names, has_groups = labels(table), len(table.policies) > 2
    groups = ["group|", "rank|"] if has_groups else []
    grid = plain_table("policy", "rate>", "95 %|", "points>", "95 %|", "p>", *groups)
    differences: list[SuiteDifference | None] = [None, *table.differences]
    for row, difference in zip(table.policies, differences, strict=True):
        if difference is None:
            cells = ("[dim]first[/]", "", "")
        else:
            whole = difference.whole
            cells = (_coloured(whole), points_interval(whole.interval), p_text(whole.p_adjusted))
        rank = f"{row.rank.best}" if row.rank.best == row.rank.worst else f"{row.rank.best}–{row.rank.worst}"
        oracle = " [note]oracle[/]" if row.policy_kind == "oracle" else ""
        told = [row.letters, rank] if has_groups else []
        name = f"[name]{escape(names[row.side])}[/]{oracle}"
        grid.add_row(name, percent(row.rate), interval(row.these_tasks), *cells, *told)
    return grid


def _print_remarks(difference: SuiteDifference, console: Console) -> None:
    whole = difference.whole
    lines = []
    if whole.pairs is not None:
        flipped = f"{whole.pairs.new_only} gained, {whole.pairs.base_only} lost of {whole.pairs.n:,} pairs"
        lines.append(flipped)
    if (like := difference.like_these) is not None:
        rough = "; rough" if like.n_clusters < 20 else ""
        lines.append(
            f"on tasks like these {points(like.mean)} {points_interval(like.interval)}, clustered over "
            f"{like.n_clusters} tasks{rough}"
        )
    if whole.is_hopeless:
        lines.append(f"fewer than {LEAST_DISCORDANT} pairs differ: no split of them is significant at 5 %")
    if not difference.is_even:
        lines.append("tasks have unequal numbers of pairs: the difference is over episodes, not the mean over tasks")
    console.print(f"  [dim]{escape(difference.new)}: {'; '.join(lines)}[/]", soft_wrap=True)


def _lengths(table: SuiteTable, lengths: Sequence[LengthDifference]) -> Table:
    grid = plain_table("average length", "mean>", "95 %|", "difference>", "95 %|")
    names = [escape(labels(table)[row.side]) for row in table.policies]
    first = lengths[0].base
    grid.add_row(names[0], f"{first.mean:.3f}", _length_interval(first, is_difference=False), "[dim]first[/]", "")
    for name, length in zip(names[1:], lengths, strict=True):
        grid.add_row(
            name,
            f"{length.new.mean:.3f}",
            _length_interval(length.new, is_difference=False),
            signed(length.difference.mean, 3),
            _length_interval(length.difference, is_difference=True),
        )
    return grid


def _stages(table: SuiteTable, lengths: Sequence[LengthDifference]) -> Table:
    rows = [lengths[0].stages_base, *(length.stages_new for length in lengths)]
    grid = plain_table("reached, percent", *(f"SR@{rate.k}>" for rate in rows[0]))
    for row, rates in zip(table.policies, rows, strict=True):
        grid.add_row(escape(labels(table)[row.side]), *(f"{100 * rate.rate:.1f}" for rate in rates))
    return grid


def _length_interval(found: MeanLength, *, is_difference: bool) -> str:
    if found.interval is None:
        return "no variation"
    low, high = found.interval.low, found.interval.high
    return f"[{signed(low, 3)}, {signed(high, 3)}]" if is_difference else f"[{low:.3f}, {high:.3f}]"


def _parts(table: SuiteTable) -> list[Table | str]:
    """Differences by tag and by task: one policy beside the reference in full, several as rates."""
    first = table.differences[0]
    parts: list[Table | str] = []
    for tag, rows in first.groups.items():
        if len(rows) > 1:
            parts.append(_part_table(tag, rows) if len(table.differences) == 1 else _rates(table, tag))
    if len(first.tasks) > MOST_ROWS:
        return [*parts, f"[dim]{len(first.tasks):,} tasks: all of them with --json[/]"]
    return [*parts, _part_table("task", first.tasks) if len(table.differences) == 1 else _rates(table, "")]


def _part_table(title: str, rows: Sequence[Difference]) -> Table:
    grid = plain_table(title, "first>", "policy>", "points>", "95 %|", "p>")
    for row in rows:
        grid.add_row(
            escape(row.name) or "–", f"{row.k_base}/{row.n_base}", f"{row.k_new}/{row.n_new}", _coloured(row),
            points_interval(row.interval), p_text(row.p_adjusted),
        )  # fmt: skip
    return grid


def _rates(table: SuiteTable, tag: str) -> Table | str:
    if len(table.policies) > MOST_POLICIES:
        return f"[dim]rates by {tag or 'task'} of {len(table.policies)} policies: --plot FILE or --json[/]"
    rows = [difference.groups[tag] if tag else difference.tasks for difference in table.differences]
    grid = plain_table(tag or "task", *(f"{escape(labels(table)[row.side])}>" for row in table.policies))
    for parts in zip(*rows, strict=True):
        own = [f"{percent(part.rate_new)}{'*' if part.p_adjusted <= ALPHA else ''}" for part in parts]
        grid.add_row(escape(parts[0].name) or "–", percent(parts[0].rate_base), *own)
    return grid


def _coloured(row: Difference) -> str:
    text = points(row.difference)
    if row.p_adjusted > ALPHA:
        return text
    return f"[{'good' if row.difference > 0 else 'bad'}]{text} *[/]"


def _print_flips(flips: Sequence[tuple[str, Flip]], comparison: Comparison, console: Console) -> None:
    shown = [(name, flip) for name, flip in flips if flip.new.n_steps is not None or flip.problem]
    if not flips:
        console.print("no episode flipped")
        return
    n_gained = sum(flip.is_gain for _, flip in flips)
    rest = f"; {len(shown)} of them here, more with --flips" if len(shown) < len(flips) else ""
    console.print(
        f"[name]{plural(len(flips), 'flipped episode')}[/]   {n_gained} gained, {len(flips) - n_gained} lost{rest}"
    )
    if not shown:
        return
    has_several, has_traces = len(comparison.sides) > 2, any(not flip.problem for _, flip in shown)
    traces = ["actions>", "states>", "gap>"] if has_traces else []
    if has_traces:
        console.print("[dim]steps; step at which actions part, by which states do; largest gap of actions[/]")
    grid = plain_table("task", "trial>", *(["policy"] if has_several else []), "first|", "policy|", *traces)
    for name, flip in shown:
        trial = f"{flip.trial}" if not flip.repeat else f"{flip.trial}.{flip.repeat}"
        ended = f"[{'good' if flip.is_gain else 'bad'}]{_ended(flip.new)}[/]"
        policy = [escape(name)] if has_several else []
        grid.add_row(escape(flip.task), trial, *policy, _ended(flip.base), ended, *_parting(flip)[: len(traces)])
    console.print(grid)
    for problem in dict.fromkeys(flip.problem for _, flip in shown if flip.problem):
        console.print(f"[note]note:[/] {escape(problem)}", soft_wrap=True)


def _ended(side: SideOfFlip) -> str:
    word = "success" if side.is_success else "failure"
    if side.length is not None:
        word = f"{side.length} stages"
    return word if side.n_steps is None else f"{word} {side.n_steps}"


def _parting(flip: Flip) -> tuple[str, str, str]:
    if flip.actions_part_at is None:
        return ("–", "–", "–") if flip.problem else ("never", "–", "–")
    states = "–" if flip.states_part_at is None else f"{flip.states_part_at}"
    gap = "–" if flip.largest_difference is None else f"{flip.largest_difference:.3g}"
    return f"{flip.actions_part_at}", states, gap
