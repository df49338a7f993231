"""Replay of LIBERO: fixtures drawn at the reset, drawers and contacts are equal to the bit in another process."""

from __future__ import annotations

from pathlib import Path

import pytest

import vla_bench
from vla_bench.harness.replay import Agreement, Verdict, verify_run
from vla_bench.results.store import Store

# The first test may have to install 2 GB of packages; simulators on a busy machine take their time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("libero")]

PATIENT = {"env_start_s": 600, "env_call_s": 120, "workers": 1}
TASKS = [
    ("libero_object", "pick_up_the_butter_and_place_it_in_the_basket"),
    ("libero_goal", "put_the_bowl_on_the_plate"),
]


@pytest.mark.parametrize(("suite", "task"), TASKS)
def test_an_experts_run_replays_to_the_bit_in_a_simulator_of_its_own(libero: Path, suite: str, task: str):
    summary = vla_bench.evaluate("expert", suite, tasks=[task], trials=1, name="run", **PATIENT)
    assert summary.n_success == 1
    with Store.open(read_only=True) as store:
        verification = verify_run(store, "run", workers=1)
    assert verification.verdict is Verdict.EQUAL
    assert verification.counts == {Agreement.BIT: 1}
    assert all(result.is_same_machine for result in verification.results)
