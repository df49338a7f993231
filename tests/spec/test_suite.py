"""A suite is pure data that answers for its tasks."""

from __future__ import annotations

import pytest

from tests.spec.small import PROTOCOL, TASKS, small_suite
from vla_bench.spec.canonical import canonical_json
from vla_bench.spec.errors import UnknownTask
from vla_bench.spec.suite import ActionBounds, Protocol


@pytest.mark.parametrize("spelling", ["open-drawer", "open_drawer", "OpenDrawer"])
def test_a_task_is_found_however_it_is_spelt(spelling: str) -> None:
    assert small_suite().task(spelling) is TASKS[0]


def test_an_unknown_task_comes_with_the_near_ones() -> None:
    with pytest.raises(UnknownTask, match=r"unknown task 'open-drawr'. Did you mean 'open-drawer'"):
        small_suite().task("open-drawr")


def test_a_task_without_stages_has_one() -> None:
    assert TASKS[0].n_stages == 1
    assert TASKS[0].instruction_of(0) == "open the drawer"


def test_a_staged_task_has_an_instruction_for_each_stage() -> None:
    assert TASKS[2].n_stages == 2
    assert [TASKS[2].instruction_of(stage) for stage in range(2)] == ["grasp it", "stack it"]


def test_a_protocol_is_written_with_its_version() -> None:
    assert PROTOCOL.id == "standard/1"


def test_bounds_are_read_from_data_files_as_text() -> None:
    protocol = Protocol(name="x", version=2, n_trials=1, base_seed=0, action_bounds="hard")  # type: ignore[arg-type]
    assert protocol.action_bounds is ActionBounds.HARD
    with pytest.raises(ValueError, match="soft"):
        Protocol(name="x", version=2, n_trials=1, base_seed=0, action_bounds="soft")  # type: ignore[arg-type]


def test_a_suite_can_be_written_down() -> None:
    assert '"name":"small"' in canonical_json(small_suite())
