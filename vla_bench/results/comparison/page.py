"""A comparison as one HTML file that stands alone: plots, tables, flipped episodes and their traces side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vla_bench.results.comparison.differences import Difference, SuiteDifference
from vla_bench.results.comparison.flips import Flip, SideOfFlip, Traces
from vla_bench.results.comparison.pictures import MOST_ROWS, suite_plot, traces_plot
from vla_bench.results.comparison.table import Comparison, Pairing, SuiteTable
from vla_bench.results.plots.page import page_css, page_environment
from vla_bench.results.plots.style import adaptive_svg
from vla_bench.results.wording import rate_interval

__all__ = ["about_pairs", "comparison_page", "outcome_text", "parting_text"]

MOST_FLIPS, MOST_TRACES = 400, 40
"""What one page lists and draws: beyond that it is no page to read, and grows past five megabytes."""


def comparison_page(
    comparison: Comparison, flips: Sequence[tuple[str, Flip]], traces: Sequence[tuple[str, Traces]], *, theme: str = ""
) -> str:
    """The page.

    Args:
        comparison: what was found.
        flips: with the name of the policy that is compared with the reference.
        traces: of some of them.
        theme: `light`, `dark`, or empty to follow the reader's colour scheme.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    from markupsafe import Markup

    reference = comparison.sides[0]
    others = ", ".join(comparison.sides[1:]) if len(comparison.sides) <= 4 else f"{len(comparison.sides) - 1} policies"
    drawn = [
        {
            "title": f"{each.flip.task}, trial {each.flip.trial}: {outcome_text(each.flip.new)} under {name}",
            "about": parting_text(each.flip),
            # Made here of escaped text: the only markup that goes into the page as it is.
            "plot": Markup(_svg(each, (name, reference), theme)),
        }
        for name, each in traces[:MOST_TRACES]
    ]
    template = page_environment("vla_bench.results.comparison").get_template("compare.html")
    return template.render(
        title=f"{others} against {reference}",
        css=Markup(page_css()),
        theme=theme,
        comparison=comparison,
        sections=[_section(table, theme) for table in comparison.suites],
        flips=flips[:MOST_FLIPS],
        flips_about=_about_flips(flips, len(drawn)),
        traces=drawn,
        rate_interval=rate_interval,
        outcome=outcome_text,
    )


def about_pairs(table: SuiteTable) -> str:
    """How many episodes are compared, and how they belong together."""
    n, planned = table.n_compared, table.n_planned
    if table.pairing is Pairing.UNPAIRED:
        return "independent trials: episodes are not paired"
    if table.pairing is Pairing.INTERSECTION and n < planned:
        return f"{n:,} of {planned:,} episodes: the intersection, judged in every run"
    return f"{n:,} pairs of one plan"


def outcome_text(side: SideOfFlip) -> str:
    """`success, 41 steps`, `failure`, `failure, 2 stages, 300 steps`."""
    parts = ["success" if side.is_success else "failure"]
    parts += [] if side.length is None else [f"{side.length} stages"]
    parts += [] if side.n_steps is None else [f"{side.n_steps} steps"]
    return ", ".join(parts)


def parting_text(flip: Flip) -> str:
    """Where the two traces of a flip part, in a sentence."""
    if flip.problem:
        return flip.problem
    if flip.actions_part_at is None:
        return "the actions are equal at every step: the simulator made the difference"
    text = f"actions part at step {flip.actions_part_at}"
    if flip.states_part_at is not None:
        text += f", states by step {flip.states_part_at}"
    if flip.largest_difference is not None:
        text += f"; largest difference of an entry {flip.largest_difference:.3g}"
    return text


def _section(table: SuiteTable, theme: str) -> dict[str, Any]:
    from markupsafe import Markup

    names = ", ".join(row.side for row in table.policies)
    title = f"{table.suite}: success rates and differences"
    about = f"Forest plot of success rates with 95 % intervals and of differences from the first policy, of {names}."
    svg = adaptive_svg(suite_plot(table), title=title, description=about, theme=theme)
    return {
        "table": table,
        "about": about_pairs(table),
        "plot": Markup(svg),
        "parts": [_parts(difference) for difference in table.differences],
    }


def _parts(difference: SuiteDifference) -> list[dict[str, Any]]:
    parts = [
        {"title": tag, "caption": f"by {tag}", "rows": rows} for tag, rows in difference.groups.items() if len(rows) > 1
    ]
    rows: Sequence[Difference] = difference.tasks
    caption = "by task"
    if len(rows) > 10 * MOST_ROWS:
        rows = sorted(rows, key=lambda part: (part.p, -abs(part.difference)))[:MOST_ROWS]
        caption = f"the {MOST_ROWS} tasks of {len(difference.tasks):,} that differ most; all of them: --json"
    return [*parts, {"title": "task", "caption": caption, "rows": rows}]


def _about_flips(flips: Sequence[tuple[str, Flip]], n_traces: int) -> str:
    n_gained = sum(flip.is_gain for _, flip in flips)
    text = f"{len(flips)} episodes ended differently: {n_gained} gained, {len(flips) - n_gained} lost."
    if len(flips) > MOST_FLIPS:
        text += f" The first {MOST_FLIPS} are listed; all of them: --json."
    return f"{text} The executed actions of {n_traces} of them stand side by side below." if n_traces else text


def _svg(traces: Traces, names: tuple[str, str], theme: str) -> str:
    flip = traces.flip
    title = f"Actions in {flip.task}, trial {flip.trial}"
    about = (
        f"Executed actions by control step, one line per dimension, of {names[0]} and {names[1]}. {parting_text(flip)}."
    )
    return adaptive_svg(traces_plot(traces, names), title=title, description=about, theme=theme)
