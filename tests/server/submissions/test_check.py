"""What a board refuses: every forgery with a line of its own, on both databases."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tests.server.submitting import Board, Forgery, announcement, bundle_of, copy_run_as
from vla_bench.results.leaderboard.people import AUDIT, REPLAY, SUBMISSION
from vla_bench.results.rows import suite_digest
from vla_bench.results.tables import ATTEMPT, EPISODE, RUN
from vla_bench.server.audit import SERVER, write_audit
from vla_bench.server.problems import Problem
from vla_bench.server.submissions import uploads
from vla_bench.server.submissions.listing import process
from vla_bench.server.submissions.states import TRANSITIONS, State, find_submission
from vla_bench.spec.canonical import content_id, sha256_hex
from vla_bench.spec.errors import StoreFull


def episode_with(forged: Forgery, outcome: str) -> str:
    found: str = next(row["episode_id"] for row in forged.episodes if row["outcome"] == outcome)
    return found


def flip_row(forged: Forgery) -> None:
    next(row for row in forged.episodes if row["outcome"] == "failure")["outcome"] = "success"


def change_action_only(forged: Forgery) -> None:
    episode = episode_with(forged, "failure")
    row = forged.attempt(episode)
    old = row["trace_digest"]
    forged.retrace(episode, lambda trace: replace(trace, actions=trace.actions * 0.5))
    forged.traces[old] = forged.traces.pop(row["trace_digest"])
    row["trace_digest"] = old


def steal_within(forged: Forgery) -> None:
    good, bad = episode_with(forged, "success"), episode_with(forged, "failure")
    forged.traces.pop(forged.attempt(bad)["trace_digest"])
    forged.attempt(bad)["trace_digest"] = forged.attempt(good)["trace_digest"]


def swap_traces(forged: Forgery) -> None:
    one, other = forged.attempts[0], forged.attempts[1]
    one["trace_digest"], other["trace_digest"] = other["trace_digest"], one["trace_digest"]


def inflate_total(forged: Forgery) -> None:
    forged.summary["n_success"] = 50
    forged.summary["rate"] = 1.0


def inflate_task(forged: Forgery) -> None:
    task = next(task for task in forged.summary["per_task"] if task["n_success"] < task["n_judged"])
    task["n_success"] = task["n_judged"]


def inflate_interval(forged: Forgery) -> None:
    forged.summary["these_tasks"]["low"] += 0.01


def drop_failures(forged: Forgery) -> None:
    lost = {row["episode_id"] for row in forged.episodes if row["outcome"] == "failure"}
    for rows in (forged.episodes, forged.attempts):
        rows[:] = [row for row in rows if row["episode_id"] not in lost]
    used = {row["trace_digest"] for row in forged.attempts}
    forged.traces = {digest: data for digest, data in forged.traces.items() if digest in used}


def plan_without_failures(forged: Forgery) -> None:
    drop_failures(forged)
    kept = {row["episode_id"] for row in forged.episodes}
    forged.members["plan.json"] = [item for item in forged.members["plan.json"] if content_id(item) in kept]


def other_seeds(forged: Forgery) -> None:
    for item in forged.members["plan.json"]:
        item["policy_seed"] = 1
    ids = [content_id(item) for item in forged.members["plan.json"]]
    renamed = dict(zip([row["episode_id"] for row in forged.episodes], ids, strict=True))
    for row in (*forged.episodes, *forged.attempts):
        row["episode_id"] = renamed[row["episode_id"]]


def mix_plans(forged: Forgery) -> None:
    odd = "0123456789abcdef"
    last = forged.episodes[-1]["episode_id"]
    for row in (forged.episodes[-1], forged.attempt(last)):
        row["episode_id"] = odd


def lose_one(forged: Forgery) -> None:
    episode = episode_with(forged, "failure")
    for row in (forged.attempt(episode), next(row for row in forged.episodes if row["episode_id"] == episode)):
        row["outcome"], row["error_kind"] = "policy_error", "policy_timeout"


def drop_trace(forged: Forgery) -> None:
    forged.traces.popitem()


def add_trace(forged: Forgery) -> None:
    forged.traces["f" * 64] = next(iter(forged.traces.values()))


def easier_suite(forged: Forgery) -> None:
    for task in forged.members["suite.json"]["tasks"]:
        task["horizon"] += 100


def easier_suite_with_digest(forged: Forgery) -> None:
    from vla_bench.results.rows import suite_digest

    easier_suite(forged)
    forged.manifest["suite_digest"] = forged.summary["suite_digest"] = suite_digest(forged.members["suite.json"])


def other_policy(forged: Forgery) -> None:
    forged.members["policy.json"]["name"] = "openpi"


def other_settings(forged: Forgery) -> None:
    forged.manifest["settings"]["replan_horizon"] = 4


def swap_latencies(forged: Forgery) -> None:
    one = forged.attempts[0]
    other = next(row for row in forged.attempts if row["policy_bins"] != one["policy_bins"])
    one["policy_bins"], other["policy_bins"] = other["policy_bins"], one["policy_bins"]


def hide_a_try(forged: Forgery) -> None:
    forged.episodes[0]["n_attempts"] = 3


def unknown_machine(forged: Forgery) -> None:
    forged.attempts[0]["fingerprint"] = "f" * 16


def undeclared_scope(forged: Forgery) -> None:
    forged.manifest["declaration"]["checkpoint_scope"] = "one per suite"


FORGERIES: dict[Callable[[Forgery], None], str] = {
    flip_row: r"its row says outcome 'success', the attempt that counts 'failure'",
    change_action_only: r"trace \w+, episode \w+: its content has digest",
    steal_within: r"a trace belongs to one attempt: 1 \(\w+\) stand for several",
    swap_traces: r"the (initial|final) state digest of the trace is not the stored one",
    inflate_total: r"summary: n_success is claimed as 50, the episodes give \d+",
    inflate_task: r"summary: per_task\[\d\]\.n_success is claimed as \d+, the episodes give \d+",
    inflate_interval: r"summary: these_tasks\.low is claimed as 0\.\d+, the episodes give 0\.\d+",
    drop_failures: r"the run is not complete: \d+ \(.*\) of 50 planned episodes are missing",
    plan_without_failures: r"the board of this suite and protocol has plan \w+, the run has \w+: \d+ of its 50",
    other_seeds: r"tasks and trials are the same, states or policy seeds are others\. Run it without --seed",
    mix_plans: r"plans are mixed: 1 \(0123456789abcdef\) of the bundle's episodes are not in its plan",
    lose_one: r"1 \(\w+\) of its episodes were lost and never judged",
    drop_trace: r"traces are missing: 1 \(\w+\)",
    add_trace: r"trace f{16} belongs to no attempt of the bundle",
    easier_suite: r"the suite was changed: its digest is",
    easier_suite_with_digest: r"suite: the run's suite has tasks\[0\]\.horizon \d+, the one installed \d+",
    other_policy: r"the policy was changed: its digest is",
    other_settings: r"the settings was changed: its digest is",
    swap_latencies: r"its latencies are not those of its trace",
    hide_a_try: r"its row counts 3 attempts, 1 are stored",
    unknown_machine: r"attempts name machines that are not in the bundle: 1",
    undeclared_scope: r"declaration\.checkpoint_scope is 'one per suite', the policy itself says 'one'",
}


@pytest.fixture(scope="module")
def sqlite_board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("board")
    return Board(str(folder / "board.db"), folder)


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forgery_is_refused_with_its_own_message(
    forge: Callable[[Forgery], None], sqlite_board: Board, toy_bundle: Path, tmp_path: Path
) -> None:
    forged = Forgery.of(toy_bundle)
    forge(forged)
    _, state, reason = sqlite_board.submit(sqlite_board.principal("mallory"), forged.write(tmp_path / "forged"))
    assert state is State.REFUSED
    assert re.search(FORGERIES[forge], reason), reason
    with sqlite_board.store.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(RUN)) == 0
    assert not any(sqlite_board.store.traces.path.rglob("*.zst"))


def test_an_honest_run_is_listed_and_its_draw_is_queued(board: Board, toy_bundle: Path) -> None:
    submission_id, state, _ = board.submit(board.principal("alice"), toy_bundle)
    assert state is State.AUDITING
    with board.store.database.read() as connection:
        run = connection.execute(sa.select(RUN)).mappings().one()
        assert run["name"] == f"{submission_id}-toy"
        for table in (EPISODE, ATTEMPT, REPLAY):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 50
        told = list(connection.scalars(sa.select(AUDIT.c.action).where(AUDIT.c.subject == submission_id)))
    assert told == [
        "submission_open", "submission_sealed", "submission_checking", "submission_listed", "replays_drawn",
        "submission_auditing",
    ]  # fmt: skip
    assert board.store.summary(run["name"]).n_planned == 50


def test_a_name_that_reads_otherwise_than_it_is_written_is_refused(
    board: Board, toy_bundle: Path, tmp_path: Path
) -> None:
    forged = Forgery.of(toy_bundle)
    forged.members["policy.json"]["name"] = "lamp\u202e"
    digest = sha256_hex(forged.members["policy.json"])
    forged.manifest["policy_digest"] = forged.summary["policy_digest"] = digest
    _, state, reason = board.submit(board.principal("mallory"), forged.write(tmp_path / "b"))
    assert (state, reason) == (
        State.REFUSED, "policy.json: name holds the character U+202E, which cannot be shown",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("member", "path", "odd"),
    [
        ("policy.json", ("cameras",), True), ("policy.json", ("cameras",), "x"), ("policy.json", ("state",), [[1]]),
        ("policy.json", ("state",), 7), ("plan.json", (0, "protocol"), {"a": [1]}), ("plan.json", (0, "task"), None),
        ("suite.json", ("group_notes",), -1), ("suite.json", ("group_by",), [True]), ("suite.json", ("tasks",), 1),
        ("suite.json", ("tasks", 0, "tags"), [{}]), ("suite.json", ("totals",), "x"),
    ],
    ids=str,
)  # fmt: skip
def test_a_description_of_another_form_is_refused_and_no_fault_of_ours(
    board: Board, toy_bundle: Path, tmp_path: Path, member: str, path: tuple[str | int, ...], odd: object
) -> None:
    forged = Forgery.of(toy_bundle)
    place = forged.members[member]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = odd
    policy = sha256_hex(forged.members["policy.json"])
    forged.manifest["policy_digest"] = forged.summary["policy_digest"] = policy
    forged.manifest["suite_digest"] = suite_digest(forged.members["suite.json"])
    _, state, reason = board.submit(board.principal("mallory"), forged.write(tmp_path / "b"))
    assert state is State.REFUSED, (state, reason)
    assert "a fault of this board" not in reason


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-11-21", "9999-12-31T23:59:59+00:00", "2026-11-21T00:00:00+99:00"]
)
def test_a_date_that_nobody_can_have_is_refused(board: Board, toy_bundle: Path, tmp_path: Path, moment: str) -> None:
    forged = Forgery.of(toy_bundle)
    forged.manifest["finished_at"] = moment
    _, state, reason = board.submit(board.principal("mallory"), forged.write(tmp_path / "b"))
    assert state is State.REFUSED
    assert "finished" in reason


def test_the_same_run_comes_once_whoever_sends_it(
    board: Board, toy_run: Path, toy_bundle: Path, tmp_path: Path
) -> None:
    first, _, _ = board.submit(board.principal("alice"), toy_bundle)
    forged = Forgery.of(toy_bundle)
    forged.manifest["declaration"]["family"] = "mine"
    _, state, reason = board.submit(board.principal("mallory"), forged.write(tmp_path / "b"))
    assert (state, reason) == (State.REFUSED, f"this run was submitted before: it is submission {first}")


def test_traces_of_somebody_else_s_run_are_refused(
    board: Board, toy_run: Path, toy_bundle: Path, tmp_path: Path
) -> None:
    first, _, _ = board.submit(board.principal("alice"), toy_bundle)
    copy_run_as(toy_run, tmp_path / "other.db", "other", 1.0)
    forged, honest = Forgery.of(bundle_of(tmp_path / "other.db", tmp_path, "other")), Forgery.of(toy_bundle)
    for mine, theirs in zip(forged.attempts[:3], honest.attempts[:3], strict=True):
        forged.traces.pop(mine["trace_digest"])
        forged.traces[theirs["trace_digest"]] = honest.traces[theirs["trace_digest"]]
        for name in ("trace_digest", "policy_bins"):
            mine[name] = theirs[name]
    _, state, reason = board.submit(board.principal("mallory"), forged.write(tmp_path / "b"))
    assert state is State.REFUSED
    assert reason.startswith(f"3 traces are those of submission {first}")


def test_a_check_that_died_is_made_again_and_lists_once(board: Board, toy_bundle: Path) -> None:
    submission_id = board.seal(board.principal("alice"), toy_bundle)
    with board.store.database.write() as connection:
        long_ago = {"state": "checking", "updated_at": "2020-01-01T00:00:00+00:00"}
        connection.execute(sa.update(SUBMISSION).values(long_ago))
    assert process(board.store, board.settings, submission_id) is State.AUDITING
    assert process(board.store, board.settings, submission_id) is State.AUDITING
    with board.store.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(RUN)) == 1


def test_a_fault_of_ours_in_the_middle_leaves_nothing_half_done(
    board: Board, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vla_bench.server.submissions import listing

    submission_id = board.seal(board.principal("alice"), toy_bundle)
    with monkeypatch.context() as patch:
        patch.setattr(listing, "queue_draw", lambda *_: 1 / 0)
        assert process(board.store, board.settings, submission_id) is State.SEALED
    with board.store.database.read() as connection:
        for table in (RUN, EPISODE, REPLAY):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    assert not any(board.store.traces.path.rglob("*.zst"))
    assert process(board.store, board.settings, submission_id) is State.AUDITING


def test_a_fault_of_ours_that_stays_is_no_endless_loop_and_is_said_to_be_ours(
    board: Board, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vla_bench.server.submissions import listing

    alice = board.principal("alice")
    submission_id = board.seal(alice, toy_bundle)
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(listing, "queue_draw", lambda *_: 1 / 0)
        states = [process(board.store, board.settings, submission_id) for _ in range(listing.MOST_TRIES + 1)]
    assert states == [State.SEALED, State.SEALED, State.REFUSED, State.REFUSED]
    faults = [line for line in logs if line["event"] == "submission_check_failed"]
    assert len(faults) == listing.MOST_TRIES
    assert all(line["log_level"] == "error" and line["exc_info"] for line in faults)
    with board.store.database.read() as connection:
        assert listing.waiting(connection) == []
        reason = find_submission(connection, submission_id)["reason"]
        told = connection.execute(sa.select(AUDIT.c.detail).where(AUDIT.c.action == "submission_check_failed"))
        assert [detail["try"] for (detail,) in told] == [1, 2, 3]
    assert "a fault of this board, and not of the submission" in reason
    assert board.submit(alice, toy_bundle)[1] is State.AUDITING


def test_a_check_that_dies_with_its_process_every_time_is_given_up(board: Board, toy_bundle: Path) -> None:
    submission_id = board.seal(board.principal("alice"), toy_bundle)
    with board.store.database.write() as connection:
        for number in (1, 2):
            write_audit(connection, SERVER, "submission_check_failed", "submission", submission_id, {"try": number})
        long_ago = {"state": "checking", "updated_at": "2020-01-01T00:00:00+00:00"}
        connection.execute(sa.update(SUBMISSION).values(long_ago))
    assert process(board.store, board.settings, submission_id) is State.REFUSED


def test_a_full_disk_is_waited_for(board: Board, toy_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vla_bench.server.submissions import listing

    def full(*_: object) -> None:
        raise StoreFull("no space left")

    submission_id = board.seal(board.principal("alice"), toy_bundle)
    with monkeypatch.context() as patch:
        patch.setattr(listing, "queue_draw", full)
        for _ in range(listing.MOST_TRIES + 1):
            with pytest.raises(StoreFull):
                process(board.store, board.settings, submission_id)
    assert process(board.store, board.settings, submission_id) is State.AUDITING


def test_bundles_that_are_on_no_board_fill_no_disk(board: Board, toy_bundle: Path) -> None:
    alice, announced = board.principal("alice"), announcement(toy_bundle) | {"bundle_size": 600}

    def open_one(digest: str, **limits: float) -> str:
        with board.store.database.write() as connection:
            return uploads.open_upload(
                connection, alice, announced | {"bundle_digest": digest * 64}, most_bytes=1500, **limits
            )

    first = open_one("1")
    open_one("2")
    with pytest.raises(Problem, match="hold 1200 bytes, and with this more than 1500"):
        open_one("3")
    with board.store.database.write() as connection:
        old = {"state": "refused", "updated_at": "2020-01-01T00:00:00+00:00"}
        connection.execute(sa.update(SUBMISSION).where(SUBMISSION.c.id == first).values(old))
    with pytest.raises(Problem, match="1200 bytes"):
        open_one("3", keep_days=36_500)
    open_one("3")


def test_every_state_is_in_the_table_and_ends_stay_ends() -> None:
    assert set(TRANSITIONS) == set(State)
    assert not TRANSITIONS[State.REFUSED] | TRANSITIONS[State.RETRACTED] | TRANSITIONS[State.WITHDRAWN]
    reached, todo = set(), [State.OPEN]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += TRANSITIONS[state]
    assert reached == set(State)
