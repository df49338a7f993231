"""The policy misbehaves: its episode is lost, never failed, and the same command makes it good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bad_days.days import QUICK, SHORT, Day, episode_of, faulty, record_day, run_day, stored
from vla_bench.policies.served import ServedPolicy
from vla_bench.spec.outcomes import Outcome

FAULTS = [
    ("nan", "an action is NaN", "bad_action", "standard"),
    ("inf", "an action is infinite", "bad_action", "standard"),
    ("wrong_length", "an action has one entry too many", "bad_action", "standard"),
    ("wrong_dtype", "actions are integers", "bad_action", "standard"),
    ("one_dimensional", "a chunk has one dimension", "bad_action", "standard"),
    ("empty", "a chunk is empty", "bad_action", "standard"),
    ("out_of_bounds", "an action is out of hard bounds", "bad_action", "hard_bounds"),
    ("raise_in_act", "`act` raises", "policy_raised", "standard"),
    ("raise_in_reset", "`reset` raises", "policy_raised", "standard"),
    ("no_answer", "`act` returns no chunk", "bad_reply", "standard"),
]


POLICY = f"{Path(__file__).with_name('switched_policy.py')}:SwitchedPolicy"

Run = Callable[..., Day]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedPolicy, Path]]:
    """One server process for the module, and the file that orders its faults."""
    orders = tmp_path_factory.mktemp("orders") / "orders.json"
    with ServedPolicy(target=POLICY, options={"orders": str(orders)}) as served:
        yield served, orders


@pytest.fixture
def run(server: tuple[ServedPolicy, Path]) -> Run:
    """Run a day against that server with a fault ordered."""
    served, orders = server

    def run_ordered(order: dict[str, Any], **changes: Any) -> Day:
        orders.write_text(json.dumps(order))
        # One worker: the batch of a policy that raises takes its neighbours with it.
        given = {"token": served.token, "deadlines": QUICK, "workers": 1, **changes}
        return run_day(served.url, **given)

    return run_ordered


@pytest.mark.parametrize(("fault", "what", "kind", "protocol"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_fault_of_the_policy_loses_its_episode_and_no_other(
    run: Run, fault: str, what: str, kind: str, protocol: str
) -> None:
    victim = episode_of(1, protocol=protocol)
    day = run({"fault": fault, "step": 2, "episodes": [victim.id]}, protocol=protocol)
    assert day.score == f"2/2 of 3 planned, 1 lost ({kind} 1)"
    assert day.exit_code == 3
    assert day.summary is not None
    assert day.summary.rate is None
    assert day.summary.bounds == pytest.approx((2 / 3, 1.0))
    assert day.kinds == [kind, kind]
    attempts = [attempt.result for attempt in stored(victim)]
    assert [attempt.outcome for attempt in attempts] == [Outcome.POLICY_ERROR] * 2
    # The same state and the same seeds every time; nothing of the bad answer reached the simulator.
    assert len({attempt.initial_digest for attempt in attempts}) == 1
    assert {attempt.n_steps for attempt in attempts} == ({0} if fault == "raise_in_reset" else {2})
    then = run({}, protocol=protocol)
    assert then.score == "3/3 of 3 planned, 0 lost"
    assert then.exit_code == 0
    assert [attempt.result.attempt for attempt in stored(victim)] == [0, 1, 2]
    record_day("The policy", what, day, then)


def test_a_fault_that_passes_is_made_good_in_the_same_run(run: Run, tmp_path: Path) -> None:
    day = run({"fault": "nan", "step": 2, "once": str(tmp_path / "once")}, workers=2)
    assert day.score == "3/3 of 3 planned, 0 lost"
    assert day.kinds == ["bad_action"]
    record_day("The policy", "an action is NaN, once", day)


def test_a_policy_that_raises_in_a_batch_is_made_good_for_the_whole_batch(run: Run, tmp_path: Path) -> None:
    day = run({"fault": "raise_in_act", "step": 2, "once": str(tmp_path / "once")}, workers=3)
    assert day.score == "3/3 of 3 planned, 0 lost"
    # Nothing is lost where others were in the batch: each row was asked again alone.
    assert day.kinds in ([], ["policy_raised"])


def test_actions_out_of_clipping_bounds_are_clipped_counted_and_judged(run: Run) -> None:
    day = run({"fault": "out_of_bounds", "step": 2, "episodes": [episode_of(1).id]})
    assert day.exit_code == 0
    assert day.lost == []
    assert day.summary is not None
    assert day.summary.n_clipped >= 1
    record_day("The policy", "an action is out of clipping bounds", day, said="none: clipped and counted")


def test_actions_out_of_no_bounds_are_passed_on(run: Run) -> None:
    day = run({"fault": "out_of_bounds", "step": 2, "episodes": [episode_of(1).id]}, protocol="no_bounds")
    assert day.exit_code == 0
    assert day.summary is not None
    assert day.summary.n_clipped == 0


@pytest.mark.parametrize("fault", ["nan", "raise_in_act"])
def test_a_fault_that_repeats_is_a_flagged_failure_where_the_settings_say_so(run: Run, fault: str) -> None:
    victim = episode_of(1)
    order = {"fault": fault, "step": 2, "episodes": [victim.id]}
    day = run(order, settings={"repeated_policy_errors": "failure"})
    assert day.score == "2/3 of 3 planned, 0 lost"
    assert day.exit_code == 0
    assert day.summary is not None
    assert day.summary.flags == {"repeated_policy_error": 1}
    assert [attempt.result.outcome for attempt in stored(victim)] == [Outcome.POLICY_ERROR, Outcome.FAILURE]
    if fault == "nan":
        what = "an action is NaN every time, with `--repeated-policy-errors failure`"
        record_day("The policy", what, day)


def test_a_policy_that_hangs_is_noticed_at_its_deadline_and_its_server_replaced(tmp_path: Path) -> None:
    day = run_day(**faulty("hang", step=2, once=str(tmp_path / "once")), workers=1)
    assert day.score == "3/3 of 3 planned, 0 lost"
    assert day.kinds == ["policy_timeout"]
    assert SHORT.act_s <= day.noticed_s < SHORT.act_s + 2
    assert day.seen.n_back == 1
    record_day("The policy", "`act` hangs (deadline 1 s)", day)


def test_a_policy_that_always_hangs_does_not_burn_through_the_plan() -> None:
    day = run_day(**faulty("hang"), workers=1, trials=6, max_restarts=0)
    assert day.score == "0/0 of 6 planned, 6 lost (policy_timeout 2, not_run 4)"
    assert day.exit_code == 3
    assert day.seen.stopped is not None
    record_day("The policy", "`act` hangs every time (deadline 1 s)", day)
