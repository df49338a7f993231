"""What becomes of a row: marks follow from replay and challenge rows, tombstones stay."""

from __future__ import annotations

import pytest

from tests.results import samples
from tests.server.boards.making import SLUG, challenge, enter, fill, replay, store_run, submit
from vla_bench.results.store import Store
from vla_bench.server.boards import read
from vla_bench.server.boards.change import bury, refresh_mark
from vla_bench.server.boards.marks import DOES_NOT_PROVE, PROVES, RANK_CLASS, Mark, MarkFacts
from vla_bench.server.boards.views import Row
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import NotListed, UsageError

EARLY, LATE = "2029-01-01T00:00:00+00:00", "2030-02-01T00:00:00+00:00"


def refreshed(store: Store, run_id: int = 1) -> MarkFacts:
    with store.database.write() as connection:
        return refresh_mark(connection, run_id)


def row(store: Store, policy: str = "a") -> Row:
    return next(row for row in read.board_page(store.database, SLUG).rows if row.policy == policy)


@pytest.fixture
def submitted(store: Store) -> Store:
    store_run(store, "a", [True] * 25 + [False] * 5)
    submit(store, "a")
    return store


@pytest.mark.parametrize(
    ("states", "mark", "words"),
    [
        ([], Mark.SELF_REPORTED, "No episode of it has been replayed yet."),
        (["queued"] * 3, Mark.SELF_REPORTED, "0 replayed of 30, 0 deviating; 3 to come."),
        (["agreed"] * 5 + ["leased"], Mark.SELF_REPORTED, "5 replayed of 30, 0 deviating"),
        (["agreed"] * 30, Mark.REPLAYED, "30 replayed of 30, 0 deviating."),
        (["agreed"] * 10, Mark.REPLAYED, "10 replayed of 30, 0 deviating: at most 25.9 % deviate (95 %)."),
        (["agreed"] * 10 + ["failed"], Mark.SELF_REPORTED, "1 could not be replayed"),
        (["agreed"] * 29 + ["deviated"], Mark.SELF_REPORTED, "30 replayed of 30, 1 deviating."),
    ],
)
def test_a_mark_follows_from_the_replays(submitted: Store, states: list[str], mark: Mark, words: str) -> None:
    if states:
        replay(submitted, 1, states)
    facts = refreshed(submitted)
    assert facts.mark is mark
    assert words in facts.text
    assert row(submitted).mark == facts
    assert row(submitted).rank_class == RANK_CLASS[mark]


def test_a_run_that_is_replayed_is_ranked_among_its_likes(store: Store) -> None:
    store_run(store, "a", [True] * 25 + [False] * 5)
    submit(store, "a")
    fill(store, [1.0, 0.1])
    assert [(r.policy, r.rank) for r in read.board_page(store.database, SLUG).rows] == [
        ("p0", "1–2"), ("a", "1–2"), ("p1", "3"),
    ]  # fmt: skip
    replay(store, 1, ["agreed"] * 10)
    refreshed(store)
    page = read.board_page(store.database, SLUG)
    assert [(r.policy, r.rank, r.rank_class) for r in page.rows] == [
        ("a", "1", "verified"), ("p0", "1", "self-reported"), ("p1", "2", "self-reported"),
    ]  # fmt: skip
    assert page.head.rank_class == "verified"
    assert read.log_page(store.database).entries[0].action == "mark_changed"
    replay(store, 1, ["agreed"] * 9 + ["deviated"])
    assert refreshed(store).mark is Mark.SELF_REPORTED


@pytest.mark.parametrize(
    ("outcomes", "issued_at", "mark", "words"),
    [
        ([True] * 26 + [False] * 4, LATE, Mark.RE_RUN, "26 of 30, as claimed"),
        ([True] * 5 + [False] * 25, LATE, Mark.SELF_REPORTED, "fewer than claimed"),
        ([True] * 26 + [False] * 4, EARLY, Mark.SELF_REPORTED, "No episode"),
        ([True] * 26, LATE, Mark.SELF_REPORTED, "No episode"),
    ],
)
def test_only_a_complete_run_on_a_later_plan_gives_the_tick(
    submitted: Store, outcomes: list[bool], issued_at: str, mark: Mark, words: str
) -> None:
    suite = samples.suite(3, 10)
    policy = samples.PolicyInfo(name="a")
    store_run(submitted, "answer", outcomes, of=suite, plan=make_plan(suite, policy_seed=5), policy=policy)
    challenge(submitted, "answer", issued_at=issued_at)
    facts = refreshed(submitted)
    assert facts.mark is mark
    assert words in facts.text
    assert facts.has_tick is (mark is Mark.RE_RUN)


def test_a_challenge_answered_by_another_policy_proves_nothing(submitted: Store) -> None:
    suite = samples.suite(3, 10)
    other = samples.PolicyInfo(name="a", weights_digest="ff")
    store_run(submitted, "answer", [True] * 30, of=suite, plan=make_plan(suite, policy_seed=5), policy=other)
    challenge(submitted, "answer", issued_at=LATE)
    assert refreshed(submitted).mark is Mark.SELF_REPORTED


def test_a_deviation_outweighs_a_challenge(submitted: Store) -> None:
    suite = samples.suite(3, 10)
    policy = samples.PolicyInfo(name="a")
    store_run(submitted, "answer", [True] * 30, of=suite, plan=make_plan(suite, policy_seed=5), policy=policy)
    challenge(submitted, "answer", issued_at=LATE)
    replay(submitted, 1, ["deviated"])
    assert refreshed(submitted).mark is Mark.SELF_REPORTED


def test_a_tombstone_keeps_its_numbers_and_its_place_in_the_count(store: Store) -> None:
    fill(store, [1.0, 0.6, 0.1])
    before = row(store, "p0")
    with store.database.write() as connection:
        bury(connection, 1, "retracted", "trained on the test", actor="owner")
    after = row(store, "p0")
    assert (after.state, after.state_reason, after.rank) == ("retracted", "trained on the test", "")
    assert (after.score, after.n_success, after.n_runs) == (before.score, before.n_success, 1)
    page = read.board_page(store.database, SLUG)
    assert [(r.policy, r.rank) for r in page.rows] == [("p1", "1"), ("p2", "2"), ("p0", "")]
    assert page.head.counts == {"gone": 1, "self-reported": 2}
    entry = read.log_page(store.database).entries[0]
    assert (entry.action, entry.actor, entry.detail["reason"]) == ("run_retracted", "owner", "trained on the test")
    enter(store, "p0")
    assert row(store, "p0").state == "retracted"
    assert read.policy_page(store.database, "p0").gone[0].row.id == after.id
    with pytest.raises(UsageError, match="retracted already"), store.database.write() as connection:
        bury(connection, 1, "withdrawn", "again", actor="m")


def test_a_tombstone_has_a_reason_and_a_known_state(file_store: Store) -> None:
    fill(file_store, [0.5])
    for state, reason in (("retracted", "  "), ("deleted", "why")):
        with pytest.raises(UsageError), file_store.database.write() as connection:
            bury(connection, 1, state, reason, actor="m")
    with pytest.raises(NotListed), file_store.database.write() as connection:
        bury(connection, 99, "withdrawn", "why", actor="m")


def test_every_mark_says_what_it_proves_and_what_not() -> None:
    assert set(PROVES) == set(DOES_NOT_PROVE) == set(RANK_CLASS) == set(Mark)
