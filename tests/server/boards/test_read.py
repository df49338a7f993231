"""What pages and API read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results import samples
from tests.server.boards.making import GPU, SLUG, enter, fill, replay, store_run, submit
from vla_bench.results.stats.paired import Pairs, mcnemar_p, tango_interval
from vla_bench.results.store import Store
from vla_bench.server.boards import read
from vla_bench.server.boards.change import refresh_mark
from vla_bench.server.boards.reading.cursor import decode, encode
from vla_bench.server.boards.views import Filters
from vla_bench.spec.errors import NotListed, UsageError

SORTS = ("rank", "policy", "score", "n", "date", "parameters", "runs", "mark", "task:t1")


@pytest.fixture
def mixed(file_store: Store) -> Store:
    """Eight runs, one of them incomplete, one undeclared, one an oracle."""
    fill(file_store, [0.9, 0.9, 0.5, 0.1])
    declared = {"trained_on": "zero-shot", "parameters": 7_000_000_000, "open_weights": True, "family": "Big"}
    store_run(file_store, "declared", [True] * 30)
    enter(file_store, "declared", declaration=declared)
    store_run(file_store, "small", [False] * 30)
    enter(file_store, "small", declaration={**declared, "parameters": 100, "open_weights": False})
    store_run(file_store, "part", [True] * 7)
    enter(file_store, "part")
    oracle = samples.PolicyInfo(name="oracle", kind="oracle")
    store_run(file_store, "oracle", [True] * 30, policy=oracle)
    enter(file_store, "oracle")
    return file_store


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
def test_page_after_page_shows_every_row_once(mixed: Store, sort: str, descending: bool) -> None:
    whole = read.board_page(mixed.database, SLUG, sort=sort, descending=descending)
    seen, after = [], ""
    for _ in range(8):
        page = read.board_page(mixed.database, SLUG, sort=sort, descending=descending, after=after, size=3)
        seen += [row.id for row in page.rows]
        after = page.next_after
        if not after:
            break
    assert seen == [row.id for row in whole.rows]
    assert sorted(seen) == list(range(1, 9))
    if sort in ("score", "parameters", "task:t1"):
        missing = [row.id for row in whole.rows if getattr(row, sort, row.cells[-2].value) is None]
        assert seen[len(seen) - len(missing) :] == missing


def test_ranked_rows_come_first_and_incomplete_ones_last(mixed: Store) -> None:
    page = read.board_page(mixed.database, SLUG)
    assert page.rows[0].policy == "declared"
    assert [row.policy for row in page.rows][-2:] == ["oracle", "part"]
    assert [row.unranked for row in page.rows][-2:] == [
        "an oracle: it reads the simulator's state",
        "incomplete: a score wants every planned episode",
    ]
    assert page.axis == (0.0, 1.0)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(trained_on="zero-shot"), {"declared", "small"}),
        (Filters(family="big"), {"declared", "small"}),
        (Filters(open_weights=True), {"declared"}),
        (Filters(min_parameters=1000), {"declared"}),
        (Filters(max_parameters=1000), {"small"}),
        (Filters(marks=("replayed", "re-run")), set()),
        (Filters(since="2999-01-01"), set()),
        (Filters(until="2999-01-01", family="p0"), {"p0"}),
    ],
)
def test_filters_keep_what_they_say(mixed: Store, filters: Filters, expected: set[str]) -> None:
    page = read.board_page(mixed.database, SLUG, filters)
    assert {row.policy for row in page.rows} == expected
    assert (page.n_total, page.n_board) == (len(expected), 8)
    assert {facet.value: facet.n for facet in page.facets["trained_on"]} == {"undeclared": 6, "zero-shot": 2}


def test_without_a_wish_the_strongest_rows_are_shown_and_all_where_none_is_verified(file_store: Store) -> None:
    store_run(file_store, "sent", [True] * 20 + [False] * 10)
    submit(file_store, "sent")
    store_run(file_store, "mine", [True] * 30)
    enter(file_store, "mine")
    wanted = Filters(strongest=True)
    page = read.board_page(file_store.database, SLUG, wanted)
    assert ([row.policy for row in page.rows], page.filters.marks) == (["mine", "sent"], ())
    replay(file_store, 1, ["agreed"] * 30)
    with file_store.database.write() as connection:
        refresh_mark(connection, 1)
    page = read.board_page(file_store.database, SLUG, wanted)
    assert ([row.policy for row in page.rows], page.filters.marks) == (["sent"], ("re-run", "replayed"))
    assert (page.n_total, page.n_board) == (1, 2)
    page = read.board_page(file_store.database, SLUG, Filters(strongest=True, marks=("self-reported",)))
    assert [row.policy for row in page.rows] == ["mine"]


def test_hardware_is_a_filter_where_it_was_declared(file_store: Store) -> None:
    for name, device in (("a", "NVIDIA H200"), ("b", "Jetson Orin"), ("c", "")):
        store_run(file_store, name, [True] * 30)
        enter(file_store, name, declaration={"device": device} if device else {})
    page = read.board_page(file_store.database, SLUG, Filters(hardware="Jetson Orin"))
    assert [row.policy for row in page.rows] == ["b"]
    assert {facet.value for facet in page.facets["hardware"]} == {"NVIDIA H200", "Jetson Orin"}


@pytest.mark.parametrize(
    "call",
    [
        lambda db: read.board_page(db, SLUG, sort="nonsense"),
        lambda db: read.board_page(db, SLUG, size=0),
        lambda db: read.board_page(db, SLUG, after="nonsense"),
        lambda db: read.board_page(db, SLUG, after=encode(1)),
        lambda db: read.board_page(db, SLUG, sort="score", after=encode(False, "text", 1)),
        lambda db: read.board_page(db, SLUG, after=read.board_page(db, SLUG, sort="policy", size=1).next_after),
        lambda db: read.board_page(db, SLUG, Filters(marks=("gold",))),
        lambda db: read.episodes_page(db, 1, after="é"),
        lambda db: read.episodes_page(db, 1, after=encode(2**40)),
        lambda db: read.episodes_page(db, 1, outcome="victory"),
        lambda db: read.compare_page(db, 1, 1),
        lambda db: read.log_page(db, subject="x"),
    ],
)
def test_what_is_not_understood_is_said(mixed: Store, call: Callable) -> None:
    with pytest.raises(UsageError):
        call(mixed.database)


@pytest.mark.parametrize(
    "call",
    [
        lambda store: read.board_page(store.database, "no/such/board/here"),
        lambda store: read.row(store.database, 99),
        lambda store: read.policy_page(store.database, "nobody"),
        lambda store: read.run_page(store.database, 99),
        lambda store: read.episodes_page(store.database, 99),
        lambda store: read.episode_page(store.database, store.traces, 1, "f" * 16),
        lambda store: read.compare_page(store.database, 1, 99),
        lambda store: read.suite_page(store.database, "nothing"),
        lambda store: read.submission_page(store.database, "s9"),
    ],
)
def test_what_is_not_there_is_not_listed(mixed: Store, call: Callable) -> None:
    with pytest.raises(NotListed):
        call(mixed)


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()), max_size=6))
def test_a_cursor_gives_its_key_back(key: list[object]) -> None:
    assert decode(encode(*key), len(key)) == key


@given(st.text(max_size=60), st.integers(1, 5))
def test_any_text_is_a_cursor_or_is_refused(after: str, n: int) -> None:
    with contextlib.suppress(UsageError):
        assert len(decode(after, n)) == n


def test_a_comparison_counts_pairs_and_lists_where_they_differ(store: Store) -> None:
    outcomes = fill(store, [0.8, 0.4])
    pairs = Pairs.of(outcomes["p0"], outcomes["p1"])
    page = read.compare_page(store.database, 1, 2)
    assert (page.kind, page.reason) == ("paired", "")
    assert (page.both, page.a_only, page.b_only, page.neither) == (
        pairs.both, pairs.new_only, pairs.base_only, pairs.neither,
    )  # fmt: skip
    assert page.p == mcnemar_p(pairs.new_only, pairs.base_only)
    assert page.interval == tango_interval(pairs.new_only, pairs.base_only, pairs.n)
    assert page.n_discordant == len(page.discordant) == pairs.n_discordant
    differing = np.flatnonzero(outcomes["p0"] != outcomes["p1"])
    assert [each.a_success for each in page.discordant] == outcomes["p0"][differing].tolist()
    seen, after = [], ""
    while True:
        part = read.compare_page(store.database, 1, 2, after=after, size=4)
        seen += part.discordant
        after = part.next_after
        if not after:
            break
    assert seen == list(page.discordant)
    assert sum(task.k_a - task.k_b for task in page.tasks) == pairs.new_only - pairs.base_only
    assert [abs(t.difference) for t in page.tasks] == sorted((abs(t.difference) for t in page.tasks), reverse=True)


def test_rows_of_two_boards_are_compared_by_their_counts(file_store: Store) -> None:
    fill(file_store, [0.8])
    store_run(file_store, "soft", [True] * 30, machine=samples.MACHINE)
    enter(file_store, "soft")
    page = read.compare_page(file_store.database, 1, 2)
    assert page.kind == "independent"
    assert "not the same conditions" in page.reason
    assert page.interval is not None
    store_run(file_store, "part", [True] * 5)
    enter(file_store, "part")
    assert read.compare_page(file_store.database, 1, 3).kind == "none"


def test_episodes_go_page_by_page_in_plan_order(store: Store) -> None:
    outcomes = fill(store, [0.6])["p0"]
    seen, after = [], ""
    while True:
        page = read.episodes_page(store.database, 1, after=after, size=7)
        seen += page.lines
        after = page.next_after
        if not after:
            break
    assert [line.position for line in seen] == list(range(30))
    assert [line.outcome == "success" for line in seen] == outcomes.tolist()
    only = read.episodes_page(store.database, 1, task="t1", outcome="failure", size=500)
    assert {(line.task, line.outcome) for line in only.lines} <= {("t1", "failure")}
    assert len(only.lines) == sum(line.task == "t1" and line.outcome == "failure" for line in seen)


def test_an_episode_shows_its_actions_its_neighbours_and_its_replays(store: Store) -> None:
    spec = samples.spec("a", samples.suite(3, 10), policy=samples.PolicyInfo(name="a"))
    store.begin_run(spec)
    made = samples.results(spec.plan, ["success"] * 30)
    store.add("a", [replace(r, attempts=(replace(r.attempts[0], fingerprint=GPU),)) for r in made])
    store.finish("a")
    submit(store, "a")
    replay(store, 1, ["agreed", "agreed"])
    ids = [line.episode_id for line in read.episodes_page(store.database, 1).lines]
    page = read.episode_page(store.database, store.traces, 1, ids[1])
    assert (page.previous, page.following) == (ids[0], ids[2])
    assert page.actions is not None
    assert page.actions.shape == (16, 4)
    assert page.action_names == ("0", "1", "2", "3")
    assert [line.state for line in page.replays] == ["agreed"]
    assert (page.instruction, page.horizon) == (f"do {page.line.task[1]}", 100)
    assert read.episode_page(store.database, store.traces, 1, ids[0]).previous == ""
    store.traces.remove({page.attempts[0].trace_digest})
    assert read.episode_page(store.database, store.traces, 1, ids[1]).actions is None


def test_a_run_page_has_what_the_summary_has(store: Store) -> None:
    fill(store, [0.7, 0.2])
    page = read.run_page(store.database, 1)
    summary = store.summary("p0")
    assert replace(page.summary, per_task=summary.per_task) == summary
    assert [(t.task, t.k, t.n, t.instruction) for t in page.tasks] == [
        (t.task, t.n_success, t.n_judged, f"do {t.task[1]}") for t in summary.per_task
    ]
    assert [other.policy for other in page.others] == ["p1"]
    assert page.machines == ((asdict(GPU), 30),)


def test_a_suite_page_has_tasks_protocols_and_boards(store: Store) -> None:
    fill(store, [0.7])
    page = read.suite_page(store.database, "made_up", size=2)
    assert [task.id for task in page.tasks] == ["t0", "t1"]
    rest = read.suite_page(store.database, "made_up", size=2, after=page.next_after)
    assert [task.id for task in rest.tasks] == ["t2"]
    assert (rest.next_after, rest.n_tasks) == ("", 3)
    assert list(page.protocols) == ["standard/1"]
    assert [head.slug for head in page.boards] == [SLUG]


def test_a_submission_shows_what_everybody_may_see(store: Store) -> None:
    store_run(store, "a", [True] * 30)
    submit(store, "a")
    replay(store, 1, ["agreed", "queued"])
    page = read.submission_page(store.database, "s1")
    assert (page.account, page.replays, page.n_siblings) == ("owner-s1", {"agreed": 1, "queued": 1}, 0)
    assert page.row is None  # it is still being checked


def test_the_log_goes_back_page_by_page(store: Store) -> None:
    fill(store, [0.1, 0.2, 0.3])
    first = read.log_page(store.database, size=2)
    assert [entry.id for entry in first.entries] == [3, 2]
    assert [entry.id for entry in read.log_page(store.database, size=2, after=first.next_after).entries] == [1]
    assert len(read.log_page(store.database, subject_kind="board", subject=SLUG).entries) == 3
    assert read.log_page(store.database, subject_kind="account").entries == ()


def test_answer_times_are_ranked_within_one_device_and_precision(file_store: Store) -> None:
    told = {"device": "H200", "precision": "bf16", "batch": 1}
    for name, declared in (("a", told), ("b", told), ("c", told | {"batch": 8}), ("d", told | {"device": "A100"})):
        spec = samples.spec(name, samples.suite(3, 10), policy=samples.PolicyInfo(name=name))
        file_store.begin_run(spec)
        file_store.add(name, samples.results(spec.plan, ["success"] * 30))
        enter(file_store, name, declaration=declared)
    tables = read.latency_tables(file_store.database)
    assert [(table.device, [line.row.policy for line in table.lines]) for table in tables] == [
        ("A100", ["d"]), ("H200", ["a", "b"]),
    ]  # fmt: skip
