"""`vla-bench show`: the result of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples("vla-bench show", "vla-bench show expert-toy_reach", "vla-bench show expert-toy_reach --json")
)
def show(
    run: Annotated[
        str, typer.Argument(help="Name of the run; the newest one where left out.", show_default=False)
    ] = "",
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Show the result of a run: rates with intervals, task by task.

    A run with missing episodes has no rate; the command that completes it is shown.
    """
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.report import print_report
    from vla_bench.cli.reading import find_run, open_results

    with open_results(db) as store:
        summary = store.summary(find_run(store, run))
        machines = store.fingerprints(summary.name)
    if as_json:
        print_json(summary.to_dict())
    else:
        print_report(summary, answer(), machines)
