"""`vla-bench runs`: what is in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples

if TYPE_CHECKING:
    from vla_bench.results.runs import RunSummary

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(epilog=examples("vla-bench runs", "vla-bench runs --suite toy_reach --json"))
def runs(
    suite: Annotated[str, typer.Option("--suite", "-s", help="Only runs of this suite.")] = "",
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """List the runs in the database, the newest first."""
    from vla_bench.cli.display.console import print_json, story

    found = _read(db, suite)
    if as_json:
        print_json({"runs": [run.to_dict() for run in found]})
    elif found:
        _print(found)
    else:
        story().print("no runs. Type: vla-bench run --policy expert --suite toy_reach")


def _read(db: str, suite: str) -> list[RunSummary]:
    from vla_bench.cli.reading import exists, open_results
    from vla_bench.spec.names import normalise_name

    if not exists(db):
        return []
    with open_results(db) as store:
        found = [run for run in store.summaries() if not suite or normalise_name(run.suite) == normalise_name(suite)]
    return found[::-1]


def _print(runs: list[RunSummary]) -> None:
    from rich.markup import escape

    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.tables import plain_table
    from vla_bench.cli.display.words import interval, percent

    table = plain_table("run", "suite", "rate>", "95 %|", "score", "started")
    for run in runs:
        name = f"[name]{escape(run.name)}[/]" + (" [note]oracle[/]" if run.is_oracle else "")
        name += " [note]imported[/]" if run.is_imported else ""
        name += " [note]fetched[/]" if run.fetched_from else ""
        rate = percent(run.rate) if run.is_complete else "[lost]none[/]"
        started = run.started_at[:16].replace("T", " ")
        suite = f"{run.suite} {run.protocol}"
        table.add_row(name, suite, rate, interval(run.these_tasks), escape(run.score_line), started)
    answer().print(table)
