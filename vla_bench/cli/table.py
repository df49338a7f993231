"""`vla-bench table`: runs and groups as a table for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import Db, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench table expert-toy_reach",
        "vla-bench table expert-toy_reach --layout tasks --format latex --output table.tex --force",
    )
)
def table(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN|GROUP…", help="Runs and groups, in the order of the rows.")
    ],
    text_format: Annotated[str, typer.Option("--format", help="markdown, latex (booktabs) or csv.")] = "markdown",
    layout: Annotated[
        str, typer.Option(help="runs: a row each; suites: a column per suite; tasks: a row per task, a column each.")
    ] = "runs",
    output: Annotated[Path | None, typer.Option("--output", help="File to write; printed where left out.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    db: Db = "",
) -> None:
    """Print runs and groups as a table for a paper, with n, variant and seeds.

    Scores of different suites or ways of averaging stand in blocks of their own. Nothing is ranked and no number is set
    bold: whether one policy is better than another is `vla-bench compare`'s to say.
    """
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.reading import open_results
    from vla_bench.results.exports.atomic import new_file
    from vla_bench.results.exports.papers import find_scores, lay_out, render

    with open_results(db) as store:
        text = render(lay_out(find_scores(store, names), layout), text_format)
    if output is None:
        answer().out(text.rstrip("\n"), highlight=False)
        return
    with new_file(output, force=force) as path:
        path.write_text(text, encoding="utf-8")
    answer().print(f"wrote {output}", soft_wrap=True)
