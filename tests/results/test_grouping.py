"""Groups of tasks by tag, and totals under names of their own that a part of a suite never gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.results import samples
from vla_bench.results.runs import RunSummary
from vla_bench.results.store import Store
from vla_bench.spec.episode import make_plan
from vla_bench.spec.suite import Suite, Task, Total

# Six camera tasks of which three succeed, two of layout that both do, none of light.
TAGS: list[dict[str, Any]] = [
    *({"dimension": "camera", "level": level} for level in (2, 10, 2, None, 10, 2)),
    *({"dimension": "layout", "level": 2} for _ in range(2)),
]
SUCCEED = {"t0", "t1", "t2", "t6", "t7"}
NOTES = {"dimension": {"layout": "2 of 5 tasks", "light": "not run: 0 of 4 tasks"}}
TOTALS = (
    Total(name="task_weighted", title="total (task-weighted)"),
    Total(name="dimension_mean", title="mean of dimensions", over="dimension"),
)


def suite(**changes: Any) -> Suite:
    tasks = tuple(Task(id=f"t{i}", instruction="go", horizon=9, tags=tags) for i, tags in enumerate(TAGS))
    fields = {"tasks": tasks, "group_by": ("dimension", "level"), "group_notes": NOTES, "totals": TOTALS}
    return samples.suite(n_trials=1, **(fields | changes))


def run(store: Store, *, keep: tuple[str, ...] = (), lose: tuple[str, ...] = (), **changes: Any) -> RunSummary:
    of = suite(**changes)
    spec = samples.spec(of=of, plan=make_plan(of, tasks=keep))
    store.begin_run(spec)
    for episode in spec.plan.episodes:
        if episode.task not in lose:
            outcome = "success" if episode.task in SUCCEED else "failure"
            store.add(spec.name, [samples.result(episode, outcome)])
    return store.finish(spec.name)


@pytest.fixture
def memory(open_store: Any, tmp_path: Any) -> Store:
    store: Store = open_store(tmp_path / "results.db")
    return store


def test_the_two_totals_differ_and_each_has_its_name_and_interval(memory: Store) -> None:
    summary = run(memory)
    weighted, of_dimensions = summary.totals
    assert (weighted.name, weighted.rate) == ("task_weighted", pytest.approx(5 / 8))
    assert (of_dimensions.name, of_dimensions.rate) == ("dimension_mean", pytest.approx((3 / 6 + 2 / 2) / 2))
    for total in summary.totals:
        assert total.interval is not None
        assert total.rate is not None
        assert total.interval.low < total.rate < total.interval.high
    assert summary.group_means["dimension"].rate == of_dimensions.rate


def test_a_part_of_the_suite_has_a_rate_and_no_total(memory: Store) -> None:
    summary = run(memory, keep=("t0", "t1", "t6"))
    assert summary.rate == 1.0
    assert [total.rate for total in summary.totals] == [None, None]
    assert (len(summary.per_task), summary.n_suite_tasks) == (3, 8)
    assert {group.value: (group.n_tasks, group.n_suite_tasks) for group in summary.groups["dimension"]} == {
        "camera": (2, 6), "layout": (1, 2), "light": (0, 0),
    }  # fmt: skip


def test_an_incomplete_run_has_no_total(memory: Store) -> None:
    summary = run(memory, lose=("t7",))
    assert [total.rate for total in summary.totals] == [None, None]
    by_value = {group.value: group for group in summary.groups["dimension"]}
    assert (by_value["camera"].rate, by_value["layout"].rate) == (0.5, None)


def test_what_the_suite_lacks_is_a_group_without_tasks_and_with_its_note(memory: Store) -> None:
    by_value = {group.value: group for group in run(memory).groups["dimension"]}
    assert by_value["layout"].note == "2 of 5 tasks"
    absent = by_value["light"]
    assert (absent.note, absent.n_tasks, absent.rate, absent.interval) == ("not run: 0 of 4 tasks", 0, None, None)


def test_levels_stand_in_the_order_of_numbers_and_tasks_without_one_last(memory: Store) -> None:
    levels = run(memory).groups["level"]
    assert [(group.value, group.n_tasks) for group in levels] == [("2", 5), ("10", 2), ("", 1)]


def test_a_summary_with_totals_survives_its_json_form(memory: Store) -> None:
    summary = run(memory, standin="made-up assets")
    assert RunSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
    assert summary.standin == "made-up assets"


def test_a_summary_stored_before_there_were_totals_is_read(memory: Store) -> None:
    plain = run(memory).to_dict()
    for name in ("totals", "n_suite_tasks", "standin"):
        del plain[name]
    assert RunSummary.from_dict(plain).totals == ()
