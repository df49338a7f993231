"""Verification: an honest run is equal to the bit; other machines, faults and samples are told apart."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.runs import NAME, Forger, make_run, only_disagreement, verify
from vla_bench.envs.registry import find_suite
from vla_bench.harness.replay import Agreement, Verdict, verify_run
from vla_bench.harness.replay import verify as verify_module
from vla_bench.harness.replay.judge import machine_changes
from vla_bench.harness.replay.recording import recordings_of
from vla_bench.harness.replay.verify import verify_episodes
from vla_bench.results.evidence import gather_evidence
from vla_bench.results.store import Store
from vla_bench.spec.canonical import content_id
from vla_bench.spec.errors import UsageError
from vla_bench.spec.result import Fingerprint, Trace

HONEST = {Agreement.BIT: 10}


def test_an_honest_run_is_equal_to_the_bit(forger: Forger) -> None:
    assert {"success", "failure"} == {row[0] for row in forger.sql("SELECT outcome FROM episode")}
    verification = verify(forger)
    assert verification.counts == HONEST
    assert verification.verdict is Verdict.EQUAL
    assert not verification.findings
    assert all(result.differs_from_step is None and result.is_same_machine for result in verification.results)


def test_other_processes_side_by_side_say_the_same(forger: Forger) -> None:
    with forger.open() as store:
        verification = verify_run(store, NAME, workers=2)
    assert verification.counts == HONEST
    assert [result.episode.id for result in verification.results] == forger.episodes()


@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_however_often_the_policy_was_asked_the_replay_is_equal(chunk: int, tmp_path: Path) -> None:
    forger = Forger(make_run(tmp_path, settings={"replan_horizon": 1} if chunk == 1 else {}, trials=1))
    assert verify(forger).counts == {Agreement.BIT: 5}


def elsewhere(forger: Forger) -> Fingerprint:
    """Say that the run was made on another CPU, in agreement with itself."""
    ((content,),) = forger.sql("SELECT content FROM fingerprint")
    machine = Fingerprint(**{**json.loads(content), "cpu": "riscv64 Other"})
    plain = json.dumps({**json.loads(content), "cpu": "riscv64 Other"})
    forger.sql("UPDATE fingerprint SET id = ?, content = ?", machine.id, plain)
    forger.sql("UPDATE attempt SET fingerprint = ?", machine.id)
    assert content_id(json.loads(plain)) == machine.id
    return machine


def drifted(trace: Trace) -> Trace:
    """The same actions with states of which the last bits are others, as another CPU makes them."""
    return replace(trace, digests=tuple(digest[::-1] for digest in trace.digests))


def test_on_another_machine_other_bits_with_the_same_outcome_agree_in_outcome(forger: Forger) -> None:
    elsewhere(forger)
    forger.retrace(forger.episodes()[0], drifted)
    verification = verify(forger)
    assert verification.verdict is Verdict.EQUAL
    assert verification.counts == {Agreement.OUTCOME: 1, Agreement.BIT: 9}
    (result,) = (result for result in verification.results if result.agreement is Agreement.OUTCOME)
    assert result.is_same_machine is False
    assert "on another machine (cpu riscv64 Other → " in result.reasons[0]


def test_on_another_machine_another_outcome_still_differs(forger: Forger) -> None:
    elsewhere(forger)
    forger.retrace(forger.episodes("failure")[0], drifted)
    forger.judge(forger.episodes("failure")[0], "success")
    assert "success is stored, the replay ends in failure" in only_disagreement(verify(forger))


def test_on_the_same_machine_other_bits_differ(forger: Forger) -> None:
    forger.retrace(forger.episodes()[0], drifted)
    assert "the initial state differs, on the machine of the recording" in only_disagreement(verify(forger))


def test_the_render_back_end_makes_no_other_machine() -> None:
    one = Fingerprint(cpu="c", os="o", python="3", packages={"mujoco": "1"}, renderer={"name": "egl"})
    assert machine_changes(one, replace(one, renderer={})) == []
    assert machine_changes(one, replace(one, packages={"mujoco": "2"})) == ["mujoco 1 → 2"]


def test_a_suite_that_is_not_deterministic_says_why(forger: Forger, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = find_suite("toy_reach")
    loose = replace(suite, deterministic=False, provenance={"determinism": "its solver runs on many threads"})
    monkeypatch.setattr(verify_module, "find_suite", lambda *names: loose)
    with pytest.raises(UsageError, match="its solver runs on many threads"):
        verify(forger)


def test_an_instability_that_counted_as_failure_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLA_BENCH_TOY_FAULTS", '{"reach_red:0": {"kind": "unstable", "step": 3}}')
    forger = Forger(make_run(tmp_path, suite="toy_reach_faults", trials=1))
    assert forger.sql("SELECT flags FROM episode WHERE task = 'reach_red'") == [('["unstable"]',)]
    assert verify(forger).counts == {Agreement.BIT: 5}
    monkeypatch.delenv("VLA_BENCH_TOY_FAULTS")
    assert verify(forger).verdict is Verdict.DIFFERS


def test_a_simulator_that_dies_in_the_replay_says_nothing_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger = Forger(make_run(tmp_path, suite="toy_reach_faults", trials=1, tasks=["reach_red", "reach_green"]))
    monkeypatch.setenv("VLA_BENCH_TOY_FAULTS", '{"reach_red:0": {"kind": "segv", "step": 5}}')
    with forger.open() as store:
        verification = verify_run(store, NAME, workers=1)
    assert verification.counts == {Agreement.LOST: 1, Agreement.BIT: 1}
    assert verification.verdict is Verdict.INCOMPLETE


def test_a_simulator_that_dies_once_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forger = Forger(make_run(tmp_path, suite="toy_reach_faults", trials=1, tasks=["reach_red"]))
    fault = {"kind": "kill", "step": 5, "once": str(tmp_path / "marker")}
    monkeypatch.setenv("VLA_BENCH_TOY_FAULTS", json.dumps({"reach_red:0": fault}))
    with forger.open() as store:
        assert verify_run(store, NAME, workers=1).counts == {Agreement.BIT: 1}


def test_a_replay_that_takes_longer_than_it_may_is_lost_and_the_others_are_made(forger: Forger) -> None:
    slow = forger.episodes()[3]
    with forger.open() as store:
        evidence = gather_evidence(store, NAME)
        results = verify_episodes(
            recordings_of(evidence.judged), find_suite("toy_reach"), store.traces, executor="inline",
            limit_s=lambda recording: 0.0 if recording.episode.id == slow else math.inf,
        )  # fmt: skip
    lost = [result for result in results if result.agreement is not Agreement.BIT]
    assert [(result.episode.id, result.agreement) for result in lost] == [(slow, Agreement.LOST)]
    assert lost[0].reasons[0].startswith("the replay took longer than 0 s")


def test_a_run_in_which_nothing_was_judged_is_incomplete(forger: Forger) -> None:
    for table in ("attempt", "episode", "aggregate"):
        forger.sql(f"DELETE FROM {table}")
    verification = verify(forger)
    assert verification.verdict is Verdict.INCOMPLETE
    assert verification.results == ()


def test_a_sample_looks_at_successes_first_and_its_seed_draws_it_again(forger: Forger) -> None:
    first, again = (verify(forger, sample=5, seed=7) for _ in range(2))
    assert [result.episode.id for result in first.results] == [result.episode.id for result in again.results]
    sample = first.sample
    assert sample is not None
    assert sample.n_success == min(4, sample.n_success_of)
    assert sample.n_success + sample.n_failure == 5


def test_a_sample_states_what_it_leaves_possible(forger: Forger) -> None:
    verification = verify(forger, sample=3, seed=1)
    sample = verification.sample
    assert sample is not None
    assert verification.deviating_at_most == pytest.approx(1 - 0.05 ** (1 / sample.n_success))
    assert verify(forger).deviating_at_most is None


def test_two_samples_without_a_seed_are_not_the_same(forger: Forger) -> None:
    assert verify(forger, sample=5).to_dict()["seed"] != verify(forger, sample=5).to_dict()["seed"]


def test_nothing_is_written(forger: Forger) -> None:
    before = {path: path.read_bytes() for path in forger.db.parent.rglob("*") if path.is_file()}
    with Store.open(forger.db, read_only=True) as store:
        verify_run(store, NAME, executor="inline")
    assert {path: path.read_bytes() for path in before} == before
