"""`vla-bench export`: the episodes of runs as tables for other programs, or as a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.options import Db, Traces, examples
from vla_bench.spec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False)

DATASET = "With --format lerobot"
FORMATS = ("csv", "jsonl", "parquet", "lerobot")


@app.command(
    epilog=examples(
        "vla-bench export expert-toy_reach --format csv",
        "vla-bench export expert-toy_reach --format parquet --output episodes.parquet --force",
        "vla-bench export expert-toy_reach --format lerobot --only success --output dataset",
    )
)
def export(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs; one of them for a dataset.")],
    text_format: Annotated[
        str, typer.Option("--format", help="csv, jsonl, parquet, or lerobot for a dataset.")
    ] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", help="File or folder to write; named by the run where left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    only: Annotated[
        str, typer.Option(help="Keep only episodes that are a success, or a failure.", rich_help_panel=DATASET)
    ] = "",
    camera: Annotated[
        list[str] | None,
        typer.Option("--camera", help="Keep this camera; repeatable. All where left out.", rich_help_panel=DATASET),
    ] = None,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Render nothing.", rich_help_panel=DATASET)
    ] = False,
    size: Annotated[
        int, typer.Option(min=0, help="Side of the pictures; the suite's own where 0.", rich_help_panel=DATASET)
    ] = 0,
    fps: Annotated[
        int, typer.Option(min=1, help="Control steps a second, as the dataset says.", rich_help_panel=DATASET)
    ] = 20,
    layout: Annotated[str, typer.Option(help="Layout: v3.0 or v2.1.", rich_help_panel=DATASET)] = "v3.0",
    renderer: Annotated[
        str, typer.Option(help="Render back end; the first that works where empty.", rich_help_panel=DATASET)
    ] = "",
    db: Db = "",
    traces: Traces = "",
) -> None:
    """Write the episodes of runs as CSV, JSON Lines or Parquet, or replay a run into a LeRobot-style dataset.

    A table has one row per planned episode; `vla_bench.load` and pandas read it back. A dataset has what was seen and
    done at every step: the recorded actions are replayed, with pictures. What is written is there whole or not at all.
    """
    from vla_bench.cli.reading import find_run, open_results
    from vla_bench.harness.dataset import DatasetOptions
    from vla_bench.spec.names import match_name

    wanted = match_name(text_format, FORMATS)
    if wanted is None:
        raise UsageError(f"no format {text_format!r}: choose {', '.join(FORMATS)}")
    if only not in ("", "success", "failure"):
        raise UsageError(f"--only takes success or failure, not {only!r}")
    if wanted == "lerobot" and len(runs) > 1:
        raise UsageError("a dataset is of one run: export them one by one")
    with open_results(db, traces) as store:
        names = [find_run(store, run) for run in runs]
        path = output or Path("-".join(names) + ("" if wanted == "lerobot" else f".{wanted}"))
        if wanted == "lerobot":
            options = DatasetOptions(
                cameras=() if no_pictures else tuple(camera) if camera else None,
                size=size, only=only, fps=fps, layout=layout, renderer=renderer,
            )  # fmt: skip
            _write_dataset(store, names[0], path, options, force)
        else:
            _write_table(store, names, wanted, path, force)


def _write_table(store: object, names: list[str], table_format: str, path: Path, force: bool) -> None:
    from vla_bench.cli.display.console import answer
    from vla_bench.cli.display.words import plural
    from vla_bench.results.exports import export_table

    written = export_table(store, names, table_format, path, force=force)  # type: ignore[arg-type]
    answer().print(f"wrote {path}: {plural(len(written), 'episode')}", soft_wrap=True)


def _write_dataset(store: object, name: str, path: Path, options: object, force: bool) -> None:
    from rich.markup import escape

    from vla_bench.cli.display.console import answer, story
    from vla_bench.cli.display.words import plural
    from vla_bench.harness.dataset import export_dataset

    def tell(done: int, total: int) -> None:
        if done == total or done % 10 == 0:
            story().print(f"[dim]{done} of {total} episodes replayed[/]")

    written = export_dataset(store, name, path, options, force=force, told=tell)  # type: ignore[arg-type]
    for line in written.skipped:
        story().print(f"[lost]left out:[/] {escape(line)}", soft_wrap=True)
    sizes = f"{plural(written.n_episodes, 'episode')}, {plural(written.n_frames, 'frame')}"
    answer().print(f"wrote {written.path}: {sizes}", soft_wrap=True)
