"""The cited figures: equal to the transcription, on boards of their suites, with footnotes, never more than printed."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.boards.making import GPU, enter, store_run
from vla_bench.results.store import Store
from vla_bench.server.boards import read
from vla_bench.server.boards.marks import Mark
from vla_bench.server.boards.views import BoardHead, Filters, Row
from vla_bench.server.published.boards import published_rows
from vla_bench.server.published.figures import BENCHMARKS, PAPERS, efficiency_of, figures, footnote_data, policy_of
from vla_bench.server.published.footnotes import footnotes
from vla_bench.server.published.load import load_published
from vla_bench.spec.messages import PolicyInfo

BY = {"yes": "own", "no": "copied", "unknown": "unstated"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("published")
    with Store.open(folder / "board.db") as store:
        load_published(store.database)
        yield store


@pytest.fixture(scope="module")
def rows(loaded: Store) -> list[tuple[BoardHead, Row]]:
    found = []
    for head in read.boards(loaded.database):
        page = read.board_page(loaded.database, head.slug, Filters(variants=True), size=200)
        found += [(head, row) for row in page.rows]
    return found


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_figure_is_the_printed_one(shared: Path, benchmark: str) -> None:
    ours = {
        (f.paper, f.table, f.policy, f.suite, f.dimension, f.metric, "" if f.k is None else str(f.k)): (
            f.value or "",
            f.unit,
            "" if f.n is None else str(f.n),
            f.by,
            str(f.line),
        )
        for f in figures(benchmark)
    }
    with (shared / "data" / "published" / f"{benchmark}.csv").open(newline="", encoding="utf-8") as file:
        theirs = {
            (r["paper"], r["table"], r["method_key"], r["suite"], r["task_or_dimension"], r["metric"], r["k"]): (
                r["value"],
                r["unit"],
                r["n_episodes"],
                BY[r["own_result"]],
                r["line"],
            )
            for r in csv.DictReader(file)
        }
    assert ours == theirs


def test_every_inconsistency_and_conflict_is_a_footnote(shared: Path) -> None:
    folder = shared / "data" / "published"
    with (folder / "arithmetic_checks.csv").open(newline="", encoding="utf-8") as file:
        bad = Counter(
            (r["paper"], r["table"], r["suite"], r["method_key"], r["printed"], r["recomputed"], int(r["line"]))
            for r in csv.DictReader(file)
            if r["verdict"] == "inconsistent"
        )
    with (folder / "conflicts.csv").open(newline="", encoding="utf-8") as file:
        conflicts = Counter(
            (
                r["suite"],
                r["task_or_dimension"],
                r["method_key"],
                r["value_a"],
                int(r["line_a"]),
                r["value_b"],
                int(r["line_b"]),
            )
            for r in csv.DictReader(file)
        )
    data = footnote_data()
    names = ("paper", "table", "suite", "policy", "printed", "recomputed", "line")
    assert Counter(tuple(check[name] for name in names) for check in data["arithmetic"]) == bad
    assert conflicts == Counter(
        (c["suite"], c["dimension"], c["policy"], *c["a"][2:], *c["b"][2:]) for c in data["conflicts"]
    )


def test_there_are_thirty_five_inconsistencies_and_thirty_eight_conflicts_and_all_stand_on_rows() -> None:
    data = footnote_data()
    assert (len(data["arithmetic"]), len(data["conflicts"])) == (35, 38)
    shown = {note["text"] for row in published_rows() for note in row.values["notes"]}
    lost = [(place, note["text"]) for place, note in footnotes() if note["text"] not in shown]
    assert lost == []


def test_a_second_start_changes_nothing(loaded: Store) -> None:
    before = read.etag(loaded.database)
    assert load_published(loaded.database) == 0
    assert read.etag(loaded.database) == before


def test_it_loads_on_both_databases(database: str, tmp_path: Path, rows: list[tuple[BoardHead, Row]]) -> None:
    with Store.open(database, tmp_path / "traces") as store:
        assert load_published(store.database) == len(published_rows()) == len(rows)
        assert load_published(store.database) == 0
        assert len(read.boards(store.database)) == len({head.slug for head, _ in rows})


def test_no_count_means_no_interval_and_no_rank(rows: list[tuple[BoardHead, Row]]) -> None:
    for _, row in rows:
        assert row.mark.mark is Mark.PUBLISHED
        if row.n_judged is None:
            assert (row.low, row.high, row.rank) == (None, None, ""), row.published_key
            assert row.unranked or row.source["role"] == "variant"
        else:
            assert row.low is not None
            assert row.low <= row.score <= row.high
        assert row.rank == "" or (row.n_judged and row.source["role"] != "variant")
        for cell in row.cells:
            assert (cell.low is None) == (cell.n is None)
    assert sum(bool(row.rank) for _, row in rows) == 27


def test_a_value_that_no_count_gives_is_not_ranked(rows: list[tuple[BoardHead, Row]]) -> None:
    lamp = next(
        row
        for head, row in rows
        if head.suite == "libero_10" and row.published_key.endswith("Table I/lamp/libero_long")
    )
    assert (lamp.score, lamp.rank) == (0.967, "")
    assert "cannot come from the 500 episodes" in lamp.unranked
    assert any(note.kind == "arithmetic" and "nearest: 484/500" in note.text for note in lamp.notes)


def test_lost_values_stay_blank(rows: list[tuple[BoardHead, Row]]) -> None:
    blank = [row for _, row in rows if any(note.kind == "lost" for note in row.notes)]
    assert len(blank) == 32
    for row in blank:
        assert row.score is None or any(cell.value is None for cell in row.cells)
    robotwin = [row for head, row in rows if head.suite.startswith("robotwin")]
    assert robotwin
    assert all(row.score is None and row.low is None for row in robotwin)


def test_calvin_is_ranked_by_length_with_the_bootstrap_of_its_shares(rows: list[tuple[BoardHead, Row]]) -> None:
    calvin = {row.policy: row for head, row in rows if head.suite == "calvin_abc_d" and row.source["role"] != "variant"}
    best = calvin["SSM-VLA"]
    assert (best.score, best.rank, best.n_judged, len(best.cells)) == (4.38, "1–3", 1000, 5)
    assert best.low == pytest.approx(4.30, abs=0.02)
    assert best.high == pytest.approx(4.455, abs=0.02)
    assert calvin["RoboFlamingo"].rank == "12"


def test_published_rows_are_ranked_apart_from_runs_and_our_own_are_called_reimplementations(tmp_path: Path) -> None:
    from vla_bench.envs.registry import find_suite

    with Store.open(tmp_path / "board.db", tmp_path / "traces") as store:
        load_published(store.database)
        suite = find_suite("libero_spatial")
        store_run(store, "ours", [True] * 450 + [False] * 50, of=suite, machine=GPU, policy=PolicyInfo(name="lamp"))
        entry = enter(store, "ours")
        page = read.board_page(store.database, entry.slug)
        assert (page.rows[0].run, page.rows[0].rank, page.rows[0].is_reimplementation) == ("ours", "1", True)
        published = [row for row in page.rows if row.rank_class == "published"]
        assert [row.rank for row in published][:2] == ["1–2", "1–2"]
        assert page.head.rank_class == "self-reported"
        assert len(page.head.plan_hash) == 64
        policy = read.policy_page(store.database, "lamp")
        assert {result.row.mark.mark for result in policy.results} == {Mark.PUBLISHED, Mark.SELF_REPORTED}
        found = read.compare_page(store.database, page.rows[0].id, published[0].id)
        assert found.kind == "independent"


def test_every_paper_and_policy_has_a_name() -> None:
    for benchmark in BENCHMARKS:
        for figure in figures(benchmark):
            assert figure.paper in PAPERS
            name, family = policy_of(figure.policy)
            assert name
            assert family.replace("_", "").isalnum()
            assert figure.note


def test_sizes_and_speeds_stand_on_the_page_of_their_policy() -> None:
    clad = efficiency_of("clad")
    assert {"metric": "inference_rate", "value": 25.0, "unit": "hz"}.items() <= clad[0].items()
    assert efficiency_of("nobody") == ()
