"""`vla-bench diff`: why two runs are not comparable, or what differs between them."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.outcomes import ExitCode

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench diff expert-toy_reach noisy-toy_reach", "vla-bench diff expert-toy_reach noisy-toy_reach --json"
    )
)
def diff(
    first: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Name of another one.", show_default=False)],
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Say what differs between two runs, and what that does to the score.

    Suite and protocol, plan, settings, policy, machine and versions, and how the shared episodes ended. Exit code 0:
    nothing differs that decides or may move the score; 1: something does.
    """
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.difference import print_difference
    from vla_bench.cli.reading import find_run, open_results
    from vla_bench.results.diff import RunSide, diff_runs
    from vla_bench.results.evidence import gather_evidence

    with open_results(db) as store:
        names = [find_run(store, name) for name in (first, second)]
        sides = [RunSide(evidence=gather_evidence(store, n), machines=store.fingerprints(n)) for n in names]
    found = diff_runs(*sides)
    if as_json:
        print_json(found.to_dict())
    else:
        print_difference(found, answer())
    raise typer.Exit(ExitCode.OK if found.is_equal else ExitCode.CHECK_FAILED)
