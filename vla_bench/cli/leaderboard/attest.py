"""`vla-bench leaderboard attest`: say in public what one's own replays of a listed run gave."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, BoardToken, Db, Traces, examples
from vla_bench.cli.verify import Every, ReplayWorkers, SampleSeed, SampleSize, sample_size, verify_under_display

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench leaderboard attest theirs --all",
        "vla-bench leaderboard attest theirs --sample 59 --seed 4 --token-env BOARD_TOKEN",
    )
)
def attest(
    run: Annotated[str, typer.Argument(help="Name of a fetched run.", show_default=False)],
    sample: SampleSize = None,
    every: Every = False,
    seed: SampleSeed = None,
    workers: ReplayWorkers = None,
    token_env: BoardToken = "VLA_BENCH_TOKEN",
    db: Db = "",
    traces: Traces = "",
    as_json: AsJson = False,
) -> None:
    """Replay a run that `leaderboard fetch` got, as `verify` does, and publish on its board what came of it.

    It stands under your account on the page of the submission and in the public log, for good; no mark and no rank
    depends on it. Of your own submission you attest nothing. Exit code 0: published, and equal; 1: published, and
    something differs, or the board says no; 3: the board does not answer, or a replay came to no end here.
    """
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.verification import print_verification
    from vla_bench.cli.options import board_client
    from vla_bench.cli.reading import open_results
    from vla_bench.server.fetching.attest import find_source, find_submission, publish

    size = sample_size(sample, every=every)
    with open_results(db, traces) as store:
        source = find_source(store, run)
        with board_client(source.board, token_env) as client:
            # Before the replays: a board that is gone is known now.
            submission = find_submission(client, source)
            found = verify_under_display(store, run, sample=size, seed=seed, workers=workers)
            url = publish(client, source, submission, found)
    if as_json:
        print_json({"url": url, "verification": found.to_dict()})
    else:
        print_verification(found, answer())
        answer().print(f"Published: {url}", soft_wrap=True)
    raise typer.Exit(found.verdict.exit_code)
