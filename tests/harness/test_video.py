"""Films: pictures made afterwards are those of the episode, at any size, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.harness.runs import NAME, Forger, make_run, moved
from vla_bench.envs import EnvOptions, find_suite, open_env
from vla_bench.harness.film import Film, FilmStyle, Reel, make_films
from vla_bench.harness.film.canvas import INK, fitted, font, wrapped
from vla_bench.harness.film.encode import write_film
from vla_bench.harness.film.make import film_strips
from vla_bench.harness.film.select import failures, first_of_each_task, flips, named
from vla_bench.harness.film.sheet import _columns
from vla_bench.harness.film.strip import Strip
from vla_bench.harness.replay import Agreement, recordings_of
from vla_bench.results.evidence import gather_evidence
from vla_bench.spec.errors import StoreError, UsageError
from vla_bench.spec.outcomes import Outcome

SUITE = find_suite("toy_reach")


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    return Forger(make_run(tmp_path_factory.mktemp("filmed")))


@pytest.fixture(scope="module")
def reel(forger: Forger) -> Reel:
    return reel_of(forger)


def reel_of(forger: Forger, name: str = NAME) -> Reel:
    with forger.open() as store:
        claims = gather_evidence(store, NAME).judged
    return Reel(name=name, traces=forger.traces, control_mode="", recordings=tuple(recordings_of(claims)))


def film(reel: Reel, words: list[str], folder: Path, *others: Reel, **options: Any) -> list[Film]:
    ids = [recording.episode.id for recording in named(reel.recordings, words)]
    return list(make_films(SUITE, [reel, *others], ids, folder, workers=1, **options))


def decode(path: Path | None) -> tuple[Any, list[NDArray[np.uint8]]]:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return stream.codec_context, frames


def is_near(one: NDArray[np.uint8], other: NDArray[np.uint8], tolerance: float = 6.0) -> bool:
    return bool(np.abs(one.astype(float) - other).mean() < tolerance)


def contains(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    """Whether a colour is there, as nearly as H.264 keeps it."""
    return bool((np.abs(image.astype(int) - colour).max(axis=2) < 24).any())


def picture_at(reel: Reel, word: str, step: int, side: int) -> NDArray[np.uint8]:
    """The state of a recording at a step, drawn by an env of its own."""
    (recording,) = named(reel.recordings, [word])
    cameras = tuple(replace(camera, height=side, width=side) for camera in SUITE.cameras)
    actions = reel.traces.read(recording.trace_digest).actions
    options = EnvOptions(cameras=("front",), lazy=False)
    with closing(open_env(replace(SUITE, cameras=cameras), options, isolation="inline")) as env:
        state = env.reset(recording.episode)
        return env.advance(actions[:step]).images["front"] if step else state.images["front"]


def test_a_film_is_h264_that_every_browser_plays_and_shows_the_states_of_the_episode(
    reel: Reel, tmp_path: Path
) -> None:
    (made,) = film(reel, ["reach_in_order:0"], tmp_path, style=FilmStyle(height=96, every=2))
    assert made.path is not None
    assert made.path.name.startswith("noisy-reach_in_order-0-")
    codec, frames = decode(made.path)
    assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    assert len(frames) == made.n_frames
    assert made.results[0].agreement is Agreement.BIT
    for index in (0, 4, 9):
        assert is_near(frames[index][:96, :96], picture_at(reel, "reach_in_order:0", 2 * index, 96))
    assert not is_near(frames[9][:96, :96], picture_at(reel, "reach_in_order:0", 0, 96), 0.5)
    assert list(tmp_path.iterdir()) == [made.path]


@pytest.mark.parametrize(("outcome", "colour"), [("success", INK.success), ("failure", INK.failure)])
def test_the_end_says_how_it_ended_and_stands(
    forger: Forger, reel: Reel, outcome: str, colour: tuple[int, int, int], tmp_path: Path
) -> None:
    (made,) = film(reel, [forger.episodes(outcome)[0]], tmp_path, style=FilmStyle(height=96, fps=10))
    _, frames = decode(made.path)
    assert contains(frames[-1][:4], colour), "the picture's frame"
    assert contains(frames[-1][96:-8], colour), "tick or cross in the caption"
    assert not contains(frames[0][:4], colour)
    assert not contains(frames[0][96:], colour)
    assert all(is_near(frames[-16], frame, 1.0) for frame in frames[-16:])


def test_the_subtask_is_drawn_in_and_changes(reel: Reel) -> None:
    (recording,) = named(reel.recordings, ["reach_in_order:0"])
    found = film_strips(
        SUITE,
        reel,
        [recording],
        style=FilmStyle(height=64),
        choose=lambda recording, begin, end: range(begin + 1, end + 1),
    )
    ((strip, _),) = found
    assert strip is not None
    assert [frame.step for frame in strip.frames] == list(range(recording.attempt.n_steps + 1))
    stages = recording.attempt.stages
    first_of_second = stages[0].n_steps
    assert strip.at(first_of_second - 1).instruction == "reach the red ball"
    assert strip.at(first_of_second).instruction == "reach the green ball"
    assert strip.at(first_of_second).stage == 1


@pytest.mark.parametrize(("height", "size"), [(64, (64, 64)), (250, (250, 250))])
def test_pictures_have_the_size_that_is_asked_for(reel: Reel, height: int, size: tuple[int, int]) -> None:
    style = FilmStyle(height=height, cameras=("wrist", "front"))
    ((strip, _),) = film_strips(SUITE, reel, reel.recordings[:1], style=style, choose=lambda recording, begin, end: ())
    assert strip is not None
    assert [image.size for image in strip.frames[0].images()] == [size, size]
    assert [frame.step for frame in strip.frames] == [0, reel.recordings[0].attempt.n_steps]


def test_side_by_side_shows_both_runs_until_the_later_one_ends(reel: Reel, tmp_path: Path) -> None:
    steady = reel_of(Forger(make_run(tmp_path / "steady", noise=0.0)), "steady")
    (made,) = film(reel, ["hold_at_blue:0"], tmp_path, steady, style=FilmStyle(height=96, every=1))
    assert made.path is not None
    assert made.path.name == "noisy-vs-steady-hold_at_blue-0-failure-success.mp4"
    _, frames = decode(made.path)
    left, right = frames[-1][96:, :96], frames[-1][96:, 102:198]
    assert contains(left, INK.failure)
    assert contains(right, INK.success)
    n_steps = max(result.n_steps for result in made.results)
    assert made.n_frames == n_steps + 1 + round(1.6 * 25)


def test_a_grid_shows_every_task_once(reel: Reel, tmp_path: Path) -> None:
    words = [recording.episode.id for recording in first_of_each_task(reel.recordings)]
    (made,) = film(reel, words, tmp_path, style=FilmStyle(height=64), is_grid=True)
    assert made.path == tmp_path / "noisy-grid.mp4"
    _, frames = decode(made.path)
    assert len(made.results) == 5
    pitch = (frames[0].shape[0] + 6) // 2
    assert contains(frames[-1][:2], INK.success)
    assert contains(frames[-1][pitch - 1 : pitch + 3], INK.failure)
    assert frames[0].shape[1] >= 3 * 64


def test_a_film_never_has_more_frames_than_twelve_seconds_hold(reel: Reel, tmp_path: Path) -> None:
    made = film(reel, ["reach_in_order", "hold_at_blue"], tmp_path, style=FilmStyle(height=32))
    assert len(made) == 4
    assert all(one.n_frames <= 300 + 2 + 40 for one in made)


def test_a_replay_that_differs_is_filmed_and_says_so(reel: Reel, forger: Forger, tmp_path: Path) -> None:
    forged = Forger.of(forger.db, tmp_path / "forged")
    forged.retrace(forged.episodes()[0], moved)
    (made,) = film(reel_of(forged), [forged.episodes()[0]], tmp_path, style=FilmStyle(height=32))
    assert made.path is not None
    assert made.results[0].agreement is Agreement.DIFFERS


def test_a_damaged_trace_makes_no_film_and_stops_no_other(reel: Reel, forger: Forger, tmp_path: Path) -> None:
    forged = Forger.of(forger.db, tmp_path / "forged")
    first, second = forged.episodes()[:2]
    forged.trace_path(first).unlink()
    made = film(reel_of(forged), [first, second], tmp_path / "films", style=FilmStyle(height=32))
    assert [one.path is None for one in made] == [True, False]
    assert len(list((tmp_path / "films").iterdir())) == 1


def test_a_film_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def frames() -> Iterator[Image.Image]:
        yield Image.new("RGB", (64, 64))
        raise RuntimeError("ordered")

    path = tmp_path / "film.mp4"
    path.write_bytes(b"the earlier one")
    with pytest.raises(RuntimeError, match="ordered"):
        write_film(path, frames(), fps=10)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the earlier one"]


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        write_film(tmp_path / "file" / "film.mp4", [Image.new("RGB", (64, 64))], fps=10)


def test_odd_sizes_lose_a_row_and_nothing_else(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", [Image.new("RGB", (65, 67), (200, 30, 30))] * 3, fps=10)
    _, frames = decode(tmp_path / "film.mp4")
    assert frames[0].shape == (66, 64, 3)
    assert is_near(frames[0], np.full((66, 64, 3), (200, 30, 30), np.uint8))


@pytest.mark.parametrize("changes", [{"height": 4}, {"height": 9000}, {"fps": 0}, {"every": -1}])
def test_a_style_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        FilmStyle(**changes)


def test_an_unknown_camera_names_the_known_ones(reel: Reel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="front, wrist"):
        film(reel, ["reach_red:0"], tmp_path, style=FilmStyle(cameras=("back",)))


# Which episodes.


def test_episodes_are_named_by_task_trial_or_id(reel: Reel) -> None:
    every = reel.recordings
    assert [r.episode.trial for r in named(every, ["Reach-Red"])] == [0, 1]
    assert [r.episode.trial for r in named(every, ["reach_red:1"])] == [1]
    assert named(every, [every[3].episode.id[:6]]) == [every[3]]
    assert named(every, ["reach_green:0", "reach_red:0"])[0].episode.task == "reach_red"
    with pytest.raises(UsageError, match="Did you mean reach_red"):
        named(every, ["reach_rad:0"])


def test_failures_flips_and_firsts(reel: Reel) -> None:
    every = reel.recordings
    assert {r.attempt.outcome for r in failures(every)} == {Outcome.FAILURE}
    assert len({r.episode.task for r in first_of_each_task(every)}) == len(first_of_each_task(every)) == 5
    others = [replace(r, attempt=replace(r.attempt, outcome=Outcome.SUCCESS)) for r in every]
    assert flips(every, others) == failures(every)
    assert flips(every, others[:1]) == failures(every[:1])


# Drawing.


def test_text_is_broken_at_spaces_and_never_wider_than_its_place() -> None:
    text = "pick up the black bowl between the plate and the ramekin and place it on the plate"
    lines = wrapped(text, 14, 200, 3)
    assert len(lines) == 3
    assert all(font(14).getlength(line) <= 200 for line in lines)
    assert lines[-1].endswith("…")
    assert wrapped("short", 14, 200, 3) == ["short"]
    assert wrapped("", 14, 200, 3) == []
    assert fitted("a" * 500, 14, 100).endswith("…")


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 2), (5, 3), (10, 5), (64, 11)])
def test_grids_have_the_shape_of_a_screen_and_few_holes(n: int, columns: int) -> None:
    assert abs(_columns(n, 160, 180) - columns) <= 1
    assert _columns(n, 160, 180) * -(-n // _columns(n, 160, 180)) - n < max(2, n // 4)


def test_a_strip_shows_its_last_picture_after_the_end(reel: Reel) -> None:
    style = FilmStyle(height=32)
    found = film_strips(SUITE, reel, reel.recordings[:1], style=style, choose=lambda recording, begin, end: ())
    ((strip, _),) = found
    assert isinstance(strip, Strip)
    assert strip.at(10**6) is strip.frames[-1]
