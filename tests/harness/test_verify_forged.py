"""Verification of runs that were tampered with: whoever changes files or rows is caught."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.harness.runs import Forger, make_run, moved, only_disagreement, shortened, verify
from vla_bench.envs.registry import find_suite
from vla_bench.harness.replay import Agreement, Verdict
from vla_bench.results.rows import suite_digest
from vla_bench.spec.result import Trace


def test_a_damaged_trace_is_unreadable_and_a_missing_one_too(forger: Forger) -> None:
    first, second = forger.episodes()[:2]
    path = forger.trace_path(first)
    path.write_bytes(path.read_bytes()[:-9])
    forger.trace_path(second).unlink()
    verification = verify(forger)
    assert verification.counts == {Agreement.BIT: 8, Agreement.UNREADABLE: 2}
    assert verification.verdict is Verdict.DIFFERS


def test_another_trace_under_the_same_name_is_unreadable(forger: Forger) -> None:
    first, second = forger.episodes()[:2]
    forger.trace_path(first).write_bytes(forger.trace_path(second).read_bytes())
    (result,) = verify(forger).disagreements
    assert result.agreement is Agreement.UNREADABLE
    assert "digest" in result.reasons[0]


def test_one_changed_action_is_found_where_it_acts(forger: Forger) -> None:
    forger.retrace(forger.episodes()[0], lambda trace: moved(trace, step=3))
    verification = verify(forger)
    assert "on the machine of the recording" in only_disagreement(verification)
    (result,) = verification.disagreements
    # Every step was a question; states are compared at every sixteenth.
    assert result.differs_from_step == min(16, result.n_steps)


def test_a_failure_that_was_made_a_success_everywhere_is_found(forger: Forger) -> None:
    forger.judge(forger.episodes("failure")[0], "success")
    verification = verify(forger)
    assert "success is stored, the replay ends in failure" in only_disagreement(verification)


def test_a_success_that_was_made_a_failure_is_found(forger: Forger) -> None:
    forger.judge(forger.episodes("success")[0], "failure")
    assert "failure is stored, the replay ends in success" in only_disagreement(verify(forger))


def test_swapped_episodes_are_found_in_both(forger: Forger) -> None:
    one, other = forger.episodes("success")[0], forger.episodes("success")[-1]
    for column in ("trace_digest", "initial_digest", "final_digest", "n_steps", "stages"):
        ((first,),) = forger.sql(f"SELECT {column} FROM attempt WHERE episode_id = ?", one)
        ((second,),) = forger.sql(f"SELECT {column} FROM attempt WHERE episode_id = ?", other)
        forger.sql(f"UPDATE attempt SET {column} = ? WHERE episode_id = ?", second, one)
        forger.sql(f"UPDATE attempt SET {column} = ? WHERE episode_id = ?", first, other)
    for episode in (one, other):
        ((n_steps,),) = forger.sql("SELECT n_steps FROM attempt WHERE episode_id = ?", episode)
        forger.sql("UPDATE episode SET n_steps = ? WHERE episode_id = ?", n_steps, episode)
    verification = verify(forger)
    assert {result.episode.id for result in verification.disagreements} == {one, other}
    assert all("the initial state differs" in "; ".join(result.reasons) for result in verification.disagreements)


def test_a_truncated_trace_does_not_reach_the_end(forger: Forger) -> None:
    forger.retrace(forger.episodes("failure")[0], lambda trace: shortened(trace, 10))
    assert "not over after its 10 recorded actions" in only_disagreement(verify(forger))


def test_a_trace_that_goes_on_after_the_end_is_found(forger: Forger) -> None:
    def extended(trace: Trace) -> Trace:
        return replace(trace, actions=np.concatenate([trace.actions, trace.actions[:2]]))

    forger.retrace(forger.episodes("success")[0], extended)
    assert "steps are stored, the replay takes" in only_disagreement(verify(forger))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda trace: replace(trace, actions=3 * trace.actions), "outside the suite's bounds"),
        (lambda trace: replace(trace, actions=np.full_like(trace.actions, np.nan)), "not finite"),
        (lambda trace: replace(trace, actions=trace.actions[:, :2]), "not float32 [T, 4]"),
        (lambda trace: replace(trace, digests=trace.digests[:2]), "2 state digests"),
        (lambda trace: replace(trace, query_steps=trace.query_steps[::-1]), "not in order"),
    ],
    ids=["bounds", "nan", "shape", "digests", "order"],
)
def test_a_trace_that_no_run_of_ours_writes_is_not_replayed(
    forger: Forger, change: Callable[[Trace], Trace], words: str
) -> None:
    forger.retrace(forger.episodes()[0], change)
    verification = verify(forger)
    assert words in only_disagreement(verification)
    assert verification.disagreements[0].replayed is None


def test_an_attempt_without_its_trace_is_found(forger: Forger) -> None:
    forger.sql("UPDATE attempt SET trace_digest = '' WHERE episode_id = ?", forger.episodes()[0])
    assert "no trace is stored" in only_disagreement(verify(forger))


@pytest.mark.parametrize("column", ["initial_digest", "final_digest"])
def test_a_state_digest_that_is_not_the_trace_s_is_found(forger: Forger, column: str) -> None:
    forger.sql(f"UPDATE attempt SET {column} = ? WHERE episode_id = ?", "0" * 32, forger.episodes()[0])
    assert "digest of the trace is not the stored one" in only_disagreement(verify(forger))


def test_stages_that_were_not_done_are_found(forger: Forger) -> None:
    (episode,) = forger.sql(
        "SELECT a.episode_id, a.stages FROM attempt a JOIN episode e USING (run_id, episode_id) "
        "WHERE e.task = 'reach_in_order' ORDER BY position LIMIT 1"
    )
    stages = json.loads(episode[1])
    stages[-1]["success"] = not stages[-1]["success"]
    forger.sql("UPDATE attempt SET stages = ? WHERE episode_id = ?", json.dumps(stages), episode[0])
    assert "stages are stored as" in only_disagreement(verify(forger))


def findings(forger: Forger) -> dict[str, str]:
    """About what → all that was found, joined."""
    verification = verify(forger, sample=1, seed=0)
    assert verification.verdict is Verdict.DIFFERS
    told: dict[str, str] = {}
    for finding in verification.findings:
        told[finding.about] = f"{told.get(finding.about, '')}{finding.message}\n"
    return told


def test_an_outcome_changed_in_one_table_contradicts_the_other(forger: Forger) -> None:
    forger.sql("UPDATE episode SET outcome = 'success' WHERE episode_id = ?", forger.episodes("failure")[0])
    assert set(findings(forger)) == {"episode", "summary"}


def test_a_summary_that_is_not_what_the_episodes_say(forger: Forger) -> None:
    ((n_success,),) = forger.sql("SELECT n_success FROM aggregate")
    forger.sql("UPDATE aggregate SET n_success = n_success + 1, rate = 0.99")
    assert f"rate 0.99, the episodes say {n_success / 10}" in findings(forger)["summary"]


def test_episodes_that_were_taken_out_leave_the_summary_behind_and_the_run_incomplete(forger: Forger) -> None:
    for episode in forger.episodes("failure"):
        forger.sql("DELETE FROM attempt WHERE episode_id = ?", episode)
        forger.sql("DELETE FROM episode WHERE episode_id = ?", episode)
    assert "n_judged 10" in findings(forger)["summary"]
    forger.sql("DELETE FROM aggregate")
    verification = verify(forger)
    assert verification.verdict is Verdict.INCOMPLETE
    assert verification.verdict.exit_code == 3
    assert verification.n_judged < verification.n_planned == 10


def test_attempts_without_their_episode_are_found(forger: Forger) -> None:
    forger.sql("DELETE FROM episode WHERE episode_id = ?", forger.episodes()[0])
    assert "its row is missing" in findings(forger)["episode"]


def test_an_attempt_after_a_judged_one_is_found(forger: Forger) -> None:
    columns = ", ".join(row[1] for row in forger.sql("PRAGMA table_info(attempt)") if row[1] != "attempt")
    episode = forger.episodes()[0]
    forger.sql(
        f"INSERT INTO attempt (attempt, {columns}) SELECT 1, {columns} FROM attempt WHERE episode_id = ?", episode
    )
    forger.sql("UPDATE episode SET n_attempts = 2 WHERE episode_id = ?", episode)
    # Two judged attempts are two episodes to whoever counts: the run has no summary, and that is a finding too.
    assert "another one was made after it" in findings(forger)["database"]


def test_an_episode_moved_to_another_place_of_the_plan_is_found(forger: Forger) -> None:
    forger.sql("UPDATE episode SET trial = 0 WHERE position = 9")
    assert "the plan" in findings(forger)["episode"]


@pytest.mark.parametrize(
    ("about", "statement"),
    [
        ("settings", "UPDATE run SET settings = json_set(settings, '$.replan_horizon', 8)"),
        ("policy", "UPDATE policy SET content = json_set(content, '$.weights_digest', 'ab')"),
        ("suite", "UPDATE suite SET content = json_set(content, '$.tasks[0].horizon', 4000)"),
        ("machine", "UPDATE fingerprint SET content = json_set(content, '$.cpu', 'another')"),
    ],
)
def test_content_that_is_not_what_its_digest_says_is_found(forger: Forger, about: str, statement: str) -> None:
    forger.sql(statement)
    assert "was changed" in findings(forger)[about] or about == "suite"


def test_fields_that_another_version_describes_suites_by_are_no_finding(forger: Forger) -> None:
    ((content,),) = forger.sql("SELECT content FROM suite")
    older = {**json.loads(content), "a_field_of_old": {"x": 1}}
    del older["protocol"]["seed_stride"]
    digest = suite_digest(older)
    forger.sql("UPDATE suite SET digest = ?, content = ?", digest, json.dumps(older))
    forger.sql("UPDATE run SET suite_digest = ?", digest)
    forger.sql("DELETE FROM aggregate")
    assert verify(forger, sample=1).verdict is Verdict.EQUAL


def test_a_plan_that_is_not_what_its_hash_says_makes_the_run_unreadable(forger: Forger) -> None:
    forger.sql("UPDATE plan SET episodes = x'00'")
    verification = verify(forger)
    assert verification.verdict is Verdict.DIFFERS
    assert [finding.about for finding in verification.findings] == ["database"]


def test_a_plan_of_easier_episodes_than_the_suite_s_own_is_found(original: Path, tmp_path: Path) -> None:
    """A run whose every trial begins in the state of trial 0, honestly recorded and in agreement with itself."""
    suite = find_suite("toy_reach")
    easier = replace(suite, protocol=replace(suite.protocol, seed_stride=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vla_bench.harness.prepare.find_suite", lambda *names: easier)
        forger = Forger(make_run(tmp_path))
    told = findings(forger)
    assert "the run's suite has protocol.seed_stride 0, the one installed 1" in told["suite"]
    assert "trial 1: the suite plans env_seed" in told["plan"]
    assert "and 2 more planned episodes differ" in told["plan"]
