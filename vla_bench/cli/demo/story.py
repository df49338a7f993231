"""The acts of the demo: an expert whose server is killed, then its clumsy twin on the same plan."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from vla_bench.cli.demo.saboteur import Saboteur
from vla_bench.cli.display.console import answer, story
from vla_bench.cli.display.listeners import Listeners
from vla_bench.cli.display.progress import LiveProgress, progress_display
from vla_bench.cli.display.report import print_score, print_tasks
from vla_bench.cli.display.tables import plain_table
from vla_bench.cli.display.words import bar, duration, interval, percent
from vla_bench.envs.registry import find_suite
from vla_bench.envs.runtime.rendering import choose_renderer
from vla_bench.harness.config import RunConfig
from vla_bench.harness.execute import execute_run
from vla_bench.spec.errors import Interrupted, NoRenderer

if TYPE_CHECKING:
    from vla_bench.cli.demo.photographer import Photographer
    from vla_bench.harness.events import Listener
    from vla_bench.results.runs import RunSummary

__all__ = ["Stage", "tell_story"]

SUITE, PROTOCOL, TRIALS = "metaworld_mt10", "compact", 2
HOLD = 4
"""Steps that one answer of the expert is held: fewer pictures to draw, and it still solves what it can."""
NOISE = 0.6
"""Standard deviation of the twin's noise, in units of the action's bounds."""
KILL_AFTER = 7
"""Episodes before the server is killed."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the story is told: `db` and `workers` are those of `vla-bench run`; a photographer shoots the screen."""

    db: str = ""
    workers: int | None = None
    photographer: Photographer | None = None


def tell_story(stage: Stage) -> list[RunSummary]:
    """Run both acts, print both results, and say what to type next.

    Raises:
        SuiteNotInstalled, MissingExtra: Meta-World is not installed; the message has the line.
    """
    begun_s = monotonic()
    cameras = _usable_cameras()
    expert = {"chunk": HOLD, "cameras": cameras}
    _title("1", f"a scripted expert drives {SUITE} through a policy server over HTTP", cameras)
    saboteur = Saboteur(KILL_AFTER)
    try:
        first = _act(stage, "demo-expert", expert, saboteur)
    finally:
        saboteur.stop()
    _print_result(first)
    _title("2", f"the same plan by a clumsy twin: noise of {NOISE} on every action", cameras)
    second = _act(stage, "demo-clumsy", {**expert, "noise": NOISE})
    _print_result(second)
    _close([first, second], stage, monotonic() - begun_s)
    return [first, second]


def _act(stage: Stage, name: str, options: dict[str, Any], *more: Listener) -> RunSummary:
    config = RunConfig(
        policy="expert",
        policy_options=options,
        suite=SUITE,
        protocol=PROTOCOL,
        trials=TRIALS,
        name=name,
        fresh=True,
        db=stage.db,
        workers=stage.workers,
        command="vla-bench demo",
    )
    display = progress_display() if stage.photographer is None else LiveProgress()
    if stage.photographer is not None:
        stage.photographer.subject = display
        more = (*more, stage.photographer)
    try:
        with display:
            return execute_run(config, listener=Listeners(display, *more))
    except Interrupted as error:
        raise Interrupted("interrupted; `vla-bench demo` begins anew") from error


def _print_result(summary: RunSummary) -> None:
    story().print("")
    print_score(summary, answer())
    print_tasks(summary, answer())


def _usable_cameras() -> list[str]:
    """Every camera of the suite; none where no render back end works, which is said."""
    try:
        choose_renderer("mujoco")
    except NoRenderer as error:
        story().print(f"[lost]no pictures:[/] {escape(str(error))} The demo goes on with states only.", soft_wrap=True)
        return []
    return [camera.name for camera in find_suite(SUITE, PROTOCOL).cameras]


def _title(number: str, text: str, cameras: list[str]) -> None:
    pictures = f"pictures: {', '.join(cameras)}" if cameras else "no pictures"
    story().rule(style="dim")
    story().print(f"[bold cyan]{number}[/]  [bold]{text}[/]  [dim]({pictures})[/]", soft_wrap=True)


def _close(runs: list[RunSummary], stage: Stage, took_s: float) -> None:
    """Both runs side by side, and the next commands."""
    console = answer()
    story().rule(style="dim")
    # A bar and the score line do not both fit into 80 columns.
    bars = [" |"] if console.width >= 100 else []
    table = plain_table("run", "success rate>", *bars, "95 % on these tasks|", "score|")
    for run in runs:
        drawn = [f"[good]{bar(run.rate, run.these_tasks)}[/]" for _ in bars]
        table.add_row(escape(run.name), percent(run.rate), *drawn, interval(run.these_tasks), run.score_line)
    console.print(table)
    plan = f"plan {runs[0].plan_hash[:12]}" if runs[0].plan_hash == runs[1].plan_hash else "different plans"
    console.print(f"Both ran {plan}; every episode is in the database. All took {duration(took_s)}.\n")
    console.print("Next:")
    where = f" --db {stage.db}" if stage.db else ""
    for line, why in (
        (f"vla-bench show {runs[1].name}{where}", "any result again; --json for programs"),
        ("vla-bench run --policy random --suite metaworld_reach --trials 2", "a run of your own"),
        ("vla-bench serve random", "what a policy server is: yours is 20 lines, see the README"),
    ):
        console.print(f"  [bold]{escape(line)}[/]", soft_wrap=True)
        console.print(f"      [dim]{escape(why)}[/]")
