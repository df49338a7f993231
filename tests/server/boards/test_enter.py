"""A run comes onto its board: what is stored is what a count of the episodes gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.results import samples
from tests.server.boards.making import GPU, SLUG, chains, enter, fill, store_run
from vla_bench.results.leaderboard.boards import BOARD, BOARD_PAIR, BOARD_ROW, TASK_CELL
from vla_bench.results.stats.bins import count_bins, merge_bins
from vla_bench.results.stats.paired import Pairs, mcnemar_p
from vla_bench.results.stats.ranks import rank_ranges
from vla_bench.results.store import Store
from vla_bench.results.tables import AGGREGATE, EPISODE
from vla_bench.server.boards import enter as entering
from vla_bench.server.boards import read
from vla_bench.server.boards.enter import enter_finished_runs
from vla_bench.server.boards.ranking import chain_variance
from vla_bench.server.boards.vectors import compare_vectors
from vla_bench.spec.errors import UsageError

RATES = [0.95, 0.9, 0.6, 0.55, 0.1]


def ranks(store: Store, slug: str = SLUG) -> dict[str, tuple[int | None, int | None]]:
    return {row.policy: (row.rank_best, row.rank_worst) for row in read.board_page(store.database, slug).rows}


def test_ranks_are_those_of_the_tests_over_all_pairs(store: Store) -> None:
    outcomes = fill(store, RATES)
    names = list(outcomes)
    p_values = np.ones((len(names), len(names)))
    for (i, a), (j, b) in itertools.permutations(enumerate(names), 2):
        pairs = Pairs.of(outcomes[a], outcomes[b])
        p_values[i, j] = mcnemar_p(pairs.new_only, pairs.base_only)
    expected = rank_ranges([float(outcomes[name].mean()) for name in names], p_values)
    assert ranks(store) == {name: tuple(found) for name, found in zip(names, expected, strict=True)}
    with store.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(BOARD_PAIR)) == 10


def test_tasks_and_scores_are_those_of_the_episodes(store: Store) -> None:
    fill(store, [0.7])
    with store.database.read() as connection:
        counted = connection.execute(
            sa.select(
                EPISODE.c.task,
                sa.func.count(),
                sa.func.sum(sa.case((EPISODE.c.outcome == "success", 1), else_=0)),
                sa.func.sum(EPISODE.c.n_steps),
            ).group_by(EPISODE.c.task)
        ).all()
        stored = connection.execute(sa.select(TASK_CELL.c["task", "n", "k", "steps"])).all()
        aggregate = connection.execute(sa.select(AGGREGATE)).mappings().one()
    assert sorted(map(tuple, stored)) == sorted((task, n, int(k), int(steps)) for task, n, k, steps in counted)
    row = read.board_page(store.database, SLUG).rows[0]
    assert (row.n_success, row.n_judged, row.score) == (
        aggregate["n_success"],
        aggregate["n_judged"],
        aggregate["rate"],
    )
    assert [cell.key for cell in row.cells][:2] == ["group:difficulty=easy", "group:difficulty=hard"]


def test_the_order_of_entering_does_not_matter(file_store: Store, tmp_path) -> None:
    fill(file_store, RATES)
    with Store.open(tmp_path / "other.db", tmp_path / "traces") as other:
        rng = np.random.default_rng(0)
        runs = {f"p{i}": rng.random(30) < rate for i, rate in enumerate(RATES)}
        for name in reversed(runs):
            store_run(other, name, runs[name].tolist())
            enter(other, name)
        assert ranks(other) == ranks(file_store)
        letters = [{r.policy: r.letters for r in read.board_page(s.database, SLUG).rows} for s in (other, file_store)]
        assert letters[0] == letters[1]


def test_entering_again_changes_nothing_but_the_version(store: Store) -> None:
    fill(store, [0.9, 0.3])
    before = read.board_page(store.database, SLUG)
    enter(store, "p0")
    after = read.board_page(store.database, SLUG)
    assert after.rows == before.rows
    assert after.head.version == before.head.version + 1


def test_a_run_keeps_how_long_its_answers_took_and_lists_do_without(store: Store) -> None:
    spec = samples.spec("timed", samples.suite(3, 10), policy=samples.PolicyInfo(name="timed"))
    store.begin_run(spec)
    traces = [samples.trace(latency_ms=(10.0, 20.0 + index)) for index in range(len(spec.plan.episodes))]
    store.add(
        "timed", [samples.result(e, fingerprint=GPU, trace=t) for e, t in zip(spec.plan.episodes, traces, strict=True)]
    )
    store.finish("timed")
    enter(store, "timed")
    listed = read.board_page(store.database, SLUG).rows[0]
    assert "bins" not in listed.efficiency
    assert listed.run_id is not None
    bins = read.run_page(store.database, listed.run_id).row.efficiency["bins"]
    assert sum(bins.values()) == listed.efficiency["n_queries"] == 60
    assert bins == {str(n): k for n, k in sorted(merge_bins(count_bins(t.latency_ms) for t in traces).items())}


def test_an_incomplete_run_has_bounds_and_no_rank_until_it_is_complete(store: Store) -> None:
    fill(store, [0.9])
    store_run(store, "late", [True] * 20)
    enter(store, "late")
    row = next(row for row in read.board_page(store.database, SLUG).rows if row.policy == "late")
    assert (row.state, row.score, row.rank, row.n_judged) == ("incomplete", None, "", 20)
    assert (row.bound_low, row.bound_high) == (20 / 30, 1.0)
    spec = samples.spec("late", samples.suite(3, 10), policy=samples.PolicyInfo(name="late"))
    store.add("late", [samples.result(episode, fingerprint=GPU, trace=None) for episode in spec.plan.episodes[20:]])
    store.finish("late")
    enter(store, "late")
    row = next(row for row in read.board_page(store.database, SLUG).rows if row.policy == "late")
    assert (row.state, row.score) == ("listed", 1.0)


def test_a_run_that_went_on_under_another_renderer_changes_its_board(store: Store) -> None:
    fill(store, [0.9, 0.1])
    store_run(store, "late", [True] * 20)
    enter(store, "late")
    spec = samples.spec("late", samples.suite(3, 10), policy=samples.PolicyInfo(name="late"))
    store.add("late", [samples.result(episode, trace=None) for episode in spec.plan.episodes[20:]])
    entry = enter(store, "late")
    assert entry.slug == "made_up/standard-1/mixed/original"
    assert "several classes of renderers" in entry.unranked
    assert {row.policy for row in read.board_page(store.database, SLUG).rows} == {"p0", "p1"}
    assert read.run_page(store.database, 3).row.board == entry.slug


def test_nothing_is_half_done_where_it_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, [0.9])
    before = read.board_page(store.database, SLUG)
    store_run(store, "new", [True] * 30)

    def broken(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(entering, "rerank", broken)
    with pytest.raises(RuntimeError):
        enter(store, "new")
    monkeypatch.undo()
    assert read.board_page(store.database, SLUG) == before
    with store.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(TASK_CELL)) == 3
        assert connection.scalar(sa.select(sa.func.count()).select_from(BOARD_PAIR)) == 0


def test_runs_of_a_family_are_counted_over_versions(store: Store) -> None:
    for version in ("1", "2", "3"):
        policy = samples.PolicyInfo(name="LaMP", version=version)
        store_run(store, f"run-{version}", [version != "1"] * 30, policy=policy)
        enter(store, f"run-{version}")
    fill(store, [0.5])
    rows = read.board_page(store.database, SLUG).rows
    assert {(row.policy, row.n_runs) for row in rows} == {("LaMP", 3), ("p0", 1)}
    page = read.policy_page(store.database, "lamp")
    assert [line.version for line in page.versions] == ["3", "2", "1"]
    assert page.n_runs == 3
    assert all(
        row.is_reimplementation and row.notes[0].kind == "reimplementation" for row in rows if row.family == "lamp"
    )


def test_a_frozen_board_takes_no_further_runs(file_store: Store) -> None:
    from vla_bench.server.boards.change import freeze_board

    fill(file_store, [0.5])
    with file_store.database.write() as connection:
        freeze_board(connection, SLUG, "protocol standard/2 replaces it", actor="m")
    store_run(file_store, "late", [True] * 30)
    with pytest.raises(UsageError, match="standard/2 replaces it"):
        enter(file_store, "late")
    assert read.boards(file_store.database)[0].frozen == "protocol standard/2 replaces it"


def test_ones_own_finished_runs_become_a_board(file_store: Store) -> None:
    store_run(file_store, "a", [True] * 30)
    store_run(file_store, "b", [False] * 30)
    assert [entry.slug for entry in enter_finished_runs(file_store.database)] == [SLUG, SLUG]
    assert enter_finished_runs(file_store.database) == []
    assert ranks(file_store) == {"a": (1, 1), "b": (2, 2)}


def test_chains_are_ranked_by_their_average_length(store: Store) -> None:
    rng = np.random.default_rng(1)
    lengths = {"long": rng.integers(3, 6, 60), "short": rng.integers(0, 3, 60), "same": rng.integers(0, 3, 60)}
    for name, values in lengths.items():
        store_run(store, name, values.tolist(), of=chains())
        enter(store, name)
    slug = "made_up_chains/standard-1/gpu/original"
    page = read.board_page(store.database, slug)
    rows = {row.policy: row for row in page.rows}
    assert page.head.form == "avg_length"
    assert page.head.n_stages == 5
    assert rows["long"].score == pytest.approx(lengths["long"].mean())
    assert rows["long"].low < rows["long"].score < rows["long"].high
    assert [cell.value for cell in rows["long"].cells] == [(lengths["long"] >= k).mean() for k in range(1, 6)]
    assert (rows["long"].rank, rows["short"].rank, rows["same"].rank) == ("1", "2–3", "2–3")
    found = read.compare_page(store.database, rows["long"].id, rows["short"].id)
    assert found.kind == "paired"
    assert found.difference == pytest.approx((lengths["long"] - lengths["short"]).mean())
    assert found.interval is not None
    assert found.interval.low < found.difference < found.interval.high
    assert found.n_discordant == int((lengths["long"] != lengths["short"]).sum())
    assert page.head.saturation.resolvable is not None


def test_a_board_says_what_it_can_still_tell_apart(store: Store) -> None:
    fill(store, [0.98, 0.97, 0.96, 0.95, 0.3], seed=3)
    head = read.boards(store.database)[0]
    assert head.n_planned == head.saturation.n == 30
    assert head.saturation.n_leaders == 4
    assert head.saturation.is_saturated
    assert "no longer separates its leaders: 4 share rank 1" in head.saturation.text
    assert {leader.policy for leader in head.leaders} == {"p0", "p1", "p2", "p3"}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_packed_outcomes_compare_as_pairs_do(pairs: list[tuple[bool, bool]]) -> None:
    a, b = (np.array(values, bool) for values in zip(*pairs, strict=True))
    found = compare_vectors(a.astype(np.int8), b.astype(np.int8), is_chain=False)
    counted = Pairs.of(a, b)
    assert found is not None
    assert (found.n, found.b_count, found.c_count) == (counted.n, counted.new_only, counted.base_only)
    assert found.difference == pytest.approx(counted.difference)
    assert found.p == mcnemar_p(counted.new_only, counted.base_only)
    mirrored = compare_vectors(b.astype(np.int8), a.astype(np.int8), is_chain=False)
    assert mirrored is not None
    assert (mirrored.p, mirrored.difference) == (found.p, -found.difference)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=80))
def test_the_variance_of_chains_follows_from_their_shares(lengths: list[int]) -> None:
    values = np.array(lengths)
    cells = [{"key": f"stage:{k}", "value": float((values >= k).mean())} for k in range(1, 6)]
    assert chain_variance(cells) == pytest.approx(values.var(), abs=1e-9)


def test_equal_gains_everywhere_are_judged_by_their_sign() -> None:
    a, b = np.full(10, 3, np.int8), np.full(10, 2, np.int8)
    found = compare_vectors(a, b, is_chain=True)
    assert found is not None
    assert found.p == mcnemar_p(10, 0)


def test_every_change_is_a_new_version_of_the_board(file_store: Store) -> None:
    tags = []
    for name in ("a", "b"):
        store_run(file_store, name, [True] * 30)
        enter(file_store, name)
        tags.append((read.etag(file_store.database), read.run_page(file_store.database, 1).etag))
    assert len({tag for pair in tags for tag in pair}) == 4
    with file_store.database.read() as connection:
        assert connection.scalar(sa.select(BOARD.c.version)) == 2
        assert connection.scalar(sa.select(sa.func.count()).select_from(BOARD_ROW)) == 2


def test_flags_of_plausibility_stay_with_a_row_and_move_nothing(file_store: Store) -> None:
    store_run(file_store, "a", [True] * 30)
    before = enter(file_store, "a")
    enter(file_store, "a", flags=["look at this"])
    after = enter(file_store, "a")
    row = read.row(file_store.database, after.row_id)
    assert [(note.kind, note.text) for note in row.notes if note.kind == "plausibility"] == [
        ("plausibility", "look at this")
    ]
    assert (after.mark, after.unranked, row.rank) == (before.mark, before.unranked, "1")
