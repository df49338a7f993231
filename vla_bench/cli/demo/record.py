"""`vla-bench demo --record`: the pictures of the README and the docs, from one telling of the story."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vla_bench.cli.demo.film import draw_film
from vla_bench.cli.demo.photographer import Photographer
from vla_bench.cli.demo.screen import Screen
from vla_bench.cli.demo.story import SUITE, Stage, tell_story
from vla_bench.cli.display.console import story

if TYPE_CHECKING:
    from vla_bench.results.runs import RunSummary

__all__ = ["record_story"]

SCREEN, EPISODES = "demo.svg", "episodes.webp"


def record_story(folder: Path, *, db: str, workers: int | None) -> list[RunSummary]:
    """Tell the story and write `demo.svg` (the screen, animated) and `episodes.webp` (the expert on every task)."""
    screen = Screen()
    runs = tell_story(Stage(db=db, workers=workers, photographer=Photographer(screen)))
    screen.shoot()
    screen.save_film(folder / SCREEN)
    story().print(f"{folder / SCREEN} is drawn; {folder / EPISODES} takes some minutes")
    draw_film(folder / EPISODES, suite=SUITE)
    return runs
