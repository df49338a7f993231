"""`vla-bench submit`: send a run to a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, BoardServer, BoardToken, Db, Traces, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench submit expert-toy_reach --write-declaration lamp.yaml",
        "vla-bench submit expert-toy_reach --declaration lamp.yaml --server https://board.example.org",
    )
)
def submit(
    run: Annotated[
        str, typer.Argument(help="Name of the run; the newest one where left out.", show_default=False)
    ] = "",
    server: BoardServer = "",
    declaration: Annotated[
        Path | None,
        typer.Option(help="YAML file that says what no episode can show.", show_default=False),
    ] = None,
    write_declaration: Annotated[
        Path | None,
        typer.Option(
            help="Write such a file to fill in, with what the run's policy says, and end.", show_default=False
        ),
    ] = None,
    token_env: BoardToken = "VLA_BENCH_TOKEN",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the board's checks.")] = False,
    db: Db = "",
    traces: Traces = "",
    as_json: AsJson = False,
) -> None:
    """Send a run to a leaderboard: plan, episodes, traces, provenance, and what you declare of the policy.

    What was sent before is not sent again: repeat the command after an interruption. The board checks the bundle,
    counts every number anew and draws episodes to replay. Exit code 0: listed; 1: refused, with every reason; 3: the
    board does not answer, or the run is not complete.
    """
    from vla_bench.cli.display.submitting import SubmitProgress, print_submitted
    from vla_bench.cli.options import board_client
    from vla_bench.cli.reading import find_run, open_results
    from vla_bench.server.submissions.declaration import read_declaration
    from vla_bench.server.submissions.send import submit as send

    with open_results(db, traces) as store:
        name = find_run(store, run)
        if write_declaration is not None:
            _write(store, name, write_declaration)
            return
        if declaration is None:
            raise UsageError("give --declaration FILE; --write-declaration FILE writes one to fill in")
        declared = read_declaration(declaration)
        with board_client(server, token_env) as client, SubmitProgress() as progress:
            sent = send(client, store, name, declared, waits=not no_wait, told=progress.tell)
    print_submitted(sent, as_json=as_json)


def _write(store: object, name: str, path: Path) -> None:
    from vla_bench.cli.display.console import answer
    from vla_bench.server.submissions.declaration import template_of

    if path.exists():
        raise UsageError(f"{path} exists: it is not replaced")
    path.write_text(template_of(store, name), encoding="utf-8")  # type: ignore[arg-type]
    answer().print(f"wrote {path}: fill it in, then vla-bench submit {name} --declaration {path} --server URL",
                   soft_wrap=True)  # fmt: skip
