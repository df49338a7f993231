"""Several comparisons in one verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from vla_bench.results.stats.several import e_holm, holm, mean_e

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_of_the_sheet() -> None:
    assert holm([0.001, 0.012, 0.02, 0.03, 0.2]) == pytest.approx([0.005, 0.048, 0.06, 0.06, 0.2])


@pytest.mark.parametrize("seed", range(3))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    found = np.random.default_rng(seed).random(9) ** 3
    assert holm(list(found)) == pytest.approx(list(multipletests(found, method="holm")[1]))


@given(p_values)
def test_adjusting_only_raises_and_keeps_the_order(found: list[float]) -> None:
    adjusted = holm(found)
    assert all(a >= p - 1e-12 for a, p in zip(adjusted, found, strict=True))
    assert all(0 <= a <= 1 for a in adjusted)
    order = np.argsort(found, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= -1e-12)


@given(p_values, st.randoms())
def test_the_order_of_the_family_does_not_matter(found: list[float], random) -> None:
    shuffled = list(range(len(found)))
    random.shuffle(shuffled)
    again = holm([found[i] for i in shuffled])
    assert [again[shuffled.index(i)] for i in range(len(found))] == pytest.approx(holm(found))


def test_one_comparison_needs_no_adjustment() -> None:
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_e_values_are_adjusted_and_averaged() -> None:
    assert e_holm([math.log(100), math.log(2)]) == pytest.approx([0.02, 0.5])
    assert e_holm([-3.0]) == [1.0]
    assert mean_e([math.log(30), math.log(10)]) == pytest.approx(math.log(20))
