"""How a verification looks: what was compared, what disagrees, and what an agreement proves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from vla_bench.cli.display.tables import facts
from vla_bench.cli.display.words import percent, plural

if TYPE_CHECKING:
    from vla_bench.harness.replay import ReplayResult, Sample, Verification
    from vla_bench.results.evidence import Finding

__all__ = ["print_verification"]

MOST_LINES = 20
_MEANINGS = {
    "bit": "every compared state and the outcome are equal",
    "outcome": "the outcome and its step are equal; states differ, on another machine",
    "differs": "the recorded outcome is not what these actions give",
    "unreadable": "the trace is missing or damaged",
    "lost": "the simulator did not see the replay through",
}
_STYLES = {"bit": "good", "outcome": "good", "differs": "bad", "unreadable": "bad", "lost": "lost"}


def print_verification(verification: Verification, console: Console) -> None:
    """Print counts, disagreements, findings, the verdict and its reach."""
    title = f"[name]{escape(verification.run)}[/]"
    if verification.sample is not None:
        console.print(f"{title}  [dim]{verification.suite} {verification.protocol}[/]")
        console.print(f"  {_drawn(verification.sample)}")
    else:
        console.print(title)
    counts = verification.counts
    rows = {
        f"[{_STYLES[agreement]}]{agreement}[/]": f"{counts[agreement]:>6,}  {_MEANINGS[agreement]}"
        for agreement in sorted(counts, key=list(_STYLES).index)
    }
    if rows:
        console.print(facts(rows))
    _print_lines([_result_line(result) for result in verification.disagreements], console)
    _print_lines([_finding_line(finding) for finding in verification.findings], console)
    console.print(_verdict(verification), soft_wrap=True)


def _drawn(sample: Sample) -> str:
    n_drawn, n_all = len(sample.recordings), sample.n_success_of + sample.n_failure_of
    if n_drawn == n_all:
        return f"replayed: all {plural(n_all, 'judged episode')}"
    return (
        f"replayed: {n_drawn} of {plural(n_all, 'judged episode')} ({sample.n_success} of {sample.n_success_of} "
        f"successes, {sample.n_failure} of {sample.n_failure_of} failures, --seed {sample.seed})"
    )


def _result_line(result: ReplayResult) -> str:
    episode = result.episode
    again = f" repeat {episode.repeat}" if episode.repeat else ""
    reasons = "; ".join(result.reasons)
    style = _STYLES[result.agreement]
    return f"[{style}]{result.agreement}[/] {escape(episode.task)} trial {episode.trial}{again}: {escape(reasons)}"


def _finding_line(finding: Finding) -> str:
    where = f"{finding.about} {finding.episode}".strip()
    return f"[bad]{escape(where)}[/]: {escape(finding.message)}"


def _print_lines(lines: Sequence[str], console: Console) -> None:
    for line in lines[:MOST_LINES]:
        console.print(line, soft_wrap=True)
    if len(lines) > MOST_LINES:
        console.print(f"… and {len(lines) - MOST_LINES:,} more; --json has all")


def _verdict(verification: Verification) -> str:
    n_missing = verification.n_planned - verification.n_judged
    if verification.verdict == "differs":
        return "[bad]differs[/]: the stored result is not what its recorded actions give"
    if verification.verdict == "incomplete":
        missing = f"{plural(n_missing, 'planned episode')} without a judged outcome" if n_missing else ""
        lost = plural(verification.counts["lost"], "replay") + " lost" if verification.counts["lost"] else ""
        what = ", ".join(filter(None, (missing, lost))) or "nothing was judged"
        return f"[lost]incomplete[/]: {what}; nothing that was replayed differs"
    reach = ""
    if verification.deviating_at_most is not None:
        share = percent(verification.deviating_at_most)
        reach = f" As none of the sample differs, at most {share} of the successes do (95 % confidence)."
    return (
        f"[good]equal[/]: these actions give these outcomes.{reach} [dim]Who chose the actions, a replay cannot say.[/]"
    )
