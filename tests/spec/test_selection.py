"""Which tasks a plan keeps: by tags, and by samples that have every stratum's share and hold the smaller ones."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.small import small_suite
from vla_bench.spec.episode import make_plan
from vla_bench.spec.errors import EmptyPlan, UnknownTask, UsageError
from vla_bench.spec.selection import select_tasks
from vla_bench.spec.suite import Suite, Task

COUNTS = {("Camera Viewpoints", 1): 60, ("Camera Viewpoints", 2): 30, ("Sensor Noise", 1): 7, ("Sensor Noise", None): 3}


def suite_with_tags() -> Suite:
    tasks: list[Task] = []
    for (dimension, level), n in COUNTS.items():
        tags: dict[str, str | int | None] = {"dimension": dimension, "level": level}
        tasks += [Task(id=f"{dimension}-{level}-{i}", instruction="go", horizon=9, tags=tags) for i in range(n)]
    return small_suite(tasks=tuple(tasks), group_by=("dimension", "level"))


SUITE = suite_with_tags()


def ids(**selection: object) -> list[str]:
    return [task.id for task in select_tasks(SUITE, **selection)]  # type: ignore[arg-type]


def test_nothing_asked_for_keeps_all_tasks_in_order() -> None:
    assert ids() == [task.id for task in SUITE.tasks]


def test_a_tags_value_may_be_shortened_and_written_in_any_case() -> None:
    assert len(ids(tags={"dimension": ["camera"]})) == 90
    assert ids(tags={"dimension": ["SENSOR-noise"]}) == ids(tags={"dimension": ["s"]})


def test_several_values_of_a_tag_are_any_of_them_and_several_tags_all_of_them() -> None:
    assert len(ids(tags={"level": ["1", "2"]})) == 97
    assert len(ids(tags={"level": ["1"], "dimension": ["sensor"]})) == 7
    assert ids(tags={"level": [], "dimension": []}) == ids()


def test_tasks_without_a_value_are_asked_for_as_none() -> None:
    assert len(ids(tags={"level": ["none"]})) == 3


def test_a_value_or_a_tag_that_nobody_has_is_a_usage_error_that_names_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"no dimension 'light'.*Camera Viewpoints"):
        ids(tags={"dimension": ["light"]})
    with pytest.raises(UsageError, match="have no colour; they have: dimension, level"):
        ids(tags={"colour": ["red"]})
    with pytest.raises(UsageError, match="no tags"):
        select_tasks(small_suite(), tags={"level": ["1"]})


def test_a_selection_that_leaves_nothing_is_an_empty_plan_and_an_unknown_task_is_named() -> None:
    with pytest.raises(EmptyPlan):
        ids(tags={"dimension": ["camera"], "level": ["none"]})
    with pytest.raises(UnknownTask):
        ids(tasks=["nothing-like-it"])


@given(n=st.integers(1, 100), seed=st.integers(0, 99))
def test_a_sample_has_every_groups_share_to_within_one_task(n: int, seed: int) -> None:
    chosen = select_tasks(SUITE, sample=n, sample_seed=seed)
    assert len(chosen) == n
    by_dimension = Counter(task.tags["dimension"] for task in chosen)
    assert abs(by_dimension["Camera Viewpoints"] - 0.9 * n) <= 1
    by_group = Counter((task.tags["dimension"], task.tags["level"]) for task in chosen)
    for (dimension, level), size in COUNTS.items():
        of_dimension = sum(n for (each, _), n in COUNTS.items() if each == dimension)
        assert abs(by_group[dimension, level] - by_dimension[dimension] * size / of_dimension) <= 1


@given(n=st.integers(1, 99), seed=st.integers(0, 99))
def test_a_larger_sample_of_the_same_seed_holds_the_smaller_one_in_the_suites_order(n: int, seed: int) -> None:
    small, large = ids(sample=n, sample_seed=seed), ids(sample=n + 1, sample_seed=seed)
    assert set(small) < set(large)
    assert large == [task for task in ids() if task in set(large)]


def test_every_task_is_drawn_about_equally_often() -> None:
    drawn = Counter(task for seed in range(400) for task in ids(sample=10, sample_seed=seed))
    # 40 expected for each of 100 tasks; six standard deviations of a binomial count either way.
    assert len(drawn) == 100
    assert min(drawn.values()) >= 4
    assert max(drawn.values()) <= 76


def test_the_sample_of_a_seed_is_this_one() -> None:
    """If this changes, a sampled run can neither be resumed nor compared any more."""
    assert ids(sample=3, sample_seed=0) == [
        "Camera Viewpoints-1-49", "Camera Viewpoints-1-50", "Sensor Noise-1-0",
    ]  # fmt: skip


def test_a_sample_larger_than_what_there_is_is_a_usage_error() -> None:
    for n in (0, 101):
        with pytest.raises(UsageError, match="cannot be drawn from 100"):
            ids(sample=n)


def test_the_selection_is_part_of_the_plans_hash() -> None:
    hashes = {
        make_plan(SUITE, **selection).plan_hash  # type: ignore[arg-type]
        for selection in (
            {}, {"sample": 20}, {"sample": 20, "sample_seed": 1}, {"tags": {"level": ["1"]}}, {"sample": 21}
        )
    }  # fmt: skip
    assert len(hashes) == 5
