"""The last acts of the demo: the gate's verdict on the twin, the flips, one of them on film, a replay of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from vla_bench.cli.display.console import answer, story
from vla_bench.cli.display.replaying import ReplayProgress
from vla_bench.cli.display.tables import plain_table
from vla_bench.cli.display.verification import print_verification
from vla_bench.cli.filming import open_reel
from vla_bench.cli.gating.fixed import Outputs, run_gate
from vla_bench.envs.registry import find_suite
from vla_bench.harness.film import FilmStyle, make_films
from vla_bench.harness.film.select import flips
from vla_bench.harness.replay import verify_run
from vla_bench.results.database import data_home
from vla_bench.results.gate.thresholds import Thresholds
from vla_bench.results.gate.words import OnInconclusive
from vla_bench.spec.errors import MissingExtra

if TYPE_CHECKING:
    from vla_bench.harness.film import Reel
    from vla_bench.harness.replay import Recording
    from vla_bench.results.runs import RunSummary
    from vla_bench.results.store import Store
    from vla_bench.spec.result import AttemptResult

__all__ = ["film_a_flip", "print_flips", "print_gate_verdict", "print_replay"]

STYLE = FilmStyle(height=320, every=4)


def print_gate_verdict(candidate: RunSummary, baseline: RunSummary, db: str) -> None:
    """Ask the gate whether the candidate may land, with its default margin."""
    silent = Outputs(junit="", summary="", as_json=False, on_inconclusive=OnInconclusive.TELL)
    run_gate([candidate.name], [baseline.name], Thresholds(), silent, intersection=False, db=db)


def print_flips(store: Store, candidate: str, baseline: str) -> list[Recording]:
    """Print the episodes that the two ended differently, and return the candidate's recordings of them."""
    (_, mine), (_, theirs) = open_reel(store, candidate), open_reel(store, baseline)
    found = flips(mine.recordings, theirs.recordings)
    steps = {recording.episode.id: recording.attempt for recording in theirs.recordings}
    table = plain_table("task", "trial>", f"{baseline}|", f"{candidate}|")
    for recording in found:
        episode, mine_ended = recording.episode, _ended(recording.attempt)
        colour = "good" if recording.attempt.outcome == "success" else "bad"
        ended = _ended(steps[episode.id])
        table.add_row(escape(episode.task), str(episode.trial), ended, f"[{colour}]{mine_ended}[/]")
    answer().print(table)
    return found


def _ended(attempt: AttemptResult) -> str:
    return f"{attempt.outcome}, {attempt.n_steps} steps"


def film_a_flip(store: Store, chosen: Sequence[Recording], names: tuple[str, str], workers: int | None) -> Path | None:
    """Film the first of these episodes, both runs side by side; None where nothing can be written."""
    reels: list[Reel] = [open_reel(store, name)[1] for name in names]
    episode = chosen[0].episode
    folder = (store.location.path or data_home() / "results.db").parent / "films"
    suite = find_suite(episode.suite, episode.protocol)
    try:
        with ReplayProgress() as progress:
            progress.begin(len(reels))
            (film,) = make_films(suite, reels, [episode.id], folder, style=STYLE, workers=workers, told=progress.add)
    except MissingExtra as error:
        story().print(f"[lost]no film:[/] {escape(str(error))}", soft_wrap=True)
        return None
    return film.path


def print_replay(store: Store, run: str, workers: int | None) -> bool:
    """Replay every recorded action of a run, without its policy and without pictures; whether all is equal."""
    with ReplayProgress() as progress:
        verification = verify_run(
            store,
            run,
            workers=workers,
            started=lambda sample: progress.begin(len(sample.recordings)),
            told=progress.add,
        )
    print_verification(verification, answer())
    return verification.verdict == "equal"
