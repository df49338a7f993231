"""`vla-bench import`: result files of other harnesses as self-reported runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import AsJson, Db, examples
from vla_bench.spec.errors import UsageError
from vla_bench.spec.outcomes import ExitCode

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command(
    epilog=examples(
        "vla-bench import LIBEROBenchmark_spatial.json --policy pi0",
        "vla-bench import eval_info.json --policy smolvla --name smolvla-libero --json",
    )
)
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="A result file; all shards of one where it was sharded.")
    ],
    policy: Annotated[
        str, typer.Option("--policy", "-p", help="Which policy was evaluated: the files do not say.")
    ] = "",
    version: Annotated[str, typer.Option(help="Its version or checkpoint.")] = "",
    name: Annotated[str, typer.Option(help="Name of the run; policy and benchmark where empty.")] = "",
    suite: Annotated[
        str, typer.Option("--suite", "-s", help="The suite of ours that it is: tasks are matched by name or number.")
    ] = "",
    db: Db = "",
    as_json: AsJson = False,
) -> None:
    """Import result files of vla-eval or lerobot-eval as self-reported runs.

    Such a run has no traces, cannot be verified, and is compared as independent trials. What the other harness lost is
    lost, not failed: exit code 3 says that episodes are missing.
    """
    from vla_bench.cli.display.console import answer, print_json
    from vla_bench.cli.display.report import print_score
    from vla_bench.cli.reading import tell_notices
    from vla_bench.envs.registry import find_suite
    from vla_bench.results.imports import import_result, read_results
    from vla_bench.results.imports.writing import notes_of
    from vla_bench.results.store import Store

    results, digest = read_results(files)
    ours = find_suite(suite) if suite else None
    if ours is not None and len(results) > 1:
        names = ", ".join(result.benchmark for result in results)
        raise UsageError(
            f"the file holds several benchmarks ({names}), which are not all {ours.name}: leave --suite out"
        )
    with Store.open(db, sole_writer=True) as store:
        tell_notices(store.notices)
        imported = [
            import_result(
                store,
                result,
                policy=policy,
                version=version,
                name=name if len(results) == 1 or not name else f"{name}-{result.benchmark}",
                suite=ours,
                files=files,
                digest=digest,
            )
            for result in results
        ]
    if as_json:
        print_json({"runs": [summary.to_dict() for summary in imported]})
    else:
        for summary in imported:
            print_score(summary, answer())
    tell_notices([f"{summary.name}: {note}" for summary in imported for note in notes_of(summary)])
    if not all(summary.is_complete for summary in imported):
        raise typer.Exit(ExitCode.INCOMPLETE)
