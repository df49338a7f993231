"""`vla-bench compare`: is one policy really better than another?"""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench compare expert-toy_reach noisy-toy_reach",
        "vla-bench compare main.json expert-toy_reach noisy-toy_reach --plot compare.html",
        "vla-bench compare expert-toy_reach half-toy_reach --intersection --json",
    )
)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN…",
            help="Runs or baseline files (.json); the first is the reference. Runs of one policy on several suites are "
            "joined by commas.",
            show_default=False,
        ),
    ],
    intersection: Annotated[
        bool, typer.Option("--intersection", help="Compare the episodes that all runs judged, where plans differ.")
    ] = False,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Compare the rates of independent trials, where plans share nothing.")
    ] = False,
    flips: Annotated[
        int, typer.Option(help="Flipped episodes to look into: where do their traces part? 0 for none, -1 for all.")
    ] = 10,
    plot: Annotated[
        str, typer.Option(metavar="FILE", help="Draw it: .png, .svg, or .html with tables and traces side by side.")
    ] = "",
    theme: Annotated[str, typer.Option(help="light or dark; SVG and HTML follow the reader where empty.")] = "",
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Compare runs: differences with intervals and Holm-adjusted p-values, and which episodes flipped.

    Runs of one plan are paired episode by episode: exact McNemar test, Tango's interval. Different plans are refused.
    """
    from vla_bench.cli.comparing import Question, answer_comparison
    from vla_bench.results.comparison.table import Pairing

    if intersection and unpaired:
        raise UsageError("--intersection pairs episodes and --unpaired does not: choose one")
    if theme not in ("", "light", "dark"):
        raise UsageError(f"--theme is light or dark, not {theme!r}")
    pairing = Pairing.INTERSECTION if intersection else Pairing.UNPAIRED if unpaired else Pairing.PLAN
    question = Question(
        arguments=tuple(runs), pairing=pairing, n_flips=flips, plot=plot, theme=theme, db=db, as_json=as_json
    )
    answer_comparison(question)
