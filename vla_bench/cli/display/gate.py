"""How a gate's answer and its plan look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from vla_bench.cli.display.tables import facts, plain_table
from vla_bench.cli.display.words import duration, interval, percent
from vla_bench.results.gate.words import OnInconclusive
from vla_bench.results.gate.writing import advice, bar_text, base_text, bounds_text, change_text, value_text
from vla_bench.results.stats.noninferiority import Verdict
from vla_bench.results.wording import p_text

if TYPE_CHECKING:
    from vla_bench.results.gate.decision import Decision
    from vla_bench.results.gate.planning import GatePlan
    from vla_bench.results.gate.report import GateReport

__all__ = ["print_gate", "print_gate_plan"]

COLOURS = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.INCONCLUSIVE: "lost"}


def print_gate(report: GateReport, console: Console, on_inconclusive: OnInconclusive) -> None:
    """Print the answer first, then what it rests on."""
    colour = COLOURS[report.verdict]
    consequence = ""
    if report.verdict is Verdict.INCONCLUSIVE and on_inconclusive in (OnInconclusive.PASS, OnInconclusive.FAIL):
        consequence = f"   [dim]taken as a {on_inconclusive}, as asked[/]"
    console.print(f"gate: [bold {colour}]{report.verdict}[/]{consequence}")
    console.print(f"[dim]{escape(', '.join(report.new))} against {escape(report.base)}[/]", soft_wrap=True)
    if report.sequential is not None:
        console.print(facts({key: str(value) for key, value in report.sequential["told"].items()}))
    grid = plain_table("question", "base>", "new>", "change>", "bounds|", "above>", "answer|")
    for each in report.decisions:
        grid.add_row(
            escape(_name(each)), base_text(each), value_text(each), change_text(each), bounds_text(each),
            bar_text(each), f"[{COLOURS[each.verdict]}]{each.verdict}[/]",
        )  # fmt: skip
    console.print(grid)
    console.print(f"[dim]one-sided bounds and tests at {100 * report.alpha:g} %: {_tests(report)}[/]", soft_wrap=True)
    for each in report.decisions:
        console.print(f"[dim]{escape(_name(each))}: {_details(each)}[/]", soft_wrap=True)
    weak = {each.criterion.name for each in report.weak}
    for line in advice(report):
        is_loud = line.split(":")[0] in weak and "equal policy" in line
        console.print(f"{'[lost]warning:[/]' if is_loud else '[note]note:[/]'} {escape(line)}", soft_wrap=True)


def print_gate_plan(plan: GatePlan, console: Console, margin: float | None) -> None:
    """Print what margins cost."""
    flipping = plan.flipping
    measured = "" if flipping.interval is None else f" {interval(flipping.interval)} on {flipping.n_pairs:,} pairs"
    rows = {
        "baseline": f"{plan.baseline}   {plan.suite} {plan.protocol}, {plan.n:,} episodes",
        "success rate": percent(plan.rate) if plan.rate is not None else "incomplete",
        "against itself": f"{percent(flipping.share)} of episodes flip{measured}",
        "": flipping.source,
        "an episode takes": duration(plan.wall_s)
        if plan.wall_s is not None and plan.wall_s >= 1
        else _short(plan.wall_s),
        "this plan decides": f"margins of {100 * plan.smallest_margin:.1f} points and more, with 80 % power",
    }
    console.print(facts(rows))
    grid = plain_table("margin>", "power here>", "80 %>", "90 %>", "no flips>", "unpaired>", "hours>")
    for row in plan.margins:
        text = f"{100 * row.margin:g} points"
        is_asked = margin is not None and abs(row.margin - margin) < 1e-12
        grid.add_row(
            f"[bold]{text}[/]" if is_asked else text, percent(row.power), f"{row.n_80:,}", f"{row.n_90:,}",
            f"{row.n_least:,}", f"{row.n_unpaired:,}", "–" if row.hours is None else f"{row.hours:.2f}",
        )  # fmt: skip
    console.print(grid)
    console.print(
        f"[dim]power here: chance that an equal policy passes on {plan.n:,} pairs. 80 %, 90 %: pairs for that power. "
        "Unpaired: episodes per policy, 80 %. Hours: of the candidate on that many pairs, one simulator at a time; "
        "twice that where the baseline runs too.[/]",
        soft_wrap=True,
    )


def _name(decision: Decision) -> str:
    return decision.criterion.name if decision.kind == "noninferior" else f"{decision.criterion.name} floor"


def _details(decision: Decision) -> str:
    p = decision.p_fail_adjusted if decision.verdict is Verdict.FAIL else decision.p_pass
    parts = [f"{decision.n:,} episodes", f"p {p_text(p)}"]
    if decision.pairs is not None:
        parts.append(f"{decision.pairs.new_only} gained, {decision.pairs.base_only} lost")
    if decision.power is not None:
        parts.append(f"an equal policy would pass {percent(decision.power)} of the time")
    return "; ".join(parts)


def _tests(report: GateReport) -> str:
    words = {
        "tango": "Tango's score test on pairs",
        "clustered": "Student's t over initial states",
        "score": "score test on independent trials",
        "bootstrap": "bootstrap over chains",
        "clopper_pearson": "Clopper–Pearson for floors",
        "e_process": "e-process, valid at any time",
    }
    return ", ".join(dict.fromkeys(words[each.test] for each in report.decisions))


def _short(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"
