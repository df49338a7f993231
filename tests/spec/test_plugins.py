"""Parts are found by entry points, whoever installed them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from vla_bench.spec import plugins
from vla_bench.spec.errors import UnknownPolicy, UsageError
from vla_bench.spec.plugins import EXECUTORS, EXPERTS, POLICIES, SUITES, load_plugin, plugin_names


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A group with a part of ours, one of somebody else's, and two that cannot be imported."""
    values = {
        "text_wrap": "vla_bench.spec.names:near_matches",
        "Dumper": "json:dumps",
        "no_module": "there_is_no_such_module:thing",
        "no_name": "json:there_is_no_such_thing",
    }
    points = [EntryPoint(name, value, "tests") for name, value in values.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    plugins._group.cache_clear()
    yield "tests"
    plugins._group.cache_clear()


@pytest.mark.parametrize(
    ("group", "name"),
    [(SUITES, "toy_reach"), (POLICIES, "random"), (EXPERTS, "toy_reach"), (EXECUTORS, "inline")],
)
def test_the_built_in_parts_come_through_the_same_door(group: str, name: str) -> None:
    assert name in plugin_names(group)
    assert name in plugin_names(group, inside="vla_bench")


def test_names_are_sorted(group: str) -> None:
    assert plugin_names(group) == ["Dumper", "no_module", "no_name", "text_wrap"]


def test_ours_can_be_told_from_others(group: str) -> None:
    assert plugin_names(group, inside="vla_bench") == ["text_wrap"]
    assert plugin_names(group, inside="vla") == []


@pytest.mark.parametrize("spelling", ["Dumper", "dumper", "DUM-PER"])
def test_a_part_is_found_however_it_is_spelt(group: str, spelling: str) -> None:
    import json

    assert load_plugin(group, spelling, UnknownPolicy) is json.dumps


def test_an_unknown_part_is_the_callers_error(group: str) -> None:
    with pytest.raises(UnknownPolicy, match=r"unknown policy 'dmper'. Did you mean 'Dumper'"):
        load_plugin(group, "dmper", UnknownPolicy)


@pytest.mark.parametrize("name", ["no_module", "no_name"])
def test_a_part_that_cannot_be_imported_is_named_with_the_reason(group: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' is registered as .*there_is_no_such.*cannot be imported") as caught:
        load_plugin(group, name, UnknownPolicy)
    assert isinstance(caught.value.__cause__, ImportError | AttributeError)
