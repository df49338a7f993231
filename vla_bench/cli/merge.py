"""`vla-bench merge`: the shards of a run, from several databases, in one."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.outcomes import ExitCode

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(epilog=examples("vla-bench merge shard-1.db shard-2.db --db all.db"))
def merge(
    sources: Annotated[
        list[str], typer.Argument(metavar="DATABASE…", help="Databases to read; they stay as they are.")
    ],
    run: Annotated[list[str] | None, typer.Option("--run", help="Take only this run; repeatable.")] = None,
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Join the runs of other databases (shards) into one.

    Runs of one name are one run: they must agree on suite, plan, settings and policy. Exit code 3 says that episodes
    are still missing.
    """
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.report import print_score
    from vla_bench.cli.reading import tell_notices
    from vla_bench.results.merge import merge as merge_databases
    from vla_bench.results.store import Store

    with Store.open(db, sole_writer=True) as store:
        merged = merge_databases(store, sources, run or ())
        tell_notices(store.notices)
    if as_json:
        print_json({"runs": [summary.to_dict() for summary in merged]})
    else:
        for summary in merged:
            print_score(summary, answer())
    if not all(summary.is_complete for summary in merged):
        raise typer.Exit(ExitCode.INCOMPLETE)
