"""What `video` does: choose episodes, film them, say where the films are and whether the replays agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from vla_bench.cli.display.console import answer, print_json, story
from vla_bench.cli.display.replaying import ReplayProgress
from vla_bench.cli.reading import find_run, open_results
from vla_bench.envs.registry import find_suite
from vla_bench.harness.film import Film, FilmStyle, Reel, make_films
from vla_bench.harness.film.select import failures, first_of_each_task, flips, named
from vla_bench.harness.replay import Agreement, recordings_of
from vla_bench.results.evidence import Evidence, gather_evidence
from vla_bench.spec.errors import UsageError
from vla_bench.spec.outcomes import ExitCode

if TYPE_CHECKING:
    from vla_bench.harness.replay import Recording
    from vla_bench.results.store import Store

__all__ = ["FilmOrder", "film_and_print", "open_reel"]


@dataclass(frozen=True, kw_only=True)
class FilmOrder:
    """What `video` is told; see its options."""

    run: str
    episodes: tuple[str, ...]
    failures: bool
    beside: str
    is_grid: bool
    limit: int
    style: FilmStyle
    folder: Path
    workers: int | None


def film_and_print(order: FilmOrder, db: str, traces: str, *, as_json: bool) -> ExitCode:
    """Make the films and print their paths.

    Returns:
        `CHECK_FAILED` where a replay disagrees or a trace is damaged, `INCOMPLETE` where a replay was lost, else `OK`.

    Raises:
        UsageError: nothing is selected, or the runs share no episode.
    """
    if order.beside and order.is_grid:
        raise UsageError("--grid shows one run, --beside two: choose one of them")
    films: list[Film] = []
    with open_results(db, traces) as store, ReplayProgress() as progress:
        evidence, reel = open_reel(store, order.run)
        reels = [reel, open_reel(store, order.beside)[1]] if order.beside else [reel]
        suite = find_suite(evidence.suite["name"], evidence.summary.protocol)
        chosen = _choose(order, reels)
        progress.begin(len(chosen) * len(reels))
        for film in make_films(
            suite,
            reels,
            [recording.episode.id for recording in chosen],
            order.folder,
            style=order.style,
            is_grid=order.is_grid,
            workers=order.workers,
            told=progress.add,
        ):
            films.append(film)
            if not as_json:
                _print(film)
    if as_json:
        print_json({"films": [_plain(film) for film in films]})
    return _exit_code(films)


def open_reel(store: Store, run: str) -> tuple[Evidence, Reel]:
    """A run's judged episodes, and what its rows say.

    Raises:
        UnknownRun: there is no such run.
        UsageError: nothing of it was judged.
    """
    evidence = gather_evidence(store, find_run(store, run))
    recordings = tuple(recordings_of(evidence.judged))
    if not recordings:
        raise UsageError(f"run {evidence.name!r} has no judged episode to show. See `vla-bench show {evidence.name}`.")
    reel = Reel(
        name=evidence.name,
        traces=store.traces,
        control_mode=evidence.settings.control_mode,
        recordings=recordings,
    )
    return evidence, reel


def _choose(order: FilmOrder, reels: Sequence[Reel]) -> list[Recording]:
    recordings = list(reels[0].recordings)
    if order.beside:
        common = {recording.episode.id for recording in reels[1].recordings}
        recordings = [recording for recording in recordings if recording.episode.id in common]
        if not recordings:
            raise UsageError(
                f"{reels[0].name} and {reels[1].name} have no judged episode in common. "
                f"See `vla-bench diff {reels[0].name} {reels[1].name}`."
            )
    chosen = named(recordings, order.episodes) if order.episodes else recordings
    if order.failures:
        chosen = failures(chosen)
    elif order.beside and not order.episodes:
        chosen = flips(chosen, reels[1].recordings)
    elif order.is_grid and not order.episodes:
        chosen = first_of_each_task(chosen)
    if not chosen:
        what = "failed" if order.failures else "ended otherwise"
        raise UsageError(f"no episode of {reels[0].name} {what}. Name one with --episode TASK:TRIAL.")
    if len(chosen) > order.limit:
        story().print(f"[lost]note:[/] the first {order.limit} of {len(chosen)} episodes; --limit takes more")
    return chosen[: order.limit]


def _print(film: Film) -> None:
    disagreements = [result for result in film.results if not result.agreement.is_agreement]
    for result in disagreements:
        words = escape("; ".join(result.reasons))
        style = "lost" if result.agreement is Agreement.LOST else "bad"
        story().print(f"[{style}]{result.agreement}[/] {escape(result.episode.task)}: {words}", soft_wrap=True)
    if film.path is not None:
        agreed = "" if disagreements else f"  {'/'.join(dict.fromkeys(str(r.agreement) for r in film.results))}"
        answer().print(f"{escape(str(film.path))}  [dim]{film.seconds:.1f} s{agreed}[/]", soft_wrap=True)


def _plain(film: Film) -> dict[str, Any]:
    return {
        "path": None if film.path is None else str(film.path),
        "n_frames": film.n_frames,
        "seconds": film.seconds,
        "episodes": [result.to_dict() for result in film.results],
    }


def _exit_code(films: Sequence[Film]) -> ExitCode:
    agreements = {result.agreement for film in films for result in film.results}
    if agreements & {Agreement.DIFFERS, Agreement.UNREADABLE}:
        return ExitCode.CHECK_FAILED
    return ExitCode.INCOMPLETE if Agreement.LOST in agreements else ExitCode.OK
