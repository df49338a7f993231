"""How a group looks: its score with both intervals, and each spread by itself, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from vla_bench.cli.display.tables import facts, plain_table
from vla_bench.cli.display.words import interval, percent, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vla_bench.results.groups import GroupedChains, RunGroup, RunGroupSummary, Spread
    from vla_bench.results.stats.rates import Interval
    from vla_bench.results.stats.suites import ClusterInterval

__all__ = ["print_group", "print_groups"]


def print_groups(groups: Sequence[RunGroup], console: Console) -> None:
    """Print the list of groups."""
    table = plain_table("group", "protocol|", "runs", "defined|")
    for group in groups:
        gone = group.n_runs - len(group.members)
        runs = ", ".join(member.run for member in group.members) + (f" [lost]and {gone} deleted[/]" if gone else "")
        table.add_row(f"[name]{escape(group.name)}[/]", group.protocol, runs, group.created_at[:10])
    console.print(table)


def print_group(group: RunGroupSummary, console: Console) -> None:
    """Print what a group says."""
    marks = "".join(
        f"   [note]{words}[/]"
        for words, is_so in (
            ("oracle: never ranked", group.is_oracle),
            ("imported: self-reported", group.is_imported),
        )
        if is_so
    )
    console.print(f"[name]{escape(group.name)}[/]   {group.protocol}{marks}")
    console.print(f"[dim]{escape(group.policy)} on {group.suite} {group.suite_protocol}: {_what(group)}[/]")
    console.print(f"  [name]{escape(group.score_line)}[/]")
    if group.rate is None:
        console.print("  [lost]incomplete: no score[/]")
        console.print(facts({"bounds": f"{interval(group.bounds)}: all that are missing fail … all succeed"}))
    else:
        table = facts(_scores(group))
        table.columns[1].style = "number"
        console.print(table)
        console.print(facts(_spreads(group)))
        if group.chains is not None:
            console.print(facts(_lengths(group, group.chains)))
    if group.is_selected:
        console.print("  [lost]chosen by their score on this suite: the score is optimistic[/]")
    console.print("")
    console.print(_runs(group))


def _what(group: RunGroupSummary) -> str:
    unit = group.kind.unit if group.kind.unit != "evaluation" else "checkpoint"
    return (
        f"{plural(group.n_units, unit)}, {plural(group.n_evaluations, 'evaluation')} of each from "
        f"{plural(group.n_states, 'initial state')}"
    )


def _scores(group: RunGroupSummary) -> dict[str, str]:
    unit = group.kind.unit
    rows = {"success rate": percent(group.rate)}
    rows[f"  these {unit}s, these tasks"] = f"{interval(group.these_runs)}  95 %, clustered by initial state"
    if (new := group.new_trainings) is not None:
        rough = "; rough: fewer than 5" if new.is_rough else ""
        rows["  trainings like these"] = f"{interval(new)}  95 %, Student t over {new.n_clusters}{rough}"
    return rows


def _spreads(group: RunGroupSummary) -> dict[str, str]:
    """Both spreads, and what cannot be said."""
    unit = group.kind.unit
    rows = {}
    if group.training_spread is not None:
        rows[f"between {unit}s"] = f"{_spread(group.training_spread)} over {plural(group.training_spread.n, unit)}"
        if group.training_component is not None:
            rows["  without evaluation noise"] = f"SD {_points(group.training_component)} points"
        elif group.noise_ceiling is not None:
            limit = f"at most {_points(group.noise_ceiling)} points"
            rows["  of it, evaluation noise"] = f"{limit}: {_verdict(group.training_spread, group.noise_ceiling)}"
    if group.evaluation_spread is not None:
        rows["between evaluation seeds"] = (
            f"{_spread(group.evaluation_spread)}, {plural(group.evaluation_spread.degrees, 'degree')} of freedom"
        )
    else:
        rows["between evaluation seeds"] = "not seen: one evaluation of each (run with --repeats, or another --seed)"
    return rows


def _lengths(group: RunGroupSummary, chains: GroupedChains) -> dict[str, str]:
    """How far chains went, with the same spreads in stages."""
    unit = group.kind.unit
    rates = ", ".join(f"{100 * rate:.1f} %" for rate in chains.stages)
    rows = {
        f"1 … {chains.n_stages} in a row": rates,
        "average length": f"{chains.mean_length:.2f} of {chains.n_stages}",
    }
    if chains.interval is not None:
        rows[f"  these {unit}s, these chains"] = f"{_range(chains.interval)}  95 %, bootstrap over chains"
    if chains.new_trainings is not None:
        rows["  trainings like these"] = f"{_range(chains.new_trainings)}  95 %, Student t"
    if chains.training_spread is not None:
        rows[f"  between {unit}s"] = f"SD {chains.training_spread.sd:.3f}"
    if chains.evaluation_spread is not None:
        rows["  between evaluation seeds"] = f"SD {chains.evaluation_spread.sd:.3f}"
    return rows


def _range(found: Interval | ClusterInterval) -> str:
    return f"[{found.low:.2f}, {found.high:.2f}]"


def _verdict(spread: Spread, noise_ceiling: float) -> str:
    if spread.sd <= noise_ceiling:
        return "it may be all that is seen"
    if spread.low is not None and spread.low > noise_ceiling:
        return "less than what is seen"
    return f"with {spread.n} there is no telling"


def _spread(spread: Spread) -> str:
    if spread.low is None or spread.high is None:
        return "SD 0 (all scores are equal, which bounds nothing)"
    return f"SD {_points(spread.sd)} points [{_points(spread.low)}, {_points(spread.high)}] 95 %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _runs(group: RunGroupSummary) -> object:
    table = plain_table("run", group.kind.unit if group.kind.unit != "evaluation" else "checkpoint", "k/n>", "rate>")
    for run in group.runs:
        rate = percent(run.rate) if run.rate is not None else "[lost]none[/]"
        table.add_row(escape(run.run), escape(run.label), f"{run.n_success}/{run.n_judged}", rate)
    return table
