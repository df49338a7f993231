"""How the result on chains of subtasks looks: the average length, how many chains reached each link, each subtask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from vla_bench.cli.display.tables import facts, plain_table
from vla_bench.cli.display.words import bar, interval, percent

if TYPE_CHECKING:
    from vla_bench.results.chains import ChainSummary

__all__ = ["chain_facts", "length_bounds", "subtask_table"]


def chain_facts(chains: ChainSummary) -> Table:
    """The average length and the share of chains of at least 1, 2, … subtasks, each with its interval."""
    rough = "; rough: few chains" if chains.is_rough else ""
    among = f"95 %, bootstrap over {chains.n_chains:,} chains{rough}"
    spread = chains.interval
    length = f"{chains.mean_length:.2f} of {chains.n_stages}" if chains.mean_length is not None else "–"
    rows = {
        "average length": f"{length}  [{spread.low:.2f}, {spread.high:.2f}]  {among}"
        if spread
        else f"{length}  no spread"
    }
    for stage in chains.stages:
        name = f"  {stage.k} in a row" if stage.k > 1 else "  the first"
        rows[name] = f"{percent(stage.rate):>7}  {interval(stage.interval)}{'  95 %, Wilson' if stage.k == 1 else ''}"
    table = facts(rows)
    table.columns[1].style = "number"
    return table


def length_bounds(chains: ChainSummary) -> str:
    """Where the average length can lie while chains are missing; empty where none is."""
    if chains.bounds is None:
        return ""
    low, high = chains.bounds
    return f"[{low:.2f}, {high:.2f}] of {chains.n_stages}: missing chains of length 0 … {chains.n_stages}"


def subtask_table(chains: ChainSummary) -> Table:
    """Each subtask over all chains in which the policy came to it."""
    table = plain_table("subtask", "done/begun>", "rate>", " |", "95 %|")
    for subtask in chains.subtasks:
        score = f"{subtask.n_success}/{subtask.n_attempted}"
        if subtask.rate is None:
            table.add_row(escape(subtask.subtask), score, "–", "", "")
            continue
        colour = "good" if subtask.rate >= 0.5 else "bad"
        strip = f"[{colour}]{bar(subtask.rate, subtask.interval)}[/]"
        table.add_row(escape(subtask.subtask), score, percent(subtask.rate), strip, interval(subtask.interval))
    return table
