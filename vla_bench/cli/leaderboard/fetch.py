"""`vla-bench leaderboard fetch`: get at the episodes behind a number of somebody's leaderboard."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, Traces, examples

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench leaderboard fetch https://board.example.org/runs/12",
        "vla-bench leaderboard fetch https://board.example.org/runs/12 --name theirs --db check.db",
    )
)
def fetch(
    page: Annotated[str, typer.Argument(metavar="URL", help="Address of a run's page.", show_default=False)],
    name: Annotated[
        str, typer.Option(help="Name of the run here; the board's where empty, with a number where it is taken.")
    ] = "",
    db: Db = "",
    traces: Traces = "",
    as_json: AsJson = False,
) -> None:
    """Fetch a listed run with its recorded actions, so that `vla-bench verify` replays them on your machine.

    Needs no account. What broke off goes on when the command is repeated. The run is marked with where it comes from:
    it can be replayed, compared and drawn, but nothing goes on with it and no board takes it as yours. Exit code 0:
    it is here; 1: what arrived is not what the board named; 2: the board has no such run; 3: it does not answer.
    """
    from dataclasses import asdict

    from rich.markup import escape

    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.downloads import transfer_display
    from vla_bench.cli.reading import tell_notices
    from vla_bench.results.store import Store
    from vla_bench.server.fetching.fetch import fetch as take

    with Store.open(db, traces, sole_writer=True) as store:
        tell_notices(store.notices)
        with transfer_display() as report:
            fetched = take(store, page, name=name, told=lambda done, total: report("fetching the run", done, total))
    if as_json:
        print_json(asdict(fetched))
        return
    kept = "as it was submitted" if fetched.is_as_sealed else "written anew by the board"
    answer().print(f"fetched [name]{escape(fetched.run)}[/]: {escape(fetched.score_line)}", soft_wrap=True)
    told = f"{fetched.bundle_bytes} bytes, SHA-256 {fetched.bundle_digest[:16]}, {kept}"
    answer().print(f"[dim]{fetched.n_traces} recordings, {told}[/]", soft_wrap=True)
    answer().print(f"Replay them: {escape(_next_line(fetched.run, db, traces))}", soft_wrap=True)


def _next_line(run: str, db: str, traces: str) -> str:
    import shlex

    places = [*(("--db", db) if db else ()), *(("--traces", traces) if traces else ())]
    return shlex.join(["vla-bench", "verify", run, "--all", *places])
