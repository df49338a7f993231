"""A moving picture of real episodes: the expert on every task of a suite, side by side, for the README."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vla_bench.envs.base import EnvHandle, EnvOptions, EnvState
from vla_bench.envs.registry import find_suite, open_env
from vla_bench.policies.load import load_policy
from vla_bench.spec.episode import Episode, make_plan
from vla_bench.spec.messages import EpisodeInfo, Identity, Observation

if TYPE_CHECKING:
    from vla_bench.policies.base import Policy
    from vla_bench.spec.suite import Suite

__all__ = ["draw_film", "shrink_film"]

SIDE = 176
"""Pixels of one episode's picture."""
EVERY = 4
"""Steps between two frames: at 80 steps a second and 20 frames a second, real time."""
FRAME_MS = 50
HOLD_MS = 1500
COLUMNS = 5
GREEN = (46, 160, 67)


def draw_film(path: Path, *, suite: str, protocol: str = "") -> None:
    """Run the first trial of every task and write an animated WebP, at the simulation's own speed.

    An episode that has succeeded stands still inside a green frame.
    """
    found = find_suite(suite, protocol)
    policy = load_policy("expert", {})
    camera = found.cameras[0].name
    episodes = make_plan(found, n_trials=1).episodes
    env = open_env(found, EnvOptions(cameras=(camera,), privileged=True))
    try:
        strips = [list(_pictures(env, policy, found, episode, camera)) for episode in episodes]
    finally:
        env.close()
    n_frames = max(len(strip) for strip in strips)
    frames = [_grid([strip[min(index, len(strip) - 1)] for strip in strips]) for index in range(n_frames)]
    _save(frames, path)


def shrink_film(film: Path, path: Path) -> None:
    """Turn an H.264 film into an animated WebP, which READMEs show: every second frame."""
    import av

    with av.open(str(film)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    moving = [frame for index, frame in enumerate(frames) if index % 2 == 0]
    _save(moving, path)


def _save(frames: list[Image.Image], path: Path) -> None:
    durations = [FRAME_MS] * (len(frames) - 1) + [HOLD_MS]
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(
        path,
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        quality=60,
        method=6,
        minimize_size=True,
    )


def _pictures(env: EnvHandle, policy: Policy, suite: Suite, episode: Episode, camera: str) -> Iterator[Image.Image]:
    """One small picture every few steps, the last one framed where the episode succeeded."""
    task = suite.task(episode.task)
    low, high = suite.action.low, suite.action.high
    policy.reset(
        "film", EpisodeInfo(episode=episode.id, suite=suite.name, task=task.id, action_low=low, action_high=high)
    )
    state = env.reset(episode)
    picture = state.images[camera]
    while not state.is_over:
        if state.step % EVERY == 0:
            yield _small(picture, task.id)
        chunk = policy.act([_observe(state, episode)])[0]
        state = env.advance(chunk.actions)
        picture = state.images.get(camera, picture)
    policy.close("film")
    yield _small(picture, task.id, is_success=state.success)


def _observe(state: EnvState, episode: Episode) -> Observation:
    identity = Identity("film", episode.id, attempt=0, stage=state.stage, step=state.step, request=str(state.step))
    return Observation(identity=identity, state=state.state, privileged=state.privileged, instruction=state.instruction)


def _small(picture: NDArray[np.uint8], caption: str, *, is_success: bool = False) -> Image.Image:
    image = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    if is_success:
        draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=GREEN, width=3)
    draw.rectangle((0, SIDE - 14, SIDE, SIDE), fill=GREEN if is_success else (30, 30, 30))
    draw.text((5, SIDE - 13), f"{caption}   success" if is_success else caption, fill=(255, 255, 255))
    return image


def _grid(pictures: list[Image.Image]) -> Image.Image:
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), (30, 30, 30))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % COLUMNS * SIDE, index // COLUMNS * SIDE))
    return sheet
