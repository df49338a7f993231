"""Names are found however they are spelt, and near ones are suggested."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_bench.spec.names import match_name, near_matches, normalise_name

KNOWN = ["metaworld_mt10", "metaworld_mt50", "toy_reach"]


@pytest.mark.parametrize("spelling", ["metaworld_mt10", "MetaWorld-MT10", "metaworldmt10", "Meta.World MT 10"])
def test_case_and_separators_do_not_matter(spelling: str) -> None:
    assert match_name(spelling, KNOWN) == "metaworld_mt10"


@given(st.text())
def test_normalising_twice_changes_nothing(name: str) -> None:
    once = normalise_name(name)
    assert normalise_name(once) == normalise_name(name)


@pytest.mark.parametrize("name", ["metaworld", "metaworld_mt1", "", "__", "toy reach 2"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    assert match_name(name, KNOWN) is None


def test_an_exact_match_wins_over_a_normalised_one() -> None:
    assert match_name("a-b", ["a_b", "a-b"]) == "a-b"
    assert match_name("A-B", ["a_b", "a-b"]) == "a_b"


def test_names_are_taken_from_any_iterable() -> None:
    assert match_name("Toy-Reach", iter(KNOWN)) == "toy_reach"
    assert near_matches("toy_rech", iter(KNOWN)) == ["toy_reach"]


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("metaworld_mt11", ["metaworld_mt10", "metaworld_mt50"]),
        ("toy_rach", ["toy_reach"]),
        ("TOY-RAECH", ["toy_reach"]),
        ("libero", []),
        ("", []),
    ],
)
def test_the_nearest_names_come_first(typed: str, near: list[str]) -> None:
    assert near_matches(typed, KNOWN) == near


def test_no_more_near_names_than_asked_for() -> None:
    assert near_matches("metaworld_mt11", KNOWN, limit=1) == ["metaworld_mt10"]
