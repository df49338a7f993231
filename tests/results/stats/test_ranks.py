"""Rank ranges and letters of groups that cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from vla_bench.results.stats.ranks import group_letters, holm_matrix, rank_ranges

SUCCESSES = [480, 470, 468, 450, 400]


def pooled_z(successes: list[int], n: int = 500) -> np.ndarray:
    p_values = np.ones((len(successes),) * 2)
    for i, one in enumerate(successes):
        for j, other in enumerate(successes):
            rate = (one + other) / (2 * n)
            if i != j:
                p_values[i, j] = 2 * norm.sf(abs(one - other) / n / np.sqrt(2 * rate * (1 - rate) / n))
    return p_values


def test_ranges_of_the_vector() -> None:
    p_values = pooled_z(SUCCESSES)
    assert rank_ranges(SUCCESSES, p_values, jointly=True) == [(1, 3), (1, 4), (1, 4), (2, 4), (5, 5)]
    adjusted = holm_matrix(p_values)
    pairs = [adjusted[i, j] for i, j in ((0, 1), (0, 3), (1, 3), (2, 3), (3, 4))]
    assert pairs == pytest.approx([0.29359, 0.00120, 0.09870, 0.15208, 0.00007], abs=6e-6)


def test_letters_of_the_vector() -> None:
    assert group_letters(SUCCESSES, holm_matrix(pooled_z(SUCCESSES)) <= 0.05) == ["a", "ab", "ab", "b", "c"]


def test_marginal_ranges_are_no_wider_than_joint_ones() -> None:
    p_values = pooled_z(SUCCESSES)
    for own, joint in zip(
        rank_ranges(SUCCESSES, p_values), rank_ranges(SUCCESSES, p_values, jointly=True), strict=True
    ):
        assert joint.best <= own.best <= own.worst <= joint.worst


@given(st.lists(st.integers(0, 100), min_size=1, max_size=9), st.integers(0, 2**36 - 1))
def test_two_share_a_letter_exactly_where_they_are_not_told_apart(rates: list[int], bits: int) -> None:
    n = len(rates)
    is_apart = np.zeros((n, n), bool)
    for at, (i, j) in enumerate(zip(*np.triu_indices(n, 1), strict=True)):
        is_apart[i, j] = is_apart[j, i] = bool(bits >> at & 1)
    letters = group_letters(rates, is_apart)
    assert all(letters)
    for i in range(n):
        for j in range(i + 1, n):
            assert bool(set(letters[i]) & set(letters[j])) == (not is_apart[i, j])


def test_nobody_and_one_alone() -> None:
    assert group_letters([], np.zeros((0, 0), bool)) == []
    assert group_letters([0.9], np.zeros((1, 1), bool)) == ["a"]
    assert rank_ranges([0.9], np.ones((1, 1))) == [(1, 1)]


def test_all_alike_share_all_ranks() -> None:
    assert rank_ranges([0.9, 0.8, 0.7], np.ones((3, 3))) == [(1, 3)] * 3
