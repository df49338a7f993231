"""Films that are made when somebody asks: by replay, in a child with a time limit, kept within a limit."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vla_bench.results.store import Store
from vla_bench.server.pages import films
from vla_bench.server.pages.films import FilmCabinet
from vla_bench.server.problems import Problem

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("films")]


def _asked(store: Store) -> tuple[str, str]:
    """An episode of the run `toy`, and the digest of its trace."""
    episode = store.plan("toy").episodes[0]
    return episode.id, store.attempts_of("toy", episode.id)[-1].trace_digest


def test_a_film_is_made_once_and_agrees_bit_by_bit(toy_run: Path, tmp_path: Path) -> None:
    cabinet = FilmCabinet(tmp_path / "films")
    with Store.open(toy_run, read_only=True) as store:
        episode, key = _asked(store)
        assert cabinet.find(key) is None
        film = cabinet.make(store, "toy", episode, key)
        assert film is not None, cabinet.state(key)
        assert film.agreement == "bit"
        assert all((found := film.file(name)) is not None and found.stat().st_size > 500 for name, _ in film.stills)
        assert film.stills[0][1] == 0
        assert film.file("../index.json") is None
        assert film.file("index.json") is None
        made_at = (film.folder / "index.json").stat().st_mtime_ns
        assert cabinet.make(store, "toy", episode, key) == film
        assert (film.folder / "index.json").stat().st_mtime_ns == made_at


def test_a_replay_that_takes_too_long_is_stopped_and_said(toy_run: Path, tmp_path: Path) -> None:
    cabinet = FilmCabinet(tmp_path / "films", limit_s=0.2)
    with Store.open(toy_run, read_only=True) as store:
        episode, key = _asked(store)
        assert cabinet.make(store, "toy", episode, key) is None
    assert "was stopped" in cabinet.state(key)
    assert list((tmp_path / "films").iterdir()) == []


def test_an_episode_that_cannot_be_replayed_leaves_its_reason(toy_run: Path, tmp_path: Path) -> None:
    cabinet = FilmCabinet(tmp_path / "films")
    with Store.open(toy_run, read_only=True) as store:
        assert cabinet.make(store, "toy", "0" * 16, "no-such-trace") is None
    assert "never reached" in cabinet.state("no-such-trace")


def test_one_film_is_made_at_a_time(toy_run: Path, tmp_path: Path) -> None:
    cabinet = FilmCabinet(tmp_path / "films")
    with Store.open(toy_run, read_only=True) as store:
        episode, key = _asked(store)
        asking = threading.Thread(target=cabinet.make, args=(store, "toy", episode, key))
        asking.start()
        while not cabinet.state(key):
            pass
        with pytest.raises(Problem, match="Another episode is being replayed"):
            cabinet.make(store, "toy", episode, "another")
        asking.join()
    assert cabinet.find(key) is not None


def test_the_oldest_films_make_room(toy_run: Path, tmp_path: Path) -> None:
    cabinet = FilmCabinet(tmp_path / "films", max_bytes=1)
    old = tmp_path / "films" / "old"
    old.mkdir(parents=True)
    (old / "0.jpg").write_bytes(b"x" * 100)
    with Store.open(toy_run, read_only=True) as store:
        episode, key = _asked(store)
        film = cabinet.make(store, "toy", episode, key)
    assert film is not None
    assert not old.exists()


def test_what_has_no_trace_or_no_suite_here_says_why() -> None:
    cabinet = FilmCabinet(Path("unused"))
    assert "No trace" in cabinet.obstacle("toy_reach", "standard/1", has_trace=False)
    assert "unknown suite" in cabinet.obstacle("elsewhere", "standard/1", has_trace=True)
    assert cabinet.obstacle("toy_reach", "standard/1", has_trace=True) == ""


def test_only_the_newest_failures_are_remembered(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "MOST_FAILURES", 2)
    monkeypatch.setattr(films, "_run_child", lambda *_: "it broke off")
    cabinet = FilmCabinet(tmp_path / "films")
    with Store.open(toy_run, read_only=True) as store:
        for key in ("first", "second", "third"):
            assert cabinet.make(store, "toy", "0" * 16, key) is None
    assert [cabinet.state(key) for key in ("first", "second", "third")] == ["", "it broke off", "it broke off"]
