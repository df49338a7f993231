"""The acts of the demo: an expert whose server is killed, then its clumsy twin on the same plan."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from vla_bench.cli.demo.saboteur import Saboteur
from vla_bench.cli.display.console import answer, story
from vla_bench.cli.display.listeners import Listeners
from vla_bench.cli.display.progress import progress_display
from vla_bench.cli.display.report import print_report
from vla_bench.cli.display.tables import plain_table
from vla_bench.cli.display.words import bar, duration, interval, percent
from vla_bench.envs.registry import find_suite
from vla_bench.harness.config import RunConfig
from vla_bench.harness.execute import execute_run
from vla_bench.spec.errors import NoRenderer
from vla_bench.spec.outcomes import ExitCode

if TYPE_CHECKING:
    from vla_bench.harness.events import Listener
    from vla_bench.results.runs import RunSummary

__all__ = ["tell_story"]

SUITE, PROTOCOL, TRIALS = "metaworld_mt10", "compact", 2
HOLD = 4
"""Steps that one answer of the expert is held: fewer pictures to draw, and it still solves what it can."""
NOISE = 0.6
"""Standard deviation of the twin's noise, in units of the action's bounds."""
KILL_AFTER = 7
"""Episodes before the server is killed."""


def tell_story(*, db: str, workers: int | None, record: Path | None) -> None:
    """Run both acts, print both results, and say what to type next.

    Raises:
        SuiteNotInstalled, MissingExtra: Meta-World is not installed; the message has the line.
        typer.Exit: with code 3 where an episode stayed lost all the same.
    """
    begun_s = monotonic()
    cameras = _usable_cameras()
    expert = {"chunk": HOLD, "cameras": cameras}
    _title("1", f"A scripted expert drives {SUITE} through a policy server over HTTP", cameras)
    saboteur = Saboteur(KILL_AFTER)
    try:
        first = _act("demo-expert", expert, db, workers, saboteur)
    finally:
        saboteur.stop()
    print_report(first, answer())
    _title("2", f"The same plan again, by a clumsy twin: noise of {NOISE} on every action", cameras)
    second = _act("demo-clumsy", {**expert, "noise": NOISE}, db, workers)
    print_report(second, answer())
    _close([first, second], db, monotonic() - begun_s)
    if record is not None:
        from vla_bench.cli.demo.pictures import draw_pictures

        draw_pictures(record, suite=SUITE, protocol=PROTOCOL)
    if not (first.is_complete and second.is_complete):
        raise typer.Exit(ExitCode.INCOMPLETE)


def _act(name: str, options: dict[str, Any], db: str, workers: int | None, *more: Listener) -> RunSummary:
    config = RunConfig(
        policy="expert",
        policy_options=options,
        suite=SUITE,
        protocol=PROTOCOL,
        trials=TRIALS,
        name=name,
        fresh=True,
        db=db,
        workers=workers,
        command="vla-bench demo",
    )
    with progress_display() as display:
        return execute_run(config, listener=Listeners(display, *more))


def _usable_cameras() -> list[str]:
    """Every camera of the suite; none where no render back end works, which is said."""
    from vla_bench.envs.runtime.rendering import choose_renderer

    try:
        choose_renderer("mujoco")
    except NoRenderer as error:
        story().print(f"[lost]no pictures:[/] {escape(str(error))} The demo goes on with states only.", soft_wrap=True)
        return []
    return [camera.name for camera in find_suite(SUITE, PROTOCOL).cameras]


def _title(number: str, text: str, cameras: list[str]) -> None:
    pictures = f"pictures: {', '.join(cameras)}" if cameras else "no pictures"
    story().rule(style="dim")
    story().print(f"[bold cyan]{number}[/]  [bold]{text}[/]  [dim]{pictures}[/]")


def _close(runs: list[RunSummary], db: str, took_s: float) -> None:
    """Both runs side by side, and the next commands."""
    console = answer()
    story().rule(style="dim")
    table = plain_table("run", "success rate>", " ", "95 % on these tasks", "score")
    for run in runs:
        rate = f"[good]{bar(run.rate, run.these_tasks)}[/]"
        table.add_row(escape(run.name), percent(run.rate), rate, interval(run.these_tasks), run.score_line)
    console.print(table)
    same = "the same plan" if runs[0].plan_hash == runs[1].plan_hash else "different plans"
    where = f" --db {db}" if db else ""
    console.print(
        f"Both ran {same} ({runs[0].plan_hash[:12]}), every episode is in the database. It took {duration(took_s)}.\n"
    )
    console.print("Next:")
    for line, why in (
        (f"vla-bench show {runs[1].name}{where}", "any result again, with --json for programs"),
        ("vla-bench run --policy random --suite metaworld_reach --trials 2", "a run of your own"),
        ("vla-bench serve random", "what a policy server is; docs/serve-a-policy.md has yours in 20 lines"),
    ):
        console.print(f"  [bold]{escape(line)}[/]", soft_wrap=True)
        console.print(f"      [dim]{escape(why)}[/]")
