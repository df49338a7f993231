"""How the difference of two runs looks: by what it does to the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from vla_bench.cli.display.tables import facts
from vla_bench.cli.display.words import plural

if TYPE_CHECKING:
    from vla_bench.results.diff import OutcomeDiff, RunDiff

__all__ = ["print_difference"]

MOST_LINES = 12
_TITLES = {
    "score": "[bad]Decides the score[/]",
    "may": "[lost]May move single episodes[/]",
    "none": "Does not affect the score",
}


def print_difference(diff: RunDiff, console: Console) -> None:
    """Print whether the runs can be compared, what differs, what came out, and the verdict."""
    console.print(f"[name]{escape(diff.first)}[/] → [name]{escape(diff.second)}[/]")
    if diff.obstacles:
        console.print(f"  not comparable pair by pair: {escape('; '.join(diff.obstacles))}", soft_wrap=True)
    else:
        console.print("  comparable pair by pair: one suite, one protocol, one plan, both complete")
    for effect, title in _TITLES.items():
        traits = [trait for trait in diff.traits if trait.effect == effect]
        if traits:
            console.print(f"\n{title}")
        for trait in traits[:MOST_LINES]:
            console.print(f"  {escape(trait.words)}", soft_wrap=True)
        if len(traits) > MOST_LINES:
            console.print(f"  … and {len(traits) - MOST_LINES} more; --json has all")
    console.print("\nWhat came out")
    console.print(facts(_outcome_rows(diff.outcomes)))
    for name, count in zip((diff.first, diff.second), diff.n_findings, strict=True):
        if count:
            problem = f"the rows of {name} contradict one another ({plural(count, 'finding')})"
            console.print(f"[bad]{escape(problem)}[/]: see `vla-bench verify {escape(name)}`", soft_wrap=True)
    console.print(_verdict(diff), soft_wrap=True)


def _outcome_rows(outcomes: OutcomeDiff) -> dict[str, str]:
    n = outcomes.n_shared
    if not n:
        return {"shared episodes": "none that both judged"}
    return {
        "initial states": f"equal in {outcomes.n_same_start:,} of {plural(n, 'shared episode')}",
        "whole rollouts": f"equal to the bit in {outcomes.n_same_end:,}",
        "outcomes": f"{outcomes.n_flipped:,} differ: {outcomes.n_gained:,} gained, {outcomes.n_lost:,} lost",
    }


def _verdict(diff: RunDiff) -> str:
    outcomes = diff.outcomes
    if diff.is_equal:
        return "[good]equal[/]: nothing differs that decides or may move the score"
    deciding = {trait.about for trait in diff.traits if trait.effect == "score"}
    if deciding == {"policy"}:
        line = f"vla-bench compare {diff.first} {diff.second}"
        return f"[bad]differs[/]: two policies, nothing else that decides. See `{escape(line)}`"
    if deciding:
        return "[bad]differs[/]: the two measure different things, as listed under “decides the score”"
    if outcomes.n_shared and outcomes.n_same_start < outcomes.n_shared:
        return "[bad]differs[/]: episodes begin in other states although the plans are one: look at the machines"
    if not any(trait.effect == "may" for trait in diff.traits):
        return "[bad]differs[/]: the same evaluation ended otherwise: the policy, or its server, is not deterministic"
    return "[bad]differs[/]: the same evaluation under other conditions, as listed under “may move single episodes”"
