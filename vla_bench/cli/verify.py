"""`vla-bench verify`: replay what a run has recorded, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vla_bench.cli.options import AsJson, Db, Traces, examples
from vla_bench.spec.errors import UsageError

if TYPE_CHECKING:
    from vla_bench.harness.replay import Verification
    from vla_bench.results.store import Store

__all__ = [
    "Every", "ReplayWorkers", "SampleSeed", "SampleSize", "app", "sample_size", "verify_under_display",
]  # fmt: skip

app = typer.Typer(add_completion=False)

SampleSize = Annotated[
    int | None,
    typer.Option(
        "--sample", help="Replay so many episodes, drawn at random; 59 where neither this nor --all is given."
    ),
]
Every = Annotated[bool, typer.Option("--all", help="Replay every judged episode.")]
SampleSeed = Annotated[
    int | None, typer.Option("--seed", help="Draw the sample of this seed, as an earlier one told it.")
]
ReplayWorkers = Annotated[
    int | None, typer.Option("--workers", "-w", min=1, help="Simulators at a time; as many as cores.")
]


@app.command(
    epilog=examples("vla-bench verify expert-toy_reach", "vla-bench verify expert-toy_reach --sample 5 --json")
)
def verify(
    run: Annotated[
        str, typer.Argument(help="Name of the run; the newest one where left out.", show_default=False)
    ] = "",
    sample: SampleSize = None,
    every: Every = False,
    seed: SampleSeed = None,
    workers: ReplayWorkers = None,
    against_calvin_env: Annotated[
        Path | None,
        typer.Option(
            help="Instead: step this checkout of CALVIN's own environment beside ours, and name the first difference.",
            show_default=False,
        ),
    ] = None,
    db: Db = "",
    traces: Traces = "",
    as_json: AsJson = False,
) -> None:
    """Replay a run's recorded actions without its policy, and compare states and outcomes with the stored ones.

    Equal to the bit on the machine of the run, equal in outcome elsewhere. Exit code 0: equal; 1: something differs, is
    damaged or contradicts itself; 3: nothing differs, but episodes are missing. It proves that these actions give this
    outcome, not who chose them.
    """
    if against_calvin_env is not None:
        from vla_bench.cli.against import verify_against_calvin_env

        if run or sample is not None or every:
            raise UsageError("--against-calvin-env compares environments, not a run: leave the run's name out")
        raise typer.Exit(0 if verify_against_calvin_env(against_calvin_env, as_json=as_json) else 1)

    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.verification import print_verification
    from vla_bench.cli.reading import find_run, open_results

    size = sample_size(sample, every=every)
    with open_results(db, traces) as store:
        verification = verify_under_display(store, find_run(store, run), sample=size, seed=seed, workers=workers)
    if as_json:
        print_json(verification.to_dict())
    else:
        print_verification(verification, answer())
    raise typer.Exit(verification.verdict.exit_code)


def sample_size(sample: int | None, *, every: bool) -> int | None:
    """How many episodes `--sample` and `--all` ask for; None for all of them.

    Raises:
        UsageError: both were given, or a sample of none.
    """
    from vla_bench.harness.replay.sample import DEFAULT_SAMPLE

    if every and sample is not None:
        raise UsageError("--sample and --all exclude one another")
    if sample is not None and sample < 1:
        raise UsageError(f"a sample has at least one episode, not {sample}")
    return None if every else sample or DEFAULT_SAMPLE


def verify_under_display(
    store: Store, run: str, *, sample: int | None, seed: int | None, workers: int | None
) -> Verification:
    """`verify_run` with a progress display; its arguments and errors."""
    from vla_bench.cli.display.replaying import ReplayProgress
    from vla_bench.harness.replay import verify_run

    with ReplayProgress() as progress:
        return verify_run(
            store,
            run,
            sample=sample,
            seed=seed,
            workers=workers,
            started=lambda drawn: progress.begin(len(drawn.recordings)),
            told=progress.add,
        )
