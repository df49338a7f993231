"""`vla-bench demo --record`: the pictures of the README and the docs, from one telling of the story."""

from __future__ import annotations

from pathlib import Path

from vla_bench.cli.demo.film import draw_film, shrink_film
from vla_bench.cli.demo.photographer import Photographer
from vla_bench.cli.demo.screen import Screen
from vla_bench.cli.demo.story import SUITE, Stage, Story, tell_story
from vla_bench.cli.display.console import story

__all__ = ["record_story"]

SCREEN, EPISODES, FLIP = "demo.svg", "episodes.webp", "flip.webp"


def record_story(folder: Path, *, db: str, workers: int | None) -> Story:
    """Tell the story and draw its pictures.

    `demo.svg` is the screen, animated; `flip.webp` the film of an episode that ended otherwise, at twice its speed;
    `episodes.webp` the expert on every task.
    """
    screen = Screen()
    told = tell_story(Stage(db=db, workers=workers, photographer=Photographer(screen)))
    screen.shoot()
    screen.save_film(folder / SCREEN)
    story().print(f"{folder / SCREEN} is drawn; {folder / EPISODES} takes some minutes")
    if told.film is not None:
        shrink_film(told.film, folder / FLIP)
    draw_film(folder / EPISODES, suite=SUITE)
    return told
