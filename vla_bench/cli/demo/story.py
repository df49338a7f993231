"""The acts of the demo: an expert whose server is killed, its clumsy twin, and what tells the two apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from vla_bench.cli.demo.saboteur import Saboteur
from vla_bench.cli.demo.verdict import film_a_flip, print_flips, print_gate_verdict, print_replay
from vla_bench.cli.display.console import answer, story
from vla_bench.cli.display.listeners import Listeners
from vla_bench.cli.display.progress import LiveProgress, progress_display
from vla_bench.cli.display.report import print_score, print_tasks
from vla_bench.cli.display.tables import plain_table
from vla_bench.cli.display.words import bar, duration, interval, percent
from vla_bench.cli.reading import open_results
from vla_bench.envs.registry import find_suite
from vla_bench.envs.runtime.rendering import choose_renderer
from vla_bench.harness.config import RunConfig
from vla_bench.harness.execute import execute_run
from vla_bench.spec.errors import Interrupted, NoRenderer

if TYPE_CHECKING:
    from vla_bench.cli.demo.photographer import Photographer
    from vla_bench.harness.events import Listener
    from vla_bench.results.runs import RunSummary

__all__ = ["Stage", "Story", "tell_story"]

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


@dataclass(frozen=True, kw_only=True)
class Story:
    """What came of it: both runs, a film where one was made, and whether the replay agreed; None without a replay."""

    runs: tuple[RunSummary, RunSummary]
    film: Path | None = None
    is_replay_equal: bool | None = None


def tell_story(stage: Stage) -> Story:
    """Run both policies, print both results and what tells them apart, and say what to type next.

    Raises:
        SuiteNotInstalled, MissingExtra: Meta-World is not installed; the message has the line.
    """
    begun_s = monotonic()
    cameras = _usable_cameras()
    expert = {"chunk": HOLD, "cameras": cameras}
    pictures = f"pictures: {', '.join(cameras)}" if cameras else "no pictures"
    _title("1", f"a scripted expert drives {SUITE} through a policy server over HTTP", pictures)
    saboteur = Saboteur(KILL_AFTER)
    try:
        first = _act(stage, "demo-expert", expert, saboteur)
    finally:
        saboteur.stop()
    _print_result(first)
    _title("2", f"the same plan by a clumsy twin: noise of {NOISE} on every action", pictures)
    second = _act(stage, "demo-clumsy", {**expert, "noise": NOISE})
    _print_result(second)
    told = Story(runs=(first, second))
    if first.is_complete and second.is_complete:
        told = _tell_apart(told, stage, has_pictures=bool(cameras))
    _close(told, stage, monotonic() - begun_s)
    return told


def _tell_apart(told: Story, stage: Stage, *, has_pictures: bool) -> Story:
    """The acts that need both results: verdict, flips, film, replay."""
    expert, clumsy = told.runs
    shoot = stage.photographer.shoot if stage.photographer is not None else lambda: None
    _title("3", "may the twin replace the expert? The gate's answer", "`vla-bench gate`")
    print_gate_verdict(clumsy, expert, stage.db)
    shoot()
    film = None
    with open_results(stage.db) as store:
        _title("4", "the episodes that ended otherwise, and one of them side by side", "`vla-bench video --beside`")
        flipped = print_flips(store, clumsy.name, expert.name)
        if flipped and has_pictures:
            film = film_a_flip(store, flipped, (expert.name, clumsy.name), stage.workers)
        shoot()
        _title("5", "the twin's actions once more, without the twin", "`vla-bench verify`")
        is_equal = print_replay(store, clumsy.name, stage.workers)
        shoot()
    return replace(told, film=film, is_replay_equal=is_equal)


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


def _title(number: str, text: str, how: str) -> None:
    story().rule(style="dim")
    story().print(f"[bold cyan]{number}[/]  [bold]{text}[/]  [dim]({how})[/]", soft_wrap=True)


def _close(told: Story, stage: Stage, took_s: float) -> None:
    """Both runs side by side, and the next commands."""
    console, runs = answer(), told.runs
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
    if told.film is not None:
        console.print(f"Side by side: [bold]{escape(str(told.film))}[/]\n", soft_wrap=True)
    console.print("Next:")
    where = f" --db {stage.db}" if stage.db else ""
    for line, why in (
        (f"vla-bench open{where}", "both as a leaderboard in your browser, beside published figures"),
        (f"vla-bench report {runs[0].name} {runs[1].name}{where}", "both results as one page, failures in pictures"),
        (f"vla-bench show {runs[1].name}{where}", "any result again; --json for programs"),
        ("vla-bench run --policy random --suite metaworld_reach --trials 2", "a run of your own"),
        ("vla-bench serve random", "what a policy server is: yours is 20 lines, see the README"),
    ):
        console.print(f"  [bold]{escape(line)}[/]", soft_wrap=True)
        console.print(f"      [dim]{escape(why)}[/]")
