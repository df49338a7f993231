"""The draw: nobody can know it before, everybody can check it after."""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.server.submitting import Board
from vla_bench.results.leaderboard.people import AUDIT, DRAW_KEY
from vla_bench.server.replays.draw import SAMPLE, Candidate, commitment_of, draw, present_key, rotate_key

KEY, BUNDLE = "ab" * 32, "cd" * 32


def run_of(n_tasks: int, n_trials: int, n_failures: int) -> list[Candidate]:
    return [
        Candidate(f"{index:016x}", f"t{index % n_tasks}", index >= n_failures) for index in range(n_tasks * n_trials)
    ]


def test_a_draw_is_59_of_500_four_of_five_successes_and_every_task() -> None:
    candidates = run_of(10, 50, 120)
    drawn = draw(KEY, BUNDLE, 1, candidates)
    by_id = {item.episode_id: item for item in candidates}
    assert len(drawn) == len(set(drawn)) == SAMPLE
    assert sum(by_id[item].is_success for item in drawn) == round(0.8 * SAMPLE)
    assert len({by_id[item].task for item in drawn}) == 10


@given(st.integers(1, 200), st.integers(1, 12), st.floats(0, 1), st.integers(1, 9))
def test_any_run_is_drawn_well(n_tasks: int, n_trials: int, share: float, number: int) -> None:
    candidates = run_of(n_tasks, n_trials, round(share * n_tasks * n_trials))
    drawn = draw(KEY, BUNDLE, number, candidates)
    by_id = {item.episode_id: item for item in candidates}
    assert len(drawn) == len(set(drawn))
    wanted = max(SAMPLE, n_tasks) if n_tasks <= 150 else SAMPLE
    assert len(drawn) == min(wanted, len(candidates))
    if n_tasks <= 150:
        assert {by_id[item].task for item in drawn} == {item.task for item in candidates}
    with_success = {item.task for item in candidates if item.is_success}
    if n_tasks <= 150:
        assert with_success <= {by_id[item].task for item in drawn if by_id[item].is_success}
    assert drawn == draw(KEY, BUNDLE, number, reversed(candidates))


def test_key_bundle_and_number_each_make_another_draw() -> None:
    candidates = run_of(10, 50, 100)
    draws = [
        draw(KEY, BUNDLE, 1, candidates), draw("ef" * 32, BUNDLE, 1, candidates), draw(KEY, "00" * 32, 1, candidates),
        draw(KEY, BUNDLE, 2, candidates),
    ]  # fmt: skip
    assert len({tuple(item) for item in draws}) == 4


def test_the_rank_is_the_published_formula() -> None:
    candidates = run_of(1, 100, 0)
    expected = sorted(
        (item.episode_id for item in candidates),
        key=lambda name: hmac.new(bytes.fromhex(KEY), f"{BUNDLE}\0{1}\0{name}".encode(), hashlib.sha256).digest(),
    )[:SAMPLE]
    assert draw(KEY, BUNDLE, 1, candidates) == expected


def test_a_key_is_committed_to_first_and_revealed_when_it_is_retired(board: Board) -> None:
    with board.store.database.write() as connection:
        first = dict(present_key(connection))
        assert dict(present_key(connection)) == first
        second = rotate_key(connection, actor="keeper")
    assert first["commitment"] == commitment_of(first["secret"]) != second
    with board.store.database.read() as connection:
        told = list(connection.execute(sa.select(AUDIT).order_by(AUDIT.c.id)).mappings())
        rows = list(connection.execute(sa.select(DRAW_KEY).order_by(DRAW_KEY.c.id)).mappings())
    assert [row["action"] for row in told] == ["draw_key_committed", "draw_key_revealed", "draw_key_committed"]
    assert told[1]["detail"]["key"] == first["secret"]
    assert rows[1]["secret"] not in str(told)
    assert rows[0]["revealed_at"]
    assert rows[1]["revealed_at"] is None
